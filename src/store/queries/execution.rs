//! Executions of tasks. See `store::execution`.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, SmallInt};

use super::rows::storable;
use super::sql::Sql;
use super::statement::{Bind, Statement, bind};
use super::{Conn, operation, operation_report, statement};
use crate::domain::id::{InventoryId, OperationId, TaskId};
use crate::domain::inventory::column::Stored;
use crate::domain::operation::OperationState;
use crate::domain::time::{Timestamp, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::event::{NewEvent, Publication, Published};
use crate::store::execution::{Begun, Execution, NewExecution, Selection, Standing};
use crate::store::operation::{NewOperation, Operation};
use crate::store::schema::execution::task_executions;

/// Credentials that a selection means.
pub(in crate::store) fn select(
    conn: &mut Conn,
    selection: &Selection,
    limit: u32,
) -> QueryResult<Vec<InventoryId>> {
    let mut sql: Sql<(BigInt,)> = Sql::new(
        "SELECT c.id FROM credentials c JOIN devices d ON d.id = c.device_id \
         WHERE c.enabled AND d.enabled AND c.kind IN (",
    );
    sql.text(match (selection.no_passwords, selection.keys) {
        (true, _) => "'ssh_key')",
        (false, true) => "'password', 'ssh_key')",
        (false, false) => "'password')",
    });
    if !selection.devices.is_empty() {
        sql.text(" AND d.id IN ");
        let devices = selection.devices.iter();
        sql.list(devices.map(|id| Stored::Int(Some(id.0))));
    }
    if let Some(site) = selection.site {
        sql.text(" AND d.site_id = ").int(site.0);
    }
    if let Some(username) = &selection.username {
        sql.text(" AND c.username = ")
            .bind(Stored::Text(Some(username.clone())));
    }
    if let Some(tag) = &selection.tag {
        let pattern = Stored::Text(Some(holds(tag)));
        sql.text(" AND (c.tags LIKE ")
            .bind(pattern.clone())
            .text(" ESCAPE '!' OR d.tags LIKE ")
            .bind(pattern)
            .text(" ESCAPE '!')");
    }
    sql.text(" ORDER BY c.id LIMIT ").int(i64::from(limit));
    let rows: Vec<(i64,)> = sql.load(conn)?;
    Ok(rows.into_iter().map(|(id,)| InventoryId(id)).collect())
}

/// The pattern of a JSON list that holds this text.
pub(super) fn holds(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in serde_json::Value::from(text).to_string().chars() {
        if matches!(c, '!' | '%' | '_') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// The execution of a task.
pub(in crate::store) fn get(conn: &mut Conn, task: TaskId) -> QueryResult<Option<Begun>> {
    let found: Option<(i64, i32, Option<i32>, Option<String>)> = task_executions::table
        .find(task.0)
        .select((
            task_executions::first_operation,
            task_executions::wanted,
            task_executions::ordered,
            task_executions::plan,
        ))
        .first(conn)
        .optional()?;
    let Some((first, wanted, ordered, plan)) = found else {
        return Ok(None);
    };
    let count = |count: i32| u32::try_from(count).unwrap_or_default();
    let execution = Execution {
        first: OperationId(first),
        wanted: count(wanted),
        ordered: count(ordered.unwrap_or(wanted)),
    };
    let plan = plan.map(|plan| serde_json::from_str(&plan)).transpose();
    let plan =
        plan.map_err(|error| QueryError::Defect(format!("plan of task `{task}`: {error}")))?;
    Ok(Some(Begun { execution, plan }))
}

/// A count as the database keeps it.
fn kept(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Begins an execution and orders its first operations.
pub(in crate::store) fn start(
    conn: &mut Conn,
    new: &NewExecution,
    orders: &[NewOperation],
    events: &[NewEvent],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(Execution, Published)> {
    let NewExecution {
        task,
        first,
        wanted,
        plan,
    } = new;
    let ordered = u32::try_from(orders.len()).unwrap_or(u32::MAX);
    let begun = diesel::insert_into(task_executions::table)
        .values((
            task_executions::task_id.eq(task.0),
            task_executions::first_operation.eq(first.0),
            task_executions::wanted.eq(kept(*wanted)),
            task_executions::started_at.eq(to_micros(now)),
            task_executions::plan.eq(storable(plan.to_string())),
            task_executions::ordered.eq(kept(ordered)),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    if begun == 0 {
        return Err(QueryError::conflict(format!(
            "task `{task}` has begun before"
        )));
    }
    let (_, published) = operation::order(conn, *first, orders, events, ids, now)?;
    let execution = Execution {
        first: *first,
        wanted: *wanted,
        ordered,
    };
    Ok((execution, published))
}

/// Orders the next operations of an execution.
pub(in crate::store) fn go_on(
    conn: &mut Conn,
    task: TaskId,
    seen: Execution,
    orders: &[NewOperation],
    events: &[NewEvent],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(Execution, Published)> {
    let more = u32::try_from(orders.len()).unwrap_or(u32::MAX);
    let execution = Execution {
        ordered: seen.ordered.saturating_add(more),
        ..seen
    };
    let noted = diesel::update(task_executions::table.find(task.0))
        .filter(task_executions::ordered.eq(kept(seen.ordered)))
        .set(task_executions::ordered.eq(kept(execution.ordered)))
        .execute(conn)?;
    if noted == 0 {
        return Err(QueryError::conflict(format!(
            "task `{task}` has ordered others since"
        )));
    }
    let next = OperationId(seen.first.0.saturating_add(i64::from(seen.ordered)));
    let (_, published) = operation::order(conn, next, orders, events, ids, now)?;
    Ok((execution, published))
}

struct Count;

impl Statement for Count {
    type Row = (SmallInt, Bool, BigInt);
    const SQL: &'static str = "
        SELECT state, finished_at IS NOT NULL, count(*) FROM operations
        WHERE id >= ? AND id < ? GROUP BY state, finished_at IS NOT NULL";
}

/// How its operations stand.
pub(in crate::store) fn standing(
    conn: &mut Conn,
    execution: Execution,
) -> QueryResult<Vec<Standing>> {
    let first = execution.first.0;
    let binds = [first, first + i64::from(execution.wanted)].map(Bind::Int);
    let rows: Vec<(i16, bool, i64)> = bind(Count, &binds).load(conn)?;
    let standing = |(state, ended, count)| {
        let known = OperationState::from_code(state);
        Ok(Standing {
            state: known.ok_or_else(|| QueryError::Defect(format!("state {state}")))?,
            ended,
            count: u32::try_from(count).unwrap_or(u32::MAX),
        })
    };
    rows.into_iter().map(standing).collect()
}

/// Its operations that wait.
pub(in crate::store) fn waiting(
    conn: &mut Conn,
    execution: Execution,
) -> QueryResult<Vec<Operation>> {
    let first = execution.first.0;
    operation_report::open_of(conn, first..first + i64::from(execution.wanted))
}

struct Old;

impl Statement for Old {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM task_executions WHERE task_id IN (
            SELECT task_id FROM task_executions WHERE started_at < ? ORDER BY task_id LIMIT ?)";
}

/// Forgets executions that began before an instant, at most `limit`.
pub(in crate::store) fn prune_executions(
    conn: &mut Conn,
    before: i64,
    limit: u32,
) -> QueryResult<usize> {
    statement::prune(conn, Old, before, limit)
}
