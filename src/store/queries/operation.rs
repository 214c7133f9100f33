//! Operations: ordered, claimed, ended, moved. See `store::operation`.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde_json::json;

use super::event::insert_events;
use super::operation_report::get;
use super::rows::{Rows, storable};
use super::statement::{Bind, Statement, bind, find};
use super::{Conn, audit, dialect, statement};
use crate::domain::id::{OperationId, ProcessId};
use crate::domain::operation::{Admission, Finding, OperationState};
use crate::domain::time::{Timestamp, to_micros};
use crate::store::audit::NewAudit;
use crate::store::backend::QueryResult;
use crate::store::event::{NewEvent, Publication, Published};
use crate::store::operation::{
    DETAIL_CHARS_MAX, NewOperation, Operation, OperationAttempt, OperationEnd,
};
use crate::store::schema::inventory::credentials;
use crate::store::schema::{operation_attempts, operations};

/// Under this name claims keep each other away until they have committed.
const CLAIMS: &str = "operations";

/// Makes what has a credential and no open operation of its kind.
struct Order;

impl Statement for Order {
    type Row = (BigInt,);
    const SQL: &'static str = "
        INSERT INTO operations (id, kind, credential_id, state, attempts, run_at, expires_at, template_id,
            requested_by, created_at, updated_at, cause, priority)
        SELECT x.operation, x.what, x.credential, 0, 0, x.due, x.expires, x.template, x.requested, x.now, x.now,
            x.cause, x.place
        FROM {rows operation int, what int, credential int, due int, expires int, template int, requested text,
            now int, cause int, place int}
        JOIN credentials c ON c.id {found by x.credential} WHERE TRUE
        ON CONFLICT (credential_id, kind) WHERE finished_at IS NULL DO NOTHING
        RETURNING id";
}

/// Devices on which no more operations may run.
macro_rules! busy {
    () => {
        "WITH busy AS (
            SELECT rc.device_id FROM operations r JOIN credentials rc ON rc.id = r.credential_id
            WHERE r.state = 1 GROUP BY rc.device_id HAVING count(*) >= ?) "
    };
}

/// Operations that can be begun now: due, of a credential of which none is running, and on no device that is busy; a change (kinds 0
/// and 4) not before one that is due of the secret that it follows. Whether a target may know a candidate, the vault says: an executor that died has not told.
/// It is the business of those that settle it (kinds 0, 1 and 4).
macro_rules! claimable {
    () => {
        "FROM operations o
            WHERE o.finished_at IS NULL AND o.state = 0 AND o.run_at <= ?
                AND (o.expires_at IS NULL OR o.expires_at > ? OR (o.kind IN (0, 1, 4) AND EXISTS (
                    SELECT 1 FROM secret_versions v WHERE v.credential_id = o.credential_id AND v.state = 0)))
                AND NOT EXISTS (SELECT 1 FROM operations r WHERE r.state = 1 AND r.credential_id = o.credential_id)
                AND NOT EXISTS (SELECT 1 FROM credentials c JOIN busy b ON b.device_id = c.device_id
                    WHERE c.id = o.credential_id)
                AND (o.kind NOT IN (0, 4) OR NOT EXISTS (
                    SELECT 1 FROM credential_links l JOIN operations p ON p.credential_id = l.parent_id
                    WHERE l.credential_id = o.credential_id AND p.kind IN (0, 4) AND p.finished_at IS NULL
                        AND p.run_at <= ?)) "
    };
}

/// Materialized: PostgreSQL must not run the locking part more than once.
struct Claim;

impl Statement for Claim {
    type Row = (BigInt,);
    const SQL: &'static str = concat!(
        busy!(),
        ", due AS MATERIALIZED (
            SELECT o.id ",
        claimable!(),
        "ORDER BY o.priority DESC, o.run_at, o.id LIMIT 1 {skip locked})
        UPDATE operations SET state = 1, attempts = attempts + 1, process_id = ?, lease_until = ?, updated_at = ?,
            wait_reason = NULL, wait_credential = NULL,
            candidate = CASE WHEN kind IN (0, 1, 4) THEN (SELECT v.version FROM secret_versions v
                WHERE v.credential_id = operations.credential_id AND v.state = 0) END
        WHERE id IN (SELECT due.id FROM due)
        RETURNING id"
    );
}

