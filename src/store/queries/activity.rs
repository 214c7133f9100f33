//! How many processes ended, by robot, time and outcome. See `store::process`.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::statement::{Bind, Statement, bind};
use super::{Conn, ids};
use crate::domain::id::RobotId;
use crate::domain::task::ProcessOutcome;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::id::Series;
use crate::store::process::Activity;

/// The newest half a million of each table are counted: what a look may cost. Times are of nodes' clocks, which may
/// have been set back.
struct Ended;

impl Statement for Ended {
    type Row = (BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt);
    const SQL: &'static str = "
        SELECT robot_id, part, outcome, count(*), CAST(sum(took) AS BIGINT), max(took), max(waited) FROM (
            SELECT robot_id, part, outcome,
                CASE WHEN took > 0 THEN took ELSE 0 END AS took,
                CASE WHEN waited > 0 THEN waited ELSE 0 END AS waited FROM (
                SELECT * FROM (
                    SELECT robot_id, started_at / ? AS part, CAST(outcome AS BIGINT) AS outcome,
                        finished_at - started_at AS took, started_at - run_at AS waited FROM tasks_done
                    WHERE outcome IS NOT NULL AND process_id >= ? AND process_id < ? AND started_at >= ? AND started_at < ?
                    ORDER BY process_id DESC LIMIT 500000) AS a
                UNION ALL
                SELECT * FROM (
                    SELECT robot_id, started_at / ? AS part, CAST(outcome AS BIGINT) AS outcome,
                        finished_at - started_at AS took, CAST(0 AS BIGINT) AS waited FROM processes
                    WHERE id >= ? AND id < ? AND started_at >= ? AND started_at < ?
                    ORDER BY id DESC LIMIT 500000) AS b) AS ended) AS measured
        GROUP BY robot_id, part, outcome
        ORDER BY part, robot_id, outcome";
}

/// Counts the ended processes that started in `[from, to)`, in parts of `part_micros`.
pub(in crate::store) fn ended(
    conn: &mut Conn,
    from: Timestamp,
    to: Timestamp,
    part_micros: i64,
) -> QueryResult<Vec<Activity>> {
    let span = ids::span(conn, Series::Process, Some(from), Some(to))?;
    let table = [
        Bind::Int(part_micros),
        Bind::Int(span.first.unwrap_or(0)),
        Bind::Int(span.end.unwrap_or(i64::MAX)),
        Bind::Int(to_micros(from)),
        Bind::Int(to_micros(to)),
    ];
    let binds = [table.as_slice(), table.as_slice()].concat();
    let rows: Vec<(i64, i64, i64, i64, i64, i64, i64)> = bind(Ended, &binds).load(conn)?;
    rows.into_iter()
        .map(|(robot, part, outcome, count, took, longest, waited)| {
            let code = i16::try_from(outcome).ok();
            let outcome = code.and_then(ProcessOutcome::from_code);
            Ok(Activity {
                robot: RobotId(robot),
                at: from_micros(part.saturating_mul(part_micros)),
                outcome: outcome.ok_or_else(|| {
                    QueryError::Defect("a process has an unknown outcome".to_owned())
                })?,
                count: u64::try_from(count).unwrap_or_default(),
                took: micros(took),
                longest: micros(longest),
                longest_wait: micros(waited),
            })
        })
        .collect()
}

fn micros(length: i64) -> Duration {
    Duration::from_micros(u64::try_from(length).unwrap_or_default())
}
