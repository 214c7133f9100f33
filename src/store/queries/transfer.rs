//! All rows of all tables, out and in. See `store::transfer`.

use std::sync::{Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::deserialize::QueryableByName;
use diesel::prelude::*;
use diesel::row::{Field, NamedRow, Row};
use diesel::sql_types::{BigInt, Binary, Bool, Double, Integer, Nullable, SmallInt, Text, Untyped};

use super::sql::Sql;
use super::{Conn, Db, dialect, upkeep};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::datum::{Datum, Kind};
use crate::store::schema::list::{ColumnShape, TableShape, tables};
use crate::store::transfer::{Incoming, Outgoing, TableLine};

/// Rows read at a time. The longest are tasks of 256 KiB: 100 of them stay within 60 MiB, escapes included, and a trip to
/// the server for 100 costs less than writing them out does.
const PAGE_ROWS: usize = 100;

/// Rows read at a time where there are bytes among the columns: those of a file may be 8 MiB long.
const PAGE_ROWS_OF_BYTES: usize = 4;

/// Rows written at a time, as long as they are not longer than [`BATCH_BYTES_MAX`].
const BATCH_ROWS: usize = 100;

/// See [`BATCH_ROWS`].
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A row whose columns are named by what they hold, see [`select`].
struct Found(Vec<Datum>);

impl QueryableByName<Db> for Found {
    fn build<'a>(row: &impl NamedRow<'a, Db>) -> diesel::deserialize::Result<Self> {
        (0..row.field_count())
            .map(|at| datum(row, at))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn datum<'a>(row: &impl Row<'a, Db>, at: usize) -> diesel::deserialize::Result<Datum> {
    let kind = row
        .get(at)
        .and_then(|field| field.field_name().and_then(Kind::named))
        .ok_or("a column without a kind")?;
    Ok(match kind {
        Kind::SmallInt => Datum::Int(
            row.get_value::<Nullable<SmallInt>, Option<i16>, _>(at)?
                .map(i64::from),
        ),
        Kind::Integer => Datum::Int(
            row.get_value::<Nullable<Integer>, Option<i32>, _>(at)?
                .map(i64::from),
        ),
        Kind::BigInt => Datum::Int(row.get_value::<Nullable<BigInt>, _, _>(at)?),
        Kind::Text => Datum::Text(row.get_value::<Nullable<Text>, _, _>(at)?),
        Kind::Bool => Datum::Bool(row.get_value::<Nullable<Bool>, _, _>(at)?),
        Kind::Double => Datum::Double(row.get_value::<Nullable<Double>, _, _>(at)?),
        Kind::Binary => Datum::Binary(row.get_value::<Nullable<Binary>, _, _>(at)?),
    })
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// Writes all tables to `out`, as they stand in the snapshot.
pub(in crate::store) fn export(conn: &mut Conn, out: &Mutex<Outgoing>) -> QueryResult<()> {
    let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
    conn.batch_execute(dialect::transfer::BEFORE_EXPORT)?;
    let tables = tables();
    let mut lines = Vec::with_capacity(tables.len());
    for table in &tables {
        let rows = count(conn, table)?;
        let last_id = dialect::transfer::last_given(conn, table.name)?;
        lines.push(TableLine::of(table, rows, last_id));
    }
    out.begin(upkeep::key_check(conn)?, lines)?;
    for table in &tables {
        let mut after = None;
        while let Some(last) = page(conn, table, after.take(), &mut out)? {
            after = Some(last);
        }
    }
    out.end()
}

fn count(conn: &mut Conn, table: &TableShape) -> QueryResult<u64> {
    let sql = format!("SELECT count(*) AS value FROM {}", table.name);
    let count: Count = diesel::sql_query(sql).get_result(conn)?;
    Ok(u64::try_from(count.value).unwrap_or_default())
}

/// Writes the rows whose keys follow `after`; answers the last one's key where there may be more.
fn page(
    conn: &mut Conn,
    table: &TableShape,
    after: Option<Vec<Datum>>,
    out: &mut Outgoing,
) -> QueryResult<Option<Vec<Datum>>> {
    let limit = page_rows(table);
    let rows: Vec<Found> = select(table, after, limit).load(conn)?;
    for Found(row) in &rows {
        out.row(row)?;
    }
    let last = rows.into_iter().nth(limit - 1);
    Ok(last.map(|Found(mut row)| {
        row.truncate(table.key_columns);
        row
    }))
}

fn page_rows(table: &TableShape) -> usize {
    let of_bytes = |column: &ColumnShape| column.kind == Kind::Binary;
    if table.columns.iter().any(of_bytes) {
        PAGE_ROWS_OF_BYTES
    } else {
        PAGE_ROWS
    }
}

/// The statement of a page. Each column is called by what it holds, because the row's reader is told nothing else.
fn select(table: &TableShape, after: Option<Vec<Datum>>, limit: usize) -> Sql<Untyped> {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("\"{}\" AS \"{}\"", column.name, column.kind.name()))
        .collect();
    let key = names(table, table.key_columns);
    let mut sql = Sql::new(format!("SELECT {} FROM {}", columns.join(", "), table.name));
    if let Some(after) = after {
        sql.text(format!(" WHERE ({key}) > "));
        values(&mut sql, after);
    }
    sql.text(format!(" ORDER BY {key} LIMIT {limit}"));
    sql
}

/// The first `count` columns.
fn names(table: &TableShape, count: usize) -> String {
    let names: Vec<String> = table
        .columns
        .iter()
        .take(count)
        .map(|column| format!("\"{}\"", column.name))
        .collect();
    names.join(", ")
}

/// Adds `(…, …)`. Unlike a list of any length, the text is always the same for one table.
fn values<T>(sql: &mut Sql<T>, row: Vec<Datum>) {
    let mut before = "(";
    for datum in row {
        sql.text(before).bind(datum);
        before = ", ";
    }
    sql.text(")");
}

/// Fills all tables from `from`, which is read to its end.
pub(in crate::store) fn import(conn: &mut Conn, from: &Mutex<Incoming>) -> QueryResult<()> {
    let mut from = from.lock().unwrap_or_else(PoisonError::into_inner);
    from.begin()?;
    let tables = tables();
    conn.batch_execute(&dialect::transfer::before_import(&tables))?;
    make_sure_of_emptiness(conn, &tables, from.master_key())?;
    for table in &tables {
        let line = from.table(table)?;
        let mut left = line.rows;
        while left > 0 {
            let mut rows = Vec::new();
            let mut bytes = 0;
            while left > 0 && rows.len() < BATCH_ROWS && bytes < BATCH_BYTES_MAX {
                let (row, length) = from.row(table)?;
                rows.push(row);
                bytes += length;
                left -= 1;
            }
            insert(conn, table, rows)?;
        }
        if let Some(last) = line.last_id {
            dialect::transfer::go_on_after(conn, table.name, last)?;
        }
    }
    conn.batch_execute(dialect::transfer::AFTER_IMPORT)?;
    from.end()
}

/// Refuses a database that holds anything but the check of the same master key, which goes.
fn make_sure_of_emptiness(
    conn: &mut Conn,
    tables: &[TableShape],
    master_key: Option<&str>,
) -> QueryResult<()> {
    if upkeep::key_check(conn)?.as_deref() == master_key {
        upkeep::remove_key_check(conn)?;
    }
    for table in tables {
        let sql = format!(
            "SELECT count(*) AS value FROM (SELECT 1 FROM {} LIMIT 1) AS x",
            table.name
        );
        let found: Count = diesel::sql_query(sql).get_result(conn)?;
        if found.value > 0 {
            return Err(QueryError::conflict(format!(
                "this database is not empty (table `{}`); import into a new one",
                table.name
            )));
        }
    }
    Ok(())
}

fn insert(conn: &mut Conn, table: &TableShape, rows: Vec<Vec<Datum>>) -> QueryResult<()> {
    let count = rows.len();
    let columns = names(table, table.columns.len());
    let mut sql: Sql = Sql::new(format!("INSERT INTO {} ({columns}) VALUES ", table.name));
    let mut before = "";
    for row in rows {
        sql.text(before);
        values(&mut sql, row);
        before = ", ";
    }
    if sql.execute(conn)? == count {
        Ok(())
    } else {
        Err(QueryError::Defect(format!(
            "not all rows of `{}` were taken",
            table.name
        )))
    }
}