struct Due;

impl Statement for Due {
    type Row = (BigInt,);
    const SQL: &'static str = concat!(busy!(), "SELECT o.id ", claimable!(), "LIMIT 1");
}

#[derive(Insertable)]
#[diesel(table_name = operation_attempts, treat_none_as_default_value = false)]
pub(super) struct AttemptRow {
    operation_id: i64,
    number: i32,
    credential_id: i64,
    process_id: i64,
    started_at: i64,
    ended_at: i64,
    state: i16,
    error_class: Option<String>,
    detail: Option<String>,
    refused: i32,
    steps: Option<String>,
}

pub(super) fn attempt_row(
    id: OperationId,
    credential: i64,
    attempt: &OperationAttempt,
) -> AttemptRow {
    let detail = attempt.detail.as_ref();
    AttemptRow {
        operation_id: id.0,
        number: i32::try_from(attempt.number).unwrap_or(i32::MAX),
        credential_id: credential,
        process_id: attempt.process.0,
        started_at: to_micros(attempt.started_at),
        ended_at: to_micros(attempt.ended_at),
        state: attempt.state.code(),
        error_class: attempt.error_class.clone().map(storable),
        detail: detail.map(|text| storable(text.chars().take(DETAIL_CHARS_MAX).collect())),
        refused: i32::try_from(attempt.refused).unwrap_or(i32::MAX),
        steps: (!attempt.steps.is_empty()).then(|| storable(json!(attempt.steps).to_string())),
    }
}

/// The events whose subject is one of these operations.
pub(super) fn of_these(events: &[NewEvent], made: &[OperationId]) -> Vec<NewEvent> {
    let made: HashSet<String> = made.iter().map(ToString::to_string).collect();
    let ours = |new: &&NewEvent| {
        let subject = new.event.subject.as_ref();
        subject.is_some_and(|subject| made.contains(subject))
    };
    events.iter().filter(ours).cloned().collect()
}

