//! What can go wrong in the store; diesel's types end here.

/// A statement did not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The row is not there.
    #[error("{what} is not there")]
    NotFound {
        /// What was looked for, e.g. ``task `17` ``.
        what: String,
    },
    /// Somebody else changed it first, or it is in a state that forbids the change.
    #[error("{what}")]
    Conflict {
        /// What stands in the way.
        what: String,
    },
    /// The database cannot be reached now; the same call may succeed later and changed nothing, with one
    /// exception that its text names: a connection lost during the commit itself leaves the result unknown.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Anything else: a defect, a full disk, a damaged file.
    #[error("the database refused: {0}")]
    Other(String),
}

impl StoreError {
    /// Whether trying again later makes sense.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// What the store's methods answer.
pub type StoreResult<T> = Result<T, StoreError>;
