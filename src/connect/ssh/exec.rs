//! A command without a terminal: its input, its output, its end.

use std::time::Duration;

use russh::{Channel, ChannelMsg, Error, client::Msg};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::session::Session;
use crate::connect::target::{Attempt, Captured, Failure, Ran};
use crate::domain::failure::FailureClass;

const STEP: &str = "run a command at";

/// RFC 4254, section 5.2: the one kind of extended data, standard error.
const STDERR: u32 = 1;

/// How long a probe looks whether the password is at its end. A machine whose shell takes longer
/// to say so is let pass: the secret was right.
const EXPIRY_TIME_MAX: Duration = Duration::from_secs(5);

/// A line for the account's login shell, and what it reads.
#[derive(Clone, Copy)]
pub(super) struct Exec<'a> {
    line: &'a str,
    stdin: Option<&'a SecretString>,
    purpose: Purpose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Look,
    Act,
}

impl<'a> Exec<'a> {
    /// A command that changes nothing.
    pub(super) fn look(line: &'a str, stdin: Option<&'a SecretString>) -> Self {
        let purpose = Purpose::Look;
        Self {
            line,
            stdin,
            purpose,
        }
    }

    /// A command whose effect is what the operation is about: it may have happened as soon as the
    /// line is on its way.
    pub(super) fn act(line: &'a str, stdin: &'a SecretString) -> Self {
        Self {
            line,
            stdin: Some(stdin),
            purpose: Purpose::Act,
        }
    }
}

/// How a command ended.
pub(super) struct Ended {
    pub(super) status: Option<i32>,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
}

impl Ended {
    /// Whether it exited with 0.
    pub(super) fn succeeded(&self) -> bool {
        self.status == Some(0)
    }

    /// Whether sshd refused to run anything before the password is changed; its words are the
    /// same in every language.
    pub(super) fn is_expiry_notice(&self) -> bool {
        let said = self.stderr.so_far() + &self.stdout.so_far();
        self.status == Some(1) && said.contains("Password change required but no TTY available")
    }

    /// Both streams as one text, for a reason.
    pub(super) fn said(&self) -> String {
        self.stderr.so_far() + &self.stdout.so_far()
    }

    pub(super) fn into_ran(self, attempt: &Attempt<'_>) -> Ran {
        let (stdout, stdout_cut) = self.stdout.finish(attempt);
        let (stderr, stderr_cut) = self.stderr.finish(attempt);
        Ran {
            status: self.status,
            stdout,
            stderr,
            truncated: stdout_cut || stderr_cut,
        }
    }
}

/// Runs a command to its end.
pub(super) async fn exec(
    session: &Session,
    attempt: &Attempt<'_>,
    run: Exec<'_>,
) -> Result<Ended, Failure> {
    let lost = |error: Error| session.lost(attempt, STEP, &error);
    let mut channel = session.handle.channel_open_session().await.map_err(lost)?;
    if run.purpose == Purpose::Act {
        attempt.effect_begins();
    }
    channel.exec(true, run.line).await.map_err(lost)?;
    let mut ended = Ended {
        status: None,
        stdout: Captured::new(attempt),
        stderr: Captured::new(attempt),
    };
    let mut input = run.stdin;
    let mut closed = false;
    while let Some(message) = channel.wait().await {
        match message {
            // Before this nothing runs that could read.
            ChannelMsg::Success => give(&channel, input.take()).await.map_err(lost)?,
            ChannelMsg::Failure => {
                attempt.effect_refused();
                let reason = "it runs no commands for this account";
                return Err(attempt.fail(FailureClass::PermissionDenied, STEP, reason));
            }
            ChannelMsg::Data { data } => ended.stdout.push(&data),
            ChannelMsg::ExtendedData { data, ext: STDERR } => ended.stderr.push(&data),
            ChannelMsg::ExitStatus { exit_status } => {
                ended.status = i32::try_from(exit_status).ok();
                closed = true;
            }
            ChannelMsg::ExitSignal { .. } => closed = true,
            _ => {}
        }
    }
    if closed {
        Ok(ended)
    } else {
        Err(session.lost(attempt, STEP, &Error::HUP))
    }
}

async fn give(channel: &Channel<Msg>, input: Option<&SecretString>) -> Result<(), Error> {
    if let Some(input) = input {
        let given = channel.data(input.expose_secret().as_bytes()).await;
        // A command that ends without reading everything is no error; its exit status tells.
        if given.is_err() {
            return Ok(());
        }
    }
    channel.eof().await.or(Ok(()))
}

/// Refuses an account whose password is right and at its end.
///
/// Where PAM did not ask for a new password at the sign-in, sshd only says so when something
/// is to be run.
pub(super) async fn refuse_expired(
    session: &Session,
    attempt: &Attempt<'_>,
) -> Result<(), Failure> {
    let look = exec(session, attempt, Exec::look("exit 0", None));
    match timeout(EXPIRY_TIME_MAX, look).await {
        Ok(Ok(ended)) if ended.is_expiry_notice() => Err(attempt.fail(
            FailureClass::PasswordExpired,
            "sign in at",
            "the secret is right, and the password must be changed first",
        )),
        // An account without a shell may still have the right secret.
        Ok(Ok(_) | Err(_)) | Err(_) => Ok(()),
    }
}
