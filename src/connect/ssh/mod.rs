//! Linux and Unix machines over SSH.
//!
//! The machine's key is judged before anything else is said. Then the account signs in, by
//! `keyboard-interactive` where the server offers it and asks something (there PAM tells us
//! more), else by `password`, or by its key. Its own password is changed in the dialogue of `passwd`, on a
//! terminal; another account's by `chpasswd`, as root or under `sudo`, from the standard input.
//! Another account is opened and closed by `usermod` in the same way.

mod chpasswd;
mod dialogue;
mod exec;
mod host_key;
mod key_pair;
mod own_password;
mod proof;
mod session;
mod sign_in;
mod usermod;

use async_trait::async_trait;

use self::exec::{Exec, exec};
pub use self::host_key::HostKeyPolicy;
pub use self::key_pair::{KeyFlaw, PublicHalf, flaw, public_half, successor};
pub use self::proof::Unread;
use self::proof::proof;
use self::session::Session;
use self::sign_in::{SignedIn, sign_in};
use super::target::{
    AdmissionOrder, Attempt, Command, Failure, HostKey, Limits, Login, PasswordChange, Probed, Ran,
    Target, check_login, shell_word,
};
use crate::domain::failure::FailureClass;

/// A machine that is reached over SSH.
#[derive(Debug, Clone)]
pub struct SshTarget {
    host: String,
    port: u16,
    host_key: HostKeyPolicy,
    limits: Limits,
    shown: String,
}

impl SshTarget {
    /// Names the machine; connects to nothing yet.
    #[must_use]
    pub fn new(host: &str, port: u16, host_key: HostKeyPolicy, limits: Limits) -> Self {
        Self {
            host: host.to_owned(),
            port,
            host_key,
            limits,
            shown: format!("{host}:{port}"),
        }
    }

    /// Agrees on keys with the machine and leaves again: nobody signs in. Answers its key.
    ///
    /// # Errors
    /// [`Failure`], always without effect.
    pub async fn meet(&self) -> Result<Option<HostKey>, Failure> {
        let attempt = Attempt::nobodys(&self.shown);
        let session = self.open(&attempt).await?;
        let key = session.host_key();
        session.leave().await;
        Ok(key)
    }

    async fn open(&self, attempt: &Attempt<'_>) -> Result<Session, Failure> {
        let opening = Session::open(attempt, &self.host, self.port, &self.host_key);
        let opened = attempt.within(self.limits.connect, "reach", opening);
        opened.await
    }

    async fn probed(&self, attempt: &Attempt<'_>, login: &Login) -> Result<Probed, Failure> {
        check_login(attempt, login)?;
        let who = (login.account.as_str(), proof(attempt, login).await?);
        let mut session = self.open(attempt).await?;
        sign_in(&mut session, attempt, who, None).await?;
        exec::refuse_expired(&session, attempt).await?;
        let host_key = session.host_key();
        session.leave().await;
        Ok(Probed { host_key })
    }

    async fn changed(&self, attempt: &Attempt<'_>, change: &PasswordChange) -> Result<(), Failure> {
        change.check(attempt)?;
        chpasswd::check_account(attempt, &change.account)?;
        let login = &change.login;
        let who = (login.account.as_str(), proof(attempt, login).await?);
        let mut session = self.open(attempt).await?;
        let new = change.is_own().then_some(&change.secret);
        let signed_in = sign_in(&mut session, attempt, who, new).await?;
        match signed_in {
            // The password was at its end, and the server had it changed before it let us in.
            SignedIn::WithNewPassword => {}
            SignedIn::AsBefore if change.is_own() && change.login.account != "root" => {
                own_password::change(&session, attempt, change).await?;
            }
            SignedIn::AsBefore => chpasswd::change(&session, attempt, change).await?,
        }
        session.leave().await;
        Ok(())
    }

    async fn admitted(&self, attempt: &Attempt<'_>, order: &AdmissionOrder) -> Result<(), Failure> {
        order.check(attempt)?;
        let login = &order.login;
        let who = (login.account.as_str(), proof(attempt, login).await?);
        let mut session = self.open(attempt).await?;
        sign_in(&mut session, attempt, who, None).await?;
        usermod::admit(&session, attempt, order).await?;
        session.leave().await;
        Ok(())
    }

    async fn ran(
        &self,
        attempt: &Attempt<'_>,
        login: &Login,
        command: &Command,
    ) -> Result<Ran, Failure> {
        check_login(attempt, login)?;
        let who = (login.account.as_str(), proof(attempt, login).await?);
        let mut session = self.open(attempt).await?;
        sign_in(&mut session, attempt, who, None).await?;
        let words = command.words().iter().map(|word| shell_word(word));
        let line = words.collect::<Vec<_>>().join(" ");
        let ended = exec(&session, attempt, Exec::act(&line, command.stdin())).await?;
        session.leave().await;
        if ended.is_expiry_notice() {
            attempt.effect_refused();
            let reason = "the password must be changed before a command may run";
            return Err(attempt.fail(FailureClass::PasswordExpired, "run a command at", reason));
        }
        Ok(ended.into_ran(attempt))
    }
}

#[async_trait]
impl Target for SshTarget {
    async fn probe(&self, login: &Login) -> Result<Probed, Failure> {
        let attempt = Attempt::new(&self.shown, login);
        let work = Box::pin(self.probed(&attempt, login));
        attempt.within(self.limits.whole, "sign in at", work).await
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<(), Failure> {
        let attempt = Attempt::of_change(&self.shown, change);
        let work = Box::pin(self.changed(&attempt, change));
        attempt
            .within(self.limits.whole, "change a password at", work)
            .await
    }

    async fn admit(&self, order: &AdmissionOrder) -> Result<(), Failure> {
        let attempt = Attempt::new(&self.shown, &order.login);
        let work = Box::pin(self.admitted(&attempt, order));
        attempt.within(self.limits.whole, usermod::STEP, work).await
    }

    async fn run(&self, login: &Login, command: &Command) -> Result<Ran, Failure> {
        let attempt = Attempt::new(&self.shown, login).hiding(command.secrets());
        let work = Box::pin(self.ran(&attempt, login, command));
        attempt
            .within(self.limits.whole, "run a command at", work)
            .await
    }
}
