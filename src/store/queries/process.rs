//! How far processes are, and the last run of each robot.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::rows::Rows;
use super::statement::{Statement, find};
use super::{Conn, claims};
use crate::domain::id::{ProcessId, RobotId};
use crate::domain::task::ProcessOutcome;
use crate::domain::time::from_micros;
use crate::store::backend::{QueryError, QueryResult};
use crate::store::process::{LastProcess, Progress};
use crate::store::schema::robots;

/// Bound on a progress message (design of the report).
const MESSAGE_CHARS_MAX: usize = 200;

struct SetProgress;

impl Statement for SetProgress {
    type Row = (Nullable<BigInt>, BigInt);
    const SQL: &'static str = "
        UPDATE tasks SET progress_percent = x.percent, progress_message = x.message
        FROM {rows task int, process int, percent int, message text}
        WHERE tasks.id {found by x.task} AND tasks.process_id = x.process AND tasks.status = 2
        RETURNING process_id, robot_id";
}

/// Records how far processes have got; answers those that run.
pub(in crate::store) fn progress(
    conn: &mut Conn,
    progress: &[(ProcessId, Progress)],
) -> QueryResult<Vec<(ProcessId, RobotId)>> {
    let processes: Vec<_> = progress.iter().map(|(process, _)| *process).collect();
    let tasks = claims::tasks_of(conn, &processes)?;
    let mut rows = Rows::default();
    for (process, progress) in progress {
        let Some(task) = tasks.get(process) else {
            continue;
        };
        let message: String = progress.message.chars().take(MESSAGE_CHARS_MAX).collect();
        let percent = progress.percent.clamp(0, 100);
        rows.push([
            task.0.into(),
            process.0.into(),
            percent.into(),
            message.into(),
        ]);
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
