//! Decisions on tasks. See `store::task_approval`.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::rows::storable;
use super::statement::{Bind, Statement, bind};
use super::{Conn, Db, audit, outbox, statement};
use crate::domain::approval::ApprovalState;
use crate::domain::id::{InventoryId, RobotId, TaskId};
use crate::domain::task::TaskStatus;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::audit::NewAudit;
use crate::store::backend::{QueryError, QueryResult};
use crate::store::outbox::{Outbox, tasks};
use crate::store::page::{Page, PageRequest, page_of};
use crate::store::schema::execution::task_approvals;
use crate::store::task_approval::{Approval, ApprovalRequest, Verdict};

#[derive(Queryable, Selectable)]
#[diesel(table_name = task_approvals, check_for_backend(Db))]
struct Row {
    task_id: i64,
    definition_id: i64,
    definition_revision: i64,
    definition_name: String,
    meaning: String,
    role: String,
    requested_by: String,
    requested_at: i64,
    expires_at: i64,
    state: i16,
    decided_by: Option<String>,
    decided_at: Option<i64>,
    reason: Option<String>,
}

impl Row {
    fn into_approval(self) -> QueryResult<Approval> {
        let task = TaskId(self.task_id);
        let defect = |what| QueryError::Defect(format!("{what} of the approval of task `{task}`"));
        Ok(Approval {
            request: ApprovalRequest {
                task,
                definition: InventoryId(self.definition_id),
                revision: self.definition_revision,
                name: self.definition_name,
                meaning: serde_json::from_str(&self.meaning).map_err(|_| defect("meaning"))?,
                role: self.role.parse().map_err(|_| defect("role"))?,
                requested_by: self.requested_by,
                expires_at: from_micros(self.expires_at),
            },
            requested_at: from_micros(self.requested_at),
            state: ApprovalState::from_code(self.state).ok_or_else(|| defect("state"))?,
            decided_by: self.decided_by,
            decided_at: self.decided_at.map(from_micros),
            reason: self.reason,
        })
    }
}

