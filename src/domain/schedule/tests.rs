//! Tests of schedules. The year-long ones compare with [`super::brute_force`].

use chrono::TimeDelta;
use serde_json::json;

use super::brute_force::{instant, years};
use super::*;

fn read(value: serde_json::Value) -> Result<Schedule, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn refusal(value: serde_json::Value) -> String {
    read(value).unwrap_err()
}

fn cron(expression: &str, zone: &str) -> Schedule {
    Schedule::cron(expression, Some(zone)).unwrap()
}

/// All instants of a day or so, as local text.
fn locals(schedule: &Schedule, from: &str, until: &str) -> Vec<String> {
    let (from, until) = (instant(from), instant(until));
    let zone = schedule.timezone().unwrap();
    schedule
        .between(from, from, until, 1000)
        .instants
        .iter()
        .map(|at| at.with_timezone(&zone).format("%H:%M%:z").to_string())
        .collect()
}

#[test]
fn both_forms_are_read_and_written() {
    let every = json!({"every": "PT90S"});
    assert_eq!(
        read(every).unwrap(),
        Schedule::every(Duration::from_secs(90)).unwrap()
    );
    let text = json!({"cron": " 10  * * * * ", "timezone": "Europe/Berlin"});
    let schedule = read(text).unwrap();
    assert_eq!(
        serde_json::to_value(&schedule).unwrap(),
        json!({"cron": "10 * * * *", "timezone": "Europe/Berlin"})
    );
    let utc = read(json!({"cron": "0 0 * * *"})).unwrap();
    assert_eq!(
        serde_json::to_value(&utc).unwrap(),
        json!({"cron": "0 0 * * *", "timezone": "UTC"})
    );
    let canonical = Schedule::every(Duration::from_secs(90)).unwrap();
    assert_eq!(
        serde_json::to_value(canonical).unwrap(),
        json!({"every": "PT1M30S"})
    );
}

#[test]
fn a_refusal_names_the_field_and_the_reason() {
    let cases = [
        (json!({}), "exactly one of `every` and `cron`"),
        (
            json!({"every": "PT1M", "cron": "* * * * *"}),
            "exactly one of `every` and `cron`",
        ),
        (json!({"timezone": "UTC"}), "exactly one"),
        (
            json!({"every": "PT1M", "timezone": "UTC"}),
            "`every` counts absolute time",
        ),
        (json!({"every": "PT0.5S"}), "`every` must be PT1S to P366D"),
        (json!({"every": "P367D"}), "`every` must be PT1S to P366D"),
        (json!({"every": "PT1.0005S"}), "whole milliseconds"),
        (json!({"every": "1m"}), "`every`: `1m` is not an ISO 8601"),
        (json!({"every": 60}), "invalid type"),
        (json!({"every": "PT1M", "jitter": 1}), "unknown field"),
        (
            json!({"cron": "* * * * *", "timezone": "Mars/Olympus"}),
            "`timezone`",
        ),
        (json!({"cron": "* * * *"}), "has 4 fields"),
        (json!({"cron": "* * * * * * 2030"}), "has 7 fields"),
        (json!({"cron": "60 * * * *"}), "minute `60`: "),
        (json!({"cron": "0 0 * 13 *"}), "month `13`: "),
        (json!({"cron": "99 0 0 * * *"}), "second `99`: "),
        (json!({"cron": "@daily"}), "has 1 fields"),
        (json!({"cron": "MON * * * *"}), "no value of its field"),
        (json!({"cron": "0 0 1 MON *"}), "no value of its field"),
        (json!({"cron": "0 0 1 1JAN *"}), "no value of its field"),
        (json!({"cron": "0,,5 * * * *"}), "is not a cron field"),
        (json!({"cron": "0 0 30 2 *"}), "never fires"),
        (json!({"cron": "0 0 31 4,6,9,11 *"}), "never fires"),
        (json!({"cron": "0".repeat(401)}), "at most 400"),
    ];
    for (value, expected) in cases {
        let text = refusal(value.clone());
        assert!(text.contains(expected), "{value}: {text}");
    }
}

