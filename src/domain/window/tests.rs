//! Tests of windows. The year-long ones compare with `schedule::brute_force`.

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::schedule::brute_force::{instant, years};

fn window(start: &str, end: &str, days: &[&str], zone: &str) -> Window {
    let value = json!({"start": start, "end": end, "days": days, "timezone": zone});
    serde_json::from_value(value).unwrap()
}

fn every_day(start: &str, end: &str, zone: &str) -> Window {
    window(start, end, &Days::NAMES, zone)
}

/// The edges of the opening that is open at or follows `from`.
fn opening(window: &Window, from: &str) -> (String, String) {
    let opens = window.next_open(instant(from)).unwrap();
    let closes = window.closes_at(opens).unwrap();
    let local = |at: Timestamp| {
        at.with_timezone(&window.timezone)
            .format("%d %H:%M%:z")
            .to_string()
    };
    (local(opens), local(closes))
}

fn edges(opens: &str, closes: &str) -> (String, String) {
    (opens.to_owned(), closes.to_owned())
}

#[test]
fn the_json_form_is_read_and_written_back() {
    let text = json!({
        "start": "22:00", "end": "06:00", "days": ["mon", "tue"],
        "timezone": "America/Sao_Paulo", "at_close": "drain",
    });
    let read: Window = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(read.at_close, AtClose::Drain);
    assert!(read.days.contains(Weekday::Tue) && !read.days.contains(Weekday::Wed));
    assert_eq!(serde_json::to_value(&read).unwrap(), text);

    let short: Window = serde_json::from_value(json!({"start": "00:00", "end": "24:00"})).unwrap();
    assert_eq!(
        serde_json::to_value(&short).unwrap(),
        json!({"start": "00:00", "end": "24:00", "days": Days::NAMES, "timezone": "UTC", "at_close": "finish"})
    );
    let seconds = every_day("08:00:30", "09:00:00", "UTC");
    let text = serde_json::to_value(&seconds).unwrap();
    assert_eq!(
        (&text["start"], &text["end"]),
        (&json!("08:00:30"), &json!("09:00"))
    );
}

