//! Claiming queued tasks, and finding those of dead nodes.

use std::collections::HashMap;
use std::ops::Range;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Text};

use super::rows::Rows;
use super::statement::{Bind, Statement, bind, find};
use super::task_finish::expire;
use super::{Conn, claims, dialect, outbox};
use crate::domain::id::{NodeId, ProcessId, RobotId, TaskId};
use crate::domain::task::{TaskStatus, Trigger};
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::outbox::{Outbox, claimed as outbox_claimed, tasks};
use crate::store::task::{Claimed, Claims, Demand, Floor};

/// Late tasks that one claim ends beside its work; the promoter ends the others.
const EXPIRE_MAX: u32 = 100;

type ClaimedColumns = (
    BigInt,
    Nullable<BigInt>,
    BigInt,
    Nullable<BigInt>,
    SmallInt,
    Text,
    Integer,
    Integer,
    Integer,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Bool,
);
type ClaimedRow = (
    i64,
    Option<i64>,
    i64,
    Option<i64>,
    i16,
    String,
    i32,
    i32,
    i32,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    bool,
);

/// One robot's tasks, where one connection writes and a call costs no round trip.
struct ClaimOfRobot;

impl Statement for ClaimOfRobot {
    type Row = ClaimedColumns;
    const SQL: &'static str = "
        UPDATE tasks SET status = 2, process_id = n.process_id, node_id = ?, started_at = ?,
            attempts = tasks.attempts + 1, cancel_requested = FALSE, progress_percent = NULL, progress_message = NULL
        FROM (
            SELECT id, ? - 1 + row_number() OVER (ORDER BY priority DESC, id) AS process_id
            FROM (SELECT id, priority FROM tasks
                WHERE {is queued} AND robot_id = ? AND (deadline_at IS NULL OR deadline_at >= ?)
                    AND (for_node_id IS NULL OR for_node_id = ?)
                ORDER BY priority DESC, id LIMIT ?) AS picked
        ) AS n
        WHERE tasks.id = n.id
        RETURNING id, process_id, robot_id, node_id, trigger_code, payload, attempts, max_attempts, deaths,
            deadline_at, planned_at, started_at, cancel_requested";
}

/// Those of a robot's queued tasks that one branch of a claim picks: what stands before, at or behind the floor.
macro_rules! pick {
    ($where:literal, $lock:literal) => {
        concat!(
            "SELECT * FROM (SELECT id, priority FROM tasks
                WHERE {is queued} AND robot_id = x.robot AND ",
            $where,
            " AND (deadline_at IS NULL OR deadline_at >= ?) AND (for_node_id IS NULL OR for_node_id = ?)
                ORDER BY priority DESC, {queue place} LIMIT x.count ",
            $lock,
            ")"
        )
    };
}

macro_rules! claim_of_all {
    ($lock:literal) => {
        concat!(
            "WITH picked AS MATERIALIZED (
                SELECT x.robot, q.id, q.priority
                FROM {rows robot int, count int, above int, priority int, after int} CROSS JOIN LATERAL (",
            pick!("priority > x.above", $lock),
            " AS before UNION ALL ",
            pick!("priority = x.priority AND {queue place} > x.after", $lock),
            " AS at UNION ALL ",
            pick!("priority < x.priority", $lock),
            " AS behind
                    LIMIT x.count
                ) AS q
            ), n AS (
                SELECT id, ? - 1 + row_number() OVER (ORDER BY robot, priority DESC, id) AS process_id FROM picked
            )
            UPDATE tasks SET status = 2, process_id = n.process_id, node_id = ?, started_at = ?,
                attempts = tasks.attempts + 1, cancel_requested = FALSE, progress_percent = NULL,
                progress_message = NULL
            FROM n
            WHERE tasks.id {found by n.id} AND tasks.status = 1
            RETURNING tasks.id, tasks.process_id, robot_id, node_id, trigger_code, payload, attempts, max_attempts,
                deaths, deadline_at, planned_at, started_at, cancel_requested, priority"
        )
    };
}

/// All robots' tasks in one round trip, where one node claims. Rows are not locked when they are picked, which would
/// write each once more; whoever is second finds that they are not queued any more.
struct ClaimOfAll;

impl Statement for ClaimOfAll {
    type Row = (ClaimedColumns, SmallInt);
    const SQL: &'static str = claim_of_all!("");
}

/// The same beside other nodes: what one of them is about to claim is passed over, so that none comes off with nothing
/// because all had picked the same.
struct ClaimBesideOthers;

impl Statement for ClaimBesideOthers {
    type Row = (ClaimedColumns, SmallInt);
    const SQL: &'static str = claim_of_all!("{skip locked}");
}

