//! Processes, in execution and ended, as one list; progress; the last run of each robot.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable};
use serde_json::Value;

use super::rows::Rows;
use super::statement::{Statement, find};
use super::{Conn, Db};
use crate::domain::id::{NodeId, ProcessId, RobotId, TaskId};
use crate::domain::task::{ProcessOutcome, Trigger};
use crate::domain::time::{from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::page::{Page, PageRequest, page_of};
use crate::store::process::{LastProcess, Process, ProcessFilter, Progress};
use crate::store::schema::{processes, robots, tasks};

/// Bound on a progress message (design of the report).
const MESSAGE_CHARS_MAX: usize = 200;

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

fn ended(row: Ended) -> QueryResult<Process> {
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

/// One process.
pub(in crate::store) fn get(conn: &mut Conn, id: ProcessId) -> QueryResult<Option<Process>> {
    let row: Option<Running> = tasks::table
        .filter(sql::<Bool>("status = 2"))
        .filter(tasks::process_id.eq(id.0))
        .select(Running::as_select())
        .first(conn)
        .optional()?;
    if let Some(row) = row {
        return running(row).map(Some);
    }
    let row: Option<Ended> = processes::table
        .find(id.0)
        .select(Ended::as_select())
        .first(conn)
        .optional()?;
    row.map(ended).transpose()
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
        let robots: Vec<_> = if filter.robots.is_empty() {
            vec![None]
        } else {
            filter.robots.iter().copied().map(Some).collect()
        };
        for robot in robots {
            found.extend(list_ended(conn, robot, filter, page)?);
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

/// Running rows are few, no more than all instances: the index of what runs serves every filter.
fn list_running(
    conn: &mut Conn,
    filter: &ProcessFilter,
    page: PageRequest,
) -> QueryResult<Vec<Process>> {
    let mut query = tasks::table
        .select(Running::as_select())
        .filter(sql::<Bool>("status = 2"))
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
    page: PageRequest,
) -> QueryResult<Vec<Process>> {
    let mut query = processes::table
        .select(Ended::as_select())
        .order(processes::id.desc())
        .limit(page.rows())
        .into_boxed();
    if let Some(robot) = robot {
        query = query.filter(processes::robot_id.eq(robot.0));
    }
    if let Some(outcome) = filter.outcome {
        query = query.filter(sql::<Bool>(&format!("outcome = {}", outcome.code())));
        if outcome != ProcessOutcome::Succeeded {
            query = query.filter(sql::<Bool>("outcome <> 1"));
        }
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
    if let Some(after) = page.after {
        query = query.filter(processes::id.lt(after));
    }
    query.load(conn)?.into_iter().map(ended).collect()
}

struct SetProgress;

impl Statement for SetProgress {
    type Row = (Nullable<BigInt>, BigInt);
    const SQL: &'static str = "
        UPDATE tasks SET progress_percent = x.percent, progress_message = x.message
        FROM {rows process int, percent int, message text}
        WHERE tasks.status = 2 AND tasks.process_id = x.process
        RETURNING process_id, robot_id";
}

/// Records how far processes have got; answers those that run.
pub(in crate::store) fn progress(
    conn: &mut Conn,
    progress: &[(ProcessId, Progress)],
) -> QueryResult<Vec<(ProcessId, RobotId)>> {
    let mut rows = Rows::default();
    for (process, progress) in progress {
        let message: String = progress.message.chars().take(MESSAGE_CHARS_MAX).collect();
        let percent = progress.percent.clamp(0, 100);
        rows.push([process.0.into(), percent.into(), message.into()]);
    }
    let running: Vec<(Option<i64>, i64)> = find(conn, SetProgress, &rows, &[])?;
    Ok(running
        .into_iter()
        .filter_map(|(id, robot)| Some((ProcessId(id?), RobotId(robot))))
        .collect())
}

type LastRow = (i64, Option<i64>, Option<i16>, Option<i64>, Option<String>);

/// The last run of each robot that has had one.
pub(in crate::store) fn last(conn: &mut Conn) -> QueryResult<Vec<(RobotId, LastProcess)>> {
    let rows: Vec<LastRow> = robots::table
        .select((
            robots::id,
            robots::last_process_id,
            robots::last_process_outcome,
            robots::last_process_at,
            robots::last_process_error,
        ))
        .filter(robots::last_process_id.is_not_null())
        .order(robots::id)
        .load(conn)?;
    rows.into_iter().map(last_of).collect()
}

fn last_of((robot, id, outcome, at, error): LastRow) -> QueryResult<(RobotId, LastProcess)> {
    let lacks =
        |what: &str| QueryError::Defect(format!("robot `{robot}` has no readable last {what}"));
    let last = LastProcess {
        id: ProcessId(id.ok_or_else(|| lacks("process"))?),
        outcome: outcome
            .and_then(ProcessOutcome::from_code)
            .ok_or_else(|| lacks("outcome"))?,
        finished_at: from_micros(at.ok_or_else(|| lacks("end"))?),
        error,
    };
    Ok((RobotId(robot), last))
}
