//! What a report says: pure counts of changes, and how their rows are divided into files.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::words::{Words, said};
use crate::domain::mail::one_line;
use crate::domain::operation::{ChangeCause, OperationState};
use crate::store::change_report::{Change, ChangedAccount};

/// Rows kept for the files of one report: ten files of the most rows that are easy to open. All are counted.
pub(super) const ROWS_MAX: usize = 200_000;
/// Names are a thousand characters at most; people know things by the beginning.
const NAME_CHARS_MAX: usize = 160;

/// How a change ended, as people ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// The new secret is in force, and proven.
    Succeeded,
    /// The old one is.
    Failed,
    /// One of the two is, and nobody knows which.
    Unverified,
    /// It was not begun: its time was over, or somebody cancelled it.
    NotBegun,
}

impl Ending {
    /// All of them, as they are told.
    pub(super) const ALL: [Self; 4] = [
        Self::Succeeded,
        Self::Failed,
        Self::Unverified,
        Self::NotBegun,
    ];

    /// Of an operation that has ended.
    pub(super) const fn of(state: OperationState) -> Self {
        match state {
            OperationState::Succeeded => Self::Succeeded,
            OperationState::Failed => Self::Failed,
            OperationState::Expired | OperationState::Cancelled => Self::NotBegun,
            OperationState::Unverified
            | OperationState::Queued
            | OperationState::Running
            | OperationState::Retrying => Self::Unverified,
        }
    }
}

/// How much an ending matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// The new secret is in force, or a person cancelled the change.
    Info,
    /// It was not begun in time, or nobody knows which secret is in force: robots go on.
    Warning,
    /// It failed, and no robot goes on.
    Error,
}

impl Severity {
    /// Of an operation that has ended.
    pub(super) const fn of(state: OperationState) -> Self {
        match state {
            OperationState::Succeeded | OperationState::Cancelled => Self::Info,
            OperationState::Failed => Self::Error,
            OperationState::Expired
            | OperationState::Unverified
            | OperationState::Queued
            | OperationState::Running
            | OperationState::Retrying => Self::Warning,
        }
    }
}

/// How many ended in each way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts(BTreeMap<Ending, u64>);

impl Counts {
    fn add(&mut self, ending: Ending) {
        *self.0.entry(ending).or_default() += 1;
    }

    /// How many ended so.
    pub(super) fn of(&self, ending: Ending) -> u64 {
        self.0.get(&ending).copied().unwrap_or(0)
    }

    /// How many there are.
    pub(super) fn all(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those that are not zero, in words.
    pub(super) fn said(&self, words: &Words) -> String {
        let told = Ending::ALL.into_iter().filter(|one| self.of(*one) > 0);
        let counts = told.map(|one| format!("{} {}", self.of(one), words.ending(one)));
        counts.collect::<Vec<_>>().join(", ")
    }
}

/// Where an account is; what is gone has no device, and stands last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    gone: bool,
    /// The site, where there is one.
    pub site: Option<String>,
    /// The device's host name; empty where it is gone.
    pub device: String,
}

impl Place {
    fn of(account: Option<&ChangedAccount>) -> Self {
        let name = |text: &str| one_line(text, NAME_CHARS_MAX);
        Self {
            gone: account.is_none(),
            site: account.and_then(|account| account.site.as_deref().map(name)),
            device: account
                .map(|account| name(&account.device))
                .unwrap_or_default(),
        }
    }

    /// In texts.
    pub(super) fn title(&self, words: &Words) -> String {
        match &self.site {
            _ if self.gone => words.gone.to_owned(),
            Some(site) => said(words.at_site, &[&self.device, site]),
            None => format!("`{}`", self.device),
        }
    }
}

/// The changes of one report, counted.
#[derive(Debug)]
pub(super) struct Summary {
    least: Severity,
    /// All of them.
    pub total: Counts,
    /// By their cause.
    pub causes: BTreeMap<ChangeCause, Counts>,
    /// By the place of the account.
    pub places: BTreeMap<Place, Counts>,
    /// Those that go into files, in the order in which they came.
    pub rows: Vec<Change>,
}

impl Summary {
    /// Of nothing yet; what matters less than `least` is left out.
    pub(super) const fn new(least: Severity) -> Self {
        Self {
            least,
            total: Counts(BTreeMap::new()),
            causes: BTreeMap::new(),
            places: BTreeMap::new(),
            rows: Vec::new(),
        }
    }

    /// Counts a change in.
    pub(super) fn add(&mut self, change: Change) {
        if Severity::of(change.state) < self.least {
            return;
        }
        let ending = Ending::of(change.state);
        self.total.add(ending);
        self.causes.entry(change.cause).or_default().add(ending);
        let place = Place::of(change.account.as_ref());
        self.places.entry(place).or_default().add(ending);
        if self.rows.len() < ROWS_MAX {
            self.rows.push(change);
        }
    }

    /// Those that somebody should look at.
    pub(super) fn troubles(&self) -> impl Iterator<Item = &Change> {
        let rows = self.rows.iter();
        rows.filter(|change| Severity::of(change.state) > Severity::Info)
    }
}

/// What an account is called, in one line.
pub(super) fn account_title(change: &Change, words: &Words) -> String {
    let title = match &change.account {
        Some(account) => said(words.account, &[&account_name(account), &account.device]),
        None => said(words.gone_account, &[&change.credential]),
    };
    one_line(&title, NAME_CHARS_MAX)
}

/// The account's name, with its directory.
pub(super) fn account_name(account: &ChangedAccount) -> String {
    match &account.domain {
        Some(domain) => format!("{domain}\\{}", account.username),
        None => account.username.clone(),
    }
}

/// How rows of so many bytes each are divided into files, in their order: at most `rows_max` rows and `bytes_max` bytes a
/// file, but one row at least, and at most `files_max` files. What is beyond them is in no file.
pub(super) fn files(
    bytes: &[usize],
    rows_max: usize,
    bytes_max: usize,
    files_max: usize,
) -> Vec<Range<usize>> {
    let mut files: Vec<Range<usize>> = Vec::new();
    let mut filled = 0_usize;
    for (row, size) in bytes.iter().enumerate() {
        let count = files.len();
        match files.last_mut() {
            Some(file) if file.len() < rows_max && filled.saturating_add(*size) <= bytes_max => {
                file.end = row + 1;
                filled += size;
            }
            _ if count == files_max => break,
            _ => {
                files.push(row..row + 1);
                filled = *size;
            }
        }
    }
    files
}

#[cfg(test)]
mod tests;
