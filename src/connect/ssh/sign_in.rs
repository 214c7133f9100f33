//! Signing in, once.

use std::borrow::Cow;
use std::sync::Arc;

use russh::client::{AuthResult, KeyboardInteractiveAuthResponse as Round};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg};
use russh::{Error, MethodKind, MethodSet};
use secrecy::{ExposeSecret, SecretString};

use super::dialogue::{Answer, Ask, Dialogue, asks};
use super::proof::Proof;
use super::session::Session;
use crate::connect::target::{Attempt, Failure};
use crate::domain::failure::FailureClass;

const STEP: &str = "sign in at";

/// Most rounds of questions: a sign-in with a forced change has four.
const ROUNDS_MAX: usize = 10;

/// How signing in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignedIn {
    /// With the secret, and it stays.
    AsBefore,
    /// With the secret, and the server had it changed to the new one.
    WithNewPassword,
}

/// Signs in by the one way that the server has for this credential.
///
/// A password goes by `keyboard-interactive` where the server offers it, because only there PAM tells of a lock and asks for a
/// new password at once. A server that offers it and stands without PAM refuses before it has asked anything: then the
/// password, which was not given yet, goes by `password`. One that was given is never given again in another way, for with
/// PAM behind both each refusal brings the account nearer to its lock.
///
/// `new` is the secret to answer with where the server wants the password changed at once;
/// without it that is [`FailureClass::PasswordExpired`].
pub(super) async fn sign_in(
    session: &mut Session,
    attempt: &Attempt<'_>,
    (account, proof): (&str, Proof<'_>),
    new: Option<&SecretString>,
) -> Result<SignedIn, Failure> {
    let asked = session.handle.authenticate_none(account).await;
    let offered = match heard(session, attempt, asked)? {
        AuthResult::Success => {
            let reason =
                "it lets the account in without a secret, so nothing can be said about this one";
            return Err(attempt.fail(FailureClass::Unsupported, STEP, reason));
        }
        AuthResult::Failure {
            remaining_methods, ..
        } => remaining_methods,
    };
    session.greeted();
    let offers = |method| offered.contains(&method);
    match proof {
        Proof::Key(key) if offers(MethodKind::PublicKey) => {
            by_key(session, attempt, account, key).await
        }
        Proof::Password(password) if offers(MethodKind::KeyboardInteractive) => {
            let who = (account, password);
            match by_questions(session, attempt, who, new).await? {
                Asked::SignedIn(how) => Ok(how),
                Asked::Nothing { offered } if offered.contains(&MethodKind::Password) => {
                    by_word(session, attempt, who).await
                }
                Asked::Nothing { .. } => {
                    let reason = "it refuses the account before it asks for a secret: the account may be locked, or it has no way to ask";
                    Err(attempt.fail(FailureClass::PermissionDenied, STEP, reason))
                }
            }
        }
        Proof::Password(password) if offers(MethodKind::Password) => {
            by_word(session, attempt, (account, password)).await
        }
        _ => {
            let reason = format!(
                "it does not take this kind of secret, only {}",
                names(&offered)
            );
            Err(attempt.fail(FailureClass::Unsupported, STEP, reason))
        }
    }
}

fn names(offered: &MethodSet) -> String {
    let names: Vec<&str> = offered.iter().map(<&'static str>::from).collect();
    names.join(", ")
}

async fn by_key(
    session: &mut Session,
    attempt: &Attempt<'_>,
    account: &str,
    key: Arc<PrivateKey>,
) -> Result<SignedIn, Failure> {
    let mut hash = None;
    if key.algorithm().is_rsa() {
        let best = session.handle.best_supported_rsa_hash().await;
        let best = best.map_err(|error| session.lost(attempt, STEP, &error))?;
        // Never SHA-1, which RFC 8332 replaces.
        hash = best.flatten().or(Some(HashAlg::Sha512));
    }
    let key = PrivateKeyWithHashAlg::new(key, hash);
    let tried = session.handle.authenticate_publickey(account, key);
    let tried = tried.await;
    judge(session, attempt, tried)
}

/// The answer to a try. The library takes a connection that breaks meanwhile for a refusal by a
/// server that offers nothing else; a wrong secret it is not.
fn heard(
    session: &Session,
    attempt: &Attempt<'_>,
    tried: Result<AuthResult, Error>,
) -> Result<AuthResult, Failure> {
    match tried {
        Ok(AuthResult::Failure {
            remaining_methods, ..
        }) if remaining_methods.is_empty() && session.handle.is_closed() => {
            Err(cut_off(session, attempt, &Error::HUP))
        }
        Ok(answer) => Ok(answer),
        Err(error) => Err(cut_off(session, attempt, &error)),
    }
}

fn judge(
    session: &Session,
    attempt: &Attempt<'_>,
    tried: Result<AuthResult, Error>,
) -> Result<SignedIn, Failure> {
    match heard(session, attempt, tried)? {
        AuthResult::Success => Ok(SignedIn::AsBefore),
        AuthResult::Failure {
            partial_success, ..
        } => Err(refused(attempt, partial_success, &session.remarks())),
    }
}

/// `password` (RFC 4252, section 8): the password is said unasked.
async fn by_word(
    session: &mut Session,
    attempt: &Attempt<'_>,
    (account, password): (&str, &SecretString),
) -> Result<SignedIn, Failure> {
    let tried = session
        .handle
        .authenticate_password(account, password.expose_secret());
    let tried = tried.await;
    judge(session, attempt, tried)
}

/// What came of questions.
enum Asked {
    SignedIn(SignedIn),
    /// The server refused before it asked or said anything: the password was not given.
    Nothing {
        offered: MethodSet,
    },
}

/// `keyboard-interactive` (RFC 4256): the server asks, and PAM stands behind it.
async fn by_questions(
    session: &mut Session,
    attempt: &Attempt<'_>,
    (account, password): (&str, &SecretString),
    new: Option<&SecretString>,
) -> Result<Asked, Failure> {
    let mut talk = Talk::new(attempt, password, new);
    let mut round = session
        .handle
        .authenticate_keyboard_interactive_start(account, None::<String>)
        .await;
    for _ in 0..ROUNDS_MAX {
        match round.map_err(|error| cut_off(session, attempt, &error))? {
            Round::Success => return talk.succeeded().map(Asked::SignedIn),
            Round::Failure {
                remaining_methods: offered,
                partial_success,
            } => {
                let shown = talk.shown + &session.remarks();
                let was_told = partial_success || refusal(&shown) != FailureClass::AuthFailed;
                if !talk.given && !was_told {
                    if offered.is_empty() && session.handle.is_closed() {
                        return Err(cut_off(session, attempt, &Error::HUP));
                    }
                    return Ok(Asked::Nothing { offered });
                }
                return Err(match talk.dialogue {
                    Some(_) => unchanged(attempt, &shown),
                    None => refused(attempt, partial_success, &shown),
                });
            }
            Round::InfoRequest {
                instructions,
                prompts,
                ..
            } => {
                talk.shown.push_str(&instructions);
                let mut answers = Vec::new();
                for prompt in &prompts {
                    let answer = talk.answer(&prompt.prompt, prompt.echo)?;
                    answers.push(answer.expose_secret().to_owned());
                }
                round = session
                    .handle
                    .authenticate_keyboard_interactive_respond(answers)
                    .await;
            }
        }
    }
    Err(attempt.fail(FailureClass::Protocol, STEP, "it does not stop asking"))
}

/// Our side of the questions.
struct Talk<'a> {
    attempt: &'a Attempt<'a>,
    password: &'a SecretString,
    new: Option<&'a SecretString>,
    given: bool,
    /// From the moment when the server wants the password changed.
    dialogue: Option<Dialogue>,
    shown: String,
}

impl<'a> Talk<'a> {
    fn new(
        attempt: &'a Attempt<'a>,
        password: &'a SecretString,
        new: Option<&'a SecretString>,
    ) -> Self {
        Self {
            attempt,
            password,
            new,
            given: false,
            dialogue: None,
            shown: String::new(),
        }
    }

    fn answer(&mut self, prompt: &str, echo: bool) -> Result<&'a SecretString, Failure> {
        self.shown.push_str(prompt);
        if !self.given {
            return self.first_answer(prompt, echo);
        }
        if self.dialogue.is_none() && !matches!(asks(prompt), Some(Ask::Current | Ask::New)) {
            let reason = "it asks for more than the password, such as a second factor";
            return Err(self.attempt.fail(FailureClass::Unsupported, STEP, reason));
        }
        let Some(new) = self.new else {
            let reason = "the password is right, and must be changed first";
            return Err(self
                .attempt
                .fail(FailureClass::PasswordExpired, STEP, reason));
        };
        let dialogue = self.dialogue.get_or_insert_default();
        match dialogue.on_prompt(prompt) {
            Answer::Current => Ok(self.password),
            Answer::New => Ok(new),
            Answer::NewAgain => {
                self.attempt.effect_begins();
                Ok(new)
            }
            Answer::Stop(class) => {
                self.attempt.effect_refused();
                Err(self
                    .attempt
                    .fail(class, "change a password at", self.shown.clone()))
            }
        }
    }

    /// The password goes to a question that hides its answer and asks for nothing else.
    fn first_answer(&mut self, prompt: &str, echo: bool) -> Result<&'a SecretString, Failure> {
        // PAM tells of a lock before it asks: the password is not even tried then.
        if refusal(prompt) == FailureClass::AccountLocked {
            return Err(refused(self.attempt, false, &self.shown));
        }
        let asked = prompt.to_lowercase();
        let other = ["code", "token", "otp", "verification", "passcode", "pin"];
        let is_other = asked
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| other.contains(&word));
        if echo || is_other {
            let reason = "it asks for something else than the password, such as a second factor";
            return Err(self.attempt.fail(FailureClass::Unsupported, STEP, reason));
        }
        self.given = true;
        Ok(self.password)
    }

    fn succeeded(self) -> Result<SignedIn, Failure> {
        match self.dialogue {
            Some(dialogue) if dialogue.is_complete() => Ok(SignedIn::WithNewPassword),
            Some(_) => Err(self.attempt.fail(
                FailureClass::Protocol,
                "change a password at",
                "it began to ask for a new password and let us in without one",
            )),
            None if self.given => Ok(SignedIn::AsBefore),
            None => Err(self.attempt.fail(
                FailureClass::Unsupported,
                STEP,
                "it lets the account in without asking for a secret",
            )),
        }
    }
}

