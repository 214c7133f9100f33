//! What one account does to another: it sets its password, opens it, closes it.

use super::holding::{Hold, Tried};
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

/// Why a privileged account does not sign in.
enum Unlent {
    /// It cannot.
    Ended(Ended),
    /// It must not for now.
    Held(Hold),
}

impl From<Unlent> for Tried {
    fn from(unlent: Unlent) -> Self {
        match unlent {
            Unlent::Ended(ended) => ended.into(),
            Unlent::Held(hold) => Self::Held(hold),
        }
    }
}

impl Run<'_> {
    /// Sets a password that opens its account no more, by a privileged account. Where that one must not sign in, the next attempt waits
    /// until it may.
    pub(super) async fn reset(
        &self,
        operation: &Operation,
        place: &Place<'_>,
        (found, by): (&Account, &Identity),
        tries: &mut Tries,
    ) -> Result<Made, InventoryError> {
        let mut lent = match self.lend(operation, place.inventory, by).await? {
            Ok(lent) => lent,
            Err(Unlent::Ended(ended)) => return Ok(ended.into()),
            Err(Unlent::Held(hold)) => {
                let (why, until) = (hold.reason(), hold.until);
                let reason = format!(
                    "the privileged account `{}` waits until {until}: {why}",
                    by.name
                );
                let ended = unfit(operation, FailureClass::Unavailable, &reason);
                return Ok(Made {
                    not_before: Some(until),
                    ..ended.into()
                });
            }
        };
        let both = (tries, &mut lent.tries);
        let ended = place.reset(&lent.login, &found.policy, both).await;
        self.give_back(lent).await?;
        Ok(ended?.into())
    }

    /// Meets a target for an operation that another account carries out, as that one: the account itself may be closed.
    pub(super) async fn meet_by_another(
        &self,
        operation: &Operation,
        found: &Account,
    ) -> Result<Option<Tried>, InventoryError> {
        let by = match who_admits(operation, found) {
            Ok(by) => by,
            Err(ended) => return Ok(Some(ended.into())),
        };
        let inventory = self.ctx.inventory();
        let mut lent = match self.lend(operation, &inventory, by).await? {
            Ok(lent) => lent,
            Err(unlent) => return Ok(Some(unlent.into())),
        };
        let who = (&lent.login, &mut lent.tries);
        let met = self.pin(operation, found, who).await;
        self.give_back(lent).await?;
        Ok(met?.map(Tried::from))
    }

    /// Opens or closes an account by a privileged one, and has it proven by the account's own secret, where it is known which
    /// one that is.
    pub(super) async fn admit(
        &self,
        operation: &Operation,
        (found, place): (&Account, &Place<'_>),
        tries: &mut Tries,
    ) -> Result<Tried, InventoryError> {
        let admission = match operation.kind {
            OperationKind::Activate => Admission::Open,
            _ => Admission::Closed,
        };
        let by = match who_admits(operation, found) {
            Ok(by) => by,
            Err(ended) => return Ok(ended.into()),
        };
        let mut lent = match self.lend(operation, place.inventory, by).await? {
            Ok(lent) => lent,
            Err(unlent) => return Ok(unlent.into()),
        };
        let order = AdmissionOrder {
            login: lent.login.clone(),
            account: found.identity.name.clone(),
            admission,
        };
        let done = found.target.admit(&order).await;
        if let Err(failure) = &done {
            lent.tries.note(failure).await;
        }
        self.give_back(lent).await?;
        if let Err(failure) = done {
            let mut ended = Ended::of(&failure);
            ended.detail = Some(format!("by the account `{}`: {failure}", by.name));
            return Ok(ended.into());
        }
        let (ended, finding) = match self.unverified(operation.credential).await? {
            Some(hold) => (unproven(hold.reason()), None),
            None => proven(admission, place.test(tries).await?),
        };
        let made = Made {
            finding,
            admission: Some(admission),
            ..ended.into()
        };
        Ok(made.into())
    }

    /// Has a privileged account ready to sign in by its recorded secret; why it does not.
    async fn lend(
        &self,
        operation: &Operation,
        inventory: &Inventory,
        by: &Identity,
    ) -> Result<Result<Lent, Unlent>, InventoryError> {
        let (store, now) = (self.ctx.store(), self.ctx.clock().now());
        if let Some(hold) = self.unverified(by.credential).await? {
            return Ok(Err(Unlent::Held(hold)));
        }
        let Some(secret) = inventory.secrets(by.credential).await?.current else {
            return Ok(Err(Unlent::Ended(no_secret())));
        };
        let sign_ins = sign_ins(operation, by);
        let wanted = self.wanted(1, now);
        let reserved = store.sign_in_reserve(sign_ins.clone(), wanted, now);
        Ok(match reserved.await? {
            Allowance::Tries(left) => Ok(Lent {
                login: login(&by.name, by.kind, &secret),
                tries: Tries::reserved(left, store.clone(), sign_ins.clone()),
                sign_ins,
            }),
            Allowance::Wait(until) => Err(Unlent::Held(Hold::lockout(by.credential, until))),
        })
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

/// Who opens and closes an account; the end of the attempt where nobody does.
fn who_admits<'a>(operation: &Operation, found: &'a Account) -> Result<&'a Identity, Ended> {
    match &found.privileged {
        Ok(Some(by)) => Ok(by),
        Ok(None) => Err(unfit(operation, FailureClass::Unsupported, NOBODY)),
        Err(why) => Err(unfit(operation, FailureClass::Invalid, why)),
    }
}

/// What was done was done, and nobody could be asked.
fn unproven(why: &str) -> Ended {
    Ended {
        detail: Some(format!("not proven: {why}")),
        ..Ended::done(None)
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
        (_, Some(Invalid | Passphrase | Unsupported)) => (unproven(&said), None),
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
