//! Certificate issuers: an authority of our own, or one that speaks ACME (RFC 8555).

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::certificate::check_pem;
use super::check::Problems;
use super::column::{Filter, FilterKind, Kind, column};
use super::{Body, Noun, NounSpec, read, yes};
use crate::domain::iso_duration;

/// Bound on a directory's address in characters.
const URL_CHARS_MAX: usize = 1_024;
/// Bound on the contacts of an account.
const CONTACTS_MAX: usize = 10;
/// Bound on the orders of a window; more than a public authority takes.
const ORDERS_MAX: u32 = 100_000;
/// The shortest life of a certificate: a run an hour must have time to renew it.
const LIFETIME_MIN: Duration = Duration::from_hours(1);
/// The longest life of a certificate: ten years.
const LIFETIME_MAX: Duration = Duration::from_hours(3_650 * 24);
/// The longest window in which orders are counted.
const WINDOW_MAX: Duration = Duration::from_hours(31 * 24);

/// An issuer. Its private key is in the vault: an authority's is made or imported by `key`, an ACME account's is made when the
/// first certificate is ordered.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateIssuerBody {
    /// What it is called; unique whatever the case. The common name of an authority that is made here.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// Who signs.
    pub kind: IssuerKind,
    /// How long a certificate of an internal authority lasts, ISO 8601; never longer than the authority's own. An ACME
    /// authority says so itself.
    #[serde(default = "lifetime", with = "iso_duration::serde_iso")]
    #[schema(value_type = String, max_length = 64, example = "P90D")]
    pub lifetime: Duration,
    /// Where the ACME authority is; for that kind only.
    #[serde(default)]
    pub acme: Option<AcmeRules>,
    /// Orders that it is sent in `orders_window` at most, over all automations.
    #[serde(default = "orders_max")]
    #[schema(minimum = 1, maximum = 100000)]
    pub orders_max: u32,
    /// See `orders_max`; ISO 8601.
    #[serde(default = "orders_window", with = "iso_duration::serde_iso")]
    #[schema(value_type = String, max_length = 64, example = "P7D")]
    pub orders_window: Duration,
    /// What people should know of it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// Whether certificates are ordered of it.
    #[serde(default = "yes")]
    pub enabled: bool,
}

const fn lifetime() -> Duration {
    Duration::from_hours(90 * 24)
}

/// Let's Encrypt takes 50 a week for a registered domain.
const fn orders_max() -> u32 {
    50
}

const fn orders_window() -> Duration {
    Duration::from_hours(7 * 24)
}

/// Who signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IssuerKind {
    /// An authority whose key is in our vault.
    Internal,
    /// Somebody else's, over ACME with the challenge `http-01`.
    Acme,
}

/// An ACME authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcmeRules {
    /// Its directory, over HTTPS.
    #[schema(
        max_length = 1024,
        example = "https://acme-v02.api.letsencrypt.org/directory"
    )]
    pub directory: String,
    /// The authorities that vouch for the directory, PEM; the platform's where absent.
    #[serde(default)]
    #[schema(max_length = 16384)]
    pub ca: Option<String>,
    /// Where the nodes answer challenges: address and port to listen on while an order runs. The names' port 80 must lead
    /// there.
    #[serde(default = "challenge_listen")]
    #[schema(value_type = String, example = "0.0.0.0:80")]
    pub challenge_listen: SocketAddr,
    /// Whom the authority may write to, such as `mailto:ops@example.org`.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub contacts: Vec<String>,
}

fn challenge_listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 80))
}

impl Body for CertificateIssuerBody {
    fn check(&self, problems: &mut Problems) {
        problems.name("name", &self.name);
        problems.description(self.description.as_ref());
        for (field, length, (least, most)) in [
            ("lifetime", self.lifetime, (LIFETIME_MIN, LIFETIME_MAX)),
            (
                "orders_window",
                self.orders_window,
                (Duration::from_secs(1), WINDOW_MAX),
            ),
        ] {
            if !(least..=most).contains(&length) || length.subsec_nanos() != 0 {
                let (least, most) = (iso_duration::format(least), iso_duration::format(most));
                problems.note(field, format!("must be whole seconds, {least} to {most}"));
            }
        }
        if !(1..=ORDERS_MAX).contains(&self.orders_max) {
            problems.note("orders_max", format!("must be 1 to {ORDERS_MAX}"));
        }
        match (self.kind, &self.acme) {
            (IssuerKind::Acme, Some(rules)) => check_acme(rules, problems),
            (IssuerKind::Acme, None) => {
                problems.note("acme", "must name the directory of an issuer of this kind");
            }
            (IssuerKind::Internal, Some(_)) => {
                problems.note("acme", "must be absent for an issuer of this kind");
            }
            (IssuerKind::Internal, None) => {}
        }
    }

    fn identity(&self) -> Vec<String> {
        Vec::from([self.name.clone()])
    }
}

fn check_acme(rules: &AcmeRules, problems: &mut Problems) {
    if problems.line("acme.directory", &rules.directory, URL_CHARS_MAX)
        && !rules.directory.starts_with("https://")
    {
        problems.note("acme.directory", "must begin with `https://`");
    }
    if let Some(ca) = &rules.ca {
        check_pem("acme.ca", ca, problems);
    }
    if rules.challenge_listen.port() == 0 {
        problems.note("acme.challenge_listen", "must name a port");
    }
    if rules.contacts.len() > CONTACTS_MAX {
        problems.note("acme.contacts", format!("must be at most {CONTACTS_MAX}"));
        return;
    }
    for (index, contact) in rules.contacts.iter().enumerate() {
        let field = format!("acme.contacts[{index}]");
        if problems.line(&field, contact, 320) && !contact.starts_with("mailto:") {
            problems.note(field, "must begin with `mailto:`");
        }
    }
}

pub(super) static SPEC: NounSpec = NounSpec {
    noun: Noun::CertificateIssuer,
    word: "certificate_issuer",
    path: "certificate-issuers",
    table: "certificate_issuers",
    columns: &[
        column("name", Kind::Text),
        column("kind", Kind::Text),
        column("lifetime", Kind::Duration),
        column("acme", Kind::Object),
        column("orders_max", Kind::Int),
        column("orders_window", Kind::Duration),
        column("description", Kind::Text),
        column("enabled", Kind::Bool),
    ],
    state: &[
        column("certificate", Kind::Text),
        column("not_after", Kind::Time),
    ],
    children: &[],
    // Its key belongs to the kind.
    fixed: &["kind"],
    named_by: "name",
    secret: None,
    filters: &[
        Filter {
            name: "name",
            column: "identity",
            kind: FilterKind::Name,
            about: "Only the issuer of this name.",
        },
        Filter {
            name: "kind",
            column: "kind",
            kind: FilterKind::Text,
            about: "Only issuers of this kind.",
        },
    ],
    read: |fields| read::<CertificateIssuerBody>(&SPEC, fields),
    // Who orders of it reads it when it orders: nobody is to be woken.
    events: |_| Vec::new(),
};
