//! The stream of changes.

use robotd::api::STREAMS_MAX;
use serde_json::json;

use super::app::{Api, IDLE};

#[actix_web::test]
async fn a_change_is_streamed_as_it_is_committed() {
    let api = Api::start().await;
    let order = async {
        // The stream is open when its counter says so; then a change is made.
        while !api
            .get("/metrics")
            .await
            .text()
            .contains("robotd_streams 1")
        {
            tokio::task::yield_now().await;
        }
        api.post("/api/v1/tasks", &json!({"robot": IDLE})).await
    };
    let (streamed, _) = tokio::join!(api.get("/api/v1/stream"), order);
    assert_eq!(streamed.status, 200);
    assert!(streamed.text().contains("event: "), "{}", streamed.text());
    assert!(streamed.text().contains(IDLE), "{}", streamed.text());
}

#[actix_web::test]
async fn streams_are_bounded_and_end_with_the_node() {
    let api = Api::start().await;
    api.state.shutdown.cancel();
    for _ in 0..STREAMS_MAX + 1 {
        let ended = api.get("/api/v1/stream").await;
        assert_eq!(
            (ended.status.as_u16(), ended.text()),
            (200, ""),
            "an ended stream frees its place"
        );
    }
}
