//! Supervision as a value: what a pool of workers does when something happens to it.
//!
//! [`PoolState::on`] is the whole decision: an event and the time go in, effects come out. It knows no
//! actor, no clock and no database, so every path can be walked in a test. The actor around it
//! (`runtime::pool`) carries the effects out, in order.

use std::collections::VecDeque;
use std::time::Duration;

use super::id::ProcessId;
use breaker::Breaker;
pub use breaker::{
    BACKOFF_BASE, BACKOFF_MAX, CRASH_WINDOW, CRASHES_IN_A_ROW_MAX, QUARANTINE_BASE, QUARANTINE_MAX,
    RestartPolicy,
};
pub use event::{Death, EndReason, Generation, PoolEffect, PoolEvent, SlotId};
use slots::{SlotState, Slots};

mod breaker;
mod event;
mod slots;

/// Runs that do not end although told to, each of which holds a thread for ever: beyond this the pool
/// starts no more runs, because the next one would take the thread of another robot.
pub const ZOMBIES_MAX: u32 = 2;

/// A pool. All times are durations since an arbitrary fixed instant of a monotonic clock.
#[derive(Debug, Clone)]
pub struct PoolState {
    instances: u32,
    draining: bool,
    slots: Slots,
    queue: VecDeque<ProcessId>,
    breaker: Breaker,
    restarts: u64,
    zombies: u32,
}

/// Figures of a pool for its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolFigures {
    /// Instances wanted now.
    pub wanted: u32,
    /// Runs in execution.
    pub running: u32,
    /// Workers that wait to be restarted.
    pub backing_off: u32,
    /// Runs that do not end.
    pub zombies: u32,
    /// Crashes within [`CRASH_WINDOW`].
    pub restarts_recent: u32,
    /// Restarts since the start.
    pub restarts: u64,
    /// When the next probe starts, where the pool is quarantined.
    pub quarantined_until: Option<Duration>,
    /// Whether the pool is quarantined or probing.
    pub quarantined: bool,
}

