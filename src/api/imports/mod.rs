//! `/imports`: spreadsheets that become things of the inventory, and what became of their rows.

mod upload;
mod workbook;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

pub(super) use self::upload::{__path_create, create};
pub use self::upload::{Form, take};
pub(super) use self::workbook::{__path_result, __path_template, result, template};
pub use self::workbook::{answered_workbook, empty_workbook};
use super::auth::{Admin, Viewer};
use super::csv::{Row, report};
use super::error::{ApiError, Problem};
use super::paging::{ListView, PageParams};
use super::path::{Noun, PathId};
use super::query::{FromParams, Params, Query};
use super::state::ApiState;
use crate::domain::id::{ImportId, InventoryId};
use crate::domain::import::{ImportMode, ImportState, RowAnswer, RowError};
use crate::domain::time::Timestamp;
use crate::robot::import;
use crate::store::import::{Import, ImportRow};
use crate::store::page::{Page, PageRequest};

impl Noun for ImportId {
    const NOUN: &'static str = "import";
}

/// An import.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: ImportId,
    /// The file's name as it was sent.
    pub name: String,
    /// The file's bytes.
    pub bytes: u64,
    /// What becomes of it.
    pub mode: ImportMode,
    /// Where it stands.
    pub state: ImportState,
    /// Why it failed, and what to do.
    pub failure: Option<String>,
    /// The newest earlier import of the same file: sent again, it changes only what is not as it says.
    #[schema(value_type = Option<String>)]
    pub same_as: Option<ImportId>,
    /// Rows of the file; null until it was read.
    pub rows_total: Option<u32>,
    /// Rows with an answer.
    pub rows_done: u32,
    /// Rows that made something.
    pub created: u32,
    /// Rows that changed something.
    pub updated: u32,
    /// Rows of which all was there.
    pub unchanged: u32,
    /// Rows that are not acceptable.
    pub refused: u32,
    /// Rows that were left out because of others.
    pub skipped: u32,
    /// Whether it is to end.
    pub cancel_requested: bool,
    /// Who sent it.
    pub requested_by: String,
    /// When it was sent.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was first taken in hand.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended, and the file was removed; null while it is open.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
}

impl Row for ImportView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "bytes",
        "mode",
        "state",
        "failure",
        "same_as",
        "rows_total",
        "rows_done",
        "created",
        "updated",
        "unchanged",
        "refused",
        "skipped",
        "cancel_requested",
        "requested_by",
        "created_at",
        "started_at",
        "finished_at",
    ];
}

impl From<Import> for ImportView {
    fn from(import: Import) -> Self {
        let rows = import.rows;
        Self {
            id: import.id,
            name: import.name,
            bytes: import.bytes,
            mode: import.mode,
            state: import.state,
            failure: import.failure,
            same_as: import.same_as,
            rows_total: import.rows_total,
            rows_done: rows.done,
            created: rows.created,
            updated: rows.updated,
            unchanged: rows.unchanged,
            refused: rows.refused,
            skipped: rows.skipped,
            cancel_requested: import.cancel_requested,
            requested_by: import.requested_by,
            created_at: import.created_at,
            started_at: import.started_at,
            finished_at: import.finished_at,
        }
    }
}

/// A row of an import that has its answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportRowView {
    /// Its line in the file.
    pub line: u32,
    /// What became of it; of a file that is only validated, what would.
    pub answer: RowAnswer,
    /// What is wrong with it, column by column.
    pub errors: Vec<RowError>,
    /// Its device, where that is there.
    #[schema(value_type = Option<String>)]
    pub device: Option<InventoryId>,
    /// Its credential, where that is there.
    #[schema(value_type = Option<String>)]
    pub credential: Option<InventoryId>,
}

impl Row for ImportRowView {
    const COLUMNS: &'static [&'static str] = &["line", "answer", "errors", "device", "credential"];
}

impl From<ImportRow> for ImportRowView {
    fn from(row: ImportRow) -> Self {
        Self {
            line: row.line,
            answer: row.answer,
            errors: row.errors,
            device: row.device,
            credential: row.credential,
        }
    }
}

/// Filters of the list.
#[derive(Debug, Clone, Copy, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportParams {
    /// Only in this state.
    #[param(value_type = Option<ImportState>, nullable = false)]
    state: Option<ImportState>,
}

