//! The changes as rows of a file.

use std::fmt::Display;
use std::ops::Range;

use chrono_tz::Tz;

use super::letter::Reader;
use super::settings::Form;
use super::summary::{Ending, account_name, files};
use super::words::{Words, said};
use crate::connect::sheet::{Cell, WriteError, csv, xlsx};
use crate::domain::mail::one_line;
use crate::store::change_report::Change;
use crate::store::mail::MailFile;

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
    /// What is in each.
    pub parts: Vec<Part>,
}

/// What is in one file.
#[derive(Debug, Clone)]
pub(super) struct Part {
    number: usize,
    count: usize,
    rows: Range<usize>,
    total: u64,
    beyond: u64,
    zone: Tz,
}

impl Part {
    /// The line of a mail on it.
    pub(super) fn line(&self, words: &Words) -> String {
        let (first, last) = (self.rows.start + 1, self.rows.end);
        let values: [&dyn Display; 6] = [
            &self.number,
            &self.count,
            &first,
            &last,
            &self.total,
            &self.zone,
        ];
        let line = said(words.file, &values);
        if self.beyond == 0 {
            return line;
        }
        format!("{line} {}", said(words.in_no_file, &[&self.beyond]))
    }
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
    reader: Reader,
    name: &str,
) -> Result<Files, WriteError> {
    if form == Form::None || changes.is_empty() {
        return Ok(Files::default());
    }
    // Made twice, so that the rows of one file only are in memory at a time.
    let words = reader.language.words();
    let bytes = |change: &Change| row(change, reader).iter().map(size).sum();
    let bytes: Vec<usize> = changes.iter().map(bytes).collect();
    let ranges = files(&bytes, rows_per_file, FILE_BYTES_MAX, FILES_MAX);
    let written = ranges.last().map_or(0, |last| last.end);
    let beyond = total.saturating_sub(u64::try_from(written).unwrap_or(u64::MAX));
    let count = ranges.len();
    let mut made = Files::default();
    for (number, range) in (1_usize..).zip(ranges) {
        let part = changes.get(range.clone()).unwrap_or_default();
        let part: Vec<Vec<Cell>> = part.iter().map(|change| row(change, reader)).collect();
        let (content, ending, media_type) = match form {
            Form::Xlsx => (
                xlsx(words.title, &words.columns, &part)?,
                "xlsx",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            ),
            Form::Csv | Form::None => (csv(&words.columns, &part)?, "csv", "text/csv"),
        };
        made.files.push(MailFile {
            name: format!("{name}-{number}.{ending}"),
            media_type: media_type.to_owned(),
            content,
        });
        made.parts.push(Part {
            number,
            count,
            rows: range,
            total,
            beyond,
            zone: reader.zone,
        });
    }
    Ok(made)
}

fn row(change: &Change, reader: Reader) -> Vec<Cell> {
    let words = reader.language.words();
    let text = |text: &str| Cell::Text(one_line(text, CELL_CHARS_MAX));
    let maybe = |it: Option<&str>| it.map_or(Cell::Empty, text);
    let account = change.account.as_ref();
    Vec::from([
        Cell::Time(change.ended_at.with_timezone(&reader.zone).naive_local()),
        text(words.ending(Ending::of(change.state))),
        text(words.cause(change.cause)),
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
