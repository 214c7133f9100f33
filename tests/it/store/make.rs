//! Values for the store's tests.

use chrono::TimeZone as _;
use robotd::domain::event::CloudEvent;
use robotd::domain::id::{NodeId, RobotId};
use robotd::domain::task::{AfterRun, ProcessOutcome, TaskStatus, Trigger};
use robotd::domain::time::Timestamp;
use robotd::store::Store;
use robotd::store::node::{Beat, Term};
use robotd::store::page::PageRequest;
use robotd::store::task::{Claimed, Completion, NewTask};
use serde_json::json;

/// A moment, in seconds after the tests' epoch.
pub fn at(seconds: i64) -> Timestamp {
    chrono::Utc
        .timestamp_opt(1_800_000_000 + seconds, 0)
        .unwrap()
}

/// Registers robots `a`, `b`, `c` and a node.
pub async fn ground(store: &Store) -> (Vec<RobotId>, NodeId) {
    let named = ["test.a", "test.b", "test.c"].map(|name| (name.to_owned(), at(0)));
    let robots = store.robot_register(named.to_vec()).await.unwrap();
    let node = store.node_start("here", "0.1.0", 1, at(0)).await.unwrap();
    (robots.into_iter().map(|robot| robot.id).collect(), node)
}

/// A heartbeat at `seconds`, by which those are dead that were silent since before `silent`.
pub fn beat(seconds: i64, silent: i64) -> Beat {
    Beat {
        at: at(seconds),
        silent_since: at(silent),
        clock_offset: 0,
    }
}

/// The term in which `node` leads from now on; nobody else does.
pub async fn lead(store: &Store, node: NodeId) -> Term {
    let heard = store.node_beat(node, beat(0, 0)).await.unwrap().unwrap();
    heard.term.expect("nobody leads yet")
}

/// A plain task.
pub fn task(robot: RobotId) -> NewTask {
    NewTask {
        robot,
        trigger: Trigger::Api,
        payload: json!({"n": 1, "text": "ä\u{0}\"'$1?"}),
        priority: 4,
        run_at: None,
        deadline: None,
        unique_key: None,
        max_attempts: 5,
        planned_at: None,
        event: None,
        requested_by: "tester".to_owned(),
        for_node: None,
    }
}

/// A plain end of `claimed`.
pub fn end(
    claimed: &Claimed,
    outcome: ProcessOutcome,
    after: AfterRun,
    seconds: i64,
) -> Completion {
    Completion {
        task: claimed.task,
        process: claimed.process,
        outcome,
        error_class: None,
        error: None,
        counters: json!({"done": 1}),
        finished_at: at(seconds),
        after,
    }
}

/// A good end of `claimed`.
pub fn success(claimed: &Claimed, seconds: i64) -> Completion {
    end(
        claimed,
        ProcessOutcome::Succeeded,
        AfterRun::Finished(TaskStatus::Succeeded),
        seconds,
    )
}

/// How many tasks of a robot are open, and how many of them wait.
pub async fn open_runs(store: &Store, robot: RobotId) -> (u32, u32) {
    let of_robots = store.task_open_runs(vec![(robot, None)]).await.unwrap();
    let open = of_robots.get(&(robot, None)).copied();
    let open = open.unwrap_or_default();
    (open.all, open.waiting)
}

/// An event of the tests' own source.
pub fn event(id: &str) -> CloudEvent {
    CloudEvent::own(
        "test",
        id,
        "test.happened",
        Some("it".to_owned()),
        json!({"n": 1}),
    )
}

/// The first `limit` rows.
pub fn first(limit: u32) -> PageRequest {
    PageRequest { limit, after: None }
}
