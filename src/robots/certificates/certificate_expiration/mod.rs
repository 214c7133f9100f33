//! Renews certificates before they end, and publishes them to the services that use them.
//!
//! - **Looks at**: revocations that are asked for; automations, their issuers and certificates, and when an ACME issuer suggests that
//!   they are renewed (RFC 9773); bindings whose service has another certificate than the one in
//!   force; what was begun and not finished. The machines and services of those.
//! - **Changes**: has certificates revoked; asks for an approval where an automation wants one; orders at most `quota` certificates a run and keeps them, with a new private key unless the automation says
//!   otherwise; lays them into the bindings' folders, leads the link `current` to them, has the service read them, and looks
//!   from outside whether it serves them; if not, leads the link back. Publishes `certificate.imported`,
//!   `certificate.renewal_requested`, `certificate.renewed`, `certificate.revoked`, `certificate.published` and `certificate.publish_failed`, and queues mails of what fails.
//! - **Safe to repeat**: yes: an issue and a publication are written down before anybody outside is told, and one that was cut
//!   off is gone on with or settled before anything else is begun. A certificate that is served already is only noted.
//! - **If it stops**: certificates end and their services fail; robot `notifications.expiration_notification` tells of that
//!   before it happens.
//!
//! Number 36 of the catalogue. Why it works as it does stands in `docs/decisions`, on certificates that are switched in one
//! step.

mod in_force;
mod issuer;
mod publish;
mod renew;
mod revoke;
mod settings;
mod site;
mod suggestion;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use self::settings::Settings;
use crate::domain::alert::Level;
use crate::domain::category::Category;
use crate::domain::event::CloudEvent;
use crate::domain::expiry;
use crate::domain::id::InventoryId;
use crate::domain::inventory::patch::Fields;
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use crate::robot::inventory::{By, Inventory, InventoryError};
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::alerts::Round;
use crate::robots::settings::check;
use crate::store::StoreError;
use crate::store::certificate::{Failing, Setback};
use crate::store::event::NewEvent;

/// Nothing is begun after so long; what is in hand then takes some minutes.
const BUDGET: Duration = Duration::from_mins(20);
/// Failures in a row from which it is critical.
const CRITICAL_FAILURES: u32 = 3;
/// The distance of an end within which a failure to renew is critical.
const CRITICAL_END: TimeDelta = TimeDelta::days(7);
/// What all keys of alerts begin with.
const ALERTS: &str = "certificate_";

pub(super) struct RenewCertificates;

#[async_trait]
impl Robot for RenewCertificates {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "certificates.certificate_expiration",
            title: "Certificate expiration",
            category: Category::Certificates,
            summary: "Renews certificates before they end and publishes them to the services that use them",
            wakes: Wakes::Every(Duration::from_hours(1)),
            events: &[
                "certificate.discovered",
                "certificate.renewal_approved",
                "certificate.renewal_requested",
                "certificate.revocation_requested",
            ],
            timeout: Duration::from_mins(40),
            // What is being published is not cut off where that can be helped.
            cancel_grace: Duration::from_mins(5),
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let mut run = Run {
            ctx,
            settings: ctx.settings()?,
            inventory: ctx.inventory(),
            began: Instant::now(),
            tally: Tally::default(),
            touched: BTreeSet::new(),
            sites: AtomicU32::new(0),
            unrevoked: Vec::new(),
        };
        run.revoke_all().await?;
        run.settle_all().await?;
        run.renew_all().await?;
        run.publish_all().await?;
        for automation in &run.touched {
            ctx.store().certificate_replaced(*automation).await?;
        }
        let outcome = run.tally.outcome();
        run.tell(outcome).await
    }
}

/// One run, as far as it has come.
struct Run<'a> {
    ctx: &'a Context,
    settings: Settings,
    inventory: Inventory,
    began: Instant,
    tally: Tally,
    /// Automations whose certificate was renewed or published.
    touched: BTreeSet<InventoryId>,
    /// Machines that were looked for: each reserves its sign-ins by its number.
    sites: AtomicU32,
    /// Certificates that were not revoked, and why.
    unrevoked: Vec<(InventoryId, String)>,
}

/// What a run came to.
#[derive(Debug, Default)]
struct Tally {
    revoked: usize,
    settled: usize,
    renewed: usize,
    renewals_failed: usize,
    held: usize,
    published: usize,
    publications_failed: usize,
}

impl Tally {
    fn outcome(&self) -> Outcome {
        let did = self.revoked
            + self.settled
            + self.renewed
            + self.renewals_failed
            + self.published
            + self.publications_failed;
        let base = if did == 0 {
            Outcome::nothing()
        } else {
            Outcome::done()
        };
        base.and("certificates_revoked", self.revoked)
            .and("publications_settled", self.settled)
            .and("certificates_renewed", self.renewed)
            .and("renewals_failed", self.renewals_failed)
            .and("renewals_held", self.held)
            .and("certificates_published", self.published)
            .and("publications_failed", self.publications_failed)
    }
}

