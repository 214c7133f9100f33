//! Reports as JSON or, when `Accept` prefers it, as CSV (RFC 4180).

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse};
use csv::{Terminator, WriterBuilder};
use serde::Serialize;
use serde_json::Value;

use super::error::ApiError;
use super::paging::ListView;
use crate::store::page::Page;

/// Media type of tables.
pub const CSV: &str = "text/csv; charset=utf-8";

/// A row of a report.
pub trait Row: Serialize {
    /// The columns in CSV, by the names of the fields, dots between nested ones.
    const COLUMNS: &'static [&'static str];
}

/// Answers a part of a report in the form the caller prefers.
///
/// `Link: <…>; rel="next"` leads to the next part in both forms.
pub(super) fn report<T: Row>(
    request: &HttpRequest,
    page: Page<T>,
) -> Result<HttpResponse, ApiError> {
    report_as(request, page, T::COLUMNS)
}

/// As [`report`], of rows whose columns are known to the caller only.
pub(super) fn report_as<T: Serialize>(
    request: &HttpRequest,
    page: Page<T>,
    columns: &[&str],
) -> Result<HttpResponse, ApiError> {
    let list = ListView::of(request.path(), page);
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::VARY, "Accept"));
    if let Some(cursor) = &list.next_cursor {
        answer.insert_header((header::LINK, next_link(request, cursor)));
    }
    if prefers(request.headers(), "text/csv") {
        answer.insert_header((header::CONTENT_TYPE, CSV));
        return Ok(answer.body(table(&list.items, columns)?));
    }
    Ok(answer.json(list))
}

/// The same address with another cursor; the parts of the query are as the caller encoded them.
fn next_link(request: &HttpRequest, cursor: &str) -> String {
    let kept = request
        .query_string()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let query: String = kept.map(|pair| format!("{pair}&")).collect();
    format!("<{}?{query}cursor={cursor}>; rel=\"next\"", request.path())
}

/// Whether `Accept` names `media` and weighs it at least as much as JSON. Wildcards mean JSON.
#[must_use]
pub fn prefers(headers: &HeaderMap, media: &str) -> bool {
    let mut wanted = 0.0_f32;
    let mut json = 0.0_f32;
    for value in headers
        .get_all(header::ACCEPT)
        .filter_map(|value| value.to_str().ok())
    {
        for range in value.split(',') {
            let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
            let weight = parameters
                .split(';')
                .find_map(|parameter| parameter.trim().strip_prefix("q="));
            let weight = weight
                .and_then(|weight| weight.parse().ok())
                .unwrap_or(1.0_f32);
            match name.trim().to_ascii_lowercase().as_str() {
                name if name == media => wanted = wanted.max(weight),
                "application/json" => json = json.max(weight),
                _ => {}
            }
        }
    }
    wanted > 0.0 && wanted >= json
}

fn table<T: Serialize>(rows: &[T], columns: &[&str]) -> Result<Vec<u8>, ApiError> {
    let mut text = line(columns)?;
    text.extend(body(rows, columns)?);
    Ok(text)
}

/// The header row of a table, or any other row of texts.
///
/// # Errors
/// A defect of the writer.
pub fn line(cells: &[&str]) -> Result<Vec<u8>, ApiError> {
    let mut csv = writer();
    csv.write_record(cells).map_err(ApiError::internal)?;
    finished(csv)
}

fn writer() -> csv::Writer<Vec<u8>> {
    WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new())
}

fn finished(csv: csv::Writer<Vec<u8>>) -> Result<Vec<u8>, ApiError> {
    csv.into_inner()
        .map_err(|error| ApiError::internal(error.into_error()))
}

/// Rows of a table with these columns, without its header row.
///
/// # Errors
/// A defect of the writer.
pub fn body<T: Serialize>(rows: &[T], columns: &[&str]) -> Result<Vec<u8>, ApiError> {
    let mut csv = writer();
    for row in rows {
        let value = serde_json::to_value(row).map_err(ApiError::internal)?;
        let cells = columns.iter().map(|column| cell(field(&value, column)));
        csv.write_record(cells).map_err(ApiError::internal)?;
    }
    finished(csv)
}

fn field<'a>(row: &'a Value, column: &str) -> &'a Value {
    column
        .split('.')
        .try_fold(row, |value, name| value.get(name))
        .unwrap_or(&Value::Null)
}

/// A text that a spreadsheet would run as a formula is led by an apostrophe; numbers stay numbers.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{text}")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    struct Sample {
        text: &'static str,
        number: i64,
        nothing: Option<i64>,
        object: Value,
    }

    impl Row for Sample {
        const COLUMNS: &'static [&'static str] =
            &["number", "text", "nothing", "object", "object.a"];
    }

    #[test]
    fn formulas_are_disarmed_and_text_is_quoted() {
        let row = |text| Sample {
            text,
            number: -1,
            nothing: None,
            object: json!({"a": 1}),
        };
        let table = table(
            &[row("=1+1"), row("a,\"b\"\r\nc"), row("@x")],
            Sample::COLUMNS,
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(table).unwrap(),
            "number,text,nothing,object,object.a\r\n\
             -1,'=1+1,,\"{\"\"a\"\":1}\",1\r\n\
             -1,\"a,\"\"b\"\"\r\nc\",,\"{\"\"a\"\":1}\",1\r\n\
             -1,'@x,,\"{\"\"a\"\":1}\",1\r\n"
        );
    }

    #[test]
    fn csv_is_answered_when_it_is_preferred() {
        for (accept, csv) in [
            ("text/csv", true),
            ("text/csv, application/json;q=0.5", true),
            ("application/json, text/csv;q=0.9", false),
            ("*/*", false),
            ("text/html, */*;q=0.1", false),
            ("text/csv;q=0", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers(&headers, "text/csv"), csv, "{accept}");
        }
    }
}
