//! What becomes of each planned instant of a robot.
//!
//! [`decide`] is the only place where a tick is decided. It is pure: the caller supplies the time,
//! what was decided last and how the robot stands, writes the answer down together with the runs it
//! starts, and passes the last decided instant on to the next call.

mod decision;
mod preview;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::TimeDelta;

pub use self::decision::{CatchUp, Decision, Overlap, UnknownDecision};
pub use self::preview::{ClockNote, PREVIEW_MAX, Preview, can_fire, preview};
use crate::domain::schedule::{Schedule, TickRange};
use crate::domain::time::Timestamp;
use crate::domain::window::Window;

/// How late a decision may be and still count as on time.
///
/// The scheduler wakes at the instant itself, so lateness is timer slack and one transaction:
/// milliseconds, or tens of them on a busy node. Two seconds absorb a slow commit or a change of
/// leader without calling it a miss, and are still far below a minute, the finest step of most
/// schedules. With a schedule of one second at most three instants are on time at once.
pub const TOLERANCE: Duration = Duration::from_secs(2);

/// The most runs that one decision starts to catch up: enough for an hour's minutes or a quarter's
/// days, and few enough that a node coming back after a long time is not flooded.
pub const CATCH_UP_MAX: usize = 100;

/// The most instants that can be on time at once: one each second, the shortest step of a schedule,
/// within [`TOLERANCE`], both ends included.
const ON_TIME_MAX: usize = 3;

/// The most rows of one decision.
pub const ROWS_MAX: usize = CATCH_UP_MAX + ON_TIME_MAX + 1;

/// How a robot stands at the moment of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether an administrator has it enabled.
    pub enabled: bool,
    /// Whether it is quarantined, or all robots are paused.
    pub paused: bool,
    /// Its runs that are queued or running, those of `waiting_runs` included.
    pub open_runs: u32,
    /// Its runs that are queued and not yet running.
    pub waiting_runs: u32,
}

/// The rules by which the instants of a robot are decided.
#[derive(Debug, Clone, Copy)]
pub struct TickPlan<'a> {
    /// When it is due.
    pub schedule: &'a Schedule,
    /// Where the schedule begins: no instant lies before it, and an interval counts from it.
    pub anchor: Timestamp,
    /// When it may run; always, if absent.
    pub window: Option<&'a Window>,
    /// What to do when a run is open.
    pub overlap: Overlap,
    /// What to do with late instants.
    pub catch_up: CatchUp,
}

/// What became of one planned instant, or of several in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickDecision {
    /// The planned instant, or the first of them.
    pub planned_at: Timestamp,
    /// The last planned instant, when the decision stands for more than one.
    pub through: Option<Timestamp>,
    /// How many planned instants it stands for.
    pub count: u64,
    /// What became of them.
    pub decision: Decision,
}

impl TickDecision {
    /// The last instant that the decision covers: what the next [`decide`] goes on from.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        self.through.unwrap_or(self.planned_at)
    }

    fn one(planned_at: Timestamp, decision: Decision) -> Self {
        Self {
            planned_at,
            through: None,
            count: 1,
            decision,
        }
    }

    fn range(range: &TickRange, decision: Decision) -> Self {
        Self {
            planned_at: range.first,
            through: (range.count > 1).then_some(range.last),
            count: range.count,
            decision,
        }
    }
}

/// Decides every planned instant in `(last_decided, now]`, each exactly once, in order.
///
/// Without `last_decided` it begins at the anchor, the anchor included. When the clock has stepped
/// back behind `last_decided` the answer is empty. At most [`ROWS_MAX`] rows come back: neighbours
/// that share a fate and start no run are folded into one row, and of a long backlog all but the
/// newest instants are one row without a look at the window of each.
///
/// Reasons are tried in this order: disabled, paused, window, overlap; the first two hold for late
/// instants as well, since nobody knows how the robot stood then. The window is judged at the
/// planned instant. A late one that lies in it is caught up as the plan says, if the window is open
/// now (else it is missed).
///
/// Overlap is judged for an instant on time against all open runs, those that this decision starts
/// included. The runs that `catch_up` asks for are one batch: they are judged against the runs that
/// were open before, not against each other.
#[must_use]
pub fn decide(
    plan: &TickPlan<'_>,
    last_decided: Option<Timestamp>,
    now: Timestamp,
    standing: &Standing,
) -> Vec<TickDecision> {
    let after = last_decided.unwrap_or_else(|| just_before(plan.anchor));
    let ticks = plan
        .schedule
        .between(plan.anchor, after, now, CATCH_UP_MAX + ON_TIME_MAX);
    let late_count = ticks.instants.partition_point(|at| is_late(*at, now));
    let (late, on_time) = ticks.instants.split_at(late_count);

    let mut rows = Rows::default();
    let mut runs = OpenRuns::new(plan.overlap, standing);
    let judge = Judge {
        plan,
        blocked: blocked(standing),
    };
    let fates = judge.late_fates(late, now, &runs);
    if let Some(range) = &ticks.earlier {
        rows.push(TickDecision::range(range, judge.earlier_fate(&fates)));
    }
    for (at, fate) in late.iter().zip(fates) {
        if fate.starts_run() {
            runs.start();
        }
        rows.push(TickDecision::one(*at, fate));
    }
    for at in on_time {
        rows.push(TickDecision::one(*at, judge.on_time_fate(*at, &mut runs)));
    }
    rows.0
}

