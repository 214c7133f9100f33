//! What expires, and who was told of it. See `store::expiration`.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::rows::Rows;
use super::sql::Sql;
use super::statement::{Bind, Statement, bind, find};
use super::{Conn, due, event, mail};
use crate::domain::id::InventoryId;
use crate::domain::inventory::column::Stored;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::event::{NewEvent, Publication, Published};
use crate::store::expiration::{Expirable, Expiring, KnownAs, Notice, PASSED};
use crate::store::mail::NewMail;

struct Credentials;

impl Statement for Credentials {
    type Row = (BigInt, BigInt, Text, Nullable<Text>, Text, Bool);
    const SQL: &'static str = "
        SELECT c.id, c.expires_at, c.username, c.domain, d.hostname, COALESCE(c.expiry_told >= c.expires_at, FALSE)
        FROM credentials c JOIN devices d ON d.id = c.device_id
        WHERE c.expires_at IS NOT NULL AND c.expires_at < ? AND (c.expires_at, c.id) > (?, ?)
            AND c.enabled AND d.enabled
        ORDER BY c.expires_at, c.id LIMIT ?";
}

/// The issuer is known by its name only. One that had ended before the certificate began did not issue it; one that
/// began later may have been made anew from the same key. Two that issue each other are nobody's issuer, else each
/// would be passed over for the other.
struct Certificates;

impl Statement for Certificates {
    type Row = (BigInt, BigInt, BigInt, Text, Text, Nullable<BigInt>);
    const SQL: &'static str = "
        SELECT t.id, t.not_before, t.not_after, t.subject, t.names,
            (SELECT max(a.not_after) FROM certificates a
             WHERE a.subject = t.issuer AND a.subject <> t.subject AND a.issuer <> t.subject
                AND a.not_after >= t.not_before)
        FROM certificates t
        WHERE t.not_after < ? AND (t.not_after, t.id) > (?, ?) AND t.replaced_by IS NULL AND t.revoked_at IS NULL
        ORDER BY t.not_after, t.id LIMIT ?";
}

type CredentialRow = (i64, i64, String, Option<String>, String, bool);
type CertificateRow = (i64, i64, i64, String, String, Option<i64>);

/// A page of things that end before `until`, with who was told.
pub(in crate::store) fn list(
    conn: &mut Conn,
    kind: Expirable,
    until: Timestamp,
    after: Option<(Timestamp, InventoryId)>,
    limit: usize,
) -> QueryResult<Vec<Expiring>> {
    let (end, id) = after.map_or((i64::MIN, i64::MIN), |(end, id)| (to_micros(end), id.0));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let binds = [to_micros(until), end, id, limit].map(Bind::Int);
    let mut things: Vec<Expiring> = match kind {
        Expirable::Credential => {
            let rows: Vec<CredentialRow> = bind(Credentials, &binds).load(conn)?;
            rows.into_iter().map(credential).collect()
        }
        Expirable::Certificate => {
            let rows: Vec<CertificateRow> = bind(Certificates, &binds).load(conn)?;
            rows.into_iter().map(certificate).collect()
        }
    };
    let mut told = told(conn, kind, &things)?;
    for thing in &mut things {
        let key = (thing.id.0, to_micros(thing.ends_at));
        thing.told.extend(told.remove(&key).unwrap_or_default());
    }
    Ok(things)
}

fn credential((id, ends_at, username, domain, device, is_told): CredentialRow) -> Expiring {
    let to_programs = is_told.then(|| (String::new(), PASSED));
    Expiring {
        id: InventoryId(id),
        begins_at: None,
        ends_at: from_micros(ends_at),
        known_as: KnownAs::Account {
            username,
            domain,
            device,
        },
        told: to_programs.into_iter().collect(),
    }
}

