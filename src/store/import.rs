//! Imports: uploaded files, sealed until they are done with, and what became of their rows.
//!
//! Whoever runs one holds it by his process: what he records is taken only while it is still his. A row is written down
//! before its things are changed ([`Store::import_intend`]) and has its answer when they are ([`Store::import_answer`]), so
//! that whoever goes on after a crash knows which changes were this import's.

use crate::domain::id::{ImportId, InventoryId, ProcessId, TaskId};
use crate::domain::import::{ImportMode, ImportState, RowAnswer, RowError};
use crate::domain::sealed::Sealed;
use crate::domain::time::Timestamp;

use super::audit::NewAudit;
use super::backend::{read, write};
use super::event::NewEvent;
use super::id::Series;
use super::page::{Page, PageRequest};
use super::signal::Signal;
use super::task::bounded;
use super::{Store, StoreResult};

/// Bound on the rows of one call.
pub const ROWS_OF_CALL_MAX: usize = 1_000;

/// An uploaded file.
#[derive(Debug, Clone, PartialEq)]
pub struct NewImport {
    /// Its id, from [`Store::import_id`].
    pub id: ImportId,
    /// The file's name as it was sent.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// What tells it from other files.
    pub fingerprint: String,
    /// What is to become of it.
    pub mode: ImportMode,
    /// The file, sealed for its place.
    pub sealed: Sealed,
    /// Its audit entry; the actor is who sent it.
    pub audit: NewAudit,
    /// Published with it.
    pub event: NewEvent,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Its id.
    pub id: ImportId,
    /// The file's name as it was sent.
    pub name: String,
    /// The file's bytes.
    pub bytes: u64,
    /// An earlier import of the same file.
    pub same_as: Option<ImportId>,
    /// What is to become of it.
    pub mode: ImportMode,
    /// Where it stands.
    pub state: ImportState,
    /// Why it failed.
    pub failure: Option<String>,
    /// Who sent it.
    pub requested_by: String,
    /// The names of the file's columns; none until it was read.
    pub columns: Vec<String>,
    /// Rows of the file; none until it was read.
    pub rows_total: Option<u32>,
    /// Rows with a final answer, and how many have which.
    pub rows: RowCounts,
    /// Runs that took it in hand.
    pub attempts: u32,
    /// Whether it is to end.
    pub cancel_requested: bool,
    /// When it was sent.
    pub created_at: Timestamp,
    /// When it was first taken in hand.
    pub started_at: Option<Timestamp>,
    /// When it ended; the file is gone since.
    pub finished_at: Option<Timestamp>,
}

/// Rows by their answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// All of them.
    pub done: u32,
    /// See [`RowAnswer::Created`].
    pub created: u32,
    /// See [`RowAnswer::Updated`].
    pub updated: u32,
    /// See [`RowAnswer::Unchanged`].
    pub unchanged: u32,
    /// See [`RowAnswer::Refused`].
    pub refused: u32,
    /// See [`RowAnswer::Skipped`].
    pub skipped: u32,
}

/// A row with its answer, final or intended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRow {
    /// Its line in the file.
    pub line: u32,
    /// What becomes of it.
    pub answer: RowAnswer,
    /// Its texts, in the order of the import's columns; a secret is left out.
    pub cells: Vec<String>,
    /// What is wrong with it.
    pub errors: Vec<RowError>,
    /// Its device, where that is there.
    pub device: Option<InventoryId>,
    /// Its credential, where that is there.
    pub credential: Option<InventoryId>,
}

/// Who has an import in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The import.
    pub import: ImportId,
    /// The process.
    pub process: ProcessId,
    /// How long he is believed to live; each record says it anew.
    pub lease_until: Timestamp,
}

/// How an import ends.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportEnd {
    /// The state.
    pub state: ImportState,
    /// Why it failed.
    pub failure: Option<String>,
    /// Its audit entry.
    pub audit: NewAudit,
    /// Published with it.
    pub event: NewEvent,
}

/// What a request to cancel came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It waited, and has ended.
    Ended,
    /// It is in hand: whoever holds it ends it after the rows he is at.
    Told,
    /// It had ended before.
    Late,
}

impl Store {
    /// An id for a new import: its file is sealed for it.
    pub async fn import_id(&self, now: Timestamp) -> StoreResult<ImportId> {
        Ok(ImportId(self.ids(Series::Import, 1, now).await?))
    }

