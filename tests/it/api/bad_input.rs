//! Bad input: 4xx that names the field, nothing changed.

use robotd::api::routes;
use serde_json::{Value, json};

use super::app::{Api, IDLE};

const JSON: &str = "application/json";

fn concrete(path: &str) -> String {
    path.replace("{name}", IDLE)
        .replace("{id}", "1")
        .replace("{file}", "index.html")
        .replace("{decision}", "approve")
}

#[actix_web::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let api = Api::start().await;
    for path in [
        "/api/v1/nothing",
        "/api/v2/robots",
        "/api",
        "/nothing",
        "/api/v1/tasks/",
        "/api/v1/robots/%ff",
    ] {
        api.get(path).await.problem(404, "not-found");
    }
    for (_, path) in routes() {
        let known = |method: &str| routes().contains(&(method, path));
        let path = concrete(path);
        for method in ["DELETE", "PUT", "TRACE", "BREW"] {
            if known(method) {
                continue;
            }
            let answer = api.raw(method, &path, "", "").await;
            answer.problem(405, "method-not-allowed");
            assert!(
                answer.header("allow").contains("OPTIONS"),
                "{method} {path}"
            );
        }
        assert_eq!(api.raw("OPTIONS", &path, "", "").await.status, 204);
    }
}

#[actix_web::test]
async fn every_route_with_parameters_refuses_what_it_does_not_know() {
    let api = Api::start().await;
    for (method, path) in routes() {
        if path.starts_with("/health") || path == "/metrics" || path.starts_with("/api/v1/docs") {
            continue;
        }
        let path = format!("{}?nonsense=1&limit=0&%ff=2", concrete(path));
        let answer = api.raw(method, &path, JSON, "{}").await;
        if answer.status == 404 || answer.status == 415 {
            continue;
        }
        let fields = answer.problem(400, "malformed");
        assert!(
            fields.iter().any(|field| field == "nonsense"),
            "{method} {path}: {fields:?}"
        );
    }
}

#[actix_web::test]
async fn bad_parameters_are_named() {
    let api = Api::start().await;
    let cursor = "0123456789abcdef01234567";
    for (path, field) in [
        ("/api/v1/tasks?limit=501", "limit"),
        ("/api/v1/tasks?limit=-1", "limit"),
        ("/api/v1/tasks?limit=", "limit"),
        ("/api/v1/tasks?limit=99999999999999999999", "limit"),
        ("/api/v1/tasks?limit=1&limit=2", "limit"),
        (&format!("/api/v1/tasks?cursor={cursor}") as &str, "cursor"),
        ("/api/v1/tasks?cursor=x", "cursor"),
        ("/api/v1/tasks?status=done", "status"),
        ("/api/v1/tasks?robot=custom.nobody", "robot"),
        ("/api/v1/tasks?category=nothing", "category"),
        ("/api/v1/tasks?from=yesterday", "from"),
        ("/api/v1/tasks?from=0001-01-01T00:00:00Z", "from"),
        (
            "/api/v1/tasks?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            "to",
        ),
        ("/api/v1/tasks?outcome=lost", "outcome"),
        ("/api/v1/processes?outcome=done", "outcome"),
        ("/api/v1/processes?node=01", "node"),
        ("/api/v1/executions?outcome=running", "outcome"),
        ("/api/v1/ticks?decision=skipped", "decision"),
        ("/api/v1/events?type=", "type"),
        ("/api/v1/audit?actor=%00", "actor"),
        ("/api/v1/robots?status=asleep", "status"),
    ] {
        assert_eq!(
            api.get(path).await.problem(400, "malformed"),
            [field],
            "{path}"
        );
    }
}

#[actix_web::test]
async fn what_does_not_exist_is_404() {
    let api = Api::start().await;
    for id in [
        "1",
        "0",
        "-1",
        "+1",
        "007",
        "x",
        "9223372036854775808",
        "%00",
    ] {
        for path in ["tasks/ID", "processes/ID", "processes/ID/log"] {
            api.get(&format!("/api/v1/{}", path.replace("ID", id)))
                .await
                .problem(404, "not-found");
        }
        for path in ["tasks/ID/cancel", "tasks/ID/retry", "executions/ID/cancel"] {
            let path = format!("/api/v1/{}", path.replace("ID", id));
            api.raw("POST", &path, "", "")
                .await
                .problem(404, "not-found");
        }
    }
    api.get("/api/v1/robots/custom.nobody")
        .await
        .problem(404, "not-found");
    api.post("/api/v1/robots/custom.nobody/run", &json!({}))
        .await
        .problem(404, "not-found");
}

