//! Why an operation waits, and until when, as far as that is known.

use serde_json::Value;

use crate::domain::id::{InventoryId, OperationId};
use crate::domain::operation::{OperationState, WaitReason};
use crate::domain::time::Timestamp;
use crate::robot::registry::{Entry, Registry};
use crate::store::operation::Operation;
use crate::store::operation_wait::InTheWay;
use crate::store::{Store, StoreResult};

/// The robot that carries operations out.
const EXECUTOR: &str = "operations.operation_executor";

/// What an operation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingFor {
    /// Why.
    pub reason: WaitReason,
    /// Until when at the latest, where that is known.
    pub until: Option<Timestamp>,
    /// The credential whose account must not sign in before.
    pub credential: Option<InventoryId>,
    /// The operation that comes first.
    pub operation: Option<OperationId>,
}

/// The robot that carries operations out, as far as it keeps one waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Executor {
    /// Why it begins nothing now, and until when, where that is so.
    rests: Option<(WaitReason, Option<Timestamp>)>,
    /// Operations that run on one device at most, where it says so.
    per_device: Option<u64>,
}

/// Why an operation is not worked on now; none where it is, or has ended.
///
/// # Errors
/// The store's.
pub async fn waiting_for(
    store: &Store,
    registry: &Registry,
    operation: &Operation,
    now: Timestamp,
) -> StoreResult<Option<WaitingFor>> {
    if operation.finished_at.is_some() || operation.state == OperationState::Running {
        return Ok(None);
    }
    let in_the_way = store.operation_in_the_way(operation.id, now).await?;
    let executor = registry.get(EXECUTOR).map(|entry| executor(&entry, now));
    Ok(Some(judged(operation, in_the_way, executor, now)))
}

fn executor(entry: &Entry, now: Timestamp) -> Executor {
    let config = &entry.config;
    let is_off = !config.enabled || config.instances == 0;
    let quarantined = entry.health.borrow().quarantined;
    let closed = config.window.as_ref().filter(|window| !window.is_open(now));
    Executor {
        rests: match (quarantined, closed) {
            _ if is_off => Some((WaitReason::RobotPaused, None)),
            (Some((_, probe)), _) => Some((WaitReason::RobotPaused, Some(probe))),
            (None, Some(window)) => Some((WaitReason::Window, window.next_open(now))),
            (None, None) => None,
        },
        per_device: config.settings.get("per_device").and_then(Value::as_u64),
    }
}

/// What comes first of all that stands in the way of an operation that is open and in nobody's hand.
fn judged(
    operation: &Operation,
    in_the_way: InTheWay,
    executor: Option<Executor>,
    now: Timestamp,
) -> WaitingFor {
    let of = |reason| WaitingFor {
        reason,
        until: None,
        credential: None,
        operation: None,
    };
    let until = |reason, until: Option<Timestamp>| WaitingFor {
        until: until.filter(|until| *until > now),
        ..of(reason)
    };
    let behind = |reason, first| WaitingFor {
        operation: Some(first),
        ..of(reason)
    };
    let due = Some(operation.run_at);
    if operation.state != OperationState::Queued {
        let Some(wait) = in_the_way.wait else {
            return until(WaitReason::NextAttempt, due);
        };
        // How long it takes until it is known which secret holds, nobody can say.
        let due = due.filter(|_| wait.reason != WaitReason::UnverifiedChange);
        return WaitingFor {
            credential: wait.credential,
            ..until(wait.reason, due)
        };
    }
    if operation.run_at > now {
        return until(WaitReason::Scheduled, due);
    }
    if let Some(first) = in_the_way.running {
        return behind(WaitReason::OtherOperation, first);
    }
    if let Some(first) = in_the_way.parent {
        return behind(WaitReason::Parent, first);
    }
    match executor {
        Some(Executor {
            rests: Some((reason, end)),
            ..
        }) => until(reason, end),
        Some(Executor {
            per_device: Some(most),
            ..
        }) if u64::from(in_the_way.on_device) >= most => of(WaitReason::DeviceLimit),
        _ => of(WaitReason::Executor),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::domain::operation::OperationKind;
    use crate::store::operation_wait::Wait;

    fn at(seconds: i64) -> Timestamp {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn operation(state: OperationState, run_at: i64) -> Operation {
        Operation {
            id: OperationId(1),
            kind: OperationKind::Test,
            credential: InventoryId(7),
            state,
            error_class: None,
            attempts: 0,
            run_at: at(run_at),
            expires_at: None,
            candidate: None,
            template: None,
            priority: 4,
            requested_by: "ana".to_owned(),
            created_at: at(0),
            updated_at: at(0),
            finished_at: None,
        }
    }

    const READY: Executor = Executor {
        rests: None,
        per_device: Some(4),
    };

    fn told(
        (state, run_at): (OperationState, i64),
        way: InTheWay,
        executor: Executor,
    ) -> (WaitReason, Option<Timestamp>) {
        let found = judged(&operation(state, run_at), way, Some(executor), at(100));
        (found.reason, found.until)
    }

    #[test]
    fn what_is_queued_says_what_comes_first() {
        let (due, free) = ((OperationState::Queued, 100), InTheWay::default());
        let crowded = InTheWay {
            on_device: 4,
            ..free
        };
        let off = Executor {
            rests: Some((WaitReason::RobotPaused, None)),
            ..READY
        };
        let closed = Executor {
            rests: Some((WaitReason::Window, Some(at(300)))),
            ..READY
        };
        for (place, way, executor, expected) in [
            (
                (OperationState::Queued, 101),
                crowded,
                off,
                (WaitReason::Scheduled, Some(at(101))),
            ),
            (due, free, READY, (WaitReason::Executor, None)),
            (due, crowded, READY, (WaitReason::DeviceLimit, None)),
            (due, crowded, closed, (WaitReason::Window, Some(at(300)))),
            (due, free, off, (WaitReason::RobotPaused, None)),
        ] {
            assert_eq!(told(place, way, executor), expected);
        }
        let way = InTheWay {
            running: Some(OperationId(3)),
            parent: Some(OperationId(4)),
            ..free
        };
        let found = judged(&operation(due.0, due.1), way, Some(off), at(100));
        let other = (WaitReason::OtherOperation, Some(OperationId(3)));
        assert_eq!((found.reason, found.operation), other);
        let way = InTheWay {
            running: None,
            ..way
        };
        let found = judged(&operation(due.0, due.1), way, None, at(100));
        let parent = (WaitReason::Parent, Some(OperationId(4)));
        assert_eq!((found.reason, found.operation), parent);
    }

    #[test]
    fn what_was_given_back_says_why() {
        let given = |reason| InTheWay {
            wait: Some(Wait {
                reason,
                credential: Some(InventoryId(9)),
            }),
            ..InTheWay::default()
        };
        let (lockout, open) = (WaitReason::Lockout, WaitReason::UnverifiedChange);
        let again = (OperationState::Retrying, 200);
        for (place, way, expected) in [
            (again, given(lockout), (lockout, Some(at(200)))),
            (again, given(open), (open, None)),
            (
                again,
                InTheWay::default(),
                (WaitReason::NextAttempt, Some(at(200))),
            ),
            (
                (OperationState::Unverified, 50),
                InTheWay::default(),
                (WaitReason::NextAttempt, None),
            ),
        ] {
            assert_eq!(told(place, way, READY), expected);
        }
        let found = judged(&operation(again.0, 200), given(open), None, at(100));
        assert_eq!(found.credential, Some(InventoryId(9)));
    }
}
