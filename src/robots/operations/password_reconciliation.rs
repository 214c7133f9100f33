//! Asks accounts whether they still believe the recorded secret, and has what is open settled.
//!
//! - **Looks at**: credentials with a secret that nobody has asked for longer than `every`, or whose last change left a
//!   candidate beside it; a credential that an event suspects, alone. Not those that are disabled or on a disabled device, that
//!   have an open change or reconciliation, that `exclude` names, or on a device where `device_mismatches` others were found to be wrong in
//!   that time. How many secrets are known to be wrong.
//! - **Changes**: orders a reconciliation for each, at most `quota` a run, spread over `spread`; `operation.requested` tells of
//!   it. The executor signs in once, settles a candidate, and has a secret that is wrong set anew where that is allowed. Raises an alert
//!   while `alert_from` secrets are wrong, with mails to `recipients`.
//! - **Safe to repeat**: yes: a credential has one open reconciliation at most, and one that was asked is not due any more.
//! - **If it stops**: secrets that somebody else changed are found only when they are needed.
//!
//! Number 44 of the catalogue. A try that is refused brings an account nearer to its lock: it is asked once in `every`, after a
//! suspicion once in `settle_after`, and the executor counts what was refused. One of a domain is asked once for all devices it is registered for.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::alert::Level;
use crate::domain::category::Category;
use crate::domain::exclusion::Exclusions;
use crate::domain::id::InventoryId;
use crate::domain::inventory::column::id_of;
use crate::domain::iso_duration::serde_iso;
use crate::domain::mail::Recipients;
use crate::domain::operation::{ChangeCause, OperationKind};
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use crate::domain::window::Window;
use crate::robot::operation::{order, spread};
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::alerts::{Audience, REMINDER, Round};
use crate::robots::settings::{Iso, Settings as Check, check, require, require_between};
use crate::store::operation::OPERATIONS_MAX;
use crate::store::reconciliation::Unreconciled;

/// The alert that many secrets are wrong.
const ALERT: &str = "reconciliation:mismatches";
/// More than an inventory has.
const ALERT_FROM_MAX: u32 = 1_000_000;

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
    /// Accounts that are not asked, whoever suspects them.
    exclude: Exclusions,
    /// So many wrong secrets in all are an alert, 1 to 1,000,000.
    alert_from: u32,
    /// Who gets mails of it.
    recipients: Recipients,
    /// How often it is told again while it lasts.
    #[serde(with = "serde_iso")]
    reminder_interval: Duration,
    /// When nobody gets mails.
    quiet_hours: Option<Window>,
}

impl Settings {
    fn audience(&self) -> Audience<'_> {
        Audience {
            recipients: &self.recipients,
            reminder: self.reminder_interval,
            quiet_hours: self.quiet_hours.as_ref(),
        }
    }
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
            exclude: Exclusions::default(),
            // As many on two devices, and each is left alone by then.
            alert_from: 10,
            recipients: Recipients::default(),
            // What is asked once a day need not be told of more often.
            reminder_interval: REMINDER * 6,
            quiet_hours: None,
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
        let fits = (1..=ALERT_FROM_MAX).contains(&self.alert_from);
        require(fits, "alert_from", "must lie between 1 and 1000000")?;
        self.exclude.check()?;
        self.audience().check()?;
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
        let only = suspected(ctx.payload());
        let sought = sought(&settings, only, now);
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
        let outcome = match found {
            0 => Outcome::nothing(),
            _ => Outcome::counted("operations_ordered", made.len()),
        };
        match only {
            Some(_) => Ok(outcome),
            None => alert(ctx, &settings, outcome).await,
        }
    }
}

/// Raises the alert that many secrets are wrong, or ends it.
async fn alert(
    ctx: &Context,
    settings: &Settings,
    outcome: Outcome,
) -> Result<Outcome, RobotError> {
    let exclude = settings.exclude.clone();
    let wrong = ctx.store().credential_mismatches(exclude).await?;
    let mut round = Round::open(ctx, ALERT).await?;
    if wrong >= u64::from(settings.alert_from) {
        let title = format!("{wrong} secrets do not open their accounts");
        let text = "Somebody changed them beside robotd, or the devices are others than they were. The credentials are those \
            with the `secret_state` `mismatch`.";
        round.push(ALERT.to_owned(), Level::Warning, title, text.to_owned());
    }
    // Each of them was told of by `credential.mismatch`.
    round
        .close(ctx, settings.audience(), |_, _| None, outcome)
        .await
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
        exclude: settings.exclude.clone(),
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
