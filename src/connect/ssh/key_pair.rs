//! The public half of a private key, and a new key in its place.

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::RsaKeypair;
use russh::keys::{Algorithm, PrivateKey};
use secrecy::{ExposeSecret, SecretString};

use super::proof::{Unread, opened, unreadable};
use crate::domain::failure::FailureClass;
use crate::domain::secret::Secret;

/// The shortest RSA key that is made; one in place of a longer one is as long.
const RSA_BITS_MIN: u32 = 2_048;

/// A public key as a line of `authorized_keys` holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicHalf {
    /// Its kind as SSH names it, such as `ssh-ed25519`.
    pub kind: String,
    /// The key in Base64.
    pub key: String,
}

/// The public half of a private key.
///
/// # Errors
/// Why the key cannot be used, for people.
pub async fn public_half(secret: &Secret) -> Result<PublicHalf, Unread> {
    let key = opened(&secret.text, secret.passphrase.as_ref()).await?;
    let line = key.public_key().to_openssh().map_err(unreadable)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (Some(kind), Some(key)) = (words.next(), words.next()) else {
        return Err(unreadable("its public half has no form"));
    };
    Ok(PublicHalf { kind, key })
}

/// What is wrong with a private key and its passphrase, without anybody being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFlaw {
    /// The key is encrypted, and not with this passphrase.
    #[error("does not open the private key")]
    Wrong,
    /// The key is not encrypted.
    #[error("is for a key that is encrypted, and this one is not: leave it out")]
    Needless,
    /// The key is of RSA and shorter than anybody should accept.
    #[error("must be a key of {least} bits at least, and has {0}: make another one", least = RSA_BITS_MIN)]
    Short(u32),
}

/// What is wrong with a private key and its passphrase; none as well where the key cannot be read: an operation tells why.
pub async fn flaw(secret: &Secret) -> Option<KeyFlaw> {
    let (text, passphrase) = (&secret.text, secret.passphrase.as_ref());
    let key = match (opened(text, None).await, passphrase) {
        (Ok(_), Some(_)) => return Some(KeyFlaw::Needless),
        (Ok(key), None) => key,
        (Err((FailureClass::Passphrase, _)), Some(_)) => match opened(text, passphrase).await {
            Ok(key) => key,
            Err((FailureClass::Passphrase, _)) => return Some(KeyFlaw::Wrong),
            Err(_) => return None,
        },
        (Err(_), _) => return None,
    };
    let bits = key.key_data().rsa().map(RsaKeypair::key_size)?;
    (bits < RSA_BITS_MIN).then_some(KeyFlaw::Short(bits))
}

/// A new key in place of another one, in OpenSSH's form, encrypted by the same passphrase where the other one is kept with one.
///
/// It is RSA of the same length (2,048 bits at least) where the other one is, for machines that know nothing else; else Ed25519,
/// which OpenSSH knows since 6.5 (2014).
///
/// # Errors
/// Why the other key cannot be used, for people.
pub async fn successor(of: &Secret) -> Result<Secret, Unread> {
    let old = opened(&of.text, of.passphrase.as_ref()).await?;
    let passphrase = of.passphrase.clone();
    // It computes: for RSA primes are looked for, and a passphrase is made slow to try.
    let making = tokio::task::spawn_blocking(move || make(&old, passphrase.as_ref()));
    let made = making.await.map_err(unreadable)?;
    Ok(Secret {
        text: made.map_err(unreadable)?,
        passphrase: of.passphrase.clone(),
    })
}

fn make(
    old: &PrivateKey,
    passphrase: Option<&SecretString>,
) -> Result<SecretString, russh::keys::ssh_key::Error> {
    let mut random = rand::rng();
    let new = match old.key_data().rsa() {
        Some(rsa) => {
            let bits = usize::try_from(rsa.key_size().max(RSA_BITS_MIN)).unwrap_or(usize::MAX);
            PrivateKey::from(RsaKeypair::random(&mut random, bits)?)
        }
        None => PrivateKey::random(&mut random, Algorithm::Ed25519)?,
    };
    let new = match passphrase {
        Some(passphrase) => new.encrypt(&mut random, passphrase.expose_secret())?,
        None => new,
    };
    Ok(SecretString::from(new.to_openssh(LineEnding::LF)?.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_followed_by_one_that_opens_the_same_way() {
        let made = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let text = made.to_openssh(LineEnding::LF).unwrap();
        let first = Secret::from(text.as_str());
        let plain = successor(&first).await.unwrap();
        let locked = Secret {
            text: make(&made, Some(&SecretString::from("open sesame"))).unwrap(),
            passphrase: Some(SecretString::from("open sesame")),
        };
        let after = successor(&locked).await.unwrap();
        let mut halves = Vec::new();
        for secret in [&first, &plain, &locked, &after] {
            let half = public_half(secret).await.unwrap();
            assert_eq!(half.kind, "ssh-ed25519");
            halves.push(half.key);
        }
        halves.sort();
        halves.dedup();
        assert_eq!(halves.len(), 4, "each is another one");
        let shut = Secret::from(after.text.expose_secret());
        let (class, _) = public_half(&shut).await.unwrap_err();
        assert_eq!(class, FailureClass::Passphrase);
    }

    #[tokio::test]
    async fn a_key_is_judged_before_anybody_is_asked() {
        let text = |key: &PrivateKey, passphrase: Option<&str>| {
            let random = &mut rand::rng();
            let locked = passphrase.map(|passphrase| key.encrypt(random, passphrase).unwrap());
            let key = locked.as_ref().unwrap_or(key);
            key.to_openssh(LineEnding::LF).unwrap().to_string()
        };
        let random = &mut rand::rng();
        let key = PrivateKey::random(random, Algorithm::Ed25519).unwrap();
        let short = PrivateKey::from(RsaKeypair::random(random, 1_024).unwrap());
        let (open, right, wrong) = (None, Some("open sesame"), Some("closed sesame"));
        for (key, locked, given, expected) in [
            (&key, open, None, None),
            (&key, open, right, Some(KeyFlaw::Needless)),
            (&key, right, right, None),
            (&key, right, wrong, Some(KeyFlaw::Wrong)),
            (&key, right, None, None),
            (&short, open, None, Some(KeyFlaw::Short(1_024))),
            (&short, right, right, Some(KeyFlaw::Short(1_024))),
        ] {
            let secret = Secret {
                text: SecretString::from(text(key, locked)),
                passphrase: given.map(SecretString::from),
            };
            assert_eq!(flaw(&secret).await, expected, "{locked:?} {given:?}");
        }
        let foreign = Secret::from("-----BEGIN PRIVATE KEY-----\n98\n-----END PRIVATE KEY-----");
        assert_eq!(flaw(&foreign).await, None);
    }
}
