//! A task as people see it.

use serde_json::Value;

use super::NewTask;
use crate::domain::id::{EventId, ProcessId, RobotId, TaskId};
use crate::domain::task::{TaskStatus, Trigger};
use crate::domain::time::{Timestamp, from_micros, to_micros};

/// A task as the report **Tasks** shows it, from the hot table or from history.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Whose work.
    pub robot: RobotId,
    /// What registered it.
    pub trigger: Trigger,
    /// Where it stands.
    pub status: TaskStatus,
    /// The work.
    pub payload: Value,
    /// 0..=9.
    pub priority: i16,
    /// Not before this.
    pub run_at: Timestamp,
    /// No attempt starts after this.
    pub deadline: Option<Timestamp>,
    /// The caller's key.
    pub unique_key: Option<String>,
    /// Attempts used, the running one included.
    pub attempts: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// Workers that died of it.
    pub deaths: i32,
    /// The tick that planned it.
    pub planned_at: Option<Timestamp>,
    /// The event that caused it.
    pub event: Option<EventId>,
    /// Who ordered it.
    pub requested_by: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The process now in execution, or the last one.
    pub process: Option<ProcessId>,
    /// Last error, for people.
    pub error: Option<String>,
    /// Whether a running task was asked to stop.
    pub cancel_requested: bool,
}

impl Task {
    /// `task` as it stands when it has just been registered as `id` at `now`.
    #[must_use]
    pub fn registered(id: TaskId, task: NewTask, now: Timestamp) -> Self {
        let kept = |at: Timestamp| from_micros(to_micros(at));
        let (status, run_at) = task.first_status(now);
        Self {
            id,
            robot: task.robot,
            trigger: task.trigger,
            status,
            payload: task.payload,
            priority: task.priority,
            run_at: kept(run_at),
            deadline: task.deadline.map(kept),
            unique_key: task.unique_key,
            attempts: 0,
            max_attempts: task.max_attempts,
            deaths: 0,
            planned_at: task.planned_at.map(kept),
            event: task.event,
            requested_by: task.requested_by,
            created_at: kept(now),
            finished_at: None,
            process: None,
            error: None,
            cancel_requested: false,
        }
    }
}

/// Filters of the report; `None` = any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only these robots (a category filter is resolved to its robots); empty = any.
    pub robots: Vec<RobotId>,
    /// Only this status.
    pub status: Option<TaskStatus>,
    /// Registered at or after.
    pub from: Option<Timestamp>,
    /// Registered before.
    pub to: Option<Timestamp>,
}
