//! Events and the tasks they make.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde_json::Value;

use super::rows::{Rows, storable};
use super::statement::{Bind, Statement, bind, find};
use super::task_add::Numbered;
use super::{Conn, outbox, task_add};
use crate::domain::event::{CloudEvent, EventRecord};
use crate::domain::id::{EventId, RobotId};
use crate::domain::task::{PRIORITY_DEFAULT, Trigger};
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::event::{EventFilter, NewEvent, Publication, Published, Wake};
use crate::store::outbox::{Change, Dated};
use crate::store::page::{Page, PageRequest, page_of};
use crate::store::schema::events;
use crate::store::task::NewTask;

/// In the order of the identities, so that two batches cannot wait for each other.
struct Insert;

impl Statement for Insert {
    type Row = (BigInt,);
    const SQL: &'static str = "
        INSERT INTO events (id, source, event_id, type, subject, at, body, received_at)
        SELECT x.id, x.source, x.event_id, x.type, x.subject, x.at, x.body, x.now
        FROM {rows id int, source text, event_id text, type text, subject text, at int, body text, now int} WHERE TRUE
        ON CONFLICT (source, event_id) DO NOTHING
        RETURNING id";
}

/// Robots that have a task which will look anyway. Its row is held, so that it cannot be claimed,
/// and run, before the new event can be seen; one that is being claimed does not count.
struct Served;

impl Statement for Served {
    type Row = (BigInt,);
    const SQL: &'static str = "
        SELECT robot_id FROM tasks
        WHERE {is queued} AND trigger_code = 1 AND robot_id = ?
        LIMIT 1 {skip locked}";
}

/// Writes events that are new and the tasks they make. Ids come from `ids`.
pub(in crate::store) fn insert_events(
    conn: &mut Conn,
    new: &[NewEvent],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Published> {
    let accepted = insert_new(conn, new, ids.first_event, now)?;
    let mut served: HashMap<RobotId, bool> = HashMap::new();
    let mut tasks = Vec::new();
    let mut published = Published::default();
    for (event, id) in new.iter().zip(ids.first_event..) {
        if !accepted.contains(&id) {
            published.appended.duplicates += 1;
            continue;
        }
        published.appended.accepted += 1;
        let payload = body_of(&event.event)?;
        for wake in &event.wakes {
            if wake.coalesce && is_served(conn, &mut served, wake.robot)? {
                published.served.push(wake.robot);
                continue;
            }
            if wake.coalesce {
                served.insert(wake.robot, true);
            }
            tasks.push(task_of(wake, EventId(id), payload.clone()));
        }
    }
    let numbered: Vec<_> = (ids.first_task..)
        .zip(&tasks)
        .map(|(id, task)| Numbered { id, task, now })
        .collect();
    published.registered = task_add::add(conn, &numbered, ids.start.as_ref())?;
    outbox::append(conn, ids.outbox, || {
        let own = own_events(new, ids.first_event, &accepted, now);
        own.chain(outbox::registered(&published.registered, now))
    })?;
    published.appended.tasks = published
        .registered
        .added
        .iter()
        .map(|added| added.id)
        .collect();
    Ok(published)
}

/// The new events that robotd itself publishes.
fn own_events<'a>(
    new: &'a [NewEvent],
    first: i64,
    accepted: &'a HashSet<i64>,
    now: Timestamp,
) -> impl Iterator<Item = Dated> + 'a {
    let own = new.iter().zip(first..);
    own.filter(|(event, id)| event.event.is_own() && accepted.contains(id))
        .map(move |(_, id)| {
            let id = EventId(id);
            (Change::Event { id, event: None }, now)
        })
}

fn is_served(
    conn: &mut Conn,
    known: &mut HashMap<RobotId, bool>,
    robot: RobotId,
) -> QueryResult<bool> {
    if let Some(served) = known.get(&robot) {
        return Ok(*served);
    }
    let found: Option<(i64,)> = bind(Served, &[Bind::Int(robot.0)])
        .get_result(conn)
        .optional()?;
    known.insert(robot, found.is_some());
    Ok(found.is_some())
}

/// Writes the events whose (source, id) is new; answers which rows they became.
fn insert_new(
    conn: &mut Conn,
    new: &[NewEvent],
    first: i64,
    now: Timestamp,
) -> QueryResult<HashSet<i64>> {
    let mut order: Vec<_> = new.iter().zip(first..).collect();
    order.sort_by_key(|(event, id)| (&event.event.source, &event.event.id, *id));
    let mut rows = Rows::default();
    for (event, id) in order {
        let event = &event.event;
        rows.push([
            id.into(),
            event.source.as_str().into(),
            event.id.as_str().into(),
            event.kind.as_str().into(),
            event.subject.clone().into(),
            to_micros(event.time.unwrap_or(now)).into(),
            body_of(event)?.to_string().into(),
            to_micros(now).into(),
        ]);
    }
    let ids: Vec<(i64,)> = find(conn, Insert, &rows, &[])?;
    Ok(ids.into_iter().map(|(id,)| id).collect())
}

fn body_of(event: &CloudEvent) -> QueryResult<Value> {
    serde_json::to_value(event)
        .map_err(|error| QueryError::Defect(format!("event `{}`: {error}", event.id)))
}

fn task_of(wake: &Wake, event: EventId, payload: Value) -> NewTask {
    NewTask {
        robot: wake.robot,
        trigger: Trigger::Event,
        payload,
        priority: PRIORITY_DEFAULT,
        run_at: None,
        deadline: None,
        unique_key: None,
        max_attempts: wake.max_attempts,
        planned_at: None,
        event: Some(event),
        requested_by: "event".to_owned(),
        for_node: None,
    }
}

/// A page of the report.
pub(in crate::store) fn list(
    conn: &mut Conn,
    filter: &EventFilter,
    page: PageRequest,
) -> QueryResult<Page<EventRecord>> {
    let mut query = events::table
        .select((events::id, events::received_at, events::body))
        .order(events::id.desc())
        .limit(page.rows())
        .into_boxed();
    if let Some(kind) = &filter.kind {
        query = query.filter(events::kind.eq(storable(kind.clone())));
    }
    if let Some(source) = &filter.source {
        query = query.filter(events::source.eq(storable(source.clone())));
    }
    if let Some(from) = filter.from {
        query = query.filter(events::received_at.ge(to_micros(from)));
    }
    if let Some(to) = filter.to {
        query = query.filter(events::received_at.lt(to_micros(to)));
    }
    if let Some(after) = page.after {
        query = query.filter(events::id.lt(after));
    }
    let rows: Vec<(i64, i64, String)> = query.load(conn)?;
    let found = rows.into_iter().map(record).collect::<QueryResult<_>>()?;
    Ok(page_of(found, page, |event: &EventRecord| event.id.0))
}

fn record((id, received, body): (i64, i64, String)) -> QueryResult<EventRecord> {
    let event = serde_json::from_str(&body)
        .map_err(|error| QueryError::Defect(format!("body of event `{id}`: {error}")))?;
    Ok(EventRecord {
        id: EventId(id),
        received_at: from_micros(received),
        event,
    })
}
