//! The report **Process**: in execution and ended, as one list.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use serde_json::Value;

use super::ids::Span;
use super::statement::Bind;
use super::stretch::{Stretch, in_state, of_robot};
use super::{Conn, Db, claims, ids, node};
use crate::domain::id::{NodeId, ProcessId, RobotId, TaskId};
use crate::domain::task::{ProcessOutcome, TaskStatus, Trigger};
use crate::domain::time::{from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::id::Series;
use crate::store::page::{Page, PageRequest, page_of};
use crate::store::process::{Process, ProcessFilter, Progress};
use crate::store::schema::{processes, tasks, tasks_done};

#[derive(Queryable, Selectable)]
#[diesel(table_name = tasks, check_for_backend(Db))]
struct Running {
    process_id: Option<i64>,
    id: i64,
    robot_id: i64,
    trigger_code: i16,
    attempts: i32,
    node_id: Option<i64>,
    started_at: Option<i64>,
    planned_at: Option<i64>,
    progress_percent: Option<i16>,
    progress_message: Option<String>,
    cancel_requested: bool,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = processes, check_for_backend(Db))]
struct Ended {
    id: i64,
    task_id: i64,
    robot_id: i64,
    trigger_code: i16,
    attempt: i32,
    node_id: i64,
    started_at: i64,
    finished_at: i64,
    outcome: i16,
    planned_at: Option<i64>,
    error_class: Option<String>,
    error: Option<String>,
    counters: String,
    cancel_requested: bool,
}

/// The process that ended a task; it lives in its task's row.
#[derive(Queryable, Selectable)]
#[diesel(table_name = tasks_done, check_for_backend(Db))]
struct Last {
    process_id: Option<i64>,
    id: i64,
    robot_id: i64,
    trigger_code: i16,
    attempts: i32,
    node_id: Option<i64>,
    started_at: Option<i64>,
    finished_at: i64,
    outcome: Option<i16>,
    planned_at: Option<i64>,
    error_class: Option<String>,
    run_error: Option<String>,
    counters: Option<String>,
    cancel_requested: Option<bool>,
}

fn broken(id: i64, what: &str) -> QueryError {
    QueryError::Defect(format!("process `{id}` has no readable {what}"))
}

fn running(row: Running) -> QueryResult<Process> {
    let id = row.process_id.ok_or_else(|| broken(row.id, "process"))?;
    Ok(Process {
        id: ProcessId(id),
        task: TaskId(row.id),
        robot: RobotId(row.robot_id),
        trigger: Trigger::from_code(row.trigger_code).ok_or_else(|| broken(id, "trigger"))?,
        attempt: row.attempts,
        node: NodeId(row.node_id.ok_or_else(|| broken(id, "node"))?),
        started_at: from_micros(row.started_at.ok_or_else(|| broken(id, "start"))?),
        finished_at: None,
        outcome: ProcessOutcome::Running,
        planned_at: row.planned_at.map(from_micros),
        error_class: None,
        error: None,
        counters: Value::Object(serde_json::Map::new()),
        progress: row.progress_percent.map(|percent| Progress {
            percent,
            message: row.progress_message.unwrap_or_default(),
        }),
        cancel_requested: row.cancel_requested,
    })
}

fn ended_process(row: Ended) -> QueryResult<Process> {
    let id = row.id;
    Ok(Process {
        id: ProcessId(id),
        task: TaskId(row.task_id),
        robot: RobotId(row.robot_id),
        trigger: Trigger::from_code(row.trigger_code).ok_or_else(|| broken(id, "trigger"))?,
        attempt: row.attempt,
        node: NodeId(row.node_id),
        started_at: from_micros(row.started_at),
        finished_at: Some(from_micros(row.finished_at)),
        outcome: ProcessOutcome::from_code(row.outcome).ok_or_else(|| broken(id, "outcome"))?,
        planned_at: row.planned_at.map(from_micros),
        error_class: row.error_class,
        error: row.error,
        counters: serde_json::from_str(&row.counters).map_err(|_| broken(id, "counters"))?,
        progress: None,
        cancel_requested: row.cancel_requested,
    })
}

