//! Which issues of certificates are no longer needed. See `store::certificate`.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Conn;
use super::rows::Rows;
use super::statement::{Bind, Statement, bind, run};
use crate::domain::time::{Timestamp, to_micros};
use crate::store::backend::QueryResult;

/// Issues that ended before an instant and that nothing refers to any more: no automation and no service has their certificate in
/// force, no publication of them is open, their certificate is replaced, and their issuer counts their order no longer.
struct OldIssues;

impl Statement for OldIssues {
    type Row = (BigInt, BigInt);
    const SQL: &'static str = "
        SELECT i.id, i.private_key FROM certificate_issues i
        WHERE i.finished_at < ?
            AND NOT EXISTS (SELECT 1 FROM certificate_automations a WHERE a.issue = i.id)
            AND NOT EXISTS (SELECT 1 FROM certificate_bindings b WHERE b.published_issue = i.id)
            AND NOT EXISTS (
                SELECT 1 FROM certificate_publications p WHERE p.issue_id = i.id AND p.finished_at IS NULL)
            AND NOT EXISTS (SELECT 1 FROM certificates c WHERE c.id = i.certificate_id AND c.replaced_by IS NULL AND c.revoked_at IS NULL)
            AND NOT EXISTS (
                SELECT 1 FROM certificate_issuers s
                WHERE s.id = i.issuer_id AND i.created_at > ? - s.orders_window * 1000000)
        ORDER BY i.finished_at LIMIT ?";
}

struct RemoveIssues;

impl Statement for RemoveIssues {
    type Row = ();
    const SQL: &'static str = "DELETE FROM certificate_issues WHERE id {in rows issue int}";
}

/// An issue may have taken the private key of the one before it.
struct RemoveKeys;

impl Statement for RemoveKeys {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM private_keys WHERE id {in rows owned int}
            AND NOT EXISTS (SELECT 1 FROM certificate_issues i WHERE i.private_key = private_keys.id)";
}

/// Removes issues that ended before an instant, with their private keys, at most `limit`.
pub(in crate::store) fn prune(
    conn: &mut Conn,
    before: i64,
    limit: u32,
    now: Timestamp,
) -> QueryResult<usize> {
    let binds = [
        Bind::Int(before),
        Bind::Int(to_micros(now)),
        Bind::Int(i64::from(limit)),
    ];
    let old: Vec<(i64, i64)> = bind(OldIssues, &binds).load(conn)?;
    let issues = Rows::column(old.iter().map(|(issue, _)| *issue));
    let keys = Rows::column(old.iter().map(|(_, key)| *key));
    run(conn, RemoveIssues, &issues)?;
    run(conn, RemoveKeys, &keys)?;
    Ok(old.len())
}
