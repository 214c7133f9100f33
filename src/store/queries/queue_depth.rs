//! How long queues are.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Conn;
use super::rows::Rows;
use super::statement::{Bind, Statement, bind, find};
use super::task_control::robots_of;
use crate::domain::id::RobotId;
use crate::store::backend::QueryResult;
use crate::store::task::{Beginnings, Floor, QUEUED_COUNT_MAX};

struct Depths;

impl Statement for Depths {
    type Row = (BigInt, BigInt);
    const SQL: &'static str = "
        SELECT r.id, (SELECT count(*) FROM (
            SELECT 1 FROM tasks WHERE {is queued} AND robot_id = r.id
            ORDER BY priority DESC, {queue place} LIMIT ?) AS counted)
        FROM robots r";
}

/// The same but for robots of which it is known where their queue begins.
struct OtherDepths;

impl Statement for OtherDepths {
    type Row = (BigInt, BigInt);
    const SQL: &'static str = "
        SELECT r.id, CASE WHEN r.id IN (SELECT x.robot FROM {rows robot int}) THEN 0 ELSE (SELECT count(*) FROM (
            SELECT 1 FROM tasks WHERE {is queued} AND robot_id = r.id
            ORDER BY priority DESC, {queue place} LIMIT ?) AS counted) END
        FROM robots r";
}

struct DepthsBehind;

impl Statement for DepthsBehind {
    type Row = (BigInt, BigInt);
    const SQL: &'static str = "
        SELECT x.robot, (SELECT count(*) FROM (
            SELECT * FROM (
                SELECT 1 AS one FROM tasks
                WHERE {is queued} AND robot_id = x.robot AND priority = x.priority AND {queue place} > x.after
                ORDER BY priority DESC, {queue place} LIMIT x.most) AS at
            UNION ALL SELECT * FROM (
                SELECT 1 AS one FROM tasks
                WHERE {is queued} AND robot_id = x.robot AND priority < x.priority
                ORDER BY priority DESC, {queue place} LIMIT x.most) AS behind
            LIMIT x.most) AS counted)
        FROM {rows robot int, priority int, after int, most int}";
}

/// Queue lengths of the robots that have one, each counted up to its bound; from their `known` beginnings on.
pub(in crate::store) fn depths(
    conn: &mut Conn,
    known: &Beginnings,
) -> QueryResult<Vec<(RobotId, u32)>> {
    let most = i64::from(QUEUED_COUNT_MAX);
    let mut rows: Vec<(i64, i64)> = if known.is_empty() {
        bind(Depths, &[Bind::Int(most)]).load(conn)?
    } else {
        find(conn, OtherDepths, &robots_of(known), &[Bind::Int(most)])?
    };
    let mut behind = Rows::default();
    for (robot, floor) in known.iter().filter(|(_, floor)| **floor != Floor::END) {
        let (priority, after) = (floor.priority, floor.task);
        behind.push([robot.0.into(), priority.into(), after.into(), most.into()]);
    }
    rows.extend(find::<_, (i64, i64)>(conn, DepthsBehind, &behind, &[])?);
    let depth = |count: i64| u32::try_from(count).unwrap_or(QUEUED_COUNT_MAX);
    let mut depths: Vec<_> = rows
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(id, count)| (RobotId(id), depth(count)))
        .collect();
    depths.sort_unstable();
    Ok(depths)
}
