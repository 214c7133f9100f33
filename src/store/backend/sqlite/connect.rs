//! Opening the file.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use diesel::Connection;
use diesel::connection::SimpleConnection;

use super::Conn;
use crate::store::{StoreError, StoreResult};

/// What every connection is set to.
///
/// `synchronous=FULL`: a commit is on disk when it is answered. `busy_timeout`: another program (a
/// backup, `sqlite3`) may hold the file for a moment. The cache is 16 MiB, temporary tables stay in
/// memory.
const EVERY_CONNECTION: &str = "
    PRAGMA busy_timeout = 5000;
    PRAGMA foreign_keys = ON;
    PRAGMA synchronous = FULL;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -16384;
";

/// What only the writer sets. The log is moved into the database every 2,000 pages (8 MiB): rare
/// enough to be cheap a commit, small enough that readers need not search a long log. After a burst
/// the log file is cut to 64 MiB.
const WRITER: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA wal_autocheckpoint = 2000;
    PRAGMA journal_size_limit = 67108864;
";

/// A connection that writes.
pub(super) fn writer(path: &Path) -> StoreResult<Conn> {
    let mut conn = plain(path)?;
    conn.batch_execute(WRITER)
        .map_err(|error| cannot_open(path, &error))?;
    Ok(conn)
}

/// A connection that cannot write.
pub(super) fn reader(path: &Path) -> StoreResult<Conn> {
    let mut conn = plain(path)?;
    conn.batch_execute("PRAGMA query_only = ON;")
        .map_err(|error| cannot_open(path, &error))?;
    Ok(conn)
}

/// A connection as every one of them begins.
fn plain(path: &Path) -> StoreResult<Conn> {
    let text = path
        .to_str()
        .ok_or_else(|| cannot_open(path, &"its name is not UTF-8"))?;
    let mut conn = Conn::establish(text).map_err(|error| cannot_open(path, &error))?;
    conn.batch_execute(EVERY_CONNECTION)
        .map_err(|error| cannot_open(path, &error))?;
    Ok(conn)
}

/// `path` from the root: SQLite takes a name such as `file:x` for a URI.
pub(super) fn absolute(path: &Path) -> StoreResult<PathBuf> {
    std::path::absolute(path).map_err(|error| cannot_open(path, &error))
}

/// Makes sure the file is there and, where it is new, that only its owner may read it: SQLite gives
/// its companions (`-wal`, `-shm`) the same mode.
pub(super) fn create_private(path: &Path) -> StoreResult<()> {
    private_file(path).map(drop)
}

/// Opens a file for writing, made with mode 0600 where it is new.
pub(super) fn private_file(path: &Path) -> StoreResult<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| cannot_open(path, &error))
}

fn cannot_open(path: &Path, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("`{}`: {error}", path.display()))
}
