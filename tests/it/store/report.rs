//! Daily facts, watermarks and figures of robots.

use chrono::NaiveDate;
use robotd::domain::id::{ProcessId, RobotId, TaskId};
use robotd::domain::time::{Timestamp, from_micros};
use robotd::store::Store;
use robotd::store::report::DailyFact;

use crate::support::database::{Database, on_both};

on_both!(
    a_watermark_is_remembered,
    facts_are_the_raw_counts_and_outlive_their_rows,
    a_repeated_rebuild_replaces_the_day,
    loads_tell_what_waits_runs_and_died,
    a_deep_queue_still_shows_its_oldest_task,
);

/// 2027-01-15, 08:00 UTC.
const START: i64 = 1_800_000_000_000_000;

fn at(second: i64) -> Timestamp {
    from_micros(START + second * 1_000_000)
}

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2027, 1, 15).unwrap()
}

async fn a_watermark_is_remembered(database: &Database) {
    let store = &database.store;
    assert_eq!(store.watermark_get(RobotId(1), "day").await.unwrap(), None);
    store.watermark_set(RobotId(1), "day", "a").await.unwrap();
    store.watermark_set(RobotId(1), "day", "b").await.unwrap();
    store.watermark_set(RobotId(2), "day", "c").await.unwrap();
    assert_eq!(
        store
            .watermark_get(RobotId(1), "day")
            .await
            .unwrap()
            .as_deref(),
        Some("b")
    );
    assert_eq!(
        store.watermark_get(RobotId(1), "other").await.unwrap(),
        None
    );
}

/// Two robots, and one second of everything that is counted, at second 0, 1, … of the day.
async fn fill(database: &Database) {
    let mut sql = String::new();
    for (id, name) in [(1, "a.one"), (2, "b.two")] {
        sql += &format!(
            "INSERT INTO robots (id, name, overrides, revision, anchor_at) VALUES ({id}, '{name}', '{{}}', 1, 0);"
        );
    }
    for (n, robot, outcome) in [(1, 1, 1), (2, 1, 1), (3, 1, 2), (4, 2, 5)] {
        let (from, to) = (START + n * 1_000_000, START + n * 1_000_000 + n * 10);
        sql += &format!(
            "INSERT INTO processes (id, task_id, robot_id, trigger_code, attempt, node_id, started_at, finished_at, \
             outcome, counters, cancel_requested) VALUES ({n}, {n}, {robot}, 0, 1, 1, {from}, {to}, {outcome}, '{{}}', false);"
        );
    }
    for (n, robot, status) in [(1, 1, 3), (2, 1, 3), (3, 1, 4), (4, 2, 7)] {
        let at = START + n * 1_000_000;
        sql += &format!(
            "INSERT INTO tasks_done (id, robot_id, trigger_code, status, payload, priority, run_at, attempts, max_attempts, \
             deaths, requested_by, created_at, finished_at) \
             VALUES ({n}, {robot}, 0, {status}, 'null', 4, 0, 1, 1, 0, 'x', {at}, {at});"
        );
    }
    for (n, robot, status) in [(11, 1, 0), (12, 1, 1), (13, 2, 2), (14, 2, 2)] {
        let at = START + n * 1_000_000;
        let run = if status == 2 {
            format!("{}, 1, {at}", n + 100)
        } else {
            "NULL, NULL, NULL".to_owned()
        };
        sql += &format!(
            "INSERT INTO tasks (id, robot_id, trigger_code, status, payload, priority, run_at, attempts, max_attempts, deaths, \
             requested_by, created_at, cancel_requested, process_id, node_id, started_at) \
             VALUES ({n}, {robot}, 0, {status}, 'null', 4, {at}, 1, 1, 0, 'x', {at}, false, {run});"
        );
        if status == 2 {
            sql += &format!(
                "INSERT INTO claims (id, node_id, robot_id, started_at, tasks, running) VALUES ({}, 1, {robot}, {at}, '[{n}]', 1);",
                n + 100
            );
        }
    }
    for (n, kind) in [(1, "x.y"), (2, "x.y"), (3, "x.z")] {
        let at = START + n * 1_000_000;
        sql += &format!(
            "INSERT INTO events (id, source, event_id, type, at, body, received_at) VALUES ({n}, 's', '{n}', '{kind}', 0, '{{}}', {at});"
        );
    }
    for (n, count, decision) in [(1, 1, 0), (2, 50, 5)] {
        let at = START + n * 1_000_000;
        sql += &format!(
            "INSERT INTO ticks (robot_id, planned_at, count, decision, decided_at, node_id) VALUES (1, {at}, {count}, {decision}, 0, 1);"
        );
    }
    for (n, state) in [(1, 0), (2, 2), (3, 2)] {
        let at = START + n * 1_000_000;
        sql += &format!(
            "INSERT INTO mail_outbox (message_id, recipient, subject, text, priority, state, attempts, next_attempt_at, created_at, expires_at) \
             VALUES ('{n}', 'r', 's', 't', 4, {state}, 0, 0, {at}, 0);"
        );
    }
    for (n, action) in [(1, "robot.change"), (2, "")] {
        let at = START + n * 1_000_000;
        sql += &format!(
            "INSERT INTO audit_trail (id, at, actor, action, object, prev_hash, hash) VALUES ({n}, {at}, 'a', '{action}', 'o', '{n}', 'h');"
        );
    }
    database.sql(&sql).await;
}

