//! Sends the mails of the outbox.
//!
//! - **Looks at**: due mails of the outbox, highest priority first; the mail account.
//! - **Changes**: hands mails to the mail server; marks each as sent, deferred or failed; publishes
//!   `mail.sent` and `mail.failed`.
//! - **Safe to repeat**: yes, with one exception that no sender can avoid: a node that dies between
//!   the server's yes and our commit sends the mail again, under the same Message-ID, by which
//!   receivers recognise the copy.
//! - **If it stops**: mails wait in the outbox until they expire; nothing is lost before that.
//!
//! Number 27 of the catalogue. Without a mail account mails stay queued, and the log says so.

mod delivery;
mod settings;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use serde_json::json;
use tokio::time::Instant;

use self::delivery::{Fate, attempt, decide, outgoing};
use self::settings::Settings;
use crate::connect::smtp::{OutgoingMail, SendFailure, SmtpConnector, SmtpReply};
use crate::domain::category::Category;
use crate::domain::event::CloudEvent;
use crate::domain::robot::{FieldError, Sharding};
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::settings::check;
use crate::store::event::NewEvent;
use crate::store::mail::{Mail, MailAttempt, MailState};

/// Claimed at a time: one connection's worth (`connect::smtp`), and little to give back at the end.
const BATCH_MAILS: u32 = 50;
/// One run sends for so long, well under its time limit; the rest is the next run's.
const BUDGET: Duration = Duration::from_mins(4);
/// After the budget and the last mail's own time limit nobody still holds a claim; this much later
/// it is taken over.
const CLAIM_SLACK: Duration = Duration::from_mins(5);
/// After so many mails in a row that no server answered to, the server is down and not the mails.
const SILENT_MAX: u32 = 3;

pub(super) struct SendQueuedMail;

#[async_trait]
impl Robot for SendQueuedMail {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "mail.email_sender",
            title: "Email sender",
            category: Category::Mail,
            summary: "Sends the queued mails through the mail account, again and later where needed",
            wakes: Wakes::Every(Duration::from_secs(30)),
            events: &["mail.queued"],
            sharding: Sharding::Sharded,
            timeout: Duration::from_mins(5),
            cancel_grace: Duration::from_secs(30),
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let settings: Settings = ctx.settings()?;
        let Some(account) = ctx.tools().mail.clone() else {
            if ctx.store().mail_next_due().await?.is_some() {
                ctx.warn("mails wait, and no mail account is configured");
            }
            return Ok(Outcome::nothing());
        };
        let claim_life = BUDGET + account.timeout + CLAIM_SLACK;
        let connector = SmtpConnector::new(account)?;
        let mut run = Run {
            ctx,
            settings,
            connector,
            began: Instant::now(),
            silent: 0,
            tally: Tally::default(),
        };
        let result = run.empty_outbox(claim_life).await;
        run.connector.close().await;
        result?;
        run.tally.outcome()
    }
}

/// What was done with the mails of one run.
#[derive(Debug, Default)]
struct Tally {
    sent: usize,
    deferred: usize,
    failed: usize,
    /// Why the run ended before the outbox was empty, where the server is to blame.
    broken: Option<(&'static str, String)>,
}

impl Tally {
    fn outcome(self) -> Result<Outcome, RobotError> {
        if let Some((class, text)) = self.broken {
            return Err(RobotError::retry(class, text));
        }
        let base = if self.sent + self.deferred + self.failed == 0 {
            Outcome::nothing()
        } else {
            Outcome::done()
        };
        Ok(base
            .and("mails_sent", self.sent)
            .and("mails_deferred", self.deferred)
            .and("mails_failed", self.failed))
    }
}

struct Run<'a> {
    ctx: &'a Context,
    settings: Settings,
    connector: SmtpConnector,
    began: Instant,
    /// Mails in a row to which no server said anything.
    silent: u32,
    tally: Tally,
}

