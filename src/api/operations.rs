//! `/operations`: what is to be done to the accounts of credentials, and what became of it.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Operator, Viewer};
use super::body::{Json, RequestBody};
use super::csv::{Row, report};
use super::error::{ApiError, Code, Problem};
use super::paging::{ListView, PageParams};
use super::path::{Noun, PathId};
use super::query::{FromParams, Params, Query};
use super::state::ApiState;
use super::time::{check_time, instant};
use crate::domain::id::{InventoryId, OperationId};
use crate::domain::inventory::Noun as Inventory;
use crate::domain::operation::{ChangeCause, OperationKind, OperationState};
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use crate::robot::operation;
use crate::store::StoreError;
use crate::store::operation::{NewOperation, Operation, OperationAttempt, OperationFilter};
use crate::store::page::{Page, PageRequest};

impl Noun for OperationId {
    const NOUN: &'static str = "operation";
}

/// An operation to be carried out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "change_password", "credential": "17"}))]
pub struct CreateOperationBody {
    /// What to do.
    kind: OperationKind,
    /// To whose account.
    #[schema(value_type = String)]
    credential: InventoryId,
    /// The template, for `run_template` and for nothing else.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    template: Option<InventoryId>,
    /// Not before this; at once when absent.
    #[serde(default, deserialize_with = "instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    run_at: Option<Timestamp>,
    /// Not begun after this.
    #[serde(default, deserialize_with = "instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

impl RequestBody for CreateOperationBody {}

impl CreateOperationBody {
    fn problems(&self, now: Timestamp) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (field, at) in [("run_at", self.run_at), ("expires_at", self.expires_at)] {
            if let Some(Err(error)) = at.map(check_time) {
                errors.push(FieldError::new(field, error.to_string()));
            }
        }
        let runs = self.kind == OperationKind::RunTemplate;
        if runs != self.template.is_some() {
            let detail = if runs {
                "must name the template to run"
            } else {
                "must stand with `run_template` only"
            };
            errors.push(FieldError::new("template", detail));
        }
        let begins = self.run_at.unwrap_or(now);
        if self.expires_at.is_some_and(|end| end <= begins) {
            let detail = "must lie after `run_at`, or after now";
            errors.push(FieldError::new("expires_at", detail));
        }
        errors
    }
}

/// An operation.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: OperationId,
    /// What is done.
    pub kind: OperationKind,
    /// To whose account.
    #[schema(value_type = String)]
    pub credential: InventoryId,
    /// Where it stands.
    pub state: OperationState,
    /// Class of the last failure, such as `auth_failed`.
    pub error_class: Option<String>,
    /// Attempts begun.
    pub attempts: u32,
    /// When it was, or will be, due.
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Timestamp,
    /// Not begun after this.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// The template, of `run_template`.
    #[schema(value_type = Option<String>)]
    pub template: Option<InventoryId>,
    /// The version of the new secret. While the operation is open, the target may know it.
    pub candidate_version: Option<i64>,
    /// Who ordered it.
    pub requested_by: String,
    /// When it was ordered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// When it ended; null while it is open.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
}

impl Row for OperationView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "kind",
        "credential",
        "state",
        "error_class",
        "attempts",
        "run_at",
        "expires_at",
        "template",
        "candidate_version",
        "requested_by",
        "created_at",
        "updated_at",
        "finished_at",
    ];
}

impl From<Operation> for OperationView {
    fn from(operation: Operation) -> Self {
        Self {
            id: operation.id,
            kind: operation.kind,
            credential: operation.credential,
            state: operation.state,
            error_class: operation.error_class,
            attempts: operation.attempts,
            run_at: operation.run_at,
            expires_at: operation.expires_at,
            template: operation.template,
            candidate_version: operation.candidate,
            requested_by: operation.requested_by,
            created_at: operation.created_at,
            updated_at: operation.updated_at,
            finished_at: operation.finished_at,
        }
    }
}

/// An operation with its attempts.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationDetailView {
    /// The operation.
    #[serde(flatten)]
    pub operation: OperationView,
    /// Its attempts that are over, the first one first.
    pub history: Vec<AttemptView>,
}

/// An attempt that is over.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    /// 1 is the first.
    pub number: u32,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub ended_at: Timestamp,
    /// Where it left the operation.
    pub state: OperationState,
    /// Class of its failure.
    pub error_class: Option<String>,
    /// What went wrong, for people.
    pub detail: Option<String>,
    /// Sign-ins that the target refused.
    pub refused: u32,
}

impl From<OperationAttempt> for AttemptView {
    fn from(attempt: OperationAttempt) -> Self {
        Self {
            number: attempt.number,
            started_at: attempt.started_at,
            ended_at: attempt.ended_at,
            state: attempt.state,
            error_class: attempt.error_class,
            detail: attempt.detail,
            refused: attempt.refused,
        }
    }
}

/// Filters of the list.
#[derive(Debug, Clone, Copy, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OperationParams {
    /// Only in this state.
    #[param(value_type = Option<OperationState>, nullable = false)]
    state: Option<OperationState>,
    /// Only of this kind.
    #[param(value_type = Option<OperationKind>, nullable = false)]
    kind: Option<OperationKind>,
    /// Only of this credential.
    #[param(value_type = Option<String>, nullable = false)]
    credential: Option<InventoryId>,
}

