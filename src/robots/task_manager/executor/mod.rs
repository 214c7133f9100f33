//! Carries out tasks on many accounts, one operation for each, and begins those that have a schedule.
//!
//! - **Looks at**: the task's payload, the credentials it means, and how its operations stand; each minute, the enabled task
//!   definitions of the inventory.
//! - **Changes**: orders at most 500 operations when a task begins; robot 45 carries them out. Cancels those that wait when
//!   the task is cancelled. Publishes `task.finished` or `task.failed`. Each minute: registers a task for each definition that
//!   is due, and notes in the definition what became of its planned instants.
//! - **Safe to repeat**: yes: the operations are ordered in the transaction that notes that the task has begun; a second run
//!   goes on watching them. A planned instant has one task, by its key.
//! - **If it stops**: tasks wait, and instants are made up for as their definition says; operations that were ordered are carried
//!   out all the same.
//!
//! Number 41 of the catalogue. A task is one of the runtime's: a definition's schedule or `POST /tasks` registers it, for now or for
//! `run_at`; its `deadline` is that of its operations, its `unique_key` keeps it from running twice, and its report, log,
//! progress and cancellation are those of every task. What it means is decided when it begins, and stays so.

mod order;
mod schedules;

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use self::order::{Asked, Order, asked};
use crate::domain::category::Category;
use crate::domain::event::CloudEvent;
use crate::domain::id::InventoryId;
use crate::domain::inventory::{Noun, OperationTemplateBody, TemplateKind};
use crate::domain::operation::{ChangeCause, OperationKind, OperationState};
use crate::domain::robot::{FieldError, Sharding};
use crate::domain::task::Trigger;
use crate::domain::tick::Overlap;
use crate::domain::time::Timestamp;
use crate::robot::operation::{begin, cancel};
use crate::robot::spec::Wakes;
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::store::StoreError;
use crate::store::execution::{Execution, Standing};
use crate::store::operation::{NewOperation, OPERATIONS_MAX};

/// How often the operations are looked at: people who watch see them move.
const LOOK: Duration = Duration::from_millis(500);

pub(super) struct ExecuteTasks;

#[async_trait]
impl Robot for ExecuteTasks {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "task_manager.executor",
            title: "Executor",
            category: Category::TaskManager,
            summary: "Carries out tasks on many accounts, one operation for each, and begins those that have a schedule",
            // Schedules are to the minute. A tick does not wait for tasks that are carried out.
            wakes: Wakes::Cron("* * * * *"),
            overlap: Overlap::Queue,
            // A task holds an instance while its operations are carried out, and does nothing in it.
            instances: 8,
            sharding: Sharding::Sharded,
            timeout: Duration::from_hours(1),
            cancel_grace: Duration::from_secs(30),
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let by_itself = matches!(ctx.run().trigger, Trigger::Tick | Trigger::Manual);
        if by_itself && ctx.payload().is_null() {
            return schedules::begin_due(ctx).await;
        }
        let order = match asked(ctx.payload()).map_err(refused)? {
            Asked::Order(order) => order,
            Asked::Definition(id) => schedules::defined(ctx, id).await?,
        };
        let stop_after = order.stop_after;
        let execution = match ctx.store().execution_get(ctx.run().task).await? {
            Some(begun) => begun,
            None => start(ctx, order).await?,
        };
        let tally = watch(ctx, execution, stop_after).await?;
        if tally.open > 0 {
            return Ok(tally.outcome());
        }
        tell(ctx, tally).await?;
        if tally.failed == 0 {
            return Ok(tally.outcome());
        }
        Err(RobotError::fail(
            "operations_failed",
            format!(
                "{} of {} operations did not succeed; {} were left out because another one was open",
                tally.failed,
                tally.failed + tally.succeeded,
                tally.left_out
            ),
        ))
    }
}

fn refused(text: String) -> RobotError {
    RobotError::fail("payload", text)
}

/// Decides what the task means, and orders it.
async fn start(ctx: &Context, order: Order) -> Result<Execution, RobotError> {
    let runs_template = order.kind == OperationKind::RunTemplate;
    if runs_template != order.template.is_some() {
        let text = "payload.template: must be given for `run_template`, and for nothing else";
        return Err(refused(text.to_owned()));
    }
    if let Some(id) = order.template {
        usable_template(ctx, id).await?;
    }
    let what = (order.kind, order.template);
    let selection = order.selection().map_err(|text| refused(text.to_owned()))?;
    let store = ctx.store();
    let most = u32::try_from(OPERATIONS_MAX).unwrap_or(u32::MAX);
    let meant = store.execution_select(selection, most + 1).await?;
    if meant.is_empty() {
        return Err(refused("no enabled credential fits".to_owned()));
    }
    if meant.len() > OPERATIONS_MAX {
        let text = format!("more than {OPERATIONS_MAX} credentials fit; divide the task");
        return Err(refused(text));
    }
    let orders = orders(what, meant, ctx.run().deadline, ctx.robot());
    let now = ctx.clock().now();
    let registry = &ctx.tools().registry;
    Ok(begin(store, registry, ctx.run().task, orders, now).await?)
}

