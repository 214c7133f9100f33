//! What is wrong with a configuration: all of it at once, each with its place.

use std::fmt;
use std::path::Path;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file and the key, or the flag and its variable.
    pub place: String,
    /// What is wrong, and what would be right.
    pub detail: String,
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Every mistake found, at least one.
    pub problems: Vec<Problem>,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("use the configuration")?;
        for problem in &self.problems {
            write!(f, "\n  {}: {}", problem.place, problem.detail)?;
        }
        Ok(())
    }
}

impl ConfigError {
    /// A single mistake.
    pub fn one(place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            problems: vec![Problem {
                place: place.into(),
                detail: detail.into(),
            }],
        }
    }
}

/// Mistakes found so far, and things that are merely odd.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The file, for the places of its keys.
    file: String,
    problems: Vec<Problem>,
    /// What an administrator should know, though it works.
    pub(super) warnings: Vec<String>,
}

impl Findings {
    pub(super) fn of_file(file: Option<&Path>) -> Self {
        Self {
            file: file.map_or_else(String::new, |file| file.display().to_string()),
            ..Self::default()
        }
    }

    /// The place of a key of the file.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}: {key}", self.file)
    }

    /// A mistake in the file.
    pub(super) fn wrong(&mut self, key: &str, detail: impl fmt::Display) {
        self.wrong_at(self.key(key), detail);
    }

    /// A mistake at any place.
    pub(super) fn wrong_at(&mut self, place: String, detail: impl fmt::Display) {
        self.problems.push(Problem {
            place,
            detail: detail.to_string(),
        });
    }

    /// The value, or `None` with the mistake noted.
    pub(super) fn value<T, E: fmt::Display>(
        &mut self,
        key: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.wrong(key, error)).ok()
    }

    /// How many mistakes there are.
    pub(super) const fn count(&self) -> usize {
        self.problems.len()
    }

    /// `Err` where there was a mistake.
    pub(super) fn finish(self) -> Result<Vec<String>, ConfigError> {
        if self.problems.is_empty() {
            Ok(self.warnings)
        } else {
            Err(ConfigError {
                problems: self.problems,
            })
        }
    }
}