/// Writes down that a task must wait, once.
pub(in crate::store) fn ask(
    conn: &mut Conn,
    new: &ApprovalRequest,
    entry: &NewAudit,
    now: Timestamp,
) -> QueryResult<Approval> {
    let asked = diesel::insert_into(task_approvals::table)
        .values((
            task_approvals::task_id.eq(new.task.0),
            task_approvals::definition_id.eq(new.definition.0),
            task_approvals::definition_revision.eq(new.revision),
            task_approvals::definition_name.eq(storable(new.name.clone())),
            task_approvals::meaning.eq(storable(new.meaning.to_string())),
            task_approvals::role.eq(new.role.as_str()),
            task_approvals::requested_by.eq(storable(new.requested_by.clone())),
            task_approvals::requested_at.eq(to_micros(now)),
            task_approvals::expires_at.eq(to_micros(new.expires_at)),
            task_approvals::state.eq(ApprovalState::WaitingApproval.code()),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    if asked > 0 {
        audit::append(conn, entry, now)?;
    }
    one(conn, new.task)
}

/// How the decision on a task stands.
pub(in crate::store) fn get(conn: &mut Conn, task: TaskId) -> QueryResult<Option<Approval>> {
    let row: Option<Row> = task_approvals::table
        .find(task.0)
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    row.map(Row::into_approval).transpose()
}

fn one(conn: &mut Conn, task: TaskId) -> QueryResult<Approval> {
    let found = get(conn, task)?;
    found.ok_or_else(|| QueryError::not_found(format!("approval of task `{task}`")))
}

/// A page of them.
pub(in crate::store) fn list(
    conn: &mut Conn,
    state: Option<ApprovalState>,
    page: PageRequest,
) -> QueryResult<Page<Approval>> {
    let mut query = task_approvals::table
        .select(Row::as_select())
        .order(task_approvals::task_id.desc())
        .limit(page.rows())
        .into_boxed();
    if let Some(state) = state {
        query = query.filter(task_approvals::state.eq(state.code()));
    }
    if let Some(after) = page.after {
        query = query.filter(task_approvals::task_id.lt(after));
    }
    let rows: Vec<Row> = query.load(conn)?;
    let found: QueryResult<Vec<Approval>> = rows.into_iter().map(Row::into_approval).collect();
    Ok(page_of(found?, page, |approval| approval.request.task.0))
}

/// The task sleeps until the time for the decision is over: then, and only then, it is this one that it waits for.
struct Wake;

impl Statement for Wake {
    type Row = (BigInt, BigInt);
    const SQL: &'static str = "
        UPDATE tasks SET status = 1, run_at = ?
        WHERE {is scheduled} AND id = ?
            AND run_at = (SELECT a.expires_at FROM task_approvals a WHERE a.task_id = tasks.id)
        RETURNING id, robot_id";
}

struct IsOpen;

impl Statement for IsOpen {
    type Row = (BigInt,);
    const SQL: &'static str = "SELECT id FROM tasks WHERE id = ?";
}

/// Decides, and wakes the task; answers it where it slept.
pub(in crate::store) fn decide(
    conn: &mut Conn,
    verdict: &Verdict,
    now: Timestamp,
    outbox: Outbox,
) -> QueryResult<(Approval, Vec<(TaskId, RobotId)>)> {
    let task = verdict.task;
    let decided = diesel::update(task_approvals::table.find(task.0))
        .filter(task_approvals::state.eq(ApprovalState::WaitingApproval.code()))
        .set((
            task_approvals::state.eq(verdict.state.code()),
            task_approvals::decided_by.eq(storable(verdict.audit.actor.clone())),
            task_approvals::decided_at.eq(to_micros(now)),
            task_approvals::reason.eq(verdict.reason.clone().map(storable)),
        ))
        .execute(conn)?;
    let approval = one(conn, task)?;
    if decided == 0 {
        let what = format!("the decision on task `{task}` is made: {}", approval.state);
        return Err(QueryError::conflict(what));
    }
    let open: Option<(i64,)> = bind(IsOpen, &[Bind::Int(task.0)])
        .get_result(conn)
        .optional()?;
    if open.is_none() {
        return Err(QueryError::conflict(format!("task `{task}` has ended")));
    }
    audit::append(conn, &verdict.audit, now)?;
    let binds = [to_micros(now), task.0].map(Bind::Int);
    let woken: Vec<(i64, i64)> = bind(Wake, &binds).load(conn)?;
    Ok((approval, queued(conn, woken, now, outbox)?))
}

fn queued(
    conn: &mut Conn,
    woken: Vec<(i64, i64)>,
    now: Timestamp,
    outbox: Outbox,
) -> QueryResult<Vec<(TaskId, RobotId)>> {
    let ids = |(id, robot)| (TaskId(id), RobotId(robot));
    let woken: Vec<_> = woken.into_iter().map(ids).collect();
    outbox::append(conn, outbox, || tasks(&woken, TaskStatus::Queued, now))?;
    Ok(woken)
}

/// A task that is over before its run finds that nobody decided ends by its deadline.
struct Withdraw;

impl Statement for Withdraw {
    type Row = ();
    const SQL: &'static str = "
        UPDATE task_approvals SET state = CASE WHEN expires_at <= ? THEN 3 ELSE 4 END, decided_at = ?
        WHERE state = 0 AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_approvals.task_id)";
}

/// A run that found the decision open may put its task to sleep after it was made.
struct WakeDecided;

impl Statement for WakeDecided {
    type Row = (BigInt, BigInt);
    const SQL: &'static str = "
        UPDATE tasks SET status = 1, run_at = ?
        WHERE {is scheduled} AND id IN (
            SELECT a.task_id FROM task_approvals a JOIN tasks t ON t.id = a.task_id
            WHERE a.state IN (1, 2) AND a.expires_at > ? AND t.run_at = a.expires_at)
        RETURNING id, robot_id";
}

/// Withdraws what nobody waits for, wakes what sleeps for nothing.
pub(in crate::store) fn sweep(
    conn: &mut Conn,
    now: Timestamp,
    outbox: Outbox,
) -> QueryResult<Vec<(TaskId, RobotId)>> {
    let at = || Bind::Int(to_micros(now));
    bind(Withdraw, &[at(), at()]).execute(conn)?;
    let woken: Vec<(i64, i64)> = bind(WakeDecided, &[at(), at()]).load(conn)?;
    queued(conn, woken, now, outbox)
}

struct Old;

impl Statement for Old {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM task_approvals WHERE task_id IN (
            SELECT task_id FROM task_approvals WHERE requested_at < ? AND state <> 0 ORDER BY task_id LIMIT ?)";
}

/// Forgets decisions that were asked for before an instant, at most `limit`.
pub(in crate::store) fn prune(conn: &mut Conn, before: i64, limit: u32) -> QueryResult<usize> {
    statement::prune(conn, Old, before, limit)
}
