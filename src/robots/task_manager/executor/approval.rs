//! Tasks that may not begin before somebody else has agreed.
//!
//! The task sleeps meanwhile, and holds no instance. What is decided on is what its definition said when the task began to wait.

use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::json;

use super::order::Order;
use super::schedules::{Definition, defined};
use crate::domain::approval::{ApprovalState, WITHIN_DEFAULT};
use crate::domain::id::InventoryId;
use crate::domain::time::Timestamp;
use crate::robot::{Context, Outcome, RobotError};
use crate::store::StoreError;
use crate::store::audit::NewAudit;
use crate::store::task_approval::{Approval, ApprovalRequest, Verdict};

/// What the task means, where it may begin: what was approved, or what its definition `id` says; else how this run ends.
///
/// A task that may not begin ends so whatever became of its definition meanwhile.
pub(super) async fn permitted(
    ctx: &Context,
    id: InventoryId,
) -> Result<ControlFlow<Outcome, (Order, Definition)>, RobotError> {
    let known = match ctx.store().approval_get(ctx.run().task).await? {
        Some(asked) => match standing(ctx, asked).await? {
            ControlFlow::Continue(order) => Some(order),
            ControlFlow::Break(outcome) => return Ok(ControlFlow::Break(outcome)),
        },
        None => None,
    };
    let definition = defined(&ctx.inventory(), id).await?;
    if let Some(order) = known {
        return Ok(ControlFlow::Continue((order, definition)));
    }
    let order = match ask(ctx, &definition).await? {
        Some(asked) => standing(ctx, asked).await?,
        None => ControlFlow::Continue(Order::from(&definition.body)),
    };
    Ok(order.map_continue(|order| (order, definition)))
}

/// What was approved, or how this run ends.
async fn standing(
    ctx: &Context,
    asked: Approval,
) -> Result<ControlFlow<Outcome, Order>, RobotError> {
    let asked = expired(ctx, asked).await?;
    Ok(match asked.state {
        ApprovalState::Approved => ControlFlow::Continue(
            serde_json::from_value(asked.request.meaning)
                .map_err(|error| RobotError::fail("plan", format!("what was approved: {error}")))?,
        ),
        ApprovalState::WaitingApproval => {
            let until = asked.request.expires_at;
            ctx.info(format!("waits for approval until {until}"));
            ControlFlow::Break(Outcome::snooze(until))
        }
        ApprovalState::Denied | ApprovalState::Withdrawn => {
            ctx.warn(denial(&asked));
            ControlFlow::Break(Outcome::refused())
        }
        ApprovalState::Expired => {
            ctx.warn("nobody decided in time");
            ControlFlow::Break(Outcome::expired())
        }
    })
}

fn denial(asked: &Approval) -> String {
    let by = asked.decided_by.as_deref().unwrap_or("nobody");
    match &asked.reason {
        Some(reason) => format!("{} by `{by}`: {reason}", asked.state),
        None => format!("{} by `{by}`", asked.state),
    }
}

/// Asks for a decision, where the definition wants one.
async fn ask(ctx: &Context, definition: &Definition) -> Result<Option<Approval>, RobotError> {
    let Some(role) = definition.body.approval_role else {
        return Ok(None);
    };
    let (store, now, task) = (ctx.store(), ctx.clock().now(), ctx.run().task);
    let within = definition.body.approval_within.unwrap_or(WITHIN_DEFAULT);
    let expires_at = until(now, within, ctx.run().deadline);
    let requested_by = match store.task_get(task).await? {
        Some(task) => task.requested_by,
        None => ctx.robot().to_owned(),
    };
    let audit = NewAudit {
        actor: requested_by.clone(),
        action: "task.request_approval".to_owned(),
        object: format!("task:{task}"),
        before: None,
        after: Some(json!({
            "definition": definition.id, "revision": definition.revision, "role": role,
            "expires_at": expires_at,
        })),
    };
    let request = ApprovalRequest {
        task,
        definition: definition.id,
        revision: definition.revision,
        name: definition.body.name.clone(),
        meaning: serde_json::to_value(Order::from(&definition.body))
            .map_err(|error| RobotError::fail("plan", format!("the order: {error}")))?,
        role,
        requested_by,
        expires_at,
    };
    Ok(Some(store.approval_ask(request, audit, now).await?))
}

/// Until when a task waits: what is approved after its deadline could not begin any more.
fn until(now: Timestamp, within: Duration, deadline: Option<Timestamp>) -> Timestamp {
    let over = now + within;
    deadline.map_or(over, |deadline| deadline.min(over))
}

/// How the decision stands, noted as expired where its time is over.
async fn expired(ctx: &Context, asked: Approval) -> Result<Approval, RobotError> {
    let now = ctx.clock().now();
    if asked.state != ApprovalState::WaitingApproval || now < asked.request.expires_at {
        return Ok(asked);
    }
    let (task, state) = (asked.request.task, ApprovalState::Expired);
    let verdict = Verdict {
        task,
        state,
        reason: None,
        audit: NewAudit {
            actor: ctx.robot().to_owned(),
            action: "task.expire_approval".to_owned(),
            object: format!("task:{task}"),
            before: Some(json!({"state": asked.state})),
            after: Some(json!({"state": state})),
        },
    };
    match ctx.store().approval_decide(verdict, now).await {
        // Somebody decided at the last moment.
        Err(StoreError::Conflict { .. }) => {
            let found = ctx.store().approval_get(task).await?;
            Ok(found.unwrap_or(asked))
        }
        decided => Ok(decided?),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn nobody_waits_past_the_deadline() {
        let now = DateTime::UNIX_EPOCH;
        let hours = |count| now + TimeDelta::hours(count);
        let day = Duration::from_hours(24);
        for (deadline, expected) in [
            (None, hours(24)),
            (Some(hours(8)), hours(8)),
            (Some(hours(48)), hours(24)),
        ] {
            assert_eq!(until(now, day, deadline), expected);
        }
    }
}
