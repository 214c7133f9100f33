//! Nodes.

use std::time::Duration;

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Conn;
use super::statement::{Bind, Statement, bind};
use crate::domain::id::NodeId;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::node::{Beat, Heard, Node, NodeState, Term};
use crate::store::schema::nodes;

/// Longest that a node can work on after it was last heard of; a node is missed much earlier.
const SILENCE_MAX: TimeDelta = TimeDelta::minutes(10);
/// Most rows of the list.
const NODES_MAX: i64 = 500;

/// How a node stands, of the number in the database (SMALLINT; never reused) and whether it is draining.
fn state(code: i16, draining: bool) -> QueryResult<NodeState> {
    match code {
        0 if draining => Ok(NodeState::Draining),
        0 => Ok(NodeState::Alive),
        1 => Ok(NodeState::Stopped),
        2 => Ok(NodeState::Dead),
        _ => Err(QueryError::Defect(format!("unknown node state {code}"))),
    }
}

/// Waits for claims of theirs that the server has not ended yet, as all do that say that a node lives no more.
struct KillOthers;

impl Statement for KillOthers {
    type Row = ();
    const SQL: &'static str = "UPDATE nodes SET state = 2 WHERE id IN (SELECT id FROM nodes WHERE state = 0 ORDER BY id {for update})";
}

struct Start;

impl Statement for Start {
    type Row = (BigInt,);
    const SQL: &'static str = "
        INSERT INTO nodes (name, version, pid, started_at, heartbeat_at, state)
        VALUES (?, ?, CAST(? AS INTEGER), ?, ?, 0) RETURNING id";
}

/// Nobody leads a new database.
struct NobodyLeads;

