//! `/stats/activity`: what charts are made of.

use serde_json::json;

use super::app::{Api, IDLE};

#[actix_web::test]
async fn the_runs_of_the_day_are_counted() {
    let api = Api::start().await;
    for _ in 0..3 {
        api.post(&format!("/api/v1/robots/{IDLE}/run"), &json!({}))
            .await;
    }
    api.until("/api/v1/tasks?status=succeeded", |page| {
        page["items"]
            .as_array()
            .is_some_and(|tasks| tasks.len() == 3)
    })
    .await;
    let counted = api.get("/api/v1/stats/activity").await.json();
    assert_eq!(
        (&counted["part"], &counted["parts"]),
        (&json!("PT30M"), &json!(48))
    );
    let parts = counted["robots"][IDLE].as_array().unwrap();
    let succeeded: u64 = parts
        .iter()
        .map(|part| part["outcomes"]["succeeded"].as_u64().unwrap())
        .sum();
    assert_eq!(succeeded, 3);
    assert!(
        parts
            .iter()
            .all(|part| part["part"].as_u64().unwrap() >= 46),
        "{counted}"
    );
}
