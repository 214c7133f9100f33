//! Whether changes of the inventory can be made, judged before anything is written. See `store::inventory`.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::Value;

use super::sql::Sql;
use super::{Conn, credential_link, vault_key};
use crate::domain::id::InventoryId;
use crate::domain::inventory::column::{Column, Kind, Shape, Stored, id_of};
use crate::domain::inventory::{Noun, NounSpec};
use crate::store::backend::QueryResult;
use crate::store::inventory::{Order, Refusal, Row, Write};

/// Values of one statement's list: keeps its binds below SQLite's bound (32,766).
const LIST_MAX: usize = 10_000;
/// Things that are named of those that refer to one.
const NAMED_MAX: i64 = 3;

/// All that stands in the way, by the position of the change.
pub(in crate::store) fn refusals(
    conn: &mut Conn,
    spec: &NounSpec,
    orders: &[Order],
) -> QueryResult<Vec<(usize, Refusal)>> {
    let mut refused = revisions(conn, spec, orders)?;
    refused.extend(identities(conn, spec, orders)?);
    refused.extend(references(conn, spec, orders)?);
    refused.extend(secrets(conn, orders)?);
    if spec.noun == Noun::Credential {
        refused.extend(credential_link::refusals(conn, orders)?);
    }
    for (index, order) in orders.iter().enumerate() {
        if let Write::Delete { id, .. } = &order.write {
            let uses = uses(conn, spec.noun, *id)?.map(|refusal| (index, refusal));
            refused.extend(uses);
        }
    }
    // One reason a change, the first in this order: whoever is refused for a revision reads again anyway.
    let mut known = HashSet::new();
    refused.retain(|(index, _)| known.insert(*index));
    refused.sort_by_key(|(index, _)| *index);
    Ok(refused)
}

fn row_of(order: &Order) -> Option<&Row> {
    match &order.write {
        Write::Insert(row) | Write::Update { row, .. } => Some(row),
        Write::Delete { .. } => None,
    }
}

fn revisions(
    conn: &mut Conn,
    spec: &NounSpec,
    orders: &[Order],
) -> QueryResult<Vec<(usize, Refusal)>> {
    let seen = |order: &Order| match &order.write {
        Write::Insert(_) => None,
        Write::Update { row, revision } => Some((row.id, *revision)),
        Write::Delete { id, revision } => Some((*id, *revision)),
    };
    let ids: Vec<_> = orders.iter().filter_map(seen).map(|(id, _)| id).collect();
    let mut current: HashMap<i64, i64> = HashMap::new();
    for chunk in ids.chunks(LIST_MAX) {
        let mut sql: Sql<(BigInt, BigInt)> = Sql::new(format!(
            "SELECT id, revision FROM {} WHERE id IN ",
            spec.table
        ));
        sql.list(chunk.iter().map(|id| Stored::Int(Some(id.0))));
        current.extend(sql.load::<(i64, i64)>(conn)?);
    }
    let judge = |(index, order): (usize, &Order)| {
        let (id, revision) = seen(order)?;
        match current.get(&id.0) {
            None => Some((index, Refusal::Missing)),
            Some(now) if *now != revision => Some((index, Refusal::Stale { current: *now })),
            Some(_) => None,
        }
    };
    Ok(orders.iter().enumerate().filter_map(judge).collect())
}

fn identities(
    conn: &mut Conn,
    spec: &NounSpec,
    orders: &[Order],
) -> QueryResult<Vec<(usize, Refusal)>> {
    let rows: Vec<(usize, &Row)> = orders
        .iter()
        .enumerate()
        .filter_map(|(index, order)| Some((index, row_of(order)?)))
        .collect();
    let mut holders: HashMap<String, i64> = HashMap::new();
    for chunk in rows.chunks(LIST_MAX) {
        let mut sql: Sql<(Text, BigInt)> = Sql::new(format!(
            "SELECT identity, id FROM {} WHERE identity IN ",
            spec.table
        ));
        sql.list(
            chunk
                .iter()
                .map(|(_, row)| Stored::Text(Some(row.identity.clone()))),
        );
        holders.extend(sql.load::<(String, i64)>(conn)?);
    }
    let mut taken = HashSet::new();
    let mut refused = Vec::new();
    for (index, row) in rows {
        match holders.get(&row.identity) {
            Some(holder) if *holder != row.id.0 => {
                let by = Some(InventoryId(*holder));
                refused.push((index, Refusal::Taken { by }));
            }
            _ if !taken.insert(&row.identity) => {
                refused.push((index, Refusal::Taken { by: None }));
            }
            _ => {}
        }
    }
    Ok(refused)
}

/// A field that refers to a thing: the change, the field's path, the thing.
type Reference = (usize, String, InventoryId);

