//! `/stats/activity` and `/stats/queue`: what charts are made of.

use chrono::TimeDelta;
use robotd::domain::id::NodeId;
use robotd::store::sample::{OF_ALL_NODES, QUEUED, Sample};
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

/// Each half hour has the highest of its counts, and the node itself counts.
#[actix_web::test]
async fn the_queue_of_the_day_is_counted() {
    let api = Api::start().await;
    let now = api.state.now();
    let sample = |hours: i64, minutes: i64, value: f64| Sample {
        series: QUEUED.to_owned(),
        node: NodeId(1),
        node_name: OF_ALL_NODES.to_owned(),
        at: now - TimeDelta::hours(hours) + TimeDelta::minutes(minutes),
        value,
    };
    let counted = Vec::from([sample(25, 0, 9.0), sample(2, 0, 7.0), sample(2, 1, 6.0)]);
    api.store.sample_append(counted).await.unwrap();
    let queue = api
        .until("/api/v1/stats/queue", |queue| queue["highest"][47] == 0)
        .await;
    let highest = queue["highest"].as_array().unwrap();
    assert_eq!(highest.len(), 48);
    let most = highest.iter().filter_map(|most| most.as_u64()).max();
    assert_eq!(most, Some(7), "{queue}");
    assert!(
        highest[..40].iter().all(serde_json::Value::is_null),
        "nobody counted: {queue}"
    );
}
