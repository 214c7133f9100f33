//! Certificates that are published. See `store::certificate`.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::certificate::detail;
use super::event::insert_events;
use super::sql::raced;
use super::statement::{Bind, Statement, bind};
use super::{Conn, Db, statement};
use crate::domain::id::InventoryId;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::certificate::{
    DueBinding, OPEN_MAX, Publication, PublicationEnd, PublicationState, Setback,
};
use crate::store::event::{Publication as Ids, Published};
use crate::store::schema::certificate::{certificate_bindings, certificate_publications};

struct Due;

impl Statement for Due {
    type Row = (BigInt, BigInt, BigInt);
    const SQL: &'static str = "
        SELECT b.id, a.issue, b.failures
        FROM certificate_bindings b JOIN certificate_automations a ON a.id = b.automation_id
        WHERE b.id > ? AND b.enabled AND a.enabled AND a.issue IS NOT NULL AND a.revoked_at IS NULL
            AND (b.published_issue IS NULL OR b.published_issue <> a.issue OR b.updated_at > b.published_at)
            AND (b.next_attempt_at IS NULL OR b.next_attempt_at <= ?)
            AND NOT EXISTS (SELECT 1 FROM certificate_publications p WHERE p.binding_id = b.id AND p.finished_at IS NULL)
        ORDER BY b.id LIMIT ?";
}

/// Bindings where something is to be published.
pub(in crate::store) fn due(
    conn: &mut Conn,
    after: InventoryId,
    limit: u32,
    now: Timestamp,
) -> QueryResult<Vec<DueBinding>> {
    let binds = [after.0, to_micros(now), i64::from(limit)].map(Bind::Int);
    let rows: Vec<(i64, i64, i64)> = bind(Due, &binds).load(conn)?;
    let due = |(id, issue, failures): (i64, i64, i64)| DueBinding {
        binding: InventoryId(id),
        issue,
        failures: u32::try_from(failures).unwrap_or(u32::MAX),
    };
    Ok(rows.into_iter().map(due).collect())
}

