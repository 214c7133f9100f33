//! From findings of a monitor to mails for people and events for programs.
//!
//! The state of each key is in the database and changes together with the mails and events it
//! causes, in one transaction: after a crash nobody is told twice and nobody is forgotten. What
//! follows from a finding is decided in [`crate::domain::alert`].

use std::time::Duration;

use serde_json::json;

use super::settings::require_between;
use crate::domain::alert::{AlertState, AlertStep, Finding, Level, Notice, Telling, judge};
use crate::domain::event::CloudEvent;
use crate::domain::mail::{Recipients, one_line};
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use crate::domain::window::Window;
use crate::robot::{Context, Outcome, RobotError};
use crate::store::event::NewEvent;
use crate::store::mail::NewMail;

/// How often a lasting alert is told again by default: twice a working day.
pub(super) const REMINDER: Duration = Duration::from_hours(4);
/// A reminder more often than this is noise.
const REMINDER_MIN: Duration = Duration::from_mins(1);
/// A reminder less often than this comes after the matter is forgotten.
const REMINDER_MAX: Duration = Duration::from_hours(31 * 24);
/// Notices of one run; with [`crate::domain::mail::RECIPIENTS_MAX`] recipients a thousand mails,
/// what a small mail server takes in a minute. The others follow with the next run.
const NOTICES_MAX: usize = 20;
/// A notice that could not be delivered for a day is stale; the reminder replaces it.
const MAIL_LIFE: Duration = Duration::from_hours(24);
/// Longer subjects are cut off by programs that show them.
const SUBJECT_CHARS_MAX: usize = 200;
/// Bound on the `subject` of an event (`domain::event`).
const EVENT_SUBJECT_CHARS_MAX: usize = 256;

/// Whom a monitor tells, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Audience<'a> {
    /// Who gets mails.
    pub recipients: &'a Recipients,
    /// How often a lasting alert is told again.
    pub reminder: Duration,
    /// When nobody gets mails; what happens then is told afterwards.
    pub quiet_hours: Option<&'a Window>,
}

impl Audience<'_> {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// A reminder interval out of bounds.
    pub(super) fn check(&self) -> Result<(), FieldError> {
        require_between(
            "reminder_interval",
            self.reminder,
            REMINDER_MIN,
            REMINDER_MAX,
        )
    }
}

/// The event a change is published as: (type, subject). `None`: programs are not told.
pub(super) type EventOf = fn(&Finding, Notice) -> Option<(&'static str, String)>;

/// What a monitor found in one run.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// What is remembered of the keys this run answers for.
    pub known: Vec<AlertState>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// Keys starting so could not be judged now; what is remembered of them stays.
    pub undecided: Vec<String>,
}

impl Round {
    /// A round over every key that starts with `prefix`.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn open(ctx: &Context, prefix: &str) -> Result<Self, RobotError> {
        let known = ctx.store().alert_list(prefix).await?;
        Ok(Self {
            known,
            ..Self::default()
        })
    }

    /// The level remembered of `key`.
    pub(super) fn level(&self, key: &str) -> Level {
        let state = self.known.iter().find(|state| state.key == key);
        state.map_or(Level::Ok, |state| state.level)
    }

    /// Adds a finding.
    pub(super) fn push(&mut self, key: String, level: Level, title: String, text: String) {
        self.findings.push(Finding {
            key,
            level,
            title,
            text,
        });
    }

    /// Ends the round: what was remembered and not found again is over, and everything that follows
    /// is written at once. Counts findings by level and mails queued into `outcome`.
    ///
    /// # Errors
    /// The store's; nothing is written then.
    pub(super) async fn close(
        mut self,
        ctx: &Context,
        audience: Audience<'_>,
        event_of: EventOf,
        outcome: Outcome,
    ) -> Result<Outcome, RobotError> {
        let now = ctx.clock().now();
        let gone = vanished(&self);
        self.findings.extend(gone);
        let count = |level| self.findings.iter().filter(|f| f.level == level).count();
        let (warnings, criticals) = (count(Level::Warning), count(Level::Critical));
        let telling = Telling {
            reminder: audience.reminder,
            quiet: audience
                .quiet_hours
                .is_some_and(|window| window.is_open(now)),
            notices_max: NOTICES_MAX,
        };
        let steps = judge(&self.known, self.findings, now, telling);
        for step in steps.iter().filter(|step| step.change.is_some()) {
            ctx.warn(one_line(&heading(step), SUBJECT_CHARS_MAX));
        }
        let mails = mails(ctx, &steps, audience.recipients, now);
        let queued = mails.len();
        let events = events(ctx, &steps, queued, event_of);
        let states: Vec<_> = steps
            .into_iter()
            .filter(|step| step.is_new)
            .map(|step| step.state)
            .collect();
        if !(states.is_empty() && events.is_empty()) {
            ctx.store().alert_apply(states, mails, events, now).await?;
        }
        Ok(outcome
            .and("warnings", warnings)
            .and("criticals", criticals)
            .and("mails_queued", queued))
    }
}

