//! User groups: people who are treated alike.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::Problems;
use super::column::{Child, Filter, FilterKind, Kind, Shape, column, refers};
use super::{Body, Noun, NounSpec, read};
use crate::domain::id::InventoryId;

/// Bound on the members of a group; more people than that are several groups.
const MEMBERS_MAX: usize = 5_000;

/// A group.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserGroupBody {
    /// What it is called; unique whatever the case.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// What people should know of it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// Its users, each once.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 5000)]
    pub members: Vec<InventoryId>,
}

impl Body for UserGroupBody {
    fn check(&self, problems: &mut Problems) {
        problems.name("name", &self.name);
        problems.description(self.description.as_ref());
        if self.members.len() > MEMBERS_MAX {
            problems.note("members", format!("must be at most {MEMBERS_MAX}"));
            return;
        }
        let mut known = std::collections::HashSet::new();
        for (index, member) in self.members.iter().enumerate() {
            if !known.insert(*member) {
                problems.note(format!("members[{index}]"), "stands there twice");
            }
        }
    }

    fn identity(&self) -> Vec<String> {
        Vec::from([self.name.clone()])
    }
}

pub(super) static SPEC: NounSpec = NounSpec {
    noun: Noun::UserGroup,
    word: "user_group",
    path: "user-groups",
    table: "user_groups",
    columns: &[
        column("name", Kind::Text),
        column("description", Kind::Text),
    ],
    state: &[],
    children: &[Child {
        field: "members",
        table: "user_group_members",
        parent: "group_id",
        columns: &[refers("members", "user_id", Noun::User)],
        state: &[],
        shape: Shape::Value,
    }],
    fixed: &[],
    named_by: "name",
    secret: None,
    filters: &[Filter {
        name: "name",
        column: "identity",
        kind: FilterKind::Name,
        about: "Only the group of this name.",
    }],
    read: |fields| read::<UserGroupBody>(&SPEC, fields),
    // One word for all that becomes of a group: who may do what is to be computed anew.
    events: |_| Vec::from(["user_group.changed"]),
};
