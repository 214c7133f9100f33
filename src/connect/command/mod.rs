//! Runs the operator's own commands.
//!
//! [`run()`] starts the command under a [`guard`], hands it the payload on its standard input,
//! gives out its output line by line, and answers how it ended. Nothing of the command outlives
//! the run: not after its end, not after a cancel, not if the future is dropped, not if robotd
//! is killed. No shell is involved unless the operator names one as the program.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub mod guard;
mod lines;
mod output;
mod processes;
mod run;
mod wire;

pub use lines::{LINE_BYTES_MAX, Line, PROGRESS_CHARS_MAX, Progress, Stream, parse_progress};
pub use processes::MARK_VARIABLE;
pub use run::{GuardProgram, run};
pub use wire::PAYLOAD_BYTES_MAX;

use super::error::ConnectError;

/// The exit status that asks to be tried again later: `EX_TEMPFAIL` of sysexits.
pub const TRY_AGAIN_STATUS: i32 = 75;

/// A command as the operator declares it: an argument vector, never a line for a shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandSpec {
    /// The program: a path, or a name that is looked up in `PATH`.
    pub program: String,
    /// Its arguments, passed as they are.
    pub args: Vec<String>,
    /// Where it runs; robotd's own working directory if absent.
    pub current_dir: Option<String>,
    /// Variables to set on top of robotd's environment, from which robotd's own settings are taken away.
    pub env: Vec<(String, String)>,
}

impl CommandSpec {
    /// Refuses what no system could start, so that a mistake shows when the file is read.
    ///
    /// # Errors
    /// [`ConnectError::Invalid`] for an empty program, a NUL character anywhere, or a variable
    /// name that is empty or contains `=`.
    pub fn check(&self) -> Result<(), ConnectError> {
        let invalid = |reason: &str| {
            // The program may hold the NUL that is complained of, and the text goes into a log.
            let what = self.program.escape_debug().to_string();
            Err(ConnectError::Invalid {
                what,
                reason: reason.to_owned(),
            })
        };
        let values = self.env.iter().map(|(_, value)| value);
        let texts = [&self.program]
            .into_iter()
            .chain(&self.args)
            .chain(&self.current_dir)
            .chain(values);
        if self.program.is_empty() {
            return invalid("a command needs a program");
        }
        if texts.into_iter().any(|text| text.contains('\0')) {
            return invalid("a command cannot hold a NUL character");
        }
        if self
            .env
            .iter()
            .any(|(name, _)| name.is_empty() || name.contains(['=', '\0']))
        {
            return invalid("a variable's name is empty or holds `=` or NUL");
        }
        Ok(())
    }
}

/// One run of a command.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// What to run.
    pub spec: &'a CommandSpec,
    /// The JSON for its standard input, at most [`PAYLOAD_BYTES_MAX`].
    pub payload: &'a [u8],
    /// The run's own variables (`ROBOTD_TASK_ID` and so on); they win over the operator's.
    pub env: &'a [(String, String)],
    /// How long the command may take to end after SIGTERM before it is killed.
    pub grace: Duration,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandEnd {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
}

/// What the end of a command means for its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandOutcome {
    /// Exit status 0.
    Succeeded,
    /// Exit status [`TRY_AGAIN_STATUS`].
    TryAgain,
    /// Anything else; the text names the status or the signal.
    Failed(String),
}

/// Reads the end of a command as design section 3.4 says.
pub fn outcome_of(end: CommandEnd) -> CommandOutcome {
    match end {
        CommandEnd::Exited(0) => CommandOutcome::Succeeded,
        CommandEnd::Exited(TRY_AGAIN_STATUS) => CommandOutcome::TryAgain,
        CommandEnd::Exited(status) => CommandOutcome::Failed(format!("exit status {status}")),
        CommandEnd::Signalled(signal) => CommandOutcome::Failed(match signal_name(signal) {
            Some(name) => format!("killed by signal {signal} ({name})"),
            None => format!("killed by signal {signal}"),
        }),
    }
}

/// The names of the signals whose default is to end a process, as Linux numbers them on x86 and ARM.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_decides_the_outcome() {
        use CommandOutcome::{Failed, Succeeded, TryAgain};
        for (end, outcome) in [
            (CommandEnd::Exited(0), Succeeded),
            (CommandEnd::Exited(75), TryAgain),
            (CommandEnd::Exited(3), Failed("exit status 3".into())),
            (CommandEnd::Exited(137), Failed("exit status 137".into())),
            (
                CommandEnd::Signalled(9),
                Failed("killed by signal 9 (SIGKILL)".into()),
            ),
            (
                CommandEnd::Signalled(0),
                Failed("killed by signal 0".into()),
            ),
            (
                CommandEnd::Signalled(40),
                Failed("killed by signal 40".into()),
            ),
        ] {
            assert_eq!(outcome_of(end), outcome, "{end:?}");
        }
    }

    #[test]
    fn what_no_system_can_start_is_refused() {
        let good = CommandSpec {
            program: "/bin/true".into(),
            args: vec!["a".into()],
            current_dir: Some("/".into()),
            env: vec![("A".into(), "b=c".into())],
        };
        assert!(good.check().is_ok());
        let env = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        for bad in [
            CommandSpec {
                program: String::new(),
                ..good.clone()
            },
            CommandSpec {
                program: "a\0".into(),
                ..good.clone()
            },
            CommandSpec {
                args: vec!["\0".into()],
                ..good.clone()
            },
            CommandSpec {
                current_dir: Some("/\0".into()),
                ..good.clone()
            },
            CommandSpec {
                env: env("", "x"),
                ..good.clone()
            },
            CommandSpec {
                env: env("A=", "x"),
                ..good.clone()
            },
            CommandSpec {
                env: env("A\0", "x"),
                ..good.clone()
            },
            CommandSpec {
                env: env("A", "\0"),
                ..good.clone()
            },
        ] {
            assert!(
                matches!(bad.check(), Err(ConnectError::Invalid { .. })),
                "{bad:?}"
            );
        }
    }
}
