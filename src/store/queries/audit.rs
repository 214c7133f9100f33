//! The audit trail and the queue of the syslog collector. See `store::audit`.

use diesel::prelude::*;
use serde_json::Value;

use crate::domain::audit::{AuditEntry, AuditFields, GENESIS_HASH, chain_hash};
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::audit::{AuditFilter, NewAudit, SYSLOG_QUEUE_MAX, SyslogDraft, SyslogMessage};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::page::{Page, PageRequest, page_of};
use crate::store::schema::{audit_trail, syslog_outbox};

use super::{Conn, dialect};

/// Rows of one INSERT: keeps its binds below SQLite's bound (32,766).
const INSERT_ROWS_MAX: usize = 1_000;

#[derive(Queryable, Insertable)]
#[diesel(table_name = audit_trail, treat_none_as_default_value = false)]
struct AuditRow {
    id: i64,
    at: i64,
    actor: String,
    action: String,
    object: String,
    before_json: Option<String>,
    after_json: Option<String>,
    prev_hash: String,
    hash: String,
}

impl AuditRow {
    fn of(entry: &AuditEntry, before_json: Option<String>, after_json: Option<String>) -> Self {
        Self {
            id: entry.id,
            at: to_micros(entry.at),
            actor: entry.actor.clone(),
            action: entry.action.clone(),
            object: entry.object.clone(),
            before_json,
            after_json,
            prev_hash: entry.prev_hash.clone(),
            hash: entry.hash.clone(),
        }
    }

    fn into_entry(self) -> AuditEntry {
        AuditEntry {
            id: self.id,
            at: from_micros(self.at),
            actor: self.actor,
            action: self.action,
            object: self.object,
            before: self.before_json.as_deref().map(value_of),
            after: self.after_json.as_deref().map(value_of),
            prev_hash: self.prev_hash,
            hash: self.hash,
        }
    }
}

/// A value that was damaged in the database is shown as the text it is; the chain tells that it was.
fn value_of(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| Value::from(json))
}

/// Appends an entry to the trail and its message to the syslog queue; see [`append_all`].
pub(in crate::store) fn append(
    conn: &mut Conn,
    entry: &NewAudit,
    now: Timestamp,
) -> QueryResult<AuditEntry> {
    let appended = append_all(conn, std::slice::from_ref(entry), now)?;
    appended
        .into_iter()
        .next()
        .ok_or_else(|| QueryError::Defect("an entry was not appended".to_owned()))
}

/// Appends entries to the trail and their messages to the syslog queue.
///
/// Must run inside a transaction: the lock that keeps two appenders from following the same entry
/// lasts until its end. What is in the entries is kept for ever and leaves for the collector: leaving
/// secrets out of it is the caller's duty.
pub(in crate::store) fn append_all(
    conn: &mut Conn,
    new: &[NewAudit],
    now: Timestamp,
) -> QueryResult<Vec<AuditEntry>> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    // The lock is taken before the last entry is read, so that the next appender reads this one.
    dialect::lock_audit(conn)?;
    let last: Option<(i64, String)> = audit_trail::table
        .select((audit_trail::id, audit_trail::hash))
        .order(audit_trail::id.desc())
        .first(conn)
        .optional()?;
    let (mut last_id, mut prev_hash) = last.unwrap_or_else(|| (0, GENESIS_HASH.to_owned()));
    // The databases keep microseconds; the hash and the answer must say what they keep.
    let at = from_micros(to_micros(now));
    let mut entries = Vec::with_capacity(new.len());
    let mut rows = Vec::with_capacity(new.len());
    for entry in new {
        let (before_json, before) = entry.before.as_ref().map(settled).unzip();
        let (after_json, after) = entry.after.as_ref().map(settled).unzip();
        let mut entry = AuditEntry {
            id: last_id + 1,
            at,
            actor: entry.actor.replace('\0', "\u{fffd}"),
            action: entry.action.replace('\0', "\u{fffd}"),
            object: entry.object.replace('\0', "\u{fffd}"),
            before,
            after,
            prev_hash,
            hash: String::new(),
        };
        entry.hash = chain_hash(&entry.prev_hash, &fields(&entry));
        (last_id, prev_hash) = (entry.id, entry.hash.clone());
        rows.push(AuditRow::of(&entry, before_json, after_json));
        entries.push(entry);
    }
    for chunk in rows.chunks(INSERT_ROWS_MAX) {
        diesel::insert_into(audit_trail::table)
            .values(chunk)
            .execute(conn)?;
    }
    for entry in &entries {
        syslog_append(conn, &SyslogDraft::of_entry(entry))?;
    }
    Ok(entries)
}

