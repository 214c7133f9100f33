//! A secret as the vault keeps it: a password or a private key, and the passphrase of a key that is encrypted.
//!
//! Key and passphrase are kept as one text, in one seal. So no version, rotation, export or older program can part them, and
//! a key never lies beside the passphrase of another one.

use secrecy::{ExposeSecret, SecretString};

use super::robot::FieldError;

/// Bound on a secret in bytes: a private key of 16,384 bits has 12 KiB as text.
pub const SECRET_BYTES_MAX: usize = 16 * 1024;

/// Bound on a passphrase in bytes: what `ssh-keygen` reads.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;

/// Stands between a key and its passphrase where they are kept; neither may hold it.
const BETWEEN: char = '\0';

/// A secret, and what opens it.
#[derive(Debug, Clone)]
pub struct Secret {
    /// The password, or the private key.
    pub text: SecretString,
    /// What the private key is encrypted with, if it is.
    pub passphrase: Option<SecretString>,
}

impl<T: Into<SecretString>> From<T> for Secret {
    /// One without a passphrase.
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            passphrase: None,
        }
    }
}

impl Secret {
    /// The one text that is sealed.
    #[must_use]
    pub fn kept(&self) -> SecretString {
        let Some(passphrase) = &self.passphrase else {
            return self.text.clone();
        };
        let (text, passphrase) = (self.text.expose_secret(), passphrase.expose_secret());
        // As long as it gets: a buffer that grows would leave copies behind.
        let mut kept = String::with_capacity(text.len() + 1 + passphrase.len());
        kept.push_str(text);
        kept.push(BETWEEN);
        kept.push_str(passphrase);
        SecretString::from(kept)
    }

    /// What [`Self::kept`] gave.
    #[must_use]
    pub fn of_kept(kept: SecretString) -> Self {
        match kept.expose_secret().split_once(BETWEEN) {
            Some((text, passphrase)) => Self {
                text: text.into(),
                passphrase: Some(passphrase.into()),
            },
            None => Self {
                text: kept,
                passphrase: None,
            },
        }
    }

    /// Whether both are the same secret with the same passphrase.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.kept().expose_secret() == other.kept().expose_secret()
    }

    /// What is wrong with its length and characters, by the names of the fields it came in.
    #[must_use]
    pub fn problems(&self, field: &str, passphrase_field: &str) -> Vec<FieldError> {
        let parts = [
            (field, Some(&self.text), SECRET_BYTES_MAX),
            (
                passphrase_field,
                self.passphrase.as_ref(),
                PASSPHRASE_BYTES_MAX,
            ),
        ];
        let problem = |(field, text, bytes_max): (&str, Option<&SecretString>, usize)| {
            let text = text?.expose_secret();
            let detail = if !(1..=bytes_max).contains(&text.len()) {
                format!("must have 1 to {bytes_max} bytes")
            } else if text.contains(BETWEEN) {
                "must not hold the character NUL".to_owned()
            } else {
                return None;
            };
            Some(FieldError::new(field, detail))
        };
        parts.into_iter().filter_map(problem).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(text: &str, passphrase: Option<&str>) -> Secret {
        Secret {
            text: text.into(),
            passphrase: passphrase.map(SecretString::from),
        }
    }

    #[test]
    fn what_cannot_be_kept_is_named_by_its_field() {
        let long = "x".repeat(PASSPHRASE_BYTES_MAX + 1);
        let key = "k".repeat(SECRET_BYTES_MAX + 1);
        for (text, passphrase, expected) in [
            ("key", Some("open sesame"), &[][..]),
            ("key", None, &[]),
            ("", None, &["secret"]),
            (&key, Some("open"), &["secret"]),
            ("key", Some(""), &["passphrase"]),
            ("key", Some(&long), &["passphrase"]),
            ("a\0b", Some("a\0b"), &["secret", "passphrase"]),
        ] {
            let problems = secret(text, passphrase).problems("secret", "passphrase");
            let fields: Vec<&str> = problems.iter().map(|one| one.field.as_str()).collect();
            assert_eq!(fields, expected, "{text:.9?} {passphrase:.9?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_kept_is_had_again(text in "[^\0]{1,40}", passphrase in proptest::option::of("[^\0]{1,40}")) {
            let whole = secret(&text, passphrase.as_deref());
            let again = Secret::of_kept(whole.kept());
            prop_assert_eq!(again.text.expose_secret(), &text);
            let opens = again.passphrase.as_ref().map(ExposeSecret::expose_secret);
            prop_assert_eq!(opens, passphrase.as_deref());
            prop_assert!(again.is(&whole));
            let longer = format!("{text}x");
            prop_assert!(!again.is(&secret(&longer, passphrase.as_deref())));
        }
    }
}
