//! Carries out tasks on many accounts, one operation for each, and begins those that have a schedule.
//!
//! - **Looks at**: the task's payload, the credentials it means, and how its operations stand; each minute, the enabled task
//!   definitions of the inventory.
//! - **Changes**: orders at most 500 operations a task, all when it begins or batch by batch; robot 45 carries them out. Cancels
//!   those that wait when the task is cancelled or too many did not succeed. Publishes `task.finished` or `task.failed`. Writes
//!   down that a task waits for somebody's approval, and puts it to sleep. Each minute: registers a task for each definition that
//!   is due, and notes in the definition what became of its planned instants; wakes what sleeps though it was decided on.
//! - **Safe to repeat**: yes: operations are ordered in the transaction that notes that they are; a second run goes on
//!   from there. A planned instant has one task, by its key.
//! - **If it stops**: tasks wait, and instants are made up for as their definition says; operations that were ordered are carried
//!   out all the same.
//!
//! Number 41 of the catalogue. A task is one of the runtime's: a definition's schedule or `POST /tasks` registers it, for now or for
//! `run_at`; its `deadline` is that of its operations, its `unique_key` keeps it from running twice, and its report, log,
//! progress and cancellation are those of every task. What it means is decided when it begins, and stays so.

mod approval;
mod order;
mod plan;
mod schedules;

use std::ops::ControlFlow;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::time::Instant;

use self::order::{Asked, Order, asked};
use self::plan::{Plan, Step, Tally};
use crate::domain::category::Category;
use crate::domain::event::CloudEvent;
use crate::domain::id::InventoryId;
use crate::domain::inventory::{Noun, OperationTemplateBody, TemplateKind};
use crate::domain::robot::{FieldError, Sharding};
use crate::domain::task::Trigger;
use crate::domain::tick::Overlap;
use crate::robot::inventory::Inventory;
use crate::robot::operation::{begin, cancel, go_on};
use crate::robot::spec::Wakes;
use crate::robot::{
    Admission, Context, Definition, Outcome, Refusal, Robot, RobotError, RobotSpec,
};
use crate::store::StoreError;
use crate::store::execution::{Execution, Selection};
use crate::store::operation::OPERATIONS_MAX;

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
            // Schedules are to the minute. A tick does not wait for tasks that are carried out, or wait for approval.
            wakes: Wakes::Cron("* * * * *"),
            overlap: Overlap::Allow,
            // A task holds an instance while its operations are carried out, and does nothing in it.
            instances: 8,
            sharding: Sharding::Sharded,
            timeout: Duration::from_hours(1),
            cancel_grace: Duration::from_secs(30),
            yields_on_drain: true,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn admit(&self, admission: &Admission<'_>) -> Result<(), Refusal> {
        if admission.trigger == Trigger::Manual && admission.payload.is_null() {
            return Ok(());
        }
        match asked(admission.payload).map_err(Refusal::Field)? {
            Asked::Order(order) => {
                if let Some(id) = order.template {
                    usable_template(admission.inventory, id).await?;
                }
                known(admission.inventory, order.selection()).await
            }
            Asked::Definition(id) => {
                let definition = schedules::defined(admission.inventory, id).await?;
                let role = definition.body.run_role;
                if admission.role >= role {
                    return Ok(());
                }
                let (name, role) = (&definition.body.name, role.as_str());
                let detail = format!("task definition `{name}` needs the role `{role}`");
                Err(Refusal::Forbidden(detail))
            }
        }
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let by_itself = matches!(ctx.run().trigger, Trigger::Tick | Trigger::Manual);
        if by_itself && ctx.payload().is_null() {
            return schedules::begin_due(ctx).await;
        }
        let (execution, plan) = match begun(ctx).await? {
            Some(begun) => begun,
            None => match permitted(ctx).await? {
                ControlFlow::Continue(order) => start(ctx, order).await?,
                ControlFlow::Break(outcome) => return Ok(outcome),
            },
        };
        match watch(ctx, execution, &plan).await? {
            Watched::Ended(tally) => ended(ctx, tally).await,
            Watched::Cut(tally) => Ok(tally.outcome()),
            Watched::HandedOn => Ok(Outcome::snooze(ctx.clock().now())),
        }
    }
}

