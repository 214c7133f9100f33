//! What people and clocks do to tasks: cancelling, repeating, promoting; and the queues' lengths.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt};

use super::rows::Rows;
use super::statement::{Bind, Statement, bind, find};
use super::task_finish::{expire, finish};
use super::{Conn, claims, outbox, process_report};
use crate::domain::id::{NodeId, ProcessId, RobotId, TaskId};
use crate::domain::task::TaskStatus;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::outbox::{Outbox, tasks};
use crate::store::task::{Beginnings, CancelEffect, Floor, OpenRuns, Promotion};

struct Hold;

impl Statement for Hold {
    type Row = (BigInt, SmallInt, Nullable<BigInt>, Nullable<BigInt>);
    const SQL: &'static str =
        "SELECT robot_id, status, process_id, node_id FROM tasks WHERE id = ? {for update}";
}

struct HoldDone;

impl Statement for HoldDone {
    type Row = (BigInt, SmallInt);
    const SQL: &'static str = "SELECT robot_id, status FROM tasks_done WHERE id = ? {for update}";
}

struct RequestCancel;

impl Statement for RequestCancel {
    type Row = ();
    const SQL: &'static str = "UPDATE tasks SET cancel_requested = TRUE WHERE id = ?";
}

/// Robot, status, process and node of an open task.
type Held = (i64, i16, Option<i64>, Option<i64>);

fn hold(conn: &mut Conn, id: TaskId) -> QueryResult<Option<Held>> {
    Ok(bind(Hold, &[Bind::Int(id.0)]).get_result(conn).optional()?)
}

/// Status of a finished task, or `NotFound`.
fn hold_done(conn: &mut Conn, id: TaskId) -> QueryResult<(RobotId, TaskStatus)> {
    let found: Option<(i64, i16)> = bind(HoldDone, &[Bind::Int(id.0)])
        .get_result(conn)
        .optional()?;
    let (robot, code) = found.ok_or_else(|| QueryError::not_found(format!("task `{id}`")))?;
    Ok((RobotId(robot), status_of(code)?))
}

fn status_of(code: i16) -> QueryResult<TaskStatus> {
    TaskStatus::from_code(code)
        .ok_or_else(|| QueryError::Defect(format!("unknown task status {code}")))
}

/// Cancels what waits, asks what runs. Answers the robot as well.
pub(in crate::store) fn cancel(
    conn: &mut Conn,
    id: TaskId,
    now: Timestamp,
    outbox: Outbox,
) -> QueryResult<(RobotId, CancelEffect)> {
    match hold(conn, id)? {
        Some((robot, 2, Some(process), Some(node))) => {
            bind(RequestCancel, &[Bind::Int(id.0)]).execute(conn)?;
            let robot = RobotId(robot);
            Ok((
                robot,
                CancelEffect::Requested {
                    process: ProcessId(process),
                    robot,
                    node: NodeId(node),
                },
            ))
        }
        Some((robot, ..)) => {
            finish(conn, &[id], TaskStatus::Cancelled, now)?;
            let robot = RobotId(robot);
            let one = [(id, robot)];
            outbox::append(conn, outbox, || tasks(&one, TaskStatus::Cancelled, now))?;
            Ok((robot, CancelEffect::Cancelled))
        }
        None => {
            let (_, status) = hold_done(conn, id)?;
            Err(QueryError::conflict(format!(
                "task `{id}` has ended: it is {status}"
            )))
        }
    }
}

/// Asks a running process to stop.
pub(in crate::store) fn cancel_process(
    conn: &mut Conn,
    id: ProcessId,
    now: Timestamp,
    outbox: Outbox,
) -> QueryResult<(TaskId, CancelEffect)> {
    if let Some(task) = claims::task_of(conn, id)?
        && let Some((_, 2, Some(process), _)) = hold(conn, task)?
        && process == id.0
    {
        return Ok((task, cancel(conn, task, now, outbox)?.1));
    }
    Err(match process_report::ended(conn, id)? {
        Some(_) => QueryError::conflict(format!("process `{id}` has ended")),
        None => QueryError::not_found(format!("process `{id}`")),
    })
}

/// A deadline that has passed would end the task again at once: it is dropped.
struct Revive;

impl Statement for Revive {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO tasks (id, robot_id, trigger_code, status, payload, priority, run_at, deadline_at, unique_key,
            attempts, max_attempts, deaths, planned_at, event_id, requested_by, created_at, process_id, error,
            cancel_requested)
        SELECT id, robot_id, trigger_code, 1, payload, priority, ?, CASE WHEN deadline_at < ? THEN NULL ELSE deadline_at END,
            unique_key, 0, max_attempts, 0, planned_at, event_id, requested_by, created_at, process_id,
            COALESCE(run_error, error), FALSE
        FROM tasks_done WHERE id = ?";
}

