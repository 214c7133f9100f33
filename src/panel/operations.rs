//! Operations: the report on what is done to accounts, and the page of one with its attempts.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use askama::Template;

use super::form::Posted;
use super::inventory::{self, Names};
use super::list::{List, Report};
use super::moment::{Age, At, took};
use super::shell::{Place, Shell, Visit, answer, see_and_tell};
use super::words::{self, Word};
use super::{plain, text as t};
use crate::api::csv::Row as _;
use crate::api::operations::{
    self, AttemptView, OperationParams, OperationView, StepView, WaitingForView,
};
use crate::api::path::PathId;
use crate::api::query::Query;
use crate::api::{ApiError, ApiState, Operator, Viewer};
use crate::domain::id::OperationId;
use crate::domain::inventory::Noun;
use crate::domain::operation::{OperationKind, OperationState};
use crate::domain::time::Timestamp;
use crate::store::page::{Page, PageRequest};

/// The report.
pub(super) struct Operations;

#[derive(Template)]
#[template(path = "operations.html")]
pub(super) struct OperationsPage {
    shell: Shell,
    list: List,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "operation.html")]
struct OperationPage {
    shell: Shell,
    row: Row,
    expires: Option<At>,
    template: Option<String>,
    candidate: Option<i64>,
    waits: Option<Waits>,
    attempts: Vec<Attempt>,
}

/// An operation as a row, and as what stands first on its page.
struct Row {
    id: String,
    kind: &'static str,
    state: Word,
    error_class: Option<String>,
    credential: String,
    account: String,
    attempts: u32,
    ordered: At,
    ordered_by: String,
    due: Option<Age>,
    finished: Option<Age>,
    can_cancel: bool,
}

/// Why it waits: in words, until when, and what it waits for.
struct Waits {
    why: &'static str,
    until: Option<At>,
    credential: Option<String>,
    operation: Option<String>,
}

impl Waits {
    fn of(waits: &WaitingForView) -> Self {
        Self {
            why: words::wait(waits.reason),
            until: waits.until.map(At),
            credential: waits.credential.map(|id| id.to_string()),
            operation: waits.operation.map(|id| id.to_string()),
        }
    }
}

/// An attempt that is over.
struct Attempt {
    number: u32,
    started: At,
    ended: At,
    state: Word,
    refused: u32,
    error: String,
    steps: Vec<Step>,
}

/// Something that was done at the target, secrets masked.
struct Step {
    at: At,
    took: String,
    what: String,
    said: String,
}

impl Row {
    fn of(operation: &OperationView, accounts: &Names, now: Timestamp) -> Self {
        let age = |of| Age { of, now };
        let open = operation.finished_at.is_none();
        let waits = open && operation.state != OperationState::Running;
        let credential = operation.credential.to_string();
        let account = accounts.get(&(Noun::Credential, operation.credential.0));
        Self {
            id: operation.id.to_string(),
            kind: words::operation_kind(operation.kind),
            state: words::operation(operation.state),
            error_class: operation.error_class.as_deref().map(plain::visible),
            account: account.cloned().unwrap_or_else(|| credential.clone()),
            credential,
            attempts: operation.attempts,
            ordered: At(operation.created_at),
            ordered_by: plain::visible(&operation.requested_by),
            due: waits.then(|| age(operation.run_at)),
            finished: operation.finished_at.map(age),
            can_cancel: waits,
        }
    }
}

impl Attempt {
    fn of(attempt: AttemptView) -> Self {
        let said = [attempt.error_class, attempt.detail];
        let said: Vec<_> = said.into_iter().flatten().collect();
        Self {
            number: attempt.number,
            started: At(attempt.started_at),
            ended: At(attempt.ended_at),
            state: words::operation(attempt.state),
            refused: attempt.refused,
            error: plain::visible(&said.join(": ")),
            steps: attempt.steps.into_iter().map(Step::of).collect(),
        }
    }
}

impl Step {
    fn of(step: StepView) -> Self {
        Self {
            at: At(step.at),
            took: took(Duration::from_millis(step.took_ms)),
            what: plain::visible(&step.what),
            said: plain::visible(&step.said),
        }
    }
}

impl Report for Operations {
    const PLACE: Place = Place::Operations;
    const TOPICS: &'static str = "inventory process";
    const SUB: &'static str = t::OPERATIONS_SUB;
    const EMPTY: &'static str = t::NO_OPERATIONS;
    type Only = OperationParams;
    type View = OperationView;
    type Page = OperationsPage;

    async fn select(
        state: &ApiState,
        only: &OperationParams,
        part: PageRequest,
    ) -> Result<Page<OperationView>, ApiError> {
        operations::select(state, only, part).await
    }

    fn columns(_: &Self::Only) -> Result<Vec<&'static str>, ApiError> {
        Ok(OperationView::COLUMNS.to_vec())
    }

    async fn page(
        state: &ApiState,
        _: &Self::Only,
        shell: Shell,
        list: List,
        views: Vec<OperationView>,
    ) -> Result<OperationsPage, ApiError> {
        let accounts = accounts(state, &views).await?;
        let now = state.now();
        let row = |operation| Row::of(operation, &accounts, now);
        Ok(OperationsPage {
            shell,
            list,
            rows: views.iter().map(row).collect(),
        })
    }
}

/// The names of the accounts that operations are for.
async fn accounts(state: &ApiState, operations: &[OperationView]) -> Result<Names, ApiError> {
    let credentials = operations.iter().map(|one| one.credential);
    inventory::named(state, credentials.map(|id| (Noun::Credential, id))).await
}

/// Shows an operation.
pub(super) async fn page(
    Viewer(caller): Viewer,
    PathId(id): PathId<OperationId>,
    _: Query<()>,
    visit: Visit,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let found = operations::one(&state, id).await?;
    let operation = found.operation;
    let accounts = accounts(&state, std::slice::from_ref(&operation)).await?;
    let title = format!("{} {id}", t::OPERATION);
    answer(&OperationPage {
        shell: visit.shell(Some(&caller), Place::Operations, title, Operations::TOPICS),
        row: Row::of(&operation, &accounts, state.now()),
        expires: operation.expires_at.map(At),
        template: operation.template.map(|id| id.to_string()),
        candidate: operation.candidate_version,
        waits: found.waiting_for.as_ref().map(Waits::of),
        attempts: found.history.into_iter().map(Attempt::of).collect(),
    })
}

/// Ends an operation that waits.
pub(super) async fn cancel(
    Operator(caller): Operator,
    PathId(id): PathId<OperationId>,
    Posted(fields): Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    operations::cancel_operation(&state, id, &caller.name).await?;
    let back = fields.back(Place::Operations.address());
    Ok(see_and_tell(back, "operation_cancelled", &id.to_string()))
}
