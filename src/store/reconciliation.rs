//! Accounts that are to be asked whether they believe the recorded secret, and how many do not.

use crate::domain::exclusion::Exclusions;
use crate::domain::id::InventoryId;
use crate::domain::time::Timestamp;

use super::backend::read;
use super::{Store, StoreResult};

/// Which credentials are to be asked for their secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreconciled {
    /// This one alone.
    pub only: Option<InventoryId>,
    /// Those whose account was asked after this are left alone, unless they have a candidate.
    pub tested_before: Timestamp,
    /// Those with a candidate whose last operation ended after this are left alone.
    pub settled_before: Timestamp,
    /// Those without one, likewise.
    pub tried_before: Timestamp,
    /// Wrong secrets that were found after this count against their device.
    pub mismatches_since: Timestamp,
    /// With so many, the others of the device are left alone.
    pub mismatches_max: u32,
    /// These are left alone.
    pub exclude: Exclusions,
}

impl Store {
    /// Credentials whose account is to be asked whether it believes the recorded secret, those with a candidate first and
    /// then by how long ago they were asked, at most `limit`. What was asked of an account of a domain, or is being done to it, counts for
    /// all of its registrations, and of those that are due one is answered.
    pub async fn credential_unreconciled(
        &self,
        sought: Unreconciled,
        limit: u32,
    ) -> StoreResult<Vec<InventoryId>> {
        read!(self, reconciliation::unreconciled(&sought, limit))
    }

    /// How many enabled credentials of enabled devices, but those that are left alone, have a secret that their account refused.
    pub async fn credential_mismatches(&self, exclude: Exclusions) -> StoreResult<u64> {
        read!(self, reconciliation::mismatches(&exclude))
    }
}
