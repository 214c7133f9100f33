//! How the program ends: exit statuses of sysexits.h, and the failures that lead to them.

use std::process::ExitCode;

use crate::config::ConfigError;
use crate::store::StoreError;

/// An exit status other than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The run or the request failed, and neither the caller nor robotd did anything wrong.
    Failed = 1,
    /// `EX_USAGE`: the command line cannot be understood.
    Usage = 64,
    /// `EX_DATAERR`: what was given to work on is not acceptable.
    Data = 65,
    /// `EX_UNAVAILABLE`: a node or a database cannot be reached, or is in other hands.
    Unavailable = 69,
    /// `EX_SOFTWARE`: a defect of robotd.
    Software = 70,
    /// `EX_CANTCREAT`: something could not be made.
    CannotCreate = 73,
    /// `EX_TEMPFAIL`: try again later.
    TryAgain = 75,
    /// `EX_NOPERM`: not allowed.
    NotAllowed = 77,
    /// `EX_CONFIG`: the configuration cannot be used.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The status to end with.
    pub(crate) exit: Exit,
    /// What to say; `None` when everything was said.
    pub(crate) error: Option<anyhow::Error>,
}

/// What a command answers.
pub(crate) type Ran = Result<(), Failure>;

impl Failure {
    /// A failure that says `error`, whose text reads after "failed to".
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: Some(anyhow::Error::msg(format!("failed to {:#}", error.into()))),
        }
    }

    /// A failure that says `text`.
    pub(crate) fn text(exit: Exit, text: impl Into<String>) -> Self {
        Self::new(exit, anyhow::Error::msg(text.into()))
    }

    /// A failure of which all was said.
    #[must_use]
    pub(crate) const fn quiet(exit: Exit) -> Self {
        Self { exit, error: None }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Config, error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::Unavailable(_) => Exit::Unavailable,
            StoreError::NotFound { .. } | StoreError::Conflict { .. } => Exit::Failed,
            StoreError::Other(_) => Exit::Software,
        };
        Self::new(exit, error)
    }
}

impl From<anyhow::Error> for Failure {
    /// Files an error by what is at its root.
    fn from(error: anyhow::Error) -> Self {
        let exit = error.chain().find_map(exit_of).unwrap_or(Exit::Software);
        Self {
            exit,
            error: Some(error),
        }
    }
}

fn exit_of(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    use crate::store::transfer::TransferError;
    use crate::vault::SecretFileError;
    match cause.downcast_ref::<TransferError>() {
        Some(TransferError::Store(error)) => return exit_of(error),
        Some(TransferError::Io(error)) => return exit_of(error),
        Some(TransferError::File(_)) => return Some(Exit::Data),
        None => {}
    }
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return Some(match error {
            StoreError::Unavailable(_) | StoreError::Conflict { .. } => Exit::Unavailable,
            StoreError::NotFound { .. } | StoreError::Other(_) => Exit::Software,
        });
    }
    if cause.is::<SecretFileError>() {
        return Some(Exit::Config);
    }
    let error = cause.downcast_ref::<std::io::Error>()?;
    Some(match error.kind() {
        std::io::ErrorKind::AddrInUse | std::io::ErrorKind::AddrNotAvailable => Exit::Unavailable,
        std::io::ErrorKind::PermissionDenied => Exit::NotAllowed,
        _ => Exit::CannotCreate,
    })
}
