//! Tells people of credentials and certificates before they expire, and when they have.
//!
//! - **Looks at**: enabled credentials with an end, of enabled devices, and certificates, that end within the highest
//!   level or have ended; what was told of them.
//! - **Changes**: queues a mail a recipient with all that is new to them, remembers each notice, publishes
//!   `credential.expiring`, `credential.expired`, `certificate.expiring` and `certificate.expired` with the thing's id
//!   as subject; forgets notices of things that were renewed or are gone, at most 10,000 a run.
//! - **Safe to repeat**: yes; a notice is remembered in the transaction that queues its mail and writes its event, and a
//!   run that another one outran writes nothing.
//! - **If it stops**: nobody hears of an end before it comes. The next run tells the level that holds then, once,
//!   however many it missed.
//!
//! Number 4 of the catalogue. That a credential has expired programs hear once, of this robot or of `operations.expired_password`,
//! which looks more often. A certificate that ends no sooner than its issuer is not told of: what is to be renewed is
//! the issuer, and it is told of once instead of each certificate it issued. The inventory knows an issuer by its name;
//! of the chain that was sent with a certificate only the first one's end is known.

mod digest;
mod judgement;
mod settings;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use self::digest::{Letters, title};
use self::judgement::{Due, Judged, Level, PROGRAMS, Rules, horizon, judge};
use self::settings::Settings;
use crate::domain::category::Category;
use crate::domain::event::CloudEvent;
use crate::domain::robot::FieldError;
use crate::domain::time::{Timestamp, to_micros};
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::settings::check;
use crate::store::StoreError;
use crate::store::event::NewEvent;
use crate::store::expiration::{EXPIRING_PAGE_MAX, Expirable, Notice};

/// Notices forgotten in one run; more are left for the next.
const FORGOTTEN_MAX: u32 = 10_000;

pub(super) struct TellOfExpirations;

#[async_trait]
impl Robot for TellOfExpirations {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "notifications.expiration_notification",
            title: "Expiration notification",
            category: Category::Notifications,
            summary: "Tells people of credentials and certificates before they expire",
            wakes: Wakes::Cron("0 6 * * *"),
            events: &["certificate.imported", "credential.policy_changed"],
            timeout: Duration::from_mins(10),
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let settings: Settings = ctx.settings()?;
        let rules = Rules::of(&settings);
        let now = ctx.clock().now();
        let until = horizon(&rules, now)
            .ok_or_else(|| RobotError::fail("calendar", "the levels reach the end of time"))?;
        let mut round = Round::new(ctx, &rules, now);
        for kind in Expirable::ALL {
            let mut after = None;
            loop {
                let store = ctx.store();
                let page = store
                    .expiring_list(kind, until, after, EXPIRING_PAGE_MAX)
                    .await?;
                let whole = page.len() == EXPIRING_PAGE_MAX;
                after = page.last().map(|thing| (thing.ends_at, thing.id));
                for thing in page {
                    round.take(judge(thing, &rules, now));
                }
                round.tell(EXPIRING_PAGE_MAX).await?;
                if !whole {
                    break;
                }
            }
        }
        round.tell(1).await?;
        let forgotten = ctx.store().expiration_forget(FORGOTTEN_MAX).await?;
        Ok(round.outcome().and("notices_forgotten", forgotten))
    }
}

/// One run, as far as it has come.
struct Round<'a> {
    ctx: &'a Context,
    rules: &'a Rules<'a>,
    now: Timestamp,
    due: Vec<Due>,
    looked_at: usize,
    covered: usize,
    told: usize,
    mails: usize,
    digests: usize,
}

impl<'a> Round<'a> {
    const fn new(ctx: &'a Context, rules: &'a Rules<'a>, now: Timestamp) -> Self {
        Self {
            ctx,
            rules,
            now,
            due: Vec::new(),
            looked_at: 0,
            covered: 0,
            told: 0,
            mails: 0,
            digests: 0,
        }
    }

    fn take(&mut self, judged: Judged) {
        self.looked_at += 1;
        match judged {
            Judged::Due(due) => self.due.push(due),
            Judged::Covered => self.covered += 1,
            Judged::Nothing => {}
        }
    }

    /// Tells of what is due, once there are `enough` things: mails, events and notices at once.
    async fn tell(&mut self, enough: usize) -> Result<(), RobotError> {
        if self.due.len() < enough {
            return Ok(());
        }
        let mut due = std::mem::take(&mut self.due);
        due.sort_by_key(|due| (due.thing.ends_at, due.thing.id));
        let letters = Letters {
            due: &due,
            rules: self.rules,
            now: self.now,
            robot: self.ctx.robot(),
            node: &self.ctx.tools().node_name,
        };
        let people = self.rules.audience.iter().filter(|who| **who != PROGRAMS);
        let mails: Vec<_> = people.filter_map(|who| letters.to(who)).collect();
        let notices = due.iter().flat_map(|due| {
            let notice = |who: &String| Notice::new(&due.thing, due.level.code(), who);
            due.untold.iter().map(notice)
        });
        let queued = mails.len();
        let events = self.events(&due, queued);
        let store = self.ctx.store();
        store
            .expiration_tell(notices.collect(), mails, events, self.now)
            .await
            .map_err(|error| match error {
                StoreError::Conflict { what } => RobotError::retry("told_meanwhile", what),
                other => other.into(),
            })?;
        self.told += due.len();
        self.mails += queued;
        self.digests += 1;
        Ok(())
    }

    /// What programs are told, and `mail.queued` where mails were queued. The same end at the same level is the same
    /// event, whoever publishes it.
    fn events(&self, due: &[Due], queued: usize) -> Vec<NewEvent> {
        let for_programs = |due: &&Due| due.untold.iter().any(|who| who == PROGRAMS);
        let ends = due.iter().filter(for_programs).map(|due| {
            let thing = &due.thing;
            let word = thing.kind().as_str();
            let (kind, level) = match due.level {
                Level::Expired => (format!("{word}.expired"), None),
                Level::Days(days) => (format!("{word}.expiring"), Some(days)),
            };
            let ends_at = to_micros(thing.ends_at);
            CloudEvent::own(
                self.ctx.robot(),
                format!("{word}.{}.{ends_at}.{}", thing.id, due.level.code()),
                &kind,
                Some(thing.id.to_string()),
                json!({
                    "title": title(&thing.known_as),
                    "ends_at": thing.ends_at,
                    "days_left": due.days_left,
                    "level": level,
                }),
            )
        });
        let id = format!("{}.mail.{}", self.ctx.run().process, self.digests);
        let data = json!({ "mails": queued });
        let mail =
            (queued > 0).then(|| CloudEvent::own(self.ctx.robot(), id, "mail.queued", None, data));
        let registry = &self.ctx.tools().registry;
        ends.chain(mail)
            .map(|event| registry.route(event))
            .collect()
    }

    fn outcome(&self) -> Outcome {
        if self.told > 0 && self.rules.audience.len() == 1 {
            self.ctx
                .warn("nobody is told by mail: the setting `recipients` is empty");
        }
        Outcome::counted("things_looked_at", self.looked_at)
            .and("things_told", self.told)
            .and("certificates_covered_by_issuer", self.covered)
            .and("mails_queued", self.mails)
    }
}
