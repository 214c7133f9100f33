//! What a task means once it has begun, and how it goes on.

use std::num::NonZeroU32;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::order::Order;
use crate::domain::id::InventoryId;
use crate::domain::operation::{ChangeCause, OperationKind, OperationState};
use crate::domain::task::PRIORITY_DEFAULT;
use crate::domain::time::Timestamp;
use crate::robot::Outcome;
use crate::store::execution::{Execution, Standing};
use crate::store::operation::NewOperation;

/// What is done to which accounts, decided when the task begins and kept with its execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    kind: OperationKind,
    template: Option<InventoryId>,
    stop_after: Option<NonZeroU32>,
    batch_size: Option<NonZeroU32>,
    accounts: Vec<InventoryId>,
}

impl Plan {
    /// An order, now that it is known whom it means.
    pub(super) fn of(order: &Order, accounts: Vec<InventoryId>) -> Self {
        Self {
            kind: order.kind,
            template: order.template,
            stop_after: order.stop_after,
            batch_size: order.batch_size,
            accounts,
        }
    }

    /// The accounts whose operations are ordered next, after so many.
    pub(super) fn batch(&self, ordered: usize) -> Range<usize> {
        let size = self.batch_size.map(NonZeroU32::get);
        let size = size.and_then(|size| usize::try_from(size).ok());
        let all = self.accounts.len();
        let end = size.map_or(all, |size| ordered.saturating_add(size).min(all));
        ordered.min(end)..end
    }

    /// The operations of a batch; none is begun after the task's deadline.
    pub(super) fn orders(
        &self,
        batch: Range<usize>,
        deadline: Option<Timestamp>,
        requested_by: &str,
    ) -> Vec<NewOperation> {
        let accounts = self.accounts.get(batch).unwrap_or_default();
        let order = |credential: &InventoryId| NewOperation {
            kind: self.kind,
            credential: *credential,
            run_at: None,
            expires_at: deadline,
            template: self.template,
            priority: PRIORITY_DEFAULT,
            requested_by: requested_by.to_owned(),
            cause: ChangeCause::Ordered,
        };
        accounts.iter().map(order).collect()
    }

    /// What is to be done, where the operations stand so; `over`: the time for more of them is.
    pub(super) fn next(&self, tally: Tally, over: bool) -> Step {
        let stopped = self
            .stop_after
            .is_some_and(|most| tally.failed >= most.get());
        if tally.open > 0 {
            return if stopped { Step::Stop } else { Step::Wait };
        }
        if tally.not_ordered > 0 && !stopped && !over {
            Step::Order
        } else {
            Step::End
        }
    }
}

/// How a task goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Operations are being carried out.
    Wait,
    /// So are some, but too many did not succeed: those that wait are cancelled.
    Stop,
    /// All that were ordered have ended: the next batch.
    Order,
    /// No more follow.
    End,
}

/// How the operations of an execution stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) open: u32,
    pub(super) succeeded: u32,
    pub(super) failed: u32,
    /// Another operation of the account was open.
    pub(super) left_out: u32,
    /// Their batch has not come.
    pub(super) not_ordered: u32,
}

impl Tally {
    pub(super) fn of(standing: &[Standing], execution: Execution) -> Self {
        let mut tally = Self {
            not_ordered: execution.wanted.saturating_sub(execution.ordered),
            ..Self::default()
        };
        for one in standing {
            let place = match (one.ended, one.state) {
                (false, _) => &mut tally.open,
                (true, OperationState::Succeeded) => &mut tally.succeeded,
                (true, _) => &mut tally.failed,
            };
            *place += one.count;
        }
        let made = tally.open + tally.succeeded + tally.failed;
        tally.left_out = execution.ordered.saturating_sub(made);
        tally
    }

    /// Whether all that was wanted was done, but for what was left out.
    pub(super) const fn is_success(self) -> bool {
        self.failed == 0 && self.not_ordered == 0
    }

    pub(super) fn percent(self) -> u8 {
        let ended = self.succeeded + self.failed;
        let percent = (ended * 100).checked_div(ended + self.open + self.not_ordered);
        percent
            .and_then(|percent| u8::try_from(percent).ok())
            .unwrap_or(100)
    }

    pub(super) fn outcome(self) -> Outcome {
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        Outcome::counted("operations_succeeded", count(self.succeeded))
            .and("operations_failed", count(self.failed))
            .and("operations_left_out", count(self.left_out))
            .and("operations_not_ordered", count(self.not_ordered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(accounts: i64, batch_size: u32, stop_after: u32) -> Plan {
        Plan {
            kind: OperationKind::Test,
            template: None,
            stop_after: NonZeroU32::new(stop_after),
            batch_size: NonZeroU32::new(batch_size),
            accounts: (1..=accounts).map(InventoryId).collect(),
        }
    }

    #[test]
    fn whatever_has_not_succeeded_is_no_success() {
        let standing = |state, ended, count| Standing {
            state,
            ended,
            count,
        };
        let all = [
            standing(OperationState::Succeeded, true, 3),
            standing(OperationState::Unverified, true, 1),
            standing(OperationState::Unverified, false, 2),
            standing(OperationState::Expired, true, 1),
        ];
        let execution = Execution {
            first: crate::domain::id::OperationId(1),
            wanted: 12,
            ordered: 9,
        };
        let tally = Tally::of(&all, execution);
        let expected = Tally {
            open: 2,
            succeeded: 3,
            failed: 2,
            left_out: 2,
            not_ordered: 3,
        };
        assert_eq!((tally, tally.percent()), (expected, 50));
        assert_eq!(Tally::default().percent(), 100);
        let done = |failed, not_ordered| Tally {
            failed,
            not_ordered,
            ..Tally::default()
        };
        let succeeds = [done(0, 0), done(1, 0), done(0, 1)].map(Tally::is_success);
        assert_eq!(succeeds, [true, false, false]);
    }

    #[test]
    fn a_batch_follows_when_the_one_before_has_ended_and_not_too_many_failed() {
        let stands = |open, failed, not_ordered| Tally {
            open,
            failed,
            not_ordered,
            ..Tally::default()
        };
        for (tally, over, step) in [
            (stands(1, 0, 2), false, Step::Wait),
            (stands(1, 1, 2), true, Step::Wait),
            (stands(0, 1, 2), false, Step::Order),
            (stands(0, 1, 2), true, Step::End),
            (stands(0, 0, 0), false, Step::End),
            (stands(1, 2, 2), false, Step::Stop),
            (stands(0, 2, 2), false, Step::End),
        ] {
            assert_eq!(plan(5, 2, 2).next(tally, over), step, "{tally:?} {over}");
        }
    }

    #[test]
    fn batches_are_all_accounts_in_their_order() {
        for size in 0..7_u32 {
            let plan = plan(5, size, 0);
            let (mut ordered, mut accounts) = (0, Vec::new());
            while !plan.batch(ordered).is_empty() {
                let batch = plan.batch(ordered);
                assert!(size == 0 || batch.len() <= usize::try_from(size).unwrap());
                ordered = batch.end;
                let orders = plan.orders(batch, None, "me");
                accounts.extend(orders.into_iter().map(|order| order.credential));
            }
            assert_eq!(accounts, plan.accounts);
        }
        assert_eq!(plan(5, 0, 0).batch(0), 0..5, "all at once");
    }
}
