//! Imports: kept, claimed, recorded row by row, ended. See `store::import`.

use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::event::insert_events;
use super::import_report::get;
use super::rows::{Rows, storable};
use super::sql::raced;
use super::statement::{Bind, Statement, bind, run};
use super::{Conn, audit, statement, vault_key};
use crate::domain::id::{ImportId, ProcessId, TaskId};
use crate::domain::import::{ImportState, RowAnswer};
use crate::domain::time::{Timestamp, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::event::{Publication, Published};
use crate::store::import::{Cancelled, Holder, Import, ImportEnd, ImportRow, NewImport};
use crate::store::schema::import::{batch_import_files, batch_import_rows, batch_imports};

#[derive(Insertable)]
#[diesel(table_name = batch_imports, treat_none_as_default_value = false)]
struct New {
    id: i64,
    name: String,
    bytes: i64,
    fingerprint: String,
    same_as: Option<i64>,
    mode: i16,
    state: i16,
    requested_by: String,
    rows_done: i32,
    created: i32,
    updated: i32,
    unchanged: i32,
    refused: i32,
    skipped: i32,
    attempts: i32,
    cancel_requested: bool,
    created_at: i64,
}

/// Keeps a file.
pub(in crate::store) fn add(
    conn: &mut Conn,
    new: &NewImport,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(Import, Published)> {
    if vault_key::newest(conn)? != Some(new.sealed.key) {
        return Err(QueryError::conflict(
            "the data key was changed at the same moment: send the file again",
        ));
    }
    let same_as: Option<i64> = batch_imports::table
        .filter(batch_imports::fingerprint.eq(&new.fingerprint))
        .select(max(batch_imports::id))
        .first(conn)?;
    diesel::insert_into(batch_imports::table)
        .values(New {
            id: new.id.0,
            name: storable(new.name.clone()),
            bytes: i64::try_from(new.bytes).unwrap_or(i64::MAX),
            fingerprint: new.fingerprint.clone(),
            same_as,
            mode: new.mode.code(),
            state: ImportState::Waiting.code(),
            requested_by: storable(new.audit.actor.clone()),
            rows_done: 0,
            created: 0,
            updated: 0,
            unchanged: 0,
            refused: 0,
            skipped: 0,
            attempts: 0,
            cancel_requested: false,
            created_at: to_micros(now),
        })
        .execute(conn)?;
    diesel::insert_into(batch_import_files::table)
        .values((
            batch_import_files::import_id.eq(new.id.0),
            batch_import_files::key_id.eq(new.sealed.key.0),
            batch_import_files::sealed.eq(&new.sealed.bytes),
        ))
        .execute(conn)?;
    audit::append(conn, &new.audit, now)?;
    let published = insert_events(conn, std::slice::from_ref(&new.event), ids, now)?;
    Ok((get(conn, new.id)?, published))
}

/// Materialized: PostgreSQL must not run the locking part more than once.
struct Claim;

impl Statement for Claim {
    type Row = (BigInt,);
    const SQL: &'static str = "
        WITH due AS MATERIALIZED (
            SELECT i.id FROM batch_imports i
            WHERE i.finished_at IS NULL AND (i.state = 0 OR (i.state = 1 AND (i.task_id = ? OR i.lease_until < ?)))
            ORDER BY i.id LIMIT 1 {skip locked})
        UPDATE batch_imports SET state = 1, attempts = attempts + 1, task_id = ?, process_id = ?, lease_until = ?,
            started_at = COALESCE(started_at, ?)
        WHERE id IN (SELECT due.id FROM due)
        RETURNING id";
}

/// Takes the oldest one.
pub(in crate::store) fn claim(
    conn: &mut Conn,
    task: TaskId,
    process: ProcessId,
    lease_until: Timestamp,
    now: Timestamp,
) -> QueryResult<Option<Import>> {
    let binds = [
        Bind::Int(task.0),
        Bind::Int(to_micros(now)),
        Bind::Int(task.0),
        Bind::Int(process.0),
        Bind::Int(to_micros(lease_until)),
        Bind::Int(to_micros(now)),
    ];
    let taken: Option<(i64,)> = bind(Claim, &binds)
        .get_result(conn)
        .optional()
        .map_err(raced)?;
    taken.map(|(id,)| get(conn, ImportId(id))).transpose()
}

type Held = diesel::dsl::Filter<
    diesel::dsl::Filter<
        diesel::dsl::Find<batch_imports::table, i64>,
        diesel::dsl::Eq<batch_imports::state, i16>,
    >,
    diesel::dsl::Eq<batch_imports::process_id, i64>,
>;

/// The import, while it is the holder's.
fn held(holder: Holder) -> Held {
    batch_imports::table
        .find(holder.import.0)
        .filter(batch_imports::state.eq(ImportState::Running.code()))
        .filter(batch_imports::process_id.eq(holder.process.0))
}

/// Renews the lease; answers whether there was one to renew, and whether the import may go on.
fn renewed(conn: &mut Conn, holder: Holder) -> QueryResult<Option<bool>> {
    let cancel: Option<bool> = diesel::update(held(holder))
        .set(batch_imports::lease_until.eq(to_micros(holder.lease_until)))
        .returning(batch_imports::cancel_requested)
        .get_result(conn)
        .optional()?;
    Ok(cancel.map(|cancel| !cancel))
}

/// Notes what the file has.
pub(in crate::store) fn begin(
    conn: &mut Conn,
    holder: Holder,
    columns: &[String],
    rows_total: u32,
) -> QueryResult<bool> {
    if renewed(conn, holder)? != Some(true) {
        return Ok(false);
    }
    let columns = serde_json::Value::from(columns.to_vec()).to_string();
    diesel::update(held(holder))
        .set((
            batch_imports::headings.eq(storable(columns)),
            batch_imports::rows_total.eq(i32::try_from(rows_total).unwrap_or(i32::MAX)),
        ))
        .execute(conn)?;
    Ok(true)
}

struct Intend;

impl Statement for Intend {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO batch_import_rows (import_id, line, answer, done, cells, errors, device_id, credential_id)
        SELECT x.import, x.line, x.answer, FALSE, x.cells, x.errors, x.device, x.credential
        FROM {rows import int, line int, answer int, cells text, errors text, device int, credential int} WHERE TRUE
        ON CONFLICT (import_id, line) DO NOTHING";
}

/// An intended creation (0) or update (1) that is found unchanged (2) was made before.
struct Answer;

impl Statement for Answer {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO batch_import_rows (import_id, line, answer, done, cells, errors, device_id, credential_id)
        SELECT x.import, x.line, x.answer, TRUE, x.cells, x.errors, x.device, x.credential
        FROM {rows import int, line int, answer int, cells text, errors text, device int, credential int} WHERE TRUE
        ON CONFLICT (import_id, line) DO UPDATE SET done = TRUE, errors = excluded.errors,
            device_id = excluded.device_id, credential_id = excluded.credential_id,
            answer = CASE WHEN batch_import_rows.answer IN (0, 1) AND excluded.answer IN (1, 2)
                THEN batch_import_rows.answer ELSE excluded.answer END
        WHERE NOT batch_import_rows.done";
}

fn rows_of(import: ImportId, rows: &[ImportRow]) -> QueryResult<Rows> {
    let mut written = Rows::default();
    for row in rows {
        let errors = serde_json::to_string(&row.errors)
            .map_err(|error| QueryError::Defect(format!("errors of a row: {error}")))?;
        written.push([
            import.0.into(),
            row.line.into(),
            row.answer.code().into(),
            serde_json::Value::from(row.cells.clone())
                .to_string()
                .into(),
            errors.into(),
            row.device.map(|id| id.0).into(),
            row.credential.map(|id| id.0).into(),
        ]);
    }
    Ok(written)
}

/// Writes down what is about to be done.
pub(in crate::store) fn intend(
    conn: &mut Conn,
    holder: Holder,
    rows: &[ImportRow],
) -> QueryResult<bool> {
    if renewed(conn, holder)? != Some(true) {
        return Ok(false);
    }
    run(conn, Intend, &rows_of(holder.import, rows)?)?;
    Ok(true)
}

/// Records final answers.
pub(in crate::store) fn answer(
    conn: &mut Conn,
    holder: Holder,
    rows: &[ImportRow],
) -> QueryResult<bool> {
    let Some(goes_on) = renewed(conn, holder)? else {
        return Ok(false);
    };
    run(conn, Answer, &rows_of(holder.import, rows)?)?;
    count(conn, holder.import)?;
    Ok(goes_on)
}

/// Counts answers anew, so that a row which is answered twice counts once.
fn count(conn: &mut Conn, import: ImportId) -> QueryResult<()> {
    let counts: Vec<(i16, i64)> = batch_import_rows::table
        .filter(batch_import_rows::import_id.eq(import.0))
        .filter(batch_import_rows::done)
        .group_by(batch_import_rows::answer)
        .select((batch_import_rows::answer, diesel::dsl::count_star()))
        .load(conn)?;
    let of = |answer: RowAnswer| {
        let found = counts.iter().find(|(code, _)| *code == answer.code());
        found.map_or(0, |(_, count)| i32::try_from(*count).unwrap_or(i32::MAX))
    };
    diesel::update(batch_imports::table.find(import.0))
        .set((
            batch_imports::rows_done.eq(RowAnswer::ALL.iter().copied().map(of).sum::<i32>()),
            batch_imports::created.eq(of(RowAnswer::Created)),
            batch_imports::updated.eq(of(RowAnswer::Updated)),
            batch_imports::unchanged.eq(of(RowAnswer::Unchanged)),
            batch_imports::refused.eq(of(RowAnswer::Refused)),
            batch_imports::skipped.eq(of(RowAnswer::Skipped)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Ends an import that is the holder's.
pub(in crate::store) fn end(
    conn: &mut Conn,
    holder: Holder,
    end: &ImportEnd,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Option<Published>> {
    if renewed(conn, holder)?.is_none() {
        return Ok(None);
    }
    close(conn, holder.import, end, ids, now).map(Some)
}

/// The end of an import, and of its file.
fn close(
    conn: &mut Conn,
    id: ImportId,
    end: &ImportEnd,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Published> {
    diesel::update(batch_imports::table.find(id.0))
        .set((
            batch_imports::state.eq(end.state.code()),
            batch_imports::failure.eq(end.failure.clone().map(storable)),
            batch_imports::process_id.eq(None::<i64>),
            batch_imports::lease_until.eq(None::<i64>),
            batch_imports::finished_at.eq(to_micros(now)),
        ))
        .execute(conn)?;
    diesel::delete(batch_import_files::table.find(id.0)).execute(conn)?;
    audit::append(conn, &end.audit, now)?;
    insert_events(conn, std::slice::from_ref(&end.event), ids, now)
}

/// Gives an import back.
pub(in crate::store) fn release(conn: &mut Conn, holder: Holder) -> QueryResult<bool> {
    let given = diesel::update(held(holder))
        .set((
            batch_imports::state.eq(ImportState::Waiting.code()),
            batch_imports::attempts.eq(batch_imports::attempts - 1),
            batch_imports::process_id.eq(None::<i64>),
            batch_imports::lease_until.eq(None::<i64>),
        ))
        .execute(conn)?;
    Ok(given == 1)
}

/// Ends an import that waits, or tells its holder to.
pub(in crate::store) fn cancel(
    conn: &mut Conn,
    id: ImportId,
    end: &ImportEnd,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(Cancelled, Published)> {
    // The row is written first, so that nobody claims it in between.
    let open = batch_imports::table
        .find(id.0)
        .filter(batch_imports::finished_at.is_null());
    let state: Option<i16> = diesel::update(open)
        .set(batch_imports::cancel_requested.eq(true))
        .returning(batch_imports::state)
        .get_result(conn)
        .optional()?;
    match state.and_then(ImportState::from_code) {
        None => {
            get(conn, id)?;
            Ok((Cancelled::Late, Published::default()))
        }
        Some(ImportState::Waiting) => Ok((Cancelled::Ended, close(conn, id, end, ids, now)?)),
        Some(_) => Ok((Cancelled::Told, Published::default())),
    }
}

struct Old;

impl Statement for Old {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM batch_imports WHERE id IN (
            SELECT id FROM batch_imports WHERE created_at < ? ORDER BY created_at LIMIT ?)";
}

/// Removes imports that were sent before an instant with their rows and files, ended or not, at most `limit`.
pub(in crate::store) fn prune_imports(
    conn: &mut Conn,
    before: i64,
    limit: u32,
) -> QueryResult<usize> {
    statement::prune(conn, Old, before, limit)
}
