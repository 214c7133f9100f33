//! Local days as spans of time: 24 hours mostly, 23 or 25 when the clock is changed.

use chrono::{Days, NaiveDate, NaiveTime};
use chrono_tz::Tz;

use super::schedule::zone::{self, Wall};
use super::time::Timestamp;

/// The local day that `at` lies in.
#[must_use]
pub fn day_of(at: Timestamp, zone: Tz) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// The first instant of `day` and the first instant after it.
///
/// Where the clock skips midnight, the day begins after the gap; where midnight occurs twice, at
/// its first occurrence. So days touch, and every instant lies in one of them. `None` at the ends
/// of the calendar.
#[must_use]
pub fn bounds(day: NaiveDate, zone: Tz) -> Option<(Timestamp, Timestamp)> {
    let next = day.checked_add_days(Days::new(1))?;
    Some((begin(day, zone)?, begin(next, zone)?))
}

fn begin(day: NaiveDate, zone: Tz) -> Option<Timestamp> {
    let seconds = match zone::resolve(zone, day.and_time(NaiveTime::MIN)) {
        Wall::Once(at) | Wall::Gap(at) | Wall::Fold(at, _) => at,
    };
    Timestamp::from_timestamp(seconds, 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minutes(day: &str, zone: Tz) -> i64 {
        let (from, to) = bounds(day.parse().unwrap(), zone).unwrap();
        (to - from).num_minutes()
    }

    #[test]
    fn days_are_as_long_as_their_clock_makes_them() {
        assert_eq!(minutes("2026-03-28", Tz::Europe__Berlin), 24 * 60);
        assert_eq!(minutes("2026-03-29", Tz::Europe__Berlin), 23 * 60);
        assert_eq!(minutes("2026-10-25", Tz::Europe__Berlin), 25 * 60);
        // The clock skipped midnight, and came back at midnight.
        assert_eq!(minutes("2018-11-04", Tz::America__Sao_Paulo), 23 * 60);
        assert_eq!(minutes("2018-02-17", Tz::America__Sao_Paulo), 25 * 60);
        assert_eq!(
            minutes("2026-04-05", Tz::Australia__Lord_Howe),
            24 * 60 + 30
        );
        // Samoa left this day out.
        assert_eq!(minutes("2011-12-30", Tz::Pacific__Apia), 0);
    }

    proptest! {
        /// Every instant lies in the day it is said to lie in.
        #[test]
        fn an_instant_lies_in_its_day(secs in 0i64..4_000_000_000, zone in 0usize..5) {
            let zone = [Tz::UTC, Tz::Europe__Berlin, Tz::America__Sao_Paulo, Tz::Asia__Kolkata, Tz::Pacific__Apia][zone];
            let at = Timestamp::from_timestamp(secs, 0).unwrap();
            let (from, to) = bounds(day_of(at, zone), zone).unwrap();
            prop_assert!(from <= at && at < to);
        }
    }
}
