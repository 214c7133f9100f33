//! Task definitions that are due: each of their planned instants is decided once, and begins at most one task.
//!
//! Decided is by `domain::tick`, as for robots. A task is registered before its instant is noted as decided, under a key that is
//! the definition's and the instant's: whoever decides the same instant again, because a node died in between or two looked at
//! once, finds the task that is there.

use chrono::{DurationRound as _, TimeDelta};
use serde_json::Value;

use super::order::by_name;
use crate::domain::id::{InventoryId, TaskId};
use crate::domain::inventory::{Noun, TaskDefinitionBody};
use crate::domain::task::{PRIORITY_DEFAULT, TaskStatus, Trigger};
use crate::domain::tick::{Standing, TickDecision, decide};
use crate::domain::time::Timestamp;
use crate::robot::inventory::Inventory;
use crate::robot::{Context, Outcome, Refusal, RobotError};
use crate::store::StoreError;
use crate::store::inventory::{Item, Narrow, Wanted};
use crate::store::page::PageRequest;
use crate::store::task::NewTask;
use crate::store::task_definition::Decided;

/// Definitions that are looked at at once.
const PAGE: u32 = 200;

/// A definition with what was decided of it so far.
pub(super) struct Definition {
    pub(super) id: InventoryId,
    pub(super) revision: i64,
    updated_at: Timestamp,
    pub(super) body: TaskDefinitionBody,
    planned_at: Option<Timestamp>,
    task: Option<TaskId>,
}

impl Definition {
    fn read(item: Item) -> Result<Self, StoreError> {
        let unread = |error: serde_json::Error| {
            StoreError::Other(format!("task definition `{}`: {error}", item.id))
        };
        let state = |field: &str| item.state.get(field).cloned().unwrap_or_default();
        let task: Option<String> = serde_json::from_value(state("task")).map_err(unread)?;
        Ok(Self {
            id: item.id,
            revision: item.revision,
            updated_at: item.updated_at,
            planned_at: serde_json::from_value(state("planned_at")).map_err(unread)?,
            task: task.and_then(|task| task.parse().ok()),
            body: serde_json::from_value(Value::Object(item.body.clone())).map_err(unread)?,
        })
    }

    /// What became of the instants that were planned by `now`; of none before the last change.
    fn decisions(&self, now: Timestamp, standing: &Standing) -> Vec<TickDecision> {
        let Some(plan) = self.body.plan(minute(self.updated_at)) else {
            return Vec::new();
        };
        let last = self
            .planned_at
            .map_or(self.updated_at, |at| at.max(self.updated_at));
        decide(&plan, Some(last), now, standing)
    }

    /// When its window opens; none: it is open at `now`, or there is none.
    pub(super) fn opens_at(&self, now: Timestamp) -> Option<Timestamp> {
        let window = self.body.window.as_ref()?;
        window.next_open(now).filter(|opens| *opens > now)
    }

    /// The task of a planned instant; what it means is what the definition says when it begins.
    fn task(&self, ctx: &Context, planned_at: Timestamp, now: Timestamp) -> NewTask {
        NewTask {
            robot: ctx.run().robot,
            trigger: Trigger::Tick,
            payload: by_name(self.id),
            priority: PRIORITY_DEFAULT,
            run_at: None,
            deadline: self.body.expires_after.map(|wait| now + wait),
            unique_key: Some(format!(
                "definition:{}:{}",
                self.id,
                planned_at.to_rfc3339()
            )),
            max_attempts: i32::try_from(ctx.config().retry.max_attempts).unwrap_or(i32::MAX),
            planned_at: Some(planned_at),
            event: None,
            requested_by: ctx.robot().to_owned(),
            for_node: None,
        }
    }
}

/// The definition of this id, where it may be begun.
pub(super) async fn defined(inventory: &Inventory, id: InventoryId) -> Result<Definition, Refusal> {
    let refused = |detail| Err(Refusal::field("payload.definition", detail));
    let item = match inventory.get(Noun::TaskDefinition, id).await {
        Err(StoreError::NotFound { .. }) => return refused("it is not there"),
        found => found?,
    };
    let definition = Definition::read(item)?;
    if definition.body.enabled {
        Ok(definition)
    } else {
        refused("it is disabled")
    }
}

