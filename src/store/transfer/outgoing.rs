//! A file on its way out.

use std::io::Write;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    FORMAT, Failing, Header, LINE_BYTES_MAX, TableLine, Trailer, TransferError, VERSION, row,
};
use crate::domain::hex::hexadecimal;
use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::store::backend::QueryResult;
use crate::store::datum::Datum;

/// A file that is written from its first line to its last, once.
pub(in crate::store) struct Outgoing {
    out: Box<dyn Write + Send>,
    database: &'static str,
    migrations: Vec<String>,
    now: Timestamp,
    line: Vec<u8>,
    hash: Sha256,
    /// What the first line promises; none before it.
    promised: Option<u64>,
    rows: u64,
    failure: Option<TransferError>,
}

impl Outgoing {
    /// Nothing is written yet.
    pub(super) fn new(
        out: Box<dyn Write + Send>,
        database: &'static str,
        migrations: Vec<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            out,
            database,
            migrations,
            now,
            line: Vec::new(),
            hash: Sha256::new(),
            promised: None,
            rows: 0,
            failure: None,
        }
    }

    /// Rows written.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes the first line.
    pub(in crate::store) fn begin(
        &mut self,
        master_key: Option<String>,
        tables: Vec<TableLine>,
    ) -> QueryResult<()> {
        let again = self.promised.is_some();
        self.promised = Some(tables.iter().map(|table| table.rows).sum());
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            robotd: env!("CARGO_PKG_VERSION").to_owned(),
            database: self.database.to_owned(),
            exported_at: self.now,
            master_key,
            migrations: std::mem::take(&mut self.migrations),
            tables,
        };
        let written = if again {
            Err(defect("it was begun twice"))
        } else {
            self.put(&header)
        };
        self.noted(written)
    }

    /// Writes a row.
    pub(in crate::store) fn row(&mut self, row: &[Datum]) -> QueryResult<()> {
        self.rows += 1;
        let written = self.put(&row::Line(row));
        self.noted(written)
    }

    /// Writes the last line.
    pub(in crate::store) fn end(&mut self) -> QueryResult<()> {
        let ended = self.finish();
        self.noted(ended)
    }

    fn finish(&mut self) -> Result<(), TransferError> {
        if self.promised != Some(self.rows) {
            return Err(defect("other rows were read than counted"));
        }
        let trailer = Trailer {
            rows: self.rows,
            sha256: hexadecimal(&self.hash.finalize_reset()),
        };
        self.put(&trailer)?;
        Ok(self.out.flush()?)
    }

    fn put(&mut self, value: &impl Serialize) -> Result<(), TransferError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, value).map_err(|error| defect(&error.to_string()))?;
        self.line.push(b'\n');
        if self.line.len() > LINE_BYTES_MAX {
            return Err(defect("a row is too long to be read again"));
        }
        self.hash.update(&self.line);
        Ok(self.out.write_all(&self.line)?)
    }
}

impl Failing for Outgoing {
    fn failure(&mut self) -> &mut Option<TransferError> {
        &mut self.failure
    }
}

fn defect(what: &str) -> TransferError {
    TransferError::Store(StoreError::Other(format!("an export failed: {what}")))
}
