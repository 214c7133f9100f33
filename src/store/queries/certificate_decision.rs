//! What is decided on certificates: asked for, agreed to, suggested and revoked. See `store::certificate_decision`.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::event::insert_events;
use super::rows::storable;
use super::statement::{Bind, Statement, bind};
use super::{Conn, audit};
use crate::domain::id::InventoryId;
use crate::domain::inventory::RevocationReason;
use crate::domain::time::{Timestamp, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::certificate::OPEN_MAX;
use crate::store::certificate_decision::{Cause, Revocation, Told};
use crate::store::event::{Publication, Published};
use crate::store::schema::certificate::{certificate_automations, certificate_issues};
use crate::store::schema::inventory::certificates;

/// Writes the audit entry and the events of a decision.
fn tell(conn: &mut Conn, told: &Told, ids: &Publication, now: Timestamp) -> QueryResult<Published> {
    audit::append(conn, &told.audit, now)?;
    insert_events(conn, &told.events, ids, now)
}

/// Notes that another certificate is wanted, and that nobody has agreed to that yet.
pub(in crate::store) fn request(
    conn: &mut Conn,
    automation: InventoryId,
    cause: Cause,
    told: &Told,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Published> {
    let at = to_micros(now);
    let one = certificate_automations::table.find(automation.0);
    let requested = diesel::update(one)
        .set((
            certificate_automations::renewal_requested_at.eq(at),
            certificate_automations::renewal_requested_by.eq(storable(told.audit.actor.clone())),
            certificate_automations::renewal_approved_at.eq(None::<i64>),
            certificate_automations::renewal_approved_by.eq(None::<String>),
        ))
        .execute(conn)?;
    if requested == 0 {
        let what = format!("certificate automation `{automation}`");
        return Err(QueryError::not_found(what));
    }
    if cause == Cause::Asked {
        diesel::update(one)
            .set((
                certificate_automations::renewal_asked_at.eq(at),
                certificate_automations::next_attempt_at.eq(None::<i64>),
            ))
            .execute(conn)?;
    }
    tell(conn, told, ids, now)
}

/// Notes that somebody agrees to what is requested.
pub(in crate::store) fn approve(
    conn: &mut Conn,
    automation: InventoryId,
    told: &Told,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Published> {
    let approved = diesel::update(certificate_automations::table.find(automation.0))
        .filter(certificate_automations::renewal_requested_at.is_not_null())
        .set((
            certificate_automations::renewal_approved_at.eq(to_micros(now)),
            certificate_automations::renewal_approved_by.eq(storable(told.audit.actor.clone())),
        ))
        .execute(conn)?;
    if approved == 0 {
        let what = format!("nothing is requested of certificate automation `{automation}`");
        return Err(QueryError::conflict(what));
    }
    tell(conn, told, ids, now)
}

/// Notes what an issuer suggests, and when it is asked again.
pub(in crate::store) fn suggest(
    conn: &mut Conn,
    automation: InventoryId,
    suggested: Option<Timestamp>,
    next: Timestamp,
) -> QueryResult<()> {
    diesel::update(certificate_automations::table.find(automation.0))
        .set((
            certificate_automations::renewal_suggested_at.eq(suggested.map(to_micros)),
            certificate_automations::suggestion_next_at.eq(to_micros(next)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Notes that a certificate is to be revoked; whoever has it in force stands still from now on.
pub(in crate::store) fn revocation_ask(
    conn: &mut Conn,
    certificate: InventoryId,
    reason: RevocationReason,
    told: &Told,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Published> {
    let at = to_micros(now);
    let issued: Option<i64> = certificate_issues::table
        .filter(certificate_issues::certificate_id.eq(certificate.0))
        .select(certificate_issues::id)
        .first(conn)
        .optional()?;
    if issued.is_none() {
        let what =
            format!("certificate `{certificate}` was not issued here: revoke it where it was");
        return Err(QueryError::conflict(what));
    }
    let asked = diesel::update(certificates::table.find(certificate.0))
        .filter(certificates::revocation_asked_at.is_null())
        .set((
            certificates::revocation_reason.eq(reason.as_str()),
            certificates::revocation_asked_at.eq(at),
        ))
        .execute(conn)?;
    if asked == 0 {
        let what = format!("certificate `{certificate}` is revoked, or about to be");
        return Err(QueryError::conflict(what));
    }
    let in_force = certificate_automations::table
        .filter(certificate_automations::current_id.eq(certificate.0));
    diesel::update(in_force)
        .set(certificate_automations::revoked_at.eq(at))
        .execute(conn)?;
    tell(conn, told, ids, now)
}

struct Revocations;

impl Statement for Revocations {
    type Row = (BigInt, Text, Text, BigInt);
    const SQL: &'static str = "
        SELECT c.id, c.certificate, c.revocation_reason, i.issuer_id
        FROM certificates c JOIN certificate_issues i ON i.certificate_id = c.id
        WHERE c.revocation_asked_at IS NOT NULL AND c.revoked_at IS NULL
        ORDER BY c.id LIMIT ?";
}

/// The revocations that are asked for and not done, the oldest certificates first.
pub(in crate::store) fn revocations_open(conn: &mut Conn) -> QueryResult<Vec<Revocation>> {
    let limit = [Bind::Int(i64::from(OPEN_MAX))];
    let rows: Vec<(i64, String, String, i64)> = bind(Revocations, &limit).load(conn)?;
    let open = |(id, pem, reason, issuer): (i64, String, String, i64)| {
        Ok(Revocation {
            certificate: InventoryId(id),
            issuer: InventoryId(issuer),
            pem,
            reason: reason.parse().map_err(|error| {
                QueryError::Defect(format!("revocation of certificate `{id}`: {error}"))
            })?,
        })
    };
    rows.into_iter().map(open).collect()
}

/// Notes that a certificate is revoked.
pub(in crate::store) fn revoked(
    conn: &mut Conn,
    certificate: InventoryId,
    told: &Told,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Published> {
    diesel::update(certificates::table.find(certificate.0))
        .set(certificates::revoked_at.eq(to_micros(now)))
        .execute(conn)?;
    tell(conn, told, ids, now)
}
