//! A task in a node's hands: what is claimed, and what is told of its end.

use serde_json::Value;

use crate::domain::id::{NodeId, ProcessId, RobotId, TaskId};
use crate::domain::task::{AfterRun, ProcessOutcome, Trigger};
use crate::domain::time::Timestamp;

/// A task just claimed: its process is in execution from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The task.
    pub task: TaskId,
    /// The fence: only this process may complete it.
    pub process: ProcessId,
    /// Whose work.
    pub robot: RobotId,
    /// The node that holds it.
    pub node: NodeId,
    /// What registered it.
    pub trigger: Trigger,
    /// The work, as JSON text.
    pub payload: Value,
    /// This attempt, from 1.
    pub attempt: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// Workers that died of it before.
    pub deaths: i32,
    /// No attempt starts after this.
    pub deadline: Option<Timestamp>,
    /// The tick that planned it.
    pub planned_at: Option<Timestamp>,
    /// When this process started.
    pub started_at: Timestamp,
    /// Whether it was asked to stop (only for tasks of a dead node).
    pub cancel_requested: bool,
}

/// The end of one process, decided by `domain::task::after_run`.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The task.
    pub task: TaskId,
    /// The fence.
    pub process: ProcessId,
    /// How the process ended.
    pub outcome: ProcessOutcome,
    /// Stable class of the error, e.g. `timed_out`, `exit_status`.
    pub error_class: Option<String>,
    /// For people; at most [`ERROR_CHARS_MAX`] characters.
    pub error: Option<String>,
    /// What it counted, e.g. `{"mails sent": 3}`.
    pub counters: Value,
    /// When it ended.
    pub finished_at: Timestamp,
    /// What becomes of the task. Where the task was asked to stop meanwhile, `Again` becomes cancelled.
    pub after: AfterRun,
}

/// Bound on an error text.
pub const ERROR_CHARS_MAX: usize = 4_000;