#[actix_web::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let api = Api::start().await;
    for (method, path) in routes() {
        let with_body = ["/run", "/preview", "/tasks", "/batch"]
            .iter()
            .any(|end| path.ends_with(end));
        if method == "GET" || !(with_body || method == "PATCH") {
            continue;
        }
        let path = concrete(path);
        for body in ["{", "nothing", "{\"a"] {
            api.raw(method, &path, JSON, body.to_owned())
                .await
                .problem(400, "malformed");
        }
        api.raw(method, &path, JSON, &b"{\"\xff\":1}"[..])
            .await
            .problem(400, "malformed");
        for body in ["[]", "null", "1", "\"x\""] {
            api.raw(method, &path, JSON, body.to_owned())
                .await
                .problem(422, "invalid");
        }
        api.raw(method, &path, "text/plain", "{}")
            .await
            .problem(415, "unsupported-media-type");
        api.raw(method, &path, "", "{}")
            .await
            .problem(415, "unsupported-media-type");
        let huge = " ".repeat(17 * 1024 * 1024);
        api.raw(method, &path, JSON, huge)
            .await
            .problem(413, "too-large");
        let nonsense = api.raw(method, &path, JSON, "{\"nonsense\":1}").await;
        // A thing that is not there has no fields.
        if nonsense.status == 404 {
            continue;
        }
        let fields = nonsense.problem(422, "invalid");
        assert!(
            fields[0].contains("nonsense"),
            "{method} {path}: {fields:?}"
        );
    }
}

#[actix_web::test]
async fn bad_tasks_name_their_fields_and_register_nothing() {
    let api = Api::start().await;
    let task = |field: &str, value: Value| {
        let mut task = json!({"robot": IDLE});
        task[field] = value;
        task
    };
    for (field, value) in [
        ("robot", json!("custom.nobody")),
        ("robot", json!(7)),
        ("payload", json!("x".repeat(300_000))),
        ("priority", json!(10)),
        ("priority", json!(-1)),
        ("priority", json!(1e10)),
        ("priority", json!("4")),
        ("run_at", json!("1969-12-31T23:59:59Z")),
        ("run_at", json!("9999-01-01T00:00:00Z")),
        ("run_at", json!("tomorrow")),
        ("deadline", json!("2000-01-01T00:00:00Z")),
        ("max_attempts", json!(0)),
        ("max_attempts", json!(101)),
        ("unique_key", json!("")),
        ("unique_key", json!("x".repeat(201))),
        ("unique_key", json!("a\u{0}b")),
        ("colour", json!("red")),
    ] {
        let bad = task(field, value);
        assert_eq!(
            api.post("/api/v1/tasks", &bad)
                .await
                .problem(422, "invalid"),
            [field],
            "{bad}"
        );
        let batch = json!({"tasks": [{"robot": IDLE}, bad]});
        let named = api
            .post("/api/v1/tasks/batch", &batch)
            .await
            .problem(422, "invalid");
        assert_eq!(named, [format!("tasks[1].{field}")]);
    }
    api.post("/api/v1/tasks/batch", &json!({"tasks": []}))
        .await
        .problem(422, "invalid");
    assert_eq!(api.get("/api/v1/tasks").await.json()["items"], json!([]));
}

/// Not those of what holds the number in this program.
#[actix_web::test]
async fn a_number_is_told_the_bounds_of_its_field() {
    let api = Api::start().await;
    let preview = format!("/api/v1/robots/{IDLE}/preview");
    for (path, body, field, told) in [
        (
            "/api/v1/tasks",
            json!({"robot": IDLE, "priority": 40_000}),
            "priority",
            "must lie between 0 and 9",
        ),
        (
            "/api/v1/tasks",
            json!({"robot": IDLE, "max_attempts": -1}),
            "max_attempts",
            "must lie between 1 and 100",
        ),
        (
            preview.as_str(),
            json!({"count": u64::MAX}),
            "count",
            "must lie between 1 and 100",
        ),
        (
            "/api/v1/certificate-issuers",
            json!({"name": "a", "kind": "internal", "orders_max": -1}),
            "orders_max",
            "must be 1 to",
        ),
        (
            "/api/v1/credential-policies",
            json!({"name": "a", "priority": i64::MAX}),
            "priority",
            "1000000",
        ),
    ] {
        let refused = api.post(path, &body).await;
        assert_eq!(refused.problem(422, "invalid"), [field]);
        let detail = refused.json()["errors"][0]["detail"].to_string();
        assert!(detail.contains(told), "{detail}");
    }
    let path = format!("/api/v1/robots/{IDLE}");
    let patch = json!({"instances": u64::MAX}).to_string();
    let refused = api.raw("PATCH", &path, JSON, patch).await;
    assert_eq!(refused.problem(422, "invalid"), ["instances"]);
    let detail = refused.json()["errors"][0]["detail"].to_string();
    assert!(detail.contains("must lie between 0 and"), "{detail}");
}

#[actix_web::test]
async fn what_a_thing_has_is_told_whole_and_no_device_is_everywhere() {
    let api = Api::start().await;
    let odd = json!({"device": "1", "username": "a", "automatic_change": true, "secret": "s", "pasword": "x"});
    let refused = api.post("/api/v1/credentials", &odd).await;
    assert_eq!(refused.problem(422, "invalid"), ["pasword"]);
    for field in ["`username`", "`secret`", "`passphrase`"] {
        assert!(refused.text().contains(field), "{}", refused.text());
    }
    for address in [
        "0.0.0.0",
        "::",
        "0:0::0",
        "::ffff:0.0.0.0",
        "0.0.0.0.",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "0x0.0x0.0x0.0x0",
    ] {
        let device = json!({"hostname": "h", "address": address});
        let refused = api.post("/api/v1/devices", &device).await;
        assert_eq!(refused.problem(422, "invalid"), ["address"], "{address}");
    }
}
