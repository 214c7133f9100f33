//! What PostgreSQL says differently.

use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::query_builder::AstPass;
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use super::Conn;
pub(in crate::store) use super::key_survey::survey as key_survey;
use super::queries::rows::{Cell, Rows};
use super::queries::statement::columns;
pub(in crate::store) use super::transfer;
use crate::store::backend::QueryResult;

/// Longest piece. A row is at most a payload or an event (256 KiB) and its columns; pieces bound the memory of a
/// batch of large ones on both sides.
pub(in crate::store) const PIECE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What one run of a statement takes of its rows: arrays, one a column.
#[derive(Debug)]
pub(in crate::store) struct Piece<'a>(Vec<Column<'a>>);

#[derive(Debug)]
enum Column<'a> {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<&'a str>>),
}

impl Column<'_> {
    const fn len(&self) -> usize {
        match self {
            Self::Ints(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }
}

/// All rows at once, as long as they are not too long.
pub(in crate::store) fn large_pieces<'a>(
    rows: &'a Rows,
    declared: &'a str,
) -> impl Iterator<Item = Piece<'a>> {
    let mut rows = rows.iter().peekable();
    std::iter::from_fn(move || {
        rows.peek()?;
        let mut piece = empty(declared);
        let mut bytes = 0;
        while let Some(row) = rows.next_if(|row| bytes == 0 || bytes + size(row) <= PIECE_BYTES_MAX)
        {
            bytes += size(row);
            for (column, cell) in piece.iter_mut().zip(row) {
                match (column, cell) {
                    (Column::Ints(values), Cell::Int(value)) => values.push(*value),
                    (Column::Texts(values), Cell::Text(value)) => values.push(value.as_deref()),
                    // Of another kind than declared: seen below by the length of the array.
                    _ => {}
                }
            }
        }
        Some(Piece(piece))
    })
}

/// None: see [`large_pieces`].
pub(in crate::store) fn small_pieces(_rows: &Rows) -> impl Iterator<Item = Piece<'_>> {
    std::iter::empty()
}

fn empty<'a>(declared: &str) -> Vec<Column<'a>> {
    columns(declared)
        .map(|(_, kind)| match kind {
            "int" => Column::Ints(Vec::new()),
            _ => Column::Texts(Vec::new()),
        })
        .collect()
}

fn size(row: &[Cell]) -> usize {
    row.iter()
        .map(|cell| match cell {
            Cell::Int(_) | Cell::Text(None) => 8,
            Cell::Text(Some(text)) => 8 + text.len(),
        })
        .sum()
}

/// The arrays as the table `x`.
pub(in crate::store) fn push_piece<'b>(
    out: &mut AstPass<'_, 'b, Pg>,
    declared: &str,
    piece: &'b Piece<'_>,
) -> diesel::QueryResult<()> {
    if !piece
        .0
        .iter()
        .all(|column| column.len() == piece.0[0].len())
    {
        return Err(diesel::result::Error::QueryBuilderError(
            format!("a cell of another kind than declared in `{declared}`").into(),
        ));
    }
    let mut before = "unnest(";
    for column in &piece.0 {
        out.push_sql(before);
        match column {
            Column::Ints(values) => {
                out.push_bind_param::<Array<Nullable<BigInt>>, _>(values)?;
            }
            Column::Texts(values) => {
                out.push_bind_param::<Array<Nullable<Text>>, _>(values)?;
            }
        }
        before = ", ";
    }
    let mut before = ") AS x(";
    for (name, _) in columns(declared) {
        out.push_sql(before);
        out.push_sql(name);
        before = ", ";
    }
    out.push_sql(")");
    Ok(())
}

