//! One operation on its way: what it must not say, how long it has, and whether it has begun
//! to change something.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::failure::{masked, one_line};
use super::{Failure, Login, PasswordChange};
use crate::domain::failure::{Effect, FailureClass};

/// One operation on one target; the only maker of a [`Failure`].
pub(crate) struct Attempt<'a> {
    target: &'a str,
    secrets: Vec<&'a SecretString>,
    /// Set from the moment before the order is given until it is certain that it was refused.
    /// Only one future uses it; it is atomic so that the future may move between threads.
    effect: AtomicBool,
}

impl<'a> Attempt<'a> {
    /// An operation that signs in.
    pub(crate) fn new(target: &'a str, login: &'a Login) -> Self {
        Self {
            target,
            secrets: login.credential.secrets().collect(),
            effect: AtomicBool::new(false),
        }
    }

    /// An operation in which nobody signs in.
    pub(crate) fn nobodys(target: &'a str) -> Self {
        Self {
            target,
            secrets: Vec::new(),
            effect: AtomicBool::new(false),
        }
    }

    /// An operation that changes a secret.
    pub(crate) fn of_change(target: &'a str, change: &'a PasswordChange) -> Self {
        Self::new(target, &change.login).hiding([&change.secret])
    }

    /// More that no text may show.
    pub(crate) fn hiding(mut self, secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        self.secrets.extend(secrets);
        self
    }

    /// From here on, a failure leaves open whether the target was changed.
    pub(crate) fn effect_begins(&self) {
        self.effect.store(true, Ordering::Relaxed);
    }

    /// The target said for certain that it changed nothing.
    pub(crate) fn effect_refused(&self) {
        self.effect.store(false, Ordering::Relaxed);
    }

    /// A failure at this point of the operation.
    ///
    /// A sentence of our own is told as it is: a mask in it would show a secret that is one of its words.
    pub(crate) fn fail(
        &self,
        class: FailureClass,
        step: &'static str,
        reason: impl Into<Cow<'static, str>>,
    ) -> Failure {
        let effect = if self.effect.load(Ordering::Relaxed) {
            Effect::Possible
        } else {
            Effect::None
        };
        let reason = match reason.into() {
            Cow::Borrowed(own) => own.to_owned(),
            Cow::Owned(said) => self.masked(&said),
        };
        Failure {
            class,
            effect,
            target: self.target.to_owned(),
            step,
            reason: one_line(&reason),
        }
    }

    /// A text of the target without the secrets of this operation.
    pub(crate) fn masked(&self, text: &str) -> String {
        masked(text, self.secrets.iter().copied())
    }

    /// Bytes of the longest secret of this operation.
    pub(super) fn longest_secret(&self) -> usize {
        let lengths = self
            .secrets
            .iter()
            .map(|secret| secret.expose_secret().len());
        lengths.max().unwrap_or(0)
    }

    /// Gives a step its time.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        step: &'static str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match timeout(limit, work).await {
            Ok(done) => done,
            Err(_) => Err(self.fail(
                FailureClass::Timeout,
                step,
                format!("no end within {limit:?}"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::target::Credential;

    #[tokio::test]
    async fn the_effect_is_open_from_the_order_to_the_refusal() {
        let login = Login {
            account: "ana".to_owned(),
            credential: Credential::Password(SecretString::from("opensesame")),
        };
        let attempt = Attempt::new("host:22", &login);
        let said = "said opensesame\r\nand left";
        let fail = || attempt.fail(FailureClass::Protocol, "use", said.to_owned());
        assert_eq!(fail().effect, Effect::None);
        assert_eq!(fail().to_string(), "use `host:22`: said [secret] and left");
        attempt.effect_begins();
        let late = attempt
            .within(Duration::from_millis(1), "change a password at", async {
                std::future::pending::<()>().await;
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(
            (late.class, late.effect),
            (FailureClass::Timeout, Effect::Possible)
        );
        attempt.effect_refused();
        assert!(!fail().is_unverified());
    }

    #[test]
    fn our_own_words_are_not_masked() {
        let login = Login {
            account: "ana".to_owned(),
            credential: Credential::Password(SecretString::from("secret")),
        };
        let attempt = Attempt::new("host:22", &login);
        let own = attempt.fail(
            FailureClass::AuthFailed,
            "sign in at",
            "name or secret is wrong",
        );
        assert_eq!(own.reason, "name or secret is wrong");
    }
}
