//! `/alerts`: what monitors found and is not over.

use chrono::{DateTime, TimeDelta};
use robotd::domain::alert::{AlertState, Level};
use serde_json::json;

use super::app::Api;

#[actix_web::test]
async fn what_is_not_over_is_listed_the_worst_first() {
    let api = Api::start().await;
    let state = |key: &str, level, hours| AlertState {
        key: key.to_owned(),
        level,
        since: DateTime::UNIX_EPOCH + TimeDelta::hours(hours),
        last_sent_at: None,
        title: format!("{key} is short"),
    };
    let states = vec![
        state("disk:/", Level::Warning, 3),
        state("disk:/var", Level::Critical, 1),
        state("disk:/srv", Level::Ok, 4),
        state("memory:1", Level::Critical, 2),
    ];
    let now = DateTime::UNIX_EPOCH + TimeDelta::hours(5);
    api.store
        .alert_apply(states, vec![], vec![], now)
        .await
        .unwrap();
    let mut keys = Vec::new();
    let mut path = "/api/v1/alerts?limit=2".to_owned();
    loop {
        let page = api.get(&path).await.json();
        for alert in page["items"].as_array().unwrap() {
            keys.push(alert["key"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/v1/alerts?limit=2&cursor={cursor}");
    }
    assert_eq!(keys, ["memory:1", "disk:/var", "disk:/"]);
    let first = &api.get("/api/v1/alerts").await.json()["items"][0];
    assert_eq!(
        *first,
        json!({"key": "memory:1", "level": "critical", "since": "1970-01-01T02:00:00Z", "told_at": null, "title": "memory:1 is short"})
    );
}
