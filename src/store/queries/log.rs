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

/// Lines after `after`, oldest first.
pub(in crate::store) fn read(
    conn: &mut Conn,
    process: ProcessId,
    after: i64,
    limit: u32,
) -> QueryResult<Vec<LogLine>> {
    let rows: Vec<(i64, i64, i16, String)> = process_logs::table
        .filter(process_logs::process_id.eq(process.0))
        .filter(process_logs::seq.gt(after))
        .order(process_logs::seq)
        .limit(i64::from(limit.min(LINES_MAX)))
        .select((
            process_logs::seq,
            process_logs::at,
            process_logs::level,
            process_logs::text,
        ))
        .load(conn)?;
    let line = |(seq, at, level, text)| LogLine {
        process,
        seq,
        at: from_micros(at),
        level,
        text,
    };
    Ok(rows.into_iter().map(line).collect())
}
