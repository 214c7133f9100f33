//! The report **Tasks**: open rows and history as one list.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use serde_json::json;

use super::ids::Span;
use super::stretch::{Stretch, in_state, of_robot};
use super::{Conn, Db, audit, dialect, ids, outbox, task_control};
use crate::domain::id::{EventId, ProcessId, RobotId, TaskId};
use crate::domain::task::{TaskStatus, Trigger};
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::audit::NewAudit;
use crate::store::backend::{QueryError, QueryResult};
use crate::store::id::Series;
use crate::store::outbox::{Outbox, tasks};
use crate::store::page::{Page, PageRequest, page_of};
use crate::store::schema::{tasks, tasks_done};
use crate::store::task::{Task, TaskFilter};

/// The columns that both tables have.
#[derive(Queryable, Selectable)]
#[diesel(table_name = tasks, check_for_backend(Db))]
struct Open {
    id: i64,
    robot_id: i64,
    trigger_code: i16,
    status: i16,
    payload: String,
    priority: i16,
    run_at: i64,
    deadline_at: Option<i64>,
    unique_key: Option<String>,
    attempts: i32,
    max_attempts: i32,
    deaths: i32,
    planned_at: Option<i64>,
    event_id: Option<i64>,
    requested_by: String,
    created_at: i64,
    process_id: Option<i64>,
    error: Option<String>,
    cancel_requested: bool,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = tasks_done, check_for_backend(Db))]
struct Done {
    id: i64,
    robot_id: i64,
    trigger_code: i16,
    status: i16,
    payload: String,
    priority: i16,
    run_at: i64,
    deadline_at: Option<i64>,
    unique_key: Option<String>,
    attempts: i32,
    max_attempts: i32,
    deaths: i32,
    planned_at: Option<i64>,
    event_id: Option<i64>,
    requested_by: String,
    created_at: i64,
    process_id: Option<i64>,
    error: Option<String>,
    run_error: Option<String>,
    finished_at: i64,
}

macro_rules! task {
    ($row:ident, $finished_at:expr, $cancel_requested:expr) => {{
        let broken =
            |what: &str| QueryError::Defect(format!("task `{}` has no readable {what}", $row.id));
        Ok(Task {
            id: TaskId($row.id),
            robot: RobotId($row.robot_id),
            trigger: Trigger::from_code($row.trigger_code).ok_or_else(|| broken("trigger"))?,
            status: TaskStatus::from_code($row.status).ok_or_else(|| broken("status"))?,
            payload: serde_json::from_str(&$row.payload).map_err(|_| broken("payload"))?,
            priority: $row.priority,
            run_at: from_micros($row.run_at),
            deadline: $row.deadline_at.map(from_micros),
            unique_key: $row.unique_key,
            attempts: $row.attempts,
            max_attempts: $row.max_attempts,
            deaths: $row.deaths,
            planned_at: $row.planned_at.map(from_micros),
            event: $row.event_id.map(EventId),
            requested_by: $row.requested_by,
            created_at: from_micros($row.created_at),
            finished_at: $finished_at,
            process: $row.process_id.map(ProcessId),
            error: $row.error,
            cancel_requested: $cancel_requested,
        })
    }};
}

fn open(row: Open) -> QueryResult<Task> {
    task!(row, None, row.cancel_requested)
}

fn done(row: Done) -> QueryResult<Task> {
    let row = Done {
        error: row.run_error.or(row.error),
        run_error: None,
        ..row
    };
    task!(row, Some(from_micros(row.finished_at)), false)
}

/// One task, wherever it is.
pub(in crate::store) fn get(conn: &mut Conn, id: TaskId) -> QueryResult<Option<Task>> {
    let row: Option<Open> = tasks::table
        .find(id.0)
        .select(Open::as_select())
        .first(conn)
        .optional()?;
    if let Some(row) = row {
        return open(row).map(Some);
    }
    let row: Option<Done> = tasks_done::table
        .find(id.0)
        .select(Done::as_select())
        .first(conn)
        .optional()?;
    row.map(done).transpose()
}