#[test]
fn a_refusal_names_the_field_and_the_reason() {
    let base = json!({"start": "08:00", "end": "09:00"});
    let cases = [
        ("start", json!("8:00"), "`start` must be `HH:MM`"),
        ("start", json!("24:00"), "`start` must be `HH:MM`"),
        ("start", json!("08:00:60"), "`start` must be `HH:MM`"),
        ("start", json!("09:00"), "`end` must differ from `start`"),
        ("end", json!("24:01"), "`end` must be `HH:MM`"),
        ("end", json!("+1:00"), "`end` must be `HH:MM`"),
        ("end", json!("09:00:00:00"), "`end` must be `HH:MM`"),
        ("days", json!([]), "`days` must name at least one day"),
        ("days", json!(["monday"]), "unknown variant `monday`"),
        ("days", json!("mon"), "a list of mon, tue"),
        ("timezone", json!("CEST+1"), "`timezone`: no zone"),
        ("at_close", json!("kill"), "unknown variant `kill`"),
        ("until", json!("09:00"), "unknown field `until`"),
    ];
    for (field, value, expected) in cases {
        let mut text = base.clone();
        text[field] = value;
        let error = serde_json::from_value::<Window>(text.clone()).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    let midnight = json!({"start": "00:00", "end": "00:00"});
    assert!(serde_json::from_value::<Window>(midnight).is_err());
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_it_opens_on() {
    // 5 January 2026 is a Monday.
    let night = window("22:00", "06:00", &["mon"], "UTC");
    let open = |at: &str| night.is_open(instant(at));
    assert!(!open("2026-01-05T05:00:00Z"), "Sunday's night is not named");
    assert!(!open("2026-01-05T21:59:59Z"));
    assert!(open("2026-01-05T22:00:00Z"));
    assert!(open("2026-01-06T05:59:59.999Z"));
    assert!(!open("2026-01-06T06:00:00Z"));
    assert_eq!(
        night.closes_at(instant("2026-01-06T01:00:00Z")),
        Some(instant("2026-01-06T06:00:00Z"))
    );
    assert_eq!(night.closes_at(instant("2026-01-06T07:00:00Z")), None);
    assert_eq!(
        night.next_open(instant("2026-01-06T06:00:00Z")),
        Some(instant("2026-01-12T22:00:00Z"))
    );
    let within = instant("2026-01-05T23:00:00.5Z");
    assert_eq!(night.next_open(within), Some(within));
}

#[test]
fn whole_days_in_a_row_are_one_window() {
    let weekdays = window(
        "00:00",
        "24:00",
        &["mon", "tue", "wed", "thu", "fri"],
        "Europe/Berlin",
    );
    let monday = instant("2026-01-05T10:00:00Z");
    assert_eq!(
        weekdays.closes_at(monday),
        Some(instant("2026-01-09T23:00:00Z"))
    );
    let always = every_day("00:00", "24:00", "Europe/Berlin");
    assert!(always.never_closes());
    assert_eq!(always.closes_at(monday), Some(Timestamp::MAX_UTC));
    assert_eq!(always.next_open(monday), Some(monday));
}

#[test]
fn an_edge_in_the_gap_moves_to_the_first_instant_after_it() {
    // In Berlin 02:00 to 03:00 is skipped on 30 March 2025.
    let noon = "2025-03-29T12:00:00Z";
    let berlin = |start, end| opening(&every_day(start, end, "Europe/Berlin"), noon);
    assert_eq!(
        berlin("02:30", "04:00"),
        edges("30 03:00+02:00", "30 04:00+02:00")
    );
    assert_eq!(
        berlin("01:00", "02:30"),
        edges("30 01:00+01:00", "30 03:00+02:00")
    );
    // Nothing remains of this one: it opens a day later.
    assert_eq!(
        berlin("02:10", "02:50"),
        edges("31 02:10+02:00", "31 02:50+02:00")
    );
    // In Sao Paulo midnight is skipped on 15 October 2017.
    let day = every_day("00:00", "12:00", "America/Sao_Paulo");
    assert_eq!(
        opening(&day, "2017-10-14T18:00:00Z"),
        edges("15 01:00-02:00", "15 12:00-02:00")
    );
}

#[test]
fn an_edge_that_occurs_twice_makes_the_window_longer_not_shorter() {
    // In Berlin 02:00 to 03:00 occurs twice on 26 October 2025.
    let noon = "2025-10-25T12:00:00Z";
    let berlin = |start, end| opening(&every_day(start, end, "Europe/Berlin"), noon);
    assert_eq!(
        berlin("02:30", "04:00"),
        edges("26 02:30+02:00", "26 04:00+01:00")
    );
    assert_eq!(
        berlin("01:00", "02:30"),
        edges("26 01:00+02:00", "26 02:30+01:00")
    );
    assert_eq!(
        berlin("02:10", "02:50"),
        edges("26 02:10+02:00", "26 02:50+01:00")
    );
    // On Lord Howe half an hour is repeated, from 01:30 to 02:00 on 7 April 2024.
    let howe = every_day("01:00", "01:45", "Australia/Lord_Howe");
    assert_eq!(
        opening(&howe, "2024-04-06T06:00:00Z"),
        edges("07 01:00+11:00", "07 01:45+10:30")
    );
}

#[test]
fn a_year_of_windows_agrees_with_a_walk_minute_by_minute() {
    let all = [0, 1, 2, 3, 4, 5, 6].map(|n| Weekday::try_from(n).unwrap());
    let spans: [(&str, &str, &[Weekday]); 9] = [
        ("22:00", "06:00", &all),
        ("22:00", "06:00", &[Weekday::Sat]),
        ("00:00", "24:00", &[Weekday::Sun, Weekday::Mon]),
        ("02:10", "02:20", &all),
        ("01:45", "02:15", &all),
        ("02:30", "24:00", &[Weekday::Sun]),
        ("23:30", "23:00", &all),
        ("23:00", "00:30", &[Weekday::Sat, Weekday::Fri]),
        ("03:00", "02:30", &all),
    ];
    for minutes in years() {
        for (start, end, days) in spans {
            let mut window = every_day(start, end, minutes.zone.name());
            window.days = days.iter().copied().collect();
            let expected = minutes.openings(window.start, window.end, days);
            assert!(!expected.is_empty());
            let place = format!("{start} to {end} on {:?} in {}", window.days, minutes.zone);
            let mut from = expected[0].0;
            for (opens, closes) in expected {
                // The walk may have cut what joins the first opening from before.
                assert_eq!(window.next_open(from), Some(opens), "{place}");
                assert_eq!(window.closes_at(opens), Some(closes), "{place}");
                from = closes;
            }
        }
    }
}

#[test]
fn every_minute_of_the_nights_of_change_agrees_with_a_walk() {
    let all = [0, 1, 2, 3, 4, 5, 6].map(|n| Weekday::try_from(n).unwrap());
    let spans: [(&str, &str, &[Weekday]); 3] = [
        ("22:45", "02:15", &all),
        // In St. John's midnight occurs twice: these are open on the wrong side of the first one.
        ("00:00", "01:00", &all),
        ("23:45", "23:30", &[Weekday::Fri]),
    ];
    for minutes in years() {
        let offset = |at: Timestamp| at.with_timezone(&minutes.zone).naive_local() - at.naive_utc();
        let around = TimeDelta::hours(18);
        let near_change = |day: &&[(Timestamp, _)]| {
            offset(day[0].0 - around) != offset(day[day.len() - 1].0 + around)
        };
        let nights: Vec<Timestamp> = minutes
            .all
            .chunks(1440)
            .filter(near_change)
            .flat_map(|day| day.iter().map(|(at, _)| *at))
            .collect();
        assert!(!nights.is_empty());
        for (start, end, days) in spans {
            let mut window = every_day(start, end, minutes.zone.name());
            window.days = days.iter().copied().collect();
            let openings = minutes.openings(window.start, window.end, days);
            for at in &nights {
                if *at < openings[0].0 || *at > openings[openings.len() - 1].1 {
                    continue;
                }
                let index = openings.partition_point(|(opens, _)| opens <= at);
                let open = index > 0 && *at < openings[index - 1].1;
                let place = format!("{start} to {end} at {at} in {}", minutes.zone);
                assert_eq!(window.is_open(*at), open, "{place}");
            }
        }
    }
}

#[test]
fn the_ends_of_time_do_no_harm() {
    let window = every_day("22:00", "06:00", "Europe/Berlin");
    for at in [Timestamp::MIN_UTC, Timestamp::MAX_UTC] {
        assert!(window.next_open(at).is_none_or(|opens| opens >= at));
        assert!(window.closes_at(at).is_none_or(|closes| closes > at));
    }
    let mut never = window;
    never.days = Days::from_iter([]);
    assert_eq!(never.next_open(Timestamp::UNIX_EPOCH), None);
}

/// Any valid window, in whole seconds.
fn any_window() -> impl Strategy<Value = Window> {
    let zones = [
        Tz::UTC,
        Tz::Europe__Berlin,
        Tz::America__Sao_Paulo,
        Tz::Australia__Lord_Howe,
    ];
    let at_close = [AtClose::Finish, AtClose::Drain, AtClose::Cancel];
    let fields = (0_u32..86_400, 0_u32..86_400, 1_u8..128);
    (
        fields,
        prop::sample::select(zones.to_vec()),
        prop::sample::select(at_close.to_vec()),
    )
        .prop_filter("a window has a length", |((start, end, _), ..)| {
            start != end || *end == 0
        })
        .prop_map(|((start, end, days), timezone, at_close)| {
            let time = |seconds| NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0).unwrap();
            let (start, end, days) = (time(start), time(end), Days(days));
            Window {
                start,
                end,
                days,
                timezone,
                at_close,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_window_is_read_back_as_written(window in any_window()) {
        let text = serde_json::to_string(&window).unwrap();
        prop_assert_eq!(serde_json::from_str::<Window>(&text).unwrap(), window);
    }

    #[test]
    fn the_edges_of_a_window_agree_with_each_other(
        window in any_window(), seconds in 946_684_800_i64..1_577_836_800,
    ) {
        let at = Timestamp::from_timestamp(seconds, 0).unwrap();
        let tick = TimeDelta::seconds(1);
        prop_assert_eq!(window.is_open(at), window.closes_at(at).is_some());
        let opens = window.next_open(at).unwrap();
        prop_assert!(opens >= at && window.is_open(opens));
        prop_assert!(opens == at || !window.is_open(opens - tick));
        prop_assert_eq!(opens == at, window.is_open(at));
        let closes = window.closes_at(opens).unwrap();
        prop_assert!(closes > opens);
        if closes != Timestamp::MAX_UTC {
            prop_assert!(!window.is_open(closes) && window.is_open(closes - tick));
            // Nothing between the edges is closed.
            let middle = opens + (closes - opens) / 2;
            prop_assert_eq!(window.closes_at(middle), Some(closes));
        }
    }
}
