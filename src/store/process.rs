//! Processes, executions and process logs.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;

use crate::domain::id::{NodeId, ProcessId, RobotId, TaskId};
use crate::domain::task::{BATCH_TASKS_MAX, ProcessOutcome, Trigger};
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::page::{Page, PageRequest};
use super::signal::Signal;
use super::task::{CancelEffect, bounded};
use super::{Store, StoreResult};

/// One started run. While it runs it lives in its task's row; afterwards it is a row of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// Its id; an execution has the same.
    pub id: ProcessId,
    /// The task it is an attempt of.
    pub task: TaskId,
    /// Whose run.
    pub robot: RobotId,
    /// What registered the task.
    pub trigger: Trigger,
    /// Number of the attempt, from 1.
    pub attempt: i32,
    /// The node it runs or ran on.
    pub node: NodeId,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended; `None` while it runs.
    pub finished_at: Option<Timestamp>,
    /// What became of it.
    pub outcome: ProcessOutcome,
    /// The tick that planned it.
    pub planned_at: Option<Timestamp>,
    /// Stable class of the error.
    pub error_class: Option<String>,
    /// Error for people.
    pub error: Option<String>,
    /// What it counted.
    pub counters: Value,
    /// How far, while it runs.
    pub progress: Option<Progress>,
    /// Whether it was asked to stop.
    pub cancel_requested: bool,
}

/// How far a run has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// 0..=100.
    pub percent: i16,
    /// What it is doing, at most 200 characters.
    pub message: String,
}

/// Filters of the report; `None` = any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessFilter {
    /// Only these robots; empty = any.
    pub robots: Vec<RobotId>,
    /// Only this outcome (`Running` = in execution).
    pub outcome: Option<ProcessOutcome>,
    /// Only this node.
    pub node: Option<NodeId>,
    /// Only runs of this task.
    pub task: Option<TaskId>,
    /// Started at or after.
    pub from: Option<Timestamp>,
    /// Started before.
    pub to: Option<Timestamp>,
}

/// A piece of a process's log: one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Whose.
    pub process: ProcessId,
    /// Position in the process's log, from 1, without gaps until the bound cuts the middle out.
    pub seq: i64,
    /// When it was written.
    pub at: Timestamp,
    /// 1 error, 2 warn, 3 info, 4 debug, 5 stdout, 6 stderr.
    pub level: i16,
    /// The text, at most [`LOG_LINE_BYTES_MAX`].
    pub text: String,
}

/// Bound on one line of a process log.
pub const LOG_LINE_BYTES_MAX: usize = 64 * 1024;

/// How a robot's last run went, for the robot's `state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastProcess {
    /// Which.
    pub id: ProcessId,
    /// What became of it.
    pub outcome: ProcessOutcome,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Its error.
    pub error: Option<String>,
}

/// How many processes of a robot ended how and how long they took, of those that started within one part of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// Whose.
    pub robot: RobotId,
    /// Start of the part.
    pub at: Timestamp,
    /// How they ended.
    pub outcome: ProcessOutcome,
    /// How many.
    pub count: u64,
    /// How long they took together, from start to end.
    pub took: Duration,
    /// How long the longest of them took.
    pub longest: Duration,
    /// How long one of them waited at most, from when it was due. Only tasks' last attempts are known to have waited.
    pub longest_wait: Duration,
}

impl Store {
    /// Counts ended processes that started in `[from, to)`, in parts of width `part` (at least a microsecond),
    /// counted from 1970; parts without any are left out. At most the newest million processes are counted.
    pub async fn process_activity(
        &self,
        from: Timestamp,
        to: Timestamp,
        part: TimeDelta,
    ) -> StoreResult<Vec<Activity>> {
        let part = part.num_microseconds().unwrap_or(i64::MAX).max(1);
        read!(self, activity::ended(from, to, part))
    }

    /// The report **Process**, newest first (keyset by id): running ones and history merged.
    pub async fn process_list(
        &self,
        filter: ProcessFilter,
        page: PageRequest,
    ) -> StoreResult<Page<Process>> {
        read!(self, process_report::list(&filter, page))
    }

    /// One process, running or ended.
    pub async fn process_get(&self, id: ProcessId) -> StoreResult<Option<Process>> {
        read!(self, process_report::get(id))
    }

    /// The report **In execution**: running processes, newest first.
    pub async fn execution_list(
        &self,
        filter: ProcessFilter,
        page: PageRequest,
    ) -> StoreResult<Page<Process>> {
        read!(self, process_report::executions(&filter, page))
    }

    /// Asks a running process to stop. `NotFound`, `Conflict` when it ended.
    pub async fn execution_cancel(
        &self,
        id: ProcessId,
        now: Timestamp,
    ) -> StoreResult<CancelEffect> {
        let outbox = self.outbox();
        let (task, effect) = write!(self, task_control::cancel_process(id, now, outbox))?;
        if let CancelEffect::Requested { robot, .. } = effect {
            self.tell_cancelled(task, robot, effect);
        }
        Ok(effect)
    }

    /// Records how far running processes have got; ended ones are passed over.
    pub async fn process_progress(&self, progress: Vec<(ProcessId, Progress)>) -> StoreResult<()> {
        bounded("reports of progress", progress.len(), BATCH_TASKS_MAX)?;
        let told = write!(self, process::progress(&progress))?;
        for (id, robot) in told {
            self.tell(Signal::Process {
                id,
                robot,
                outcome: ProcessOutcome::Running,
            });
        }
        Ok(())
    }

    /// Ends of the last run of each of `robots`, kept by the completing batch in the robot's row.
    pub async fn process_last(&self) -> StoreResult<Vec<(RobotId, LastProcess)>> {
        read!(self, process::last())
    }

    /// Appends lines and removes the seq ranges in `cut` (the middle of over-long logs).
    pub async fn log_append(
        &self,
        lines: Vec<LogLine>,
        cut: Vec<(ProcessId, i64, i64)>,
    ) -> StoreResult<()> {
        write!(self, log::append(&lines, &cut))
    }

    /// Lines of one process with `seq > after`, oldest first, at most `limit`.
    pub async fn log_read(
        &self,
        process: ProcessId,
        after: i64,
        limit: u32,
    ) -> StoreResult<Vec<LogLine>> {
        read!(self, log::read(process, after, limit))
    }

    /// The last `limit` lines of one process with `after < seq < before`, oldest first.
    pub async fn log_read_back(
        &self,
        process: ProcessId,
        after: i64,
        before: i64,
        limit: u32,
    ) -> StoreResult<Vec<LogLine>> {
        read!(self, log::read_back(process, after, before, limit))
    }
}