fn is_late(planned_at: Timestamp, now: Timestamp) -> bool {
    (now - planned_at)
        .to_std()
        .is_ok_and(|lateness| lateness > TOLERANCE)
}

/// Why no tick of the robot may start a run at all.
fn blocked(standing: &Standing) -> Option<Decision> {
    if !standing.enabled {
        Some(Decision::SkippedDisabled)
    } else if standing.paused {
        Some(Decision::SkippedPaused)
    } else {
        None
    }
}

/// The last instant before `at` that can be told from it in the store.
fn just_before(at: Timestamp) -> Timestamp {
    at.checked_sub_signed(TimeDelta::microseconds(1))
        .unwrap_or(at)
}

/// Judges single instants.
struct Judge<'a> {
    plan: &'a TickPlan<'a>,
    blocked: Option<Decision>,
}

impl Judge<'_> {
    fn in_window(&self, at: Timestamp) -> bool {
        self.plan.window.is_none_or(|window| window.is_open(at))
    }

    fn on_time_fate(&self, at: Timestamp, runs: &mut OpenRuns) -> Decision {
        if let Some(blocked) = self.blocked {
            return blocked;
        }
        if !self.in_window(at) {
            return Decision::SkippedWindow;
        }
        if !runs.has_room() {
            return Decision::SkippedOverlap;
        }
        runs.start();
        Decision::Fired
    }

    /// What becomes of the late instants, one decision for each.
    fn late_fates(&self, late: &[Timestamp], now: Timestamp, runs: &OpenRuns) -> Vec<Decision> {
        if let Some(blocked) = self.blocked {
            return vec![blocked; late.len()];
        }
        let allowed = match self.plan.catch_up {
            _ if !self.in_window(now) => 0,
            CatchUp::None => 0,
            CatchUp::Last => 1,
            CatchUp::All => CATCH_UP_MAX,
        };
        let mut caught_up = 0;
        let newest_first = late.iter().rev().map(|at| {
            if !self.in_window(*at) {
                return Decision::SkippedWindow;
            }
            if caught_up < allowed {
                caught_up += 1;
                return if runs.has_room() {
                    Decision::CaughtUp
                } else {
                    Decision::SkippedOverlap
                };
            }
            self.surplus_fate(caught_up > 0)
        });
        let mut fates: Vec<Decision> = newest_first.collect();
        fates.reverse();
        fates
    }

    /// What becomes of the backlog that is too long to be judged one by one.
    fn earlier_fate(&self, later: &[Decision]) -> Decision {
        let caught_up =
            |fate: &Decision| matches!(fate, Decision::CaughtUp | Decision::SkippedOverlap);
        self.blocked
            .unwrap_or_else(|| self.surplus_fate(later.iter().any(caught_up)))
    }

    /// What becomes of a late instant that gets no run of its own.
    fn surplus_fate(&self, a_later_one_stands: bool) -> Decision {
        if self.plan.catch_up == CatchUp::Last && a_later_one_stands {
            Decision::Coalesced
        } else {
            Decision::Missed
        }
    }
}

/// The open runs of a robot while its ticks are decided.
struct OpenRuns {
    overlap: Overlap,
    open: u32,
    waiting: u32,
}

impl OpenRuns {
    fn new(overlap: Overlap, standing: &Standing) -> Self {
        Self {
            overlap,
            open: standing.open_runs,
            waiting: standing.waiting_runs,
        }
    }

    fn has_room(&self) -> bool {
        match self.overlap {
            Overlap::Skip => self.open == 0,
            Overlap::Allow => true,
            Overlap::Queue => self.open == 0 || self.waiting == 0,
        }
    }

    fn start(&mut self) {
        if self.open > 0 {
            self.waiting = self.waiting.saturating_add(1);
        }
        self.open = self.open.saturating_add(1);
    }
}

/// Rows of a decision, folded as they come.
#[derive(Default)]
struct Rows(Vec<TickDecision>);

impl Rows {
    fn push(&mut self, row: TickDecision) {
        match self.0.last_mut() {
            Some(last) if last.decision == row.decision && !row.decision.starts_run() => {
                last.through = Some(row.last());
                last.count = last.count.saturating_add(row.count);
            }
            _ => self.0.push(row),
        }
    }
}

/// When [`decide`] should be called next: the next undecided instant, or `now` when it has passed.
///
/// `None` only at the end of the range of a timestamp.
#[must_use]
pub fn next_wake(
    plan: &TickPlan<'_>,
    last_decided: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let after = last_decided.unwrap_or_else(|| just_before(plan.anchor));
    let next = plan.schedule.next_after(plan.anchor, after)?;
    Some(next.max(now))
}