/// Claims for `node`, which may be one of several; processes are numbered from `first` on.
pub(in crate::store) fn claim(
    conn: &mut Conn,
    (node, beside_others): (NodeId, bool),
    demands: &[Demand],
    first: i64,
    now: Timestamp,
    outbox: Outbox,
) -> QueryResult<Claims> {
    let (claimed, reached) = if dialect::CLAIMS_AT_ONCE {
        of_all(conn, (node, beside_others), demands, first, now)?
    } else {
        (of_each(conn, node, demands, first, now)?, HashMap::new())
    };
    claims::note(conn, &claimed)?;
    let next = claimed.last().map_or(first, |last| last.process.0 + 1);
    // Where work is short, tasks may be late that would have been it.
    let asked = demands
        .iter()
        .map(|demand| usize::try_from(demand.count).unwrap_or(usize::MAX));
    let expired = if claimed.len() < asked.fold(0, usize::saturating_add) {
        expire(conn, now, EXPIRE_MAX)?
    } else {
        Vec::new()
    };
    outbox::append(conn, outbox, || {
        outbox_claimed(&claimed).chain(tasks(&expired, TaskStatus::Expired, now))
    })?;
    Ok(Claims {
        claimed,
        reached,
        expired,
        next,
    })
}

fn of_each(
    conn: &mut Conn,
    node: NodeId,
    demands: &[Demand],
    first: i64,
    now: Timestamp,
) -> QueryResult<Vec<Claimed>> {
    let (at, mut next, mut all) = (to_micros(now), first, Vec::new());
    for demand in demands {
        let count = i64::from(demand.count);
        let binds = [node.0, at, next, demand.robot.0, at, node.0, count].map(Bind::Int);
        let found: Vec<ClaimedRow> = bind(ClaimOfRobot, &binds).load(conn)?;
        next += i64::try_from(found.len()).unwrap_or(i64::MAX);
        all.extend(in_order(found)?);
    }
    Ok(all)
}

/// Claims from the floors on; where a queue is exhausted behind a guess, once more from its beginning. Answers how far it came in
/// the other queues, too.
fn of_all(
    conn: &mut Conn,
    node: (NodeId, bool),
    demands: &[Demand],
    first: i64,
    now: Timestamp,
) -> QueryResult<(Vec<Claimed>, HashMap<RobotId, Floor>)> {
    let (mut claimed, mut reached) = take(conn, node, demands, first, now)?;
    let mut got: HashMap<RobotId, u32> = HashMap::new();
    for claimed in &claimed {
        *got.entry(claimed.robot).or_default() += 1;
    }
    let mut short = Vec::new();
    for demand in demands {
        let got = got.get(&demand.robot).copied().unwrap_or_default();
        if got == demand.count {
            continue;
        }
        reached.remove(&demand.robot);
        if !demand.exact && demand.floor != Floor::NONE {
            short.push(Demand {
                count: demand.count - got,
                floor: Floor::NONE,
                ..*demand
            });
        }
    }
    if !short.is_empty() {
        let next = claimed.last().map_or(first, |last| last.process.0 + 1);
        claimed.extend(take(conn, node, &short, next, now)?.0);
    }
    Ok((claimed, reached))
}

/// Claims once; answers the last of each robot, too.
fn take(
    conn: &mut Conn,
    (node, beside_others): (NodeId, bool),
    demands: &[Demand],
    first: i64,
    now: Timestamp,
) -> QueryResult<(Vec<Claimed>, HashMap<RobotId, Floor>)> {
    let mut wanted = Rows::default();
    for Demand {
        robot,
        count,
        floor,
        exact,
    } in demands
    {
        let (priority, after) = (floor.priority, floor.task);
        // What came to stand there since the floor was learned.
        let above = if *exact { i16::MAX } else { priority };
        wanted.push([
            robot.0.into(),
            (*count).into(),
            above.into(),
            priority.into(),
            after.into(),
        ]);
    }
    let at = to_micros(now);
    let me = node.0;
    let binds = [at, me, at, me, at, me, first, me, at].map(Bind::Int);
    let found: Vec<(ClaimedRow, i16)> = if beside_others {
        find(conn, ClaimBesideOthers, &wanted, &binds)?
    } else {
        find(conn, ClaimOfAll, &wanted, &binds)?
    };
    let last_of = |(row, priority): &(ClaimedRow, i16)| {
        let floor = Floor {
            priority: *priority,
            task: row.0,
        };
        (row.1, RobotId(row.2), floor)
    };
    let mut order: Vec<_> = found.iter().map(last_of).collect();
    order.sort_unstable_by_key(|(process, ..)| *process);
    let reached = order.into_iter().map(|(_, robot, floor)| (robot, floor));
    let reached = reached.collect();
    let rows = found.into_iter().map(|(row, _)| row).collect();
    Ok((in_order(rows)?, reached))
}

