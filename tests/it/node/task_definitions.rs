//! Two nodes on one database and a task on many accounts: begun once, handed on by a node that stops, cancelled by a person.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::Method;
use robotd::store::StoreConfig;
use serde_json::{Value, json};

use crate::support::counterpart::free_port;
use crate::support::database::Database;
use crate::support::node::Node;

const LIMIT: Duration = Duration::from_secs(30);
const EXECUTOR: &str = "task_manager.executor";
/// Within it lies one first of January.
const YEAR_MICROS: i64 = 365 * 86_400 * 1_000_000;

async fn two_nodes(database: &Database) -> [Node; 2] {
    let StoreConfig::Postgres { url, .. } = &database.config else {
        panic!("a PostgreSQL database")
    };
    let [mut first, mut second] = [("a", "PT15S"), ("b", "PT16S")].map(|(name, timeout)| {
        let words = ["--node", name, "--node-timeout", timeout];
        Node::new("").on_database(url).with_arguments(&words)
    });
    first.start().await;
    second.keys_of(&first);
    second.start().await;
    let both =
        |page: &Value| page["items"][1].is_object() && page["items"][0]["node_timeout"].is_string();
    let nodes = first.until("/nodes", LIMIT, both).await;
    assert_eq!(nodes["items"][0]["node_timeout"], "PT16S");
    let log = second.log();
    assert!(log.contains("`a` has PT15S: give all the same"), "{log}");
    [first, second]
}

/// Three accounts of a device on which nobody listens: each operation waits for another attempt.
async fn accounts(node: &Node) -> Value {
    let device = json!({"hostname": "h", "address": "127.0.0.1",
        "connectivities": [{"protocol": "postgresql", "port": free_port()}]});
    let device = node.send(Method::POST, "/devices", device).await["id"].clone();
    for name in ["a", "b", "c"] {
        let body =
            json!({"device": device, "username": name, "automatic_change": true, "secret": "one"});
        node.send(Method::POST, "/credentials", body).await;
    }
    device
}

/// Tasks of the executor that a schedule began.
async fn begun(node: &Node) -> Vec<Value> {
    let mut tasks = node.all(&format!("/tasks?robot={EXECUTOR}")).await;
    tasks.retain(|task| task["unique_key"].is_string());
    tasks
}

/// The node that runs a task, once one does that is not `except`.
async fn runs(node: &Node, task: &Value, except: &Value) -> Value {
    let found = |page: &Value| {
        let items = page["items"].as_array().unwrap();
        let one = items.iter().find(|one| one["task"] == *task);
        one.map(|one| one["node"].clone())
            .filter(|node| node != except)
    };
    let path = format!("/executions?robot={EXECUTOR}");
    let page = node.until(&path, LIMIT, |page| found(page).is_some()).await;
    found(&page).unwrap()
}

/// Both nodes look for what is due at the same moment, three times.
async fn both_look(nodes: &[Node; 2]) {
    let look = format!("/robots/{EXECUTOR}/run");
    let mut looks = Vec::new();
    for _ in 0..3 {
        let [one, other] = nodes;
        let (one, other) = tokio::join!(
            one.send(Method::POST, &look, json!({})),
            other.send(Method::POST, &look, json!({}))
        );
        looks.extend([one, other]);
    }
    let mut lookers = HashSet::new();
    for look in &looks {
        let path = format!("/tasks/{}", look["id"].as_str().unwrap());
        let done = |task: &Value| task["finished_at"].is_string();
        let look = nodes[0].until(&path, LIMIT, done).await;
        let process = look["process"].as_str().unwrap();
        let process = nodes[0].get(&format!("/processes/{process}")).await;
        lookers.insert(process["node"].to_string());
    }
    assert_eq!(lookers.len(), 2, "each node looked: {looks:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_begun_once_handed_on_and_cancelled() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let mut nodes = two_nodes(&database).await;
    let device = accounts(&nodes[0]).await;
    let yearly = json!({"cron": "0 0 1 1 *", "timezone": "UTC"});
    let body = json!({"name": "yearly", "kind": "test", "devices": [device], "schedule": yearly});
    nodes[0].send(Method::POST, "/task-definitions", body).await;
    // It was made a year ago.
    let aged = format!("UPDATE task_definitions SET updated_at = updated_at - {YEAR_MICROS}");
    database.sql(&aged).await;
    both_look(&nodes).await;
    let tasks = begun(&nodes[0]).await;
    assert_eq!(tasks.len(), 1, "{tasks:#?}");

    let three = |page: &Value| page["items"].as_array().unwrap().len() == 3;
    let retrying = "/operations?state=retrying";
    nodes[0].until(retrying, LIMIT, three).await;
    let (task, path) = (
        &tasks[0]["id"],
        format!("/tasks/{}", tasks[0]["id"].as_str().unwrap()),
    );
    let at = runs(&nodes[0], task, &Value::Null).await;
    let living = nodes[0].get("/nodes").await;
    let own = |one: &&Value| one["pid"] == nodes[0].pid();
    let own = living["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(own)
        .unwrap()["id"]
        .clone();
    nodes.swap(0, usize::from(own != at));
    let [holder, other] = &mut nodes;
    holder.stop().await;
    let log = holder.log();
    assert!(log.contains("drained; 0 runs were interrupted"), "{log}");
    runs(other, task, &at).await;
    assert_eq!(
        other.get(&path).await["attempts"],
        1,
        "no attempt is used up"
    );

    other
        .send(Method::POST, &format!("{path}/cancel"), json!({}))
        .await;
    other
        .until(&path, LIMIT, |task| task["status"] == "cancelled")
        .await;
    other
        .until("/operations?state=cancelled", LIMIT, three)
        .await;
    other.stop().await;
}
