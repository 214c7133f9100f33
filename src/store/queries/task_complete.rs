//! Recording the ends of processes, fenced by their ids.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::sql_types::{BigInt, Bool, Nullable};

use super::rows::Rows;
use super::statement::{Statement, find, run};
use super::{Conn, claims, dialect, outbox};
use crate::domain::id::RobotId;
use crate::domain::task::{AfterRun, ProcessOutcome, TaskStatus};
use crate::domain::time::to_micros;
use crate::store::backend::QueryResult;
use crate::store::outbox::{Outbox, ended};
use crate::store::task::{Completed, Completion, ERROR_CHARS_MAX};

/// The fence: rows that are running under just this process, held until the commit.
struct Lock;

impl Statement for Lock {
    type Row = (BigInt, Nullable<BigInt>, BigInt, Bool);
    const SQL: &'static str = "
        SELECT t.id, t.process_id, t.robot_id, t.cancel_requested FROM {rows task int, process int} JOIN tasks t
            ON t.id {found by x.task} AND t.process_id = x.process
        WHERE t.status = 2 ORDER BY t.id {for update}";
}

/// What history keeps of a task, and of its last process.
macro_rules! done_columns {
    () => {
        "INSERT INTO tasks_done (id, robot_id, trigger_code, payload, priority, run_at, deadline_at, unique_key,
            attempts, max_attempts, planned_at, event_id, requested_by, created_at, process_id, node_id, started_at,
            cancel_requested, finished_at, counters, status, outcome, deaths, error, error_class, run_error) "
    };
}

/// Those of them that the task's row has as they are to be.
macro_rules! kept_columns {
    () => {
        "t.id, t.robot_id, t.trigger_code, t.payload, t.priority, t.run_at, t.deadline_at, t.unique_key,
            t.attempts, t.max_attempts, t.planned_at, t.event_id, t.requested_by, t.created_at, t.process_id,
            t.node_id, t.started_at, t.cancel_requested, "
    };
}

/// What is told of a task that is over.
macro_rules! end_rows {
    () => {
        "{rows task int, process int, at int, counters text, status int, outcome int, death int, class text,
            error text} "
    };
}

/// What is told of one that succeeded: most do.
macro_rules! success_rows {
    () => {
        "{rows task int, process int, at int, counters text} "
    };
}

/// Ends of tasks that are over, in one statement: what the fence lets through leaves the hot table for history, its
/// last process with it.
struct Finish;

impl Statement for Finish {
    type Row = (BigInt, Nullable<BigInt>, BigInt);
    const SQL: &'static str = concat!(
        "WITH gone AS (DELETE FROM tasks t USING ",
        end_rows!(),
        "WHERE t.id {found by x.task} AND t.process_id = x.process AND t.status = 2 RETURNING ",
        kept_columns!(),
        "x.at, x.counters, x.status, x.outcome, t.deaths + x.death,
            CASE WHEN x.status = 3 OR x.error IS NOT NULL THEN NULL ELSE t.error END, x.class, x.error) ",
        done_columns!(),
        "SELECT * FROM gone RETURNING id, process_id, robot_id"
    );
}

/// See [`Finish`].
struct FinishSucceeded;

impl Statement for FinishSucceeded {
    type Row = (BigInt, Nullable<BigInt>, BigInt);
    const SQL: &'static str = concat!(
        "WITH gone AS (DELETE FROM tasks t USING ",
        success_rows!(),
        "WHERE t.id {found by x.task} AND t.process_id = x.process AND t.status = 2 RETURNING ",
        kept_columns!(),
        "x.at, x.counters, t.deaths) ",
        done_columns!(),
        "SELECT id, robot_id, trigger_code, payload, priority, run_at, deadline_at, unique_key, attempts, max_attempts,
            planned_at, event_id, requested_by, created_at, process_id, node_id, started_at, cancel_requested, at,
            counters, 3, 1, deaths, NULL, NULL, NULL
        FROM gone RETURNING id, process_id, robot_id"
    );
}

/// The same in two steps, where a statement costs no round trip and changes one table only.
struct FinishTask;

impl Statement for FinishTask {
    type Row = (BigInt, Nullable<BigInt>, BigInt);
    const SQL: &'static str = concat!(
        done_columns!(),
        "SELECT ",
        kept_columns!(),
        "x.at, x.counters, x.status, x.outcome, t.deaths + x.death,
            CASE WHEN x.status = 3 OR x.error IS NOT NULL THEN NULL ELSE t.error END, x.class, x.error
        FROM ",
        end_rows!(),
        "JOIN tasks t ON t.id {found by x.task} AND t.process_id = x.process
        WHERE t.status = 2 RETURNING id, process_id, robot_id"
    );
}

/// See [`FinishTask`].
struct FinishTaskSucceeded;