fn last_of_task(row: Last) -> QueryResult<Process> {
    let id = row.process_id.ok_or_else(|| broken(row.id, "process"))?;
    ended_process(Ended {
        id,
        task_id: row.id,
        robot_id: row.robot_id,
        trigger_code: row.trigger_code,
        attempt: row.attempts,
        node_id: row.node_id.ok_or_else(|| broken(id, "node"))?,
        started_at: row.started_at.ok_or_else(|| broken(id, "start"))?,
        finished_at: row.finished_at,
        outcome: row.outcome.ok_or_else(|| broken(id, "outcome"))?,
        planned_at: row.planned_at,
        error_class: row.error_class,
        error: row.run_error,
        counters: row.counters.unwrap_or_else(|| "{}".to_owned()),
        cancel_requested: row.cancel_requested.unwrap_or_default(),
    })
}

/// One process.
pub(in crate::store) fn get(conn: &mut Conn, id: ProcessId) -> QueryResult<Option<Process>> {
    if let Some(task) = claims::task_of(conn, id)? {
        let row: Option<Running> = tasks::table
            .find(task.0)
            .filter(tasks::status.eq(TaskStatus::Running.code()))
            .filter(tasks::process_id.eq(id.0))
            .select(Running::as_select())
            .first(conn)
            .optional()?;
        if let Some(row) = row {
            return running(row).map(Some);
        }
    }
    ended(conn, id)
}

/// One process that is over.
pub(super) fn ended(conn: &mut Conn, id: ProcessId) -> QueryResult<Option<Process>> {
    let row: Option<Last> = tasks_done::table
        .filter(tasks_done::process_id.eq(id.0))
        .filter(tasks_done::outcome.is_not_null())
        .select(Last::as_select())
        .first(conn)
        .optional()?;
    if let Some(row) = row {
        return last_of_task(row).map(Some);
    }
    let row: Option<Ended> = processes::table
        .find(id.0)
        .select(Ended::as_select())
        .first(conn)
        .optional()?;
    row.map(ended_process).transpose()
}

/// A page of the report **Process**.
pub(in crate::store) fn list(
    conn: &mut Conn,
    filter: &ProcessFilter,
    page: PageRequest,
) -> QueryResult<Page<Process>> {
    let mut found = Vec::new();
    if filter
        .outcome
        .is_none_or(|outcome| outcome == ProcessOutcome::Running)
    {
        found = list_running(conn, filter, page)?;
    }
    if filter.outcome != Some(ProcessOutcome::Running) {
        let span = span_of(conn, filter)?;
        let robots: Vec<_> = if filter.robots.is_empty() {
            vec![None]
        } else {
            filter.robots.iter().copied().map(Some).collect()
        };
        for robot in robots {
            found.extend(list_last(conn, robot, filter, span, page)?);
            found.extend(list_ended(conn, robot, filter, span, page)?);
        }
    }
    Ok(page_of(found, page, |process| process.id.0))
}

/// A page of the report **In execution**.
pub(in crate::store) fn executions(
    conn: &mut Conn,
    filter: &ProcessFilter,
    page: PageRequest,
) -> QueryResult<Page<Process>> {
    Ok(page_of(
        list_running(conn, filter, page)?,
        page,
        |process| process.id.0,
    ))
}

/// Ids that processes within the filter's time, and within its node's, can have.
fn span_of(conn: &mut Conn, filter: &ProcessFilter) -> QueryResult<Span> {
    let (mut from, mut to) = (filter.from, filter.to);
    if let Some(node) = filter.node {
        let (started, ended) = node::life(conn, node)?;
        from = from.max(started);
        to = to.into_iter().chain(ended).min();
    }
    ids::span(conn, Series::Process, from, to)
}

