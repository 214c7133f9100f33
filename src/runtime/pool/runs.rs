//! The runs a pool has in hand.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::id::{ProcessId, RobotId};
use crate::domain::task::RunEnd;
use crate::robot::outcome::Report;
use crate::runtime::core::{Core, Ended};
use crate::store::task::Claimed;

/// What the pool has in hand. A run leaves it with its outcome; what is left when the pool itself dies is
/// lost, and said to be.
pub(super) struct Runs {
    core: Arc<Core>,
    id: RobotId,
    held: HashMap<ProcessId, Arc<Claimed>>,
}

impl Runs {
    /// Nothing in hand yet.
    pub(super) fn new(core: Arc<Core>, id: RobotId) -> Self {
        Self {
            core,
            id,
            held: HashMap::new(),
        }
    }

    /// Takes a claimed task in hand.
    pub(super) fn hold(&mut self, claimed: Claimed) {
        self.held.insert(claimed.process, Arc::new(claimed));
    }

    /// The run in hand with this process.
    pub(super) fn get(&self, process: ProcessId) -> Option<&Arc<Claimed>> {
        self.held.get(&process)
    }

    /// Lets go of a run that has no outcome, because it was never started.
    pub(super) fn take(&mut self, process: ProcessId) -> Option<Arc<Claimed>> {
        self.held.remove(&process)
    }

    /// Records the outcome of a run and lets go of it; a run that is no longer in hand has one already.
    pub(super) fn end(&mut self, process: ProcessId, report: Report) {
        let Some(run) = self.held.remove(&process) else {
            return;
        };
        let retry = self
            .core
            .tools
            .registry
            .by_id(self.id)
            .map(|entry| entry.config.retry)
            .unwrap_or_default();
        if let Some(capacity) = self.core.capacity.get(&self.id) {
            capacity.ended();
        }
        let ended = Ended {
            run,
            report,
            finished_at: self.core.now(),
            retry,
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
