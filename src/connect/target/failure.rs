//! How a failed operation is told.

use secrecy::{ExposeSecret, SecretString};

use crate::domain::failure::{Effect, FailureClass};

/// A target's words are shown in one table cell.
pub const REASON_CHARS_MAX: usize = 300;

/// Stands where a secret stood.
const MASK: &str = "[secret]";

/// Shorter secrets are not looked for in texts: masking every `a` would show the secret.
const MASKED_BYTES_MIN: usize = 4;

/// Why an operation on a target failed.
///
/// The text is a fragment that reads after "failed to". It holds no secret that the operation
/// was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step} `{target}`: {reason}")]
pub struct Failure {
    /// What went wrong.
    pub class: FailureClass,
    /// Whether the operation may have changed something all the same.
    pub effect: Effect,
    /// Whom we talked to, mostly `host:port`.
    pub target: String,
    /// What we were doing.
    pub step: &'static str,
    /// What was said: one line, at most [`REASON_CHARS_MAX`] characters.
    pub reason: String,
}

impl Failure {
    /// Whether the operation may have changed something: it is then unverified, not failed.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        self.effect == Effect::Possible
    }
}

/// Puts a mask where a secret stands.
pub(super) fn masked<'a>(text: &str, secrets: impl Iterator<Item = &'a SecretString>) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        let secret = secret.expose_secret();
        if secret.len() >= MASKED_BYTES_MIN && text.contains(secret) {
            text = text.replace(secret, MASK);
        }
    }
    text
}

/// Makes foreign words fit to be shown: one line without control characters, shortened.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    if line.chars().count() <= REASON_CHARS_MAX {
        return line;
    }
    let kept = line.chars().take(REASON_CHARS_MAX - 1);
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_is_masked_wherever_it_stands() {
        let secrets = [SecretString::from("s3cret"), SecretString::from("abc")];
        let shown = masked("no s3cret, s3cretx; abc", secrets.iter());
        assert_eq!(shown, "no [secret], [secret]x; abc");
    }

    proptest! {
        #[test]
        fn any_words_become_one_short_line(text in ".{0,800}") {
            let line = one_line(&text);
            prop_assert!(line.chars().count() <= REASON_CHARS_MAX);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
