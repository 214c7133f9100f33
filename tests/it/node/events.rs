//! Events from outside: durable before the answer, each once, and told to the robots they wake.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::node::Node;

const LIMIT: Duration = Duration::from_secs(20);
const SINGLE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// `custom.exact` listens to one type and `custom.wide` to all payments; each writes what it is told into a
/// file named after its task.
const LISTENERS: &str = r#"
    [[robot]]
    name = "custom.exact"
    command = ["/bin/sh", "-c", "cat > exact-$ROBOTD_TASK_ID.json"]
    working_dir = "."
    events = ["order.placed"]
    instances = 2

    [[robot]]
    name = "custom.wide"
    command = ["/bin/sh", "-c", "cat > wide-$ROBOTD_TASK_ID.json"]
    working_dir = "."
    events = ["payment.*"]
    instances = 2

    [[robot]]
    name = "custom.slow"
    command = ["/bin/sh", "-c", "cat > slow-$ROBOTD_TASK_ID.json; sleep 0.3"]
    working_dir = "."
    events = ["crash.test"]
"#;

fn event(id: &str, kind: &str, data: Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/shop/1", "type": kind, "subject": "a subject",
        "time": "2026-01-02T03:04:05.678901Z", "datacontenttype": "application/json", "region": "north", "data": data,
    })
}

async fn publish(node: &Node, media: &str, body: &Value) -> Value {
    let request = node
        .request(Method::POST, "/events")
        .header("content-type", media);
    let answer = request.body(body.to_string()).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn counts(answer: &Value) -> (u64, u64, usize) {
    let number = |key: &str| answer[key].as_u64().unwrap();
    (
        number("accepted"),
        number("duplicates"),
        answer["tasks"].as_array().unwrap().len(),
    )
}

/// What a robot was told for a task, once that has succeeded.
async fn told(node: &Node, who: &str, task: &str) -> Value {
    node.until(&format!("/tasks/{task}"), LIMIT, |task| {
        task["status"] == "succeeded"
    })
    .await;
    let text = std::fs::read_to_string(node.path(&format!("{who}-{task}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn an_event_wakes_its_robots_with_itself_as_their_payload() {
    let mut node = Node::new(LISTENERS);
    node.start().await;
    let placed = event(
        "1",
        "order.placed",
        json!({"n": 7, "text": "zwölf ☃", "deep": [1.5, null, {"a": true}]}),
    );
    let answer = publish(&node, SINGLE, &placed).await;
    assert_eq!(counts(&answer), (1, 0, 1), "{answer}");
    assert_eq!(
        told(&node, "exact", answer["tasks"][0].as_str().unwrap()).await,
        placed
    );

    let again = publish(&node, SINGLE, &placed).await;
    assert_eq!(
        counts(&again),
        (0, 1, 0),
        "the same source and id is the same event: {again}"
    );
    let changed = event("1", "order.placed", json!("other data"));
    assert_eq!(counts(&publish(&node, SINGLE, &changed).await), (0, 1, 0));

    let batch = json!([
        event("2", "payment.made", json!(2)),
        event("3", "payment.", json!(3)),
        event("4", "payments.made", json!(4)),
        event("5", "order.placed", json!(5)),
        event("5", "order.placed", json!(5)),
        event("1", "order.placed", json!(1)),
        event("6", "nobody.listens", json!(6)),
    ]);
    let answer = publish(&node, BATCH, &batch).await;
    assert_eq!(counts(&answer), (5, 2, 3), "{answer}");
    let mut heard = Vec::new();
    for task in answer["tasks"].as_array().unwrap() {
        let task = task.as_str().unwrap();
        let robot = node.get(&format!("/tasks/{task}")).await["robot"]
            .as_str()
            .unwrap()
            .to_owned();
        let payload = told(&node, robot.trim_start_matches("custom."), task).await;
        heard.push((robot, payload["data"].as_i64().unwrap()));
    }
    heard.sort();
    let wanted = [("custom.exact", 5), ("custom.wide", 2), ("custom.wide", 3)];
    assert_eq!(heard, wanted.map(|(robot, data)| (robot.to_owned(), data)));

    let unknown = node.get("/events?type=nobody.listens").await;
    assert_eq!(
        unknown["items"].as_array().unwrap().len(),
        1,
        "kept, though nobody listens"
    );
    assert_eq!(node.all("/tasks?robot=custom.exact").await.len(), 2);
    assert_eq!(node.all("/tasks?robot=custom.wide").await.len(), 2);
    node.stop().await;
}

#[tokio::test]
async fn a_batch_is_accepted_as_a_whole_or_not_at_all() {
    let mut node = Node::new(LISTENERS);
    node.start().await;
    let mut bad = event("2", "order.placed", Value::Null);
    bad["specversion"] = json!("0.3");
    let batch = json!([event("1", "order.placed", Value::Null), bad]);
    let request = node
        .request(Method::POST, "/events")
        .header("content-type", BATCH);
    let answer = request.body(batch.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(
        problem["errors"][0]["field"], "[1].specversion",
        "{problem:#}"
    );
    assert!(node.all("/events?source=/shop/1").await.is_empty());
    assert!(node.all("/tasks?robot=custom.exact").await.is_empty());
    node.stop().await;
}

#[tokio::test]
async fn what_was_answered_202_runs_after_a_kill() {
    let mut node = Node::new(LISTENERS);
    node.start().await;
    let mut tasks = Vec::new();
    for round in 0..5 {
        let batch: Vec<_> = (0..4)
            .map(|n| event(&format!("{round}-{n}"), "crash.test", json!([round, n])))
            .collect();
        let answer = publish(&node, BATCH, &json!(batch)).await;
        node.kill();
        assert_eq!(counts(&answer), (4, 0, 4), "{answer}");
        tasks.extend(answer["tasks"].as_array().unwrap().iter().cloned());
        node.start().await;
        let again = publish(&node, BATCH, &json!(batch)).await;
        assert_eq!(counts(&again), (0, 4, 0), "known after the kill: {again}");
    }
    let mut heard = Vec::new();
    for task in &tasks {
        heard.push(told(&node, "slow", task.as_str().unwrap()).await["data"].to_string());
    }
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), 20);
    assert_eq!(
        node.all("/tasks?robot=custom.slow").await.len(),
        20,
        "no task but these"
    );
    node.stop().await;
}
