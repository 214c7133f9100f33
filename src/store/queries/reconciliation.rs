//! Accounts that are to be asked for their secrets. See `store::reconciliation`.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Conn;
use super::candidate::account;
use super::execution::holds;
use super::sql::Sql;
use crate::domain::exclusion::Exclusions;
use crate::domain::id::InventoryId;
use crate::domain::inventory::column::Stored;
use crate::domain::inventory::name::{first_part, identity};
use crate::domain::time::to_micros;
use crate::store::backend::QueryResult;
use crate::store::reconciliation::Unreconciled;

/// When the account was last asked, by whichever registration.
const ASKED: &str = concat!(
    "COALESCE(CASE WHEN c.domain IS NULL THEN c.secret_tested_at ELSE (SELECT max(s.secret_tested_at)
        FROM credentials s WHERE s.identity >= ",
    account!("c"),
    " AND s.identity < ",
    account!("c"),
    " || ':') END, 0)"
);

/// When this registration was last tried: one whose device does not answer leaves the next turn to another one.
const TRIED: &str =
    "CASE WHEN c.domain IS NULL THEN 0 ELSE COALESCE((SELECT max(o.finished_at) FROM operations o
    WHERE o.credential_id = c.id AND o.kind IN (0, 1, 2, 4)), 0) END";

/// No operation of the credential `c`, and none of any registration of its account; what it is like follows.
const DONE_TO: [&str; 2] = [
    " AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.credential_id = c.id AND ",
    concat!(
        " AND (c.domain IS NULL OR NOT EXISTS (SELECT 1 ",
        "FROM credentials s JOIN operations o ON o.credential_id = s.id WHERE s.identity >= ",
        account!("c"),
        " AND s.identity < ",
        account!("c"),
        " || ':' AND "
    ),
];

/// Leaves out credentials to whose account something is being done that signs in, or was a short while ago.
fn leave_alone(sql: &mut Sql<(BigInt, Text)>, sought: &Unreconciled) {
    for (done_to, end) in DONE_TO.into_iter().zip([")", "))"]) {
        sql.text(done_to)
            .text(
                "((o.kind IN (0, 1, 4) AND o.finished_at IS NULL)
                OR (o.kind IN (0, 1, 2, 4) AND o.finished_at > CASE WHEN v.version IS NULL THEN ",
            )
            .int(to_micros(sought.tried_before))
            .text(" ELSE ")
            .int(to_micros(sought.settled_before))
            .text(" END))")
            .text(end);
    }
}

/// Credentials whose account is to be asked, one of each account. Kinds 0 to 2 and 4 sign in with the recorded secrets.
pub(in crate::store) fn unreconciled(
    conn: &mut Conn,
    sought: &Unreconciled,
    limit: u32,
) -> QueryResult<Vec<InventoryId>> {
    // Counted once for each device: an inventory may hold thousands of accounts of one.
    let mut sql: Sql<(BigInt, Text)> = Sql::new(concat!(
        "SELECT c.id, ",
        account!("c"),
        " FROM credentials c
        JOIN devices d ON d.id = c.device_id AND d.enabled
        LEFT JOIN secret_versions v ON v.credential_id = c.id AND v.state = 0
        LEFT JOIN (SELECT device_id, count(*) AS refused FROM credentials
            WHERE secret_state = 'mismatch' AND secret_tested_at > "
    ));
    sql.int(to_micros(sought.mismatches_since));
    if let Some(only) = sought.only {
        sql.text(" AND device_id = (SELECT device_id FROM credentials WHERE id = ")
            .int(only.0)
            .text(")");
    }
    sql.text(
        " GROUP BY device_id) AS m ON m.device_id = c.device_id
        WHERE c.enabled AND c.secret_version IS NOT NULL AND c.deactivated_at IS NULL",
    );
    if let Some(only) = sought.only {
        sql.text(" AND c.id = ").int(only.0);
    }
    sql.text(format!(" AND (v.version IS NOT NULL OR {ASKED} <= "))
        .int(to_micros(sought.tested_before))
        .text(
            ") AND COALESCE(m.refused, 0) - CASE WHEN c.secret_state = 'mismatch' AND c.secret_tested_at > ",
        )
        .int(to_micros(sought.mismatches_since))
        .text(" THEN 1 ELSE 0 END < ")
        .int(i64::from(sought.mismatches_max));
    leave_alone(&mut sql, sought);
    leave_out(&mut sql, &sought.exclude);
    sql.text(format!(
        " ORDER BY CASE WHEN v.version IS NULL THEN 1 ELSE 0 END, {ASKED}, {TRIED}, c.id LIMIT "
    ))
    .int(i64::from(limit));
    let rows: Vec<(i64, String)> = sql.load(conn)?;
    let mut accounts = HashSet::new();
    let first = |(id, account): (i64, String)| accounts.insert(account).then_some(InventoryId(id));
    Ok(rows.into_iter().filter_map(first).collect())
}

/// How many secrets were refused.
pub(in crate::store) fn mismatches(conn: &mut Conn, exclude: &Exclusions) -> QueryResult<u64> {
    let mut sql: Sql<(BigInt,)> = Sql::new(
        "SELECT count(*) FROM credentials c JOIN devices d ON d.id = c.device_id AND d.enabled
        WHERE c.enabled AND c.secret_state = 'mismatch'",
    );
    leave_out(&mut sql, exclude);
    let (count,): (i64,) = sql.get_result(conn)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Leaves out credentials `c` of devices `d` that are excluded.
fn leave_out<T>(sql: &mut Sql<T>, exclude: &Exclusions) {
    for (column, names) in [
        ("c.identity", &exclude.usernames),
        ("d.identity", &exclude.hostnames),
    ] {
        for name in names {
            let (from, to) = first_part(name);
            sql.text(format!(" AND NOT ({column} >= "))
                .bind(Stored::Text(Some(from)))
                .text(format!(" AND {column} < "))
                .bind(Stored::Text(Some(to)))
                .text(")");
        }
    }
    for tag in &exclude.tags {
        for tags in ["c.tags", "d.tags"] {
            sql.text(format!(" AND {tags} NOT LIKE "))
                .bind(Stored::Text(Some(holds(tag))))
                .text(" ESCAPE '!'");
        }
    }
    if !exclude.user_groups.is_empty() {
        let groups = exclude.user_groups.iter();
        let groups = groups.map(|name| Stored::Text(Some(identity(&[name]))));
        // A login is the whole identity of a user, and the first part of that of a credential; the space is the character behind
        // the end of a part.
        sql.text(
            " AND NOT EXISTS (SELECT 1 FROM user_groups g
                JOIN user_group_members m ON m.group_id = g.id JOIN users u ON u.id = m.user_id
                WHERE c.identity >= u.identity
                    AND c.identity < substr(u.identity, 1, length(u.identity) - 1) || ' '
                    AND g.identity IN ",
        )
        .list(groups)
        .text(")");
    }
}
