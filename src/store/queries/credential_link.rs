//! Credentials whose secrets follow another one's. See `store::credential_link`.
//!
//! `credentials.parent_id` is what callers set; `credential_links` says it the other way round, with what is due.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::rows::Rows;
use super::statement::{Bind, Statement, bind, run};
use super::{Conn, dialect, operation};
use crate::domain::id::{InventoryId, OperationId};
use crate::domain::inventory::column::id_of;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::QueryResult;
use crate::store::credential_link::{ABOVE_MAX, BELOW_MAX, Follower};
use crate::store::event::{NewEvent, Publication, Published};
use crate::store::inventory::{Order, Refusal, Row, Write};
use crate::store::operation::NewOperation;
use crate::store::schema::inventory::{credential_links, credentials};

/// The field that names who is followed.
const PARENT: &str = "parent";

/// Under this name changes of links keep each other away until they have committed: two of them may be a circle.
const LINKS: &str = "credential_links";

fn parent_in(row: &Row) -> Option<i64> {
    row.body.get(PARENT).and_then(id_of).map(|id| id.0)
}

/// Links that would be circles, too long, or too many.
pub(in crate::store) fn refusals(
    conn: &mut Conn,
    orders: &[Order],
) -> QueryResult<Vec<(usize, Refusal)>> {
    let named: HashMap<i64, Option<i64>> = orders
        .iter()
        .filter_map(|order| match &order.write {
            Write::Insert(row) | Write::Update { row, .. } => Some((row.id.0, parent_in(row))),
            Write::Delete { .. } => None,
        })
        .collect();
    if named.values().flatten().next().is_none() {
        return Ok(Vec::new());
    }
    dialect::lock_text(conn, LINKS)?;
    let mut refused = Vec::new();
    for (index, order) in orders.iter().enumerate() {
        let (Write::Insert(row) | Write::Update { row, .. }) = &order.write else {
            continue;
        };
        if let Some(parent) = parent_in(row)
            && let Some(why) = unfit(conn, &named, row.id.0, parent)?
        {
            refused.push((index, Refusal::Unfit { field: PARENT, why }));
        }
    }
    Ok(refused)
}

/// Why one credential cannot follow another one, where the others of the call follow whom they name.
fn unfit(
    conn: &mut Conn,
    named: &HashMap<i64, Option<i64>>,
    child: i64,
    parent: i64,
) -> QueryResult<Option<&'static str>> {
    let mut at = Some(parent);
    for _ in 0..=ABOVE_MAX {
        let Some(id) = at else {
            let others = credential_links::table
                .filter(credential_links::parent_id.eq(parent))
                .filter(credential_links::credential_id.ne(child));
            let others: i64 = others.count().get_result(conn)?;
            return Ok((others >= BELOW_MAX).then_some("has 500 credentials below it already"));
        };
        if id == child {
            return Ok(Some(
                "must not be this credential, nor one that stands below it",
            ));
        }
        at = match named.get(&id) {
            Some(above) => *above,
            None => credentials::table
                .find(id)
                .select(credentials::parent_id)
                .first::<Option<i64>>(conn)
                .optional()?
                .flatten(),
        };
    }
    Ok(Some("has more than 8 credentials above it"))
}

/// What is due of a link stays due where it still leads to the same one.
struct Link;

impl Statement for Link {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO credential_links (credential_id, parent_id)
        SELECT x.credential, x.parent FROM {rows credential int, parent int} WHERE TRUE
        ON CONFLICT (credential_id) DO UPDATE SET parent_id = excluded.parent_id,
            due_at = CASE WHEN credential_links.parent_id = excluded.parent_id THEN credential_links.due_at END";
}

struct Unlink;

impl Statement for Unlink {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM credential_links WHERE credential_id {in rows credential int}";
}

/// Makes the links those of credentials that were written.
pub(in crate::store) fn relink(conn: &mut Conn, orders: &[Order]) -> QueryResult<()> {
    let (mut linked, mut free) = (Rows::default(), Rows::default());
    for order in orders {
        match &order.write {
            Write::Insert(row) | Write::Update { row, .. } if parent_in(row).is_some() => {
                linked.push([row.id.0.into(), parent_in(row).into()]);
            }
            Write::Update { row, .. } => free.push([row.id.0.into()]),
            Write::Insert(_) | Write::Delete { .. } => {}
        }
    }
    run(conn, Link, &linked)?;
    run(conn, Unlink, &free)
}

/// Notes that a secret is another one: those that follow it are due.
pub(in crate::store) fn mark(conn: &mut Conn, parent: i64, now: Timestamp) -> QueryResult<()> {
    diesel::update(credential_links::table.filter(credential_links::parent_id.eq(parent)))
        .set(credential_links::due_at.eq(to_micros(now)))
        .execute(conn)?;
    Ok(())
}

struct Due;

impl Statement for Due {
    type Row = (BigInt, BigInt, Text, Bool);
    const SQL: &'static str = "
        SELECT l.credential_id, l.due_at, c.kind, c.enabled AND d.enabled AND c.automatic_change
            AND c.secret_version IS NOT NULL AND c.deactivated_at IS NULL
        FROM credential_links l JOIN credentials c ON c.id = l.credential_id JOIN devices d ON d.id = c.device_id
        WHERE l.due_at IS NOT NULL ORDER BY l.due_at, l.credential_id LIMIT ?";
}

/// Followers that are due.
pub(in crate::store) fn due(conn: &mut Conn, limit: u32) -> QueryResult<Vec<Follower>> {
    let binds = [Bind::Int(i64::from(limit))];
    let rows: Vec<(i64, i64, String, bool)> = bind(Due, &binds).load(conn)?;
    let follower = |(id, at, kind, fits): (i64, i64, String, bool)| Follower {
        credential: InventoryId(id),
        due: from_micros(at),
        is_key: kind == "ssh_key",
        fits,
    };
    Ok(rows.into_iter().map(follower).collect())
}

struct Settle;

impl Statement for Settle {
    type Row = ();
    const SQL: &'static str = "
        UPDATE credential_links SET due_at = NULL FROM {rows credential int, due int}
        WHERE credential_id {found by x.credential} AND due_at {found by x.due}";
}

/// Orders the operations of followers, which are due no more.
pub(in crate::store) fn follow(
    conn: &mut Conn,
    followers: &[Follower],
    (first, orders): (OperationId, &[NewOperation]),
    events: &[NewEvent],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(Vec<OperationId>, Published)> {
    let mut rows = Rows::default();
    for follower in followers {
        rows.push([follower.credential.0.into(), to_micros(follower.due).into()]);
    }
    run(conn, Settle, &rows)?;
    operation::order(conn, first, orders, events, ids, now)
}
