//! Bytes as text.

/// Writes bytes as lower-case hexadecimal digits, two a byte.
///
/// The room is taken at once: a text that grows would leave copies of a secret in memory.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_text_is_that_of_the_formatter(bytes: Vec<u8>) {
            let formatted: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(hexadecimal(&bytes), formatted);
        }
    }
}
