//! The inventory: the things that robots look after, and the people who may reach them.
//!
//! Twelve nouns, one mechanism. A noun is a body (a struct that serde reads strictly, checked field by field) and a
//! [`NounSpec`] that says where its fields lie, what is unique of it, how it is searched and what the others are told
//! of a change. The store keeps, and the API serves, any noun by its specification alone: another costs a file here, a
//! table and a line in [`Noun::spec`].

mod certificate;
mod certificate_automation;
mod certificate_binding;
mod certificate_issuer;
pub mod check;
pub mod column;
mod credential;
mod credential_policy;
mod device;
pub mod name;
mod operation_template;
pub mod patch;
mod site;
mod task_definition;
mod user;
mod user_group;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use certificate::{CertificateBody, RevocationReason, chain, fingerprint};
pub use certificate_automation::{CertificateAutomationBody, KeyAlgorithm, is_host};
pub use certificate_binding::{CertificateBindingBody, KeyMode};
pub use certificate_issuer::{AcmeRules, CertificateIssuerBody, IssuerKind};
pub use credential::{CredentialBody, CredentialKind};
pub use credential_policy::{CredentialPolicyBody, PasswordRules};
pub use device::{Connectivity, DeviceBody, Protocol, TRUST_ON_FIRST_USE};
pub use operation_template::{OperationTemplateBody, TemplateKind};
pub use site::SiteBody;
pub use task_definition::TaskDefinitionBody;
pub use user::UserBody;
pub use user_group::UserGroupBody;

use self::check::Problems;
use self::column::{Child, Column, Filter, Kind, Shape};
use self::patch::Fields;
use super::reading::of_bounds;
use super::robot::FieldError;
use super::secret::Secret;
use super::time::Timestamp;

/// Most things of one call: a spreadsheet's page of an import.
pub const BATCH_ITEMS_MAX: usize = 1_000;

/// A kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Noun {
    /// Where devices stand.
    Site,
    /// A machine or service.
    Device,
    /// An account on a device.
    Credential,
    /// What credentials must be like, and how long they last.
    CredentialPolicy,
    /// A person.
    User,
    /// People who are treated alike.
    UserGroup,
    /// A certificate that somebody must renew in time.
    Certificate,
    /// How an operation is carried out.
    OperationTemplate,
    /// Who issues certificates.
    CertificateIssuer,
    /// Which certificate is renewed, and when.
    CertificateAutomation,
    /// Where a certificate is published.
    CertificateBinding,
    /// What is done to many accounts, and when.
    TaskDefinition,
}

impl Noun {
    /// All of them. Each refers to earlier ones, but a policy, which also names templates and a credential.
    pub const ALL: [Self; 12] = [
        Self::Site,
        Self::CredentialPolicy,
        Self::Device,
        Self::Credential,
        Self::User,
        Self::UserGroup,
        Self::Certificate,
        Self::OperationTemplate,
        Self::CertificateIssuer,
        Self::CertificateAutomation,
        Self::CertificateBinding,
        Self::TaskDefinition,
    ];

    /// What there is to know of it.
    #[must_use]
    pub const fn spec(self) -> &'static NounSpec {
        match self {
            Self::Site => &site::SPEC,
            Self::Device => &device::SPEC,
            Self::Credential => &credential::SPEC,
            Self::CredentialPolicy => &credential_policy::SPEC,
            Self::User => &user::SPEC,
            Self::UserGroup => &user_group::SPEC,
            Self::Certificate => &certificate::SPEC,
            Self::OperationTemplate => &operation_template::SPEC,
            Self::CertificateIssuer => &certificate_issuer::SPEC,
            Self::CertificateAutomation => &certificate_automation::SPEC,
            Self::CertificateBinding => &certificate_binding::SPEC,
            Self::TaskDefinition => &task_definition::SPEC,
        }
    }

    /// What does not fit of a thing as it is at `at`, though it may be kept; said to whoever changes it.
    #[must_use]
    pub fn warning(self, body: &Fields, at: Timestamp) -> Option<&'static str> {
        match self {
            Self::TaskDefinition => {
                let body = Value::Object(body.clone());
                let body: TaskDefinitionBody = serde_json::from_value(body).ok()?;
                body.warning(at)
            }
            _ => None,
        }
    }

    /// Whether what a field refers to must be enabled when it is set.
    #[must_use]
    pub fn must_be_enabled(self, field: &str) -> bool {
        self == Self::CredentialPolicy && field == "privileged_credential"
    }

    /// The word for people: `credential policy`.
    #[must_use]
    pub fn title(self) -> String {
        self.spec().word.replace('_', " ")
    }
}

/// A noun, as the mechanism sees it.
#[derive(Debug)]
pub struct NounSpec {
    /// Which.
    pub noun: Noun,
    /// In events, audit entries and problems: `credential_policy`.
    pub word: &'static str,
    /// In paths: `credential-policies`.
    pub path: &'static str,
    /// Its table.
    pub table: &'static str,
    /// What a caller sets.
    pub columns: &'static [Column],
    /// What follows from that, or is set by robots: shown, never taken.
    pub state: &'static [Column],
    /// Lists that lie in tables of their own.
    pub children: &'static [Child],
    /// Fields that cannot be changed once the thing is there.
    pub fixed: &'static [&'static str],
    /// The field to blame where another has the same identity.
    pub named_by: &'static str,
    /// What of it goes to the vault.
    pub secret: Option<SecretSpec>,
    /// The parameters of its list.
    pub filters: &'static [Filter],
    /// Reads and checks the fields.
    pub read: fn(Fields) -> Result<Checked, Vec<FieldError>>,
    /// The events that tell of a change; only those of the platform's list of events.
    pub events: fn(&Happening<'_>) -> Vec<&'static str>,
}

