//! The log of a process: its end as it grows, what came before, what is searched for, and all of it as a file.
//!
//! A page never holds more than [`LINES`] lines, so that it does not matter how long the log is.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::list::attachment;
use super::moment::At;
use super::plain;
use super::shell::answer;
use super::text;
use crate::api::path::PathId;
use crate::api::process_log::{self, LineView, LogParams, LogView};
use crate::api::query::Query;
use crate::api::{ApiError, ApiState, Viewer, processes};
use crate::domain::id::ProcessId;

/// Lines of a page.
const LINES: u32 = 200;
/// Characters of a line that are shown; the file has all of them.
const LINE_CHARS: usize = 4_000;

/// The part of a log that a page shows; `log.html` knows it as `log`.
pub(super) struct Log {
    pub(super) lines: Vec<Line>,
    /// Whether the end is shown, which goes on.
    pub(super) tail: bool,
    pub(super) contains: String,
    /// The position behind which new lines come.
    pub(super) last: i64,
    pub(super) earlier: Option<String>,
    pub(super) later: Option<String>,
}

/// A line as it is shown.
pub(super) struct Line {
    pub(super) seq: i64,
    /// How many are not kept before it, in words.
    pub(super) missing: Option<String>,
    pub(super) at: At,
    pub(super) level: &'static str,
    pub(super) text: String,
}

#[derive(Template)]
#[template(path = "log_lines.html")]
struct LinesPart {
    lines: Vec<Line>,
}

impl Line {
    fn of(line: LineView) -> Self {
        Self {
            seq: line.seq,
            missing: line
                .missing_before
                .map(|count| format!("{count} {}", text::LOG_MISSING)),
            at: At(line.at),
            level: line.level,
            text: plain::shortened(&line.text, LINE_CHARS),
        }
    }
}

impl Log {
    /// Reads the part that `wanted` means; the end, where it means none.
    pub(super) async fn read(
        state: &ApiState,
        id: ProcessId,
        mut wanted: LogParams,
    ) -> Result<Self, ApiError> {
        let tail = wanted.after.is_none() && wanted.before.is_none() && wanted.contains.is_none();
        if tail {
            wanted.before = Some(i64::MAX);
        }
        wanted.limit = Some(LINES);
        let found = process_log::select(state, id, &wanted).await?;
        let way = Way::of(tail, &wanted, &found);
        let address = |query: String| format!("/processes/{id}?{query}#log");
        let contains = wanted.contains.unwrap_or_default();
        let later = way.later.map(|after| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            if !contains.is_empty() {
                query.append_pair("contains", &contains);
            }
            address(query.append_pair("after", &after.to_string()).finish())
        });
        Ok(Self {
            tail,
            contains,
            last: found.next_after,
            earlier: way
                .earlier
                .map(|before| address(format!("before={before}"))),
            later,
            lines: found.items.into_iter().map(Line::of).collect(),
        })
    }
}

/// Where one gets to from a part of a log.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    earlier: Option<i64>,
    later: Option<i64>,
}

impl Way {
    fn of(tail: bool, wanted: &LogParams, found: &LogView) -> Self {
        let full = found.items.len() >= usize::try_from(LINES).unwrap_or(usize::MAX);
        let first = found.items.first().map(|line| line.seq);
        let searched = wanted.contains.is_some();
        let goes_on = full || wanted.before.is_some();
        Self {
            earlier: first.filter(|first| !searched && *first > 1),
            later: (goes_on && !tail).then_some(found.next_after),
        }
    }
}

/// Lines for a page that shows the end already.
pub(super) async fn lines(
    _: Viewer,
    PathId(id): PathId<ProcessId>,
    Query(wanted): Query<LogParams>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let found = process_log::select(&state, id, &wanted).await?;
    answer(&LinesPart {
        lines: found.items.into_iter().map(Line::of).collect(),
    })
}

/// All of it as a file, as it was written.
pub(super) async fn file(
    _: Viewer,
    PathId(id): PathId<ProcessId>,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    processes::one(&state, id).await?;
    let mut file = process_log::whole(state, id, 0);
    let (name, value) =
        header::TryIntoHeaderPair::try_into_pair(attachment(&format!("process-{id}.log")))
            .map_err(ApiError::internal)?;
    file.headers_mut().insert(name, value);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn found(seqs: std::ops::Range<i64>) -> LogView {
        let next_after = seqs.end - 1;
        let line = |seq| LineView {
            seq,
            missing_before: None,
            at: DateTime::UNIX_EPOCH,
            level: "info",
            text: String::new(),
        };
        LogView {
            items: seqs.map(line).collect(),
            next_after,
        }
    }

    #[test]
    fn all_parts_are_reached_and_none_twice() {
        let before = |before| LogParams {
            before: Some(before),
            ..LogParams::default()
        };
        let way = |earlier, later| Way { earlier, later };
        assert_eq!(
            Way::of(true, &before(i64::MAX), &found(801..1_001)),
            way(Some(801), None)
        );
        assert_eq!(
            Way::of(false, &before(201), &found(1..201)),
            way(None, Some(200))
        );
        let after = LogParams {
            after: Some(200),
            ..LogParams::default()
        };
        assert_eq!(
            Way::of(false, &after, &found(201..401)),
            way(Some(201), Some(400))
        );
        assert_eq!(
            Way::of(false, &after, &found(201..203)),
            way(Some(201), None)
        );
        let search = LogParams {
            contains: Some("x".to_owned()),
            ..LogParams::default()
        };
        assert_eq!(Way::of(false, &search, &found(7..9)), way(None, None));
        assert_eq!(
            Way::of(false, &search, &found(7..207)),
            way(None, Some(206))
        );
    }
}