/// The server ended the dialogue of a forced change: by what it said, nothing was changed.
fn unchanged(attempt: &Attempt<'_>, shown: &str) -> Failure {
    super::dialogue::ended_badly(attempt, shown)
}

fn refused(attempt: &Attempt<'_>, partial: bool, shown: &str) -> Failure {
    if partial {
        let reason = "the secret is right, and it wants a second factor";
        return attempt.fail(FailureClass::Unsupported, STEP, reason);
    }
    let class = refusal(shown);
    let reason = match class {
        FailureClass::AuthFailed => Cow::Borrowed("name or secret is wrong"),
        _ => Cow::Owned(shown.to_owned()),
    };
    attempt.fail(class, STEP, reason)
}

/// sshd cuts an account off that may not sign in, after it has shown why.
fn cut_off(session: &Session, attempt: &Attempt<'_>, error: &Error) -> Failure {
    let shown = session.remarks();
    match refusal(&shown) {
        FailureClass::AuthFailed => session.lost(attempt, STEP, error),
        class => attempt.fail(class, STEP, shown),
    }
}

/// Why an account is refused, by what PAM's modules say in English. Where they say nothing, or
/// say it in another language, it is a wrong secret to us.
fn refusal(shown: &str) -> FailureClass {
    let shown = shown.to_lowercase();
    let says = |word: &str| shown.contains(word);
    if says("locked") || says("too many") {
        FailureClass::AccountLocked
    } else if says("account has expired") || says("disabled") || says("not available") {
        FailureClass::AccountDisabled
    } else {
        FailureClass::AuthFailed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pam_says_has_its_class() {
        for (shown, class) in [
            (
                "The account is locked due to 3 failed logins.\n",
                FailureClass::AccountLocked,
            ),
            (
                "Account temporarily locked (42 seconds left)",
                FailureClass::AccountLocked,
            ),
            (
                "Your account has expired; please contact your system administrator.\n",
                FailureClass::AccountDisabled,
            ),
            ("Authorized use only.\n", FailureClass::AuthFailed),
            ("", FailureClass::AuthFailed),
        ] {
            assert_eq!(refusal(shown), class, "{shown}");
        }
    }
}
