//! What is registered.

use serde_json::Value;

use crate::domain::id::{EventId, NodeId, RobotId, TaskId};
use crate::domain::task::{TaskStatus, Trigger};
use crate::domain::time::Timestamp;

/// A task to register.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// Whose work.
    pub robot: RobotId,
    /// What registers it.
    pub trigger: Trigger,
    /// The work; JSON text is what is stored. `Value::Null` = none.
    pub payload: Value,
    /// 0..=9, higher first.
    pub priority: i16,
    /// Not before this; `None` = at once.
    pub run_at: Option<Timestamp>,
    /// No attempt starts after this.
    pub deadline: Option<Timestamp>,
    /// The same (robot, key) is one task, finished ones included until pruned.
    pub unique_key: Option<String>,
    /// Attempts allowed, at least 1.
    pub max_attempts: i32,
    /// The tick that planned it.
    pub planned_at: Option<Timestamp>,
    /// The event that caused it.
    pub event: Option<EventId>,
    /// Who ordered it (token name, `schedule`, `event`).
    pub requested_by: String,
    /// The only node that may run it; any, if absent.
    pub for_node: Option<NodeId>,
}

impl NewTask {
    /// Where the task stands once it is registered at `now`, and when it may run.
    pub(in crate::store) fn first_status(&self, now: Timestamp) -> (TaskStatus, Timestamp) {
        let run_at = self.run_at.unwrap_or(now).max(now);
        if run_at > now {
            (TaskStatus::Scheduled, run_at)
        } else {
            (TaskStatus::Queued, run_at)
        }
    }
}

/// What became of one [`NewTask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// The new task, or the known one.
    pub id: TaskId,
    /// Whether (robot, `unique_key`) was known already; nothing was added then.
    pub existing: bool,
}
