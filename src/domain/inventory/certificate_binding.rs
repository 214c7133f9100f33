//! Certificate bindings: where a certificate is published, and how that is proven.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::certificate_automation::is_host;
use super::check::Problems;
use super::column::{Filter, FilterKind, Kind, column, refers};
use super::{Body, Noun, NounSpec, read, yes};
use crate::domain::id::InventoryId;

/// Bound on a path in bytes: far below any system's, with room for what stands in the folder.
const PATH_BYTES_MAX: usize = 1_024;
/// Bound on the words of a command.
const WORDS_MAX: usize = 32;
/// Bound on one word in characters.
const WORD_CHARS_MAX: usize = 1_024;

/// A binding: a folder on a machine in which the link `current` leads to the certificate in force (`certificate.pem`, chain
/// included, and `key.pem`), and a service that reads it there.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateBindingBody {
    /// What it is called; unique whatever the case.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// Whose certificate.
    #[schema(value_type = String)]
    pub automation: InventoryId,
    /// The account by which the machine is reached over SSH; it may write to the folder.
    #[schema(value_type = String)]
    pub credential: InventoryId,
    /// The folder, an absolute path; robotd's alone. The service is given `DIRECTORY/current/certificate.pem` and
    /// `DIRECTORY/current/key.pem`.
    #[schema(
        min_length = 2,
        max_length = 1024,
        example = "/etc/nginx/certificates/www"
    )]
    pub directory: String,
    /// Whom the files belong to, as `chown` takes it; absent: the account. To give files away the account must be root.
    #[serde(default)]
    #[schema(max_length = 64, example = "root:nginx")]
    pub owner: Option<String>,
    /// Who may read the private key.
    #[serde(default)]
    pub key_mode: KeyMode,
    /// The command that tells by its exit status 0 that the service will take its configuration: a program by its absolute
    /// path and its arguments, no shell. Empty: nothing is tested.
    #[serde(default)]
    #[schema(max_items = 32, example = json!(["/usr/sbin/nginx", "-t"]))]
    pub test: Vec<String>,
    /// The command by which the service reads the files anew; likewise.
    #[schema(min_items = 1, max_items = 32, example = json!(["/usr/bin/sudo", "-n", "/usr/bin/systemctl", "reload", "nginx"]))]
    pub reload: Vec<String>,
    /// Where the service answers over TLS; absent: the address of the credential's device.
    #[serde(default)]
    #[schema(max_length = 255)]
    pub host: Option<String>,
    /// Its port.
    #[serde(default = "https")]
    #[schema(minimum = 1, maximum = 65535)]
    pub port: u16,
    /// The name that it is asked for (SNI); absent: the first name of the certificate that a client can ask for.
    #[serde(default)]
    #[schema(max_length = 253)]
    pub server_name: Option<String>,
    /// What people should know of it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// Whether anything is published there.
    #[serde(default = "yes")]
    pub enabled: bool,
}

const fn https() -> u16 {
    443
}

/// Who may read a private key, as `chmod` takes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum KeyMode {
    /// Its owner.
    #[default]
    #[serde(rename = "0600")]
    Owner,
    /// Its owner and group.
    #[serde(rename = "0640")]
    Group,
}

impl KeyMode {
    /// The mode in octal digits.
    #[must_use]
    pub const fn digits(self) -> &'static str {
        match self {
            Self::Owner => "0600",
            Self::Group => "0640",
        }
    }
}

impl Body for CertificateBindingBody {
    fn check(&self, problems: &mut Problems) {
        problems.name("name", &self.name);
        problems.description(self.description.as_ref());
        check_directory(&self.directory, problems);
        if let Some(owner) = &self.owner
            && !is_owner(owner)
        {
            problems.note("owner", "must be `USER` or `USER:GROUP`");
        }
        check_command("test", &self.test, problems);
        if self.reload.is_empty() {
            problems.note("reload", "must name a program");
        }
        check_command("reload", &self.reload, problems);
        if let Some(host) = &self.host {
            problems.name("host", host);
        }
        if self.port == 0 {
            problems.note("port", "must be 1 to 65535");
        }
        if let Some(name) = &self.server_name
            && (!is_host(name) || name.starts_with('*'))
        {
            problems.note(
                "server_name",
                "must be an IP address, or a DNS name in lower-case ASCII",
            );
        }
    }

    fn identity(&self) -> Vec<String> {
        Vec::from([self.name.clone()])
    }
}

/// A folder that cannot be the whole machine, and whose path means one place.
fn check_directory(path: &str, problems: &mut Problems) {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let sound = path.len() <= PATH_BYTES_MAX
        && !path.chars().any(char::is_control)
        && path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(plain));
    if !sound {
        problems.note(
            "directory",
            format!(
                "must be an absolute path without `.` and `..`, at most {PATH_BYTES_MAX} bytes"
            ),
        );
    }
}