/// The numbers were given in the order of claiming, which RETURNING does not keep.
fn in_order(mut rows: Vec<ClaimedRow>) -> QueryResult<Vec<Claimed>> {
    rows.sort_unstable_by_key(|row| row.1);
    rows.into_iter().map(claimed).collect()
}

fn claimed(row: ClaimedRow) -> QueryResult<Claimed> {
    let (
        id,
        process,
        robot,
        node,
        trigger,
        payload,
        attempt,
        max_attempts,
        deaths,
        deadline,
        planned,
        started,
        cancel,
    ) = row;
    let broken = |what: &str| QueryError::Defect(format!("running task `{id}` has no {what}"));
    Ok(Claimed {
        task: TaskId(id),
        process: ProcessId(process.ok_or_else(|| broken("process"))?),
        robot: RobotId(robot),
        node: NodeId(node.ok_or_else(|| broken("node"))?),
        trigger: Trigger::from_code(trigger).ok_or_else(|| broken("known trigger"))?,
        payload: serde_json::from_str(&payload).map_err(|_| broken("readable payload"))?,
        attempt,
        max_attempts,
        deaths,
        deadline: deadline.map(from_micros),
        planned_at: planned.map(from_micros),
        started_at: from_micros(started.ok_or_else(|| broken("start"))?),
        cancel_requested: cancel,
    })
}

/// Those running tasks whose claim is such a one.
macro_rules! running {
    ($claim:literal) => {
        concat!(
            "SELECT id, process_id, robot_id, node_id, trigger_code, payload, attempts, max_attempts, deaths,
                deadline_at, planned_at, started_at, cancel_requested
            FROM tasks
            WHERE id IN (SELECT c.task_id FROM claimed c WHERE {is running} AND ",
            $claim,
            ") ORDER BY id"
        )
    };
}

/// Running tasks that no living node holds. Running rows are few: no more than all instances.
struct Orphans;

impl Statement for Orphans {
    type Row = ClaimedColumns;
    const SQL: &'static str = running!(
        "NOT EXISTS (SELECT 1 FROM nodes n WHERE n.id = c.node_id AND n.state = 0) ORDER BY c.task_id LIMIT ?"
    );
}

/// Running tasks whose node is not alive.
pub(in crate::store) fn orphans(conn: &mut Conn, limit: u32) -> QueryResult<Vec<Claimed>> {
    let rows: Vec<ClaimedRow> = bind(Orphans, &[Bind::Int(i64::from(limit))]).load(conn)?;
    rows.into_iter().map(claimed).collect()
}

/// What one node has claimed as certain processes.
struct ClaimedAs;

impl Statement for ClaimedAs {
    type Row = ClaimedColumns;
    const SQL: &'static str = running!("c.node_id = ? AND c.process_id >= ? AND c.process_id < ?");
}

/// Running tasks that `node` claimed as one of `processes`.
pub(in crate::store) fn claimed_as(
    conn: &mut Conn,
    node: NodeId,
    processes: &[Range<i64>],
) -> QueryResult<Vec<Claimed>> {
    let mut found: Vec<ClaimedRow> = Vec::new();
    for range in processes {
        let binds = [node.0, range.start, range.end].map(Bind::Int);
        found.append(&mut bind(ClaimedAs, &binds).load(conn)?);
    }
    found.into_iter().map(claimed).collect()
}

/// Tasks of one node that were asked to stop, wherever that was.
struct ToStop;

impl Statement for ToStop {
    type Row = (BigInt, BigInt);
    const SQL: &'static str = "
        SELECT c.process_id, c.robot_id FROM claimed c
        WHERE c.node_id = ? AND (
            SELECT t.cancel_requested FROM tasks t
            WHERE t.id = c.task_id AND t.process_id = c.process_id AND t.status = 2)
        ORDER BY c.process_id";
}

/// Processes in execution on `node` that were asked to stop.
pub(in crate::store) fn to_stop(
    conn: &mut Conn,
    node: NodeId,
) -> QueryResult<Vec<(ProcessId, RobotId)>> {
    let rows: Vec<(i64, i64)> = bind(ToStop, &[Bind::Int(node.0)]).load(conn)?;
    let of = |(process, robot)| (ProcessId(process), RobotId(robot));
    Ok(rows.into_iter().map(of).collect())
}
