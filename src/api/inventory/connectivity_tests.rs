//! `/devices/{id}/connectivity-tests`: what was found of a device's ways.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::Viewer;
use super::super::csv::{Row, report};
use super::super::error::ApiError;
use super::super::paging::{ListView, PageParams};
use super::super::query::{FromParams, Params, Query, SpanParams};
use super::super::state::ApiState;
use super::target::PathItem;
use crate::domain::inventory::Protocol;
use crate::domain::time::Timestamp;
use crate::store::connectivity::{ConnectivityTest, ConnectivityTestFilter};

/// A test of a way to a device.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ConnectivityTestView {
    /// Rises from test to test.
    id: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What was spoken.
    protocol: String,
    /// The port.
    port: i64,
    /// Whether it answered.
    answered: bool,
    /// Class of the failure, where it did not, or showed another key than the one that is pinned.
    error_class: Option<String>,
    /// How long the answer took, in microseconds.
    latency_us: Option<i64>,
}

impl Row for ConnectivityTestView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "at",
        "protocol",
        "port",
        "answered",
        "error_class",
        "latency_us",
    ];
}

impl From<ConnectivityTest> for ConnectivityTestView {
    fn from(test: ConnectivityTest) -> Self {
        let ConnectivityTest {
            id,
            at,
            protocol,
            port,
            error_class,
            latency_us,
        } = test;
        let failed = error_class.as_deref();
        Self {
            id: id.to_string(),
            at,
            protocol,
            port,
            answered: failed.is_none_or(|class| class == MISMATCH),
            error_class,
            latency_us,
        }
    }
}

/// A machine that shows another key does answer.
const MISMATCH: &str = crate::domain::failure::FailureClass::HostKeyMismatch.as_str();

/// Filters of the tests.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct TestsParams {
    /// Only of this protocol, such as `ssh`.
    #[param(value_type = Option<Protocol>, nullable = false)]
    protocol: Option<Protocol>,
}

impl FromParams for TestsParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self {
            protocol: params.word("protocol"),
        }
    }
}

/// What was found of a device's ways in the last 30 days, newest first; of a device that is gone too. CSV by `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/v1/devices/{id}/connectivity-tests", tag = "devices", operation_id = "device_connectivity_tests",
    params(
        ("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$"),
        PageParams, TestsParams, SpanParams,
    ),
    responses((status = 200, description = "Tests",
        content((ListView<ConnectivityTestView> = "application/json"), (String = "text/csv"))))
)]
pub(in crate::api) async fn list(
    _: Viewer,
    PathItem { spec, id }: PathItem,
    Query((page, only, span)): Query<(PageParams, TestsParams, SpanParams)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let filter = ConnectivityTestFilter {
        device: id,
        protocol: only.protocol.map(|one| one.as_str().to_owned()),
        from: span.from,
        to: span.to,
    };
    let found = state
        .store
        .connectivity_test_list(filter, page.request())
        .await?;
    if found.items.is_empty() {
        // An id that never was is an error, and no empty answer.
        state.inventory.get(spec.noun, id).await?;
    }
    report(&request, found.map(ConnectivityTestView::from))
}
