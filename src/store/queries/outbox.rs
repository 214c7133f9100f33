//! The outbox of changes. See `store::outbox`.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text};

use super::Conn;
use super::rows::{Cell, Rows};
use super::statement::{Bind, Statement, bind, run};
use crate::domain::id::{EventId, NodeId, ProcessId, RobotId, TaskId};
use crate::domain::task::{ProcessOutcome, TaskStatus};
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::outbox::{Backlog, Change, Dated, Outbox, OutboxLease, Waiting, claimed};
use crate::store::task::Registered;

/// Changes given up in one transaction.
const TRIM_ROWS_MAX: i64 = 10_000;

/// The kinds of changes in the database; never reused.
const TASK: i16 = 0;
const PROCESS: i16 = 1;
const ROBOT: i16 = 2;
const EVENT: i16 = 3;
const LAGGED: i16 = 4;

struct Append;

impl Statement for Append {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO change_outbox (kind, entity_id, robot_id, code, at)
        SELECT x.kind, x.entity, x.robot, x.code, x.at FROM {rows kind int, entity int, robot int, code int, at int}";
}

/// Keeps changes for the broker, where there is one: one statement for all of them, after those that make them, so
/// that whoever waits for the same rows numbers its changes later.
pub(in crate::store) fn append<I>(
    conn: &mut Conn,
    outbox: Outbox,
    changes: impl FnOnce() -> I,
) -> QueryResult<()>
where
    I: IntoIterator<Item = Dated>,
{
    if outbox == Outbox::Off {
        return Ok(());
    }
    let mut rows = Rows::default();
    for (change, at) in changes() {
        rows.push(row(&change, at));
    }
    run(conn, Append, &rows)
}

/// What registering changed.
pub(super) fn registered(registered: &Registered, now: Timestamp) -> impl Iterator<Item = Dated> {
    let waiting = registered.waiting.iter();
    let waiting = waiting.map(move |(id, robot, status)| {
        let (id, robot, status) = (*id, *robot, *status);
        (Change::Task { id, robot, status }, now)
    });
    waiting.chain(claimed(&registered.started))
}

fn row(change: &Change, at: Timestamp) -> [Cell; 5] {
    let (kind, entity, robot, code) = match change {
        Change::Task { id, robot, status } => (TASK, id.0, Some(robot.0), status.code()),
        Change::Process { id, robot, outcome } => (PROCESS, id.0, Some(robot.0), outcome.code()),
        Change::Robot(robot) => (ROBOT, robot.0, Some(robot.0), 0),
        Change::Event { id, .. } => (EVENT, id.0, None, 0),
        Change::Lagged(count) => (LAGGED, i64::try_from(*count).unwrap_or(i64::MAX), None, 0),
    };
    [
        kind.into(),
        entity.into(),
        robot.into(),
        code.into(),
        to_micros(at).into(),
    ]
}

/// A lease that has run out is anybody's.
struct Lease;