impl Statement for NobodyLeads {
    type Row = ();
    const SQL: &'static str = "INSERT INTO leadership (id, node_id, term, since_at) VALUES (1, 0, 0, 0) ON CONFLICT (id) DO NOTHING";
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
    bind(NobodyLeads, &[]).execute(conn)?;
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

/// Notes the timeout of a node.
pub(in crate::store) fn note_timeout(
    conn: &mut Conn,
    id: NodeId,
    timeout: Duration,
) -> QueryResult<()> {
    let micros = i64::try_from(timeout.as_micros()).unwrap_or(i64::MAX);
    diesel::update(nodes::table.find(id.0))
        .set(nodes::node_timeout.eq(micros))
        .execute(conn)?;
    Ok(())
}

struct Renew;

impl Statement for Renew {
    type Row = ();
    const SQL: &'static str =
        "UPDATE nodes SET heartbeat_at = ?, clock_offset = ? WHERE id = ? AND state = 0";
}

/// A row that is held is left for the next time: its node renews it or claims just now, or was stopped while it did so,
/// and the server ends its session soon.
struct Reap;

impl Statement for Reap {
    type Row = (BigInt,);
    const SQL: &'static str = "
        UPDATE nodes SET state = 2
        WHERE id IN (SELECT id FROM nodes WHERE state = 0 AND heartbeat_at < ? {skip locked}) RETURNING id";
}

/// Takes the leadership where no node that goes on living has it; one that is about to end takes none. A row that is
/// held is left: somebody takes it just now, or decides under it.
struct TakeLead;

impl Statement for TakeLead {
    type Row = ();
    const SQL: &'static str = "
        UPDATE leadership SET node_id = ?, term = term + 1, since_at = ?
        WHERE id IN (SELECT l.id FROM leadership l
            WHERE NOT EXISTS (SELECT 1 FROM nodes n WHERE n.id = l.node_id AND n.state = 0 AND NOT n.draining)
                AND EXISTS (SELECT 1 FROM nodes n WHERE n.id = ? AND n.state = 0 AND NOT n.draining)
            {skip locked})";
}

struct Led;

impl Statement for Led {
    type Row = (BigInt,);
    const SQL: &'static str = "SELECT term FROM leadership WHERE id = 1 AND node_id = ?";
}

struct Living;

impl Statement for Living {
    type Row = (BigInt,);
    const SQL: &'static str = "SELECT id FROM nodes WHERE state = 0 AND NOT draining ORDER BY id";
}

struct Revisions;

impl Statement for Revisions {
    type Row = (BigInt,);
    const SQL: &'static str = "SELECT CAST(COALESCE(sum(revision), 0) AS BIGINT) FROM robots";
}

/// Renews the lease and declares silent nodes dead; nothing where there is no lease any more.
pub(in crate::store) fn beat(
    conn: &mut Conn,
    id: NodeId,
    beat: Beat,
) -> QueryResult<Option<Heard>> {
    let at = to_micros(beat.at);
    let renewed = [at, beat.clock_offset, id.0].map(Bind::Int);
    if bind(Renew, &renewed).execute(conn)? == 0 {
        return Ok(None);
    }
    let silent = [Bind::Int(to_micros(beat.silent_since))];
    let mut dead = ids(bind(Reap, &silent).load(conn)?);
    dead.sort_unstable();
    let mut term: Option<(i64,)> = led(conn, id)?;
    if term.is_none() && bind(TakeLead, &[id.0, at, id.0].map(Bind::Int)).execute(conn)? == 1 {
        term = led(conn, id)?;
    }
    let (revisions,): (i64,) = bind(Revisions, &[]).get_result(conn)?;
    Ok(Some(Heard {
        dead,
        alive: living(conn)?,
        term: term.map(|(term,)| Term(term)),
        revisions,
    }))
}

fn led(conn: &mut Conn, id: NodeId) -> QueryResult<Option<(i64,)>> {
    Ok(bind(Led, &[Bind::Int(id.0)]).get_result(conn).optional()?)
}

fn ids(rows: Vec<(i64,)>) -> Vec<NodeId> {
    rows.into_iter().map(|(id,)| NodeId(id)).collect()
}

/// The nodes that live and are not about to end, by id.
pub(super) fn living(conn: &mut Conn) -> QueryResult<Vec<NodeId>> {
    Ok(ids(bind(Living, &[]).load(conn)?))
}

struct Alive;

impl Statement for Alive {
    type Row = (BigInt,);
    const SQL: &'static str = "SELECT id FROM nodes WHERE id = ? AND state = 0";
}

/// Whether a node has its lease.
pub(super) fn is_alive(conn: &mut Conn, id: NodeId) -> QueryResult<bool> {
    let found: Option<(i64,)> = bind(Alive, &[Bind::Int(id.0)])
        .get_result(conn)
        .optional()?;
    Ok(found.is_some())
}

struct HoldLead;

impl Statement for HoldLead {
    type Row = (BigInt,);
    const SQL: &'static str =
        "SELECT term FROM leadership WHERE id = 1 AND node_id = ? AND term = ? {for update}";
}

/// Whether `id` leads in `term`, which nobody else can begin to do until the end of the transaction.
pub(super) fn leads(conn: &mut Conn, id: NodeId, term: Term) -> QueryResult<bool> {
    let held: Option<(i64,)> = bind(HoldLead, &[id.0, term.0].map(Bind::Int))
        .get_result(conn)
        .optional()?;
    Ok(held.is_some())
}

struct Drain;

impl Statement for Drain {
    type Row = ();
    const SQL: &'static str = "UPDATE nodes SET draining = TRUE WHERE id = ? AND state = 0";
}

/// From now on the node is about to end.
pub(in crate::store) fn drain(conn: &mut Conn, id: NodeId) -> QueryResult<()> {
    bind(Drain, &[Bind::Int(id.0)]).execute(conn)?;
    Ok(())
}

struct Stop;

impl Statement for Stop {
    type Row = ();
    const SQL: &'static str = "
        UPDATE nodes SET state = 1, heartbeat_at = ?
        WHERE id IN (SELECT id FROM nodes WHERE id = ? AND state = 0 {for update})";
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
    // It may have started runs until it was missed.
    let ended = (code != 0).then(|| from_micros(heard) + SILENCE_MAX);
    Ok((Some(from_micros(started)), ended))
}

/// A row of the table, in the order of its columns.
type Row = (
    i64,
    String,
    String,
    i32,
    i64,
    i64,
    i16,
    bool,
    i64,
    Option<i64>,
);

/// All nodes, newest first.
pub(in crate::store) fn list(conn: &mut Conn) -> QueryResult<Vec<Node>> {
    let rows: Vec<Row> = nodes::table
        .order(nodes::id.desc())
        .limit(NODES_MAX)
        .load(conn)?;
    rows.into_iter()
        .map(
            |(
                id,
                name,
                version,
                pid,
                started,
                heartbeat,
                code,
                draining,
                clock_offset,
                timeout,
            )| {
                Ok(Node {
                    id: NodeId(id),
                    name,
                    version,
                    pid,
                    started_at: from_micros(started),
                    heartbeat_at: from_micros(heartbeat),
                    state: state(code, draining)?,
                    clock_offset,
                    timeout: timeout
                        .and_then(|micros| u64::try_from(micros).ok())
                        .map(Duration::from_micros),
                })
            },
        )
        .collect()
}
