//! Cases of one robot after the other.

use chrono::TimeZone;
use serde_json::json;

use super::*;
use crate::domain::id::{ProcessId, RobotId, TaskId};
use crate::domain::retry::RetryPolicy;
use crate::domain::tick::{CatchUp, Overlap};

/// 2027-01-15 08:00:00 UTC, a Friday.
fn at(secs: i64) -> Timestamp {
    chrono::Utc.timestamp_opt(1_800_000_000, 0).unwrap() + TimeDelta::seconds(secs)
}

fn config() -> RobotConfig {
    RobotConfig {
        enabled: true,
        instances: 1,
        schedule: serde_json::from_value(json!({"every": "PT1M"})).unwrap(),
        window: None,
        range: None,
        timeout: Duration::from_mins(5),
        retry: RetryPolicy::DEFAULT,
        overlap: Overlap::Skip,
        catch_up: CatchUp::Last,
        settings: json!({}),
    }
}

fn load() -> RobotLoad {
    RobotLoad {
        robot: RobotId(1),
        queued: 0,
        oldest_due_at: None,
        longest_running: None,
        dead_tasks: 0,
        duration_p95_micros: None,
    }
}

/// What is found of a robot whose last tick was decided at 0, at `now`, of a node up for an hour.
fn found(
    config: &RobotConfig,
    load: &RobotLoad,
    health: &PoolHealth,
    now: i64,
) -> Vec<(String, Level)> {
    let robot = Observed {
        name: "x.y",
        config,
        anchor: at(-36_000),
        last_tick_at: Some(at(0)),
        load: Some(load),
        health,
        node_started_at: at(-3_600),
        now: at(now),
    };
    let mut round = Round::default();
    judge_robot(&mut round, &Settings::default(), &robot);
    let kind = |finding: Finding| {
        let kind = finding
            .key
            .strip_prefix("schedule:x.y:")
            .unwrap()
            .to_owned();
        (kind, finding.level)
    };
    round.findings.into_iter().map(kind).collect()
}

fn late_at(config: &RobotConfig, now: i64) -> bool {
    let found = found(config, &load(), &PoolHealth::default(), now);
    found.iter().any(|(kind, _)| kind == "late")
}

#[test]
fn a_tick_is_late_after_its_tolerance() {
    assert!(!late_at(&config(), 59), "not due yet");
    assert!(!late_at(&config(), 120), "due at 60, tolerance 60");
    assert!(late_at(&config(), 121));
}

