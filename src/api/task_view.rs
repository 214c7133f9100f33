//! A task as JSON, and a task as it is ordered.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::whole;
use super::csv::Row;
use super::state::ApiState;
use super::time::{check_time, instant};
use crate::domain::id::{EventId, ProcessId, TaskId};
use crate::domain::retry::ATTEMPTS_MAX;
use crate::domain::robot::FieldError;
use crate::domain::task::{
    PAYLOAD_BYTES_MAX, PRIORITY_DEFAULT, PRIORITY_MAX, PRIORITY_MIN, TaskStatus, Trigger,
    UNIQUE_KEY_CHARS_MAX,
};
use crate::domain::time::Timestamp;
use crate::robot::registry::Entry;
use crate::store::task::{NewTask, Task};

/// A task.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: TaskId,
    /// Whose work.
    pub robot: String,
    /// What registered it.
    pub trigger: Trigger,
    /// Where it stands.
    pub status: TaskStatus,
    /// The work; null where there is none.
    #[schema(value_type = Value)]
    pub payload: Value,
    /// Higher runs first.
    #[schema(minimum = 0, maximum = 9)]
    pub priority: i16,
    /// Not before this.
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Timestamp,
    /// No attempt starts after this.
    #[schema(value_type = Option<String>, format = DateTime)]
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
    #[schema(value_type = Option<String>, format = DateTime)]
    pub planned_at: Option<Timestamp>,
    /// The event that caused it.
    #[schema(value_type = Option<String>)]
    pub event: Option<EventId>,
    /// Who ordered it.
    pub requested_by: String,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// The process in execution, or the last one.
    #[schema(value_type = Option<String>)]
    pub process: Option<ProcessId>,
    /// Last error, for people.
    pub error: Option<String>,
    /// Whether it was asked to stop while running.
    pub cancel_requested: bool,
}

impl Row for TaskView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "robot",
        "trigger",
        "status",
        "priority",
        "run_at",
        "deadline",
        "unique_key",
        "attempts",
        "max_attempts",
        "deaths",
        "planned_at",
        "event",
        "requested_by",
        "created_at",
        "finished_at",
        "process",
        "error",
        "cancel_requested",
        "payload",
    ];
}

impl TaskView {
    /// `task` with its robot's name.
    pub(super) fn of(task: Task, robot: String) -> Self {
        Self {
            id: task.id,
            robot,
            trigger: task.trigger,
            status: task.status,
            payload: task.payload,
            priority: task.priority,
            run_at: task.run_at,
            deadline: task.deadline,
            unique_key: task.unique_key,
            attempts: task.attempts,
            max_attempts: task.max_attempts,
            deaths: task.deaths,
            planned_at: task.planned_at,
            event: task.event,
            requested_by: task.requested_by,
            created_at: task.created_at,
            finished_at: task.finished_at,
            process: task.process,
            error: task.error,
            cancel_requested: task.cancel_requested,
        }
    }
}

/// A task to be registered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"robot": "custom.nightly_report", "payload": {"day": "2026-01-31"}, "priority": 4}))]
pub struct CreateTaskBody {
    /// Whose work, `category.robot`.
    #[schema(min_length = 1, max_length = 128)]
    robot: String,
    /// The work, at most 256 KiB of JSON.
    #[serde(default)]
    #[schema(value_type = Value)]
    payload: Value,
    /// Higher runs first; 4 when absent.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 9)]
    priority: Option<i16>,
    /// Not before this; at once when absent.
    #[serde(default, deserialize_with = "instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    run_at: Option<Timestamp>,
    /// No attempt starts after this.
    #[serde(default, deserialize_with = "instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    deadline: Option<Timestamp>,
    /// The same (robot, key) is one task, until the finished one is pruned.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    unique_key: Option<String>,
    /// Attempts allowed; the robot's own number when absent.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 100)]
    max_attempts: Option<u32>,
}

impl CreateTaskBody {
    /// The task for the store, or every field that is not acceptable, with `prefix` before its name.
    pub(super) fn check(
        self,
        state: &ApiState,
        actor: &str,
        prefix: &str,
    ) -> Result<NewTask, Vec<FieldError>> {
        let mut errors = self.out_of_bounds(state.now(), prefix);
        let robot = state.registry().get(&self.robot);
        if robot.is_none() {
            let detail = "there is no robot of this name; see GET /api/v1/robots";
            errors.push(FieldError::new(format!("{prefix}robot"), detail));
        }
        let Some(robot) = robot.filter(|_| errors.is_empty()) else {
            return Err(errors);
        };
        let base = order(&robot, actor);
        Ok(NewTask {
            payload: self.payload,
            priority: self.priority.unwrap_or(base.priority),
            run_at: self.run_at,
            deadline: self.deadline,
            unique_key: self.unique_key,
            max_attempts: self
                .max_attempts
                .and_then(|n| i32::try_from(n).ok())
                .unwrap_or(base.max_attempts),
            ..base
        })
    }

    /// The fields that no robot would accept.
    fn out_of_bounds(&self, now: Timestamp, prefix: &str) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut refuse = |field: &str, detail: String| {
            errors.push(FieldError::new(format!("{prefix}{field}"), detail))
        };
        if self
            .priority
            .is_some_and(|p| !(PRIORITY_MIN..=PRIORITY_MAX).contains(&p))
        {
            refuse(
                "priority",
                format!("must lie between {PRIORITY_MIN} and {PRIORITY_MAX}"),
            );
        }
        if self
            .max_attempts
            .is_some_and(|n| !(1..=ATTEMPTS_MAX).contains(&n))
        {
            refuse(
                "max_attempts",
                format!("must lie between 1 and {ATTEMPTS_MAX}"),
            );
        }
        for (field, at) in [("run_at", self.run_at), ("deadline", self.deadline)] {
            if let Some(Err(error)) = at.map(check_time) {
                refuse(field, error.to_string());
            }
        }
        if self
            .deadline
            .is_some_and(|deadline| deadline <= self.run_at.unwrap_or(now))
        {
            refuse(
                "deadline",
                "must lie after `run_at`, or after now".to_owned(),
            );
        }
        if self.unique_key.as_deref().is_some_and(|key| !is_key(key)) {
            refuse(
                "unique_key",
                format!("must have 1 to {UNIQUE_KEY_CHARS_MAX} printable characters"),
            );
        }
        if self.payload.to_string().len() > PAYLOAD_BYTES_MAX {
            refuse(
                "payload",
                format!("must be at most {} KiB of JSON", PAYLOAD_BYTES_MAX / 1024),
            );
        }
        errors
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key.chars().count() <= UNIQUE_KEY_CHARS_MAX
        && !key.chars().any(char::is_control)
}

/// An empty task of `robot`, due at once, as `actor` orders it over HTTP.
pub(super) fn order(robot: &Entry, actor: &str) -> NewTask {
    NewTask {
        robot: robot.id,
        trigger: Trigger::Api,
        payload: Value::Null,
        priority: PRIORITY_DEFAULT,
        run_at: None,
        deadline: None,
        unique_key: None,
        max_attempts: i32::try_from(robot.config.retry.max_attempts).unwrap_or(i32::MAX),
        planned_at: None,
        event: None,
        requested_by: actor.to_owned(),
        for_node: None,
    }
}
