//! Claims: where to look for what runs. A task's own row says whether it runs, and under which process.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Conn;
use super::rows::Rows;
use super::statement::{Bind, Statement, bind, count, run};
use crate::domain::id::{ProcessId, TaskId};
use crate::domain::time::to_micros;
use crate::store::backend::{QueryError, QueryResult};
use crate::store::task::Claimed;

/// Only a node that lives claims, and nobody declares it dead before this is committed: what was freed by its death
/// cannot be taken by a claim of before it.
struct Insert;

impl Statement for Insert {
    type Row = ();
    const SQL: &'static str = "
        WITH me AS MATERIALIZED (SELECT id FROM nodes WHERE id = ? AND state = 0 {key share})
        INSERT INTO claims (id, node_id, robot_id, started_at, tasks, running)
        SELECT x.id, me.id, x.robot, x.at, x.tasks, x.running
        FROM me CROSS JOIN {rows id int, robot int, at int, tasks text, running int}";
}

/// Notes what one node claimed, which stands in the order of its processes: one row for each run of consecutive
/// processes of a robot. `Fenced` where the node does not live any more.
pub(super) fn note(conn: &mut Conn, claimed: &[Claimed]) -> QueryResult<()> {
    let Some(node) = claimed.first().map(|claimed| claimed.node) else {
        return Ok(());
    };
    let mut rows = Rows::default();
    let follows = |before: &Claimed, next: &Claimed| {
        before.robot == next.robot && before.process.0 + 1 == next.process.0
    };
    for part in claimed.chunk_by(follows) {
        let Some(first) = part.first() else { continue };
        let tasks: Vec<i64> = part.iter().map(|claimed| claimed.task.0).collect();
        rows.push([
            first.process.0.into(),
            first.robot.0.into(),
            to_micros(first.started_at).into(),
            serde_json::Value::from(tasks).to_string().into(),
            i64::try_from(part.len()).unwrap_or(i64::MAX).into(),
        ]);
    }
    match count(conn, Insert, &rows, &[Bind::Int(node.0)])? {
        0 => Err(QueryError::Fenced),
        _ => Ok(()),
    }
}

macro_rules! around {
    () => {
        " FROM claims
        WHERE id <= ? AND id >= COALESCE((SELECT max(id) FROM claims WHERE id <= ?), 0) ORDER BY id"
    };
}

/// The claims that the processes from one to another can be of: the last that began before the first of them,
/// and all since.
struct Around;

impl Statement for Around {
    type Row = (BigInt, Text);
    const SQL: &'static str = concat!("SELECT id, tasks", around!());
}

/// Of the same, how many of their runs have not ended.
struct RunningAround;

impl Statement for RunningAround {
    type Row = (BigInt, BigInt);
    const SQL: &'static str = concat!("SELECT id, running", around!());
}

/// Most claims are of one run, or all of theirs end together.
struct Remove;

impl Statement for Remove {
    type Row = ();
    const SQL: &'static str = "DELETE FROM claims WHERE id {in rows claim int}";
}

struct CountDown;

impl Statement for CountDown {
    type Row = ();
    const SQL: &'static str = "
        UPDATE claims SET running = running - x.ended FROM {rows claim int, ended int} WHERE claims.id {found by x.claim}";
}

struct RemoveEnded;

impl Statement for RemoveEnded {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM claims WHERE running <= 0 AND id {in rows claim int}";
}

/// Takes note that these processes do not run any more; each is told of once.
pub(super) fn settle(conn: &mut Conn, processes: &[i64]) -> QueryResult<()> {
    let (Some(first), Some(last)) = (processes.iter().min(), processes.iter().max()) else {
        return Ok(());
    };
    let claims: Vec<(i64, i64)> =
        bind(RunningAround, &[*last, *first].map(Bind::Int)).load(conn)?;
    let mut ended: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for process in processes {
        if let Some(claim) = claim_of(&claims, *process) {
            *ended.entry(*claim).or_default() += 1;
        }
    }
    // What still runs of a claim only ever becomes less: of some, the others may have ended meanwhile by somebody else.
    let (whole, rest): (Vec<_>, Vec<_>) = ended
        .into_iter()
        .partition(|((_, running), ended)| running <= ended);
    run(
        conn,
        Remove,
        &Rows::column(whole.iter().map(|((claim, _), _)| *claim)),
    )?;
    let mut counted = Rows::default();
    for ((claim, _), ended) in &rest {
        counted.push([(*claim).into(), (*ended).into()]);
    }
    run(conn, CountDown, &counted)?;
    run(
        conn,
        RemoveEnded,
        &Rows::column(rest.iter().map(|((claim, _), _)| *claim)),
    )
}

/// The last claim that began no later than a process.
fn claim_of<T>(claims: &[(i64, T)], process: i64) -> Option<&(i64, T)> {
    let later = claims.partition_point(|(claim, _)| *claim <= process);
    claims.get(later.checked_sub(1)?)
}

/// The tasks that processes were claimed for, where they may still run.
pub(super) fn tasks_of(
    conn: &mut Conn,
    processes: &[ProcessId],
) -> QueryResult<HashMap<ProcessId, TaskId>> {
    let (Some(first), Some(last)) = (processes.iter().min(), processes.iter().max()) else {
        return Ok(HashMap::new());
    };
    let found: Vec<(i64, String)> = bind(Around, &[last.0, first.0].map(Bind::Int)).load(conn)?;
    let mut claims: Vec<(i64, Vec<i64>)> = Vec::with_capacity(found.len());
    for (claim, tasks) in found {
        let tasks = serde_json::from_str(&tasks)
            .map_err(|error| QueryError::Defect(format!("tasks of claim `{claim}`: {error}")))?;
        claims.push((claim, tasks));
    }
    let task_of = |process: ProcessId| {
        let (claim, tasks) = claim_of(&claims, process.0)?;
        let place = usize::try_from(process.0 - claim).ok()?;
        Some((process, TaskId(*tasks.get(place)?)))
    };
    Ok(processes.iter().copied().filter_map(task_of).collect())
}

/// See [`tasks_of`].
pub(super) fn task_of(conn: &mut Conn, process: ProcessId) -> QueryResult<Option<TaskId>> {
    Ok(tasks_of(conn, &[process])?.remove(&process))
}
