//! What a schedule and a window do next, the coming nights on which the clock changes included.

use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, TimeDelta};

use super::wish::Wish;
use crate::api::body::ObjectOnly;
use crate::api::path::PathRobot;
use crate::api::preview::{PlannedView, PreviewBody, planned};
use crate::api::{ApiError, ApiState, Viewer};
use crate::domain::schedule::{Schedule, zone};
use crate::domain::time::Timestamp;
use crate::domain::window::Window;
use crate::panel::form::Posted;
use crate::panel::moment::{Age, At};
use crate::panel::shell::answer;
use crate::panel::text as t;
use crate::panel::words::{self, Word};
use crate::robot::registry::Entry;

/// Ticks that a preview shows.
pub(super) const TICKS: u32 = 8;
/// How far ahead nights are looked for: a year has all of them.
const AHEAD: TimeDelta = TimeDelta::days(366);
/// Nights that are shown: one of each kind.
const NIGHTS: usize = 2;
/// How long before and after the change of the clock ticks are of its night.
const NIGHT: TimeDelta = TimeDelta::hours(3);
/// Ticks of a night that are shown before and after the change.
const NIGHT_TICKS: (usize, u32) = (2, 6);
/// How far before the change the last ticks are looked for: a faster schedule has them close to it.
const LOOK_BACK: [TimeDelta; 3] = [NIGHT, TimeDelta::minutes(30), TimeDelta::minutes(1)];
/// The most ticks of one look.
const LOOK_MAX: u32 = 100;

/// A schedule and a window, as they are or as they are wished for.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    schedule: Option<Schedule>,
    window: Option<Window>,
    wished: bool,
}

/// The next ticks of a plan.
#[derive(Template, Default)]
#[template(path = "ticks.html")]
pub(super) struct Ticks {
    scheduled: bool,
    next: Vec<Tick>,
    nights: Vec<Night>,
    mistakes: Vec<String>,
}

/// One tick.
struct Tick {
    at: At,
    age: Age,
    local: String,
    decision: Word,
    note: Option<&'static str>,
}

/// A night on which the clock changes.
struct Night {
    at: At,
    ticks: Vec<Tick>,
}

/// A local time in RFC 3339 as people read it: `2026-03-29 03:00 +02:00`.
fn local(text: &str) -> String {
    let (time, offset) = text.split_at_checked(19).unwrap_or((text, ""));
    let time = time.replace('T', " ");
    format!("{} {offset}", time.strip_suffix(":00").unwrap_or(&time))
}

impl Tick {
    fn of(planned: PlannedView, now: Timestamp) -> Self {
        Self {
            at: At(planned.at),
            age: Age {
                of: planned.at,
                now,
            },
            local: local(&planned.local),
            decision: words::decision(planned.decision),
            note: planned.note.map(words::clock_note),
        }
    }
}

impl Plan {
    /// The plan of a robot as it is.
    pub(super) fn in_force(robot: &Entry) -> Self {
        Self {
            schedule: robot.config.schedule.clone(),
            window: robot.config.window.clone(),
            wished: false,
        }
    }

    /// The plan that a robot would have.
    pub(super) fn wished(
        robot: &Entry,
        schedule: Option<Schedule>,
        window: Option<Window>,
    ) -> Self {
        Self {
            wished: schedule != robot.config.schedule,
            schedule,
            window,
        }
    }

    /// Its next ticks, `count` of them.
    pub(super) fn ticks(&self, state: &ApiState, robot: &Entry, count: u32) -> Ticks {
        let now = state.now();
        if self.schedule.is_none() {
            return Ticks::default();
        }
        let from = |at: Timestamp, count| {
            planned(state, robot, self.body(at, count))
                .map(|view| view.items)
                .unwrap_or_default()
        };
        let nights = self.changes_of_clock(now).into_iter().map(|change| {
            let ticks = night(change, from).into_iter();
            Night {
                at: At(change),
                ticks: ticks.map(|tick| Tick::of(tick, now)).collect(),
            }
        });
        Ticks {
            scheduled: true,
            nights: nights.filter(|night| !night.ticks.is_empty()).collect(),
            next: from(now, count)
                .into_iter()
                .map(|tick| Tick::of(tick, now))
                .collect(),
            mistakes: Vec::new(),
        }
    }

    fn body(&self, from: Timestamp, count: u32) -> PreviewBody {
        PreviewBody {
            // A schedule that is in force keeps its anchor.
            schedule: self
                .schedule
                .clone()
                .filter(|_| self.wished)
                .map(ObjectOnly),
            window: Some(self.window.clone().map(ObjectOnly)),
            from: Some(from),
            count: Some(count),
        }
    }

    /// The next changes of the clock that it has to do with: those of its schedule's zone, else of its window's.
    fn changes_of_clock(&self, now: Timestamp) -> Vec<Timestamp> {
        let of_schedule = self.schedule.as_ref().and_then(Schedule::timezone);
        let zone = of_schedule.or(self.window.as_ref().map(|window| window.timezone));
        let (from, until) = (now.timestamp(), (now + AHEAD).timestamp());
        zone.map(|zone| zone::transitions(zone, from, until))
            .unwrap_or_default()
            .into_iter()
            .filter_map(|change| DateTime::from_timestamp(change.at, 0))
            .take(NIGHTS)
            .collect()
    }
}

/// The last ticks before a change of the clock and the first after it.
fn night(change: Timestamp, from: impl Fn(Timestamp, u32) -> Vec<PlannedView>) -> Vec<PlannedView> {
    let (before, after) = NIGHT_TICKS;
    let looks = LOOK_BACK.iter().map(|back| from(change - *back, LOOK_MAX));
    let reaches = |look: &Vec<PlannedView>| look.last().is_none_or(|last| last.at >= change);
    let mut ticks = looks.into_iter().find(reaches).unwrap_or_default();
    ticks.retain(|tick| tick.at < change);
    let mut night = ticks.split_off(ticks.len().saturating_sub(before));
    let after = from(change, after).into_iter();
    night.extend(after.filter(|tick| tick.at < change + NIGHT));
    night
}

/// The ticks of what a form wishes; a piece of a page.
pub(in crate::panel) async fn show(
    _: Viewer,
    PathRobot(robot): PathRobot,
    Posted(fields): Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let wish = Wish::read(&fields);
    let ticks = match (wish.schedule(), wish.window()) {
        (Ok(schedule), Ok(window)) => {
            Plan::wished(&robot, schedule, window).ticks(&state, &robot, TICKS)
        }
        (schedule, window) => Ticks {
            mistakes: [schedule.err(), window.err()]
                .into_iter()
                .flatten()
                .map(|error| error.detail)
                .collect(),
            ..Ticks::default()
        },
    };
    answer(&ticks)
}