fn references(
    conn: &mut Conn,
    spec: &NounSpec,
    orders: &[Order],
) -> QueryResult<Vec<(usize, Refusal)>> {
    let mut refused = Vec::new();
    for target in Noun::ALL {
        let named: Vec<Reference> = orders
            .iter()
            .enumerate()
            .filter_map(|(index, order)| Some((index, row_of(order)?)))
            .flat_map(|(index, row)| named_by(spec, target, index, row))
            .collect();
        let wanted: HashSet<i64> = named.iter().map(|(_, _, id)| id.0).collect();
        let wanted: Vec<i64> = wanted.into_iter().collect();
        let mut known = HashSet::new();
        for chunk in wanted.chunks(LIST_MAX) {
            let table = target.spec().table;
            let mut sql: Sql<(BigInt,)> = Sql::new(format!("SELECT id FROM {table} WHERE id IN "));
            sql.list(chunk.iter().map(|id| Stored::Int(Some(*id))));
            known.extend(sql.load::<(i64,)>(conn)?.into_iter().map(|(id,)| id));
        }
        for (index, field, id) in named
            .into_iter()
            .filter(|(_, _, id)| !known.contains(&id.0))
        {
            let refusal = Refusal::Unknown {
                field,
                noun: target,
                id,
            };
            refused.push((index, refusal));
        }
    }
    Ok(refused)
}

/// What a row refers to of `target`.
fn named_by(spec: &NounSpec, target: Noun, index: usize, row: &Row) -> Vec<Reference> {
    let refers = |column: &&Column| column.kind == Kind::Ref(target);
    let mut named = Vec::new();
    for column in spec.columns.iter().filter(refers) {
        let id = row.body.get(column.field).and_then(id_of);
        named.extend(id.map(|id| (index, column.field.to_owned(), id)));
    }
    for child in spec.children {
        let entries = row.body.get(child.field).and_then(Value::as_array);
        for column in child.columns.iter().filter(refers) {
            for (at, entry) in entries.into_iter().flatten().enumerate() {
                let path = match child.shape {
                    Shape::Object => format!("{}[{at}].{}", child.field, column.field),
                    Shape::Value => format!("{}[{at}]", child.field),
                };
                let id = id_of(child.value(entry, column));
                named.extend(id.map(|id| (index, path, id)));
            }
        }
    }
    named
}

/// New secrets must be sealed with the newest key, for the version that is next.
fn secrets(conn: &mut Conn, orders: &[Order]) -> QueryResult<Vec<(usize, Refusal)>> {
    let sealed: Vec<_> = orders
        .iter()
        .enumerate()
        .filter_map(|(index, order)| {
            let row = row_of(order)?;
            let is_new = matches!(order.write, Write::Insert(_));
            Some((index, row.id, is_new, row.secret.as_ref()?))
        })
        .collect();
    if sealed.is_empty() {
        return Ok(Vec::new());
    }
    let newest = vault_key::newest(conn)?;
    let mut refused = Vec::new();
    for (index, id, is_new, secret) in sealed {
        let latest = if is_new {
            Some(0)
        } else {
            super::secret::latest(conn, id)?
        };
        if newest != Some(secret.sealed.key) {
            refused.push((index, Refusal::KeyRetired));
        } else if latest.is_none_or(|latest| latest + 1 != secret.version) {
            refused.push((index, Refusal::SecretMoved));
        }
    }
    Ok(refused)
}

/// The column with what a thing is called.
pub(super) fn name_of(spec: &NounSpec) -> &'static str {
    let column = spec.columns.iter().find(|one| one.field == spec.named_by);
    column.map_or("identity", |column| column.name)
}

/// The first noun that refers to a thing, and how many of it do.
fn uses(conn: &mut Conn, of: Noun, id: InventoryId) -> QueryResult<Option<Refusal>> {
    let refers = |column: &&Column| column.kind == Kind::Ref(of);
    for by in Noun::ALL {
        let spec = by.spec();
        // What robots put in force counts as well; that a thing replaces another of its kind does not.
        let state = spec.state.iter().filter(|_| by != of);
        let own = spec.columns.iter().chain(state).filter(refers);
        let own = own.map(|column| (spec.table, "id", column.name));
        let listed = spec.children.iter().flat_map(|child| {
            let columns = child.columns.iter().filter(refers);
            columns.map(|column| (child.table, child.parent, column.name))
        });
        for (table, user, column) in own.chain(listed) {
            let mut sql: Sql<(BigInt,)> = Sql::new(format!(
                "SELECT count(DISTINCT {user}) FROM {table} WHERE {column} = "
            ));
            sql.int(id.0);
            let (count,): (i64,) = sql.get_result(conn)?;
            if count > 0 {
                let mut sql: Sql<(BigInt, Text)> = Sql::new(format!(
                    "SELECT id, {} FROM {} WHERE id IN (SELECT {user} FROM {table} WHERE {column} = ",
                    name_of(spec),
                    spec.table
                ));
                sql.int(id.0).text(") ORDER BY id LIMIT ").int(NAMED_MAX);
                let some = sql.load::<(i64, String)>(conn)?.into_iter();
                let some = some.map(|(id, name)| (InventoryId(id), name)).collect();
                return Ok(Some(Refusal::InUse { by, count, some }));
            }
        }
    }
    Ok(None)
}
