//! Puts operations back in the queue whose next attempt is due, and those whose executor is gone.
//!
//! - **Looks at**: at most 500 operations that wait for another attempt and are due, or waited for a change that is settled, as many that are running and whose
//!   process has ended without them, or whose lease is over, and as many changes that the end of a secret asked for which is another
//!   one by now.
//! - **Changes**: queues the first ones, with `operation.retry_scheduled`; of a device that `outage_from` of them did not reach, one
//!   alone, and the others wait for `outage_pause` until one has succeeded there. Those of a dead executor become `unverified`, because
//!   the target may have been changed; a command whose executor died ends so, for no second run of it would tell. Cancels the
//!   changes that are superseded, with `operation.cancelled` and an audit entry.
//! - **Safe to repeat**: yes: an operation is moved only where it still stands as it was seen.
//! - **If it stops**: operations that failed once stay where they are; new ones are carried out.
//!
//! Number 46 of the catalogue. An executor that takes the place of one that died does the same before anything else
//! (`operation_executor`). When the next attempt is due was decided with the last one (`domain::operation`), by the executor's settings. An
//! older operation beside a newer one of its kind there is never: a credential has one that is open.

mod settings;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;

use self::settings::Settings;
use crate::domain::category::Category;
use crate::domain::failure::FailureClass;
use crate::domain::id::{InventoryId, ProcessId};
use crate::domain::operation::{OperationKind, OperationState, WaitReason};
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use crate::robot::operation::{Told, cancelled};
use crate::robot::registry::Registry;
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::settings::check;
use crate::store::StoreResult;
use crate::store::operation::{Move, Operation, OperationAttempt, Waiting};

/// Operations of one run, of each sort.
const BATCH_ROWS: u32 = 500;
/// Why a change is cancelled that the end of a secret asked for.
const SUPERSEDED: &str = "the secret was changed since it was ordered";

pub(super) struct RetryOperations;

#[async_trait]
impl Robot for RetryOperations {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "operations.operation_executor_retry",
            title: "Operation executor: Retry",
            category: Category::Operations,
            summary: "Puts operations back in the queue whose next attempt is due or whose executor is gone",
            wakes: Wakes::Every(Duration::from_mins(1)),
            events: &["operation.failed"],
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let (store, now) = (ctx.store(), ctx.clock().now());
        let registry = &ctx.tools().registry;
        let settings = own_settings(ctx)?;
        let superseded = store.operation_superseded(BATCH_ROWS).await?;
        let superseded = superseded
            .into_iter()
            .map(|one| cancelled(one, ctx.robot(), Some(SUPERSEDED), registry));
        let dropped = store.operation_move(superseded.collect(), now).await?;
        let stale = store.operation_stale(now, BATCH_ROWS).await?;
        let lost = stale
            .into_iter()
            .map(|(operation, process)| taken_from_the_dead(operation, process, now, registry));
        let lost = store.operation_move(lost.collect(), now).await?;
        store.sign_in_abandon(lost.clone(), now).await?;
        let waiting = store.operation_waiting(now, BATCH_ROWS).await?;
        let silent = silent(ctx, &settings, &waiting).await?;
        let pause = settings.outage_pause.0;
        let moves = released(waiting, &silent, (now, pause), registry);
        let held: usize = moves
            .iter()
            .filter(|one| one.state != OperationState::Queued)
            .count();
        let moved = store.operation_move(moves, now).await?;
        if lost.is_empty() && moved.is_empty() && dropped.is_empty() {
            return Ok(Outcome::nothing());
        }
        Ok(
            Outcome::counted("operations_queued", moved.len().saturating_sub(held))
                .and("operations_held", held.min(moved.len()))
                .and("operations_lost", lost.len())
                .and("operations_superseded", dropped.len()),
        )
    }
}

/// Whose settings count: an executor runs this robot too.
const NAME: &str = "operations.operation_executor_retry";

/// The settings of this robot, whoever runs it.
fn own_settings(ctx: &Context) -> Result<Settings, RobotError> {
    let entry = ctx.tools().registry.get(NAME);
    let config = entry.as_ref().map_or(ctx.config(), |entry| &entry.config);
    serde_json::from_value(config.settings.clone())
        .map_err(|error| RobotError::fail("settings", error.to_string()))
}

