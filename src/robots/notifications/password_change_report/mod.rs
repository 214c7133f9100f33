//! Tells people which passwords were changed, and which were not.
//!
//! - **Looks at**: changes of passwords that ended since the last report, by operations and by people who recorded a
//!   secret; how many are still open.
//! - **Changes**: marks the operations it tells of, queues a mail a recipient and file, with text, HTML and a workbook or
//!   CSV of at most 200,000 rows in ten files; a line to the syslog collector; publishes `report.password_changes_sent`.
//! - **Safe to repeat**: yes; a report is closed in the transaction that queues its mails, and one that was cut off is
//!   gone on with. What ends while it is written is told of by the next.
//! - **If it stops**: nobody hears of failed changes by mail. The next report tells of all that it missed.
//!
//! Number 1 of the catalogue. No secret is told of; those of `archive_passwords` lock files. By default it reports daily, at the hour of its schedule; with the
//! setting `immediate` at each change too, with a pause between two mails. Who may see which device is not known to this
//! version: every recipient is told of all, but a user of the inventory who was disabled since is told nothing. An address that is no
//! user's any more gets the report as long as it stands in `recipients`.

mod archive;
mod letter;
mod settings;
mod summary;
mod table;
mod words;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use self::letter::{MAIL_LIFE, Reader, Writer};
use self::settings::Settings;
use self::summary::{Ending, Severity, Summary};
use self::table::{Files, Part};
use self::words::Language;
use crate::domain::category::Category;
use crate::domain::event::CloudEvent;
use crate::domain::inventory::Noun;
use crate::domain::robot::FieldError;
use crate::domain::task::Trigger;
use crate::domain::time::Timestamp;
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::settings::check;
use crate::store::StoreError;
use crate::store::change_report::{CHANGES_PAGE_MAX, ChangeReport, Closing};
use crate::store::event::NewEvent;
use crate::store::inventory::{Narrow, Wanted};
use crate::store::mail::{Letter, NewMail};
use crate::store::page::PageRequest;

/// Users with one mail address; more are not looked at.
const NAMESAKES_MAX: u32 = 50;
/// Above the daily digests, below alerts.
const PRIORITY: i16 = 6;

pub(super) struct ReportPasswordChanges;

#[async_trait]
impl Robot for ReportPasswordChanges {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "notifications.password_change_report",
            title: "Password change report",
            category: Category::Notifications,
            summary: "Tells people which passwords were changed, and which were not",
            wakes: Wakes::Cron("0 7 * * *"),
            // A secret is in force a moment before its operation has ended: the end is what is told of.
            events: &[
                "credential.password_changed",
                "credential.password_change_failed",
                "operation.succeeded",
                "operation.unverified",
            ],
            timeout: Duration::from_mins(15),
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let settings: Settings = ctx.settings()?;
        let by_event = ctx.run().trigger == Trigger::Event;
        if settings.recipients.is_empty() {
            if !by_event {
                ctx.warn("nobody is told by mail: the setting `recipients` is empty");
            }
            return Ok(Outcome::nothing());
        }
        if by_event {
            let Some(pause) = settings.immediate else {
                return Ok(Outcome::nothing());
            };
            pause_after_last(ctx, pause.0).await?;
        }
        let now = ctx.clock().now();
        let store = ctx.store();
        let report = store
            .change_report_open(now - settings.period.0, now)
            .await?;
        let summary = gather(ctx, report, settings.least()).await?;
        let told = summary.total.all();
        let closing = if told > 0 || (settings.include_empty && !by_event) {
            close(ctx, &settings, report, summary).await?
        } else {
            Closing::default()
        };
        let (mails, files) = (closing.letters.len(), closing.files.len());
        store
            .change_report_close(report, closing, ctx.clock().now())
            .await
            .map_err(|error| match error {
                StoreError::Conflict { what } => RobotError::retry("told_meanwhile", what),
                other => other.into(),
            })?;
        if told == 0 && mails == 0 {
            return Ok(Outcome::nothing());
        }
        let told = usize::try_from(told).unwrap_or(usize::MAX);
        Ok(Outcome::counted("changes_told", told)
            .and("mails_queued", mails)
            .and("files", files))
    }
}

