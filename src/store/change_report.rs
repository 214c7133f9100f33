//! Reports of changed passwords: which changes a report tells of, and that it was told.
//!
//! A report is opened for what ended by then and takes its operations in parts; one that ends while it is written, or is
//! committed late, is left for the next. It is closed in the transaction that queues its mails: a run that dies before
//! leaves it open, and the next one goes on with the same operations. Secrets recorded by people are in the audit trail,
//! whose entries have their ids in the order of their commits: there the last id that was told of is enough.

use chrono::TimeDelta;

use crate::domain::id::InventoryId;
use crate::domain::operation::{ChangeCause, OperationState};
use crate::domain::time::Timestamp;

use super::audit::SyslogDraft;
use super::backend::{read, write};
use super::event::NewEvent;
use super::mail::{Letter, MailFile};
use super::signal::Signal;
use super::task::bounded;
use super::{Store, StoreResult};

/// Most changes of one call.
pub const CHANGES_PAGE_MAX: u32 = 2_000;
/// Most mails of one report: fifty people, each with as many files as a report may have.
pub const LETTERS_MAX: usize = 500;
/// Severity of the summary for the collector: informational (RFC 5424, table 2).
const SEVERITY_INFO: i16 = 6;
/// How far before its beginning a report looks for what was committed late.
pub(super) const LATE: TimeDelta = TimeDelta::days(1);

/// A report that is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeReport {
    /// Its number; the next one has the next.
    pub id: i64,
    /// What ended after this,
    pub from: Timestamp,
    /// and by then.
    pub until: Timestamp,
    /// What ended by then is in no report.
    pub(super) since: Timestamp,
    /// The last audit entry that was told of before.
    pub(super) audit_from: i64,
    /// The last one of this report.
    pub(super) audit_until: i64,
}

/// A change that has ended, well or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The operation's id, or the audit entry's; where the next page begins.
    pub key: i64,
    /// Whose password.
    pub credential: InventoryId,
    /// What people know it by; none where it is gone.
    pub account: Option<ChangedAccount>,
    /// How it ended.
    pub state: OperationState,
    /// Why it was made.
    pub cause: ChangeCause,
    /// Who ordered or recorded it.
    pub requested_by: String,
    /// Attempts made.
    pub attempts: u32,
    /// Class of the failure.
    pub error_class: Option<String>,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// An account as people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedAccount {
    /// Its name.
    pub username: String,
    /// Its directory, where it has one.
    pub domain: Option<String>,
    /// The host name of its device.
    pub device: String,
    /// The device's site.
    pub site: Option<String>,
}

/// What is written when a report is closed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Closing {
    /// Its mails.
    pub letters: Vec<Letter>,
    /// The mails' files.
    pub files: Vec<MailFile>,
    /// What is published with it.
    pub events: Vec<NewEvent>,
    /// Its summary for the syslog collector, with structured data; none: nothing is said.
    pub syslog: Option<(String, serde_json::Value)>,
}

impl Store {
    /// The report that is open, or a new one: from the end of the last one, or where there is none from `first_from`,
    /// until `now`.
    pub async fn change_report_open(
        &self,
        first_from: Timestamp,
        now: Timestamp,
    ) -> StoreResult<ChangeReport> {
        write!(self, change_report::open(first_from, now))
    }

    /// Until when the last report reaches; none: there is none yet.
    pub async fn change_report_last(&self) -> StoreResult<Option<Timestamp>> {
        read!(self, change_report::last())
    }

    /// Puts up to `limit` operations more into an open report; answers how many. None are left where it is less.
    pub async fn change_report_take(&self, report: ChangeReport, limit: u32) -> StoreResult<u32> {
        let limit = limit.min(CHANGES_PAGE_MAX);
        write!(self, change_report::take(report, limit))
    }

    /// Operations of a report by their ids, those behind `after`, at most [`CHANGES_PAGE_MAX`].
    pub async fn change_report_operations(
        &self,
        report: ChangeReport,
        after: i64,
        limit: u32,
    ) -> StoreResult<Vec<Change>> {
        let limit = limit.min(CHANGES_PAGE_MAX);
        read!(self, change_report::operations(report, after, limit))
    }

    /// Secrets that people recorded in the time of a report, by their audit entries, those behind `after`, at most
    /// [`CHANGES_PAGE_MAX`].
    pub async fn change_report_recorded(
        &self,
        report: ChangeReport,
        after: i64,
        limit: u32,
    ) -> StoreResult<Vec<Change>> {
        let limit = limit.min(CHANGES_PAGE_MAX);
        read!(self, change_report::recorded(report, after, limit))
    }

    /// Changes that are ordered and have not ended.
    pub async fn operation_open_changes(&self) -> StoreResult<u64> {
        read!(self, change_report::open_changes())
    }

    /// Closes a report, and queues its mails in the same transaction. `Conflict`, and nothing is written, where another
    /// run closed it.
    pub async fn change_report_close(
        &self,
        report: ChangeReport,
        closing: Closing,
        now: Timestamp,
    ) -> StoreResult<()> {
        bounded("mails", closing.letters.len(), LETTERS_MAX)?;
        let ids = self.publication_ids(&closing.events, now).await?;
        let tells = closing.syslog.is_some();
        let syslog = closing.syslog.as_ref().map(|(text, structured)| {
            SyslogDraft::new(
                SEVERITY_INFO,
                "password.summary",
                structured.clone(),
                text,
                now,
            )
        });
        let published = write!(
            self,
            change_report::close(report, &closing, syslog.as_ref(), &ids, now)
        )?;
        if tells {
            self.tell(Signal::Syslog);
        }
        self.tell_published(published);
        Ok(())
    }
}
