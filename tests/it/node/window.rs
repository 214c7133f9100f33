//! Promise 4: the window governs the run, not only its start.

use std::time::Duration;

use chrono::{SubsecRound as _, TimeDelta};
use reqwest::Method;
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::time::Timestamp;
use serde_json::{Value, json};

use crate::support::node::{BUSY, Node, processes_matching};

const LIMIT: Duration = Duration::from_secs(20);
const EDGE: Duration = Duration::from_secs(1);

/// A window of today's wall clock in UTC, from `start` to `end`.
fn window(start: Timestamp, end: Timestamp, at_close: &str) -> Value {
    let text = |at: Timestamp| at.format("%H:%M:%S").to_string();
    json!({"start": text(start), "end": text(end), "timezone": "UTC", "at_close": at_close})
}

/// A second of the wall clock that lies `seconds` or a little less ahead.
fn ahead(seconds: i64) -> Timestamp {
    SystemClock.now().trunc_subsecs(0) + TimeDelta::seconds(seconds)
}

fn ago() -> Timestamp {
    ahead(-3_600)
}

/// Waits for an instant of the wall clock.
async fn reach(at: Timestamp) {
    while SystemClock.now() < at {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn time(value: &Value) -> Timestamp {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no time"))
        .parse()
        .unwrap()
}

async fn run(node: &Node, robot: &str) -> String {
    let task = node
        .send(Method::POST, &format!("/robots/{robot}/run"), json!({}))
        .await;
    format!("/tasks/{}", task["id"].as_str().unwrap())
}

fn sleeping(seconds: &str) -> bool {
    processes_matching(&format!("sleep {seconds}"))
        .iter()
        .any(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|comm| comm.trim() == "sleep")
        })
}

#[tokio::test]
async fn cancel_interrupts_at_the_edge_and_the_task_waits_for_the_opening() {
    let mut node = Node::new(
        r#"
        [[robot]]
        name = "custom.long"
        command = ["/bin/sleep", "86331"]
        timeout = "PT1H"
        retry = { max_attempts = 1, initial = "PT1S", factor = 1.0, max = "PT1S" }
        "#,
    );
    node.start().await;
    let task = run(&node, "custom.long").await;
    node.until(&task, LIMIT, |task| task["status"] == "running")
        .await;
    let edge = ahead(3);
    let robot = "/robots/custom.long";
    node.send(
        Method::PATCH,
        robot,
        json!({"window": window(ago(), edge, "cancel")}),
    )
    .await;
    let processes = format!("/processes?task={}", task.trim_start_matches("/tasks/"));
    let first = node
        .until(&processes, LIMIT, |page| {
            page["items"][0]["outcome"] != "running"
        })
        .await;
    let first = &first["items"][0];
    assert_eq!(first["outcome"], "cancelled", "{first:#}");
    let late = time(&first["finished_at"]) - edge;
    assert!(
        late >= TimeDelta::zero() && late < TimeDelta::from_std(EDGE + BUSY).unwrap(),
        "{late}"
    );
    let state = node
        .until(robot, LIMIT, |robot| robot["state"]["running"] == 0)
        .await;
    assert_eq!(state["state"]["status"], "outside_window", "{state:#}");

    // It waits: nothing starts, and no attempt was used up (it has only one).
    let waits = |task: &Value| task["status"] == "queued" || task["status"] == "scheduled";
    node.until(&task, LIMIT, waits).await;
    reach(edge + TimeDelta::milliseconds(2_500)).await;
    assert!(waits(&node.get(&task).await), "{:#}", node.get(&task).await);
    assert_eq!(node.all(&processes).await.len(), 1);
    assert!(!sleeping("86331"), "the command outlived the window");

    // Opening by the clock.
    let opening = ahead(2);
    node.send(
        Method::PATCH,
        robot,
        json!({"window": window(opening, ahead(3_600), "cancel")}),
    )
    .await;
    node.until(&task, LIMIT, |task| task["status"] == "running")
        .await;
    let second = &node.all(&processes).await[0];
    let late = time(&second["started_at"]) - opening;
    assert!(
        late >= TimeDelta::zero() && late < TimeDelta::from_std(EDGE + BUSY).unwrap(),
        "{late}"
    );
    node.send(Method::POST, &format!("{task}/cancel"), json!({}))
        .await;
    node.until(&task, LIMIT, |task| task["status"] == "cancelled")
        .await;
    node.stop().await;
}

#[tokio::test]
async fn finish_lets_the_run_go_on_and_starts_no_other() {
    let mut node = Node::new(
        r#"
        [[robot]]
        name = "custom.gate"
        command = ["/bin/sh", "-c", "until [ -e go ]; do sleep 0.05; done"]
        working_dir = "."
        timeout = "PT1H"
        overlap = "allow"
        "#,
    );
    node.start().await;
    let first = run(&node, "custom.gate").await;
    node.until(&first, LIMIT, |task| task["status"] == "running")
        .await;
    let robot = "/robots/custom.gate";
    let edge = ahead(3);
    let change = json!({"window": window(ago(), edge, "finish"), "instances": 2});
    node.send(Method::PATCH, robot, change).await;
    reach(edge + TimeDelta::milliseconds(800)).await;
    let second = run(&node, "custom.gate").await;
    reach(edge + TimeDelta::milliseconds(2_000)).await;
    assert_eq!(
        node.get(&first).await["status"],
        "running",
        "finish lets it finish"
    );
    assert_eq!(
        node.get(&second).await["status"],
        "queued",
        "an instance is free, the window is not open"
    );

    std::fs::write(node.path("go"), "").unwrap();
    node.until(&first, LIMIT, |task| task["status"] == "succeeded")
        .await;
    assert_eq!(node.get(&second).await["status"], "queued");
    node.until(robot, LIMIT, |robot| {
        robot["state"]["status"] == "outside_window"
    })
    .await;
    node.send(Method::PATCH, robot, json!({"window": null}))
        .await;
    let opened = std::time::Instant::now();
    node.until(&second, LIMIT, |task| task["status"] != "queued")
        .await;
    assert!(opened.elapsed() < EDGE + BUSY, "{:?}", opened.elapsed());
    node.until(&second, LIMIT, |task| task["status"] == "succeeded")
        .await;
    node.stop().await;
}

#[tokio::test]
async fn ticks_outside_the_window_are_skipped() {
    let mut node = Node::new(
        r#"
        [[robot]]
        name = "custom.beat"
        command = ["/bin/true"]
        every = "PT1S"
        overlap = "allow"
        "#,
    );
    node.start().await;
    let ticks = "/ticks?robot=custom.beat";
    let robot = "/robots/custom.beat";
    node.until(ticks, LIMIT, |page| {
        !page["items"].as_array().unwrap().is_empty()
    })
    .await;
    let (edge, opening) = (ahead(3), ahead(6));
    node.send(
        Method::PATCH,
        robot,
        json!({"window": window(opening, edge, "finish")}),
    )
    .await;
    node.until(robot, LIMIT, |robot| {
        robot["state"]["status"] == "outside_window"
    })
    .await;
    reach(opening + TimeDelta::milliseconds(1_500)).await;
    let mut outside = 0;
    for row in node.all(ticks).await {
        let at = time(&row["planned_at"]);
        let through = row["through"]
            .as_str()
            .map_or(at, |_| time(&row["through"]));
        let skipped = row["decision"] == "skipped:window";
        assert_eq!(skipped, at >= edge && through < opening, "{row:#}");
        outside += row["count"].as_i64().unwrap() * i64::from(skipped);
    }
    assert_eq!(outside, 3, "of three seconds");
    node.stop().await;
}
