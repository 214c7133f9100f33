//! Several nodes on one PostgreSQL work as one: instances are exact, an instant is decided once, the dead are missed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use robotd::domain::time::Timestamp;
use robotd::store::StoreConfig;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::database::Database;
use crate::support::node::{BUSY, Node, POLL};

mod instances;

const LIMIT: Duration = Duration::from_secs(60);
/// The silence after which a node is held dead; one that ends is missed sooner.
const TIMEOUT: Duration = Duration::from_secs(10);

const MONITOR: &str = "notifications.cpu_and_memory_monitor";

struct Cluster {
    nodes: Vec<Node>,
    notes: PathBuf,
    _folder: TempDir,
    _database: Database,
}

impl Cluster {
    /// Three nodes, `a`, `b` and `c`.
    async fn start() -> Option<Self> {
        let database = Database::postgres().await?;
        let StoreConfig::Postgres { url, .. } = &database.config else {
            panic!("a PostgreSQL database")
        };
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join("notes");
        let toml = robots(&notes.display().to_string());
        let mut nodes: Vec<Node> = Vec::new();
        for name in ["a", "b", "c"] {
            let words = ["--node", name, "--node-timeout", "PT10S"];
            let mut node = Node::new(&toml).on_database(url).with_arguments(&words);
            if let Some(first) = nodes.first() {
                node.keys_of(first);
                node.spawn();
            } else {
                node.start().await;
            }
            nodes.push(node);
        }
        for node in &mut nodes {
            node.ready().await;
        }
        let cluster = Self {
            nodes,
            notes,
            _folder: folder,
            _database: database,
        };
        cluster.until_alive(&["a", "b", "c"]).await;
        Some(cluster)
    }

    /// Waits until exactly these nodes live; answers how long that took.
    async fn until_alive(&self, names: &[&str]) -> Duration {
        let began = Instant::now();
        let witness = &self.nodes[self.nodes.len() - 1];
        witness
            .until("/nodes", LIMIT, |page| alive(page) == names)
            .await;
        began.elapsed()
    }

    /// The node with this id.
    async fn position(&self, id: &Value) -> usize {
        let page = self.nodes[0].get("/nodes").await;
        let items = page["items"].as_array().unwrap();
        let found = items.iter().find(|node| &node["id"] == id).unwrap();
        let pid = found["pid"].as_u64().unwrap();
        self.nodes
            .iter()
            .position(|node| u64::from(node.pid()) == pid)
            .unwrap()
    }

    /// Puts the node that decided the last tick first.
    async fn leader_first(&mut self) {
        let page = self.nodes[0].get("/ticks?robot=custom.beat&limit=1").await;
        let leader = self.position(&page["items"][0]["node"]).await;
        self.nodes.swap(0, leader);
    }
}

fn robots(notes: &str) -> String {
    format!(
        r#"
        [[robot]]
        name = "custom.counted"
        command = ["/bin/sh", "-c", "echo b $ROBOTD_PROCESS_ID $(date +%s%6N) >> {notes}; sleep 0.2; echo e $ROBOTD_PROCESS_ID $(date +%s%6N) >> {notes}"]
        instances = 3

        [[robot]]
        name = "custom.long"
        command = ["/bin/sh", "-c", "exec sleep 2"]
        instances = 3

        [[robot]]
        name = "custom.beat"
        command = ["/bin/true"]
        every = "PT1S"
        overlap = "allow"
        catch_up = "all"
        instances = 4
        "#
    )
}

