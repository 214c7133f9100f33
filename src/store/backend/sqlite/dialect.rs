//! What SQLite says differently.

use diesel::query_builder::AstPass;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::Conn;
pub(in crate::store) use super::key_survey::survey as key_survey;
use super::queries::rows::{Cell, Rows};
use super::queries::statement::columns;
pub(in crate::store) use super::transfer;
use crate::store::backend::QueryResult;

/// Rows that one run of a statement takes where there are as many: enough to spread what a statement costs by
/// itself, few enough that the last ones, which run singly, do not matter.
const LARGE_ROWS: usize = 32;

/// What one run of a statement takes of its rows.
#[derive(Debug)]
pub(in crate::store) struct Piece<'a>(Vec<&'a [Cell]>);

/// The rows in pieces of [`LARGE_ROWS`], as long as there are as many.
pub(in crate::store) fn large_pieces<'a>(
    rows: &'a Rows,
    _declared: &str,
) -> impl Iterator<Item = Piece<'a>> {
    let mut rows = rows.iter();
    std::iter::from_fn(move || {
        (rows.len() >= LARGE_ROWS).then(|| Piece(rows.by_ref().take(LARGE_ROWS).collect()))
    })
}

/// What is left of the rows, each by itself.
pub(in crate::store) fn small_pieces(rows: &Rows) -> impl Iterator<Item = Piece<'_>> {
    let all = rows.iter();
    let large = all.len() - all.len() % LARGE_ROWS;
    all.skip(large).map(|row| Piece(Vec::from([row])))
}

/// What SQLite calls the columns of `VALUES`. A declared column beyond them would be missing in the statement.
const COLUMNS: [&str; 20] = [
    "column1", "column2", "column3", "column4", "column5", "column6", "column7", "column8",
    "column9", "column10", "column11", "column12", "column13", "column14", "column15", "column16",
    "column17", "column18", "column19", "column20",
];

/// The rows as the table `x`.
pub(in crate::store) fn push_piece<'b>(
    out: &mut AstPass<'_, 'b, Sqlite>,
    declared: &str,
    piece: &'b Piece<'_>,
) -> diesel::QueryResult<()> {
    let mut before = "(SELECT ";
    // Runs for each row, mostly only to bind its values: nothing is allocated.
    for ((name, _), column) in columns(declared).zip(COLUMNS) {
        for part in [before, column, " AS ", name] {
            out.push_sql(part);
        }
        before = ", ";
    }
    let mut before = " FROM (VALUES (";
    for row in &piece.0 {
        for cell in *row {
            out.push_sql(before);
            match cell {
                Cell::Int(value) => out.push_bind_param::<Nullable<BigInt>, _>(value)?,
                Cell::Text(value) => out.push_bind_param::<Nullable<Text>, _>(value)?,
            }
            before = ", ";
        }
        before = "), (";
    }
    out.push_sql("))) AS x");
    Ok(())
}

/// The rows, for what is to be among their first column.
pub(in crate::store) fn push_among<'b>(
    out: &mut AstPass<'_, 'b, Sqlite>,
    declared: &str,
    piece: &'b Piece<'_>,
) -> diesel::QueryResult<()> {
    out.push_sql("IN (SELECT * FROM ");
    push_piece(out, declared, piece)?;
    out.push_sql(")");
    Ok(())
}

/// Around a value, what is equal to it.
pub(in crate::store) const FOUND_BY: [&str; 2] = ["= ", ""];

/// Keeps rows that were read for a change from others: needless with one writer.
pub(in crate::store) const FOR_UPDATE: &str = "";
/// As above, passing over rows that others hold.
pub(in crate::store) const SKIP_LOCKED: &str = "";
/// As above, letting them renew it.
pub(in crate::store) const KEY_SHARE: &str = "";

/// The task waits for a free instance.
pub(in crate::store) const IS_QUEUED: &str = "status = 1";
/// A task's place in the queue.
pub(in crate::store) const QUEUE_PLACE: &str = "id";
/// The task waits for its time.
pub(in crate::store) const IS_SCHEDULED: &str = "status = 0";
/// The task waits for its next attempt.
pub(in crate::store) const IS_RETRYING: &str = "status = 0 AND process_id IS NOT NULL";

/// Whether one statement claims for all robots: `LATERAL` is not known here, and not needed.
pub(in crate::store) const CLAIMS_AT_ONCE: bool = false;

/// Whether a stretch of an index is said as a comparison of rows: of those, an index by rowid serves the first column only.
pub(in crate::store) const COMPARES_ROWS: bool = false;

/// Whether one statement can change several tables.
pub(in crate::store) const CHANGES_TABLES_AT_ONCE: bool = false;

/// Keeps other appenders of the audit trail away: needless, a writing transaction begins with the lock.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the other back end has something to fail at"
)]
pub(in crate::store) const fn lock_audit(_conn: &mut Conn) -> QueryResult<()> {
    Ok(())
}

/// Keeps other exchanges of shares away: needless, as above.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the other back end has something to fail at"
)]
pub(in crate::store) const fn lock_shares(_conn: &mut Conn) -> QueryResult<()> {
    Ok(())
}

/// The one writer needs no other lock.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the other back end has something to fail at"
)]
pub(in crate::store) const fn lock_text(_conn: &mut Conn, _text: &str) -> QueryResult<()> {
    Ok(())
}

/// What makes a JSON object of names and values.
pub(in crate::store) const JSON_OBJECT: &str = "json_object";

/// The rows of `table` whose column `parent` is `t.id`, oldest first, as a JSON list of `entry` over the row `c`.
pub(in crate::store) fn json_rows(entry: &str, table: &str, parent: &str) -> String {
    format!(
        "json((SELECT json_group_array({entry}) FROM (SELECT * FROM {table} WHERE {parent} = t.id ORDER BY id) AS c))"
    )
}
