//! Task definitions: what `task_manager.executor` does to many accounts, by name and, where there is a schedule, by itself.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::{Problems, TAG_CHARS_MAX};
use super::column::{Child, Column, Filter, FilterKind, Kind, Shape, column, refers};
use super::{Body, Noun, NounSpec, read, yes};
use crate::domain::access::Role;
use crate::domain::approval;
use crate::domain::id::InventoryId;
use crate::domain::iso_duration;
use crate::domain::operation::OperationKind;
use crate::domain::schedule::Schedule;
use crate::domain::tick::{CatchUp, Overlap, TickPlan, can_fire};
use crate::domain::time::Timestamp;
use crate::domain::window::Window;

/// Bound on the devices that are named one by one: as many as a task has operations.
const DEVICES_MAX: usize = 500;
/// How fine schedules are, in seconds: they are looked at once a minute.
const STEP_SECONDS: u64 = 60;
/// The longest time that operations may wait.
const EXPIRES_AFTER_MAX: Duration = Duration::from_hours(366 * 24);

/// Said where a schedule and a window do not fit each other.
const NEVER: &str =
    "None of the planned instants lies inside the window: by its schedule it will not begin.";

/// A definition. Its accounts are those that every given part of `devices`, `site`, `tag` and `username` fits.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskDefinitionBody {
    /// What it is called; unique whatever the case.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// What is done.
    pub kind: OperationKind,
    /// The template, for `run_template`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub template: Option<InventoryId>,
    /// Accounts of these devices, each once; none: of any.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 500)]
    pub devices: Vec<InventoryId>,
    /// Accounts of devices of this site.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub site: Option<InventoryId>,
    /// Accounts with this tag, on themselves or on their device.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64)]
    pub tag: Option<String>,
    /// Accounts of this name, as it is written.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    pub username: Option<String>,
    /// When so many operations did not succeed, those that wait are cancelled.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub stop_after: Option<NonZeroU32>,
    /// How many operations are ordered at once: the next ones when those before have ended. Absent: all.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub batch_size: Option<NonZeroU32>,
    /// When it is begun, as for robots, to the minute; absent: only when somebody asks for it. A change of the definition begins it anew.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub schedule: Option<Schedule>,
    /// When it may be begun by its schedule, as for robots; absent: at any time.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub window: Option<Window>,
    /// What its schedule does while its last task is open: `skip`, `allow` or `queue`.
    #[serde(default)]
    #[schema(value_type = String)]
    pub overlap: Overlap,
    /// What becomes of planned instants that were missed: `none`, `last` or `all`.
    #[serde(default)]
    #[schema(value_type = String)]
    pub catch_up: CatchUp,
    /// How long a task and its operations may wait, ISO 8601; absent: as long as it takes.
    #[serde(default, with = "iso_duration::serde_iso_option")]
    #[schema(value_type = Option<String>, max_length = 64, example = "PT8H")]
    pub expires_after: Option<Duration>,
    /// Who may begin it by hand: `operator` or `admin`, this role at least.
    #[serde(default = "operator")]
    #[schema(value_type = String, example = "operator")]
    pub run_role: Role,
    /// Who must agree before its tasks begin, also those of its schedule: `operator` or `admin`, this role at least, and not who
    /// asked for the task; absent: nobody.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub approval_role: Option<Role>,
    /// How long its tasks wait for that, ISO 8601; absent: a day.
    #[serde(default, with = "iso_duration::serde_iso_option")]
    #[schema(value_type = Option<String>, max_length = 64, example = "PT4H")]
    pub approval_within: Option<Duration>,
    /// What people should know of it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// Whether it may be begun.
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl Body for TaskDefinitionBody {
    fn check(&self, problems: &mut Problems) {
        problems.name("name", &self.name);
        problems.optional_line("tag", self.tag.as_ref(), TAG_CHARS_MAX);
        problems.optional_name("username", self.username.as_ref());
        problems.description(self.description.as_ref());
        if (self.kind == OperationKind::RunTemplate) != self.template.is_some() {
            let detail = "must be given for `run_template`, and for nothing else";
            problems.note("template", detail);
        }
        self.check_accounts(problems);
        if let Some(Schedule::Every { interval }) = &self.schedule
            && (interval.subsec_nanos() != 0 || !interval.as_secs().is_multiple_of(STEP_SECONDS))
        {
            problems.note("schedule", "`every` must be whole minutes");
        }
        if is_outside(self.expires_after, EXPIRES_AFTER_MAX) {
            problems.note("expires_after", "must be whole seconds, PT1M to P366D");
        }
        self.check_roles(problems);
    }

    fn identity(&self) -> Vec<String> {
        Vec::from([self.name.clone()])
    }
}

