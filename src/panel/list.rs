//! What reports have in common: filters in the address, the way to older rows, and all rows as CSV. A [`Report`] is what
//! one has of its own; [`page`] and [`table`] answer any of them.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, ContentDisposition, DispositionParam, DispositionType};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use askama::Template;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::shell::{Place, Shell, Visit, answer};
use super::when;
use crate::api::csv;
use crate::api::paging::PageParams;
use crate::api::query::{FromParams, Query};
use crate::api::{ApiError, ApiState, Viewer, paging};
use crate::store::page::{PAGE_ROWS_MAX, Page, PageRequest};

/// The most parts of one CSV: two million rows, which no spreadsheet opens.
const CSV_PARTS_MAX: u32 = 4_000;

/// The filters of a page, from its address. A form without scripts sends empty fields too: they are as if they were absent.
#[derive(Debug)]
pub(super) struct Filters<T> {
    /// The filters.
    pub(super) only: T,
    /// As they stand in the address, without the place in the list.
    pub(super) address: Address,
}

impl<T: FromParams> FromRequest for Filters<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let given = request.query_string().split('&');
        let given: Vec<_> = given
            .filter(|pair| {
                pair.split_once('=')
                    .is_none_or(|(_, value)| !value.is_empty())
            })
            .filter(|pair| !pair.is_empty())
            .collect();
        let query = given.join("&");
        ready(Query::read(request.path(), &query).map(|Query(only)| Self {
            only,
            address: Address::of(request.path(), &query),
        }))
    }
}

/// A path with filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    path: String,
    filters: Vec<(String, String)>,
    further: bool,
}

impl Address {
    fn of(path: &str, query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes());
        let filters = pairs
            .filter(|(name, _)| name != "cursor")
            .map(|(name, value)| (name.into_owned(), value.into_owned()));
        Self {
            path: path.to_owned(),
            filters: filters.collect(),
            further: query.split('&').any(|pair| pair.starts_with("cursor=")),
        }
    }

    /// The value of a filter; empty where it is not set.
    pub(super) fn value(&self, name: &str) -> &str {
        let found = self.filters.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// An instant that is filtered by, as a field for date and time shows it.
    pub(super) fn instant(&self, name: &str) -> String {
        when::field(self.value(name))
    }

    /// The path alone.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The last part of the path, which names a file.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it is not the first part of the list.
    pub(super) const fn is_further(&self) -> bool {
        self.further
    }

    /// Whether nothing is filtered.
    pub(super) fn is_plain(&self) -> bool {
        self.filters.is_empty()
    }

    /// The first part of the list.
    pub(super) fn newest(&self) -> String {
        self.with(&self.path, None)
    }

    /// The part of the list that follows `next`.
    pub(super) fn older(&self, next: Option<i64>) -> Option<String> {
        let cursor = paging::cursor_text(&self.path, next?);
        Some(self.with(&self.path, Some(&cursor)))
    }

    /// All rows as CSV.
    pub(super) fn csv(&self) -> String {
        self.with(&format!("{}.csv", self.path), None)
    }

    fn with(&self, path: &str, cursor: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.filters);
        if let Some(cursor) = cursor {
            query.append_pair("cursor", cursor);
        }
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }
}

/// What a report is made of.
pub(super) trait Report: 'static {
    /// Its place in the panel, which names its address.
    const PLACE: Place;
    /// The changes after which it is read again.
    const TOPICS: &'static str;
    /// What stands below its heading.
    const SUB: &'static str;
    /// What is said where there are no rows.
    const EMPTY: &'static str;
    /// Its filters, without the place in the list.
    type Only: FromParams + 'static;
    /// What the API answers of a row.
    type View: Serialize + 'static;
    /// The page: a template that extends `report.html`.
    type Page: Template;

    /// A part of it.
    async fn select(
        state: &ApiState,
        only: &Self::Only,
        part: PageRequest,
    ) -> Result<Page<Self::View>, ApiError>;

    /// The columns of its file; an error where the address is of no report.
    fn columns(only: &Self::Only) -> Result<Vec<&'static str>, ApiError>;

    /// Its heading; an error where the address is of no report.
    fn title(_: &Self::Only) -> Result<String, ApiError> {
        Ok(Self::PLACE.name().to_owned())
    }

    /// The page with these rows.
    async fn page(
        state: &ApiState,
        only: &Self::Only,
        shell: Shell,
        list: List,
        views: Vec<Self::View>,
    ) -> Result<Self::Page, ApiError>;
}

