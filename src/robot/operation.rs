//! Ordering operations, and the events that tell of them.

use std::time::Duration;

use serde_json::{Value, json};

use super::registry::Registry;
use crate::domain::event::CloudEvent;
use crate::domain::id::{InventoryId, OperationId, TaskId};
use crate::domain::operation::{ChangeCause, OperationKind, OperationState};
use crate::domain::task::PRIORITY_DEFAULT;
use crate::domain::time::{Timestamp, to_micros};
use crate::store::audit::NewAudit;
use crate::store::event::NewEvent;
use crate::store::execution::{Execution, NewExecution};
use crate::store::operation::{Move, NewOperation, OPERATIONS_MAX, Operation};
use crate::store::{Store, StoreError, StoreResult};

/// Orders up to 500 operations; the order is in the audit trail and published as `operation.requested`. Left out are those whose
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

/// Orders new secrets for up to 500 credentials that follow one whose secret was changed, as [`order`] does.
///
/// Each change is followed once. Passed over are those that robots may not change.
///
/// # Errors
/// The store's.
pub async fn follow(
    store: &Store,
    registry: &Registry,
    requested_by: &str,
    now: Timestamp,
) -> StoreResult<()> {
    let most = u32::try_from(OPERATIONS_MAX).unwrap_or(u32::MAX);
    let due = store.credential_followers(most).await?;
    if due.is_empty() {
        return Ok(());
    }
    let fitting = due.iter().filter(|follower| follower.fits);
    let orders: Vec<NewOperation> = fitting
        .map(|follower| NewOperation {
            kind: match follower.is_key {
                true => OperationKind::RotateSshKey,
                false => OperationKind::ChangePassword,
            },
            credential: follower.credential,
            run_at: None,
            expires_at: None,
            template: None,
            priority: PRIORITY_DEFAULT,
            requested_by: requested_by.to_owned(),
            cause: ChangeCause::Ordered,
        })
        .collect();
    let first = store.operation_ids(orders.len(), now).await?;
    let events = requested(&orders, first, registry);
    store
        .credential_follow(due, (first, orders), events, now)
        .await?;
    Ok(())
}

/// Begins the execution of a task that wants `wanted` operations: orders the first of them as [`order`] does, once and for
/// ever, and keeps the `plan` by which the others follow.
///
/// # Errors
/// `Conflict` where the task has begun before, and the store's others.
pub async fn begin(
    store: &Store,
    registry: &Registry,
    task: TaskId,
    (wanted, plan): (usize, Value),
    orders: Vec<NewOperation>,
    now: Timestamp,
) -> StoreResult<Execution> {
    let first = store.operation_ids(wanted, now).await?;
    let events = requested(&orders, first, registry);
    let new = NewExecution {
        task,
        first,
        wanted: u32::try_from(wanted).unwrap_or(u32::MAX),
        plan,
    };
    store.execution_start(new, orders, events, now).await
}