/// Counts a failed attempt; the state says what became of the machine.
fn set_back(conn: &mut Conn, setback: &Setback, state: &str) -> QueryResult<()> {
    diesel::update(certificate_bindings::table.find(setback.of.0))
        .set((
            certificate_bindings::state.eq(state),
            certificate_bindings::failures.eq(certificate_bindings::failures + 1),
            certificate_bindings::next_attempt_at.eq(to_micros(setback.next_attempt_at)),
            certificate_bindings::error.eq(detail(&setback.error)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Counts a failed attempt that left the machine as it was.
pub(in crate::store) fn failed(conn: &mut Conn, setback: &Setback) -> QueryResult<()> {
    set_back(conn, setback, "failed")
}

/// Notes what a binding is proven to serve.
pub(in crate::store) fn served(
    conn: &mut Conn,
    due: DueBinding,
    fingerprint: &str,
    now: Timestamp,
) -> QueryResult<()> {
    diesel::update(certificate_bindings::table.find(due.binding.0))
        .set((
            certificate_bindings::state.eq(PublicationState::Published.as_str()),
            certificate_bindings::published_issue.eq(due.issue),
            certificate_bindings::published_at.eq(to_micros(now)),
            certificate_bindings::served.eq(fingerprint),
            certificate_bindings::failures.eq(0),
            certificate_bindings::next_attempt_at.eq(None::<i64>),
            certificate_bindings::error.eq(None::<String>),
        ))
        .execute(conn)?;
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = certificate_publications, check_for_backend(Db))]
struct Row {
    id: i64,
    binding_id: i64,
    automation_id: i64,
    issue_id: i64,
    place: String,
    fingerprint: String,
    previous: Option<String>,
    served_before: Option<String>,
}

/// The open publications.
pub(in crate::store) fn open(conn: &mut Conn) -> QueryResult<Vec<Publication>> {
    let rows: Vec<Row> = certificate_publications::table
        .filter(certificate_publications::finished_at.is_null())
        .order(certificate_publications::id)
        .limit(i64::from(OPEN_MAX))
        .select(Row::as_select())
        .load(conn)?;
    let publication = |row: Row| {
        let place = serde_json::from_str(&row.place).map_err(|error| {
            QueryError::Defect(format!("place of publication `{}`: {error}", row.id))
        })?;
        Ok(Publication {
            id: row.id,
            binding: InventoryId(row.binding_id),
            automation: InventoryId(row.automation_id),
            issue: row.issue_id,
            place,
            fingerprint: row.fingerprint,
            previous: row.previous,
            served_before: row.served_before,
        })
    };
    rows.into_iter().map(publication).collect()
}

/// Begins a publication.
pub(in crate::store) fn begin(
    conn: &mut Conn,
    new: &Publication,
    now: Timestamp,
) -> QueryResult<()> {
    let open: Option<i64> = certificate_publications::table
        .filter(certificate_publications::binding_id.eq(new.binding.0))
        .filter(certificate_publications::finished_at.is_null())
        .select(certificate_publications::id)
        .first(conn)
        .optional()?;
    if let Some(open) = open {
        return Err(QueryError::conflict(format!(
            "certificate binding `{}` has an open publication, `{open}`: settle it first",
            new.binding
        )));
    }
    diesel::insert_into(certificate_publications::table)
        .values((
            certificate_publications::id.eq(new.id),
            certificate_publications::binding_id.eq(new.binding.0),
            certificate_publications::automation_id.eq(new.automation.0),
            certificate_publications::issue_id.eq(new.issue),
            certificate_publications::state.eq(PublicationState::Begun.code()),
            certificate_publications::place.eq(new.place.to_string()),
            certificate_publications::fingerprint.eq(&new.fingerprint),
            certificate_publications::previous.eq(&new.previous),
            certificate_publications::served_before.eq(&new.served_before),
            certificate_publications::created_at.eq(to_micros(now)),
        ))
        .execute(conn)
        .map_err(raced)?;
    Ok(())
}

/// Ends a publication; none where it was ended already.
pub(in crate::store) fn end(
    conn: &mut Conn,
    end: &PublicationEnd,
    ids: &Ids,
    now: Timestamp,
) -> QueryResult<Option<Published>> {
    let open = certificate_publications::table
        .filter(certificate_publications::id.eq(end.publication.id))
        .filter(certificate_publications::finished_at.is_null());
    let said = end.setback.as_ref().map(|setback| detail(&setback.error));
    let began: Option<i64> = diesel::update(open)
        .set((
            certificate_publications::state.eq(end.state.code()),
            certificate_publications::detail.eq(said),
            certificate_publications::finished_at.eq(to_micros(now)),
        ))
        .returning(certificate_publications::created_at)
        .get_result(conn)
        .optional()?;
    let Some(began) = began else {
        return Ok(None);
    };
    let binding = certificate_bindings::table.find(end.publication.binding.0);
    match (&end.setback, end.state) {
        (Some(setback), state) => set_back(conn, setback, state.as_str())?,
        (None, PublicationState::Published) => {
            let due = DueBinding {
                binding: end.publication.binding,
                issue: end.publication.issue,
                failures: 0,
            };
            // What a caller changed since then is not published yet.
            served(conn, due, &end.publication.fingerprint, from_micros(began))?;
        }
        (None, state) => {
            diesel::update(binding)
                .set(certificate_bindings::state.eq(state.as_str()))
                .execute(conn)?;
        }
    }
    if end.state != PublicationState::Published {
        diesel::update(binding)
            .set(certificate_bindings::served.eq(&end.served))
            .execute(conn)?;
    }
    insert_events(conn, &end.events, ids, now).map(Some)
}

struct Old;

impl Statement for Old {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM certificate_publications WHERE id IN (
            SELECT id FROM certificate_publications WHERE finished_at IS NOT NULL AND finished_at < ?
            ORDER BY finished_at LIMIT ?)";
}

/// Removes publications that ended before an instant, at most `limit`.
pub(in crate::store) fn prune(conn: &mut Conn, before: i64, limit: u32) -> QueryResult<usize> {
    statement::prune(conn, Old, before, limit)
}
