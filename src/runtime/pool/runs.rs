//! The runs a pool has in hand.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::id::{IdMap, ProcessId, RobotId};
use crate::domain::pool::SlotId;
use crate::domain::task::RunEnd;
use crate::robot::outcome::Report;
use crate::runtime::core::{Capacity, Core, Ended};
use crate::store::task::Claimed;

/// Time limits are looked at no more often than this: a look walks over all runs.
const LOOK_PERIOD: Duration = Duration::from_millis(10);

/// What the pool has in hand. A run leaves it with its outcome; what is left when the pool itself dies is
/// lost, and said to be.
pub(super) struct Runs {
    core: Arc<Core>,
    capacity: Arc<Capacity>,
    held: IdMap<ProcessId, Held>,
    /// Not later than the first time limit of `held`.
    look_at: Option<Duration>,
}

struct Held {
    run: Arc<Claimed>,
    /// Where it runs, until it is told to end.
    limit: Option<Limit>,
}

/// A run's time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    /// Where it runs.
    pub(super) slot: SlotId,
    /// How long it may.
    pub(super) limit: Duration,
    /// When it must end, since the pool's start.
    pub(super) until: Duration,
}

impl Runs {
    /// Nothing in hand yet.
    pub(super) fn new(core: Arc<Core>, robot: RobotId) -> Self {
        let capacity = core.capacity.get(&robot).cloned().unwrap_or_default();
        Self {
            core,
            capacity,
            held: IdMap::default(),
            look_at: None,
        }
    }

    /// Runs in hand.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// What may be claimed.
    pub(super) fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// Takes a claimed task in hand.
    pub(super) fn hold(&mut self, claimed: Claimed) {
        let process = claimed.process;
        let run = Arc::new(claimed);
        self.held.insert(process, Held { run, limit: None });
    }

    /// The run in hand with this process starts now.
    pub(super) fn start(&mut self, process: ProcessId, limit: Limit) -> Option<Arc<Claimed>> {
        let held = self.held.get_mut(&process)?;
        held.limit = Some(limit);
        self.look_at = self.look_at.into_iter().chain([limit.until]).min();
        Some(Arc::clone(&held.run))
    }

    /// When time limits are to be looked at, where there are any.
    pub(super) fn look_at(&self) -> Option<Duration> {
        self.look_at
    }

    /// The runs whose time is up, each told once.
    pub(super) fn overdue(&mut self, now: Duration) -> Vec<(ProcessId, Limit)> {
        let mut overdue = Vec::new();
        if self.look_at.is_none_or(|at| now < at) {
            return overdue;
        }
        let mut next = None;
        for (process, held) in &mut self.held {
            if let Some(limit) = held.limit.take_if(|limit| limit.until <= now) {
                overdue.push((*process, limit));
            }
            next = next.into_iter().chain(held.limit.map(|l| l.until)).min();
        }
        self.look_at = next.map(|at| at.max(now.saturating_add(LOOK_PERIOD)));
        overdue
    }

    /// Lets go of a run that has no outcome, because it was never started.
    pub(super) fn take(&mut self, process: ProcessId) -> Option<Arc<Claimed>> {
        self.held.remove(&process).map(|held| held.run)
    }

    /// Records the outcome of a run and lets go of it; a run that is no longer in hand has one already.
    pub(super) fn end(&mut self, process: ProcessId, report: Report) {
        let Some(run) = self.take(process) else {
            return;
        };
        self.capacity.ended();
        let ended = Ended {
            run,
            report,
            finished_at: self.core.now(),
        };
        if self.core.ends.send(ended).is_err() {
            log::warn!("process {process} ended after the recorder; its node's lease decides");
        }
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        let held: Vec<_> = self.held.keys().copied().collect();
        for process in held {
            self.end(
                process,
                Report::of_runtime(RunEnd::Lost, "pool_lost", "its pool died"),
            );
        }
    }
}
