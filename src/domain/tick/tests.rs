//! Tests of the tick decision.

use serde_json::json;

use super::*;
use crate::domain::schedule::brute_force::{instant, years};

pub(super) const FREE: Standing = Standing {
    enabled: true,
    paused: false,
    open_runs: 0,
    waiting_runs: 0,
};

pub(super) const BUSY: Standing = Standing {
    open_runs: 1,
    ..FREE
};

pub(super) fn plan(schedule: &Schedule) -> TickPlan<'_> {
    TickPlan {
        schedule,
        anchor: instant("2026-01-01T00:00:00Z"),
        window: None,
        overlap: Overlap::Allow,
        catch_up: CatchUp::Last,
    }
}

pub(super) fn every(seconds: u64) -> Schedule {
    Schedule::every(Duration::from_secs(seconds)).unwrap()
}

pub(super) fn window(start: &str, end: &str) -> Window {
    serde_json::from_value(json!({"start": start, "end": end})).unwrap()
}

/// Rows in short: minutes and seconds of the first and last instant, their number, the decision.
fn short(rows: &[TickDecision]) -> Vec<String> {
    let form = |row: &TickDecision| {
        let first = row.planned_at.format("%H:%M:%S");
        let last = row.last().format("%H:%M:%S");
        match row.count {
            1 => format!("{first} {}", row.decision),
            n => format!("{first}-{last} x{n} {}", row.decision),
        }
    };
    rows.iter().map(form).collect()
}

