//! What SQLite needs of its own when a whole database is written to a file or read from one.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Conn;
pub(in crate::store) use super::key_survey::last_given;
use crate::store::backend::QueryResult;
use crate::store::schema::list::TableShape;

/// Run first in a snapshot that is read from end to end.
pub(in crate::store) const BEFORE_EXPORT: &str = "";

/// Run first in a transaction that fills all tables: it is the only writer as it is.
pub(in crate::store) const fn before_import(_tables: &[TableShape]) -> String {
    String::new()
}

/// Run last in such a transaction.
pub(in crate::store) const AFTER_IMPORT: &str = "";

/// Lets the ids that a table gives out by itself go on after `last`.
pub(in crate::store) fn go_on_after(conn: &mut Conn, table: &str, last: i64) -> QueryResult<()> {
    const RAISE: &str = "UPDATE sqlite_sequence SET seq = max(seq, $1) WHERE name = $2";
    const ADD: &str = "INSERT INTO sqlite_sequence (seq, name) VALUES ($1, $2)";
    for sql in [RAISE, ADD] {
        let changed = diesel::sql_query(sql)
            .bind::<BigInt, _>(last)
            .bind::<Text, _>(table)
            .execute(conn)?;
        if changed > 0 {
            break;
        }
    }
    Ok(())
}
