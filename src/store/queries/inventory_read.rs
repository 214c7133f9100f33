//! Reading things of any noun. See `store::inventory`.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::Value;

use super::inventory_check::name_of;
use super::sql::Sql;
use super::{Conn, dialect};
use crate::domain::id::InventoryId;
use crate::domain::inventory::NounSpec;
use crate::domain::inventory::column::{Child, Column, FilterKind, Shape, Stored};
use crate::domain::inventory::name::first_part;
use crate::domain::inventory::patch::Fields;
use crate::domain::time::from_micros;
use crate::store::backend::{QueryError, QueryResult};
use crate::store::inventory::{Item, Narrow, Wanted};
use crate::store::page::{Page, PageRequest, page_of};

/// Id, revision, two instants, and the rest as JSON.
type Shown = (BigInt, BigInt, BigInt, BigInt, Text);
type Raw = (i64, i64, i64, i64, String);

/// Things of one statement with a list of ids.
const IDS_MAX: usize = 1_000;

/// A page of things.
pub(in crate::store) fn list(
    conn: &mut Conn,
    spec: &NounSpec,
    filters: &[Narrow],
    page: PageRequest,
) -> QueryResult<Page<Item>> {
    let mut sql = select(spec);
    sql.text(" WHERE TRUE");
    for narrow in filters {
        compare(&mut sql, narrow);
    }
    if let Some(after) = page.after {
        sql.text(" AND t.id < ").int(after);
    }
    sql.text(" ORDER BY t.id DESC LIMIT ").int(page.rows());
    Ok(page_of(load(conn, spec, sql)?, page, |item| item.id.0))
}

fn compare(sql: &mut Sql<Shown>, narrow: &Narrow) {
    let column = narrow.filter.column;
    let value = || match &narrow.value {
        Wanted::Text(text) => Stored::Text(Some(text.clone())),
        Wanted::Int(number) => Stored::Int(Some(*number)),
        Wanted::Bool(truth) => Stored::Bool(Some(*truth)),
    };
    match (narrow.filter.kind, &narrow.value) {
        (FilterKind::Name, Wanted::Text(name)) => {
            let (from, to) = first_part(name);
            sql.text(" AND t.identity >= ")
                .bind(Stored::Text(Some(from)))
                .text(" AND t.identity < ")
                .bind(Stored::Text(Some(to)));
        }
        (FilterKind::Before, _) => {
            sql.text(format!(" AND t.{column} < ")).bind(value());
        }
        _ => {
            sql.text(format!(" AND t.{column} = ")).bind(value());
        }
    }
}

/// One thing.
pub(in crate::store) fn get(
    conn: &mut Conn,
    spec: &NounSpec,
    id: InventoryId,
) -> QueryResult<Item> {
    let found = all(conn, spec, &[id])?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| QueryError::not_found(format!("{} `{id}`", spec.noun.title())))
}

/// The thing of an identity.
pub(in crate::store) fn find(
    conn: &mut Conn,
    spec: &NounSpec,
    identity: &str,
) -> QueryResult<Option<Item>> {
    let mut sql = select(spec);
    sql.text(" WHERE t.identity = ")
        .bind(Stored::Text(Some(identity.to_owned())));
    Ok(load(conn, spec, sql)?.pop())
}