/// Its last process leaves its row, which is to hold the next one.
struct KeepProcess;

impl Statement for KeepProcess {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO processes (id, task_id, robot_id, trigger_code, attempt, node_id, started_at, finished_at, outcome,
            planned_at, error_class, error, counters, cancel_requested)
        SELECT process_id, id, robot_id, trigger_code, attempts, node_id, started_at, finished_at, outcome,
            planned_at, error_class, run_error, COALESCE(counters, ?), cancel_requested
        FROM tasks_done WHERE id = ? AND outcome IS NOT NULL";
}

struct RemoveDone;

impl Statement for RemoveDone {
    type Row = ();
    const SQL: &'static str = "DELETE FROM tasks_done WHERE id = ?";
}

struct QueueNow;

impl Statement for QueueNow {
    type Row = ();
    const SQL: &'static str = "
        UPDATE tasks SET status = 1, run_at = ?, attempts = 0, deaths = 0,
            deadline_at = CASE WHEN deadline_at < ? THEN NULL ELSE deadline_at END WHERE id = ?";
}

/// Queues a finished or scheduled task at once, as if it were new.
pub(in crate::store) fn retry(
    conn: &mut Conn,
    id: TaskId,
    now: Timestamp,
) -> QueryResult<TaskStatus> {
    let binds = [to_micros(now), to_micros(now), id.0].map(Bind::Int);
    let status = match hold(conn, id)? {
        Some((_, code, ..)) => status_of(code)?,
        None => hold_done(conn, id)?.1,
    };
    match status {
        TaskStatus::Scheduled => bind(QueueNow, &binds).execute(conn)?,
        TaskStatus::Queued | TaskStatus::Running | TaskStatus::Succeeded => {
            return Err(QueryError::conflict(format!("task `{id}` is {status}")));
        }
        TaskStatus::Failed
        | TaskStatus::Cancelled
        | TaskStatus::Expired
        | TaskStatus::Quarantined => {
            bind(KeepProcess, &[Bind::Text("{}".to_owned()), Bind::Int(id.0)]).execute(conn)?;
            bind(Revive, &binds).execute(conn)?;
            bind(RemoveDone, &[Bind::Int(id.0)]).execute(conn)?
        }
    };
    Ok(status)
}

struct Promote;

impl Statement for Promote {
    type Row = (BigInt, BigInt);
    const SQL: &'static str = "
        UPDATE tasks SET status = 1
        WHERE id IN (SELECT id FROM tasks WHERE {is scheduled} AND run_at <= ? ORDER BY run_at LIMIT ? {skip locked})
        RETURNING id, robot_id";
}

struct NextDue;

impl Statement for NextDue {
    type Row = (BigInt,);
    const SQL: &'static str =
        "SELECT run_at FROM tasks WHERE {is scheduled} ORDER BY run_at LIMIT 1";
}

/// Ends what is late, queues what is due.
pub(in crate::store) fn promote(
    conn: &mut Conn,
    now: Timestamp,
    limit: u32,
    outbox: Outbox,
) -> QueryResult<Promotion> {
    let expired = expire(conn, now, limit)?;
    let binds = [to_micros(now), i64::from(limit)].map(Bind::Int);
    let queued: Vec<(i64, i64)> = bind(Promote, &binds).load(conn)?;
    let queued: Vec<_> = queued
        .into_iter()
        .map(|(id, robot)| (TaskId(id), RobotId(robot)))
        .collect();
    outbox::append(conn, outbox, || {
        let due = tasks(&queued, TaskStatus::Queued, now);
        due.chain(tasks(&expired, TaskStatus::Expired, now))
    })?;
    let next: Option<(i64,)> = bind(NextDue, &[]).get_result(conn).optional()?;
    Ok(Promotion {
        queued,
        waiting: Vec::new(),
        expired,
        next_run_at: next.map(|(at,)| from_micros(at)),
    })
}

struct WaitingRobots;

impl Statement for WaitingRobots {
    type Row = (BigInt,);
    const SQL: &'static str = "SELECT r.id FROM robots r WHERE {has queued} ORDER BY r.id";
}

/// The same but for robots of which it is known.
struct OthersWaiting;

impl Statement for OthersWaiting {
    type Row = (BigInt,);
    const SQL: &'static str = "
        SELECT r.id FROM robots r
        WHERE CASE WHEN r.id IN (SELECT x.robot FROM {rows robot int}) THEN FALSE ELSE {has queued} END";
}

