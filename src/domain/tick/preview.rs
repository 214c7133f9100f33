//! What a plan would do next, for an administrator to look at before it is saved.

use chrono_tz::Tz;
use serde::Serialize;

use super::{Decision, TickPlan, just_before};
use crate::domain::schedule::zone;
use crate::domain::time::Timestamp;

/// The most instants of one preview: a fortnight of half hours, or a year and more of days.
pub const PREVIEW_MAX: usize = 500;

/// What the change of the clock does to a planned instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockNote {
    /// It makes up for local times that are skipped.
    Gap,
    /// Its local time occurs twice.
    Fold,
}

/// One planned instant, as it would be decided on time and with no run open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The instant.
    pub at: Timestamp,
    /// [`Decision::Fired`] or [`Decision::SkippedWindow`].
    pub decision: Decision,
    /// The local time with its offset, in RFC 3339, in the zone of the schedule, else of the window,
    /// else UTC.
    pub local: String,
    /// Set on the nights when the clock changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<ClockNote>,
}

/// The next planned instants from `from` on (included), at most `count` and at most
/// [`PREVIEW_MAX`].
#[must_use]
pub fn preview(plan: &TickPlan<'_>, from: Timestamp, count: usize) -> Vec<Preview> {
    let zone = plan
        .schedule
        .timezone()
        .or(plan.window.map(|window| window.timezone))
        .unwrap_or(Tz::UTC);
    let next = |after: &Timestamp| plan.schedule.next_after(plan.anchor, *after);
    std::iter::successors(next(&just_before(from)), next)
        .take(count.min(PREVIEW_MAX))
        .map(|at| preview_of(plan, zone, at))
        .collect()
}

fn preview_of(plan: &TickPlan<'_>, zone: Tz, at: Timestamp) -> Preview {
    let local = at.with_timezone(&zone);
    let occurs_twice = matches!(
        zone::resolve(zone, local.naive_local()),
        zone::Wall::Fold(..)
    );
    let note = if plan.schedule.makes_up(at) {
        Some(ClockNote::Gap)
    } else {
        occurs_twice.then_some(ClockNote::Fold)
    };
    let open = plan.window.is_none_or(|window| window.is_open(at));
    Preview {
        at,
        decision: if open {
            Decision::Fired
        } else {
            Decision::SkippedWindow
        },
        local: local.to_rfc3339(),
        note,
    }
}

/// Openings of a window in which a planned instant is looked for: more than a year of nights.
const OPENINGS_MAX: usize = 400;

/// Whether a planned instant behind `from` lies inside the window, as far as its next 400 openings tell.
#[must_use]
pub fn can_fire(plan: &TickPlan<'_>, from: Timestamp) -> bool {
    let next = |after| plan.schedule.next_after(plan.anchor, after);
    let Some(window) = plan.window else {
        return next(from).is_some();
    };
    let mut planned = next(from);
    for _ in 0..OPENINGS_MAX {
        let Some(at) = planned else { return false };
        if window.is_open(at) {
            return true;
        }
        // The instant of the opening itself may be planned.
        planned = window
            .next_open(at)
            .and_then(|open| next(just_before(open)));
    }
    false
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use serde_json::json;

    use super::super::tests::{every, plan, window};
    use super::*;
    use crate::domain::schedule::Schedule;
    use crate::domain::schedule::brute_force::instant;
    use crate::domain::window::Window;

    #[test]
    fn a_preview_marks_the_nights_of_change() {
        let berlin = Schedule::cron("30 2 * * *", Some("Europe/Berlin")).unwrap();
        let night = window("00:00", "02:00");
        let plan = TickPlan {
            window: Some(&night),
            ..plan(&berlin)
        };
        let march = preview(&plan, instant("2026-03-28T00:00:00Z"), 3);
        let local: Vec<&str> = march.iter().map(|row| row.local.as_str()).collect();
        assert_eq!(
            local,
            [
                "2026-03-28T02:30:00+01:00",
                "2026-03-29T03:00:00+02:00",
                "2026-03-30T02:30:00+02:00"
            ]
        );
        let notes: Vec<_> = march.iter().map(|row| row.note).collect();
        assert_eq!(notes, [None, Some(ClockNote::Gap), None]);
        assert_eq!(march[0].decision, Decision::Fired);
        let october = preview(&plan, instant("2026-10-25T00:30:00Z"), 1);
        assert_eq!(
            serde_json::to_value(&october).unwrap(),
            json!([{"at": "2026-10-25T00:30:00Z", "decision": "fired",
            "local": "2026-10-25T02:30:00+02:00", "note": "fold"}])
        );
        let evening = window("18:00", "19:00");
        let shut = TickPlan {
            window: Some(&evening),
            ..plan
        };
        let row = &preview(&shut, instant("2026-05-01T00:00:00Z"), 1)[0];
        assert_eq!((row.decision, row.note), (Decision::SkippedWindow, None));
        assert_eq!(preview(&plan, plan.anchor, 10_000).len(), PREVIEW_MAX);
    }

    #[test]
    fn a_schedule_that_always_misses_its_window_is_known() {
        let monday = json!({"start": "22:00", "end": "02:00", "days": ["mon"]});
        let monday: Window = serde_json::from_value(monday).unwrap();
        let fires = |schedule: &Schedule| {
            let plan = TickPlan {
                window: Some(&monday),
                ..plan(schedule)
            };
            can_fire(&plan, plan.anchor)
        };
        let cron = |text| Schedule::cron(text, None).unwrap();
        assert!(!fires(&cron("0 12 * * *")) && !fires(&cron("0 3-21 * * *")));
        assert!(fires(&cron("0 22 * * *")), "at the opening");
        assert!(fires(&cron("59 1 * * *")), "just before the end");
        assert!(fires(&cron("0 23 29 2 *")), "once in 28 years");
        assert!(fires(&every(3600)) && fires(&every(1)));
        let noon = cron("0 12 * * *");
        assert!(can_fire(&plan(&noon), instant("2026-01-01T00:00:00Z")));
    }

    #[test]
    fn a_preview_of_an_interval_is_told_in_the_zone_of_the_window() {
        let schedule = every(3600);
        let mut night = window("22:00", "06:00");
        night.timezone = Tz::America__Sao_Paulo;
        let plan = TickPlan {
            window: Some(&night),
            ..plan(&schedule)
        };
        let row = &preview(&plan, plan.anchor, 1)[0];
        assert_eq!(row.at, plan.anchor);
        assert_eq!(row.local, "2025-12-31T21:00:00-03:00");
        assert_eq!(row.decision, Decision::SkippedWindow);
    }
}
