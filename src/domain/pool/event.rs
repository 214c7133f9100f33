//! What a pool is told, and what it answers.

use crate::domain::id::ProcessId;

/// A place for a worker in a pool.
pub type SlotId = u32;
/// Tells apart the workers that had the same slot one after the other.
pub type Generation = u64;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PoolEvent {
    /// A claimed task is to be run.
    Submit(ProcessId),
    /// A worker is ready for its first run.
    Ready(SlotId, Generation),
    /// A worker's run ended, well or badly, and the worker is ready for the next one.
    Ended(SlotId, Generation),
    /// A worker's run does not end although told to; its outcome is recorded, the worker is ready for
    /// the next one, the run's thread is lost until [`PoolEvent::ZombieGone`].
    Stuck(SlotId, Generation),
    /// A run that did not end has ended after all.
    ZombieGone,
    /// A worker died; `jitter` (0..1) spreads the restarts.
    Down(SlotId, Generation, Death, f64),
    /// This many runs may be in execution from now on.
    Resize(u32),
    /// This process is to be ended.
    End(ProcessId, EndReason),
    /// No more runs from now on; what has not started goes back.
    Drain,
    /// The time asked for by [`PoolState::wake_at`](super::PoolState::wake_at) has come.
    Wake,
}

/// Why a worker died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// It was told to stop.
    Stopped,
    /// The robot's code panicked; the outcome was reported before.
    RobotPanicked,
    /// The worker itself failed; what it ran has no outcome yet.
    WorkerFailed,
}

/// Why a run is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// A person asked for it.
    Cancelled,
    /// The window closed or the node ends; the task is offered again.
    Interrupted,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolEffect {
    /// Start a worker.
    Start(SlotId, Generation),
    /// Hand a process to an idle worker.
    Run(SlotId, Generation, ProcessId),
    /// Tell a worker to end what it runs.
    EndRun(SlotId, Generation, ProcessId, EndReason),
    /// Stop an idle worker.
    Stop(SlotId, Generation),
    /// Record that the process was lost with its worker.
    Lose(ProcessId),
    /// Give the process's task back unstarted.
    Return(ProcessId),
}
