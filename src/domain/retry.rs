//! How often and how late a failed task is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::domain::iso_duration;

/// The most attempts a task may have: a task still failing after a hundred needs a person.
pub const ATTEMPTS_MAX: u32 = 100;
/// The smallest growth of the delay: 1 keeps it constant, less would speed up on failure.
pub const FACTOR_MIN: f64 = 1.0;
/// The largest growth of the delay: beyond ten the second delay is already the longest one.
pub const FACTOR_MAX: f64 = 10.0;
/// The shortest first delay: the resolution of the runtime's timers; zero would be a busy loop.
pub const DELAY_MIN: Duration = Duration::from_millis(1);
/// The longest delay: a task that waits over a month is forgotten, not retried.
pub const DELAY_MAX: Duration = Duration::from_hours(31 * 24);
/// The share of the delay that jitter cannot take away, so that retries spread but never crowd.
const JITTER_BASE: f64 = 0.8;
/// The width of the jitter: delays lie in 0.8 to 1.2 of the plain one.
const JITTER_WIDTH: f64 = 0.4;

/// When a failed task is tried again.
///
/// JSON: `{"max_attempts":5,"initial":"PT10S","factor":2.0,"max":"PT10M"}`; an absent field takes
/// its value from [`RetryPolicy::DEFAULT`]. A policy read from JSON is already valid.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct RetryPolicy {
    /// How often a task is tried in all, the first attempt included; 1 to [`ATTEMPTS_MAX`].
    pub max_attempts: u32,
    /// The delay after the first attempt; [`DELAY_MIN`] to [`DELAY_MAX`].
    #[serde(with = "iso_duration::serde_iso")]
    pub initial: Duration,
    /// What each further delay is multiplied by; [`FACTOR_MIN`] to [`FACTOR_MAX`].
    pub factor: f64,
    /// The delay that is never exceeded (before jitter); `initial` to [`DELAY_MAX`].
    #[serde(with = "iso_duration::serde_iso")]
    pub max: Duration,
}

/// A field of a [`RetryPolicy`] is out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{field}` must be {bounds}")]
pub struct RetryPolicyError {
    /// The name of the field, as in JSON.
    pub field: &'static str,
    /// What the field must be.
    pub bounds: String,
}

/// The JSON form, before its bounds are checked.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    max_attempts: u32,
    #[serde(with = "iso_duration::serde_iso")]
    initial: Duration,
    factor: f64,
    #[serde(with = "iso_duration::serde_iso")]
    max: Duration,
}

impl Default for Fields {
    fn default() -> Self {
        let RetryPolicy {
            max_attempts,
            initial,
            factor,
            max,
        } = RetryPolicy::DEFAULT;
        Self {
            max_attempts,
            initial,
            factor,
            max,
        }
    }
}

