//! Rows by the hundred thousand, and what a measurement reads. See `store::bench`.

use std::sync::{Mutex, PoisonError, mpsc};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use serde_json::json;

use super::statement::{Bind, Statement, bind};
use super::{Conn, dialect, ids};
use crate::domain::id::{NodeId, RobotId, TaskId};
use crate::domain::time::{Timestamp, to_micros};
use crate::store::backend::QueryResult;
use crate::store::id::Series;

struct FillFinished;

impl Statement for FillFinished {
    type Row = ();
    const SQL: &'static str = "
        WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
        INSERT INTO tasks_done (id, robot_id, trigger_code, status, payload, priority, run_at, attempts,
            max_attempts, deaths, requested_by, created_at, process_id, finished_at, node_id, started_at, outcome,
            cancel_requested)
        SELECT ? + i, 1 + i % (SELECT count(*) FROM robots), 3, CASE WHEN i % 20 = 0 THEN 4 ELSE 3 END, 'null', 4,
            ? + i * ?, 1, 5, 0, 'bench', ? + i * ?, ? + i, ? + i * ? + 1000, ?, ? + i * ?,
            CASE WHEN i % 20 = 0 THEN 2 ELSE 1 END, FALSE
        FROM n";
}

/// Marks as they would have been made, had the ids been given out one by one.
struct FillMarks;

impl Statement for FillMarks {
    type Row = ();
    const SQL: &'static str = "
        WITH RECURSIVE n(i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + ? FROM n WHERE i + ? < ?)
        INSERT INTO id_marks (name, first, at) SELECT ?, ? + i, ? + i * ? FROM n WHERE TRUE ON CONFLICT DO NOTHING";
}

/// See [`forget_marks`].
struct ForgetMarks;

impl Statement for ForgetMarks {
    type Row = ();
    const SQL: &'static str = "DELETE FROM id_marks WHERE name = ? AND first < ?";
}

/// Makes finished tasks and their processes; the ids are the first of each.
pub(in crate::store) fn fill_finished(
    conn: &mut Conn,
    node: NodeId,
    (task, process): (i64, i64),
    count: u32,
    from: Timestamp,
    step_micros: i64,
) -> QueryResult<()> {
    let (count, at, step) = (i64::from(count), to_micros(from), step_micros);
    let binds = [
        count, task, at, step, at, step, process, at, step, node.0, at, step,
    ];
    bind(FillFinished, &binds.map(Bind::Int)).execute(conn)?;
    let every = ids::MARK_EVERY.num_microseconds().unwrap_or(i64::MAX);
    let apart = (every / step.max(1)).clamp(1, ids::MARK_IDS);
    for (series, first) in [(Series::Task, task), (Series::Process, process)] {
        let mut binds = Vec::from([apart, apart, count].map(Bind::Int));
        binds.push(Bind::Text(series.name().to_owned()));
        binds.extend([first, at, step].map(Bind::Int));
        bind(FillMarks, &binds).execute(conn)?;
    }
    Ok(())
}

/// Removes the marks of ids before the first that is filled in: made today, they would stand before those of the
/// past, and ids never did go back in time.
pub(in crate::store) fn forget_marks(
    conn: &mut Conn,
    (task, process): (i64, i64),
) -> QueryResult<()> {
    for (series, first) in [(Series::Task, task), (Series::Process, process)] {
        let before = [Bind::Text(series.name().to_owned()), Bind::Int(first)];
        bind(ForgetMarks, &before).execute(conn)?;
    }
    Ok(())
}

struct FillTicks;

impl Statement for FillTicks {
    type Row = ();
    const SQL: &'static str = "
        WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
        INSERT INTO ticks (robot_id, planned_at, count, decision, decided_at, node_id)
        SELECT 1 + i % (SELECT count(*) FROM robots), ? + i * ?, 1, CASE WHEN i % 20 = 0 THEN 2 ELSE 0 END,
            ? + i * ?, ?
        FROM n WHERE TRUE ON CONFLICT DO NOTHING";
}

/// Makes decided ticks that started nothing.
pub(in crate::store) fn fill_ticks(
    conn: &mut Conn,
    node: NodeId,
    count: u32,
    from: Timestamp,
    step_micros: i64,
) -> QueryResult<()> {
    let (at, step) = (to_micros(from), step_micros);
    let binds = [i64::from(count), at, step, at, step, node.0];
    bind(FillTicks, &binds.map(Bind::Int)).execute(conn)?;
    Ok(())
}

struct FillAudit;

