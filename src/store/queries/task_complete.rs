//! Recording the ends of processes, fenced by their ids.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable};
use serde_json::{Value, json};

use super::Conn;
use super::rows::Rows;
use super::statement::{Bind, Statement, bind};
use super::task_finish::Remove;
use crate::domain::id::RobotId;
use crate::domain::task::{AfterRun, TaskStatus};
use crate::domain::time::to_micros;
use crate::store::backend::QueryResult;
use crate::store::task::{Completed, Completion, ERROR_CHARS_MAX};

/// The fence: rows that are running under just this process, held until the commit.
struct Lock;

impl Statement for Lock {
    type Row = (BigInt, Nullable<BigInt>, BigInt, Bool);
    const SQL: &'static str = "
        SELECT t.id, t.process_id, t.robot_id, t.cancel_requested FROM {rows} AS x JOIN tasks t
            ON t.id = CAST(x.value->>'task' AS BIGINT) AND t.process_id = CAST(x.value->>'process' AS BIGINT)
        WHERE t.status = 2 ORDER BY t.id {for update}";
}

struct InsertProcesses;

impl Statement for InsertProcesses {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO processes (id, task_id, robot_id, trigger_code, attempt, node_id, started_at, finished_at,
            outcome, planned_at, error_class, error, counters, cancel_requested)
        SELECT t.process_id, t.id, t.robot_id, t.trigger_code, t.attempts, t.node_id, t.started_at,
            CAST(x.value->>'at' AS BIGINT), CAST(x.value->>'outcome' AS SMALLINT), t.planned_at, x.value->>'class',
            x.value->>'error', x.value->>'counters', t.cancel_requested
        FROM {rows} AS x JOIN tasks t ON t.id = CAST(x.value->>'task' AS BIGINT)";
}

struct Archive;

impl Statement for Archive {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO tasks_done (id, robot_id, trigger_code, status, payload, priority, run_at, deadline_at, unique_key,
            attempts, max_attempts, deaths, planned_at, event_id, requested_by, created_at, process_id,
            finished_at, error)
        SELECT t.id, t.robot_id, t.trigger_code, CAST(x.value->>'status' AS SMALLINT), t.payload, t.priority, t.run_at,
            t.deadline_at, t.unique_key, t.attempts, t.max_attempts,
            t.deaths + CAST(x.value->>'death' AS INTEGER), t.planned_at, t.event_id, t.requested_by, t.created_at,
            t.process_id, CAST(x.value->>'at' AS BIGINT),
            CASE WHEN CAST(x.value->>'status' AS SMALLINT) = 3 THEN x.value->>'error' ELSE COALESCE(x.value->>'error', t.error) END
        FROM {rows} AS x JOIN tasks t ON t.id = CAST(x.value->>'task' AS BIGINT)";
}

struct RunAgain;

impl Statement for RunAgain {
    type Row = ();
    const SQL: &'static str = "
        UPDATE tasks SET status = CAST(x.value->>'status' AS SMALLINT), run_at = CAST(x.value->>'run_at' AS BIGINT),
            attempts = tasks.attempts - CAST(x.value->>'back' AS INTEGER),
            deaths = tasks.deaths + CAST(x.value->>'death' AS INTEGER),
            error = COALESCE(x.value->>'error', tasks.error), node_id = NULL, started_at = NULL,
            progress_percent = NULL, progress_message = NULL
        FROM {rows} AS x WHERE tasks.id = CAST(x.value->>'task' AS BIGINT)";
}

/// The last run of each robot. In the order of the ids, as far as the database follows it; where two
/// nodes meet all the same, one is told to repeat.
struct LastOfRobots;

impl Statement for LastOfRobots {
    type Row = ();
    const SQL: &'static str = "
        UPDATE robots SET last_process_id = CAST(x.value->>'process' AS BIGINT),
            last_process_outcome = CAST(x.value->>'outcome' AS SMALLINT),
            last_process_at = CAST(x.value->>'at' AS BIGINT), last_process_error = x.value->>'error'
        FROM {rows} AS x
        WHERE robots.id = CAST(x.value->>'robot' AS BIGINT)
            AND (robots.last_process_at IS NULL OR robots.last_process_at <= CAST(x.value->>'at' AS BIGINT))";
}

