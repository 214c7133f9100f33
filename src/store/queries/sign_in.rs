//! Refused sign-ins. See `store::sign_in`.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer};

use super::{Conn, dialect};
use crate::domain::id::OperationId;
use crate::domain::operation::{Allowance, LOCK_WINDOW_MAX, Refusals};
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::QueryResult;
use crate::store::schema::sign_in::sign_in_tries as tries;
use crate::store::sign_in::{Attempt, SignIns, Wanted};

/// When to ask again while others are at it: a sign-in takes seconds.
const PAUSE: Duration = Duration::from_secs(15);

fn count_of(refused: u32) -> i32 {
    i32::try_from(refused).unwrap_or(i32::MAX)
}

/// How the table names an attempt: a process by its number below 0, where no operation is.
fn row_of(by: Attempt) -> (i64, i32) {
    match by {
        Attempt::Operation { id, number } => (id.0, count_of(number)),
        Attempt::Process { id, number } => (-id.0, count_of(number)),
    }
}

/// When, how many at most, whether it has settled, and how many were noted.
type Row = (i64, i32, bool, Option<i32>);

/// What a reservation counts for. Whose time is over and who did not settle has died, with one sign-in in hand at most beside those
/// that were noted; an older node notes none.
fn refusals((at, count, settled, refused): &Row, now: Timestamp) -> Refusals {
    let is_dead = !settled && *at <= to_micros(now);
    let count = match refused {
        Some(refused) if is_dead => refused.saturating_add(1).min(*count),
        _ => *count,
    };
    Refusals {
        at: from_micros(*at),
        count: u32::try_from(count).unwrap_or_default(),
    }
}

/// Reserves what is left. What counts in no window any more goes with it.
pub(in crate::store) fn reserve(
    conn: &mut Conn,
    sign_ins: &SignIns,
    wanted: Wanted,
    now: Timestamp,
) -> QueryResult<Allowance> {
    dialect::lock_text(conn, &sign_ins.account)?;
    let of_account = tries::table.filter(tries::account.eq(&sign_ins.account));
    diesel::delete(of_account.filter(tries::at.le(to_micros(now - LOCK_WINDOW_MAX))))
        .execute(conn)?;
    let rows: Vec<Row> = of_account
        .select((tries::at, tries::count, tries::settled, tries::refused))
        .load(conn)?;
    let past: Vec<Refusals> = rows.iter().map(|row| refusals(row, now)).collect();
    let left = match Allowance::after(&past, wanted.window, now) {
        Allowance::Tries(left) => left.min(wanted.tries),
        // Whose time is over and who did not settle has died.
        Allowance::Wait(until) => {
            let at_it = |(at, _, settled, _): &Row| !settled && *at > to_micros(now);
            let soon = rows.iter().any(at_it).then(|| until.min(now + PAUSE));
            return Ok(Allowance::Wait(soon.unwrap_or(until)));
        }
    };
    let (by, number) = row_of(sign_ins.by);
    diesel::insert_into(tries::table)
        .values((
            tries::account.eq(&sign_ins.account),
            tries::operation_id.eq(by),
            tries::attempt.eq(number),
            tries::at.eq(to_micros(wanted.until)),
            tries::count.eq(count_of(left)),
            tries::settled.eq(false),
            tries::refused.eq(Some(0)),
        ))
        .execute(conn)?;
    Ok(Allowance::Tries(left))
}

/// Says what they came to.
pub(in crate::store) fn settle(
    conn: &mut Conn,
    sign_ins: &SignIns,
    refused: u32,
    now: Timestamp,
) -> QueryResult<()> {
    let (by, number) = row_of(sign_ins.by);
    let row = tries::table.find((sign_ins.account.as_str(), by, number));
    if refused == 0 {
        diesel::delete(row).execute(conn)?;
    } else {
        diesel::update(row)
            .set((
                tries::at.eq(to_micros(now)),
                tries::count.eq(count_of(refused)),
                tries::settled.eq(true),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// Notes what was refused so far.
pub(in crate::store) fn refused(
    conn: &mut Conn,
    sign_ins: &SignIns,
    refused: u32,
) -> QueryResult<()> {
    let (by, number) = row_of(sign_ins.by);
    let row = tries::table.find((sign_ins.account.as_str(), by, number));
    diesel::update(row.filter(tries::settled.eq(false)))
        .set(tries::refused.eq(Some(count_of(refused))))
        .execute(conn)?;
    Ok(())
}

/// More was reserved than can have been refused.
const FEWER: &str = "refused IS NOT NULL AND count > refused + 1";

/// Counts as refused now what was not settled and may have been.
pub(in crate::store) fn abandon(
    conn: &mut Conn,
    operations: &[OperationId],
    now: Timestamp,
) -> QueryResult<()> {
    let left = || {
        let of_operations = tries::operation_id.eq_any(operations.iter().map(|id| id.0));
        tries::table
            .filter(of_operations)
            .filter(tries::settled.eq(false))
    };
    diesel::update(left().filter(sql::<Bool>(FEWER)))
        .set(tries::count.eq(sql::<Integer>("refused + 1")))
        .execute(conn)?;
    diesel::update(left())
        .set((tries::at.eq(to_micros(now)), tries::settled.eq(true)))
        .execute(conn)?;
    Ok(())
}
