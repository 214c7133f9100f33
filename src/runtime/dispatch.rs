//! Starting tasks as they are registered: the store asks what is free, and hands over what it claimed.

use std::fmt;
use std::sync::Arc;

use actix::Addr;

use super::core::Core;
use super::supervisor::{Deliver, Supervisor};
use crate::domain::id::RobotId;
use crate::store::task::{Claimed, Starter};

/// This node, as its store sees it.
pub(crate) struct Dispatcher {
    core: Arc<Core>,
    supervisor: Addr<Supervisor>,
}

impl Dispatcher {
    pub(crate) fn new(core: &Arc<Core>, supervisor: &Addr<Supervisor>) -> Self {
        Self {
            core: Arc::clone(core),
            supervisor: supervisor.clone(),
        }
    }
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher").finish_non_exhaustive()
    }
}

impl Starter for Dispatcher {
    fn reserve(&self, robot: RobotId, count: u32) -> u32 {
        if !self.core.may_start() {
            return 0;
        }
        let capacity = self.core.capacity.get(&robot);
        capacity.map_or(0, |capacity| capacity.promise_to_new(count))
    }

    fn start(&self, robot: RobotId, reserved: u32, claimed: Vec<Claimed>) {
        let unused = reserved.saturating_sub(u32::try_from(claimed.len()).unwrap_or(u32::MAX));
        if !claimed.is_empty() {
            self.supervisor.do_send(Deliver(robot, claimed));
        }
        if unused > 0 {
            if let Some(capacity) = self.core.capacity.get(&robot) {
                capacity.redeem(unused);
            }
            // The feeder has been kept from them, and there may be a transaction whose end was not heard of.
            self.core.room.notify_one();
        }
    }
}
