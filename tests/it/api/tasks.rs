//! Tasks from the order to the end, and what runs meanwhile.

use serde_json::json;

use super::app::{Api, IDLE, WAITER};

#[actix_web::test]
async fn a_task_is_registered_once_for_its_key_and_ends() {
    let api = Api::start().await;
    let body = json!({"robot": IDLE, "unique_key": "k", "payload": {"a": 1}});
    let first = api.post("/api/v1/tasks", &body).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let id = first.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(first.header("location"), format!("/api/v1/tasks/{id}"));
    let again = api.post("/api/v1/tasks", &body).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["id"]),
        (200, &json!(id))
    );
    let done = api
        .until(&format!("/api/v1/tasks/{id}"), |task| {
            task["status"] == "succeeded"
        })
        .await;
    assert_eq!(done["payload"], json!({"a": 1}));
    assert_eq!(done["requested_by"], "admin");
    let process = done["process"].as_str().unwrap();
    let process = api
        .get(&format!("/api/v1/processes/{process}"))
        .await
        .json();
    assert_eq!(
        (&process["robot"], &process["outcome"]),
        (&json!(IDLE), &json!("succeeded"))
    );
    api.raw("POST", &format!("/api/v1/tasks/{id}/cancel"), "", "")
        .await
        .problem(409, "conflict");
    api.raw("POST", &format!("/api/v1/tasks/{id}/retry"), "", "")
        .await
        .problem(409, "conflict");
}

#[actix_web::test]
async fn a_batch_answers_ids_in_order() {
    let api = Api::start().await;
    let batch = json!({"tasks": [{"robot": IDLE, "unique_key": "x"}, {"robot": IDLE}, {"robot": IDLE, "unique_key": "x"}]});
    let answer = api.post("/api/v1/tasks/batch", &batch).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let ids = answer.json()["tasks"].as_array().unwrap().clone();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[0], ids[1]);
}

#[actix_web::test]
async fn an_execution_is_seen_logged_and_cancelled() {
    let api = Api::start().await;
    let ordered = api
        .raw("POST", "/api/v1/robots/custom.waiter/run", "", "")
        .await;
    assert_eq!(ordered.status, 202, "{}", ordered.text());
    let running = api
        .until("/api/v1/executions", |list| {
            list["items"][0]["robot"] == WAITER
        })
        .await;
    let id = running["items"][0]["id"].as_str().unwrap().to_owned();
    let log = format!("/api/v1/processes/{id}/log");
    let lines = api
        .until(&log, |log| {
            log["items"]
                .as_array()
                .is_some_and(|lines| !lines.is_empty())
        })
        .await;
    assert_eq!(
        (&lines["items"][0]["text"], &lines["items"][0]["level"]),
        (&json!("=waiting"), &json!("info"))
    );
    let behind = api
        .get(&format!("{log}?after={}", lines["next_after"]))
        .await
        .json();
    assert_eq!(behind["items"], json!([]));
    for (query, count) in [
        ("contains=WAITING", 1),
        ("contains=nobody", 0),
        ("before=1", 0),
        ("before=2", 1),
    ] {
        let found = api.get(&format!("{log}?{query}")).await.json();
        assert_eq!(found["items"].as_array().unwrap().len(), count, "{query}");
    }
    let both = api.get(&format!("{log}?before=2&contains=x")).await;
    assert_eq!(both.problem(400, "malformed"), ["before"]);
    let cancelled = api
        .raw("POST", &format!("/api/v1/executions/{id}/cancel"), "", "")
        .await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text());
    api.until(&format!("/api/v1/processes/{id}"), |process| {
        process["outcome"] == "cancelled"
    })
    .await;
    api.raw("POST", &format!("/api/v1/executions/{id}/cancel"), "", "")
        .await
        .problem(409, "conflict");
}