/// What a task that has begun ordered so far, and by which plan.
async fn begun(ctx: &Context) -> Result<Option<(Execution, Plan)>, RobotError> {
    let Some(begun) = ctx.store().execution_get(ctx.run().task).await? else {
        return Ok(None);
    };
    let plan = match begun.plan {
        Some(plan) => serde_json::from_value(plan)
            .map_err(|error| RobotError::fail("plan", format!("the kept plan: {error}")))?,
        // All is ordered: what is left of the order is when to stop.
        None => Plan::of(&meant(ctx).await?, Vec::new()),
    };
    Ok(Some((begun.execution, plan)))
}

/// What the task's payload asks for.
async fn meant(ctx: &Context) -> Result<Order, Refusal> {
    match asked(ctx.payload()).map_err(Refusal::Field)? {
        Asked::Order(order) => Ok(order),
        Asked::Definition(id) => {
            let definition = schedules::defined(&ctx.inventory(), id).await?;
            Ok(Order::from(&definition.body))
        }
    }
}

/// What the task means, where it may begin now; else how this run ends.
async fn permitted(ctx: &Context) -> Result<ControlFlow<Outcome, Order>, RobotError> {
    let id = match asked(ctx.payload()).map_err(Refusal::Field)? {
        Asked::Order(order) => return Ok(ControlFlow::Continue(order)),
        Asked::Definition(id) => id,
    };
    let by_schedule = ctx.run().trigger == Trigger::Tick;
    Ok(match approval::permitted(ctx, id).await? {
        ControlFlow::Continue((_, definition))
            if by_schedule && let Some(at) = definition.opens_at(ctx.clock().now()) =>
        {
            ctx.info(format!("its window is closed until {at}"));
            ControlFlow::Break(Outcome::snooze(at))
        }
        permitted => permitted.map_continue(|(order, _)| order),
    })
}

/// Decides whom the task means, and orders the first operations.
async fn start(ctx: &Context, order: Order) -> Result<(Execution, Plan), RobotError> {
    if let Some(id) = order.template {
        usable_template(&ctx.inventory(), id).await?;
    }
    let store = ctx.store();
    let most = u32::try_from(OPERATIONS_MAX).unwrap_or(u32::MAX);
    let accounts = store.execution_select(order.selection(), most + 1).await?;
    let field = "payload.credentials";
    if accounts.is_empty() {
        return Err(Refusal::field(field, "no enabled credential fits").into());
    }
    if accounts.len() > OPERATIONS_MAX {
        let text = format!("more than {OPERATIONS_MAX} credentials fit; divide the task");
        return Err(Refusal::field(field, text).into());
    }
    let wanted = accounts.len();
    let plan = Plan::of(&order, accounts);
    let orders = plan.orders(plan.batch(0), ctx.run().deadline, ctx.robot());
    let kept = serde_json::to_value(&plan)
        .map_err(|error| RobotError::fail("plan", format!("the plan: {error}")))?;
    let (registry, now) = (&ctx.tools().registry, ctx.clock().now());
    let kept = (wanted, kept);
    let execution = begin(store, registry, ctx.run().task, kept, orders, now).await?;
    Ok((execution, plan))
}

/// Refuses devices and a site that are not there.
async fn known(inventory: &Inventory, meant: Selection) -> Result<(), Refusal> {
    let site = Vec::from_iter(meant.site);
    for (noun, ids, field) in [
        (Noun::Device, meant.devices, "payload.credentials.devices"),
        (Noun::Site, site, "payload.credentials.site"),
    ] {
        if ids.is_empty() {
            continue;
        }
        let missing = inventory.missing(noun, ids).await?;
        if let Some(first) = missing.first() {
            let title = noun.title();
            let detail = match missing.len() {
                1 => format!("there is no {title} `{first}`"),
                many => format!("there is no {title} `{first}`, nor {} others", many - 1),
            };
            return Err(Refusal::field(field, detail));
        }
    }
    Ok(())
}