#[test]
fn names_and_day_modifiers_are_read() {
    for expression in [
        "0 0 * * MON-FRI",
        "0 0 L FEB *",
        "0 0 15W * *",
        "0 0 LW * *",
        "0 0 * * 5L",
        "0 0 * * friL",
        "0 0 * * TUE#2",
        "0 0 29 2 +MON",
        "*/5 0 0 ? * *",
    ] {
        assert!(CronExpression::parse(expression).is_ok(), "{expression}");
    }
    let last_friday = cron("0 12 * * FRIL", "UTC");
    let from = instant("2026-02-01T00:00:00Z");
    assert_eq!(
        last_friday.next_after(from, from),
        Some(instant("2026-02-27T12:00:00Z"))
    );
}

#[test]
fn a_leap_day_on_a_weekday_is_found_over_the_missing_leap_year_2100() {
    let schedule = cron("0 0 29 2 +MON", "Europe/Berlin");
    let from = instant("2090-01-01T00:00:00Z");
    // 29 February 2072 and 2112 are Mondays, and none between: 2100 is no leap year.
    let next = schedule.next_after(instant("2000-01-01T00:00:00Z"), from);
    assert_eq!(next, Some(instant("2112-02-28T23:00:00Z")));
}

#[test]
fn the_first_instant_of_an_interval_is_its_anchor() {
    let schedule = Schedule::every(Duration::from_secs(60)).unwrap();
    let anchor = instant("2026-01-01T00:00:07.5Z");
    let before = anchor - TimeDelta::days(3);
    assert_eq!(schedule.next_after(anchor, before), Some(anchor));
    let next = Some(anchor + TimeDelta::seconds(60));
    assert_eq!(schedule.next_after(anchor, anchor), next);
    let ticks = schedule.between(anchor, before, anchor, 9);
    assert_eq!(ticks.instants, [anchor]);
    assert_eq!(ticks.earlier, None);
}

#[test]
fn a_skipped_time_fires_once_at_the_end_of_the_gap() {
    // In Berlin 02:00 to 03:00 is skipped on 30 March 2025.
    let night = ("2025-03-29T23:00:00Z", "2025-03-30T03:00:00Z");
    let fired = |expression| locals(&cron(expression, "Europe/Berlin"), night.0, night.1);
    assert_eq!(fired("30 2 * * *"), ["03:00+02:00"]);
    assert_eq!(fired("10,30 2 * * *"), ["03:00+02:00"]);
    assert_eq!(fired("30 2,4 * * *"), ["03:00+02:00", "04:30+02:00"]);
    assert_eq!(fired("0 2,3 * * *"), ["03:00+02:00"]);
    assert_eq!(fired("*/20 2 * * *"), ["03:00+02:00"]);
    // Every hour: no firing is made up, the pace holds in absolute time.
    assert_eq!(
        fired("5 * * * *"),
        ["00:05+01:00", "01:05+01:00", "03:05+02:00", "04:05+02:00"]
    );
    // Only the days that the expression names count.
    assert_eq!(fired("30 2 * * MON"), Vec::<String>::new());
    // Thirty minutes are skipped on Lord Howe, from 02:00 to 02:30.
    let half = |expression| {
        locals(
            &cron(expression, "Australia/Lord_Howe"),
            "2024-10-05T14:00:00Z",
            "2024-10-05T17:00:00Z",
        )
    };
    assert_eq!(half("15 2 * * *"), ["02:30+11:00"]);
    assert_eq!(half("45 2 * * *"), ["02:45+11:00"]);
    // In Sao Paulo the day begins at 01:00.
    let midnight = locals(
        &cron("0 0 * * *", "America/Sao_Paulo"),
        "2017-10-14T12:00:00Z",
        "2017-10-16T12:00:00Z",
    );
    assert_eq!(midnight, ["01:00-02:00", "00:00-02:00"]);
    // A whole day is skipped in Apia, 30 December 2011.
    let day = locals(
        &cron("0 12 30 12 *", "Pacific/Apia"),
        "2011-12-28T00:00:00Z",
        "2012-01-02T00:00:00Z",
    );
    assert_eq!(day, ["00:00+14:00"]);
}

