//! Tokens and roles, for every route of the table.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use robotd::api::routes;
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::access::{Role, token_text};
use robotd::domain::inventory::Noun;

use super::app::{Api, IDLE};

/// Who may call a route, by the table of the design; `None`: everybody.
fn role_of(method: &str, path: &str) -> Option<Role> {
    let open = path.starts_with("/health") || path.starts_with("/api/v1/docs");
    match (method, path) {
        _ if open => None,
        ("PATCH" | "DELETE", _)
        | (_, "/api/v1/robots/{name}/reset" | "/api/v1/certificate-issuers/{id}/key") => {
            Some(Role::Admin)
        }
        ("POST", "/api/v1/imports" | "/api/v1/imports/{id}/cancel") => Some(Role::Admin),
        ("POST", "/api/v1/certificates/{id}/revoke") => Some(Role::Admin),
        ("POST", path) if is_noun(path) => Some(Role::Admin),
        (_, "/api/v1/robots/{name}/preview") | ("GET", _) => Some(Role::Viewer),
        _ => Some(Role::Operator),
    }
}

/// Whether a path is that of a noun's list in the inventory.
fn is_noun(path: &str) -> bool {
    let list = |noun: &Noun| path.strip_prefix("/api/v1/") == Some(noun.spec().path);
    Noun::ALL.iter().any(list)
}

fn request(method: &str, path: &str) -> TestRequest {
    let path = path
        .replace("{name}", IDLE)
        .replace("{id}", "1")
        .replace("{decision}", "approve")
        .replace("{file}", "swagger-ui.css");
    TestRequest::with_uri(&path).method(Method::from_bytes(method.as_bytes()).unwrap())
}

#[actix_web::test]
async fn every_route_asks_for_its_role_and_not_for_more() {
    let api = Api::start().await;
    // Streams then end at once.
    api.state.shutdown.cancel();
    for (method, path) in routes() {
        let Some(needed) = role_of(method, path) else {
            let answer = api.send(request(method, path)).await;
            assert!(
                answer.status.as_u16() < 400,
                "{method} {path}: {}",
                answer.status
            );
            continue;
        };
        api.send(request(method, path))
            .await
            .problem(401, "unauthorized");
        for role in [Role::Viewer, Role::Operator, Role::Admin] {
            let bearer = format!("Bearer {}", api.token(role));
            let answer = api
                .send(request(method, path).insert_header(("authorization", bearer)))
                .await;
            if role < needed {
                answer.problem(403, "forbidden");
            } else {
                assert!(
                    ![401, 403].contains(&answer.status.as_u16()),
                    "{method} {path} as {role:?}"
                );
            }
        }
    }
}

#[actix_web::test]
async fn what_is_no_token_is_refused() {
    let api = Api::start().await;
    let unknown = format!("Bearer {}", token_text([9; 32]));
    let basic = format!("Basic {}", api.token(Role::Admin));
    let bare = api.token(Role::Admin).to_owned();
    for value in [
        unknown.as_str(),
        basic.as_str(),
        bare.as_str(),
        "Bearer",
        "Bearer ",
        "",
        "Bearer \u{1}",
    ] {
        let Ok(value) = actix_web::http::header::HeaderValue::from_str(value) else {
            continue;
        };
        let answer = api
            .send(
                TestRequest::get()
                    .uri("/api/v1/robots")
                    .insert_header(("authorization", value)),
            )
            .await;
        answer.problem(401, "unauthorized");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
}

#[actix_web::test]
async fn a_withdrawn_token_stops_working() {
    let api = Api::start().await;
    assert_eq!(api.get("/api/v1/nodes").await.status, 200);
    api.store
        .token_revoke("admin", SystemClock.now())
        .await
        .unwrap();
    let gone = async {
        while api.get("/api/v1/nodes").await.status != 401 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone)
        .await
        .expect("the token works on");
}

#[actix_web::test]
async fn metrics_are_open_to_this_machine_only() {
    let api = Api::start().await;
    let scrape = || TestRequest::get().uri("/metrics");
    api.send(scrape()).await.problem(401, "unauthorized");
    let answer = api.get("/metrics").await;
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    assert!(answer.text().ends_with("# EOF\n"), "{}", answer.text());
    assert!(
        answer
            .text()
            .contains("robotd_robot_wanted{robot=\"custom.idle\"}"),
        "{}",
        answer.text()
    );
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    assert_eq!(api.send_from(local, scrape()).await.status, 200);
    let proxied = scrape().insert_header(("x-forwarded-for", "192.0.2.7"));
    api.send_from(local, proxied)
        .await
        .problem(401, "unauthorized");
    let wrong = scrape().insert_header(("authorization", "Bearer rbt_wrong"));
    api.send_from(local, wrong)
        .await
        .problem(401, "unauthorized");
}
