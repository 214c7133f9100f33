//! What a directory's answers mean.

use std::io;

use ldap3::{LdapError, LdapResult};

use super::PASSWORD_POLICY;
use crate::connect::target::{Attempt, Failure, class_of};
use crate::domain::failure::FailureClass;

const SIGN_IN: &str = "sign in at";
const CHANGE: &str = "change a password at";

/// The errors of the password policy control, by their numbers in draft-behera-ldap-password-policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Expired,
    Locked,
    ChangeAfterReset,
    ModificationNotAllowed,
    MustSupplyOld,
    /// Too poor, too short, too young, used before.
    Unwanted,
}

impl Policy {
    fn of(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Expired,
            1 => Self::Locked,
            2 => Self::ChangeAfterReset,
            3 => Self::ModificationNotAllowed,
            4 => Self::MustSupplyOld,
            5..=8 => Self::Unwanted,
            _ => return None,
        })
    }

    fn class(self) -> FailureClass {
        match self {
            Self::Expired | Self::ChangeAfterReset => FailureClass::PasswordExpired,
            Self::Locked => FailureClass::AccountLocked,
            Self::ModificationNotAllowed => FailureClass::PermissionDenied,
            Self::MustSupplyOld => FailureClass::Unsupported,
            Self::Unwanted => FailureClass::PasswordPolicy,
        }
    }
}

/// What the password policy control of an answer says.
pub(super) fn policy_of(answer: &LdapResult) -> Option<Policy> {
    let control = answer
        .ctrls
        .iter()
        .find(|control| control.1.ctype == PASSWORD_POLICY)?;
    policy_error(control.1.val.as_deref()?)
}

/// Reads `SEQUENCE { [0] warning OPTIONAL, [1] error ENUMERATED OPTIONAL }`. All lengths that the
/// draft's values need are short; what is longer is not it.
fn policy_error(value: &[u8]) -> Option<Policy> {
    let (tag, mut rest, _) = element(value)?;
    if tag != 0x30 {
        return None;
    }
    while let Some((tag, content, after)) = element(rest) {
        match (tag, content) {
            (0x81, [number]) => return Policy::of(*number),
            _ => rest = after,
        }
    }
    None
}

/// The first BER element: its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, bytes) = bytes.split_first()?;
    let (&length, bytes) = bytes.split_first()?;
    let (content, after) = bytes.split_at_checked(usize::from(length))?;
    (length < 0x80).then_some((tag, content, after))
}

/// The failure behind a refused bind.
pub(super) fn refused(attempt: &Attempt<'_>, answer: &LdapResult) -> Failure {
    let class = class_of_bind(answer.rc, &answer.text, policy_of(answer));
    attempt.fail(class, SIGN_IN, described(answer))
}

fn class_of_bind(code: u32, text: &str, policy: Option<Policy>) -> FailureClass {
    if let Some(policy) = policy {
        return policy.class();
    }
    match code {
        49 => active_directory_class(text).unwrap_or(FailureClass::AuthFailed),
        // Active Directory answers an empty name so, others one that has no password.
        48 => FailureClass::AuthFailed,
        53 => FailureClass::AccountDisabled,
        50 => FailureClass::PermissionDenied,
        other => general_class(other),
    }
}

/// Active Directory hides the cause in its text: `… AcceptSecurityContext error, data 775, v…`, the
/// number being a Windows error in hexadecimal.
fn active_directory_class(text: &str) -> Option<FailureClass> {
    let (_, after) = text.split_once(" data ")?;
    let number = after.split(',').next()?.trim();
    Some(match number {
        "52e" | "525" => FailureClass::AuthFailed,
        "530" | "531" => FailureClass::PermissionDenied,
        "532" | "773" => FailureClass::PasswordExpired,
        "533" | "701" => FailureClass::AccountDisabled,
        "775" => FailureClass::AccountLocked,
        _ => return None,
    })
}

/// The failure behind a refused change. A directory does all of an operation or nothing, except
/// where it gives up in the middle and says so.
pub(super) fn refused_change(attempt: &Attempt<'_>, answer: &LdapResult) -> Failure {
    refused_to(attempt, CHANGE, answer)
}

/// The same of another operation that changes an entry.
pub(super) fn refused_to(
    attempt: &Attempt<'_>,
    step: &'static str,
    answer: &LdapResult,
) -> Failure {
    if !matches!(answer.rc, 3 | 80) {
        attempt.effect_refused();
    }
    let class = class_of_change(answer.rc, &answer.text, policy_of(answer));
    attempt.fail(class, step, described(answer))
}