fn shown(facts: &[DailyFact]) -> Vec<(&str, &str, &str, i64)> {
    facts
        .iter()
        .map(|f| {
            (
                f.metric.as_str(),
                f.dimension.as_str(),
                f.detail.as_str(),
                f.value,
            )
        })
        .collect()
}

async fn facts_are_the_raw_counts_and_outlive_their_rows(database: &Database) {
    let store = &database.store;
    fill(database).await;
    // The first and the last instant of each kind lie just outside.
    let facts = store.facts_rebuild(day(), at(1), at(14)).await.unwrap();
    let expected = [
        ("audit_changes", "", "", 2),
        ("audit_changes", "-", "", 1),
        ("audit_changes", "robot.change", "", 1),
        ("events", "", "", 3),
        ("events", "x.y", "", 2),
        ("events", "x.z", "", 1),
        ("mails", "", "", 3),
        ("mails", "", "queued", 1),
        ("mails", "", "sent", 2),
        ("processes", "", "", 5),
        ("processes", "a.one", "failed", 1),
        ("processes", "a.one", "succeeded", 2),
        ("processes", "b.two", "running", 1),
        ("processes", "b.two", "timed_out", 1),
        ("tasks_registered", "", "", 7),
        ("tasks_registered", "a.one", "failed", 1),
        ("tasks_registered", "a.one", "queued", 1),
        ("tasks_registered", "a.one", "scheduled", 1),
        ("tasks_registered", "a.one", "succeeded", 2),
        ("tasks_registered", "b.two", "quarantined", 1),
        ("tasks_registered", "b.two", "running", 1),
        ("ticks", "", "", 51),
        ("ticks", "a.one", "fired", 1),
        ("ticks", "a.one", "missed", 50),
    ];
    assert_eq!(shown(&facts), expected);
    self_check(database, &facts).await;
    database
        .sql("DELETE FROM processes; DELETE FROM tasks_done; DELETE FROM events")
        .await;
    assert_eq!(store.facts_read(day(), day()).await.unwrap(), facts);
}

/// The totals are what the raw tables hold, counted in another way.
async fn self_check(database: &Database, facts: &[DailyFact]) {
    for (metric, selects) in raw_counts() {
        let mut counted = 0;
        for select in selects {
            counted += database.number(&select).await;
        }
        let of = |total: bool| {
            let is_total =
                move |f: &&DailyFact| (f.dimension.is_empty() && f.detail.is_empty()) == total;
            facts
                .iter()
                .filter(|f| f.metric == metric)
                .filter(is_total)
                .map(|f| f.value)
                .sum::<i64>()
        };
        assert_eq!((of(true), of(false)), (counted, counted), "{metric}");
    }
}

