//! Tasks that wait for somebody's decision before they begin.
//!
//! A row is written by the run that finds that its task must wait, and decided once: by a person, by the run that finds the
//! time for it over, or because the task is gone. Whoever decides wakes the task.

use serde_json::Value;

use crate::domain::access::Role;
use crate::domain::approval::ApprovalState;
use crate::domain::id::{InventoryId, RobotId, TaskId};
use crate::domain::task::TaskStatus;
use crate::domain::time::Timestamp;

use super::audit::NewAudit;
use super::backend::{read, write};
use super::page::{Page, PageRequest};
use super::signal::Signal;
use super::{Store, StoreResult};

/// What somebody is asked to decide on.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalRequest {
    /// The task that waits.
    pub task: TaskId,
    /// The definition it names.
    pub definition: InventoryId,
    /// The definition's revision when it began to wait.
    pub revision: i64,
    /// The definition's name then.
    pub name: String,
    /// What the task means, in the robot's own words; at most some KiB.
    pub meaning: Value,
    /// Who may decide: this role at least.
    pub role: Role,
    /// Who asked for the task.
    pub requested_by: String,
    /// Until when it waits.
    pub expires_at: Timestamp,
}

/// A task that waits, or waited.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    /// What is decided on.
    pub request: ApprovalRequest,
    /// When its run found that it must wait.
    pub requested_at: Timestamp,
    /// Where the decision stands.
    pub state: ApprovalState,
    /// Who decided; none where nobody did.
    pub decided_by: Option<String>,
    /// When it was decided, or was over.
    pub decided_at: Option<Timestamp>,
    /// Why, in the words of whoever decided.
    pub reason: Option<String>,
}

/// A decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// On which task.
    pub task: TaskId,
    /// What is decided.
    pub state: ApprovalState,
    /// Why.
    pub reason: Option<String>,
    /// Its audit entry; the actor is who decides.
    pub audit: NewAudit,
}

impl Store {
    /// Writes down that a task must wait, with its audit entry, unless that was done before; answers how it stands.
    pub async fn approval_ask(
        &self,
        request: ApprovalRequest,
        audit: NewAudit,
        now: Timestamp,
    ) -> StoreResult<Approval> {
        let approval = write!(self, task_approval::ask(&request, &audit, now))?;
        self.tell(Signal::Syslog);
        Ok(approval)
    }

    /// How the decision on a task stands; none: it need not wait, or its run has not found that it must.
    pub async fn approval_get(&self, task: TaskId) -> StoreResult<Option<Approval>> {
        read!(self, task_approval::get(task))
    }

    /// Tasks that wait, or waited, newest first (keyset by the task's id).
    pub async fn approval_list(
        &self,
        state: Option<ApprovalState>,
        page: PageRequest,
    ) -> StoreResult<Page<Approval>> {
        read!(self, task_approval::list(state, page))
    }

    /// Decides on a task, and wakes it. `NotFound`; `Conflict`, and nothing is changed, where the decision is made, or the task
    /// has ended.
    pub async fn approval_decide(&self, verdict: Verdict, now: Timestamp) -> StoreResult<Approval> {
        let outbox = self.outbox();
        let (approval, woken) = write!(self, task_approval::decide(&verdict, now, outbox))?;
        self.tell(Signal::Syslog);
        self.tell_woken(woken);
        Ok(approval)
    }

    /// Withdraws what waits for tasks that are gone, and wakes tasks that fell asleep while they were decided on.
    pub async fn approval_sweep(&self, now: Timestamp) -> StoreResult<()> {
        let outbox = self.outbox();
        let woken = write!(self, task_approval::sweep(now, outbox))?;
        self.tell_woken(woken);
        Ok(())
    }

    fn tell_woken(&self, woken: Vec<(TaskId, RobotId)>) {
        for (id, robot) in &woken {
            self.tell(Signal::Task {
                id: *id,
                robot: *robot,
                status: TaskStatus::Queued,
            });
        }
        if !woken.is_empty() {
            let mut robots: Vec<RobotId> = woken.into_iter().map(|(_, robot)| robot).collect();
            robots.dedup();
            self.tell_queued_again(robots);
        }
    }
}
