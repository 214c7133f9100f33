//! Cases of one column, one table, one age after the other.

use proptest::prelude::*;

use super::*;

fn column(used: i64, increment: i64) -> KeyColumn {
    KeyColumn {
        name: "public.t.id".to_owned(),
        used,
        increment,
        limit: 32_767,
        floor: -32_768,
    }
}

fn level(column: &KeyColumn, per_day: f64) -> Level {
    let mut round = Round::default();
    let trend = Trend {
        per_second: per_day / 86_400.0,
        at_end: 0.0,
        span: Duration::from_hours(48),
    };
    judge_column(&mut round, &Settings::default(), column, Some(trend));
    round.findings[0].level
}

#[test]
fn a_column_is_judged_by_what_is_left_of_its_numbers() {
    assert_eq!(level(&column(100, 1), 0.0), Level::Ok);
    assert_eq!(level(&column(16_384, 1), 0.0), Level::Warning);
    assert_eq!(level(&column(32_700, 1), 0.0), Level::Critical);
    assert_eq!(level(&column(-32_700, -1), 0.0), Level::Critical);
    assert_eq!(level(&column(-5, 1), 0.0), Level::Ok);
}

#[test]
fn a_step_that_does_not_fit_any_more_is_the_end() {
    assert!((used_ratio(&column(20_000, 20_000)) - 1.0).abs() < 1e-12);
    assert!(
        (used_ratio(&KeyColumn {
            limit: i64::MAX,
            ..column(i64::MAX, 1)
        }) - 1.0)
            .abs()
            < 1e-12
    );
}

#[test]
fn growth_warns_before_the_share_does() {
    assert_eq!(
        level(&column(1_000, 1), 1_000.0),
        Level::Warning,
        "31 days left"
    );
    assert_eq!(level(&column(1_000, 1), 100.0), Level::Ok, "317 days left");
    assert_eq!(
        level(&column(-1_000, -1), -1_000.0),
        Level::Warning,
        "it counts down"
    );
    assert_eq!(
        level(&column(1_000, 1), -1_000.0),
        Level::Ok,
        "rows were removed"
    );
}

#[test]
fn tables_and_references_are_told_unless_ignored() {
    let settings = Settings {
        ignore: vec!["tmp_*".to_owned(), "a".to_owned()],
        ..Settings::default()
    };
    let survey = KeySurvey {
        without_primary_key: ["a", "b", "tmp_1"].map(str::to_owned).to_vec(),
        narrow_foreign_keys: vec!["c.d -> e.f".to_owned()],
        ..KeySurvey::default()
    };
    let mut round = Round::default();
    judge_shape(&mut round, &settings, &survey);
    let keys: Vec<_> = round
        .findings
        .iter()
        .map(|finding| finding.key.as_str())
        .collect();
    assert_eq!(keys, ["database:shape:b", "database:shape:c.d -> e.f"]);
    assert_eq!(event_of(&round.findings[0], Notice::Raised), None);
}

#[test]
fn ages_are_judged_where_the_database_has_them() {
    let judged = |age| {
        let mut round = Round::default();
        let survey = KeySurvey {
            transaction_age: age,
            ..KeySurvey::default()
        };
        judge_ages(&mut round, &Settings::default(), &survey);
        round.findings.first().map(|finding| finding.level)
    };
    assert_eq!(judged(None), None);
    assert_eq!(judged(Some((200, 2_000))), Some(Level::Ok));
    assert_eq!(judged(Some((1_700, 2_000))), Some(Level::Critical));
}

#[test]
fn keys_and_ages_have_events() {
    let finding = |key: &str| Finding {
        key: key.to_owned(),
        level: Level::Ok,
        title: String::new(),
        text: String::new(),
    };
    let of = |key, change| event_of(&finding(key), change);
    let key = of("database:key:public.t.id", Notice::Raised);
    assert_eq!(
        key,
        Some(("database.pk_near_limit", "public.t.id".to_owned()))
    );
    let age = of("database:age:transaction", Notice::Cleared);
    assert_eq!(
        age,
        Some((
            "database.txid_near_wraparound.cleared",
            "transaction".to_owned()
        ))
    );
}

proptest! {
    /// Whatever the catalogue says, a share is a share and nothing overflows.
    #[test]
    fn a_share_is_a_share(used: i64, increment: i64, limit: i64, floor: i64, per_second in -1e9..1e9f64) {
        let column = KeyColumn { name: String::new(), used, increment, limit, floor };
        let ratio = used_ratio(&column);
        prop_assert!((0.0..=1.0).contains(&ratio));
        let trend = Trend { per_second, at_end: 0.0, span: Duration::from_secs(1) };
        prop_assert!(days_left(&column, trend).is_none_or(|days| days >= 0.0));
    }
}
