//! Instances are counted for all nodes together.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::time::{Timestamp, from_micros};
use serde_json::json;

use super::{Cluster, LIMIT, TIMEOUT, empty};
use crate::support::node::{BUSY, Node};

/// A change is in force everywhere within this (promise 7).
const CHANGE: Duration = Duration::from_secs(1);
/// As many as are worked on until the last step.
const TASKS: usize = 300;

const COUNTED: &str = "/robots/custom.counted";

/// A time in which so many may run at once.
struct Phase {
    began: Timestamp,
    /// When what ran by the phase before had ended.
    settled: Timestamp,
    instances: usize,
}

/// What happened to a process of `custom.counted`.
struct Run {
    begun: Timestamp,
    ended: Timestamp,
}

/// All runs by their own notes; one without an end was killed at `killed`.
fn runs(notes: &Path, killed: Timestamp) -> Vec<Run> {
    let text = fs::read_to_string(notes).unwrap();
    let mut ends = HashMap::new();
    let mut begins = Vec::new();
    for line in text.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let at = from_micros(words[2].parse().unwrap());
        match words[0] {
            "b" => begins.push((words[1].to_owned(), at)),
            _ => drop(ends.insert(words[1].to_owned(), at)),
        }
    }
    let run = |(process, begun): (String, Timestamp)| Run {
        begun,
        ended: ends.get(&process).copied().unwrap_or(killed),
    };
    begins.into_iter().map(run).collect()
}

/// The most runs at once between two instants.
fn most(runs: &[Run], from: Timestamp, to: Timestamp) -> usize {
    let within = runs
        .iter()
        .map(|run| run.begun.max(from))
        .filter(|at| *at < to);
    let at_once = |at: Timestamp| {
        runs.iter()
            .filter(|run| run.begun <= at && at < run.ended)
            .count()
    };
    within.map(at_once).max().unwrap_or(0)
}

pub(super) async fn are_exact_while_they_are_changed_and_a_node_is_killed(cluster: &mut Cluster) {
    let now = || SystemClock.now();
    let (began, nodes) = (now(), &cluster.nodes);
    let tasks = vec![json!({"robot": "custom.counted"}); TASKS];
    nodes[0]
        .send(Method::POST, "/tasks/batch", json!({"tasks": tasks}))
        .await;
    let mut phases = vec![phase(nodes, began, 3).await];
    for (at, instances) in [(1, 5), (2, 2), (0, 5)] {
        let began = now();
        nodes[at]
            .send(Method::PATCH, COUNTED, json!({"instances": instances}))
            .await;
        let changed = Instant::now();
        for node in nodes {
            node.until(COUNTED, LIMIT, |robot| robot["instances"] == instances)
                .await;
        }
        let took = changed.elapsed();
        assert!(took < CHANGE + BUSY, "{took:?}");
        phases.push(phase(nodes, began, instances).await);
    }
    // The third node dies with what it runs, and a new one takes its place.
    let mut third = cluster.nodes.remove(2);
    let killed = now();
    third.kill();
    let missed = cluster.until_alive(&["a", "b"]).await;
    assert!(missed < TIMEOUT, "{missed:?}");
    third.start().await;
    cluster.nodes.push(third);
    cluster.until_alive(&["a", "b", "c"]).await;
    for status in ["queued", "running", "scheduled", "queued"] {
        let path = format!("/tasks?robot=custom.counted&status={status}&limit=1");
        cluster.nodes[0].until(&path, LIMIT, empty).await;
    }

    each_phase_is_exact(&runs(&cluster.notes, killed), &phases, now());
    let node = &cluster.nodes[0];
    let done = node
        .all("/tasks?robot=custom.counted&status=succeeded")
        .await;
    assert_eq!(done.len(), TASKS);
    let processes = node.all("/processes?robot=custom.counted").await;
    let count = |outcome: &str| processes.iter().filter(|p| p["outcome"] == outcome).count();
    assert_eq!(count("succeeded"), TASKS, "each exactly once");
    assert_eq!(count("succeeded") + count("lost"), processes.len());
    let mut ran: Vec<_> = processes.iter().map(|p| p["node"].to_string()).collect();
    ran.sort_unstable();
    ran.dedup();
    assert!(ran.len() >= 3, "all took part: {ran:?}");
}

/// Waits until the change is in force and all instances are in use, however busy the machine, and watches them for a while.
async fn phase(nodes: &[Node], began: Timestamp, instances: usize) -> Phase {
    tokio::time::sleep(CHANGE * 2).await;
    let executions = "/executions?robot=custom.counted";
    nodes[0]
        .until(executions, LIMIT, |page| {
            page["items"].as_array().unwrap().len() == instances
        })
        .await;
    let settled = SystemClock.now();
    tokio::time::sleep(CHANGE).await;
    Phase {
        began,
        settled,
        instances,
    }
}

/// No more ran at once than allowed in each phase; while it began, no more than before it or in it.
fn each_phase_is_exact(runs: &[Run], phases: &[Phase], end: Timestamp) {
    let mut before = 0;
    for (index, phase) in phases.iter().enumerate() {
        let to = phases.get(index + 1).map_or(end, |next| next.began);
        let reached = most(runs, phase.settled, to);
        assert!(
            (1..=phase.instances).contains(&reached),
            "{reached} at once in phase {index}"
        );
        let allowed = phase.instances.max(before);
        assert!(most(runs, phase.began, to) <= allowed, "phase {index}");
        before = phase.instances;
    }
}
