//! Imports: the columns of a spreadsheet that becomes sites, devices and credentials, and where an import stands.
//!
//! Columns are known by their names, not their places, and a name is what a field of the API is called (the robots'
//! specification, robot 42).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::inventory::name::fold;
use super::task::{UnknownWord, words};

/// Bound on an uploaded file in bytes: ten thousand rows with a private key of a few hundred bytes each.
pub const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bound on the rows of a file.
pub const ROWS_MAX: usize = 10_000;
/// Bound on a file's name in characters.
pub const NAME_CHARS_MAX: usize = 255;

words! {
    /// What is to become of a file.
    ImportMode {
        /// Its rows are carried out.
        Apply = ("apply", 0);
        /// It is only said what its rows would do.
        Validate = ("validate", 1);
    }
}

words! {
    /// Where an import stands.
    ImportState {
        /// Waits for a robot.
        Waiting = ("waiting", 0);
        /// A robot has it in hand.
        Running = ("running", 1);
        /// Each row has its answer.
        Finished = ("finished", 2);
        /// The file as a whole was not acceptable, or the import was given up.
        Failed = ("failed", 3);
        /// Ended by a person; rows that have an answer stay as they are.
        Cancelled = ("cancelled", 4);
    }
}

words! {
    /// What became of a row; of a file that is only validated, what would.
    RowAnswer {
        /// A device or a credential of it is new.
        Created = ("created", 0);
        /// It changed what was there.
        Updated = ("updated", 1);
        /// All was there as it says.
        Unchanged = ("unchanged", 2);
        /// It is not acceptable, and changed nothing.
        Refused = ("refused", 3);
        /// It is acceptable, and was left out because others are not.
        Skipped = ("skipped", 4);
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RowError {
    /// Where in the sheet, such as `D17`; absent where the column is missing.
    pub cell: Option<String>,
    /// The column's name.
    pub field: String,
    /// What is wrong, and what to write instead.
    pub detail: String,
}

/// What a column belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The device of the row.
    Device,
    /// A way to reach it.
    Connectivity,
    /// The credential of the row.
    Credential,
    /// Another thing, by its name.
    Reference,
}

/// What is in a column's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Text; a whole number counts as its digits.
    Text,
    /// A whole number.
    Number,
    /// True or false.
    Truth,
    /// An instant, or a day.
    Instant,
    /// Texts with commas between them.
    List,
    /// A secret: taken as it is, kept by the vault only.
    Secret,
}

/// A column of the template.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name in the sheet.
    pub name: &'static str,
    /// What it belongs to.
    pub part: Part,
    /// The field of the API.
    pub field: &'static str,
    /// What is in it.
    pub holds: Holds,
    /// What it is for, in the template.
    pub about: &'static str,
}

