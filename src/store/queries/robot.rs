//! Robots' rows.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::event::insert_events;
use super::rows::Rows;
use super::statement::{Bind, Statement, bind, find, run};
use super::{Conn, Db, audit, outbox};
use crate::domain::id::RobotId;
use crate::domain::robot::Overrides;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::event::Publication;
use crate::store::outbox::Change as Changed;
use crate::store::robot::{RobotChange, RobotRow};
use crate::store::schema::robots;

#[derive(Queryable, Selectable)]
#[diesel(table_name = robots, check_for_backend(Db))]
struct Row {
    id: i64,
    name: String,
    overrides: String,
    revision: i64,
    anchor_at: i64,
    last_tick_at: Option<i64>,
}

fn robot(row: Row) -> QueryResult<RobotRow> {
    let overrides: Overrides = serde_json::from_str(&row.overrides).map_err(|error| {
        QueryError::Defect(format!("overrides of robot `{}`: {error}", row.name))
    })?;
    Ok(RobotRow {
        id: RobotId(row.id),
        name: row.name,
        overrides,
        revision: row.revision,
        anchor: from_micros(row.anchor_at),
        last_tick_at: row.last_tick_at.map(from_micros),
    })
}

/// Only names that are missing, so that a start uses up no ids; the conflict clause is for two
/// nodes that start at the same moment.
struct Insert;

impl Statement for Insert {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO robots (name, overrides, revision, anchor_at)
        SELECT x.name, x.overrides, 1, x.anchor
        FROM {rows name text, overrides text, anchor int}
        WHERE NOT EXISTS (SELECT 1 FROM robots r WHERE r.name = x.name)
        ON CONFLICT (name) DO NOTHING";
}

/// Makes sure the robots are there; answers them in the order given.
pub(in crate::store) fn register(
    conn: &mut Conn,
    named: &[(String, Timestamp)],
) -> QueryResult<Vec<RobotRow>> {
    let mut rows = Rows::default();
    for (name, anchor) in named {
        rows.push([name.as_str().into(), "{}".into(), to_micros(*anchor).into()]);
    }
    run(conn, Insert, &rows)?;
    let known: std::collections::HashMap<_, _> = list(conn)?
        .into_iter()
        .map(|robot| (robot.name.clone(), robot))
        .collect();
    let row = |(name, _): &(String, Timestamp)| {
        known
            .get(name)
            .cloned()
            .ok_or_else(|| QueryError::Defect(format!("robot `{name}` was not registered")))
    };
    named.iter().map(row).collect()
}

/// All robots.
pub(in crate::store) fn list(conn: &mut Conn) -> QueryResult<Vec<RobotRow>> {
    let rows: Vec<Row> = robots::table
        .select(Row::as_select())
        .order(robots::id)
        .load(conn)?;
    rows.into_iter().map(robot).collect()
}

struct Of;

impl Statement for Of {
    type Row = (BigInt, Text, Text, BigInt, BigInt, Nullable<BigInt>);
    const SQL: &'static str = "
        SELECT id, name, overrides, revision, anchor_at, last_tick_at FROM robots WHERE id {in rows robot int}";
}

/// Those of these robots.
pub(in crate::store) fn rows(conn: &mut Conn, robots: &[RobotId]) -> QueryResult<Vec<RobotRow>> {
    let ids = Rows::column(robots.iter().map(|robot| robot.0));
    let found: Vec<Row> = find(conn, Of, &ids, &[])?;
    found.into_iter().map(robot).collect()
}

struct Change;

impl Statement for Change {
    type Row = ();
    const SQL: &'static str =
        "UPDATE robots SET overrides = ?, revision = revision + 1 WHERE id = ? AND revision = ?";
}

struct SetAnchor;

impl Statement for SetAnchor {
    type Row = ();
    const SQL: &'static str = "UPDATE robots SET anchor_at = ?, last_tick_at = NULL WHERE id = ?";
}

/// Applies a change with all that belongs to it.
pub(in crate::store) fn change(
    conn: &mut Conn,
    change: &RobotChange,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(RobotRow, crate::store::event::Published)> {
    let id = change.id.0;
    let overrides = serde_json::Value::Object(change.overrides.clone()).to_string();
    let binds = [
        Bind::Text(overrides),
        Bind::Int(id),
        Bind::Int(change.revision),
    ];
    if bind(Change, &binds).execute(conn)? == 0 {
        let found: Option<i64> = robots::table
            .find(id)
            .select(robots::revision)
            .first(conn)
            .optional()?;
        return Err(match found {
            Some(revision) => QueryError::conflict(format!(
                "the robot is at revision {revision} by now, not {}",
                change.revision
            )),
            None => QueryError::not_found(format!("robot `{id}`")),
        });
    }
    if let Some(anchor) = change.anchor {
        bind(SetAnchor, &[to_micros(anchor), id].map(Bind::Int)).execute(conn)?;
    }
    audit::append(conn, &change.audit, now)?;
    let published = insert_events(conn, change.event.as_slice(), ids, now)?;
    outbox::append(conn, ids.outbox, || [(Changed::Robot(change.id), now)])?;
    let row: Row = robots::table
        .find(id)
        .select(Row::as_select())
        .first(conn)?;
    Ok((robot(row)?, published))
}
