//! What one account does to another: it sets its password, opens it, closes it.

use super::{Made, Run, sign_ins, unfit};
use crate::connect::target::{AdmissionOrder, Login};
use crate::domain::failure::FailureClass;
use crate::domain::operation::{Admission, Allowance, AttemptEnd, Finding, OperationKind};
use crate::robot::inventory::{Inventory, InventoryError};
use crate::robots::fitness::NOBODY;
use crate::robots::password_change::{Ended, Place, Tries, login, no_secret};
use crate::robots::targets::{Account, Identity};
use crate::store::StoreResult;
use crate::store::operation::Operation;
use crate::store::sign_in::SignIns;

/// A privileged account that may sign in, whose refused sign-ins are counted like any other's.
struct Lent {
    login: Login,
    tries: Tries,
    sign_ins: SignIns,
}

impl Run<'_> {
    /// Sets a password that opens its account no more, by a privileged account.
    pub(super) async fn reset(
        &self,
        operation: &Operation,
        place: &Place<'_>,
        (found, by): (&Account, &Identity),
        tries: &mut Tries,
    ) -> Result<Ended, InventoryError> {
        let mut lent = match self.lend(operation, place.inventory, by).await? {
            Ok(lent) => lent,
            Err(ended) => return Ok(ended),
        };
        let both = (tries, &mut lent.tries);
        let ended = place.reset(&lent.login, &found.policy, both).await;
        self.give_back(lent).await?;
        ended
    }

    /// Opens or closes an account by a privileged one, and has it proven by the account's own secret.
    pub(super) async fn admit(
        &self,
        operation: &Operation,
        (found, place): (&Account, &Place<'_>),
        tries: &mut Tries,
    ) -> Result<Made, InventoryError> {
        let admission = match operation.kind {
            OperationKind::Activate => Admission::Open,
            _ => Admission::Closed,
        };
        let by = match &found.privileged {
            Ok(Some(by)) => by,
            Ok(None) => return Ok(unfit(operation, FailureClass::Unsupported, NOBODY).into()),
            Err(why) => return Ok(unfit(operation, FailureClass::Invalid, why).into()),
        };
        let mut lent = match self.lend(operation, place.inventory, by).await? {
            Ok(lent) => lent,
            Err(ended) => return Ok(ended.into()),
        };
        let order = AdmissionOrder {
            login: lent.login.clone(),
            account: found.identity.name.clone(),
            admission,
        };
        let done = found.target.admit(&order).await;
        if let Err(failure) = &done {
            lent.tries.note(failure);
        }
        self.give_back(lent).await?;
        if let Err(failure) = done {
            let mut ended = Ended::of(&failure);
            ended.detail = Some(format!("by the account `{}`: {failure}", by.name));
            return Ok(ended.into());
        }
        let (ended, finding) = proven(admission, place.test(tries).await?);
        Ok(Made {
            ended,
            finding,
            admission: Some(admission),
        })
    }

    /// Has a privileged account ready to sign in; the end of the attempt where it may not.
    async fn lend(
        &self,
        operation: &Operation,
        inventory: &Inventory,
        by: &Identity,
    ) -> Result<Result<Lent, Ended>, InventoryError> {
        let (store, now) = (self.ctx.store(), self.ctx.clock().now());
        let Some(secret) = inventory.secrets(by.credential).await?.current else {
            return Ok(Err(no_secret()));
        };
        let sign_ins = sign_ins(operation, by);
        let wanted = self.wanted(1, now);
        Ok(
            match store.sign_in_reserve(sign_ins.clone(), wanted, now).await? {
                Allowance::Tries(left) => Ok(Lent {
                    login: login(&by.name, by.kind, &secret),
                    tries: Tries::new(left),
                    sign_ins,
                }),
                Allowance::Wait(until) => {
                    let reason = format!(
                        "the privileged account `{}` may lock: it waits until {until}",
                        by.name
                    );
                    Err(unfit(operation, FailureClass::Unavailable, &reason))
                }
            },
        )
    }

    /// Says how many of its sign-ins were refused.
    async fn give_back(&self, lent: Lent) -> StoreResult<()> {
        let now = self.ctx.clock().now();
        self.ctx
            .store()
            .sign_in_settle(lent.sign_ins, lent.tries.refused(), now)
            .await
    }
}

/// What a sign-in with the recorded secret says of an account that was opened, or closed: the end of the attempt, and what is
/// known of the secret.
fn proven(admission: Admission, tested: Ended) -> (Ended, Option<Finding>) {
    use FailureClass::{
        AccountDisabled, AccountLocked, AuthFailed, Invalid, Passphrase, PermissionDenied,
        Unsupported,
    };
    let finding = Finding::of(tested.end);
    let class = match tested.end {
        AttemptEnd::Done => None,
        AttemptEnd::Failed(class) | AttemptEnd::Unverified(class) => Some(class),
    };
    let said = tested.detail.unwrap_or_default();
    match (admission, class) {
        (Admission::Open, None) => (Ended::done(None), finding),
        (Admission::Closed, None) => {
            let reason = "it was closed, and lets the recorded secret in all the same";
            (Ended::failed(FailureClass::Protocol, reason), finding)
        }
        // Nobody can be asked who has no secret, or one that cannot be used.
        (_, Some(Invalid | Passphrase | Unsupported)) => {
            let detail = Some(format!("not proven: {said}"));
            let done = Ended::done(None);
            (Ended { detail, ..done }, None)
        }
        (
            Admission::Closed,
            Some(AuthFailed | AccountLocked | AccountDisabled | PermissionDenied),
        ) => (Ended::done(None), Some(Finding::Disabled)),
        (_, Some(class)) if class.is_temporary() => {
            let end = AttemptEnd::Unverified(class);
            let detail = Some(said);
            let open = Ended::failed(class, "");
            (
                Ended {
                    end,
                    detail,
                    ..open
                },
                None,
            )
        }
        (Admission::Open, Some(class)) => {
            let reason = format!("it was opened, and its recorded secret does not sign in: {said}");
            (Ended::failed(class, reason), finding)
        }
        (Admission::Closed, Some(class)) => (Ended::failed(class, said), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_proves_what_was_done_to_the_account() {
        use AttemptEnd::{Done, Failed, Unverified};
        use FailureClass as Class;
        for (admission, tested, end, finding) in [
            (Admission::Open, None, Done, Some(Finding::Match)),
            (
                Admission::Open,
                Some(Class::AuthFailed),
                Failed(Class::AuthFailed),
                Some(Finding::Mismatch),
            ),
            (
                Admission::Open,
                Some(Class::Timeout),
                Unverified(Class::Timeout),
                None,
            ),
            (Admission::Open, Some(Class::Invalid), Done, None),
            (
                Admission::Closed,
                None,
                Failed(Class::Protocol),
                Some(Finding::Match),
            ),
            (
                Admission::Closed,
                Some(Class::AuthFailed),
                Done,
                Some(Finding::Disabled),
            ),
            (
                Admission::Closed,
                Some(Class::AccountDisabled),
                Done,
                Some(Finding::Disabled),
            ),
            (
                Admission::Closed,
                Some(Class::Refused),
                Unverified(Class::Refused),
                None,
            ),
            (
                Admission::Closed,
                Some(Class::HostKeyMismatch),
                Failed(Class::HostKeyMismatch),
                None,
            ),
        ] {
            let ended = match tested {
                None => Ended::done(None),
                Some(class) => Ended::failed(class, "no"),
            };
            let found = proven(admission, ended);
            assert_eq!(
                (found.0.end, found.1),
                (end, finding),
                "{admission:?} {tested:?}"
            );
        }
    }
}
