//! Ways to devices as robots found them. See `store::connectivity`.

use super::Conn;
use super::event::insert_events;
use super::rows::Rows;
use super::statement::{Statement, run};
use crate::domain::time::{Timestamp, to_micros};
use crate::store::backend::QueryResult;
use crate::store::connectivity::WayTested;
use crate::store::event::{NewEvent, Publication, Published};

/// The way keeps its last latency while it does not answer.
struct Found;

impl Statement for Found {
    type Row = ();
    const SQL: &'static str = "
        UPDATE device_connectivities SET status = x.into_status, failures = x.fails, error_class = x.class,
            latency_us = COALESCE(x.latency, latency_us), seen_key = x.seen, tested_at = x.now
        FROM {rows device int, spoken text, at_port int, into_status text, fails int, class text, latency int, seen text,
            now int}
        WHERE device_id = x.device AND protocol = x.spoken AND port = x.at_port";
}

/// Records what was found.
pub(in crate::store) fn record(
    conn: &mut Conn,
    tested: &[WayTested],
    events: &[NewEvent],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Published> {
    let mut rows = Rows::default();
    for way in tested {
        let latency = way
            .latency
            .and_then(|latency| i64::try_from(latency.as_micros()).ok());
        rows.push([
            way.device.0.into(),
            way.protocol.into(),
            i64::from(way.port).into(),
            way.status.map(str::to_owned).into(),
            way.failures.into(),
            way.error_class.map(str::to_owned).into(),
            latency.into(),
            way.key.clone().into(),
            to_micros(now).into(),
        ]);
    }
    run(conn, Found, &rows)?;
    insert_events(conn, events, ids, now)
}
