//! What an account proves itself by, made ready before anybody is spoken to: a key that does not open costs no sign-in.

use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Error, PrivateKey, decode_secret_key};
use secrecy::{ExposeSecret, SecretString};

use crate::connect::target::{Attempt, Credential, Failure, Login};
use crate::domain::failure::FailureClass;

const STEP: &str = "sign in at";

/// A key of `ssh-keygen` opens within tenths of a second. How long another one takes, whoever made it has chosen.
const OPEN_TIME_MAX: Duration = Duration::from_secs(10);

/// What proves who signs in.
pub(super) enum Proof<'a> {
    /// A password.
    Password(&'a SecretString),
    /// A private key, open.
    Key(Arc<PrivateKey>),
}

/// Makes the proof of a login ready.
pub(super) async fn proof<'a>(
    attempt: &Attempt<'_>,
    login: &'a Login,
) -> Result<Proof<'a>, Failure> {
    let (key, passphrase) = match &login.credential {
        Credential::Password(password) => return Ok(Proof::Password(password)),
        Credential::PrivateKey { key, passphrase } => (key, passphrase.as_ref()),
    };
    let opened = opened(key, passphrase).await;
    let key = opened.map_err(|(class, reason)| attempt.fail(class, STEP, reason))?;
    Ok(Proof::Key(Arc::new(key)))
}

/// Why a key cannot be used.
pub type Unread = (FailureClass, String);

/// The text of a key that cannot be used.
pub(super) fn unreadable(why: impl std::fmt::Display) -> Unread {
    let reason = format!("the private key cannot be read: {why}");
    (FailureClass::Invalid, reason)
}

/// Opens a private key.
pub(super) async fn opened(
    key: &SecretString,
    passphrase: Option<&SecretString>,
) -> Result<PrivateKey, Unread> {
    let (key, passphrase) = (key.clone(), passphrase.cloned());
    // It computes for as long as the key was made to.
    let opening = tokio::task::spawn_blocking(move || open(&key, passphrase.as_ref()));
    match tokio::time::timeout(OPEN_TIME_MAX, opening).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(_)) => Err(unreadable("its form is not known")),
        Err(_) => Err(unreadable(format!(
            "it is not open within {OPEN_TIME_MAX:?}; encrypt it with fewer rounds"
        ))),
    }
}

fn open(key: &SecretString, passphrase: Option<&SecretString>) -> Result<PrivateKey, Unread> {
    let text = key.expose_secret();
    let error = match decode_secret_key(text, None) {
        Ok(key) => return Ok(key),
        Err(error) => error,
    };
    if !is_encrypted(text, &error) {
        return Err(unreadable(error));
    }
    let passphrase = passphrase.ok_or_else(|| {
        let reason = "the private key is encrypted, and no passphrase is kept with it; set `secret` and `passphrase` together";
        (FailureClass::Passphrase, reason.to_owned())
    })?;
    decode_secret_key(text, Some(passphrase.expose_secret())).map_err(|error| {
        let reason = format!(
            "the passphrase does not open the private key ({error}); set `secret` and `passphrase` together"
        );
        (FailureClass::Passphrase, reason)
    })
}

/// Whether a key that could not be read without a passphrase may be read with one. Only OpenSSH's form is known by its error; the others
/// say so in a line of text: PKCS#8 (RFC 5958) in its label, that of `PuTTY` in a header.
fn is_encrypted(text: &str, error: &Error) -> bool {
    let says_so = |line: &str| {
        line == "-----BEGIN ENCRYPTED PRIVATE KEY-----"
            || line
                .strip_prefix("Encryption: ")
                .is_some_and(|kind| kind != "none")
    };
    matches!(error, Error::KeyIsEncrypted) || text.lines().map(str::trim).any(says_so)
}
