//! The ledger of planned instants.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::ids::Span;
use super::rows::{Cell, Rows};
use super::statement::{Statement, find, run};
use super::stretch::{Stretch, in_state, of_robot};
use super::task_add::Numbered;
use super::{Conn, node, outbox, task_add};
use crate::domain::id::{NodeId, RobotId, TaskId};
use crate::domain::tick::Decision;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::node::Term;
use crate::store::outbox::Outbox;
use crate::store::page::{Page, PageRequest};
use crate::store::schema::ticks;
use crate::store::task::{Registered, Start};
use crate::store::tick::{NewTick, Tick, TickFilter, decision_code, decision_of};

/// In the order of the identities, so that two recorders cannot wait for each other.
struct Insert;

impl Statement for Insert {
    type Row = (BigInt, BigInt, BigInt);
    const SQL: &'static str = "
        INSERT INTO ticks (robot_id, planned_at, through_at, count, decision, decided_at, node_id, task_id,
            for_node_id)
        SELECT x.robot, x.planned, x.through, x.count, x.decision, x.now, x.node, x.task, x.for_node
        FROM {rows robot int, planned int, through int, count int, decision int, now int, node int, task int,
            for_node int} WHERE TRUE
        ON CONFLICT (robot_id, planned_at, for_node_id) DO NOTHING
        RETURNING robot_id, planned_at, for_node_id";
}

/// Moves on only: a late recorder must not move a robot's ledger back.
struct MoveOn;

impl Statement for MoveOn {
    type Row = ();
    const SQL: &'static str = "
        UPDATE robots SET last_tick_at = x.at
        FROM {rows robot int, at int}
        WHERE robots.id {found by x.robot}
            AND (robots.last_tick_at IS NULL OR robots.last_tick_at < x.at)";
}

/// An instant's identity: robot, planned time, and the node it is decided for; 0 is all of them.
type Instant = (i64, i64, i64);

fn instant(tick: &NewTick) -> Instant {
    let for_node = tick.for_node.map_or(0, |node| node.0);
    (tick.robot.0, to_micros(tick.planned_at), for_node)
}

/// Writes decisions that are new and the runs they start; runs are numbered from `first` on.
/// Answers how many were new; nothing where `leader` does not lead in `term` any more.
pub(in crate::store) fn record(
    conn: &mut Conn,
    (leader, term): (NodeId, Term),
    new: &[NewTick],
    first: i64,
    now: Timestamp,
    start: Option<&Arc<Start>>,
    outbox: Outbox,
) -> QueryResult<Option<(u32, Registered)>> {
    if !node::leads(conn, leader, term)? {
        return Ok(None);
    }
    // The first of an instant in the batch wins, as the first in the table does.
    let mut wanted: BTreeMap<Instant, &NewTick> = BTreeMap::new();
    for tick in new {
        wanted.entry(instant(tick)).or_insert(tick);
    }
    let mut rows = Rows::default();
    let mut numbers: HashMap<Instant, i64> = HashMap::new();
    for (key, tick) in &wanted {
        let task = tick
            .task
            .as_ref()
            .and_then(|_| Some(first + i64::try_from(numbers.len()).ok()?));
        if let Some(task) = task {
            numbers.insert(*key, task);
        }
        rows.push(row(tick, task, leader, now));
    }
    let mut fresh: Vec<Instant> = find(conn, Insert, &rows, &[])?;
    fresh.sort_unstable();
    let registered = start_runs(conn, &wanted, &numbers, &fresh, now, start)?;
    move_on(conn, &wanted)?;
    outbox::append(conn, outbox, || outbox::registered(&registered, now))?;
    let new = u32::try_from(fresh.len()).unwrap_or(u32::MAX);
    Ok(Some((new, registered)))
}

fn row(tick: &NewTick, task: Option<i64>, node: NodeId, now: Timestamp) -> [Cell; 9] {
    [
        tick.robot.0.into(),
        to_micros(tick.planned_at).into(),
        tick.through.map(to_micros).into(),
        tick.count.into(),
        decision_code(tick.decision).into(),
        to_micros(now).into(),
        node.0.into(),
        task.into(),
        instant(tick).2.into(),
    ]
}

