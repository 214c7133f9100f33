//! Credentials that need an operation, and what they remember of their ends. See `store::due`.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::candidate::account;
use super::event::insert_events;
use super::rows::Rows;
use super::statement::{Bind, Statement, bind, find};
use super::{Conn, audit};
use crate::domain::failure::FailureClass;
use crate::domain::id::InventoryId;
use crate::domain::inventory::name::identity;
use crate::domain::operation::ChangeCause;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::audit::NewAudit;
use crate::store::backend::QueryResult;
use crate::store::due::{Due, Expired, Expiry, Mark};
use crate::store::event::{NewEvent, Publication, Published};
use crate::store::schema::inventory::sites;

/// When the secrets of enabled credentials end, as the table `e`. Ages are seconds, instants microseconds. Binds: the head start,
/// twice, and now. A viewer has until `free`; `told` and `is_stopped` are what the credential remembers, and the instants behind
/// them those of changes after which it is tried anew.
macro_rules! ends {
    () => {
        concat!(
            "(SELECT c.id, c.domain, d.site_id AS site, ",
            account!("c"),
            " AS account, COALESCE(p.priority, 0) AS priority,
                c.automatic_change AND c.kind = 'password' AND c.secret_version IS NOT NULL AS is_automatic,
                CASE WHEN c.expires_at > COALESCE(c.secret_changed_at, 0) THEN c.expires_at END AS by_date,
                c.secret_changed_at + (p.max_age - CASE
                    WHEN p.max_age / 2 > ? THEN ? ELSE p.max_age / 2 END) * 1000000 AS by_age, CASE
                WHEN c.last_viewed_at >= COALESCE(c.secret_changed_at, 0) AND p.expires_after_view IS NOT NULL
                THEN COALESCE((SELECT min(v.at) FROM credential_views v
                        WHERE v.credential_id = c.id AND v.version = c.secret_version), c.last_viewed_at)
                    + p.expires_after_view * 1000000 END AS by_view, CASE
                WHEN c.last_used_at >= COALESCE(c.secret_changed_at, 0)
                THEN c.last_used_at + p.expires_after_use * 1000000 END AS by_use, CASE
                WHEN c.last_viewed_at >= COALESCE(c.secret_changed_at, 0) THEN c.last_viewed_at END AS seen,
                ? - COALESCE(p.wait_after_view, 0) * 1000000 AS free,
                COALESCE(c.expiry_told, 0) AS told,
                c.change_stopped_at IS NOT NULL AND c.change_stopped_at >= COALESCE(c.secret_changed_at, 0)
                    AND c.change_stopped_at >= c.updated_at AND c.change_stopped_at >= d.updated_at
                    AND c.change_stopped_at >= COALESCE(p.updated_at, 0) AS is_stopped,
                c.secret_changed_at AS secret_at, c.updated_at AS own_at, d.updated_at AS device_at,
                p.updated_at AS policy_at
            FROM credentials c
            JOIN devices d ON d.id = c.device_id AND d.enabled
            LEFT JOIN credential_policies p ON p.id = c.policy_id AND p.enabled
            WHERE c.enabled AND c.deactivated_at IS NULL) AS e "
        )
    };
}

/// Of operations `o`: changes that are open, or have failed since the bind.
macro_rules! tried {
    () => {
        "o.kind = 0 AND (o.finished_at IS NULL OR (o.state <> 4 AND o.finished_at >= ?))"
    };
}

struct DueNow;

impl Statement for DueNow {
    type Row = (
        BigInt,
        Text,
        Bool,
        Bool,
        Nullable<BigInt>,
        BigInt,
        BigInt,
        Nullable<BigInt>,
    );
    const SQL: &'static str = concat!(
        "SELECT e.id, e.account, COALESCE(e.by_date <= ?, FALSE) OR COALESCE(e.by_age <= ?, FALSE),
            COALESCE(e.by_view <= ?, FALSE), e.secret_at, e.own_at, e.device_at, e.policy_at
        FROM ",
        ends!(),
        "WHERE e.is_automatic AND NOT e.is_stopped
            AND (e.by_date <= ? OR e.by_age <= ? OR e.by_view <= ? OR e.by_use <= ?)
            AND (e.seen IS NULL OR e.seen <= e.free
                OR e.by_date <= e.free OR e.by_age <= e.free OR e.by_view <= e.free OR e.by_use <= e.free)
            AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.credential_id = e.id AND ",
        tried!(),
        ") AND (e.domain IS NULL OR NOT EXISTS (
                SELECT 1 FROM credentials s JOIN operations o ON o.credential_id = s.id
                WHERE s.identity >= e.account AND s.identity < e.account || ':' AND ",
        tried!(),
        ")) AND (? = '' OR ? LIKE '%|' || CAST(e.site AS TEXT) || '|%')
        ORDER BY e.priority DESC, COALESCE(e.by_date, e.by_age, e.by_view, e.by_use), e.id LIMIT ?"
    );
}

