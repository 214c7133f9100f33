//! Statements put together at run time, from texts of the code and values that are bound.

use std::marker::PhantomData;

use diesel::QueryResult as DieselResult;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Bool, Double, Nullable, Text};

use super::rows::storable;
use super::{Conn, Db};
use crate::domain::inventory::column::Stored;
use crate::store::backend::QueryError;
use crate::store::datum::Datum;

/// A statement; `T` is what its rows are, as diesel's SQL types.
#[derive(Debug)]
pub(in crate::store) struct Sql<T = ()> {
    parts: Vec<Part>,
    varies: bool,
    row: PhantomData<T>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Value(Datum),
}

impl<T> Sql<T> {
    /// A statement that begins with `text`.
    pub(in crate::store) fn new(text: impl Into<String>) -> Self {
        Self {
            parts: Vec::from([Part::Text(text.into())]),
            varies: false,
            row: PhantomData,
        }
    }

    /// Adds text of the code; never a caller's.
    pub(in crate::store) fn text(&mut self, text: impl Into<String>) -> &mut Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    /// Adds a value.
    pub(in crate::store) fn bind(&mut self, value: impl Into<Datum>) -> &mut Self {
        self.parts.push(Part::Value(match value.into() {
            Datum::Text(text) => Datum::Text(text.map(storable)),
            other => other,
        }));
        self
    }

    /// Adds a number.
    pub(in crate::store) fn int(&mut self, value: i64) -> &mut Self {
        self.bind(Stored::Int(Some(value)))
    }

    /// Adds `(…, …)` of the values. The statement then has a text for each number of them, so that its prepared form
    /// is not kept.
    pub(in crate::store) fn list(&mut self, values: impl IntoIterator<Item = Stored>) -> &mut Self {
        self.varies = true;
        self.tuple(values)
    }

    /// Adds `(…, …), (…, …)` of the rows. Only the statement of one row is kept in its prepared form.
    pub(in crate::store) fn rows(&mut self, rows: &[Vec<Stored>]) -> &mut Self {
        self.varies |= rows.len() > 1;
        for (at, values) in rows.iter().enumerate() {
            self.text(if at == 0 { "" } else { ", " });
            self.tuple(values.iter().cloned());
        }
        self
    }

    fn tuple(&mut self, values: impl IntoIterator<Item = Stored>) -> &mut Self {
        let mut before = "(";
        for value in values {
            self.text(before).bind(value);
            before = ", ";
        }
        // No values: nothing is in the list, and `()` is no list in PostgreSQL.
        self.text(if before == "(" { "(NULL)" } else { ")" })
    }
}

impl<T> QueryId for Sql<T> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T> Query for Sql<T> {
    type SqlType = T;
}

impl<T> RunQueryDsl<Conn> for Sql<T> {}

impl<T> QueryFragment<Db> for Sql<T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> DieselResult<()> {
        if self.varies {
            out.unsafe_to_cache_prepared();
        }
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_sql(text),
                Part::Value(Datum::Int(value)) => {
                    out.push_bind_param::<Nullable<BigInt>, _>(value)?;
                }
                Part::Value(Datum::Text(value)) => {
                    out.push_bind_param::<Nullable<Text>, _>(value)?;
                }
                Part::Value(Datum::Bool(value)) => {
                    out.push_bind_param::<Nullable<Bool>, _>(value)?;
                }
                Part::Value(Datum::Double(value)) => {
                    out.push_bind_param::<Nullable<Double>, _>(value)?;
                }
                Part::Value(Datum::Binary(value)) => {
                    out.push_bind_param::<Nullable<Binary>, _>(value)?;
                }
            }
        }
        Ok(())
    }
}

/// What a violated constraint means where the statement's caller had looked before: another transaction was faster, and
/// a repetition sees what it did.
pub(in crate::store) fn raced(error: diesel::result::Error) -> QueryError {
    use diesel::result::DatabaseErrorKind::{ForeignKeyViolation, UniqueViolation};
    match error {
        diesel::result::Error::DatabaseError(UniqueViolation | ForeignKeyViolation, _) => {
            QueryError::Race
        }
        other => QueryError::Diesel(other),
    }
}
