//! Events come in once each, wake robots, and are refused by field.

use serde_json::{Value, json};

use super::app::Api;

const ONE: &str = "application/cloudevents+json";
const MANY: &str = "application/cloudevents-batch+json";

fn event(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/test", "type": "test.woken", "data": {"n": 1}})
}

#[actix_web::test]
async fn an_event_is_accepted_once_and_wakes_its_robot() {
    let api = Api::start().await;
    let first = api
        .raw("POST", "/api/v1/events", ONE, event("1").to_string())
        .await;
    assert_eq!(first.status, 202, "{}", first.text());
    assert_eq!(
        (&first.json()["accepted"], &first.json()["duplicates"]),
        (&json!(1), &json!(0))
    );
    let task = first.json()["tasks"][0].as_str().unwrap().to_owned();
    let batch = json!([event("1"), event("2"), event("2")]).to_string();
    let second = api.raw("POST", "/api/v1/events", MANY, batch).await;
    assert_eq!(
        (&second.json()["accepted"], &second.json()["duplicates"]),
        (&json!(1), &json!(2))
    );
    let task = api
        .until(&format!("/api/v1/tasks/{task}"), |task| {
            task["status"] == "succeeded"
        })
        .await;
    assert_eq!(task["trigger"], "event");
    assert_eq!(task["payload"]["data"], json!({"n": 1}));
    let listed = api.get("/api/v1/events?type=test.woken").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert_eq!(listed["items"][1]["event"]["id"], "1");
}

#[actix_web::test]
async fn bad_events_are_named_and_none_of_the_batch_is_kept() {
    let api = Api::start().await;
    let mut bad = event("1");
    bad["specversion"] = json!("0.3");
    let named = api
        .raw("POST", "/api/v1/events", ONE, bad.to_string())
        .await
        .problem(422, "invalid");
    assert_eq!(named, ["specversion"]);
    let batch = json!([event("1"), bad]).to_string();
    let named = api
        .raw("POST", "/api/v1/events", MANY, batch)
        .await
        .problem(422, "invalid");
    assert_eq!(named, ["[1].specversion"]);
    for (media, body, status, kind) in [
        ("application/json", "{}", 415, "unsupported-media-type"),
        (ONE, "[]", 422, "invalid"),
        (MANY, "[]", 422, "invalid"),
        (MANY, "{}", 422, "invalid"),
        (ONE, "", 400, "malformed"),
        (ONE, "{}", 422, "invalid"),
    ] {
        api.raw("POST", "/api/v1/events", media, body)
            .await
            .problem(status, kind);
    }
    assert_eq!(
        api.get("/api/v1/events?source=%2Ftest").await.json()["items"],
        json!([])
    );
}
