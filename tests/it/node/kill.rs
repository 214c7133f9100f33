//! Promise 1 and 2: nothing accepted is lost, and every accepted task ends exactly once, whenever the
//! process is killed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use robotd::store::StoreConfig;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::support::database::Database;
use crate::support::is_full;
use crate::support::node::Node;
use crate::support::sink::Sink;

const CLIENTS: usize = 32;

/// How many tasks are sent over how many kills: a part of it in the suite, all by hand.
fn size() -> (usize, usize) {
    if is_full() { (10_000, 20) } else { (1_500, 4) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_task_is_lost_over_kills_on_sqlite() {
    let sink = Sink::start();
    no_task_is_lost(Node::new(&configuration(&sink)), &sink).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_task_is_lost_over_kills_on_postgres() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let StoreConfig::Postgres { url, .. } = &database.config else {
        panic!("a PostgreSQL database")
    };
    let sink = Sink::start();
    no_task_is_lost(Node::new(&configuration(&sink)).on_database(url), &sink).await;
}

fn configuration(sink: &Sink) -> String {
    format!(
        r#"
        [[robot]]
        name = "custom.sink"
        http = "{}"
        instances = 16
        timeout = "PT20S"
        "#,
        sink.url()
    )
}

async fn no_task_is_lost(mut node: Node, sink: &Sink) {
    let (tasks, kills) = size();
    node.start().await;
    let work = Arc::new(Work::new(&node, tasks));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(Arc::clone(&work).enqueue());
    }
    for _ in 0..kills {
        // Anywhere between "hardly up" and "well under way".
        let delay = millis(20, 700);
        tokio::time::sleep(delay).await;
        node.kill();
        node.start().await;
    }
    work.hurry.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let accepted = work.accepted.lock().await.clone();
    assert_eq!(accepted.len(), tasks);
    let ids: HashSet<_> = accepted.values().cloned().collect();
    assert_eq!(ids.len(), tasks, "each key is one task");
    all_succeed(&node, Duration::from_secs(120)).await;
    let ended = ended(&node).await;
    for id in &ids {
        assert_eq!(
            ended.get(id).map(String::as_str),
            Some("succeeded"),
            "task {id}"
        );
    }
    assert_eq!(ended.len(), tasks, "no task but the accepted ones");
    succeeded_once(&node, &ids).await;
    let ran: HashSet<_> = sink.tasks();
    assert_eq!(ran, ids, "each task reached its robot");
    node.stop().await;
}

/// A random time.
fn millis(from: u64, to: u64) -> Duration {
    Duration::from_millis(from + rand::random::<u64>() % (to - from))
}

/// What the clients share.
struct Work {
    client: Client,
    url: String,
    token: String,
    tasks: usize,
    next: AtomicUsize,
    hurry: AtomicBool,
    accepted: Mutex<HashMap<String, String>>,
}

impl Work {
    fn new(node: &Node, tasks: usize) -> Self {
        Self {
            client: Client::builder()
                .timeout(Duration::from_secs(10))
                .build()
                .unwrap(),
            url: format!("{}/api/v1/tasks", node.url()),
            token: node.token(),
            tasks,
            next: AtomicUsize::new(0),
            hurry: AtomicBool::new(false),
            accepted: Mutex::default(),
        }
    }

    /// Registers tasks one by one; repeats each until it is answered 2xx, as a careful client does.
    async fn enqueue(self: Arc<Self>) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.tasks {
                return;
            }
            let key = format!("task-{number}");
            let id = self.accepted(&key).await;
            self.accepted.lock().await.insert(key, id);
            if !self.hurry.load(Ordering::Relaxed) {
                // Spread over the kills.
                tokio::time::sleep(millis(20, 60)).await;
            }
        }
    }

    async fn accepted(&self, key: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        let body = json!({"robot": "custom.sink", "unique_key": key, "payload": {"key": key}});
        loop {
            let answer = self
                .client
                .post(&self.url)
                .bearer_auth(&self.token)
                .json(&body)
                .send()
                .await;
            if let Ok(answer) = answer {
                let status = answer.status();
                if let Ok(task) = answer.json::<Value>().await {
                    assert!(
                        status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE,
                        "{status}: {task}"
                    );
                    if status.is_success() {
                        return task["id"].as_str().expect("an id").to_owned();
                    }
                }
            }
            assert!(Instant::now() < deadline, "task {key} was never accepted");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn all_succeed(node: &Node, limit: Duration) {
    let open = |value: &Value| value["items"].as_array().unwrap().is_empty();
    for status in ["queued", "scheduled", "running", "queued"] {
        node.until(
            &format!("/tasks?robot=custom.sink&status={status}&limit=1"),
            limit,
            open,
        )
        .await;
    }
}

/// Every task of the sink robot with its status, by all pages.
async fn ended(node: &Node) -> HashMap<String, String> {
    let mut all = HashMap::new();
    let mut path = "/tasks?robot=custom.sink&limit=500".to_owned();
    loop {
        let page = node.get(&path).await;
        for task in page["items"].as_array().unwrap() {
            let (id, status) = (
                task["id"].as_str().unwrap(),
                task["status"].as_str().unwrap(),
            );
            assert_eq!(
                all.insert(id.to_owned(), status.to_owned()),
                None,
                "{id} is listed twice"
            );
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/tasks?robot=custom.sink&limit=500&cursor={cursor}"),
            None => return all,
        }
    }
}

/// Exactly one process of each task succeeded; the others were lost with a killed node.
async fn succeeded_once(node: &Node, ids: &HashSet<String>) {
    let mut successes: HashMap<String, usize> = HashMap::new();
    let mut path = "/processes?robot=custom.sink&limit=500".to_owned();
    loop {
        let page = node.get(&path).await;
        for process in page["items"].as_array().unwrap() {
            let (task, outcome) = (
                process["task"].as_str().unwrap(),
                process["outcome"].as_str().unwrap(),
            );
            assert!(
                matches!(outcome, "succeeded" | "lost" | "failed"),
                "{process}"
            );
            *successes.entry(task.to_owned()).or_default() += usize::from(outcome == "succeeded");
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => {
                path = format!("/processes?robot=custom.sink&limit=500&cursor={cursor}")
            }
            None => break,
        }
    }
    for id in ids {
        assert_eq!(successes.get(id), Some(&1), "task {id}");
    }
}
