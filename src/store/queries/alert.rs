//! What was last told of each thing the monitors watch. See `store::alert`.

use diesel::prelude::*;
use diesel::upsert::excluded;

use crate::domain::alert::{AlertState, Level};
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::alert::ALERTS_MAX;
use crate::store::backend::QueryResult;
use crate::store::event::{NewEvent, Publication, Published};
use crate::store::mail::{KEPT_MICROS, NewMail};
use crate::store::schema::alert_states;

use super::{Conn, event, mail};

/// Rows of one INSERT: keeps its binds below SQLite's bound (32,766).
const INSERT_ROWS_MAX: usize = 1_000;

#[derive(Queryable, Insertable)]
#[diesel(table_name = alert_states, treat_none_as_default_value = false)]
struct StateRow {
    key: String,
    level: i16,
    since: i64,
    last_sent_at: Option<i64>,
    title: String,
}

impl StateRow {
    fn of(state: &AlertState) -> Self {
        Self {
            key: state.key.replace('\0', "\u{fffd}"),
            level: level_code(state.level),
            since: to_micros(state.since),
            last_sent_at: state.last_sent_at.map(to_micros),
            title: state.title.replace('\0', "\u{fffd}"),
        }
    }

    fn into_state(self) -> AlertState {
        AlertState {
            key: self.key,
            level: level_of(self.level),
            since: from_micros(self.since),
            last_sent_at: self.last_sent_at.map(from_micros),
            title: self.title,
        }
    }
}

/// The number in the database; never reused.
const fn level_code(level: Level) -> i16 {
    match level {
        Level::Ok => 0,
        Level::Warning => 1,
        Level::Critical => 2,
    }
}

/// A number of a newer program reads as the worst: better told once too often than not.
const fn level_of(code: i16) -> Level {
    match code {
        0 => Level::Ok,
        1 => Level::Warning,
        _ => Level::Critical,
    }
}

/// States whose key starts with `prefix`, by key. Keys are ordered by their bytes on both databases,
/// and no key goes beyond the prefix followed by the last character there is.
pub(in crate::store) fn list(conn: &mut Conn, prefix: &str) -> QueryResult<Vec<AlertState>> {
    let rows: Vec<StateRow> = alert_states::table
        .filter(alert_states::key.ge(prefix))
        .filter(alert_states::key.lt(format!("{prefix}\u{10ffff}")))
        .order(alert_states::key)
        .limit(ALERTS_MAX)
        .load(conn)?;
    Ok(rows.into_iter().map(StateRow::into_state).collect())
}

/// Writes states over what was remembered of their keys.
pub(in crate::store) fn put(conn: &mut Conn, states: &[AlertState]) -> QueryResult<()> {
    // One statement may name a key once only; the last state of a key counts.
    let last: std::collections::BTreeMap<&str, &AlertState> = states
        .iter()
        .map(|state| (state.key.as_str(), state))
        .collect();
    let rows: Vec<StateRow> = last.into_values().map(StateRow::of).collect();
    for chunk in rows.chunks(INSERT_ROWS_MAX) {
        diesel::insert_into(alert_states::table)
            .values(chunk)
            .on_conflict(alert_states::key)
            .do_update()
            .set((
                alert_states::level.eq(excluded(alert_states::level)),
                alert_states::since.eq(excluded(alert_states::since)),
                alert_states::last_sent_at.eq(excluded(alert_states::last_sent_at)),
                alert_states::title.eq(excluded(alert_states::title)),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// Writes states, queues mails and publishes events.
pub(in crate::store) fn apply(
    conn: &mut Conn,
    states: &[AlertState],
    mails: &[NewMail],
    events: &[NewEvent],
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Published> {
    put(conn, states)?;
    mail::queue(conn, mails, now)?;
    event::insert_events(conn, events, ids, now)
}

/// Forgets things that have been well for [`KEPT_MICROS`], at most `limit`: most of them are gone, and one
/// that falls ill again is raised as a new one.
pub(in crate::store) fn prune_alerts(
    conn: &mut Conn,
    now: Timestamp,
    limit: u32,
) -> QueryResult<u64> {
    let well = alert_states::table
        .filter(alert_states::level.eq(level_code(Level::Ok)))
        .filter(alert_states::since.lt(to_micros(now).saturating_sub(KEPT_MICROS)))
        .limit(i64::from(limit))
        .select(alert_states::key);
    let keys: Vec<String> = well.load(conn)?;
    let mut gone = 0;
    for chunk in keys.chunks(INSERT_ROWS_MAX) {
        // It may have fallen ill meanwhile.
        let still_well = alert_states::table
            .filter(alert_states::key.eq_any(chunk))
            .filter(alert_states::level.eq(level_code(Level::Ok)));
        gone += diesel::delete(still_well).execute(conn)?;
    }
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}
