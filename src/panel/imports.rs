//! Imports: the report on them with the form that sends a file, and the report on the rows of one.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::form::{Posted, PostedFile};
use super::list::{List, Report};
use super::moment::{Age, At};
use super::shell::{Place, Shell, see_and_tell};
use super::words::{self, Word, count};
use super::{plain, text as t};
use crate::api::csv::Row as _;
use crate::api::imports::{self, ImportParams, ImportRowParams, ImportRowView, ImportView};
use crate::api::path::{PathId, read_id};
use crate::api::query::{FromParams, Params, Query};
use crate::api::{Admin, ApiError, ApiState, Viewer};
use crate::domain::id::ImportId;
use crate::domain::import::{ImportMode, ImportState, RowAnswer, RowError};
use crate::domain::time::Timestamp;
use crate::store::page::{Page, PageRequest};

/// The report.
pub(super) struct Imports;

/// The rows of one, as a report.
pub(super) struct Rows;

#[derive(Template)]
#[template(path = "imports.html")]
pub(super) struct ImportsPage {
    shell: Shell,
    list: List,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "import.html")]
pub(super) struct ImportPage {
    shell: Shell,
    list: List,
    import: Row,
    rows: Vec<Answered>,
}

/// An import as a row, and as what stands first on its page.
struct Row {
    id: String,
    name: String,
    bytes: String,
    mode: &'static str,
    state: Word,
    stopping: bool,
    failure: Option<String>,
    done: u32,
    total: Option<u32>,
    answers: Vec<(Word, String)>,
    /// Those of them that did not do what they say.
    lacking: Vec<(Word, String)>,
    same_as: Option<String>,
    sent: At,
    sent_by: String,
    finished: Option<Age>,
    can_cancel: bool,
    has_result: bool,
}

/// A row of a file with its answer.
struct Answered {
    line: u32,
    answer: Word,
    mistakes: Vec<String>,
    device: Option<String>,
    credential: Option<String>,
}

impl Row {
    fn of(import: ImportView, now: Timestamp) -> Self {
        let answers = [
            (RowAnswer::Created, import.created),
            (RowAnswer::Updated, import.updated),
            (RowAnswer::Unchanged, import.unchanged),
            (RowAnswer::Refused, import.refused),
            (RowAnswer::Skipped, import.skipped),
        ];
        let given = answers.into_iter().filter(|(_, rows)| *rows > 0);
        let lack = |answer: &RowAnswer| matches!(answer, RowAnswer::Refused | RowAnswer::Skipped);
        let shown =
            |(answer, rows): (RowAnswer, u32)| (words::row_answer(answer), count(rows.into()));
        let open = import.finished_at.is_none();
        Self {
            id: import.id.to_string(),
            name: plain::visible(&import.name),
            bytes: count(import.bytes),
            mode: words::import_mode(import.mode),
            state: words::import(import.state),
            stopping: open && import.cancel_requested,
            failure: import.failure.as_deref().map(plain::visible),
            done: import.rows_done,
            total: import.rows_total,
            lacking: given
                .clone()
                .filter(|(answer, _)| lack(answer))
                .map(shown)
                .collect(),
            answers: given.map(shown).collect(),
            same_as: import.same_as.map(|id| id.to_string()),
            sent: At(import.created_at),
            sent_by: plain::visible(&import.requested_by),
            finished: import.finished_at.map(|of| Age { of, now }),
            can_cancel: open && !import.cancel_requested,
            has_result: !open && import.rows_total.is_some(),
        }
    }
}

impl Answered {
    fn of(row: ImportRowView) -> Self {
        let told = |error: &RowError| {
            let cell = error.cell.as_deref().map(|cell| format!("{cell} "));
            let cell = cell.unwrap_or_default();
            plain::visible(&format!("{cell}{}: {}", error.field, error.detail))
        };
        Self {
            line: row.line,
            answer: words::row_answer(row.answer),
            mistakes: row.errors.iter().map(told).collect(),
            device: row.device.map(|id| id.to_string()),
            credential: row.credential.map(|id| id.to_string()),
        }
    }
}

