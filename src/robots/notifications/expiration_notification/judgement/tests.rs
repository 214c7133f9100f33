use chrono::{TimeDelta, TimeZone as _};
use proptest::prelude::*;

use super::*;
use crate::domain::id::InventoryId;

const LEVELS: [u32; 7] = [90, 60, 30, 15, 7, 1, 0];
const WHO: &str = "ops@example.org";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn rules(levels: &[u32], zone: Tz) -> Rules<'_> {
    Rules {
        levels,
        zone,
        audience: Vec::from([PROGRAMS, WHO]),
    }
}

fn certificate(ends_at: Timestamp, issuer_ends_at: Option<Timestamp>) -> Expiring {
    Expiring {
        id: InventoryId(1),
        begins_at: None,
        ends_at,
        known_as: KnownAs::Subject {
            subject: "CN=x".to_owned(),
            names: Vec::new(),
            issuer_ends_at,
        },
        told: Vec::new(),
    }
}

fn judged(thing: Expiring, zone: Tz, now: Timestamp) -> Option<(Level, i64, usize)> {
    match judge(thing, &rules(&LEVELS, zone), now) {
        Judged::Due(due) => Some((due.level, due.days_left, due.untold.len())),
        Judged::Nothing | Judged::Covered => None,
    }
}

#[test]
fn each_level_begins_at_midnight() {
    let end = at("2027-01-15T12:00:00Z");
    for (now, expected) in [
        ("2026-10-16T23:59:59Z", None),
        ("2026-10-17T00:00:00Z", Some((Level::Days(90), 90))),
        ("2027-01-07T23:59:59Z", Some((Level::Days(15), 8))),
        ("2027-01-08T00:00:00Z", Some((Level::Days(7), 7))),
        ("2027-01-14T23:59:59Z", Some((Level::Days(1), 1))),
        ("2027-01-15T00:00:00Z", Some((Level::Days(0), 0))),
        ("2027-01-15T11:59:59Z", Some((Level::Days(0), 0))),
        ("2027-01-15T12:00:00Z", Some((Level::Expired, 0))),
        ("2029-01-15T12:00:00Z", Some((Level::Expired, -731))),
    ] {
        let found = judged(certificate(end, None), Tz::UTC, at(now));
        assert_eq!(
            found,
            expected.map(|(level, days)| (level, days, 2)),
            "{now}"
        );
    }
}

/// A certificate of 90 days is not announced at once, and the level that is as long as its life never.
#[test]
fn a_level_that_is_longer_than_two_thirds_of_a_life_is_skipped() {
    let begin = at("2027-01-01T12:00:00Z");
    let end = begin + TimeDelta::days(90);
    for (day, expected) in [
        (0, None),
        (29, None),
        (30, Some(60)),
        (59, Some(60)),
        (60, Some(30)),
        (90, None),
    ] {
        let thing = Expiring {
            begins_at: Some(begin),
            ..certificate(end, None)
        };
        let found = judged(thing, Tz::UTC, begin + TimeDelta::days(day));
        let level = expected.map_or(Level::Expired, Level::Days);
        let none = expected.is_none() && day < 90;
        let found = found.map(|(level, ..)| level);
        assert_eq!(found, (!none).then_some(level), "{day}");
    }
}

/// Days are whole, lives need not be: one of nine hours does not end today as soon as it begins.
#[test]
fn nobody_is_told_before_a_third_of_a_life_is_over() {
    let begin = at("2027-01-01T12:00:00Z");
    let end = begin + TimeDelta::hours(9);
    for (minutes, expected) in [(0, None), (179, None), (180, Some(Level::Days(0)))] {
        let thing = Expiring {
            begins_at: Some(begin),
            ..certificate(end, None)
        };
        let found = judged(thing, Tz::UTC, begin + TimeDelta::minutes(minutes));
        assert_eq!(found.map(|(level, ..)| level), expected, "{minutes}");
    }
}

#[test]
fn days_are_those_of_the_zone() {
    let (now, end) = (at("2027-01-15T23:00:00Z"), at("2027-01-16T02:00:00Z"));
    let level = |zone| judged(certificate(end, None), zone, now).unwrap().0;
    assert_eq!(level(Tz::UTC), Level::Days(1));
    assert_eq!(level(Tz::America__Sao_Paulo), Level::Days(0));
    // A night of 25 hours is one night.
    let (now, end) = (at("2026-10-24T22:30:00Z"), at("2026-10-25T22:45:00Z"));
    let level = judged(certificate(end, None), Tz::Europe__Berlin, now);
    assert_eq!(level.unwrap().0, Level::Days(0));
}

#[test]
fn the_end_of_the_calendar_is_far() {
    let now = at("2027-01-15T12:00:00Z");
    for end in ["9999-12-31T23:59:59Z", "2038-01-19T03:14:08Z"] {
        assert_eq!(judged(certificate(at(end), None), Tz::UTC, now), None);
    }
    assert!(horizon(&rules(&[3_650], Tz::UTC), now).is_some());
    assert_eq!(horizon(&rules(&[0], Tz::UTC), Timestamp::MAX_UTC), None);
}

