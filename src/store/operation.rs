//! Operations on the accounts of credentials, and their attempts.
//!
//! Of each kind a credential has one open operation at most, and of all kinds one that is running. Whoever runs one holds
//! it by his process: what he records is taken only while it is still his.

use std::collections::HashMap;

use crate::domain::id::{InventoryId, OperationId, ProcessId};
use crate::domain::operation::{
    Admission, ChangeCause, Finding, Lives, OperationKind, OperationState, WaitReason,
};
use crate::domain::time::Timestamp;
use crate::domain::transcript::Step;

use super::audit::NewAudit;
use super::backend::{read, write};
use super::event::NewEvent;
use super::id::Series;
use super::page::{Page, PageRequest};
use super::signal::Signal;
use super::task::bounded;
use super::{Store, StoreResult};

/// Bound on the operations of one call.
pub const OPERATIONS_MAX: usize = 500;

/// Bound on the kept text of an attempt, in characters.
pub const DETAIL_CHARS_MAX: usize = 512;

/// An operation about to be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOperation {
    /// What to do.
    pub kind: OperationKind,
    /// To whose account.
    pub credential: InventoryId,
    /// Not before this; at once when absent.
    pub run_at: Option<Timestamp>,
    /// Not begun after this.
    pub expires_at: Option<Timestamp>,
    /// The template, for `run_template`.
    pub template: Option<InventoryId>,
    /// 0 to 9, as of a task: of those that are due the higher one is begun first.
    pub priority: i16,
    /// A token's name, or a robot's; the actor in the audit trail.
    pub requested_by: String,
    /// Why.
    pub cause: ChangeCause,
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// What is to be done.
    pub kind: OperationKind,
    /// To whose account.
    pub credential: InventoryId,
    /// Where it stands.
    pub state: OperationState,
    /// Class of the last failure.
    pub error_class: Option<String>,
    /// Attempts begun.
    pub attempts: u32,
    /// When it was, or will be, due.
    pub run_at: Timestamp,
    /// Not begun after this.
    pub expires_at: Option<Timestamp>,
    /// The version of the new secret; while it is open, one that the target may know.
    pub candidate: Option<i64>,
    /// The template, for `run_template`.
    pub template: Option<InventoryId>,
    /// 0 to 9: of those that are due the higher one is begun first.
    pub priority: i16,
    /// Who ordered it.
    pub requested_by: String,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended; none while it is open.
    pub finished_at: Option<Timestamp>,
}

/// An attempt that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationAttempt {
    /// 1 is the first.
    pub number: u32,
    /// Who made it.
    pub process: ProcessId,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Where it left the operation.
    pub state: OperationState,
    /// Class of the failure.
    pub error_class: Option<String>,
    /// The failure for people, without secrets; at most [`DETAIL_CHARS_MAX`] characters are kept.
    pub detail: Option<String>,
    /// Sign-ins that the target refused.
    pub refused: u32,
    /// What was done at the target, where that was written down.
    pub steps: Vec<Step>,
}

/// An operation of which an order changes the state, as its caller saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    /// The operation as it was seen: changed meanwhile, it is left alone.
    pub seen: Operation,
    /// Its new state.
    pub state: OperationState,
    /// When it is due; unchanged where absent.
    pub run_at: Option<Timestamp>,
    /// Why it waits on, where that is to be seen.
    pub wait: Option<WaitReason>,
    /// Whether it ends.
    pub ends: bool,
    /// An attempt whose executor is gone, to be written down with it.
    pub attempt: Option<OperationAttempt>,
    /// Published with it; its subject is the operation's id.
    pub event: Option<NewEvent>,
    /// Its audit entry, where a person moves it; its object is `operation:ID`.
    pub audit: Option<NewAudit>,
}

/// What the executor of an operation records.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationEnd {
    /// Which.
    pub id: OperationId,
    /// The attempt, with the state it leads to.
    pub attempt: OperationAttempt,
    /// When the next one is due; none where the operation has ended.
    pub run_at: Option<Timestamp>,
    /// The version of the new secret, where there is one.
    pub candidate: Option<i64>,
    /// What the account said of the secret in force, where it said something.
    pub finding: Option<Finding>,
    /// How the account stands by now, where the target has opened or closed it.
    pub admission: Option<Admission>,
    /// Published with it.
    pub events: Vec<NewEvent>,
}

/// Filters of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationFilter {
    /// Only in this state.
    pub state: Option<OperationState>,
    /// Only of this kind.
    pub kind: Option<OperationKind>,
    /// Only of this credential.
    pub credential: Option<InventoryId>,
}

/// An operation that waits for its next attempt, and the device it is for; none where its credential is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The operation.
    pub operation: Operation,
    /// The device.
    pub device: Option<InventoryId>,
}

impl Store {
    /// Takes `count` ids for new operations; answers the first, the others follow.
    pub async fn operation_ids(&self, count: usize, now: Timestamp) -> StoreResult<OperationId> {
        Ok(OperationId(self.ids(Series::Operation, count, now).await?))
    }

