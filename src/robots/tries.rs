//! Sign-ins of one attempt that may still be refused.

use crate::connect::target::Failure;
use crate::domain::operation::is_refusal;
use crate::store::Store;
use crate::store::sign_in::SignIns;

/// Sign-ins that may still be refused, and those that were.
#[derive(Debug, Clone)]
pub struct Tries {
    left: u32,
    refused: u32,
    reserved: Option<(Store, SignIns)>,
}

impl Tries {
    /// So many may be refused.
    #[must_use]
    pub const fn new(left: u32) -> Self {
        Self {
            left,
            refused: 0,
            reserved: None,
        }
    }

    /// So many of a reservation, where each is noted before the next sign-in: whoever finds that we died knows how many it were,
    /// but for one.
    pub(super) const fn reserved(left: u32, store: Store, sign_ins: SignIns) -> Self {
        Self {
            left,
            refused: 0,
            reserved: Some((store, sign_ins)),
        }
    }

    /// How many were refused.
    #[must_use]
    pub const fn refused(&self) -> u32 {
        self.refused
    }

    /// Counts a failed sign-in, where it was refused. Where that cannot be noted, no more are left.
    pub(super) async fn note(&mut self, failure: &Failure) {
        if !is_refusal(failure.class) {
            return;
        }
        self.left = self.left.saturating_sub(1);
        self.refused += 1;
        let Some((store, sign_ins)) = self.reserved.as_ref().filter(|_| self.left > 0) else {
            return;
        };
        let noted = store.sign_in_refused(sign_ins.clone(), self.refused).await;
        if let Err(error) = noted {
            log::warn!("a refused sign-in could not be noted, and none follows it: {error}");
            self.left = 0;
        }
    }

    pub(super) const fn are_left(&self) -> bool {
        self.left > 0
    }
}
