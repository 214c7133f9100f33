//! A file on its way in.

use std::fmt;
use std::io::{BufRead, Read};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{
    FORMAT, Failing, Header, LINE_BYTES_MAX, TableLine, Trailer, TransferError, VERSION,
    migrations, row,
};
use crate::domain::hex::hexadecimal;
use crate::store::StoreError;
use crate::store::backend::QueryResult;
use crate::store::datum::Datum;
use crate::store::schema::list::{TableShape, tables};

/// A file whose first line has been read and understood. It is read once, from its beginning to its end, so that it may
/// be a pipe.
pub struct Incoming {
    lines: Lines,
    header: Header,
    rows: u64,
    failure: Option<TransferError>,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("header", &self.header)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

/// The part of the first line that tells whether the rest can be understood.
#[derive(Deserialize)]
struct Mark {
    format: String,
    version: u32,
    #[serde(default)]
    robotd: String,
}

impl Incoming {
    /// Reads the first line.
    ///
    /// # Errors
    /// [`TransferError::File`] for what is no export, or one of another version of the format or of the tables.
    pub fn open(from: Box<dyn BufRead + Send>) -> Result<Self, TransferError> {
        let mut lines = Lines {
            from,
            line: Vec::new(),
            number: 0,
            hash: Sha256::new(),
        };
        let nothing = || TransferError::File("it is not an export of robotd".to_owned());
        lines.next().map_err(|error| match error {
            TransferError::File(_) => nothing(),
            other => other,
        })?;
        let mark: Mark = serde_json::from_slice(&lines.line).map_err(|_| nothing())?;
        if mark.format != FORMAT {
            return Err(nothing());
        }
        if mark.version != VERSION {
            return Err(TransferError::File(format!(
                "it was written by robotd {} in version {} of the format, and this one reads version {VERSION}; \
                 import it with a robotd of that version",
                plain(&mark.robotd),
                mark.version
            )));
        }
        let header: Header = lines.take()?;
        let known = migrations().map_err(TransferError::Store)?;
        if header.migrations != known {
            return Err(TransferError::File(other_schema(&header, &known)));
        }
        let fits = |(line, table): (&TableLine, &TableShape)| line.is_of(table);
        let shapes = tables();
        if header.tables.len() != shapes.len() || !header.tables.iter().zip(&shapes).all(fits) {
            return Err(lines.damaged("its list of tables is not that of its version"));
        }
        Ok(Self {
            lines,
            header,
            rows: 0,
            failure: None,
        })
    }

    /// The check value of the master key that the database's secrets need; none where no node ever started on it.
    #[must_use]
    pub fn master_key(&self) -> Option<&str> {
        self.header.master_key.as_deref()
    }

    /// Rows read.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Refuses to begin again in the middle: a transaction that lost a race would be repeated without what was read.
    pub(in crate::store) fn begin(&mut self) -> QueryResult<()> {
        let begun = match self.rows {
            0 => Ok(()),
            _ => Err(TransferError::Store(StoreError::Unavailable(
                "another transaction got in the way of the import; run it again".to_owned(),
            ))),
        };
        self.noted(begun)
    }

    /// What the first line says of a table.
    pub(in crate::store) fn table(&mut self, table: &TableShape) -> QueryResult<TableLine> {
        let found = self.header.tables.iter().find(|line| line.is_of(table));
        let found = found
            .cloned()
            .ok_or_else(|| TransferError::File(format!("table `{}` is missing", table.name)));
        self.noted(found)
    }

    /// The next row, which must be of `table`, and the length of its line in bytes.
    pub(in crate::store) fn row(&mut self, table: &TableShape) -> QueryResult<(Vec<Datum>, usize)> {
        let row = self.read_row(table);
        self.noted(row)
    }

    fn read_row(&mut self, table: &TableShape) -> Result<(Vec<Datum>, usize), TransferError> {
        self.lines.next()?;
        let row = row::read(&self.lines.line, &table.columns)
            .map_err(|what| self.lines.damaged(&format!("{what} in `{}`", table.name)))?;
        self.lines.count();
        self.rows += 1;
        Ok((row, self.lines.line.len()))
    }

    /// Reads the last line, and proves the file whole.
    pub(in crate::store) fn end(&mut self) -> QueryResult<()> {
        let ended = self.read_end();
        self.noted(ended)
    }

    fn read_end(&mut self) -> Result<(), TransferError> {
        let hash = hexadecimal(&self.lines.hash.finalize_reset());
        self.lines.next()?;
        let trailer: Trailer = self.lines.take()?;
        if trailer.rows != self.rows {
            return Err(self.lines.damaged("it counts other rows than there are"));
        }
        if trailer.sha256 != hash {
            return Err(self.lines.damaged(
                "the SHA-256 of the lines before it is another; the file was changed on its way",
            ));
        }
        if self.lines.from.read(&mut [0])? != 0 {
            return Err(self.lines.damaged("more follows it"));
        }
        Ok(())
    }
}

impl Failing for Incoming {
    fn failure(&mut self) -> &mut Option<TransferError> {
        &mut self.failure
    }
}

/// What is wrong with a file of another schema, and what to do.
fn other_schema(header: &Header, known: &[String]) -> String {
    let writer = plain(&header.robotd);
    match header.migrations.iter().find(|step| !known.contains(step)) {
        Some(step) => format!(
            "it was written by a newer robotd ({writer}; its step `{}` of the tables is unknown here); \
             import it with that one",
            plain(step)
        ),
        None => format!(
            "it was written by an older robotd ({writer}); import it with that one, then start this one on the \
             database, which brings its tables up to date"
        ),
    }
}

/// A foreign text as it may stand in a message.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// The lines of a file, one at a time.
struct Lines {
    from: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: u64,
    hash: Sha256,
}

impl Lines {
    /// Reads the next line into `line`; it is hashed by [`Self::count`].
    fn next(&mut self) -> Result<(), TransferError> {
        self.number += 1;
        self.line.clear();
        let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        let read = Read::take(&mut self.from, most).read_until(b'\n', &mut self.line)?;
        if self.line.ends_with(b"\n") {
            return Ok(());
        }
        Err(self.damaged(match read {
            0 => "the file ends before it",
            LINE_BYTES_MAX => "it is too long",
            _ => "the file ends in the middle of it",
        }))
    }

    /// The line is one of those that the last one speaks for.
    fn count(&mut self) {
        self.hash.update(&self.line);
    }

    /// The line as a value.
    fn take<T: DeserializeOwned>(&mut self) -> Result<T, TransferError> {
        self.count();
        serde_json::from_slice(&self.line).map_err(|_| self.damaged("it cannot be read"))
    }

    fn damaged(&self, what: &str) -> TransferError {
        TransferError::File(format!("line {} is damaged: {what}", self.number))
    }
}
