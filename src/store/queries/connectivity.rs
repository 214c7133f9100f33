//! Ways to devices as robots found them. See `store::connectivity`.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Conn;
use super::event::insert_events;
use super::rows::{Rows, storable};
use super::statement::{self, Bind, Statement, bind, run};
use crate::domain::id::InventoryId;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::QueryResult;
use crate::store::connectivity::{ConnectivityTest, ConnectivityTestFilter, WayTested};
use crate::store::event::{NewEvent, Publication, Published};
use crate::store::page::{Page, PageRequest, page_of};
use crate::store::schema::inventory::connectivity_tests;

/// The way keeps its last latency while it does not answer.
struct Found;

impl Statement for Found {
    type Row = ();
    const SQL: &'static str = "
        UPDATE device_connectivities SET status = x.into_status, failures = x.fails, error_class = x.class,
            latency_us = COALESCE(x.latency, latency_us), seen_key = x.seen, tested_at = x.now, recent = x.last
        FROM {rows test int, device int, spoken text, at_port int, into_status text, fails int, class text, latency int,
            seen text, last text, now int}
        WHERE device_id {found by x.device} AND protocol = x.spoken AND port = x.at_port";
}

struct Kept;

impl Statement for Kept {
    type Row = ();
    const SQL: &'static str = "
        INSERT INTO connectivity_tests (id, at, device_id, protocol, port, error_class, latency_us)
        SELECT x.test, x.now, x.device, x.spoken, x.at_port, x.class, x.latency
        FROM {rows test int, device int, spoken text, at_port int, into_status text, fails int, class text, latency int,
            seen text, last text, now int}";
}

/// Records what was found; the tests have ids from `first` on.
pub(in crate::store) fn record(
    conn: &mut Conn,
    (first, tested): (i64, &[WayTested]),
    events: &[NewEvent],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Published> {
    let mut rows = Rows::default();
    for (way, test) in tested.iter().zip(first..) {
        let latency = way
            .latency
            .and_then(|latency| i64::try_from(latency.as_micros()).ok());
        rows.push([
            test.into(),
            way.device.0.into(),
            way.protocol.into(),
            i64::from(way.port).into(),
            way.status.map(str::to_owned).into(),
            way.failures.into(),
            way.error_class.map(str::to_owned).into(),
            latency.into(),
            way.key.clone().into(),
            way.recent.as_str().into(),
            to_micros(now).into(),
        ]);
    }
    run(conn, Found, &rows)?;
    run(conn, Kept, &rows)?;
    insert_events(conn, events, ids, now)
}

/// A test as it is read: id, time, protocol, port, class, latency.
type Read = (i64, i64, String, i64, Option<String>, Option<i64>);

/// The tests of a device, newest first.
pub(in crate::store) fn tests(
    conn: &mut Conn,
    filter: &ConnectivityTestFilter,
    page: PageRequest,
) -> QueryResult<Page<ConnectivityTest>> {
    let mut query = connectivity_tests::table
        .filter(connectivity_tests::device_id.eq(filter.device.0))
        .select((
            connectivity_tests::id,
            connectivity_tests::at,
            connectivity_tests::protocol,
            connectivity_tests::port,
            connectivity_tests::error_class,
            connectivity_tests::latency_us,
        ))
        .order(connectivity_tests::id.desc())
        .limit(page.rows())
        .into_boxed();
    if let Some(protocol) = &filter.protocol {
        query = query.filter(connectivity_tests::protocol.eq(storable(protocol.clone())));
    }
    if let Some(from) = filter.from {
        query = query.filter(connectivity_tests::at.ge(to_micros(from)));
    }
    if let Some(to) = filter.to {
        query = query.filter(connectivity_tests::at.lt(to_micros(to)));
    }
    if let Some(after) = page.after {
        query = query.filter(connectivity_tests::id.lt(after));
    }
    let rows: Vec<Read> = query.load(conn)?;
    let test = |(id, at, protocol, port, error_class, latency_us): Read| ConnectivityTest {
        id,
        at: from_micros(at),
        protocol,
        port,
        error_class,
        latency_us,
    };
    let found = rows.into_iter().map(test).collect();
    Ok(page_of(found, page, |test: &ConnectivityTest| test.id))
}

struct Old;

impl Statement for Old {
    type Row = ();
    const SQL: &'static str = "
        DELETE FROM connectivity_tests WHERE id IN (
            SELECT id FROM connectivity_tests WHERE at < ? ORDER BY at LIMIT ?)";
}

/// Removes tests from before an instant, at most `limit`.
pub(in crate::store) fn prune(conn: &mut Conn, before: i64, limit: u32) -> QueryResult<usize> {
    statement::prune(conn, Old, before, limit)
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