struct QueuedBehind;

impl Statement for QueuedBehind {
    type Row = (BigInt,);
    const SQL: &'static str = "
        SELECT x.robot FROM {rows robot int, priority int, after int}
        WHERE EXISTS (SELECT 1 FROM (
                SELECT 1 AS one FROM tasks
                WHERE {is queued} AND robot_id = x.robot AND priority = x.priority AND {queue place} > x.after
                ORDER BY priority DESC, {queue place} LIMIT 1) AS at)
            OR EXISTS (SELECT 1 FROM (
                SELECT 1 AS one FROM tasks
                WHERE {is queued} AND robot_id = x.robot AND priority < x.priority
                ORDER BY priority DESC, {queue place} LIMIT 1) AS behind)";
}

/// The ids of the robots that have queued tasks, of those whose queue's beginning is known.
pub(in crate::store) fn queued_behind(
    conn: &mut Conn,
    known: &Beginnings,
) -> QueryResult<Vec<(i64,)>> {
    let mut rows = Rows::default();
    for (robot, floor) in known.iter().filter(|(_, floor)| **floor != Floor::END) {
        rows.push([robot.0.into(), floor.priority.into(), floor.task.into()]);
    }
    find(conn, QueuedBehind, &rows, &[])
}

/// As [`promote`], and looks which robots have queued tasks: once into the queue's index for each robot whose queue's
/// beginning is not `known`.
pub(in crate::store) fn sweep(
    conn: &mut Conn,
    now: Timestamp,
    limit: u32,
    known: &Beginnings,
    outbox: Outbox,
) -> QueryResult<Promotion> {
    let promotion = promote(conn, now, limit, outbox)?;
    let mut waiting: Vec<(i64,)> = if known.is_empty() {
        bind(WaitingRobots, &[]).load(conn)?
    } else {
        find(conn, OthersWaiting, &robots_of(known), &[])?
    };
    waiting.extend(queued_behind(conn, known)?);
    Ok(Promotion {
        waiting: waiting.into_iter().map(|(id,)| RobotId(id)).collect(),
        ..promotion
    })
}

/// The robots whose queue's beginning is known, as rows.
pub(in crate::store) fn robots_of(known: &Beginnings) -> Rows {
    Rows::column(known.keys().map(|robot| robot.0))
}

struct OpenOfRobots;

impl Statement for OpenOfRobots {
    type Row = (BigInt, BigInt, BigInt, BigInt, BigInt);
    const SQL: &'static str = "
        SELECT * FROM (
            SELECT x.robot, x.node,
                (SELECT count(*) FROM (
                    SELECT 1 FROM claimed c
                    WHERE c.robot_id = x.robot AND (x.node = 0 OR c.node_id = x.node) AND {is running}
                    LIMIT 2) AS a) AS running,
                (SELECT count(*) FROM (
                    SELECT 1 FROM tasks WHERE {is queued} AND robot_id = x.robot
                        AND (x.node = 0 OR for_node_id = x.node)
                    ORDER BY priority DESC, {queue place} LIMIT 2) AS b) AS queued,
                (SELECT count(*) FROM (
                    SELECT 1 FROM tasks WHERE {is retrying} AND robot_id = x.robot
                        AND (x.node = 0 OR for_node_id = x.node) LIMIT 2) AS c) AS retrying
            FROM {rows robot int, node int}) AS counted
        WHERE running + queued + retrying > 0";
}

/// The open tasks of robots that have some, of all nodes or of one.
pub(in crate::store) fn open_runs(
    conn: &mut Conn,
    asked: &[(RobotId, Option<NodeId>)],
) -> QueryResult<HashMap<(RobotId, Option<NodeId>), OpenRuns>> {
    let mut rows = Rows::default();
    for (robot, node) in asked {
        rows.push([robot.0.into(), node.map_or(0, |node| node.0).into()]);
    }
    let found: Vec<(i64, i64, i64, i64, i64)> = find(conn, OpenOfRobots, &rows, &[])?;
    let upto_two = |count: i64| u32::try_from(count.clamp(0, 2)).unwrap_or(2);
    let counted = |(robot, node, running, queued, retrying)| {
        let open = OpenRuns {
            all: upto_two(running + queued + retrying),
            waiting: upto_two(queued + retrying),
        };
        let node = (node != 0).then_some(NodeId(node));
        ((RobotId(robot), node), open)
    };
    Ok(found.into_iter().map(counted).collect())
}
