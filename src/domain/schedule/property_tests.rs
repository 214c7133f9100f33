//! Property tests of schedules.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

fn cron(expression: &str, zone: &str) -> Schedule {
    Schedule::cron(expression, Some(zone)).unwrap()
}

/// Text of an expression that parses in most cases.
fn expression() -> impl Strategy<Value = String> {
    let minute = prop_oneof!["\\*|\\*/[1-9]|[0-5][0-9]|[0-5]?[0-9],[0-5]?[0-9]|1[0-9]-4[0-9]"];
    let hour = prop_oneof!["\\*|\\*/[1-9]|1?[0-9]|[0-3],2[0-3]|[0-4]-[5-9]"];
    let day = prop_oneof!["\\*|[1-9]|[12][0-9]|L"];
    let weekday = prop_oneof!["\\*|[0-6]|[0-6]L|[0-6]#[1-4]|\\+[0-6]"];
    let second = prop_oneof![Just(String::new()), "[0-5][0-9] |\\*/[1-9] ".boxed()];
    (second, minute, hour, day, weekday).prop_map(|(second, minute, hour, day, weekday)| {
        format!("{second}{minute} {hour} {day} * {weekday}")
    })
}

fn zone_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "Europe/Berlin",
        "America/Sao_Paulo",
        "Australia/Lord_Howe",
        "America/St_Johns",
        "Asia/Kathmandu",
        "UTC",
    ])
}

/// Seconds of the years 2000 to 2020.
fn seconds() -> impl Strategy<Value = i64> {
    946_684_800_i64..1_577_836_800
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ticks_of_a_span_are_those_of_its_parts(
        text in expression(), zone in zone_name(), from in seconds(), length in 0_i64..3_000_000,
        cut in 0_i64..3_000_000, max in 0_usize..20,
    ) {
        let schedule = cron(&text, zone);
        let at = |s| from_seconds(s).unwrap();
        let (a, b, c) = (at(from), at(from + cut.min(length)), at(from + length));
        let total = |ticks: &Ticks| ticks.earlier.map_or(0, |e| e.count) + ticks.instants.len() as u64;
        let whole = schedule.between(a, a, c, max);
        let (left, right) = (schedule.between(a, a, b, max), schedule.between(a, b, c, max));
        prop_assert_eq!(total(&whole), total(&left) + total(&right));
        let mut joined = left.instants;
        joined.extend(right.instants);
        prop_assert!(whole.instants.len() <= max);
        prop_assert!(joined.ends_with(&whole.instants));
        if let Some(earlier) = whole.earlier {
            prop_assert!(a < earlier.first && earlier.first <= earlier.last);
            prop_assert!(whole.instants.first().is_none_or(|first| earlier.last < *first));
            prop_assert_eq!(earlier.first, schedule.next_after(a, a).unwrap());
        }
    }

    #[test]
    fn next_after_is_strictly_increasing_and_leaves_nothing_out(
        text in expression(), zone in zone_name(), from in seconds(),
    ) {
        let schedule = cron(&text, zone);
        let start = from_seconds(from).unwrap();
        let mut seen = Vec::new();
        let mut after = start;
        for _ in 0..12 {
            let next = schedule.next_after(start, after).unwrap();
            prop_assert!(next > after);
            seen.push(next);
            after = next;
        }
        let ticks = schedule.between(start, start, after, 12);
        prop_assert_eq!(ticks.instants, seen);
        // An expression may be rarer than the backlog is long; then the rest is not counted.
        prop_assert!(ticks.earlier.is_none());
    }

    #[test]
    fn croner_agrees_where_the_clock_never_changes(text in expression(), from in seconds()) {
        let schedule = cron(&text, "UTC");
        let start = from_seconds(from).unwrap();
        let theirs: croner::Cron = text.parse().unwrap();
        prop_assert_eq!(
            schedule.next_after(start, start).unwrap(),
            theirs.find_next_occurrence(&start, false).unwrap()
        );
    }

    #[test]
    fn an_interval_is_its_anchor_plus_multiples(
        millis in 1_000_u64..31_622_400_000, anchor in seconds(), micros in 0_u32..1_000_000,
        from in -4_000_000_i64..4_000_000, length in 0_i64..40_000_000, max in 0_usize..50,
    ) {
        let interval = Duration::from_millis(millis);
        let schedule = Schedule::every(interval).unwrap();
        let anchor = Timestamp::from_timestamp(anchor, micros * 1000).unwrap();
        let after = anchor + TimeDelta::seconds(from);
        let until = after + TimeDelta::seconds(length);
        let ticks = schedule.between(anchor, after, until, max);
        let step = |at: Timestamp| {
            let nanos = nanos(at) - nanos(anchor);
            (nanos % i128::try_from(interval.as_nanos()).unwrap() == 0)
                .then_some(nanos / i128::try_from(interval.as_nanos()).unwrap())
        };
        let mut all: Vec<i128> = Vec::new();
        if let Some(earlier) = ticks.earlier {
            let (first, last) = (step(earlier.first).unwrap(), step(earlier.last).unwrap());
            prop_assert_eq!(last - first + 1, i128::from(earlier.count));
            all.extend([first, last].into_iter().collect::<BTreeSet<_>>());
            prop_assert_eq!(ticks.instants.len(), max);
        }
        for at in &ticks.instants {
            let k = step(*at).unwrap();
            prop_assert!(all.last().is_none_or(|last| *last + 1 == k));
            all.push(k);
        }
        let next = schedule.next_after(anchor, after).unwrap();
        prop_assert!(next > after && next >= anchor && step(next).is_some());
        match all.first() {
            Some(first) => prop_assert_eq!(Some(*first), step(next)),
            None => prop_assert!(next > until),
        }
        if let (Some(last), false) = (all.last(), ticks.instants.is_empty()) {
            let after_last = schedule.next_after(anchor, until).unwrap();
            prop_assert_eq!(step(after_last).unwrap(), last + 1);
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}", fields in "([0-9*/,#LW+-]{1,6} ){4,5}[0-9A-Z*#+-]{1,4}") {
        for text in [text, fields] {
            if let Ok(expression) = CronExpression::parse(&text) {
                prop_assert_eq!(CronExpression::parse(expression.as_str()), Ok(expression));
            }
        }
    }
}