#[test]
fn an_issuer_covers_what_ends_no_sooner() {
    let now = at("2027-01-15T12:00:00Z");
    let end = now + TimeDelta::days(5);
    for (issuer, covered) in [(4, true), (5, true), (6, false)] {
        let thing = certificate(end, Some(now + TimeDelta::days(issuer)));
        let judged = judge(thing, &rules(&LEVELS, Tz::UTC), now);
        assert_eq!(judged == Judged::Covered, covered, "{issuer}");
    }
}

#[test]
fn whoever_comes_later_is_told_what_holds_then() {
    let now = at("2027-01-15T12:00:00Z");
    let mut thing = certificate(now + TimeDelta::days(5), None);
    thing.told = Vec::from([(PROGRAMS.to_owned(), 7)]);
    let Judged::Due(due) = judge(thing, &rules(&LEVELS, Tz::UTC), now) else {
        panic!("somebody is to be told")
    };
    assert_eq!(
        (due.level, due.untold),
        (Level::Days(7), Vec::from([WHO.to_owned()]))
    );
}

fn zones() -> impl Strategy<Value = Tz> {
    prop::sample::select(Vec::from([
        Tz::UTC,
        Tz::Europe__Berlin,
        Tz::America__Sao_Paulo,
        Tz::Asia__Kolkata,
        Tz::Pacific__Apia,
    ]))
}

fn instant(seconds: i64) -> Timestamp {
    chrono::Utc.timestamp_opt(seconds, 0).unwrap()
}

proptest! {
    /// However long the runs are apart: each tells one level at most, the one that holds, and each is lower than
    /// the one before.
    #[test]
    fn levels_are_told_once_and_downwards(
        levels in prop::collection::vec(0u32..400, 1..8),
        end in 1_000_000_000i64..3_000_000_000,
        steps in prop::collection::vec(1i64..60 * 86_400, 1..30),
        zone in zones(),
    ) {
        let mut now = instant(end - 500 * 86_400);
        let mut told: Vec<(String, i64)> = Vec::new();
        let mut last = i64::MAX;
        for step in steps {
            now += TimeDelta::seconds(step);
            let thing = Expiring { told: told.clone(), ..certificate(instant(end), None) };
            let days_left = days_between(now, instant(end), zone);
            match judge(thing, &rules(&levels, zone), now) {
                Judged::Due(due) => {
                    let code = due.level.code();
                    prop_assert!(code < last);
                    prop_assert_eq!(due.untold.len(), 2);
                    prop_assert_eq!(due.level == Level::Expired, now >= instant(end));
                    if let Level::Days(days) = due.level {
                        prop_assert!(levels.contains(&days) && i64::from(days) >= days_left);
                        let closer = levels.iter().any(|l| *l < days && i64::from(*l) >= days_left);
                        prop_assert!(!closer);
                    }
                    told.extend(due.untold.into_iter().map(|who| (who, code)));
                    last = code;
                }
                Judged::Nothing => {
                    let reached = levels.iter().filter(|l| i64::from(**l) >= days_left).min();
                    prop_assert!(reached.is_none_or(|level| last <= i64::from(*level)));
                    prop_assert!(now < instant(end) || last == -1);
                }
                Judged::Covered => prop_assert!(false),
            }
        }
    }

    /// However short a life: nobody is told of its end before a third of it is over, and everybody when it is.
    #[test]
    fn nobody_is_told_of_the_end_of_what_is_new(
        levels in prop::collection::vec(0u32..400, 1..8),
        begin in 1_000_000_000i64..3_000_000_000,
        life in prop_oneof![1i64..4 * 86_400, 1i64..800 * 86_400],
        share in 0i64..1_100,
        zone in zones(),
    ) {
        let (begin, end) = (instant(begin), instant(begin + life));
        let thing = Expiring { begins_at: Some(begin), ..certificate(end, None) };
        let now = begin + TimeDelta::seconds(life * share / 1_000);
        let new = now - begin < (end - begin) / 3;
        match judge(thing, &rules(&levels, zone), now) {
            Judged::Due(Due { level: Level::Days(days), .. }) => {
                prop_assert!(!new && now < end);
                prop_assert!(TimeDelta::days(days.into()) <= (end - begin) - (end - begin) / 3);
            }
            Judged::Due(_) => prop_assert!(now >= end),
            Judged::Nothing => prop_assert!(now < end),
            Judged::Covered => prop_assert!(false),
        }
    }

    /// What is not read has no level.
    #[test]
    fn whatever_has_a_level_ends_before_the_horizon(
        levels in prop::collection::vec(0u32..400, 1..8),
        now in 1_000_000_000i64..3_000_000_000,
        ahead in -100 * 86_400i64..500 * 86_400,
        zone in zones(),
    ) {
        let rules = rules(&levels, zone);
        let end = instant(now + ahead);
        let found = judge(certificate(end, None), &rules, instant(now)) != Judged::Nothing;
        prop_assert_eq!(found, end < horizon(&rules, instant(now)).unwrap());
    }
}
