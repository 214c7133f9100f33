//! Tasks: registering, claiming, completing, and the report.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::domain::id::{NodeId, ProcessId, RobotId, TaskId};
use crate::domain::task::{AfterRun, BATCH_TASKS_MAX, ProcessOutcome, TaskStatus};
use crate::domain::time::Timestamp;

use super::backend::{Backend, read, write};
use super::id::Series;
use super::page::{Page, PageRequest};
use super::signal::Signal;
use super::{Store, StoreError, StoreResult};
pub use claim::{Claimed, Completion, ERROR_CHARS_MAX};
pub use dispatch::Starter;
pub(super) use dispatch::{Dispatch, Start};
pub(super) use floor::{Beginnings, Demand, Floor, Floors};
pub use new::{Added, NewTask};
pub(super) use outcome::{Claims, Completed, Promotion, Registered};
pub(super) use register::{Order, Orders};
pub use report::{Task, TaskFilter};

mod claim;
mod dispatch;
mod floor;
mod new;
mod outcome;
mod register;
mod report;

/// What `task_cancel` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelEffect {
    /// It had not started: it is cancelled.
    Cancelled,
    /// It runs on this node under this process: its worker must be told.
    Requested {
        /// The process in execution.
        process: ProcessId,
        /// The robot.
        robot: RobotId,
        /// The node that runs it.
        node: NodeId,
    },
}

/// What `task_promote` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promoted {
    /// Robots that have newly queued tasks, or any after a sweep; each once.
    pub robots: Vec<RobotId>,
    /// When the next scheduled task is due.
    pub next_run_at: Option<Timestamp>,
}

/// What a tick must respect: a robot's open tasks, those scheduled for another attempt included. Each is counted
/// up to 2 only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenRuns {
    /// Queued, running, or to be tried again.
    pub all: u32,
    /// Those of them that are not running.
    pub waiting: u32,
}

/// Queue lengths are exact up to here; a longer queue reads as this number.
pub const QUEUED_COUNT_MAX: u32 = 10_000;

impl Store {
    /// One task, finished or not.
    pub async fn task_get(&self, id: TaskId) -> StoreResult<Option<Task>> {
        read!(self, task_report::get(id))
    }

    /// The report **Tasks**, newest first (keyset by id), hot and finished rows merged.
    pub async fn task_list(
        &self,
        filter: TaskFilter,
        page: PageRequest,
    ) -> StoreResult<Page<Task>> {
        read!(self, task_report::list(&filter, page))
    }

    /// Cancels a waiting task, or asks a running one to stop. `Conflict` when it is finished, `NotFound`.
    pub async fn task_cancel(&self, id: TaskId, now: Timestamp) -> StoreResult<CancelEffect> {
        let outbox = self.outbox();
        let (robot, effect) = write!(self, task_control::cancel(id, now, outbox))?;
        self.tell_cancelled(id, robot, effect);
        Ok(effect)
    }

    /// Queues a finished (failed, cancelled, expired, quarantined) or scheduled task at once, with its
    /// attempts and deaths set back to 0; a deadline that has passed is dropped. The same id. Stands in the audit
    /// trail as done by `actor`. `Conflict` when it runs, is queued or succeeded.
    pub async fn task_retry(&self, id: TaskId, actor: &str, now: Timestamp) -> StoreResult<Task> {
        let (actor, outbox) = (actor.to_owned(), self.outbox());
        let task = write!(self, task_report::retry(id, &actor, now, outbox))?;
        self.tell(Signal::Syslog);
        self.tell(Signal::Task {
            id,
            robot: task.robot,
            status: task.status,
        });
        self.tell_queued_again(vec![task.robot]);
        Ok(task)
    }

    /// Queues scheduled tasks that are due, at most `limit`; finishes tasks whose deadline passed as expired.
    pub async fn task_promote(&self, now: Timestamp, limit: u32) -> StoreResult<Promoted> {
        let outbox = self.outbox();
        let promotion = write!(self, task_control::promote(now, limit, outbox))?;
        Ok(self.tell_promoted(promotion))
    }

    /// As [`Store::task_promote`]; answers all robots that have queued tasks, each found by one look into the queue's
    /// index, not by a count.
    pub async fn task_sweep(&self, now: Timestamp, limit: u32) -> StoreResult<Promoted> {
        let outbox = self.outbox();
        let known = self.beginnings();
        let promotion = write!(self, task_control::sweep(now, limit, &known, outbox))?;
        Ok(self.tell_promoted(promotion))
    }