/// Begins what is due, and looks after what waits for decisions.
pub(super) async fn begin_due(ctx: &Context) -> Result<Outcome, RobotError> {
    ctx.store().approval_sweep(ctx.clock().now()).await?;
    let now = as_of(ctx.run().planned_at, ctx.clock().now());
    let enabled = Noun::TaskDefinition.spec().filters.iter();
    let enabled: Vec<Narrow> = enabled
        .filter(|filter| filter.name == "enabled")
        .map(|filter| Narrow {
            filter,
            value: Wanted::Bool(true),
        })
        .collect();
    let (mut begun, mut after) = (0, None);
    while !ctx.cancelled().is_cancelled() {
        let page = PageRequest { limit: PAGE, after };
        let found = ctx
            .inventory()
            .list(Noun::TaskDefinition, enabled.clone(), page)
            .await?;
        for item in found.items {
            begun += one(ctx, &Definition::read(item)?, now).await?;
        }
        match found.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    Ok(match begun {
        0 => Outcome::nothing(),
        _ => Outcome::counted("tasks_begun", begun),
    })
}

/// Begins the tasks of one definition, and notes what was decided; answers how many are new.
async fn one(ctx: &Context, definition: &Definition, now: Timestamp) -> Result<usize, RobotError> {
    let standing = standing(ctx, definition.task).await?;
    let decisions = definition.decisions(now, &standing);
    let Some(last) = decisions.last() else {
        return Ok(0);
    };
    let (mut task, mut begun) = (None, 0);
    for decision in decisions.iter().filter(|one| one.decision.starts_run()) {
        let new = definition.task(ctx, decision.planned_at, ctx.clock().now());
        let added = ctx.store().task_add(Vec::from([new]), ctx.clock().now());
        for added in added.await? {
            task = Some(added.id);
            begun += usize::from(!added.existing);
        }
    }
    for one in &decisions {
        let (name, at) = (&definition.body.name, one.planned_at);
        ctx.info(format!("`{name}`, planned at {at}: {}", one.decision));
    }
    let decided = Decided {
        definition: definition.id,
        revision: definition.revision,
        planned_at: last.last(),
        decision: last.decision,
        task,
    };
    ctx.store().task_definition_decided(decided).await?;
    Ok(begun)
}

/// How a definition stands, as far as its last task says.
async fn standing(ctx: &Context, last: Option<TaskId>) -> Result<Standing, RobotError> {
    let task = match last {
        Some(id) => ctx.store().task_get(id).await?,
        None => None,
    };
    let open = task.filter(|task| !task.status.is_final());
    let waits = open
        .as_ref()
        .is_some_and(|task| task.status != TaskStatus::Running);
    Ok(Standing {
        enabled: true,
        paused: false,
        open_runs: u32::from(open.is_some()),
        waiting_runs: u32::from(waits),
    })
}

/// The instant by which is decided: the tick's own, which a run meets that starts within its minute, so that what is due then is not
/// late because the run was.
fn as_of(planned_at: Option<Timestamp>, now: Timestamp) -> Timestamp {
    planned_at
        .filter(|planned| now - *planned < TimeDelta::minutes(1))
        .unwrap_or(now)
}

/// The whole minute in which an instant lies.
fn minute(at: Timestamp) -> Timestamp {
    at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_run_decides_by_its_minute_and_a_late_one_by_the_clock() {
        let planned = at("2027-01-15T08:30:00Z");
        for (now, expected) in [
            ("2027-01-15T08:30:00Z", planned),
            ("2027-01-15T08:30:59Z", planned),
            ("2027-01-15T08:31:00Z", at("2027-01-15T08:31:00Z")),
        ] {
            assert_eq!(as_of(Some(planned), at(now)), expected);
        }
        let now = at("2027-01-15T08:30:07Z");
        assert_eq!(as_of(None, now), now);
        assert_eq!(minute(now), planned);
    }
}