/// Names of the living nodes, in their order.
fn alive(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap().iter();
    let living = items.filter(|node| node["state"] == "alive");
    let mut names: Vec<_> = living.map(|node| node["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

fn empty(page: &Value) -> bool {
    page["items"].as_array().unwrap().is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_work_as_one() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    instances::are_exact_while_they_are_changed_and_a_node_is_killed(&mut cluster).await;
    a_run_is_cancelled_from_another_node(&cluster).await;
    a_node_that_was_stopped_comes_back_and_records_nothing(&mut cluster).await;
    each_second_is_decided_once(&cluster.nodes[0]).await;
    for node in &mut cluster.nodes {
        node.stop().await;
    }
}

async fn a_run_is_cancelled_from_another_node(cluster: &Cluster) {
    let nodes = &cluster.nodes;
    let task = nodes[0]
        .send(Method::POST, "/robots/custom.long/run", json!({}))
        .await;
    let task = format!("/tasks/{}", task["id"].as_str().unwrap());
    let running = nodes[0]
        .until(&task, LIMIT, |task| task["status"] == "running")
        .await;
    let executions = nodes[0].get("/executions?robot=custom.long").await;
    let at = cluster.position(&executions["items"][0]["node"]).await;
    let other = &nodes[(at + 1) % nodes.len()];
    let asked = Instant::now();
    other
        .send(Method::POST, &format!("{task}/cancel"), json!({}))
        .await;
    other
        .until(&task, LIMIT, |task| task["status"] == "cancelled")
        .await;
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(1) + BUSY, "{took:?} {running:#}");
}

/// Runs of each node of a robot that runs on each, by name of the node.
async fn monitored(node: &Node) -> Vec<String> {
    let page = node.get("/nodes").await;
    let mut names = Vec::new();
    for living in page["items"].as_array().unwrap() {
        let id = living["id"].as_str().unwrap();
        let runs = node
            .get(&format!("/processes?robot={MONITOR}&node={id}&limit=50"))
            .await;
        let runs = runs["items"].as_array().unwrap();
        let planned = runs
            .iter()
            .filter(|run| run["outcome"] == "succeeded" && !run["planned_at"].is_null());
        if living["state"] == "alive" && planned.count() > 1 {
            names.push(living["name"].as_str().unwrap().to_owned());
        }
    }
    names.sort_unstable();
    names
}

async fn a_node_that_was_stopped_comes_back_and_records_nothing(cluster: &mut Cluster) {
    let monitor = format!("/robots/{MONITOR}");
    cluster.nodes[0]
        .send(
            Method::PATCH,
            &monitor,
            json!({"schedule": {"every": "PT1S"}}),
        )
        .await;
    cluster.leader_first().await;
    let deadline = Instant::now() + LIMIT;
    while monitored(&cluster.nodes[0]).await != ["a", "b", "c"] {
        assert!(
            Instant::now() < deadline,
            "each node runs what runs on each"
        );
        tokio::time::sleep(POLL).await;
    }
    // One long run on each node, and the leader is stopped with its own.
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let task = cluster.nodes[1]
            .send(Method::POST, "/robots/custom.long/run", json!({}))
            .await;
        tasks.push(format!("/tasks/{}", task["id"].as_str().unwrap()));
    }
    let three = |page: &Value| page["items"].as_array().unwrap().len() == 3;
    cluster.nodes[1]
        .until("/executions?robot=custom.long", LIMIT, three)
        .await;
    let mut leader = cluster.nodes.remove(0);
    leader.signal(Signal::STOP);
    let mut names = vec!["a", "b", "c"];
    let page = cluster.nodes[0].get("/nodes").await;
    let own = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|node| node["pid"] == leader.pid());
    names.retain(|name| own.unwrap()["name"] != *name);
    cluster.until_alive(&names).await;
    let node = &cluster.nodes[0];
    for task in &tasks {
        node.until(task, LIMIT, |task| task["status"] == "succeeded")
            .await;
    }
    leader.signal(Signal::CONT);
    let status = leader.ended(LIMIT).await;
    assert_eq!(status.code(), Some(75), "{}", leader.log());
    assert!(leader.log().contains("declared dead"), "{}", leader.log());
    let mut outcomes = Vec::new();
    for task in &tasks {
        let id = task.trim_start_matches("/tasks/");
        let processes = node.all(&format!("/processes?task={id}")).await;
        outcomes.extend(
            processes
                .iter()
                .map(|p| p["outcome"].as_str().unwrap().to_owned()),
        );
    }
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["lost", "succeeded", "succeeded", "succeeded"]);
}

/// Each second from the first to the last was decided once, whoever led.
async fn each_second_is_decided_once(node: &Node) {
    let mut rows = node.all("/ticks?robot=custom.beat").await;
    rows.reverse();
    let time = |value: &Value| {
        value
            .as_str()
            .map(|text| text.parse::<Timestamp>().unwrap())
    };
    let mut next = time(&rows[0]["planned_at"]).unwrap();
    let mut leaders = Vec::new();
    for row in &rows {
        let planned_at = time(&row["planned_at"]).unwrap();
        assert_eq!(
            planned_at, next,
            "a second is missing or there twice: {row:#}"
        );
        assert!(
            matches!(row["decision"].as_str(), Some("fired" | "caught_up")),
            "{row:#}"
        );
        next = planned_at + TimeDelta::seconds(1);
        leaders.push(row["node"].to_string());
    }
    leaders.dedup();
    assert!(leaders.len() >= 2, "the leader was stopped: {leaders:?}");
    // A robot that runs on each node is decided for each of them, and for nobody twice.
    let rows = node.all(&format!("/ticks?robot={MONITOR}")).await;
    let mut decided: Vec<_> = rows
        .iter()
        .map(|row| (&row["planned_at"], &row["for_node"]))
        .map(|(at, node)| format!("{at} {node}"))
        .collect();
    assert!(rows.iter().all(|row| row["for_node"].is_string()));
    decided.sort_unstable();
    let all = decided.len();
    decided.dedup();
    assert_eq!(decided.len(), all);
}
