//! Reports of changed passwords. See `store::change_report`.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text};

use super::sql::raced;
use super::statement::{Bind, Statement, bind};
use super::{Conn, audit, event, mail, statement};
use crate::domain::id::InventoryId;
use crate::domain::operation::{ChangeCause, OperationState};
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::audit::SyslogDraft;
use crate::store::backend::{QueryError, QueryResult};
use crate::store::change_report::{Change, ChangeReport, ChangedAccount, Closing, LATE};
use crate::store::event::{Publication, Published};
use crate::store::mail::KEPT_MICROS;
use crate::store::schema::change_report::password_change_reports as reports;

#[derive(Queryable, Insertable)]
#[diesel(table_name = reports, treat_none_as_default_value = false)]
struct Row {
    id: i64,
    since_at: i64,
    from_at: i64,
    until_at: i64,
    audit_from: i64,
    audit_until: i64,
    finished_at: Option<i64>,
}

impl Row {
    fn of(&self) -> ChangeReport {
        ChangeReport {
            id: self.id,
            since: from_micros(self.since_at),
            from: from_micros(self.from_at),
            until: from_micros(self.until_at),
            audit_from: self.audit_from,
            audit_until: self.audit_until,
        }
    }
}

struct LastEntry;

impl Statement for LastEntry {
    type Row = (BigInt,);
    const SQL: &'static str = "SELECT id FROM audit_trail WHERE at <= ? ORDER BY id DESC LIMIT 1";
}

/// The open report, or the next.
pub(in crate::store) fn open(
    conn: &mut Conn,
    first_from: Timestamp,
    now: Timestamp,
) -> QueryResult<ChangeReport> {
    let last: Option<Row> = reports::table
        .order(reports::id.desc())
        .first(conn)
        .optional()?;
    let newest = |conn: &mut Conn, at: Timestamp| -> QueryResult<i64> {
        let binds = [Bind::Int(to_micros(at))];
        let found: Option<(i64,)> = bind(LastEntry, &binds).get_result(conn).optional()?;
        Ok(found.map_or(0, |(id,)| id))
    };
    let (id, since_at, from_at, audit_from) = match last {
        Some(last) if last.finished_at.is_none() => return Ok(last.of()),
        Some(last) => (last.id + 1, last.since_at, last.until_at, last.audit_until),
        None => {
            let from = to_micros(first_from);
            (1, from, from, newest(conn, first_from)?)
        }
    };
    let row = Row {
        id,
        since_at,
        from_at,
        // A clock that was set back opens an empty report; what ends meanwhile is in a later one.
        until_at: to_micros(now).max(from_at),
        audit_from,
        audit_until: newest(conn, Timestamp::MAX_UTC)?.max(audit_from),
        finished_at: None,
    };
    let report = row.of();
    diesel::insert_into(reports::table)
        .values(row)
        .execute(conn)
        .map_err(raced)?;
    Ok(report)
}

/// Until when the last report reaches.
pub(in crate::store) fn last(conn: &mut Conn) -> QueryResult<Option<Timestamp>> {
    let newest = reports::table.order(reports::id.desc());
    let until: Option<i64> = newest.select(reports::until_at).first(conn).optional()?;
    Ok(until.map(from_micros))
}

struct Take;

impl Statement for Take {
    type Row = ();
    const SQL: &'static str = "
        UPDATE operations SET report_id = ? WHERE report_id IS NULL AND id IN (
            SELECT id FROM operations
            WHERE kind = 0 AND report_id IS NULL AND finished_at IS NOT NULL AND finished_at > ? AND finished_at <= ?
            ORDER BY finished_at, id LIMIT ?)";
}

/// Puts operations into a report.
pub(in crate::store) fn take(
    conn: &mut Conn,
    report: ChangeReport,
    limit: u32,
) -> QueryResult<u32> {
    // What was committed late ended before the report begins.
    let after = (report.from - LATE).max(report.since);
    let binds = [
        report.id,
        to_micros(after),
        to_micros(report.until),
        i64::from(limit),
    ]
    .map(Bind::Int);
    let taken = bind(Take, &binds).execute(conn)?;
    Ok(u32::try_from(taken).unwrap_or(u32::MAX))
}

type ChangeRow = (
    (i64, i64, i16, i16, String, i32, Option<String>, i64),
    (
        Option<String>,
        Option<String>,
        Option<String>,
        Option<String>,
    ),
);

struct Operations;

impl Statement for Operations {
    type Row = (
        (
            BigInt,
            BigInt,
            SmallInt,
            SmallInt,
            Text,
            Integer,
            Nullable<Text>,
            BigInt,
        ),
        (
            Nullable<Text>,
            Nullable<Text>,
            Nullable<Text>,
            Nullable<Text>,
        ),
    );
    const SQL: &'static str = "
        SELECT o.id, o.credential_id, o.state, o.cause, o.requested_by, o.attempts, o.error_class, o.finished_at,
            c.username, c.domain, d.hostname, s.name
        FROM operations o
        LEFT JOIN credentials c ON c.id = o.credential_id
        LEFT JOIN devices d ON d.id = c.device_id
        LEFT JOIN sites s ON s.id = d.site_id
        WHERE o.report_id = ? AND o.id > ? ORDER BY o.id LIMIT ?";
}