const fn column(
    name: &'static str,
    (part, field): (Part, &'static str),
    holds: Holds,
    about: &'static str,
) -> Column {
    Column {
        name,
        part,
        field,
        holds,
        about,
    }
}

/// The column that each file must have.
pub const KEY_COLUMN: &str = "hostname";

/// Every column, in the template's order. An empty cell leaves a field as it is.
pub static COLUMNS: [Column; 21] = [
    column(
        KEY_COLUMN,
        (Part::Device, "hostname"),
        Holds::Text,
        "What the device is called. Must be there.",
    ),
    column(
        "address",
        (Part::Device, "address"),
        Holds::Text,
        "IP address or DNS name. A new device needs it.",
    ),
    column(
        "site",
        (Part::Reference, "site"),
        Holds::Text,
        "Name of the site it stands in.",
    ),
    column(
        "device_kind",
        (Part::Device, "kind"),
        Holds::Text,
        "What it is, such as linux.",
    ),
    column(
        "device_description",
        (Part::Device, "description"),
        Holds::Text,
        "What people should know of the device.",
    ),
    column(
        "device_tags",
        (Part::Device, "tags"),
        Holds::List,
        "Words with commas between them.",
    ),
    column(
        "device_enabled",
        (Part::Device, "enabled"),
        Holds::Truth,
        "true or false: whether robots may work on it.",
    ),
    column(
        "protocol",
        (Part::Connectivity, "protocol"),
        Holds::Text,
        "How it is reached: ssh, windows_rpc, smb, rdp, postgresql, mysql, ldap, ldaps, http, https, tls, telnet or vnc.",
    ),
    column(
        "port",
        (Part::Connectivity, "port"),
        Holds::Number,
        "The TCP port of that protocol.",
    ),
    column(
        "host_key",
        (Part::Connectivity, "host_key"),
        Holds::Text,
        "Public key, fingerprint (SHA256:...) or trust_on_first_use.",
    ),
    column(
        "username",
        (Part::Credential, "username"),
        Holds::Text,
        "The account. Without it the row is about the device only.",
    ),
    column(
        "domain",
        (Part::Credential, "domain"),
        Holds::Text,
        "The directory the account belongs to.",
    ),
    column(
        "secret",
        (Part::Credential, "secret"),
        Holds::Secret,
        "Password or private key, as text. A new credential needs it.",
    ),
    column(
        "passphrase",
        (Part::Credential, "passphrase"),
        Holds::Secret,
        "What opens the private key, where it is encrypted. Goes with secret.",
    ),
    column(
        "credential_kind",
        (Part::Credential, "kind"),
        Holds::Text,
        "password or ssh_key.",
    ),
    column(
        "automatic_change",
        (Part::Credential, "automatic_change"),
        Holds::Truth,
        "true or false: whether robots change the secret. A new credential needs it.",
    ),
    column(
        "expires_at",
        (Part::Credential, "expires_at"),
        Holds::Instant,
        "When the secret is to be another one: a day, or a time (UTC).",
    ),
    column(
        "policy",
        (Part::Reference, "policy"),
        Holds::Text,
        "Name of the credential policy.",
    ),
    column(
        "credential_description",
        (Part::Credential, "description"),
        Holds::Text,
        "What people should know of the credential.",
    ),
    column(
        "credential_tags",
        (Part::Credential, "tags"),
        Holds::List,
        "Words with commas between them.",
    ),
    column(
        "credential_enabled",
        (Part::Credential, "enabled"),
        Holds::Truth,
        "true or false: whether it may be used.",
    ),
];

/// The columns of a result beside those of the file; a result that is sent in again may have them.
pub const ANSWER_COLUMNS: [&str; 3] = ["import_line", "import_answer", "import_detail"];

/// The column of a heading, whatever its case; blanks, dots and hyphens are underscores, and a `*` behind it is decoration.
#[must_use]
pub fn column_named(heading: &str) -> Option<&'static Column> {
    let wanted = plain(heading);
    COLUMNS.iter().find(|column| column.name == wanted)
}

/// Whether a heading is of a column that a result has beside those of the file.
#[must_use]
pub fn is_answer(heading: &str) -> bool {
    let heading = plain(heading);
    ANSWER_COLUMNS.contains(&heading.as_str())
}

fn plain(heading: &str) -> String {
    let heading = heading.trim().trim_end_matches('*').trim();
    let joined = |c: char| matches!(c, ' ' | '.' | '-' | '\u{a0}');
    fold(heading).replace(joined, "_")
}

/// The letters of a column, from 0: `A`, `Z`, `AA`.
#[must_use]
pub fn letters(place: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = place.saturating_add(1);
    while rest > 0 {
        let digit = u8::try_from((rest - 1) % 26).unwrap_or_default();
        letters.push(char::from(b'A' + digit));
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::inventory::Noun;

    #[test]
    fn headings_are_known_however_they_are_written() {
        for heading in ["hostname", " Hostname* ", "HOSTNAME"] {
            assert_eq!(column_named(heading).unwrap().name, "hostname", "{heading}");
        }
        for heading in ["Device kind", "device-kind", "device.kind *"] {
            assert_eq!(column_named(heading).unwrap().name, "device_kind");
        }
        assert!(column_named("password hint").is_none());
        assert!(is_answer("Import Answer") && !is_answer("secret"));
    }

    #[test]
    fn columns_are_fields_of_the_inventory() {
        let names: HashSet<_> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(names.len(), COLUMNS.len());
        for column in &COLUMNS {
            let (device, credential) = (Noun::Device.spec(), Noun::Credential.spec());
            let known = match column.part {
                Part::Device => device.columns.iter().any(|one| one.field == column.field),
                Part::Connectivity => device
                    .children
                    .iter()
                    .any(|child| child.columns.iter().any(|one| one.field == column.field)),
                Part::Credential if column.holds == Holds::Secret => {
                    let secret = credential.secret.as_ref().unwrap();
                    [secret.field, secret.passphrase].contains(&column.field)
                }
                Part::Credential => credential
                    .columns
                    .iter()
                    .any(|one| one.field == column.field),
                Part::Reference => device
                    .columns
                    .iter()
                    .chain(credential.columns)
                    .any(|one| one.field == column.field),
            };
            assert!(known, "{}", column.name);
        }
    }

    #[test]
    fn places_have_letters() {
        let all = [0, 25, 26, 51, 52, 701, 702].map(letters);
        assert_eq!(all, ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }
}