fn start_runs(
    conn: &mut Conn,
    wanted: &BTreeMap<Instant, &NewTick>,
    numbers: &HashMap<Instant, i64>,
    fresh: &[Instant],
    now: Timestamp,
    start: Option<&Arc<Start>>,
) -> QueryResult<Registered> {
    let runs: Vec<_> = fresh
        .iter()
        .filter_map(|key| {
            let task = wanted.get(key)?.task.as_ref()?;
            let id = *numbers.get(key)?;
            Some(Numbered { id, task, now })
        })
        .collect();
    task_add::add(conn, &runs, start)
}

fn move_on(conn: &mut Conn, wanted: &BTreeMap<Instant, &NewTick>) -> QueryResult<()> {
    let mut last: BTreeMap<i64, i64> = BTreeMap::new();
    for ((robot, planned, _), tick) in wanted {
        let until = tick.through.map_or(*planned, to_micros);
        let latest = last.entry(*robot).or_insert(until);
        *latest = until.max(*latest);
    }
    let mut rows = Rows::default();
    for (robot, at) in last {
        rows.push([robot.into(), at.into()]);
    }
    run(conn, MoveOn, &rows)
}

type Row = (
    i64,
    i64,
    i64,
    Option<i64>,
    i64,
    i16,
    i64,
    i64,
    Option<i64>,
    i64,
);

/// A page of the report, by planned instant. The key is the last row's number: its place in the
/// order is looked up; one that was pruned meanwhile was among the oldest, so that nothing follows.
pub(in crate::store) fn list(
    conn: &mut Conn,
    filter: &TickFilter,
    page: PageRequest,
) -> QueryResult<Page<Tick>> {
    let mut after = None;
    if let Some(key) = page.after {
        let place: Option<(i64, i64)> = ticks::table
            .find(key)
            .select((ticks::planned_at, ticks::id))
            .first(conn)
            .optional()?;
        let Some(place) = place else {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        };
        after = Some(place);
    }
    let mut found: Vec<Row> = Vec::new();
    let robots: Vec<_> = if filter.robots.is_empty() {
        vec![None]
    } else {
        filter.robots.iter().copied().map(Some).collect()
    };
    for robot in robots {
        found.extend(list_of(conn, robot, filter, after, page)?);
    }
    found.sort_unstable_by_key(|row| std::cmp::Reverse((row.2, row.0)));
    let limit = usize::try_from(page.rows() - 1).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = if more {
        found.last().map(|row| row.0)
    } else {
        None
    };
    let items = found.into_iter().map(tick).collect::<QueryResult<_>>()?;
    Ok(Page { items, next })
}

fn list_of(
    conn: &mut Conn,
    robot: Option<RobotId>,
    filter: &TickFilter,
    after: Option<(i64, i64)>,
    page: PageRequest,
) -> QueryResult<Vec<Row>> {
    let decision = filter.decision.map(decision_code);
    let state = decision.filter(|_| robot.is_none());
    let state = state.map(|code| in_state("decision", code));
    let leading = of_robot(robot).into_iter().chain(state);
    let span = Span {
        first: filter.from.map(to_micros),
        end: filter.to.map(to_micros),
    };
    let not_after = after.map(|(planned, _)| planned.saturating_add(1));
    let stretch = Stretch::new(leading, "planned_at", (span, not_after));
    let mut query = ticks::table
        .order((stretch.newest_first(), ticks::id.desc()))
        .limit(page.rows())
        .filter(stretch)
        .into_boxed();
    if let Some(code) = decision {
        query = query.filter(ticks::decision.eq(code));
    }
    if let Some((planned, id)) = after {
        query = query.filter(ticks::planned_at.lt(planned).or(ticks::id.lt(id)));
    }
    Ok(query.load(conn)?)
}

fn tick(row: Row) -> QueryResult<Tick> {
    let (id, robot, planned, through, count, code, decided, node, task, for_node) = row;
    let decision: Decision = decision_of(code).ok_or_else(|| {
        QueryError::Defect(format!("tick `{id}` has the unknown decision {code}"))
    })?;
    Ok(Tick {
        robot: RobotId(robot),
        planned_at: from_micros(planned),
        through: through.map(from_micros),
        count,
        decision,
        decided_at: from_micros(decided),
        node: NodeId(node),
        task: task.map(TaskId),
        for_node: (for_node != 0).then_some(NodeId(for_node)),
    })
}
