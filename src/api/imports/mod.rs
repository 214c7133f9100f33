//! `/imports`: spreadsheets that become things of the inventory, and what became of their rows.

mod upload;
mod workbook;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

pub(super) use self::upload::{__path_create, create};
pub(super) use self::workbook::{__path_result, __path_template, result, template};
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
use crate::store::page::Page;

impl Noun for ImportId {
    const NOUN: &'static str = "import";
}

/// An import.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportView {
    /// Its id.
    #[schema(value_type = String)]
    id: ImportId,
    /// The file's name as it was sent.
    name: String,
    /// The file's bytes.
    bytes: u64,
    /// What becomes of it.
    mode: ImportMode,
    /// Where it stands.
    state: ImportState,
    /// Why it failed, and what to do.
    failure: Option<String>,
    /// The newest earlier import of the same file: sent again, it changes only what is not as it says.
    #[schema(value_type = Option<String>)]
    same_as: Option<ImportId>,
    /// Rows of the file; null until it was read.
    rows_total: Option<u32>,
    /// Rows with an answer.
    rows_done: u32,
    /// Rows that made something.
    created: u32,
    /// Rows that changed something.
    updated: u32,
    /// Rows of which all was there.
    unchanged: u32,
    /// Rows that are not acceptable.
    refused: u32,
    /// Rows that were left out because of others.
    skipped: u32,
    /// Whether it is to end.
    cancel_requested: bool,
    /// Who sent it.
    requested_by: String,
    /// When it was sent.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was first taken in hand.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// When it ended, and the file was removed; null while it is open.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
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
    line: u32,
    /// What became of it; of a file that is only validated, what would.
    answer: RowAnswer,
    /// What is wrong with it, column by column.
    errors: Vec<RowError>,
    /// Its device, where that is there.
    #[schema(value_type = Option<String>)]
    device: Option<InventoryId>,
    /// Its credential, where that is there.
    #[schema(value_type = Option<String>)]
    credential: Option<InventoryId>,
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
#[derive(Debug, utoipa::IntoParams)]
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
#[derive(Debug, utoipa::IntoParams)]
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
    let found = state.store.import_list(only.state, page.request()).await?;
    let items: Vec<_> = found.items.into_iter().map(ImportView::from).collect();
    let next = found.next;
    report(&request, Page { items, next })
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
    Ok(web::Json(state.store.import_get(id).await?.into()))
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
    state.store.import_get(id).await?;
    let found = state.store.import_rows(id, only.answer, page.request());
    let found = found.await?;
    let items: Vec<_> = found.items.into_iter().map(ImportRowView::from).collect();
    let next = found.next;
    report(&request, Page { items, next })
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
    let (store, registry) = (&state.store, state.registry());
    let cancelled = import::cancel(store, registry, id, &caller.name, state.now()).await?;
    Ok(web::Json(cancelled.into()))
}

/// Where an import is.
fn location(id: ImportId) -> (header::HeaderName, String) {
    (header::LOCATION, format!("/api/v1/imports/{id}"))
}
