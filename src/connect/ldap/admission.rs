//! An administrator opens or closes the account of an entry.

use std::collections::HashSet;

use ldap3::{Ldap, Mod, Scope, SearchEntry};

use super::DirectoryKind;
use super::refusal::{lost, refused_to};
use crate::connect::target::{AdmissionOrder, Attempt, Failure};
use crate::domain::failure::FailureClass;
use crate::domain::operation::Admission;

pub(super) const STEP: &str = "open or close an account at";

/// Active Directory's flags of an account (MS-ADTS, section 2.2.16), and the one that closes it.
const CONTROL: &str = "userAccountControl";
const ACCOUNT_DISABLE: i64 = 0x2;

/// When an account was locked, and the instant that means: until an administrator opens it
/// (draft-behera-ldap-password-policy, section 5.3.3).
const LOCKED_TIME: &str = "pwdAccountLockedTime";
const FOR_EVER: &str = "000001010000Z";

/// Opens or closes it. A lock after refused sign-ins goes with the opening where that is the same attribute.
pub(super) async fn admit(
    attempt: &Attempt<'_>,
    ldap: &mut Ldap,
    kind: DirectoryKind,
    order: &AdmissionOrder,
) -> Result<(), Failure> {
    let (attribute, value) = match kind {
        DirectoryKind::ActiveDirectory => {
            let flags = flags(attempt, ldap, &order.account).await?;
            let flags = match order.admission {
                Admission::Open => flags & !ACCOUNT_DISABLE,
                Admission::Closed => flags | ACCOUNT_DISABLE,
            };
            (CONTROL, Some(flags.to_string()))
        }
        DirectoryKind::PasswordModify | DirectoryKind::AsItSays => match order.admission {
            Admission::Open => (LOCKED_TIME, None),
            Admission::Closed => (LOCKED_TIME, Some(FOR_EVER.to_owned())),
        },
    };
    let values: HashSet<Vec<u8>> = value.map(String::into_bytes).into_iter().collect();
    let change = Mod::Replace(attribute.as_bytes().to_vec(), values);
    attempt.effect_begins();
    let changed = ldap.modify(&order.account, Vec::from([change])).await;
    let changed = changed.map_err(|error| lost(attempt, STEP, &error))?;
    if changed.rc == 0 {
        Ok(())
    } else {
        Err(refused_to(attempt, STEP, &changed))
    }
}

/// The flags of an account, of which only one is to change.
async fn flags(attempt: &Attempt<'_>, ldap: &mut Ldap, account: &str) -> Result<i64, Failure> {
    let found = ldap
        .search(account, Scope::Base, "(objectClass=*)", [CONTROL])
        .await
        .map_err(|error| lost(attempt, STEP, &error))?;
    if found.1.rc != 0 {
        return Err(refused_to(attempt, STEP, &found.1));
    }
    let entries = found.0.into_iter().map(SearchEntry::construct);
    let flags = entries
        .filter_map(|entry| entry.attrs.get(CONTROL)?.first()?.parse().ok())
        .next();
    flags.ok_or_else(|| {
        let reason = format!("the entry shows no `{CONTROL}`");
        attempt.fail(FailureClass::Unsupported, STEP, reason)
    })
}
