//! Decisions on task definitions. See `store::task_definition`.

use diesel::prelude::*;

use super::Conn;
use crate::domain::time::to_micros;
use crate::store::backend::QueryResult;
use crate::store::schema::execution::task_definitions;
use crate::store::task_definition::Decided;

/// Notes a decision.
pub(in crate::store) fn decided(conn: &mut Conn, decided: Decided) -> QueryResult<bool> {
    let planned_at = to_micros(decided.planned_at);
    let task = decided.task.map(|task| task.to_string());
    let noted = diesel::update(task_definitions::table.find(decided.definition.0))
        .filter(task_definitions::revision.eq(decided.revision))
        .filter(
            task_definitions::planned_at
                .is_null()
                .or(task_definitions::planned_at.lt(planned_at)),
        )
        .set((
            task_definitions::planned_at.eq(planned_at),
            task_definitions::decision.eq(decided.decision.as_str()),
            task.map(|task| task_definitions::task.eq(task)),
        ))
        .execute(conn)?;
    Ok(noted > 0)
}
