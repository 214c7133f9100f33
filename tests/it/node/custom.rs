//! The operator's own robots under a running node: live change of instances, and what a killed child
//! leaves behind.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::node::{BUSY, Node, processes_matching};

const LIMIT: Duration = Duration::from_secs(60);

fn running(page: &Value) -> usize {
    page["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn instances_change_within_a_second_and_nothing_is_lost() {
    let mut node = Node::new(
        r#"
        [[robot]]
        name = "custom.sleeper"
        command = ["/bin/sleep", "0.4"]
        instances = 1
        timeout = "PT20S"
        "#,
    );
    node.start().await;
    let tasks: Vec<_> = (0..60)
        .map(|n| json!({"robot": "custom.sleeper", "payload": {"n": n}}))
        .collect();
    let added = node
        .send(Method::POST, "/tasks/batch", json!({"tasks": tasks}))
        .await;
    assert_eq!(added["tasks"].as_array().unwrap().len(), 60);
    let executions = "/executions?robot=custom.sleeper&limit=500";
    node.until(executions, LIMIT, |page| running(page) == 1)
        .await;

    for wanted in [8, 1, 4] {
        node.send(
            Method::PATCH,
            "/robots/custom.sleeper",
            json!({"instances": wanted}),
        )
        .await;
        let changed = Instant::now();
        node.until(executions, LIMIT, |page| running(page) == wanted)
            .await;
        assert!(
            changed.elapsed() < Duration::from_secs(1) + BUSY,
            "{wanted}: {:?}",
            changed.elapsed()
        );
        let seen = running(&node.get(executions).await);
        assert!(seen <= wanted, "{seen} run, {wanted} may");
    }
    let queued = |status: &str| format!("/tasks?robot=custom.sleeper&status={status}&limit=1");
    for status in ["queued", "running", "scheduled"] {
        node.until(&queued(status), LIMIT, |page| running(page) == 0)
            .await;
    }
    let done = node
        .get("/tasks?robot=custom.sleeper&status=succeeded&limit=500")
        .await;
    assert_eq!(running(&done), 60);
    let processes = node.get("/processes?robot=custom.sleeper&limit=500").await;
    assert_eq!(running(&processes), 60, "each task ran once");
    node.stop().await;
}

#[tokio::test]
async fn a_killed_child_is_one_failed_process_with_its_log() {
    let mut node = Node::new(
        r#"
        [[robot]]
        name = "custom.victim"
        command = ["/bin/sh", "-c", "echo before the end; exec sleep 86321"]
        retry = { max_attempts = 1, initial = "PT1S", factor = 1.0, max = "PT1S" }
        "#,
    );
    node.start().await;
    let task = node
        .send(Method::POST, "/robots/custom.victim/run", json!({}))
        .await;
    let id = task["id"].as_str().unwrap().to_owned();
    let deadline = Instant::now() + LIMIT;
    let child = loop {
        let found = processes_matching("sleep 86321");
        if let Some(pid) = found.iter().find(|pid| is_sleep(**pid)) {
            break *pid;
        }
        assert!(Instant::now() < deadline, "the child never started");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let pid = rustix::process::Pid::from_raw(i32::try_from(child).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let ended = node
        .until(&format!("/tasks/{id}"), LIMIT, |task| {
            task["status"] == "failed"
        })
        .await;
    assert!(
        ended["error"].as_str().unwrap().contains("SIGKILL"),
        "{ended:#}"
    );
    let processes = node.get(&format!("/processes?task={id}")).await;
    assert_eq!(running(&processes), 1, "{processes:#}");
    let process = &processes["items"][0];
    assert_eq!(process["outcome"], "failed");
    let log = node
        .get(&format!(
            "/processes/{}/log",
            process["id"].as_str().unwrap()
        ))
        .await;
    assert!(
        log["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|line| line["text"] == "before the end"),
        "{log:#}"
    );
    node.stop().await;
}

fn is_sleep(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "sleep")
}

#[tokio::test]
async fn a_command_ends_with_its_node_and_with_its_cancel() {
    let mut node = Node::new(
        r#"
        [[robot]]
        name = "custom.tree"
        command = ["/bin/sh", "-c", "sleep 86322 & sleep 86322 & wait"]
        instances = 2
        "#,
    );
    node.start().await;
    let children = || {
        processes_matching("sleep 86322")
            .into_iter()
            .filter(|pid| is_sleep(*pid))
            .count()
    };
    let task = node
        .send(Method::POST, "/robots/custom.tree/run", json!({}))
        .await;
    until(|| children() == 2).await;
    let id = task["id"].as_str().unwrap();
    node.send(Method::POST, &format!("/tasks/{id}/cancel"), json!({}))
        .await;
    node.until(&format!("/tasks/{id}"), LIMIT, |task| {
        task["status"] == "cancelled"
    })
    .await;
    until(|| children() == 0).await;

    node.send(Method::POST, "/robots/custom.tree/run", json!({}))
        .await;
    until(|| children() == 2).await;
    node.kill();
    until(|| children() == 0).await;
}

async fn until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "it did not come to hold");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