impl Run<'_> {
    async fn empty_outbox(&mut self, claim_life: Duration) -> Result<(), RobotError> {
        while !self.is_over() {
            let now = self.ctx.clock().now();
            let process = self.ctx.run().process;
            let claimed = self
                .ctx
                .store()
                .mail_claim(process, BATCH_MAILS, now - claim_life, now)
                .await?;
            if claimed.is_empty() {
                break;
            }
            for mail in claimed {
                if self.is_over() {
                    self.put_back(&mail).await?;
                } else {
                    self.handle(&mail).await?;
                }
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        let cancelled = self.ctx.cancelled().is_cancelled();
        cancelled || self.tally.broken.is_some() || self.began.elapsed() >= BUDGET
    }

    /// Sends one mail and writes down what came of it, before the next: a node that dies repeats one
    /// mail and not a batch.
    async fn handle(&mut self, mail: &Mail) -> Result<(), RobotError> {
        let file = match mail.file {
            Some(file) => Some(self.ctx.store().mail_file(file).await?),
            None => None,
        };
        let outgoing = outgoing(mail, file, &self.settings);
        let now = self.ctx.clock().now();
        let fate = match delivery::refused(mail, &outgoing, &self.settings, now) {
            Some(reason) => Fate::Failed {
                code: None,
                text: reason,
            },
            None => {
                self.keep_pace().await;
                let result = self.send(&outgoing).await;
                self.note_trouble(&result);
                decide(mail, result, &self.settings, self.ctx.clock().now())
            }
        };
        let word = match &fate {
            Fate::Sent { .. } => {
                self.tally.sent += 1;
                "sent"
            }
            Fate::Deferred { .. } => {
                self.tally.deferred += 1;
                "deferred"
            }
            Fate::Failed { .. } => {
                self.tally.failed += 1;
                "failed"
            }
        };
        let attempt = attempt(mail, fate);
        self.ctx
            .info(format!("mail {} {word}: {}", mail.id, attempt.text));
        self.record(mail, attempt).await
    }

    /// A mail that makes the library panic fails alone; it must not end the run, be claimed again
    /// first, and so block all mails behind it.
    async fn send(&self, mail: &OutgoingMail) -> Result<SmtpReply, SendFailure> {
        let caught = AssertUnwindSafe(self.connector.send(mail))
            .catch_unwind()
            .await;
        caught.unwrap_or_else(|_panic| {
            Err(SendFailure::Refused {
                code: None,
                enhanced: None,
                text: "the mail could not be put into words".to_owned(),
            })
        })
    }

    fn note_trouble(&mut self, result: &Result<SmtpReply, SendFailure>) {
        match result {
            Err(SendFailure::Unsent { text, .. }) => {
                self.tally.broken = Some(("smtp_account", text.clone()));
            }
            Err(SendFailure::Deferred {
                code: None, text, ..
            }) => {
                self.silent += 1;
                if self.silent >= SILENT_MAX {
                    self.tally.broken = Some(("smtp_unreachable", text.clone()));
                }
            }
            Ok(_) | Err(_) => self.silent = 0,
        }
    }

    /// Waits as the rate asks; the instances share it.
    async fn keep_pace(&self) {
        let Some(rate) = self.settings.mails_per_minute else {
            return;
        };
        let tried = self.tally.sent + self.tally.deferred + self.tally.failed;
        if tried > 0 {
            let gap = Duration::from_mins(1) * self.ctx.config().instances.max(1) / rate.max(1);
            let paced = tokio::time::sleep(gap);
            // A run that is told to end does not sit out its pause.
            tokio::select! {
                () = paced => {}
                () = self.ctx.cancelled().cancelled() => {}
            }
        }
    }

    /// Gives back a mail that was claimed and not tried.
    async fn put_back(&self, mail: &Mail) -> Result<(), RobotError> {
        let pause = if self.tally.broken.is_some() {
            self.settings.first_delay()
        } else {
            Duration::ZERO
        };
        let fate = Fate::Deferred {
            until: self.ctx.clock().now() + pause,
            code: None,
            text: "not tried: the run ended before".to_owned(),
        };
        self.record(mail, attempt(mail, fate)).await
    }

    async fn record(&self, mail: &Mail, attempt: MailAttempt) -> Result<(), RobotError> {
        let events: Vec<_> = self.event(mail, &attempt).into_iter().collect();
        let process = self.ctx.run().process;
        let now = self.ctx.clock().now();
        Ok(self
            .ctx
            .store()
            .mail_record(process, vec![attempt], events, now)
            .await?)
    }

    fn event(&self, mail: &Mail, attempt: &MailAttempt) -> Option<NewEvent> {
        let kind = match attempt.state {
            MailState::Sent => "mail.sent",
            MailState::Failed => "mail.failed",
            MailState::Queued | MailState::Sending | MailState::Deferred => return None,
        };
        let data = json!({ "mail": mail.id.to_string(), "message_id": mail.message_id, "code": attempt.code });
        let id = format!("{}.{kind}", mail.id);
        let event = CloudEvent::own(self.ctx.robot(), id, kind, Some(mail.id.to_string()), data);
        Some(self.ctx.tools().registry.route(event))
    }
}
