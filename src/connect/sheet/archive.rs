//! The ZIP archive around a workbook, and archives that only a password opens.

use std::io::{Cursor, Read, Write};

use secrecy::{ExposeSecret as _, SecretString};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{AesMode, CompressionMethod, ZipArchive, ZipWriter};

use super::{SheetError, WriteError};

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

/// An archive with one file, which is encrypted (AES-256, as `WinZip`'s AE-2); its name and size are not.
///
/// Takes as long as packing takes, and as making a key of the password takes: call it where that may block.
///
/// # Errors
/// A file that an archive cannot have.
pub fn locked(name: &str, file: &[u8], password: &SecretString) -> Result<Vec<u8>, WriteError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .with_aes_encryption(AesMode::Aes256, password.expose_secret());
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file(name, options)?;
    archive.write_all(file).map_err(ZipError::from)?;
    Ok(archive.finish()?.into_inner())
}

pub(super) fn damaged(error: impl std::fmt::Display) -> SheetError {
    SheetError::Damaged {
        reason: error.to_string(),
    }
}