/// The array of the first column, for what is to be among it.
pub(in crate::store) fn push_among<'b>(
    out: &mut AstPass<'_, 'b, Pg>,
    _declared: &str,
    piece: &'b Piece<'_>,
) -> diesel::QueryResult<()> {
    out.push_sql("= ANY (");
    match piece.0.first() {
        Some(Column::Ints(values)) => out.push_bind_param::<Array<Nullable<BigInt>>, _>(values)?,
        Some(Column::Texts(values)) => out.push_bind_param::<Array<Nullable<Text>>, _>(values)?,
        None => {}
    }
    out.push_sql(")");
    Ok(())
}

/// Around a value, what is equal to it. By `=` the server may also walk through the table's index and look for each of its rows
/// among those it is compared with, as it does where the table was empty when it last counted; this it can only look up.
pub(in crate::store) const FOUND_BY: [&str; 2] = ["= ANY (ARRAY[", "])"];

/// Keeps rows that were read for a change from others until the commit.
pub(in crate::store) const FOR_UPDATE: &str = "FOR UPDATE";
/// As above, passing over rows that others hold.
pub(in crate::store) const SKIP_LOCKED: &str = "FOR UPDATE SKIP LOCKED";
/// Lets others read and renew a row until the commit, but not take it with one of the above.
pub(in crate::store) const KEY_SHARE: &str = "FOR KEY SHARE";

/// The task waits for a free instance. The indexes know its stage only, which a claim does not change.
pub(in crate::store) const IS_QUEUED: &str = "stage = 1 AND status = 1";
/// A task's place in the queue, as only the queue's index knows it: by its bare id the server may choose to walk
/// over all tasks in the order of their ids, whosever they are.
pub(in crate::store) const QUEUE_PLACE: &str = "(id + 0)";
/// The task waits for its time.
pub(in crate::store) const IS_SCHEDULED: &str = "stage <> 1 AND status = 0";
/// The task waits for its next attempt.
pub(in crate::store) const IS_RETRYING: &str = "stage = 2";

/// Whether one statement claims for all robots: saves a round trip for each.
pub(in crate::store) const CLAIMS_AT_ONCE: bool = true;

/// Whether a stretch of an index is said as a comparison of rows: said column by column, in the order of ids, the server
/// walks through the ids of all robots where it takes one robot's rows to be spread evenly.
pub(in crate::store) const COMPARES_ROWS: bool = true;

/// Whether one statement can change several tables: saves round trips and reads the rows once.
pub(in crate::store) const CHANGES_TABLES_AT_ONCE: bool = true;

/// Keeps other appenders of the audit trail away until the end of the transaction. The number is any,
/// but the same in every robotd.
pub(in crate::store) fn lock_audit(conn: &mut Conn) -> QueryResult<()> {
    Ok(conn.batch_execute("SELECT pg_advisory_xact_lock(8209744731520931)")?)
}

/// Keeps other exchanges of shares away until the end of the transaction. The number is any, but the same in every robotd.
pub(in crate::store) fn lock_shares(conn: &mut Conn) -> QueryResult<()> {
    Ok(conn.batch_execute("SELECT pg_advisory_xact_lock(8209744731520933)")?)
}

/// Keeps others that lock the same text away until the end of the transaction. The seed is any, but the same in every
/// robotd.
pub(in crate::store) fn lock_text(conn: &mut Conn, text: &str) -> QueryResult<()> {
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 8209744731520932))";
    let lock = diesel::sql_query(lock).bind::<Text, _>(text);
    diesel::RunQueryDsl::execute(lock, conn)?;
    Ok(())
}

/// What makes a JSON object of names and values.
pub(in crate::store) const JSON_OBJECT: &str = "json_build_object";

/// The rows of `table` whose column `parent` is `t.id`, oldest first, as a JSON list of `entry` over the row `c`.
pub(in crate::store) fn json_rows(entry: &str, table: &str, parent: &str) -> String {
    format!(
        "(SELECT COALESCE(json_agg({entry} ORDER BY c.id), '[]') FROM {table} AS c WHERE c.{parent} = t.id)"
    )
}
