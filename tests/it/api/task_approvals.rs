//! Task definitions over HTTP: what cannot be carried out is refused, who may begin one, and who must agree.

use actix_web::test::TestRequest;
use robotd::domain::access::{Role, token_hash, token_text};
use robotd::domain::approval::ApprovalState;
use robotd::domain::id::TaskId;
use robotd::domain::time::Timestamp;
use robotd::store::audit::NewAudit;
use robotd::store::task_approval::Verdict;
use serde_json::{Value, json};

use super::app::{Answer, Api};

const EXECUTOR: &str = "task_manager.executor";

async fn start() -> Api {
    let executor = robotd::robots::catalog()
        .into_iter()
        .filter(|robot| robot.definition().unwrap().identity.name == EXECUTOR);
    let api = Api::start_with(executor.collect()).await;
    // A second operator beside the one of each test.
    let text = token_text([9; 32]);
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let made = api
        .store
        .token_create("ben", Role::Operator, token_hash(&text), now);
    made.await.unwrap();
    let device = json!({"hostname": "h", "address": "a"});
    let device = api.post("/api/v1/devices", &device).await.json();
    for name in ["ana", "root"] {
        let body = json!({"device": device["id"], "username": name, "automatic_change": true,
            "secret": "s3cret-8f"});
        let made = api.post("/api/v1/credentials", &body).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    api
}

async fn by(api: &Api, token: &str, path: &str, body: &Value) -> Answer {
    let bearer = ("authorization", format!("Bearer {token}"));
    let request = TestRequest::post().uri(path).set_json(body);
    api.send(request.insert_header(bearer)).await
}

async fn operator(api: &Api, path: &str, body: &Value) -> Answer {
    by(api, api.token(Role::Operator), path, body).await
}

async fn ben(api: &Api, path: &str, body: &Value) -> Answer {
    by(api, &token_text([9; 32]), path, body).await
}

/// A test of the account `root`, with more fields; answers all of it.
async fn definition(api: &Api, name: &str, more: Value) -> Value {
    let mut body = json!({"name": name, "kind": "test", "username": "root"});
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let made = api.post("/api/v1/task-definitions", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()
}

fn task(payload: Value) -> Value {
    json!({"robot": EXECUTOR, "payload": payload})
}

#[actix_web::test]
async fn what_could_only_fail_is_no_task() {
    let api = start().await;
    let off = definition(&api, "off", json!({"enabled": false})).await;
    for (payload, field) in [
        (json!({"definition": "999"}), "payload.definition"),
        (json!({"definition": off["id"]}), "payload.definition"),
        (json!({"definition": 7}), "payload.definition"),
        (Value::Null, "payload"),
        (
            json!({"kind": "test", "credentials": {"devices": ["999", "998"]}}),
            "payload.credentials.devices",
        ),
        (
            json!({"kind": "test", "credentials": {"site": "999", "tag": "x"}}),
            "payload.credentials.site",
        ),
        (
            json!({"kind": "test", "credentials": {}}),
            "payload.credentials",
        ),
        (
            json!({"kind": "run_template", "template": "999", "credentials": {"tag": "a"}}),
            "payload.template",
        ),
    ] {
        let refused = operator(&api, "/api/v1/tasks", &task(payload.clone())).await;
        assert_eq!(refused.problem(422, "invalid"), [field], "{payload}");
    }
    let good = task(json!({"kind": "test", "credentials": {"username": "nobody"}}));
    let many = json!({"tasks": [good, task(json!({"definition": "999"}))]});
    let refused = operator(&api, "/api/v1/tasks/batch", &many).await;
    let fields = refused.problem(422, "invalid");
    assert_eq!(fields, ["tasks[1].payload.definition"]);
    let run = format!("/api/v1/robots/{EXECUTOR}/run");
    let refused = operator(&api, &run, &json!({"payload": {"definition": "999"}})).await;
    assert_eq!(refused.problem(422, "invalid"), ["payload.definition"]);
    let tasks = api.get(&format!("/api/v1/tasks?robot={EXECUTOR}")).await;
    let by_hand = |task: &&Value| task["trigger"] != "tick";
    let items = tasks.json()["items"].as_array().unwrap().clone();
    assert_eq!(items.iter().filter(by_hand).count(), 0, "{items:?}");
    // By hand and without a payload it looks at the schedules.
    assert_eq!(operator(&api, &run, &json!({})).await.status, 202);
}

#[actix_web::test]
async fn a_definition_says_who_begins_it_and_whether_it_ever_begins_by_itself() {
    let api = start().await;
    for (wrong, field) in [
        (json!({"run_role": "viewer"}), "run_role"),
        (json!({"run_role": "owner"}), "run_role"),
        (json!({"approval_role": "viewer"}), "approval_role"),
        (json!({"approval_within": "PT1H"}), "approval_within"),
        (
            json!({"approval_role": "admin", "approval_within": "P31D"}),
            "approval_within",
        ),
        (json!({"batch_size": 0}), "batch_size"),
    ] {
        let mut body = json!({"name": "n", "kind": "test", "username": "root"});
        let fields = body.as_object_mut().unwrap();
        fields.extend(wrong.as_object().unwrap().clone());
        let refused = api.post("/api/v1/task-definitions", &body).await;
        assert_eq!(refused.problem(422, "invalid"), [field], "{wrong}");
    }
    let schedule = |hour: u8| {
        json!({"run_role": "admin", "schedule": {"cron": format!("0 {hour} * * *"), "timezone": "UTC"},
            "window": {"start": "22:00", "end": "06:00"}})
    };
    let never = definition(&api, "never", schedule(12)).await;
    let warning = never["warning"].as_str().unwrap();
    assert!(
        warning.starts_with("None of the planned instants"),
        "{warning}"
    );
    let path = format!("/api/v1/task-definitions/{}", never["id"].as_str().unwrap());
    let list = api.get("/api/v1/task-definitions").await.json();
    for shown in [&api.get(&path).await.json(), &list["items"][0]] {
        assert_eq!(shown["warning"], never["warning"]);
    }
    let patch = json!({"schedule": {"cron": "0 23 * * *"}});
    let changed = api.raw("PATCH", &path, "application/json", patch.to_string());
    assert_eq!(changed.await.json()["warning"], Value::Null);

    let payload = json!({"definition": never["id"]});
    let run = format!("/api/v1/robots/{EXECUTOR}/run");
    for (path, body) in [
        ("/api/v1/tasks", task(payload.clone())),
        (
            "/api/v1/tasks/batch",
            json!({"tasks": [task(payload.clone())]}),
        ),
        (run.as_str(), json!({"payload": payload})),
    ] {
        let refused = operator(&api, path, &body).await;
        refused.problem(403, "forbidden");
        let detail = refused.json()["detail"].to_string();
        assert!(detail.contains("needs the role `admin`"), "{detail}");
    }
    let made = api.post("/api/v1/tasks", &task(payload)).await;
    assert_eq!(made.status, 201);
    let again = format!("{}/retry", made.header("location"));
    let refused = operator(&api, &again, &json!({})).await;
    refused.problem(403, "forbidden");
}

/// Waits until a task of this definition waits for a decision, and sleeps; answers its place.
async fn asked(api: &Api, definition: &Value) -> (String, String) {
    let payload = task(json!({"definition": definition["id"]}));
    let made = operator(api, "/api/v1/tasks", &payload).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let task = made.header("location").to_owned();
    api.until(&task, |task| task["status"] == "scheduled").await;
    let id = task.rsplit('/').next().unwrap();
    let approval = format!("/api/v1/task-approvals/{id}");
    let view = api.get(&approval).await.json();
    assert_eq!(view["state"], "waiting_approval", "{view:#}");
    (task, approval)
}

/// A task that waits keeps no tick of the executor from firing: other definitions begin meanwhile.
async fn others_begin(api: &Api) {
    let path = format!("/api/v1/robots/{EXECUTOR}");
    let patch = json!({"schedule": {"every": "PT1S"}}).to_string();
    let changed = api.raw("PATCH", &path, "application/json", patch).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let ticks = format!("/api/v1/ticks?robot={EXECUTOR}");
    let fired = |page: &Value| page["items"][0]["decision"] == "fired";
    api.until(&ticks, fired).await;
}

/// What the audit trail says of a task, and who did it, newest first.
async fn trail(api: &Api, task: &Value) -> Vec<Value> {
    let path = format!("/api/v1/audit?object=task:{}", task.as_str().unwrap());
    let page = api.get(&path).await.json();
    let entries = page["items"].as_array().unwrap().iter();
    let entries = entries.map(|entry| json!([entry["action"], entry["actor"]]));
    entries.collect()
}

async fn others_do_not_decide(api: &Api, approve: &str) {
    let none = json!({});
    operator(api, approve, &none)
        .await
        .problem(403, "forbidden");
    by(api, api.token(Role::Viewer), approve, &none)
        .await
        .problem(403, "forbidden");
    let long = json!({"reason": "x".repeat(501)});
    let refused = ben(api, approve, &long).await;
    assert_eq!(refused.problem(422, "invalid"), ["reason"]);
}

#[actix_web::test]
async fn somebody_else_agrees_before_a_task_begins() {
    let api = start().await;
    let guarded = json!({"approval_role": "operator", "approval_within": "PT2H"});
    let guarded = definition(&api, "guarded", guarded).await;
    let (task, approval) = asked(&api, &guarded).await;
    let waiting = api
        .get("/api/v1/task-approvals?state=waiting_approval")
        .await;
    let waiting = waiting.json()["items"].as_array().unwrap().clone();
    assert_eq!(waiting.len(), 1);
    assert_eq!(
        (
            &waiting[0]["definition"],
            &waiting[0]["requested_by"],
            &waiting[0]["role"]
        ),
        (&guarded["id"], &json!("operator"), &json!("operator"))
    );
    assert_eq!(waiting[0]["meaning"]["credentials"]["username"], "root");

    let [approve, deny] = ["approve", "deny"].map(|verb| format!("{approval}/{verb}"));
    let none = json!({});
    others_do_not_decide(&api, &approve).await;
    others_begin(&api).await;
    // What is decided on is what was asked for, whatever becomes of the definition.
    let path = format!(
        "/api/v1/task-definitions/{}",
        guarded["id"].as_str().unwrap()
    );
    let patch = json!({"username": "ana"});
    let patched = api.raw("PATCH", &path, "application/json", patch.to_string());
    assert_eq!(patched.await.status, 200);
    let repeat = operator(&api, &format!("{task}/retry"), &none).await;
    assert_eq!(repeat.status, 200, "asked again, it waits again");
    api.until(&task, |task| task["status"] == "scheduled").await;

    let approved = ben(&api, &approve, &json!({"reason": "change 4711"})).await;
    assert_eq!(approved.status, 200, "{}", approved.text());
    let view = approved.json();
    assert_eq!(
        (&view["state"], &view["decided_by"], &view["reason"]),
        (&json!("approved"), &json!("ben"), &json!("change 4711"))
    );
    ben(&api, &deny, &none).await.problem(409, "conflict");
    let ordered = |page: &Value| page["items"].as_array().unwrap().len() == 1;
    let ordered = api.until("/api/v1/operations", ordered).await;
    let account = ordered["items"][0]["credential"].as_str().unwrap();
    let account = api
        .get(&format!("/api/v1/credentials/{account}"))
        .await
        .json();
    assert_eq!(account["username"], "root");
    api.until(&task, |task| task["status"] == "running").await;
    api.raw("POST", &format!("{task}/cancel"), "", "").await;
    api.until(&task, |task| task["status"] == "cancelled").await;
    let trail = trail(&api, &view["task"]).await;
    let expected = [
        json!(["task.approve", "ben"]),
        json!(["task.retry", "operator"]),
        json!(["task.request_approval", "operator"]),
    ];
    assert_eq!(trail, expected);
}

/// A task to which nobody agreed is not queued into nothing: the answer says what to do, and it stays as it was.
async fn is_not_repeated(api: &Api, task: &str, over: &str) {
    let before = api.get(task).await.json();
    let refused = operator(api, &format!("{task}/retry"), &json!({})).await;
    refused.problem(409, "conflict");
    let detail = refused.json()["detail"].to_string();
    let told = detail.contains(over) && detail.contains("Register another one");
    assert!(told, "{detail}");
    assert_eq!(api.get(task).await.json(), before);
}

#[actix_web::test]
async fn a_task_that_nobody_decides_on_in_time_is_not_repeated() {
    let api = start().await;
    let guarded = definition(&api, "guarded", json!({"approval_role": "operator"})).await;
    let (task, approval) = asked(&api, &guarded).await;
    let id: i64 = approval.rsplit('/').next().unwrap().parse().unwrap();
    let over = Verdict {
        task: TaskId(id),
        state: ApprovalState::Expired,
        reason: None,
        audit: NewAudit {
            actor: EXECUTOR.to_owned(),
            action: "task.expire_approval".to_owned(),
            object: format!("task:{id}"),
            before: None,
            after: None,
        },
    };
    let now = api.state.now();
    api.store.approval_decide(over, now).await.unwrap();
    api.until(&task, |task| task["status"] == "expired").await;
    is_not_repeated(&api, &task, "expired").await;
}

#[actix_web::test]
async fn a_task_that_is_denied_or_cancelled_does_not_begin() {
    let api = start().await;
    let (guarded, none) = (json!({"approval_role": "operator"}), json!({}));
    let guarded = definition(&api, "guarded", guarded).await;
    let (task, approval) = asked(&api, &guarded).await;
    let denied = ben(&api, &format!("{approval}/deny"), &none).await;
    assert_eq!(denied.json()["state"], "denied", "{}", denied.text());
    api.until(&task, |task| task["status"] == "cancelled").await;
    is_not_repeated(&api, &task, "denied").await;

    for nothing in ["perhaps", "approved"] {
        let answer = ben(&api, &format!("{approval}/{nothing}"), &none).await;
        answer.problem(404, "not-found");
    }
    let (task, approval) = asked(&api, &guarded).await;
    api.until(&task, |task| task["status"] == "scheduled").await;
    let cancelled = api.raw("POST", &format!("{task}/cancel"), "", "").await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    let view = api.get(&approval).await.json();
    assert_eq!(view["state"], "withdrawn", "{view:#}");
    ben(&api, &format!("{approval}/approve"), &none)
        .await
        .problem(409, "conflict");
    is_not_repeated(&api, &task, "withdrawn").await;
    let operations = api.get("/api/v1/operations").await.json();
    assert_eq!(operations["items"], json!([]));
}

/// What could not begin any more is not approved; it may be denied, and is cancelled.
#[actix_web::test]
async fn what_could_only_fail_is_not_approved() {
    let api = start().await;
    let guarded = definition(&api, "guarded", json!({"approval_role": "operator"})).await;
    let (task, approval) = asked(&api, &guarded).await;
    let path = format!(
        "/api/v1/task-definitions/{}",
        guarded["id"].as_str().unwrap()
    );
    let off = json!({"enabled": false}).to_string();
    api.raw("PATCH", &path, "application/json", off).await;
    let none = json!({});
    let told = async || {
        let refused = ben(&api, &format!("{approval}/approve"), &none).await;
        refused.problem(409, "conflict");
        refused.json()["detail"].as_str().unwrap().to_owned()
    };
    assert!(told().await.contains("enable it first"));
    let removed = api.raw("DELETE", &path, "", "").await;
    assert_eq!(removed.status, 204, "{}", removed.text());
    assert!(told().await.contains("was removed: deny the task"));
    let denied = ben(&api, &format!("{approval}/deny"), &none).await;
    assert_eq!(denied.status, 200, "{}", denied.text());
    api.until(&task, |task| task["status"] == "cancelled").await;
}
