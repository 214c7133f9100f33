//! Reading imports. See `store::import`.

use diesel::prelude::*;

use super::{Conn, Db};
use crate::domain::id::{ImportId, InventoryId};
use crate::domain::import::{ImportMode, ImportState, RowAnswer};
use crate::domain::sealed::{KeyId, Sealed};
use crate::domain::time::from_micros;
use crate::store::backend::{QueryError, QueryResult};
use crate::store::import::{Import, ImportRow, RowCounts};
use crate::store::page::{Page, PageRequest, page_of};
use crate::store::schema::import::{batch_import_files, batch_import_rows, batch_imports};

#[derive(Queryable, Selectable)]
#[diesel(table_name = batch_imports, check_for_backend(Db))]
struct Row {
    id: i64,
    name: String,
    bytes: i64,
    same_as: Option<i64>,
    mode: i16,
    state: i16,
    failure: Option<String>,
    requested_by: String,
    headings: Option<String>,
    rows_total: Option<i32>,
    rows_done: i32,
    created: i32,
    updated: i32,
    unchanged: i32,
    refused: i32,
    skipped: i32,
    attempts: i32,
    cancel_requested: bool,
    created_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
}

fn count_of(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

fn defect(what: &str, id: i64) -> QueryError {
    QueryError::Defect(format!("{what} of import `{id}`"))
}

impl Row {
    fn into_import(self) -> QueryResult<Import> {
        let id = self.id;
        let columns = self.headings.as_deref().unwrap_or("[]");
        Ok(Import {
            id: ImportId(id),
            name: self.name,
            bytes: u64::try_from(self.bytes).unwrap_or_default(),
            same_as: self.same_as.map(ImportId),
            mode: ImportMode::from_code(self.mode).ok_or_else(|| defect("mode", id))?,
            state: ImportState::from_code(self.state).ok_or_else(|| defect("state", id))?,
            failure: self.failure,
            requested_by: self.requested_by,
            columns: serde_json::from_str(columns).map_err(|_| defect("columns", id))?,
            rows_total: self.rows_total.map(count_of),
            rows: RowCounts {
                done: count_of(self.rows_done),
                created: count_of(self.created),
                updated: count_of(self.updated),
                unchanged: count_of(self.unchanged),
                refused: count_of(self.refused),
                skipped: count_of(self.skipped),
            },
            attempts: count_of(self.attempts),
            cancel_requested: self.cancel_requested,
            created_at: from_micros(self.created_at),
            started_at: self.started_at.map(from_micros),
            finished_at: self.finished_at.map(from_micros),
        })
    }
}

/// One import.
pub(in crate::store) fn get(conn: &mut Conn, id: ImportId) -> QueryResult<Import> {
    let row: Option<Row> = batch_imports::table
        .find(id.0)
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    row.ok_or_else(|| QueryError::not_found(format!("import `{id}`")))?
        .into_import()
}

/// A page of imports.
pub(in crate::store) fn list(
    conn: &mut Conn,
    state: Option<ImportState>,
    page: PageRequest,
) -> QueryResult<Page<Import>> {
    let mut query = batch_imports::table
        .select(Row::as_select())
        .order(batch_imports::id.desc())
        .limit(page.rows())
        .into_boxed();
    if let Some(state) = state {
        query = query.filter(batch_imports::state.eq(state.code()));
    }
    if let Some(after) = page.after {
        query = query.filter(batch_imports::id.lt(after));
    }
    let rows: Vec<Row> = query.load(conn)?;
    let found: QueryResult<Vec<Import>> = rows.into_iter().map(Row::into_import).collect();
    Ok(page_of(found?, page, |import| import.id.0))
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = batch_import_rows, check_for_backend(Db))]
struct Line {
    import_id: i64,
    line: i64,
    answer: i16,
    cells: String,
    errors: String,
    device_id: Option<i64>,
    credential_id: Option<i64>,
}

impl Line {
    fn into_row(self) -> QueryResult<ImportRow> {
        let defect = |what: &str| {
            let (id, line) = (self.import_id, self.line);
            QueryError::Defect(format!("{what} of line {line} of import `{id}`"))
        };
        Ok(ImportRow {
            line: u32::try_from(self.line).unwrap_or_default(),
            answer: RowAnswer::from_code(self.answer).ok_or_else(|| defect("answer"))?,
            cells: serde_json::from_str(&self.cells).map_err(|_| defect("cells"))?,
            errors: serde_json::from_str(&self.errors).map_err(|_| defect("errors"))?,
            device: self.device_id.map(InventoryId),
            credential: self.credential_id.map(InventoryId),
        })
    }
}

/// A page of rows, by line.
pub(in crate::store) fn rows(
    conn: &mut Conn,
    id: ImportId,
    answer: Option<RowAnswer>,
    page: PageRequest,
) -> QueryResult<Page<ImportRow>> {
    let mut query = batch_import_rows::table
        .filter(batch_import_rows::import_id.eq(id.0))
        .filter(batch_import_rows::done)
        .select(Line::as_select())
        .order(batch_import_rows::line)
        .limit(page.rows())
        .into_boxed();
    if let Some(answer) = answer {
        query = query.filter(batch_import_rows::answer.eq(answer.code()));
    }
    if let Some(after) = page.after {
        query = query.filter(batch_import_rows::line.gt(after));
    }
    let lines: Vec<Line> = query.load(conn)?;
    let found: QueryResult<Vec<ImportRow>> = lines.into_iter().map(Line::into_row).collect();
    // Lines rise, where other lists fall.
    let mut page = page_of(found?, page, |row| -i64::from(row.line));
    page.next = page.next.map(|key| -key);
    Ok(page)
}

/// The sealed file.
pub(in crate::store) fn file(conn: &mut Conn, id: ImportId) -> QueryResult<Sealed> {
    let found: Option<(i64, Vec<u8>)> = batch_import_files::table
        .find(id.0)
        .select((batch_import_files::key_id, batch_import_files::sealed))
        .first(conn)
        .optional()?;
    let (key, bytes) =
        found.ok_or_else(|| QueryError::not_found(format!("file of import `{id}`")))?;
    Ok(Sealed {
        key: KeyId(key),
        bytes,
    })
}

/// Lines with a final answer.
pub(in crate::store) fn lines_done(conn: &mut Conn, id: ImportId) -> QueryResult<Vec<u32>> {
    let lines: Vec<i64> = batch_import_rows::table
        .filter(batch_import_rows::import_id.eq(id.0))
        .filter(batch_import_rows::done)
        .select(batch_import_rows::line)
        .load(conn)?;
    Ok(lines
        .into_iter()
        .filter_map(|line| u32::try_from(line).ok())
        .collect())
}