#[test]
fn a_repeated_time_fires_once_and_a_pace_goes_on() {
    // In Berlin 02:00 to 03:00 occurs twice on 26 October 2025.
    let night = ("2025-10-25T22:30:00Z", "2025-10-26T02:00:00Z");
    let fired = |expression| locals(&cron(expression, "Europe/Berlin"), night.0, night.1);
    assert_eq!(fired("30 2 * * *"), ["02:30+02:00"]);
    assert_eq!(fired("0 2,3 * * *"), ["02:00+02:00", "03:00+01:00"]);
    assert_eq!(fired("10,30 2 * * *"), ["02:10+02:00", "02:30+02:00"]);
    assert_eq!(
        fired("*/30 2 * * *"),
        ["02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00"]
    );
    assert_eq!(
        fired("15 * * * *"),
        ["01:15+02:00", "02:15+02:00", "02:15+01:00"]
    );
}

#[test]
fn a_search_that_starts_within_the_second_pass_keeps_the_rule() {
    let within = instant("2025-10-26T01:10:00Z");
    let fixed = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        fixed.next_after(within, within),
        Some(instant("2025-10-27T01:30:00Z"))
    );
    let pace = cron("*/10 * * * *", "Europe/Berlin");
    assert_eq!(
        pace.next_after(within, within),
        Some(instant("2025-10-26T01:20:00Z"))
    );
    // The instant that makes up for the gap is found when the search starts right before it.
    let before = instant("2025-03-30T00:59:59.9Z");
    let made_up = fixed.next_after(before, before).unwrap();
    assert_eq!(made_up, instant("2025-03-30T01:00:00Z"));
    assert!(fixed.makes_up(made_up));
    assert!(!fixed.makes_up(instant("2025-03-31T00:30:00Z")));
}

const EXPRESSIONS: [&str; 14] = [
    "30 2 * * *",
    "0 0 * * *",
    "30 23 * * *",
    "15 2 * * 0",
    "15,45 1-3 * * *",
    "0,30 0,2,23 * * *",
    "5 * * * *",
    "*/10 * * * *",
    "*/20 2 * * *",
    "0 */2 * * *",
    "40 */6 1,15 * 1",
    "1 0 1 * *",
    "59 0-23 * 3,10 *",
    "*/7 0-5/2 * * 6,0",
];

#[test]
fn a_year_of_ticks_agrees_with_a_walk_minute_by_minute() {
    for minutes in years() {
        for expression in EXPRESSIONS {
            let expected = minutes.ticks(expression);
            let schedule = cron(expression, minutes.zone.name());
            let place = format!("{expression} in {}", minutes.zone);
            spans_agree(
                &schedule,
                (minutes.start(), minutes.end()),
                &expected,
                &place,
            );
            steps_agree(
                &schedule,
                (minutes.start(), minutes.end()),
                &expected,
                &place,
            );
        }
    }
}

/// Checks `between`, once with all instants listed and once with most of them counted.
fn spans_agree(
    schedule: &Schedule,
    (start, end): (Timestamp, Timestamp),
    expected: &[Timestamp],
    place: &str,
) {
    let before = start - TimeDelta::seconds(1);
    let ticks = schedule.between(before, before, end, usize::MAX - 1);
    assert_eq!(ticks.instants, expected, "{place}");
    assert_eq!(ticks.earlier, None, "{place}");

    let counted = schedule.between(before, before, end, 3);
    let (counted_only, listed) = expected.split_at(expected.len().saturating_sub(3));
    assert_eq!(counted.instants, listed, "{place}");
    let earlier = counted.earlier.map(|e| (e.first, e.last, e.count));
    let count = u64::try_from(counted_only.len()).unwrap();
    let ends = counted_only.first().zip(counted_only.last());
    let wanted = ends.map(|(first, last)| (*first, *last, count));
    assert_eq!(earlier, wanted, "{place}");
}

