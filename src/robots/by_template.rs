//! A target whose passwords are set by the commands of an operator's templates, where there are some.

use async_trait::async_trait;

use crate::connect::target::{
    Attempt, Command, Failure, Login, PasswordChange, Probed, Ran, Target,
};
use crate::domain::failure::FailureClass;
use crate::domain::steps::{Places, command};

const STEP: &str = "change a password by a template at";

/// The target, and how passwords are set there.
pub(super) struct ByTemplate {
    /// What is signed in to.
    pub(super) target: Box<dyn Target>,
    /// What is shown of it.
    pub(super) shown: String,
    /// The steps by which an account changes its own password; none: as the target's protocol does it.
    pub(super) change: Option<String>,
    /// The steps by which a privileged account sets one.
    pub(super) reconcile: Option<String>,
}

impl ByTemplate {
    /// What a command came to cannot be known but by its exit status: after another one than 0 the password may be the new one.
    async fn set(&self, change: &PasswordChange, steps: &str) -> Result<(), Failure> {
        let attempt = Attempt::of_change(&self.shown, change);
        change.check(&attempt)?;
        let places = Places {
            account: &change.account,
            password: change.login.credential.password(),
            new_password: Some(&change.secret),
        };
        let command = command(steps, places).map_err(|error| {
            let reason = format!("the template's `steps`: {error}");
            attempt.fail(FailureClass::Invalid, STEP, reason)
        })?;
        let ran = self.target.run(&change.login, &command).await?;
        if ran.status == Some(0) {
            return Ok(());
        }
        attempt.effect_begins();
        let reason = match ran.status {
            Some(status) => format!("the command exited with {status}: {}", ran.stderr.trim()),
            None => "a signal ended the command".to_owned(),
        };
        Err(attempt.fail(FailureClass::Protocol, STEP, reason))
    }
}

#[async_trait]
impl Target for ByTemplate {
    async fn probe(&self, login: &Login) -> Result<Probed, Failure> {
        self.target.probe(login).await
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<(), Failure> {
        let steps = if change.is_own() {
            &self.change
        } else {
            &self.reconcile
        };
        match steps {
            Some(steps) => self.set(change, steps).await,
            None => self.target.change_password(change).await,
        }
    }

    async fn run(&self, login: &Login, command: &Command) -> Result<Ran, Failure> {
        self.target.run(login, command).await
    }
}