/// Queues a finished or scheduled task at once in the name of `actor`; answers it as it is then.
pub(in crate::store) fn retry(
    conn: &mut Conn,
    id: TaskId,
    actor: &str,
    now: Timestamp,
    outbox: Outbox,
) -> QueryResult<Task> {
    let before = task_control::retry(conn, id, now)?;
    let task = get(conn, id)?
        .ok_or_else(|| QueryError::Defect(format!("task `{id}` is gone after it was queued")))?;
    let one = [(id, task.robot)];
    outbox::append(conn, outbox, || tasks(&one, task.status, now))?;
    let entry = NewAudit {
        actor: actor.to_owned(),
        action: "task.retry".to_owned(),
        object: format!("task:{id}"),
        before: Some(json!({"status": before})),
        after: Some(json!({"status": task.status})),
    };
    audit::append(conn, &entry, now)?;
    Ok(task)
}

/// A page of the report. Each robot asked for is looked up by itself, so that the index by
/// (robot, id) serves it; the pieces are merged.
pub(in crate::store) fn list(
    conn: &mut Conn,
    filter: &TaskFilter,
    page: PageRequest,
) -> QueryResult<Page<Task>> {
    let mut found = Vec::new();
    let span = ids::span(conn, Series::Task, filter.from, filter.to)?;
    let robots: Vec<_> = if filter.robots.is_empty() {
        vec![None]
    } else {
        filter.robots.iter().copied().map(Some).collect()
    };
    for robot in robots {
        if filter.status.is_none_or(|status| !status.is_final()) {
            found.extend(list_open(conn, robot, filter, span, page)?);
        }
        if filter.status.is_none_or(TaskStatus::is_final) {
            found.extend(list_done(conn, robot, filter, span, page)?);
        }
    }
    Ok(page_of(found, page, |task| task.id.0))
}

fn list_open(
    conn: &mut Conn,
    robot: Option<RobotId>,
    filter: &TaskFilter,
    span: Span,
    page: PageRequest,
) -> QueryResult<Vec<Task>> {
    let mut query = tasks::table
        .select(Open::as_select())
        .order(tasks::id.desc())
        .limit(page.rows())
        .into_boxed();
    if let Some(robot) = robot {
        query = query.filter(tasks::robot_id.eq(robot.0));
    }
    if let Some(status) = filter.status {
        query = query.filter(sql::<Bool>(match status {
            TaskStatus::Scheduled => dialect::IS_SCHEDULED,
            TaskStatus::Queued => dialect::IS_QUEUED,
            // Of these no index knows; the claims do.
            _ => "id IN (SELECT task_id FROM claimed) AND status = 2",
        }));
    }
    if let Some(from) = filter.from {
        query = query.filter(tasks::created_at.ge(to_micros(from)));
    }
    if let Some(to) = filter.to {
        query = query.filter(tasks::created_at.lt(to_micros(to)));
    }
    if let Some(first) = span.first {
        query = query.filter(tasks::id.ge(first));
    }
    if let Some(before) = span.before(page.after) {
        query = query.filter(tasks::id.lt(before));
    }
    query.load(conn)?.into_iter().map(open).collect()
}

fn list_done(
    conn: &mut Conn,
    robot: Option<RobotId>,
    filter: &TaskFilter,
    span: Span,
    page: PageRequest,
) -> QueryResult<Vec<Task>> {
    // Of those that succeeded no index knows: they are most.
    let trouble = filter
        .status
        .filter(|status| *status != TaskStatus::Succeeded);
    let state = trouble.map(|status| in_state("status", status.code()));
    let leading = of_robot(robot).into_iter().chain(state);
    let stretch = Stretch::new(leading, "id", (span, page.after));
    let mut query = tasks_done::table
        .select(Done::as_select())
        .order(stretch.newest_first())
        .limit(page.rows())
        .filter(stretch)
        .into_boxed();
    // As text of the statement, not binds: a partial index serves only what is said as it says it.
    if trouble.is_some() {
        query = query.filter(sql::<Bool>("status <> 3"));
    } else if filter.status.is_some() {
        query = query.filter(sql::<Bool>("status = 3"));
    }
    if let Some(from) = filter.from {
        query = query.filter(tasks_done::created_at.ge(to_micros(from)));
    }
    if let Some(to) = filter.to {
        query = query.filter(tasks_done::created_at.lt(to_micros(to)));
    }
    query.load(conn)?.into_iter().map(done).collect()
}
