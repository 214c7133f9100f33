//! Orders new passwords for credentials whose time is over.
//!
//! - **Looks at**: credentials with `automatic_change` and a password that is past `expires_at`, older than its policy's
//!   `max_age` less `head_start`, first seen longer ago than `expires_after_view`, or used by a session that ended longer ago than
//!   `expires_after_use`; not those that are disabled, or stand on a disabled device or, where `sites` names some, in no such site, or that somebody saw less than the policy's
//!   `wait_after_view` ago, but for at most as long after they are due.
//! - **Changes**: orders a change for each account, at most `quota` a run, those under the policy of the highest `priority` first, spread
//!   over `spread`; `operation.requested` tells of it. Publishes `credential.expired` of each end that has passed, with an audit entry
//!   where robots do not change the secret, at most 10,000 a run; and `credential.change_stopped`, with one, of a credential whose changes have
//!   failed `failures_max` times: it is left alone until it, its device or its policy is changed.
//!   Notes of a `session.ended` when its account was used, and leaves the rest to the next tick.
//! - **Safe to repeat**: yes: an account has one open change at most, one that was changed is not due any more, and the credential
//!   remembers of which end was told.
//! - **If it stops**: passwords grow older than they should, and what people have seen stays valid.
//!
//! Number 48 of the catalogue. An account whose last change failed is left alone for `again_after`. One of a domain is changed once, for all
//! devices it is registered for (`Inventory::candidate_commit`).

mod settings;
mod telling;

use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use serde_json::Value;

use self::settings::Settings;
use crate::domain::category::Category;
use crate::domain::id::InventoryId;
use crate::domain::inventory::column::id_of;
use crate::domain::operation::OperationKind;
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use crate::robot::operation::{order, spread};
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::settings::check;
use crate::store::due::{Due, Expiry};

/// What the gateway tells of the end of a session.
const SESSION_ENDED: &str = "session.ended";

pub(super) struct ChangeExpiredPasswords;

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
            sites: settings.sites.clone(),
        };
        let told = telling::tell_of_ends(ctx, now).await?;
        let due = store.credential_due(expiry, settings.quota).await?;
        let is_hopeless = |one: &Due| one.failures >= settings.failures_max;
        let (hopeless, due): (Vec<Due>, Vec<Due>) = due.into_iter().partition(is_hopeless);
        let stopped = telling::stop(ctx, &hopeless, now).await?;
        if told + stopped + due.len() == 0 {
            return Ok(Outcome::nothing());
        }
        let due = due.into_iter().map(|one| (one.credential, one.cause));
        let kind = OperationKind::ChangePassword;
        let orders = spread(kind, due.collect(), settings.spread.0, now, ctx.robot());
        let made = order(store, &ctx.tools().registry, orders, now).await?;
        Ok(Outcome::counted("operations_ordered", made.len())
            .and("ends_told", told)
            .and("changes_stopped", stopped))
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
