//! Operation templates: how an operation is carried out on a kind of device.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::Problems;
use super::column::{Filter, FilterKind, Kind, column};
use super::device::Protocol;
use super::{Body, Noun, NounSpec, read, yes};
use crate::domain::steps;

/// Bound on the steps in characters.
const STEPS_CHARS_MAX: usize = 16 * 1024;

/// A template.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationTemplateBody {
    /// What it is called; unique whatever the case.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// What is done by it.
    pub kind: TemplateKind,
    /// How the device is spoken to.
    pub protocol: Protocol,
    /// The command, and from the second line on its standard input. It names secrets and never holds one.
    #[schema(min_length = 1, max_length = 16384)]
    pub steps: String,
    /// What people should know of it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// Whether it may be used.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// What is done by a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TemplateKind {
    /// A secret is replaced by another.
    ChangePassword,
    /// A secret is tried.
    VerifyPassword,
    /// A privileged account sets a secret that is not known any more.
    ReconcilePassword,
    /// Anything else.
    RunCommand,
}

impl Body for OperationTemplateBody {
    fn check(&self, problems: &mut Problems) {
        problems.name("name", &self.name);
        if self.protocol != Protocol::Ssh {
            problems.note("protocol", "must be `ssh`: commands are run over no other");
        }
        if problems.text("steps", &self.steps, STEPS_CHARS_MAX)
            && let Err(error) = steps::check(self.kind, &self.steps)
        {
            problems.note("steps", error.to_string());
        }
        problems.description(self.description.as_ref());
    }

    fn identity(&self) -> Vec<String> {
        Vec::from([self.name.clone()])
    }
}

pub(super) static SPEC: NounSpec = NounSpec {
    noun: Noun::OperationTemplate,
    word: "operation_template",
    path: "operation-templates",
    table: "operation_templates",
    columns: &[
        column("name", Kind::Text),
        column("kind", Kind::Text),
        column("protocol", Kind::Text),
        column("steps", Kind::Text),
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
            about: "Only the template of this name.",
        },
        Filter {
            name: "kind",
            column: "kind",
            kind: FilterKind::Text,
            about: "Only templates of this kind.",
        },
        Filter {
            name: "enabled",
            column: "enabled",
            kind: FilterKind::Bool,
            about: "Only templates that may be used, or only the others.",
        },
    ],
    read: |fields| read::<OperationTemplateBody>(&SPEC, fields),
    // An operation reads its template when it runs: nobody is to be woken.
    events: |_| Vec::new(),
};