#[test]
fn a_robot_that_may_not_run_is_not_late() {
    let window = |text: &str| RobotConfig {
        window: serde_json::from_str(text).unwrap(),
        ..config()
    };
    assert!(
        !late_at(&window(r#"{"start":"22:00","end":"06:00"}"#), 600),
        "closed"
    );
    assert!(
        late_at(&window(r#"{"start":"07:00","end":"09:00"}"#), 600),
        "open"
    );
    assert!(
        !late_at(
            &RobotConfig {
                instances: 0,
                ..config()
            },
            600
        ),
        "paused"
    );
    assert!(
        !late_at(
            &RobotConfig {
                schedule: None,
                ..config()
            },
            600
        ),
        "no schedule"
    );
}

#[test]
fn a_node_that_just_started_has_grace() {
    let config = config();
    let health = PoolHealth::default();
    let robot = |started| Observed {
        name: "x.y",
        config: &config,
        anchor: at(-36_000),
        last_tick_at: None,
        load: None,
        health: &health,
        node_started_at: at(started),
        now: at(1_000),
    };
    let settings = Settings::default();
    assert!(late(&settings, &robot(881)).is_none(), "119 s up");
    assert!(
        late(&settings, &robot(879)).is_some(),
        "121 s up, first tick hours ago"
    );
}

#[test]
fn runs_are_judged_by_their_limit_and_by_what_is_usual() {
    let running = |started: i64, p95: Option<i64>| {
        let load = RobotLoad {
            longest_running: Some((ProcessId(3), TaskId(2), at(started))),
            duration_p95_micros: p95,
            ..load()
        };
        found(&config(), &load, &PoolHealth::default(), 0)
    };
    assert_eq!(running(-299, None), []);
    assert_eq!(
        running(-331, None),
        [("stalled".to_owned(), Level::Critical)]
    );
    assert_eq!(running(-50, Some(1_000_000)), [], "under the floor");
    assert_eq!(
        running(-100, Some(20_000_000)),
        [("slow".to_owned(), Level::Warning)]
    );
    assert_eq!(running(-100, Some(30_000_000)), []);
}

#[test]
fn a_queue_that_cannot_run_is_not_a_backlog() {
    let waiting = |config: &RobotConfig, since: i64| {
        let load = RobotLoad {
            queued: 7,
            oldest_due_at: Some(at(since)),
            ..load()
        };
        found(config, &load, &PoolHealth::default(), 0)
    };
    assert_eq!(waiting(&config(), -600), []);
    assert_eq!(
        waiting(&config(), -601),
        [("queue".to_owned(), Level::Warning)]
    );
    assert_eq!(
        waiting(&config(), -6_001),
        [("queue".to_owned(), Level::Critical)]
    );
    assert_eq!(
        waiting(
            &RobotConfig {
                instances: 0,
                ..config()
            },
            -6_001
        ),
        []
    );
    let just_opened = serde_json::from_str(r#"{"start":"07:55","end":"09:00"}"#).unwrap();
    assert_eq!(
        waiting(
            &RobotConfig {
                window: just_opened,
                ..config()
            },
            -6_001
        ),
        []
    );
}

#[test]
fn pools_in_trouble_are_told() {
    let of = |health: PoolHealth| found(&config(), &load(), &health, 0);
    let crashing = PoolHealth {
        wanted: 2,
        backing_off: 1,
        restarts_recent: 3,
        ..PoolHealth::default()
    };
    assert_eq!(
        of(crashing.clone()),
        [("instances".to_owned(), Level::Warning)]
    );
    assert_eq!(
        of(PoolHealth {
            restarts_recent: 1,
            ..crashing.clone()
        }),
        []
    );
    let quarantined = PoolHealth {
        quarantined: Some((at(-5), at(5))),
        ..crashing
    };
    assert_eq!(
        of(quarantined),
        [("quarantined".to_owned(), Level::Critical)]
    );
    assert_eq!(
        of(PoolHealth {
            zombies: 1,
            ..PoolHealth::default()
        }),
        [("instances".to_owned(), Level::Warning)]
    );
}

#[test]
fn dead_tasks_are_told() {
    let load = RobotLoad {
        dead_tasks: 1,
        ..load()
    };
    let found = found(&config(), &load, &PoolHealth::default(), 0);
    assert_eq!(found, [("dead_tasks".to_owned(), Level::Warning)]);
}

#[test]
fn kinds_have_events_with_the_robot_as_subject() {
    let event = |key: &str, change| {
        let finding = Finding {
            key: key.to_owned(),
            level: Level::Warning,
            title: String::new(),
            text: String::new(),
        };
        event_of(&finding, change).map(|(kind, subject)| format!("{kind} {subject}"))
    };
    let of = |key: &str| event(key, Notice::Raised).unwrap();
    assert_eq!(of("schedule:a.b:late"), "schedule.task_late a.b");
    assert_eq!(of("schedule:a.b:queue"), "schedule.queue_backlog a.b");
    assert_eq!(of("schedule:a.b:quarantined"), "schedule.robot_stalled a.b");
    assert_eq!(
        event("schedule:a.b:late", Notice::Cleared).unwrap(),
        "schedule.cleared a.b"
    );
    assert_eq!(event("schedule:clock:node-1", Notice::Raised), None);
}