    fn tell_promoted(&self, promotion: Promotion) -> Promoted {
        self.tell_expired(&promotion.expired);
        let mut robots = Vec::with_capacity(promotion.queued.len());
        for (id, robot) in promotion.queued {
            self.tell(Signal::Task {
                id,
                robot,
                status: TaskStatus::Queued,
            });
            robots.push(robot);
        }
        robots.sort_unstable();
        robots.dedup();
        self.tell_queued_again(robots.clone());
        robots.extend(promotion.waiting);
        robots.sort_unstable();
        robots.dedup();
        Promoted {
            robots,
            next_run_at: promotion.next_run_at,
        }
    }

    /// Claims up to n queued tasks of each robot for `node`, highest priority first, then oldest; in one
    /// transaction. Tasks past their deadline are finished as expired instead. Each gets a new process id.
    /// At most `BATCH_TASKS_MAX` in all. After an error it may have been done all the same: see [`Store::task_unheard`].
    pub async fn task_claim(
        &self,
        node: NodeId,
        demands: Vec<(RobotId, u32)>,
        now: Timestamp,
    ) -> StoreResult<Vec<Claimed>> {
        let wanted = demands
            .iter()
            .map(|(_, count)| usize::try_from(*count).unwrap_or(usize::MAX));
        let wanted = wanted.fold(0, usize::saturating_add);
        bounded("tasks", wanted, BATCH_TASKS_MAX)?;
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let first = self.ids(Series::Process, wanted, now).await?;
        let began = Instant::now();
        let demands = self.floors().demands(&demands, self.hears_all(), began);
        let asked = demands.clone();
        let end = first.saturating_add(i64::try_from(wanted).unwrap_or(i64::MAX));
        let (claimant, outbox) = ((node, self.has_peers()), self.outbox());
        let claims = write!(
            self,
            task_claim::claim(claimant, &demands, first, now, outbox)
        );
        let claims = claims.inspect_err(|_| self.dispatch().note_unheard(first..end))?;
        self.floors()
            .learn(&asked, &claims.reached, began, began.elapsed());
        self.process_ids_unused(claims.next, end).await;
        self.tell_expired(&claims.expired);
        self.tell_claimed(&claims.claimed);
        Ok(claims.claimed)
    }

    pub(super) fn tell_claimed(&self, claimed: &[Claimed]) {
        for claimed in claimed {
            let robot = claimed.robot;
            self.tell(Signal::Task {
                id: claimed.task,
                robot,
                status: TaskStatus::Running,
            });
            self.tell(Signal::Process {
                id: claimed.process,
                robot,
                outcome: ProcessOutcome::Running,
            });
        }
    }

    /// Records ends, each exactly once: a completion whose process is not the task's current one changes
    /// nothing. Finished tasks move to history; a process row is written for each accepted one. One transaction.
    /// Answers per completion whether it was accepted. Signals `TasksReady`/`Scheduled` for what runs again.
    pub async fn task_complete(&self, completions: Vec<Completion>) -> StoreResult<Vec<bool>> {
        bounded("completions", completions.len(), BATCH_TASKS_MAX)?;
        if completions.is_empty() {
            return Ok(Vec::new());
        }
        let completions = Arc::new(completions);
        let sent = Arc::clone(&completions);
        let outbox = self.outbox();
        let completed = write!(self, task_complete::complete(&sent, outbox))?;
        let (mut ready, mut due) = (Vec::new(), None);
        for (completion, accepted) in completions.iter().zip(&completed.accepted) {
            let Some((robot, status)) = *accepted else {
                continue;
            };
            self.tell(Signal::Process {
                id: completion.process,
                robot,
                outcome: completion.outcome,
            });
            self.tell(Signal::Task {
                id: completion.task,
                robot,
                status,
            });
            match (status, completion.after) {
                (TaskStatus::Queued, _) => ready.push(robot),
                (TaskStatus::Scheduled, AfterRun::Again { run_at, .. }) => {
                    due = due.into_iter().chain([run_at]).min();
                }
                _ => {}
            }
        }
        ready.sort_unstable();
        ready.dedup();
        self.tell_queued_again(ready);
        if let Some(at) = due {
            self.tell(Signal::Scheduled(at));
        }
        Ok(completed.accepted.iter().map(Option::is_some).collect())
    }

    /// Gives back claimed tasks that were never started: queued again, no attempt used, no process row. One
    /// that was asked to stop meanwhile is cancelled, as of the instant of its claim.
    pub async fn task_release(&self, claims: Vec<(TaskId, ProcessId)>) -> StoreResult<()> {
        bounded("claims", claims.len(), BATCH_TASKS_MAX)?;
        let outbox = self.outbox();
        let (waiting, cancelled) = write!(self, task_release::release(&claims, outbox))?;
        let mut robots: Vec<_> = waiting.into_iter().map(|(_, robot)| robot).collect();
        robots.sort_unstable();
        robots.dedup();
        for (id, robot) in cancelled {
            self.tell(Signal::Task {
                id,
                robot,
                status: TaskStatus::Cancelled,
            });
        }
        self.tell_queued_again(robots);
        Ok(())
    }