/// What all reports show beside their rows; `report.html` knows it as `list`.
#[derive(Debug)]
pub(super) struct List {
    pub(super) sub: &'static str,
    pub(super) empty: &'static str,
    pub(super) address: Address,
    pub(super) robots: Vec<String>,
    pub(super) older: Option<String>,
}

/// Shows a part of a report.
pub(super) async fn page<R: Report>(
    Viewer(caller): Viewer,
    visit: Visit,
    filters: Filters<(PageParams, R::Only)>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let (part, only) = filters.only;
    let title = R::title(&only)?;
    let found = R::select(&state, &only, part.request()).await?;
    let list = List {
        sub: R::SUB,
        empty: R::EMPTY,
        older: filters.address.older(found.next),
        robots: robot_names(&state, &filters.address),
        address: filters.address,
    };
    let shell = visit.shell(Some(&caller), R::PLACE, title, R::TOPICS);
    answer(&R::page(&state, &only, shell, list, found.items).await?)
}

/// The names of all robots, for a filter; that of a robot which is no longer declared too, where it is filtered by.
fn robot_names(state: &ApiState, address: &Address) -> Vec<String> {
    let all = state.registry().all();
    let mut names: Vec<_> = all.iter().map(|robot| robot.name().to_owned()).collect();
    let chosen = address.value("robot").to_owned();
    if !chosen.is_empty() && !names.contains(&chosen) {
        names.push(chosen);
    }
    names.sort();
    names
}

/// All rows of a report as a CSV file, read part by part while it is sent.
///
/// A database that fails in the middle breaks the transfer off: the browser says so, and no file looks whole that is not.
pub(super) async fn table<R: Report>(
    _: Viewer,
    filters: Filters<R::Only>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let only = filters.only;
    let columns = R::columns(&only)?;
    let first = R::select(&state, &only, csv_part(None)).await?;
    let mut head = csv::line(&columns)?;
    head.extend(csv::body(&first.items, &columns)?);
    let further = (first.next, 1, state, only, columns);
    let further = stream::unfold(further, |(next, read, state, only, columns)| async move {
        let after = next.filter(|_| read < CSV_PARTS_MAX)?;
        let (piece, next) = match R::select(&state, &only, csv_part(Some(after))).await {
            Ok(page) => (csv::body(&page.items, &columns), page.next),
            Err(error) => (Err(error), None),
        };
        let piece = piece.map(Bytes::from);
        Some((piece, (next, read + 1, state, only, columns)))
    });
    let head = stream::iter([Ok(Bytes::from(head))]);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, csv::CSV))
        .insert_header(attachment(filters.address.name()))
        .streaming(head.chain(further)))
}

const fn csv_part(after: Option<i64>) -> PageRequest {
    let limit = PAGE_ROWS_MAX;
    PageRequest { limit, after }
}

/// Has the browser keep an answer as a file of this name.
pub(super) fn attachment(name: &str) -> ContentDisposition {
    ContentDisposition {
        disposition: DispositionType::Attachment,
        parameters: vec![DispositionParam::Filename(name.to_owned())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_filters_and_loses_its_place() {
        let address = Address::of("/tasks", "status=failed&robot=a.b&cursor=00");
        assert_eq!(address.newest(), "/tasks?status=failed&robot=a.b");
        assert_eq!(address.csv(), "/tasks.csv?status=failed&robot=a.b");
        assert_eq!(address.older(None), None);
        let older = address.older(Some(7)).unwrap();
        assert!(older.starts_with("/tasks?status=failed&robot=a.b&cursor=0000000000000007"));
        assert_eq!(
            (address.value("status"), address.value("x")),
            ("failed", "")
        );
        let odd = Address::of("/tasks", "robot=%26%3D+%22");
        assert_eq!(odd.newest(), "/tasks?robot=%26%3D+%22");
        assert!(Address::of("/tasks", "").is_plain() && !odd.is_plain());
    }
}
