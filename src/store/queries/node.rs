//! Nodes.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Conn;
use super::statement::{Bind, Statement, bind};
use crate::domain::id::NodeId;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::node::{Node, NodeState};
use crate::store::schema::nodes;

/// Longest that a node can work on after it was last heard of; a node is missed much earlier.
const SILENCE_MAX: TimeDelta = TimeDelta::minutes(10);
/// Most rows of the list.
const NODES_MAX: i64 = 500;

fn state(code: i16) -> QueryResult<NodeState> {
    [NodeState::Alive, NodeState::Stopped, NodeState::Dead]
        .into_iter()
        .find(|state| state.code() == code)
        .ok_or_else(|| QueryError::Defect(format!("unknown node state {code}")))
}

struct KillOthers;

impl Statement for KillOthers {
    type Row = ();
    const SQL: &'static str = "UPDATE nodes SET state = 2 WHERE state = 0";
}

struct Start;

impl Statement for Start {
    type Row = (BigInt,);
    const SQL: &'static str = "
        INSERT INTO nodes (name, version, pid, started_at, heartbeat_at, state)
        VALUES (?, ?, CAST(? AS INTEGER), ?, ?, 0) RETURNING id";
}

/// Registers a start; where this process is alone, whatever seems alive beside it is dead.
pub(in crate::store) fn start(
    conn: &mut Conn,
    name: &str,
    version: &str,
    pid: i32,
    alone: bool,
    now: Timestamp,
) -> QueryResult<NodeId> {
    if alone {
        bind(KillOthers, &[]).execute(conn)?;
    }
    let at = to_micros(now);
    let binds = [
        Bind::Text(name.to_owned()),
        Bind::Text(version.to_owned()),
        Bind::Int(i64::from(pid)),
        Bind::Int(at),
        Bind::Int(at),
    ];
    let (id,): (i64,) = bind(Start, &binds).get_result(conn)?;
    Ok(NodeId(id))
}

struct Beat;

impl Statement for Beat {
    type Row = ();
    const SQL: &'static str = "UPDATE nodes SET heartbeat_at = ? WHERE id = ? AND state = 0";
}

struct Reap;

impl Statement for Reap {
    type Row = (BigInt,);
    const SQL: &'static str =
        "UPDATE nodes SET state = 2 WHERE state = 0 AND heartbeat_at < ? RETURNING id";
}

/// Renews the lease and declares silent nodes dead; nothing where there is no lease any more.
pub(in crate::store) fn beat(
    conn: &mut Conn,
    id: NodeId,
    now: Timestamp,
    silent_since: Timestamp,
) -> QueryResult<Option<Vec<NodeId>>> {
    if bind(Beat, &[to_micros(now), id.0].map(Bind::Int)).execute(conn)? == 0 {
        return Ok(None);
    }
    let rows: Vec<(i64,)> = bind(Reap, &[Bind::Int(to_micros(silent_since))]).load(conn)?;
    let mut dead: Vec<_> = rows.into_iter().map(|(id,)| NodeId(id)).collect();
    dead.sort_unstable();
    Ok(Some(dead))
}

struct Stop;

impl Statement for Stop {
    type Row = ();
    const SQL: &'static str =
        "UPDATE nodes SET state = 1, heartbeat_at = ? WHERE id = ? AND state = 0";
}

/// Ends in order; a node declared dead stays so.
pub(in crate::store) fn stop(conn: &mut Conn, id: NodeId, now: Timestamp) -> QueryResult<()> {
    bind(Stop, &[to_micros(now), id.0].map(Bind::Int)).execute(conn)?;
    Ok(())
}

/// When a node started, and when it was last heard of if it is not alive any more; nothing of an unknown one.
pub(super) fn life(
    conn: &mut Conn,
    id: NodeId,
) -> QueryResult<(Option<Timestamp>, Option<Timestamp>)> {
    let found: Option<(i64, i64, i16)> = nodes::table
        .find(id.0)
        .select((nodes::started_at, nodes::heartbeat_at, nodes::state))
        .first(conn)
        .optional()?;
    let Some((started, heard, code)) = found else {
        return Ok((None, None));
    };
    let over = state(code)? != NodeState::Alive;
    // It may have started runs until it was missed.
    let ended = over.then(|| from_micros(heard) + SILENCE_MAX);
    Ok((Some(from_micros(started)), ended))
}

/// All nodes, newest first.
pub(in crate::store) fn list(conn: &mut Conn) -> QueryResult<Vec<Node>> {
    let rows: Vec<(i64, String, String, i32, i64, i64, i16)> = nodes::table
        .order(nodes::id.desc())
        .limit(NODES_MAX)
        .load(conn)?;
    rows.into_iter()
        .map(|(id, name, version, pid, started, heartbeat, code)| {
            Ok(Node {
                id: NodeId(id),
                name,
                version,
                pid,
                started_at: from_micros(started),
                heartbeat_at: from_micros(heartbeat),
                state: state(code)?,
            })
        })
        .collect()
}
