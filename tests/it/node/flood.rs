//! Bounds under a flood: a robot that prints without end costs neither memory nor the others' time.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use robotd::domain::time::Timestamp;
use serde_json::{Value, json};

use crate::support::node::Node;

const LIMIT: Duration = Duration::from_secs(60);
/// What a flood may add to the node's memory.
const GROWTH_KIB_MAX: u64 = 64 * 1024;
/// What is kept of one log: its beginning and its end, 512 KiB each, and what was on its way.
const LOG_BYTES_MAX: usize = 3 * 1024 * 1024;

const ROBOTS: &str = r#"
    [[robot]]
    name = "custom.flood"
    command = ["/bin/sh", "-c", "echo first; yes 'a line of a usual length that says what was done just now' | head -c 100000000; echo last"]
    timeout = "PT5M"
    retry = { max_attempts = 1, initial = "PT1S", factor = 1.0, max = "PT1S" }

    [[robot]]
    name = "custom.empty"
    command = ["/bin/sh", "-c", "echo first; yes '' | head -c 4000000; echo last"]
    timeout = "PT5M"
    retry = { max_attempts = 1, initial = "PT1S", factor = 1.0, max = "PT1S" }

    [[robot]]
    name = "custom.endless"
    command = ["/bin/sh", "-c", "echo first; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo last"]
    timeout = "PT5M"
    retry = { max_attempts = 1, initial = "PT1S", factor = 1.0, max = "PT1S" }

    [[robot]]
    name = "custom.beat"
    command = ["/bin/true"]
    every = "PT1S"
    overlap = "allow"
    instances = 4
"#;

fn resident_kib(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_hundred_megabytes_of_output_are_a_bounded_log() {
    flood("custom.flood").await;
}

#[tokio::test]
async fn four_million_empty_lines_are_a_bounded_log() {
    flood("custom.empty").await;
}

#[tokio::test]
async fn a_line_of_fifty_megabytes_is_a_bounded_log() {
    flood("custom.endless").await;
}

async fn flood(robot: &str) {
    let mut node = Node::new(ROBOTS);
    node.start().await;
    node.until("/ticks?robot=custom.beat&decision=fired", LIMIT, has_items)
        .await;
    let before = resident_kib(&node);
    let begun = Instant::now();
    let task = node
        .send(Method::POST, &format!("/robots/{robot}/run"), json!({}))
        .await;
    let task = task["id"].as_str().unwrap().to_owned();
    let mut most = before;
    let ended = node
        .until(&format!("/tasks/{task}"), LIMIT, |task| {
            most = most.max(resident_kib(&node));
            task["status"] != "queued" && task["status"] != "running"
        })
        .await;
    assert_eq!(ended["status"], "succeeded", "{ended:#}");
    most = most.max(resident_kib(&node));
    eprintln!("{robot}: {} KiB more, {:?}", most - before, begun.elapsed());
    assert!(
        most - before < GROWTH_KIB_MAX,
        "{before} KiB grew to {most} KiB"
    );

    let processes = node.all(&format!("/processes?task={task}")).await;
    assert_eq!(processes.len(), 1);
    log_is_bounded(&node, processes[0]["id"].as_str().unwrap()).await;
    beats_kept_their_time(&node).await;
    node.stop().await;
}

/// The first and the last line are there, what lies between is cut out, and no answer is large.
async fn log_is_bounded(node: &Node, process: &str) {
    let path = format!("/processes/{process}/log");
    let answer = node
        .request(Method::GET, &path)
        .header("accept", "text/plain")
        .send()
        .await
        .unwrap();
    let text = answer.text().await.unwrap();
    assert!(text.len() < LOG_BYTES_MAX * 4, "{} bytes", text.len());
    let page = node.get(&format!("{path}?limit=500")).await;
    let lines = page["items"].as_array().unwrap();
    assert!(
        lines.len() <= 500 && lines[0]["text"] == "first",
        "{:#}",
        lines[0]
    );
    assert!(text.lines().next_back().unwrap().ends_with("last"));
    let (gaps, kept): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with('['));
    let missing = gaps.iter().map(|gap| gap[1..].split(' ').next().unwrap());
    let missing: usize = missing.map(|count| count.parse::<usize>().unwrap()).sum();
    let end = node
        .get(&format!("{path}?before={}&limit=1", i64::MAX))
        .await;
    assert_eq!(
        end["items"][0]["seq"],
        kept.len() + missing,
        "what is missing is told of"
    );
    let said: usize = text
        .lines()
        .map(|line| {
            line.len()
                .saturating_sub("2026-01-01T00:00:00.000000Z stdout ".len())
        })
        .sum();
    assert!(said < LOG_BYTES_MAX, "{said} bytes are kept");
}

/// Every second fired, and each run started on time.
async fn beats_kept_their_time(node: &Node) {
    let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    for tick in node.all("/ticks?robot=custom.beat").await {
        assert_eq!(tick["decision"], "fired", "{tick:#}");
    }
    for process in node.all("/processes?robot=custom.beat").await {
        let late = time(&process["started_at"]) - time(&process["planned_at"]);
        assert!(late < TimeDelta::milliseconds(1_500), "{late}: {process:#}");
    }
}

fn has_items(page: &Value) -> bool {
    !page["items"].as_array().unwrap().is_empty()
}