impl Statement for FinishTaskSucceeded {
    type Row = (BigInt, Nullable<BigInt>, BigInt);
    const SQL: &'static str = concat!(
        done_columns!(),
        "SELECT ",
        kept_columns!(),
        "x.at, x.counters, 3, 1, t.deaths, NULL, NULL, NULL FROM ",
        success_rows!(),
        "JOIN tasks t ON t.id {found by x.task} AND t.process_id = x.process
        WHERE t.status = 2 RETURNING id, process_id, robot_id"
    );
}

/// See [`FinishTask`].
struct FinishRemove;

impl Statement for FinishRemove {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM tasks WHERE id {in rows task int}";
}

struct RunAgain;

impl Statement for RunAgain {
    type Row = ();
    const SQL: &'static str = "
        UPDATE tasks SET status = x.status, run_at = x.run_at,
            attempts = tasks.attempts - x.back,
            deaths = tasks.deaths + x.death,
            error = COALESCE(x.error, tasks.error), node_id = NULL, started_at = NULL,
            progress_percent = NULL, progress_message = NULL
        FROM {rows task int, status int, run_at int, back int, death int, error text}
        WHERE tasks.id {found by x.task}";
}

/// The process of an end after which the task runs again; the task's row is held.
struct InsertProcess;

impl Statement for InsertProcess {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO processes (id, task_id, robot_id, trigger_code, attempt, node_id, started_at, finished_at,
            outcome, planned_at, error_class, error, counters, cancel_requested)
        SELECT t.process_id, t.id, t.robot_id, t.trigger_code, t.attempts, t.node_id, t.started_at, x.at, x.outcome,
            t.planned_at, x.class, x.error, x.counters, t.cancel_requested
        FROM {rows task int, at int, outcome int, class text, error text, counters text}
        JOIN tasks t ON t.id {found by x.task}";
}

/// The last run of each robot. In the order of the ids, as far as the database follows it; where two
/// nodes meet all the same, one is told to repeat.
struct LastOfRobots;

impl Statement for LastOfRobots {
    type Row = ();
    const SQL: &'static str = "
        UPDATE robots SET last_process_id = x.process,
            last_process_outcome = x.outcome,
            last_process_at = x.at, last_process_error = x.error
        FROM {rows robot int, process int, outcome int, at int, error text}
        WHERE robots.id {found by x.robot}
            AND (robots.last_process_at IS NULL OR robots.last_process_at <= x.at)";
}

/// Records ends; answers for each whether it was accepted, and what is to be told.
pub(in crate::store) fn complete(
    conn: &mut Conn,
    completions: &[Completion],
    outbox: Outbox,
) -> QueryResult<Completed> {
    // The same process twice in a batch is one end, its first.
    let mut seen = HashSet::new();
    let (over, again): (Vec<_>, Vec<_>) = completions
        .iter()
        .filter(|completion| seen.insert(completion.process))
        .partition(|completion| matches!(completion.after, AfterRun::Finished(_)));
    let mut accepted = HashMap::new();
    // In the order of the tasks, so that two batches cannot wait for each other.
    let mut finals = Vec::with_capacity(over.len());
    for completion in over {
        if let AfterRun::Finished(status) = completion.after {
            finals.push((completion, status));
        }
    }
    finals.extend(run_again(conn, &again, &mut accepted)?);
    finals.sort_unstable_by_key(|(completion, _)| completion.task);
    finish(conn, &finals, &mut accepted)?;

    let settled: Vec<i64> = accepted.keys().map(|(_, process)| *process).collect();
    let mut done = Completed::default();
    let mut last: BTreeMap<RobotId, &Completion> = BTreeMap::new();
    for completion in completions {
        let end = accepted.remove(&(completion.task.0, completion.process.0));
        done.accepted.push(end);
        if let Some((robot, _)) = end {
            let latest = last.entry(robot).or_insert(completion);
            if completion.finished_at >= latest.finished_at {
                *latest = completion;
            }
        }
    }
    claims::settle(conn, &settled)?;
    outbox::append(conn, outbox, || ended(completions, &done))?;
    // At the end, so that others who record ends of the same robots wait for this one's commit only.
    record_last(conn, &last)?;
    Ok(done)
}

/// What was accepted: (task, process) -> (robot, the task's status now).
type Accepted = HashMap<(i64, i64), (RobotId, TaskStatus)>;