impl FromParams for ImportParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self {
            state: params.word("state"),
        }
    }
}

/// Filters of the rows.
#[derive(Debug, Clone, Copy, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportRowParams {
    /// Only with this answer.
    #[param(value_type = Option<RowAnswer>, nullable = false)]
    answer: Option<RowAnswer>,
}

impl FromParams for ImportRowParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self {
            answer: params.word("answer"),
        }
    }
}

/// A part of the imports, newest first.
///
/// # Errors
/// A database that does not answer.
pub async fn select(
    state: &ApiState,
    only: ImportParams,
    page: PageRequest,
) -> Result<Page<ImportView>, ApiError> {
    let found = state.store.import_list(only.state, page).await?;
    Ok(found.map(ImportView::from))
}

/// Imports, newest first. CSV by `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/v1/imports", tag = "imports", operation_id = "import_list",
    params(PageParams, ImportParams),
    responses((status = 200, description = "Imports",
        content((ListView<ImportView> = "application/json"), (String = "text/csv"))))
)]
pub(super) async fn list(
    _: Viewer,
    Query((page, only)): Query<(PageParams, ImportParams)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    report(&request, select(&state, only, page.request()).await?)
}

/// One import.
///
/// # Errors
/// There is none of this id; a database that does not answer.
pub async fn one(state: &ApiState, id: ImportId) -> Result<ImportView, ApiError> {
    Ok(state.store.import_get(id).await?.into())
}

/// One import.
#[utoipa::path(
    get, path = "/api/v1/imports/{id}", tag = "imports", operation_id = "import_get",
    params(("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$")),
    responses((status = 200, description = "The import", body = ImportView))
)]
pub(super) async fn get(
    _: Viewer,
    PathId(id): PathId<ImportId>,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<web::Json<ImportView>, ApiError> {
    one(&state, id).await.map(web::Json)
}

/// A part of the rows that have an answer, by line.
///
/// # Errors
/// There is no import of this id; a database that does not answer.
pub async fn select_rows(
    state: &ApiState,
    id: ImportId,
    only: ImportRowParams,
    page: PageRequest,
) -> Result<Page<ImportRowView>, ApiError> {
    state.store.import_get(id).await?;
    let found = state.store.import_rows(id, only.answer, page).await?;
    Ok(found.map(ImportRowView::from))
}

/// The rows that have an answer, by line. CSV by `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/v1/imports/{id}/rows", tag = "imports", operation_id = "import_rows",
    params(("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$"), PageParams, ImportRowParams),
    responses((status = 200, description = "Rows",
        content((ListView<ImportRowView> = "application/json"), (String = "text/csv"))))
)]
pub(super) async fn rows(
    _: Viewer,
    PathId(id): PathId<ImportId>,
    Query((page, only)): Query<(PageParams, ImportRowParams)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let found = select_rows(&state, id, only, page.request()).await?;
    report(&request, found)
}

/// Ends an import that waits, in the name of `actor`; one that is being carried out ends after the rows it is at.
///
/// # Errors
/// There is none of this id, or it has ended; a database that does not answer.
pub async fn cancel_import(
    state: &ApiState,
    id: ImportId,
    actor: &str,
) -> Result<ImportView, ApiError> {
    let (store, registry) = (&state.store, state.registry());
    let cancelled = import::cancel(store, registry, id, actor, state.now()).await?;
    Ok(cancelled.into())
}

/// Ends an import that waits; one that is being carried out ends after the rows it is at, which stay as they are.
#[utoipa::path(
    post, path = "/api/v1/imports/{id}/cancel", tag = "imports", operation_id = "import_cancel",
    params(("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$")),
    responses(
        (status = 200, description = "It is cancelled, or told to end", body = ImportView),
        (status = 409, description = "It has ended", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn cancel(
    Admin(caller): Admin,
    PathId(id): PathId<ImportId>,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<web::Json<ImportView>, ApiError> {
    let cancelled = cancel_import(&state, id, &caller.name).await;
    cancelled.map(web::Json)
}

/// Where an import is.
fn location(id: ImportId) -> (header::HeaderName, String) {
    (header::LOCATION, format!("/api/v1/imports/{id}"))
}
