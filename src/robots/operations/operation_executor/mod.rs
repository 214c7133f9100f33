//! Carries out operations on the accounts of credentials: changes passwords, tests them, and finds out which one holds.
//!
//! - **Looks at**: queued operations that are due, one at a time; their credential, its device and policy; the target.
//! - **Changes**: the password of one account at its target, and its secret in the vault; records each attempt. Publishes
//!   `operation.succeeded`, `operation.failed`, `operation.unverified`, `credential.password_changed` and
//!   `credential.password_change_failed`. For at most four minutes a run.
//! - **Safe to repeat**: yes: an operation is claimed by one run, and a change that was cut off is settled before anything
//!   else is done (`robots::password_change`).
//! - **If it stops**: passwords keep their age, and operations wait; those that have a time limit expire.
//!
//! Number 45 of the catalogue. Targets are reached by SSH and PostgreSQL. At most two sign-ins of an account may be refused
//! in `lock_window`, over all its operations; until then they wait.

mod settings;

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::settings::Settings;
use super::operation_executor_retry::RetryOperations;
use crate::connect::target::{Credential, HostKey, Login};
use crate::domain::category::Category;
use crate::domain::failure::FailureClass;
use crate::domain::operation::{After, Allowance, AttemptEnd, OperationKind, OperationState};
use crate::domain::robot::{FieldError, Sharding};
use crate::domain::time::Timestamp;
use crate::robot::inventory::InventoryError;
use crate::robot::operation::Told;
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::password_change::{Ended, Place, Tries};
use crate::robots::settings::check;
use crate::robots::targets::{Account, Unfit, Unpinned, account};
use crate::store::event::NewEvent;
use crate::store::operation::{Operation, OperationAttempt, OperationEnd};

/// No operation is begun after so long; the one in hand takes at most five sign-ins of 45 s.
const BUDGET: Duration = Duration::from_mins(4);
/// Longer than a run may take: whoever holds a claim after that is gone.
const LEASE: Duration = Duration::from_mins(15);
/// Operations of one run: it ends in time to be seen.
const OPERATIONS_MAX: usize = 500;

pub(super) struct ExecuteOperations;

#[async_trait]
impl Robot for ExecuteOperations {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "operations.operation_executor",
            title: "Operation executor",
            category: Category::Operations,
            summary: "Carries out operations on accounts: changes passwords, tests them, finds out which one holds",
            // Orders wake it; a tick finds those that were for later.
            wakes: Wakes::Every(Duration::from_secs(30)),
            events: &["operation.requested", "operation.retry_scheduled"],
            instances: 4,
            sharding: Sharding::Sharded,
            timeout: Duration::from_mins(10),
            // A change is not cut off half-way where that can be helped.
            cancel_grace: Duration::from_mins(4),
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let run = Run {
            ctx,
            settings: ctx.settings()?,
        };
        if ctx.run().deaths > 0 {
            // This run takes the place of one whose node died: what that one had in hand comes first, without a tick's delay.
            RetryOperations.run(ctx).await?;
        }
        let began = Instant::now();
        let mut tally = [0_usize; 4];
        for _ in 0..OPERATIONS_MAX {
            if ctx.cancelled().is_cancelled() || began.elapsed() >= BUDGET {
                break;
            }
            let now = ctx.clock().now();
            let claimed = ctx
                .store()
                .operation_claim(ctx.run().process, now + LEASE, now)
                .await?;
            let Some(operation) = claimed else { break };
            match run.handle(&operation).await? {
                Some(OperationState::Succeeded) => tally[0] += 1,
                Some(OperationState::Failed) => tally[1] += 1,
                Some(_) => tally[2] += 1,
                None => tally[3] += 1,
            }
        }
        let base = if tally == [0; 4] {
            Outcome::nothing()
        } else {
            Outcome::done()
        };
        let [succeeded, failed, again, put_back] = tally;
        Ok(base
            .and("operations_succeeded", succeeded)
            .and("operations_failed", failed)
            .and("operations_again", again)
            .and("operations_put_back", put_back))
    }
}

struct Run<'a> {
    ctx: &'a Context,
    settings: Settings,
}