/// Moves tasks that are over to history.
fn finish(
    conn: &mut Conn,
    finals: &[(&Completion, TaskStatus)],
    accepted: &mut Accepted,
) -> QueryResult<()> {
    let (mut succeeded, mut others) = (Rows::default(), Rows::default());
    let mut statuses = HashMap::with_capacity(finals.len());
    for (completion, status) in finals {
        statuses.insert(completion.process.0, *status);
        let (task, process) = (completion.task.0, completion.process.0);
        let at = to_micros(completion.finished_at);
        let counters = counters_of(completion);
        if is_plain_success(completion, *status) {
            succeeded.push([task.into(), process.into(), at.into(), counters.into()]);
            continue;
        }
        let death = match completion.after {
            AfterRun::Finished(status) => status == TaskStatus::Quarantined,
            AfterRun::Again { death, .. } => death,
        };
        others.push([
            task.into(),
            process.into(),
            at.into(),
            counters.into(),
            status.code().into(),
            completion.outcome.code().into(),
            i32::from(death).into(),
            completion.error_class.clone().into(),
            error_of(completion).into(),
        ]);
    }
    let mut gone: Vec<(i64, Option<i64>, i64)>;
    if dialect::CHANGES_TABLES_AT_ONCE {
        gone = find(conn, FinishSucceeded, &succeeded, &[])?;
        gone.append(&mut find(conn, Finish, &others, &[])?);
    } else {
        gone = find(conn, FinishTaskSucceeded, &succeeded, &[])?;
        gone.append(&mut find(conn, FinishTask, &others, &[])?);
        let removed = Rows::column(gone.iter().map(|(task, ..)| *task));
        run(conn, FinishRemove, &removed)?;
    }
    for (task, process, robot) in gone {
        if let Some(process) = process
            && let Some(status) = statuses.get(&process)
        {
            accepted.insert((task, process), (RobotId(robot), *status));
        }
    }
    Ok(())
}

/// Whether there is no more to say than that it succeeded, and what it counted.
fn is_plain_success(completion: &Completion, status: TaskStatus) -> bool {
    status == TaskStatus::Succeeded
        && completion.outcome == ProcessOutcome::Succeeded
        && completion.error_class.is_none()
        && completion.error.is_none()
        && completion.after == AfterRun::Finished(TaskStatus::Succeeded)
}

/// Offers tasks again; answers those that were asked to stop meanwhile, which are over instead.
fn run_again<'a>(
    conn: &mut Conn,
    again: &[&'a Completion],
    accepted: &mut Accepted,
) -> QueryResult<Vec<(&'a Completion, TaskStatus)>> {
    let held = lock(conn, again)?;
    let (mut processes, mut tasks) = (Rows::default(), Rows::default());
    let mut cancelled = Vec::new();
    for completion in again {
        let AfterRun::Again {
            run_at,
            attempt_used,
            death,
        } = completion.after
        else {
            continue;
        };
        let key = (completion.task.0, completion.process.0);
        let Some((robot, cancel_requested)) = held.get(&key) else {
            continue;
        };
        if *cancel_requested {
            cancelled.push((*completion, TaskStatus::Cancelled));
            continue;
        }
        let status = if run_at > completion.finished_at {
            TaskStatus::Scheduled
        } else {
            TaskStatus::Queued
        };
        let task = completion.task.0;
        processes.push([
            task.into(),
            to_micros(completion.finished_at).into(),
            completion.outcome.code().into(),
            completion.error_class.clone().into(),
            error_of(completion).into(),
            completion.counters.to_string().into(),
        ]);
        tasks.push([
            task.into(),
            status.code().into(),
            to_micros(run_at).into(),
            i32::from(!attempt_used).into(),
            i32::from(death).into(),
            error_of(completion).into(),
        ]);
        accepted.insert(key, (*robot, status));
    }
    run(conn, InsertProcess, &processes)?;
    run(conn, RunAgain, &tasks)?;
    Ok(cancelled)
}

/// The rows these completions may end: (task, process) -> (robot, whether it was asked to stop).
fn lock(
    conn: &mut Conn,
    completions: &[&Completion],
) -> QueryResult<HashMap<(i64, i64), (RobotId, bool)>> {
    let mut rows = Rows::default();
    for completion in completions {
        rows.push([completion.task.0.into(), completion.process.0.into()]);
    }
    let found: Vec<(i64, Option<i64>, i64, bool)> = find(conn, Lock, &rows, &[])?;
    Ok(found
        .into_iter()
        .filter_map(|(task, process, robot, cancel)| {
            Some(((task, process?), (RobotId(robot), cancel)))
        })
        .collect())
}

/// What was counted, where anything was.
fn counters_of(completion: &Completion) -> Option<String> {
    let counters = completion.counters.as_object();
    (!counters.is_some_and(serde_json::Map::is_empty)).then(|| completion.counters.to_string())
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
            robot.0.into(),
            completion.process.0.into(),
            completion.outcome.code().into(),
            to_micros(completion.finished_at).into(),
            error_of(completion).into(),
        ]);
    }
    run(conn, LastOfRobots, &rows)
}
