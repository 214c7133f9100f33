//! What PostgreSQL needs of its own when a whole database is written to a file or read from one.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::Conn;
use crate::store::backend::QueryResult;
use crate::store::schema::list::TableShape;

/// Run first in a snapshot that is read from end to end: to count a large table takes its time, and so may the file.
pub(in crate::store) const BEFORE_EXPORT: &str = PATIENCE;

const PATIENCE: &str =
    "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// Run first in a transaction that fills all tables: keeps other writers away until its end.
pub(in crate::store) fn before_import(tables: &[TableShape]) -> String {
    let names: Vec<&str> = tables.iter().map(|table| table.name).collect();
    format!(
        "{PATIENCE}; LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE",
        names.join(", ")
    )
}

/// Run last in such a transaction: plans that are made before the server has counted by itself would be those of
/// empty tables.
pub(in crate::store) const AFTER_IMPORT: &str = "ANALYZE";

/// The sequence behind the ids that a table gives out by itself.
const SEQUENCE: &str = "
    SELECT pg_get_serial_sequence(format('%I.%I', table_schema, table_name), column_name) AS name
    FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = $1 AND is_identity = 'YES'";

#[derive(QueryableByName)]
struct Sequence {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Last {
    #[diesel(sql_type = Nullable<BigInt>)]
    value: Option<i64>,
}

fn sequence(conn: &mut Conn, table: &str) -> QueryResult<Option<String>> {
    let found: Option<Sequence> = diesel::sql_query(SEQUENCE)
        .bind::<Text, _>(table)
        .get_result(conn)
        .optional()?;
    Ok(found.map(|sequence| sequence.name))
}

/// The last id that a table gave out by itself; none where it has given out none, or never does.
pub(in crate::store) fn last_given(conn: &mut Conn, table: &str) -> QueryResult<Option<i64>> {
    let Some(sequence) = sequence(conn, table)? else {
        return Ok(None);
    };
    let last: Last =
        diesel::sql_query("SELECT pg_sequence_last_value($1::text::regclass) AS value")
            .bind::<Text, _>(sequence)
            .get_result(conn)?;
    Ok(last.value)
}

/// Lets the ids that a table gives out by itself go on after `last`.
pub(in crate::store) fn go_on_after(conn: &mut Conn, table: &str, last: i64) -> QueryResult<()> {
    if let Some(sequence) = sequence(conn, table)? {
        let _set: Last = diesel::sql_query("SELECT setval($1::text::regclass, $2) AS value")
            .bind::<Text, _>(sequence)
            .bind::<BigInt, _>(last)
            .get_result(conn)?;
    }
    Ok(())
}
