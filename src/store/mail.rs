//! The mail outbox: queued with the change that causes it, sent by `mail.email_sender`.

use std::fmt;

use crate::domain::id::ProcessId;
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::{Store, StoreResult};

/// A mail to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMail {
    /// Address, e.g. `ops@example.org`.
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// 0..=9, higher first.
    pub priority: i16,
    /// Given up after this.
    pub expires_at: Timestamp,
}

/// A mail with what it has beside its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The mail.
    pub mail: NewMail,
    /// The same as HTML.
    pub html: Option<String>,
    /// The place of its file among those of the call.
    pub file: Option<usize>,
}

/// A file that goes with mails.
#[derive(Clone, PartialEq, Eq)]
pub struct MailFile {
    /// What it is called.
    pub name: String,
    /// Such as `text/csv`.
    pub media_type: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// How long it is, and not what is in it.
impl fmt::Debug for MailFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailFile")
            .field("name", &self.name)
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

/// A queued mail, claimed by one process of the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Its row.
    pub id: i64,
    /// Stable over retries, stored before the first attempt: receivers can tell a repetition by it.
    pub message_id: String,
    /// Address.
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// Attempts made before.
    pub attempts: i32,
    /// When it was queued.
    pub created_at: Timestamp,
    /// Given up after this.
    pub expires_at: Timestamp,
    /// The same as HTML.
    pub html: Option<String>,
    /// The file that goes with it; see [`Store::mail_file`].
    pub file: Option<i64>,
}

/// Where a mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailState {
    /// Waits.
    Queued,
    /// Claimed by a process of the sender.
    Sending,
    /// The server took it.
    Sent,
    /// Refused for now; waits for its next attempt.
    Deferred,
    /// Refused for good, or given up.
    Failed,
}

impl MailState {
    /// All values.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::Deferred,
        Self::Failed,
    ];

    /// The number in the database (SMALLINT); never reused. Partial indexes name these numbers.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Queued => 0,
            Self::Sending => 1,
            Self::Sent => 2,
            Self::Deferred => 3,
            Self::Failed => 4,
        }
    }

    /// The word in reports and facts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
        }
    }
}

/// What one attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailAttempt {
    /// Which mail.
    pub mail: i64,
    /// The new state: `Sent`, `Deferred` or `Failed`.
    pub state: MailState,
    /// Next attempt, for `Deferred`.
    pub next_attempt_at: Option<Timestamp>,
    /// SMTP reply code, where there was one.
    pub code: Option<i16>,
    /// The server's text or what went wrong, at most 512 characters.
    pub text: String,
}

/// `mail_depths` is exact up to here; more mails read as this number.
pub const MAIL_COUNT_MAX: u32 = 10_000;
/// Bound on the kept text of an attempt.
pub const ATTEMPT_CHARS_MAX: usize = 512;

/// How long sent and failed mails are kept, and alerts that are over: 180 days, longer than any question
/// about a mail is asked.
pub(super) const KEPT_MICROS: i64 = 180 * 24 * 3_600 * 1_000_000;

/// A Message-ID (RFC 5322, 3.6.4) made of 128 random bits. The right side is a name that is nobody's
/// (RFC 2606): it tells nothing of the host, and the mail's identity does not hang on it.
pub(super) fn message_id(random: u128) -> String {
    format!("<{random:032x}@robotd.invalid>")
}

/// The kept text of an attempt.
pub(super) fn bounded_text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
        .chars()
        .take(ATTEMPT_CHARS_MAX)
        .collect()
}

impl Store {
    /// Claims due mails for `process`, highest priority first, then oldest; claims older than `stale_before`
    /// (their sender died) are taken over.
    pub async fn mail_claim(
        &self,
        process: ProcessId,
        limit: u32,
        stale_before: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Vec<Mail>> {
        write!(self, mail::claim(process, limit, stale_before, now))
    }

    /// Records attempts of mails that `process` still holds; publishes `mail.sent` / `mail.failed`. Others are passed over,
    /// and so are events whose subject is such a mail's id: whoever holds it now tells its end.
    pub async fn mail_record(
        &self,
        process: ProcessId,
        attempts: Vec<MailAttempt>,
        events: Vec<super::event::NewEvent>,
        now: Timestamp,
    ) -> StoreResult<()> {
        let ids = self.publication_ids(&events, now).await?;
        let published = write!(self, mail::record(process, &attempts, &events, &ids, now))?;
        self.tell_published(published);
        Ok(())
    }

    /// The file of a mail. `NotFound`.
    pub async fn mail_file(&self, id: i64) -> StoreResult<MailFile> {
        read!(self, mail::file(id))
    }

    /// When the next waiting mail is due.
    pub async fn mail_next_due(&self) -> StoreResult<Option<Timestamp>> {
        read!(self, mail::next_due())
    }

    /// Mails by state, for reports and tests: `(state, count up to 10,000)`.
    pub async fn mail_depths(&self) -> StoreResult<Vec<(MailState, u32)>> {
        read!(self, mail::depths())
    }
}
