//! Moving a database: everything it holds, to one file and from one.
//!
//! A file is lines of UTF-8, each a JSON value and a line feed.
//!
//! - The first is an object: what the file is, who wrote it, every step of the schema, the check value of the master key
//!   (which says nothing about the key), and the tables in the order in which they follow, each with its columns, its
//!   number of rows, and the last id that it gave out by itself (`null` where it never does).
//! - Then a row a line, an array in the order of the columns. Numbers with fractions are texts, because every digit counts;
//!   bytes are hexadecimal.
//! - The last is an object: the number of rows, and the SHA-256 of all lines before it. That tells damage; it is no
//!   signature, and who can write into the file can write into the database that comes of it.
//!
//! Nothing is opened on the way: secrets stay sealed, tokens are hashes. Both ways take a page of rows into memory at a time.

mod incoming;
mod outgoing;
mod row;

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

pub use incoming::Incoming;
pub(super) use outgoing::Outgoing;

use super::backend::{QueryError, QueryResult, migrate, read, sqlite, write};
use super::schema::list::TableShape;
use super::{Store, StoreError, StoreResult};
use crate::domain::time::Timestamp;

/// What the first line of every file says of its format.
const FORMAT: &str = "robotd data";

/// The format's version; another one is refused.
const VERSION: u32 = 1;

/// Longest line. The longest row is a file of 8 MiB that was uploaded, as hexadecimal digits.
const LINE_BYTES_MAX: usize = 20 * 1024 * 1024;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    /// Which robotd wrote it.
    robotd: String,
    /// `sqlite` or `postgres`.
    database: String,
    exported_at: Timestamp,
    /// The check value of the master key; none where no node ever started on the database.
    master_key: Option<String>,
    /// Every step of the schema.
    migrations: Vec<String>,
    tables: Vec<TableLine>,
}

/// A table, as the first line has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableLine {
    name: String,
    columns: Vec<String>,
    /// How many rows follow.
    pub(super) rows: u64,
    /// The last id that the table gave out by itself; rows with a higher one may be gone.
    pub(super) last_id: Option<i64>,
}

impl TableLine {
    /// What the first line says of a table.
    pub(super) fn of(table: &TableShape, rows: u64, last_id: Option<i64>) -> Self {
        Self {
            name: table.name.to_owned(),
            columns: table
                .columns
                .iter()
                .map(|column| column.name.to_owned())
                .collect(),
            rows,
            last_id,
        }
    }

    /// Whether it is about this table.
    fn is_of(&self, table: &TableShape) -> bool {
        self.name == table.name
            && self
                .columns
                .iter()
                .eq(table.columns.iter().map(|column| column.name))
    }
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    rows: u64,
    sha256: String,
}

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Rows of all tables.
    pub rows: u64,
}

/// Why a database was not moved.
#[derive(Debug)]
pub enum TransferError {
    /// The database did not do its part.
    Store(StoreError),
    /// The file could not be written or read.
    Io(io::Error),
    /// The file is another one than an export of this version of the program, or is damaged.
    File(String),
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::File(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for TransferError {}

impl From<io::Error> for TransferError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Keeps why a file failed beside the query that hears only that it did.
trait Failing {
    fn failure(&mut self) -> &mut Option<TransferError>;

    fn noted<T>(&mut self, result: Result<T, TransferError>) -> QueryResult<T> {
        result.map_err(|error| {
            let text = error.to_string();
            *self.failure() = Some(error);
            QueryError::Defect(text)
        })
    }
}

/// What a query came to, told by the file's failure where it was that.
fn told<F: Failing>(file: &Mutex<F>, result: StoreResult<()>) -> Result<(), TransferError> {
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    result.map_err(|error| match file.failure().take() {
        Some(failure) => failure,
        None => TransferError::Store(error),
    })
}

/// Every step of the schema that this program knows: the same of both databases.
fn migrations() -> StoreResult<Vec<String>> {
    migrate::versions::<diesel::sqlite::Sqlite>(&sqlite::MIGRATIONS)
}

impl Store {
    /// Writes everything to `out` as it stands at one instant, and flushes it. Nodes may work meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where a newer program has tables there; the database's, and those of `out`; what was
    /// written by then is of no use.
    pub async fn export(
        &self,
        out: Box<dyn Write + Send>,
        now: Timestamp,
    ) -> Result<Moved, TransferError> {
        let known = self.backend_ref().knows_all();
        let migrations = known
            .and_then(|()| migrations())
            .map_err(TransferError::Store)?;
        let out = Outgoing::new(out, self.backend(), migrations, now);
        let out = Arc::new(Mutex::new(out));
        let file = Arc::clone(&out);
        let result = read!(self, transfer::export(&file));
        told(&out, result)?;
        let out = out.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Moved { rows: out.rows() })
    }

    /// Fills an empty database from a file, in one transaction that is committed only after the file's last line has
    /// proved it whole. The caller makes sure that no node works on the database, and that the master key is the file's.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the database is not empty, or a newer program has tables there;
    /// [`TransferError::File`] for a damaged file. Nothing has changed then.
    pub async fn import(&self, from: Incoming) -> Result<Moved, TransferError> {
        let known = self.backend_ref().knows_all();
        known.map_err(TransferError::Store)?;
        let from = Arc::new(Mutex::new(from));
        let file = Arc::clone(&from);
        let result = write!(self, transfer::import(&file));
        told(&from, result)?;
        let from = from.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Moved { rows: from.rows() })
    }
}
