//! Workbooks to fill in, and with answers.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use rust_xlsxwriter::XlsxError;

use super::super::auth::Viewer;
use super::super::error::{ApiError, Code, Problem};
use super::super::path::PathId;
use super::super::query::Query;
use super::super::state::ApiState;
use crate::connect::sheet::form::{Column, Shade, write};
use crate::domain::id::ImportId;
use crate::domain::import::{ANSWER_COLUMNS, COLUMNS, Part, RowError};
use crate::store::import::{Import, ImportRow};
use crate::store::page::{PAGE_ROWS_MAX, PageRequest};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// What is told of the columns with the answers, in their order.
const ANSWERS_ABOUT: [&str; 3] = [
    "Where the row stood in the file.",
    "What became of the row.",
    "What is wrong, and what to write instead.",
];
/// Bound on the text of a cell in characters (ECMA-376; 32,767).
const CELL_CHARS_MAX: usize = 32_000;

/// A workbook to fill in: what each column is for, its name, and room below.
#[utoipa::path(
    get, path = "/api/v1/imports/template.xlsx", tag = "imports", operation_id = "import_template",
    responses((status = 200, description = "An XLSX workbook", body = Vec<u8>,
        content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"))
)]
pub(in crate::api) async fn template(_: Viewer, _: Query<()>) -> Result<HttpResponse, ApiError> {
    empty_workbook()
}

/// A workbook to fill in, as an attachment.
///
/// # Errors
/// A workbook that cannot be written, which is a defect.
pub fn empty_workbook() -> Result<HttpResponse, ApiError> {
    let columns: Vec<Column<'_>> = COLUMNS.iter().map(shaded).collect();
    let title = "Fill in from line 6. A column may be left out, a cell may be empty: what is there stays as it is.";
    let file = write(title, &columns, []).map_err(ApiError::internal)?;
    Ok(attached("import-template.xlsx", file))
}

/// The rows with their answers, by line, once the import has ended. Secrets are left out; sent again, the rows that
/// were done change nothing.
#[utoipa::path(
    get, path = "/api/v1/imports/{id}/result.xlsx", tag = "imports", operation_id = "import_result",
    params(("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$")),
    responses(
        (status = 200, description = "An XLSX workbook", body = Vec<u8>,
            content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (status = 409, description = "It has not ended, or its file could not be read", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn result(
    _: Viewer,
    PathId(id): PathId<ImportId>,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    answered_workbook(&state, id).await
}

/// The rows of an import with their answers, as an attachment.
///
/// # Errors
/// There is no import of this id, it has not ended, or it has no rows; a database that does not answer.
pub async fn answered_workbook(state: &ApiState, id: ImportId) -> Result<HttpResponse, ApiError> {
    let import = state.store.import_get(id).await?;
    if import.finished_at.is_none() {
        let detail = format!("import `{id}` has not ended: {}", import.state);
        return Err(ApiError::new(Code::Conflict, detail));
    }
    if import.columns.is_empty() {
        let why = import.failure.as_deref().unwrap_or("it was cancelled");
        let detail = format!("import `{id}` has no rows: {why}");
        return Err(ApiError::new(Code::Conflict, detail));
    }
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let limit = PAGE_ROWS_MAX;
        let page = state
            .store
            .import_rows(id, None, PageRequest { limit, after });
        let page = page.await?;
        rows.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    // Thousands of rows take a while to write, others want this thread.
    let written = web::block(move || written(&import, rows)).await;
    let file = written
        .map_err(ApiError::internal)?
        .map_err(ApiError::internal)?;
    Ok(attached(&format!("import-{id}-result.xlsx"), file))
}

fn written(import: &Import, rows: Vec<ImportRow>) -> Result<Vec<u8>, XlsxError> {
    let known = import.columns.iter().filter_map(|name| {
        let column = COLUMNS.iter().find(|column| column.name == name);
        column.map(shaded)
    });
    let answers = ANSWER_COLUMNS.iter().zip(ANSWERS_ABOUT);
    let answers = answers.map(|(name, about)| Column {
        name,
        about,
        shade: Shade::Grey,
    });
    let columns: Vec<Column<'_>> = answers.chain(known).collect();
    let title = format!("Import {}: {}", import.id, import.state);
    write(&title, &columns, rows.into_iter().map(cells))
}

fn cells(row: ImportRow) -> Vec<String> {
    let errors: Vec<String> = row.errors.iter().map(told).collect();
    let own = [
        row.line.to_string(),
        row.answer.to_string(),
        errors.join("\n"),
    ];
    let cells = own.into_iter().chain(row.cells);
    cells
        .map(|text| text.chars().take(CELL_CHARS_MAX).collect())
        .collect()
}

fn told(error: &RowError) -> String {
    let RowError {
        cell,
        field,
        detail,
    } = error;
    match cell {
        Some(cell) => format!("{cell} `{field}`: {detail}"),
        None => format!("`{field}`: {detail}"),
    }
}

/// A column in the colour of what it belongs to: devices yellow, credentials blue, what they refer to purple.
fn shaded(column: &crate::domain::import::Column) -> Column<'_> {
    Column {
        name: column.name,
        about: column.about,
        shade: match column.part {
            Part::Device | Part::Connectivity => Shade::Yellow,
            Part::Credential => Shade::Blue,
            Part::Reference => Shade::Purple,
        },
    }
}

fn attached(name: &str, file: Vec<u8>) -> HttpResponse {
    let attachment = format!("attachment; filename=\"{name}\"");
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, XLSX))
        .insert_header((header::CONTENT_DISPOSITION, attachment))
        .body(file)
}