fn class_of_change(code: u32, text: &str, policy: Option<Policy>) -> FailureClass {
    if let Some(policy) = policy {
        return policy.class();
    }
    match code {
        // ERROR_INVALID_PASSWORD: the old one that was to be taken away is another.
        19 if text.starts_with("00000056") => FailureClass::AuthFailed,
        19 => FailureClass::PasswordPolicy,
        // ERROR_PASSWORD_RESTRICTION; anything else is the server's own unwillingness.
        53 if text.contains("0000052D") => FailureClass::PasswordPolicy,
        53 => FailureClass::Unsupported,
        32 => FailureClass::NoSuchAccount,
        49 | 50 => FailureClass::PermissionDenied,
        // An operation that the server does not know.
        2 => FailureClass::Unsupported,
        other => general_class(other),
    }
}

/// The codes that mean the same wherever they come (RFC 4511, appendix A).
fn general_class(code: u32) -> FailureClass {
    match code {
        3 => FailureClass::Timeout,
        51 | 52 => FailureClass::Unavailable,
        34 => FailureClass::Invalid,
        // Referral, stronger authentication, critical extension, confidentiality, no such attribute.
        7 | 8 | 10 | 12 | 13 | 16 | 17 => FailureClass::Unsupported,
        _ => FailureClass::Protocol,
    }
}

fn described(answer: &LdapResult) -> String {
    let mut text = answer.text.clone();
    if let Some(policy) = policy_of(answer) {
        text.push_str(&format!(" (password policy: {policy:?})"));
    }
    format!("result {}: {}", answer.rc, text.trim())
}

/// The failure behind an error of the library: the connection or TLS.
pub(super) fn lost(attempt: &Attempt<'_>, step: &'static str, error: &LdapError) -> Failure {
    let (class, reason) = match error {
        LdapError::Io { source } => of_stream(source),
        LdapError::Rustls { source } => (FailureClass::Tls, source.to_string()),
        LdapError::DNSName { .. } | LdapError::UrlParsing { .. } => {
            (FailureClass::Invalid, error.to_string())
        }
        LdapError::LdapResult { result } => (
            FailureClass::Tls,
            format!("it does not turn to TLS: {}", described(result)),
        ),
        LdapError::OpSend { .. } | LdapError::ResultRecv { .. } => (
            FailureClass::Refused,
            "the connection was closed".to_owned(),
        ),
        _ => (FailureClass::Protocol, error.to_string()),
    };
    attempt.fail(class, step, reason)
}

/// rustls hides its errors in those of the stream.
fn of_stream(error: &io::Error) -> (FailureClass, String) {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(tls) => (FailureClass::Tls, tls.to_string()),
        None => (class_of(error), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_policy_control_is_read() {
        for (value, policy) in [
            (&[0x30, 0x03, 0x81, 0x01, 0x01][..], Some(Policy::Locked)),
            (&[0x30, 0x03, 0x81, 0x01, 0x06], Some(Policy::Unwanted)),
            // After a warning of seconds left.
            (
                &[0x30, 0x08, 0xA0, 0x03, 0x80, 0x01, 0x05, 0x81, 0x01, 0x00],
                Some(Policy::Expired),
            ),
            (&[0x30, 0x05, 0xA0, 0x03, 0x80, 0x01, 0x05], None),
            (&[0x30, 0x00], None),
            (&[0x30, 0x03, 0x81, 0x01, 0x63], None),
            (&[0x30, 0x09, 0x81, 0x01, 0x01], None),
            (&[], None),
        ] {
            assert_eq!(policy_error(value), policy, "{value:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_control_is_safe_to_read(value: Vec<u8>) {
            let _read = policy_error(&value);
        }
    }

    #[test]
    fn active_directory_tells_in_its_text() {
        let text = |data: &str| {
            format!(
                "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data {data}, v2580"
            )
        };
        for (data, class) in [
            ("52e", FailureClass::AuthFailed),
            ("775", FailureClass::AccountLocked),
            ("533", FailureClass::AccountDisabled),
            ("773", FailureClass::PasswordExpired),
            ("530", FailureClass::PermissionDenied),
            ("999", FailureClass::AuthFailed),
        ] {
            assert_eq!(class_of_bind(49, &text(data), None), class, "{data}");
        }
        let restriction = "0000052D: Constraint violation - check_password_restrictions";
        assert_eq!(
            class_of_change(19, restriction, None),
            FailureClass::PasswordPolicy
        );
        let wrong = "00000056: AtrErr: DSID-03191083";
        assert_eq!(class_of_change(19, wrong, None), FailureClass::AuthFailed);
        assert_eq!(
            class_of_change(53, "0000001F: SvcErr", None),
            FailureClass::Unsupported
        );
    }
}
