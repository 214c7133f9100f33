//! The file as a whole, while no engine has it open. See `store::bench`.

use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;

use super::connect;
use crate::store::backend::error::QueryError;
use crate::store::{StoreError, StoreResult};

/// Whether there is no such file, or nothing in it.
pub(in crate::store) fn is_empty(path: &Path) -> bool {
    path.metadata().map_or(true, |file| file.len() == 0)
}

/// Removes the file and its companions.
pub(in crate::store) fn clear(path: &Path) -> StoreResult<()> {
    for end in ["", "-wal", "-shm", ".lock"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match std::fs::remove_file(PathBuf::from(&name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let text = format!("failed to remove `{}`: {error}", name.display());
                return Err(StoreError::Other(text));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Moves the log into the database, as far as nobody reads it.
pub(in crate::store) fn settle(path: &Path) -> StoreResult<()> {
    let mut conn = connect::writer(path)?;
    conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE);")
        .map_err(|error| QueryError::from(error).into())
}
