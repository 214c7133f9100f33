//! Signing in to an account, and ordering its new password: alike for every kind of target.

use robotd::connect::target::{AdmissionOrder, Credential, Login, PasswordChange};
use robotd::domain::operation::Admission;
use secrecy::SecretString;

/// Signs in by password.
pub fn login(account: &str, password: &str) -> Login {
    Login {
        account: account.to_owned(),
        credential: Credential::Password(SecretString::from(password)),
    }
}

/// Opens or closes an account.
pub fn admission(login: Login, account: &str, admission: Admission) -> AdmissionOrder {
    AdmissionOrder {
        login,
        account: account.to_owned(),
        admission,
    }
}

/// Gives an account a new password.
pub fn change(login: Login, account: &str, new: &str) -> PasswordChange {
    PasswordChange {
        login,
        account: account.to_owned(),
        secret: SecretString::from(new),
    }
}