/// Records ends; answers for each whether it was accepted, and what is to be told.
pub(in crate::store) fn complete(
    conn: &mut Conn,
    completions: &[Completion],
) -> QueryResult<Completed> {
    let mut held = lock(conn, completions)?;
    let mut done = Completed::default();
    let (mut processes, mut finished, mut again) =
        (Rows::default(), Rows::default(), Rows::default());
    let mut last: BTreeMap<RobotId, &Completion> = BTreeMap::new();
    for completion in completions {
        // Taken out: the same process twice in a batch is one end.
        let Some((robot, cancelled)) = held.remove(&(completion.task.0, completion.process.0))
        else {
            done.accepted.push(None);
            continue;
        };
        processes.push(process_row(completion));
        let status = match completion.after {
            AfterRun::Finished(status) => status,
            AfterRun::Again { .. } if cancelled => TaskStatus::Cancelled,
            AfterRun::Again { run_at, .. } if run_at > completion.finished_at => {
                TaskStatus::Scheduled
            }
            AfterRun::Again { .. } => TaskStatus::Queued,
        };
        if status.is_final() {
            &mut finished
        } else {
            &mut again
        }
        .push(task_row(completion, status));
        done.accepted.push(Some((robot, status)));
        let latest = last.entry(robot).or_insert(completion);
        if completion.finished_at >= latest.finished_at {
            *latest = completion;
        }
    }
    for piece in processes.pieces() {
        bind(InsertProcesses, [Bind::Text(piece)]).execute(conn)?;
    }
    for piece in finished.pieces() {
        bind(Archive, [Bind::Text(piece.clone())]).execute(conn)?;
        bind(Remove, [Bind::Text(piece)]).execute(conn)?;
    }
    for piece in again.pieces() {
        bind(RunAgain, [Bind::Text(piece)]).execute(conn)?;
    }
    record_last(conn, &last)?;
    Ok(done)
}

/// The rows these completions may end: (task, process) -> (robot, whether it was asked to stop).
fn lock(
    conn: &mut Conn,
    completions: &[Completion],
) -> QueryResult<HashMap<(i64, i64), (RobotId, bool)>> {
    let mut rows = Rows::default();
    for completion in completions {
        rows.push([
            ("task", json!(completion.task.0)),
            ("process", json!(completion.process.0)),
        ]);
    }
    let mut held = HashMap::new();
    for piece in rows.pieces() {
        let found: Vec<(i64, Option<i64>, i64, bool)> =
            bind(Lock, [Bind::Text(piece)]).load(conn)?;
        held.extend(
            found
                .into_iter()
                .filter_map(|(task, process, robot, cancel)| {
                    Some(((task, process?), (RobotId(robot), cancel)))
                }),
        );
    }
    Ok(held)
}

fn process_row(completion: &Completion) -> [(&'static str, Value); 6] {
    [
        ("task", json!(completion.task.0)),
        ("at", json!(to_micros(completion.finished_at))),
        ("outcome", json!(completion.outcome.code())),
        ("class", json!(completion.error_class)),
        ("error", json!(error_of(completion))),
        ("counters", Value::String(completion.counters.to_string())),
    ]
}

fn task_row(completion: &Completion, status: TaskStatus) -> [(&'static str, Value); 7] {
    let (run_at, back, death) = match completion.after {
        AfterRun::Again {
            run_at,
            attempt_used,
            death,
        } => (Some(to_micros(run_at)), !attempt_used, death),
        AfterRun::Finished(status) => (None, false, status == TaskStatus::Quarantined),
    };
    [
        ("task", json!(completion.task.0)),
        ("status", json!(status.code())),
        ("at", json!(to_micros(completion.finished_at))),
        ("run_at", json!(run_at)),
        ("back", json!(i32::from(back))),
        ("death", json!(i32::from(death))),
        ("error", json!(error_of(completion))),
    ]
}

/// The error text within its bound.
fn error_of(completion: &Completion) -> Option<String> {
    completion
        .error
        .as_ref()
        .map(|text| text.chars().take(ERROR_CHARS_MAX).collect())
}

fn record_last(conn: &mut Conn, last: &BTreeMap<RobotId, &Completion>) -> QueryResult<()> {
    let mut rows = Rows::default();
    for (robot, completion) in last {
        rows.push([
            ("robot", json!(robot.0)),
            ("process", json!(completion.process.0)),
            ("outcome", json!(completion.outcome.code())),
            ("at", json!(to_micros(completion.finished_at))),
            ("error", json!(error_of(completion))),
        ]);
    }
    for piece in rows.pieces() {
        bind(LastOfRobots, [Bind::Text(piece)]).execute(conn)?;
    }
    Ok(())
}