impl Run<'_> {
    /// Makes one attempt; answers where it leaves the operation, or none where it was put back or taken away.
    async fn handle(&self, operation: &Operation) -> Result<Option<OperationState>, RobotError> {
        let started_at = self.ctx.clock().now();
        let window = self.settings.lock_window();
        let store = self.ctx.store();
        let refusals = store
            .operation_refusals(operation.credential, started_at - window)
            .await?;
        let mut tries = match Allowance::after(&refusals, window, started_at) {
            Allowance::Tries(left) => Tries::new(left),
            Allowance::Wait(until) => {
                self.put_back(operation, until).await?;
                return Ok(None);
            }
        };
        let ended = match self.attempt(operation, &mut tries).await {
            Ok(ended) => ended,
            Err(InventoryError::Damaged) => {
                Ended::failed(FailureClass::Invalid, InventoryError::Damaged)
            }
            // What the target knows is recorded, whatever that is: another attempt finds out.
            Err(error) => Ended {
                end: AttemptEnd::Unverified(FailureClass::Unavailable),
                candidate: operation.candidate,
                detail: Some(error.to_string()),
            },
        };
        self.record(operation, started_at, ended, tries).await
    }

    async fn attempt(
        &self,
        operation: &Operation,
        tries: &mut Tries,
    ) -> Result<Ended, InventoryError> {
        let inventory = self.ctx.inventory();
        let mut found = match account(&inventory, operation.credential).await {
            Ok(found) => found,
            Err(Unfit::Because(class, reason)) => return Ok(unfit(operation, class, &reason)),
            Err(Unfit::Store(error)) => return Err(error.into()),
        };
        if let Some(unpinned) = &found.unpinned {
            if let Some(ended) = self.meet(operation, &found, unpinned, tries).await? {
                return Ok(ended);
            }
            found = match account(&inventory, operation.credential).await {
                Ok(found) => found,
                Err(Unfit::Because(class, reason)) => return Ok(unfit(operation, class, &reason)),
                Err(Unfit::Store(error)) => return Err(error.into()),
            };
        }
        let place = Place {
            inventory: &inventory,
            clock: self.ctx.clock(),
            target: found.target.as_ref(),
            credential: operation.credential,
            account: &found.name,
            actor: self.ctx.robot(),
        };
        match operation.kind {
            OperationKind::ChangePassword => place.change(&found.policy, tries).await,
            OperationKind::Reconcile => place.reconcile(tries).await,
            OperationKind::Test => place.test(tries).await,
        }
    }

    /// Meets a target whose first key is to be trusted, and pins that key before anything is changed: the connections that
    /// follow must meet the same machine. Answers the end of the attempt where that cannot be done.
    async fn meet(
        &self,
        operation: &Operation,
        found: &Account,
        unpinned: &Unpinned,
        tries: &mut Tries,
    ) -> Result<Option<Ended>, InventoryError> {
        let secrets = self.ctx.inventory().secrets(operation.credential).await?;
        let Some(current) = secrets.current else {
            let reason = "no secret is in force; set the one that opens the account";
            return Ok(Some(unfit(operation, FailureClass::Invalid, reason)));
        };
        let login = Login {
            account: found.name.clone(),
            credential: Credential::Password(current.secret),
        };
        let seen = match found.target.probe(&login).await {
            Ok(probed) => probed.host_key,
            Err(failure) => {
                tries.note(&failure);
                let reason = failure.to_string();
                return Ok(Some(unfit(operation, failure.class, &reason)));
            }
        };
        if let Some(HostKey {
            algorithm,
            fingerprint,
        }) = seen
        {
            let key = format!("{algorithm} {fingerprint}");
            let store = self.ctx.store();
            store
                .connectivity_pin(unpinned.device, "ssh", unpinned.port, &key)
                .await?;
        }
        Ok(None)
    }

    /// Gives back what may not be tried before `until`.
    async fn put_back(&self, operation: &Operation, until: Timestamp) -> Result<(), RobotError> {
        let (ctx, id) = (self.ctx, operation.id);
        ctx.warn(format!(
            "operation {id} waits until {until}: the account may lock"
        ));
        let state = waiting_state(operation);
        let process = ctx.run().process;
        ctx.store()
            .operation_put_back(id, process, state, until, ctx.clock().now())
            .await?;
        Ok(())
    }

    async fn record(
        &self,
        operation: &Operation,
        started_at: Timestamp,
        ended: Ended,
        tries: Tries,
    ) -> Result<Option<OperationState>, RobotError> {
        let ctx = self.ctx;
        let now = ctx.clock().now();
        let policy = self.settings.attempt_policy();
        let after = policy.after(ended.end, operation.attempts, now, rand::random());
        let (state, run_at) = match after {
            After::Finished(state) => (state, None),
            After::Again { state, at } => (state, Some(at)),
        };
        let class = match ended.end {
            AttemptEnd::Done => None,
            AttemptEnd::Failed(class) | AttemptEnd::Unverified(class) => Some(class.as_str()),
        };
        let detail = ended.detail.as_deref().unwrap_or("verified");
        ctx.info(format!("operation {} {state}: {detail}", operation.id));
        let end = OperationEnd {
            id: operation.id,
            attempt: OperationAttempt {
                number: operation.attempts,
                process: ctx.run().process,
                started_at,
                ended_at: now,
                state,
                error_class: class.map(str::to_owned),
                detail: ended.detail,
                refused: tries.refused(),
            },
            run_at,
            candidate: ended.candidate,
            events: self.events(operation, state, class),
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

    fn events(
        &self,
        operation: &Operation,
        state: OperationState,
        class: Option<&str>,
    ) -> Vec<NewEvent> {
        let told = Told {
            error_class: class,
            ..Told::of(operation)
        };
        let is_change = operation.kind == OperationKind::ChangePassword;
        let kinds: &[&str] = match state {
            OperationState::Succeeded => &["operation.succeeded"],
            OperationState::Failed if is_change => {
                &["operation.failed", "credential.password_change_failed"]
            }
            OperationState::Failed => &["operation.failed"],
            OperationState::Unverified => &["operation.unverified"],
            _ => &[],
        };
        let registry = &self.ctx.tools().registry;
        kinds
            .iter()
            .map(|kind| told.event(kind, registry))
            .collect()
    }
}

/// The candidate that an operation is to settle; a test settles none.
fn open_candidate(operation: &Operation) -> Option<i64> {
    let settles = operation.kind != OperationKind::Test;
    operation.candidate.filter(|_| settles)
}

/// Where an operation waits that was not tried.
fn waiting_state(operation: &Operation) -> OperationState {
    if open_candidate(operation).is_some() {
        OperationState::Unverified
    } else {
        OperationState::Retrying
    }
}

/// The end of an attempt that did not reach the account: what was open before is open still.
fn unfit(operation: &Operation, class: FailureClass, reason: &str) -> Ended {
    let candidate = open_candidate(operation);
    let end = match candidate {
        Some(_) => AttemptEnd::Unverified(class),
        None => AttemptEnd::Failed(class),
    };
    Ended {
        end,
        candidate,
        detail: Some(reason.to_owned()),
    }
}
