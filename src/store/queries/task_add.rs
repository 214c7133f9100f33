//! Registering tasks: the one way by which a row enters the hot table for the first time.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::{Value, json};

use super::Conn;
use super::rows::{Rows, storable};
use super::statement::{Bind, Statement, bind};
use crate::domain::id::{RobotId, TaskId};
use crate::domain::task::TaskStatus;
use crate::domain::time::{Timestamp, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::task::{Added, NewTask, Registered};

/// Takes keys that are free. In the order of the keys, so that two batches cannot wait for each other.
struct TakeKeys;

impl Statement for TakeKeys {
    type Row = (BigInt,);
    const SQL: &'static str = "
        INSERT INTO task_keys (robot_id, unique_key, task_id)
        SELECT CAST(x.value->>'robot' AS BIGINT), x.value->>'key', CAST(x.value->>'id' AS BIGINT)
        FROM {rows} AS x WHERE TRUE
        ON CONFLICT (robot_id, unique_key) DO NOTHING
        RETURNING task_id";
}

/// Who has these keys.
struct KeyOwners;

impl Statement for KeyOwners {
    type Row = (BigInt, Text, BigInt);
    const SQL: &'static str = "
        SELECT k.robot_id, k.unique_key, k.task_id
        FROM {rows} AS x
        JOIN task_keys k ON k.robot_id = CAST(x.value->>'robot' AS BIGINT) AND k.unique_key = x.value->>'key'";
}

struct Insert;

impl Statement for Insert {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO tasks (id, robot_id, trigger_code, status, payload, priority, run_at, deadline_at, unique_key,
            attempts, max_attempts, deaths, planned_at, event_id, requested_by, created_at, cancel_requested)
        SELECT CAST(x.value->>'id' AS BIGINT), CAST(x.value->>'robot' AS BIGINT),
            CAST(x.value->>'trigger' AS SMALLINT), CAST(x.value->>'status' AS SMALLINT), x.value->>'payload',
            CAST(x.value->>'priority' AS SMALLINT), CAST(x.value->>'run_at' AS BIGINT),
            CAST(x.value->>'deadline' AS BIGINT), x.value->>'key', 0,
            CAST(x.value->>'max_attempts' AS INTEGER), 0, CAST(x.value->>'planned_at' AS BIGINT),
            CAST(x.value->>'event' AS BIGINT), x.value->>'by', CAST(x.value->>'now' AS BIGINT), FALSE
        FROM {rows} AS x";
}

/// Registers tasks; the n-th gets the id `first + n`, unless its key is known.
pub(in crate::store) fn add(
    conn: &mut Conn,
    tasks: &[NewTask],
    first: i64,
    now: Timestamp,
) -> QueryResult<Registered> {
    let owners = take_keys(conn, tasks, first)?;
    let mut registered = Registered::default();
    let mut ready = BTreeSet::new();
    let mut rows = Rows::default();
    for (task, id) in tasks.iter().zip(first..) {
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
        let run_at = task.run_at.unwrap_or(now).max(now);
        let status = if run_at > now {
            TaskStatus::Scheduled
        } else {
            TaskStatus::Queued
        };
        if status == TaskStatus::Queued {
            ready.insert(task.robot);
        } else {
            registered.scheduled = registered.scheduled.into_iter().chain([run_at]).min();
        }
        push(&mut rows, task, id, status, run_at, now);
    }
    for piece in rows.pieces() {
        bind(Insert, [Bind::Text(piece)]).execute(conn)?;
    }
    registered.ready = ready.into_iter().collect();
    Ok(registered)
}

fn push(
    rows: &mut Rows,
    task: &NewTask,
    id: i64,
    status: TaskStatus,
    run_at: Timestamp,
    now: Timestamp,
) {
    rows.push([
        ("id", json!(id)),
        ("robot", json!(task.robot.0)),
        ("trigger", json!(task.trigger.code())),
        ("status", json!(status.code())),
        ("payload", Value::String(task.payload.to_string())),
        ("priority", json!(task.priority)),
        ("run_at", json!(to_micros(run_at))),
        ("deadline", json!(task.deadline.map(to_micros))),
        ("key", json!(task.unique_key)),
        ("max_attempts", json!(task.max_attempts)),
        ("planned_at", json!(task.planned_at.map(to_micros))),
        ("event", json!(task.event.map(|event| event.0))),
        ("by", json!(task.requested_by)),
        ("now", json!(to_micros(now))),
    ]);
}

type Key = (RobotId, String);

fn key_of(task: &NewTask) -> Option<Key> {
    task.unique_key
        .as_deref()
        .map(|key| (task.robot, storable(key)))
}

/// Gives each key that is new to the first task that names it; answers whose each key is.
fn take_keys(conn: &mut Conn, tasks: &[NewTask], first: i64) -> QueryResult<BTreeMap<Key, i64>> {
    let mut wanted = BTreeMap::new();
    for (task, id) in tasks.iter().zip(first..) {
        if let Some(key) = key_of(task) {
            wanted.entry(key).or_insert(id);
        }
    }
    let mut taken = HashSet::new();
    for piece in key_rows(wanted.iter()).pieces() {
        let ids: Vec<(i64,)> = bind(TakeKeys, [Bind::Text(piece)]).load(conn)?;
        taken.extend(ids.into_iter().map(|(id,)| id));
    }
    let known = || wanted.iter().filter(|(_, id)| !taken.contains(*id));
    let mut owners: BTreeMap<Key, i64> = BTreeMap::new();
    for piece in key_rows(known()).pieces() {
        let found: Vec<(i64, String, i64)> = bind(KeyOwners, [Bind::Text(piece)]).load(conn)?;
        owners.extend(
            found
                .into_iter()
                .map(|(robot, key, id)| ((RobotId(robot), key), id)),
        );
    }
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
        rows.push([
            ("robot", json!(robot.0)),
            ("key", json!(key)),
            ("id", json!(id)),
        ]);
    }
    rows
}
