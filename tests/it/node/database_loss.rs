//! Promise 10: a lost database is survived.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use robotd::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::support::is_full;
use crate::support::node::Node;
use crate::support::postgres_server::PostgresServer;

const LIMIT: Duration = Duration::from_secs(30);
/// Tasks come in faster than they are worked off; in the full form some hundred wait in the end.
const END_LIMIT: Duration = Duration::from_secs(120);
/// How long a client may be kept waiting for a 503.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
/// How soon all is well once the database is back.
const RECOVERY_LIMIT: Duration = Duration::from_secs(10);

const ROBOTS: &str = r#"
    [[robot]]
    name = "custom.work"
    command = ["/bin/sh", "-c", "echo begun; sleep 0.2; echo done"]
    instances = 4

    [[robot]]
    name = "custom.long"
    command = ["/bin/sh", "-c", "echo begun; for n in 1 2 3 4 5 6 7 8; do sleep 0.5; echo step $n; done"]

    [[robot]]
    name = "custom.beat"
    command = ["/bin/true"]
    every = "PT1S"
    overlap = "allow"
    instances = 4
"#;

/// A client that registers tasks all the time and keeps the ids it was answered.
struct Poster {
    client: Client,
    url: String,
    token: String,
    stop: AtomicBool,
}

#[derive(Default)]
struct Posted {
    /// Each with the moment of its answer.
    accepted: Vec<(String, Instant)>,
    refused: usize,
}

impl Posted {
    /// How many were accepted in a second before the loss, and how long after it as many were accepted again, for people.
    fn rates(&self, gone: Instant, back: Instant) -> String {
        let second = Duration::from_secs(1);
        let within = |from: Instant| {
            let times = self.accepted.iter().map(|(_, at)| *at);
            times
                .filter(|at| (from..from + second).contains(at))
                .count()
        };
        let before = within(gone.checked_sub(second).unwrap());
        let steps = (0..200).map(|step| Duration::from_millis(50) * step);
        let again = steps
            .into_iter()
            .find(|after| within(back + *after) * 10 >= before * 9);
        format!(
            "{before} accepted in a second before; as many again, but a tenth, {again:?} after it was back"
        )
    }
}

