//! `/audit`: who changed what, when, before and after.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::Viewer;
use super::csv::{Row, report};
use super::error::ApiError;
use super::paging::{ListView, PageParams};
use super::query::{FromParams, Params, Query, SpanParams};
use super::state::ApiState;
use crate::domain::audit::AuditEntry;
use crate::domain::time::Timestamp;
use crate::store::audit::AuditFilter;
use crate::store::page::{Page, PageRequest};

/// One change that somebody made.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditView {
    /// Rises from entry to entry.
    pub id: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who: a token's name, or where the change came from.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub object: String,
    /// The changed fields before.
    #[schema(value_type = Value)]
    pub before: Option<Value>,
    /// The changed fields after.
    #[schema(value_type = Value)]
    pub after: Option<Value>,
    /// Hash of the entry before.
    pub prev_hash: String,
    /// Hash of this entry; a changed or missing entry breaks the chain.
    pub hash: String,
}

impl Row for AuditView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "at",
        "actor",
        "action",
        "object",
        "before",
        "after",
        "prev_hash",
        "hash",
    ];
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry {
            id,
            at,
            actor,
            action,
            object,
            before,
            after,
            prev_hash,
            hash,
        } = entry;
        Self {
            id: id.to_string(),
            at,
            actor,
            action,
            object,
            before,
            after,
            prev_hash,
            hash,
        }
    }
}

/// Filters of the trail.
#[derive(Debug, Clone, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditParams {
    /// Only changes by this actor.
    #[param(value_type = Option<String>, min_length = 1, max_length = 256, nullable = false)]
    pub actor: Option<String>,
    /// Only changes of this object.
    #[param(value_type = Option<String>, min_length = 1, max_length = 256, nullable = false)]
    pub object: Option<String>,
}

impl FromParams for AuditParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self {
            actor: params.text("actor", 256),
            object: params.text("object", 256),
        }
    }
}

/// What selects entries of the trail.
pub type TrailParams = (AuditParams, SpanParams);

/// A part of the audit trail.
///
/// # Errors
/// A database that does not answer.
pub async fn select(
    state: &ApiState,
    (only, span): &TrailParams,
    page: PageRequest,
) -> Result<Page<AuditView>, ApiError> {
    let filter = AuditFilter {
        actor: only.actor.clone(),
        object: only.object.clone(),
        from: span.from,
        to: span.to,
    };
    let trail = state.store.audit_list(filter, page).await?;
    Ok(Page {
        items: trail.items.into_iter().map(AuditView::from).collect(),
        next: trail.next,
    })
}

/// The audit trail, newest first. CSV by `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit", operation_id = "audit_list",
    params(PageParams, AuditParams, SpanParams),
    responses((status = 200, description = "Changes",
        content((ListView<AuditView> = "application/json"), (String = "text/csv"))))
)]
pub(super) async fn list(
    _: Viewer,
    Query((page, only, span)): Query<(PageParams, AuditParams, SpanParams)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let only = (only, span);
    report(&request, select(&state, &only, page.request()).await?)
}