impl FromParams for OperationParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self {
            state: params.word("state"),
            kind: params.word("kind"),
            credential: params.id("credential"),
        }
    }
}

/// Orders an operation.
#[utoipa::path(
    post, path = "/api/v1/operations", tag = "operations", operation_id = "operation_create",
    request_body(content = CreateOperationBody),
    responses(
        (status = 202, description = "It is ordered", body = OperationView,
            headers(("Location" = String, description = "The operation"))),
        (status = 409, description = "One of this kind is open for the credential", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn create(
    Operator(caller): Operator,
    _: Query<()>,
    Json(body): Json<CreateOperationBody>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let now = state.now();
    let errors = body.problems(now);
    if !errors.is_empty() {
        return Err(ApiError::fields(Code::Invalid, errors));
    }
    must_be_there(&state, Inventory::Credential, body.credential).await?;
    if let Some(template) = body.template {
        must_be_there(&state, Inventory::OperationTemplate, template).await?;
    }
    let order = NewOperation {
        kind: body.kind,
        credential: body.credential,
        run_at: body.run_at,
        expires_at: body.expires_at,
        template: body.template,
        requested_by: caller.name.clone(),
        cause: ChangeCause::Ordered,
    };
    let made = operation::order(&state.store, state.registry(), Vec::from([order]), now).await?;
    let Some(id) = made.first() else {
        let detail = format!("an operation `{}` of this credential is open", body.kind);
        return Err(ApiError::new(Code::Conflict, detail));
    };
    let view = OperationView::from(state.store.operation_get(*id).await?);
    Ok(HttpResponse::Accepted()
        .insert_header((header::LOCATION, format!("/api/v1/operations/{id}")))
        .json(view))
}

/// Refuses a field that names a thing that is not there.
async fn must_be_there(state: &ApiState, noun: Inventory, id: InventoryId) -> Result<(), ApiError> {
    match state.inventory.get(noun, id).await {
        Err(StoreError::NotFound { .. }) => {
            let field = match noun {
                Inventory::OperationTemplate => "template",
                _ => noun.spec().word,
            };
            let detail = format!("there is no {} `{id}`", noun.title());
            Err(ApiError::field(Code::Invalid, field, detail))
        }
        found => Ok(found.map(drop)?),
    }
}

/// A part of the operations, newest first.
///
/// # Errors
/// A database that does not answer.
pub async fn select(
    state: &ApiState,
    only: &OperationParams,
    page: PageRequest,
) -> Result<Page<OperationView>, ApiError> {
    let filter = OperationFilter {
        state: only.state,
        kind: only.kind,
        credential: only.credential,
    };
    let found = state.store.operation_list(filter, page).await?;
    Ok(found.map(OperationView::from))
}

/// Operations, newest first. CSV by `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/v1/operations", tag = "operations", operation_id = "operation_list",
    params(PageParams, OperationParams),
    responses((status = 200, description = "Operations",
        content((ListView<OperationView> = "application/json"), (String = "text/csv"))))
)]
pub(super) async fn list(
    _: Viewer,
    Query((page, only)): Query<(PageParams, OperationParams)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    report(&request, select(&state, &only, page.request()).await?)
}

/// One operation, with its attempts.
///
/// # Errors
/// There is none of this id; a database that does not answer.
pub async fn one(state: &ApiState, id: OperationId) -> Result<OperationDetailView, ApiError> {
    let operation = state.store.operation_get(id).await?.into();
    let attempts = state.store.operation_attempts(id).await?;
    let history = attempts.into_iter().map(AttemptView::from).collect();
    Ok(OperationDetailView { operation, history })
}

/// One operation, with its attempts.
#[utoipa::path(
    get, path = "/api/v1/operations/{id}", tag = "operations", operation_id = "operation_get",
    params(("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$")),
    responses((status = 200, description = "The operation", body = OperationDetailView))
)]
pub(super) async fn get(
    _: Viewer,
    PathId(id): PathId<OperationId>,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<web::Json<OperationDetailView>, ApiError> {
    one(&state, id).await.map(web::Json)
}

/// Ends an operation that waits, in the name of `actor`.
///
/// # Errors
/// There is none of this id, or it is running or has ended; a database that does not answer.
pub async fn cancel_operation(
    state: &ApiState,
    id: OperationId,
    actor: &str,
) -> Result<OperationView, ApiError> {
    let (registry, now) = (state.registry(), state.now());
    let cancelled = operation::cancel(&state.store, registry, id, actor, now).await?;
    Ok(cancelled.into())
}

/// Ends an operation that waits. One that is running is not stopped half-way.
#[utoipa::path(
    post, path = "/api/v1/operations/{id}/cancel", tag = "operations", operation_id = "operation_cancel",
    params(("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$")),
    responses(
        (status = 200, description = "It is cancelled", body = OperationView),
        (status = 409, description = "It is running, or has ended", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn cancel(
    Operator(caller): Operator,
    PathId(id): PathId<OperationId>,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<web::Json<OperationView>, ApiError> {
    let cancelled = cancel_operation(&state, id, &caller.name).await;
    cancelled.map(web::Json)
}