impl Poster {
    async fn post(self: Arc<Self>) -> Posted {
        let mut posted = Posted::default();
        while !self.stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let request = self
                .client
                .post(format!("{}/api/v1/tasks", self.url))
                .bearer_auth(&self.token);
            let answer = request
                .json(&json!({"robot": "custom.work"}))
                .send()
                .await
                .unwrap();
            let (status, kind) = (answer.status(), content_type(&answer));
            let body: Value = answer.json().await.unwrap();
            if status == StatusCode::CREATED {
                let id = body["id"].as_str().unwrap().to_owned();
                posted.accepted.push((id, Instant::now()));
            } else {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body:#}");
                assert_eq!(kind, "application/problem+json");
                assert_eq!(body["status"], 503, "{body:#}");
                assert!(begun.elapsed() < ANSWER_LIMIT, "{:?}", begun.elapsed());
                posted.refused += 1;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        posted
    }
}

fn content_type(answer: &reqwest::Response) -> String {
    answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned()
}

/// Answer of `/health…`: its status and body.
async fn health(node: &Node, path: &str) -> (StatusCode, Value) {
    let answer = reqwest::get(format!("{}{path}", node.url())).await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn until_health(node: &Node, wanted: &str, limit: Duration) -> Value {
    let deadline = Instant::now() + limit;
    loop {
        let (_, body) = health(node, "/health").await;
        if body["status"] == wanted {
            return body;
        }
        assert!(
            Instant::now() < deadline,
            "not {wanted} within {limit:?}: {body:#}\n{}",
            node.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How long the database is away: longer than a node may be silent, so neither may take the other for dead.
fn away() -> Duration {
    Duration::from_secs(if is_full() { 60 } else { 5 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_for_a_while_costs_nothing_accepted() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let lose = async |nodes: [&Node; 2]| away_for_a_while(&server, nodes).await;
    nothing_accepted_is_lost(&server.url(), lose).await;
}

/// The primary dies, and its standby takes its place on another port.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_moves_to_its_standby_costs_nothing_accepted() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let standby = server.with_standby().await;
    let lose = async |nodes: [&Node; 2]| {
        server.crash();
        for node in nodes {
            until_health(node, "failing", Duration::from_secs(3)).await;
        }
        standby.promote();
    };
    // The standby comes first: it is there from the beginning, and passed over until it takes changes.
    let url = standby.url_with(&[&server]) + "?target_session_attrs=read-write";
    nothing_accepted_is_lost(&url, lose).await;
}

/// Two nodes on the database at `url` are given work all the time while `lose` makes them lose it; when that is over
/// it is back.
async fn nothing_accepted_is_lost(url: &str, lose: impl AsyncFnOnce([&Node; 2])) {
    let terms = ["--node-timeout", "PT3S"];
    let on_server = || Node::new(ROBOTS).on_database(url).with_arguments(&terms);
    let (mut node, mut second) = (on_server(), on_server());
    node.start().await;
    second.keys_of(&node);
    second.start().await;
    let nodes = living(&node).await;
    assert_eq!(nodes.len(), 2);
    let poster = Arc::new(Poster {
        client: Client::builder()
            .timeout(Duration::from_secs(15))
            .build()
            .unwrap(),
        url: node.url(),
        token: node.token(),
        stop: AtomicBool::new(false),
    });
    let clients: Vec<_> = (0..4)
        .map(|_| tokio::runtime::Handle::current().spawn(Arc::clone(&poster).post()))
        .collect();
    let long = node
        .send(Method::POST, "/robots/custom.long/run", json!({}))
        .await;
    let long = format!("/tasks/{}", long["id"].as_str().unwrap());
    node.until(&long, LIMIT, |task| task["status"] == "running")
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let gone = Instant::now();
    lose([&node, &second]).await;
    let back = Instant::now();
    let back_at = SystemClock.now();
    for node in [&node, &second] {
        until_health(node, "ok", RECOVERY_LIMIT).await;
    }
    until_posts_are_taken(&node, back).await;
    if is_full() {
        tokio::time::sleep(RECOVERY_LIMIT).await;
    }
    poster.stop.store(true, Ordering::Relaxed);
    let mut posted = Posted::default();
    for client in clients {
        let Posted { accepted, refused } = client.await.unwrap();
        posted.accepted.extend(accepted);
        posted.refused += refused;
    }
    println!("{}", posted.rates(gone, back));
    assert!(posted.refused > 0 && posted.accepted.len() > 10);
    all_ends_well(&node, &posted.accepted).await;
    the_long_run_kept_its_log(&node, &long).await;
    ticks_go_on(&node, back_at).await;
    assert_eq!(
        living(&second).await,
        nodes,
        "nobody took the other for dead"
    );
    second.stop().await;
    node.stop().await;
}

/// The database goes away for a while, and comes back; meanwhile the nodes stay up, and say so.
async fn away_for_a_while(server: &PostgresServer, nodes: [&Node; 2]) {
    server.crash();
    let gone = Instant::now();
    for node in nodes {
        let failing = until_health(node, "failing", Duration::from_secs(3)).await;
        assert!(
            failing["reasons"][0].as_str().unwrap().contains("database"),
            "{failing:#}"
        );
    }
    while gone.elapsed() < away() {
        for node in nodes {
            let (status, live) = health(node, "/health/live").await;
            assert_eq!(status, StatusCode::OK, "{live:#}");
            assert_eq!(health(node, "/health").await.1["status"], "failing");
            assert_eq!(
                health(node, "/health/ready").await.0,
                StatusCode::SERVICE_UNAVAILABLE
            );
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    server.resume();
}

/// Ids of the nodes that live.
async fn living(node: &Node) -> Vec<String> {
    let page = node.get("/nodes").await;
    let items = page["items"].as_array().unwrap().iter();
    let living = items.filter(|node| node["state"] == "alive");
    living.map(|node| node["id"].to_string()).collect()
}

async fn until_posts_are_taken(node: &Node, back: Instant) {
    loop {
        let body = json!({"robot": "custom.work"});
        let answer = node
            .request(Method::POST, "/tasks")
            .json(&body)
            .send()
            .await
            .unwrap();
        if answer.status() == StatusCode::CREATED {
            return;
        }
        assert!(back.elapsed() < RECOVERY_LIMIT, "{}", answer.status());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn all_ends_well(node: &Node, accepted: &[(String, Instant)]) {
    for status in ["queued", "scheduled", "running", "queued"] {
        let path = format!("/tasks?robot=custom.work&status={status}&limit=1");
        node.until(&path, END_LIMIT, |page| {
            page["items"].as_array().unwrap().is_empty()
        })
        .await;
    }
    for (id, _) in accepted {
        let task = node.get(&format!("/tasks/{id}")).await;
        assert_eq!(task["status"], "succeeded", "{task:#}");
    }
}

/// It ran through the loss, so it is one process, and nothing it said is missing.
async fn the_long_run_kept_its_log(node: &Node, long: &str) {
    node.until(long, LIMIT, |task| task["status"] == "succeeded")
        .await;
    let processes = node
        .all(&format!(
            "/processes?task={}",
            long.trim_start_matches("/tasks/")
        ))
        .await;
    assert_eq!(processes.len(), 1, "{processes:#?}");
    let log = node
        .get(&format!(
            "/processes/{}/log",
            processes[0]["id"].as_str().unwrap()
        ))
        .await;
    let lines: Vec<_> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["text"].as_str().unwrap())
        .collect();
    let steps: Vec<_> = (1..=8).map(|n| format!("step {n}")).collect();
    assert_eq!(lines[0], "begun");
    assert_eq!(lines[1..], steps, "{log:#}");
}

/// Ticks fire again, and the seconds of the loss are in the ledger, each once.
async fn ticks_go_on(node: &Node, back_at: robotd::domain::time::Timestamp) {
    let time = |value: &Value| {
        value
            .as_str()
            .map(|text| text.parse::<robotd::domain::time::Timestamp>().unwrap())
    };
    let path = "/ticks?robot=custom.beat&decision=fired&limit=1";
    node.until(path, RECOVERY_LIMIT, |page| {
        time(&page["items"][0]["planned_at"]).is_some_and(|at| at > back_at)
    })
    .await;
    let mut rows = node.all("/ticks?robot=custom.beat").await;
    rows.reverse();
    let mut next = time(&rows[0]["planned_at"]).unwrap();
    for row in rows {
        let planned_at = time(&row["planned_at"]).unwrap();
        assert_eq!(
            planned_at, next,
            "a second is missing or there twice: {row:#}"
        );
        next = time(&row["through"]).unwrap_or(planned_at) + chrono::TimeDelta::seconds(1);
    }
}