/// Orders the next operations of a task that has begun, each once.
///
/// # Errors
/// `Conflict` where others were ordered since `seen`, and the store's others.
pub async fn go_on(
    store: &Store,
    registry: &Registry,
    task: TaskId,
    seen: Execution,
    orders: Vec<NewOperation>,
    now: Timestamp,
) -> StoreResult<Execution> {
    let next = OperationId(seen.first.0.saturating_add(i64::from(seen.ordered)));
    let events = requested(&orders, next, registry);
    store
        .execution_continue(task, seen, orders, events, now)
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

/// An order of `kind` for each credential and cause, evenly from now on; the last one begins before `over` is past.
#[must_use]
pub fn spread(
    kind: OperationKind,
    due: Vec<(InventoryId, ChangeCause)>,
    over: Duration,
    now: Timestamp,
    requested_by: &str,
) -> Vec<NewOperation> {
    let gap = u32::try_from(due.len())
        .ok()
        .and_then(|count| over.checked_div(count))
        .unwrap_or_default();
    (0_u32..)
        .zip(due)
        .map(|(place, (credential, cause))| NewOperation {
            kind,
            credential,
            run_at: Some(now + gap * place),
            expires_at: None,
            template: None,
            priority: PRIORITY_DEFAULT,
            requested_by: requested_by.to_owned(),
            cause,
        })
        .collect()
}

/// Ends an operation that nobody has in hand, for `actor`.
///
/// That is in the audit trail and published as `operation.cancelled`. A candidate that the target may know is kept: the next operation of the
/// credential finds out.
///
/// # Errors
/// `NotFound`; `Conflict` where it is running or has ended.
pub async fn cancel(
    store: &Store,
    registry: &Registry,
    id: OperationId,
    actor: &str,
    now: Timestamp,
) -> StoreResult<Operation> {
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
    let order = cancelled(seen, actor, None, registry);
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

/// The end of an operation as it was seen, for `actor`: in the audit trail, with the reason where it is none of a person's, and
/// published as `operation.cancelled`.
#[must_use]
pub fn cancelled(seen: Operation, actor: &str, reason: Option<&str>, registry: &Registry) -> Move {
    Move {
        event: Some(Told::of(&seen).event("operation.cancelled", registry)),
        audit: Some(NewAudit {
            actor: actor.to_owned(),
            action: "operation.cancel".to_owned(),
            object: format!("operation:{}", seen.id),
            before: Some(json!({"state": seen.state})),
            after: Some(json!({"state": OperationState::Cancelled, "reason": reason})),
        }),
        seen,
        state: OperationState::Cancelled,
        run_at: None,
        wait: None,
        ends: true,
        attempt: None,
    }
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
        self.named(kind, self.event_id(kind, None), registry)
    }

    /// The same of what ends a wait that was to last `until`: there may be several of them before one attempt.
    #[must_use]
    pub fn event_of_wait(&self, kind: &str, until: Timestamp, registry: &Registry) -> NewEvent {
        self.named(kind, self.event_id(kind, Some(until)), registry)
    }

    fn event_id(&self, kind: &str, until: Option<Timestamp>) -> String {
        let (id, attempt) = (self.id, self.attempt);
        match until {
            None => format!("{id}:{attempt}:{kind}"),
            Some(until) => format!("{id}:{attempt}:{}:{kind}", to_micros(until)),
        }
    }

    fn named(&self, kind: &str, id: String, registry: &Registry) -> NewEvent {
        let data = json!({
            "operation": self.id,
            "kind": self.kind,
            "credential": self.credential,
            "attempt": self.attempt,
            "error_class": self.error_class,
        });
        let subject = Some(self.id.to_string());
        registry.route(CloudEvent::own("operations", id, kind, subject, data))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn each_wait_of_an_attempt_ends_with_an_event_of_its_own() {
        let told = Told {
            id: OperationId(7),
            kind: OperationKind::Test,
            credential: InventoryId(3),
            attempt: 1,
            error_class: None,
        };
        let id = |seconds| {
            let until = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
            told.event_id("operation.retry_scheduled", Some(until))
        };
        assert_ne!(id(1), id(2), "it was put back twice");
        assert_eq!(id(1), id(1), "it is told once");
    }

    #[test]
    fn orders_are_spread_evenly() {
        let now = DateTime::UNIX_EPOCH;
        let starts = |count: i64| -> Vec<i64> {
            let due = |id| (InventoryId(id), ChangeCause::Expired);
            let due = (1..=count).map(due).collect();
            let over = Duration::from_mins(2);
            let orders = spread(OperationKind::Test, due, over, now, "me");
            let after = |order: &NewOperation| order.run_at.unwrap() - now;
            orders.iter().map(|one| after(one).num_seconds()).collect()
        };
        assert_eq!(starts(0), [] as [i64; 0]);
        assert_eq!(starts(1), [0]);
        assert_eq!(starts(4), [0, 30, 60, 90]);
        let last = *starts(500).last().unwrap();
        assert!(TimeDelta::seconds(last) < TimeDelta::minutes(2));
    }
}