fn certificate((id, begins_at, ends_at, subject, names, issuer): CertificateRow) -> Expiring {
    Expiring {
        id: InventoryId(id),
        begins_at: Some(from_micros(begins_at)),
        ends_at: from_micros(ends_at),
        known_as: KnownAs::Subject {
            subject,
            // A list that this program wrote; without it a thing is still told of.
            names: serde_json::from_str(&names).unwrap_or_default(),
            issuer_ends_at: issuer.map(from_micros),
        },
        told: Vec::new(),
    }
}

/// By thing and end.
type Told = HashMap<(i64, i64), Vec<(String, i64)>>;

/// Who was told of these things, and at which level last.
fn told(conn: &mut Conn, kind: Expirable, things: &[Expiring]) -> QueryResult<Told> {
    let mut sql: Sql<(BigInt, BigInt, Text, BigInt)> = Sql::new(
        "SELECT object, ends_at, recipient, min(level) FROM expiration_notices WHERE kind = ",
    );
    sql.int(i64::from(kind.code())).text(" AND object IN ");
    sql.list(things.iter().map(|thing| Stored::Int(Some(thing.id.0))));
    sql.text(" GROUP BY object, ends_at, recipient ORDER BY object, recipient");
    let rows: Vec<(i64, i64, String, i64)> = sql.load(conn)?;
    let mut told = Told::new();
    for (object, ends_at, recipient, level) in rows {
        let of = told.entry((object, ends_at)).or_default();
        of.push((recipient, level));
    }
    Ok(told)
}

/// A notice that was given already is not answered.
struct Remember;

impl Statement for Remember {
    type Row = (BigInt,);
    const SQL: &'static str = "
        INSERT INTO expiration_notices (kind, object, level, recipient, ends_at, told_at)
        SELECT x.kind, x.object, x.level, x.recipient, x.ends_at, x.told_at
        FROM {rows kind int, object int, level int, recipient text, ends_at int, told_at int} WHERE TRUE
        ON CONFLICT (kind, object, level, recipient)
            DO UPDATE SET ends_at = excluded.ends_at, told_at = excluded.told_at
            WHERE expiration_notices.ends_at <> excluded.ends_at
        RETURNING object";
}

/// Remembers notices, queues mails and publishes events.
pub(in crate::store) fn tell(
    conn: &mut Conn,
    notices: &[Notice],
    mails: &[NewMail],
    events: &[NewEvent],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Published> {
    let mut rows = Rows::default();
    for notice in notices {
        rows.push([
            notice.kind().into(),
            notice.object.0.into(),
            notice.level.into(),
            notice.recipient.as_str().into(),
            to_micros(notice.ends_at).into(),
            to_micros(now).into(),
        ]);
    }
    let given: Vec<(i64,)> = find(conn, Remember, &rows, &[])?;
    let ended = || notices.iter().filter(|one| one.is_of_passed_credential());
    let told = due::note_told(conn, ended().map(|one| (one.object, one.ends_at)))?;
    if given.len() < notices.len() || told.len() < ended().count() {
        return Err(QueryError::conflict("another run has told of this"));
    }
    mail::queue(conn, mails, now)?;
    event::insert_events(conn, events, ids, now)
}

/// Credentials without an end and all that is gone match no row.
struct Forget;

impl Statement for Forget {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM expiration_notices WHERE (kind, object, level, recipient) IN (
            SELECT n.kind, n.object, n.level, n.recipient FROM expiration_notices n
            LEFT JOIN credentials c ON n.kind = 0 AND c.id = n.object AND c.expires_at = n.ends_at
            LEFT JOIN certificates t ON n.kind = 1 AND t.id = n.object AND t.not_after = n.ends_at
            WHERE c.id IS NULL AND t.id IS NULL LIMIT ?)";
}

/// Forgets notices of ends that are no more.
pub(in crate::store) fn forget(conn: &mut Conn, limit: u32) -> QueryResult<usize> {
    Ok(bind(Forget, &[Bind::Int(i64::from(limit))]).execute(conn)?)
}
