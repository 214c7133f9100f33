//! Tables that people get: XLSX and CSV, made so that no cell does anything when it is opened.

use csv::{Terminator, WriterBuilder};
use rust_xlsxwriter::{Format, FormatAlign, Workbook, Worksheet, XlsxError};

use super::{Cell, FORMULA_STARTS};

/// How an instant is shown, and written in CSV.
const TIME_SHOWN: &str = "yyyy-mm-dd hh:mm:ss";
const TIME_WRITTEN: &str = "%Y-%m-%d %H:%M:%S";
/// Width of a column in characters: a host name or a time.
const COLUMN_WIDTH: f64 = 22.0;
/// A workbook's cell holds no more (Excel's specifications and limits); what is longer is cut.
const CELL_CHARS_MAX: usize = 32_767;

/// A table that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("a table could not be written: {0}")]
pub struct WriteError(String);

impl From<XlsxError> for WriteError {
    fn from(error: XlsxError) -> Self {
        Self(error.to_string())
    }
}

impl From<zip::result::ZipError> for WriteError {
    fn from(error: zip::result::ZipError) -> Self {
        Self(error.to_string())
    }
}

impl From<csv::Error> for WriteError {
    fn from(error: csv::Error) -> Self {
        Self(error.to_string())
    }
}

/// A workbook with one sheet of this name (1 to 31 characters).
///
/// The header stays in sight, and its columns can be filtered. A text is text, whatever it begins with. Takes as long as packing takes: call it where that may block.
///
/// # Errors
/// More than 1,048,575 rows or 16,384 columns, or a name that a sheet cannot have.
pub fn workbook(name: &str, header: &[&str], rows: &[Vec<Cell>]) -> Result<Vec<u8>, WriteError> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet.set_name(name)?;
    let bold = Format::new().set_bold().set_align(FormatAlign::Left);
    for (column, title) in (0_u16..).zip(header) {
        sheet.set_column_width(column, COLUMN_WIDTH)?;
        sheet.write_string_with_format(0, column, *title, &bold)?;
    }
    sheet.set_freeze_panes(1, 0)?;
    let time = Format::new().set_num_format(TIME_SHOWN);
    let mut last = 0;
    for (line, row) in (1_u32..).zip(rows) {
        for (column, cell) in (0_u16..).zip(row) {
            put(sheet, (line, column), cell, &time)?;
        }
        last = line;
    }
    if let Some(columns) = header.len().checked_sub(1) {
        let columns = u16::try_from(columns).map_err(|_| WriteError("too wide".to_owned()))?;
        sheet.autofilter(0, 0, last, columns)?;
    }
    Ok(workbook.save_to_buffer()?)
}

fn put(
    sheet: &mut Worksheet,
    (line, column): (u32, u16),
    cell: &Cell,
    time: &Format,
) -> Result<(), XlsxError> {
    match cell {
        Cell::Empty | Cell::Error => return Ok(()),
        Cell::Text(text) => {
            let text: String = text.chars().take(CELL_CHARS_MAX).collect();
            sheet.write_string(line, column, text)
        }
        Cell::Number(number) => sheet.write_number(line, column, *number),
        Cell::Bool(truth) => sheet.write_boolean(line, column, *truth),
        Cell::Time(at) => sheet.write_datetime_with_format(line, column, at, time),
    }
    .map(drop)
}

/// A CSV text (RFC 4180) in UTF-8. A text that a spreadsheet would run as a formula is led by an apostrophe.
///
/// # Errors
/// None that could be met: the text is written to memory.
pub fn delimited(header: &[&str], rows: &[Vec<Cell>]) -> Result<Vec<u8>, WriteError> {
    let mut csv = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .flexible(true)
        .from_writer(Vec::new());
    csv.write_record(header)?;
    for row in rows {
        csv.write_record(row.iter().map(written))?;
    }
    csv.into_inner()
        .map_err(|error| WriteError(error.to_string()))
}

fn written(cell: &Cell) -> String {
    match cell {
        Cell::Empty | Cell::Error => String::new(),
        Cell::Text(text) if text.starts_with(FORMULA_STARTS) => format!("'{text}"),
        Cell::Text(text) => text.clone(),
        Cell::Number(number) => number.to_string(),
        Cell::Bool(truth) => truth.to_string(),
        Cell::Time(at) => at.format(TIME_WRITTEN).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, read};
    use super::*;

    fn rows() -> Vec<Vec<Cell>> {
        let text = |text: &str| Cell::Text(text.to_owned());
        let at = "2027-01-15T08:00:00".parse().unwrap();
        Vec::from([
            Vec::from([text("=1+1"), Cell::Number(-3.0), Cell::Time(at)]),
            Vec::from([text("a,\"b\"\r\nc"), Cell::Empty, Cell::Bool(true)]),
        ])
    }

    #[test]
    fn a_workbook_reads_as_it_was_written() {
        let bytes = workbook("Changes", &["name", "count", "at"], &rows()).unwrap();
        let read = read(&bytes, &Limits::default()).unwrap();
        assert_eq!(read.len(), 3);
        assert!(read[1].cells == rows()[0], "a text, not a formula");
        assert!(workbook("Empty", &["a"], &[]).is_ok());
        assert!(workbook("a/b", &["a"], &[]).is_err());
    }

    #[test]
    fn formulas_are_disarmed_in_a_text() {
        let bytes = delimited(&["name", "count", "at"], &rows()).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "name,count,at\r\n'=1+1,-3,2027-01-15 08:00:00\r\n\"a,\"\"b\"\"\r\nc\",,true\r\n"
        );
    }
}
