//! Operations that change their state by an order. See `store::operation`.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde_json::{Value, json};

use super::event::insert_events;
use super::operation::{AttemptRow, attempt_row, of_these};
use super::rows::Rows;
use super::statement::{Bind, Statement, bind, find};
use super::{Conn, audit};
use crate::domain::id::OperationId;
use crate::domain::operation::Lives;
use crate::domain::time::{Timestamp, to_micros};
use crate::store::audit::NewAudit;
use crate::store::backend::QueryResult;
use crate::store::event::{NewEvent, Publication, Published};
use crate::store::operation::{Move, Operation};
use crate::store::schema::operation_attempts;

struct Apply;

impl Statement for Apply {
    type Row = (BigInt,);
    const SQL: &'static str = "
        UPDATE operations SET state = x.into_state, run_at = COALESCE(x.due, run_at), finished_at = x.ended,
            error_class = COALESCE(x.class, error_class), process_id = NULL, lease_until = NULL, updated_at = x.now,
            wait_reason = x.wait, wait_credential = NULL
        FROM {rows operation int, was int, made int, into_state int, due int, ended int, class text, now int, wait int}
        WHERE operations.id {found by x.operation} AND state = x.was AND attempts = x.made AND finished_at IS NULL
        RETURNING id";
}

/// Moves operations that are as they were seen, with their attempts and audit entries; answers which were moved.
fn set(conn: &mut Conn, moves: &[Move], now: Timestamp) -> QueryResult<Vec<OperationId>> {
    let mut rows = Rows::default();
    for one in moves {
        let class = one.attempt.as_ref().and_then(|it| it.error_class.clone());
        rows.push([
            one.seen.id.0.into(),
            one.seen.state.code().into(),
            one.seen.attempts.into(),
            one.state.code().into(),
            one.run_at.map(to_micros).into(),
            one.ends.then(|| to_micros(now)).into(),
            class.into(),
            to_micros(now).into(),
            one.wait.map(|reason| i64::from(reason.code())).into(),
        ]);
    }
    let moved: Vec<OperationId> = find(conn, Apply, &rows, &[])?
        .into_iter()
        .map(|(id,)| OperationId(id))
        .collect();
    let attempts: Vec<AttemptRow> = moves
        .iter()
        .filter(|one| moved.contains(&one.seen.id))
        .filter_map(|one| {
            let attempt = one.attempt.as_ref()?;
            Some(attempt_row(one.seen.id, one.seen.credential.0, attempt))
        })
        .collect();
    if !attempts.is_empty() {
        diesel::insert_into(operation_attempts::table)
            .values(attempts)
            .execute(conn)?;
    }
    let entries: Vec<NewAudit> = moves
        .iter()
        .filter(|one| moved.contains(&one.seen.id))
        .filter_map(|one| one.audit.clone())
        .collect();
    audit::append_all(conn, &entries, now)?;
    Ok(moved)
}

/// Moves operations, with the events of each.
pub(in crate::store) fn apply(
    conn: &mut Conn,
    moves: &[Move],
    events: &[NewEvent],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(Vec<OperationId>, Published)> {
    let moved = set(conn, moves, now)?;
    let published = insert_events(conn, &of_these(events, &moved), ids, now)?;
    Ok((moved, published))
}

/// Moves operations, with one event for all.
pub(in crate::store) fn apply_as_one(
    conn: &mut Conn,
    moves: &[Move],
    event: &NewEvent,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(Vec<OperationId>, Published)> {
    let moved = set(conn, moves, now)?;
    if moved.is_empty() {
        return Ok((moved, Published::default()));
    }
    let mut event = event.clone();
    if let Some(Value::Object(data)) = &mut event.event.data {
        data.insert("operations".to_owned(), json!(moved));
    }
    let published = insert_events(conn, &[event], ids, now)?;
    Ok((moved, published))
}

/// When the time of the operation `o` is over. Binds: the lives of the kinds in the order of their numbers, -1 for none.
macro_rules! end {
    () => {
        "COALESCE(o.expires_at, COALESCE(
            (SELECT min(a.started_at) FROM operation_attempts a WHERE a.operation_id = o.id), o.run_at)
            + NULLIF(CASE o.kind WHEN 0 THEN ? WHEN 1 THEN ? WHEN 2 THEN ? WHEN 3 THEN ?
                WHEN 4 THEN ? WHEN 5 THEN ? ELSE ? END, -1))"
    };
}

/// States 0 and 2 wait without an effect; tasks of the statuses 5 and 6 were cancelled, or have expired.
struct Overdue;

impl Statement for Overdue {
    type Row = (BigInt,);
    const SQL: &'static str = concat!(
        "SELECT o.id FROM operations o WHERE o.finished_at IS NULL AND o.state IN (0, 2) AND (",
        end!(),
        " <= ? OR NOT EXISTS (SELECT 1 FROM credentials c WHERE c.id = o.credential_id)
                OR o.id IN (SELECT w.id FROM task_executions e
                    JOIN tasks_done t ON t.id = e.task_id AND t.status IN (5, 6)
                    JOIN operations w ON w.id >= e.first_operation AND w.id < e.first_operation + e.wanted
                        AND w.finished_at IS NULL))
            AND (o.kind NOT IN (0, 1, 4) OR NOT EXISTS (
                SELECT 1 FROM secret_versions v WHERE v.credential_id = o.credential_id AND v.state = 0))
        ORDER BY o.run_at, o.id LIMIT ?"
    );
}

fn lives_of(lives: Lives) -> [Bind; 7] {
    lives.by_code().map(|life| {
        let micros = life.and_then(|life| i64::try_from(life.as_micros()).ok());
        Bind::Int(micros.unwrap_or(-1))
    })
}

/// Operations that wait and whose time is over, or whose credential or task is gone.
pub(in crate::store) fn overdue(
    conn: &mut Conn,
    lives: Lives,
    now: Timestamp,
    limit: u32,
) -> QueryResult<Vec<Operation>> {
    let mut binds = Vec::from(lives_of(lives));
    binds.extend([to_micros(now), i64::from(limit)].map(Bind::Int));
    let found: Vec<(i64,)> = bind(Overdue, &binds).load(conn)?;
    super::operation_report::of_ids(conn, found.into_iter().map(|(id,)| id).collect())
}

struct Respite;

impl Statement for Respite {
    type Row = ();
    const SQL: &'static str = concat!(
        "UPDATE operations SET expires_at = ? WHERE id IN (
            SELECT o.id FROM operations o WHERE o.finished_at IS NULL AND o.state IN (0, 2) AND ",
        end!(),
        " > ? AND ",
        end!(),
        " <= ? ORDER BY o.id LIMIT ?)"
    );
}

/// Gives operations until `until` whose time was over in a while.
pub(in crate::store) fn respite(
    conn: &mut Conn,
    lives: Lives,
    (after, by): (Timestamp, Timestamp),
    until: Timestamp,
    limit: u32,
) -> QueryResult<usize> {
    let mut binds = Vec::from([Bind::Int(to_micros(until))]);
    binds.extend(lives_of(lives));
    binds.push(Bind::Int(to_micros(after)));
    binds.extend(lives_of(lives));
    binds.extend([to_micros(by), i64::from(limit)].map(Bind::Int));
    Ok(bind(Respite, &binds).execute(conn)?)
}