impl Report for Imports {
    const PLACE: Place = Place::Imports;
    const TOPICS: &'static str = "inventory process";
    const SUB: &'static str = t::IMPORTS_SUB;
    const EMPTY: &'static str = t::NO_IMPORTS;
    type Only = ImportParams;
    type View = ImportView;
    type Page = ImportsPage;

    async fn select(
        state: &ApiState,
        only: &ImportParams,
        part: PageRequest,
    ) -> Result<Page<ImportView>, ApiError> {
        imports::select(state, *only, part).await
    }

    fn columns(_: &Self::Only) -> Result<Vec<&'static str>, ApiError> {
        Ok(ImportView::COLUMNS.to_vec())
    }

    async fn page(
        state: &ApiState,
        _: &Self::Only,
        shell: Shell,
        list: List,
        views: Vec<ImportView>,
    ) -> Result<ImportsPage, ApiError> {
        let now = state.now();
        Ok(ImportsPage {
            shell,
            list,
            rows: views.into_iter().map(|one| Row::of(one, now)).collect(),
        })
    }
}

/// The rows of the import that the path names.
#[derive(Debug)]
pub(super) struct RowsOf {
    text: String,
    id: Option<ImportId>,
    only: ImportRowParams,
}

impl FromParams for RowsOf {
    fn from_params(params: &mut Params<'_>) -> Self {
        let text = params.path().strip_prefix("/imports/");
        let text = text.map(|text| text.strip_suffix(".csv").unwrap_or(text));
        let text = text.unwrap_or_default().to_owned();
        Self {
            id: read_id(&text),
            text,
            only: ImportRowParams::from_params(params),
        }
    }
}

impl RowsOf {
    fn id(&self) -> Result<ImportId, ApiError> {
        self.id
            .ok_or_else(|| ApiError::missing("import", &self.text))
    }
}

impl Report for Rows {
    const PLACE: Place = Place::Imports;
    const TOPICS: &'static str = Imports::TOPICS;
    const SUB: &'static str = t::IMPORT_SUB;
    const EMPTY: &'static str = t::NO_ANSWERS;
    type Only = RowsOf;
    type View = ImportRowView;
    type Page = ImportPage;

    async fn select(
        state: &ApiState,
        only: &RowsOf,
        part: PageRequest,
    ) -> Result<Page<ImportRowView>, ApiError> {
        imports::select_rows(state, only.id()?, only.only, part).await
    }

    fn columns(_: &Self::Only) -> Result<Vec<&'static str>, ApiError> {
        Ok(ImportRowView::COLUMNS.to_vec())
    }

    fn title(only: &RowsOf) -> Result<String, ApiError> {
        Ok(format!("{} {}", t::IMPORT, only.id()?))
    }

    async fn page(
        state: &ApiState,
        only: &RowsOf,
        shell: Shell,
        list: List,
        views: Vec<ImportRowView>,
    ) -> Result<ImportPage, ApiError> {
        let import = imports::one(state, only.id()?).await?;
        Ok(ImportPage {
            shell,
            list,
            import: Row::of(import, state.now()),
            rows: views.into_iter().map(Answered::of).collect(),
        })
    }
}

/// Takes a file, and leads to the page on which its rows are seen as they get their answers.
pub(super) async fn upload(
    Admin(caller): Admin,
    PostedFile(form): PostedFile,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let import = imports::take(&state, &form, &caller.name).await?;
    let id = import.id.to_string();
    Ok(see_and_tell(&format!("/imports/{id}"), "import_sent", &id))
}

/// A workbook to fill in.
pub(super) async fn template(_: Viewer, _: Query<()>) -> Result<HttpResponse, ApiError> {
    imports::empty_workbook()
}

/// The rows of an import with their answers.
pub(super) async fn result(
    _: Viewer,
    PathId(id): PathId<ImportId>,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    imports::answered_workbook(&state, id).await
}

/// Ends an import that waits, or tells the robot that has it in hand to.
pub(super) async fn cancel(
    Admin(caller): Admin,
    PathId(id): PathId<ImportId>,
    Posted(fields): Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    imports::cancel_import(&state, id, &caller.name).await?;
    let back = fields.back(Place::Imports.address());
    Ok(see_and_tell(back, "import_cancelled", &id.to_string()))
}
