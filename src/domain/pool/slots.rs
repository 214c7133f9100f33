//! The workers' places of a pool, indexed by what they do, so that no event walks over all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::{Generation, SlotId};
use crate::domain::id::ProcessId;

/// What the worker in a slot does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotState {
    /// It was started and has not said that it is ready.
    Starting,
    /// It waits for work.
    Idle,
    /// It runs this.
    Busy(ProcessId),
    /// It crashed and is restarted at this time.
    BackingOff(Duration),
    /// It was told to stop; the slot is gone when its death is reported.
    Stopping,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    generation: Generation,
    state: SlotState,
    /// Crashes since the last success.
    crashes: u32,
}

/// All slots of a pool.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    all: HashMap<SlotId, Slot>,
    starting: BTreeSet<SlotId>,
    idle: BTreeSet<SlotId>,
    busy: BTreeMap<ProcessId, SlotId>,
    backing_off: BTreeSet<(Duration, SlotId)>,
    /// Slots that were used and are free again, lowest first.
    free: BTreeSet<SlotId>,
    next_id: SlotId,
    next_generation: Generation,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            all: HashMap::new(),
            starting: BTreeSet::new(),
            idle: BTreeSet::new(),
            busy: BTreeMap::new(),
            backing_off: BTreeSet::new(),
            free: BTreeSet::new(),
            next_id: 0,
            next_generation: 1,
        }
    }

    /// Workers in execution.
    pub(super) fn running(&self) -> u32 {
        count(self.busy.len())
    }

    /// Workers that wait to be restarted.
    pub(super) fn backing_off(&self) -> u32 {
        count(self.backing_off.len())
    }

    /// Workers that are, or will be at once, ready for work.
    pub(super) fn ready(&self) -> u32 {
        count(self.idle.len() + self.starting.len())
    }

    /// All workers but those told to stop.
    pub(super) fn live(&self) -> u32 {
        self.ready() + self.running() + self.backing_off()
    }

    /// What is in execution.
    pub(super) fn processes(&self) -> impl Iterator<Item = ProcessId> + '_ {
        self.busy.keys().copied()
    }

    /// Where `process` runs.
    pub(super) fn runner_of(&self, process: ProcessId) -> Option<(SlotId, Generation)> {
        let id = *self.busy.get(&process)?;
        self.all.get(&id).map(|slot| (id, slot.generation))
    }

    /// What the worker of this generation does; `None` where another one has its place.
    pub(super) fn state(&self, id: SlotId, generation: Generation) -> Option<SlotState> {
        let slot = self
            .all
            .get(&id)
            .filter(|slot| slot.generation == generation)?;
        Some(slot.state)
    }

    /// When the next crashed worker is to be restarted.
    pub(super) fn next_restart(&self) -> Option<Duration> {
        self.backing_off.first().map(|(until, _)| *until)
    }

    /// A place for a new worker.
    pub(super) fn start(&mut self) -> (SlotId, Generation) {
        let id = self.free.pop_first().unwrap_or_else(|| {
            self.next_id += 1;
            self.next_id - 1
        });
        let generation = self.new_generation();
        self.all.insert(
            id,
            Slot {
                generation,
                state: SlotState::Starting,
                crashes: 0,
            },
        );
        self.starting.insert(id);
        (id, generation)
    }

    /// A new worker in the place of one whose restart is due.
    pub(super) fn restart(&mut self, now: Duration) -> Option<(SlotId, Generation)> {
        let (_, id) = *self
            .backing_off
            .first()
            .filter(|(until, _)| *until <= now)?;
        let generation = self.new_generation();
        self.all.get_mut(&id)?.generation = generation;
        self.set(id, SlotState::Starting);
        Some((id, generation))
    }

    /// Hands `process` to the idle worker with the lowest number.
    pub(super) fn run(&mut self, process: ProcessId) -> Option<(SlotId, Generation)> {
        let id = *self.idle.first()?;
        self.set(id, SlotState::Busy(process));
        self.all.get(&id).map(|slot| (id, slot.generation))
    }

    /// The worker is ready for work.
    pub(super) fn rest(&mut self, id: SlotId) {
        self.set(id, SlotState::Idle);
    }

    /// The worker's run succeeded: its crashes are forgotten.
    pub(super) fn succeed(&mut self, id: SlotId) {
        self.set(id, SlotState::Idle);
        if let Some(slot) = self.all.get_mut(&id) {
            slot.crashes = 0;
        }
    }

    /// The worker crashed; answers how often since its last success. [`Slots::back_off`] must follow.
    pub(super) fn crash(&mut self, id: SlotId) -> u32 {
        self.all.get_mut(&id).map_or(0, |slot| {
            slot.crashes = slot.crashes.saturating_add(1);
            slot.crashes
        })
    }

    /// The worker is restarted at `until`.
    pub(super) fn back_off(&mut self, id: SlotId, until: Duration) {
        self.set(id, SlotState::BackingOff(until));
    }

    /// Gives up a place that waits for a restart, the latest one first.
    pub(super) fn give_up_restart(&mut self) -> bool {
        let last = self.backing_off.last().map(|(_, id)| *id);
        last.is_some_and(|id| {
            self.remove(id);
            true
        })
    }

    /// The idle or starting worker with the highest number is to stop.
    pub(super) fn stop(&mut self) -> Option<(SlotId, Generation)> {
        let id = *self.idle.last().max(self.starting.last())?;
        self.set(id, SlotState::Stopping);
        self.all.get(&id).map(|slot| (id, slot.generation))
    }

    /// The slot is free.
    pub(super) fn remove(&mut self, id: SlotId) {
        self.unlist(id);
        if self.all.remove(&id).is_some() {
            self.free.insert(id);
        }
    }

    fn new_generation(&mut self) -> Generation {
        self.next_generation += 1;
        self.next_generation - 1
    }

    fn set(&mut self, id: SlotId, state: SlotState) {
        self.unlist(id);
        let Some(slot) = self.all.get_mut(&id) else {
            return;
        };
        slot.state = state;
        match state {
            SlotState::Starting => drop(self.starting.insert(id)),
            SlotState::Idle => drop(self.idle.insert(id)),
            SlotState::Busy(process) => drop(self.busy.insert(process, id)),
            SlotState::BackingOff(until) => drop(self.backing_off.insert((until, id))),
            SlotState::Stopping => {}
        }
    }

    fn unlist(&mut self, id: SlotId) {
        let Some(slot) = self.all.get(&id) else {
            return;
        };
        match slot.state {
            SlotState::Starting => drop(self.starting.remove(&id)),
            SlotState::Idle => drop(self.idle.remove(&id)),
            SlotState::Busy(process) => drop(self.busy.remove(&process)),
            SlotState::BackingOff(until) => drop(self.backing_off.remove(&(until, id))),
            SlotState::Stopping => {}
        }
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
