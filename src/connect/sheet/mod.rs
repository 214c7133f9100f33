//! Spreadsheets that people send: XLSX, `OpenDocument` and CSV, read into rows of cells within bounds; and workbooks for them.
//!
//! Nothing is evaluated and nothing outside the file is read: of a formula there is the value its program left with
//! it. Bounds are kept while reading, so that a file of a few kilobytes that unpacks, repeats or places its cells to fill
//! the memory is refused first. A file may hold secrets: no error quotes a cell, and cells do not show what is in them.

mod archive;
mod delimited;
pub mod form;
mod opendocument;
mod rows;
mod table;
mod workbook;

use std::fmt;

use chrono::NaiveDateTime;

pub use archive::locked;
pub use table::{WriteError, delimited as csv, workbook as xlsx};

/// What a ZIP archive begins with, and so XLSX and `OpenDocument`.
const ZIP: &[u8] = b"PK\x03\x04";
/// What an OLE file begins with: workbooks of before 2007, and newer ones with a password.
const OLE: &[u8] = b"\xd0\xcf\x11\xe0";

/// What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection").
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// What is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all that is packed in a workbook.
    pub unpacked_bytes_max: u64,
    /// Rows with anything in them.
    pub rows_max: usize,
    /// Columns, counted from the first.
    pub columns_max: usize,
    /// Bytes of one cell's text.
    pub cell_bytes_max: usize,
    /// Bytes of all cells' texts: a workbook holds a text once and may refer to it a million times.
    pub text_bytes_max: usize,
}

impl Default for Limits {
    /// Ten thousand rows of a hundred columns; a cell holds a private key.
    fn default() -> Self {
        Self {
            unpacked_bytes_max: 64 * 1024 * 1024,
            rows_max: 10_000,
            columns_max: 100,
            cell_bytes_max: 16 * 1024,
            text_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// A row with anything in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its line as people count: the first is 1.
    pub line: u32,
    /// Its cells from the first column on; those that are missing at the end are empty.
    pub cells: Vec<Cell>,
}

/// What is in a cell.
#[derive(Clone, PartialEq)]
pub enum Cell {
    /// Nothing, or blanks only.
    Empty,
    /// A text as it was written, blanks at its ends included; every cell of a CSV file is one.
    Text(String),
    /// A number; a length of time in days.
    Number(f64),
    /// A truth.
    Bool(bool),
    /// A day or an instant, in no zone.
    Time(NaiveDateTime),
    /// What a formula came to that could not be computed.
    Error,
}

/// Says the kind only: a cell may hold a password.
impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Text(_) => "Text(..)",
            Self::Number(_) => "Number(..)",
            Self::Bool(_) => "Bool(..)",
            Self::Time(_) => "Time(..)",
            Self::Error => "Error",
        })
    }
}

/// Why a file is not read. The texts read after the file's name, and say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// A binary workbook, or an encrypted one.
    #[error("is an old workbook or has a password; save it as .xlsx without one, or as .csv")]
    Closed,
    /// A ZIP archive that is neither XLSX nor `OpenDocument`.
    #[error("is neither an XLSX nor an OpenDocument workbook; save it as .xlsx, .ods or .csv")]
    Foreign,
    /// A workbook that breaks off or contradicts itself.
    #[error("is a damaged workbook; open it, save it as .xlsx and send that")]
    Damaged {
        /// What the reader said; for the log.
        reason: String,
    },
    /// A text in another encoding.
    #[error("is not UTF-8 in line {line}; save it as CSV UTF-8")]
    NotUtf8 {
        /// Where.
        line: u64,
    },
    /// A quoted text of a CSV that goes on to the file's end.
    #[error(
        "has a quote in line {line} that does not end; close it, or write it twice where it is meant"
    )]
    OpenQuote {
        /// Where it begins.
        line: u32,
    },
    /// No sheet that people see.
    #[error("has no visible sheet")]
    NoSheet,
    /// Too much is packed in it.
    #[error("unpacks to more than {0} bytes")]
    Packed(u64),
    /// Too many rows.
    #[error("has more than {0} rows; send it in parts")]
    Rows(usize),
    /// Too many columns.
    #[error("has more than {max} columns in line {line}")]
    Columns {
        /// Where.
        line: u32,
        /// The bound.
        max: usize,
    },
    /// Too long a text.
    #[error("has a text of more than {max} bytes in line {line}, column {column}")]
    Cell {
        /// Where.
        line: u32,
        /// Where, from 1.
        column: usize,
        /// The bound.
        max: usize,
    },
    /// Too much text in all.
    #[error("has more than {0} bytes of text; send it in parts")]
    Text(usize),
}

/// Reads the first visible sheet of an XLSX or `OpenDocument` workbook, or a CSV text with commas, semicolons or tabs. Takes as long as
/// unpacking takes: call it where that may block.
///
/// # Errors
/// The first thing that is wrong with the file, or the first of `limits` that it does not keep.
pub fn read(file: &[u8], limits: &Limits) -> Result<Vec<Row>, SheetError> {
    if file.starts_with(ZIP) {
        match archive::kind(file, limits.unpacked_bytes_max)? {
            archive::Kind::Xlsx => workbook::read(file, limits),
            archive::Kind::OpenDocument => opendocument::read(file, limits),
        }
    } else if file.starts_with(OLE) {
        Err(SheetError::Closed)
    } else {
        delimited::read(file, limits)
    }
}