/// Operations of a report.
pub(in crate::store) fn operations(
    conn: &mut Conn,
    report: ChangeReport,
    after: i64,
    limit: u32,
) -> QueryResult<Vec<Change>> {
    let binds = [report.id, after, i64::from(limit)].map(Bind::Int);
    let rows: Vec<ChangeRow> = bind(Operations, &binds).load(conn)?;
    rows.into_iter().map(change).collect()
}

fn change(row: ChangeRow) -> QueryResult<Change> {
    let (
        (key, credential, state, cause, requested_by, attempts, error_class, ended_at),
        (username, domain, device, site),
    ) = row;
    let defect = |what: &str| QueryError::Defect(format!("{what} of operation `{key}`"));
    Ok(Change {
        key,
        credential: InventoryId(credential),
        account: username
            .zip(device)
            .map(|(username, device)| ChangedAccount {
                username,
                domain,
                device,
                site,
            }),
        state: OperationState::from_code(state).ok_or_else(|| defect("state"))?,
        cause: ChangeCause::from_code(cause).ok_or_else(|| defect("cause"))?,
        requested_by,
        attempts: u32::try_from(attempts).unwrap_or_default(),
        error_class,
        ended_at: from_micros(ended_at),
    })
}

/// Entries that name a version of a secret; the numbers say that it succeeded, was recorded, and how often it was tried.
struct Recorded;

impl Statement for Recorded {
    type Row = <Operations as Statement>::Row;
    const SQL: &'static str = "
        SELECT a.id, a.credential, CAST(4 AS SMALLINT), CAST(3 AS SMALLINT), a.actor, CAST(1 AS INTEGER),
            CAST(NULL AS TEXT), a.at, c.username, c.domain, d.hostname, s.name
        FROM (
            SELECT id, at, actor, CASE WHEN action = 'credential.change'
                THEN CAST(substr(object, 12) AS BIGINT) ELSE 0 END AS credential
            FROM audit_trail
            WHERE id > ? AND id > ? AND id <= ? AND action = 'credential.change'
                AND after_json LIKE '%\"secret_version\":%'
            ORDER BY id LIMIT ?) AS a
        LEFT JOIN credentials c ON c.id = a.credential
        LEFT JOIN devices d ON d.id = c.device_id
        LEFT JOIN sites s ON s.id = d.site_id
        ORDER BY a.id";
}

/// Secrets that people recorded.
pub(in crate::store) fn recorded(
    conn: &mut Conn,
    report: ChangeReport,
    after: i64,
    limit: u32,
) -> QueryResult<Vec<Change>> {
    let binds = [
        after,
        report.audit_from,
        report.audit_until,
        i64::from(limit),
    ]
    .map(Bind::Int);
    let rows: Vec<ChangeRow> = bind(Recorded, &binds).load(conn)?;
    rows.into_iter().map(change).collect()
}

struct OpenChanges;

impl Statement for OpenChanges {
    type Row = (BigInt,);
    const SQL: &'static str = "SELECT count(*) FROM operations WHERE finished_at IS NULL AND state IN (0, 1, 2, 3) AND kind = 0";
}

/// Changes that have not ended.
pub(in crate::store) fn open_changes(conn: &mut Conn) -> QueryResult<u64> {
    let (open,): (i64,) = bind(OpenChanges, &[]).get_result(conn)?;
    Ok(u64::try_from(open).unwrap_or_default())
}

/// Closes a report and queues its mails.
pub(in crate::store) fn close(
    conn: &mut Conn,
    report: ChangeReport,
    closing: &Closing,
    syslog: Option<&SyslogDraft>,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Published> {
    let open = reports::table
        .filter(reports::id.eq(report.id))
        .filter(reports::finished_at.is_null());
    let closed = diesel::update(open)
        .set(reports::finished_at.eq(to_micros(now)))
        .execute(conn)?;
    if closed == 0 {
        return Err(QueryError::conflict(
            "another run has told of these changes",
        ));
    }
    mail::queue_letters(conn, &closing.letters, &closing.files, now)?;
    if let Some(draft) = syslog {
        audit::syslog_append(conn, draft)?;
    }
    event::insert_events(conn, &closing.events, ids, now)
}

struct Old;

impl Statement for Old {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM password_change_reports WHERE id IN (
            SELECT id FROM password_change_reports
            WHERE finished_at < ? AND id < (SELECT max(id) FROM password_change_reports) ORDER BY id LIMIT ?)";
}

/// Forgets reports that were closed [`KEPT_MICROS`] ago, at most `limit`; the last one says where the next begins.
pub(in crate::store) fn prune_reports(
    conn: &mut Conn,
    now: Timestamp,
    limit: u32,
) -> QueryResult<u64> {
    let before = to_micros(now).saturating_sub(KEPT_MICROS);
    let gone = statement::prune(conn, Old, before, limit)?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}