/// What is noted of an attempt whose executor is gone; no class of its target's, which may be well.
const LOST: &str = "executor_lost";

/// Nobody knows how far the executor came. How many of its sign-ins were refused at most it had written down.
fn taken_from_the_dead(
    operation: Operation,
    process: ProcessId,
    now: Timestamp,
    registry: &Registry,
) -> Move {
    let kind = operation.kind;
    let state = match kind {
        OperationKind::Test => OperationState::Retrying,
        _ => OperationState::Unverified,
    };
    let ends = !kind.is_settled_by_trying();
    Move {
        attempt: Some(OperationAttempt {
            number: operation.attempts,
            process,
            started_at: operation.updated_at,
            ended_at: now,
            state,
            error_class: Some(LOST.to_owned()),
            detail: Some("the executor did not come back".to_owned()),
            refused: 0,
            steps: Vec::new(),
        }),
        event: ends.then(|| Told::of(&operation).event("operation.unverified", registry)),
        seen: operation,
        state,
        run_at: Some(now),
        wait: None,
        ends,
        audit: None,
    }
}

/// The devices that are down: operations that wait did not reach them, and none succeeded there since.
async fn silent(
    ctx: &Context,
    settings: &Settings,
    waiting: &[Waiting],
) -> StoreResult<HashSet<InventoryId>> {
    let unreached = unreached(waiting);
    let Some(since) = unreached.values().flatten().min() else {
        return Ok(HashSet::new());
    };
    let devices = unreached.keys().copied().collect();
    let answering = ctx.store().operation_answering(devices, *since).await?;
    Ok(down(settings, unreached, &answering))
}

/// By device, when operations that did not reach it were last seen to.
fn unreached(waiting: &[Waiting]) -> HashMap<InventoryId, Vec<Timestamp>> {
    let mut unreached: HashMap<InventoryId, Vec<Timestamp>> = HashMap::new();
    for one in waiting {
        if let Some(device) = silent_device(one) {
            let seen_to = unreached.entry(device).or_default();
            seen_to.push(one.operation.updated_at);
        }
    }
    unreached
}

/// Those that many did not reach since they last answered.
fn down(
    settings: &Settings,
    unreached: HashMap<InventoryId, Vec<Timestamp>>,
    answering: &HashMap<InventoryId, Timestamp>,
) -> HashSet<InventoryId> {
    let is_down = |(device, seen_to): (InventoryId, Vec<Timestamp>)| {
        let answered = answering.get(&device);
        let since = seen_to
            .iter()
            .filter(|at| answered.is_none_or(|last| *at > last));
        settings.is_outage(since.count()).then_some(device)
    };
    unreached.into_iter().filter_map(is_down).collect()
}

/// What becomes of operations that are due, longest due first.
fn released(
    waiting: Vec<Waiting>,
    silent: &HashSet<InventoryId>,
    (now, pause): (Timestamp, Duration),
    registry: &Registry,
) -> Vec<Move> {
    let mut tried: Vec<InventoryId> = Vec::new();
    let mut moves = Vec::with_capacity(waiting.len());
    for one in waiting {
        let down = silent_device(&one).filter(|device| silent.contains(device));
        let held = down.is_some_and(|device| tried.contains(&device));
        tried.extend(down);
        moves.push(if held {
            hold(one.operation, now + pause)
        } else {
            queue(one.operation, now, registry)
        });
    }
    moves
}

/// The device that an operation did not reach the last time.
fn silent_device(waiting: &Waiting) -> Option<InventoryId> {
    let class = waiting.operation.error_class.as_deref()?;
    let class = FailureClass::from_name(class)?;
    waiting.device.filter(|_| class.is_temporary())
}

/// One that waits for nothing any more is due, whatever time it was given.
fn queue(operation: Operation, now: Timestamp, registry: &Registry) -> Move {
    Move {
        event: Some(Told::of(&operation).event_of_wait(
            "operation.retry_scheduled",
            operation.run_at,
            registry,
        )),
        run_at: (operation.run_at > now).then_some(now),
        seen: operation,
        state: OperationState::Queued,
        wait: None,
        ends: false,
        attempt: None,
        audit: None,
    }
}

