//! Giving claimed tasks back unstarted.

use std::collections::HashSet;

use diesel::sql_types::{BigInt, Bool, Nullable};

use super::rows::Rows;
use super::statement::{Statement, find, run};
use super::task_finish::finish;
use super::{Conn, claims, outbox};
use crate::domain::id::{ProcessId, RobotId, TaskId};
use crate::domain::task::TaskStatus;
use crate::domain::time::from_micros;
use crate::store::backend::QueryResult;
use crate::store::outbox::{Outbox, tasks};

struct LockHeld;

impl Statement for LockHeld {
    type Row = (BigInt, Nullable<BigInt>, BigInt, Nullable<BigInt>, Bool);
    const SQL: &'static str = "
        SELECT t.id, t.process_id, t.robot_id, t.started_at, t.cancel_requested FROM {rows task int, process int} JOIN tasks t
            ON t.id {found by x.task} AND t.process_id = x.process
        WHERE t.status = 2 ORDER BY t.id {for update}";
}

/// Task, process, robot, when it started, whether it was asked to stop.
type Held = (i64, Option<i64>, i64, Option<i64>, bool);

struct QueueAgain;

impl Statement for QueueAgain {
    type Row = ();
    const SQL: &'static str = "
        UPDATE tasks SET status = 1, attempts = attempts - 1, process_id = NULL, node_id = NULL, started_at = NULL,
            progress_percent = NULL, progress_message = NULL
        WHERE id {in rows task int}";
}

/// What giving back came to: tasks that wait again, and tasks that were cancelled meanwhile.
type Released = (Vec<(TaskId, RobotId)>, Vec<(TaskId, RobotId)>);

/// Gives back claimed tasks that never started; one that was asked to stop meanwhile is cancelled.
pub(in crate::store) fn release(
    conn: &mut Conn,
    claims: &[(TaskId, ProcessId)],
    outbox: Outbox,
) -> QueryResult<Released> {
    let mut rows = Rows::default();
    for (task, process) in claims {
        rows.push([task.0.into(), process.0.into()]);
    }
    let (mut waiting, mut cancelled, mut queued) = (Vec::new(), Vec::new(), Rows::default());
    let (mut seen, mut at, mut begun) = (HashSet::new(), 0, 0);
    let mut processes = Vec::new();
    let held: Vec<Held> = find(conn, LockHeld, &rows, &[])?;
    for (id, process, robot, started, cancel) in held {
        if !seen.insert(id) {
            continue;
        }
        processes.extend(process);
        begun = begun.max(started.unwrap_or_default());
        if cancel {
            at = at.max(started.unwrap_or_default());
            cancelled.push((TaskId(id), RobotId(robot)));
        } else {
            waiting.push((TaskId(id), RobotId(robot)));
            queued.push([id.into()]);
        }
    }
    run(conn, QueueAgain, &queued)?;
    let ids: Vec<_> = cancelled.iter().map(|(id, _)| *id).collect();
    finish(conn, &ids, TaskStatus::Cancelled, from_micros(at))?;
    claims::settle(conn, &processes)?;
    outbox::append(conn, outbox, || {
        let at = from_micros(begun);
        tasks(&waiting, TaskStatus::Queued, at).chain(tasks(&cancelled, TaskStatus::Cancelled, at))
    })?;
    Ok((waiting, cancelled))
}
