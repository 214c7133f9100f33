//! Reading operations. See `store::operation`.

use std::collections::HashMap;
use std::ops::Range;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable};

use super::sql::Sql;
use super::{Conn, Db};
use crate::domain::id::{InventoryId, OperationId, ProcessId};
use crate::domain::inventory::column::Stored;
use crate::domain::operation::{ChangeCause, OperationKind, OperationState};
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::operation::{Operation, OperationAttempt, OperationFilter, Waiting};
use crate::store::page::{Page, PageRequest, page_of};
use crate::store::schema::inventory::credentials;
use crate::store::schema::{operation_attempts, operations};

/// Bound on the attempts of one answer: more than an operation, or a window, has.
const ATTEMPTS_MAX: i64 = 1_000;

#[derive(Queryable, Selectable)]
#[diesel(table_name = operations, check_for_backend(Db))]
struct Row {
    id: i64,
    kind: i16,
    credential_id: i64,
    state: i16,
    error_class: Option<String>,
    attempts: i32,
    run_at: i64,
    expires_at: Option<i64>,
    candidate: Option<i64>,
    template_id: Option<i64>,
    priority: i16,
    requested_by: String,
    process_id: Option<i64>,
    created_at: i64,
    updated_at: i64,
    finished_at: Option<i64>,
}

impl Row {
    fn into_operation(self) -> QueryResult<Operation> {
        let id = self.id;
        let kind = OperationKind::from_code(self.kind);
        let defect = |what: &str| QueryError::Defect(format!("{what} of operation `{id}`"));
        Ok(Operation {
            id: OperationId(id),
            kind: kind.ok_or_else(|| defect("kind"))?,
            credential: InventoryId(self.credential_id),
            state: state_of(self.state).ok_or_else(|| defect("state"))?,
            error_class: self.error_class,
            attempts: count_of(self.attempts),
            run_at: from_micros(self.run_at),
            expires_at: self.expires_at.map(from_micros),
            candidate: self.candidate,
            template: self.template_id.map(InventoryId),
            priority: self.priority,
            requested_by: self.requested_by,
            created_at: from_micros(self.created_at),
            updated_at: from_micros(self.updated_at),
            finished_at: self.finished_at.map(from_micros),
        })
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = operation_attempts, check_for_backend(Db))]
struct AttemptRow {
    number: i32,
    process_id: i64,
    started_at: i64,
    ended_at: i64,
    state: i16,
    error_class: Option<String>,
    detail: Option<String>,
    refused: i32,
    steps: Option<String>,
}

fn state_of(code: i16) -> Option<OperationState> {
    OperationState::from_code(code)
}

