//! Why operations wait: what an executor said that gave one back, and what stands in its way.

use crate::domain::id::{InventoryId, OperationId, ProcessId};
use crate::domain::operation::{OperationState, WaitReason};
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::{Store, StoreResult};

/// Why an operation waits that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Why.
    pub reason: WaitReason,
    /// The credential whose account that is about; none where it is about none.
    pub credential: Option<InventoryId>,
}

/// An operation that its executor gives back unbegun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutBack {
    /// Which.
    pub id: OperationId,
    /// Whose it is.
    pub process: ProcessId,
    /// Where it waits.
    pub state: OperationState,
    /// Until when; one that waits for an unverified change only as long as there is one.
    pub run_at: Timestamp,
    /// Why.
    pub wait: Wait,
}

/// What stands in an operation's way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InTheWay {
    /// Why it was given back, or is held, where it was.
    pub wait: Option<Wait>,
    /// The operation of its credential that is running.
    pub running: Option<OperationId>,
    /// The change, due, of the secret that its own follows.
    pub parent: Option<OperationId>,
    /// Operations that run on its device.
    pub on_device: u32,
}

impl Store {
    /// Gives an operation back that was not begun: its attempt does not count. Answers `false`, and changes nothing, where it is
    /// no longer that process's.
    pub async fn operation_put_back(&self, back: PutBack, now: Timestamp) -> StoreResult<bool> {
        write!(self, operation_wait::put_back(back, now))
    }

    /// What stands in an operation's way. `NotFound`.
    pub async fn operation_in_the_way(
        &self,
        id: OperationId,
        now: Timestamp,
    ) -> StoreResult<InTheWay> {
        read!(self, operation_wait::in_the_way(id, now))
    }

    /// The credential whose last change is not proven, so that the account's recorded secret may be the old one: this one, or another
    /// registration of its account that is enabled; none where it is known which secret holds.
    pub async fn credential_unverified(
        &self,
        credential: InventoryId,
    ) -> StoreResult<Option<InventoryId>> {
        read!(self, operation_wait::unverified(credential))
    }
}
