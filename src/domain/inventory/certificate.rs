//! Certificates: what must be renewed in time. Public parts only; no private key is taken.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

use super::check::Problems;
use super::column::{Filter, FilterKind, Kind, column, refers};
use super::patch::Fields;
use super::{Body, Happening, Noun, NounSpec, read};
use crate::domain::hex::hexadecimal;
use crate::domain::task::{UnknownWord, words};
use crate::domain::time::from_micros;

/// Bound on the PEM in bytes: a chain of four with large keys.
const PEM_BYTES_MAX: usize = 16 * 1024;
/// Bound on the certificates of a chain.
const CHAIN_MAX: usize = 10;
/// Bound on a distinguished name and on each alternative name in characters; what is longer is cut.
const NAME_SHOWN_CHARS_MAX: usize = 1_024;
/// Alternative names that are kept.
const NAMES_MAX: usize = 200;

/// A certificate.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateBody {
    /// The certificate and, behind it, its chain: PEM, `BEGIN CERTIFICATE` only.
    #[schema(min_length = 1, max_length = 16384)]
    pub certificate: String,
    /// What people should know of it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
}

words! {
    /// Why a certificate is revoked (RFC 5280, section 5.3.1); what only authorities say of themselves, and what can be taken back,
    /// is left out.
    RevocationReason {
        /// None is given.
        Unspecified = ("unspecified", 0);
        /// Somebody else may have its private key.
        KeyCompromise = ("key_compromise", 1);
        /// The names belong to somebody else now.
        AffiliationChanged = ("affiliation_changed", 3);
        /// Another one took its place.
        Superseded = ("superseded", 4);
        /// What it was for is no more.
        CessationOfOperation = ("cessation_of_operation", 5);
    }
}

impl Body for CertificateBody {
    fn check(&self, problems: &mut Problems) {
        problems.description(self.description.as_ref());
        check_pem("certificate", &self.certificate, problems);
    }

    fn identity(&self) -> Vec<String> {
        // A body that was checked has a certificate.
        let leaf = chain(&self.certificate).ok().and_then(first);
        Vec::from([leaf.map(|der| fingerprint(&der)).unwrap_or_default()])
    }

    fn derived(&self) -> Fields {
        let leaf = chain(&self.certificate).ok().and_then(first);
        leaf.and_then(|der| facts(&der)).unwrap_or_default()
    }
}

/// Notes where `pem` is not a bounded text of 1 to 10 certificates.
pub(super) fn check_pem(field: &str, pem: &str, problems: &mut Problems) {
    if pem.len() > PEM_BYTES_MAX {
        problems.note(field, format!("must have at most {PEM_BYTES_MAX} bytes"));
        return;
    }
    problems.text(field, pem, PEM_BYTES_MAX);
    if let Err(detail) = chain(pem) {
        problems.note(field, detail);
    }
}

fn first(chain: Vec<Vec<u8>>) -> Option<Vec<u8>> {
    chain.into_iter().next()
}

/// The certificates of a PEM text in DER, each readable.
///
/// # Errors
/// What is wrong with it, as it is said of a field.
pub fn chain(pem: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut chain = Vec::new();
    for block in Pem::iter_from_buffer(pem.as_bytes()) {
        let block = block.map_err(|_| "is not PEM".to_owned())?;
        if block.label != "CERTIFICATE" {
            return Err("must hold certificates only; keep private keys where they are".to_owned());
        }
        match X509Certificate::from_der(&block.contents) {
            Ok(([], _)) => chain.push(block.contents),
            _ => return Err("holds what cannot be read as a certificate (X.509, DER)".to_owned()),
        }
    }
    if (1..=CHAIN_MAX).contains(&chain.len()) {
        Ok(chain)
    } else {
        Err(format!(
            "must hold 1 to {CHAIN_MAX} certificates as PEM, the one that is meant first"
        ))
    }
}

/// SHA-256 of the certificate in hexadecimal, as `openssl x509 -fingerprint -sha256` without its colons.
#[must_use]
pub fn fingerprint(der: &[u8]) -> String {
    hexadecimal(&Sha256::digest(der))
}

/// What is to be known of a certificate without reading it again.
fn facts(der: &[u8]) -> Option<Fields> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let cut = |text: String| -> Value {
        let printable = text.chars().filter(|c| !c.is_control());
        Value::from(printable.take(NAME_SHOWN_CHARS_MAX).collect::<String>())
    };
    let instant = |seconds: i64| {
        // What lies beyond the years of the API is shown as its last one.
        let bounded = seconds.clamp(0, 253_370_764_799);
        serde_json::to_value(from_micros(bounded.saturating_mul(1_000_000))).unwrap_or_default()
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.as_slice());
    let names = names
        .unwrap_or_default()
        .iter()
        .filter_map(shown)
        .take(NAMES_MAX)
        .map(cut);
    let validity = certificate.validity();
    let facts = [
        ("fingerprint", Value::from(fingerprint(der))),
        ("serial", cut(hexadecimal(certificate.raw_serial()))),
        ("subject", cut(certificate.subject().to_string())),
        ("issuer", cut(certificate.issuer().to_string())),
        ("names", names.collect()),
        ("not_before", instant(validity.not_before.timestamp())),
        ("not_after", instant(validity.not_after.timestamp())),
    ];
    Some(
        facts
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// An alternative name as people write it; other kinds than hosts, addresses and mailboxes are left out.
fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from);
            v4.or(v6).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

pub(super) static SPEC: NounSpec = NounSpec {
    noun: Noun::Certificate,
    word: "certificate",
    path: "certificates",
    table: "certificates",
    columns: &[
        column("certificate", Kind::Text),
        column("description", Kind::Text),
    ],
    state: &[
        column("fingerprint", Kind::Text),
        column("serial", Kind::Text),
        column("subject", Kind::Text),
        column("issuer", Kind::Text),
        column("names", Kind::List),
        column("not_before", Kind::Time),
        column("not_after", Kind::Time),
        refers("replaced_by", "replaced_by", Noun::Certificate),
        column("revocation_reason", Kind::Text),
        column("revocation_asked_at", Kind::Time),
        column("revoked_at", Kind::Time),
    ],
    children: &[],
    // Another certificate is another thing: the old one still expires.
    fixed: &["certificate"],
    named_by: "certificate",
    secret: None,
    filters: &[
        Filter {
            name: "fingerprint",
            column: "identity",
            kind: FilterKind::Name,
            about: "Only the certificate with this SHA-256 fingerprint, 64 hexadecimal digits.",
        },
        Filter {
            name: "expires_before",
            column: "not_after",
            kind: FilterKind::Before,
            about: "Only certificates that expire before this instant.",
        },
    ],
    read: |fields| read::<CertificateBody>(&SPEC, fields),
    events: |happening| match happening {
        Happening::Created => Vec::from(["certificate.imported"]),
        Happening::Changed { .. } | Happening::Deleted => Vec::new(),
    },
};
