//! Who signs certificates: an authority whose key we hold, or somebody else over ACME.
//!
//! An [`Issuer`] is asked in two steps, so that the caller can write down the first one's answer before the second: the
//! order, where the issuer has such a thing, and the certificate. Both may be asked again: an order that is there already is
//! gone on with, wherever it stands.

mod acme;
mod authority;
mod challenge;

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PublicKeyData as _,
};
use russh::keys::PrivateKey;
use russh::keys::pkcs8::encode_pkcs8;
use russh::keys::ssh_key::private::RsaKeypair;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

pub use acme::Acme;
pub use authority::{Authority, AuthorityError};

use crate::domain::failure::FailureClass;
use crate::domain::inventory::{KeyAlgorithm, RevocationReason, chain};
use crate::domain::time::Timestamp;

/// Bound on a reason in characters; an authority's words may be long.
const REASON_CHARS_MAX: usize = 300;

/// The longest common name (RFC 5280, appendix A.1).
const COMMON_NAME_CHARS_MAX: usize = 64;

/// Somebody who signs certificates.
#[async_trait]
pub trait Issuer: Send + Sync {
    /// Orders a certificate for these names; answers what the order is known by, or none where nothing is to be ordered.
    /// `replaces` is the certificate (DER) whose place it takes, where this issuer issued it.
    ///
    /// # Errors
    /// [`IssueError`].
    async fn order(
        &self,
        names: &[String],
        replaces: Option<&[u8]>,
    ) -> Result<Option<String>, IssueError>;

    /// Brings an order to its end; answers the certificate and its chain as PEM, the certificate first.
    ///
    /// # Errors
    /// [`IssueError`]; where it says that the order is lost, another one must be made.
    async fn certify(
        &self,
        request: &CertificateRequest,
        order: Option<&str>,
    ) -> Result<String, IssueError>;

    /// When a certificate (DER) of this issuer is best renewed; none where it has no opinion.
    ///
    /// # Errors
    /// [`IssueError`].
    async fn suggestion(&self, _certificate: &[u8]) -> Result<Option<Suggestion>, IssueError> {
        Ok(None)
    }

    /// Revokes a certificate (DER) of this issuer; one that is revoked already is as good.
    ///
    /// # Errors
    /// [`IssueError`].
    async fn revoke(&self, certificate: &[u8], reason: RevocationReason) -> Result<(), IssueError>;
}

/// When an issuer suggests that a certificate is renewed (RFC 9773).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suggestion {
    /// Within which it is, at an instant that is picked evenly.
    pub window: (Timestamp, Timestamp),
    /// How long the issuer is not asked again.
    pub again_after: Duration,
}

/// What a certificate shall be.
#[derive(Debug, Clone)]
pub struct CertificateRequest {
    /// DNS names and IP addresses.
    pub names: Vec<String>,
    /// Its private key, PKCS#8 in PEM. It does not leave this program.
    pub key: SecretString,
    /// How long it shall last, where the issuer leaves that to us.
    pub lifetime: Duration,
    /// Now.
    pub now: Timestamp,
}

/// Why no certificate was issued. The text reads after "failed to"; it holds no private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {reason}")]
pub struct IssueError {
    /// What went wrong.
    pub class: FailureClass,
    /// Whether the order is of no use any more.
    pub order_lost: bool,
    /// How long the issuer wants to be left alone at least.
    pub wait: Option<Duration>,
    /// What we were doing.
    pub step: &'static str,
    /// What was said, one line.
    pub reason: String,
}

impl IssueError {
    fn new(class: FailureClass, step: &'static str, reason: impl std::fmt::Display) -> Self {
        let line = crate::domain::mail::one_line(&reason.to_string(), REASON_CHARS_MAX);
        Self {
            class,
            order_lost: false,
            wait: None,
            step,
            reason: line,
        }
    }

    /// The same, and the order is of no use any more.
    fn losing_order(mut self) -> Self {
        self.order_lost = true;
        self
    }
}

