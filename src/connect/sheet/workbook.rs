//! XLSX (ECMA-376): a ZIP archive of XML.

use std::io::{Cursor, Read};

use calamine::{DataRef, Reader, SheetType, SheetVisible, Xlsx, XlsxError};
use zip::ZipArchive;

use super::rows::Rows;
use super::{Cell, Limits, Row, SheetError};

/// Files of an archive; a workbook of one sheet has a dozen.
const ENTRIES_MAX: usize = 1_000;
/// The file that makes an archive an XLSX workbook.
const WORKBOOK: &str = "xl/workbook.xml";

/// Reads the first visible sheet.
pub(super) fn read(file: &[u8], limits: &Limits) -> Result<Vec<Row>, SheetError> {
    check_unpacked(file, limits.unpacked_bytes_max)?;
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

/// Unpacks everything into nothing: what an archive says of its sizes may be wrong.
fn check_unpacked(file: &[u8], bytes_max: u64) -> Result<(), SheetError> {
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(damaged)?;
    if archive.len() > ENTRIES_MAX {
        return Err(SheetError::Foreign);
    }
    if archive.index_for_name(WORKBOOK).is_none() {
        return Err(SheetError::Foreign);
    }
    let mut left = bytes_max;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(damaged)?;
        let mut bounded = entry.take(left.saturating_add(1));
        let unpacked = std::io::copy(&mut bounded, &mut std::io::sink()).map_err(damaged)?;
        left = left
            .checked_sub(unpacked)
            .ok_or(SheetError::Packed(bytes_max))?;
    }
    Ok(())
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

fn damaged(error: impl std::fmt::Display) -> SheetError {
    SheetError::Damaged {
        reason: error.to_string(),
    }
}
