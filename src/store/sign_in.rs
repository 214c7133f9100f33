//! Sign-ins that targets refused, so that no account is asked so often that it locks.
//!
//! An attempt writes down as many refusals as it may come to before its first sign-in, and what it came to when it is over. So
//! two attempts beside each other share what an account allows, and one that died has used what was noted of it and one more.

use std::time::Duration;

use crate::domain::id::{OperationId, ProcessId};
use crate::domain::operation::Allowance;
use crate::domain::time::Timestamp;

use super::backend::write;
use super::{Store, StoreResult};

/// The sign-ins of one attempt to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIns {
    /// The account, by `domain::operation::account_key`.
    pub account: String,
    /// Whose they are.
    pub by: Attempt,
}

/// Who signs in, so that no two share a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// An attempt of an operation.
    Operation {
        /// The operation.
        id: OperationId,
        /// The number of its attempt.
        number: u32,
    },
    /// A robot that carries out no operation.
    Process {
        /// Its process.
        id: ProcessId,
        /// Which of its reservations.
        number: u32,
    },
}

/// What an attempt asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// So many sign-ins may be refused.
    pub tries: u32,
    /// They are made before this.
    pub until: Timestamp,
    /// For how long a refused one counts.
    pub window: Duration,
}

impl Store {
    /// Reserves sign-ins that may be refused: what is wanted, or what is left of it. Where nothing is left, it says from when
    /// on to ask again; soon where others are about to say what theirs came to.
    pub async fn sign_in_reserve(
        &self,
        sign_ins: SignIns,
        wanted: Wanted,
        now: Timestamp,
    ) -> StoreResult<Allowance> {
        write!(self, sign_in::reserve(&sign_ins, wanted, now))
    }

    /// Says how many of the reserved sign-ins were refused.
    pub async fn sign_in_settle(
        &self,
        sign_ins: SignIns,
        refused: u32,
        now: Timestamp,
    ) -> StoreResult<()> {
        write!(self, sign_in::settle(&sign_ins, refused, now))
    }

    /// Notes how many of the reserved sign-ins were refused so far, before the next one is made.
    pub async fn sign_in_refused(&self, sign_ins: SignIns, refused: u32) -> StoreResult<()> {
        write!(self, sign_in::refused(&sign_ins, refused))
    }

    /// Counts as refused now what attempts of these operations reserved and did not settle, as far as it may have been: their executors
    /// are gone, and whoever dies has one sign-in in hand at most beside those that were noted.
    pub async fn sign_in_abandon(
        &self,
        operations: Vec<OperationId>,
        now: Timestamp,
    ) -> StoreResult<()> {
        write!(self, sign_in::abandon(&operations, now))
    }
}
