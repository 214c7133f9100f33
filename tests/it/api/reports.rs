//! Reports: parts, links, CSV, figures, health.

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::app::{Api, IDLE};

#[actix_web::test]
async fn parts_of_a_list_join_to_the_whole_of_it() {
    let api = Api::start().await;
    let tasks: Vec<Value> = (0..5).map(|_| json!({"robot": IDLE})).collect();
    let ids = api
        .post("/api/v1/tasks/batch", &json!({"tasks": tasks}))
        .await
        .json()["tasks"]
        .clone();
    let mut seen = Vec::new();
    let mut path = "/api/v1/tasks?robot=custom.idle&limit=2".to_owned();
    loop {
        let answer = api.get(&path).await;
        let json = answer.json();
        seen.extend(
            json["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|task| task["id"].clone()),
        );
        let Some(cursor) = json["next_cursor"].as_str() else {
            break;
        };
        let link = answer.header("link").to_owned();
        path = link
            .strip_prefix('<')
            .and_then(|link| link.split_once('>'))
            .unwrap()
            .0
            .to_owned();
        assert!(
            path.ends_with(cursor) && path.contains("robot=custom.idle"),
            "{path}"
        );
    }
    seen.reverse();
    assert_eq!(Value::Array(seen), ids);
    let foreign = path.replace("tasks", "ticks");
    assert_eq!(
        api.get(&foreign).await.problem(400, "malformed"),
        ["cursor"]
    );
}

#[actix_web::test]
async fn reports_answer_csv_that_no_spreadsheet_runs() {
    let api = Api::start().await;
    api.post(
        "/api/v1/tasks",
        &json!({"robot": IDLE, "unique_key": "=cmd()"}),
    )
    .await;
    for report in [
        "tasks",
        "processes",
        "executions",
        "ticks",
        "events",
        "audit",
    ] {
        let path = format!("/api/v1/{report}");
        let answer = api
            .admin(
                TestRequest::get()
                    .uri(&path)
                    .insert_header(("accept", "text/csv")),
            )
            .await;
        assert_eq!(
            answer.header("content-type"),
            "text/csv; charset=utf-8",
            "{report}"
        );
        assert!(
            answer.text().contains("\r\n"),
            "{report}: {}",
            answer.text()
        );
        if report == "tasks" {
            assert!(answer.text().contains(",'=cmd(),"), "{}", answer.text());
        }
    }
}

#[actix_web::test]
async fn figures_and_health_are_answered() {
    let api = Api::start().await;
    let stats = api.get("/api/v1/stats").await.json();
    assert!(
        stats["queued"].is_u64() && stats["truncated"] == false,
        "{stats}"
    );
    assert_eq!(
        api.get("/api/v1/nodes").await.json()["items"][0]["name"],
        "test"
    );
    let health = api.send(TestRequest::get().uri("/health")).await;
    assert_eq!(health.json()["robots"][0]["name"], IDLE);
    for probe in ["/health/live", "/health/ready"] {
        assert_eq!(
            api.send(TestRequest::get().uri(probe)).await.json()["status"],
            "ok",
            "{probe}"
        );
    }
}