/// Waits until the last report is `pause` old. The changes of that time wake one more run, and are told together.
async fn pause_after_last(ctx: &Context, pause: Duration) -> Result<(), RobotError> {
    let Some(last) = ctx.store().change_report_last().await? else {
        return Ok(());
    };
    let left = (last + pause) - ctx.clock().now();
    // A clock that was set back does not prolong it.
    let left = left.to_std().unwrap_or_default().min(pause);
    tokio::time::sleep(left).await;
    Ok(())
}

/// Counts all changes of a report.
async fn gather(
    ctx: &Context,
    report: ChangeReport,
    least: Severity,
) -> Result<Summary, RobotError> {
    let store = ctx.store();
    while store.change_report_take(report, CHANGES_PAGE_MAX).await? == CHANGES_PAGE_MAX {}
    let mut summary = Summary::new(least);
    let mut after = 0;
    loop {
        let limit = CHANGES_PAGE_MAX;
        let page = store.change_report_operations(report, after, limit).await?;
        let Some(last) = page.last() else { break };
        after = last.key;
        page.into_iter().for_each(|change| summary.add(change));
    }
    let mut after = 0;
    loop {
        let limit = CHANGES_PAGE_MAX;
        let page = store.change_report_recorded(report, after, limit).await?;
        let Some(last) = page.last() else { break };
        after = last.key;
        page.into_iter().for_each(|change| summary.add(change));
    }
    Ok(summary)
}

/// All that is written when a report is closed.
async fn close(
    ctx: &Context,
    settings: &Settings,
    report: ChangeReport,
    summary: Summary,
) -> Result<Closing, RobotError> {
    let open = ctx.store().operation_open_changes().await?;
    let (form, others) = (settings.attachment, settings.others());
    let (rows, total) = (settings.rows_per_file, summary.total.all());
    let day = report.until.with_timezone(&others.zone).format("%Y-%m-%d");
    let name = format!("password-changes-{day}");
    let packed = tokio::task::spawn_blocking(move || {
        let files = table::write(&summary.rows, total, form, rows, others, &name);
        (files, summary)
    });
    let defect = |error: &dyn std::fmt::Display| RobotError::fail("report", error.to_string());
    let (files, summary) = packed.await.map_err(|error| defect(&error))?;
    let Files { files, parts } = files.map_err(|error| defect(&error))?;
    let writer = Writer {
        report,
        summary: &summary,
        open,
        robot: ctx.robot(),
        node: &ctx.tools().node_name,
    };
    let (locks, mut letters) = (&settings.archive_passwords, Vec::new());
    let is_open = |recipient| !locks.contains_key(recipient);
    // What nobody gets is not kept either.
    let mut kept = match settings.recipients.iter().any(is_open) {
        true => files.clone(),
        false => Vec::new(),
    };
    for recipient in settings.recipients.iter() {
        let Some(reader) = reader_of(ctx, recipient, others).await? else {
            continue;
        };
        let first = match locks.get(recipient) {
            None => Some(0),
            Some(credential) => {
                let locked = archive::locked_by(ctx, *credential, &files).await?;
                let first = locked.is_some().then_some(kept.len());
                kept.extend(locked.unwrap_or_default());
                first
            }
        };
        for part in 0..parts.len().max(1) {
            let to = (recipient, reader);
            let letter = posted(&writer, to, (part, &parts), first, ctx.clock().now());
            letters.push(letter.map_err(|error| defect(&error))?);
        }
    }
    Ok(Closing {
        events: events(ctx, report, &summary, letters.len()),
        syslog: Some(syslog(&summary, report)),
        letters,
        files: kept,
    })
}