/// Findings for what was raised, or not yet told, and was not found again.
fn vanished(round: &Round) -> Vec<Finding> {
    let open = round.known.iter().filter(|state| {
        let untold = state.last_sent_at.is_none();
        let found = round
            .findings
            .iter()
            .any(|finding| finding.key == state.key);
        let undecided = round
            .undecided
            .iter()
            .any(|prefix| state.key.starts_with(prefix.as_str()));
        (state.level > Level::Ok || untold) && !found && !undecided
    });
    open.map(|state| Finding {
        key: state.key.clone(),
        level: Level::Ok,
        title: state.title.clone(),
        text: "This is no longer found.".to_owned(),
    })
    .collect()
}

fn heading(step: &AlertStep) -> String {
    let word = match (step.notice.or(step.change), step.finding.level) {
        (Some(Notice::Cleared), _) | (_, Level::Ok) => "Over",
        (Some(Notice::Reminder), Level::Critical) => "Still critical",
        (Some(Notice::Reminder), _) => "Still a warning",
        (_, Level::Critical) => "Critical",
        (_, Level::Warning) => "Warning",
    };
    format!("{word}: {}", step.finding.title)
}

fn mails(
    ctx: &Context,
    steps: &[AlertStep],
    recipients: &Recipients,
    now: Timestamp,
) -> Vec<NewMail> {
    let told = steps.iter().filter(|step| step.notice.is_some());
    told.flat_map(|step| {
        let subject = one_line(&format!("[robotd] {}", heading(step)), SUBJECT_CHARS_MAX);
        let text = format!(
            "{heading}\n\n{text}\n\nSince: {since}\nRobot: {robot}\nNode:  {node}\nKey:   {key}\n",
            heading = heading(step),
            text = step.finding.text,
            since = step.state.since.format("%Y-%m-%d %H:%M:%S UTC"),
            robot = ctx.robot(),
            node = ctx.tools().node_name,
            key = step.finding.key,
        );
        let priority = match step.finding.level {
            Level::Critical => 8,
            Level::Warning => 6,
            Level::Ok => 5,
        };
        recipients.iter().map(move |recipient| NewMail {
            recipient: recipient.to_owned(),
            subject: subject.clone(),
            text: text.clone(),
            priority,
            expires_at: now + MAIL_LIFE,
        })
    })
    .collect()
}

/// The changes as events, and `mail.queued` where mails were queued.
fn events(ctx: &Context, steps: &[AlertStep], queued: usize, event_of: EventOf) -> Vec<NewEvent> {
    // The process is this run's alone, so the identities are unique; they are written once, with
    // the states.
    let process = ctx.run().process;
    let changes = steps.iter().enumerate().filter_map(|(index, step)| {
        let (kind, subject) = event_of(&step.finding, step.change?)?;
        let data = json!({
            "key": step.finding.key,
            "level": step.finding.level,
            "change": step.change,
            "title": step.finding.title,
            "node": ctx.tools().node_name,
        });
        let subject = Some(one_line(&subject, EVENT_SUBJECT_CHARS_MAX)).filter(|s| !s.is_empty());
        Some(CloudEvent::own(
            ctx.robot(),
            format!("{process}.{index}"),
            kind,
            subject,
            data,
        ))
    });
    let mail = (queued > 0).then(|| {
        let data = json!({ "mails": queued });
        CloudEvent::own(
            ctx.robot(),
            format!("{process}.mail"),
            "mail.queued",
            None,
            data,
        )
    });
    let registry = &ctx.tools().registry;
    changes
        .chain(mail)
        .map(|event| registry.route(event))
        .collect()
}
