//! The merge rules of a patch, what is refused by name, and the one word for a standing.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::window::Window;

fn config() -> RobotConfig {
    RobotConfig {
        enabled: true,
        instances: 2,
        schedule: Some(Schedule::Every {
            interval: Duration::from_secs(60),
        }),
        window: None,
        range: None,
        timeout: Duration::from_secs(300),
        retry: RetryPolicy::DEFAULT,
        overlap: Overlap::Skip,
        catch_up: CatchUp::Last,
        settings: json!({"limit": 5, "deep": {"a": 1, "b": 2}}),
    }
}

fn fields(value: Value) -> Overrides {
    match value {
        Value::Object(fields) => fields,
        other => panic!("`{other}` is no object"),
    }
}

fn with(overrides: Value) -> RobotConfig {
    config().with_overrides(&fields(overrides)).unwrap()
}

/// The fields that the errors name.
fn refused(overrides: Value) -> Vec<String> {
    let errors = config().with_overrides(&fields(overrides)).unwrap_err();
    errors.into_iter().map(|error| error.field).collect()
}

/// Small JSON with few names, so that objects meet.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3).prop_map(Value::from),
        Just(json!([1, null])),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::btree_map("[a-c]", inner, 0..3)
            .prop_map(|fields| Value::Object(fields.into_iter().collect()))
    })
}

fn object() -> impl Strategy<Value = Overrides> {
    prop::collection::btree_map("[a-c]", json_value(), 0..4)
        .prop_map(|fields| fields.into_iter().collect())
}

/// The merge patch as RFC 7396 section 2 writes it down.
fn rfc_7396(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch.clone();
    };
    let mut target = match target {
        Value::Object(fields) => fields,
        _ => Overrides::new(),
    };
    for (name, value) in patch {
        let old = target.remove(name).unwrap_or(Value::Null);
        if !value.is_null() {
            target.insert(name.clone(), rfc_7396(old, value));
        }
    }
    Value::Object(target)
}

/// `value` without the members of objects that are null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        other => other,
    }
}

