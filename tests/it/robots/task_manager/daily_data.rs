//! Facts of days against the rows they are counted from.

use chrono::NaiveDate;
use serde_json::{Value, json};

use crate::robots::rig::{Rig, START, count};
use crate::support::database::{Database, on_both};

on_both!(
    facts_are_the_counts_and_outlive_their_rows,
    a_missed_week_is_caught_up,
    only_open_days_are_counted_anew_on_request,
);

const NAME: &str = "task_manager.daily_data";
const DAY: i64 = 86_400;

/// Ended processes `seconds` after the start of the test, one a number.
async fn processes(database: &Database, seconds: &[i64]) {
    for (index, at) in seconds.iter().enumerate() {
        let (id, at) = (
            at * 1_000 + i64::try_from(index).unwrap(),
            START + at * 1_000_000,
        );
        database
            .sql(&format!(
                "INSERT INTO processes (id, task_id, robot_id, trigger_code, attempt, node_id, started_at, \
                 finished_at, outcome, counters, cancel_requested) \
                 VALUES ({id}, {id}, 1, 0, 1, 1, {at}, {at}, 1, '{{}}', false)"
            ))
            .await;
    }
}

/// The day's total.
async fn processes_of(rig: &Rig<'_>, day: &str) -> i64 {
    let day: NaiveDate = day.parse().unwrap();
    let facts = rig.database.store.facts_read(day, day).await.unwrap();
    let total = facts.iter().find(|fact| {
        fact.metric == "processes" && fact.dimension.is_empty() && fact.detail.is_empty()
    });
    total.map_or(0, |fact| fact.value)
}

async fn facts_are_the_counts_and_outlive_their_rows(database: &Database) {
    let rig = Rig::new(database, None).await;
    processes(database, &[1, 2, 3, DAY + 1]).await;
    rig.pass(3_600);
    let first = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(
        (count(&first, "days_counted"), count(&first, "days_changed")),
        (4, 1)
    );
    assert_eq!(processes_of(&rig, "2027-01-15").await, 3);
    let second = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(
        (
            count(&second, "days_counted"),
            count(&second, "days_changed")
        ),
        (1, 0)
    );
    assert_eq!(rig.rows("events", "type = 'daily_data.ready'").await, 1);
    // Five days on the first day is final; then its rows go, and its facts stay.
    for _ in 0..5 {
        rig.pass(u64::try_from(DAY).unwrap());
        rig.run(NAME, json!({})).await.unwrap();
    }
    database
        .sql("DELETE FROM processes; DELETE FROM tasks_done")
        .await;
    rig.run(NAME, json!({})).await.unwrap();
    rig.pass(u64::try_from(DAY).unwrap());
    rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(processes_of(&rig, "2027-01-15").await, 3);
    assert_eq!(processes_of(&rig, "2027-01-16").await, 1);
}

/// The planned failure: the robot does not run for a week.
async fn a_missed_week_is_caught_up(database: &Database) {
    let rig = Rig::new(database, None).await;
    rig.run(NAME, json!({"timezone": "America/Sao_Paulo"}))
        .await
        .unwrap();
    // Local midnight is at 03:00 UTC; the test starts at 08:00.
    let midnight = 19 * 3_600;
    processes(database, &[midnight - 1, midnight, 3 * DAY, 6 * DAY]).await;
    rig.pass(u64::try_from(7 * DAY).unwrap());
    let outcome = rig
        .run(NAME, json!({"timezone": "America/Sao_Paulo"}))
        .await
        .unwrap();
    assert_eq!(count(&outcome, "days_changed"), 4);
    for (day, expected) in [
        ("2027-01-15", 1),
        ("2027-01-16", 1),
        ("2027-01-18", 1),
        ("2027-01-21", 1),
    ] {
        assert_eq!(processes_of(&rig, day).await, expected, "{day}");
    }
}

async fn only_open_days_are_counted_anew_on_request(database: &Database) {
    let rig = Rig::new(database, None).await;
    rig.run(NAME, json!({})).await.unwrap();
    processes(database, &[-2 * DAY, -30 * DAY]).await;
    let event = |data: Value| {
        json!({"specversion": "1.0", "id": "1", "source": "/x",
        "type": "report.rebuild_requested", "data": data})
    };
    let request = event(json!({"from": "2026-12-30", "to": "2027-01-13"}));
    let outcome = rig.run_with(NAME, json!({}), request).await.unwrap();
    assert_eq!(
        (
            count(&outcome, "days_counted"),
            count(&outcome, "days_refused")
        ),
        (2, 13)
    );
    assert_eq!(processes_of(&rig, "2027-01-13").await, 1);
    let bad = rig
        .run_with(NAME, json!({}), event(json!({"from": "tomorrow"})))
        .await
        .unwrap_err();
    assert!(!bad.temporary);
}
