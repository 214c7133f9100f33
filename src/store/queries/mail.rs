//! The mail outbox. See `store::mail`.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text};

use crate::domain::id::ProcessId;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::event::{NewEvent, Publication, Published};
use crate::store::mail::{
    KEPT_MICROS, Letter, MAIL_COUNT_MAX, Mail, MailAttempt, MailFile, MailState, NewMail,
    bounded_text, message_id,
};
use crate::store::schema::change_report::mail_files;
use crate::store::schema::{mail_attempts, mail_outbox};

use super::rows::storable;
use super::{Conn, dialect, event};

/// Rows of one INSERT: keeps its binds below SQLite's bound (32,766).
const INSERT_ROWS_MAX: usize = 1_000;

#[derive(Insertable)]
#[diesel(table_name = mail_outbox, treat_none_as_default_value = false)]
struct NewRow {
    message_id: String,
    recipient: String,
    subject: String,
    text: String,
    priority: i16,
    state: i16,
    attempts: i32,
    next_attempt_at: i64,
    created_at: i64,
    expires_at: i64,
    html: Option<String>,
    file_id: Option<i64>,
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = mail_files)]
struct FileRow {
    name: String,
    media_type: String,
    content: Vec<u8>,
}

#[derive(QueryableByName)]
struct ClaimedRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    message_id: String,
    #[diesel(sql_type = Text)]
    recipient: String,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Text)]
    text: String,
    #[diesel(sql_type = SmallInt)]
    priority: i16,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
    #[diesel(sql_type = BigInt)]
    expires_at: i64,
    #[diesel(sql_type = Nullable<Text>)]
    html: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    file_id: Option<i64>,
}

/// Queues mails, each due at once; their Message-IDs are fixed here, before any attempt.
pub(in crate::store) fn queue(
    conn: &mut Conn,
    mails: &[NewMail],
    now: Timestamp,
) -> QueryResult<()> {
    for chunk in mails.chunks(INSERT_ROWS_MAX) {
        let rows: Vec<NewRow> = chunk.iter().map(|mail| new_row(mail, now)).collect();
        insert(conn, rows)?;
    }
    Ok(())
}

/// Queues mails with what they have beside their texts.
pub(in crate::store) fn queue_letters(
    conn: &mut Conn,
    letters: &[Letter],
    files: &[MailFile],
    now: Timestamp,
) -> QueryResult<()> {
    let mut ids: Vec<i64> = Vec::with_capacity(files.len());
    for file in files {
        let row = FileRow {
            name: storable(file.name.clone()),
            media_type: file.media_type.clone(),
            content: file.content.clone(),
        };
        let inserted = diesel::insert_into(mail_files::table).values(row);
        ids.push(inserted.returning(mail_files::id).get_result(conn)?);
    }
    for chunk in letters.chunks(INSERT_ROWS_MAX) {
        let row = |letter: &Letter| NewRow {
            html: letter.html.clone().map(storable),
            file_id: letter.file.and_then(|place| ids.get(place)).copied(),
            ..new_row(&letter.mail, now)
        };
        insert(conn, chunk.iter().map(row).collect())?;
    }
    Ok(())
}

fn insert(conn: &mut Conn, rows: Vec<NewRow>) -> QueryResult<()> {
    diesel::insert_into(mail_outbox::table)
        .values(rows)
        .execute(conn)?;
    Ok(())
}

/// The file of a mail.
pub(in crate::store) fn file(conn: &mut Conn, id: i64) -> QueryResult<MailFile> {
    let found: Option<FileRow> = mail_files::table
        .find(id)
        .select((
            mail_files::name,
            mail_files::media_type,
            mail_files::content,
        ))
        .first(conn)
        .optional()?;
    let found = found.ok_or_else(|| QueryError::not_found(format!("file `{id}`")))?;
    Ok(MailFile {
        name: found.name,
        media_type: found.media_type,
        content: found.content,
    })
}

fn new_row(mail: &NewMail, now: Timestamp) -> NewRow {
    NewRow {
        message_id: message_id(rand::random()),
        recipient: storable(mail.recipient.clone()),
        subject: storable(mail.subject.clone()),
        text: storable(mail.text.clone()),
        priority: mail.priority,
        state: MailState::Queued.code(),
        attempts: 0,
        next_attempt_at: to_micros(now),
        created_at: to_micros(now),
        expires_at: to_micros(mail.expires_at),
        html: None,
        file_id: None,
    }
}

/// Claims due mails for `process`. The numbers of the states are those of the partial indexes.
pub(in crate::store) fn claim(
    conn: &mut Conn,
    process: ProcessId,
    limit: u32,
    stale_before: Timestamp,
    now: Timestamp,
) -> QueryResult<Vec<Mail>> {
    // Materialized: PostgreSQL must not run the locking part more than once.
    let sql = format!(
        "WITH due AS MATERIALIZED ( \
             SELECT id FROM mail_outbox WHERE state IN (0, 1, 3) AND \
                 ((state <> 1 AND next_attempt_at <= $1) OR (state = 1 AND claimed_at < $2)) \
             ORDER BY priority DESC, id LIMIT $3 {}) \
         UPDATE mail_outbox SET state = 1, process = $4, claimed_at = $1 WHERE id IN (SELECT id FROM due) \
         RETURNING id, message_id, recipient, subject, text, priority, attempts, created_at, expires_at, \
             html, file_id",
        dialect::SKIP_LOCKED
    );
    let mut rows: Vec<ClaimedRow> = diesel::sql_query(sql)
        .bind::<BigInt, _>(to_micros(now))
        .bind::<BigInt, _>(to_micros(stale_before))
        .bind::<BigInt, _>(i64::from(limit))
        .bind::<BigInt, _>(process.0)
        .load(conn)?;
    // RETURNING has no order of its own.
    rows.sort_by_key(|row| (std::cmp::Reverse(row.priority), row.id));
    Ok(rows.into_iter().map(into_mail).collect())
}