proptest! {
    /// Stored overrides keep their nulls, because null over a default means something; apart from them
    /// they are what the RFC says.
    #[test]
    fn patches_merge_as_the_rfc_says(target in object(), patch in object()) {
        let mut merged = target.clone();
        merge(&mut merged, &patch);
        let expected = rfc_7396(without_nulls(Value::Object(target)), &Value::Object(patch));
        prop_assert_eq!(without_nulls(Value::Object(merged)), expected);
    }

    /// A client that repeats a patch whose answer was lost changes nothing.
    #[test]
    fn a_repeated_patch_changes_nothing(target in object(), patch in object()) {
        let mut once = target;
        merge(&mut once, &patch);
        let mut twice = once.clone();
        merge(&mut twice, &patch);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn every_refusal_names_its_field(
        field in prop::sample::select(vec![
            "enabled", "instances", "schedule", "window", "timeout", "retry", "overlap", "catch_up", "settings",
        ]),
        value in prop_oneof![
            Just(json!("absurd")), Just(json!(-1)), Just(json!({"absurd": 1})), Just(json!(1e300)),
        ],
    ) {
        prop_assume!(field != "settings" || !value.is_object());
        let mut overrides = Overrides::new();
        overrides.insert(field.to_owned(), value);
        let errors = config().with_overrides(&overrides).unwrap_err();
        for error in errors {
            let named = error.field == field || error.field.starts_with(&format!("{field}."));
            prop_assert!(named && !error.detail.is_empty(), "{:?}", error);
        }
    }
}

#[test]
fn a_schedule_is_replaced_whole() {
    let hourly = json!({"schedule": {"cron": "5 * * * *", "timezone": "Europe/Berlin"}});
    assert!(matches!(
        with(hourly.clone()).schedule,
        Some(Schedule::Cron { .. })
    ));
    let mut overrides = fields(hourly);
    merge(
        &mut overrides,
        &fields(json!({"schedule": {"every": "PT5S"}})),
    );
    assert_eq!(
        Value::Object(overrides),
        json!({"schedule": {"every": "PT5S"}})
    );
}

#[test]
fn null_is_none_where_a_field_may_be_absent_and_refused_elsewhere() {
    assert_eq!(with(json!({"schedule": null})).schedule, None);
    assert_eq!(with(json!({"window": null})).window, None);
    for field in [
        "enabled",
        "instances",
        "timeout",
        "retry",
        "overlap",
        "settings",
    ] {
        assert_eq!(refused(json!({ field: null })), [field]);
    }
}

#[test]
fn a_value_of_another_type_is_refused_in_plain_words() {
    let change = fields(json!({"instances": "two"}));
    let errors = config().with_overrides(&change).unwrap_err();
    assert_eq!(
        errors[0].detail,
        "must be a whole number from 0 to 4294967295, not the text \"two\""
    );
}

#[test]
fn members_of_an_object_are_laid_over_one_by_one() {
    let changed = with(json!({"retry": {"max_attempts": 9}, "settings": {"deep": {"a": 7}}}));
    let retry = RetryPolicy {
        max_attempts: 9,
        ..RetryPolicy::DEFAULT
    };
    assert_eq!(changed.retry, retry);
    assert_eq!(
        changed.settings,
        json!({"limit": 5, "deep": {"a": 7, "b": 2}})
    );
    assert_eq!(
        with(json!({"retry": {"factor": null}})).retry,
        RetryPolicy::DEFAULT
    );
    assert_eq!(
        with(json!({"settings": {"limit": null}})).settings,
        json!({"deep": {"a": 1, "b": 2}})
    );
}

#[test]
fn a_refusal_names_the_member() {
    assert_eq!(refused(json!({"nonsense": 1})), ["nonsense"]);
    assert_eq!(refused(json!({"retry": {"factor": "x"}})), ["retry.factor"]);
    assert_eq!(
        refused(json!({"instances": INSTANCES_MAX + 1, "timeout": "PT0S"})),
        ["instances", "timeout"]
    );
    let long = "x".repeat(SETTINGS_BYTES_MAX);
    assert_eq!(
        refused(json!({"settings": {"limit": long}, "range": long})),
        ["settings", "range"]
    );
}

#[test]
fn a_window_may_be_given_where_there_was_none() {
    let window = json!({"start": "22:00", "end": "06:00", "days": ["mon"]});
    let expected: Window = serde_json::from_value(window.clone()).unwrap();
    assert_eq!(with(json!({"window": window})).window, Some(expected));
    assert_eq!(
        refused(json!({"window": {"start": null, "end": "06:00"}})),
        ["window.start"]
    );
}

#[test]
fn the_word_for_a_standing_is_that_of_the_first_reason() {
    let ready = RobotStanding {
        enabled: true,
        instances: 2,
        window_open: true,
        quarantined: false,
        backing_off: 0,
        running: 0,
    };
    let mut standing = ready;
    assert_eq!(RobotStatus::of(standing), RobotStatus::Idle);
    // Each reason goes before all that were given before it.
    standing.backing_off = 2;
    assert_eq!(RobotStatus::of(standing), RobotStatus::BackingOff);
    standing.window_open = false;
    assert_eq!(RobotStatus::of(standing), RobotStatus::OutsideWindow);
    standing.instances = 0;
    assert_eq!(RobotStatus::of(standing), RobotStatus::Paused);
    standing.enabled = false;
    assert_eq!(RobotStatus::of(standing), RobotStatus::Disabled);
    standing.running = 1;
    assert_eq!(RobotStatus::of(standing), RobotStatus::Running);
    standing.quarantined = true;
    assert_eq!(RobotStatus::of(standing), RobotStatus::Quarantined);
    let one_works = RobotStanding {
        backing_off: 1,
        ..ready
    };
    assert_eq!(RobotStatus::of(one_works), RobotStatus::Idle);
}
