//! What an attempt did at its target, step by step, for people who must find out why it failed.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Steps of one attempt that are kept: more than any has.
pub const STEPS_MAX: usize = 20;

/// Bound on the text of a step, in characters.
pub const TEXT_CHARS_MAX: usize = 1_000;

/// One step. Neither text holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What was done.
    pub what: String,
    /// What came of it.
    pub said: String,
}

/// A text as it is kept in a step: bounded, without control characters but the ends of lines.
#[must_use]
pub fn kept(text: &str) -> String {
    let readable = text.trim().chars().map(|c| match c {
        '\n' => c,
        c if c.is_control() => ' ',
        c => c,
    });
    let mut kept: String = readable.take(TEXT_CHARS_MAX).collect();
    if text.trim().chars().nth(TEXT_CHARS_MAX).is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_is_bounded_and_readable(text in "(?s).{0,1500}") {
            let kept = kept(&text);
            prop_assert!(kept.chars().count() <= TEXT_CHARS_MAX);
            prop_assert!(!kept.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
