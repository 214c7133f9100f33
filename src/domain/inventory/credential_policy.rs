//! Credential policies: how long secrets last, and what new ones are like.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::Problems;
use super::column::{Filter, FilterKind, Kind, column, refers};
use super::{Body, Noun, NounSpec, read, yes};
use crate::domain::id::InventoryId;
use crate::domain::iso_duration;

/// Who needs a secret for longer is to ask for it again.
const WAIT_MAX: Duration = Duration::from_hours(7 * 24);

/// A policy.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialPolicyBody {
    /// What it is called; unique whatever the case.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// Of credentials that are due at once, those under the policy with the highest number are changed first.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1000000)]
    pub priority: u32,
    /// How old a secret may grow, ISO 8601; absent: as old as it likes.
    #[serde(default, with = "iso_duration::serde_iso_option")]
    #[schema(value_type = Option<String>, max_length = 64, example = "P30D")]
    pub max_age: Option<Duration>,
    /// How long a secret lasts after somebody first viewed it, ISO 8601.
    #[serde(default, with = "iso_duration::serde_iso_option")]
    #[schema(value_type = Option<String>, max_length = 64, example = "PT1H")]
    pub expires_after_view: Option<Duration>,
    /// How long a secret lasts after a session used it, ISO 8601.
    #[serde(default, with = "iso_duration::serde_iso_option")]
    #[schema(value_type = Option<String>, max_length = 64, example = "PT1H")]
    pub expires_after_use: Option<Duration>,
    /// For how long a viewer may rely on the secret, ISO 8601, to `P7D`: it is not changed before, though it is due; at most so
    /// long after it was due, however often it is viewed.
    #[serde(default, with = "iso_duration::serde_iso_option")]
    #[schema(value_type = Option<String>, max_length = 64, example = "PT30M")]
    pub wait_after_view: Option<Duration>,
    /// What a new password is like.
    #[serde(default)]
    pub password: PasswordRules,
    /// The template of the kind `change_password` by which an account changes its password; absent: as its protocol does it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub change_template: Option<InventoryId>,
    /// The template of the kind `reconcile_password` by which a privileged account sets one; absent: as its protocol does it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub reconcile_template: Option<InventoryId>,
    /// The template of the kind `verify_password` by which an account proves, once it has signed in, that its secret does what it is for;
    /// absent: signing in is proof enough.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub verify_template: Option<InventoryId>,
    /// The credential by which a password is set that does not open its account any more, where the account's device has no
    /// `privileged` one; it may belong to another device.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub privileged_credential: Option<InventoryId>,
    /// What people should know of it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// Whether it holds.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// What a new password is like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PasswordRules {
    /// Its characters.
    #[schema(minimum = 8, maximum = 128)]
    pub length: u32,
    /// Upper-case letters at least.
    #[schema(minimum = 0, maximum = 128)]
    pub upper: u32,
    /// Lower-case letters at least.
    #[schema(minimum = 0, maximum = 128)]
    pub lower: u32,
    /// Digits at least.
    #[schema(minimum = 0, maximum = 128)]
    pub digits: u32,
    /// Other characters at least.
    #[schema(minimum = 0, maximum = 128)]
    pub symbols: u32,
    /// The other characters it may have: printable ASCII, each once.
    #[schema(max_length = 32)]
    pub symbols_allowed: String,
}

impl Default for PasswordRules {
    /// 24 characters of all kinds, without those that a shell or a connection string takes for something else.
    fn default() -> Self {
        Self {
            length: 24,
            upper: 1,
            lower: 1,
            digits: 1,
            symbols: 1,
            symbols_allowed: "-_.+=,".to_owned(),
        }
    }
}

impl Body for CredentialPolicyBody {
    fn check(&self, problems: &mut Problems) {
        problems.name("name", &self.name);
        if self.priority > 1_000_000 {
            problems.note("priority", "must be 0 to 1000000");
        }
        for (field, length) in [
            ("max_age", self.max_age),
            ("expires_after_view", self.expires_after_view),
            ("expires_after_use", self.expires_after_use),
            ("wait_after_view", self.wait_after_view),
        ] {
            if length.is_some_and(|length| length.as_secs() == 0 || length.subsec_nanos() != 0) {
                problems.note(field, "must be whole seconds, PT1S at least");
            }
        }
        if self.wait_after_view.is_some_and(|wait| wait > WAIT_MAX) {
            problems.note("wait_after_view", "must be at most P7D");
        } else if let (Some(wait), Some(end)) = (self.wait_after_view, self.expires_after_view)
            && wait > end
        {
            problems.note(
                "wait_after_view",
                "must not be longer than `expires_after_view`",
            );
        }
        check_rules(&self.password, problems);
        problems.description(self.description.as_ref());
    }

    fn identity(&self) -> Vec<String> {
        Vec::from([self.name.clone()])
    }
}

fn check_rules(rules: &PasswordRules, problems: &mut Problems) {
    if !(8..=128).contains(&rules.length) {
        problems.note("password.length", "must be 8 to 128");
    }
    let parts = [rules.upper, rules.lower, rules.digits, rules.symbols];
    let least = parts.iter().map(|part| u64::from(*part)).sum::<u64>();
    if least > u64::from(rules.length) {
        problems.note(
            "password.length",
            format!("must be {least} at least: so many characters are asked for"),
        );
    }
    let symbols = &rules.symbols_allowed;
    let different: std::collections::HashSet<char> = symbols.chars().collect();
    let plain = symbols.chars().all(|c| c.is_ascii_punctuation());
    if !plain || different.len() != symbols.chars().count() {
        problems.note(
            "password.symbols_allowed",
            "must be punctuation characters of ASCII, each once",
        );
    } else if symbols.is_empty() && rules.symbols > 0 {
        problems.note(
            "password.symbols_allowed",
            "must name some where `symbols` asks for them",
        );
    }
}

pub(super) static SPEC: NounSpec = NounSpec {
    noun: Noun::CredentialPolicy,
    word: "credential_policy",
    path: "credential-policies",
    table: "credential_policies",
    columns: &[
        column("name", Kind::Text),
        column("priority", Kind::Int),
        column("max_age", Kind::Duration),
        column("expires_after_view", Kind::Duration),
        column("expires_after_use", Kind::Duration),
        column("wait_after_view", Kind::Duration),
        column("password", Kind::Object),
        refers(
            "change_template",
            "change_template_id",
            Noun::OperationTemplate,
        ),
        refers(
            "reconcile_template",
            "reconcile_template_id",
            Noun::OperationTemplate,
        ),
        refers(
            "verify_template",
            "verify_template_id",
            Noun::OperationTemplate,
        ),
        refers(
            "privileged_credential",
            "privileged_credential_id",
            Noun::Credential,
        ),
        column("description", Kind::Text),
        column("enabled", Kind::Bool),
    ],
    state: &[],
    children: &[],
    fixed: &[],
    named_by: "name",
    secret: None,
    filters: &[
        Filter {
            name: "name",
            column: "identity",
            kind: FilterKind::Name,
            about: "Only the policy of this name.",
        },
        Filter {
            name: "enabled",
            column: "enabled",
            kind: FilterKind::Bool,
            about: "Only policies that hold, or only the others.",
        },
    ],
    read: |fields| read::<CredentialPolicyBody>(&SPEC, fields),
    // Whatever becomes of a policy, what expires when is to be looked at anew.
    events: |_| Vec::from(["credential.policy_changed"]),
};
