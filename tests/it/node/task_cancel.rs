//! A task on many accounts that a person cancels: what waits is cancelled with it.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::counterpart::free_port;
use crate::support::node::Node;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_cancelled_task_takes_its_waiting_operations_with_it() {
    let mut node = Node::new("");
    node.start().await;
    // Nobody listens: each operation waits for another attempt.
    let device = json!({"hostname": "h", "address": "127.0.0.1",
        "connectivities": [{"protocol": "postgresql", "port": free_port()}]});
    let device = node.send(Method::POST, "/devices", device).await["id"].clone();
    for name in ["a", "b", "c"] {
        let body =
            json!({"device": device, "username": name, "automatic_change": true, "secret": "one"});
        node.send(Method::POST, "/credentials", body).await;
    }
    let payload = json!({"kind": "test", "credentials": {"devices": [device]}});
    let order = json!({"robot": "task_manager.executor", "payload": payload});
    let task = node.send(Method::POST, "/tasks", order).await;
    let path = format!("/tasks/{}", task["id"].as_str().unwrap());
    let three = |page: &serde_json::Value| page["items"].as_array().unwrap().len() == 3;
    node.until("/operations?state=retrying", LIMIT, three).await;
    node.send(Method::POST, &format!("{path}/cancel"), json!({}))
        .await;
    node.until(&path, LIMIT, |task| task["status"] == "cancelled")
        .await;
    node.until("/operations?state=cancelled", LIMIT, three)
        .await;
    node.stop().await;
}
