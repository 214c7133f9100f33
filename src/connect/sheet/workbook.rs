//! XLSX (ECMA-376): a ZIP archive of XML.

use std::io::Cursor;

use calamine::{DataRef, Reader, SheetType, SheetVisible, Xlsx, XlsxError};

use super::archive::damaged;
use super::rows::Rows;
use super::{Cell, Limits, Row, SheetError};

/// Reads the first visible sheet of an archive whose sizes are checked.
pub(super) fn read(file: &[u8], limits: &Limits) -> Result<Vec<Row>, SheetError> {
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(file)).map_err(refused)?;
    let sheets = workbook.sheets_metadata().iter();
    let first = sheets
        .filter(|sheet| sheet.typ == SheetType::WorkSheet)
        .find(|sheet| sheet.visible == SheetVisible::Visible)
        .map(|sheet| sheet.name.clone())
        .ok_or(SheetError::NoSheet)?;
    // Cell by cell: a range would be as large as its farthest cell.
    let mut cells = workbook.worksheet_cells_reader(&first).map_err(refused)?;
    let mut rows = Rows::new(limits);
    while let Some(cell) = cells.next_cell().map_err(refused)? {
        let (row, column) = cell.get_position();
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        rows.put(row.saturating_add(1), column, value(cell.get_value()))?;
    }
    Ok(rows.done())
}

fn value(value: &DataRef<'_>) -> Cell {
    match value {
        DataRef::Empty => Cell::Empty,
        DataRef::String(text) | DataRef::DurationIso(text) => Cell::Text(text.clone()),
        DataRef::SharedString(text) => Cell::Text((*text).to_owned()),
        DataRef::Int(number) => whole(*number),
        DataRef::Float(number) => Cell::Number(*number),
        DataRef::Bool(truth) => Cell::Bool(*truth),
        DataRef::DateTime(time) if time.is_datetime() => {
            time.as_datetime().map_or(Cell::Error, Cell::Time)
        }
        DataRef::DateTime(length) => Cell::Number(length.as_f64()),
        DataRef::DateTimeIso(text) => text
            .parse()
            .map_or_else(|_| Cell::Text(text.clone()), Cell::Time),
        DataRef::Error(_) => Cell::Error,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a workbook keeps every number as a double"
)]
const fn whole(number: i64) -> Cell {
    Cell::Number(number as f64)
}

fn refused(error: XlsxError) -> SheetError {
    match error {
        XlsxError::Password => SheetError::Closed,
        other => damaged(other),
    }
}
