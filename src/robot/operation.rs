//! Ordering operations, and the events that tell of them.

use serde_json::json;

use super::registry::Registry;
use crate::domain::event::CloudEvent;
use crate::domain::id::{InventoryId, OperationId, TaskId};
use crate::domain::operation::{OperationKind, OperationState};
use crate::domain::time::Timestamp;
use crate::store::event::NewEvent;
use crate::store::execution::Execution;
use crate::store::operation::{Move, NewOperation, Operation};
use crate::store::{Store, StoreError, StoreResult};

/// Orders up to 500 operations and publishes `operation.requested` for each that was made. Left out are those whose
/// credential is not there, or has an open one of the kind.
///
/// # Errors
/// The store's.
pub async fn order(
    store: &Store,
    registry: &Registry,
    orders: Vec<NewOperation>,
    now: Timestamp,
) -> StoreResult<Vec<OperationId>> {
    let first = store.operation_ids(orders.len(), now).await?;
    let events = requested(&orders, first, registry);
    store.operation_order(first, orders, events, now).await
}

/// Begins the execution of a task: orders its operations as [`order`] does, once and for ever.
///
/// # Errors
/// `Conflict` where the task has begun before, and the store's others.
pub async fn begin(
    store: &Store,
    registry: &Registry,
    task: TaskId,
    orders: Vec<NewOperation>,
    now: Timestamp,
) -> StoreResult<Execution> {
    let first = store.operation_ids(orders.len(), now).await?;
    let events = requested(&orders, first, registry);
    store
        .execution_start(task, first, orders, events, now)
        .await
}

fn requested(orders: &[NewOperation], first: OperationId, registry: &Registry) -> Vec<NewEvent> {
    let told = orders.iter().zip(first.0..).map(|(order, id)| {
        let told = Told {
            id: OperationId(id),
            kind: order.kind,
            credential: order.credential,
            attempt: 0,
            error_class: None,
        };
        told.event("operation.requested", registry)
    });
    told.collect()
}

/// Ends an operation that nobody has in hand. A candidate that the target may know is kept: the next operation of the
/// credential finds out.
///
/// # Errors
/// `NotFound`; `Conflict` where it is running or has ended.
pub async fn cancel(store: &Store, id: OperationId, now: Timestamp) -> StoreResult<Operation> {
    let seen = store.operation_get(id).await?;
    let stands = if seen.finished_at.is_some() {
        Some(format!("operation `{id}` has ended: {}", seen.state))
    } else if seen.state == OperationState::Running {
        Some(format!(
            "operation `{id}` is running, and is not stopped half-way"
        ))
    } else {
        None
    };
    if let Some(what) = stands {
        return Err(StoreError::Conflict { what });
    }
    let order = Move {
        seen,
        state: OperationState::Cancelled,
        run_at: None,
        ends: true,
        attempt: None,
        event: None,
    };
    if store
        .operation_move(Vec::from([order]), now)
        .await?
        .is_empty()
    {
        let what = format!("operation `{id}` was taken in hand at the same moment");
        return Err(StoreError::Conflict { what });
    }
    store.operation_get(id).await
}

/// What an event tells of an operation; never a secret.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Which.
    pub id: OperationId,
    /// What is done.
    pub kind: OperationKind,
    /// To whose account.
    pub credential: InventoryId,
    /// Attempts begun: an operation tells each thing once an attempt.
    pub attempt: u32,
    /// Class of the failure.
    pub error_class: Option<&'a str>,
}

impl<'a> Told<'a> {
    /// Of an operation as it was read.
    #[must_use]
    pub fn of(operation: &'a Operation) -> Self {
        Self {
            id: operation.id,
            kind: operation.kind,
            credential: operation.credential,
            attempt: operation.attempts,
            error_class: operation.error_class.as_deref(),
        }
    }

    /// The event, with the robots it wakes; its subject is the operation's id.
    #[must_use]
    pub fn event(&self, kind: &str, registry: &Registry) -> NewEvent {
        let data = json!({
            "operation": self.id,
            "kind": self.kind,
            "credential": self.credential,
            "attempt": self.attempt,
            "error_class": self.error_class,
        });
        let id = format!("{}:{}:{kind}", self.id, self.attempt);
        let subject = Some(self.id.to_string());
        registry.route(CloudEvent::own("operations", id, kind, subject, data))
    }
}
