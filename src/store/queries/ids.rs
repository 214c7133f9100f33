//! Blocks of ids, so that they are known before the insert, and which ids belong to which time.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::Conn;
use super::statement::{Bind, Statement, bind};
use crate::domain::time::{Timestamp, to_micros};
use crate::store::backend::QueryResult;
use crate::store::id::{BLOCK_LIFE, Series};

/// Furthest that two marks of a series are apart, in time and in ids: what a search by time reads in vain.
pub(in crate::store) const MARK_EVERY: TimeDelta = TimeDelta::seconds(60);
/// See [`MARK_EVERY`].
pub(in crate::store) const MARK_IDS: i64 = 50_000;
/// How long before its ids a call may have looked at the clock.
const CALL_MAX: TimeDelta = TimeDelta::seconds(5);

struct Reserve;

impl Statement for Reserve {
    type Row = (BigInt,);
    const SQL: &'static str = "
        INSERT INTO id_blocks (name, next) VALUES (?, 1 + ?)
        ON CONFLICT (name) DO UPDATE SET next = id_blocks.next + excluded.next - 1
        RETURNING next";
}

/// Where the series stands now, unless its last mark says so closely enough.
struct Mark;

impl Statement for Mark {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO id_marks (name, first, at)
        SELECT ?, ?, ?
        WHERE NOT EXISTS (
            SELECT 1 FROM (SELECT first, at FROM id_marks WHERE name = ? ORDER BY first DESC LIMIT 1) AS last
            WHERE last.first > ? AND last.at <= ? AND last.at > ?)";
}

/// Takes the next `count` ids of a series; answers the first.
pub(in crate::store) fn reserve(
    conn: &mut Conn,
    series: Series,
    count: i64,
    now: Timestamp,
) -> QueryResult<i64> {
    let name = series.name();
    let binds = [Bind::Text(name.to_owned()), Bind::Int(count)];
    let (next,): (i64,) = bind(Reserve, &binds).get_result(conn)?;
    let first = next - count;
    if series.is_marked() {
        mark(conn, name, first, now)?;
    }
    Ok(first)
}

fn mark(conn: &mut Conn, name: &str, first: i64, now: Timestamp) -> QueryResult<()> {
    let (name, at) = (|| Bind::Text(name.to_owned()), to_micros(now));
    let binds = [
        name(),
        Bind::Int(first),
        Bind::Int(at),
        name(),
        Bind::Int(first - MARK_IDS),
        Bind::Int(at),
        Bind::Int(to_micros(now - MARK_EVERY)),
    ];
    bind(Mark, &binds).execute(conn)?;
    Ok(())
}

/// Ids from `first` on and before `end`, where these are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// The first.
    pub(super) first: Option<i64>,
    /// The first that is not of it.
    pub(super) end: Option<i64>,
}

impl Span {
    /// What ids must be below that follow `after` in a list from the newest to the oldest.
    pub(super) fn before(self, after: Option<i64>) -> Option<i64> {
        self.end.into_iter().chain(after).min()
    }
}

/// The lowest mark that is not older than an instant, and whether there is an older one at all: ids of a time
/// before the first mark are unknown.
struct Since;

impl Statement for Since {
    type Row = (Nullable<BigInt>, diesel::sql_types::Bool);
    const SQL: &'static str = "
        SELECT (SELECT min(first) FROM id_marks WHERE name = ? AND at >= ?),
            EXISTS (SELECT 1 FROM id_marks WHERE name = ? AND at < ?)";
}

/// The mark that follows the highest of those before an instant; the first of all where none is before it.
struct Until;

impl Statement for Until {
    type Row = (Nullable<BigInt>,);
    const SQL: &'static str = "
        SELECT min(first) FROM id_marks WHERE name = ? AND first >
            COALESCE((SELECT max(first) FROM id_marks WHERE name = ? AND at < ?), 0)";
}

/// The ids that things can have whose time is `from` or later and before `to`: the time at which each got its id.
///
/// An id was reserved within [`MARK_EVERY`] of its mark and used within [`BLOCK_LIFE`] of that, so that the span is
/// wider than the time by two minutes, or by [`MARK_IDS`] ids, and never narrower.
pub(super) fn span(
    conn: &mut Conn,
    series: Series,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> QueryResult<Span> {
    let name = || Bind::Text(series.name().to_owned());
    let mut span = Span::default();
    if let Some(from) = from {
        let reserved = Bind::Int(to_micros(from - BLOCK_LIFE - MARK_EVERY));
        let binds = [name(), reserved.clone(), name(), reserved];
        let (first, known): (Option<i64>, bool) = bind(Since, &binds).get_result(conn)?;
        if known {
            span.first = Some(first.unwrap_or(i64::MAX));
        }
    }
    if let Some(to) = to {
        let binds = [name(), name(), Bind::Int(to_micros(to + CALL_MAX))];
        (span.end,) = bind(Until, &binds).get_result(conn)?;
    }
    Ok(span)
}
