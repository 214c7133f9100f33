//! Remembered positions and the survey of keys. See `store::report`.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::{Conn, dialect};
use crate::domain::id::RobotId;
use crate::store::backend::QueryResult;
use crate::store::report::KeySurvey;
use crate::store::schema::watermarks;

/// A robot's remembered position.
pub(in crate::store) fn watermark_get(
    conn: &mut Conn,
    robot: RobotId,
    key: &str,
) -> QueryResult<Option<String>> {
    Ok(watermarks::table
        .find((robot.0, key))
        .select(watermarks::value)
        .first(conn)
        .optional()?)
}

/// Remembers a position.
pub(in crate::store) fn watermark_set(
    conn: &mut Conn,
    robot: RobotId,
    key: &str,
    value: &str,
) -> QueryResult<()> {
    diesel::insert_into(watermarks::table)
        .values((
            watermarks::robot.eq(robot.0),
            watermarks::key.eq(key),
            watermarks::value.eq(value),
        ))
        .on_conflict((watermarks::robot, watermarks::key))
        .do_update()
        .set(watermarks::value.eq(excluded(watermarks::value)))
        .execute(conn)?;
    Ok(())
}

/// Remembers a position in place of another one.
pub(in crate::store) fn watermark_move(
    conn: &mut Conn,
    robot: RobotId,
    key: &str,
    seen: Option<&str>,
    value: &str,
) -> QueryResult<bool> {
    let moved = match seen {
        Some(seen) => diesel::update(watermarks::table.find((robot.0, key)))
            .filter(watermarks::value.eq(seen))
            .set(watermarks::value.eq(value))
            .execute(conn)?,
        None => diesel::insert_into(watermarks::table)
            .values((
                watermarks::robot.eq(robot.0),
                watermarks::key.eq(key),
                watermarks::value.eq(value),
            ))
            .on_conflict_do_nothing()
            .execute(conn)?,
    };
    Ok(moved > 0)
}

/// What the catalogue says about keys: a matter of each back end.
pub(in crate::store) fn key_survey(conn: &mut Conn) -> QueryResult<KeySurvey> {
    dialect::key_survey(conn)
}
