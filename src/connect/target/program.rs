//! A program of this machine that does part of an operation.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use super::{Attempt, Captured, Failure};
use crate::connect::ConnectError;
use crate::connect::command::{
    CommandEnd, CommandSpec, GuardProgram, Invocation, Line, Stream, run,
};
use crate::domain::failure::FailureClass;

/// Nobody asks these programs to end: they are killed when the operation's time is over.
const GRACE: Duration = Duration::ZERO;

/// How a program ended, and what it printed.
pub(crate) struct ProgramEnd {
    pub(crate) end: CommandEnd,
    pub(crate) stdout: Captured,
    pub(crate) stderr: Captured,
}

/// Runs a program to its end; dropping the future kills it and all that it started.
///
/// It sees robotd's environment without what is robotd's own, and what is named in `spec`.
pub(crate) async fn run_program(
    attempt: &Attempt<'_>,
    guard: &GuardProgram,
    spec: &CommandSpec,
    stdin: &SecretString,
) -> Result<ProgramEnd, Failure> {
    let mut stdout = Captured::new(attempt);
    let mut stderr = Captured::new(attempt);
    let keep = |line: Line| {
        let stream = match line.stream {
            Stream::Stdout => &mut stdout,
            Stream::Stderr => &mut stderr,
        };
        stream.push(line.text.as_bytes());
        stream.push(b"\n");
    };
    let invocation = Invocation {
        spec,
        payload: stdin.expose_secret().as_bytes(),
        env: &[],
        grace: GRACE,
    };
    let ended = run(guard, invocation, keep, CancellationToken::new()).await;
    match ended {
        Ok(end) => Ok(ProgramEnd {
            end,
            stdout,
            stderr,
        }),
        Err(error) => {
            let class = match error {
                ConnectError::Refused { .. } | ConnectError::Invalid { .. } => {
                    // It never began.
                    attempt.effect_refused();
                    FailureClass::Invalid
                }
                _ => FailureClass::Unavailable,
            };
            Err(attempt.fail(class, "work on", error.to_string()))
        }
    }
}
