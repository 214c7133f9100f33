//! The inventory over HTTP: every noun by the same rules.

use actix_web::test::TestRequest;
use robotd::api::routes;
use robotd::domain::access::Role;
use robotd::domain::inventory::Noun;
use serde_json::{Value, json};

use super::app::{Api, IDLE};

const MERGE: &str = "application/merge-patch+json";

async fn make(api: &Api, path: &str, body: Value) -> Value {
    let made = api.post(&format!("/api/v1/{path}"), &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()
}

async fn patch(api: &Api, path: &str, body: Value) -> super::app::Answer {
    api.raw("PATCH", path, MERGE, body.to_string()).await
}

#[test]
fn every_noun_has_its_five_routes() {
    let routes = routes();
    for noun in Noun::ALL {
        let all = format!("/api/v1/{}", noun.spec().path);
        let one = format!("{all}/{{id}}");
        for (method, path) in [
            ("GET", &all),
            ("POST", &all),
            ("GET", &one),
            ("PATCH", &one),
            ("DELETE", &one),
        ] {
            assert!(routes.contains(&(method, path.as_str())), "{method} {path}");
        }
    }
}

#[actix_web::test]
async fn a_device_is_made_changed_and_removed() {
    let api = Api::start().await;
    let site = make(&api, "sites", json!({"name": "Hall 1"})).await;
    let body = json!({"hostname": "web1", "address": "192.0.2.7", "site": site["id"],
        "connectivities": [{"protocol": "ssh", "port": 22, "host_key": "trust_on_first_use"}]});
    let made = api.post("/api/v1/devices", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let device = made.json();
    let path = format!("/api/v1/devices/{}", device["id"].as_str().unwrap());
    assert_eq!(
        (made.header("location"), made.header("etag")),
        (path.as_str(), "\"1\"")
    );
    assert_eq!(device["site"], site["id"]);
    assert_eq!(
        device["connectivities"],
        json!([{"protocol": "ssh", "port": 22, "host_key": "trust_on_first_use", "pinned_host_key": null, "ca": null,
            "status": null, "tested_at": null, "latency_us": null, "failures": null, "error_class": null, "seen_key": null,
            "recent": null}])
    );
    let read = api.get(&path).await;
    assert_eq!((read.json(), read.header("etag")), (device, "\"1\""));
    let changed = patch(&api, &path, json!({"address": "192.0.2.8", "site": null})).await;
    assert_eq!(changed.header("etag"), "\"2\"");
    let changed = changed.json();
    assert_eq!(
        (&changed["address"], &changed["site"], &changed["revision"]),
        (&json!("192.0.2.8"), &Value::Null, &json!(2))
    );
    let guarded = |method: &str, tag: &str| {
        TestRequest::with_uri(&path)
            .method(method.parse().unwrap())
            .insert_header(("if-match", tag.to_owned()))
            .insert_header(("content-type", MERGE))
            .set_payload(r#"{"kind":"linux"}"#)
    };
    api.admin(guarded("PATCH", "\"1\""))
        .await
        .problem(412, "stale");
    api.admin(guarded("DELETE", "\"1\""))
        .await
        .problem(412, "stale");
    assert_eq!(api.admin(guarded("PATCH", "\"2\"")).await.status, 200);
    let gone = api.admin(guarded("DELETE", "\"3\"")).await;
    assert_eq!((gone.status.as_u16(), gone.bytes.len()), (204, 0));
    api.get(&path).await.problem(404, "not-found");
    api.raw("DELETE", &path, "", "")
        .await
        .problem(404, "not-found");
}

#[actix_web::test]
async fn a_robot_that_waits_for_devices_is_woken() {
    let api = Api::start().await;
    let device = make(&api, "devices", json!({"hostname": "a", "address": "a"})).await;
    let tasks = api
        .until(
            &format!("/api/v1/tasks?robot={IDLE}&status=succeeded"),
            |tasks| !tasks["items"].as_array().unwrap().is_empty(),
        )
        .await;
    let id = tasks["items"][0]["id"].as_str().unwrap().to_owned();
    let task = api.get(&format!("/api/v1/tasks/{id}")).await.json();
    assert_eq!(task["payload"]["type"], "device.created");
    assert_eq!(task["payload"]["subject"], device["id"]);
}

#[actix_web::test]
async fn who_is_taken_or_in_use_is_told_by_name() {
    let api = Api::start().await;
    let site = make(&api, "sites", json!({"name": "Köln"})).await;
    let again = api
        .post("/api/v1/sites", &json!({"name": "KO\u{308}LN"}))
        .await;
    assert_eq!(again.problem(409, "conflict"), ["name"]);
    let used_by = make(
        &api,
        "devices",
        json!({"hostname": "a", "address": "a", "site": site["id"]}),
    )
    .await;
    let path = format!("/api/v1/sites/{}", site["id"].as_str().unwrap());
    let used = api.raw("DELETE", &path, "", "").await;
    assert!(used.problem(409, "conflict").is_empty());
    let why = used.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        why.starts_with("the site is in use: 1 device refers to it: `a` ("),
        "{why}"
    );
    for address in ["a b", "web_1", "-a", "a..b", "300.1.1.1", "*.a", "http://a"] {
        let body = json!({"hostname": "c", "address": address});
        let odd = api.post("/api/v1/devices", &body).await;
        assert_eq!(odd.problem(422, "invalid"), ["address"], "{address}");
    }
    for address in ["2001:db8::1", "WEB-1.example.org.", "münchen.example"] {
        let body = json!({"hostname": address, "address": address});
        make(&api, "devices", body).await;
    }
    let off = json!({"device": used_by["id"], "username": "root", "automatic_change": false, "secret": "x", "enabled": false});
    let off = make(&api, "credentials", off).await;
    let policy = json!({"name": "p", "privileged_credential": off["id"]});
    let odd = api.post("/api/v1/credential-policies", &policy).await;
    assert_eq!(odd.problem(422, "invalid"), ["privileged_credential"]);
    let lost = api
        .post(
            "/api/v1/devices",
            &json!({"hostname": "b", "address": "b", "site": "9999999"}),
        )
        .await;
    assert_eq!(lost.problem(422, "invalid"), ["site"]);
}

#[actix_web::test]
async fn bad_bodies_and_parameters_are_named() {
    let api = Api::start().await;
    let device = make(&api, "devices", json!({"hostname": "a", "address": "a"})).await;
    let one = format!("/api/v1/devices/{}", device["id"].as_str().unwrap());
    for (path, body, field) in [
        ("/api/v1/devices", json!({"address": "a"}), "hostname"),
        (
            "/api/v1/devices",
            json!({"hostname": "a", "address": "a", "colour": 1}),
            "colour",
        ),
        (
            "/api/v1/devices",
            json!({"hostname": "a", "address": "a", "secret": "x"}),
            "secret",
        ),
        ("/api/v1/users", json!({"login": "a\nb"}), "login"),
        (
            "/api/v1/credentials",
            json!({"device": device["id"], "username": "u", "automatic_change": true}),
            "secret",
        ),
        (
            "/api/v1/credentials",
            json!({"device": device["id"], "username": "u", "automatic_change": true, "secret": ""}),
            "secret",
        ),
        (
            "/api/v1/credentials",
            json!({"device": device["id"], "username": "u", "automatic_change": true, "secret": null}),
            "secret",
        ),
        (
            "/api/v1/credentials",
            json!({"device": device["id"], "username": "u", "secret": "x"}),
            "automatic_change",
        ),
        (
            "/api/v1/operation-templates",
            json!({"name": "t", "kind": "run_command", "protocol": "ssh", "steps": "echo \"unterminated"}),
            "steps",
        ),
        (
            "/api/v1/task-definitions",
            json!({"name": "t", "kind": "test", "tag": "web", "schedule": {"every": "PT1S"}}),
            "schedule",
        ),
    ] {
        let answer = api.post(path, &body).await;
        assert_eq!(answer.problem(422, "invalid"), [field], "{body}");
    }
    for (body, field) in [
        (json!({"hostname": null}), "hostname"),
        (json!({"id": "7"}), "id"),
        (json!({"colour": null}), "colour"),
        (json!({"connectivities": {"port": 1}}), "connectivities"),
    ] {
        let answer = patch(&api, &one, body.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [field], "{body}");
    }
    api.raw("POST", "/api/v1/devices", MERGE, "{}")
        .await
        .problem(415, "unsupported-media-type");
    api.raw("POST", "/api/v1/devices", "application/json", "[]")
        .await
        .problem(422, "invalid");
    api.raw("POST", "/api/v1/devices", "application/json", "")
        .await
        .problem(400, "malformed");
}

#[actix_web::test]
async fn bad_parameters_and_ids_are_refused() {
    let api = Api::start().await;
    for (query, field) in [
        ("devices?hostname=", "hostname"),
        ("devices?site=x", "site"),
        ("devices?enabled=1", "enabled"),
        ("devices?login=a", "login"),
        ("users?hostname=a", "hostname"),
        ("credentials?expires_before=soon", "expires_before"),
    ] {
        let answer = api.get(&format!("/api/v1/{query}")).await;
        assert_eq!(answer.problem(400, "malformed"), [field], "{query}");
    }
    for id in ["0", "007", "x", "9223372036854775808", "%00"] {
        for noun in Noun::ALL {
            let path = format!("/api/v1/{}/{id}", noun.spec().path);
            api.get(&path).await.problem(404, "not-found");
        }
    }
    // An id belongs to one noun.
    let site = make(&api, "sites", json!({"name": "a"})).await;
    let other = format!("/api/v1/devices/{}", site["id"].as_str().unwrap());
    api.get(&other).await.problem(404, "not-found");
}

#[actix_web::test]
async fn lists_have_pages_filters_and_tables() {
    let api = Api::start().await;
    for login in ["ana", "bo", "=cy"] {
        make(
            &api,
            "users",
            json!({"login": login, "enabled": login != "bo"}),
        )
        .await;
    }
    let logins = |answer: &Value| {
        let items = answer["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["login"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let one = api.get("/api/v1/users?limit=2").await.json();
    assert_eq!(logins(&one), ["=cy", "bo"]);
    let cursor = one["next_cursor"].as_str().unwrap();
    let two = api
        .get(&format!("/api/v1/users?limit=2&cursor={cursor}"))
        .await
        .json();
    assert_eq!(
        (logins(&two), &two["next_cursor"]),
        (vec!["ana".to_owned()], &Value::Null)
    );
    api.get(&format!("/api/v1/sites?cursor={cursor}"))
        .await
        .problem(400, "malformed");
    assert_eq!(
        logins(&api.get("/api/v1/users?login=ANA").await.json()),
        ["ana"]
    );
    assert_eq!(
        logins(&api.get("/api/v1/users?enabled=false").await.json()),
        ["bo"]
    );
    let csv = TestRequest::get()
        .uri("/api/v1/users")
        .insert_header(("accept", "text/csv"));
    let csv = api.admin(csv).await;
    let lines: Vec<_> = csv.text().lines().collect();
    assert_eq!(
        lines[0],
        "id,login,name,email,locale,timezone,enabled,revision,created_at,updated_at"
    );
    assert!(lines[1].contains(",'=cy,"), "{}", lines[1]);
    assert_eq!(lines.len(), 4);
}

#[actix_web::test]
async fn viewers_read_and_admins_write() {
    let api = Api::start().await;
    let site = make(&api, "sites", json!({"name": "a"})).await;
    let one = format!("/api/v1/sites/{}", site["id"].as_str().unwrap());
    for role in [Role::Viewer, Role::Operator] {
        let as_role = |request: TestRequest| {
            let token = format!("Bearer {}", api.token(role));
            api.send(request.insert_header(("authorization", token)))
        };
        assert_eq!(
            as_role(TestRequest::get().uri("/api/v1/sites"))
                .await
                .status,
            200
        );
        assert_eq!(as_role(TestRequest::get().uri(&one)).await.status, 200);
        for request in [
            TestRequest::post().uri("/api/v1/sites"),
            TestRequest::patch().uri(&one),
            TestRequest::delete().uri(&one),
        ] {
            as_role(request).await.problem(403, "forbidden");
        }
    }
    api.send(TestRequest::get().uri(&one))
        .await
        .problem(401, "unauthorized");
}

#[actix_web::test]
async fn a_certificate_is_imported_with_what_it_says() {
    let api = Api::start().await;
    let folder = tempfile::tempdir().unwrap();
    let Some(authority) = crate::support::authority::Authority::make(folder.path()) else {
        return;
    };
    let pem = std::fs::read_to_string(&authority.ca).unwrap();
    let made = make(&api, "certificates", json!({"certificate": pem})).await;
    assert!(
        made["subject"].as_str().unwrap().starts_with("CN="),
        "{made}"
    );
    assert_eq!(made["fingerprint"].as_str().unwrap().len(), 64);
    assert!(made["not_after"].as_str().unwrap() > made["not_before"].as_str().unwrap());
    let again = api
        .post(
            "/api/v1/certificates",
            &json!({"certificate": pem, "description": "b"}),
        )
        .await;
    assert_eq!(again.problem(409, "conflict"), ["certificate"]);
    let path = format!("/api/v1/certificates/{}", made["id"].as_str().unwrap());
    let other = patch(&api, &path, json!({"certificate": format!("{pem}{pem}")})).await;
    assert_eq!(other.problem(422, "invalid"), ["certificate"]);
    assert_eq!(
        patch(&api, &path, json!({"description": "edge"}))
            .await
            .status,
        200
    );
    let soon = api
        .get("/api/v1/certificates?expires_before=2100-01-01T00:00:00Z")
        .await
        .json();
    assert_eq!(soon["items"].as_array().unwrap().len(), 1);
    let events = api
        .get("/api/v1/events?type=certificate.imported")
        .await
        .json();
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
}