    /// Orders up to 500 operations with their events and audit entries, the first under the id `first`. Answers those that were made: left
    /// out are those whose credential is not there, or has an open one of the kind. An event belongs to the operation
    /// whose id is its subject, and is published only with it.
    pub async fn operation_order(
        &self,
        first: OperationId,
        orders: Vec<NewOperation>,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> StoreResult<Vec<OperationId>> {
        bounded("operations", orders.len(), OPERATIONS_MAX)?;
        let ids = self.publication_ids(&events, now).await?;
        let (made, published) = write!(self, operation::order(first, &orders, &events, &ids, now))?;
        self.tell(Signal::Syslog);
        self.tell(Signal::Inventory);
        self.tell_published(published);
        Ok(made)
    }

    /// One operation. `NotFound`.
    pub async fn operation_get(&self, id: OperationId) -> StoreResult<Operation> {
        read!(self, operation_report::get(id))
    }

    /// Its attempts that are over, the first one first.
    pub async fn operation_attempts(&self, id: OperationId) -> StoreResult<Vec<OperationAttempt>> {
        read!(self, operation_report::attempts(id))
    }

    /// The report, newest first (keyset by id).
    pub async fn operation_list(
        &self,
        filter: OperationFilter,
        page: PageRequest,
    ) -> StoreResult<Page<Operation>> {
        read!(self, operation_report::list(&filter, page))
    }

    /// Takes the queued operation that is due, of the highest priority and then the longest, unless another one of its credential is
    /// running, or a change of the one whose secret is to be followed is due first: it is `process`'s until `lease_until`. Left alone are operations of a device on which `per_device` run. Its attempt is counted before anything is done. An expired one is taken only where the target
    /// may know its candidate.
    pub async fn operation_claim(
        &self,
        process: ProcessId,
        lease_until: Timestamp,
        per_device: u32,
        now: Timestamp,
    ) -> StoreResult<Option<Operation>> {
        write!(
            self,
            operation::claim(process, lease_until, per_device, now)
        )
    }

    /// Whether [`Store::operation_claim`] would find one.
    pub async fn operation_is_due(&self, per_device: u32, now: Timestamp) -> StoreResult<bool> {
        read!(self, operation::is_due(per_device, now))
    }

    /// Records what an attempt came to, with its events; answers `false`, and records nothing, where the operation is no
    /// longer the attempt's process's.
    pub async fn operation_end(&self, end: OperationEnd, now: Timestamp) -> StoreResult<bool> {
        let ids = self.publication_ids(&end.events, now).await?;
        let published = write!(self, operation::end(&end, &ids, now))?;
        let Some(published) = published else {
            return Ok(false);
        };
        self.tell(Signal::Inventory);
        self.tell_published(published);
        Ok(true)
    }

    /// Moves up to 500 operations that still are as they were seen, with their events and audit entries; answers which were moved.
    pub async fn operation_move(
        &self,
        moves: Vec<Move>,
        now: Timestamp,
    ) -> StoreResult<Vec<OperationId>> {
        bounded("operations", moves.len(), OPERATIONS_MAX)?;
        let events: Vec<NewEvent> = moves.iter().filter_map(|one| one.event.clone()).collect();
        let ids = self.publication_ids(&events, now).await?;
        let (moved, published) = write!(self, operation_move::apply(&moves, &events, &ids, now))?;
        self.tell(Signal::Syslog);
        self.tell(Signal::Inventory);
        self.tell_published(published);
        Ok(moved)
    }

    /// The same with one event in place of theirs, where any was moved: its data gets `operations`, which were.
    pub async fn operation_move_as_one(
        &self,
        moves: Vec<Move>,
        event: NewEvent,
        now: Timestamp,
    ) -> StoreResult<Vec<OperationId>> {
        bounded("operations", moves.len(), OPERATIONS_MAX)?;
        let ids = self
            .publication_ids(std::slice::from_ref(&event), now)
            .await?;
        let (moved, published) = write!(
            self,
            operation_move::apply_as_one(&moves, &event, &ids, now)
        )?;
        self.tell(Signal::Syslog);
        self.tell(Signal::Inventory);
        self.tell_published(published);
        Ok(moved)
    }

    /// Operations whose next attempt is due, longest due first, at most `limit`; of those that wait for an unverified change all
    /// that need not wait for it any more.
    pub async fn operation_waiting(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<Waiting>> {
        read!(self, operation_report::waiting(now, limit))
    }

    /// Which of these devices, at most 500, an operation succeeded on after `since`, and when the last one did.
    pub async fn operation_answering(
        &self,
        devices: Vec<InventoryId>,
        since: Timestamp,
    ) -> StoreResult<HashMap<InventoryId, Timestamp>> {
        bounded("devices", devices.len(), OPERATIONS_MAX)?;
        read!(self, operation_report::answering(&devices, since))
    }

    /// Running operations whose lease is over or whose process has ended, so that nobody has them in hand any more, with
    /// who held them, at most `limit`.
    pub async fn operation_stale(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<(Operation, ProcessId)>> {
        read!(self, operation_report::stale(now, limit))
    }

    /// Changes that the end of a secret asked for and that nobody has in hand, where another secret came into force since and no
    /// candidate is open; at most `limit`.
    pub async fn operation_superseded(&self, limit: u32) -> StoreResult<Vec<Operation>> {
        read!(self, operation_report::superseded(limit))
    }

    /// Operations that wait, have no candidate to settle that a target may know, and whose time is over, or whose credential is gone, or
    /// whose task was cancelled or has expired; at most `limit`. The time of one without `expires_at` is its kind's life from its first attempt on, or from when it is due.
    pub async fn operation_overdue(
        &self,
        lives: Lives,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Operation>> {
        read!(self, operation_move::overdue(lives, now, limit))
    }

    /// Gives operations that wait until `until` whose time was over behind the first instant of `within`, and by the second, at most
    /// `limit`; answers how many.
    pub async fn operation_respite(
        &self,
        lives: Lives,
        within: (Timestamp, Timestamp),
        until: Timestamp,
        limit: u32,
    ) -> StoreResult<usize> {
        write!(self, operation_move::respite(lives, within, until, limit))
    }
}
