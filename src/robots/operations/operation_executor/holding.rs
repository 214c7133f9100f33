//! Operations that are not begun for now: an account might lock, or nobody knows which of its secrets holds.

use std::time::Duration;

use super::{Made, Run};
use crate::domain::id::InventoryId;
use crate::domain::operation::{OperationState, WaitReason};
use crate::domain::time::Timestamp;
use crate::robot::RobotError;
use crate::robots::password_change::Ended;
use crate::store::StoreResult;
use crate::store::operation::Operation;
use crate::store::operation_wait::{PutBack, Wait};

/// When it is looked again whether a change was settled. Robot 46 sees each minute that it was, and does not wait for this.
const SETTLE_PAUSE: Duration = Duration::from_mins(10);

/// Why an operation is not begun, and until when.
pub(super) struct Hold {
    wait: Wait,
    pub(super) until: Timestamp,
}

impl Hold {
    fn of(reason: WaitReason, credential: InventoryId, until: Timestamp) -> Self {
        let credential = Some(credential);
        let wait = Wait { reason, credential };
        Self { wait, until }
    }

    /// No sign-in of this account may be refused before `until`.
    pub(super) fn lockout(credential: InventoryId, until: Timestamp) -> Self {
        Self::of(WaitReason::Lockout, credential, until)
    }

    /// For people.
    pub(super) fn reason(&self) -> &'static str {
        match self.wait.reason {
            WaitReason::Lockout => "it may lock",
            _ => "its last change is not verified: nobody knows which of its secrets holds",
        }
    }
}

/// What became of an operation that was claimed.
pub(super) enum Tried {
    /// An attempt was made.
    Made(Made),
    /// Nobody was asked: it waits.
    Held(Hold),
}

impl From<Made> for Tried {
    fn from(made: Made) -> Self {
        Self::Made(made)
    }
}

impl From<Ended> for Tried {
    fn from(ended: Ended) -> Self {
        Self::Made(ended.into())
    }
}

impl Run<'_> {
    /// Why an operation may not sign in by the recorded secret of its own account, which may be the old one. Those that settle
    /// changes find that out themselves, and an account is closed, or opened, whatever its secret.
    pub(super) async fn held(&self, operation: &Operation) -> StoreResult<Option<Hold>> {
        if operation.kind.settles_candidates() || operation.kind.admits() {
            return Ok(None);
        }
        self.unverified(operation.credential).await
    }

    /// Why nobody may sign in by the recorded secret of an account: its last change is not proven.
    pub(super) async fn unverified(&self, account: InventoryId) -> StoreResult<Option<Hold>> {
        let until = self.ctx.clock().now() + SETTLE_PAUSE;
        let open = self.ctx.store().credential_unverified(account).await?;
        Ok(open.map(|credential| Hold::of(WaitReason::UnverifiedChange, credential, until)))
    }

    /// Gives back what may not be tried; its attempt does not count.
    pub(super) async fn put_back(
        &self,
        operation: &Operation,
        hold: Hold,
    ) -> Result<Option<OperationState>, RobotError> {
        let (ctx, id, until) = (self.ctx, operation.id, hold.until);
        let whose = hold.wait.credential.unwrap_or(operation.credential);
        ctx.warn(format!(
            "operation {id} waits until {until}: the account of credential {whose}: {}",
            hold.reason()
        ));
        let back = PutBack {
            id,
            process: ctx.run().process,
            state: super::waiting_state(operation),
            run_at: until,
            wait: hold.wait,
        };
        ctx.store()
            .operation_put_back(back, ctx.clock().now())
            .await?;
        Ok(None)
    }
}