impl PoolState {
    /// A pool without workers yet; send [`PoolEvent::Resize`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_restarts(RestartPolicy::DEFAULT)
    }

    /// The same with restarts of its own.
    #[must_use]
    pub fn with_restarts(policy: RestartPolicy) -> Self {
        Self {
            instances: 0,
            draining: false,
            slots: Slots::new(),
            queue: VecDeque::new(),
            breaker: Breaker::new(policy),
            restarts: 0,
            zombies: 0,
        }
    }

    /// Takes note of `event` at `now`; answers what is to be done, in order.
    pub fn on(&mut self, event: PoolEvent, now: Duration) -> Vec<PoolEffect> {
        let mut effects = Vec::new();
        match event {
            PoolEvent::Submit(process) => self.queue.push_back(process),
            PoolEvent::Ready(slot, generation) => self.ready(slot, generation),
            PoolEvent::Ended(slot, generation) => self.ended(slot, generation),
            PoolEvent::Stuck(slot, generation) => {
                if self.is_busy(slot, generation) {
                    self.zombies += 1;
                    self.slots.rest(slot);
                }
            }
            PoolEvent::ZombieGone => self.zombies = self.zombies.saturating_sub(1),
            PoolEvent::Down(slot, generation, death, jitter) => {
                self.down(slot, generation, death, jitter, now, &mut effects);
            }
            PoolEvent::Resize(instances) => self.instances = instances,
            PoolEvent::End(process, reason) => self.end(process, reason, &mut effects),
            PoolEvent::Drain => self.draining = true,
            PoolEvent::Wake => {}
        }
        self.reconcile(now, &mut effects);
        effects
    }

    /// How many more claimed tasks can start at once. The feeder claims no more than this.
    #[must_use]
    pub fn room(&self) -> u32 {
        let waiting = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        let taken = self.slots.running() + self.slots.backing_off();
        self.wanted().saturating_sub(taken).saturating_sub(waiting)
    }

    /// When something is to be done although nothing happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        let restart = self.slots.next_restart();
        restart.into_iter().chain(self.breaker.open_until()).min()
    }

    /// The processes in execution.
    pub fn busy(&self) -> impl Iterator<Item = ProcessId> + '_ {
        self.slots.processes()
    }

    /// Places for workers, used and free: what the pool's memory grows with.
    #[must_use]
    pub fn places(&self) -> usize {
        self.slots.places()
    }

    /// Figures for the pool's health.
    #[must_use]
    pub fn figures(&self) -> PoolFigures {
        PoolFigures {
            wanted: self.wanted(),
            running: self.slots.running(),
            backing_off: self.slots.backing_off(),
            zombies: self.zombies,
            restarts_recent: self.breaker.recent_crashes(),
            restarts: self.restarts,
            quarantined_until: self.breaker.open_until(),
            quarantined: !self.breaker.is_closed(),
        }
    }

    fn wanted(&self) -> u32 {
        if self.draining || self.zombies >= ZOMBIES_MAX {
            return 0;
        }
        self.breaker.allowed(self.instances)
    }

    fn is_busy(&self, slot: SlotId, generation: Generation) -> bool {
        matches!(self.slots.state(slot, generation), Some(SlotState::Busy(_)))
    }

    fn ready(&mut self, slot: SlotId, generation: Generation) {
        if self.slots.state(slot, generation) == Some(SlotState::Starting) {
            self.slots.rest(slot);
        }
    }

    fn ended(&mut self, slot: SlotId, generation: Generation) {
        if self.is_busy(slot, generation) {
            self.slots.succeed(slot);
            self.breaker.succeeded();
        }
    }

    fn end(&self, process: ProcessId, reason: EndReason, effects: &mut Vec<PoolEffect>) {
        if let Some((slot, generation)) = self.slots.runner_of(process) {
            effects.push(PoolEffect::EndRun(slot, generation, process, reason));
        }
    }

    fn down(
        &mut self,
        slot: SlotId,
        generation: Generation,
        death: Death,
        jitter: f64,
        now: Duration,
        effects: &mut Vec<PoolEffect>,
    ) {
        let Some(was) = self.slots.state(slot, generation) else {
            return;
        };
        if let SlotState::Busy(process) = was
            && death != Death::RobotPanicked
        {
            effects.push(PoolEffect::Lose(process));
        }
        if death == Death::Stopped || was == SlotState::Stopping {
            self.slots.remove(slot);
            return;
        }
        let crashes = self.slots.crash(slot);
        let wait = self.breaker.backoff(crashes, jitter);
        self.slots.back_off(slot, now + wait);
        self.restarts += 1;
        self.breaker.crashed(now, self.instances);
    }

    /// Makes workers match what is wanted, and work match the idle workers.
    fn reconcile(&mut self, now: Duration, effects: &mut Vec<PoolEffect>) {
        self.breaker.pass(now);
        self.shrink(effects);
        self.grow(now, effects);
        self.dispatch(effects);
        if self.wanted() == 0 {
            effects.extend(self.queue.drain(..).map(PoolEffect::Return));
        }
    }

    /// Removes what is too much: those that wait for a restart first, then idle ones; busy ones finish
    /// their run and are then idle and too much.
    fn shrink(&mut self, effects: &mut Vec<PoolEffect>) {
        while self.slots.live() > self.wanted() {
            if self.slots.give_up_restart() {
                continue;
            }
            let Some((slot, generation)) = self.slots.stop() else {
                break;
            };
            effects.push(PoolEffect::Stop(slot, generation));
        }
    }

    /// Restarts workers that are due and starts those that the queue has work for: a pool of thousands of
    /// instances costs nothing while it is idle.
    fn grow(&mut self, now: Duration, effects: &mut Vec<PoolEffect>) {
        while let Some((slot, generation)) = self.slots.restart(now) {
            effects.push(PoolEffect::Start(slot, generation));
        }
        let waiting = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        while self.slots.ready() < waiting && self.slots.live() < self.wanted() {
            let (slot, generation) = self.slots.start();
            effects.push(PoolEffect::Start(slot, generation));
        }
    }

    fn dispatch(&mut self, effects: &mut Vec<PoolEffect>) {
        while self.slots.running() < self.wanted()
            && let Some(process) = self.queue.front().copied()
            && let Some((slot, generation)) = self.slots.run(process)
        {
            self.queue.pop_front();
            effects.push(PoolEffect::Run(slot, generation, process));
        }
    }
}

impl Default for PoolState {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
