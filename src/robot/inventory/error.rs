//! Why the inventory was not changed.

use crate::domain::robot::FieldError;
use crate::robot::safe::SafeError;
use crate::store::StoreError;
use crate::vault::SealError;

/// Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// These changes, by their position in the call, cannot be made; so none was.
    #[error("{} of the changes cannot be made", .0.len())]
    Refused(Vec<(usize, Reason)>),
    /// More things than one call takes.
    #[error("at most {0} things in one call")]
    TooMany(usize),
    /// The stored secret was not written there by robotd: it is not shown, and nobody should use what it replaced.
    #[error("the stored secret cannot be trusted")]
    Damaged,
    /// The thing has no secret.
    #[error("the credential has no secret")]
    NoSecret,
    /// The keys of the vault cannot be used.
    #[error("use the vault's keys: {0}")]
    Keys(SealError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why one change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Its fields are not acceptable.
    Invalid(Vec<FieldError>),
    /// Another thing has what must be its own.
    Taken(FieldError),
    /// Others refer to it: by whom.
    InUse(String),
    /// It is at another revision.
    Stale {
        /// Which.
        current: i64,
    },
    /// It is not there, or not any more.
    Missing(String),
}

impl InventoryError {
    /// The one change of a call cannot be made.
    pub(super) fn one(reason: Reason) -> Self {
        Self::Refused(Vec::from([(0, reason)]))
    }

    /// The one change of a call has bad fields.
    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        Self::one(Reason::Invalid(errors))
    }
}

impl From<SafeError> for InventoryError {
    fn from(error: SafeError) -> Self {
        match error {
            SafeError::Seal(error) => Self::Keys(error),
            SafeError::Store(error) => Self::Store(error),
        }
    }
}
