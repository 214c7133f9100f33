//! Asks accounts whether they still believe the recorded secret, and has what is open settled.
//!
//! - **Looks at**: credentials with a secret that nobody has asked for longer than `every`, or whose last change left a
//!   candidate beside it; a credential that an event suspects, alone. Not those that are disabled or on a disabled device, that
//!   have an open change or reconciliation, or on a device where `device_mismatches` others were found to be wrong in that time.
//! - **Changes**: orders a reconciliation for each, at most `quota` a run, spread over `spread`; `operation.requested` tells of
//!   it. The executor signs in once, settles a candidate, and has a secret that is wrong set anew where that is allowed.
//! - **Safe to repeat**: yes: a credential has one open reconciliation at most, and one that was asked is not due any more.
//! - **If it stops**: secrets that somebody else changed are found only when they are needed.
//!
//! Number 44 of the catalogue. A try that is refused brings an account nearer to its lock: it is asked once in `every`, after a
//! suspicion once in `settle_after`, and the executor counts what was refused.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::category::Category;
use crate::domain::id::InventoryId;
use crate::domain::inventory::column::id_of;
use crate::domain::operation::{ChangeCause, OperationKind};
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use crate::robot::operation::{order, spread};
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::settings::{Iso, Settings as Check, check, require, require_between};
use crate::store::operation::{OPERATIONS_MAX, Unreconciled};

pub(super) struct ReconcilePasswords;

/// The settings of this robot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// How long an account that was asked is left alone.
    every: Iso,
    /// How long after the last operation a candidate is settled, or a suspicion followed.
    settle_after: Iso,
    /// How long an account that could not be asked is left alone.
    again_after: Iso,
    /// Operations ordered by one run, 1 to 500.
    quota: u32,
    /// Over how long they are spread.
    spread: Iso,
    /// So many wrong secrets on one device in `every`, and the others there are left alone: it may not be the device we mean.
    device_mismatches: u32,
}

impl Default for Settings {
    /// Each account once a day, by a hundred in the ten minutes to the next run.
    fn default() -> Self {
        Self {
            every: Iso(Duration::from_hours(24)),
            settle_after: Iso(Duration::from_mins(30)),
            again_after: Iso(Duration::from_hours(6)),
            quota: 100,
            spread: Iso(Duration::from_mins(10)),
            device_mismatches: 5,
        }
    }
}

impl Check for Settings {
    fn check(&self) -> Result<(), FieldError> {
        let fits =
            usize::try_from(self.quota).is_ok_and(|quota| (1..=OPERATIONS_MAX).contains(&quota));
        require(fits, "quota", "must lie between 1 and 500")?;
        let many = self.device_mismatches;
        require(many >= 1, "device_mismatches", "must be 1 at least")?;
        let (least, day) = (Duration::from_mins(30), Duration::from_hours(24));
        let year = 366 * day;
        // Accounts may be locked by what is asked for: no more often than the targets forget it.
        require_between("every", self.every.0, least, year)?;
        require_between("settle_after", self.settle_after.0, least, year)?;
        require_between("again_after", self.again_after.0, least, year)?;
        require_between("spread", self.spread.0, Duration::ZERO, day)
    }
}

#[async_trait]
impl Robot for ReconcilePasswords {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "operations.password_reconciliation",
            title: "Password reconciliation",
            category: Category::Operations,
            summary: "Finds out whether accounts still believe their recorded secrets, and settles changes that were cut off",
            wakes: Wakes::Every(Duration::from_mins(10)),
            events: &[
                "credential.suspect_mismatch",
                "credential.changed_outside",
                "operation.unverified",
            ],
            // Each names a credential.
            coalesce_events: false,
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let settings: Settings = ctx.settings()?;
        let (store, now) = (ctx.store(), ctx.clock().now());
        let sought = sought(&settings, suspected(ctx.payload()), now);
        let due = store
            .credential_unreconciled(sought, settings.quota)
            .await?;
        let found = due.len();
        let kind = OperationKind::Reconcile;
        let due = due
            .into_iter()
            .map(|id| (id, ChangeCause::Ordered))
            .collect();
        let orders = spread(kind, due, settings.spread.0, now, ctx.robot());
        let made = order(store, &ctx.tools().registry, orders, now).await?;
        Ok(match found {
            0 => Outcome::nothing(),
            _ => Outcome::counted("operations_ordered", made.len()),
        })
    }
}

/// The credential that an event names; none where the schedule or a person woke the robot.
fn suspected(payload: &Value) -> Option<InventoryId> {
    payload.get("data")?.get("credential").and_then(id_of)
}

/// Whom to ask: everybody who is due, or the one under suspicion.
fn sought(settings: &Settings, only: Option<InventoryId>, now: Timestamp) -> Unreconciled {
    let settled_before = now - settings.settle_after.0;
    let everybody = only.is_none();
    Unreconciled {
        only,
        tested_before: if everybody {
            now - settings.every.0
        } else {
            settled_before
        },
        settled_before,
        tried_before: if everybody {
            now - settings.again_after.0
        } else {
            settled_before
        },
        mismatches_since: now - settings.every.0,
        mismatches_max: settings.device_mismatches,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_names_the_one_to_ask() {
        let now = DateTime::UNIX_EPOCH;
        let settings = Settings::default();
        let event = json!({"type": "credential.suspect_mismatch", "data": {"credential": "17"}});
        let one = sought(&settings, suspected(&event), now);
        assert_eq!(one.only, Some(InventoryId(17)));
        assert_eq!(one.tested_before, now - settings.settle_after.0);
        for other in [json!(null), json!({}), json!({"data": {"credential": {}}})] {
            let all = sought(&settings, suspected(&other), now);
            assert_eq!(all.only, None, "{other}");
            assert_eq!(all.tested_before, now - settings.every.0);
        }
    }
}
