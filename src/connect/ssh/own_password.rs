//! An account changes its own password: `passwd` on a terminal.

use russh::{Channel, ChannelMsg, Error, Pty, client::Msg};
use secrecy::{ExposeSecret, SecretString};

use super::dialogue::{Answer, Dialogue, ended_badly, question};
use super::session::Session;
use crate::connect::target::{Attempt, Captured, Failure, PasswordChange};
use crate::domain::failure::FailureClass;

const STEP: &str = "change a password at";

/// By `env`, which every login shell can run, and in the machine's plain English. Where the
/// password is at its end, sshd runs `passwd` itself instead; the dialogue is the same.
const LINE: &str = "env LC_ALL=C LANGUAGE=C passwd";

/// A terminal that shows nothing of what is typed, and breaks no line of a question.
const WIDTH: u32 = 250;
const HEIGHT: u32 = 50;
const MODES: [(Pty, u32); 2] = [(Pty::ECHO, 0), (Pty::ECHONL, 0)];

/// Walks through the dialogue; success is the exit status 0 after the new password was given twice.
pub(super) async fn change(
    session: &Session,
    attempt: &Attempt<'_>,
    change: &PasswordChange,
) -> Result<(), Failure> {
    let Some(current) = change.login.credential.password() else {
        let reason = "to change its own password an account must sign in by it, not by a key";
        return Err(attempt.fail(FailureClass::Unsupported, STEP, reason));
    };
    let lost = |error: Error| session.lost(attempt, STEP, &error);
    let mut channel = terminal(session).await.map_err(lost)?;
    let mut dialogue = Dialogue::default();
    let mut shown = Captured::new(attempt);
    let mut answered = 0;
    let mut status = None;
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => shown.push(&data),
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            ChannelMsg::Failure => {
                let reason = "it gives the account no terminal";
                return Err(attempt.fail(FailureClass::PermissionDenied, STEP, reason));
            }
            _ => continue,
        }
        if shown.is_cut() {
            return Err(attempt.fail(FailureClass::Protocol, STEP, "it shows too much text"));
        }
        let text = shown.so_far();
        let Some(asked) = text.get(answered..).and_then(question) else {
            continue;
        };
        let answer = dialogue.on_prompt(asked);
        answered = text.len();
        let secret = match answer {
            Answer::Current => current,
            Answer::New => &change.secret,
            Answer::NewAgain => {
                attempt.effect_begins();
                &change.secret
            }
            // Dropping the session ends `passwd`, which has changed nothing while it asks.
            Answer::Stop(class) => {
                attempt.effect_refused();
                return Err(attempt.fail(class, STEP, text));
            }
        };
        type_in(&channel, secret).await.map_err(lost)?;
    }
    let text = shown.so_far();
    match status {
        Some(0) if dialogue.is_complete() => Ok(()),
        Some(_) => Err(ended_badly(attempt, &text)),
        None => Err(lost(Error::HUP)),
    }
}

async fn terminal(session: &Session) -> Result<Channel<Msg>, Error> {
    let channel = session.handle.channel_open_session().await?;
    channel
        .request_pty(true, "dumb", WIDTH, HEIGHT, 0, 0, &MODES)
        .await?;
    channel.exec(true, LINE).await?;
    Ok(channel)
}

async fn type_in(channel: &Channel<Msg>, secret: &SecretString) -> Result<(), Error> {
    // One message, so that no line is sent in halves.
    let mut line = Vec::with_capacity(secret.expose_secret().len() + 1);
    line.extend_from_slice(secret.expose_secret().as_bytes());
    line.push(b'\n');
    channel.data_bytes(line).await
}
