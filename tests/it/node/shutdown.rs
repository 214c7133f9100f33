//! SIGTERM drains; a second one ends at once; one node a database.

use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use crate::support::node::{Node, processes_matching};

const SLOW: &str = r#"
    drain_limit = "PT30S"

    [[robot]]
    name = "custom.slow"
    command = ["/bin/sleep", "SECONDS"]
    timeout = "PT5M"
"#;

fn slow(seconds: &str) -> Node {
    Node::new(&SLOW.replace("SECONDS", seconds))
}

#[tokio::test]
async fn a_drain_lets_runs_finish_and_records_them() {
    let mut node = slow("1.5");
    node.start().await;
    let task = node
        .send(Method::POST, "/robots/custom.slow/run", json!({}))
        .await;
    let id = task["id"].as_str().unwrap().to_owned();
    node.until(&format!("/tasks/{id}"), Duration::from_secs(20), |task| {
        task["status"] == "running"
    })
    .await;
    node.stop().await;
    node.start().await;
    let task = node.get(&format!("/tasks/{id}")).await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    node.stop().await;
    let log = node.log();
    assert!(!log.contains(" ERROR "), "{log}");
}

#[tokio::test]
async fn a_second_signal_ends_at_once_and_the_next_node_takes_over() {
    let mut node = slow("86323");
    node.start().await;
    let task = node
        .send(Method::POST, "/robots/custom.slow/run", json!({}))
        .await;
    let id = task["id"].as_str().unwrap().to_owned();
    node.until(&format!("/tasks/{id}"), Duration::from_secs(20), |task| {
        task["status"] == "running"
    })
    .await;
    node.signal(Signal::TERM);
    node.until("/../../health", Duration::from_secs(5), |health| {
        health["draining"] == true
    })
    .await;
    let second = Instant::now();
    node.signal(Signal::TERM);
    let status = node.ended(Duration::from_secs(10)).await;
    assert!(
        second.elapsed() < Duration::from_secs(4),
        "{:?}",
        second.elapsed()
    );
    assert!(!status.success(), "an undrained end is not a success");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !processes_matching("sleep 86323").is_empty() {
        assert!(Instant::now() < deadline, "the command outlived its node");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    node.start().await;
    let path = format!("/processes?task={id}");
    node.until(&path, Duration::from_secs(20), |page| {
        page["items"].as_array().unwrap().len() == 2
    })
    .await;
    let lost = node.get(&format!("{path}&outcome=lost")).await;
    assert_eq!(lost["items"].as_array().unwrap().len(), 1, "{lost:#}");
    node.kill();
}

#[tokio::test]
async fn a_second_node_on_the_same_database_is_refused() {
    let mut first = Node::new("");
    first.start().await;
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_robotd"))
        .args([
            "serve",
            "--data-dir",
            first.data_dir().to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
        ])
        .current_dir(first.path(""))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("another robotd"), "{told}");
    first.stop().await;
}

#[tokio::test]
async fn a_taken_address_is_told_and_changes_nothing() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_robotd"))
        .args(["serve", "--data-dir", data.to_str().unwrap()])
        .args(["--listen", &taken.local_addr().unwrap().to_string()])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("failed to listen on"), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    assert!(!data.exists(), "nothing was created");
}