/// Each metric with the queries whose sum it is, for seconds 1 to 14 of the day.
fn raw_counts() -> [(&'static str, Vec<String>); 6] {
    let (from, to) = (START + 1_000_000, START + 14_000_000);
    let range = |column: &str| format!("{column} >= {from} AND {column} < {to}");
    [
        (
            "processes",
            vec![
                format!(
                    "SELECT count(*) FROM processes WHERE {}",
                    range("started_at")
                ),
                format!(
                    "SELECT count(*) FROM tasks_done WHERE outcome IS NOT NULL AND {}",
                    range("started_at")
                ),
                format!(
                    "SELECT count(*) FROM tasks WHERE status = 2 AND {}",
                    range("started_at")
                ),
            ],
        ),
        (
            "tasks_registered",
            vec![
                format!("SELECT count(*) FROM tasks WHERE {}", range("created_at")),
                format!(
                    "SELECT count(*) FROM tasks_done WHERE {}",
                    range("created_at")
                ),
            ],
        ),
        (
            "mails",
            vec![format!(
                "SELECT count(*) FROM mail_outbox WHERE {}",
                range("created_at")
            )],
        ),
        (
            "events",
            vec![format!(
                "SELECT count(*) FROM events WHERE {}",
                range("received_at")
            )],
        ),
        (
            "ticks",
            vec![format!(
                "SELECT sum(count) FROM ticks WHERE {}",
                range("planned_at")
            )],
        ),
        (
            "audit_changes",
            vec![format!(
                "SELECT count(*) FROM audit_trail WHERE {}",
                range("at")
            )],
        ),
    ]
}

async fn a_repeated_rebuild_replaces_the_day(database: &Database) {
    let store = &database.store;
    fill(database).await;
    let next = day().succ_opt().unwrap();
    let other = store.facts_rebuild(next, at(100), at(200)).await.unwrap();
    assert_eq!(other.len(), 6);
    assert!(
        other.iter().all(|fact| fact.value == 0 && fact.day == next),
        "a day without anything has its totals"
    );
    let first = store.facts_rebuild(day(), at(0), at(100)).await.unwrap();
    assert_eq!(
        store.facts_rebuild(day(), at(0), at(100)).await.unwrap(),
        first
    );
    database.sql("DELETE FROM events WHERE id = 3").await;
    let second = store.facts_rebuild(day(), at(0), at(100)).await.unwrap();
    assert_eq!(second.len(), first.len() - 1);
    assert_eq!(
        store.facts_read(day(), next).await.unwrap(),
        [second, other].concat()
    );
}

async fn load(store: &Store, robot: i64, since: i64) -> robotd::store::report::RobotLoad {
    let loads = store.robot_loads(at(since)).await.unwrap();
    assert_eq!(loads.len(), 2);
    loads
        .into_iter()
        .find(|load| load.robot == RobotId(robot))
        .unwrap()
}

async fn loads_tell_what_waits_runs_and_died(database: &Database) {
    let store = &database.store;
    fill(database).await;
    let one = load(store, 1, 0).await;
    assert_eq!(
        (one.queued, one.oldest_due_at, one.longest_running),
        (1, Some(at(12)), None)
    );
    assert_eq!((one.dead_tasks, one.duration_p95_micros), (1, Some(20)));
    assert_eq!(load(store, 1, 4).await.dead_tasks, 0);
    let two = load(store, 2, 0).await;
    assert_eq!(
        (two.queued, two.oldest_due_at, two.dead_tasks),
        (0, None, 1)
    );
    assert_eq!(
        two.longest_running,
        Some((ProcessId(113), TaskId(13), at(13)))
    );
    assert_eq!(two.duration_p95_micros, None);
}

async fn a_deep_queue_still_shows_its_oldest_task(database: &Database) {
    let store = &database.store;
    fill(database).await;
    // 10,001 urgent ones before the patient one of `fill`.
    database
        .sql(&format!(
            "INSERT INTO tasks (id, robot_id, trigger_code, status, payload, priority, run_at, attempts, max_attempts, deaths, \
             requested_by, created_at, cancel_requested) \
             WITH RECURSIVE n(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM n WHERE n < 11000) \
             SELECT n, 1, 0, 1, 'null', 9, {}, 0, 1, 0, 'x', 0, false FROM n",
            START + 60_000_000
        ))
        .await;
    let one = load(store, 1, 0).await;
    assert_eq!((one.queued, one.oldest_due_at), (10_000, Some(at(12))));
}
