//! Carries out operations on the accounts of credentials: changes passwords and keys, tests them, finds out which one holds, opens
//! and closes accounts, and runs the commands of templates.
//!
//! - **Looks at**: queued operations that are due, one at a time, and whether others are: then it calls another instance, where
//!   one is free; their credential, its device, policy and template; the target; up to 500 credentials that follow one whose
//!   secret was changed, at the beginning and after each change.
//! - **Changes**: the secret of one account at its target and in the vault, whether the account lets its owner in, or what a command
//!   does; orders new secrets for those that follow; records each attempt with its steps, and what the account said of its secret. Publishes `operation.succeeded`, `failed`, `unverified` and
//!   `given_up`, `credential.password_changed`, `password_change_failed`, `reconciled`, `mismatch`, `locked` and
//!   `unreachable`. For at most four minutes a run.
//! - **Safe to repeat**: yes: an operation is claimed by one run, and a change that was cut off is settled before anything
//!   else is done (`robots::password_change`).
//! - **If it stops**: passwords keep their age, and operations wait; those that have a time limit expire.
//!
//! Number 45 of the catalogue. Targets are reached by SSH, Windows' remote procedures, PostgreSQL and LDAP. A password that does
//! not open its account any more is set by the privileged credential of the device, else by that of the policy, where there is one. At most two sign-ins
//! of an account may be refused in `lock_window`, over all its operations; until then they wait. While the change of an account is not verified, only what settles it signs
//! in there.

mod attempt;
mod holding;
mod privileged;
mod record;
mod rules;
mod settings;

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::holding::{Hold, Tried};
use self::settings::Settings;
use super::operation_executor_retry::RetryOperations;
use crate::domain::category::Category;
use crate::domain::failure::FailureClass;
use crate::domain::operation::{
    Admission, Allowance, AttemptEnd, Finding, OperationKind, OperationState, TRIES_MAX,
};
use crate::domain::robot::{FieldError, Sharding};
use crate::domain::time::Timestamp;
use crate::robot::inventory::InventoryError;
use crate::robot::operation::follow;
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::password_change::{Ended, Tries};
use crate::robots::settings::check;
use crate::robots::targets::{Account, Identity, Unfit, account};
use crate::robots::transcript::Transcript;
use crate::store::StoreResult;
use crate::store::operation::Operation;
use crate::store::sign_in::{Attempt, SignIns, Wanted};

