//! Files that hold a secret: made for their owner alone, from their first byte on.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

/// Read and write for the owner, nothing for anybody else.
pub const SECRET_MODE: u32 = 0o600;

/// The permissions that others have, group and world together.
const OTHERS: u32 = 0o077;

/// A secret is a line of text; a larger file is something else.
pub const SECRET_BYTES_MAX: u64 = 8 * 1024;

/// Why a file with a secret cannot be used. No text holds any of the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file exists already; it is never written over.
    #[error("create `{path}`: it exists already", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file is not there.
    #[error("read `{path}`: it is not there", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the file, so its secret is none.
    #[error("trust `{path}`: others may read it (mode {mode:03o}); run `chmod 600` on it", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else.
    #[error("read `{path}`: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        reason: String,
    },
    /// The system refused.
    #[error("use `{path}`: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Writes `text` and a line end to a new file with mode 0600, on disk when this returns.
///
/// # Errors
/// [`SecretFileError::Exists`]; anything the system refuses. A file written half is removed.
pub fn create(path: &Path, text: &str) -> Result<(), SecretFileError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(SECRET_MODE)
        .open(path)
        .map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => SecretFileError::Exists {
                path: path.to_owned(),
            },
            _ => io_error(path, source),
        })?;
    let written = fill(&mut file, text).and_then(|()| sync_folder(path));
    written.map_err(|source| {
        // Half a secret would be taken for a damaged one at the next start.
        match std::fs::remove_file(path) {
            Ok(()) => io_error(path, source),
            Err(left) => io_error(
                path,
                io::Error::other(format!("{source}; the unfinished file stays: {left}")),
            ),
        }
    })
}

/// Writes `text` and a line end over the file, or to a new one; mode 0600 in both cases.
///
/// For a secret that can be made anew, as a token can.
///
/// # Errors
/// Anything the system refuses.
pub fn replace(path: &Path, text: &str) -> Result<(), SecretFileError> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(io_error(path, source)),
    }
    create(path, text)
}

/// Gives a file another name, over a file that has it; on disk when this returns.
///
/// # Errors
/// [`SecretFileError::Missing`]; anything the system refuses.
pub fn rename(from: &Path, to: &Path) -> Result<(), SecretFileError> {
    std::fs::rename(from, to).map_err(|source| missing_or(from, source))?;
    sync_folder(to).map_err(|source| io_error(to, source))
}

/// Reads a secret without the white space around it; refuses a file that others may read.
///
/// # Errors
/// [`SecretFileError::Open`], [`SecretFileError::Missing`], [`SecretFileError::Malformed`] for
/// what is empty, no text or longer than [`SECRET_BYTES_MAX`].
pub fn read(path: &Path) -> Result<SecretString, SecretFileError> {
    let file = open(path)?;
    let mode = mode_of(path, &file)?;
    if mode & OTHERS != 0 {
        return Err(SecretFileError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    text_of(path, file)
}

/// Reads a secret that somebody else keeps for us, such as a mounted password; the second part says
/// so where others may read it.
///
/// # Errors
/// As [`read`], but for the permissions.
pub fn read_foreign(path: &Path) -> Result<(SecretString, Option<String>), SecretFileError> {
    let file = open(path)?;
    let mode = mode_of(path, &file)?;
    let warning = (mode & OTHERS != 0).then(|| {
        format!(
            "`{}` can be read by others (mode {mode:03o}); run `chmod 600` on it",
            path.display()
        )
    });
    Ok((text_of(path, file)?, warning))
}

fn open(path: &Path) -> Result<File, SecretFileError> {
    File::open(path).map_err(|source| missing_or(path, source))
}

fn missing_or(path: &Path, source: io::Error) -> SecretFileError {
    match source.kind() {
        io::ErrorKind::NotFound => SecretFileError::Missing {
            path: path.to_owned(),
        },
        _ => io_error(path, source),
    }
}

fn mode_of(path: &Path, file: &File) -> Result<u32, SecretFileError> {
    let metadata = file.metadata().map_err(|source| io_error(path, source))?;
    Ok(metadata.permissions().mode() & 0o777)
}

fn text_of(path: &Path, file: File) -> Result<SecretString, SecretFileError> {
    let malformed = |reason: &str| SecretFileError::Malformed {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(SECRET_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| io_error(path, source))?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(malformed("it is longer than 8 KiB"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed("it is no text"))?;
    match text.trim() {
        "" => Err(malformed("it is empty")),
        text => Ok(SecretString::from(text)),
    }
}

fn fill(file: &mut File, text: &str) -> io::Result<()> {
    // The umask can only take permissions away; this also gives back what it took from the owner.
    file.set_permissions(std::fs::Permissions::from_mode(SECRET_MODE))?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Makes the file's name last: the entry in its folder is on disk only after this.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn io_error(path: &Path, source: io::Error) -> SecretFileError {
    SecretFileError::Io {
        path: path.to_owned(),
        source,
    }
}
