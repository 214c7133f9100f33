//! The machine that robotd runs on, as a target: it runs commands.
//!
//! A command runs as the user that robotd runs as. Nobody signs in, so there is nothing to probe
//! and no password to change.

use async_trait::async_trait;

use super::command::{CommandEnd, CommandSpec, GuardProgram};
use super::target::{
    AdmissionOrder, Attempt, Command, Failure, Limits, Login, PasswordChange, Probed, Ran, Target,
    run_program,
};
use crate::domain::failure::FailureClass;

const SHOWN: &str = "this machine";

/// This machine.
#[derive(Debug, Clone)]
pub struct LocalTarget {
    guard: GuardProgram,
    limits: Limits,
}

impl LocalTarget {
    /// Names the program that watches over commands; starts nothing yet.
    #[must_use]
    pub fn new(guard: GuardProgram, limits: Limits) -> Self {
        Self { guard, limits }
    }

    async fn ran(&self, attempt: &Attempt<'_>, command: &Command) -> Result<Ran, Failure> {
        let Some((program, arguments)) = command.words().split_first() else {
            return Err(attempt.fail(FailureClass::Invalid, "use", "the command has no program"));
        };
        let spec = CommandSpec {
            program: program.clone(),
            args: arguments.to_vec(),
            current_dir: None,
            env: Vec::new(),
        };
        attempt.effect_begins();
        let ended = run_program(attempt, &self.guard, &spec, command.stdin()).await?;
        let (stdout, stdout_cut) = ended.stdout.finish(attempt);
        let (stderr, stderr_cut) = ended.stderr.finish(attempt);
        Ok(Ran {
            status: match ended.end {
                CommandEnd::Exited(status) => Some(status),
                CommandEnd::Signalled(_) => None,
            },
            stdout,
            stderr,
            truncated: stdout_cut || stderr_cut,
        })
    }
}

fn unsupported(login: &Login) -> Failure {
    Attempt::new(SHOWN, login).fail(
        FailureClass::Unsupported,
        "sign in at",
        "nobody signs in here; reach it over SSH",
    )
}

#[async_trait]
impl Target for LocalTarget {
    async fn probe(&self, login: &Login) -> Result<Probed, Failure> {
        Err(unsupported(login))
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<(), Failure> {
        Err(unsupported(&change.login))
    }

    async fn admit(&self, order: &AdmissionOrder) -> Result<(), Failure> {
        Err(unsupported(&order.login))
    }

    /// Runs a command as robotd's own user, whoever `login` names.
    async fn run(&self, login: &Login, command: &Command) -> Result<Ran, Failure> {
        let attempt = Attempt::new(SHOWN, login).hiding(command.secrets());
        let work = Box::pin(self.ran(&attempt, command));
        attempt
            .within(self.limits.whole, "run a command on", work)
            .await
    }
}