/// Makes a private key, PKCS#8 in PEM. One of RSA takes a processor for some seconds.
///
/// # Errors
/// Where the system has no randomness.
pub fn new_key(algorithm: KeyAlgorithm) -> Result<SecretString, IssueError> {
    let algorithm = match algorithm {
        KeyAlgorithm::EcdsaP256 => &PKCS_ECDSA_P256_SHA256,
        KeyAlgorithm::EcdsaP384 => &PKCS_ECDSA_P384_SHA384,
        KeyAlgorithm::Rsa2048 => return new_rsa_key(2_048),
        KeyAlgorithm::Rsa3072 => return new_rsa_key(3_072),
        KeyAlgorithm::Rsa4096 => return new_rsa_key(4_096),
    };
    let pair = KeyPair::generate_for(algorithm).map_err(unmade)?;
    Ok(SecretString::from(pair.serialize_pem()))
}

/// The library that signs certificates makes none; that of SSH does.
fn new_rsa_key(bits: usize) -> Result<SecretString, IssueError> {
    let pair = RsaKeypair::random(&mut rand::rng(), bits).map_err(unmade)?;
    let der = encode_pkcs8(&PrivateKey::from(pair)).map_err(unmade)?;
    let der = Zeroizing::new(der);
    Ok(SecretString::from(pem("PRIVATE KEY", &der)))
}

fn unmade(error: impl std::fmt::Display) -> IssueError {
    IssueError::new(FailureClass::Unavailable, "make a private key", error)
}

/// Reads a private key. What the library says of one that it cannot read is not shown: it might quote it.
fn key_pair(key: &SecretString) -> Result<KeyPair, IssueError> {
    KeyPair::from_pem(key.expose_secret()).map_err(|_| {
        let reason = "it is no private key of RSA, ECDSA or Ed25519 in PKCS#8 (PEM)";
        IssueError::new(FailureClass::Invalid, "read the private key", reason)
    })
}

/// Whether a certificate is the one for a private key, and has not ended: neither an issuer's answer is
/// believed nor what lies in a database.
///
/// # Errors
/// [`IssueError`] says what is wrong with it; the order is then lost.
pub fn check_issued(pem: &str, key: &SecretString, now: Timestamp) -> Result<(), IssueError> {
    let unfit = |reason: &str| {
        let step = "use the certificate";
        IssueError::new(FailureClass::Protocol, step, reason).losing_order()
    };
    let ders = chain(pem).map_err(|error| unfit(&format!("what was issued {error}")))?;
    let leaf = ders.first().map(|der| X509Certificate::from_der(der));
    let Some(Ok((_, leaf))) = leaf else {
        return Err(unfit("there is none"));
    };
    if key_pair(key)?.subject_public_key_info() != leaf.public_key().raw {
        return Err(unfit("it is for another private key"));
    }
    if leaf.validity().not_after.timestamp() <= now.timestamp() {
        return Err(unfit("it is at its end already"));
    }
    Ok(())
}

/// What a certificate for `names` says; its common name is the first that is short enough.
fn params(names: &[String]) -> Result<CertificateParams, IssueError> {
    let unfit = |error| IssueError::new(FailureClass::Invalid, "use the names", error);
    let mut params = CertificateParams::new(names.to_vec()).map_err(unfit)?;
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = names
        .iter()
        .find(|name| name.len() <= COMMON_NAME_CHARS_MAX)
    {
        params
            .distinguished_name
            .push(DnType::CommonName, name.as_str());
    }
    Ok(params)
}

/// A text in PEM (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    let text = Zeroizing::new(BASE64_STANDARD.encode(der));
    // As long as it gets: a buffer that grows would leave copies behind.
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 2 * label.len() + 64);
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = text.as_str();
    while let Some((line, more)) = rest.split_at_checked(64) {
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    if !rest.is_empty() {
        pem.push_str(rest);
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_each_algorithm_signs() {
        for (algorithm, length) in [
            (KeyAlgorithm::EcdsaP256, 91),
            (KeyAlgorithm::EcdsaP384, 120),
            (KeyAlgorithm::Rsa2048, 294),
        ] {
            let key = new_key(algorithm).unwrap();
            let pair = key_pair(&key).unwrap();
            let names = ["www.example.org".to_owned()];
            let certificate = params(&names).unwrap().self_signed(&pair).unwrap();
            let text = pem("CERTIFICATE", certificate.der());
            let now = crate::domain::time::from_micros(1_800_000_000_000_000);
            check_issued(&text, &key, now).unwrap();
            let other = new_key(KeyAlgorithm::EcdsaP256).unwrap();
            assert!(check_issued(&text, &other, now).is_err());
            assert_eq!(pair.subject_public_key_info().len(), length);
        }
    }
}
