//! Certificate automations: which certificate is renewed, of whom, and when.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::Problems;
use super::column::{Column, Filter, FilterKind, Kind, column, refers};
use super::{Body, Happening, Noun, NounSpec, read, yes};
use crate::domain::access::Role;
use crate::domain::id::InventoryId;
use crate::domain::iso_duration;
use crate::domain::window::Window;

/// Bound on the names of a certificate, which is Let's Encrypt's.
const NAMES_MAX: usize = 100;
/// The longest DNS name (RFC 1035, section 2.3.4).
const DNS_CHARS_MAX: usize = 253;
/// The longest label of one.
const LABEL_CHARS_MAX: usize = 63;
/// The longest lead of a renewal.
const LEAD_MAX: Duration = Duration::from_hours(3_650 * 24);

/// An automation.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateAutomationBody {
    /// What it is called; unique whatever the case.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// Who issues.
    #[schema(value_type = String)]
    pub issuer: InventoryId,
    /// The certificate that is to be renewed; absent: the first one is issued at once.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub certificate: Option<InventoryId>,
    /// DNS names and IP addresses that it is for; none: those of the certificate that it renews.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub names: Vec<String>,
    /// How long before the end it is renewed, ISO 8601; never earlier than when a third of its life is left.
    #[serde(default = "renew_before", with = "iso_duration::serde_iso")]
    #[schema(value_type = String, max_length = 64, example = "P30D")]
    pub renew_before: Duration,
    /// What a new private key is.
    #[serde(default)]
    pub key_algorithm: KeyAlgorithm,
    /// Whether the private key stays the same; else each certificate has its own.
    #[serde(default)]
    pub reuse_key: bool,
    /// When certificates are issued and published: a recurring time of day, as for robots. Absent: at any time.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub window: Option<Window>,
    /// Who must agree before a certificate is ordered: `operator` or `admin`, this role at least, and not who asked for it; absent:
    /// nobody.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub approval_role: Option<Role>,
    /// What people should know of it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// Whether it is renewed and published.
    #[serde(default = "yes")]
    pub enabled: bool,
}

const fn renew_before() -> Duration {
    Duration::from_hours(30 * 24)
}

/// What a private key is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyAlgorithm {
    /// NIST P-256: what every client knows.
    #[default]
    EcdsaP256,
    /// NIST P-384.
    EcdsaP384,
    /// RSA of 2,048 bits, for clients that know nothing else.
    #[serde(rename = "rsa_2048")]
    Rsa2048,
    /// RSA of 3,072 bits.
    #[serde(rename = "rsa_3072")]
    Rsa3072,
    /// RSA of 4,096 bits.
    #[serde(rename = "rsa_4096")]
    Rsa4096,
}

impl Body for CertificateAutomationBody {
    fn check(&self, problems: &mut Problems) {
        problems.name("name", &self.name);
        problems.description(self.description.as_ref());
        if self.renew_before > LEAD_MAX
            || self.renew_before.is_zero()
            || self.renew_before.subsec_nanos() != 0
        {
            problems.note("renew_before", "must be whole seconds, PT1S to P3650D");
        }
        if self.approval_role == Some(Role::Viewer) {
            let detail = "must be `operator` or `admin`: viewers order nothing";
            problems.note("approval_role", detail);
        }
        if self.names.is_empty() && self.certificate.is_none() {
            problems.note(
                "names",
                "must name something where no `certificate` is to be renewed",
            );
        }
        if self.names.len() > NAMES_MAX {
            problems.note("names", format!("must be at most {NAMES_MAX}"));
            return;
        }
        let mut known = HashSet::new();
        for (index, name) in self.names.iter().enumerate() {
            let field = format!("names[{index}]");
            if !is_host(name) {
                problems.note(
                    field,
                    "must be an IP address, or a DNS name in lower-case ASCII (`xn--` for others)",
                );
            } else if !known.insert(name) {
                problems.note(field, "stands there twice");
            }
        }
    }

    fn identity(&self) -> Vec<String> {
        Vec::from([self.name.clone()])
    }
}

/// Whether a certificate can be made out to `name`: an IP address, or a DNS name whose first label may be `*`.
#[must_use]
pub fn is_host(name: &str) -> bool {
    if name.parse::<IpAddr>().is_ok() {
        return true;
    }
    let plain = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        (1..=LABEL_CHARS_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    // A last label of digits would be read as part of an address (RFC 3696, section 2), also of those behind `0x`.
    let last = plain.rsplit('.').next().unwrap_or_default();
    name.len() <= DNS_CHARS_MAX
        && plain.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
        && !last
            .strip_prefix("0x")
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

pub(super) static SPEC: NounSpec = NounSpec {
    noun: Noun::CertificateAutomation,
    word: "certificate_automation",
    path: "certificate-automations",
    table: "certificate_automations",
    columns: &[
        column("name", Kind::Text),
        refers("issuer", "issuer_id", Noun::CertificateIssuer),
        refers("certificate", "certificate_id", Noun::Certificate),
        column("names", Kind::List),
        column("renew_before", Kind::Duration),
        column("key_algorithm", Kind::Text),
        column("reuse_key", Kind::Bool),
        Column {
            field: "window",
            name: "renewal_window",
            kind: Kind::Object,
        },
        column("approval_role", Kind::Text),
        column("description", Kind::Text),
        column("enabled", Kind::Bool),
    ],
    state: &[
        refers("current", "current_id", Noun::Certificate),
        column("serial", Kind::Text),
        column("not_before", Kind::Time),
        column("not_after", Kind::Time),
        column("revoked_at", Kind::Time),
        column("renewal_asked_at", Kind::Time),
        column("renewal_requested_at", Kind::Time),
        column("renewal_requested_by", Kind::Text),
        column("renewal_approved_at", Kind::Time),
        column("renewal_approved_by", Kind::Text),
        column("renewal_suggested_at", Kind::Time),
        column("suggestion_next_at", Kind::Time),
        column("failures", Kind::Int),
        column("next_attempt_at", Kind::Time),
        column("error", Kind::Text),
    ],
    children: &[],
    fixed: &["certificate"],
    named_by: "name",
    secret: None,
    filters: &[
        Filter {
            name: "name",
            column: "identity",
            kind: FilterKind::Name,
            about: "Only the automation of this name.",
        },
        Filter {
            name: "issuer",
            column: "issuer_id",
            kind: FilterKind::Ref,
            about: "Only automations whose certificates this issuer issues.",
        },
        Filter {
            name: "enabled",
            column: "enabled",
            kind: FilterKind::Bool,
            about: "Only automations that renew, or only the others.",
        },
    ],
    read: |fields| read::<CertificateAutomationBody>(&SPEC, fields),
    events: |happening| match happening {
        // There may be nothing in force yet.
        Happening::Created => Vec::from(["certificate.renewal_requested"]),
        Happening::Changed { .. } | Happening::Deleted => Vec::new(),
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hosts() {
        for good in [
            "example.org",
            "*.example.org",
            "localhost",
            "xn--mnchen-3ya.example",
            "192.0.2.7",
            "2001:db8::1",
        ] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "",
            "*",
            "*.",
            "a..b",
            ".a",
            "a.",
            "-a.b",
            "a-.b",
            "A.b",
            "münchen.example",
            "a b",
            "a*.b",
            "1.2.3",
            "a;b",
            &"a.".repeat(200),
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
