//! Ways to devices as robots found them. See `store::connectivity`.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Conn;
use super::event::insert_events;
use super::rows::Rows;
use super::statement::{Bind, Statement, bind, run};
use crate::domain::id::InventoryId;
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

/// Rows that were carried out, and made (0) or changed (1) something.
struct Imported;

impl Statement for Imported {
    type Row = (BigInt,);
    const SQL: &'static str = "
        SELECT DISTINCT r.device_id FROM batch_imports i JOIN batch_import_rows r ON r.import_id = i.id
        WHERE i.finished_at > ? AND i.finished_at <= ? AND i.mode = 0 AND r.done AND r.answer IN (0, 1)
            AND r.device_id IS NOT NULL
        ORDER BY r.device_id LIMIT ?";
}

/// Devices of imports that ended in a span of time.
pub(in crate::store) fn imported(
    conn: &mut Conn,
    after: Timestamp,
    until: Timestamp,
    limit: u32,
) -> QueryResult<Vec<InventoryId>> {
    let binds = [to_micros(after), to_micros(until), i64::from(limit)].map(Bind::Int);
    let rows: Vec<(i64,)> = bind(Imported, &binds).load(conn)?;
    Ok(rows.into_iter().map(|(id,)| InventoryId(id)).collect())
}
