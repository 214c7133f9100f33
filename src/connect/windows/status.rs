//! Statuses of Windows (MS-ERREF, section 2.3), as Samba's programs print them.

use crate::domain::failure::FailureClass;

/// When a status came: a status about an account means another account then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    SignIn,
    Change,
}

/// The first status in what a program printed that is not success.
pub(super) fn status_in(said: &str) -> Option<&str> {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    said.split(|c: char| !is_name(c))
        .find(|word| word.starts_with("NT_STATUS_") && *word != "NT_STATUS_OK")
}

/// What a status means.
pub(super) fn class_of_status(status: &str, moment: Moment) -> FailureClass {
    let name = status.strip_prefix("NT_STATUS_").unwrap_or(status);
    match name {
        "NO_SUCH_USER" | "NONE_MAPPED" if moment == Moment::Change => FailureClass::NoSuchAccount,
        "LOGON_FAILURE" | "WRONG_PASSWORD" | "NO_SUCH_USER" => FailureClass::AuthFailed,
        "ACCOUNT_LOCKED_OUT" => FailureClass::AccountLocked,
        "ACCOUNT_DISABLED" | "ACCOUNT_EXPIRED" => FailureClass::AccountDisabled,
        "PASSWORD_MUST_CHANGE" | "PASSWORD_EXPIRED" => FailureClass::PasswordExpired,
        "PASSWORD_RESTRICTION" | "ILL_FORMED_PASSWORD" => FailureClass::PasswordPolicy,
        "ACCESS_DENIED"
        | "ACCOUNT_RESTRICTION"
        | "INVALID_LOGON_HOURS"
        | "INVALID_WORKSTATION"
        | "LOGON_TYPE_NOT_GRANTED"
        | "NTLM_BLOCKED" => FailureClass::PermissionDenied,
        "CONNECTION_REFUSED"
        | "CONNECTION_RESET"
        | "CONNECTION_DISCONNECTED"
        | "CONNECTION_ABORTED"
        | "PIPE_BROKEN" => FailureClass::Refused,
        "IO_TIMEOUT" => FailureClass::Timeout,
        "HOST_UNREACHABLE" | "NETWORK_UNREACHABLE" => FailureClass::NetworkUnreachable,
        "INSUFFICIENT_RESOURCES"
        | "NO_LOGON_SERVERS"
        | "SERVER_UNAVAILABLE"
        | "TOO_MANY_SESSIONS"
        | "REQUEST_NOT_ACCEPTED" => FailureClass::Unavailable,
        "NOT_SUPPORTED" | "NOT_IMPLEMENTED" | "RPC_PROCNUM_OUT_OF_RANGE" => {
            FailureClass::Unsupported
        }
        _ => FailureClass::Protocol,
    }
}

/// Whether the machine said by this that it did nothing.
pub(super) fn is_certain(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::NoSuchAccount
            | FailureClass::AuthFailed
            | FailureClass::AccountLocked
            | FailureClass::AccountDisabled
            | FailureClass::PasswordExpired
            | FailureClass::PasswordPolicy
            | FailureClass::PermissionDenied
            | FailureClass::Unsupported
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_found_among_words() {
        for (said, status) in [
            (
                "session setup failed: NT_STATUS_LOGON_FAILURE\n",
                Some("NT_STATUS_LOGON_FAILURE"),
            ),
            (
                "result: NT_STATUS_ACCESS_DENIED\nresult was NT_STATUS_ACCESS_DENIED\n",
                Some("NT_STATUS_ACCESS_DENIED"),
            ),
            (
                "do_connect: failed (Error NT_STATUS_IO_TIMEOUT)",
                Some("NT_STATUS_IO_TIMEOUT"),
            ),
            ("result was NT_STATUS_OK", None),
            ("", None),
        ] {
            assert_eq!(status_in(said), status, "{said}");
        }
    }

    #[test]
    fn a_lost_connection_leaves_a_change_open() {
        let class = |status| class_of_status(status, Moment::Change);
        assert!(!is_certain(class("NT_STATUS_CONNECTION_DISCONNECTED")));
        assert!(!is_certain(class("NT_STATUS_IO_TIMEOUT")));
        assert!(!is_certain(class("NT_STATUS_SOMETHING_NEW")));
        assert!(is_certain(class("NT_STATUS_PASSWORD_RESTRICTION")));
        assert_eq!(class("NT_STATUS_NO_SUCH_USER"), FailureClass::NoSuchAccount);
        let at_door = class_of_status("NT_STATUS_NO_SUCH_USER", Moment::SignIn);
        assert_eq!(at_door, FailureClass::AuthFailed);
    }
}