/// No operation is begun after so long; the one in hand takes at most seven sign-ins of 45 s.
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
            summary: "Carries out operations on accounts: changes passwords and keys, tests them, finds out which one holds, opens and closes accounts, runs commands",
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
        run.follow().await?;
        let (began, per_device) = (Instant::now(), run.settings.per_device());
        let mut tally = [0_usize; 4];
        for _ in 0..OPERATIONS_MAX {
            if ctx.cancelled().is_cancelled() || began.elapsed() >= BUDGET {
                break;
            }
            let now = ctx.clock().now();
            let claimed = ctx
                .store()
                .operation_claim(ctx.run().process, now + LEASE, per_device, now)
                .await?;
            let Some(operation) = claimed else { break };
            if let Err(error) = share(ctx, per_device, now).await {
                ctx.warn(format!("no other instance was called: {error}"));
            }
            let ended = run.handle(&operation).await?;
            if operation.kind.settles_candidates() {
                run.follow().await?;
            }
            match ended {
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

/// Calls another instance where there is work for it: events that order much at once wake one.
async fn share(ctx: &Context, per_device: u32, now: Timestamp) -> StoreResult<()> {
    if ctx.has_free_instance() && ctx.store().operation_is_due(per_device, now).await? {
        ctx.call_another().await?;
    }
    Ok(())
}

struct Run<'a> {
    ctx: &'a Context,
    settings: Settings,
}

/// What an attempt came to, what the account said of the secret in force on the way, and how the account stands by now, where
/// it was opened or closed.
struct Made {
    ended: Ended,
    finding: Option<Finding>,
    admission: Option<Admission>,
    /// Another attempt is made no earlier.
    not_before: Option<Timestamp>,
}

impl From<Ended> for Made {
    /// Of an attempt that did not hear the account.
    fn from(ended: Ended) -> Self {
        Self {
            ended,
            finding: None,
            admission: None,
            not_before: None,
        }
    }
}

/// What is recorded with what an attempt came to.
struct Whole {
    made: Made,
    /// What was known of the secret in force before.
    before: Option<Finding>,
    /// How many sign-ins were refused.
    refused: u32,
    transcript: Transcript,
}

impl Run<'_> {
    /// Makes one attempt; answers where it leaves the operation, or none where it was put back or taken away.
    async fn handle(&self, operation: &Operation) -> Result<Option<OperationState>, RobotError> {
        let started_at = self.ctx.clock().now();
        let transcript = Transcript::new(self.ctx.tools().clock.clone());
        let whole = |made, before, refused| Whole {
            made,
            before,
            refused,
            transcript: transcript.clone(),
        };
        let found = match self.account(operation, &transcript).await {
            Ok(found) => found,
            Err(made) => {
                return self
                    .record(operation, started_at, whole(made, None, 0))
                    .await;
            }
        };
        if let Some(hold) = self.held(operation).await? {
            return self.put_back(operation, hold).await;
        }
        let before = found.finding;
        let sign_ins = sign_ins(operation, &found.identity);
        let wanted = self.wanted(refused_at_most(operation), started_at);
        let store = self.ctx.store();
        let reserved = store
            .sign_in_reserve(sign_ins.clone(), wanted, started_at)
            .await?;
        let mut tries = match reserved {
            Allowance::Tries(left) => Tries::reserved(left, store.clone(), sign_ins.clone()),
            Allowance::Wait(until) => {
                let hold = Hold::lockout(operation.credential, until);
                return self.put_back(operation, hold).await;
            }
        };
        let work = self.attempt(operation, (found, &transcript), &mut tries);
        let tried = match work.await {
            Ok(tried) => tried,
            Err(error) => interrupted(operation, &error).into(),
        };
        let refused = tries.refused();
        store
            .sign_in_settle(sign_ins, refused, self.ctx.clock().now())
            .await?;
        match tried {
            Tried::Made(made) => {
                let whole = whole(made, before, refused);
                self.record(operation, started_at, whole).await
            }
            Tried::Held(hold) => self.put_back(operation, hold).await,
        }
    }

    /// Orders new secrets for those that follow one that was changed.
    async fn follow(&self) -> Result<(), RobotError> {
        let (ctx, now) = (self.ctx, self.ctx.clock().now());
        let registry = &ctx.tools().registry;
        Ok(follow(ctx.store(), registry, ctx.robot(), now).await?)
    }

    /// The account, or the end of an attempt that cannot reach it, or must not.
    async fn account(
        &self,
        operation: &Operation,
        transcript: &Transcript,
    ) -> Result<Account, Made> {
        let inventory = self.ctx.inventory();
        let guard = &self.ctx.tools().guard;
        match account(&inventory, guard, operation.credential, Some(transcript)).await {
            Ok(found) if found.is_closed && !operation.kind.admits() => {
                let reason = "the account was deactivated: order `activate` first";
                Err(unfit(operation, FailureClass::Invalid, reason).into())
            }
            Ok(found) => Ok(found),
            Err(Unfit::Because(class, reason)) => Err(unfit(operation, class, &reason).into()),
            Err(Unfit::Store(error)) => Err(interrupted(operation, &error.into())),
        }
    }

    fn wanted(&self, tries: u32, now: Timestamp) -> Wanted {
        Wanted {
            tries,
            until: now + LEASE,
            window: self.settings.lock_window(),
        }
    }
}

/// So many sign-ins of an attempt may be refused: a test and a command end with the first, and so does the proof that an account is
/// open or closed.
fn refused_at_most(operation: &Operation) -> u32 {
    match operation.kind {
        OperationKind::Test
        | OperationKind::RunTemplate
        | OperationKind::Activate
        | OperationKind::Deactivate => 1,
        _ => TRIES_MAX,
    }
}

/// The sign-ins of an operation's attempt to an account.
fn sign_ins(operation: &Operation, account: &Identity) -> SignIns {
    SignIns {
        account: account.key.clone(),
        by: Attempt::Operation {
            id: operation.id,
            number: operation.attempts,
        },
    }
}

/// The end of an attempt whose secrets could not be read or kept. What the target knows is recorded, whatever that is:
/// another attempt finds out.
fn interrupted(operation: &Operation, error: &InventoryError) -> Made {
    match error {
        InventoryError::Damaged => Ended::failed(FailureClass::Invalid, error).into(),
        _ => Ended {
            end: AttemptEnd::Unverified(FailureClass::Unavailable),
            candidate: operation.candidate,
            detail: Some(error.to_string()),
        }
        .into(),
    }
}

/// The candidate that an operation is to settle.
fn open_candidate(operation: &Operation) -> Option<i64> {
    let settles = operation.kind.settles_candidates();
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