impl Statement for Lease {
    type Row = (BigInt,);
    const SQL: &'static str = "
        INSERT INTO change_outbox_lease (id, epoch, node_id, until) VALUES (1, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET node_id = excluded.node_id, until = excluded.until
        WHERE change_outbox_lease.node_id = excluded.node_id OR change_outbox_lease.until < ?
        RETURNING epoch";
}

/// Takes the lease, or holds it on.
pub(in crate::store) fn lease(
    conn: &mut Conn,
    node: NodeId,
    now: Timestamp,
    until: Timestamp,
) -> QueryResult<Option<OutboxLease>> {
    let now = to_micros(now);
    let binds = [now, node.0, to_micros(until), now].map(Bind::Int);
    let found: Option<(i64,)> = bind(Lease, &binds).get_result(conn).optional()?;
    Ok(found.map(|(epoch,)| OutboxLease { epoch }))
}

struct Next;

impl Statement for Next {
    type Row = (
        BigInt,
        SmallInt,
        BigInt,
        Nullable<BigInt>,
        SmallInt,
        BigInt,
        Nullable<Text>,
    );
    const SQL: &'static str = "
        SELECT o.id, o.kind, o.entity_id, o.robot_id, o.code, o.at, e.body
        FROM change_outbox o LEFT JOIN events e ON o.kind = 3 AND e.id = o.entity_id
        ORDER BY o.id LIMIT ?";
}

type Row = (i64, i16, i64, Option<i64>, i16, i64, Option<String>);

/// The head of the outbox.
pub(in crate::store) fn next(conn: &mut Conn, limit: u32) -> QueryResult<Vec<Waiting>> {
    let rows: Vec<Row> = bind(Next, &[Bind::Int(i64::from(limit))]).load(conn)?;
    rows.into_iter().map(waiting).collect()
}

fn waiting((id, kind, entity, robot, code, at, body): Row) -> QueryResult<Waiting> {
    let broken = || QueryError::Defect(format!("change `{id}` of kind {kind} has the code {code}"));
    let robot = robot.map(RobotId);
    let change = match (kind, robot) {
        (TASK, Some(robot)) => Change::Task {
            id: TaskId(entity),
            robot,
            status: TaskStatus::from_code(code).ok_or_else(broken)?,
        },
        (PROCESS, Some(robot)) => Change::Process {
            id: ProcessId(entity),
            robot,
            outcome: ProcessOutcome::from_code(code).ok_or_else(broken)?,
        },
        (ROBOT, Some(robot)) => Change::Robot(robot),
        (EVENT, _) => {
            let event = body.map(|body| serde_json::from_str(&body)).transpose();
            let defect = |error| QueryError::Defect(format!("body of event `{entity}`: {error}"));
            Change::Event {
                id: EventId(entity),
                event: event.map_err(defect)?.map(Box::new),
            }
        }
        (LAGGED, _) => Change::Lagged(u64::try_from(entity).unwrap_or_default()),
        _ => return Err(broken()),
    };
    Ok(Waiting {
        id,
        at: from_micros(at),
        change,
    })
}

struct Done;

impl Statement for Done {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM change_outbox WHERE id {in rows id int}";
}

/// Removes what is published: by number, because a transaction that took longer may still bring smaller ones.
pub(in crate::store) fn done(conn: &mut Conn, ids: &[i64]) -> QueryResult<()> {
    let rows = Rows::column(ids.iter().copied());
    run(conn, Done, &rows)
}

struct Ends;

impl Statement for Ends {
    type Row = (BigInt, BigInt);
    const SQL: &'static str = "
        SELECT (SELECT COALESCE(MIN(id), 0) FROM change_outbox), (SELECT COALESCE(MAX(id), -1) FROM change_outbox)";
}

/// How much waits, from the first number to the last.
pub(in crate::store) fn backlog(conn: &mut Conn) -> QueryResult<Backlog> {
    let (first, last): (i64, i64) = bind(Ends, &[]).get_result(conn)?;
    Ok(Backlog {
        waiting: u64::try_from(last - first + 1).unwrap_or_default(),
        given_up: 0,
    })
}

/// Earlier marks are counted for what they stand for.
struct Missed;

impl Statement for Missed {
    type Row = (BigInt, BigInt);
    const SQL: &'static str = "
        SELECT CAST(COALESCE(SUM(CASE WHEN kind = 4 THEN entity_id ELSE 1 END), 0) AS BIGINT),
            CAST(COALESCE(SUM(CASE WHEN kind = 4 THEN 0 ELSE 1 END), 0) AS BIGINT)
        FROM change_outbox WHERE id <= ?";
}

struct Trim;

impl Statement for Trim {
    type Row = ();
    const SQL: &'static str = "DELETE FROM change_outbox WHERE id <= ?";
}

struct Mark;

impl Statement for Mark {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO change_outbox (id, kind, entity_id, robot_id, code, at)
        SELECT x.id, x.kind, x.entity, NULL, 0, x.at FROM {rows id int, kind int, entity int, at int}";
}

/// Gives up the oldest changes beyond `max`.
pub(in crate::store) fn trim(conn: &mut Conn, max: u32, now: Timestamp) -> QueryResult<Backlog> {
    let (first, last): (i64, i64) = bind(Ends, &[]).get_result(conn)?;
    // One more than is too many, for the mark.
    let cut = (last - i64::from(max) + 1).min(first + TRIM_ROWS_MAX);
    let binds = [Bind::Int(cut)];
    let (missed, rows): (i64, i64) = bind(Missed, &binds).get_result(conn)?;
    if rows == 0 {
        return backlog(conn);
    }
    bind(Trim, &binds).execute(conn)?;
    let mut mark = Rows::default();
    mark.push([
        cut.into(),
        LAGGED.into(),
        missed.into(),
        to_micros(now).into(),
    ]);
    run(conn, Mark, &mark)?;
    Ok(Backlog {
        given_up: u64::try_from(rows).unwrap_or_default(),
        ..backlog(conn)?
    })
}
