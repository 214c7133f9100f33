//! Pruning, and facts about the database itself.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::rows::Rows;
use super::statement::{Bind, Statement, bind, find, run};
use super::{
    Conn, alert, certificate_publication, certificate_retention, change_report, connectivity,
    credential_view, execution, ids, import, mail, operation, task_approval,
};
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::connectivity::TESTS_KEPT;
use crate::store::id::Series;
use crate::store::schema::store_facts;
use crate::store::upkeep::Retention;

/// Name of the check value of the master key.
const KEY_CHECK: &str = "key_check";

macro_rules! change {
    ($name:ident, $sql:literal) => {
        struct $name;

        impl Statement for $name {
            type Row = ();
            const SQL: &'static str = $sql;
        }
    };
}

struct OldTasks;

impl Statement for OldTasks {
    type Row = (BigInt, Nullable<BigInt>);
    const SQL: &'static str = "
        SELECT id, CASE WHEN outcome IS NOT NULL THEN process_id END FROM tasks_done WHERE id < ? AND finished_at < ? ORDER BY id LIMIT ? {skip locked}";
}

struct EarlierProcesses;

impl Statement for EarlierProcesses {
    type Row = (BigInt,);
    const SQL: &'static str = "
        SELECT p.id FROM {rows task int} JOIN processes p ON p.task_id {found by x.task}";
}

change!(
    OldLogs,
    "DELETE FROM process_logs WHERE process_id {in rows process int}"
);
change!(
    OldProcesses,
    "DELETE FROM processes WHERE task_id {in rows task int}"
);
change!(
    OldKeys,
    "DELETE FROM task_keys WHERE (robot_id, unique_key) IN (
        SELECT d.robot_id, d.unique_key FROM {rows task int}
        JOIN tasks_done d ON d.id {found by x.task} WHERE d.unique_key IS NOT NULL)"
);
change!(
    OldDone,
    "DELETE FROM tasks_done WHERE id {in rows task int}"
);
change!(
    OldEvents,
    "DELETE FROM events WHERE id IN (
        SELECT id FROM events WHERE received_at < ? ORDER BY received_at LIMIT ?)"
);
change!(OldSignIns, "DELETE FROM sign_in_tries WHERE at < ?");
change!(OldMarks, "DELETE FROM id_marks WHERE at < ?");
change!(
    OldTicks,
    "DELETE FROM ticks WHERE id IN (
        SELECT id FROM ticks WHERE planned_at < ? ORDER BY planned_at, id LIMIT ?)"
);

/// Removes what is older than its retention, at most `limit` tasks, events, ticks,
/// operations, imports, issues and publications of certificates, views of secrets, tests of connectivities, mails, alerts and
/// reports each.
pub(in crate::store) fn prune(
    conn: &mut Conn,
    retention: Retention,
    limit: u32,
    now: Timestamp,
) -> QueryResult<u64> {
    let micros_before = |age: std::time::Duration| {
        let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        to_micros(now).saturating_sub(micros)
    };
    let before = |age| Bind::Int(micros_before(age));
    let rows_max = limit;
    let limit = || Bind::Int(i64::from(rows_max));
    // What ended by then was registered by then.
    let cutoff = from_micros(micros_before(retention.tasks));
    let end = ids::span(conn, Series::Task, None, Some(cutoff))?.end;
    let binds = [
        Bind::Int(end.unwrap_or(i64::MAX)),
        before(retention.tasks),
        limit(),
    ];
    let old: Vec<(i64, Option<i64>)> = bind(OldTasks, &binds).load(conn)?;
    let rows = Rows::column(old.iter().map(|(id, _)| *id));
    let earlier: Vec<(i64,)> = find(conn, EarlierProcesses, &rows, &[])?;
    let last = old.iter().filter_map(|(_, process)| *process);
    let processes = earlier.into_iter().map(|(id,)| id).chain(last);
    run(conn, OldLogs, &Rows::column(processes))?;
    run(conn, OldProcesses, &rows)?;
    run(conn, OldKeys, &rows)?;
    run(conn, OldDone, &rows)?;
    bind(OldMarks, &[before(retention.tasks)]).execute(conn)?;
    bind(OldSignIns, &[before(retention.tasks)]).execute(conn)?;
    let events = bind(OldEvents, &[before(retention.events), limit()]).execute(conn)?;
    let ticks = bind(OldTicks, &[before(retention.ticks), limit()]).execute(conn)?;
    let notices =
        mail::prune_mails(conn, now, rows_max)? + alert::prune_alerts(conn, now, rows_max)?;
    let reports = change_report::prune_reports(conn, now, rows_max)?;
    let ended = micros_before(retention.tasks);
    let operations = operation::prune_operations(conn, ended, rows_max)?
        + execution::prune_executions(conn, ended, rows_max)?
        + task_approval::prune(conn, ended, rows_max)?;
    let imports = import::prune_imports(conn, ended, rows_max)?;
    let certificates = certificate_publication::prune(conn, ended, rows_max)?
        + certificate_retention::prune(conn, ended, rows_max, now)?;
    let views = credential_view::prune(conn, micros_before(retention.views), rows_max)?;
    let tests = connectivity::prune(conn, micros_before(TESTS_KEPT), rows_max)?;
    let all = [
        old.len(),
        events,
        ticks,
        operations,
        imports,
        certificates,
        views,
        tests,
    ];
    Ok(u64::try_from(all.iter().sum::<usize>())
        .unwrap_or(u64::MAX)
        .saturating_add(notices + reports))
}

/// The check value of the master key.
pub(in crate::store) fn key_check(conn: &mut Conn) -> QueryResult<Option<String>> {
    Ok(store_facts::table
        .find(KEY_CHECK)
        .select(store_facts::value)
        .first(conn)
        .optional()?)
}

change!(
    SetFact,
    "INSERT INTO store_facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
);

/// Keeps the check value, where there is none or this one.
pub(in crate::store) fn set_key_check(conn: &mut Conn, check: &str) -> QueryResult<()> {
    let binds = [
        Bind::Text(KEY_CHECK.to_owned()),
        Bind::Text(check.to_owned()),
    ];
    bind(SetFact, &binds).execute(conn)?;
    match key_check(conn)? {
        Some(kept) if kept == check => Ok(()),
        _ => Err(QueryError::conflict(
            "this database belongs to another master key",
        )),
    }
}

/// Forgets the check value: for a database that is about to get another one.
pub(in crate::store) fn remove_key_check(conn: &mut Conn) -> QueryResult<()> {
    diesel::delete(store_facts::table.find(KEY_CHECK)).execute(conn)?;
    Ok(())
}

change!(Ping, "UPDATE id_blocks SET next = next WHERE name = 'ping'");

/// Takes the way of a write, to its end.
pub(in crate::store) fn ping(conn: &mut Conn) -> QueryResult<()> {
    bind(Ping, &[]).execute(conn)?;
    Ok(())
}