/// Running rows are few, no more than all instances: the claims serve every filter.
fn list_running(
    conn: &mut Conn,
    filter: &ProcessFilter,
    page: PageRequest,
) -> QueryResult<Vec<Process>> {
    let mut query = tasks::table
        .select(Running::as_select())
        .filter(sql::<Bool>(
            "id IN (SELECT task_id FROM claimed) AND status = 2",
        ))
        .order(tasks::process_id.desc())
        .limit(page.rows())
        .into_boxed();
    if !filter.robots.is_empty() {
        query = query.filter(tasks::robot_id.eq_any(filter.robots.iter().map(|robot| robot.0)));
    }
    if let Some(node) = filter.node {
        query = query.filter(tasks::node_id.eq(node.0));
    }
    if let Some(task) = filter.task {
        query = query.filter(tasks::id.eq(task.0));
    }
    if let Some(from) = filter.from {
        query = query.filter(tasks::started_at.ge(to_micros(from)));
    }
    if let Some(to) = filter.to {
        query = query.filter(tasks::started_at.lt(to_micros(to)));
    }
    if let Some(after) = page.after {
        query = query.filter(tasks::process_id.lt(after));
    }
    query.load(conn)?.into_iter().map(running).collect()
}

fn list_ended(
    conn: &mut Conn,
    robot: Option<RobotId>,
    filter: &ProcessFilter,
    span: Span,
    page: PageRequest,
) -> QueryResult<Vec<Process>> {
    // There are few of them: one index for each way of asking is enough.
    let state = trouble(filter).filter(|_| robot.is_none());
    let leading = of_robot(robot).into_iter().chain(state);
    let stretch = Stretch::new(leading, "id", (span, page.after));
    let mut query = processes::table
        .select(Ended::as_select())
        .order(stretch.newest_first())
        .limit(page.rows())
        .filter(stretch)
        .into_boxed();
    if let Some(outcome) = filter.outcome {
        query = query.filter(sql::<Bool>(of_outcome(outcome)));
        query = query.filter(processes::outcome.eq(outcome.code()));
    }
    if let Some(node) = filter.node {
        query = query.filter(processes::node_id.eq(node.0));
    }
    if let Some(task) = filter.task {
        query = query.filter(processes::task_id.eq(task.0));
    }
    if let Some(from) = filter.from {
        query = query.filter(processes::started_at.ge(to_micros(from)));
    }
    if let Some(to) = filter.to {
        query = query.filter(processes::started_at.lt(to_micros(to)));
    }
    query.load(conn)?.into_iter().map(ended_process).collect()
}

/// As [`list_ended`], of the processes that ended their tasks.
fn list_last(
    conn: &mut Conn,
    robot: Option<RobotId>,
    filter: &ProcessFilter,
    span: Span,
    page: PageRequest,
) -> QueryResult<Vec<Process>> {
    let leading = of_robot(robot).into_iter().chain(trouble(filter));
    let stretch = Stretch::new(leading, "process_id", (span, page.after));
    let mut query = tasks_done::table
        .select(Last::as_select())
        .filter(sql::<Bool>("outcome IS NOT NULL"))
        .order(stretch.newest_first())
        .limit(page.rows())
        .filter(stretch)
        .into_boxed();
    if let Some(outcome) = filter.outcome {
        query = query.filter(sql::<Bool>(of_outcome(outcome)));
    }
    if let Some(node) = filter.node {
        query = query.filter(tasks_done::node_id.eq(node.0));
    }
    if let Some(task) = filter.task {
        query = query.filter(tasks_done::id.eq(task.0));
    }
    if let Some(from) = filter.from {
        query = query.filter(tasks_done::started_at.ge(to_micros(from)));
    }
    if let Some(to) = filter.to {
        query = query.filter(tasks_done::started_at.lt(to_micros(to)));
    }
    query.load(conn)?.into_iter().map(last_of_task).collect()
}

/// The outcome that is asked for, where an index knows of it: most succeed.
fn trouble(filter: &ProcessFilter) -> Option<(&'static str, Bind)> {
    let outcome = filter.outcome?;
    (outcome != ProcessOutcome::Succeeded).then(|| in_state("outcome", outcome.code()))
}

/// As text of the statement, not a bind: a partial index serves only what is said as it says it.
fn of_outcome(outcome: ProcessOutcome) -> &'static str {
    match outcome {
        ProcessOutcome::Succeeded => "outcome = 1",
        _ => "outcome <> 1",
    }
}
