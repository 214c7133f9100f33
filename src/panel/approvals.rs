//! Approvals: the report on tasks that wait, or waited, for somebody's decision, and deciding on them.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::form::Posted;
use super::list::{List, Report};
use super::meaning::{self, Meaning};
use super::moment::{Age, At};
use super::shell::{Place, Shell, see_and_tell};
use super::words::{self, Word};
use super::{inventory, plain, text as t};
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

/// Devices that a row names; all of them are on the page of the task.
const DEVICES_SHOWN: usize = 3;

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
    pub(super) meaning: Meaning,
    pub(super) state: Word,
    pub(super) role: &'static str,
    pub(super) asked: At,
    pub(super) asked_by: String,
    /// Until when it waits; none: it is over.
    pub(super) until: Option<(At, Age)>,
    pub(super) decided: Option<At>,
    pub(super) decided_by: Option<String>,
    pub(super) reason: Option<String>,
    /// Whether the viewer may decide.
    pub(super) is_open_to_viewer: bool,
}

impl Approval {
    /// One as the page of its task shows it.
    pub(super) async fn whole(
        state: &ApiState,
        approval: TaskApprovalView,
        shell: &Shell,
    ) -> Result<Self, ApiError> {
        let all = meaning::wanted(&approval.meaning, usize::MAX);
        let names = inventory::named(state, all).await?;
        let meaning = Meaning::of(&approval.meaning, &names, usize::MAX);
        Ok(Self::of(approval, meaning, shell, state.now()))
    }

    fn of(approval: TaskApprovalView, meaning: Meaning, shell: &Shell, now: Timestamp) -> Self {
        let question = approval.question();
        let obstacle = |role| question.obstacle(&shell.name, role, now);
        let waits = approval.state == ApprovalState::WaitingApproval;
        Self {
            is_open_to_viewer: shell.role.is_some_and(|role| obstacle(role).is_none()),
            task: approval.task.to_string(),
            definition: approval.definition.to_string(),
            meaning,
            state: words::approval(approval.state),
            role: approval.role.as_str(),
            asked: At(approval.requested_at),
            asked_by: plain::visible(&approval.requested_by),
            until: waits.then(|| {
                let of = approval.expires_at;
                (At(of), Age { of, now })
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
        let wanted = views
            .iter()
            .flat_map(|view| meaning::wanted(&view.meaning, DEVICES_SHOWN));
        let names = inventory::named(state, wanted).await?;
        let row = |view: TaskApprovalView| {
            let meaning = Meaning::of(&view.meaning, &names, DEVICES_SHOWN);
            Approval::of(view, meaning, &shell, now)
        };
        let rows = views.into_iter().map(row).collect();
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
