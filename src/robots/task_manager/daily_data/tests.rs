//! Which days are counted, and when they are final.

use proptest::prelude::*;

use super::*;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn position(today: &str, frozen: Option<&str>, swept: Option<&str>) -> Position {
    Position {
        today: day(today),
        frozen: frozen.map(day),
        swept: swept.map(day),
        freeze_after: 3,
    }
}

fn texts(days: &[NaiveDate]) -> Vec<String> {
    days.iter().map(ToString::to_string).collect()
}

#[test]
fn the_first_run_of_a_day_counts_the_open_days_and_the_others_today() {
    let first = plan(
        &position("2026-03-10", Some("2026-03-05"), Some("2026-03-09")),
        None,
    );
    assert_eq!(
        texts(&first.days),
        [
            "2026-03-06",
            "2026-03-07",
            "2026-03-08",
            "2026-03-09",
            "2026-03-10"
        ]
    );
    assert_eq!(first.swept, Some(day("2026-03-10")));
    assert_eq!(first.frozen, Some(day("2026-03-06")));
    let later = plan(
        &position("2026-03-10", Some("2026-03-06"), Some("2026-03-10")),
        None,
    );
    assert_eq!(
        later,
        Plan {
            days: vec![day("2026-03-10")],
            ..Plan::default()
        }
    );
}

#[test]
fn the_very_first_run_counts_back_to_the_open_days() {
    let first = plan(&position("2026-03-10", None, None), None);
    assert_eq!(first.days.len(), 4);
    assert_eq!(
        (first.frozen, first.swept),
        (Some(day("2026-03-06")), Some(day("2026-03-10")))
    );
}

#[test]
fn a_long_pause_is_caught_up_in_parts() {
    let mut at = position("2026-03-10", Some("2026-01-01"), Some("2026-01-02"));
    let first = plan(&at, None);
    assert_eq!(first.days.len(), DAYS_PER_RUN_MAX);
    assert_eq!(first.swept, None, "there is more");
    assert_eq!(first.frozen, Some(day("2026-01-31")));
    at.frozen = first.frozen;
    at.frozen = plan(&at, None).frozen;
    let last = plan(&at, None);
    assert_eq!(last.swept, Some(at.today));
    assert_eq!(last.frozen, Some(day("2026-03-06")));
}

#[test]
fn a_request_counts_open_days_only() {
    let at = position("2026-03-10", Some("2026-03-06"), Some("2026-03-10"));
    let request = Request {
        from: day("2026-03-05"),
        to: day("2026-03-11"),
    };
    let plan = plan(&at, Some(request));
    assert_eq!(
        texts(&plan.days),
        ["2026-03-07", "2026-03-08", "2026-03-09", "2026-03-10"]
    );
    assert_eq!((plan.refused, plan.frozen, plan.swept), (3, None, None));
}

#[test]
fn a_request_is_read_from_a_payload_or_an_event() {
    let days = json!({"from": "2026-03-01", "to": "2026-03-02"});
    let expected = Some(Request {
        from: day("2026-03-01"),
        to: day("2026-03-02"),
    });
    assert_eq!(Request::of(&days).unwrap(), expected);
    let event = json!({"specversion": "1.0", "type": "report.rebuild_requested", "data": days});
    assert_eq!(Request::of(&event).unwrap(), expected);
    for empty in [json!(null), json!({}), json!({"specversion": "1.0"})] {
        assert_eq!(Request::of(&empty).unwrap(), None);
    }
    let error = Request::of(&json!({"from": "yesterday", "to": "2026-03-02"})).unwrap_err();
    assert!(
        !error.temporary && error.text.starts_with("from"),
        "{error}"
    );
}

proptest! {
    /// Day after day, with runs missing, each day is counted on itself or later, is frozen once,
    /// and is counted on a day before it is frozen for good.
    #[test]
    fn every_day_is_counted_and_frozen_in_order(runs in prop::collection::vec(0u64..60, 1..30)) {
        let start = day("2026-01-01");
        let mut at = Position { today: start, frozen: None, swept: None, freeze_after: 3 };
        let mut counted = std::collections::BTreeSet::new();
        for gap in runs {
            at.today = at.today + Days::new(gap);
            let plan = plan(&at, None);
            prop_assert!(plan.days.len() <= DAYS_PER_RUN_MAX);
            prop_assert_eq!(plan.days.last(), Some(&at.today));
            prop_assert!(plan.days.iter().all(|day| at.frozen.is_none_or(|frozen| *day > frozen)));
            counted.extend(plan.days.iter().copied());
            if let Some(frozen) = plan.frozen {
                prop_assert!(at.frozen.is_none_or(|before| frozen > before));
                prop_assert!(frozen + Days::new(3) < at.today, "frozen too early");
                prop_assert!(at.frozen.is_none() || counted.contains(&frozen));
                at.frozen = Some(frozen);
            }
            at.swept = plan.swept.or(at.swept);
        }
        if let Some(frozen) = at.frozen {
            let first = *counted.first().unwrap();
            for day in first.iter_days().take_while(|day| *day <= frozen) {
                prop_assert!(counted.contains(&day), "{} was never counted", day);
            }
        }
    }
}