/// Whether a wait is shorter than a minute, longer than `most`, or not of whole seconds.
fn is_outside(wait: Option<Duration>, most: Duration) -> bool {
    wait.is_some_and(|wait| {
        wait.subsec_nanos() != 0 || wait.as_secs() < STEP_SECONDS || wait > most
    })
}

impl TaskDefinitionBody {
    /// The rules by which its planned instants are decided; none: it has no schedule.
    #[must_use]
    pub fn plan(&self, anchor: Timestamp) -> Option<TickPlan<'_>> {
        Some(TickPlan {
            schedule: self.schedule.as_ref()?,
            anchor,
            window: self.window.as_ref(),
            overlap: self.overlap,
            catch_up: self.catch_up,
        })
    }

    /// What does not fit of a definition as it is at `at`, though it may be kept.
    #[must_use]
    pub fn warning(&self, at: Timestamp) -> Option<&'static str> {
        let plan = self.plan(at)?;
        (!can_fire(&plan, at)).then_some(NEVER)
    }

    fn check_roles(&self, problems: &mut Problems) {
        let roles = [
            ("run_role", Some(self.run_role)),
            ("approval_role", self.approval_role),
        ];
        for (field, role) in roles {
            if role == Some(Role::Viewer) {
                problems.note(
                    field,
                    "must be `operator` or `admin`: viewers order nothing",
                );
            }
        }
        if self.approval_within.is_some() && self.approval_role.is_none() {
            problems.note("approval_within", "must stand with `approval_role` only");
        }
        if is_outside(self.approval_within, approval::WITHIN_MAX) {
            problems.note("approval_within", "must be whole seconds, PT1M to P30D");
        }
    }

    fn check_accounts(&self, problems: &mut Problems) {
        let anybody = self.devices.is_empty()
            && self.site.is_none()
            && self.tag.is_none()
            && self.username.is_none();
        if anybody {
            let detail = "must name some, or give a `site`, a `tag` or a `username`: not all accounts there are";
            problems.note("devices", detail);
        }
        if self.devices.len() > DEVICES_MAX {
            problems.note("devices", format!("must be at most {DEVICES_MAX}"));
            return;
        }
        let mut known = HashSet::new();
        for (index, device) in self.devices.iter().enumerate() {
            if !known.insert(*device) {
                problems.note(format!("devices[{index}]"), "stands there twice");
            }
        }
    }
}

/// Who begins tasks, where nothing else is said.
const fn operator() -> Role {
    Role::Operator
}

pub(super) static SPEC: NounSpec = NounSpec {
    noun: Noun::TaskDefinition,
    word: "task_definition",
    path: "task-definitions",
    table: "task_definitions",
    columns: &[
        column("name", Kind::Text),
        column("kind", Kind::Text),
        refers("template", "template_id", Noun::OperationTemplate),
        refers("site", "site_id", Noun::Site),
        column("tag", Kind::Text),
        column("username", Kind::Text),
        column("stop_after", Kind::Int),
        column("batch_size", Kind::Int),
        column("schedule", Kind::Object),
        Column {
            field: "window",
            name: "task_window",
            kind: Kind::Object,
        },
        column("overlap", Kind::Text),
        column("catch_up", Kind::Text),
        column("expires_after", Kind::Duration),
        column("run_role", Kind::Text),
        column("approval_role", Kind::Text),
        column("approval_within", Kind::Duration),
        column("description", Kind::Text),
        column("enabled", Kind::Bool),
    ],
    state: &[
        column("planned_at", Kind::Time),
        column("decision", Kind::Text),
        column("task", Kind::Text),
    ],
    children: &[Child {
        field: "devices",
        table: "task_definition_devices",
        parent: "definition_id",
        columns: &[refers("devices", "device_id", Noun::Device)],
        state: &[],
        shape: Shape::Value,
    }],
    fixed: &[],
    named_by: "name",
    secret: None,
    filters: &[
        Filter {
            name: "name",
            column: "identity",
            kind: FilterKind::Name,
            about: "Only the definition of this name.",
        },
        Filter {
            name: "kind",
            column: "kind",
            kind: FilterKind::Text,
            about: "Only definitions of this kind of operation.",
        },
        Filter {
            name: "enabled",
            column: "enabled",
            kind: FilterKind::Bool,
            about: "Only definitions that may be begun, or only the others.",
        },
    ],
    read: |fields| read::<TaskDefinitionBody>(&SPEC, fields),
    // The schedules are looked at every minute: nobody is to be woken.
    events: |_| Vec::new(),
};