/// Decides a minute schedule at a time of the anchor's day, when `last` was decided last.
fn at_minutes(
    change: impl Fn(&mut TickPlan<'_>),
    standing: &Standing,
    last: &str,
    now: &str,
) -> Vec<String> {
    let schedule = every(60);
    let mut plan = plan(&schedule);
    change(&mut plan);
    let at = |time: &str| instant(&format!("2026-01-01T{time}Z"));
    short(&decide(&plan, Some(at(last)), at(now), standing))
}

#[test]
fn the_text_form_of_a_decision_is_one_everywhere() {
    for decision in Decision::ALL {
        let text = decision.as_str();
        assert_eq!(text.parse(), Ok(decision));
        assert_eq!(serde_json::to_value(decision).unwrap(), json!(text));
    }
    assert_eq!(
        "late".parse::<Decision>(),
        Err(UnknownDecision("late".to_owned()))
    );
    assert_eq!(serde_json::to_value(CatchUp::Last).unwrap(), json!("last"));
    assert_eq!(
        serde_json::to_value(Overlap::Queue).unwrap(),
        json!("queue")
    );
}

#[test]
fn an_instant_fires_until_the_tolerance_is_over() {
    let none = |plan: &mut TickPlan<'_>| plan.catch_up = CatchUp::None;
    let at = |now| at_minutes(none, &FREE, "08:00:00", now);
    assert!(at("08:00:59.999").is_empty());
    assert_eq!(at("08:01:00"), ["08:01:00 fired"]);
    assert_eq!(at("08:01:02"), ["08:01:00 fired"]);
    assert_eq!(at("08:01:02.001"), ["08:01:00 missed"]);
}

#[test]
fn without_a_last_decision_it_begins_at_the_anchor() {
    let schedule = every(60);
    let plan = plan(&schedule);
    let now = plan.anchor + TimeDelta::milliseconds(10);
    assert_eq!(short(&decide(&plan, None, now, &FREE)), ["00:00:00 fired"]);
    assert_eq!(
        next_wake(&plan, None, plan.anchor - TimeDelta::hours(1)),
        Some(plan.anchor)
    );
    let early = plan.anchor - TimeDelta::seconds(1);
    assert!(decide(&plan, None, early, &FREE).is_empty());
}

#[test]
fn nothing_is_decided_twice_when_the_clock_steps_back() {
    assert!(at_minutes(|_| {}, &FREE, "08:05:00", "08:05:00").is_empty());
    assert!(at_minutes(|_| {}, &FREE, "08:05:00", "08:01:00").is_empty());
    let schedule = every(60);
    let (last, now) = (
        instant("2026-01-01T08:05:00Z"),
        instant("2026-01-01T08:01:00Z"),
    );
    let wake = next_wake(&plan(&schedule), Some(last), now);
    assert_eq!(wake, Some(last + TimeDelta::minutes(1)));
}

#[test]
fn late_instants_are_caught_up_as_the_plan_says() {
    let by = |catch_up| {
        at_minutes(
            |plan| plan.catch_up = catch_up,
            &FREE,
            "08:00:00",
            "08:05:30",
        )
    };
    assert_eq!(by(CatchUp::None), ["08:01:00-08:05:00 x5 missed"]);
    assert_eq!(
        by(CatchUp::Last),
        ["08:01:00-08:04:00 x4 coalesced", "08:05:00 caught_up"]
    );
    assert_eq!(by(CatchUp::All).len(), 5);
    assert!(
        by(CatchUp::All)
            .iter()
            .all(|row| row.ends_with("caught_up"))
    );
    // The one on time fires beside the late ones.
    let mixed = at_minutes(|_| {}, &FREE, "08:00:00", "08:03:01");
    let expected = ["08:01:00 coalesced", "08:02:00 caught_up", "08:03:00 fired"];
    assert_eq!(mixed, expected);
}

#[test]
fn a_long_backlog_takes_few_rows() {
    let by = |catch_up| {
        at_minutes(
            |plan| plan.catch_up = catch_up,
            &FREE,
            "00:00:00",
            "23:00:30",
        )
    };
    assert_eq!(by(CatchUp::None), ["00:01:00-23:00:00 x1380 missed"]);
    assert_eq!(
        by(CatchUp::Last),
        ["00:01:00-22:59:00 x1379 coalesced", "23:00:00 caught_up"]
    );
    let all = by(CatchUp::All);
    assert_eq!(all.len(), CATCH_UP_MAX + 1);
    assert_eq!(all[0], "00:01:00-21:20:00 x1280 missed");
    assert_eq!(all[1], "21:21:00 caught_up");
}

#[test]
fn the_reasons_are_tried_in_order() {
    let shut = window("20:00", "21:00");
    let with = |window: Option<&Window>, overlap, standing: &Standing| {
        let schedule = every(60);
        let plan = TickPlan {
            window,
            overlap,
            ..plan(&schedule)
        };
        let at = instant("2026-01-01T08:01:00Z");
        short(&decide(
            &plan,
            Some(at - TimeDelta::minutes(1)),
            at,
            standing,
        ))
    };
    let off = Standing {
        enabled: false,
        paused: true,
        ..BUSY
    };
    let paused = Standing {
        paused: true,
        ..BUSY
    };
    let (skip, shut) = (Overlap::Skip, Some(&shut));
    assert_eq!(with(shut, skip, &off), ["08:01:00 skipped:disabled"]);
    assert_eq!(with(shut, skip, &paused), ["08:01:00 skipped:paused"]);
    assert_eq!(with(shut, skip, &BUSY), ["08:01:00 skipped:window"]);
    assert_eq!(with(None, skip, &BUSY), ["08:01:00 skipped:overlap"]);
    assert_eq!(with(None, skip, &FREE), ["08:01:00 fired"]);
    assert_eq!(with(None, Overlap::Allow, &BUSY), ["08:01:00 fired"]);
    assert_eq!(with(None, Overlap::Queue, &BUSY), ["08:01:00 fired"]);
    let waiting = Standing {
        open_runs: 2,
        waiting_runs: 1,
        ..FREE
    };
    assert_eq!(
        with(None, Overlap::Queue, &waiting),
        ["08:01:00 skipped:overlap"]
    );
}

#[test]
fn a_blocked_robot_catches_nothing_up() {
    let off = Standing {
        enabled: false,
        ..FREE
    };
    let rows = at_minutes(|_| {}, &off, "00:00:00", "23:00:01");
    assert_eq!(rows, ["00:01:00-23:00:00 x1380 skipped:disabled"]);
}

#[test]
fn a_late_instant_needs_the_window_then_and_now() {
    let hour = window("08:00", "09:00");
    let by = |catch_up, last, now| {
        let schedule = every(60);
        let plan = TickPlan {
            window: Some(&hour),
            catch_up,
            ..plan(&schedule)
        };
        let at = |time: &str| instant(&format!("2026-01-01T{time}Z"));
        short(&decide(&plan, Some(at(last)), at(now), &FREE))
    };
    // Open then, closed now.
    assert_eq!(
        by(CatchUp::Last, "08:57:00", "09:01:30"),
        [
            "08:58:00-08:59:00 x2 missed",
            "09:00:00-09:01:00 x2 skipped:window"
        ]
    );
    // Nothing stands for a long backlog either, which is not judged one by one.
    assert_eq!(
        by(CatchUp::Last, "08:00:00", "13:00:30"),
        [
            "08:01:00-11:17:00 x197 missed",
            "11:18:00-13:00:00 x103 skipped:window"
        ]
    );
    // Closed then, open now.
    assert_eq!(
        by(CatchUp::All, "07:57:00", "08:01:30"),
        [
            "07:58:00-07:59:00 x2 skipped:window",
            "08:00:00 caught_up",
            "08:01:00 caught_up"
        ]
    );
    // The newest one within the window stands for those before it.
    assert_eq!(
        by(CatchUp::Last, "07:57:00", "08:02:30"),
        [
            "07:58:00-07:59:00 x2 skipped:window",
            "08:00:00-08:01:00 x2 coalesced",
            "08:02:00 caught_up"
        ]
    );
    assert_eq!(
        by(CatchUp::None, "07:58:00", "08:01:30"),
        ["07:59:00 skipped:window", "08:00:00-08:01:00 x2 missed"]
    );
}

#[test]
fn overlap_counts_the_runs_that_this_decision_starts() {
    let schedule = every(1);
    let by = |overlap, standing: &Standing| {
        let plan = TickPlan {
            overlap,
            ..plan(&schedule)
        };
        let now = instant("2026-01-01T08:00:02Z");
        short(&decide(
            &plan,
            Some(now - TimeDelta::seconds(3)),
            now,
            standing,
        ))
    };
    assert_eq!(
        by(Overlap::Skip, &FREE),
        ["08:00:00 fired", "08:00:01-08:00:02 x2 skipped:overlap"]
    );
    assert_eq!(
        by(Overlap::Queue, &FREE),
        [
            "08:00:00 fired",
            "08:00:01 fired",
            "08:00:02 skipped:overlap"
        ]
    );
    assert_eq!(by(Overlap::Allow, &BUSY).len(), 3);
    // A run that was caught up is open as well.
    let after = at_minutes(
        |plan| plan.overlap = Overlap::Skip,
        &FREE,
        "08:00:00",
        "08:02:01",
    );
    assert_eq!(after, ["08:01:00 caught_up", "08:02:00 skipped:overlap"]);
    // The batch of a catch-up is judged as one.
    let skip =
        |plan: &mut TickPlan<'_>| (plan.overlap, plan.catch_up) = (Overlap::Skip, CatchUp::All);
    assert_eq!(
        at_minutes(skip, &FREE, "08:00:00", "08:02:30"),
        ["08:01:00 caught_up", "08:02:00 caught_up"]
    );
    assert_eq!(
        at_minutes(skip, &BUSY, "08:00:00", "08:02:30"),
        ["08:01:00-08:02:00 x2 skipped:overlap"]
    );
}

#[test]
fn a_year_of_decisions_agrees_with_a_walk_minute_by_minute() {
    let days: Vec<chrono::Weekday> = (0..7)
        .map(|day| chrono::Weekday::try_from(day).unwrap())
        .collect();
    for minutes in years() {
        let mut window = window("22:30", "02:45");
        window.timezone = minutes.zone;
        let openings = minutes.openings(window.start, window.end, &days);
        let open = |at: &Timestamp| {
            openings
                .iter()
                .any(|(opens, closes)| opens <= at && at < closes)
        };
        for expression in ["30 */2 * * *", "15 2,23 * * *"] {
            let zone = minutes.zone.name();
            let schedule = Schedule::cron(expression, Some(zone)).unwrap();
            let anchor = openings[0].0;
            let plan = TickPlan {
                anchor,
                window: Some(&window),
                ..plan(&schedule)
            };
            let until = openings[openings.len() - 1].1;
            let (mut last, mut now, mut decided) = (None, anchor, Vec::new());
            while let Some(wake) = next_wake(&plan, last, now).filter(|wake| *wake < until) {
                now = wake;
                let rows = decide(&plan, last, now, &FREE);
                assert_eq!(rows.len(), 1, "{expression} in {zone} at {now}");
                decided.push((rows[0].planned_at, rows[0].decision));
                last = Some(rows[0].last());
            }
            let fate = |at: Timestamp| match open(&at) {
                true => (at, Decision::Fired),
                false => (at, Decision::SkippedWindow),
            };
            let span = minutes.ticks(expression).into_iter();
            let expected: Vec<_> = span
                .filter(|at| anchor <= *at && *at < until)
                .map(fate)
                .collect();
            assert_eq!(decided, expected, "{expression} in {zone}");
        }
    }
}