/// Checks `next_after`, from instant to instant.
fn steps_agree(
    schedule: &Schedule,
    (start, end): (Timestamp, Timestamp),
    expected: &[Timestamp],
    place: &str,
) {
    // A year of a pace has fifty thousand ticks; its steps are checked in the shorter spans.
    const STEPS_MAX: usize = 3_000;
    let mut after = start - TimeDelta::seconds(1);
    for tick in expected.iter().take(STEPS_MAX) {
        assert_eq!(schedule.next_after(start, after), Some(*tick), "{place}");
        after = *tick;
    }
    if expected.len() <= STEPS_MAX {
        assert!(schedule.next_after(start, after).unwrap() > end, "{place}");
    }
}

#[test]
fn seconds_keep_the_rule_over_both_nights() {
    let every_second = cron("* * * * * *", "Europe/Berlin");
    let (from, until) = (
        instant("2025-01-01T00:00:00Z"),
        instant("2025-12-31T23:59:59Z"),
    );
    let ticks = every_second.between(from, from - TimeDelta::seconds(1), until, 2);
    assert_eq!(ticks.earlier.unwrap().count, 365 * 86_400 - 2);
    // Five-second steps in a fixed minute: once in the fold, once for all of them in the gap.
    let fixed = cron("*/20 30 2 * * *", "Europe/Berlin");
    let fold = fixed.between(
        from,
        instant("2025-10-25T12:00:00Z"),
        instant("2025-10-26T12:00:00Z"),
        9,
    );
    let first = instant("2025-10-26T00:30:00Z");
    let seconds = [0, 20, 40].map(|s| first + TimeDelta::seconds(s));
    assert_eq!(fold.instants, seconds);
    let gap = fixed.between(
        from,
        instant("2025-03-29T12:00:00Z"),
        instant("2025-03-30T12:00:00Z"),
        9,
    );
    assert_eq!(gap.instants, [instant("2025-03-30T01:00:00Z")]);
}

#[test]
fn a_backlog_of_ten_years_is_the_most_that_is_counted() {
    let schedule = cron("* * * * * *", "UTC");
    let until = instant("2026-01-01T00:00:00Z");
    let ticks = schedule.between(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, until, 5);
    let backlog = u64::try_from(BACKLOG_DAYS).unwrap() * 86_400;
    assert_eq!(ticks.earlier.unwrap().count, backlog - 5);
}

#[test]
fn the_ends_of_time_do_no_harm() {
    let far = [Timestamp::MIN_UTC, Timestamp::MAX_UTC];
    let schedules = [
        cron("30 2 * * *", "Europe/Berlin"),
        Schedule::every(Duration::from_secs(1)).unwrap(),
    ];
    for schedule in &schedules {
        for anchor in far {
            for after in far {
                for until in far {
                    let ticks = schedule.between(anchor, after, until, 10);
                    assert!(ticks.instants.len() <= 10);
                }
                if let Some(next) = schedule.next_after(anchor, after) {
                    assert!(next > after && next >= anchor);
                }
            }
        }
    }
}

#[test]
fn every_zone_changes_its_offset_only_where_it_is_probed() {
    // A change and its reverse within one probe would be overlooked; a finer walk finds none.
    let (from, until) = (
        instant("2024-01-01T00:00:00Z").timestamp(),
        instant("2025-01-01T00:00:00Z").timestamp(),
    );
    for zone in chrono_tz::TZ_VARIANTS {
        let coarse = zone::transitions(zone, from, until).len();
        let hours = (from - 3600..until).step_by(3600 * 6);
        let offsets: Vec<i64> = hours.map(|at| zone::offset_at(zone, at)).collect();
        let fine = offsets.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert_eq!(coarse, fine, "{zone}");
    }
}
