//! Registering tasks: the one way by which a row enters the hot table for the first time.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use diesel::sql_types::{BigInt, Text};

use super::rows::{Rows, storable};
use super::statement::{Statement, count, find, run};
use super::{Conn, claims, dialect, outbox};
use crate::domain::id::{RobotId, TaskId};
use crate::domain::task::TaskStatus;
use crate::domain::time::{Timestamp, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::outbox::Outbox;
use crate::store::task::{Added, Claimed, Floor, NewTask, Order, Registered, Start};

/// Takes keys that are free. In the order of the keys, so that two batches cannot wait for each other.
struct TakeKeys;

impl Statement for TakeKeys {
    type Row = (BigInt,);
    const SQL: &'static str = "
        INSERT INTO task_keys (robot_id, unique_key, task_id)
        SELECT x.robot, x.key, x.id
        FROM {rows robot int, key text, id int} WHERE TRUE
        ON CONFLICT (robot_id, unique_key) DO NOTHING
        RETURNING task_id";
}

/// Who has these keys.
struct KeyOwners;

impl Statement for KeyOwners {
    type Row = (BigInt, Text, BigInt);
    const SQL: &'static str = "
        SELECT k.robot_id, k.unique_key, k.task_id
        FROM {rows robot int, key text, id int}
        JOIN task_keys k ON k.robot_id {found by x.robot} AND k.unique_key = x.key";
}

macro_rules! task_rows {
    () => {
        "{rows id int, robot int, trigger_code int, status int, payload text, priority int, run_at int, deadline int,
            key text, max_attempts int, planned_at int, event int, requested_by text, now int, process int, node int,
            started int, attempts int, for_node int}"
    };
}

macro_rules! insert_tasks {
    () => {
        "INSERT INTO tasks (id, robot_id, trigger_code, status, payload, priority, run_at, deadline_at, unique_key,
            attempts, max_attempts, deaths, planned_at, event_id, requested_by, created_at, process_id, node_id,
            started_at, cancel_requested, for_node_id)
        SELECT x.id, x.robot, x.trigger_code, x.status, x.payload, x.priority, x.run_at, x.deadline, x.key,
            x.attempts, x.max_attempts, 0, x.planned_at, x.event, x.requested_by, x.now, x.process, x.node,
            x.started, FALSE, x.for_node
        FROM "
    };
}

struct Insert;

impl Statement for Insert {
    type Row = ();
    const SQL: &'static str = concat!(insert_tasks!(), task_rows!());
}

/// Those that are started at once are claimed by the same statement, under the same condition as all claims: see
/// `claims::note`. Where it does not hold, none is registered.
struct InsertAndClaim;

impl Statement for InsertAndClaim {
    type Row = ();
    const SQL: &'static str = concat!(
        "WITH new AS (SELECT * FROM ",
        task_rows!(),
        "), me AS MATERIALIZED (
            SELECT id FROM nodes WHERE id = (SELECT max(node) FROM new) AND state = 0 {key share}
        ), claim AS (
            INSERT INTO claims (id, node_id, robot_id, started_at, tasks, running)
            SELECT x.process, me.id, x.robot, x.started, '[' || x.id || ']', 1
            FROM me CROSS JOIN new AS x WHERE x.process IS NOT NULL
        ) ",
        insert_tasks!(),
        "me CROSS JOIN new AS x"
    );
}

/// A task to register, with what it gets.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Numbered<'a> {
    /// Its id, unless its key is known.
    pub(in crate::store) id: i64,
    /// What is registered.
    pub(in crate::store) task: &'a NewTask,
    /// When.
    pub(in crate::store) now: Timestamp,
}

/// Registers the tasks of several callers, all or none; answers in their order.
pub(in crate::store) fn add_orders(
    conn: &mut Conn,
    orders: &[Arc<Order>],
    start: Option<&Arc<Start>>,
    outbox: Outbox,
) -> QueryResult<Registered> {
    let tasks: Vec<_> = orders
        .iter()
        .flat_map(|order| {
            (order.first..)
                .zip(&order.tasks)
                .map(|(id, task)| Numbered {
                    id,
                    task,
                    now: order.now,
                })
        })
        .collect();
    let registered = add(conn, &tasks, start)?;
    if let Some(now) = orders.iter().map(|order| order.now).max() {
        outbox::append(conn, outbox, || outbox::registered(&registered, now))?;
    }
    Ok(registered)
}