fn hold(operation: Operation, until: Timestamp) -> Move {
    Move {
        state: operation.state,
        seen: operation,
        run_at: Some(until),
        wait: Some(WaitReason::Outage),
        ends: false,
        attempt: None,
        event: None,
        audit: None,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::domain::id::OperationId;

    fn waiting(id: i64, device: i64, class: FailureClass) -> Waiting {
        let at = DateTime::UNIX_EPOCH;
        Waiting {
            operation: Operation {
                id: OperationId(id),
                kind: OperationKind::ChangePassword,
                credential: InventoryId(id),
                state: OperationState::Retrying,
                error_class: Some(class.as_str().to_owned()),
                attempts: 1,
                run_at: at,
                expires_at: None,
                candidate: None,
                template: None,
                priority: 4,
                requested_by: "ana".to_owned(),
                created_at: at,
                updated_at: at,
                finished_at: None,
            },
            device: Some(InventoryId(device)),
        }
    }

    #[test]
    fn one_operation_tries_a_device_that_does_not_answer() {
        use FailureClass::{AuthFailed, Timeout};
        let now = DateTime::UNIX_EPOCH;
        let cases = [
            (1, 7, Timeout),
            (2, 7, Timeout),
            (3, 7, Timeout),
            (4, 8, Timeout),
            (5, 8, Timeout),
            (6, 7, AuthFailed),
        ];
        let all = cases.map(|(id, device, class)| waiting(id, device, class));
        let settings = Settings::default();
        let silent = down(&settings, unreached(&all), &HashMap::new());
        let pause = settings.outage_pause.0;
        let moves = released(Vec::from(all), &silent, (now, pause), &Registry::default());
        let queued: Vec<i64> = moves
            .iter()
            .filter(|one| one.state == OperationState::Queued)
            .map(|one| one.seen.id.0)
            .collect();
        assert_eq!(queued, [1, 4, 5, 6], "two are no outage, nor is a refusal");
        for held in moves.iter().filter(|one| !queued.contains(&one.seen.id.0)) {
            assert_eq!(held.state, OperationState::Retrying);
            assert_eq!(held.run_at, Some(now + pause));
            assert_eq!(held.wait, Some(WaitReason::Outage));
        }
    }

    #[test]
    fn a_device_that_answered_since_is_not_down() {
        let device = InventoryId(7);
        let second = |second| DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
        let failed = |seconds: &[i64]| {
            let seconds = seconds.iter().copied().map(second).collect();
            HashMap::from([(device, seconds)])
        };
        for (seconds, answered, expected) in [
            (&[1, 2, 3][..], None, true),
            (&[1, 2, 3], Some(4), false),
            (&[1, 2, 3], Some(3), false),
            (&[1, 5, 6], Some(4), false),
            (&[1, 5, 6, 7], Some(4), true),
        ] {
            let answering = answered
                .map(|at| (device, second(at)))
                .into_iter()
                .collect();
            let is_down = down(&Settings::default(), failed(seconds), &answering).contains(&device);
            assert_eq!(is_down, expected, "{seconds:?} {answered:?}");
        }
    }

    #[test]
    fn what_a_dead_executor_did_is_open() {
        let now = DateTime::UNIX_EPOCH;
        let operation = waiting(1, 7, FailureClass::Timeout).operation;
        let test = Operation {
            kind: OperationKind::Test,
            ..operation.clone()
        };
        let run = Operation {
            kind: OperationKind::RunTemplate,
            ..operation.clone()
        };
        let lost = |operation| {
            let lost = taken_from_the_dead(operation, ProcessId(3), now, &Registry::default());
            (lost.state, lost.ends)
        };
        assert_eq!(lost(operation), (OperationState::Unverified, false));
        assert_eq!(lost(test), (OperationState::Retrying, false));
        assert_eq!(lost(run), (OperationState::Unverified, true));
    }
}