fn count_of(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

fn all(rows: Vec<Row>) -> QueryResult<Vec<Operation>> {
    rows.into_iter().map(Row::into_operation).collect()
}

/// One operation.
pub(in crate::store) fn get(conn: &mut Conn, id: OperationId) -> QueryResult<Operation> {
    let row: Option<Row> = operations::table
        .find(id.0)
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    row.ok_or_else(|| QueryError::not_found(format!("operation `{id}`")))?
        .into_operation()
}

/// Those of these operations that are there, longest due first.
pub(super) fn of_ids(conn: &mut Conn, ids: Vec<i64>) -> QueryResult<Vec<Operation>> {
    let rows: Vec<Row> = operations::table
        .filter(operations::id.eq_any(ids))
        .order((operations::run_at, operations::id))
        .select(Row::as_select())
        .load(conn)?;
    all(rows)
}

/// Operations of a range of ids that are open and in nobody's hand.
pub(super) fn open_of(conn: &mut Conn, ids: Range<i64>) -> QueryResult<Vec<Operation>> {
    let rows: Vec<Row> = operations::table
        .filter(operations::id.ge(ids.start).and(operations::id.lt(ids.end)))
        .filter(operations::finished_at.is_null())
        .filter(operations::state.ne(OperationState::Running.code()))
        .order(operations::id)
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(Row::into_operation).collect()
}

/// Its attempts.
pub(in crate::store) fn attempts(
    conn: &mut Conn,
    id: OperationId,
) -> QueryResult<Vec<OperationAttempt>> {
    let rows: Vec<AttemptRow> = operation_attempts::table
        .filter(operation_attempts::operation_id.eq(id.0))
        .order(operation_attempts::number)
        .limit(ATTEMPTS_MAX)
        .select(AttemptRow::as_select())
        .load(conn)?;
    let defect = || QueryError::Defect(format!("attempt of operation `{id}`"));
    let attempt = |row: AttemptRow| {
        let state = state_of(row.state);
        let steps = row.steps.as_deref().map(serde_json::from_str).transpose();
        Ok(OperationAttempt {
            number: count_of(row.number),
            process: ProcessId(row.process_id),
            started_at: from_micros(row.started_at),
            ended_at: from_micros(row.ended_at),
            state: state.ok_or_else(defect)?,
            error_class: row.error_class,
            detail: row.detail,
            refused: count_of(row.refused),
            steps: steps.map_err(|_| defect())?.unwrap_or_default(),
        })
    };
    rows.into_iter().map(attempt).collect()
}

/// A page of the report.
pub(in crate::store) fn list(
    conn: &mut Conn,
    filter: &OperationFilter,
    page: PageRequest,
) -> QueryResult<Page<Operation>> {
    let mut query = operations::table
        .select(Row::as_select())
        .order(operations::id.desc())
        .limit(page.rows())
        .into_boxed();
    if let Some(state) = filter.state {
        query = query.filter(operations::state.eq(state.code()));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(operations::kind.eq(kind.code()));
    }
    if let Some(credential) = filter.credential {
        query = query.filter(operations::credential_id.eq(credential.0));
    }
    if let Some(after) = page.after {
        query = query.filter(operations::id.lt(after));
    }
    let found = all(query.load(conn)?)?;
    Ok(page_of(found, page, |operation| operation.id.0))
}

/// It waits for an unverified change (2) that is one no more.
const SETTLED: &str = "(operations.wait_reason = 2 AND NOT EXISTS (SELECT 1 FROM secret_versions v \
    WHERE v.credential_id = operations.wait_credential AND v.state = 0))";

/// Operations whose next attempt is due.
pub(in crate::store) fn waiting(
    conn: &mut Conn,
    now: Timestamp,
    limit: u32,
) -> QueryResult<Vec<Waiting>> {
    let states = [
        OperationState::Retrying.code(),
        OperationState::Unverified.code(),
    ];
    let rows: Vec<Row> = operations::table
        .filter(operations::finished_at.is_null())
        .filter(operations::state.eq_any(states))
        .filter(
            operations::run_at
                .le(to_micros(now))
                .or(sql::<Bool>(SETTLED)),
        )
        .order((operations::run_at, operations::id))
        .limit(i64::from(limit))
        .select(Row::as_select())
        .load(conn)?;
    let whose = rows.iter().map(|row| row.credential_id);
    let devices: HashMap<i64, i64> = credentials::table
        .filter(credentials::id.eq_any(whose))
        .select((credentials::id, credentials::device_id))
        .load::<(i64, i64)>(conn)?
        .into_iter()
        .collect();
    let waiting = |row: Row| {
        let device = devices.get(&row.credential_id).copied();
        Ok(Waiting {
            operation: row.into_operation()?,
            device: device.map(InventoryId),
        })
    };
    rows.into_iter().map(waiting).collect()
}

/// Devices on which an operation succeeded after an instant, with when the last one did.
pub(in crate::store) fn answering(
    conn: &mut Conn,
    devices: &[InventoryId],
    since: Timestamp,
) -> QueryResult<HashMap<InventoryId, Timestamp>> {
    let devices = devices.iter().map(|id| Stored::Int(Some(id.0)));
    let mut sql: Sql<(BigInt, Nullable<BigInt>)> = Sql::new(
        "SELECT c.device_id, max(o.finished_at) FROM operations o JOIN credentials c ON c.id = o.credential_id
            WHERE o.finished_at > ",
    );
    sql.int(to_micros(since))
        .text(" AND o.state = ")
        .int(i64::from(OperationState::Succeeded.code()))
        .text(" AND c.device_id IN ")
        .list(devices)
        .text(" GROUP BY c.device_id");
    let found: Vec<(i64, Option<i64>)> = sql.load(conn)?;
    let answers = |(device, at): (i64, Option<i64>)| Some((InventoryId(device), from_micros(at?)));
    Ok(found.into_iter().filter_map(answers).collect())
}

/// The process that holds an operation has ended: `tasks_done` has the last one of a finished task, `processes` the others.
const HOLDER_ENDED: &str = "(EXISTS (SELECT 1 FROM processes p WHERE p.id = operations.process_id) \
    OR EXISTS (SELECT 1 FROM tasks_done t WHERE t.process_id = operations.process_id AND t.outcome IS NOT NULL))";

/// Running operations whose lease is over, or whose process is.
pub(in crate::store) fn stale(
    conn: &mut Conn,
    now: Timestamp,
    limit: u32,
) -> QueryResult<Vec<(Operation, ProcessId)>> {
    let rows: Vec<Row> = operations::table
        .filter(operations::finished_at.is_null())
        .filter(operations::state.eq(OperationState::Running.code()))
        .filter(
            operations::lease_until
                .assume_not_null()
                .lt(to_micros(now))
                .or(sql::<Bool>(HOLDER_ENDED)),
        )
        .order((operations::run_at, operations::id))
        .limit(i64::from(limit))
        .select(Row::as_select())
        .load(conn)?;
    let held = |row: Row| {
        let process = ProcessId(row.process_id.unwrap_or_default());
        Ok((row.into_operation()?, process))
    };
    rows.into_iter().map(held).collect()
}

/// No candidate of the credential that its target may know.
const NO_CANDIDATE: &str = "NOT EXISTS (SELECT 1 FROM secret_versions v \
    WHERE v.credential_id = operations.credential_id AND v.state = 0)";

/// The secret is another one than the one whose end asked for the operation.
const SECRET_IS_NEWER: &str = "EXISTS (SELECT 1 FROM credentials c \
    WHERE c.id = operations.credential_id AND c.secret_changed_at > operations.created_at)";

/// Changes that wait and that nothing asks for any more.
pub(in crate::store) fn superseded(conn: &mut Conn, limit: u32) -> QueryResult<Vec<Operation>> {
    let states = [
        OperationState::Queued.code(),
        OperationState::Retrying.code(),
        OperationState::Unverified.code(),
    ];
    let causes = [
        ChangeCause::Expired.code(),
        ChangeCause::Viewed.code(),
        ChangeCause::Used.code(),
    ];
    let rows: Vec<Row> = operations::table
        .filter(operations::finished_at.is_null())
        .filter(operations::state.eq_any(states))
        .filter(operations::kind.eq(OperationKind::ChangePassword.code()))
        .filter(operations::cause.eq_any(causes))
        .filter(sql::<Bool>(NO_CANDIDATE))
        .filter(sql::<Bool>(SECRET_IS_NEWER))
        .order(operations::id)
        .limit(i64::from(limit))
        .select(Row::as_select())
        .load(conn)?;
    all(rows)
}
