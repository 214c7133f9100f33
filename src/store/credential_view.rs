//! Who looked at which secret, and when; written by [`Store::credential_view`].

use crate::domain::id::InventoryId;
use crate::domain::time::Timestamp;

use super::backend::read;
use super::page::{Page, PageRequest};
use super::{Store, StoreResult};

/// A view of a secret, on the record. It outlives the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialView {
    /// Its id; ids rise.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Which version of the secret was shown.
    pub version: i64,
    /// Who looked: a token's name.
    pub actor: String,
    /// Why, in the viewer's words.
    pub reason: Option<String>,
}

/// Which views are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialViewFilter {
    /// Of this credential's secret.
    pub credential: InventoryId,
    /// Only by this actor.
    pub actor: Option<String>,
    /// Only from this instant on.
    pub from: Option<Timestamp>,
    /// Only before this one.
    pub to: Option<Timestamp>,
}

impl Store {
    /// The views of a credential's secret, newest first (keyset by id), whether the credential is there or not.
    pub async fn credential_view_list(
        &self,
        filter: CredentialViewFilter,
        page: PageRequest,
    ) -> StoreResult<Page<CredentialView>> {
        read!(self, credential_view::list(&filter, page))
    }
}
