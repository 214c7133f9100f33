//! Sites: where devices stand.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::Problems;
use super::column::{Filter, FilterKind, Kind, column};
use super::{Body, Noun, NounSpec, read};

/// A site.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteBody {
    /// What it is called; unique whatever the case.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// What people should know of it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
}

impl Body for SiteBody {
    fn check(&self, problems: &mut Problems) {
        problems.name("name", &self.name);
        problems.description(self.description.as_ref());
    }

    fn identity(&self) -> Vec<String> {
        Vec::from([self.name.clone()])
    }
}

pub(super) static SPEC: NounSpec = NounSpec {
    noun: Noun::Site,
    word: "site",
    path: "sites",
    table: "sites",
    columns: &[
        column("name", Kind::Text),
        column("description", Kind::Text),
    ],
    state: &[],
    children: &[],
    fixed: &[],
    named_by: "name",
    secret: None,
    filters: &[Filter {
        name: "name",
        column: "identity",
        kind: FilterKind::Name,
        about: "Only the site of this name.",
    }],
    read: |fields| read::<SiteBody>(&SPEC, fields),
    // Nobody waits for sites: what matters of them is told by their devices.
    events: |_| Vec::new(),
};
