//! The audit trail and the syslog queue it feeds.

use serde_json::Value;

use crate::domain::audit::AuditEntry;
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::page::{Page, PageRequest};
use super::signal::Signal;
use super::{Store, StoreResult};

/// An entry to be chained to the trail.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAudit {
    /// Who: a token's name, or `local` for the command line.
    pub actor: String,
    /// What was done, e.g. `robot.change`.
    pub action: String,
    /// To what, e.g. `robot:mail.email_sender`.
    pub object: String,
    /// The changed fields before.
    pub before: Option<Value>,
    /// The changed fields after.
    pub after: Option<Value>,
}

/// A message waiting for the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogMessage {
    /// Its row.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// Severity 0..=7 (RFC 5424).
    pub severity: i16,
    /// MSGID, e.g. `robot.change`.
    pub msgid: String,
    /// Structured data as JSON: `{"name":"value",…}`.
    pub structured: Value,
    /// The text.
    pub text: String,
}

/// Messages kept for a dead collector; the oldest beyond it are dropped and counted in the log.
pub const SYSLOG_QUEUE_MAX: u32 = 100_000;

/// Bound on the text of a message; collectors take 2 KiB at least, and should (RFC 5424, 6.1).
const SYSLOG_TEXT_CHARS_MAX: usize = 1_000;
/// Bound on one value of the structured data.
const SYSLOG_VALUE_CHARS_MAX: usize = 256;
/// Bound on a MSGID (RFC 5424, 6.2.7).
const SYSLOG_MSGID_CHARS_MAX: usize = 32;
/// Severity of an audit entry: normal but significant (RFC 5424, table 2).
const SEVERITY_NOTICE: i16 = 5;
/// The mildest severity.
const SEVERITY_DEBUG: i16 = 7;

/// A message about to be queued; all of it is bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyslogDraft {
    pub(super) at: Timestamp,
    pub(super) severity: i16,
    pub(super) msgid: String,
    pub(super) structured: Value,
    pub(super) text: String,
}

impl SyslogDraft {
    /// A message with its parts cut to their bounds.
    pub(super) fn new(
        severity: i16,
        msgid: &str,
        structured: Value,
        text: &str,
        at: Timestamp,
    ) -> Self {
        Self {
            at,
            severity: severity.clamp(0, SEVERITY_DEBUG),
            msgid: msgid
                .chars()
                .filter(char::is_ascii_graphic)
                .take(SYSLOG_MSGID_CHARS_MAX)
                .collect(),
            structured: bounded_values(structured),
            text: bounded(text, SYSLOG_TEXT_CHARS_MAX),
        }
    }

    /// The message of an audit entry. It carries the entry's hash: what the collector has shows
    /// whether the newest entries of the trail were cut off.
    pub(super) fn of_entry(entry: &AuditEntry) -> Self {
        let structured = serde_json::json!({
            "actor": entry.actor, "object": entry.object, "entry": entry.id.to_string(), "hash": entry.hash,
        });
        let mut text = format!("{}: {} by {}", entry.object, entry.action, entry.actor);
        for (word, value) in [("before", &entry.before), ("after", &entry.after)] {
            if let Some(value) = value {
                text.push_str(&format!("; {word} {value}"));
            }
        }
        Self::new(SEVERITY_NOTICE, &entry.action, structured, &text, entry.at)
    }
}

fn bounded(text: &str, chars: usize) -> String {
    text.replace('\0', "\u{fffd}").chars().take(chars).collect()
}

fn bounded_values(structured: Value) -> Value {
    match structured {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, bounded_values(value)))
            .collect(),
        Value::String(text) => Value::from(bounded(&text, SYSLOG_VALUE_CHARS_MAX)),
        other => other,
    }
}

impl Store {
    /// Appends one entry: id, previous hash and hash are taken inside the transaction; its syslog message is
    /// queued with it. The entry is kept for ever and leaves for the collector: it must hold no secret.
    pub async fn audit_append(&self, entry: NewAudit, now: Timestamp) -> StoreResult<AuditEntry> {
        let entry = write!(self, audit::append(&entry, now))?;
        self.tell(Signal::Syslog);
        Ok(entry)
    }

    /// The trail, newest first (keyset by id). Filters: actor, object, from, to.
    pub async fn audit_list(
        &self,
        filter: AuditFilter,
        page: PageRequest,
    ) -> StoreResult<Page<AuditEntry>> {
        read!(self, audit::list(&filter, page))
    }

    /// Queues a message that is no audit entry.
    ///
    /// What is longer than a collector takes is cut: the text at 1,000 characters, a value at 256, the MSGID
    /// at 32 printable ASCII characters.
    pub async fn syslog_queue(
        &self,
        severity: i16,
        msgid: &str,
        structured: Value,
        text: &str,
        now: Timestamp,
    ) -> StoreResult<()> {
        let draft = SyslogDraft::new(severity, msgid, structured, text, now);
        write!(self, audit::syslog_append(&draft))?;
        self.tell(Signal::Syslog);
        Ok(())
    }

    /// The oldest waiting messages.
    pub async fn syslog_next(&self, limit: u32) -> StoreResult<Vec<SyslogMessage>> {
        read!(self, audit::syslog_next(limit))
    }

    /// Removes messages the collector has.
    pub async fn syslog_done(&self, ids: Vec<i64>) -> StoreResult<()> {
        write!(self, audit::syslog_done(&ids))
    }
}

/// Filters of the trail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only this actor.
    pub actor: Option<String>,
    /// Only this object.
    pub object: Option<String>,
    /// At or after.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_an_entry_is_readable_alone_and_bounded() {
        let entry = AuditEntry {
            id: 7,
            at: crate::domain::time::from_micros(1),
            actor: "ana".to_owned(),
            action: "robot.change".to_owned(),
            object: "robot:mail.email_sender".to_owned(),
            before: Some(serde_json::json!({"instances": 1})),
            after: Some(serde_json::json!({"instances": 2, "note": "x".repeat(5_000)})),
            prev_hash: String::new(),
            hash: "ab".to_owned(),
        };
        let draft = SyslogDraft::of_entry(&entry);
        assert!(draft.text.starts_with(
            "robot:mail.email_sender: robot.change by ana; before {\"instances\":1}; after {\"instances\":2"
        ));
        assert_eq!(draft.text.chars().count(), SYSLOG_TEXT_CHARS_MAX);
        assert_eq!((draft.severity, draft.msgid.as_str()), (5, "robot.change"));
        let expected = serde_json::json!({
            "actor": "ana", "object": "robot:mail.email_sender", "entry": "7", "hash": "ab",
        });
        assert_eq!(draft.structured, expected);
    }

    #[test]
    fn what_others_write_is_cut_to_its_bounds() {
        let at = crate::domain::time::from_micros(1);
        let long = "\u{e9}".repeat(2_000);
        let draft = SyslogDraft::new(
            99,
            &"a b".repeat(40),
            serde_json::json!({"v": long, "n": 3}),
            &long,
            at,
        );
        assert_eq!(draft.severity, 7);
        assert_eq!(draft.msgid.len(), 32);
        assert!(!draft.msgid.contains(' '));
        assert_eq!(draft.structured["v"].as_str().unwrap().chars().count(), 256);
        assert_eq!(draft.structured["n"], 3);
        assert_eq!(draft.text.chars().count(), 1_000);
    }
}