/// Refuses a template that each of the operations would fail by.
async fn usable_template(ctx: &Context, id: InventoryId) -> Result<(), RobotError> {
    let item = match ctx.inventory().get(Noun::OperationTemplate, id).await {
        Err(StoreError::NotFound { .. }) => {
            return Err(refused("payload.template: it is not there".to_owned()));
        }
        found => found?,
    };
    let body = serde_json::from_value::<OperationTemplateBody>(item.body.into());
    let usable = body.is_ok_and(|body| body.enabled && body.kind == TemplateKind::RunCommand);
    if usable {
        Ok(())
    } else {
        let text = "payload.template: must be an enabled one of the kind `run_command`";
        Err(refused(text.to_owned()))
    }
}

fn orders(
    (kind, template): (OperationKind, Option<InventoryId>),
    meant: Vec<InventoryId>,
    deadline: Option<Timestamp>,
    requested_by: &str,
) -> Vec<NewOperation> {
    let order = |credential| NewOperation {
        kind,
        credential,
        run_at: None,
        expires_at: deadline,
        template,
        requested_by: requested_by.to_owned(),
        cause: ChangeCause::Ordered,
    };
    meant.into_iter().map(order).collect()
}

/// How the operations of an execution stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    open: u32,
    succeeded: u32,
    failed: u32,
    left_out: u32,
}

impl Tally {
    fn of(standing: &[Standing], wanted: u32) -> Self {
        let mut tally = Self::default();
        for one in standing {
            let place = match (one.ended, one.state) {
                (false, _) => &mut tally.open,
                (true, OperationState::Succeeded) => &mut tally.succeeded,
                (true, _) => &mut tally.failed,
            };
            *place += one.count;
        }
        let made = tally.open + tally.succeeded + tally.failed;
        tally.left_out = wanted.saturating_sub(made);
        tally
    }

    fn percent(self) -> u8 {
        let ended = self.succeeded + self.failed;
        let percent = (ended * 100).checked_div(ended + self.open);
        percent
            .and_then(|percent| u8::try_from(percent).ok())
            .unwrap_or(100)
    }

    fn outcome(self) -> Outcome {
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        Outcome::counted("operations_succeeded", count(self.succeeded))
            .and("operations_failed", count(self.failed))
            .and("operations_left_out", count(self.left_out))
    }
}

/// Watches the operations until all have ended, or the run must end; then those that wait are cancelled.
///
/// They are cancelled as well when so many did not succeed as the task allows; what is running then is waited for.
async fn watch(
    ctx: &Context,
    execution: Execution,
    stop_after: Option<NonZeroU32>,
) -> Result<Tally, RobotError> {
    let store = ctx.store();
    let mut last = None;
    loop {
        let standing = store.execution_standing(execution).await?;
        let tally = Tally::of(&standing, execution.wanted);
        if last != Some(tally) {
            ctx.progress(tally.percent(), "operations");
            last = Some(tally);
        }
        if tally.open == 0 {
            return Ok(tally);
        }
        if stop_after.is_some_and(|most| tally.failed >= most.get()) {
            stop(ctx, execution).await?;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = ctx.cancelled().cancelled() => {
                // A node that drains offers the task again, and its operations go on.
                let task = store.task_get(ctx.run().task).await?;
                if task.is_some_and(|task| task.cancel_requested) {
                    stop(ctx, execution).await?;
                }
                return Ok(tally);
            }
        }
    }
}

/// Cancels what waits. What is running is not stopped half-way.
async fn stop(ctx: &Context, execution: Execution) -> Result<(), RobotError> {
    let (store, registry) = (ctx.store(), &ctx.tools().registry);
    for operation in store.execution_waiting(execution).await? {
        match cancel(
            store,
            registry,
            operation.id,
            ctx.robot(),
            ctx.clock().now(),
        )
        .await
        {
            Ok(_) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn tell(ctx: &Context, tally: Tally) -> Result<(), RobotError> {
    let kind = if tally.failed == 0 {
        "task.finished"
    } else {
        "task.failed"
    };
    let task = ctx.run().task.to_string();
    let data = json!({
        "task": task,
        "succeeded": tally.succeeded,
        "failed": tally.failed,
        "left_out": tally.left_out,
    });
    let id = format!("{task}.{kind}");
    let event = CloudEvent::own(ctx.robot(), id, kind, Some(task), data);
    let event = ctx.tools().registry.route(event);
    let now = ctx.clock().now();
    ctx.store().event_append(Vec::from([event]), now).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_has_not_succeeded_is_no_success() {
        let standing = |state, ended, count| Standing {
            state,
            ended,
            count,
        };
        let all = [
            standing(OperationState::Succeeded, true, 3),
            standing(OperationState::Unverified, true, 1),
            standing(OperationState::Unverified, false, 2),
            standing(OperationState::Expired, true, 1),
        ];
        let tally = Tally::of(&all, 9);
        let expected = Tally {
            open: 2,
            succeeded: 3,
            failed: 2,
            left_out: 2,
        };
        assert_eq!((tally, tally.percent()), (expected, 71));
        assert_eq!(Tally::default().percent(), 100);
    }
}
