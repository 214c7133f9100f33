//! Promise 3: each planned instant is decided exactly once, over kills, and the ledger says how.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::tick::TOLERANCE;
use robotd::domain::time::Timestamp;
use serde_json::{Value, json};

use crate::support::node::{BUSY, Node};

const LIMIT: Duration = Duration::from_secs(20);

/// A row of the ledger.
struct Row {
    planned_at: Timestamp,
    through: Timestamp,
    count: i64,
    decision: String,
    decided_at: Timestamp,
    task: Option<String>,
}

impl Row {
    fn of(value: &Value) -> Self {
        let planned_at = time(&value["planned_at"]).unwrap();
        Self {
            planned_at,
            through: time(&value["through"]).unwrap_or(planned_at),
            count: value["count"].as_i64().unwrap(),
            decision: value["decision"].as_str().unwrap().to_owned(),
            decided_at: time(&value["decided_at"]).unwrap(),
            task: value["task"].as_str().map(str::to_owned),
        }
    }

    fn starts_run(&self) -> bool {
        matches!(self.decision.as_str(), "fired" | "caught_up")
    }

    fn is_late(&self, at: Timestamp) -> bool {
        self.decided_at - at > TimeDelta::from_std(TOLERANCE).unwrap()
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().map(|text| text.parse().unwrap())
}

/// A robot's ledger, oldest first.
async fn ledger(node: &Node, robot: &str) -> Vec<Row> {
    let rows = node.all(&format!("/ticks?robot={robot}")).await;
    let mut rows: Vec<_> = rows.iter().map(Row::of).collect();
    rows.reverse();
    rows
}

/// Every second from the first row to the last is in exactly one row.
fn covers_every_second(robot: &str, rows: &[Row]) {
    let mut next = rows[0].planned_at;
    for row in rows {
        assert_eq!(
            row.planned_at, next,
            "{robot}: a second is missing or there twice"
        );
        let instants = (row.through - row.planned_at).num_seconds() + 1;
        assert_eq!(
            row.count, instants,
            "{robot}: {} to {}",
            row.planned_at, row.through
        );
        assert!(
            row.count == 1 || !row.starts_run(),
            "{robot}: a run stands for its own instant"
        );
        next = row.through + TimeDelta::seconds(1);
    }
}

const BEATS: &str = r#"
    [[robot]]
    name = "custom.last"
    command = ["/bin/true"]
    every = "PT1S"
    overlap = "allow"
    instances = 4

    [[robot]]
    name = "custom.all"
    command = ["/bin/true"]
    every = "PT1S"
    overlap = "allow"
    catch_up = "all"
    instances = 4