/// The text to be kept of a value, and what it reads as. A fraction may come back from its text as a
/// neighbour (`serde_json` reads fast, not exactly); the hash must be of what a reader will see.
fn settled(value: &Value) -> (String, Value) {
    let text = value.to_string();
    let read = value_of(&text);
    (text, read)
}

fn fields(entry: &AuditEntry) -> AuditFields<'_> {
    AuditFields {
        id: entry.id,
        at: entry.at,
        actor: &entry.actor,
        action: &entry.action,
        object: &entry.object,
        before: entry.before.as_ref(),
        after: entry.after.as_ref(),
    }
}

/// The trail, newest first.
pub(in crate::store) fn list(
    conn: &mut Conn,
    filter: &AuditFilter,
    page: PageRequest,
) -> QueryResult<Page<AuditEntry>> {
    let mut query = audit_trail::table
        .order(audit_trail::id.desc())
        .into_boxed();
    if let Some(actor) = &filter.actor {
        query = query.filter(audit_trail::actor.eq(actor.clone()));
    }
    if let Some(object) = &filter.object {
        query = query.filter(audit_trail::object.eq(object.clone()));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit_trail::at.ge(to_micros(from)));
    }
    if let Some(to) = filter.to {
        query = query.filter(audit_trail::at.lt(to_micros(to)));
    }
    if let Some(after) = page.after {
        query = query.filter(audit_trail::id.lt(after));
    }
    let rows: Vec<AuditRow> = query.limit(page.rows()).load(conn)?;
    Ok(page_of(
        rows.into_iter().map(AuditRow::into_entry).collect(),
        page,
        |entry| entry.id,
    ))
}

/// Queues a message and drops what is beyond [`SYSLOG_QUEUE_MAX`].
///
/// Ids only rise, so at most that many rows lie in the last [`SYSLOG_QUEUE_MAX`] ids: the bound
/// needs no counting. Ids that were skipped make it drop a little early.
pub(in crate::store) fn syslog_append(conn: &mut Conn, draft: &SyslogDraft) -> QueryResult<()> {
    let id: i64 = diesel::insert_into(syslog_outbox::table)
        .values((
            syslog_outbox::at.eq(to_micros(draft.at)),
            syslog_outbox::severity.eq(draft.severity),
            syslog_outbox::msgid.eq(&draft.msgid),
            syslog_outbox::structured.eq(draft.structured.to_string()),
            syslog_outbox::text.eq(&draft.text),
        ))
        .returning(syslog_outbox::id)
        .get_result(conn)?;
    let beyond =
        syslog_outbox::table.filter(syslog_outbox::id.le(id - i64::from(SYSLOG_QUEUE_MAX)));
    let dropped = diesel::delete(beyond).execute(conn)?;
    if dropped > 0 {
        log::warn!(
            "dropped {dropped} syslog messages: more than {SYSLOG_QUEUE_MAX} wait for the collector"
        );
    }
    Ok(())
}

/// The oldest waiting messages.
pub(in crate::store) fn syslog_next(
    conn: &mut Conn,
    limit: u32,
) -> QueryResult<Vec<SyslogMessage>> {
    let rows: Vec<(i64, i64, i16, String, String, String)> = syslog_outbox::table
        .order(syslog_outbox::id)
        .limit(i64::from(limit))
        .load(conn)?;
    let message =
        |(id, at, severity, msgid, structured, text): (i64, i64, i16, String, String, String)| {
            SyslogMessage {
                id,
                at: from_micros(at),
                severity,
                msgid,
                structured: value_of(&structured),
                text,
            }
        };
    Ok(rows.into_iter().map(message).collect())
}

/// Removes messages the collector has.
pub(in crate::store) fn syslog_done(conn: &mut Conn, ids: &[i64]) -> QueryResult<()> {
    // Chunks keep the statement below SQLite's bound on binds (32,766).
    for chunk in ids.chunks(1_000) {
        diesel::delete(syslog_outbox::table.filter(syslog_outbox::id.eq_any(chunk)))
            .execute(conn)?;
    }
    Ok(())
}
