//! What the errors of a PostgreSQL server mean.

use std::borrow::Cow;
use std::error::Error as _;
use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::connect::target::{Attempt, Failure, class_of};
use crate::domain::failure::FailureClass;

/// Tells whether a sign-in without a password ended because the server asked for one.
pub(super) fn asks_for_a_password(error: &Error) -> bool {
    error
        .source()
        .is_some_and(|cause| cause.to_string() == "password missing")
}

/// The failure behind an error of the library.
pub(super) fn failed(attempt: &Attempt<'_>, step: &'static str, error: &Error) -> Failure {
    if let Some(said) = error.as_db_error() {
        return attempt.fail(class_of_server(said), step, said.message().to_owned());
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return attempt.fail(FailureClass::Tls, step, tls.to_string());
        }
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return of_stream(attempt, step, io);
        }
        cause = inner.source();
    }
    let text = match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    let (class, reason) = if text.contains("channel binding") || text.contains("SASL mechanism") {
        let reason = "it does not ask for the password by SCRAM with channel binding; mend its `pg_hba.conf` and `password_encryption`";
        (FailureClass::Unsupported, Cow::Borrowed(reason))
    } else if text.contains("does not support TLS") {
        (FailureClass::Tls, Cow::Borrowed("it offers no TLS"))
    } else if error.is_closed() {
        (
            FailureClass::Refused,
            Cow::Borrowed("the connection was closed"),
        )
    } else {
        (FailureClass::Protocol, Cow::Owned(text))
    };
    attempt.fail(class, step, reason)
}

/// rustls hides its errors in those of the stream.
fn of_stream(attempt: &Attempt<'_>, step: &'static str, error: &io::Error) -> Failure {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(tls) => attempt.fail(FailureClass::Tls, step, tls.to_string()),
        None => attempt.fail(class_of(error), step, error.to_string()),
    }
}

/// By the code, which is the same in every language (PostgreSQL's documentation, appendix A).
fn class_of_server(said: &DbError) -> FailureClass {
    let code = said.code();
    if *code == SqlState::INVALID_PASSWORD {
        FailureClass::AuthFailed
    } else if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        // One code for several causes: no line in pg_hba.conf, a role that may not sign in.
        match said.message().contains("not permitted to log in") {
            true => FailureClass::AccountDisabled,
            false => FailureClass::PermissionDenied,
        }
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        FailureClass::PermissionDenied
    } else if *code == SqlState::UNDEFINED_OBJECT {
        FailureClass::NoSuchAccount
    } else if *code == SqlState::INVALID_PARAMETER_VALUE {
        // What checks passwords there, such as `passwordcheck`, says no by this.
        FailureClass::PasswordPolicy
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        FailureClass::Invalid
    } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        FailureClass::Unsupported
    } else if ["53", "57", "55"]
        .iter()
        .any(|class| code.code().starts_with(class))
    {
        // Too many connections, starting or stopping, an object in use.
        FailureClass::Unavailable
    } else {
        FailureClass::Protocol
    }
}