    [[robot]]
    name = "custom.none"
    command = ["/bin/true"]
    every = "PT1S"
    overlap = "allow"
    catch_up = "none"
    instances = 4
"#;

#[tokio::test]
async fn every_second_is_decided_once_over_four_kills() {
    let mut node = Node::new(BEATS);
    node.start().await;
    for pause in [4_300, 0, 3_900, 100] {
        let before = node.get("/ticks?robot=custom.last&limit=1").await;
        node.until("/ticks?robot=custom.last&limit=1", LIMIT, |page| {
            page != &before
        })
        .await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        node.kill();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        node.start().await;
    }
    let killed_last = SystemClock.now();
    for robot in ["custom.last", "custom.all", "custom.none"] {
        let path = format!("/ticks?robot={robot}&limit=1");
        let reached =
            |page: &Value| time(&page["items"][0]["planned_at"]).is_some_and(|at| at > killed_last);
        node.until(&path, LIMIT, reached).await;
        let rows = ledger(&node, robot).await;
        covers_every_second(robot, &rows);
        the_policy_holds(robot, &rows);
        each_run_is_one_task(&node, robot).await;
    }
    node.stop().await;
}

fn the_policy_holds(robot: &str, rows: &[Row]) {
    let late = match robot {
        "custom.last" => &["caught_up", "coalesced"][..],
        "custom.all" => &["caught_up"],
        _ => &["missed"],
    };
    for row in rows {
        let told = format!(
            "{robot}: {} {} at {}",
            row.planned_at, row.decision, row.decided_at
        );
        assert!(row.planned_at <= row.decided_at, "{told}");
        if row.decision == "fired" {
            assert!(!row.is_late(row.planned_at), "{told}");
        } else {
            assert!(
                late.contains(&row.decision.as_str()) && row.is_late(row.through),
                "{told}"
            );
        }
    }
    let count = |decision: &str| rows.iter().filter(|row| row.decision == decision).count();
    assert!(count("fired") > 0, "{robot}");
    for decision in late {
        assert!(
            count(decision) > 0,
            "{robot}: the node was down for four seconds"
        );
    }
    if robot == "custom.last" {
        for row in rows.iter().filter(|row| row.decision == "coalesced") {
            let stands =
                |other: &&Row| other.decided_at == row.decided_at && other.decision == "caught_up";
            assert_eq!(
                rows.iter().filter(stands).count(),
                1,
                "one run stands for all"
            );
        }
    }
}

/// Each run in the ledger is a task of its own, each task by schedule is in the ledger, and all end well.
async fn each_run_is_one_task(node: &Node, robot: &str) {
    node.send(
        Method::PATCH,
        &format!("/robots/{robot}"),
        json!({"enabled": false}),
    )
    .await;
    node.until(
        &format!("/ticks?robot={robot}&decision=skipped:disabled"),
        LIMIT,
        has_items,
    )
    .await;
    node.send(
        Method::PATCH,
        &format!("/robots/{robot}"),
        json!({"enabled": true, "schedule": null}),
    )
    .await;
    for status in ["queued", "scheduled", "running"] {
        let path = format!("/tasks?robot={robot}&status={status}&limit=1");
        node.until(&path, LIMIT, |page| !has_items(page)).await;
    }
    let rows = ledger(node, robot).await;
    let mut in_ledger = HashSet::new();
    for row in &rows {
        assert_eq!(
            row.starts_run(),
            row.task.is_some(),
            "{robot}: {}",
            row.planned_at
        );
        if let Some(task) = &row.task {
            assert!(
                in_ledger.insert(task.clone()),
                "{robot}: task {task} stands for two instants"
            );
        }
    }
    let tasks = node.all(&format!("/tasks?robot={robot}")).await;
    for task in &tasks {
        assert_eq!(task["status"], "succeeded", "{robot}: {task:#}");
    }
    let ids: HashSet<_> = tasks
        .iter()
        .map(|task| task["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(tasks.len(), ids.len());
    assert_eq!(ids, in_ledger, "{robot}");
}

fn has_items(page: &Value) -> bool {
    !page["items"].as_array().unwrap().is_empty()
}

#[tokio::test]
async fn disabled_and_busy_robots_skip_their_ticks() {
    let mut node = Node::new(
        r#"
        [[robot]]
        name = "custom.off"
        command = ["/bin/true"]
        every = "PT1S"
        enabled = false

        [[robot]]
        name = "custom.busy"
        command = ["/bin/sleep", "3.5"]
        every = "PT1S"
        overlap = "skip"

        [[robot]]
        name = "custom.queue"
        command = ["/bin/sleep", "3.5"]
        every = "PT1S"
        overlap = "queue"
        "#,
    );
    node.start().await;
    let two_runs = "/ticks?robot=custom.busy&decision=fired";
    node.until(two_runs, LIMIT, |page| {
        page["items"].as_array().unwrap().len() >= 2
    })
    .await;

    let off = ledger(&node, "custom.off").await;
    assert!(
        off.len() >= 3
            && off
                .iter()
                .all(|row| row.decision == "skipped:disabled" && row.task.is_none())
    );
    covers_every_second("custom.off", &off);
    assert!(!has_items(&node.get("/tasks?robot=custom.off").await));

    let busy = ledger(&node, "custom.busy").await;
    covers_every_second("custom.busy", &busy);
    let mut runs = busy.iter().filter(|row| row.starts_run());
    let (first, second) = (runs.next().unwrap(), runs.next().unwrap());
    assert!(
        second.planned_at - first.planned_at >= TimeDelta::milliseconds(3_500),
        "a run is 3.5 s long"
    );
    let between = busy
        .iter()
        .filter(|row| row.planned_at > first.planned_at && row.through < second.planned_at);
    assert!(
        between.clone().count() > 0 && between.clone().all(|row| row.decision == "skipped:overlap")
    );

    let queue = ledger(&node, "custom.queue").await;
    let words: Vec<_> = queue
        .iter()
        .take(4)
        .map(|row| row.decision.as_str())
        .collect();
    assert_eq!(
        words[..3],
        ["fired", "fired", "skipped:overlap"],
        "{words:?}: one runs, one waits"
    );
    node.kill();
}

const RARE: &str = r#"
    [[robot]]
    name = "custom.rare"
    command = ["/bin/true"]
    every = "PT1H"
"#;
const FIRED: &str = "/ticks?robot=custom.rare&decision=fired&limit=500";

fn count(page: &Value) -> usize {
    page["items"].as_array().unwrap().len()
}

async fn change_rare(node: &Node, patch: Value) -> Value {
    node.send(Method::PATCH, "/robots/custom.rare", patch).await
}

#[tokio::test]
async fn a_changed_schedule_is_in_force_within_a_second() {
    let mut node = Node::new(RARE);
    node.start().await;
    let before = ledger(&node, "custom.rare").await.len();
    let changed_at = SystemClock.now();
    let changed = Instant::now();
    let view = change_rare(&node, json!({"schedule": {"every": "PT1S"}})).await;
    let next = time(&view["state"]["next_tick_at"]).unwrap();
    assert!(
        next - changed_at <= TimeDelta::milliseconds(1_500),
        "{next} after {changed_at}"
    );
    node.until(FIRED, LIMIT, |page| count(page) > before).await;
    assert!(
        changed.elapsed() < Duration::from_secs(2) + BUSY,
        "an interval of 1 s and 1 s: {:?}",
        changed.elapsed()
    );

    // Rare again: two seconds later there is nothing new.
    change_rare(&node, json!({"schedule": {"every": "PT1H"}})).await;
    let rare_at = SystemClock.now();
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    for row in ledger(&node, "custom.rare").await {
        assert!(
            row.planned_at <= rare_at,
            "{} after {rare_at}",
            row.planned_at
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn a_changed_status_is_in_force_within_a_second() {
    let mut node = Node::new(&RARE.replace("PT1H", "PT1S"));
    node.start().await;
    node.until(FIRED, LIMIT, has_items).await;
    // Off: what is planned after the answer does not fire; on again: it does.
    change_rare(&node, json!({"enabled": false})).await;
    let off_at = SystemClock.now();
    node.until(
        "/ticks?robot=custom.rare&decision=skipped:disabled",
        LIMIT,
        has_items,
    )
    .await;
    change_rare(&node, json!({"enabled": true})).await;
    let on_at = SystemClock.now();
    for row in ledger(&node, "custom.rare").await {
        assert!(
            !(row.starts_run() && row.planned_at > off_at && row.planned_at < on_at),
            "{}",
            row.planned_at
        );
    }
    let fired = count(&node.get(FIRED).await);
    node.until(FIRED, LIMIT, |page| count(page) > fired).await;
    change_rare(&node, json!({"instances": 0})).await;
    node.until(
        "/ticks?robot=custom.rare&decision=skipped:paused",
        LIMIT,
        has_items,
    )
    .await;
    node.stop().await;
}
