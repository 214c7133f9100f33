//! A robot that runs the operator's program.
//!
//! The program gets the payload on its standard input and `ROBOTD_TASK_ID`, `ROBOTD_PROCESS_ID`,
//! `ROBOTD_ATTEMPT`, `ROBOTD_ROBOT` in its environment. Each line it prints is a line of the
//! process's log, but for `::progress 40 copying`, which says how far it is.

use async_trait::async_trait;
use futures_util::FutureExt;

use crate::connect::command::{
    self, CommandEnd, CommandOutcome, CommandSpec, GuardProgram, Invocation, Line, Stream,
    outcome_of, parse_progress,
};
use crate::connect::error::ConnectError;
use crate::domain::robot::FieldError;
use crate::robot::journal::LogLevel;
use crate::robot::{Context, Definition, Outcome, Robot, RobotError};

use super::{TERM_GRACE, payload};

/// A program as a robot.
#[derive(Debug)]
pub struct CommandRobot {
    definition: Definition,
    spec: CommandSpec,
    guard: GuardProgram,
}

impl CommandRobot {
    /// The robot that runs `spec` under `guard`.
    ///
    /// # Errors
    /// A command that no system could start.
    pub fn new(
        definition: Definition,
        spec: CommandSpec,
        guard: GuardProgram,
    ) -> Result<Self, ConnectError> {
        spec.check()?;
        Ok(Self {
            definition,
            spec,
            guard,
        })
    }
}

#[async_trait]
impl Robot for CommandRobot {
    fn definition(&self) -> Result<Definition, FieldError> {
        Ok(self.definition.clone())
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let (payload, env) = (payload(ctx), variables(ctx));
        let invocation = Invocation {
            spec: &self.spec,
            payload: &payload,
            env: &env,
            grace: TERM_GRACE,
        };
        let take = |line: Line| take(ctx, &line);
        let end = command::run(&self.guard, invocation, take, ctx.cancelled().clone()).await?;
        answer(end)
    }
}

/// What the end of the program means; see the table in [`super`].
fn answer(end: CommandEnd) -> Result<Outcome, RobotError> {
    match (outcome_of(end), end) {
        (CommandOutcome::Succeeded, _) => Ok(Outcome::done()),
        (CommandOutcome::TryAgain, _) => Err(RobotError::retry(
            "try_again",
            "the command asks to be tried again later (exit status 75)",
        )),
        (CommandOutcome::Failed(how), CommandEnd::Exited(_)) => {
            Err(RobotError::retry("exit_status", how))
        }
        (CommandOutcome::Failed(how), CommandEnd::Signalled(_)) => {
            Err(RobotError::retry("signal", how))
        }
    }
}

/// The run's own variables.
fn variables(ctx: &Context) -> [(String, String); 4] {
    let run = ctx.run();
    [
        ("ROBOTD_TASK_ID", run.task.to_string()),
        ("ROBOTD_PROCESS_ID", run.process.to_string()),
        ("ROBOTD_ATTEMPT", run.attempt.to_string()),
        ("ROBOTD_ROBOT", ctx.robot().to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// Keeps a line. While the log is ahead of the database by its bound, the program waits: its pipe
/// fills and its next write stops. A cancelled run does not wait, or it could not end.
fn take(ctx: &Context, line: &Line) {
    let level = match line.stream {
        Stream::Stdout => match parse_progress(&line.text) {
            Some(progress) => return ctx.progress(progress.percent, &progress.message),
            None => LogLevel::Stdout,
        },
        Stream::Stderr => LogLevel::Stderr,
    };
    let journal = ctx.journal();
    if journal.write(level, &line.text).now_or_never().is_some() {
        return;
    }
    // The reader has no other work on this thread, and the runtime moves other runs away from it.
    tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(async {
            tokio::select! {
                biased;
                () = journal.write(level, &line.text) => {}
                () = ctx.cancelled().cancelled() => journal.push(level, &line.text),
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_a_command_may_be_repeated() {
        assert_eq!(answer(CommandEnd::Exited(0)).unwrap(), Outcome::done());
        for (end, class) in [
            (CommandEnd::Exited(75), "try_again"),
            (CommandEnd::Exited(1), "exit_status"),
            (CommandEnd::Exited(255), "exit_status"),
            (CommandEnd::Signalled(9), "signal"),
        ] {
            let error = answer(end).unwrap_err();
            assert_eq!((error.class, error.temporary), (class, true), "{end:?}");
        }
    }
}