impl TryFrom<Fields> for RetryPolicy {
    type Error = RetryPolicyError;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let policy = Self {
            max_attempts: fields.max_attempts,
            initial: fields.initial,
            factor: fields.factor,
            max: fields.max,
        };
        policy.validate()?;
        Ok(policy)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl RetryPolicy {
    /// Five attempts over about two and a half minutes: long enough for a restart of the other
    /// side, short enough that a person still waits for the result.
    pub const DEFAULT: Self = Self {
        max_attempts: 5,
        initial: Duration::from_secs(10),
        factor: 2.0,
        max: Duration::from_mins(10),
    };

    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// Names the first field that is out of its bounds.
    pub fn validate(&self) -> Result<(), RetryPolicyError> {
        let refuse = |field, bounds| Err(RetryPolicyError { field, bounds });
        if !(1..=ATTEMPTS_MAX).contains(&self.max_attempts) {
            return refuse("max_attempts", format!("1 to {ATTEMPTS_MAX}"));
        }
        if !(DELAY_MIN..=DELAY_MAX).contains(&self.initial) {
            let (min, max) = (
                iso_duration::format(DELAY_MIN),
                iso_duration::format(DELAY_MAX),
            );
            return refuse("initial", format!("{min} to {max}"));
        }
        if !(FACTOR_MIN..=FACTOR_MAX).contains(&self.factor) {
            return refuse("factor", format!("{FACTOR_MIN:.1} to {FACTOR_MAX:.1}"));
        }
        if !(self.initial..=DELAY_MAX).contains(&self.max) {
            let max = iso_duration::format(DELAY_MAX);
            return refuse("max", format!("`initial` to {max}"));
        }
        Ok(())
    }

    /// The delay after `attempt` (1 is the first) failed: `initial * factor^(attempt - 1)`, at most
    /// `max`, times 0.8 to 1.2 by `jitter` (0 to 1, clamped).
    ///
    /// Never fails, whatever the fields hold: what cannot be computed becomes `max`.
    #[must_use]
    pub fn delay(&self, attempt: u32, jitter: f64) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.initial.as_secs_f64() * self.factor.powi(exponent);
        // `f64::min` drops NaN, so a broken factor gives `max`.
        let plain = grown.min(self.max.as_secs_f64()).max(0.0);
        let jitter = if jitter.is_nan() {
            0.5
        } else {
            jitter.clamp(0.0, 1.0)
        };
        let jittered = plain * (JITTER_BASE + JITTER_WIDTH * jitter);
        Duration::try_from_secs_f64(jittered).unwrap_or(self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_default_is_the_documented_one_and_absent_fields_take_it() {
        let text = json!({"max_attempts": 5, "initial": "PT10S", "factor": 2.0, "max": "PT10M"});
        assert_eq!(serde_json::to_value(RetryPolicy::default()).unwrap(), text);
        let read = |value| serde_json::from_value::<RetryPolicy>(value).unwrap();
        assert_eq!(read(text), RetryPolicy::DEFAULT);
        assert_eq!(read(json!({})), RetryPolicy::DEFAULT);
        assert_eq!(read(json!({"max_attempts": 1})).max_attempts, 1);
        assert_eq!(RetryPolicy::DEFAULT.validate(), Ok(()));
    }

    #[test]
    fn a_refusal_names_the_field() {
        let cases = [
            (
                json!({"max_attempts": 0}),
                "`max_attempts` must be 1 to 100",
            ),
            (
                json!({"max_attempts": 101}),
                "`max_attempts` must be 1 to 100",
            ),
            (json!({"max_attempts": -1}), "invalid value"),
            (
                json!({"initial": "PT0S"}),
                "`initial` must be PT0.001S to P31D",
            ),
            (
                json!({"initial": "P32D", "max": "P32D"}),
                "`initial` must be",
            ),
            (json!({"initial": "10"}), "ISO 8601"),
            (json!({"factor": 0.99}), "`factor` must be 1.0 to 10.0"),
            (json!({"factor": 10.1}), "`factor` must be 1.0 to 10.0"),
            (json!({"max": "PT9S"}), "`max` must be `initial` to P31D"),
            (json!({"max": "P32D"}), "`max` must be"),
            (json!({"jitter": 1}), "unknown field `jitter`"),
        ];
        for (value, expected) in cases {
            let error = serde_json::from_value::<RetryPolicy>(value.clone()).unwrap_err();
            assert!(error.to_string().contains(expected), "{value}: {error}");
        }
        let broken = RetryPolicy {
            factor: f64::NAN,
            ..RetryPolicy::DEFAULT
        };
        assert_eq!(broken.validate().unwrap_err().field, "factor");
    }

    #[test]
    fn delays_double_up_to_the_longest_one() {
        let policy = RetryPolicy::DEFAULT;
        let plain = |attempt| policy.delay(attempt, 0.5).as_secs_f64().round();
        let delays: Vec<f64> = (1..=8).map(plain).collect();
        assert_eq!(delays, [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0, 600.0]);
        assert_eq!(policy.delay(1, 0.0), Duration::from_secs(8));
        assert_eq!(policy.delay(1, 1.0), Duration::from_secs(12));
        assert_eq!(policy.delay(0, 0.0), policy.delay(1, 0.0));
        // What cannot be computed becomes the longest delay.
        let endless = RetryPolicy {
            initial: Duration::MAX,
            max: Duration::MAX,
            ..policy
        };
        assert_eq!(endless.delay(1, 1.0), Duration::MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_valid_policy_keeps_its_bounds(
            initial in 1_u64..2_678_400_000, max in 1_u64..2_678_400_000,
            factor in FACTOR_MIN..=FACTOR_MAX, attempt in 1_u32..=ATTEMPTS_MAX, jitter in 0.0..1.0,
        ) {
            let initial = Duration::from_millis(initial.min(max));
            let policy = RetryPolicy { max_attempts: 5, initial, factor, max: Duration::from_millis(max) };
            prop_assert_eq!(policy.validate(), Ok(()));
            let delay = policy.delay(attempt, jitter);
            prop_assert!(delay >= initial.mul_f64(0.799_999));
            prop_assert!(delay <= policy.max.mul_f64(1.200_001));
            prop_assert!(policy.delay(attempt + 1, jitter) >= delay);
            prop_assert!(policy.delay(attempt, 1.0) >= delay);
        }

        #[test]
        fn no_policy_panics(
            max_attempts: u32, initial: u64, factor in prop::num::f64::ANY, max: u64, attempt: u32,
            jitter in prop::num::f64::ANY,
        ) {
            let policy = RetryPolicy {
                max_attempts,
                initial: Duration::from_secs(initial),
                factor,
                max: Duration::from_secs(max),
            };
            let delay = policy.delay(attempt, jitter);
            prop_assert!(delay.as_secs_f64() <= policy.max.as_secs_f64() * 1.200_001);
        }
    }
}
