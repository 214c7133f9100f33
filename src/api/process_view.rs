//! A process as JSON; an execution is a process that runs.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::csv::Row;
use super::state::RobotNames;
use crate::domain::id::{NodeId, ProcessId, TaskId};
use crate::domain::task::{ProcessOutcome, Trigger};
use crate::domain::time::Timestamp;
use crate::store::process::Process;

/// One started run.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProcessView {
    /// Its id; an execution has the same.
    #[schema(value_type = String)]
    pub id: ProcessId,
    /// The task it is an attempt of.
    #[schema(value_type = String)]
    pub task: TaskId,
    /// Whose run.
    pub robot: String,
    /// What registered the task.
    pub trigger: Trigger,
    /// Number of the attempt, from 1.
    pub attempt: i32,
    /// The node it runs or ran on.
    #[schema(value_type = String)]
    pub node: NodeId,
    /// When it started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// What became of it.
    pub outcome: ProcessOutcome,
    /// The tick that planned it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub planned_at: Option<Timestamp>,
    /// Stable word for the kind of error.
    pub error_class: Option<String>,
    /// Error, for people.
    pub error: Option<String>,
    /// What it counted.
    #[schema(value_type = Value)]
    pub counters: Value,
    /// How far it has got, while it runs.
    pub progress: Option<ProgressView>,
    /// Whether it was asked to stop.
    pub cancel_requested: bool,
}

/// How far a run has got.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProgressView {
    /// 0 to 100.
    #[schema(minimum = 0, maximum = 100)]
    pub percent: i16,
    /// What it is doing.
    pub message: String,
}

impl Row for ProcessView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "task",
        "robot",
        "trigger",
        "attempt",
        "node",
        "started_at",
        "finished_at",
        "outcome",
        "planned_at",
        "error_class",
        "error",
        "counters",
        "progress",
        "cancel_requested",
    ];
}

impl ProcessView {
    /// `process` with its robot's name.
    pub(super) fn of(process: Process, names: &RobotNames) -> Self {
        Self {
            id: process.id,
            task: process.task,
            robot: names.of(process.robot),
            trigger: process.trigger,
            attempt: process.attempt,
            node: process.node,
            started_at: process.started_at,
            finished_at: process.finished_at,
            outcome: process.outcome,
            planned_at: process.planned_at,
            error_class: process.error_class,
            error: process.error,
            counters: process.counters,
            progress: process.progress.map(|p| ProgressView {
                percent: p.percent,
                message: p.message,
            }),
            cancel_requested: process.cancel_requested,
        }
    }
}
