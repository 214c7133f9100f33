//! What is written of an attempt, and who is told.

use super::{Run, Whole};
use crate::domain::failure::FailureClass;
use crate::domain::operation::{After, AttemptEnd, Finding, OperationKind, OperationState};
use crate::domain::time::Timestamp;
use crate::robot::RobotError;
use crate::robot::operation::Told;
use crate::store::event::NewEvent;
use crate::store::operation::{Operation, OperationAttempt, OperationEnd};

impl Run<'_> {
    /// Records what an attempt came to.
    pub(super) async fn record(
        &self,
        operation: &Operation,
        started_at: Timestamp,
        whole: Whole,
    ) -> Result<Option<OperationState>, RobotError> {
        let Whole {
            made,
            before,
            refused,
            transcript,
        } = whole;
        let (ctx, ended) = (self.ctx, made.ended);
        let now = ctx.clock().now();
        let after = no_earlier(self.after(operation, ended.end, now), made.not_before);
        let (state, run_at) = match after {
            After::Finished(state) => (state, None),
            After::Again { state, at } => (state, Some(at)),
        };
        let detail = ended.detail.as_deref().unwrap_or("done");
        ctx.info(format!("operation {} {state}: {detail}", operation.id));
        let class = class_of(ended.end);
        let facts = Facts {
            kind: operation.kind,
            after,
            class,
            candidate: ended.candidate,
            found: (before, made.finding),
        };
        let told = Told {
            error_class: class.map(FailureClass::as_str),
            ..Told::of(operation)
        };
        let registry = &ctx.tools().registry;
        let events: Vec<NewEvent> = facts
            .events()
            .into_iter()
            .map(|kind| told.event(kind, registry))
            .collect();
        let end = OperationEnd {
            id: operation.id,
            attempt: OperationAttempt {
                number: operation.attempts,
                process: ctx.run().process,
                started_at,
                ended_at: now,
                state,
                error_class: class.map(|class| class.as_str().to_owned()),
                detail: ended.detail,
                refused,
                steps: transcript.take(),
            },
            run_at,
            candidate: ended.candidate,
            finding: made.finding,
            admission: made.admission,
            events,
        };
        let kept = ctx.store().operation_end(end, now).await?;
        if !kept {
            ctx.warn(format!(
                "operation {} was taken away before it was recorded",
                operation.id
            ));
        }
        Ok(kept.then_some(state))
    }

    /// What follows from an attempt that ended now.
    fn after(&self, operation: &Operation, end: AttemptEnd, now: Timestamp) -> After {
        match end {
            AttemptEnd::Unverified(_) if !operation.kind.is_settled_by_trying() => {
                After::Finished(OperationState::Unverified)
            }
            end => {
                let policy = self.settings.attempt_policy(operation.kind, class_of(end));
                policy.after(end, operation.attempts, now, rand::random())
            }
        }
    }
}

/// The same, with the next attempt no earlier than it may be.
fn no_earlier(after: After, not_before: Option<Timestamp>) -> After {
    match (after, not_before) {
        (After::Again { state, at }, Some(not_before)) => After::Again {
            state,
            at: at.max(not_before),
        },
        _ => after,
    }
}

const fn class_of(end: AttemptEnd) -> Option<FailureClass> {
    match end {
        AttemptEnd::Done => None,
        AttemptEnd::Failed(class) | AttemptEnd::Unverified(class) => Some(class),
    }
}

/// What the events of an attempt follow from.
struct Facts {
    kind: OperationKind,
    after: After,
    class: Option<FailureClass>,
    /// The version that was put in force, or that the target may know.
    candidate: Option<i64>,
    /// What the account said of the secret in force, before and now.
    found: (Option<Finding>, Option<Finding>),
}

impl Facts {
    fn events(&self) -> Vec<&'static str> {
        use OperationState::{Failed, Succeeded, Unverified};
        let mut events = Vec::new();
        let temporary = self.class.is_some_and(FailureClass::is_temporary);
        match self.after {
            After::Finished(Succeeded) => events.push("operation.succeeded"),
            After::Finished(Failed) => {
                events.push("operation.failed");
                if self.kind.changes_secret() {
                    events.push("credential.password_change_failed");
                }
                if temporary {
                    events.push("operation.given_up");
                }
            }
            After::Finished(Unverified) => {
                events.extend(["operation.unverified", "operation.given_up"]);
            }
            After::Again {
                state: Unverified, ..
            } => events.push("operation.unverified"),
            After::Finished(_) | After::Again { .. } => {}
        }
        events.extend(self.of_the_credential(temporary));
        events
    }

    /// What is news of the credential: that it is as it was, nobody needs to hear again.
    fn of_the_credential(&self, temporary: bool) -> Option<&'static str> {
        let reconciles = self.kind == OperationKind::Reconcile;
        let (before, now) = self.found;
        let settled = self.candidate.is_some() || before.is_some_and(|it| it != Finding::Match);
        match now {
            Some(Finding::Match) => (reconciles && settled).then_some("credential.reconciled"),
            Some(_) if now == before => None,
            Some(Finding::Mismatch) => Some("credential.mismatch"),
            Some(Finding::Locked) => Some("credential.locked"),
            Some(Finding::Disabled) => None,
            None => {
                let over = matches!(self.after, After::Finished(_));
                (reconciles && over && temporary).then_some("credential.unreachable")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_is_told_of_a_credential() {
        use Finding::{Locked, Match, Mismatch};
        let told = |found, candidate, state, class| {
            let facts = Facts {
                kind: OperationKind::Reconcile,
                after: After::Finished(state),
                class,
                candidate,
                found,
            };
            facts.of_the_credential(class.is_some_and(FailureClass::is_temporary))
        };
        let (good, bad) = (OperationState::Succeeded, OperationState::Failed);
        let refused = Some(FailureClass::AuthFailed);
        let away = Some(FailureClass::Timeout);
        for (found, candidate, state, class, event) in [
            ((None, Some(Match)), None, good, None, None),
            ((Some(Match), Some(Match)), None, good, None, None),
            (
                (None, Some(Match)),
                Some(2),
                good,
                None,
                Some("credential.reconciled"),
            ),
            (
                (Some(Mismatch), Some(Match)),
                None,
                good,
                None,
                Some("credential.reconciled"),
            ),
            (
                (Some(Match), Some(Mismatch)),
                None,
                bad,
                refused,
                Some("credential.mismatch"),
            ),
            ((Some(Mismatch), Some(Mismatch)), None, bad, refused, None),
            (
                (Some(Mismatch), Some(Locked)),
                None,
                bad,
                refused,
                Some("credential.locked"),
            ),
            (
                (Some(Match), None),
                None,
                bad,
                away,
                Some("credential.unreachable"),
            ),
        ] {
            assert_eq!(told(found, candidate, state, class), event, "{found:?}");
        }
    }
}
