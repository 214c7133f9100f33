//! Workbooks for people: a title, what each column is for, the columns' names in the colour of what they belong to,
//! and rows of texts. What [`super::read`] reads again.

use rust_xlsxwriter::{Color, Format, Workbook, Worksheet, XlsxError};

use super::FORMULA_STARTS;

/// The line with the columns' names, as people count; what they are for stands above, the rows below.
pub const NAMES_LINE: u32 = 5;

/// Lines that stay in sight, from the first.
const FROZEN_ROWS: u32 = NAMES_LINE;
/// Width of a column in characters.
const COLUMN_WIDTH: u16 = 24;

/// What a column belongs to, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shade {
    /// Yellow.
    Yellow,
    /// Blue.
    Blue,
    /// Purple.
    Purple,
    /// Grey.
    Grey,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is for.
    pub about: &'a str,
    /// What it belongs to.
    pub shade: Shade,
}

/// A workbook of one sheet as XLSX. A text that a spreadsheet would run as a formula is led by an apostrophe.
///
/// # Errors
/// More rows than a sheet has, or a text that is longer than a cell takes (32,767 characters).
pub fn write(
    title: &str,
    columns: &[Column<'_>],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet.write_string_with_format(0, 0, title, &Format::new().set_bold())?;
    for (column, place) in columns.iter().zip(0_u16..) {
        heading(sheet, place, column)?;
    }
    sheet.set_freeze_panes(FROZEN_ROWS, 0)?;
    for (row, line) in rows.into_iter().zip(NAMES_LINE..) {
        for (text, place) in row.iter().zip(0_u16..) {
            if !text.is_empty() {
                sheet.write_string(line, place, harmless(text))?;
            }
        }
    }
    workbook.save_to_buffer()
}

fn heading(sheet: &mut Worksheet, place: u16, column: &Column<'_>) -> Result<(), XlsxError> {
    let colour = match column.shade {
        Shade::Yellow => 0x00FF_F2CC,
        Shade::Blue => 0x00DD_EBF7,
        Shade::Purple => 0x00E4_DFEC,
        Shade::Grey => 0x00ED_EDED,
    };
    let about = Format::new().set_italic().set_text_wrap();
    let name = Format::new()
        .set_bold()
        .set_background_color(Color::RGB(colour));
    sheet.set_column_width(place, COLUMN_WIDTH)?;
    sheet.write_string_with_format(NAMES_LINE - 2, place, column.about, &about)?;
    sheet.write_string_with_format(NAMES_LINE - 1, place, column.name, &name)?;
    Ok(())
}

fn harmless(text: &str) -> String {
    if text.starts_with(FORMULA_STARTS) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// The text that [`write()`] made harmless, as it was.
#[must_use]
pub fn original(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(FORMULA_STARTS) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Limits, read};
    use super::*;

    #[test]
    fn what_is_written_is_read_and_runs_nowhere() {
        let column = |name| Column {
            name,
            about: "what it is for",
            shade: Shade::Blue,
        };
        let texts = ["=1+1", "-1", "007", "é\n\"<&>", "'plain", "'=quoted", ""];
        let rows = texts.map(|text| Vec::from(["x".to_owned(), text.to_owned()]));
        let file = write("Title", &[column("a"), column("b")], rows).unwrap();
        let rows = read(&file, &Limits::default()).unwrap();
        let lines: Vec<u32> = rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [1, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let second = |row: &super::super::Row| match row.cells.get(1) {
            Some(Cell::Text(text)) => text.clone(),
            _ => String::new(),
        };
        let read: Vec<String> = rows.iter().skip(3).map(second).collect();
        assert_eq!(
            read,
            ["'=1+1", "'-1", "007", "é\n\"<&>", "'plain", "'=quoted", ""]
        );
        // Of two texts that look alike one was written by us, and the other by nobody in his senses.
        let back: Vec<&str> = read.iter().map(|text| original(text)).collect();
        assert_eq!(
            back,
            ["=1+1", "-1", "007", "é\n\"<&>", "'plain", "=quoted", ""]
        );
    }
}