impl Statement for FillAudit {
    type Row = ();
    const SQL: &'static str = "
        WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < ?),
            newest(id) AS (SELECT COALESCE(max(id), 0) FROM audit_trail)
        INSERT INTO audit_trail (id, at, actor, action, object, before_json, after_json, prev_hash, hash)
        SELECT newest.id + i, ? + i * ?, 'bench', 'robot.change', 'robot:mail.email_sender', ?, ?,
            'bench ' || CAST(newest.id + i - 1 AS TEXT), 'bench ' || CAST(newest.id + i AS TEXT)
        FROM n, newest";
}

/// Appends entries of one robot's changes, which are not chained: only for a database that is measured.
pub(in crate::store) fn fill_audit(
    conn: &mut Conn,
    count: u32,
    from: Timestamp,
    step_micros: i64,
) -> QueryResult<()> {
    let mut binds = Vec::from([i64::from(count), to_micros(from), step_micros].map(Bind::Int));
    binds.extend([1, 2].map(|instances| Bind::Text(json!({"instances": instances}).to_string())));
    bind(FillAudit, &binds).execute(conn)?;
    Ok(())
}

struct FillScheduled;

impl Statement for FillScheduled {
    type Row = ();
    const SQL: &'static str = "
        WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
        INSERT INTO tasks (id, robot_id, trigger_code, status, payload, priority, run_at, attempts, max_attempts,
            deaths, requested_by, created_at, cancel_requested)
        SELECT ? + i, ?, 3, 0, 'null', 4, ? + i * ?, 0, 5, 0, 'bench', ?, FALSE
        FROM n";
}

/// Makes tasks for later, one a second.
pub(in crate::store) fn fill_scheduled(
    conn: &mut Conn,
    robot: RobotId,
    task: i64,
    count: u32,
    from: Timestamp,
) -> QueryResult<()> {
    let at = to_micros(from);
    let binds = [i64::from(count), task, robot.0, at, 1_000_000, at].map(Bind::Int);
    bind(FillScheduled, &binds).execute(conn)?;
    Ok(())
}

struct Open;

impl Statement for Open {
    type Row = (Bool,);
    const SQL: &'static str = "SELECT EXISTS (SELECT 1 FROM tasks WHERE id = ?)";
}

/// Whether a task is not over.
pub(in crate::store) fn open(conn: &mut Conn, task: TaskId) -> QueryResult<bool> {
    let (open,): (bool,) = bind(Open, &[Bind::Int(task.0)]).get_result(conn)?;
    Ok(open)
}

struct Running;

impl Statement for Running {
    type Row = (Bool,);
    const SQL: &'static str = "SELECT EXISTS (SELECT 1 FROM claims)";
}

/// Whether a task is running.
pub(in crate::store) fn running(conn: &mut Conn) -> QueryResult<bool> {
    let (running,): (bool,) = bind(Running, &[]).get_result(conn)?;
    Ok(running)
}

struct Succeeded;

impl Statement for Succeeded {
    type Row = (BigInt,);
    const SQL: &'static str = "SELECT count(*) FROM tasks_done WHERE robot_id = ? AND outcome = 1";
}

/// Succeeded tasks of one robot, each with its process.
pub(in crate::store) fn succeeded(conn: &mut Conn, robot: RobotId) -> QueryResult<u64> {
    let (count,): (i64,) = bind(Succeeded, &[Bind::Int(robot.0)]).get_result(conn)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

struct Lateness;

impl Statement for Lateness {
    type Row = (BigInt,);
    const SQL: &'static str =
        "SELECT decided_at - planned_at FROM ticks WHERE planned_at >= ? AND planned_at < ?";
}

/// How late ticks were decided, in microseconds.
pub(in crate::store) fn lateness(
    conn: &mut Conn,
    from: Timestamp,
    to: Timestamp,
) -> QueryResult<Vec<i64>> {
    let binds = [to_micros(from), to_micros(to)].map(Bind::Int);
    let rows: Vec<(i64,)> = bind(Lateness, &binds).load(conn)?;
    Ok(rows.into_iter().map(|(micros,)| micros).collect())
}

/// Reads once, so that the snapshot is taken, and keeps it until the sender of `until` is gone.
pub(in crate::store) fn hold_snapshot(
    conn: &mut Conn,
    until: &Mutex<mpsc::Receiver<()>>,
) -> QueryResult<()> {
    // Else the server ends it after a moment in which nothing is asked.
    conn.batch_execute(dialect::transfer::BEFORE_EXPORT)?;
    let _taken = running(conn)?;
    // An error says that the sender is gone, which is what is waited for.
    let _gone = until.lock().unwrap_or_else(PoisonError::into_inner).recv();
    Ok(())
}
