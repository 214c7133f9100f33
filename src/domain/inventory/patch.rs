//! JSON merge patches (RFC 7396), and what a change changed.

use serde_json::{Map, Value};

/// A JSON object.
pub type Fields = Map<String, Value>;

/// `target` after `patch`: null removes a member, objects merge, all else replaces.
pub fn merge_patch(target: &mut Fields, patch: &Fields) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.remove(name);
            }
            Value::Object(inner) => {
                let member = target.entry(name.clone()).or_insert(Value::Null);
                let mut merged = match std::mem::take(member) {
                    Value::Object(fields) => fields,
                    _ => Fields::new(),
                };
                merge_patch(&mut merged, inner);
                *member = Value::Object(merged);
            }
            other => {
                target.insert(name.clone(), other.clone());
            }
        }
    }
}

/// The members that `patch` removes, and `target`, which has every member that there is, does not have.
#[must_use]
pub fn unknown_removals(target: &Fields, patch: &Fields) -> Vec<String> {
    let mut unknown = Vec::new();
    for (name, value) in patch {
        match (target.get(name), value) {
            (None, Value::Null) => unknown.push(name.clone()),
            (Some(Value::Object(target)), Value::Object(inner)) => {
                let within = unknown_removals(target, inner).into_iter();
                unknown.extend(within.map(|inner| format!("{name}.{inner}")));
            }
            _ => {}
        }
    }
    unknown
}

/// The members that differ, before and after.
#[must_use]
pub fn difference(before: &Fields, after: &Fields) -> (Fields, Fields) {
    let only = |these: &Fields, those: &Fields| {
        these
            .iter()
            .filter(|(name, value)| those.get(*name) != Some(value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    (only(before, after), only(after, before))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(fields) => fields,
            other => panic!("no object: {other}"),
        }
    }

    fn merged(target: Value, patch: Value) -> Value {
        let mut target = fields(target);
        merge_patch(&mut target, &fields(patch));
        Value::Object(target)
    }

    #[test]
    fn the_examples_of_the_rfc_come_out() {
        // RFC 7396, appendix A, as far as target and patch are objects.
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (
                json!({"a":"b","b":"c"}),
                json!({"a":null}),
                json!({"b":"c"}),
            ),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (
                json!({"a":{"b":"c"}}),
                json!({"a":{"b":"d","c":null}}),
                json!({"a":{"b":"d"}}),
            ),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (
                json!({}),
                json!({"a":{"bb":{"ccc":null}}}),
                json!({"a":{"bb":{}}}),
            ),
        ] {
            assert_eq!(
                merged(target.clone(), patch.clone()),
                result,
                "{target} {patch}"
            );
        }
    }

    fn object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..9_i64).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        let tree = leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                members(inner).prop_map(Value::Object),
            ]
        });
        members(tree).prop_map(Value::Object)
    }

    fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Fields> {
        proptest::collection::vec(("[a-d]", value), 0..4)
            .prop_map(|members| members.into_iter().collect())
    }

    #[test]
    fn what_is_not_there_cannot_be_removed() {
        let target = fields(json!({"a": null, "b": {"c": 1}}));
        let unknown = |patch| unknown_removals(&target, &fields(patch));
        assert_eq!(unknown(json!({"a": null, "b": {"c": null}})), [""; 0]);
        assert_eq!(
            unknown(json!({"": null, "b": {"x": null, "c": 2}, "y": 1})),
            ["", "b.x"]
        );
    }

    proptest! {
        #[test]
        fn a_patch_applied_twice_changes_nothing_more(target in object(), patch in object()) {
            let once = merged(target, patch.clone());
            prop_assert_eq!(merged(once.clone(), patch), once);
        }

        #[test]
        fn an_empty_patch_changes_nothing(target in object()) {
            prop_assert_eq!(merged(target.clone(), json!({})), target);
        }

        #[test]
        fn the_difference_is_what_must_be_replaced(before in object(), after in object()) {
            let (mut before, after) = (fields(before), fields(after));
            let (gone, new) = difference(&before, &after);
            for name in gone.keys() {
                before.remove(name);
            }
            before.extend(new);
            prop_assert_eq!(before, after);
        }
    }
}
