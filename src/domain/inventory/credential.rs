//! Credentials: accounts on devices, whose secrets the vault keeps.

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::check::Problems;
use super::column::{Filter, FilterKind, Kind, column, refers};
use super::patch::Fields;
use super::{Body, Happening, Noun, NounSpec, SecretSpec, read, yes};
use crate::domain::id::InventoryId;
use crate::domain::robot::FieldError;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// The field with the secret.
const SECRET: &str = "secret";
/// The field with what opens it.
const PASSPHRASE: &str = "passphrase";
/// The name of [`CredentialKind::SshKey`].
const SSH_KEY: &str = "ssh_key";

/// A credential, without its secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialBody {
    /// The device it opens.
    #[schema(value_type = String)]
    pub device: InventoryId,
    /// The account; unique on its device and in its domain, whatever the case.
    #[schema(min_length = 1, max_length = 255)]
    pub username: String,
    /// The directory the account belongs to, where it is not the device's own.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    pub domain: Option<String>,
    /// What the secret is.
    #[serde(default)]
    pub kind: CredentialKind,
    /// Whether robots change the secret.
    pub automatic_change: bool,
    /// Whether it may set the passwords of the other accounts of its device, where their own does not open them any more.
    #[serde(default)]
    pub privileged: bool,
    /// When the secret is to be another one.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// The credential after whose secret this one is changed, each time; robots must be allowed to (`automatic_change`). At most
    /// 8 stand above each other, and 500 below one.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub parent: Option<InventoryId>,
    /// The policy that holds for it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub policy: Option<InventoryId>,
    /// What people should know of it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// Words by which it is grouped.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub tags: Vec<String>,
    /// Whether it may be used.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// What a secret is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A password.
    #[default]
    Password,
    /// A private key in OpenSSH's form or as PKCS#8, PEM; encrypted where there is a `passphrase`.
    SshKey,
}

impl Body for CredentialBody {
    fn check(&self, problems: &mut Problems) {
        problems.name("username", &self.username);
        problems.optional_name("domain", self.domain.as_ref());
        problems.instant("expires_at", self.expires_at);
        problems.description(self.description.as_ref());
        problems.tags(&self.tags);
        if self.parent.is_some() && self.domain.is_some() {
            // Through other registrations of their accounts two could follow each other without end.
            let detail = "must not be set beside `domain`: an account of a domain has one secret, wherever it is registered";
            problems.note("parent", detail);
        }
    }

    fn identity(&self) -> Vec<String> {
        Vec::from([
            self.username.clone(),
            self.domain.clone().unwrap_or_default(),
            self.device.to_string(),
        ])
    }
}

pub(super) static SPEC: NounSpec = NounSpec {
    noun: Noun::Credential,
    word: "credential",
    path: "credentials",
    table: "credentials",
    columns: &[
        refers("device", "device_id", Noun::Device),
        column("username", Kind::Text),
        column("domain", Kind::Text),
        column("kind", Kind::Text),
        column("automatic_change", Kind::Bool),
        column("privileged", Kind::Bool),
        column("expires_at", Kind::Time),
        refers("parent", "parent_id", Noun::Credential),
        refers("policy", "policy_id", Noun::CredentialPolicy),
        column("description", Kind::Text),
        column("tags", Kind::List),
        column("enabled", Kind::Bool),
    ],
    state: &[
        column("secret_version", Kind::Int),
        column("secret_changed_at", Kind::Time),
        column("last_viewed_at", Kind::Time),
        column("last_used_at", Kind::Time),
        column("secret_state", Kind::Text),
        column("secret_tested_at", Kind::Time),
        column("change_stopped_at", Kind::Time),
        column("deactivated_at", Kind::Time),
    ],
    children: &[],
    fixed: &[],
    named_by: "username",
    secret: Some(SecretSpec {
        field: SECRET,
        passphrase: PASSPHRASE,
        kind: "kind",
        check: secret_problems,
    }),
    filters: &[
        Filter {
            name: "username",
            column: "identity",
            kind: FilterKind::Name,
            about: "Only credentials of this account name, on whatever device.",
        },
        Filter {
            name: "device",
            column: "device_id",
            kind: FilterKind::Ref,
            about: "Only credentials of this device.",
        },
        Filter {
            name: "parent",
            column: "parent_id",
            kind: FilterKind::Ref,
            about: "Only credentials that are changed after this one.",
        },
        Filter {
            name: "policy",
            column: "policy_id",
            kind: FilterKind::Ref,
            about: "Only credentials under this policy.",
        },
        Filter {
            name: "automatic_change",
            column: "automatic_change",
            kind: FilterKind::Bool,
            about: "Only credentials that robots change, or only the others.",
        },
        Filter {
            name: "privileged",
            column: "privileged",
            kind: FilterKind::Bool,
            about: "Only credentials that may set the passwords of others, or only the others.",
        },
        Filter {
            name: "secret_state",
            column: "secret_state",
            kind: FilterKind::Text,
            about: "Only credentials whose account last said this of the secret in force: `match`, `mismatch`, `locked` or `disabled`.",
        },
        Filter {
            name: "expires_before",
            column: "expires_at",
            kind: FilterKind::Before,
            about: "Only credentials that expire before this instant.",
        },
        Filter {
            name: "enabled",
            column: "enabled",
            kind: FilterKind::Bool,
            about: "Only credentials that may be used, or only the others.",
        },
    ],
    read: |fields| read::<CredentialBody>(&SPEC, fields),
    events,
};

fn secret_problems(fields: &Fields, secret: &Secret) -> Vec<FieldError> {
    let mut problems = secret.problems(SECRET, PASSPHRASE);
    let kind = fields.get("kind").and_then(Value::as_str);
    if kind == Some(SSH_KEY) && !is_private_key(secret.text.expose_secret()) {
        let detail = "must be a private key in OpenSSH's form or as PKCS#8, PEM";
        problems.push(FieldError::new(SECRET, detail));
    }
    if secret.passphrase.is_some() && kind != Some(SSH_KEY) {
        let detail = format!("is for a key: set `kind` to `{SSH_KEY}`, or leave it out");
        problems.push(FieldError::new(PASSPHRASE, detail));
    }
    problems
}

/// Whether a text has the form of a private key in PEM (RFC 7468); whether it is one, and opens, an operation tells.
fn is_private_key(text: &str) -> bool {
    let parts = || {
        let begun = text.trim().strip_prefix("-----BEGIN ")?;
        let (label, rest) = begun.split_once("PRIVATE KEY-----")?;
        let (key, end) = rest.split_once("-----END ")?;
        let end = end.strip_suffix("PRIVATE KEY-----")?;
        Some(label == end && !key.trim().is_empty())
    };
    parts().unwrap_or(false)
}

/// A secret that a person sets is a change of the password like one that a robot makes.
fn events(happening: &Happening<'_>) -> Vec<&'static str> {
    match happening {
        Happening::Created => Vec::from(["credential.created"]),
        Happening::Deleted => Vec::from(["credential.deleted"]),
        Happening::Changed { secret, .. } => {
            let mut events = Vec::new();
            if happening.fields_changed() {
                events.push("credential.changed");
            }
            if *secret {
                events.push("credential.password_changed");
            }
            events
        }
    }
}
