//! Passwords that expire all at once: each is ordered once, and no run orders more than its quota.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::id::InventoryId;
use robotd::domain::inventory::{BATCH_ITEMS_MAX, Noun};
use robotd::domain::time::Timestamp;
use robotd::robot::inventory::{By, Inventory, NewItem};
use robotd::store::{Store, StoreConfig};
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::is_full;
use crate::support::node::Node;
use crate::support::safe;

/// Credentials of the full form, by hand: see the README, "Test it".
const CREDENTIALS: usize = 100_000;
/// As many as a build's time allows.
const CREDENTIALS_IN_CI: usize = 500;
/// For the full form on a slow machine.
const LIMIT: Duration = Duration::from_mins(20);
const ROBOT: &str = "operations.expired_password";

#[tokio::test]
async fn each_is_ordered_once_and_by_quota_on_sqlite() {
    let node = Node::new("");
    std::fs::create_dir(node.data_dir()).unwrap();
    let path = node.data_dir().join("robotd.db");
    flood(node, StoreConfig::Sqlite { path }).await;
}

#[tokio::test]
async fn each_is_ordered_once_and_by_quota_on_postgres() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let StoreConfig::Postgres { url, .. } = &database.config else {
        panic!("a PostgreSQL database")
    };
    let node = Node::new("").on_database(url);
    std::fs::create_dir(node.data_dir()).unwrap();
    flood(node, database.config.clone()).await;
}

async fn flood(mut node: Node, database: StoreConfig) {
    let (count, quota) = if is_full() {
        (CREDENTIALS, 500)
    } else {
        (CREDENTIALS_IN_CI, 150)
    };
    let name = match &database {
        StoreConfig::Sqlite { .. } => "SQLite",
        StoreConfig::Postgres { .. } => "PostgreSQL",
    };
    let policy = fill(&node, database, count).await;
    node.start().await;
    // What is ordered is counted here, not carried out.
    let executor = "/robots/operations.operation_executor";
    node.send(Method::PATCH, executor, json!({"enabled": false}))
        .await;
    let settings = json!({"settings": {"quota": quota, "spread": "PT2M"}});
    node.send(Method::PATCH, &format!("/robots/{ROBOT}"), settings)
        .await;
    let before = memory_kib(&node, "VmRSS:");
    // The policy lets none be older than a second from now on: all of them are.
    let path = format!("/credential-policies/{policy}");
    node.send(Method::PATCH, &path, json!({"max_age": "PT1S"}))
        .await;
    let began = Instant::now();
    let ordered = order_all(&node, count).await;
    println!(
        "{name}: {count} credentials ordered in {} runs, {:.1?}; {before} KiB before, {} KiB at most",
        ordered.len(),
        began.elapsed(),
        memory_kib(&node, "VmHWM:"),
    );
    let runs = count.div_ceil(quota);
    assert_eq!(ordered.len(), runs, "full quotas and a rest: {ordered:?}");
    assert!(ordered.iter().all(|one| *one <= quota), "{ordered:?}");
    assert_eq!(ordered.iter().sum::<usize>(), count);
    each_once_and_spread(&node, count).await;
    node.stop().await;
}

/// Makes a policy without an age and credentials under it, as the node's own inventory would; answers the policy.
async fn fill(node: &Node, database: StoreConfig, count: usize) -> InventoryId {
    let store = Store::open(database).await.unwrap();
    let safe = safe(&store, &node.data_dir()).await;
    let inventory = Inventory::new(store, safe, Arc::default());
    let policy = json!({"name": "all", "priority": 1});
    let policy = make(&inventory, Noun::CredentialPolicy, [policy]).await;
    let device = json!({"hostname": "h", "address": "192.0.2.1"});
    let device = make(&inventory, Noun::Device, [device]).await;
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(BATCH_ITEMS_MAX) {
        let credential = |number: &usize| json!({"device": device, "username": format!("u{number}"), "automatic_change": true, "policy": policy});
        make(&inventory, Noun::Credential, some.iter().map(credential)).await;
    }
    policy
}

/// Makes things, credentials with a secret; answers the first one's id. They are as old as it takes to be too old.
async fn make(
    inventory: &Inventory,
    noun: Noun,
    bodies: impl IntoIterator<Item = Value>,
) -> InventoryId {
    let secret = || (noun == Noun::Credential).then(|| "one".into());
    let new = bodies.into_iter().map(|body| NewItem {
        fields: body.as_object().unwrap().clone(),
        secret: secret(),
    });
    let by = By {
        actor: "ana",
        now: SystemClock.now() - TimeDelta::minutes(1),
    };
    inventory.create(noun, new.collect(), by).await.unwrap()[0].id
}

/// Runs the robot until nothing is due; answers how many each of its runs ordered, those that it made by itself, too.
async fn order_all(node: &Node, count: usize) -> Vec<usize> {
    let began = Instant::now();
    loop {
        let run = node
            .send(Method::POST, &format!("/robots/{ROBOT}/run"), json!({}))
            .await;
        let task = format!("/tasks/{}", run["id"].as_str().unwrap());
        node.until(&task, LIMIT, |task| task["status"] == "succeeded")
            .await;
        let runs = node.all(&format!("/processes?robot={ROBOT}")).await;
        let ordered = runs
            .iter()
            .map(|run| &run["counters"]["operations_ordered"]);
        let ordered = ordered.filter_map(Value::as_u64);
        let ordered: Vec<usize> = ordered.map(|one| usize::try_from(one).unwrap()).collect();
        // One more run finds nothing.
        if ordered.iter().sum::<usize>() >= count && runs[0]["counters"] == json!({}) {
            return ordered;
        }
        assert!(began.elapsed() < LIMIT, "ordered in {LIMIT:?}: {ordered:?}");
    }
}

async fn each_once_and_spread(node: &Node, count: usize) {
    let mut operations = node.all("/operations").await;
    // Every ten minutes the reconciliation orders something, too.
    operations.retain(|one| one["kind"] == "change_password");
    assert_eq!(operations.len(), count);
    let whose: HashSet<&str> = operations
        .iter()
        .map(|one| one["credential"].as_str().unwrap())
        .collect();
    assert_eq!(whose.len(), count, "one each");
    let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    let mut starts = HashSet::new();
    for one in &operations {
        assert_eq!(one["state"], "queued");
        let wait = time(&one["run_at"]) - time(&one["created_at"]);
        assert!((0..120).contains(&wait.num_seconds()), "{one:#}");
        starts.insert(one["run_at"].as_str().unwrap());
    }
    assert!(starts.len() > count * 9 / 10, "they do not begin together");
    let requested = node.get("/events?type=operation.requested&limit=1").await;
    assert_eq!(requested["items"].as_array().unwrap().len(), 1);
}

/// A line of the node's `/proc/PID/status`.
fn memory_kib(node: &Node, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let found = status.lines().find(|one| one.starts_with(line)).unwrap();
    found.split_whitespace().nth(1).unwrap().parse().unwrap()
}
