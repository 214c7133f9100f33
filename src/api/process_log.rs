//! `/processes/{id}/log`: what a run wrote, as JSON in parts or as text at once.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use chrono::SecondsFormat;
use futures_util::stream;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Viewer;
use super::csv::prefers;
use super::error::ApiError;
use super::path::PathId;
use super::query::{FromParams, Params, Query};
use super::state::ApiState;
use crate::domain::id::ProcessId;
use crate::domain::time::Timestamp;
use crate::robot::journal::LogLevel;
use crate::store::process::LogLine;

/// Lines of one answer when the caller names no number; also of one piece of a download.
const LINES_DEFAULT: u32 = 200;
/// The most lines of one answer.
const LINES_MAX: i64 = 500;

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogParams {
    /// Only lines behind this position; all when absent.
    #[param(value_type = Option<u64>, minimum = 0, nullable = false)]
    after: i64,
    /// Lines of the answer, 200 when absent. Not for `text/plain`, which has them all.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, nullable = false)]
    limit: u32,
}

impl FromParams for LogParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        let limit = params
            .number("limit", 1..=LINES_MAX)
            .and_then(|limit| u32::try_from(limit).ok());
        Self {
            after: params.number("after", 0..=i64::MAX).unwrap_or(0),
            limit: limit.unwrap_or(LINES_DEFAULT),
        }
    }
}

/// Lines of a log, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogView {
    /// The lines.
    items: Vec<LineView>,
    /// Send it as `after` for the lines behind these; of an unfinished process there may be more later.
    next_after: i64,
}

/// One line.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineView {
    /// Its position, from 1. A gap is what the bound on the log cut out.
    seq: i64,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `error`, `warn`, `info`, `debug`, `stdout` or `stderr`.
    level: &'static str,
    /// The text.
    text: String,
}

/// The log of a process. The whole of it as text by `Accept: text/plain`.
#[utoipa::path(
    get, path = "/api/v1/processes/{id}/log", tag = "processes", operation_id = "process_log",
    params(("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$"), LogParams),
    responses((status = 200, description = "Lines", content((LogView = "application/json"), (String = "text/plain"))))
)]
pub(super) async fn read(
    _: Viewer,
    PathId(id): PathId<ProcessId>,
    Query(params): Query<LogParams>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    if state.store.process_get(id).await?.is_none() {
        return Err(ApiError::missing("process", &id.to_string()));
    }
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::VARY, "Accept"));
    if prefers(request.headers(), "text/plain") {
        answer.insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"));
        return Ok(answer.streaming(download(state, id, params.after)));
    }
    let lines = state.store.log_read(id, params.after, params.limit).await?;
    let next_after = lines.last().map_or(params.after, |line| line.seq);
    let items = lines.into_iter().map(LineView::from).collect();
    Ok(answer.json(LogView { items, next_after }))
}

impl From<LogLine> for LineView {
    fn from(line: LogLine) -> Self {
        Self {
            seq: line.seq,
            at: line.at,
            level: LogLevel::word(line.level),
            text: line.text,
        }
    }
}

/// The lines behind `after`, piece by piece, so that a long log is never in memory as a whole.
fn download(
    state: web::Data<ApiState>,
    id: ProcessId,
    after: i64,
) -> impl stream::Stream<Item = Result<Bytes, ApiError>> {
    stream::try_unfold(after, move |after| {
        let state = state.clone();
        async move {
            let lines = state.store.log_read(id, after, LINES_DEFAULT).await?;
            let last = lines.last().map(|line| line.seq);
            Ok(last.map(|last| {
                (
                    Bytes::from(lines.iter().map(text).collect::<String>()),
                    last,
                )
            }))
        }
    })
}

fn text(line: &LogLine) -> String {
    let at = line.at.to_rfc3339_opts(SecondsFormat::Micros, true);
    format!("{at} {:6} {}\n", LogLevel::word(line.level), line.text)
}
