//! Which accounts a robot leaves alone.

use serde::{Deserialize, Serialize};

use super::robot::FieldError;

/// Entries of each list.
const ENTRIES_MAX: usize = 100;
/// Bound on an entry in characters: as long as a name may be.
const ENTRY_CHARS_MAX: usize = 255;

/// The accounts that a robot leaves alone: those that any entry names. Names are compared as everywhere, whatever the case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exclusions {
    /// Accounts of this name, on whatever device.
    pub usernames: Vec<String>,
    /// Accounts on devices of this name, in whatever site.
    pub hostnames: Vec<String>,
    /// Accounts that have this tag, or whose device has it.
    pub tags: Vec<String>,
    /// Accounts whose name is the login of a member of this group of users.
    pub user_groups: Vec<String>,
}

impl Exclusions {
    /// Checks bounds.
    ///
    /// # Errors
    /// The first list with too many or too long entries, as `exclude.name`.
    pub fn check(&self) -> Result<(), FieldError> {
        for (field, list) in [
            ("usernames", &self.usernames),
            ("hostnames", &self.hostnames),
            ("tags", &self.tags),
            ("user_groups", &self.user_groups),
        ] {
            let fits = |entry: &String| (1..=ENTRY_CHARS_MAX).contains(&entry.chars().count());
            if list.len() > ENTRIES_MAX || !list.iter().all(fits) {
                let detail = "must have at most 100 entries of 1 to 255 characters";
                return Err(FieldError::new(format!("exclude.{field}"), detail));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_its_bounds() {
        let of = |tags: Vec<String>| Exclusions {
            tags,
            ..Exclusions::default()
        };
        assert_eq!(of(vec!["x".repeat(255); 100]).check(), Ok(()));
        for bad in [
            vec!["x".to_owned(); 101],
            vec!["x".repeat(256)],
            vec![String::new()],
        ] {
            let refused = of(bad).check().unwrap_err();
            assert_eq!(refused.field, "exclude.tags");
        }
    }
}
