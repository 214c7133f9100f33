//! Orders of operations, and operations as they are shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{RequestBody, whole};
use super::csv::Row;
use super::time::{check_time, instant};
use crate::domain::id::{InventoryId, OperationId};
use crate::domain::operation::{OperationKind, OperationState, WaitReason};
use crate::domain::robot::FieldError;
use crate::domain::task::{PRIORITY_MAX, PRIORITY_MIN};
use crate::domain::time::Timestamp;
use crate::domain::transcript::Step;
use crate::robots::waiting::WaitingFor;
use crate::store::operation::{Operation, OperationAttempt};

/// An operation to be carried out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "change_password", "credential": "17"}))]
pub struct CreateOperationBody {
    /// What to do.
    pub(super) kind: OperationKind,
    /// To whose account.
    #[schema(value_type = String)]
    pub(super) credential: InventoryId,
    /// The template, for `run_template` and for nothing else.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) template: Option<InventoryId>,
    /// Of those that are due the higher one is begun first; 4 when absent.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 9)]
    pub(super) priority: Option<i16>,
    /// Not before this; at once when absent.
    #[serde(default, deserialize_with = "instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) run_at: Option<Timestamp>,
    /// Not begun after this.
    #[serde(default, deserialize_with = "instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) expires_at: Option<Timestamp>,
}

impl RequestBody for CreateOperationBody {}

impl CreateOperationBody {
    /// What is wrong with the fields alone.
    pub(super) fn problems(&self, now: Timestamp) -> Vec<FieldError> {
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
        if self
            .priority
            .is_some_and(|priority| !(PRIORITY_MIN..=PRIORITY_MAX).contains(&priority))
        {
            let detail = format!("must lie between {PRIORITY_MIN} and {PRIORITY_MAX}");
            errors.push(FieldError::new("priority", detail));
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
    /// 0 to 9: of those that are due the higher one is begun first.
    pub priority: i16,
    /// The version of the new secret, of operations that change or settle it. While one is open, the target may know it.
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
        "priority",
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
            priority: operation.priority,
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
    /// Why it is not worked on now; null where it is, or has ended.
    pub waiting_for: Option<WaitingForView>,
    /// Its attempts that are over, the first one first.
    pub history: Vec<AttemptView>,
}

/// What an operation waits for.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitingForView {
    /// Why.
    pub reason: WaitReason,
    /// Until when at the latest, where that is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// The credential whose account must not sign in before.
    #[schema(value_type = Option<String>)]
    pub credential: Option<InventoryId>,
    /// The operation that comes first.
    #[schema(value_type = Option<String>)]
    pub operation: Option<OperationId>,
}

impl From<WaitingFor> for WaitingForView {
    fn from(waits: WaitingFor) -> Self {
        let WaitingFor {
            reason,
            until,
            credential,
            operation,
        } = waits;
        Self {
            reason,
            until,
            credential,
            operation,
        }
    }
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
    /// What was done at the target, in its order; at most 20 steps. Secrets are masked.
    pub steps: Vec<StepView>,
}

/// A step of an attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What was done.
    pub what: String,
    /// What came of it: at most 1,000 characters.
    pub said: String,
}

impl From<Step> for StepView {
    fn from(step: Step) -> Self {
        let Step {
            at,
            took_ms,
            what,
            said,
        } = step;
        Self {
            at,
            took_ms,
            what,
            said,
        }
    }
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
            steps: attempt.steps.into_iter().map(StepView::from).collect(),
        }
    }
}
