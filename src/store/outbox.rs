//! Changes on their way to the broker: written by the transaction that makes them, removed once they are published.
//!
//! The rows of one thing are numbered in the order of its changes, because whoever changes it holds its row until the
//! commit. One node at a time holds the lease on the outbox and publishes from its head, so that order is kept.

use std::sync::atomic::Ordering;

use crate::domain::event::CloudEvent;
use crate::domain::id::{EventId, NodeId, ProcessId, RobotId, TaskId};
use crate::domain::task::{BATCH_TASKS_MAX, ProcessOutcome, TaskStatus};
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::task::{Claimed, Completed, Completion, bounded};
use super::{Store, StoreResult};

/// What changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A task has this status now.
    Task {
        /// Which.
        id: TaskId,
        /// Whose.
        robot: RobotId,
        /// Its status.
        status: TaskStatus,
    },
    /// A process started or ended.
    Process {
        /// Which.
        id: ProcessId,
        /// Whose.
        robot: RobotId,
        /// Its outcome.
        outcome: ProcessOutcome,
    },
    /// A robot's configuration changed.
    Robot(RobotId),
    /// robotd itself published an event.
    Event {
        /// Its row.
        id: EventId,
        /// The event, where it was read and is not pruned yet.
        event: Option<Box<CloudEvent>>,
    },
    /// So many older changes were given up, because the outbox was full.
    Lagged(u64),
}

/// A change that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Its number: never given twice, ascending for each thing.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What changed.
    pub change: Change,
}

/// The lease on the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLease {
    /// When this outbox was first published from, in microseconds: with a change's number it names the change for
    /// ever, in whatever database.
    pub epoch: i64,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Changes, about: numbers that were given to nobody count too.
    pub waiting: u64,
    /// Changes given up by this call.
    pub given_up: u64,
}

/// Whether changes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outbox {
    /// There is no broker.
    Off,
    /// There is one.
    On,
}

/// What changed, and when.
pub(super) type Dated = (Change, Timestamp);

/// That tasks run now.
pub(super) fn claimed(claims: &[Claimed]) -> impl Iterator<Item = Dated> {
    claims.iter().flat_map(|claim| {
        let task = Change::Task {
            id: claim.task,
            robot: claim.robot,
            status: TaskStatus::Running,
        };
        let process = Change::Process {
            id: claim.process,
            robot: claim.robot,
            outcome: ProcessOutcome::Running,
        };
        [(task, claim.started_at), (process, claim.started_at)]
    })
}

/// That tasks have a status now.
pub(super) fn tasks(
    tasks: &[(TaskId, RobotId)],
    status: TaskStatus,
    at: Timestamp,
) -> impl Iterator<Item = Dated> {
    tasks.iter().map(move |(id, robot)| {
        let (id, robot) = (*id, *robot);
        (Change::Task { id, robot, status }, at)
    })
}

/// That processes ended, as far as their ends were accepted, and what became of their tasks.
pub(super) fn ended<'a>(
    completions: &'a [Completion],
    done: &'a Completed,
) -> impl Iterator<Item = Dated> + 'a {
    let ends = completions.iter().zip(&done.accepted);
    let ends = ends.filter_map(|(completion, end)| Some((completion, (*end)?)));
    ends.flat_map(|(completion, (robot, status))| {
        let process = Change::Process {
            id: completion.process,
            robot,
            outcome: completion.outcome,
        };
        let task = Change::Task {
            id: completion.task,
            robot,
            status,
        };
        [
            (process, completion.finished_at),
            (task, completion.finished_at),
        ]
    })
}

impl Store {
    /// From now on changes are kept for a broker, or no longer.
    pub fn keep_changes(&self, keep: bool) {
        self.inner.keeps_changes.store(keep, Ordering::SeqCst);
    }

    pub(super) fn outbox(&self) -> Outbox {
        match self.inner.keeps_changes.load(Ordering::Relaxed) {
            true => Outbox::On,
            false => Outbox::Off,
        }
    }

    /// Takes the lease on the outbox until `until`, or holds it on; `None` while another node has it.
    pub async fn outbox_lease(
        &self,
        node: NodeId,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<Option<OutboxLease>> {
        write!(self, outbox::lease(node, now, until))
    }

    /// The first changes that wait, at most `limit`.
    pub async fn outbox_next(&self, limit: u32) -> StoreResult<Vec<Waiting>> {
        read!(self, outbox::next(limit))
    }

    /// Removes changes that are published.
    pub async fn outbox_done(&self, ids: Vec<i64>) -> StoreResult<()> {
        bounded("changes", ids.len(), BATCH_TASKS_MAX)?;
        write!(self, outbox::done(&ids))
    }

    /// Gives up the oldest changes beyond `max`, at most 10,000 in a call; a [`Change::Lagged`] stands in their place.
    pub async fn outbox_trim(&self, max: u32, now: Timestamp) -> StoreResult<Backlog> {
        let backlog = read!(self, outbox::backlog())?;
        if backlog.waiting <= u64::from(max) {
            return Ok(backlog);
        }
        write!(self, outbox::trim(max, now))
    }
}
