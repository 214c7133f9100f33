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

/// Reads bytes from hexadecimal digits, two a byte; none for any other text.
#[must_use]
pub fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|&[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok())
        .collect()
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

        #[test]
        fn bytes_read_back(bytes: Vec<u8>) {
            prop_assert_eq!(bytes_of(&hexadecimal(&bytes)), Some(bytes));
        }
    }

    #[test]
    fn what_is_no_pair_of_digits_is_no_byte() {
        for text in ["0", "0g", "é", "+1", " 1"] {
            assert_eq!(bytes_of(text), None, "{text}");
        }
    }
}
