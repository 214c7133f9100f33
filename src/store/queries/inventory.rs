//! Writing things of any noun. See `store::inventory`.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde_json::Value;

use super::event::insert_events;
use super::sql::{Sql, raced};
use super::{Conn, audit, credential_link, inventory_check, inventory_read, secret};
use crate::domain::id::InventoryId;
use crate::domain::inventory::column::{Child, Stored};
use crate::domain::inventory::{Noun, NounSpec, TRUST_ON_FIRST_USE};
use crate::domain::time::{Timestamp, to_micros};
use crate::store::audit::NewAudit;
use crate::store::backend::{QueryError, QueryResult};
use crate::store::event::{NewEvent, Publication, Published};
use crate::store::inventory::{Order, Row, Write, Written};

/// Values of one statement: below SQLite's bound (32,766).
const BINDS_MAX: usize = 30_000;

/// Makes all changes with what belongs to them, or says why not.
pub(in crate::store) fn write(
    conn: &mut Conn,
    spec: &NounSpec,
    orders: &[Order],
    events: &[NewEvent],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(Written, Published)> {
    let refused = inventory_check::refusals(conn, spec, orders)?;
    if !refused.is_empty() {
        return Ok((Written::Refused(refused), Published::default()));
    }
    let (mut new, mut kept) = (Vec::new(), Vec::new());
    for order in orders {
        match &order.write {
            Write::Insert(row) => {
                new.push(row);
                kept.push(row.id);
            }
            Write::Update { row, revision } => {
                update(conn, spec, row, *revision, now)?;
                kept.push(row.id);
            }
            Write::Delete { id, revision } => delete(conn, spec, *id, *revision)?,
        }
    }
    insert(conn, spec, &new, now)?;
    if spec.noun == Noun::Credential {
        credential_link::relink(conn, orders)?;
    }
    let entries: Vec<NewAudit> = orders.iter().map(|order| order.audit.clone()).collect();
    audit::append_all(conn, &entries, now)?;
    let published = insert_events(conn, events, ids, now)?;
    let items = inventory_read::all(conn, spec, &kept)?;
    Ok((Written::Done(items), published))
}

/// The columns that a caller's fields fill, with their values.
fn values(spec: &NounSpec, row: &Row) -> Values {
    let null = Value::Null;
    let own = spec.columns.iter().map(|column| {
        let value = row.body.get(column.field).unwrap_or(&null);
        (column.name, column.kind.stored(value))
    });
    let derived = spec.state.iter().filter_map(|column| {
        let value = row.derived.get(column.field)?;
        Some((column.name, column.kind.stored(value)))
    });
    own.chain(derived).collect()
}

/// A table's row, by its columns.
type Values = Vec<(&'static str, Stored)>;

/// Writes new things with what belongs to them, many in a statement.
fn insert(conn: &mut Conn, spec: &NounSpec, rows: &[&Row], now: Timestamp) -> QueryResult<()> {
    let at = Stored::Int(Some(to_micros(now)));
    let things = rows.iter().map(|row| {
        let mut all = Vec::from([
            ("id", Stored::Int(Some(row.id.0))),
            ("identity", Stored::Text(Some(row.identity.clone()))),
            ("revision", Stored::Int(Some(1))),
            ("created_at", at.clone()),
            ("updated_at", at.clone()),
        ]);
        all.extend(values(spec, row));
        all
    });
    insert_rows(conn, spec.table, things.collect())?;
    for child in spec.children {
        let entries = rows.iter().flat_map(|row| {
            let of = entries(child, row).iter();
            of.map(|entry| listed(child, row.id, entry))
        });
        insert_rows(conn, child.table, entries.collect())?;
    }
    let secrets: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row.id, row.secret.as_ref()?)))
        .collect();
    secret::put_first(conn, &secrets, now)
}

/// A row of a thing's list.
fn listed(child: &Child, parent: InventoryId, entry: &Value) -> Values {
    let own = child.columns.iter().map(|column| {
        let value = column.kind.stored(child.value(entry, column));
        (column.name, value)
    });
    let parent = (child.parent, Stored::Int(Some(parent.0)));
    std::iter::once(parent).chain(own).collect()
}

/// Writes rows, those of the same columns together.
fn insert_rows(conn: &mut Conn, table: &str, rows: Vec<Values>) -> QueryResult<()> {
    let mut alike: BTreeMap<Vec<&str>, Vec<Vec<Stored>>> = BTreeMap::new();
    for row in rows {
        let (names, values) = row.into_iter().unzip();
        alike.entry(names).or_default().push(values);
    }
    for (names, rows) in alike {
        for rows in rows.chunks(BINDS_MAX / names.len().max(1)) {
            let names = names.join(", ");
            let mut sql: Sql = Sql::new(format!("INSERT INTO {table} ({names}) VALUES "));
            sql.rows(rows);
            sql.execute(conn).map_err(raced)?;
        }
    }
    Ok(())
}

