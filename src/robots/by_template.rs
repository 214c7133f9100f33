//! A target whose passwords are set, and proven, by the commands of an operator's templates, where there are some.

use async_trait::async_trait;

use crate::connect::target::{
    AdmissionOrder, Attempt, Command, Failure, Login, PasswordChange, Probed, Ran, Target,
};
use crate::domain::failure::FailureClass;
use crate::domain::steps::{Places, command};

const SET: &str = "change a password by a template at";
const PROVE: &str = "prove a password by a template at";

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
    /// The steps by which an account that has signed in proves its password; none: signing in is proof enough.
    pub(super) verify: Option<String>,
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
        let command = prepared(&attempt, SET, steps, places)?;
        let ran = self.target.run(&change.login, &command).await?;
        let Some(reason) = refused(&ran) else {
            return Ok(());
        };
        attempt.effect_begins();
        Err(attempt.fail(FailureClass::Protocol, SET, reason))
    }

    /// Whether the command says so too. That it does not is no refusal of the account: it has signed in.
    async fn prove(&self, login: &Login, steps: &str) -> Result<(), Failure> {
        let attempt = Attempt::new(&self.shown, login);
        let places = Places {
            account: &login.account,
            password: login.credential.password(),
            new_password: None,
        };
        let command = prepared(&attempt, PROVE, steps, places)?;
        let ran = self.target.run(login, &command).await?;
        match refused(&ran) {
            Some(reason) => Err(attempt.fail(FailureClass::Protocol, PROVE, reason)),
            None => Ok(()),
        }
    }
}

fn prepared(
    attempt: &Attempt<'_>,
    step: &'static str,
    steps: &str,
    places: Places<'_>,
) -> Result<Command, Failure> {
    command(steps, places).map_err(|error| {
        let reason = format!("the template's `steps`: {error}");
        attempt.fail(FailureClass::Invalid, step, reason)
    })
}

/// Why a command did not do what it is for; none: it did.
fn refused(ran: &Ran) -> Option<String> {
    match ran.status {
        Some(0) => None,
        Some(status) => Some(format!(
            "the command exited with {status}: {}",
            ran.stderr.trim()
        )),
        None => Some("a signal ended the command".to_owned()),
    }
}

#[async_trait]
impl Target for ByTemplate {
    async fn probe(&self, login: &Login) -> Result<Probed, Failure> {
        let probed = self.target.probe(login).await?;
        if let Some(steps) = &self.verify {
            self.prove(login, steps).await?;
        }
        Ok(probed)
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

    async fn admit(&self, order: &AdmissionOrder) -> Result<(), Failure> {
        self.target.admit(order).await
    }

    async fn run(&self, login: &Login, command: &Command) -> Result<Ran, Failure> {
        self.target.run(login, command).await
    }
}
