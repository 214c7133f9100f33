//! Ends operations that nobody could begin in time.
//!
//! - **Looks at**: at most 500 operations at once that wait and whose `expires_at` has passed, or the life that `life` gives those of
//!   their kind without one, or whose credential is gone, or whose task was cancelled or has expired; and when it last ran.
//! - **Changes**: sets them to `expired`, with `operation.expired`; one event tells of all where they are `digest_from` or more. One that is
//!   running, or whose candidate the target may know, is left to its executor: which secret is in force must be found out, however
//!   late. What ended while no node was running gets `grace` more, as its `expires_at`.
//! - **Safe to repeat**: yes: an operation is moved only where it still waits; a claim at the same moment wins.
//! - **If it stops**: operations past their time stay open, so that no other one of their kind is ordered; they are not
//!   carried out all the same.
//!
//! Number 47 of the catalogue. A task that is cancelled while an executor has it in hand cancels its operations itself; one whose executor
//! had died leaves them to this robot.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::category::Category;
use crate::domain::event::CloudEvent;
use crate::domain::operation::{Lives, OperationKind, OperationState};
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use crate::robot::operation::Told;
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::settings::{Iso, Settings as Check, check, require, require_between};
use crate::store::StoreResult;
use crate::store::operation::{Move, Operation};

/// Operations of one transaction.
const BATCH_ROWS: u32 = 500;
/// A shorter while without a node is a restart, in which nobody missed his turn.
const OUTAGE_MIN: Duration = Duration::from_mins(5);

pub(super) struct CancelExpiredOperations;

/// The settings of this robot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// By kind, how long operations without `expires_at` may wait.
    life: Lives,
    /// What operations get more whose time was over while no node was running; none: nothing.
    grace: Iso,
    /// So many that end at once are told of by one event, 2 to 500.
    digest_from: u32,
}

impl Default for Settings {
    /// A quarter of an hour is what executors need to begin what has piled up on most machines.
    fn default() -> Self {
        Self {
            life: Lives::default(),
            grace: Iso(Duration::from_mins(15)),
            digest_from: 20,
        }
    }
}

impl Check for Settings {
    fn check(&self) -> Result<(), FieldError> {
        let (least, day) = (Duration::from_mins(1), Duration::from_hours(24));
        for (kind, life) in OperationKind::ALL.iter().zip(self.life.by_code()) {
            let field = format!("life.{kind}");
            require_between(&field, life.unwrap_or(least), least, 366 * day)?;
        }
        require_between("grace", self.grace.0, Duration::ZERO, day)?;
        let fits = (2..=BATCH_ROWS).contains(&self.digest_from);
        require(fits, "digest_from", "must lie between 2 and 500")
    }
}

#[async_trait]
impl Robot for CancelExpiredOperations {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "operations.expired_operation_cancellation",
            title: "Expired operation cancellation",
            category: Category::Operations,
            summary: "Ends operations that were not begun before their time was over",
            wakes: Wakes::Every(Duration::from_mins(1)),
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let settings: Settings = ctx.settings()?;
        let spared = spare(ctx, &settings).await?;
        let mut expired = 0;
        for batch in 0_u32.. {
            let now = ctx.clock().now();
            let overdue = ctx
                .store()
                .operation_overdue(settings.life, now, BATCH_ROWS);
            let moved = expire(ctx, &settings, overdue.await?, (batch, now)).await?;
            expired += moved;
            if moved == 0 || ctx.cancelled().is_cancelled() {
                break;
            }
        }
        Ok(match spared + expired {
            0 => Outcome::nothing(),
            _ => Outcome::counted("operations_expired", expired).and("operations_spared", spared),
        })
    }
}

/// Gives what ended while no node was running some more time; answers how many operations.
async fn spare(ctx: &Context, settings: &Settings) -> StoreResult<usize> {
    let (store, now) = (ctx.store(), ctx.clock().now());
    let last = store.process_last().await?;
    let last = last
        .into_iter()
        .find(|(robot, _)| *robot == ctx.run().robot);
    let last = last.map(|(_, run)| run.finished_at);
    let Some(since) = outage(last, ctx.tools().node_started_at, now) else {
        return Ok(0);
    };
    let mut spared = 0;
    while !settings.grace.0.is_zero() && !ctx.cancelled().is_cancelled() {
        let until = now + settings.grace.0;
        let some = store.operation_respite(settings.life, (since, now), until, BATCH_ROWS);
        match some.await? {
            0 => break,
            some => spared += some,
        }
    }
    Ok(spared)
}

/// Since when no node was running, where that is what kept the robot from its last run on.
fn outage(
    last: Option<Timestamp>,
    node_started_at: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    last.filter(|last| *last < node_started_at && *last + OUTAGE_MIN < now)
}

/// Ends operations, and tells of each, or of all at once; answers how many were ended.
async fn expire(
    ctx: &Context,
    settings: &Settings,
    overdue: Vec<Operation>,
    (batch, now): (u32, Timestamp),
) -> StoreResult<usize> {
    let registry = &ctx.tools().registry;
    let is_digest = u32::try_from(overdue.len()).is_ok_and(|many| many >= settings.digest_from);
    let ended = |operation: Operation| Move {
        event: (!is_digest).then(|| Told::of(&operation).event("operation.expired", registry)),
        seen: operation,
        state: OperationState::Expired,
        run_at: None,
        wait: None,
        ends: true,
        attempt: None,
        audit: None,
    };
    let moves: Vec<Move> = overdue.into_iter().map(ended).collect();
    let store = ctx.store();
    let moved = if is_digest {
        let id = format!("{}:{batch}:operation.expired", ctx.run().process);
        let digest = CloudEvent::own(ctx.robot(), id, "operation.expired", None, json!({}));
        let digest = registry.route(digest);
        store.operation_move_as_one(moves, digest, now).await?
    } else {
        store.operation_move(moves, now).await?
    };
    Ok(moved.len())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn only_a_node_that_was_away_is_an_outage() {
        let at = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        for (last, started, expected) in [
            (None, 60, None),
            (Some(0), 60, Some(at(0))),
            (Some(56), 60, None),
            // It is run once an hour, by a node that was there.
            (Some(1), 0, None),
        ] {
            let found = outage(last.map(at), at(started), at(61));
            assert_eq!(found, expected, "{last:?} {started}");
        }
    }
}
