//! The first admin token, in a file of the data directory.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::secret_file::{self, SecretFileError};

/// The file in the data directory.
const FILE_NAME: &str = "admin.token";

/// The file with the first admin token.
#[derive(Debug, Clone, Copy)]
pub struct AdminToken;

impl AdminToken {
    /// Where the token of a data directory lies.
    #[must_use]
    pub fn path_in(data_dir: &Path) -> PathBuf {
        data_dir.join(FILE_NAME)
    }

    /// Writes `text` to the file, mode 0600, over one that is there: a database that knows no token
    /// makes what an older file holds worthless. Answers where it is.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn write(data_dir: &Path, text: &str) -> Result<PathBuf, SecretFileError> {
        let path = Self::path_in(data_dir);
        secret_file::replace(&path, text)?;
        Ok(path)
    }

    /// Reads the token.
    ///
    /// # Errors
    /// See [`secret_file::read`].
    pub fn read(data_dir: &Path) -> Result<SecretString, SecretFileError> {
        secret_file::read(&Self::path_in(data_dir))
    }
}
