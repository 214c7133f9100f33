//! The ZIP archive around a workbook.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::SheetError;

/// Files of an archive; a workbook of one sheet has a dozen.
const ENTRIES_MAX: usize = 1_000;

/// What is in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Office Open XML.
    Xlsx,
    /// An `OpenDocument` spreadsheet.
    OpenDocument,
}

/// What an archive is, after unpacking everything into nothing: what it says of its sizes may be wrong.
pub(super) fn kind(file: &[u8], bytes_max: u64) -> Result<Kind, SheetError> {
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(damaged)?;
    let has = |name: &str| archive.index_for_name(name).is_some();
    let kind = if has("xl/workbook.xml") {
        Kind::Xlsx
    } else if has("content.xml") && has("META-INF/manifest.xml") {
        Kind::OpenDocument
    } else if has("encrypted-package") {
        return Err(SheetError::Closed);
    } else {
        return Err(SheetError::Foreign);
    };
    if archive.len() > ENTRIES_MAX {
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
    Ok(kind)
}

pub(super) fn damaged(error: impl std::fmt::Display) -> SheetError {
    SheetError::Damaged {
        reason: error.to_string(),
    }
}
