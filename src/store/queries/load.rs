//! Figures of each robot's queue and runs. See `store::report`.
//!
//! Every read is bounded: by an index and a LIMIT, or by the number of instances.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::Conn;
use super::statement::{Bind, Statement, bind, find};
use super::task_control::{queued_behind, robots_of};
use crate::domain::id::{ProcessId, RobotId, TaskId};
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::QueryResult;
use crate::store::report::{RobotLoad, percentile_95};
use crate::store::task::{Beginnings, Floor, QUEUED_COUNT_MAX};

/// From a place in the queue on.
struct Queued;

impl Statement for Queued {
    type Row = (BigInt, Nullable<BigInt>);
    const SQL: &'static str = "
        SELECT count(*), min(run_at) FROM (
            SELECT * FROM (
                SELECT run_at FROM tasks WHERE robot_id = ? AND {is queued} AND priority = ? AND {queue place} > ?
                ORDER BY priority DESC, {queue place} LIMIT 10000) AS at
            UNION ALL
            SELECT * FROM (
                SELECT run_at FROM tasks WHERE robot_id = ? AND {is queued} AND priority < ?
                ORDER BY priority DESC, {queue place} LIMIT 10000) AS behind
            LIMIT 10000) AS part";
}

/// The first of each priority. Where more tasks wait than are counted, the oldest may be behind them,
/// at a low priority; it is the first there, as ids rise with the time of registering.
struct Heads;

impl Statement for Heads {
    type Row = (Nullable<BigInt>,);
    const SQL: &'static str = "
        WITH RECURSIVE p(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM p WHERE n < 9)
        SELECT min((SELECT run_at FROM tasks WHERE robot_id = ? AND {is queued} AND priority = p.n
                        AND {queue place} > CASE WHEN p.n = ? THEN ? ELSE 0 END
                    ORDER BY {queue place} LIMIT 1)) FROM p
        WHERE p.n <= ?";
}

struct LongestRunning;

impl Statement for LongestRunning {
    type Row = (BigInt, BigInt, BigInt);
    const SQL: &'static str = "
        SELECT c.process_id, c.task_id, c.started_at FROM claimed c
        WHERE c.robot_id = ? AND {is running}
        ORDER BY c.started_at, c.task_id LIMIT 1";
}

struct Dead;

impl Statement for Dead {
    type Row = (BigInt,);
    const SQL: &'static str = "
        SELECT count(*) FROM (
            SELECT 1 AS one FROM tasks_done
            WHERE robot_id = ? AND status <> 3 AND status IN (4, 7) AND finished_at >= ? LIMIT 10000) AS part";
}

/// Durations of the last succeeded runs, among the last 2,000 that ended a task and the last 2,000 that did not: a
/// robot that always fails must not make every look read its whole history. Rows are compared for the reason that
/// `dialect::COMPARES_ROWS` gives.
struct Durations;

impl Statement for Durations {
    type Row = (BigInt,);
    const SQL: &'static str = "
        SELECT finished_at - started_at FROM (
            SELECT * FROM (
                SELECT process_id AS id, outcome, started_at, finished_at FROM tasks_done
                WHERE (robot_id, process_id) >= (?, 0) AND (robot_id, process_id) <= (?, 9223372036854775807)
                    AND outcome IS NOT NULL
                ORDER BY robot_id DESC, process_id DESC LIMIT 2000) AS a
            UNION ALL
            SELECT * FROM (
                SELECT id, outcome, started_at, finished_at FROM processes
                WHERE (robot_id, id) >= (?, 0) AND (robot_id, id) <= (?, 9223372036854775807)
                ORDER BY robot_id DESC, id DESC LIMIT 2000) AS b) AS part
        WHERE outcome = 1 ORDER BY id DESC LIMIT 200";
}

macro_rules! loaded {
    ($queued:literal) => {
        concat!(
            "SELECT r.id FROM robots r
            WHERE ",
            $queued,
            " OR EXISTS (SELECT 1 FROM claims WHERE robot_id = r.id)
                OR EXISTS (SELECT 1 FROM tasks_done
                    WHERE robot_id = r.id AND status <> 3 AND status IN (4, 7) AND finished_at >= ?)
            ORDER BY r.id"
        )
    };
}

/// Robots that have figures at all: a look into three indexes for each, in one statement.
struct Loaded;

impl Statement for Loaded {
    type Row = (BigInt,);
    const SQL: &'static str = loaded!("{has queued}");
}

/// The same, without a look into the queues whose beginnings are known.
struct LoadedElse;

impl Statement for LoadedElse {
    type Row = (BigInt,);
    const SQL: &'static str = loaded!(
        "CASE WHEN r.id IN (SELECT x.robot FROM {rows robot int}) THEN FALSE ELSE {has queued} END"
    );
}

/// Figures of the robots that have some, by id; the queues are read from their `known` beginnings on.
pub(in crate::store) fn robot_loads(
    conn: &mut Conn,
    since: Timestamp,
    known: &Beginnings,
) -> QueryResult<Vec<RobotLoad>> {
    let binds = [Bind::Int(to_micros(since))];
    let mut found: Vec<(i64,)> = if known.is_empty() {
        bind(Loaded, &binds).load(conn)?
    } else {
        find(conn, LoadedElse, &robots_of(known), &binds)?
    };
    found.extend(queued_behind(conn, known)?);
    let robots: BTreeSet<_> = found.into_iter().map(|(robot,)| RobotId(robot)).collect();
    let loads = robots.into_iter().map(|robot| {
        let from = known.get(&robot).copied().unwrap_or(Floor::NONE);
        robot_load(conn, robot, from, since)
    });
    loads.collect()
}

fn robot_load(
    conn: &mut Conn,
    robot: RobotId,
    from: Floor,
    since: Timestamp,
) -> QueryResult<RobotLoad> {
    let one = || Bind::Int(robot.0);
    let (priority, after) = (i64::from(from.priority), from.task);
    let binds = [robot.0, priority, after, robot.0, priority].map(Bind::Int);
    let (queued, mut oldest): (i64, Option<i64>) = bind(Queued, &binds).get_result(conn)?;
    if queued >= i64::from(QUEUED_COUNT_MAX) {
        let binds = [robot.0, priority, after, priority].map(Bind::Int);
        let (head,): (Option<i64>,) = bind(Heads, &binds).get_result(conn)?;
        oldest = oldest.min(head.or(oldest));
    }
    let running: Option<(i64, i64, i64)> =
        bind(LongestRunning, &[one()]).get_result(conn).optional()?;
    let (dead,): (i64,) = bind(Dead, &[one(), Bind::Int(to_micros(since))]).get_result(conn)?;
    let durations: Vec<(i64,)> = bind(Durations, &[one(), one(), one(), one()]).load(conn)?;
    Ok(RobotLoad {
        robot,
        queued: u32::try_from(queued).unwrap_or(QUEUED_COUNT_MAX),
        oldest_due_at: oldest.map(from_micros),
        longest_running: running
            .map(|(process, task, at)| (ProcessId(process), TaskId(task), from_micros(at))),
        dead_tasks: u32::try_from(dead).unwrap_or(u32::MAX),
        duration_p95_micros: percentile_95(durations.into_iter().map(|(micros,)| micros).collect()),
    })
}
