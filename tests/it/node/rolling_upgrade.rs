//! A newer robotd adds to the schema under nodes that work: they go on, and can be started again on what it made.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::Method;
use robotd::store::StoreConfig;
use serde_json::json;

use crate::support::database::Database;
use crate::support::node::Node;

const LIMIT: Duration = Duration::from_secs(30);
const ROBOTS: &str = r#"
    [[robot]]
    name = "custom.work"
    command = ["/bin/true"]
    instances = 4
"#;

/// What a newer program may do to the busiest tables, in the order in which it would.
const ADDITIONS: [&str; 5] = [
    "CREATE TABLE added (id BIGINT PRIMARY KEY, task_id BIGINT NOT NULL)",
    "ALTER TABLE tasks ADD COLUMN added_note TEXT",
    "ALTER TABLE tasks ADD COLUMN added_flag BOOLEAN NOT NULL DEFAULT FALSE",
    "ALTER TABLE tasks_done ADD COLUMN added_flag BOOLEAN NOT NULL DEFAULT FALSE",
    "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000')",
];

/// Registers `count` tasks one by one by either node; answers their ids.
async fn register(nodes: [&Node; 2], count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let body = json!({"robot": "custom.work"});
        let task = nodes[number % 2].send(Method::POST, "/tasks", body).await;
        ids.push(task["id"].as_str().unwrap().to_owned());
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_nodes_go_on_while_a_newer_one_adds_to_the_schema() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let StoreConfig::Postgres { url, .. } = &database.config else {
        panic!("a PostgreSQL database")
    };
    let on_database = || Node::new(ROBOTS).on_database(url);
    let (mut one, mut other) = (on_database(), on_database());
    one.start().await;
    other.keys_of(&one);
    other.start().await;

    let mut accepted = register([&one, &other], 20).await;
    let addition = async {
        for step in ADDITIONS {
            database.sql(step).await;
        }
    };
    let (meanwhile, ()) = tokio::join!(register([&one, &other], 60), addition);
    accepted.extend(meanwhile);
    // One after the other is started again: here both are as old as they were.
    one.stop().await;
    one.start().await;
    accepted.extend(register([&one, &other], 20).await);

    for status in ["queued", "running", "queued"] {
        let path = format!("/tasks?robot=custom.work&status={status}&limit=1");
        let none = |page: &serde_json::Value| page["items"].as_array().unwrap().is_empty();
        other.until(&path, LIMIT, none).await;
    }
    let mut succeeded: HashMap<String, usize> = HashMap::new();
    for run in other.all("/processes?robot=custom.work").await {
        assert_eq!(run["outcome"], "succeeded", "{run:#}");
        *succeeded
            .entry(run["task"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    assert_eq!(succeeded.len(), accepted.len());
    for task in &accepted {
        assert_eq!(succeeded.get(task), Some(&1), "task {task}");
    }
    for node in [&one, &other] {
        assert!(!node.log().contains(" ERROR "), "{}", node.log());
    }
    one.stop().await;
    what_is_more_than_an_addition_keeps_older_nodes_out(&database, &mut one).await;
    other.stop().await;
}

async fn what_is_more_than_an_addition_keeps_older_nodes_out(database: &Database, node: &mut Node) {
    let step = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231900000')";
    database.sql(step).await;
    node.spawn();
    let status = node.ended(LIMIT).await;
    assert!(!status.success());
    assert!(
        node.log().contains("was written by a newer robotd"),
        "{}",
        node.log()
    );
}
