//! Approvals: the report on tasks that wait, or waited, for somebody's decision, and deciding on them.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::form::Posted;
use super::list::{List, Report};
use super::moment::{Age, At};
use super::shell::{Place, Shell, see_and_tell};
use super::words::{self, Word};
use super::{plain, text as t};
use crate::api::csv::Row as _;
use crate::api::path::PathId;
use crate::api::task_approvals::{
    self, PathDecision, TaskApprovalParams, TaskApprovalView, decide_task,
};
use crate::api::{ApiError, ApiState, Operator};
use crate::domain::approval::{ApprovalState, Decision};
use crate::domain::id::TaskId;
use crate::domain::time::Timestamp;
use crate::store::page::{Page, PageRequest};

/// Characters of what a task means that a row shows; all of it is on the page of the task.
const MEANING_CHARS: usize = 160;

/// The report.
pub(super) struct Approvals;

#[derive(Template)]
#[template(path = "approvals.html")]
pub(super) struct ApprovalsPage {
    shell: Shell,
    list: List,
    rows: Vec<Approval>,
}

/// A decision that is to be made, or was; `approval.html` and the page of the task show it.
pub(super) struct Approval {
    pub(super) task: String,
    pub(super) definition: String,
    pub(super) name: String,
    pub(super) meaning: String,
    pub(super) meaning_short: String,
    pub(super) state: Word,
    pub(super) role: &'static str,
    pub(super) asked: At,
    pub(super) asked_by: String,
    /// Until when it waits; none: it is over.
    pub(super) until: Option<Age>,
    pub(super) decided: Option<At>,
    pub(super) decided_by: Option<String>,
    pub(super) reason: Option<String>,
    /// Whether the viewer may decide.
    pub(super) is_open_to_viewer: bool,
}

impl Approval {
    pub(super) fn of(approval: TaskApprovalView, shell: &Shell, now: Timestamp) -> Self {
        let question = approval.question();
        let obstacle = |role| question.obstacle(&shell.name, role, now);
        let waits = approval.state == ApprovalState::WaitingApproval;
        Self {
            is_open_to_viewer: shell.role.is_some_and(|role| obstacle(role).is_none()),
            task: approval.task.to_string(),
            definition: approval.definition.to_string(),
            meaning: plain::visible(&format!("{:#}", approval.meaning)),
            meaning_short: plain::value(&approval.meaning, MEANING_CHARS),
            state: words::approval(approval.state),
            role: approval.role.as_str(),
            asked: At(approval.requested_at),
            asked_by: plain::visible(&approval.requested_by),
            until: waits.then_some(Age {
                of: approval.expires_at,
                now,
            }),
            decided: approval.decided_at.map(At),
            decided_by: approval.decided_by.as_deref().map(plain::visible),
            reason: approval.reason.as_deref().map(plain::visible),
            name: plain::visible(&approval.name),
        }
    }
}

impl Report for Approvals {
    const PLACE: Place = Place::Approvals;
    const TOPICS: &'static str = "task";
    const SUB: &'static str = t::APPROVALS_SUB;
    const EMPTY: &'static str = t::NO_APPROVALS;
    type Only = TaskApprovalParams;
    type View = TaskApprovalView;
    type Page = ApprovalsPage;

    async fn select(
        state: &ApiState,
        only: &TaskApprovalParams,
        part: PageRequest,
    ) -> Result<Page<TaskApprovalView>, ApiError> {
        task_approvals::select(state, only, part).await
    }

    fn columns(_: &Self::Only) -> Result<Vec<&'static str>, ApiError> {
        Ok(TaskApprovalView::COLUMNS.to_vec())
    }

    async fn page(
        state: &ApiState,
        _: &Self::Only,
        shell: Shell,
        list: List,
        views: Vec<TaskApprovalView>,
    ) -> Result<ApprovalsPage, ApiError> {
        let now = state.now();
        let views = views.into_iter();
        let rows = views.map(|view| Approval::of(view, &shell, now)).collect();
        Ok(ApprovalsPage { shell, list, rows })
    }
}

/// Lets a task begin, or keeps it from beginning.
pub(super) async fn decide(
    Operator(caller): Operator,
    PathId(task): PathId<TaskId>,
    PathDecision(decision): PathDecision,
    Posted(fields): Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let reason = Some(fields.text("reason").to_owned()).filter(|reason| !reason.is_empty());
    decide_task(&state, (task, decision), reason, &caller).await?;
    let told = match decision {
        Decision::Approve => "approved",
        Decision::Deny => "denied",
    };
    let back = fields.back(Place::Approvals.address());
    Ok(see_and_tell(back, told, &task.to_string()))
}