fn update(
    conn: &mut Conn,
    spec: &NounSpec,
    row: &Row,
    revision: i64,
    now: Timestamp,
) -> QueryResult<()> {
    let mut sql: Sql = Sql::new(format!("UPDATE {} SET identity = ", spec.table));
    sql.bind(Stored::Text(Some(row.identity.clone())))
        .text(", revision = revision + 1, updated_at = ")
        .int(to_micros(now));
    for (name, value) in values(spec, row) {
        sql.text(format!(", {name} = ")).bind(value);
    }
    sql.text(" WHERE id = ")
        .int(row.id.0)
        .text(" AND revision = ")
        .int(revision);
    changed_one(sql.execute(conn).map_err(raced)?)?;
    for child in spec.children {
        replace(conn, child, row)?;
    }
    match &row.secret {
        Some(new) => secret::put_current(conn, row.id, new, now),
        None => Ok(()),
    }
}

fn delete(conn: &mut Conn, spec: &NounSpec, id: InventoryId, revision: i64) -> QueryResult<()> {
    let mut sql: Sql = Sql::new(format!("DELETE FROM {} WHERE id = ", spec.table));
    sql.int(id.0).text(" AND revision = ").int(revision);
    changed_one(sql.execute(conn).map_err(raced)?)
}

/// The revision was looked at in this transaction; another one came between.
fn changed_one(rows: usize) -> QueryResult<()> {
    if rows == 1 {
        Ok(())
    } else {
        Err(QueryError::Race)
    }
}

fn entries<'a>(child: &Child, row: &'a Row) -> &'a [Value] {
    let list = row.body.get(child.field).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// Makes a thing's list what it shall be. An entry that stays keeps its row, and what robots wrote there; one that
/// differs in anything a caller sets is another, so that a pinned key does not outlive the order to trust it.
fn replace(conn: &mut Conn, child: &Child, row: &Row) -> QueryResult<()> {
    let mut sql: Sql<(BigInt, Text)> = Sql::new(format!(
        "SELECT c.id, CAST({} AS TEXT) FROM {} AS c WHERE c.{} = ",
        inventory_read::entry(child),
        child.table,
        child.parent
    ));
    sql.int(row.id.0);
    let mut missing: Vec<&Value> = entries(child, row).iter().collect();
    let mut gone = Vec::new();
    for (id, json) in sql.load::<(i64, String)>(conn)? {
        let raw: Value = serde_json::from_str(&json)
            .map_err(|error| QueryError::Defect(format!("{} `{id}`: {error}", child.table)))?;
        let shown = Value::from(Vec::from([inventory_read::listed(child, &raw)]));
        let kept = child.settled(&shown);
        match missing.iter().position(|entry| kept[0] == **entry) {
            Some(at) => {
                missing.remove(at);
            }
            None => gone.push(Stored::Int(Some(id))),
        }
    }
    if !gone.is_empty() {
        let mut sql: Sql = Sql::new(format!("DELETE FROM {} WHERE id IN ", child.table));
        sql.list(gone);
        sql.execute(conn)?;
    }
    let missing = missing
        .into_iter()
        .map(|entry| listed(child, row.id, entry));
    insert_rows(conn, child.table, missing.collect())
}

/// Pins a key where none is pinned; answers the pinned one.
pub(in crate::store) fn pin(
    conn: &mut Conn,
    device: InventoryId,
    protocol: &str,
    port: u16,
    key: &str,
) -> QueryResult<String> {
    let at = |sql: &mut Sql<(Nullable<Text>,)>| {
        sql.text(" WHERE device_id = ")
            .int(device.0)
            .text(" AND protocol = ")
            .bind(Stored::Text(Some(protocol.to_owned())))
            .text(" AND port = ")
            .int(i64::from(port))
            .text(" AND host_key = ")
            .bind(Stored::Text(Some(TRUST_ON_FIRST_USE.to_owned())));
    };
    let mut sql: Sql<(Nullable<Text>,)> =
        Sql::new("UPDATE device_connectivities SET pinned_host_key = COALESCE(pinned_host_key, ");
    sql.bind(Stored::Text(Some(key.to_owned()))).text(")");
    at(&mut sql);
    sql.text(" RETURNING pinned_host_key");
    let pinned: Option<(Option<String>,)> = sql.get_result(conn).optional()?;
    pinned.and_then(|(key,)| key).ok_or_else(|| {
        QueryError::not_found(format!(
            "a `{protocol}` connectivity of device `{device}` at port {port} that trusts on first use"
        ))
    })
}
