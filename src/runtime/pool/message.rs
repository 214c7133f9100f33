//! What a pool is told by its workers, its supervisor and the feeder.

use actix::prelude::*;

use crate::domain::id::ProcessId;
use crate::domain::pool::{Death, EndReason, Generation, SlotId};
use crate::robot::outcome::Report;
use crate::runtime::bench::PoolSizes;
use crate::store::task::Claimed;

/// A worker is ready.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct WorkerReady {
    pub(crate) slot: SlotId,
    pub(crate) generation: Generation,
}

/// A worker is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct WorkerDown {
    pub(crate) slot: SlotId,
    pub(crate) generation: Generation,
    pub(crate) death: Death,
}

/// A worker's run ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RunEnded {
    pub(crate) slot: SlotId,
    pub(crate) generation: Generation,
    pub(crate) process: ProcessId,
    pub(crate) report: Report,
    pub(crate) leaves: RunLeaves,
}

/// What a run leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunLeaves {
    /// Nothing; the worker goes on.
    Nothing,
    /// A panic; the worker dies, and says so.
    Panic,
    /// Code that does not end; [`ZombieEnded`] follows if it does.
    Zombie,
}

/// A run that did not end has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct ZombieEnded;

/// These claimed tasks are yours.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Submit(pub(crate) Vec<Claimed>);

/// So many may run from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Resize(pub(crate) u32);

/// End this process, or all of them.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct End(pub(crate) Option<ProcessId>, pub(crate) EndReason);

/// Start nothing more.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Drain;

/// How much do you hold?
#[derive(Message)]
#[rtype(result = "PoolSizes")]
pub(crate) struct Look;

/// Look at what changed: comes once after all that was in the mailbox.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Settle;
