//! A stretch of an index: rows whose leading columns have certain values, from one id to another, newest first.

use diesel::dsl::sql;
use diesel::expression::{AppearsOnTable, Expression, SqlLiteral, ValidGrouping, is_aggregate};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool};

use super::ids::Span;
use super::statement::Bind;
use super::{Db, dialect};
use crate::domain::id::RobotId;

/// The rows whose leading columns have certain values and whose ids lie within a span.
#[derive(Debug)]
pub(super) struct Stretch {
    /// The leading columns of the index, with what they are.
    leading: Vec<(&'static str, Bind)>,
    /// The column that follows them.
    id: &'static str,
    first: i64,
    /// What all ids are below.
    end: i64,
}

impl Stretch {
    /// Rows whose columns have these values, with ids of `span` before `after`. There must be an index of these columns and
    /// the id.
    pub(super) fn new(
        leading: impl IntoIterator<Item = (&'static str, Bind)>,
        id: &'static str,
        (span, after): (Span, Option<i64>),
    ) -> Self {
        Self {
            leading: leading.into_iter().collect(),
            id,
            first: span.first.unwrap_or(i64::MIN),
            end: span.before(after).unwrap_or(i64::MAX),
        }
    }

    fn columns(&self) -> impl Iterator<Item = &'static str> {
        let leading = self.leading.iter().map(|(column, _)| *column);
        leading.chain([self.id])
    }

    /// The index's order, read from its end.
    pub(super) fn newest_first(&self) -> SqlLiteral<BigInt> {
        let columns: Vec<_> = self.columns().collect();
        sql(&format!("{} DESC", columns.join(" DESC, ")))
    }

    /// `(robot_id, id) >= (?, ?)`
    fn compare<'b>(&'b self, out: &mut Out<'_, 'b>, sign: &str, id: &'b i64) -> Walked {
        let columns: Vec<_> = self.columns().collect();
        out.push_sql(&format!("({}) {sign} (", columns.join(", ")));
        for (_, value) in &self.leading {
            value.push(out)?;
            out.push_sql(", ");
        }
        out.push_bind_param::<BigInt, _>(id)?;
        out.push_sql(")");
        Ok(())
    }
}

/// A robot's id, as the first column of an index.
pub(super) fn of_robot(robot: Option<RobotId>) -> Option<(&'static str, Bind)> {
    robot.map(|robot| ("robot_id", Bind::Int(robot.0)))
}

/// A state's code, as a column of an index.
pub(super) fn in_state(column: &'static str, code: i16) -> (&'static str, Bind) {
    (column, Bind::Int(code.into()))
}

type Out<'a, 'b> = AstPass<'a, 'b, Db>;
type Walked = diesel::QueryResult<()>;

impl Expression for Stretch {
    type SqlType = Bool;
}

impl ValidGrouping<()> for Stretch {
    type IsAggregate = is_aggregate::No;
}

impl<Table> AppearsOnTable<Table> for Stretch {}

impl QueryId for Stretch {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Db> for Stretch {
    fn walk_ast<'b>(&'b self, mut out: Out<'_, 'b>) -> Walked {
        if dialect::COMPARES_ROWS {
            self.compare(&mut out, ">=", &self.first)?;
            out.push_sql(" AND ");
            return self.compare(&mut out, "<", &self.end);
        }
        for (column, value) in &self.leading {
            out.push_sql(&format!("{column} = "));
            value.push(&mut out)?;
            out.push_sql(" AND ");
        }
        out.push_sql(&format!("{} >= ", self.id));
        out.push_bind_param::<BigInt, _>(&self.first)?;
        out.push_sql(&format!(" AND {} < ", self.id));
        out.push_bind_param::<BigInt, _>(&self.end)
    }
}
