//! Property tests of the tick decision.

use proptest::prelude::*;

use super::tests::{every, window};
use super::*;
use crate::domain::schedule::brute_force::instant;

fn any_schedule() -> impl Strategy<Value = Schedule> {
    prop_oneof![
        (1_u64..20_000).prop_map(every),
        prop::sample::select(vec![
            "* * * * * *",
            "*/5 * * * *",
            "30 2 * * *",
            "7 */3 * * 1-5"
        ])
        .prop_map(|text| Schedule::cron(text, Some("Europe/Berlin")).unwrap()),
    ]
}

/// Milliseconds between two wakes: a step back, a timely wake, a short or a long absence.
fn any_step() -> impl Strategy<Value = i64> {
    prop_oneof![
        -60_000_i64..0,
        0_i64..3_000,
        3_000_i64..3_600_000,
        0_i64..3_000_000_000
    ]
}

fn any_standing() -> impl Strategy<Value = Standing> {
    (0_u32..10, 0_u32..10, 0_u32..3, 0_u32..3).prop_map(|(enabled, paused, open, waiting)| {
        Standing {
            enabled: enabled > 0,
            paused: paused == 0,
            open_runs: open + waiting,
            waiting_runs: waiting,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Wakes at odd times, with the clock stepping back and forth, as a scheduler would that loses
    /// its node and comes back.
    #[test]
    fn every_instant_is_decided_exactly_once(
        schedule in any_schedule(), windowed: bool,
        overlap in prop::sample::select(vec![Overlap::Skip, Overlap::Allow, Overlap::Queue]),
        catch_up in prop::sample::select(vec![CatchUp::None, CatchUp::Last, CatchUp::All]),
        wakes in prop::collection::vec((any_step(), any_standing()), 1..12),
        from in 0_i64..31_536_000,
    ) {
        let night = window("22:00", "06:00");
        let anchor = instant("2025-01-01T00:00:00Z") + TimeDelta::seconds(from);
        let window = windowed.then_some(&night);
        let plan = TickPlan { schedule: &schedule, anchor, window, overlap, catch_up };
        let (mut last, mut newest, mut now, mut total) = (None, None, anchor, 0);
        for (step, standing) in wakes {
            now += TimeDelta::milliseconds(step);
            let rows = decide(&plan, last, now, &standing);
            prop_assert!(rows.len() <= ROWS_MAX);
            let caught_up = rows.iter().filter(|row| row.decision == Decision::CaughtUp).count();
            prop_assert!(caught_up <= CATCH_UP_MAX);
            for row in rows {
                prop_assert!(last.is_none_or(|last| row.planned_at > last));
                prop_assert!(row.last() <= now && row.planned_at >= anchor);
                prop_assert_eq!(row.through.is_some(), row.count > 1);
                prop_assert!(row.count == 1 || !row.decision.starts_run());
                let before = last.unwrap_or_else(|| just_before(anchor));
                prop_assert_eq!(schedule.next_after(anchor, before), Some(row.planned_at));
                let covered = schedule.between(anchor, before, row.last(), 0);
                prop_assert_eq!(covered.earlier.unwrap().count, row.count);
                if row.decision.starts_run() {
                    prop_assert!(standing.enabled && !standing.paused);
                    prop_assert!(window.is_none_or(|window| window.is_open(row.planned_at)));
                }
                total += row.count;
                last = Some(row.last());
            }
            newest = newest.max(Some(now));
        }
        let until = newest.unwrap();
        let planned = schedule.between(anchor, just_before(anchor), until, 0);
        prop_assert_eq!(planned.earlier.map_or(0, |range| range.count), total);
    }
}
