//! A master key that is about to take the place of a data directory's.
//!
//! It lies beside the one in force, as `master.key.new`, from before the database is told of it until it is `master.key`
//! itself. So whatever is cut off, one of the two files is the database's key, and whoever opens the database finds out which.

use std::path::{Path, PathBuf};

use super::key::MasterKey;
use super::secret_file::{self, SecretFileError};

/// The file in the data directory.
const FILE_NAME: &str = "master.key.new";

/// What the file of a former key is called, before the first digits of its check value.
const FORMER_PREFIX: &str = "master.key.old-";

/// Digits of a check value that tell a few keys apart.
const FORMER_DIGITS: usize = 8;

/// Where the next key of a data directory lies.
#[must_use]
pub fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE_NAME)
}

/// Lays a key beside the one in force, over another one that lies there.
///
/// # Errors
/// What the system refuses.
pub fn lay(data_dir: &Path, key: &MasterKey) -> Result<(), SecretFileError> {
    secret_file::replace(&path_in(data_dir), &key.text())
}

/// Whether the key that lies there, if one does, has this check value.
#[must_use]
pub fn fits(data_dir: &Path, check: &str) -> bool {
    match MasterKey::read_file(&path_in(data_dir)) {
        Ok(next) => next.check_value() == check,
        Err(SecretFileError::Missing { .. }) => false,
        Err(error) => {
            log::warn!("failed to {error}");
            false
        }
    }
}

/// Makes the key that lies there the one of the data directory, in one step. The former one is kept under a name of its own,
/// because it opens older backups; answers where, unless there was none.
///
/// # Errors
/// [`SecretFileError::Missing`] where no key lies there, and what the system refuses.
pub fn install(data_dir: &Path) -> Result<Option<PathBuf>, SecretFileError> {
    let former = match MasterKey::read(data_dir) {
        Ok(former) => Some(keep(data_dir, &former)?),
        Err(SecretFileError::Missing { .. }) => None,
        Err(error) => return Err(error),
    };
    secret_file::rename(&path_in(data_dir), &MasterKey::path_in(data_dir))?;
    Ok(former)
}

fn keep(data_dir: &Path, former: &MasterKey) -> Result<PathBuf, SecretFileError> {
    let check = former.check_value();
    let digits = check.get(..FORMER_DIGITS).unwrap_or(&check);
    let path = data_dir.join(format!("{FORMER_PREFIX}{digits}"));
    let is_kept = MasterKey::read_file(&path).is_ok_and(|kept| kept.check_value() == check);
    if !is_kept {
        secret_file::replace(&path, &former.text())?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_key_takes_the_place_of_the_former_which_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let former = MasterKey::create(dir).unwrap();
        let next = MasterKey::random();
        assert!(!fits(dir, &next.check_value()), "none lies there");
        lay(dir, &next).unwrap();
        assert!(fits(dir, &next.check_value()) && !fits(dir, &former.check_value()));
        // One that was cut off half-way is no key, and is written anew.
        let kept = dir.join(format!(
            "{FORMER_PREFIX}{}",
            former.check_value().get(..8).unwrap()
        ));
        std::fs::write(&kept, "0").unwrap();
        assert_eq!(install(dir).unwrap(), Some(kept.clone()));
        let of = |key: MasterKey| key.check_value();
        assert_eq!(of(MasterKey::read(dir).unwrap()), next.check_value());
        assert_eq!(
            of(MasterKey::read_file(&kept).unwrap()),
            former.check_value()
        );
        let none = install(dir).unwrap_err();
        assert!(matches!(none, SecretFileError::Missing { .. }), "{none}");
        assert_eq!(of(MasterKey::read(dir).unwrap()), next.check_value());
    }
}
