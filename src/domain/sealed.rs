//! Sealed secrets as values: what the vault makes and the store keeps, neither knowing the other.

use serde::{Deserialize, Serialize};

/// A secret that only the key named here opens, and only at the place it was sealed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The data key.
    pub key: KeyId,
    /// Version, nonce and ciphertext.
    pub bytes: Vec<u8>,
}

/// Which data key; the highest seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub i64);

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a sealed secret lies. It opens nowhere else: a row copied over another stays shut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The table.
    pub table: &'static str,
    /// What the row is known by, its parts in order.
    pub row: Vec<i64>,
    /// The column.
    pub column: &'static str,
}

impl Place {
    /// The place of a version of a credential's secret.
    #[must_use]
    pub fn of_secret(credential: super::id::InventoryId, version: i64) -> Self {
        Self {
            table: "secret_versions",
            row: Vec::from([credential.0, version]),
            column: "sealed",
        }
    }

    /// The place of an import's file.
    #[must_use]
    pub fn of_import(import: super::id::ImportId) -> Self {
        Self {
            table: "batch_import_files",
            row: Vec::from([import.0]),
            column: "sealed",
        }
    }

    /// The place of a private key: its row, and whom it belongs to, so that no key is taken for another one's.
    #[must_use]
    pub fn of_private_key(id: i64, owner: super::id::InventoryId) -> Self {
        Self {
            table: "private_keys",
            row: Vec::from([id, owner.0]),
            column: "sealed",
        }
    }
}
