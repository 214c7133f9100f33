//! The ledger of planned instants: why each one fired or did not.

use crate::domain::id::{NodeId, RobotId, TaskId};
use crate::domain::task::BATCH_TASKS_MAX;
use crate::domain::tick::Decision;
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::id::Series;
use super::node::Term;
use super::page::{Page, PageRequest};
use super::task::{NewTask, bounded};
use super::{Store, StoreResult};

/// One decided instant, or a range of them decided alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Whose.
    pub robot: RobotId,
    /// The planned instant; with `robot` and `for_node` the identity.
    pub planned_at: Timestamp,
    /// Last instant of the range, where the row stands for more than one.
    pub through: Option<Timestamp>,
    /// How many instants the row stands for.
    pub count: i64,
    /// The decision.
    pub decision: Decision,
    /// When it was taken.
    pub decided_at: Timestamp,
    /// By whom.
    pub node: NodeId,
    /// The run it started.
    pub task: Option<TaskId>,
    /// The node it was decided for, where the robot runs on each node by itself.
    pub for_node: Option<NodeId>,
}

/// A decision to be written, with the run it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTick {
    /// Whose.
    pub robot: RobotId,
    /// See [`Tick::planned_at`].
    pub planned_at: Timestamp,
    /// See [`Tick::through`].
    pub through: Option<Timestamp>,
    /// See [`Tick::count`].
    pub count: i64,
    /// The decision.
    pub decision: Decision,
    /// The run, for `fired` and `caught_up`.
    pub task: Option<NewTask>,
    /// See [`Tick::for_node`]; with robot and instant the identity.
    pub for_node: Option<NodeId>,
}

/// Filters of the report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TickFilter {
    /// Only these robots; empty = any.
    pub robots: Vec<RobotId>,
    /// Only this decision.
    pub decision: Option<Decision>,
    /// Planned at or after.
    pub from: Option<Timestamp>,
    /// Planned before.
    pub to: Option<Timestamp>,
}

impl Store {
    /// Writes decisions and the runs they start in one transaction, and moves each robot's `last_tick_at` on.
    /// An instant that is decided already is left as it is and starts nothing. Answers how many were new; `None`, and
    /// nothing is written, where `node` does not lead in `term` any more.
    pub async fn tick_record(
        &self,
        node: NodeId,
        term: Term,
        ticks: Vec<NewTick>,
        now: Timestamp,
    ) -> StoreResult<Option<u32>> {
        bounded("ticks", ticks.len(), BATCH_TASKS_MAX)?;
        let runs = ticks.iter().filter(|tick| tick.task.is_some()).count();
        let first = self.ids(Series::Task, runs, now).await?;
        let runs = ticks.iter().filter_map(|tick| tick.task.as_ref());
        let start = self.start_of(runs.map(|task| task.robot), now);
        let outbox = self.outbox();
        let recorded = write!(
            self,
            tick::record((node, term), &ticks, first, now, start.as_ref(), outbox)
        )?;
        Ok(recorded.map(|(new, registered)| {
            self.tell_registered(registered);
            new
        }))
    }

    /// The report **Ticks**, newest planned instant first. The page key is an opaque row number.
    pub async fn tick_list(
        &self,
        filter: TickFilter,
        page: PageRequest,
    ) -> StoreResult<Page<Tick>> {
        read!(self, tick::list(&filter, page))
    }
}

/// The decision's number in the database (SMALLINT); never reused.
pub(super) const fn decision_code(decision: Decision) -> i16 {
    match decision {
        Decision::Fired => 0,
        Decision::SkippedWindow => 1,
        Decision::SkippedOverlap => 2,
        Decision::SkippedPaused => 3,
        Decision::SkippedDisabled => 4,
        Decision::Missed => 5,
        Decision::CaughtUp => 6,
        Decision::Coalesced => 7,
    }
}

/// The decision with this number.
pub(super) fn decision_of(code: i16) -> Option<Decision> {
    [
        Decision::Fired,
        Decision::SkippedWindow,
        Decision::SkippedOverlap,
        Decision::SkippedPaused,
        Decision::SkippedDisabled,
        Decision::Missed,
        Decision::CaughtUp,
        Decision::Coalesced,
    ]
    .into_iter()
    .find(|decision| decision_code(*decision) == code)
}
