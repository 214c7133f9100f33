//! Machines, databases and directories whose accounts are looked after.
//!
//! A [`Target`] is asked four things: does this secret still sign in, make this the secret of
//! that account, open or close that account, run this command. Each protocol is one implementation beside this folder.
//! What they share stands here: who signs in ([`Login`]), how long it may take ([`Limits`]),
//! what is run ([`Command`]), and how a failure is told ([`Failure`]).
//!
//! Three rules hold for all of them:
//!
//! - **A secret goes to the right counterpart only.** The host key or certificate is verified
//!   before anything of worth is said, and a secret never stands in an argument, an environment,
//!   a log or an error.
//! - **One try.** A connector signs in once with a secret and never tries it in a second way,
//!   because each wrong try brings the account nearer to its lock.
//! - **A failure says whether the effect may have happened.** Whoever drops the future of
//!   [`Target::change_password`] or [`Target::run`] must assume that it may.

mod attempt;
mod dial;
mod failure;
mod output;
mod program;
mod quote;
mod tls;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

pub(crate) use attempt::Attempt;
pub(crate) use dial::{Cut, class_of, cut_when_dropped, dial};
pub use failure::{Failure, REASON_CHARS_MAX};
pub(crate) use output::Captured;
pub(crate) use program::{ProgramEnd, run_program};
pub use quote::shell_word;
pub(crate) use tls::{client_tls, is_loopback};

pub use crate::domain::command::Command;

use crate::domain::failure::FailureClass;
use crate::domain::operation::Admission;

/// The longest secret: what Linux's PAM takes (`PAM_MAX_RESP_SIZE` is 512, `pam_unix` stops
/// at 200).
pub const SECRET_BYTES_MAX: usize = 199;

/// The longest account name; the longest of all targets is a directory's distinguished name.
pub const ACCOUNT_BYTES_MAX: usize = 1_024;

/// Most output of a command that is kept, per stream; the rest is read and counted as cut off.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// Something whose accounts are looked after.
#[async_trait]
pub trait Target: Send + Sync {
    /// Signs in and leaves again: nothing is changed, and a secret is tried once.
    ///
    /// # Errors
    /// [`Failure`], always without effect.
    async fn probe(&self, login: &Login) -> Result<Probed, Failure>;

    /// Makes a new secret the secret of an account. It does not verify: that is a
    /// [`Target::probe`] with the new secret, on a fresh connection.
    ///
    /// # Errors
    /// [`Failure`]; its effect says whether the old secret is certainly still in force.
    async fn change_password(&self, change: &PasswordChange) -> Result<(), Failure>;

    /// Opens an account for signing in, or closes it; one that stands so already stays so. It does
    /// not verify.
    ///
    /// # Errors
    /// [`Failure`]; where a target cannot do that, [`FailureClass::Unsupported`].
    async fn admit(&self, order: &AdmissionOrder) -> Result<(), Failure>;

    /// Runs a command to its end. That it fails by its exit status is an answer, not an error.
    ///
    /// # Errors
    /// [`Failure`]; where a target runs no commands, [`FailureClass::Unsupported`].
    async fn run(&self, login: &Login, command: &Command) -> Result<Ran, Failure>;
}

/// What a successful probe has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The key of the host, where the protocol has one; to be pinned from now on.
    pub host_key: Option<HostKey>,
}

/// The key by which a host proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// Its kind as SSH names it, such as `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:` and the digest in Base64 without padding, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
}

/// Who signs in, and with what.
#[derive(Debug, Clone)]
pub struct Login {
    /// The account's name as the target knows it.
    pub account: String,
    /// What proves it.
    pub credential: Credential,
}

/// What proves who signs in.
#[derive(Clone)]
pub enum Credential {
    /// A password.
    Password(SecretString),
    /// A private key in OpenSSH's form, or PKCS#8.
    PrivateKey {
        /// The text of the file.
        key: SecretString,
        /// What it is encrypted with, if it is.
        passphrase: Option<SecretString>,
    },
}

impl fmt::Debug for Credential {
    /// The kind alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::PrivateKey { .. } => "PrivateKey(..)",
        })
    }
}

impl Credential {
    /// The password, where this is one.
    pub(crate) fn password(&self) -> Option<&SecretString> {
        match self {
            Self::Password(password) => Some(password),
            Self::PrivateKey { .. } => None,
        }
    }

    fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        let (first, second) = match self {
            Self::Password(password) => (Some(password), None),
            Self::PrivateKey { key, passphrase } => (Some(key), passphrase.as_ref()),
        };
        first.into_iter().chain(second)
    }
}

/// A new secret for an account.
///
/// Where `account` is the one that signs in, its owner changes the password and the target's
/// policy holds; else an administrator sets it.
#[derive(Debug, Clone)]
pub struct PasswordChange {
    /// Who signs in to do it.
    pub login: Login,
    /// Whose secret changes.
    pub account: String,
    /// The new secret, 1 to [`SECRET_BYTES_MAX`] bytes without control characters.
    pub secret: SecretString,
}

impl PasswordChange {
    /// Whether the owner changes the own password.
    pub(crate) fn is_own(&self) -> bool {
        self.account == self.login.account
    }

    /// Refuses what no target can take: the texts name the field, and hold no secret.
    pub(crate) fn check(&self, attempt: &Attempt<'_>) -> Result<(), Failure> {
        check_account(attempt, &self.account)?;
        check_secret(attempt, "new secret", &self.secret)?;
        check_login(attempt, &self.login)
    }
}

/// An account that is to be opened or closed.
#[derive(Debug, Clone)]
pub struct AdmissionOrder {
    /// Who signs in to do it: an administrator, and not the account itself.
    pub login: Login,
    /// Whose account.
    pub account: String,
    /// How it shall stand.
    pub admission: Admission,
}

impl AdmissionOrder {
    /// Refuses what no target can take.
    pub(crate) fn check(&self, attempt: &Attempt<'_>) -> Result<(), Failure> {
        check_account(attempt, &self.account)?;
        check_login(attempt, &self.login)
    }
}

/// Refuses a host that a program or a URL would read as something else.
pub(crate) fn check_host(attempt: &Attempt<'_>, host: &str) -> Result<(), Failure> {
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    if host.is_empty() || host.starts_with('-') || !host.chars().all(is_host) {
        let reason = "the host is no name and no address";
        return Err(attempt.fail(FailureClass::Invalid, "use", reason));
    }
    Ok(())
}

/// Refuses a name or a password that no target can take.
pub(crate) fn check_login(attempt: &Attempt<'_>, login: &Login) -> Result<(), Failure> {
    check_account(attempt, &login.account)?;
    match &login.credential {
        Credential::Password(password) => check_secret(attempt, "password", password),
        Credential::PrivateKey { .. } => Ok(()),
    }
}

fn check_account(attempt: &Attempt<'_>, account: &str) -> Result<(), Failure> {
    let reason = if account.is_empty() {
        "the account has no name"
    } else if account.len() > ACCOUNT_BYTES_MAX {
        "the account's name is longer than 1,024 bytes"
    } else if account.chars().any(char::is_control) {
        "the account's name holds a control character"
    } else {
        return Ok(());
    };
    Err(attempt.fail(FailureClass::Invalid, "use", reason))
}

/// A control character ends a line or a terminal's patience; an empty password may mean
/// "anonymous" (RFC 4513, section 5.1.2) and would be taken for right.
fn check_secret(attempt: &Attempt<'_>, what: &str, secret: &SecretString) -> Result<(), Failure> {
    let text = secret.expose_secret();
    let reason = if text.is_empty() {
        "is empty"
    } else if text.len() > SECRET_BYTES_MAX {
        "is longer than 199 bytes"
    } else if text.chars().any(char::is_control) {
        "holds a control character"
    } else {
        return Ok(());
    };
    Err(attempt.fail(FailureClass::Invalid, "use", format!("the {what} {reason}")))
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit status; `None` where a signal ended it.
    pub status: Option<i32>,
    /// Its standard output, at most [`OUTPUT_BYTES_MAX`], secrets masked.
    pub stdout: String,
    /// Its standard error, likewise.
    pub stderr: String,
    /// Whether something of either was cut off.
    pub truncated: bool,
}

/// How long an operation may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To reach the target, with SSH and LDAP also to agree on keys; not the signing in, which
    /// some targets slow down on purpose.
    pub connect: Duration,
    /// The operation as a whole, `connect` included.
    pub whole: Duration,
}

impl Default for Limits {
    /// 10 s and 60 s.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            whole: Duration::from_secs(60),
        }
    }
}
