//! Bringing a changed configuration into force.

use std::sync::Arc;

use actix::Addr;

use super::core::Core;
use super::supervisor::{Reconfigured, Supervisor};
use crate::domain::robot::{FieldError, Overrides, RobotConfig};
use crate::robot::Definition;
use crate::robot::registry::{Entry, effective};
use crate::store::StoreResult;
use crate::store::robot::RobotRow;

/// The configuration that stored changes make. One that does not fit switches the robot off: an upgrade may narrow what
/// a robot accepts. It then stands still until somebody looks, because running it with settings nobody chose could do
/// harm.
pub(super) fn stored(definition: &Definition, overrides: &Overrides) -> RobotConfig {
    effective(definition, overrides).unwrap_or_else(|errors| {
        log::error!(
            "the stored changes of {} do not fit this version and it is switched off; reset or change it: {}",
            definition.identity.name,
            told(&errors)
        );
        RobotConfig { enabled: false, ..definition.defaults.clone() }
    })
}

/// Errors in one line.
pub(super) fn told(errors: &[FieldError]) -> String {
    errors
        .iter()
        .map(|error| format!("{}: {}", error.field, error.detail))
        .collect::<Vec<_>>()
        .join("; ")
}

/// Enters what was committed; in force when this returns. What is later than `row` stands.
pub(super) fn enter(
    core: &Core,
    supervisor: &Addr<Supervisor>,
    entry: &Entry,
    row: RobotRow,
    config: RobotConfig,
) -> Arc<Entry> {
    let changed = Entry {
        id: entry.id,
        definition: Arc::clone(&entry.definition),
        overrides: row.overrides,
        revision: row.revision,
        anchor: row.anchor,
        config: Arc::new(config),
        health: entry.health.clone(),
    };
    let changed = core.tools.registry.put(changed);
    supervisor.do_send(Reconfigured);
    core.replan.notify_one();
    core.membership.share_changed.notify_one();
    changed
}

/// Reads what other nodes changed.
pub(super) async fn reload(core: &Core, supervisor: &Addr<Supervisor>) -> StoreResult<()> {
    for row in core.store().robot_list().await? {
        let Some(entry) = core.tools.registry.by_id(row.id) else {
            continue;
        };
        if row.revision > entry.revision {
            let config = stored(&entry.definition, &row.overrides);
            let id = row.id;
            enter(core, supervisor, &entry, row, config);
            core.store().robot_heard(id);
        }
    }
    Ok(())
}