    /// Running tasks whose node is not alive (declared dead, stopped without giving them back, or unknown),
    /// at most `limit`; the Rescuer completes them as lost.
    pub async fn task_orphans(&self, limit: u32) -> StoreResult<Vec<Claimed>> {
        read!(self, task_claim::orphans(limit))
    }

    /// Tells the node that runs a process, where it is another one, that it is to end.
    pub fn tell_node(&self, effect: CancelEffect) {
        if let CancelEffect::Requested {
            process,
            robot,
            node,
        } = effect
        {
            self.tell(Signal::Cancel {
                process,
                robot,
                node,
            });
        }
    }

    /// Running tasks of `node` that were asked to stop, by whomever.
    pub async fn task_to_stop(&self, node: NodeId) -> StoreResult<Vec<(ProcessId, RobotId)>> {
        read!(self, task_claim::to_stop(node))
    }

    /// Cancels waiting tasks that only one node may run, where that node is gone, at most `limit`; answers how many.
    pub async fn task_strand(&self, now: Timestamp, limit: u32) -> StoreResult<u32> {
        let outbox = self.outbox();
        let stranded = write!(self, task_finish::strand(now, limit, outbox))?;
        for (id, robot) in &stranded {
            self.tell(Signal::Task {
                id: *id,
                robot: *robot,
                status: TaskStatus::Cancelled,
            });
        }
        Ok(u32::try_from(stranded.len()).unwrap_or(u32::MAX))
    }

    /// The open runs of each robot: all of them, or those that run on one node or wait for it. Those that have none are
    /// left out.
    pub async fn task_open_runs(
        &self,
        robots: Vec<(RobotId, Option<NodeId>)>,
    ) -> StoreResult<HashMap<(RobotId, Option<NodeId>), OpenRuns>> {
        if robots.is_empty() {
            return Ok(HashMap::new());
        }
        read!(self, task_control::open_runs(&robots))
    }

    /// Queued tasks per robot, each counted exactly up to `QUEUED_COUNT_MAX` and no further.
    pub async fn task_depths(&self) -> StoreResult<Vec<(RobotId, u32)>> {
        let known = self.beginnings();
        read!(self, queue_depth::depths(&known))
    }

    /// Where the queues begin of which this node knows it for certain.
    pub(super) fn beginnings(&self) -> Beginnings {
        self.floors().beginnings(self.hears_all(), Instant::now())
    }

    /// Whether floors are exact: nobody else queues tasks, and rows that are gone stand in the way at all, which SQLite has not.
    fn hears_all(&self) -> bool {
        matches!(self.backend_ref(), Backend::Postgres(_)) && !self.has_peers()
    }

    /// Tells what was registered and what was started of it, and hands the answer on.
    pub(super) fn tell_registered(&self, registered: Registered) -> Vec<Added> {
        if let Some(start) = registered.start {
            start.done(registered.started);
        }
        let robots: Vec<_> = registered.queued.keys().copied().collect();
        self.floors().queued(registered.queued);
        if !robots.is_empty() {
            self.tell(Signal::TasksReady(robots));
        }
        if let Some(at) = registered.scheduled {
            self.tell(Signal::Scheduled(at));
        }
        registered.added
    }

    /// Tells that robots have tasks that are queued again, which stand where they stood before.
    pub(super) fn tell_queued_again(&self, robots: Vec<RobotId>) {
        if !robots.is_empty() {
            self.floors().forget(&robots);
            self.tell(Signal::TasksReady(robots));
        }
    }

    /// Tells what `task_cancel` did.
    pub(super) fn tell_cancelled(&self, id: TaskId, robot: RobotId, effect: CancelEffect) {
        let status = match effect {
            CancelEffect::Cancelled => TaskStatus::Cancelled,
            CancelEffect::Requested { .. } => TaskStatus::Running,
        };
        self.tell(Signal::Task { id, robot, status });
    }

    fn tell_expired(&self, expired: &[(TaskId, RobotId)]) {
        for (id, robot) in expired {
            self.tell(Signal::Task {
                id: *id,
                robot: *robot,
                status: TaskStatus::Expired,
            });
        }
    }
}

/// Refuses a batch beyond its bound.
pub(super) fn bounded(what: &str, count: usize, max: usize) -> StoreResult<()> {
    if count <= max {
        return Ok(());
    }
    Err(StoreError::Other(format!(
        "{count} {what} in one transaction are more than {max}"
    )))
}
