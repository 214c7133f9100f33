//! The form in which Active Directory takes a password.

use secrecy::{ExposeSecret, SecretString};

/// The password in double quotes, as UTF-16 with the low byte first (MS-ADTS, section 3.1.1.3.1.5).
/// Quotes within it stay as they are.
pub(super) fn unicode_pwd(password: &SecretString) -> Vec<u8> {
    let password = password.expose_secret();
    // Two bytes a character are enough for UTF-16 of what has as many bytes in UTF-8.
    let mut bytes = Vec::with_capacity(2 * (password.len() + 2));
    let quoted = ["\"", password, "\""];
    for unit in quoted.iter().flat_map(|part| part.encode_utf16()) {
        bytes.extend_from_slice(&unit.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_specification_is_met() {
        // "new" in quotes: 22 00 6E 00 65 00 77 00 22 00.
        let bytes = unicode_pwd(&SecretString::from("new"));
        assert_eq!(bytes, [0x22, 0, 0x6E, 0, 0x65, 0, 0x77, 0, 0x22, 0]);
    }

    proptest! {
        #[test]
        fn any_password_is_read_back(password in ".{0,60}") {
            let bytes = unicode_pwd(&SecretString::from(password.as_str()));
            prop_assert!(bytes.len() <= 2 * (password.len() + 2));
            let units: Vec<u16> = bytes.chunks(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
            prop_assert_eq!(String::from_utf16(&units).unwrap(), format!("\"{password}\""));
        }
    }
}