type DueRow = (i64, String, bool, bool, Option<i64>, i64, i64, Option<i64>);

/// Credentials whose password is to be changed.
pub(in crate::store) fn due(conn: &mut Conn, expiry: &Expiry, limit: u32) -> QueryResult<Vec<Due>> {
    let listed = listed(conn, &expiry.sites)?;
    let at = || Bind::Int(to_micros(expiry.at));
    let head_start = || Bind::Int(i64::try_from(expiry.head_start.as_secs()).unwrap_or(i64::MAX));
    let failed_before = || Bind::Int(to_micros(expiry.failed_before));
    let binds = [
        at(),
        at(),
        at(),
        head_start(),
        head_start(),
        at(),
        at(),
        at(),
        at(),
        at(),
        failed_before(),
        failed_before(),
        Bind::Text(listed.clone()),
        Bind::Text(listed),
        Bind::Int(i64::from(limit)),
    ];
    let mut rows: Vec<DueRow> = bind(DueNow, &binds).load(conn)?;
    let mut accounts = HashSet::new();
    rows.retain(|(_, account, ..)| accounts.insert(account.clone()));
    let failures = failures(conn, &rows)?;
    let due = |(id, _, by_time, by_view, ..): DueRow| Due {
        credential: InventoryId(id),
        cause: match (by_time, by_view) {
            (true, _) => ChangeCause::Expired,
            (false, true) => ChangeCause::Viewed,
            (false, false) => ChangeCause::Used,
        },
        failures: failures.get(&id).copied().unwrap_or_default(),
    };
    Ok(rows.into_iter().map(due).collect())
}

/// The ids of the sites of these names between bars; nothing where no name is given.
fn listed(conn: &mut Conn, names: &[String]) -> QueryResult<String> {
    if names.is_empty() {
        return Ok(String::new());
    }
    let named = names.iter().map(|name| identity(&[name]));
    let ids: Vec<i64> = sites::table
        .filter(sites::identity.eq_any(named))
        .select(sites::id)
        .load(conn)?;
    let listed = ids.iter().map(|id| format!("{id}|"));
    Ok(format!("|{}", listed.collect::<String>()))
}

/// Changes that were given up after an instant.
struct Failures;

impl Statement for Failures {
    type Row = (BigInt, Nullable<Text>, BigInt);
    const SQL: &'static str = "
        SELECT x.credential, o.error_class, count(*) FROM {rows credential int, since int}
        JOIN operations o ON o.credential_id {found by x.credential} AND o.kind = 0
        WHERE o.state IN (3, 5) AND o.finished_at > x.since GROUP BY x.credential, o.error_class";
}

/// How many changes of each have failed in a way that would not have gone by itself.
fn failures(conn: &mut Conn, due: &[DueRow]) -> QueryResult<HashMap<i64, u32>> {
    let mut rows = Rows::default();
    for (id, _, _, _, secret_at, own_at, device_at, policy_at) in due {
        let since = [*secret_at, Some(*own_at), Some(*device_at), *policy_at];
        rows.push([(*id).into(), since.into_iter().max().flatten().into()]);
    }
    let found: Vec<(i64, Option<String>, i64)> = find(conn, Failures, &rows, &[])?;
    let mut failures = HashMap::new();
    for (id, class, count) in found {
        let class = class.as_deref().and_then(FailureClass::from_name);
        if class.is_none_or(|class| !class.is_temporary()) {
            let all: &mut u32 = failures.entry(id).or_default();
            *all = all.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }
    Ok(failures)
}

struct Ended;

impl Statement for Ended {
    type Row = (
        BigInt,
        Bool,
        BigInt,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<BigInt>,
    );
    const SQL: &'static str = concat!(
        "SELECT e.id, e.is_automatic, e.told, e.by_date, e.by_age, e.by_view, e.by_use FROM ",
        ends!(),
        "WHERE (e.by_date > e.told AND e.by_date <= ?) OR (e.by_age > e.told AND e.by_age <= ?)
            OR (e.by_view > e.told AND e.by_view <= ?) OR (e.by_use > e.told AND e.by_use <= ?)
        ORDER BY e.id LIMIT ?"
    );
}

