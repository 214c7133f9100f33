//! An authority of our own: its key signs here, and nobody is asked.

use async_trait::async_trait;
use chrono::TimeDelta;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, SerialNumber,
};
use secrecy::SecretString;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::{CertificateRequest, IssueError, Issuer, key_pair, params, pem};
use crate::domain::failure::FailureClass;
use crate::domain::inventory::{KeyAlgorithm, RevocationReason, chain};
use crate::domain::time::{Timestamp, from_micros};

const STEP: &str = "sign a certificate";

/// How long an authority lasts that is made here.
const AUTHORITY_LIFE: TimeDelta = TimeDelta::days(3_650);
/// A certificate begins a little before it is made: not every clock is right.
const BACKDATED: TimeDelta = TimeDelta::minutes(5);
/// RFC 5280, section 4.1.2.2: at most 20 bytes; 16 random ones never meet again.
const SERIAL_BYTES: usize = 16;

/// An authority with its key.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Its certificate and, behind it, those of who vouches for it: PEM.
    pub certificate: String,
    /// Its private key, PKCS#8 in PEM.
    pub key: SecretString,
    /// When it ends.
    pub not_after: Timestamp,
}

/// Why something cannot be an authority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// The certificate is none of an authority, or at its end: what is wrong with it.
    #[error("{0}")]
    Certificate(String),
    /// The key cannot be read, or is another's.
    #[error("{0}")]
    Key(String),
}

impl Authority {
    /// Makes a root that signs certificates of servers only, for ten years.
    ///
    /// # Errors
    /// Where the name cannot stand in a certificate, or the system has no randomness.
    pub fn make(name: &str, now: Timestamp) -> Result<Self, IssueError> {
        let step = "make an authority";
        let failed = |error| IssueError::new(FailureClass::Invalid, step, error);
        let key = super::new_key(KeyAlgorithm::EcdsaP256)?;
        let pair = key_pair(&key)?;
        let not_after = now + AUTHORITY_LIFE;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = Vec::from([KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign]);
        live(&mut params, now - BACKDATED, not_after, step)?;
        let certificate = params.self_signed(&pair).map_err(failed)?;
        Ok(Self {
            certificate: pem("CERTIFICATE", certificate.der()),
            key,
            not_after,
        })
    }

    /// Takes an authority from elsewhere.
    ///
    /// # Errors
    /// [`AuthorityError`] where it may not sign, is at its end, or key and certificate do not belong together.
    pub fn import(
        certificate: &str,
        key: SecretString,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let unfit = |detail: &str| AuthorityError::Certificate(detail.to_owned());
        let ders = chain(certificate).map_err(AuthorityError::Certificate)?;
        let own = ders
            .first()
            .and_then(|der| X509Certificate::from_der(der).ok());
        let Some((_, own)) = own else {
            return Err(unfit("must hold a certificate"));
        };
        if !own.is_ca() {
            return Err(unfit("must be the certificate of an authority (`CA:TRUE`)"));
        }
        let usage = own.key_usage().ok().flatten();
        if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return Err(unfit(
                "must be allowed to sign certificates (`keyCertSign`)",
            ));
        }
        let not_after = instant(own.validity().not_after);
        if not_after <= now {
            return Err(unfit("must not be at its end"));
        }
        let pair = key_pair(&key).map_err(|error| {
            AuthorityError::Key(format!("must be a private key: {}", error.reason))
        })?;
        if pair.subject_public_key_info() != own.public_key().raw {
            let detail = "must be the private key of `certificate`";
            return Err(AuthorityError::Key(detail.to_owned()));
        }
        Ok(Self {
            certificate: certificate.to_owned(),
            key,
            not_after,
        })
    }

    fn sign(&self, request: &CertificateRequest) -> Result<String, IssueError> {
        let failed = |error| IssueError::new(FailureClass::Invalid, STEP, error);
        // What is stored is checked again: a key that somebody put in another one's place signs nothing.
        let checked =
            Self::import(&self.certificate, self.key.clone(), request.now).map_err(|error| {
                IssueError::new(
                    FailureClass::Invalid,
                    STEP,
                    format!("the authority's certificate or key {error}"),
                )
            })?;
        let ders = chain(&checked.certificate)
            .map_err(|error| IssueError::new(FailureClass::Invalid, STEP, error))?;
        let own = ders.first().cloned().unwrap_or_default();
        let issuer = rcgen::Issuer::from_ca_cert_der(&own.into(), key_pair(&checked.key)?)
            .map_err(failed)?;
        let mut params = params(&request.names)?;
        params.serial_number = Some(serial());
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = Vec::from([KeyUsagePurpose::DigitalSignature]);
        params.extended_key_usages = Vec::from([ExtendedKeyUsagePurpose::ServerAuth]);
        let lifetime = TimeDelta::from_std(request.lifetime).unwrap_or(AUTHORITY_LIFE);
        let end = (request.now + lifetime).min(checked.not_after);
        live(&mut params, request.now - BACKDATED, end, STEP)?;
        let pair: KeyPair = key_pair(&request.key)?;
        let certificate = params.signed_by(&pair, &issuer).map_err(failed)?;
        let mut text = pem("CERTIFICATE", certificate.der());
        // Who is told to trust a root has it; sending it proves nothing.
        for der in ders.iter().filter(|der| !is_root(der)) {
            text.push_str(&pem("CERTIFICATE", der));
        }
        Ok(text)
    }
}

