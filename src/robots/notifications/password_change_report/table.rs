//! The changes as rows of a file.

use chrono_tz::Tz;

use super::settings::Form;
use super::summary::{Ending, account_name, files};
use crate::connect::sheet::{Cell, WriteError, csv, xlsx};
use crate::domain::mail::one_line;
use crate::store::change_report::Change;
use crate::store::mail::MailFile;

/// The columns; times are of the zone in the last one.
const HEADER: [&str; 10] = [
    "ended at",
    "result",
    "cause",
    "site",
    "device",
    "account",
    "ordered by",
    "attempts",
    "failure",
    "credential",
];
/// What a cell shows of a longer name.
const CELL_CHARS_MAX: usize = 255;
/// Text of one file: well below what a mail may carry (`connect::smtp`), whatever its form.
const FILE_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Files of one report; each is a mail to each recipient.
pub(super) const FILES_MAX: usize = 10;

/// The files of a report, and what each of their mails says of it.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The files.
    pub files: Vec<MailFile>,
    /// A line on each.
    pub lines: Vec<String>,
}

/// Writes all changes into files. Takes as long as packing takes: call it where that may block.
///
/// # Errors
/// What the writer says.
pub(super) fn write(
    changes: &[Change],
    total: u64,
    form: Form,
    rows_per_file: usize,
    zone: Tz,
    name: &str,
) -> Result<Files, WriteError> {
    if form == Form::None || changes.is_empty() {
        return Ok(Files::default());
    }
    // Made twice, so that the rows of one file only are in memory at a time.
    let bytes = |change: &Change| row(change, zone).iter().map(size).sum();
    let bytes: Vec<usize> = changes.iter().map(bytes).collect();
    let ranges = files(&bytes, rows_per_file, FILE_BYTES_MAX, FILES_MAX);
    let written = ranges.last().map_or(0, |last| last.end);
    let beyond = total.saturating_sub(u64::try_from(written).unwrap_or(u64::MAX));
    let count = ranges.len();
    let mut made = Files::default();
    for (number, range) in (1_usize..).zip(ranges) {
        let part = changes.get(range.clone()).unwrap_or_default();
        let part: Vec<Vec<Cell>> = part.iter().map(|change| row(change, zone)).collect();
        let (content, ending, media_type) = match form {
            Form::Xlsx => (
                xlsx("Password changes", &HEADER, &part)?,
                "xlsx",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            ),
            Form::Csv | Form::None => (csv(&HEADER, &part)?, "csv", "text/csv"),
        };
        made.files.push(MailFile {
            name: format!("{name}-{number}.{ending}"),
            media_type: media_type.to_owned(),
            content,
        });
        let mut line = format!(
            "File {number} of {count} has changes {} to {} of {total}; its times are those of {zone}.",
            range.start + 1,
            range.end
        );
        if beyond > 0 {
            line.push_str(&format!(" {beyond} changes are in no file."));
        }
        made.lines.push(line);
    }
    Ok(made)
}

fn row(change: &Change, zone: Tz) -> Vec<Cell> {
    let text = |text: &str| Cell::Text(one_line(text, CELL_CHARS_MAX));
    let maybe = |it: Option<&str>| it.map_or(Cell::Empty, text);
    let account = change.account.as_ref();
    Vec::from([
        Cell::Time(change.ended_at.with_timezone(&zone).naive_local()),
        text(Ending::of(change.state).word()),
        text(change.cause.as_str()),
        maybe(account.and_then(|account| account.site.as_deref())),
        maybe(account.map(|account| account.device.as_str())),
        maybe(account.map(account_name).as_deref()),
        text(&change.requested_by),
        Cell::Number(f64::from(change.attempts)),
        maybe(change.error_class.as_deref()),
        text(&change.credential.to_string()),
    ])
}

fn size(cell: &Cell) -> usize {
    match cell {
        Cell::Text(text) => text.len(),
        _ => 20,
    }
}
