//! Devices: machines and services, and how they are reached.

use std::collections::HashSet;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::certificate_automation::is_host;
use super::check::{NAME_CHARS_MAX, Problems};
use super::column::{Child, Filter, FilterKind, Kind, Shape, column, refers};
use super::{Body, Happening, Noun, NounSpec, read, yes};
use crate::domain::id::InventoryId;
use crate::domain::task::UnknownWord;

/// Bound on the connectivities of a device: more than there are protocols, on several ports each.
const CONNECTIVITIES_MAX: usize = 64;
/// Bound on a host key in characters: an RSA key of 16,384 bits in OpenSSH's form, with room to spare.
const HOST_KEY_CHARS_MAX: usize = 4_096;

/// Bound on the authorities in characters: some dozens of certificates.
const CA_CHARS_MAX: usize = 64 * 1024;

/// A `host_key` that says: pin what the first connection meets.
pub const TRUST_ON_FIRST_USE: &str = "trust_on_first_use";

/// A device.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceBody {
    /// What it is called; unique in its site, whatever the case.
    #[schema(min_length = 1, max_length = 255)]
    pub hostname: String,
    /// Where it is reached: an IP address or a DNS name.
    #[schema(min_length = 1, max_length = 255, example = "192.0.2.7")]
    pub address: String,
    /// The site it stands in.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub site: Option<InventoryId>,
    /// How it is reached; each protocol and port once.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub connectivities: Vec<Connectivity>,
    /// What it is, in the installation's own words, such as `linux`.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64)]
    pub kind: Option<String>,
    /// What people should know of it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// Words by which it is grouped.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub tags: Vec<String>,
    /// Whether robots may work on it.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// One way to reach a device.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Connectivity {
    /// What is spoken there.
    pub protocol: Protocol,
    /// The TCP port.
    #[schema(minimum = 1, maximum = 65535)]
    pub port: u16,
    /// Whom to meet there: a public key in OpenSSH's form, a fingerprint (`SHA256:…`, or 64 hexadecimal digits of a
    /// certificate), or `trust_on_first_use`: the key of the first connection is pinned. Absent: an unknown key is
    /// refused.
    #[serde(default)]
    #[schema(max_length = 4096)]
    pub host_key: Option<String>,
    /// The authorities of its certificate, in PEM, where it speaks TLS and they are not those of robotd's machine.
    #[serde(default)]
    #[schema(max_length = 65536)]
    pub ca: Option<String>,
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Secure Shell.
    Ssh,
    /// Remote procedure calls of Windows, over SMB.
    WindowsRpc,
    /// Files of Windows.
    Smb,
    /// The remote desktop.
    Rdp,
    /// PostgreSQL.
    Postgresql,
    /// `MySQL` and `MariaDB`.
    Mysql,
    /// A directory, in clear or by `StartTLS`.
    Ldap,
    /// A directory over TLS.
    Ldaps,
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// Anything over TLS.
    Tls,
    /// Telnet.
    Telnet,
    /// A remote screen.
    Vnc,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Ssh,
        Self::WindowsRpc,
        Self::Smb,
        Self::Rdp,
        Self::Postgresql,
        Self::Mysql,
        Self::Ldap,
        Self::Ldaps,
        Self::Http,
        Self::Https,
        Self::Tls,
        Self::Telnet,
        Self::Vnc,
    ];

    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::WindowsRpc => "windows_rpc",
            Self::Smb => "smb",
            Self::Rdp => "rdp",
            Self::Postgresql => "postgresql",
            Self::Mysql => "mysql",
            Self::Ldap => "ldap",
            Self::Ldaps => "ldaps",
            Self::Http => "http",
            Self::Https => "https",
            Self::Tls => "tls",
            Self::Telnet => "telnet",
            Self::Vnc => "vnc",
        }
    }
}

impl FromStr for Protocol {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let named = Self::ALL.into_iter().find(|one| one.as_str() == text);
        named.ok_or_else(|| UnknownWord {
            word: text.chars().take(40).collect(),
            known: Self::ALL.map(Self::as_str).join(", "),
        })
    }
}

impl Body for DeviceBody {
    fn check(&self, problems: &mut Problems) {
        problems.name("hostname", &self.hostname);
        if problems.line("address", &self.address, NAME_CHARS_MAX) && !is_address(&self.address) {
            problems.note(
                "address",
                "must be an IP address or the name of a host: labels of letters, digits and hyphens with dots between them",
            );
        }
        if is_no_machine(&self.address) {
            let detail = "must be the address of one machine: not `0.0.0.0` or `::`, and not one that many listen to";
            problems.note("address", detail);
        }
        problems.optional_line("kind", self.kind.as_ref(), 64);
        problems.description(self.description.as_ref());
        problems.tags(&self.tags);
        check_connectivities(&self.connectivities, problems);
    }

    fn identity(&self) -> Vec<String> {
        let site = self.site.map(|site| site.to_string()).unwrap_or_default();
        Vec::from([self.hostname.clone(), site])
    }
}

