//! Shares of robots' instances.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::rows::Rows;
use super::statement::{Statement, bind, find, run};
use super::{Conn, dialect, node};
use crate::domain::id::NodeId;
use crate::domain::share::{Holding, granted, target};
use crate::store::backend::QueryResult;
use crate::store::share::{Share, ShareClaim};

/// Slots of nodes that are gone, once their runs of the robot are dealt with: none can begin any more. In this order, so that
/// nobody looks for runs of nodes that live.
struct Clean;

impl Statement for Clean {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM shares
        WHERE CASE WHEN EXISTS (SELECT 1 FROM nodes n WHERE n.id = shares.node_id AND n.state = 0) THEN FALSE
            ELSE NOT EXISTS (
                SELECT 1 FROM claimed c
                WHERE c.robot_id = shares.robot_id AND c.node_id = shares.node_id AND {is running}) END";
}

struct Held;

impl Statement for Held {
    type Row = (BigInt, BigInt, BigInt);
    const SQL: &'static str = "
        SELECT s.robot_id, s.node_id, s.slots FROM {rows robot int} JOIN shares s ON s.robot_id {found by x.robot}";
}

struct Revisions;

impl Statement for Revisions {
    type Row = (BigInt, BigInt);
    const SQL: &'static str =
        "SELECT r.id, r.revision FROM {rows robot int} JOIN robots r ON r.id {found by x.robot}";
}

struct Put;

impl Statement for Put {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO shares (robot_id, node_id, slots) SELECT x.robot, x.node, x.slots
        FROM {rows robot int, node int, slots int} WHERE TRUE
        ON CONFLICT (robot_id, node_id) DO UPDATE SET slots = excluded.slots";
}

/// What a node has now, and whether it gave something back that others may wait for.
type Exchanged = (Vec<Share>, bool);

/// Exchanges what `me` has for what is its due; nothing where it is not alive.
pub(in crate::store) fn exchange(
    conn: &mut Conn,
    me: NodeId,
    claims: &[ShareClaim],
) -> QueryResult<Option<Exchanged>> {
    // Before anything is read: each exchange sees what the one before it left.
    dialect::lock_shares(conn)?;
    if !node::is_alive(conn, me)? {
        return Ok(None);
    }
    bind(Clean, &[]).execute(conn)?;
    let living: HashSet<NodeId> = node::living(conn)?.into_iter().collect();
    let robots = Rows::column(claims.iter().map(|claim| claim.robot.0));
    let held: Vec<(i64, i64, i64)> = find(conn, Held, &robots, &[])?;
    let mut of_robots: HashMap<i64, BTreeMap<i64, u32>> = HashMap::new();
    for (robot, node, slots) in held {
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        of_robots.entry(robot).or_default().insert(node, slots);
    }
    let revisions: Vec<(i64, i64)> = find(conn, Revisions, &robots, &[])?;
    let revisions: HashMap<i64, i64> = revisions.into_iter().collect();

    let (mut shares, mut changed, mut given_back) = (Vec::new(), Rows::default(), false);
    for claim in claims {
        let held = of_robots.remove(&claim.robot.0).unwrap_or_default();
        let before = held.get(&me.0).copied();
        let stale = revisions.get(&claim.robot.0) != Some(&claim.revision);
        let share = due(me, claim, &held, &living, stale);
        if before != Some(share.slots) {
            given_back |= before.is_none_or(|before| share.slots < before);
            changed.push([claim.robot.0.into(), me.0.into(), share.slots.into()]);
        }
        shares.push(share);
    }
    run(conn, Put, &changed)?;
    Ok(Some((shares, given_back)))
}

/// What is due to `me` of one robot, of which each node that knows it holds something, perhaps nothing.
fn due(
    me: NodeId,
    claim: &ShareClaim,
    held: &BTreeMap<i64, u32>,
    living: &HashSet<NodeId>,
    stale: bool,
) -> Share {
    let mut nodes: Vec<NodeId> = held.keys().copied().map(NodeId).collect();
    if !held.contains_key(&me.0) {
        nodes.push(me);
    }
    nodes.retain(|node| living.contains(node));
    let slots = held.get(&me.0).copied().unwrap_or(0);
    let all = held.values().copied().fold(0, u32::saturating_add);
    let target = target(claim.robot, claim.instances, &nodes, me);
    let holding = Holding {
        slots,
        busy: claim.busy,
        // By what it is no more, nothing is given out.
        target: if stale { target.min(slots) } else { target },
        others: all - slots,
    };
    Share {
        robot: claim.robot,
        slots: granted(claim.instances, holding),
        target,
        stale,
    }
}
