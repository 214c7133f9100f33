//! Addresses and lines that may go into a mail.

use serde::{Deserialize, Serialize};

/// A mail goes to people who act on it; more than fifty need a mailing list.
pub const RECIPIENTS_MAX: usize = 50;
/// RFC 5321, section 4.5.3.1.3: a path has at most 256 octets with its brackets.
const ADDRESS_BYTES_MAX: usize = 254;

/// One address, e.g. `ops@example.org`, without a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

/// Who is told; at most [`RECIPIENTS_MAX`], each once, in the order given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Address>", into = "Vec<Address>")]
pub struct Recipients(Vec<Address>);

/// Why a text is no address, or a list no list of recipients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A control character could add a header.
    #[error("an address must not contain control characters, spaces, commas or angle brackets")]
    Forbidden,
    /// Not of the form of an address.
    #[error("an address has the form `name@domain`, with at most {ADDRESS_BYTES_MAX} bytes")]
    Form,
    /// Too many.
    #[error("at most {RECIPIENTS_MAX} recipients; use a mailing list for more")]
    TooMany,
}

impl Address {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        let forbidden = |c: char| c.is_control() || c.is_whitespace() || ",;<>\"\\()".contains(c);
        if text.chars().any(forbidden) {
            return Err(AddressError::Forbidden);
        }
        let sound = text
            .rsplit_once('@')
            .is_some_and(|(name, domain)| is_name(name) && is_domain(domain));
        if sound && text.len() <= ADDRESS_BYTES_MAX {
            Ok(Self(text))
        } else {
            Err(AddressError::Form)
        }
    }
}

/// Dots separate, and never begin or end (RFC 5321, `Dot-string`); 64 octets at most.
fn is_name(name: &str) -> bool {
    name.len() <= 64 && !name.contains('@') && name.split('.').all(|part| !part.is_empty())
}

/// Labels of 1 to 63 octets; `localhost` is one label and is fine.
fn is_domain(domain: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || c == '-';
    domain.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.chars().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl Recipients {
    /// Whether nobody is told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The addresses.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Address::as_str)
    }
}

impl TryFrom<Vec<Address>> for Recipients {
    type Error = AddressError;

    fn try_from(addresses: Vec<Address>) -> Result<Self, AddressError> {
        let mut kept: Vec<Address> = Vec::new();
        for address in addresses {
            if !kept.contains(&address) {
                kept.push(address);
            }
            if kept.len() > RECIPIENTS_MAX {
                return Err(AddressError::TooMany);
            }
        }
        Ok(Self(kept))
    }
}

impl From<Recipients> for Vec<Address> {
    fn from(recipients: Recipients) -> Self {
        recipients.0
    }
}

/// `text` in one line of at most `chars_max` characters: control characters become spaces, what is
/// too long ends with `…`.
#[must_use]
pub fn one_line(text: &str, chars_max: usize) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.chars().map(visible).take(chars_max).collect();
    if text.chars().nth(chars_max).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Address, AddressError> {
        Address::try_from(text.to_owned())
    }

    #[test]
    fn addresses_are_told_from_other_text() {
        for good in ["ops@example.org", "a.b+c@localhost", "ops@bücher.example"] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ops",
            "@example.org",
            "ops@",
            "a@b@c",
            ".a@b",
            "a..b@c",
            "a@b..c",
            "a@-b",
            "Ops <ops@example.org>",
            "a@b,c@d",
            "ops@example.org\r\nBcc: x@y",
            "a b@c",
            "a@b c",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&format!("{}@b", "a".repeat(65))).is_err());
    }

    #[test]
    fn a_list_is_bounded_and_without_doubles() {
        let list = |n: usize| -> Vec<String> { (0..n).map(|i| format!("a{i}@b.c")).collect() };
        let read = |v: Vec<String>| serde_json::from_value::<Recipients>(serde_json::json!(v));
        assert_eq!(
            read(list(RECIPIENTS_MAX)).unwrap().iter().count(),
            RECIPIENTS_MAX
        );
        assert!(read(list(RECIPIENTS_MAX + 1)).is_err());
        let doubled = [list(2), list(2)].concat();
        assert_eq!(read(doubled).unwrap().iter().count(), 2);
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_adds_no_header(text in any::<String>()) {
            if let Ok(address) = read(&text) {
                prop_assert!(!address.as_str().contains(['\r', '\n', ' ', ',', '<', '>']));
            }
        }

        #[test]
        fn a_line_is_one_line_and_bounded(text in any::<String>(), max in 1usize..50) {
            let line = one_line(&text, max);
            prop_assert!(line.chars().count() <= max && !line.chars().any(char::is_control));
        }
    }
}
