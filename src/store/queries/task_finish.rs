//! Moving tasks that no process ended (cancelled, expired) to history.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::rows::Rows;
use super::statement::{Bind, Statement, bind, run};
use super::{Conn, outbox};
use crate::domain::id::{RobotId, TaskId};
use crate::domain::task::TaskStatus;
use crate::domain::time::{Timestamp, to_micros};
use crate::store::backend::QueryResult;
use crate::store::outbox::{Outbox, tasks};

/// Copies tasks to history. A running one (given back unstarted) has used no attempt.
struct Archive;

impl Statement for Archive {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO tasks_done (id, robot_id, trigger_code, status, payload, priority, run_at, deadline_at, unique_key,
            attempts, max_attempts, deaths, planned_at, event_id, requested_by, created_at, process_id,
            finished_at, error)
        SELECT t.id, t.robot_id, t.trigger_code, x.status, t.payload, t.priority, t.run_at,
            t.deadline_at, t.unique_key, t.attempts - CASE WHEN t.status = 2 THEN 1 ELSE 0 END, t.max_attempts,
            t.deaths, t.planned_at, t.event_id, t.requested_by, t.created_at,
            CASE WHEN t.status = 2 THEN NULL ELSE t.process_id END, x.at, t.error
        FROM {rows task int, status int, at int} JOIN tasks t ON t.id {found by x.task}";
}

/// Removes tasks from the hot table.
struct Remove;

impl Statement for Remove {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM tasks WHERE id {in rows task int}";
}

/// Nobody waits any more for the decision on a task that is over.
struct Withdraw;

impl Statement for Withdraw {
    type Row = ();
    const SQL: &'static str = "
        UPDATE task_approvals SET state = CASE WHEN expires_at <= x.at THEN 3 ELSE 4 END, decided_at = x.at
        FROM {rows task int, status int, at int} WHERE task_id {found by x.task} AND state = 0";
}

/// Tasks whose deadline passed before they started.
struct Late;

impl Statement for Late {
    type Row = (BigInt, BigInt);
    const SQL: &'static str = "
        SELECT id, robot_id FROM tasks
        WHERE deadline_at IS NOT NULL AND deadline_at < ? AND status < 2
        ORDER BY deadline_at LIMIT ? {skip locked}";
}

/// Ends tasks that are not running any more, or never were; the caller holds their rows.
pub(super) fn finish(
    conn: &mut Conn,
    ids: &[TaskId],
    status: TaskStatus,
    now: Timestamp,
) -> QueryResult<()> {
    let mut ends = Rows::default();
    for id in ids {
        ends.push([id.0.into(), status.code().into(), to_micros(now).into()]);
    }
    run(conn, Archive, &ends)?;
    run(conn, Withdraw, &ends)?;
    run(conn, Remove, &Rows::column(ids.iter().map(|id| id.0)))
}

/// Waiting tasks that no node may run any more.
struct Stranded;

impl Statement for Stranded {
    type Row = (BigInt, BigInt);
    const SQL: &'static str = "
        SELECT t.id, t.robot_id FROM tasks t
        WHERE t.for_node_id IS NOT NULL AND t.status < 2
            AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.id = t.for_node_id AND n.state = 0)
        ORDER BY t.for_node_id LIMIT ? {skip locked}";
}

struct SayStranded;

impl Statement for SayStranded {
    type Row = ();
    const SQL: &'static str = "UPDATE tasks SET error = x.reason FROM {rows task int, reason text} WHERE tasks.id {found by x.task}";
}

/// Cancels waiting tasks whose only node is gone, at most `limit`; answers which.
pub(in crate::store) fn strand(
    conn: &mut Conn,
    now: Timestamp,
    limit: u32,
    outbox: Outbox,
) -> QueryResult<Vec<(TaskId, RobotId)>> {
    const REASON: &str = "the node that it was for is gone";
    let gone: Vec<(i64, i64)> = bind(Stranded, &[Bind::Int(i64::from(limit))]).load(conn)?;
    let mut rows = Rows::default();
    for (id, _) in &gone {
        rows.push([(*id).into(), REASON.to_owned().into()]);
    }
    run(conn, SayStranded, &rows)?;
    let of = |(id, robot)| (TaskId(id), RobotId(robot));
    let gone: Vec<_> = gone.into_iter().map(of).collect();
    let ids: Vec<_> = gone.iter().map(|(id, _)| *id).collect();
    finish(conn, &ids, TaskStatus::Cancelled, now)?;
    outbox::append(conn, outbox, || tasks(&gone, TaskStatus::Cancelled, now))?;
    Ok(gone)
}

/// Ends waiting tasks whose deadline passed, at most `limit`; answers which.
pub(super) fn expire(
    conn: &mut Conn,
    now: Timestamp,
    limit: u32,
) -> QueryResult<Vec<(TaskId, RobotId)>> {
    let late: Vec<(i64, i64)> = bind(
        Late,
        &[Bind::Int(to_micros(now)), Bind::Int(i64::from(limit))],
    )
    .load(conn)?;
    let late: Vec<_> = late
        .into_iter()
        .map(|(id, robot)| (TaskId(id), RobotId(robot)))
        .collect();
    let ids: Vec<_> = late.iter().map(|(id, _)| *id).collect();
    finish(conn, &ids, TaskStatus::Expired, now)?;
    Ok(late)
}