/// Orders operations.
pub(in crate::store) fn order(
    conn: &mut Conn,
    first: OperationId,
    orders: &[NewOperation],
    events: &[NewEvent],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(Vec<OperationId>, Published)> {
    let mut rows = Rows::default();
    for (order, id) in orders.iter().zip(first.0..) {
        rows.push([
            id.into(),
            order.kind.code().into(),
            order.credential.0.into(),
            to_micros(order.run_at.unwrap_or(now)).into(),
            order.expires_at.map(to_micros).into(),
            order.template.map(|template| template.0).into(),
            order.requested_by.as_str().into(),
            to_micros(now).into(),
            order.cause.code().into(),
            order.priority.into(),
        ]);
    }
    let mut made: Vec<OperationId> = find(conn, Order, &rows, &[])?
        .into_iter()
        .map(|(id,)| OperationId(id))
        .collect();
    made.sort_unstable();
    let entries: Vec<NewAudit> = orders
        .iter()
        .zip((first.0..).map(OperationId))
        .filter(|(_, id)| made.binary_search(id).is_ok())
        .map(|(order, id)| audit_of(order, id))
        .collect();
    audit::append_all(conn, &entries, now)?;
    let published = insert_events(conn, &of_these(events, &made), ids, now)?;
    Ok((made, published))
}

fn audit_of(order: &NewOperation, id: OperationId) -> NewAudit {
    NewAudit {
        actor: order.requested_by.clone(),
        action: "operation.order".to_owned(),
        object: format!("operation:{id}"),
        before: None,
        after: Some(json!({
            "kind": order.kind, "credential": order.credential, "template": order.template,
            "run_at": order.run_at, "expires_at": order.expires_at, "priority": order.priority,
        })),
    }
}

/// Takes the operation whose turn it is.
pub(in crate::store) fn claim(
    conn: &mut Conn,
    process: ProcessId,
    lease_until: Timestamp,
    per_device: u32,
    now: Timestamp,
) -> QueryResult<Option<Operation>> {
    // Each sees what the one before it took: else two would take the last place of a device.
    dialect::lock_text(conn, CLAIMS)?;
    let binds = [
        Bind::Int(i64::from(per_device)),
        Bind::Int(to_micros(now)),
        Bind::Int(to_micros(now)),
        Bind::Int(to_micros(now)),
        Bind::Int(process.0),
        Bind::Int(to_micros(lease_until)),
        Bind::Int(to_micros(now)),
    ];
    let taken: Option<(i64,)> = bind(Claim, &binds).get_result(conn).optional()?;
    taken.map(|(id,)| get(conn, OperationId(id))).transpose()
}

/// Whether there is one that can be taken.
pub(in crate::store) fn is_due(
    conn: &mut Conn,
    per_device: u32,
    now: Timestamp,
) -> QueryResult<bool> {
    let binds = [
        Bind::Int(i64::from(per_device)),
        Bind::Int(to_micros(now)),
        Bind::Int(to_micros(now)),
        Bind::Int(to_micros(now)),
    ];
    let found: Option<(i64,)> = bind(Due, &binds).get_result(conn).optional()?;
    Ok(found.is_some())
}

/// Records what an attempt came to; none where the operation is somebody else's.
pub(in crate::store) fn end(
    conn: &mut Conn,
    end: &OperationEnd,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Option<Published>> {
    let attempt = &end.attempt;
    let held = operations::table
        .filter(operations::id.eq(end.id.0))
        .filter(operations::state.eq(OperationState::Running.code()))
        .filter(operations::process_id.eq(attempt.process.0));
    let credential: Option<i64> = diesel::update(held)
        .set((
            operations::state.eq(attempt.state.code()),
            operations::error_class.eq(attempt.error_class.clone().map(storable)),
            end.run_at.map(|at| operations::run_at.eq(to_micros(at))),
            operations::candidate.eq(end.candidate),
            operations::process_id.eq(None::<i64>),
            operations::lease_until.eq(None::<i64>),
            operations::updated_at.eq(to_micros(now)),
            operations::finished_at.eq(end.run_at.is_none().then(|| to_micros(now))),
        ))
        .returning(operations::credential_id)
        .get_result(conn)
        .optional()?;
    let Some(credential) = credential else {
        return Ok(None);
    };
    diesel::insert_into(operation_attempts::table)
        .values(attempt_row(end.id, credential, attempt))
        .execute(conn)?;
    if let Some(finding) = end.finding {
        // A secret that came into force meanwhile was not asked for: another registration of the account, or a person, set it.
        let asked_for = match finding {
            Finding::Match => i64::MAX,
            _ => to_micros(attempt.started_at),
        };
        let asked_for = credentials::secret_changed_at
            .is_null()
            .or(credentials::secret_changed_at.le(asked_for));
        let row = credentials::table
            .filter(credentials::id.eq(credential))
            .filter(asked_for);
        diesel::update(row)
            .set((
                credentials::secret_state.eq(finding.as_str()),
                credentials::secret_tested_at.eq(to_micros(now)),
            ))
            .execute(conn)?;
    }
    if let Some(admission) = end.admission {
        let closed = match admission {
            Admission::Open => None,
            Admission::Closed => Some(to_micros(now)),
        };
        diesel::update(credentials::table.find(credential))
            .set(credentials::deactivated_at.eq(closed))
            .execute(conn)?;
    }
    insert_events(conn, &end.events, ids, now).map(Some)
}

struct Old;

impl Statement for Old {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM operations WHERE id IN (
            SELECT id FROM operations WHERE finished_at IS NOT NULL AND finished_at < ? ORDER BY finished_at LIMIT ?)";
}

/// Removes operations that ended before an instant, with their attempts, at most `limit`.
pub(in crate::store) fn prune_operations(
    conn: &mut Conn,
    before: i64,
    limit: u32,
) -> QueryResult<usize> {
    statement::prune(conn, Old, before, limit)
}
