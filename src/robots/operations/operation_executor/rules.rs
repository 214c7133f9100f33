//! How often operations of a kind are tried, and after which failures.

use serde::{Deserialize, Serialize};

use crate::domain::failure::FailureClass;
use crate::domain::operation::OperationKind;
use crate::domain::retry::RetryPolicy;
use crate::domain::robot::FieldError;

/// More than there are kinds and classes that anybody would tell apart.
const RULES_MAX: usize = 32;

/// Attempts and delays of some operations.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttemptRule {
    /// Only of this kind; absent: of any.
    #[serde(default)]
    kind: Option<OperationKind>,
    /// Only after a failure of this class; absent: of any.
    #[serde(default)]
    class: Option<FailureClass>,
    /// Attempts and the delays between them.
    attempts: RetryPolicy,
}

impl AttemptRule {
    fn fits(&self, kind: OperationKind, class: Option<FailureClass>) -> bool {
        self.kind.is_none_or(|own| own == kind) && (self.class.is_none() || self.class == class)
    }
}

/// Refuses too many rules, and those that nothing would come to.
pub(super) fn check(rules: &[AttemptRule]) -> Result<(), FieldError> {
    let refuse = |index: usize, detail: &str| {
        Err(FieldError::new(format!("attempt_rules[{index}]"), detail))
    };
    for (index, rule) in rules.iter().enumerate() {
        if index == RULES_MAX {
            return refuse(index, "there must be at most 32 rules");
        }
        if rule.kind.is_none() && rule.class.is_none() {
            return refuse(
                index,
                "must name a `kind` or a `class`; `attempts` holds for all others",
            );
        }
        let earlier = rules.iter().take(index);
        let is_covered = |one: &AttemptRule| {
            let kind = one.kind.is_none() || one.kind == rule.kind;
            kind && (one.class.is_none() || one.class == rule.class)
        };
        if earlier.into_iter().any(is_covered) {
            return refuse(index, "an earlier rule fits wherever this one does");
        }
    }
    Ok(())
}

/// The attempts by the first rule that fits.
pub(super) fn attempts(
    rules: &[AttemptRule],
    kind: OperationKind,
    class: Option<FailureClass>,
) -> Option<RetryPolicy> {
    let rule = rules.iter().find(|rule| rule.fits(kind, class));
    rule.map(|rule| rule.attempts)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rules(value: Value) -> Vec<AttemptRule> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        use OperationKind::{ChangePassword, Test};
        let rules = rules(json!([
            {"kind": "test", "class": "timeout", "attempts": {"max_attempts": 1}},
            {"kind": "test", "attempts": {"max_attempts": 2}},
            {"class": "timeout", "attempts": {"max_attempts": 3}},
        ]));
        assert_eq!(check(&rules), Ok(()));
        let (timeout, dns) = (Some(FailureClass::Timeout), Some(FailureClass::Dns));
        for (kind, class, expected) in [
            (Test, timeout, Some(1)),
            (Test, dns, Some(2)),
            (Test, None, Some(2)),
            (ChangePassword, timeout, Some(3)),
            (ChangePassword, dns, None),
            (ChangePassword, None, None),
        ] {
            let found = attempts(&rules, kind, class).map(|policy| policy.max_attempts);
            assert_eq!(found, expected, "{kind} {class:?}");
        }
    }

    #[test]
    fn a_rule_that_nothing_comes_to_is_refused() {
        let attempts = json!({"max_attempts": 1});
        let rule =
            |kind: Value, class: Value| json!({"kind": kind, "class": class, "attempts": attempts});
        let (any, test, dns) = (Value::Null, json!("test"), json!("dns"));
        for (all, wrong) in [
            (json!([rule(any.clone(), any.clone())]), 0),
            (
                json!([
                    rule(test.clone(), any.clone()),
                    rule(test.clone(), dns.clone())
                ]),
                1,
            ),
            (
                json!([rule(any.clone(), dns.clone()), rule(any, dns.clone())]),
                1,
            ),
        ] {
            let refused = check(&rules(all)).unwrap_err();
            assert_eq!(refused.field, format!("attempt_rules[{wrong}]"));
        }
        let sound = json!([rule(test.clone(), dns), rule(test, Value::Null)]);
        assert_eq!(check(&rules(sound)), Ok(()));
    }
}
