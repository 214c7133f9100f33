//! `/credentials/{id}/views`: who looked at the secret, and when.

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
use crate::domain::time::Timestamp;
use crate::store::credential_view::{CredentialView, CredentialViewFilter};
use crate::store::page::Page;

/// A view of a secret.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CredentialViewView {
    /// Rises from view to view.
    id: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who: a token's name.
    actor: String,
    /// Which version of the secret was shown.
    secret_version: i64,
    /// Why, in the viewer's words.
    reason: Option<String>,
}

impl Row for CredentialViewView {
    const COLUMNS: &'static [&'static str] = &["id", "at", "actor", "secret_version", "reason"];
}

impl From<CredentialView> for CredentialViewView {
    fn from(view: CredentialView) -> Self {
        let CredentialView {
            id,
            at,
            version,
            actor,
            reason,
        } = view;
        Self {
            id: id.to_string(),
            at,
            actor,
            secret_version: version,
            reason,
        }
    }
}

/// Filters of the views.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ViewsParams {
    /// Only by this actor.
    #[param(value_type = Option<String>, min_length = 1, max_length = 256, nullable = false)]
    actor: Option<String>,
}

impl FromParams for ViewsParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self {
            actor: params.text("actor", 256),
        }
    }
}

/// Who looked at the secret of a credential, and when, newest first; of a credential that is gone too, as long as its views are
/// kept. CSV by `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/v1/credentials/{id}/views", tag = "credentials", operation_id = "credential_views",
    params(
        ("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$"),
        PageParams, ViewsParams, SpanParams,
    ),
    responses((status = 200, description = "Views",
        content((ListView<CredentialViewView> = "application/json"), (String = "text/csv"))))
)]
pub(in crate::api) async fn list(
    _: Viewer,
    PathItem { spec, id }: PathItem,
    Query((page, only, span)): Query<(PageParams, ViewsParams, SpanParams)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let filter = CredentialViewFilter {
        credential: id,
        actor: only.actor,
        from: span.from,
        to: span.to,
    };
    let found = state
        .store
        .credential_view_list(filter, page.request())
        .await?;
    if found.items.is_empty() {
        // An id that never was is an error, and no empty answer.
        state.inventory.get(spec.noun, id).await?;
    }
    let items: Vec<_> = found
        .items
        .into_iter()
        .map(CredentialViewView::from)
        .collect();
    let next = found.next;
    report(&request, Page { items, next })
}
