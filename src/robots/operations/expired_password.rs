//! Orders new passwords for credentials whose time is over.
//!
//! - **Looks at**: credentials with `automatic_change` and a password that is past `expires_at`, older than its policy's
//!   `max_age`, or seen longer ago than `expires_after_view`; not those that are disabled, or stand on a disabled device.
//! - **Changes**: orders a change for each, at most `quota` a run, spread over `spread`; `operation.requested` tells of it.
//! - **Safe to repeat**: yes: a credential has one open change at most, and one that was changed is not due any more.
//! - **If it stops**: passwords grow older than they should, and what people have seen stays valid.
//!
//! Number 48 of the catalogue. A credential whose last change failed is left alone for `again_after`.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::category::Category;
use crate::domain::operation::OperationKind;
use crate::domain::robot::FieldError;
use crate::robot::operation::{order, spread};
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::settings::{Iso, Settings as Check, check, require, require_between};
use crate::store::operation::{Expiry, OPERATIONS_MAX};

pub(super) struct ChangeExpiredPasswords;

/// The settings of this robot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Changes ordered by one run, 1 to 500.
    quota: u32,
    /// Over how long they are spread.
    spread: Iso,
    /// How long a credential is left alone after a change that failed.
    again_after: Iso,
}

impl Default for Settings {
    /// A hundred in the two minutes to the next run: what a few executors do in that time.
    fn default() -> Self {
        Self {
            quota: 100,
            spread: Iso(Duration::from_mins(2)),
            again_after: Iso(Duration::from_hours(1)),
        }
    }
}

impl Check for Settings {
    fn check(&self) -> Result<(), FieldError> {
        let fits =
            usize::try_from(self.quota).is_ok_and(|quota| (1..=OPERATIONS_MAX).contains(&quota));
        require(fits, "quota", "must lie between 1 and 500")?;
        let day = Duration::from_hours(24);
        require_between("spread", self.spread.0, Duration::ZERO, day)?;
        let month = Duration::from_hours(31 * 24);
        require_between(
            "again_after",
            self.again_after.0,
            Duration::from_mins(1),
            month,
        )
    }
}

#[async_trait]
impl Robot for ChangeExpiredPasswords {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "operations.expired_password",
            title: "Expired password",
            category: Category::Operations,
            summary: "Orders new passwords for credentials whose time is over",
            wakes: Wakes::Every(Duration::from_mins(2)),
            events: &["credential.policy_changed"],
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let settings: Settings = ctx.settings()?;
        let (store, now) = (ctx.store(), ctx.clock().now());
        let expiry = Expiry {
            at: now,
            failed_before: now - settings.again_after.0,
        };
        let due = store.credential_expired(expiry, settings.quota).await?;
        let found = due.len();
        let kind = OperationKind::ChangePassword;
        let orders = spread(kind, due, settings.spread.0, now, ctx.robot());
        let made = order(store, &ctx.tools().registry, orders, now).await?;
        Ok(match found {
            0 => Outcome::nothing(),
            _ => Outcome::counted("operations_ordered", made.len()),
        })
    }
}