fn is_owner(text: &str) -> bool {
    let name = |name: &str| {
        (1..=32).contains(&name.len())
            && !name.starts_with('-')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match text.split_once(':') {
        Some((user, group)) => name(user) && name(group),
        None => name(text),
    }
}

fn check_command(field: &str, words: &[String], problems: &mut Problems) {
    if words.len() > WORDS_MAX {
        problems.note(field, format!("must have at most {WORDS_MAX} words"));
        return;
    }
    if words
        .first()
        .is_some_and(|program| !program.starts_with('/'))
    {
        problems.note(
            format!("{field}[0]"),
            "must be a program by its absolute path",
        );
    }
    for (index, word) in words.iter().enumerate() {
        if word.chars().count() > WORD_CHARS_MAX || word.chars().any(char::is_control) {
            problems.note(
                format!("{field}[{index}]"),
                format!("must have at most {WORD_CHARS_MAX} characters and no control characters"),
            );
        }
    }
}

pub(super) static SPEC: NounSpec = NounSpec {
    noun: Noun::CertificateBinding,
    word: "certificate_binding",
    path: "certificate-bindings",
    table: "certificate_bindings",
    columns: &[
        column("name", Kind::Text),
        refers("automation", "automation_id", Noun::CertificateAutomation),
        refers("credential", "credential_id", Noun::Credential),
        column("directory", Kind::Text),
        column("owner", Kind::Text),
        column("key_mode", Kind::Text),
        column("test", Kind::List),
        column("reload", Kind::List),
        column("host", Kind::Text),
        column("port", Kind::Int),
        column("server_name", Kind::Text),
        column("description", Kind::Text),
        column("enabled", Kind::Bool),
    ],
    state: &[
        column("state", Kind::Text),
        column("published_at", Kind::Time),
        column("served", Kind::Text),
        column("failures", Kind::Int),
        column("next_attempt_at", Kind::Time),
        column("error", Kind::Text),
    ],
    children: &[],
    fixed: &["automation"],
    named_by: "name",
    secret: None,
    filters: &[
        Filter {
            name: "name",
            column: "identity",
            kind: FilterKind::Name,
            about: "Only the binding of this name.",
        },
        Filter {
            name: "automation",
            column: "automation_id",
            kind: FilterKind::Ref,
            about: "Only bindings of this automation.",
        },
        Filter {
            name: "credential",
            column: "credential_id",
            kind: FilterKind::Ref,
            about: "Only bindings whose machine is reached by this credential.",
        },
        Filter {
            name: "state",
            column: "state",
            kind: FilterKind::Text,
            about: "Only bindings in this state: `published`, `rolled_back`, `failed` or `broken`.",
        },
    ],
    read: |fields| read::<CertificateBindingBody>(&SPEC, fields),
    // The next run publishes there.
    events: |_| Vec::new(),
};

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(change: impl FnOnce(&mut CertificateBindingBody)) -> Vec<String> {
        let mut body: CertificateBindingBody = serde_json::from_value(serde_json::json!({
            "name": "www", "automation": "1", "credential": "2", "directory": "/etc/tls/www",
            "reload": ["/bin/true"],
        }))
        .unwrap();
        change(&mut body);
        let mut problems = Problems::default();
        body.check(&mut problems);
        problems
            .into_errors()
            .into_iter()
            .map(|e| e.field)
            .collect()
    }

    #[test]
    fn places_and_commands_have_their_form() {
        assert!(problems(|_| {}).is_empty());
        assert!(problems(|body| body.owner = Some("root:www-data".to_owned())).is_empty());
        for directory in [
            "/",
            "etc",
            "/etc/../tls",
            "/etc//tls",
            "/etc/tls/",
            "/a\nb",
            "",
        ] {
            let found = problems(|body| body.directory = directory.to_owned());
            assert_eq!(found, ["directory"], "{directory:?}");
        }
        for owner in ["", ":", "-R", "a:b:c", "a b"] {
            let found = problems(|body| body.owner = Some(owner.to_owned()));
            assert_eq!(found, ["owner"], "{owner:?}");
        }
        assert_eq!(problems(|body| body.reload.clear()), ["reload"]);
        let relative = Vec::from(["nginx".to_owned(), "-t\0".to_owned()]);
        assert_eq!(
            problems(|body| body.test = relative),
            ["test[0]", "test[1]"]
        );
        let wild = Some("*.example.org".to_owned());
        assert_eq!(problems(|body| body.server_name = wild), ["server_name"]);
    }
}