/// Whether a device can stand at `address`: an IP address, or the name of a host (RFC 1123, section 2.1), in any script (IDNA,
/// RFC 5891).
fn is_address(address: &str) -> bool {
    let name = address.strip_suffix('.').unwrap_or(address);
    address.parse::<IpAddr>().is_ok()
        || idna::domain_to_ascii(name).is_ok_and(|name| !name.starts_with('*') && is_host(&name))
}

/// Whether an address is not that of one machine: of this host on this network (RFC 1122, section 3.2.1.3), where a program
/// listens to be reached at all of its own, or of many.
fn is_no_machine(address: &str) -> bool {
    let address = address.strip_suffix('.').unwrap_or(address);
    let address = address.parse::<IpAddr>();
    address.is_ok_and(|address| match address.to_canonical() {
        IpAddr::V4(four) => four.octets()[0] == 0 || four.is_multicast() || four.is_broadcast(),
        IpAddr::V6(six) => six.is_unspecified() || six.is_multicast(),
    })
}

fn check_connectivities(connectivities: &[Connectivity], problems: &mut Problems) {
    if connectivities.len() > CONNECTIVITIES_MAX {
        problems.note(
            "connectivities",
            format!("must be at most {CONNECTIVITIES_MAX}"),
        );
        return;
    }
    let mut known = HashSet::new();
    for (index, way) in connectivities.iter().enumerate() {
        let field = |name: &str| format!("connectivities[{index}].{name}");
        if way.port == 0 {
            problems.note(field("port"), "must be 1 to 65535");
        } else if !known.insert((way.protocol, way.port)) {
            problems.note(field("port"), "stands there twice for this protocol");
        }
        if let Some(key) = &way.host_key
            && !is_host_key(key)
        {
            problems.note(
                field("host_key"),
                "must be a public key (`ssh-ed25519 AAAA…`), a fingerprint (`SHA256:…` or 64 hexadecimal digits) \
                 or `trust_on_first_use`",
            );
        }
        if let Some(ca) = &way.ca {
            problems.text(&field("ca"), ca, CA_CHARS_MAX);
            if !ca.contains("-----BEGIN CERTIFICATE-----") {
                problems.note(field("ca"), "must be certificates in PEM");
            }
        }
    }
}

/// Whether `text` has the form of a key; whether it is one, the connection tells.
fn is_host_key(text: &str) -> bool {
    let base64 = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
    };
    if text == TRUST_ON_FIRST_USE {
        return true;
    }
    if let Some(digest) = text.strip_prefix("SHA256:") {
        return digest.len() == 43 && base64(digest);
    }
    if let Some((algorithm, key)) = text.split_once(' ') {
        let named = algorithm
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-@.".contains(&byte));
        return !algorithm.is_empty() && named && base64(key) && text.len() <= HOST_KEY_CHARS_MAX;
    }
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) static SPEC: NounSpec = NounSpec {
    noun: Noun::Device,
    word: "device",
    path: "devices",
    table: "devices",
    columns: &[
        column("hostname", Kind::Text),
        column("address", Kind::Text),
        refers("site", "site_id", Noun::Site),
        column("kind", Kind::Text),
        column("description", Kind::Text),
        column("tags", Kind::List),
        column("enabled", Kind::Bool),
    ],
    state: &[],
    children: &[Child {
        field: "connectivities",
        table: "device_connectivities",
        parent: "device_id",
        columns: &[
            column("protocol", Kind::Text),
            column("port", Kind::Int),
            column("host_key", Kind::Text),
            column("ca", Kind::Text),
        ],
        state: &[
            column("pinned_host_key", Kind::Text),
            column("status", Kind::Text),
            column("tested_at", Kind::Time),
            column("latency_us", Kind::Int),
            column("failures", Kind::Int),
            column("error_class", Kind::Text),
            column("seen_key", Kind::Text),
            column("recent", Kind::Text),
        ],
        shape: Shape::Object,
    }],
    fixed: &[],
    named_by: "hostname",
    secret: None,
    filters: &[
        Filter {
            name: "hostname",
            column: "identity",
            kind: FilterKind::Name,
            about: "Only devices of this name, in whatever site.",
        },
        Filter {
            name: "address",
            column: "address",
            kind: FilterKind::Text,
            about: "Only devices at this address.",
        },
        Filter {
            name: "site",
            column: "site_id",
            kind: FilterKind::Ref,
            about: "Only devices of this site.",
        },
        Filter {
            name: "enabled",
            column: "enabled",
            kind: FilterKind::Bool,
            about: "Only devices that robots may work on, or only the others.",
        },
    ],
    read: |fields| read::<DeviceBody>(&SPEC, fields),
    events: |happening| {
        Vec::from([match happening {
            Happening::Created => "device.created",
            Happening::Changed { .. } => "device.changed",
            Happening::Deleted => "device.deleted",
        }])
    },
};