/// The fields whose values go to the vault: taken, never shown.
#[derive(Debug)]
pub struct SecretSpec {
    /// The secret.
    pub field: &'static str,
    /// What opens it, where it is a key that is encrypted; comes with the secret.
    pub passphrase: &'static str,
    /// The field that says what it is: it changes with the secret only.
    pub kind: &'static str,
    /// What is wrong with a secret, beside the other fields.
    pub check: fn(&Fields, &Secret) -> Vec<FieldError>,
}

/// Fields that are fit to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// All fields a caller sets, defaults included, as they will be read back.
    pub body: Fields,
    /// Those of [`NounSpec::state`] that follow from them.
    pub derived: Fields,
    /// What is unique of the thing, see [`name::identity`].
    pub identity: String,
}

/// What became of a thing.
#[derive(Debug, Clone, Copy)]
pub enum Happening<'a> {
    /// It is new.
    Created,
    /// Fields or secret are others.
    Changed {
        /// The fields that differ, as they were.
        before: &'a Fields,
        /// The fields that differ, as they are.
        after: &'a Fields,
        /// Whether it has another secret.
        secret: bool,
    },
    /// It is gone.
    Deleted,
}

impl Happening<'_> {
    /// Whether any field changed.
    #[must_use]
    pub fn fields_changed(&self) -> bool {
        matches!(self, Self::Changed { before, after, .. } if !before.is_empty() || !after.is_empty())
    }

    /// The second half of an action in the audit trail: `create`, `change` or `delete`.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Created => "create",
            Self::Changed { .. } => "change",
            Self::Deleted => "delete",
        }
    }
}

/// A noun's fields as a struct.
trait Body: Serialize + DeserializeOwned {
    /// Notes what serde cannot know to be wrong.
    fn check(&self, problems: &mut Problems);

    /// The parts of its identity, the one it is searched by first.
    fn identity(&self) -> Vec<String>;

    /// State that follows from the fields.
    fn derived(&self) -> Fields {
        Fields::new()
    }
}

/// Reads `fields` as `B` and checks them.
fn read<B: Body>(spec: &NounSpec, fields: Fields) -> Result<Checked, Vec<FieldError>> {
    objects_only(spec, &fields)?;
    let fields = Value::Object(fields);
    let body: B = serde_path_to_error::deserialize(&fields).map_err(|error| {
        let path = error.path().to_string();
        let check = |near: Value| {
            let near = serde_json::from_value::<B>(near);
            near.map_or_else(|_| Vec::new(), |body| problems(&body))
        };
        let own = of_bounds(&fields, &error, check);
        let own = own.unwrap_or_else(|| FieldError::at(&path, &told(spec, error.inner())));
        Vec::from([own])
    })?;
    let errors = problems(&body);
    if !errors.is_empty() {
        return Err(errors);
    }
    let parts = body.identity();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let fields = match serde_json::to_value(&body) {
        Ok(Value::Object(fields)) => fields,
        _ => Fields::new(),
    };
    let mut settled = column::settled(spec.columns, &fields);
    for child in spec.children {
        let list = fields.get(child.field).unwrap_or(&Value::Null);
        settled.insert(child.field.to_owned(), child.settled(list));
    }
    Ok(Checked {
        body: settled,
        derived: body.derived(),
        identity: name::identity(&parts),
    })
}

/// A reader's message. The fields that go to the vault are taken out before it reads, so that it does not know them.
fn told(spec: &NounSpec, error: &serde_json::Error) -> String {
    let message = error.to_string();
    match &spec.secret {
        Some(secret) if message.starts_with("unknown field ") => {
            format!("{message}, `{}`, `{}`", secret.field, secret.passphrase)
        }
        _ => message,
    }
}

fn problems<B: Body>(body: &B) -> Vec<FieldError> {
    let mut problems = Problems::default();
    body.check(&mut problems);
    problems.into_errors()
}

/// Derived readers would also take a list of a struct's fields in order, which nobody means.
fn objects_only(spec: &NounSpec, fields: &Fields) -> Result<(), Vec<FieldError>> {
    let mut problems = Problems::default();
    for column in spec.columns {
        let value = fields.get(column.field).unwrap_or(&Value::Null);
        if column.kind == Kind::Object && value.is_array() {
            problems.note(column.field, "must be an object");
        }
    }
    for child in spec.children {
        let entries = fields.get(child.field).and_then(Value::as_array);
        for (index, entry) in entries.into_iter().flatten().enumerate() {
            if child.shape == Shape::Object && !entry.is_object() {
                problems.note(format!("{}[{index}]", child.field), "must be an object");
            }
        }
    }
    let errors = problems.into_errors();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

/// What `true` is, for serde's defaults.
const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;
