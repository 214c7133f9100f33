use proptest::prelude::*;

use super::*;
use crate::domain::robot::merge;

fn json_object() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0..5).prop_map(Value::from)
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop::collection::btree_map("[abc]", inner, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    });
    prop::collection::btree_map("[abc]", value, 0..4).prop_map(|map| map.into_iter().collect())
}

fn without_nulls(object: &mut Map<String, Value>) {
    object.retain(|_, value| !value.is_null());
    for value in object.values_mut() {
        if let Value::Object(inner) = value {
            without_nulls(inner);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_difference_leads_from_one_object_to_the_other(from in json_object(), to in json_object()) {
        let mut patched = from.clone();
        merge(&mut patched, &difference(&from, &to));
        without_nulls(&mut patched);
        prop_assert_eq!(patched, to);
    }
}

fn wish() -> Wish {
    Wish::read(&Fields::parse(
        b"enabled=on&instances=2&kind=every&every=5+min&cron=&cron_timezone=UTC&windowed=only&start=22:00\
          &end=06:00&day=mon&day=tue&window_timezone=Europe/Berlin&at_close=finish&timeout=10+min&settings={}",
    ))
}

#[test]
fn a_form_is_written_as_it_is_read() {
    assert_eq!(
        Wish::read(&Fields::parse(wish().written().as_bytes())),
        wish()
    );
}

#[test]
fn what_somebody_else_changed_is_not_taken_back_unseen() {
    let base = wish();
    let mine = Wish {
        instances: "4".to_owned(),
        ..wish()
    };
    let now = Wish {
        instances: "3".to_owned(),
        every: "1 min".to_owned(),
        ..wish()
    };
    let over = mine.over(&base, now);
    assert_eq!(
        (over.instances.as_str(), over.every.as_str()),
        ("4", "1 min")
    );
}

#[test]
fn schedule_and_window_are_read_or_blamed() {
    let wished = wish();
    assert_eq!(
        serde_json::to_value(wished.schedule().unwrap()).unwrap(),
        json!({"every": "PT5M"})
    );
    let window = serde_json::to_value(wished.window().unwrap()).unwrap();
    assert_eq!(window["days"], json!(["mon", "tue"]));
    for (field, blamed) in [
        (
            Wish {
                every: "soon".to_owned(),
                ..wish()
            }
            .schedule()
            .unwrap_err(),
            "every",
        ),
        (
            Wish {
                kind: "cron".to_owned(),
                cron: "x".to_owned(),
                ..wish()
            }
            .schedule()
            .unwrap_err(),
            "schedule",
        ),
        (
            Wish {
                days: vec![],
                ..wish()
            }
            .window()
            .unwrap_err(),
            "window",
        ),
    ] {
        assert_eq!(field.field, blamed, "{field:?}");
    }
    let always = Wish {
        windowed: "always".to_owned(),
        kind: "none".to_owned(),
        ..wish()
    };
    assert_eq!((always.schedule(), always.window()), (Ok(None), Ok(None)));
}
