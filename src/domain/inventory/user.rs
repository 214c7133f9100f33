//! Users: the people of the platform.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::check::Problems;
use super::column::{Filter, FilterKind, Kind, column};
use super::{Body, Happening, Noun, NounSpec, read, yes};

/// A user.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserBody {
    /// The name to log in with; unique whatever the case.
    #[schema(min_length = 1, max_length = 255)]
    pub login: String,
    /// What the person is called.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    pub name: Option<String>,
    /// Where mails go.
    #[serde(default)]
    #[schema(min_length = 3, max_length = 254)]
    pub email: Option<String>,
    /// The language of mails and pages, such as `pt-BR` (BCP 47).
    #[serde(default)]
    #[schema(min_length = 1, max_length = 35)]
    pub locale: Option<String>,
    /// The IANA zone in which times are shown.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64)]
    pub timezone: Option<String>,
    /// Whether the person may log in.
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl Body for UserBody {
    fn check(&self, problems: &mut Problems) {
        problems.name("login", &self.login);
        problems.optional_name("name", self.name.as_ref());
        problems.optional_line("email", self.email.as_ref(), 254);
        if let Some(email) = &self.email
            && !is_address(email)
        {
            problems.note("email", "must be a mail address, `name@domain`");
        }
        problems.optional_line("locale", self.locale.as_ref(), 35);
        if let Some(zone) = &self.timezone
            && zone.parse::<chrono_tz::Tz>().is_err()
        {
            problems.note(
                "timezone",
                "must be an IANA zone such as `America/Sao_Paulo`",
            );
        }
    }

    fn identity(&self) -> Vec<String> {
        Vec::from([self.login.clone()])
    }
}

/// Whether a mail could be addressed so; whether it arrives, only a mail can tell.
fn is_address(text: &str) -> bool {
    let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    let parts = text.rsplit_once('@');
    plain && parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

pub(super) static SPEC: NounSpec = NounSpec {
    noun: Noun::User,
    word: "user",
    path: "users",
    table: "users",
    columns: &[
        column("login", Kind::Text),
        column("name", Kind::Text),
        column("email", Kind::Text),
        column("locale", Kind::Text),
        column("timezone", Kind::Text),
        column("enabled", Kind::Bool),
    ],
    state: &[],
    children: &[],
    fixed: &[],
    named_by: "login",
    secret: None,
    filters: &[
        Filter {
            name: "login",
            column: "identity",
            kind: FilterKind::Name,
            about: "Only the user of this login name.",
        },
        Filter {
            name: "email",
            column: "email",
            kind: FilterKind::Text,
            about: "Only users with this mail address.",
        },
        Filter {
            name: "enabled",
            column: "enabled",
            kind: FilterKind::Bool,
            about: "Only users who may log in, or only the others.",
        },
    ],
    read: |fields| read::<UserBody>(&SPEC, fields),
    events,
};

/// Whoever is gone is disabled for all who ask what a person may do.
fn events(happening: &Happening<'_>) -> Vec<&'static str> {
    Vec::from([match happening {
        Happening::Created => "user.created",
        Happening::Changed { after, .. } if after.get("enabled") == Some(&Value::Bool(false)) => {
            "user.disabled"
        }
        Happening::Changed { .. } => "user.changed",
        Happening::Deleted => "user.disabled",
    }])
}