fn into_mail(row: ClaimedRow) -> Mail {
    Mail {
        id: row.id,
        message_id: row.message_id,
        recipient: row.recipient,
        subject: row.subject,
        text: row.text,
        attempts: row.attempts,
        created_at: from_micros(row.created_at),
        expires_at: from_micros(row.expires_at),
        html: row.html,
        file: row.file_id,
    }
}

/// Records attempts of mails that `process` holds and publishes `events`, but those of the other mails.
pub(in crate::store) fn record(
    conn: &mut Conn,
    process: ProcessId,
    attempts: &[MailAttempt],
    events: &[NewEvent],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Published> {
    let mut passed_over = HashSet::new();
    for attempt in attempts {
        if !record_one(conn, process, attempt, now)? {
            passed_over.insert(attempt.mail.to_string());
        }
    }
    let is_ours = |new: &&NewEvent| {
        new.event
            .subject
            .as_ref()
            .is_none_or(|subject| !passed_over.contains(subject))
    };
    let events: Vec<NewEvent> = events.iter().filter(is_ours).cloned().collect();
    event::insert_events(conn, &events, ids, now)
}

fn record_one(
    conn: &mut Conn,
    process: ProcessId,
    attempt: &MailAttempt,
    now: Timestamp,
) -> QueryResult<bool> {
    let ended = matches!(attempt.state, MailState::Sent | MailState::Failed);
    let held = mail_outbox::table
        .filter(mail_outbox::id.eq(attempt.mail))
        .filter(mail_outbox::process.eq(process.0))
        .filter(mail_outbox::state.eq(MailState::Sending.code()));
    let changed = diesel::update(held)
        .set((
            mail_outbox::state.eq(attempt.state.code()),
            mail_outbox::attempts.eq(mail_outbox::attempts + 1),
            mail_outbox::next_attempt_at.eq(to_micros(attempt.next_attempt_at.unwrap_or(now))),
            mail_outbox::process.eq(None::<i64>),
            mail_outbox::claimed_at.eq(None::<i64>),
            mail_outbox::finished_at.eq(ended.then(|| to_micros(now))),
        ))
        .execute(conn)?;
    if changed == 0 {
        return Ok(false);
    }
    diesel::insert_into(mail_attempts::table)
        .values((
            mail_attempts::mail.eq(attempt.mail),
            mail_attempts::at.eq(to_micros(now)),
            mail_attempts::process.eq(process.0),
            mail_attempts::state.eq(attempt.state.code()),
            mail_attempts::code.eq(attempt.code),
            mail_attempts::text.eq(bounded_text(&attempt.text)),
        ))
        .execute(conn)?;
    Ok(true)
}

#[derive(QueryableByName)]
struct DueRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    due: Option<i64>,
}

/// When the next waiting mail is due.
pub(in crate::store) fn next_due(conn: &mut Conn) -> QueryResult<Option<Timestamp>> {
    // The states are written out, else SQLite cannot use the partial index.
    let sql = "SELECT min(next_attempt_at) AS due FROM mail_outbox WHERE state IN (0, 3)";
    let row: DueRow = diesel::sql_query(sql).get_result(conn)?;
    Ok(row.due.map(from_micros))
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Mails by state, each counted up to [`MAIL_COUNT_MAX`].
pub(in crate::store) fn depths(conn: &mut Conn) -> QueryResult<Vec<(MailState, u32)>> {
    let sql =
        "SELECT count(*) AS n FROM (SELECT 1 FROM mail_outbox WHERE state = $1 LIMIT $2) AS part";
    let mut depths = Vec::new();
    for state in MailState::ALL {
        let row: CountRow = diesel::sql_query(sql)
            .bind::<SmallInt, _>(state.code())
            .bind::<BigInt, _>(i64::from(MAIL_COUNT_MAX))
            .get_result(conn)?;
        depths.push((state, u32::try_from(row.n).unwrap_or(MAIL_COUNT_MAX)));
    }
    Ok(depths)
}

/// Removes mails that ended [`KEPT_MICROS`] ago, with their attempts and files, at most `limit`.
pub(in crate::store) fn prune_mails(
    conn: &mut Conn,
    now: Timestamp,
    limit: u32,
) -> QueryResult<u64> {
    let sql = "DELETE FROM mail_outbox WHERE id IN \
               (SELECT id FROM mail_outbox WHERE state IN (2, 4) AND finished_at < $1 LIMIT $2)";
    let gone = diesel::sql_query(sql)
        .bind::<BigInt, _>(to_micros(now).saturating_sub(KEPT_MICROS))
        .bind::<BigInt, _>(i64::from(limit))
        .execute(conn)?;
    if gone > 0 {
        // Files are written with their mails: one without any has lost its last.
        let sql = "DELETE FROM mail_files WHERE NOT EXISTS \
                   (SELECT 1 FROM mail_outbox WHERE file_id = mail_files.id)";
        diesel::sql_query(sql).execute(conn)?;
    }
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}
