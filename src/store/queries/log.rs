//! Process logs.

use diesel::prelude::*;

use super::Conn;
use super::rows::Rows;
use super::statement::{Bind, Statement, bind, run};
use crate::domain::id::ProcessId;
use crate::domain::time::{from_micros, to_micros};
use crate::store::backend::QueryResult;
use crate::store::process::{LOG_LINE_BYTES_MAX, LogLine};
use crate::store::schema::process_logs;

/// Most lines of one reading.
const LINES_MAX: u32 = 10_000;

/// A line that is there already is kept: its writer repeats after an unknown result.
struct Insert;

impl Statement for Insert {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO process_logs (process_id, seq, at, level, text)
        SELECT x.process, x.seq, x.at, x.level, x.text
        FROM {rows process int, seq int, at int, level int, text text} WHERE TRUE
        ON CONFLICT (process_id, seq) DO NOTHING";
}

struct Cut;

impl Statement for Cut {
    type Row = ();
    const SQL: &'static str =
        "DELETE FROM process_logs WHERE process_id = ? AND seq BETWEEN ? AND ?";
}

/// Appends lines, then removes ranges of them (both ends included).
pub(in crate::store) fn append(
    conn: &mut Conn,
    lines: &[LogLine],
    cut: &[(ProcessId, i64, i64)],
) -> QueryResult<()> {
    let mut rows = Rows::default();
    for line in lines {
        rows.push([
            line.process.0.into(),
            line.seq.into(),
            to_micros(line.at).into(),
            line.level.into(),
            within_bound(&line.text).into(),
        ]);
    }
    run(conn, Insert, &rows)?;
    for (process, first, last) in cut {
        bind(Cut, &[process.0, *first, *last].map(Bind::Int)).execute(conn)?;
    }
    Ok(())
}

fn within_bound(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LOG_LINE_BYTES_MAX))
        .unwrap_or(text)
}

/// What a line has.
const COLUMNS: (
    process_logs::seq,
    process_logs::at,
    process_logs::level,
    process_logs::text,
) = (
    process_logs::seq,
    process_logs::at,
    process_logs::level,
    process_logs::text,
);
/// Its [`COLUMNS`] as they are read.
type Row = (i64, i64, i16, String);

/// Lines after `after`, oldest first.
pub(in crate::store) fn read(
    conn: &mut Conn,
    process: ProcessId,
    after: i64,
    limit: u32,
) -> QueryResult<Vec<LogLine>> {
    let rows: Vec<Row> = process_logs::table
        .filter(process_logs::process_id.eq(process.0))
        .filter(process_logs::seq.gt(after))
        .order(process_logs::seq)
        .limit(i64::from(limit.min(LINES_MAX)))
        .select(COLUMNS)
        .load(conn)?;
    Ok(rows.into_iter().map(|row| line(process, row)).collect())
}

/// The last lines between `after` and `before`, both left out, oldest first.
pub(in crate::store) fn read_back(
    conn: &mut Conn,
    process: ProcessId,
    after: i64,
    before: i64,
    limit: u32,
) -> QueryResult<Vec<LogLine>> {
    let rows: Vec<Row> = process_logs::table
        .filter(process_logs::process_id.eq(process.0))
        .filter(process_logs::seq.gt(after))
        .filter(process_logs::seq.lt(before))
        .order(process_logs::seq.desc())
        .limit(i64::from(limit.min(LINES_MAX)))
        .select(COLUMNS)
        .load(conn)?;
    let lines = rows.into_iter().rev().map(|row| line(process, row));
    Ok(lines.collect())
}

fn line(process: ProcessId, (seq, at, level, text): Row) -> LogLine {
    LogLine {
        process,
        seq,
        at: from_micros(at),
        level,
        text,
    }
}
