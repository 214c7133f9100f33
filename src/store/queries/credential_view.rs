//! Views of secrets. See `store::credential_view`.

use diesel::prelude::*;

use super::Conn;
use super::rows::storable;
use super::statement::{self, Statement};
use crate::domain::time::{from_micros, to_micros};
use crate::store::backend::QueryResult;
use crate::store::credential_view::{CredentialView, CredentialViewFilter};
use crate::store::page::{Page, PageRequest, page_of};
use crate::store::schema::inventory::credential_views;

/// The views of a secret, newest first.
pub(in crate::store) fn list(
    conn: &mut Conn,
    filter: &CredentialViewFilter,
    page: PageRequest,
) -> QueryResult<Page<CredentialView>> {
    let mut query = credential_views::table
        .filter(credential_views::credential_id.eq(filter.credential.0))
        .select((
            credential_views::id,
            credential_views::at,
            credential_views::version,
            credential_views::actor,
            credential_views::reason,
        ))
        .order(credential_views::id.desc())
        .limit(page.rows())
        .into_boxed();
    if let Some(actor) = &filter.actor {
        query = query.filter(credential_views::actor.eq(storable(actor.clone())));
    }
    if let Some(from) = filter.from {
        query = query.filter(credential_views::at.ge(to_micros(from)));
    }
    if let Some(to) = filter.to {
        query = query.filter(credential_views::at.lt(to_micros(to)));
    }
    if let Some(after) = page.after {
        query = query.filter(credential_views::id.lt(after));
    }
    let rows: Vec<(i64, i64, i64, String, Option<String>)> = query.load(conn)?;
    let view = |(id, at, version, actor, reason)| CredentialView {
        id,
        at: from_micros(at),
        version,
        actor,
        reason,
    };
    let found = rows.into_iter().map(view).collect();
    Ok(page_of(found, page, |view: &CredentialView| view.id))
}

struct Old;

impl Statement for Old {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM credential_views WHERE id IN (
            SELECT id FROM credential_views WHERE at < ? ORDER BY at LIMIT ?)";
}

/// Removes views from before an instant, at most `limit`.
pub(in crate::store) fn prune(conn: &mut Conn, before: i64, limit: u32) -> QueryResult<usize> {
    statement::prune(conn, Old, before, limit)
}
