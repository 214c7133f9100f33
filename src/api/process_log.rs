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
/// The most lines of one answer, and of one piece of a search.
const LINES_MAX: u32 = 500;
/// Pieces that one search looks through: 100,000 lines. It can be gone on with.
const SEARCH_PIECES_MAX: u32 = 200;
/// Longest text that is searched for, in characters.
const SEARCH_CHARS_MAX: usize = 200;

/// Which lines are wanted.
#[derive(Debug, Clone, Default, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogParams {
    /// Only lines behind this position; all when absent.
    #[param(value_type = Option<u64>, minimum = 0, nullable = false)]
    pub after: Option<i64>,
    /// Only lines before this position: the last ones of them. Not together with `contains`, nor for `text/plain`.
    #[param(value_type = Option<u64>, minimum = 1, nullable = false)]
    pub before: Option<i64>,
    /// Only lines with this text, upper and lower case alike. `next_after` leads on, also where nothing was found in
    /// the lines that one answer looks through. Not for `text/plain`.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200, nullable = false)]
    pub contains: Option<String>,
    /// Lines of the answer, 200 when absent. Not for `text/plain`, which has them all.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, nullable = false)]
    pub limit: Option<u32>,
}

impl FromParams for LogParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        let limit = params.number("limit", 1..=i64::from(LINES_MAX));
        let contains = params.text("contains", SEARCH_CHARS_MAX);
        let before = match (params.number("before", 1..=i64::MAX), &contains) {
            (Some(_), Some(_)) => {
                params.refuse("before", "cannot stand beside `contains`");
                None
            }
            (before, _) => before,
        };
        Self {
            after: params.number("after", 0..=i64::MAX),
            before,
            contains,
            limit: limit.and_then(|limit| u32::try_from(limit).ok()),
        }
    }
}

/// Lines of a log, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogView {
    /// The lines.
    pub items: Vec<LineView>,
    /// Send it as `after` for the lines behind these; of an unfinished process there may be more later.
    pub next_after: i64,
}

/// One line.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineView {
    /// Its position, from 1. A gap is what the bound on the log cut out.
    pub seq: i64,
    /// Lines that were written between the one before and this one and are not kept: of a log that is longer than
    /// 1 MiB its first and its last half are. Absent where none is missing, and from what a search found.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1, nullable = false)]
    pub missing_before: Option<i64>,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `error`, `warn`, `info`, `debug`, `stdout` or `stderr`.
    pub level: &'static str,
    /// The text.
    pub text: String,
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
    if prefers(request.headers(), "text/plain") {
        return Ok(whole(state, id, params.after.unwrap_or(0)));
    }
    let lines = select(&state, id, &params).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::VARY, "Accept"))
        .json(lines))
}

/// A part of a log; a process that nobody knows has no lines.
///
/// # Errors
/// A database that does not answer.
pub async fn select(
    state: &ApiState,
    id: ProcessId,
    params: &LogParams,
) -> Result<LogView, ApiError> {
    let after = params.after.unwrap_or(0);
    let limit = params.limit.unwrap_or(LINES_DEFAULT);
    if let Some(text) = &params.contains {
        return search(state, id, after, text, limit).await;
    }
    let (lines, follows) = match params.before {
        Some(before) => {
            let lines = state.store.log_read_back(id, after, before, limit).await?;
            (lines, None)
        }
        None => (state.store.log_read(id, after, limit).await?, Some(after)),
    };
    let next_after = lines.last().map_or(after, |line| line.seq);
    let items = in_a_row(follows, lines);
    Ok(LogView { items, next_after })
}

/// Lines that stand one behind the other in what is kept of a log, the first of them behind position `follows` where
/// that is known: each says how many are missing before it.
fn in_a_row(mut follows: Option<i64>, lines: Vec<LogLine>) -> Vec<LineView> {
    let mut items = Vec::with_capacity(lines.len());
    for line in lines {
        let missing = follows.map_or(0, |before| line.seq - before - 1);
        follows = Some(line.seq);
        items.push(LineView {
            missing_before: (missing > 0).then_some(missing),
            ..line.into()
        });
    }
    items
}

/// Looks through a log piece by piece, for at most `limit` lines and through a bounded number of pieces.
async fn search(
    state: &ApiState,
    id: ProcessId,
    after: i64,
    text: &str,
    limit: u32,
) -> Result<LogView, ApiError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let wanted = text.to_lowercase();
    let mut found = LogView {
        items: Vec::new(),
        next_after: after,
    };
    for _ in 0..SEARCH_PIECES_MAX {
        let piece = state
            .store
            .log_read(id, found.next_after, LINES_MAX)
            .await?;
        if piece.is_empty() {
            break;
        }
        for line in piece {
            found.next_after = line.seq;
            if line.text.to_lowercase().contains(&wanted) {
                found.items.push(line.into());
            }
            if found.items.len() >= limit {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// All lines behind `after` as text, read piece by piece while they are sent.
pub fn whole(state: web::Data<ApiState>, id: ProcessId, after: i64) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::VARY, "Accept"))
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .streaming(download(state, id, after))
}

impl From<LogLine> for LineView {
    fn from(line: LogLine) -> Self {
        Self {
            seq: line.seq,
            missing_before: None,
            at: line.at,
            level: LogLevel::word(line.level),
            text: line.text,
        }
    }
}

/// The lines behind `after`, so that a long log is never in memory as a whole.
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
                    Bytes::from(
                        in_a_row(Some(after), lines)
                            .iter()
                            .map(text)
                            .collect::<String>(),
                    ),
                    last,
                )
            }))
        }
    })
}

fn text(line: &LineView) -> String {
    let at = line.at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let gap = line.missing_before.map_or_else(String::new, |count| {
        format!("[{count} lines are not kept: the log is longer than its bound]\n")
    });
    format!("{gap}{at} {:6} {}\n", line.level, line.text)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn what_the_bound_cut_out_is_told_of_where_it_was() {
        let line = |seq| LogLine {
            process: ProcessId(1),
            seq,
            at: DateTime::UNIX_EPOCH,
            level: LogLevel::Stdout as i16,
            text: format!("line {seq}"),
        };
        let missing = |follows, seqs: &[i64]| -> Vec<_> {
            let lines = seqs.iter().copied().map(line).collect();
            let items = in_a_row(follows, lines).into_iter();
            items.map(|line| line.missing_before).collect()
        };
        assert_eq!(
            missing(Some(0), &[1, 2, 9, 10]),
            [None, None, Some(6), None]
        );
        assert_eq!(
            missing(Some(4), &[9]),
            [Some(4)],
            "at the seam of two parts"
        );
        assert_eq!(
            missing(None, &[9, 10]),
            [None, None],
            "nobody asked what was before"
        );
        let gap = in_a_row(Some(2), vec![line(6)]);
        assert_eq!(
            text(&gap[0]),
            "[3 lines are not kept: the log is longer than its bound]\n1970-01-01T00:00:00.000000Z stdout line 6\n"
        );
    }
}