/// Why one certificate was not renewed or published.
enum Unfit {
    /// What is wrong, for people; and how long it is to be left alone at least.
    Because(String, Duration),
    /// The store did not answer: nothing else would work either.
    Store(StoreError),
}

impl Unfit {
    fn because(reason: impl std::fmt::Display) -> Self {
        Self::Because(reason.to_string(), Duration::ZERO)
    }
}

impl From<StoreError> for Unfit {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } | StoreError::Conflict { .. } => Self::because(error),
            other => Self::Store(other),
        }
    }
}

impl From<InventoryError> for Unfit {
    fn from(error: InventoryError) -> Self {
        match error {
            InventoryError::Store(error) => error.into(),
            other => Self::because(other),
        }
    }
}

impl Run<'_> {
    /// Whether no more is to be begun.
    fn is_over(&self) -> bool {
        self.ctx.cancelled().is_cancelled() || self.began.elapsed() >= BUDGET
    }

    fn now(&self) -> Timestamp {
        self.ctx.clock().now()
    }

    fn by(&self) -> By<'_> {
        By {
            actor: self.ctx.robot(),
            now: self.now(),
        }
    }

    /// What is kept of a failure that has `failures` before it.
    fn setback(&self, of: InventoryId, failures: u32, why: (String, Duration)) -> Setback {
        let (error, least) = why;
        let wait = self.settings.wait(failures + 1, rand::random()).max(least);
        Setback {
            of,
            next_attempt_at: self.now() + wait,
            error,
        }
    }

    fn event(&self, id: &str, kind: &str, subject: InventoryId, data: Value) -> NewEvent {
        let event = CloudEvent::own(self.ctx.robot(), id, kind, Some(subject.to_string()), data);
        self.ctx.tools().registry.route(event)
    }

    /// Tells people of everything that failed and did not succeed since, and that the rest is over.
    async fn tell(&self, outcome: Outcome) -> Result<Outcome, RobotError> {
        let mut round = Round::open(self.ctx, ALERTS).await?;
        let now = self.now();
        for failing in self.ctx.store().certificate_failing().await? {
            let (what, key) = if failing.is_binding {
                ("published to", format!("{ALERTS}binding:{}", failing.id))
            } else {
                ("renewed by", format!("{ALERTS}automation:{}", failing.id))
            };
            let title = format!("the certificate is not {what} `{}`", failing.name);
            let text = format!(
                "Attempts that failed in a row: {}.\nThe last one failed to {}.",
                failing.failures, failing.error
            );
            round.push(key, level(&failing, now), title, text);
        }
        for (id, reason) in &self.unrevoked {
            let title = format!("certificate {id} is not revoked");
            let text =
                format!("It is tried again each hour.\nThe last attempt failed to {reason}.");
            round.push(
                format!("{ALERTS}revocation:{id}"),
                Level::Critical,
                title,
                text,
            );
        }
        let audience = self.settings.audience();
        round.close(self.ctx, audience, |_, _| None, outcome).await
    }
}

/// How bad it is. That the end is near counts as far as the certificate lives long enough: one of six days is always near it.
fn level(failing: &Failing, now: Timestamp) -> Level {
    let ends = failing.life.is_some_and(|life| {
        let near = if expiry::counts(CRITICAL_END, life) {
            CRITICAL_END
        } else {
            TimeDelta::zero()
        };
        life.1 - now < near
    });
    if ends || failing.failures >= CRITICAL_FAILURES {
        Level::Critical
    } else {
        Level::Warning
    }
}

/// Reads fields that this program wrote.
fn read<T: DeserializeOwned>(fields: &Fields) -> Result<T, Unfit> {
    serde_json::from_value(Value::Object(fields.clone())).map_err(|error| {
        let what = format!("a stored thing cannot be read: {error}");
        Unfit::Store(StoreError::Other(what))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_becomes_critical_by_its_number_and_by_the_end() {
        let now = Timestamp::UNIX_EPOCH;
        let day = |days| now + TimeDelta::days(days);
        let failing = |failures, days: Option<(i64, i64)>| Failing {
            is_binding: false,
            id: InventoryId(1),
            name: "www".to_owned(),
            failures,
            error: "reach it".to_owned(),
            life: days.map(|(begin, end)| (day(begin), day(end))),
        };
        for (failures, days, wanted) in [
            (1, None, Level::Warning),
            (2, Some((-83, 7)), Level::Warning),
            (1, Some((-84, 6)), Level::Critical),
            (1, Some((-91, -1)), Level::Critical),
            (3, Some((-30, 60)), Level::Critical),
            // What lives six days is told of when it has ended, or by its failures.
            (1, Some((-4, 2)), Level::Warning),
            (1, Some((-7, -1)), Level::Critical),
            (3, Some((-4, 2)), Level::Critical),
        ] {
            assert_eq!(level(&failing(failures, days), now), wanted);
        }
    }
}
