//! What an operator may set. The hour of the report is that of the robot's schedule.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::letter::Reader;
use super::summary::Severity;
use super::words::Language;
use crate::domain::id::InventoryId;
use crate::domain::mail::Recipients;
use crate::domain::robot::FieldError;
use crate::robots::settings::{self, Iso, require, require_between};

/// More rows are slow to open; what is beyond them is in the next file.
const ROWS_PER_FILE_MAX: usize = 50_000;
/// Recipients who have files of their own: all of a report's are in memory at once.
const ARCHIVES_MAX: usize = 10;

/// How all changes go with the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    /// As a workbook.
    Xlsx,
    /// As a text with commas.
    Csv,
    /// Not at all.
    None,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// Who gets the report. A user of the inventory with one of these addresses reads it in a language and a zone of his own,
    /// and gets nothing while disabled.
    pub recipients: Recipients,
    /// The zone of the times for all others, and in the file.
    pub timezone: Tz,
    /// The language for all others, and of the file: `en`, `pt` or `es`.
    pub language: Language,
    /// How far the first report reaches back; each later one begins where the last one ended.
    pub period: Iso,
    /// Also at each change, with so long a pause between two reports; null: by the schedule only.
    pub immediate: Option<Iso>,
    /// Tell of those only that matter so much: `info` of all, `warning` of those that were not begun in time, are unverified or
    /// failed, `error` of those that failed.
    pub min_severity: Severity,
    /// The same as `min_severity` `warning`, at least.
    pub only_failures: bool,
    /// By the schedule, send a report when there is nothing to tell, too.
    pub include_empty: bool,
    /// How all changes go with the mail.
    pub attachment: Form,
    /// Whose files are locked, by address: the credential of the inventory whose secret opens them (ZIP with AES-256). One that has none
    /// gets no file.
    pub archive_passwords: BTreeMap<String, InventoryId>,
    /// Rows of one file, 1 to 50,000; what is beyond them goes with another mail.
    pub rows_per_file: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            recipients: Recipients::default(),
            timezone: Tz::UTC,
            language: Language::English,
            period: Iso(Duration::from_hours(24)),
            immediate: None,
            min_severity: Severity::Info,
            only_failures: false,
            include_empty: false,
            attachment: Form::Xlsx,
            archive_passwords: BTreeMap::new(),
            rows_per_file: 10_000,
        }
    }
}

impl Settings {
    /// What is told of must matter so much.
    pub(super) fn least(&self) -> Severity {
        if self.only_failures {
            self.min_severity.max(Severity::Warning)
        } else {
            self.min_severity
        }
    }

    /// How those read a report of whom nothing is known.
    pub(super) const fn others(&self) -> Reader {
        Reader {
            language: self.language,
            zone: self.timezone,
        }
    }
}

impl settings::Settings for Settings {
    fn check(&self) -> Result<(), FieldError> {
        let (hour, month) = (Duration::from_hours(1), Duration::from_hours(31 * 24));
        require_between("period", self.period.0, hour, month)?;
        if let Some(pause) = self.immediate {
            let most = Duration::from_mins(5);
            require_between("immediate", pause.0, Duration::ZERO, most)?;
        }
        let known = |address: &String| self.recipients.iter().any(|one| one == address);
        require(
            self.archive_passwords.len() <= ARCHIVES_MAX
                && self.archive_passwords.keys().all(known),
            "archive_passwords",
            "must name at most 10 addresses, each of them in `recipients`",
        )?;
        require(
            (1..=ROWS_PER_FILE_MAX).contains(&self.rows_per_file),
            "rows_per_file",
            "must lie between 1 and 50000",
        )
    }
}
