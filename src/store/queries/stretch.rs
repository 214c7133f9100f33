//! A stretch of an index: rows whose leading columns have certain values, from one id to another, newest first.

use diesel::dsl::sql;
use diesel::expression::{AppearsOnTable, Expression, SqlLiteral, ValidGrouping, is_aggregate};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool};

use super::ids::Span;
use super::{Db, dialect};
use crate::domain::id::RobotId;

/// The rows of one robot or all, in one state or any, whose ids lie within a span.
#[derive(Debug)]
pub(super) struct Stretch {
    /// The leading columns of the index, with what they are.
    fixed: Vec<(&'static str, i64)>,
    /// The column that follows them.
    id: &'static str,
    first: i64,
    /// What all ids are below.
    end: i64,
}

impl Stretch {
    /// Rows of `robot` whose column `state` has this value, with ids of `span` before `after`. There must be an index of
    /// these columns.
    pub(super) fn new(
        robot: Option<RobotId>,
        state: Option<(&'static str, i16)>,
        id: &'static str,
        (span, after): (Span, Option<i64>),
    ) -> Self {
        let robot = robot.map(|robot| ("robot_id", robot.0));
        let state = state.map(|(column, code)| (column, i64::from(code)));
        Self {
            fixed: robot.into_iter().chain(state).collect(),
            id,
            first: span.first.unwrap_or(i64::MIN),
            end: span.before(after).unwrap_or(i64::MAX),
        }
    }

    fn columns(&self) -> impl Iterator<Item = &'static str> {
        let fixed = self.fixed.iter().map(|(column, _)| *column);
        fixed.chain([self.id])
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
        for (_, value) in &self.fixed {
            out.push_bind_param::<BigInt, _>(value)?;
            out.push_sql(", ");
        }
        out.push_bind_param::<BigInt, _>(id)?;
        out.push_sql(")");
        Ok(())
    }
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
        for (column, value) in &self.fixed {
            out.push_sql(&format!("{column} = "));
            out.push_bind_param::<BigInt, _>(value)?;
            out.push_sql(" AND ");
        }
        out.push_sql(&format!("{} >= ", self.id));
        out.push_bind_param::<BigInt, _>(&self.first)?;
        out.push_sql(&format!(" AND {} < ", self.id));
        out.push_bind_param::<BigInt, _>(&self.end)
    }
}
