//! Signing in, what is refused, and what browsers are told.

use std::time::Duration;

use reqwest::header::SET_COOKIE;

use super::rig::{Visitor, leads_to, node, robotd, token};
use crate::support::node::Node;

/// One node for all: none of them minds the others.
#[tokio::test]
async fn pages_are_safe_to_serve() {
    let node = node().await;
    a_session_is_as_good_as_its_token(&node).await;
    a_cookie_that_came_over_tls_stays_there(&node).await;
    what_a_role_may_not_do_is_not_offered_and_refused_when_forced(&node).await;
    forms_of_others_are_refused(&node).await;
    browsers_are_told_what_pages_may_do(&node).await;
    what_never_changes_is_kept_by_browsers(&node).await;
}

async fn a_session_is_as_good_as_its_token(node: &Node) {
    let stranger = Visitor::stranger(node);
    let led = stranger.get("/tasks?status=failed").await;
    assert_eq!(
        (led.status().as_u16(), leads_to(&led)),
        (303, "/sign-in?next=%2Ftasks%3Fstatus%3Dfailed")
    );

    for wrong in ["", "rbt_0000", "x"] {
        let refused = stranger.post("/sign-in", &[("token", wrong)]).await;
        assert_eq!(refused.status(), 422);
        assert!(!refused.headers().contains_key(SET_COOKIE));
    }
    let admin = node.token();
    for (next, place) in [
        ("/tasks?status=failed", "/tasks?status=failed"),
        ("//evil.example", "/"),
    ] {
        let answer = stranger
            .post("/sign-in", &[("token", &admin), ("next", next)])
            .await;
        assert_eq!(leads_to(&answer), place);
        let set = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
        for part in [
            "robotd_session=",
            "HttpOnly",
            "SameSite=Lax",
            "Path=/",
            "Max-Age=43200",
        ] {
            assert!(set.contains(part), "{set}");
        }
        assert!(!set.contains(&admin) && !set.contains("Secure"), "{set}");
    }
    assert!(!node.log().contains(&admin), "the token is in the log");

    let viewer = token(node, "viewer");
    let visitor = Visitor::signed_in(node, &viewer).await;
    assert_eq!(visitor.get("/robots").await.status(), 200);
    robotd(node, &["token", "revoke", "viewer"]);
    let gone = async {
        while visitor.get("/robots").await.status() == 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .expect("a withdrawn token ends its sessions");
    assert!(leads_to(&visitor.get("/robots").await).starts_with("/sign-in"));
}

/// The proxy in front says that it speaks TLS.
async fn a_cookie_that_came_over_tls_stays_there(node: &Node) {
    let body = format!("token={}", node.token());
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let answer = client
        .build()
        .unwrap()
        .post(format!("{}/sign-in", node.url()))
        .header("x-forwarded-proto", "https")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let answer = answer.send().await.unwrap();
    let set = answer.headers()[SET_COOKIE].to_str().unwrap();
    assert!(
        set.contains("robotd_session=") && set.contains("; Secure"),
        "{set}"
    );
}

async fn what_a_role_may_not_do_is_not_offered_and_refused_when_forced(node: &Node) {
    let [viewer, operator] = ["viewer", "operator"].map(|role| token(node, role));
    let viewer = Visitor::signed_in(node, &viewer).await;
    let operator = Visitor::signed_in(node, &operator).await;
    let admin = Visitor::signed_in(node, &node.token()).await;
    let page = async |visitor: &Visitor| {
        let answer = visitor.get("/robots/custom.quick").await;
        answer.text().await.unwrap()
    };
    let offers = [
        page(&viewer).await,
        page(&operator).await,
        page(&admin).await,
    ]
    .map(|page| {
        (
            page.contains("/custom.quick/run\""),
            page.contains("/custom.quick/change\""),
        )
    });
    assert_eq!(offers, [(false, false), (true, false), (true, true)]);

    for (visitor, path, status) in [
        (&viewer, "/robots/custom.quick/run", 403),
        (&viewer, "/tasks/1/cancel", 403),
        (&operator, "/robots/custom.quick/run", 303),
        (&operator, "/robots/custom.quick/change", 403),
        (&operator, "/robots/switch", 403),
    ] {
        let form_token = if status == 303 {
            visitor.form_token().await
        } else {
            String::new()
        };
        let answer = visitor.post(path, &[("form_token", &form_token)]).await;
        assert_eq!(answer.status(), status, "{path}");
    }
    assert_eq!(
        operator.get("/robots/custom.quick/change").await.status(),
        403
    );
}

async fn forms_of_others_are_refused(node: &Node) {
    let admin = Visitor::signed_in(node, &node.token()).await;
    let other = Visitor::signed_in(node, &node.token()).await;
    let [mine, theirs] = [admin.form_token().await, other.form_token().await];
    let path = "/robots/custom.quick/run";
    let before = tasks(node).await;
    let tries = [
        ("", node.url(), 403),
        (theirs.as_str(), node.url(), 403),
        (mine.as_str(), "https://evil.example".to_owned(), 403),
        (mine.as_str(), node.url(), 303),
    ];
    for (form_token, origin, status) in tries {
        let answer = admin
            .post_from(path, &[("form_token", form_token)], &origin)
            .await;
        assert_eq!(answer.status(), status, "{form_token} {origin}");
    }
    assert_eq!(tasks(node).await, before + 1, "one form of four was taken");
    let get = admin.get(path).await;
    assert_eq!(get.status(), 405, "nothing is done by following a link");
}

async fn tasks(node: &Node) -> usize {
    node.all("/tasks?robot=custom.quick").await.len()
}

async fn browsers_are_told_what_pages_may_do(node: &Node) {
    let admin = Visitor::signed_in(node, &node.token()).await;
    for (path, status) in [
        ("/robots", 200),
        ("/sign-in", 200),
        ("/nowhere", 404),
        ("/tasks?bad=1", 400),
    ] {
        let answer = admin.get(path).await;
        assert_eq!(answer.status(), status, "{path}");
        let headers = answer.headers().clone();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        let html = answer.text().await.unwrap();
        assert!(html.starts_with("<!doctype html>"), "{path}");
        for inline in ["<script>", "<style", " style=", " onclick=", "javascript:"] {
            assert!(!html.contains(inline), "{path}: {inline}");
        }
    }
    errors_lead_on(node, &admin).await;
    let program = reqwest::get(format!("{}/nowhere", node.url()))
        .await
        .unwrap();
    assert_eq!(
        program.headers()["content-type"],
        "application/problem+json"
    );
}

/// Who is signed in finds the navigation on the page of an error too, whatever went wrong.
async fn errors_lead_on(node: &Node, admin: &Visitor) {
    let stranger = Visitor::stranger(node);
    for (answer, status, led_on) in [
        (admin.get("/nowhere").await, 404, true),
        (admin.get("/tasks/999999999").await, 404, true),
        (admin.get("/tasks?bad=1").await, 400, true),
        (admin.post("/robots/custom.quick/run", &[]).await, 403, true),
        (stranger.get("/nowhere").await, 404, false),
    ] {
        let path = answer.url().path().to_owned();
        assert_eq!(answer.status(), status, "{path}");
        let page = answer.text().await.unwrap();
        assert_eq!(page.contains("href=\"/operations\""), led_on, "{path}");
    }
}

async fn what_never_changes_is_kept_by_browsers(node: &Node) {
    let admin = Visitor::signed_in(node, &node.token()).await;
    let page = admin.get("/robots").await.text().await.unwrap();
    let names: Vec<_> = page
        .split('"')
        .filter(|text| text.starts_with("/assets/") && !text.contains('#'))
        .collect();
    assert!(names.len() >= 3, "{names:?}");
    let folder = names[0].rsplit_once('/').unwrap().0;
    let modules = ["form.js", "live.js", "log.js", "morph.js", "time.js"]
        .map(|name| format!("{folder}/{name}"));
    for name in names
        .iter()
        .copied()
        .chain(modules.iter().map(String::as_str))
    {
        let answer = Visitor::stranger(node).get(name).await;
        assert_eq!(answer.status(), 200, "{name}");
        assert!(
            answer.headers()["cache-control"]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
    }
    let other = names[0].replace(folder, "/assets/0000000000000000");
    assert_eq!(admin.get(&other).await.status(), 404);

    let zipped = reqwest::Client::new()
        .get(format!("{}{}", node.url(), names[1]))
        .header("accept-encoding", "gzip");
    let zipped = zipped.send().await.unwrap();
    assert_eq!(zipped.headers()["content-encoding"], "gzip");
}
