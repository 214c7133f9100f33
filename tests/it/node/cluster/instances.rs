//! Instances are counted for all nodes together.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::time::{Timestamp, from_micros};
use serde_json::json;

use super::{Cluster, LIMIT, TIMEOUT, empty};
use crate::support::node::Node;

/// A change is in force everywhere within this (promise 7).
const CHANGE: TimeDelta = TimeDelta::seconds(1);
/// How long a run of `custom.counted` takes, and a little.
const RUN: TimeDelta = TimeDelta::milliseconds(250);
/// As many as are worked on until the last step.
const TASKS: usize = 220;

const COUNTED: &str = "/robots/custom.counted";

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
    let pause = || tokio::time::sleep(Duration::from_millis(2_000));
    pause().await;
    all_in_use(&nodes[0], 3).await;
    let mut phases = Vec::from([(began, 3)]);
    for (at, instances) in [(1, 5), (2, 2)] {
        phases.push((now(), instances));
        nodes[at]
            .send(Method::PATCH, COUNTED, json!({"instances": instances}))
            .await;
        let changed = Instant::now();
        for node in nodes {
            node.until(COUNTED, LIMIT, |robot| robot["instances"] == instances)
                .await;
        }
        assert!(
            changed.elapsed() < CHANGE.to_std().unwrap(),
            "{:?}",
            changed.elapsed()
        );
        pause().await;
        all_in_use(&nodes[0], instances).await;
    }
    phases.push((now(), 5));
    nodes[0]
        .send(Method::PATCH, COUNTED, json!({"instances": 5}))
        .await;
    pause().await;
    all_in_use(&nodes[0], 5).await;
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
    phases.push((now(), 0));

    each_phase_is_exact(&runs(&cluster.notes, killed), &phases);
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

/// Waits until all instances are in use, however busy the machine.
async fn all_in_use(node: &Node, instances: usize) {
    let executions = "/executions?robot=custom.counted";
    node.until(executions, LIMIT, |page| {
        page["items"].as_array().unwrap().len() == instances
    })
    .await;
}

/// No more ran at once than allowed in each phase: from when on, and how many.
fn each_phase_is_exact(runs: &[Run], phases: &[(Timestamp, usize)]) {
    for (index, phase) in phases.windows(2).enumerate() {
        let ((from, before), (to, _)) = (phase[0], phase[1]);
        // What ran when the instances were lowered ends.
        let settled = from + CHANGE + RUN;
        let reached = most(runs, settled, to);
        assert!(
            (1..=before).contains(&reached),
            "{reached} at once in phase {index}"
        );
        let earlier = index.checked_sub(1).map_or(0, |index| phases[index].1);
        assert!(most(runs, from, to) <= before.max(earlier), "phase {index}");
    }
}
