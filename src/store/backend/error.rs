//! What a query function can answer, and what that means to a caller of the store.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::store::StoreError;

/// A query did not do its work.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum QueryError {
    /// The database says no.
    #[error(transparent)]
    Diesel(#[from] DieselError),
    /// The row is not there.
    #[error("{what} is not there")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// The row is in a state that forbids the change.
    #[error("{what}")]
    Conflict {
        /// What stands in the way.
        what: String,
    },
    /// Another transaction changed what this one had just read; a repetition sees the change.
    #[error("lost a race against another transaction")]
    Race,
    /// The node was declared dead, or ended: it claims nothing more.
    #[error("this node was declared dead")]
    Fenced,
    /// A defect: a panic in the query function, or a row that cannot be.
    #[error("{0}")]
    Defect(String),
}

/// What query functions answer.
pub(in crate::store) type QueryResult<T> = Result<T, QueryError>;

impl QueryError {
    /// The row named by `what` is not there.
    pub(in crate::store) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    /// `what` stands in the way.
    pub(in crate::store) fn conflict(what: impl Into<String>) -> Self {
        Self::Conflict { what: what.into() }
    }

    /// Whether the transaction is worth repeating at once: it was chosen as the victim of a
    /// deadlock or of concurrent changes. (diesel does not tell a deadlock's SQLSTATE; a server that
    /// speaks another language than English costs the repetition, not the work.)
    pub(super) fn is_race(&self) -> bool {
        match self {
            Self::Race
            | Self::Diesel(DieselError::DatabaseError(
                DatabaseErrorKind::SerializationFailure,
                _,
            )) => true,
            Self::Diesel(DieselError::DatabaseError(_, about)) => {
                about.message() == "deadlock detected"
            }
            _ => false,
        }
    }

    /// Whether the connection is gone.
    pub(super) fn is_disconnect(&self) -> bool {
        match self {
            Self::Diesel(DieselError::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                _,
            )) => true,
            // The server's farewell: shut down by its administrator, or recovering from a crash.
            Self::Diesel(DieselError::DatabaseError(_, about)) => {
                let text = about.message();
                text.starts_with("terminating connection")
                    || text.starts_with("the database system is")
            }
            _ => false,
        }
    }

    /// Whether the database itself, not the query, is what failed.
    fn is_temporary(&self) -> bool {
        let lasting_a_moment = |text: &str| {
            text.contains("database is locked")
                || text.contains("database table is locked")
                || text.starts_with("canceling statement due to")
                || text.starts_with("remaining connection slots")
                || text.starts_with("sorry, too many clients")
                // Until somebody makes room.
                || text.contains("database or disk is full")
                || text.contains("No space left on device")
        };
        self.is_disconnect()
            || self.is_race()
            || matches!(self, Self::Fenced)
            || matches!(self, Self::Diesel(DieselError::DatabaseError(_, about)) if lasting_a_moment(about.message()))
    }
}

impl From<QueryError> for StoreError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NotFound { what } => Self::NotFound { what },
            QueryError::Conflict { what } => Self::Conflict { what },
            error if error.is_temporary() => Self::Unavailable(error.to_string()),
            error => Self::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_the_databases_trouble_and_not_the_callers() {
        let refused = |text: &str| {
            let about = Box::new(text.to_owned());
            let error = DieselError::DatabaseError(DatabaseErrorKind::Unknown, about);
            StoreError::from(QueryError::Diesel(error))
        };
        for text in [
            "database or disk is full",
            "could not extend file \"base/5/16384\": No space left on device",
        ] {
            assert!(
                matches!(refused(text), StoreError::Unavailable(_)),
                "{text}"
            );
        }
        let other = refused("no such table: robots");
        assert!(matches!(other, StoreError::Other(_)), "{other}");
    }
}
