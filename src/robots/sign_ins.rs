//! Sign-ins of robots that carry out no operation. What is refused counts with what operations are refused
//! (`store::sign_in`), so that the account does not lock.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::connect::target::{
    AdmissionOrder, Command, Failure, Login, PasswordChange, Probed, Ran, Target,
};
use crate::domain::failure::Effect;
use crate::domain::operation::{Allowance, is_refusal};
use crate::domain::time::Timestamp;
use crate::robot::Context;
use crate::store::StoreResult;
use crate::store::sign_in::{Attempt, SignIns, Wanted};

/// Longer than a robot works on one machine: what was reserved for it is used up after that.
const LEASE: Duration = Duration::from_mins(15);

/// A target that refuses one sign-in at most: after it nobody signs in any more.
pub(super) struct Counted {
    target: Box<dyn Target>,
    sign_ins: SignIns,
    refused: Mutex<Option<Failure>>,
}

impl Counted {
    /// Reserves the one refusal of an account, as the run's reservation number `number`; the instant from which on to ask
    /// again where none is left. `window` is for how long a refusal counts.
    pub(super) async fn reserve(
        ctx: &Context,
        (target, account): (Box<dyn Target>, String),
        number: u32,
        window: Duration,
    ) -> StoreResult<Result<Self, Timestamp>> {
        let now = ctx.clock().now();
        let id = ctx.run().process;
        let sign_ins = SignIns {
            account,
            by: Attempt::Process { id, number },
        };
        let wanted = Wanted {
            tries: 1,
            until: now + LEASE,
            window,
        };
        let reserved = ctx.store().sign_in_reserve(sign_ins.clone(), wanted, now);
        Ok(match reserved.await? {
            Allowance::Tries(_) => Ok(Self {
                target,
                sign_ins,
                refused: Mutex::new(None),
            }),
            Allowance::Wait(until) => Err(until),
        })
    }

    /// Says whether it was refused; for when nobody signs in any more.
    pub(super) async fn settle(self, ctx: &Context) -> StoreResult<()> {
        let refused = u32::from(self.refusal().is_some());
        let now = ctx.clock().now();
        ctx.store()
            .sign_in_settle(self.sign_ins, refused, now)
            .await
    }

    fn refusal(&self) -> Option<Failure> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.clone()
    }

    /// Does what signs in, unless that was refused before.
    async fn once<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        if let Some(failure) = self.refusal() {
            return Err(failure);
        }
        let done = work.await;
        if let Err(failure) = &done
            && is_refusal(failure.class)
        {
            let again = Failure {
                effect: Effect::None,
                ..failure.clone()
            };
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(again);
        }
        done
    }
}

#[async_trait]
impl Target for Counted {
    async fn probe(&self, login: &Login) -> Result<Probed, Failure> {
        self.once(self.target.probe(login)).await
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<(), Failure> {
        self.once(self.target.change_password(change)).await
    }

    async fn admit(&self, order: &AdmissionOrder) -> Result<(), Failure> {
        self.once(self.target.admit(order)).await
    }

    async fn run(&self, login: &Login, command: &Command) -> Result<Ran, Failure> {
        self.once(self.target.run(login, command)).await
    }
}
