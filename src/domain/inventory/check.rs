//! What the fields of all nouns have in common: bounds, and what is said of a value beyond them.

use super::name::{FOLDED_BYTES_MAX, fold};
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use chrono::Datelike;

/// Bound on names in characters.
pub const NAME_CHARS_MAX: usize = 255;
/// Bound on descriptions in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 2_000;
/// Bound on the tags of a thing.
pub const TAGS_MAX: usize = 64;
/// Bound on one tag in characters.
pub const TAG_CHARS_MAX: usize = 64;

/// What is wrong with a body, field by field.
#[derive(Debug, Default)]
pub struct Problems(Vec<FieldError>);

impl Problems {
    /// Notes that `field` is not acceptable.
    pub fn note(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError::new(field, detail));
    }

    /// All that was noted; none: the body is fine.
    #[must_use]
    pub fn into_errors(self) -> Vec<FieldError> {
        self.0
    }

    /// A name: 1 to [`NAME_CHARS_MAX`] printable characters, no white space at its ends.
    pub fn name(&mut self, field: &str, text: &str) {
        if self.line(field, text, NAME_CHARS_MAX) && fold(text).len() > FOLDED_BYTES_MAX {
            self.note(field, "is too long when upper and lower case are made one");
        }
    }

    /// A name that may be absent.
    pub fn optional_name(&mut self, field: &str, text: Option<&String>) {
        if let Some(text) = text {
            self.name(field, text);
        }
    }

    /// One line of text that may be absent.
    pub fn optional_line(&mut self, field: &str, text: Option<&String>, chars_max: usize) {
        if let Some(text) = text {
            self.line(field, text, chars_max);
        }
    }

    /// One line of 1 to `chars_max` characters; answers whether it is one.
    pub fn line(&mut self, field: &str, text: &str, chars_max: usize) -> bool {
        let detail = if text.is_empty() || text.chars().count() > chars_max {
            format!("must have 1 to {chars_max} characters")
        } else if text.chars().any(char::is_control) {
            "must not contain control characters".to_owned()
        } else if text.trim() != text {
            "must not begin or end with white space".to_owned()
        } else {
            return true;
        };
        self.note(field, detail);
        false
    }

    /// Text of several lines; answers whether it is one.
    pub fn text(&mut self, field: &str, text: &str, chars_max: usize) -> bool {
        let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        let detail = if text.chars().count() > chars_max {
            format!("must have at most {chars_max} characters")
        } else if text.chars().any(control) {
            "must not contain control characters but line ends and tabs".to_owned()
        } else {
            return true;
        };
        self.note(field, detail);
        false
    }

    /// A description that may be absent.
    pub fn description(&mut self, text: Option<&String>) {
        if let Some(text) = text {
            self.text("description", text, DESCRIPTION_CHARS_MAX);
        }
    }

    /// Tags: bounded, each once.
    pub fn tags(&mut self, tags: &[String]) {
        if tags.len() > TAGS_MAX {
            self.note("tags", format!("must be at most {TAGS_MAX}"));
            return;
        }
        let mut known = std::collections::HashSet::new();
        for (index, tag) in tags.iter().enumerate() {
            let field = format!("tags[{index}]");
            if self.line(&field, tag, TAG_CHARS_MAX) && !known.insert(fold(tag)) {
                self.note(field, "stands there twice");
            }
        }
    }

    /// An instant that may be absent: between the years 1970 and 9998, as everywhere.
    pub fn instant(&mut self, field: &str, at: Option<Timestamp>) {
        if at.is_some_and(|at| !(1970..=9998).contains(&at.year())) {
            self.note(field, "must lie between the years 1970 and 9998");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(check: impl FnOnce(&mut Problems)) -> Vec<String> {
        let mut problems = Problems::default();
        check(&mut problems);
        let errors = problems.into_errors();
        errors.into_iter().map(|error| error.detail).collect()
    }

    #[test]
    fn names_have_their_bounds() {
        for good in ["a", "web 1", "münchen", &"x".repeat(NAME_CHARS_MAX)] {
            assert!(details(|p| p.name("n", good)).is_empty(), "{good}");
        }
        for bad in [
            "",
            " a",
            "a\u{a0}",
            "a\nb",
            "\u{0}",
            &"x".repeat(NAME_CHARS_MAX + 1),
            // Each is twelve bytes when it is normalised: no index would take it.
            &"\u{1d160}".repeat(NAME_CHARS_MAX),
        ] {
            assert_eq!(details(|p| p.name("n", bad)).len(), 1, "{bad:?}");
        }
    }

    #[test]
    fn tags_are_few_and_different() {
        let tags = |all: &[&str]| all.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        assert!(details(|p| p.tags(&tags(&["a", "b"]))).is_empty());
        assert_eq!(
            details(|p| p.tags(&tags(&["a", "A"]))),
            ["stands there twice"]
        );
        assert_eq!(details(|p| p.tags(&vec!["x".to_owned(); 65])).len(), 1);
    }
}