    /// Keeps an uploaded file with its audit entry and its event. `Conflict` where it is sealed with a data key that is not the
    /// newest.
    pub async fn import_add(&self, new: NewImport, now: Timestamp) -> StoreResult<Import> {
        let events = Vec::from([new.event.clone()]);
        let ids = self.publication_ids(&events, now).await?;
        let (import, published) = write!(self, import::add(&new, &ids, now))?;
        self.tell(Signal::Syslog);
        self.tell(Signal::Inventory);
        self.tell_published(published);
        Ok(import)
    }

    /// One import. `NotFound`.
    pub async fn import_get(&self, id: ImportId) -> StoreResult<Import> {
        read!(self, import_report::get(id))
    }

    /// Imports, newest first (keyset by id).
    pub async fn import_list(
        &self,
        state: Option<ImportState>,
        page: PageRequest,
    ) -> StoreResult<Page<Import>> {
        read!(self, import_report::list(state, page))
    }

    /// Rows with a final answer, by line; the page's key is the line.
    pub async fn import_rows(
        &self,
        id: ImportId,
        answer: Option<RowAnswer>,
        page: PageRequest,
    ) -> StoreResult<Page<ImportRow>> {
        read!(self, import_report::rows(id, answer, page))
    }

    /// Takes the oldest import that waits, was given out for the same task before, or whose holder is gone.
    pub async fn import_claim(
        &self,
        task: TaskId,
        process: ProcessId,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Option<Import>> {
        write!(self, import::claim(task, process, lease_until, now))
    }

    /// The sealed file of an import that has not ended. `NotFound`.
    pub async fn import_file(&self, id: ImportId) -> StoreResult<Sealed> {
        read!(self, import_report::file(id))
    }

    /// The lines that have a final answer.
    pub async fn import_lines_done(&self, id: ImportId) -> StoreResult<Vec<u32>> {
        read!(self, import_report::lines_done(id))
    }

    /// Notes the columns and the number of rows of the file; answers `false`, and notes nothing, where the import is no
    /// longer the holder's, or is to end. So do the two that follow.
    pub async fn import_begin(
        &self,
        holder: Holder,
        columns: Vec<String>,
        rows_total: u32,
    ) -> StoreResult<bool> {
        write!(self, import::begin(holder, &columns, rows_total))
    }

    /// Writes down what is about to be done to the things of up to 1,000 rows. What an earlier holder wrote down of a
    /// row stays: his changes are this import's.
    pub async fn import_intend(&self, holder: Holder, rows: Vec<ImportRow>) -> StoreResult<bool> {
        bounded("rows", rows.len(), ROWS_OF_CALL_MAX)?;
        write!(self, import::intend(holder, &rows))
    }

    /// Records the final answers of up to 1,000 rows, also where the import is to end: what was done is told. A row that
    /// an earlier holder meant to create or to update, and that is found unchanged, has his answer.
    pub async fn import_answer(&self, holder: Holder, rows: Vec<ImportRow>) -> StoreResult<bool> {
        bounded("rows", rows.len(), ROWS_OF_CALL_MAX)?;
        let taken = write!(self, import::answer(holder, &rows))?;
        self.tell(Signal::Inventory);
        Ok(taken)
    }

    /// Ends an import and removes its file; answers `false` where it is no longer the holder's.
    pub async fn import_end(
        &self,
        holder: Holder,
        end: ImportEnd,
        now: Timestamp,
    ) -> StoreResult<bool> {
        let events = Vec::from([end.event.clone()]);
        let ids = self.publication_ids(&events, now).await?;
        let published = write!(self, import::end(holder, &end, &ids, now))?;
        let Some(published) = published else {
            return Ok(false);
        };
        self.tell(Signal::Syslog);
        self.tell(Signal::Inventory);
        self.tell_published(published);
        Ok(true)
    }

    /// Gives an import back that is not done: another run goes on with it.
    pub async fn import_release(&self, holder: Holder) -> StoreResult<bool> {
        write!(self, import::release(holder))
    }

    /// Ends an import that waits, with this audit entry and event, or tells its holder to. `NotFound`.
    pub async fn import_cancel(
        &self,
        id: ImportId,
        end: ImportEnd,
        now: Timestamp,
    ) -> StoreResult<Cancelled> {
        let events = Vec::from([end.event.clone()]);
        let ids = self.publication_ids(&events, now).await?;
        let (cancelled, published) = write!(self, import::cancel(id, &end, &ids, now))?;
        self.tell(Signal::Syslog);
        self.tell(Signal::Inventory);
        self.tell_published(published);
        Ok(cancelled)
    }
}
