//! Why an operation on a target failed, and whether it may have changed something all the same.
//!
//! Both are facts of the outside world that decide what happens next: whether the operation
//! is tried again, with which secret, and whether the old secret may still be trusted. So all
//! connectors use these two words, and nothing else.

use serde::{Deserialize, Serialize};

/// What went wrong, as far as the target lets us know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// What we were given cannot be used: a name with a control character, an unreadable key.
    Invalid,
    /// The private key is encrypted, and its passphrase is missing or another one: nobody was asked.
    Passphrase,
    /// The name has no address, or the resolver does not answer.
    Dns,
    /// There is no way to the address.
    NetworkUnreachable,
    /// The address answers that nobody listens there, or the connection was cut.
    Refused,
    /// The target did not answer in time.
    Timeout,
    /// The target answers and is too busy, or starting or stopping.
    Unavailable,
    /// TLS could not be agreed on, or the certificate does not verify.
    Tls,
    /// The host key is not the pinned one: perhaps somebody stands between us and the target.
    HostKeyMismatch,
    /// No host key is pinned, and this one may not be taken on trust.
    HostKeyUnknown,
    /// Name or secret is wrong; most targets do not say which.
    AuthFailed,
    /// Too many wrong secrets: even the right one is refused now.
    AccountLocked,
    /// An administrator has closed the account, or its time is over.
    AccountDisabled,
    /// The secret is right, and must be changed before it is good for anything else.
    PasswordExpired,
    /// The target does not know the account whose secret should change.
    NoSuchAccount,
    /// The new secret does not please the target: another one may.
    PasswordPolicy,
    /// Signed in, but not allowed to do this.
    PermissionDenied,
    /// The target said something that its protocol does not allow, or that we do not understand.
    Protocol,
    /// The target cannot do this, or only in a way that we do not offer (a second factor).
    Unsupported,
}

impl FailureClass {
    /// Every class, in the order of the list above.
    pub const ALL: [Self; 19] = [
        Self::Invalid,
        Self::Passphrase,
        Self::Dns,
        Self::NetworkUnreachable,
        Self::Refused,
        Self::Timeout,
        Self::Unavailable,
        Self::Tls,
        Self::HostKeyMismatch,
        Self::HostKeyUnknown,
        Self::AuthFailed,
        Self::AccountLocked,
        Self::AccountDisabled,
        Self::PasswordExpired,
        Self::NoSuchAccount,
        Self::PasswordPolicy,
        Self::PermissionDenied,
        Self::Protocol,
        Self::Unsupported,
    ];

    /// The name in reports, events and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Passphrase => "passphrase",
            Self::Dns => "dns",
            Self::NetworkUnreachable => "network_unreachable",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Tls => "tls",
            Self::HostKeyMismatch => "host_key_mismatch",
            Self::HostKeyUnknown => "host_key_unknown",
            Self::AuthFailed => "auth_failed",
            Self::AccountLocked => "account_locked",
            Self::AccountDisabled => "account_disabled",
            Self::PasswordExpired => "password_expired",
            Self::NoSuchAccount => "no_such_account",
            Self::PasswordPolicy => "password_policy",
            Self::PermissionDenied => "permission_denied",
            Self::Protocol => "protocol",
            Self::Unsupported => "unsupported",
        }
    }

    /// Reads a name that [`FailureClass::as_str`] wrote.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// Tells whether the same operation can succeed later without anybody changing anything.
    ///
    /// Never so for a refused secret: each wrong try brings the account nearer to its lock
    /// (the robots' specification, robots 44 and 46).
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        matches!(
            self,
            Self::Dns
                | Self::NetworkUnreachable
                | Self::Refused
                | Self::Timeout
                | Self::Unavailable
        )
    }
}

/// Whether a failed operation changed the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing was changed: the old secret is the one in force.
    None,
    /// The order was given and its end is not known: the operation is unverified, and either
    /// secret may be the one in force.
    Possible,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_read_back_by_its_name() {
        for class in FailureClass::ALL {
            assert_eq!(FailureClass::from_name(class.as_str()), Some(class));
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
        }
        assert_eq!(FailureClass::from_name("AUTH_FAILED"), None);
    }

    #[test]
    fn a_refused_secret_is_never_tried_again_by_itself() {
        for class in [
            FailureClass::AuthFailed,
            FailureClass::AccountLocked,
            FailureClass::HostKeyMismatch,
            FailureClass::PasswordPolicy,
            FailureClass::Passphrase,
        ] {
            assert!(!class.is_temporary(), "{class:?}");
        }
        assert!(FailureClass::Timeout.is_temporary());
    }
}
