//! Hot statements: SQL whose prepared form the connection keeps, which diesel does not do for
//! updates, upserts and many-row inserts of its own making.

use std::marker::PhantomData;

use diesel::QueryResult;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};

use super::{Conn, Db, dialect};

/// One statement, known by its type.
pub(in crate::store) trait Statement: 'static {
    /// What its rows are, as diesel's SQL types; `()` where it answers none.
    type Row: 'static;

    /// The text. `?` is the next bind; `{rows}` the elements of the JSON array that is the next
    /// bind, as rows with the one column `value`; `{for update}` and `{skip locked}` what keeps
    /// rows from other transactions.
    const SQL: &'static str;
}

/// A value for one `?`.
#[derive(Debug, Clone)]
pub(in crate::store) enum Bind {
    /// A number.
    Int(i64),
    /// A text, or a JSON array for `{rows}`.
    Text(String),
}

/// A statement with its values.
#[derive(Debug)]
pub(in crate::store) struct Bound<S> {
    binds: Vec<Bind>,
    statement: PhantomData<S>,
}

/// The statement `S` with `binds` in their order.
pub(in crate::store) fn bind<S: Statement>(_statement: S, binds: impl Into<Vec<Bind>>) -> Bound<S> {
    Bound {
        binds: binds.into(),
        statement: PhantomData,
    }
}

impl<S: Statement> QueryId for Bound<S> {
    type QueryId = S;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<S: Statement> Query for Bound<S> {
    type SqlType = S::Row;
}

impl<S: Statement> diesel::RunQueryDsl<Conn> for Bound<S> {}

impl<S: Statement> QueryFragment<Db> for Bound<S> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        let mut binds = self.binds.iter();
        let mut rest = S::SQL;
        while let Some(at) = rest.find(['?', '{']) {
            let (before, from) = rest.split_at(at);
            out.push_sql(before);
            rest = if let Some(after) = from.strip_prefix('?') {
                push(&mut out, binds.next())?;
                after
            } else if let Some(after) = from.strip_prefix("{rows}") {
                let (open, close) = dialect::ROWS
                    .split_once('?')
                    .ok_or_else(|| defect("no bind in rows"))?;
                out.push_sql(open);
                push(&mut out, binds.next())?;
                out.push_sql(close);
                after
            } else if let Some(after) = from.strip_prefix("{for update}") {
                out.push_sql(dialect::FOR_UPDATE);
                after
            } else if let Some(after) = from.strip_prefix("{skip locked}") {
                out.push_sql(dialect::SKIP_LOCKED);
                after
            } else {
                return Err(defect("an unknown word in braces"));
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

fn push<'b>(out: &mut AstPass<'_, 'b, Db>, bind: Option<&'b Bind>) -> QueryResult<()> {
    match bind {
        Some(Bind::Int(value)) => out.push_bind_param::<BigInt, _>(value),
        Some(Bind::Text(value)) => out.push_bind_param::<Text, _>(value),
        None => Err(defect("fewer binds than places")),
    }
}

fn defect(what: &str) -> diesel::result::Error {
    diesel::result::Error::QueryBuilderError(what.into())
}
