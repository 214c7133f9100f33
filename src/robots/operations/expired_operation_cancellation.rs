//! Ends operations that nobody could begin in time.
//!
//! - **Looks at**: at most 500 operations that wait and whose `expires_at` has passed.
//! - **Changes**: sets them to `expired`, with `operation.expired`. One that is running, or whose candidate the target may
//!   know, is left to its executor: which secret is in force must be found out, however late.
//! - **Safe to repeat**: yes: an operation is moved only where it still waits; a claim at the same moment wins.
//! - **If it stops**: operations past their time stay open, so that no other one of their kind is ordered; they are not
//!   carried out all the same.
//!
//! Number 47 of the catalogue.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::category::Category;
use crate::domain::operation::OperationState;
use crate::domain::robot::FieldError;
use crate::robot::operation::Told;
use crate::robot::spec::Wakes;
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::store::operation::{Move, Operation};

/// Operations of one transaction.
const BATCH_ROWS: u32 = 500;

pub(super) struct CancelExpiredOperations;

#[async_trait]
impl Robot for CancelExpiredOperations {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "operations.expired_operation_cancellation",
            title: "Expired operation cancellation",
            category: Category::Operations,
            summary: "Ends operations that were not begun before their time was over",
            wakes: Wakes::Every(Duration::from_mins(1)),
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let mut expired = 0;
        loop {
            let now = ctx.clock().now();
            let overdue = ctx.store().operation_overdue(now, BATCH_ROWS).await?;
            let ended = |operation: Operation| Move {
                event: Some(Told::of(&operation).event("operation.expired", &ctx.tools().registry)),
                seen: operation,
                state: OperationState::Expired,
                run_at: None,
                ends: true,
                attempt: None,
                audit: None,
            };
            let moves: Vec<Move> = overdue.into_iter().map(ended).collect();
            let moved = ctx.store().operation_move(moves, now).await?.len();
            expired += moved;
            if moved == 0 || ctx.cancelled().is_cancelled() {
                break;
            }
        }
        Ok(match expired {
            0 => Outcome::nothing(),
            _ => Outcome::counted("operations_expired", expired),
        })
    }
}
