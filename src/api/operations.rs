//! `/operations`: what is to be done to the accounts of credentials, and what became of it.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::auth::{Operator, Viewer};
use super::body::Json;
use super::csv::report;
use super::error::{ApiError, Code, Problem};
use super::operation_view::CreateOperationBody;
use super::paging::{ListView, PageParams};
use super::path::{Noun, PathId};
use super::query::{FromParams, Params, Query};
use super::state::ApiState;
use crate::domain::id::{InventoryId, OperationId};
use crate::domain::inventory::Noun as Inventory;
use crate::domain::operation::{ChangeCause, OperationKind, OperationState};
use crate::domain::task::PRIORITY_DEFAULT;
use crate::robot::operation;
use crate::robots::fitness;
use crate::robots::waiting::waiting_for;
use crate::store::StoreError;
use crate::store::operation::{NewOperation, OperationFilter};
use crate::store::page::{Page, PageRequest};

pub use super::operation_view::{
    AttemptView, OperationDetailView, OperationView, StepView, WaitingForView,
};

impl Noun for OperationId {
    const NOUN: &'static str = "operation";
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
    let unfit = fitness::refusal(&state.inventory, body.kind, body.credential).await?;
    if let Some(error) = unfit {
        return Err(ApiError::fields(Code::Invalid, Vec::from([error])));
    }
    let order = NewOperation {
        kind: body.kind,
        credential: body.credential,
        run_at: body.run_at,
        expires_at: body.expires_at,
        template: body.template,
        priority: body.priority.unwrap_or(PRIORITY_DEFAULT),
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

/// One operation, with its attempts, and what it waits for.
///
/// # Errors
/// There is none of this id; a database that does not answer.
pub async fn one(state: &ApiState, id: OperationId) -> Result<OperationDetailView, ApiError> {
    let operation = state.store.operation_get(id).await?;
    let attempts = state.store.operation_attempts(id).await?;
    let waits = waiting_for(&state.store, state.registry(), &operation, state.now()).await?;
    Ok(OperationDetailView {
        operation: operation.into(),
        waiting_for: waits.map(WaitingForView::from),
        history: attempts.into_iter().map(AttemptView::from).collect(),
    })
}

/// One operation, with its attempts, and what it waits for.
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