type EndedRow = (
    i64,
    bool,
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

/// Credentials whose secret has come to an end that nobody was told of.
pub(in crate::store) fn expired(
    conn: &mut Conn,
    now: Timestamp,
    limit: u32,
) -> QueryResult<Vec<Expired>> {
    let now = to_micros(now);
    let binds = [0, 0, now, now, now, now, now, i64::from(limit)].map(Bind::Int);
    let rows: Vec<EndedRow> = bind(Ended, &binds).load(conn)?;
    let ended = |(id, changed_by_robots, told, by_date, by_age, by_view, by_use): EndedRow| {
        let ends = [
            (by_date, ChangeCause::Expired),
            (by_age, ChangeCause::Expired),
            (by_view, ChangeCause::Viewed),
            (by_use, ChangeCause::Used),
        ];
        let passed = |(end, cause): (Option<i64>, ChangeCause)| {
            end.filter(|end| *end > told && *end <= now)
                .map(|end| (end, cause))
        };
        let (last, cause) = ends
            .into_iter()
            .filter_map(passed)
            .max_by_key(|one| one.0)?;
        Some(Expired {
            credential: InventoryId(id),
            ended_at: from_micros(last),
            cause,
            changed_by_robots,
        })
    };
    Ok(rows.into_iter().filter_map(ended).collect())
}

struct Tell;

impl Statement for Tell {
    type Row = (BigInt,);
    const SQL: &'static str = "
        UPDATE credentials SET expiry_told = x.at FROM {rows credential int, at int}
        WHERE credentials.id {found by x.credential} AND COALESCE(expiry_told, 0) < x.at RETURNING id";
}

/// Remembers of which ends programs are told; answers for which that is news.
pub(super) fn note_told(
    conn: &mut Conn,
    ends: impl Iterator<Item = (InventoryId, Timestamp)>,
) -> QueryResult<HashSet<InventoryId>> {
    let noted: Vec<(i64,)> = find(conn, Tell, &rows_of(ends), &[])?;
    Ok(noted.into_iter().map(|(id,)| InventoryId(id)).collect())
}

fn rows_of(marks: impl Iterator<Item = (InventoryId, Timestamp)>) -> Rows {
    let mut rows = Rows::default();
    for (credential, at) in marks {
        rows.push([credential.0.into(), to_micros(at).into()]);
    }
    rows
}

fn instants(marks: &[Mark]) -> impl Iterator<Item = (InventoryId, Timestamp)> {
    marks.iter().map(|mark| (mark.credential, mark.at))
}

/// Tells of ends.
pub(in crate::store) fn tell(
    conn: &mut Conn,
    marks: &[Mark],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(usize, Published)> {
    let news = note_told(conn, instants(marks))?;
    publish(conn, marks, &news, ids, now)
}

struct Stop;

impl Statement for Stop {
    type Row = (BigInt,);
    const SQL: &'static str = "
        UPDATE credentials SET change_stopped_at = x.at FROM {rows credential int, at int}
        WHERE credentials.id {found by x.credential} AND COALESCE(change_stopped_at, 0) < x.at RETURNING id";
}

/// Stops that changes are ordered.
pub(in crate::store) fn stop(
    conn: &mut Conn,
    marks: &[Mark],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(usize, Published)> {
    let stopped: Vec<(i64,)> = find(conn, Stop, &rows_of(instants(marks)), &[])?;
    let news = stopped.into_iter().map(|(id,)| InventoryId(id)).collect();
    publish(conn, marks, &news, ids, now)
}

/// Writes what belongs to the marks that are news.
fn publish(
    conn: &mut Conn,
    marks: &[Mark],
    news: &HashSet<InventoryId>,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(usize, Published)> {
    let new = || marks.iter().filter(|mark| news.contains(&mark.credential));
    let entries: Vec<NewAudit> = new().filter_map(|mark| mark.audit.clone()).collect();
    audit::append_all(conn, &entries, now)?;
    let events: Vec<NewEvent> = new().map(|mark| mark.event.clone()).collect();
    let published = insert_events(conn, &events, ids, now)?;
    Ok((news.len(), published))
}