#[async_trait]
impl Issuer for Authority {
    async fn order(&self, _: &[String], _: Option<&[u8]>) -> Result<Option<String>, IssueError> {
        Ok(None)
    }

    async fn certify(
        &self,
        request: &CertificateRequest,
        _: Option<&str>,
    ) -> Result<String, IssueError> {
        self.sign(request)
    }

    /// That it is revoked is kept beside the certificate; there is nobody to be told.
    async fn revoke(&self, _: &[u8], _: RevocationReason) -> Result<(), IssueError> {
        Ok(())
    }
}

fn is_root(der: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, own)| own.subject() == own.issuer())
}

/// A number of its own, above zero (RFC 5280, section 4.1.2.2).
fn serial() -> SerialNumber {
    let mut bytes = rand::random::<[u8; SERIAL_BYTES]>();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

fn instant(time: ASN1Time) -> Timestamp {
    from_micros(time.timestamp().saturating_mul(1_000_000))
}

/// Sets the life of a certificate, in whole seconds.
fn live(
    params: &mut CertificateParams,
    begin: Timestamp,
    end: Timestamp,
    step: &'static str,
) -> Result<(), IssueError> {
    let at = |at: Timestamp| {
        ASN1Time::from_timestamp(at.timestamp())
            .map(|time| time.to_datetime())
            .map_err(|error| IssueError::new(FailureClass::Invalid, step, error))
    };
    params.not_before = at(begin)?;
    params.not_after = at(end)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::connect::issuer::new_key;

    const NOW: i64 = 1_800_000_000_000_000;

    fn request(lifetime: Duration) -> CertificateRequest {
        CertificateRequest {
            names: Vec::from(["www.example.org".to_owned(), "192.0.2.7".to_owned()]),
            key: new_key(KeyAlgorithm::EcdsaP384).unwrap(),
            lifetime,
            now: from_micros(NOW),
        }
    }

    #[test]
    fn a_certificate_never_outlives_its_authority_and_its_number_is_its_own() {
        let now = from_micros(NOW);
        let authority = Authority::make("Test authority", now).unwrap();
        let ten = Duration::from_hours(24 * 4_000);
        let request = request(ten);
        let [one, two] = [(), ()].map(|()| authority.sign(&request).unwrap());
        let facts = |text: &str| {
            let der = chain(text).unwrap().remove(0);
            let (_, own) = X509Certificate::from_der(&der).unwrap();
            (instant(own.validity().not_after), own.raw_serial().to_vec())
        };
        assert_eq!(facts(&one).0, authority.not_after);
        assert_ne!(facts(&one).1, facts(&two).1, "the key is the same");
    }

    #[test]
    fn only_an_authority_with_its_own_key_is_taken() {
        let now = from_micros(NOW);
        let authority = Authority::make("Test authority", now).unwrap();
        let other = new_key(KeyAlgorithm::EcdsaP256).unwrap();
        let import = |pem: &str, key: &SecretString, now| {
            Authority::import(pem, key.clone(), now)
                .map(|_| ())
                .unwrap_err()
        };
        let key = import(&authority.certificate, &other, now);
        assert!(matches!(key, AuthorityError::Key(_)), "{key}");
        let late = import(&authority.certificate, &authority.key, authority.not_after);
        assert!(matches!(late, AuthorityError::Certificate(_)), "{late}");
        let request = request(Duration::from_hours(1));
        let leaf = import(&authority.sign(&request).unwrap(), &request.key, now);
        assert!(matches!(leaf, AuthorityError::Certificate(_)), "{leaf}");
        let junk = import(&authority.certificate, &SecretString::from("junk"), now);
        assert!(!junk.to_string().contains("junk"), "{junk}");
        let swapped = Authority {
            key: other,
            ..authority.clone()
        };
        assert!(swapped.sign(&request).is_err());
        assert!(!format!("{authority:?}").contains(authority.key.expose_secret()));
    }
}