/// Those of the things that are there, in the order of `ids`.
pub(in crate::store) fn all(
    conn: &mut Conn,
    spec: &NounSpec,
    ids: &[InventoryId],
) -> QueryResult<Vec<Item>> {
    let mut found = std::collections::HashMap::new();
    for chunk in ids.chunks(IDS_MAX) {
        let mut sql = select(spec);
        sql.text(" WHERE t.id IN ");
        sql.list(chunk.iter().map(|id| Stored::Int(Some(id.0))));
        found.extend(
            load(conn, spec, sql)?
                .into_iter()
                .map(|item| (item.id, item)),
        );
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// What those of the things that are there are called.
pub(in crate::store) fn names(
    conn: &mut Conn,
    spec: &NounSpec,
    ids: &[InventoryId],
) -> QueryResult<Vec<(InventoryId, String)>> {
    let mut found = Vec::new();
    for chunk in ids.chunks(IDS_MAX) {
        let (name, table) = (name_of(spec), spec.table);
        let mut sql: Sql<(BigInt, Text)> =
            Sql::new(format!("SELECT id, {name} FROM {table} WHERE id IN "));
        sql.list(chunk.iter().map(|id| Stored::Int(Some(id.0))));
        let rows = sql.load::<(i64, String)>(conn)?.into_iter();
        found.extend(rows.map(|(id, name)| (InventoryId(id), name)));
    }
    Ok(found)
}

fn load(conn: &mut Conn, spec: &NounSpec, sql: Sql<Shown>) -> QueryResult<Vec<Item>> {
    let rows: Vec<Raw> = sql.load(conn)?;
    rows.into_iter().map(|row| item(spec, row)).collect()
}

fn select(spec: &NounSpec) -> Sql<Shown> {
    let mut members: Vec<String> = spec
        .columns
        .iter()
        .chain(spec.state)
        .map(|column| format!("'{}', t.{}", column.field, column.name))
        .collect();
    members.extend(spec.children.iter().map(|child| {
        let rows = dialect::json_rows(&entry(child), child.table, child.parent);
        format!("'{}', {rows}", child.field)
    }));
    Sql::new(format!(
        "SELECT t.id, t.revision, t.created_at, t.updated_at, CAST({}({}) AS TEXT) FROM {} AS t",
        dialect::JSON_OBJECT,
        members.join(", "),
        spec.table
    ))
}

/// An entry of a list, as an expression over its row `c`.
pub(in crate::store) fn entry(child: &Child) -> String {
    let columns = child.columns.iter().chain(child.state);
    match child.shape {
        Shape::Object => {
            let members: Vec<String> = columns
                .map(|column| format!("'{}', c.{}", column.field, column.name))
                .collect();
            format!("{}({})", dialect::JSON_OBJECT, members.join(", "))
        }
        Shape::Value => {
            let names: Vec<String> = columns.map(|column| format!("c.{}", column.name)).collect();
            names.concat()
        }
    }
}

fn item(spec: &NounSpec, (id, revision, created, updated, json): Raw) -> QueryResult<Item> {
    let fields: Fields = serde_json::from_str(&json)
        .map_err(|error| QueryError::Defect(format!("{} `{id}`: {error}", spec.word)))?;
    let mut body = shown(spec.columns, &fields);
    let mut lists = Fields::new();
    for child in spec.children {
        let entries = fields.get(child.field).and_then(Value::as_array);
        let whole = entries.into_iter().flatten().map(|raw| listed(child, raw));
        let whole: Value = whole.collect();
        body.insert(child.field.to_owned(), child.settled(&whole));
        lists.insert(child.field.to_owned(), whole);
    }
    Ok(Item {
        id: InventoryId(id),
        revision,
        created_at: from_micros(created),
        updated_at: from_micros(updated),
        body,
        state: shown(spec.state, &fields),
        lists,
    })
}

/// An entry of a list as it is shown, with its state.
pub(in crate::store) fn listed(child: &Child, raw: &Value) -> Value {
    match (child.shape, raw) {
        (Shape::Object, Value::Object(fields)) => {
            let mut entry = shown(child.columns, fields);
            entry.extend(shown(child.state, fields));
            Value::Object(entry)
        }
        _ => child
            .columns
            .first()
            .map(|column| column.kind.shown(raw))
            .unwrap_or_default(),
    }
}

fn shown(columns: &[Column], fields: &Fields) -> Fields {
    columns
        .iter()
        .map(|column| {
            let value = fields.get(column.field).unwrap_or(&Value::Null);
            (column.field.to_owned(), column.kind.shown(value))
        })
        .collect()
}