/// Registers tasks, all or none, and starts what `start` has room for; answers in their order.
pub(in crate::store) fn add(
    conn: &mut Conn,
    tasks: &[Numbered<'_>],
    start: Option<&Arc<Start>>,
) -> QueryResult<Registered> {
    let owners = take_keys(conn, tasks)?;
    let mut registered = Registered::default();
    let mut rows = Rows::default();
    let mut instances = start.map(|start| start.instances());
    for &Numbered { id, task, now } in tasks {
        let owner = key_of(task)
            .and_then(|key| owners.get(&key))
            .copied()
            .unwrap_or(id);
        registered.added.push(Added {
            id: TaskId(owner),
            existing: owner != id,
        });
        if owner != id {
            continue;
        }
        let (mut status, run_at) = task.first_status(now);
        let mut claimed = None;
        if status == TaskStatus::Queued {
            claimed = instances
                .as_mut()
                .and_then(|own| own.claim(TaskId(id), task));
            match claimed {
                Some(_) => status = TaskStatus::Running,
                None => {
                    let place = Floor::before(task.priority, TaskId(id));
                    let first = registered.queued.entry(task.robot).or_insert(place);
                    *first = first.nearer(place);
                }
            }
        } else {
            registered.scheduled = registered.scheduled.into_iter().chain([run_at]).min();
        }
        if claimed.is_none() {
            registered.waiting.push((TaskId(id), task.robot, status));
        }
        let claim = claimed.as_ref();
        rows.push([
            id.into(),
            task.robot.0.into(),
            task.trigger.code().into(),
            status.code().into(),
            task.payload.to_string().into(),
            task.priority.into(),
            to_micros(run_at).into(),
            task.deadline.map(to_micros).into(),
            task.unique_key.clone().into(),
            task.max_attempts.into(),
            task.planned_at.map(to_micros).into(),
            task.event.map(|event| event.0).into(),
            task.requested_by.as_str().into(),
            to_micros(now).into(),
            claim.map(|claim| claim.process.0).into(),
            claim.map(|claim| claim.node.0).into(),
            claim.map(|claim| to_micros(claim.started_at)).into(),
            claim.map_or(0, |claim| claim.attempt).into(),
            task.for_node.map(|node| node.0).into(),
        ]);
        registered.started.extend(claimed);
    }
    insert(conn, &rows, &registered.started)?;
    registered.start = start.cloned();
    Ok(registered)
}

fn insert(conn: &mut Conn, rows: &Rows, started: &[Claimed]) -> QueryResult<()> {
    if started.is_empty() {
        return run(conn, Insert, rows);
    }
    if dialect::CHANGES_TABLES_AT_ONCE {
        return match count(conn, InsertAndClaim, rows, &[])? {
            0 => Err(QueryError::Fenced),
            _ => Ok(()),
        };
    }
    run(conn, Insert, rows)?;
    claims::note(conn, started)
}

type Key = (RobotId, String);

fn key_of(task: &NewTask) -> Option<Key> {
    task.unique_key
        .as_deref()
        .map(|key| (task.robot, storable(key.to_owned())))
}

/// Gives each key that is new to the first task that names it; answers whose each key is.
fn take_keys(conn: &mut Conn, tasks: &[Numbered<'_>]) -> QueryResult<BTreeMap<Key, i64>> {
    let mut wanted = BTreeMap::new();
    for numbered in tasks {
        if let Some(key) = key_of(numbered.task) {
            wanted.entry(key).or_insert(numbered.id);
        }
    }
    let taken: Vec<(i64,)> = find(conn, TakeKeys, &key_rows(wanted.iter()), &[])?;
    let taken: HashSet<i64> = taken.into_iter().map(|(id,)| id).collect();
    let known = || wanted.iter().filter(|(_, id)| !taken.contains(*id));
    let found: Vec<(i64, String, i64)> = find(conn, KeyOwners, &key_rows(known()), &[])?;
    let mut owners: BTreeMap<Key, i64> = found
        .into_iter()
        .map(|(robot, key, id)| ((RobotId(robot), key), id))
        .collect();
    if known().any(|(key, _)| !owners.contains_key(key)) {
        // Pruned between the two statements: it is free now.
        return Err(QueryError::Race);
    }
    for (key, id) in &wanted {
        owners.entry(key.clone()).or_insert(*id);
    }
    Ok(owners)
}

fn key_rows<'a>(keys: impl Iterator<Item = (&'a Key, &'a i64)>) -> Rows {
    let mut rows = Rows::default();
    for ((robot, key), id) in keys {
        rows.push([robot.0.into(), key.as_str().into(), (*id).into()]);
    }
    rows
}
