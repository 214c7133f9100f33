//! Hot statements: SQL whose prepared form the connection keeps, which diesel does not do for
//! updates, upserts and many-row inserts of its own making.

use std::marker::PhantomData;

use diesel::QueryResult as DieselResult;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::methods::LoadQuery;
use diesel::sql_types::{BigInt, Text};

use super::rows::Rows;
use super::{Conn, Db, dialect};
use crate::store::backend::QueryResult;

/// A look by the id for each of them, not a join: a server that takes running tasks for many would read all that are queued.
const IS_RUNNING: &str =
    "(SELECT t.status FROM tasks t WHERE t.id = c.task_id AND t.process_id = c.process_id) = 2";

/// Asked in the queue's order: else the server, where it thinks that most tasks are one robot's, reads the whole table
/// to find one of another.
const HAS_QUEUED: [&str; 5] = [
    "EXISTS (SELECT 1 FROM (SELECT 1 AS one FROM tasks WHERE ",
    dialect::IS_QUEUED,
    " AND robot_id = r.id ORDER BY priority DESC, ",
    dialect::QUEUE_PLACE,
    " LIMIT 1) AS first)",
];

/// How the rows that a statement is run for are declared: as a table, and as the list of one column.
const ROWS: &str = "{rows ";
/// See [`ROWS`].
const IN_ROWS: &str = "{in rows ";

/// One statement, known by its type.
pub(in crate::store) trait Statement: 'static {
    /// What its rows are, as diesel's SQL types; `()` where it answers none.
    type Row: 'static;

    /// The text. `?` is the next bind. Words in braces:
    ///
    /// - `{rows a int, b text}` is the table `x` of the rows it is run for, with these columns
    /// - `a {found by x.b}` is true where the two are equal, and has the rows of a table looked up by its index on `a`
    /// - `a {in rows b int}` is true where `a` is among the rows it is run for; likewise
    /// - `{for update}`, `{skip locked}` and `{key share}` keep rows from other transactions
    /// - `{is queued}`, `{is scheduled}` and `{is retrying}` are true of such rows of `tasks`, as its indexes need it said
    /// - `{queue place}` is a task's place among those of its robot and priority
    /// - `{has queued}` is true of those rows `r` of `robots` that have a queued task: as there, a look into a queue asks for
    ///   its order too
    /// - `{is running}` is true of those rows `c` of `claimed` whose run has not ended
    const SQL: &'static str;
}

/// A value for one `?`.
#[derive(Debug, Clone)]
pub(in crate::store) enum Bind {
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
}

impl Bind {
    /// Writes the place of the next bind, and binds it.
    pub(super) fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Db>) -> DieselResult<()> {
        match self {
            Self::Int(value) => out.push_bind_param::<BigInt, _>(value),
            Self::Text(value) => out.push_bind_param::<Text, _>(value),
        }
    }
}

/// A statement with its values. `Z` tells apart the texts that a statement has for pieces of different sizes.
#[derive(Debug)]
pub(in crate::store) struct Bound<'a, S, Z = Small> {
    binds: &'a [Bind],
    piece: Option<dialect::Piece<'a>>,
    statement: PhantomData<(S, Z)>,
}

/// For all rows that fit.
#[derive(Debug)]
pub(in crate::store) struct Large;

/// For one row, or none.
#[derive(Debug)]
pub(in crate::store) struct Small;

/// The statement `S` with `binds` in their order.
pub(in crate::store) fn bind<S: Statement>(_statement: S, binds: &[Bind]) -> Bound<'_, S> {
    Bound {
        binds,
        piece: None,
        statement: PhantomData,
    }
}

impl<'a, S, Z> Bound<'a, S, Z> {
    const fn of(piece: dialect::Piece<'a>, binds: &'a [Bind]) -> Self {
        Self {
            binds,
            piece: Some(piece),
            statement: PhantomData,
        }
    }
}

/// Runs a statement that removes what is from before an instant, in microseconds, at most `limit` rows; answers how many
/// it were. Its binds are these two.
pub(in crate::store) fn prune<S: Statement>(
    conn: &mut Conn,
    statement: S,
    before: i64,
    limit: u32,
) -> QueryResult<usize> {
    let binds = [Bind::Int(before), Bind::Int(i64::from(limit))];
    Ok(bind(statement, &binds).execute(conn)?)
}

/// Runs `statement` for `rows`.
pub(in crate::store) fn run<S: Statement>(
    conn: &mut Conn,
    statement: S,
    rows: &Rows,
) -> QueryResult<()> {
    count(conn, statement, rows, &[]).map(drop)
}

