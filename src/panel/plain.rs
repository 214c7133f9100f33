//! Texts of robots, commands and callers as they are: nothing in them acts on a page or hides in it.

use std::fmt::Write;

use serde_json::Value;

/// `text` with everything visible that a terminal would act on: control characters as their pictures, characters that turn
/// the direction of writing as their numbers. Tabs and ends of lines stay. What a browser would act on is escaped by the
/// templates.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' | '\n' => shown.push(c),
            '\0'..='\u{1f}' => {
                shown.push(
                    char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
                );
            }
            '\u{7f}' => shown.push('\u{2421}'),
            '\u{80}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                let _never_fails = write!(shown, "‹U+{:04X}›", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown
}

/// At most `chars` characters of a text, visible.
pub(super) fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", visible(text.get(..end).unwrap_or_default())),
        None => visible(text),
    }
}

/// A value in one line: a text as it is, anything else as JSON; nothing for null.
pub(super) fn value(value: &Value, chars: usize) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => shortened(text, chars),
        other => shortened(&other.to_string(), chars),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_acts_and_nothing_hides() {
        assert_eq!(
            visible("\u{1b}[31mred\u{7}\t\u{202e}x\u{9b}\r\n"),
            "␛[31mred␇\t‹U+202E›x‹U+009B›␍\n"
        );
        assert_eq!(visible("<script>"), "<script>", "the templates escape it");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(value(&Value::Null, 9), "");
        assert_eq!(value(&json!({"a": 1}), 9), "{\"a\":1}");
        assert_eq!(value(&json!("1234567890"), 9), "123456789…");
        assert_eq!(shortened(&"ä".repeat(500), 20).chars().count(), 21);
    }
}