/// Refuses a template that each of the operations would fail by.
async fn usable_template(inventory: &Inventory, id: InventoryId) -> Result<(), Refusal> {
    let refused = |detail| Err(Refusal::field("payload.template", detail));
    let item = match inventory.get(Noun::OperationTemplate, id).await {
        Err(StoreError::NotFound { .. }) => return refused("it is not there"),
        found => found?,
    };
    let body = serde_json::from_value::<OperationTemplateBody>(item.body.into());
    if body.is_ok_and(|body| body.enabled && body.kind == TemplateKind::RunCommand) {
        Ok(())
    } else {
        refused("must be an enabled one of the kind `run_command`")
    }
}

/// Why a task is not watched any more.
enum Watched {
    /// Its operations have ended, and no more follow.
    Ended(Tally),
    /// The run must end.
    Cut(Tally),
    /// The run's time is half over: the next one goes on, and this one has used up no attempt.
    HandedOn,
}

/// Watches the operations, and orders the next batch when one has ended, until no more follow or the run must end.
///
/// Those that wait are cancelled when the task is cancelled, or so many did not succeed as it allows; what is running then
/// is waited for.
async fn watch(
    ctx: &Context,
    mut execution: Execution,
    plan: &Plan,
) -> Result<Watched, RobotError> {
    let store = ctx.store();
    let half = Instant::now() + ctx.config().timeout / 2;
    let mut last = None;
    loop {
        let standing = store.execution_standing(execution).await?;
        let tally = Tally::of(&standing, execution);
        if last != Some(tally) {
            ctx.progress(tally.percent(), "operations");
            last = Some(tally);
        }
        let deadline = ctx.run().deadline;
        let over = deadline.is_some_and(|deadline| deadline <= ctx.clock().now());
        match plan.next(tally, over) {
            Step::End => return Ok(Watched::Ended(tally)),
            Step::Order => {
                execution = next_batch(ctx, execution, plan).await?;
                continue;
            }
            Step::Stop => stop(ctx, execution).await?,
            Step::Wait => {}
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = tokio::time::sleep_until(half) => return Ok(Watched::HandedOn),
            () = ctx.cancelled().cancelled() => {
                // A node that drains offers the task again, and its operations go on.
                let task = store.task_get(ctx.run().task).await?;
                if task.is_some_and(|task| task.cancel_requested) {
                    stop(ctx, execution).await?;
                }
                return Ok(Watched::Cut(tally));
            }
        }
    }
}

/// Orders the next batch.
async fn next_batch(
    ctx: &Context,
    execution: Execution,
    plan: &Plan,
) -> Result<Execution, RobotError> {
    let batch = plan.batch(usize::try_from(execution.ordered).unwrap_or(usize::MAX));
    let orders = plan.orders(batch, ctx.run().deadline, ctx.robot());
    let (store, registry, task) = (ctx.store(), &ctx.tools().registry, ctx.run().task);
    let now = ctx.clock().now();
    Ok(go_on(store, registry, task, execution, orders, now).await?)
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

/// Tells what became of the task.
async fn ended(ctx: &Context, tally: Tally) -> Result<Outcome, RobotError> {
    tell(ctx, tally).await?;
    if tally.is_success() {
        return Ok(tally.outcome());
    }
    let not_ordered = match tally.not_ordered {
        0 => String::new(),
        count => format!(", {count} were not ordered any more"),
    };
    Err(RobotError::fail(
        "operations_failed",
        format!(
            "{} of {} operations did not succeed; {} were left out because another one was open{not_ordered}",
            tally.failed,
            tally.failed + tally.succeeded,
            tally.left_out,
        ),
    ))
}

async fn tell(ctx: &Context, tally: Tally) -> Result<(), RobotError> {
    let kind = if tally.is_success() {
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
        "not_ordered": tally.not_ordered,
    });
    let id = format!("{task}.{kind}");
    let event = CloudEvent::own(ctx.robot(), id, kind, Some(task), data);
    let event = ctx.tools().registry.route(event);
    let now = ctx.clock().now();
    ctx.store().event_append(Vec::from([event]), now).await?;
    Ok(())
}
