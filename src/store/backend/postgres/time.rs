//! The server's clock.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Conn;
use crate::clock::{ClockReading, SystemClock};
use crate::domain::time::from_micros;
use crate::store::backend::QueryResult;

#[derive(QueryableByName)]
struct Micros {
    #[diesel(sql_type = BigInt)]
    micros: i64,
}

/// The server's clock beside this machine's, taken on the connection itself: no queue is in between.
pub(super) fn reading(conn: &mut Conn) -> QueryResult<ClockReading> {
    ClockReading::take(&SystemClock, || {
        let asked = diesel::sql_query(
            "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS micros",
        );
        let Micros { micros } = asked.get_result(conn)?;
        Ok(from_micros(micros))
    })
}
