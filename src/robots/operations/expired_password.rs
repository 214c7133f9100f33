//! Orders new passwords for credentials whose time is over.
//!
//! - **Looks at**: credentials with `automatic_change` and a password that is past `expires_at`, older than its policy's
//!   `max_age` less `head_start`, seen longer ago than `expires_after_view`, or used by a session that ended longer ago than `expires_after_use`;
//!   not those that are disabled, or stand on a disabled device.
//! - **Changes**: orders a change for each, at most `quota` a run, spread over `spread`; `operation.requested` tells of it.
//!   Notes of a `session.ended` when its account was used, and leaves the rest to the next tick.
//! - **Safe to repeat**: yes: a credential has one open change at most, and one that was changed is not due any more.
//! - **If it stops**: passwords grow older than they should, and what people have seen stays valid.
//!
//! Number 48 of the catalogue. A credential whose last change failed is left alone for `again_after`.

use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::category::Category;
use crate::domain::id::InventoryId;
use crate::domain::inventory::column::id_of;
use crate::domain::operation::OperationKind;
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use crate::robot::operation::{order, spread};
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::settings::{Iso, Settings as Check, check, require, require_between};
use crate::store::operation::{Expiry, OPERATIONS_MAX};

/// What the gateway tells of the end of a session.
const SESSION_ENDED: &str = "session.ended";

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
    /// How long before it is as old as its policy's `max_age` a password is changed, at most half of that age.
    head_start: Iso,
}

impl Default for Settings {
    /// A hundred in the two minutes to the next run: what a few executors do in that time.
    fn default() -> Self {
        Self {
            quota: 100,
            spread: Iso(Duration::from_mins(2)),
            again_after: Iso(Duration::from_hours(1)),
            head_start: Iso(Duration::ZERO),
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
        )?;
        require_between("head_start", self.head_start.0, Duration::ZERO, month)
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
            events: &["credential.policy_changed", SESSION_ENDED],
            // A session that ended names its credential.
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
        if let Some((credential, at)) = used(ctx.payload(), now) {
            return Ok(if store.credential_used(credential, at).await? {
                Outcome::counted("uses_noted", 1_usize)
            } else {
                Outcome::nothing()
            });
        }
        let expiry = Expiry {
            at: now,
            failed_before: now - settings.again_after.0,
            head_start: settings.head_start.0,
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

/// The credential that a session used, and when it ended; none where the run is about no session.
fn used(payload: &Value, now: Timestamp) -> Option<(InventoryId, Timestamp)> {
    if payload.get("type")?.as_str()? != SESSION_ENDED {
        return None;
    }
    let credential = payload.get("data")?.get("credential").and_then(id_of)?;
    let told = payload.get("time").and_then(Value::as_str);
    let at = told.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    // A clock that is fast must not keep a password from its end.
    Some((credential, at.map_or(now, |at| at.to_utc().min(now))))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_session_that_ended_names_its_credential() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::hours(1);
        let id = InventoryId(17);
        let ended = |time: Value| json!({"type": "session.ended", "time": time, "data": {"credential": "17"}});
        for (event, expected) in [
            (
                ended(json!("1970-01-01T00:30:00Z")),
                Some((id, now - TimeDelta::minutes(30))),
            ),
            (ended(json!("1970-01-01T04:00:00+02:00")), Some((id, now))),
            (ended(json!("yesterday")), Some((id, now))),
            (ended(json!(null)), Some((id, now))),
            (
                json!({"type": "session.ended", "data": {"user": "17"}}),
                None,
            ),
            (
                json!({"type": "credential.policy_changed", "data": {"credential": "17"}}),
                None,
            ),
            (json!(null), None),
        ] {
            assert_eq!(used(&event, now), expected, "{event}");
        }
    }
}
