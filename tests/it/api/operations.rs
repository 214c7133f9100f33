//! Operations over HTTP: ordered, read, cancelled.

use actix_web::test::TestRequest;
use robotd::domain::access::Role;
use serde_json::{Value, json};

use super::app::Api;

async fn credential(api: &Api) -> Value {
    let device = json!({"hostname": "h", "address": "a"});
    let device = api.post("/api/v1/devices", &device).await.json();
    let body = json!({"device": device["id"], "username": "root", "automatic_change": true, "secret": "s3cret-8f"});
    api.post("/api/v1/credentials", &body).await.json()["id"].clone()
}

#[actix_web::test]
async fn what_an_account_cannot_have_is_refused_and_what_is_urgent_is_said() {
    let api = Api::start().await;
    let credential = credential(&api).await;
    for (order, field) in [
        (json!({"kind": "rotate_ssh_key"}), "kind"),
        (json!({"kind": "deactivate"}), "credential"),
        (json!({"kind": "test", "priority": 10}), "priority"),
    ] {
        let mut order = order;
        order["credential"] = credential.clone();
        let refused = api.post("/api/v1/operations", &order).await;
        assert_eq!(refused.problem(422, "invalid"), [field]);
    }
    for (kind, priority, shown) in [("test", json!(9), 9), ("reconcile", Value::Null, 4)] {
        let order = json!({"kind": kind, "credential": credential, "priority": priority});
        let made = api.post("/api/v1/operations", &order).await.json();
        assert_eq!(made["priority"], json!(shown), "{made}");
    }
    let parent = json!({"parent": credential}).to_string();
    let path = format!("/api/v1/credentials/{}", credential.as_str().unwrap());
    let merge = "application/merge-patch+json";
    let refused = api.raw("PATCH", &path, merge, parent).await;
    assert_eq!(refused.problem(422, "invalid"), ["parent"]);
    let tests = "/api/v1/devices/999/connectivity-tests?protocol=ssh";
    api.get(tests).await.problem(404, "not-found");
    let refused = api.get(&tests.replace("=ssh", "=foo")).await;
    assert_eq!(refused.problem(400, "malformed"), ["protocol"]);
    assert!(refused.text().contains("windows_rpc"), "{}", refused.text());
}

#[actix_web::test]
async fn an_operation_is_ordered_once_and_cancelled() {
    let api = Api::start().await;
    let credential = credential(&api).await;
    let order = json!({"kind": "change_password", "credential": credential});
    let made = api.post("/api/v1/operations", &order).await;
    assert_eq!(made.status, 202, "{}", made.text());
    let view = made.json();
    assert_eq!(
        (&view["state"], &view["attempts"], &view["requested_by"]),
        (&json!("queued"), &json!(0), &json!("admin"))
    );
    let path = made.header("location").to_owned();
    let detail = api.get(&path).await.json();
    assert_eq!(
        (&detail["id"], &detail["history"], &detail["error_class"]),
        (&view["id"], &json!([]), &Value::Null)
    );
    api.post("/api/v1/operations", &order)
        .await
        .problem(409, "conflict");
    let test = json!({"kind": "test", "credential": credential, "run_at": "2999-01-01T00:00:00Z"});
    assert_eq!(api.post("/api/v1/operations", &test).await.status, 202);
    let listed = api
        .get("/api/v1/operations?kind=change_password&state=queued")
        .await
        .json();
    assert_eq!(listed["items"], json!([view]));
    let told = api
        .get("/api/v1/events?type=operation.requested")
        .await
        .json();
    assert_eq!(told["items"].as_array().unwrap().len(), 2);
    let cancelled = api.raw("POST", &format!("{path}/cancel"), "", "").await;
    assert_eq!(
        (cancelled.status.as_u16(), &cancelled.json()["state"]),
        (200, &json!("cancelled"))
    );
    api.raw("POST", &format!("{path}/cancel"), "", "")
        .await
        .problem(409, "conflict");
    let object = format!("operation:{}", view["id"].as_str().unwrap());
    let trail = api.get(&format!("/api/v1/audit?object={object}")).await;
    let trail: Vec<Value> = trail.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| json!([entry["action"], entry["actor"], entry["after"]["kind"]]))
        .collect();
    let [cancel, order_entry] = [
        json!(["operation.cancel", "admin", null]),
        json!(["operation.order", "admin", "change_password"]),
    ];
    assert_eq!(
        trail,
        [cancel, order_entry],
        "once each, whatever was refused"
    );
    let told = api
        .get("/api/v1/events?type=operation.cancelled")
        .await
        .json();
    assert_eq!(told["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        api.post("/api/v1/operations", &order).await.status,
        202,
        "there may be another one"
    );
}

#[actix_web::test]
async fn an_operation_says_what_it_waits_for() {
    let api = Api::start().await;
    let credential = credential(&api).await;
    let end = "2999-01-01T00:00:00Z";
    let waits = |reason: &str, until: Value| json!({"reason": reason, "until": until, "credential": null, "operation": null});
    for (kind, run_at, expected) in [
        ("test", json!(end), waits("scheduled", json!(end))),
        ("reconcile", json!(null), waits("executor", Value::Null)),
    ] {
        let order = json!({"kind": kind, "credential": credential, "run_at": run_at});
        let made = api.post("/api/v1/operations", &order).await;
        let path = made.header("location").to_owned();
        assert_eq!(api.get(&path).await.json()["waiting_for"], expected);
        api.raw("POST", &format!("{path}/cancel"), "", "").await;
        assert_eq!(api.get(&path).await.json()["waiting_for"], Value::Null);
    }
}

#[actix_web::test]
async fn a_bad_order_names_its_fields_and_a_viewer_gives_none() {
    let api = Api::start().await;
    let credential = credential(&api).await;
    let order = |field: &str, value: Value| {
        let mut order = json!({"kind": "test", "credential": credential});
        order[field] = value;
        order
    };
    for (field, value) in [
        ("kind", json!("explode")),
        ("credential", json!("999999")),
        ("credential", json!(17)),
        ("run_at", json!("tomorrow")),
        ("run_at", json!("1969-12-31T23:59:59Z")),
        ("expires_at", json!("2000-01-01T00:00:00Z")),
        ("priority", json!(-1)),
        ("template", json!("1")),
    ] {
        let bad = order(field, value);
        let refused = api.post("/api/v1/operations", &bad).await;
        assert_eq!(refused.problem(422, "invalid"), [field], "{bad}");
    }
    for (path, field) in [
        ("/api/v1/operations?state=open", "state"),
        ("/api/v1/operations?kind=x", "kind"),
        ("/api/v1/operations?credential=0", "credential"),
    ] {
        assert_eq!(api.get(path).await.problem(400, "malformed"), [field]);
    }
    for path in ["/api/v1/operations/7", "/api/v1/operations/007"] {
        api.get(path).await.problem(404, "not-found");
    }
    let request = TestRequest::post()
        .uri("/api/v1/operations")
        .insert_header((
            "authorization",
            format!("Bearer {}", api.token(Role::Viewer)),
        ))
        .set_json(order("kind", json!("test")));
    api.send(request).await.problem(403, "forbidden");
    assert_eq!(
        api.get("/api/v1/operations").await.json()["items"],
        json!([])
    );
}