/// The mail to somebody with a part of the report; `first` is where his files begin, if he gets any.
fn posted(
    writer: &Writer<'_>,
    (recipient, reader): (&str, Reader),
    (part, parts): (usize, &[Part]),
    first: Option<usize>,
    now: Timestamp,
) -> Result<Letter, askama::Error> {
    let words = reader.language.words();
    let line = parts.get(part).map(|part| match first {
        Some(_) => part.line(words),
        None => words.file_left_out.to_owned(),
    });
    let letter = writer.letter(reader, line);
    Ok(Letter {
        mail: NewMail {
            recipient: recipient.to_owned(),
            subject: writer.subject(reader.language, (part + 1, parts.len().max(1))),
            text: letter.text()?,
            priority: PRIORITY,
            expires_at: now + MAIL_LIFE,
        },
        html: Some(letter.html()?),
        file: first
            .filter(|_| part < parts.len())
            .map(|first| first + part),
    })
}

/// How a recipient reads a report; none where the inventory has him disabled.
async fn reader_of(
    ctx: &Context,
    address: &str,
    otherwise: Reader,
) -> Result<Option<Reader>, RobotError> {
    let filters = Noun::User.spec().filters.iter();
    let narrow = filters
        .filter(|one| one.name == "email")
        .map(|filter| Narrow {
            filter,
            value: Wanted::Text(address.to_owned()),
        });
    let page = PageRequest {
        limit: NAMESAKES_MAX,
        after: None,
    };
    let found = ctx
        .inventory()
        .list(Noun::User, narrow.collect(), page)
        .await?;
    if found.items.is_empty() {
        return Ok(Some(otherwise));
    }
    let enabled = |item: &&crate::store::inventory::Item| {
        item.body.get("enabled") == Some(&serde_json::Value::Bool(true))
    };
    let user = found.items.iter().find(enabled);
    Ok(user.map(|user| {
        let field = |name| user.body.get(name).and_then(|value| value.as_str());
        let zone = field("timezone").and_then(|zone| zone.parse().ok());
        Reader {
            language: field("locale")
                .and_then(Language::of)
                .unwrap_or(otherwise.language),
            zone: zone.unwrap_or(otherwise.zone),
        }
    }))
}

fn events(ctx: &Context, report: ChangeReport, summary: &Summary, mails: usize) -> Vec<NewEvent> {
    if mails == 0 {
        return Vec::new();
    }
    let (id, registry) = (report.id, &ctx.tools().registry);
    let event = |kind: &str, data| {
        let event = CloudEvent::own(ctx.robot(), format!("{id}.{kind}"), kind, None, data);
        registry.route(event)
    };
    Vec::from([
        event(
            "report.password_changes_sent",
            json!({
                "report": id.to_string(),
                "from": report.from,
                "until": report.until,
                "succeeded": summary.total.of(Ending::Succeeded),
                "failed": summary.total.of(Ending::Failed),
                "unverified": summary.total.of(Ending::Unverified),
                "not_begun": summary.total.of(Ending::NotBegun),
                "mails": mails,
            }),
        ),
        event("mail.queued", json!({ "mails": mails })),
    ])
}

/// The summary for the collector.
fn syslog(summary: &Summary, report: ChangeReport) -> (String, serde_json::Value) {
    let shown = |at: Timestamp| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let (from, until) = (shown(report.from), shown(report.until));
    let words = summary.total.said(Language::English.words());
    let text = format!("password changes from {from} to {until}: {words}");
    let structured = json!({
        "succeeded": summary.total.of(Ending::Succeeded).to_string(),
        "failed": summary.total.of(Ending::Failed).to_string(),
        "unverified": summary.total.of(Ending::Unverified).to_string(),
        "not_begun": summary.total.of(Ending::NotBegun).to_string(),
    });
    (text, structured)
}
