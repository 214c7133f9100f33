//! Commits whose answer never arrives: whoever asked does not know whether they happened. Nothing may be lost
//! by it, and nothing done twice.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use robotd::domain::time::Timestamp;
use robotd::store::StoreConfig;
use serde_json::{Value, json};

use crate::support::cutting_proxy::CuttingProxy;
use crate::support::database::Database;
use crate::support::node::{Node, POLL};

const LIMIT: Duration = Duration::from_secs(30);
const TASKS: usize = 60;
/// Every so many commits. A round of claim, start and end takes a few.
const CUT_PERIOD: usize = 5;

const ROBOTS: &str = r#"
    [[robot]]
    name = "custom.work"
    command = ["/bin/sh", "-c", "echo $ROBOTD_PROCESS_ID >> ran"]
    working_dir = "."
    instances = 3

    [[robot]]
    name = "custom.beat"
    command = ["/bin/true"]
    every = "PT1S"
    overlap = "allow"
    instances = 4
"#;

/// The database's address, and the same database behind `proxy`.
async fn behind_proxy(database: &Database) -> (CuttingProxy, String) {
    let StoreConfig::Postgres { url, .. } = &database.config else {
        panic!("a PostgreSQL database")
    };
    let (_, rest) = url.split_once('@').unwrap();
    let server = rest.split('/').next().unwrap();
    let proxy = CuttingProxy::start(server.parse().unwrap()).await;
    let url = url.replacen(server, &proxy.address.to_string(), 1);
    // The proxy reads what passes.
    let url = format!(
        "{url}{}sslmode=disable",
        if url.contains('?') { '&' } else { '?' }
    );
    (proxy, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_lose_no_task_and_no_tick() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let (proxy, url) = behind_proxy(&database).await;
    let mut node = Node::new(ROBOTS).on_database(&url);
    node.start().await;
    proxy.cut_every(CUT_PERIOD);
    let mut tasks = HashSet::new();
    for number in 0..TASKS {
        tasks.insert(register(&node, number).await);
    }
    assert_eq!(tasks.len(), TASKS, "each key is one task");
    all_end(&node).await;
    proxy.cut_every(0);
    assert!(proxy.cut() > 10, "only {} were cut", proxy.cut());

    let mut succeeded: HashMap<String, usize> = HashMap::new();
    for process in node.all("/processes?robot=custom.work").await {
        assert_eq!(process["outcome"], "succeeded", "{process:#}");
        *succeeded
            .entry(process["task"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    for task in &tasks {
        assert_eq!(succeeded.get(task), Some(&1), "task {task}");
    }
    assert_eq!(succeeded.len(), TASKS);
    let ran = std::fs::read_to_string(node.path("ran")).unwrap();
    assert_eq!(
        ran.lines().collect::<HashSet<_>>().len(),
        ran.lines().count(),
        "no process ran twice"
    );
    assert_eq!(ran.lines().count(), TASKS);
    every_second_is_there_once(&node).await;
    node.stop().await;
}

/// Registers a task as a careful client does: again under the same key until it is answered.
async fn register(node: &Node, number: usize) -> String {
    let body = json!({"robot": "custom.work", "unique_key": format!("key-{number}")});
    let deadline = Instant::now() + LIMIT;
    loop {
        let answer = node
            .request(Method::POST, "/tasks")
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap();
        if status.is_success() {
            return answer["id"].as_str().unwrap().to_owned();
        }
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer:#}");
        assert!(Instant::now() < deadline, "never accepted: {answer:#}");
        tokio::time::sleep(POLL).await;
    }
}

async fn all_end(node: &Node) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let request = node.request(
            Method::GET,
            "/tasks?robot=custom.work&status=succeeded&limit=500",
        );
        let answer = request.send().await.unwrap();
        if answer.status().is_success() {
            let page: Value = answer.json().await.unwrap();
            if page["items"].as_array().unwrap().len() == TASKS {
                return;
            }
        }
        assert!(
            Instant::now() < deadline,
            "they do not end: {:#}",
            node.get("/tasks?robot=custom.work&status=running").await
        );
        tokio::time::sleep(POLL).await;
    }
}

async fn every_second_is_there_once(node: &Node) {
    let time = |value: &Value| {
        value
            .as_str()
            .map(|text| text.parse::<Timestamp>().unwrap())
    };
    let mut rows = node.all("/ticks?robot=custom.beat").await;
    rows.reverse();
    let mut next = time(&rows[0]["planned_at"]).unwrap();
    for row in &rows {
        assert_eq!(
            time(&row["planned_at"]).unwrap(),
            next,
            "a second is missing or there twice: {row:#}"
        );
        next = time(&row["through"]).unwrap_or(next) + TimeDelta::seconds(1);
    }
    let runs = rows.iter().filter_map(|row| row["task"].as_str());
    assert_eq!(
        runs.clone().count(),
        runs.collect::<HashSet<_>>().len(),
        "a run stands for one instant"
    );
}
