//! Whatever happened, it is counted once in each way and stands in one file at most.

use proptest::prelude::*;

use super::super::words::Language;
use super::*;
use crate::domain::id::InventoryId;
use crate::domain::time::from_micros;

pub(in super::super) fn change(
    key: i64,
    state: OperationState,
    cause: ChangeCause,
    device: Option<&str>,
) -> Change {
    Change {
        key,
        credential: InventoryId(key),
        account: device.map(|device| ChangedAccount {
            username: format!("u{key}"),
            domain: None,
            device: device.to_owned(),
            site: Some("Lisbon".to_owned()).filter(|_| key % 2 == 0),
        }),
        state,
        cause,
        requested_by: "ana".to_owned(),
        attempts: 1,
        error_class: None,
        ended_at: from_micros(1_800_000_000_000_000),
    }
}

fn any_change() -> impl Strategy<Value = Change> {
    let states = proptest::sample::select(OperationState::ALL);
    let causes = proptest::sample::select(ChangeCause::ALL);
    let devices = proptest::sample::select(&[Some("web1"), Some("db1"), None][..]);
    (0_i64..100, states, causes, devices)
        .prop_map(|(key, state, cause, device)| change(key, state, cause, device))
}

#[test]
fn an_unknown_end_is_not_told_as_a_good_one() {
    for state in OperationState::ALL {
        let good = Ending::of(*state) == Ending::Succeeded;
        assert_eq!(good, *state == OperationState::Succeeded, "{state}");
    }
}

#[test]
fn people_are_told_in_words_they_know() {
    let mut summary = Summary::new(Severity::Info);
    for (key, state, device) in [
        (1, OperationState::Succeeded, Some("web1")),
        (2, OperationState::Failed, Some("we\nb1")),
        (3, OperationState::Expired, None),
    ] {
        summary.add(change(key, state, ChangeCause::Expired, device));
    }
    let words = Language::English.words();
    assert_eq!(
        summary.total.said(words),
        "1 succeeded, 1 failed, 1 not begun"
    );
    let places = summary.places.keys();
    let titles: Vec<String> = places.map(|place| place.title(words)).collect();
    let expected = [
        "`web1`",
        "`we b1` at site `Lisbon`",
        "credentials that are gone",
    ];
    assert_eq!(titles, expected);
    let troubles = summary.troubles();
    let troubles: Vec<String> = troubles
        .map(|change| account_title(change, words))
        .collect();
    assert_eq!(troubles, ["`u2` on `we b1`", "credential 3, which is gone"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_change_is_counted_once_in_each_way(
        changes in proptest::collection::vec(any_change(), 0..60), least in prop::sample::select(vec![Severity::Info, Severity::Warning, Severity::Error]),
    ) {
        let mut summary = Summary::new(least);
        for change in &changes {
            summary.add(change.clone());
        }
        let told: Vec<&Change> = changes
            .iter()
            .filter(|change| Severity::of(change.state) >= least)
            .collect();
        let all = u64::try_from(told.len()).unwrap();
        let sum = |counts: Vec<&Counts>| counts.iter().map(|one| one.all()).sum::<u64>();
        prop_assert_eq!(summary.total.all(), all);
        prop_assert_eq!(sum(summary.causes.values().collect()), all);
        prop_assert_eq!(sum(summary.places.values().collect()), all);
        prop_assert!(summary.rows.iter().eq(told));
        prop_assert!(least == Severity::Info || summary.total.of(Ending::Succeeded) == 0);
    }

    #[test]
    fn files_hold_the_rows_in_order_within_their_bounds(
        bytes in proptest::collection::vec(0_usize..50, 0..80),
        rows_max in 1_usize..20, bytes_max in 0_usize..200, files_max in 1_usize..8,
    ) {
        let files = files(&bytes, rows_max, bytes_max, files_max);
        prop_assert!(files.len() <= files_max);
        let mut next = 0;
        for file in &files {
            prop_assert_eq!(file.start, next);
            next = file.end;
            let size: usize = bytes[file.clone()].iter().sum();
            prop_assert!((1..=rows_max).contains(&file.len()));
            prop_assert!(size <= bytes_max || file.len() == 1);
        }
        prop_assert!(next == bytes.len() || files.len() == files_max);
    }
}