/// Runs `statement` for `rows`; answers how many rows it changed.
pub(in crate::store) fn count<S: Statement>(
    conn: &mut Conn,
    _statement: S,
    rows: &Rows,
    binds: &[Bind],
) -> QueryResult<usize> {
    let mut changed = 0;
    for piece in dialect::large_pieces(rows, declared(S::SQL)) {
        changed += Bound::<S, Large>::of(piece, binds).execute(conn)?;
    }
    for piece in dialect::small_pieces(rows) {
        changed += Bound::<S, Small>::of(piece, binds).execute(conn)?;
    }
    Ok(changed)
}

/// Runs `statement` for `rows` and answers what it finds.
pub(in crate::store) fn find<'a, S, T>(
    conn: &mut Conn,
    _statement: S,
    rows: &'a Rows,
    binds: &'a [Bind],
) -> QueryResult<Vec<T>>
where
    S: Statement,
    Bound<'a, S, Large>: LoadQuery<'a, Conn, T>,
    Bound<'a, S, Small>: LoadQuery<'a, Conn, T>,
{
    let mut found = Vec::new();
    for piece in dialect::large_pieces(rows, declared(S::SQL)) {
        found.extend(Bound::<S, Large>::of(piece, binds).load(conn)?);
    }
    for piece in dialect::small_pieces(rows) {
        found.extend(Bound::<S, Small>::of(piece, binds).load(conn)?);
    }
    Ok(found)
}

/// What stands between the braces of `{rows …}`.
fn declared(sql: &'static str) -> &'static str {
    sql.split_once(ROWS)
        .or_else(|| sql.split_once(IN_ROWS))
        .and_then(|(_, rest)| rest.split_once('}'))
        .map_or("", |(columns, _)| columns)
}

/// Names and types of declared columns.
pub(in crate::store) fn columns(declared: &str) -> impl Iterator<Item = (&str, &str)> {
    declared
        .split(',')
        .filter_map(|column| column.trim().split_once(' '))
}

impl<S: Statement, Z: 'static> QueryId for Bound<'_, S, Z> {
    type QueryId = (PhantomData<S>, PhantomData<Z>);
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<S: Statement, Z> Query for Bound<'_, S, Z> {
    type SqlType = S::Row;
}

impl<S: Statement, Z> diesel::RunQueryDsl<Conn> for Bound<'_, S, Z> {}

impl<S: Statement, Z> QueryFragment<Db> for Bound<'_, S, Z> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> DieselResult<()> {
        let mut binds = self.binds.iter();
        let mut rest = S::SQL;
        while let Some(at) = rest.find(['?', '{']) {
            let (before, from) = rest.split_at(at);
            out.push_sql(before);
            rest = if let Some(after) = from.strip_prefix('?') {
                let next = binds.next();
                next.ok_or_else(|| defect("fewer binds than places"))?
                    .push(&mut out)?;
                after
            } else if let Some((word, after)) = from.split_once('}') {
                match (word, &self.piece) {
                    ("{for update", _) => out.push_sql(dialect::FOR_UPDATE),
                    ("{skip locked", _) => out.push_sql(dialect::SKIP_LOCKED),
                    ("{key share", _) => out.push_sql(dialect::KEY_SHARE),
                    ("{is queued", _) => out.push_sql(dialect::IS_QUEUED),
                    ("{is scheduled", _) => out.push_sql(dialect::IS_SCHEDULED),
                    ("{is retrying", _) => out.push_sql(dialect::IS_RETRYING),
                    ("{queue place", _) => out.push_sql(dialect::QUEUE_PLACE),
                    ("{has queued", _) => HAS_QUEUED.iter().for_each(|part| out.push_sql(part)),
                    ("{is running", _) => out.push_sql(IS_RUNNING),
                    (rows, Some(piece)) if rows.starts_with(ROWS) => {
                        dialect::push_piece(&mut out, declared(S::SQL), piece)?;
                    }
                    (rows, Some(piece)) if rows.starts_with(IN_ROWS) => {
                        dialect::push_among(&mut out, declared(S::SQL), piece)?;
                    }
                    (other, _) => {
                        let value = other.strip_prefix("{found by ");
                        let value = value.ok_or_else(|| {
                            defect("an unknown word in braces, or rows without rows")
                        })?;
                        let [before, after] = dialect::FOUND_BY;
                        out.push_sql(before);
                        out.push_sql(value);
                        out.push_sql(after);
                    }
                }
                after
            } else {
                return Err(defect("an open brace"));
            };
        }
        out.push_sql(rest);
        if binds.next().is_some() {
            Err(defect("more binds than places"))
        } else {
            Ok(())
        }
    }
}

fn defect(what: &str) -> diesel::result::Error {
    diesel::result::Error::QueryBuilderError(what.into())
}
