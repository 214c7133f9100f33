//! Another master key: all data keys wrapped anew, in one transaction.

use serde_json::json;

use super::{Safe, SafeError};
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::audit::NewAudit;
use crate::store::vault_key::Rewrapping;
use crate::vault::{MasterKey, Wrapping};

/// The actor of what is done on the command line.
const ACTOR: &str = "local";

impl Safe {
    /// Gives a database the master key `to` in place of `from`: afterwards `to` opens everything and `from` nothing, and
    /// where this fails it is as before. A safe that was opened by `from` reads no more keys. Answers how many data keys
    /// there are.
    ///
    /// # Errors
    /// [`crate::vault::SealError::Broken`] where `from` is not the database's or a data key was tampered with; the store's,
    /// `Conflict` where somebody makes a data key at the same moment.
    pub async fn change_master_key(
        store: &Store,
        (from, to): (&MasterKey, &MasterKey),
        now: Timestamp,
    ) -> Result<usize, SafeError> {
        let [old, new] = [from, to].map(Wrapping::of);
        let mut keys = Vec::new();
        for key in store.vault_key_list().await? {
            let anew = old.rewrap(key.id, &key.wrapped, &new)?;
            keys.push((key, anew));
        }
        let count = keys.len();
        let rewrapping = Rewrapping {
            from: from.check_value(),
            to: to.check_value(),
            keys,
            audit: NewAudit {
                actor: ACTOR.to_owned(),
                action: "vault.change_master_key".to_owned(),
                object: "vault:master_key".to_owned(),
                before: Some(json!({"check": from.check_value()})),
                after: Some(json!({"check": to.check_value()})),
            },
        };
        store.vault_rewrap(rewrapping, now).await?;
        Ok(count)
    }
}
