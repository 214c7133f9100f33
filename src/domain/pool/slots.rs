//! The workers' places of a pool, indexed by what they do, so that no event walks over all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Generation, SlotId};
use crate::domain::id::{IdMap, ProcessId};

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
    /// Where it stands in the list of those that start or are idle.
    place: usize,
}

/// All slots of a pool.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    /// By number; `None` is free.
    all: Vec<Option<Slot>>,
    starting: Vec<SlotId>,
    /// The one that rested last stands last and works first: its memory is still warm.
    idle: Vec<SlotId>,
    busy: IdMap<ProcessId, SlotId>,
    backing_off: BTreeSet<(Duration, SlotId)>,
    /// Slots that were used and are free again.
    free: Vec<SlotId>,
    next_generation: Generation,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            all: Vec::new(),
            starting: Vec::new(),
            idle: Vec::new(),
            busy: IdMap::default(),
            backing_off: BTreeSet::new(),
            free: Vec::new(),
            next_generation: 1,
        }
    }

    /// Used and free.
    pub(super) fn places(&self) -> usize {
        self.all.len()
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
        self.named(id)
    }

    /// What the worker of this generation does; `None` where another one has its place.
    pub(super) fn state(&self, id: SlotId, generation: Generation) -> Option<SlotState> {
        self.slot(id)
            .filter(|slot| slot.generation == generation)
            .map(|slot| slot.state)
    }

    /// When the next crashed worker is to be restarted.
    pub(super) fn next_restart(&self) -> Option<Duration> {
        self.backing_off.first().map(|(until, _)| *until)
    }

    /// A place for a new worker.
    pub(super) fn start(&mut self) -> (SlotId, Generation) {
        let id = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            count(self.all.len() - 1)
        });
        let generation = self.new_generation();
        if let Some(free) = self.all.get_mut(index(id)) {
            *free = Some(Slot {
                generation,
                state: SlotState::Starting,
                crashes: 0,
                place: self.starting.len(),
            });
            self.starting.push(id);
        }
        (id, generation)
    }

    /// A new worker in the place of one whose restart is due.
    pub(super) fn restart(&mut self, now: Duration) -> Option<(SlotId, Generation)> {
        let (_, id) = *self
            .backing_off
            .first()
            .filter(|(until, _)| *until <= now)?;
        let generation = self.new_generation();
        self.slot_mut(id)?.generation = generation;
        self.set(id, SlotState::Starting);
        Some((id, generation))
    }

    /// Hands `process` to the worker that became idle last.
    pub(super) fn run(&mut self, process: ProcessId) -> Option<(SlotId, Generation)> {
        let id = *self.idle.last()?;
        self.set(id, SlotState::Busy(process));
        self.named(id)
    }

    /// The worker is ready for work.
    pub(super) fn rest(&mut self, id: SlotId) {
        self.set(id, SlotState::Idle);
    }

    /// The worker's run succeeded: its crashes are forgotten.
    pub(super) fn succeed(&mut self, id: SlotId) {
        self.set(id, SlotState::Idle);
        if let Some(slot) = self.slot_mut(id) {
            slot.crashes = 0;
        }
    }

    /// The worker crashed; answers how often since its last success. [`Slots::back_off`] must follow.
    pub(super) fn crash(&mut self, id: SlotId) -> u32 {
        self.slot_mut(id).map_or(0, |slot| {
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

    /// An idle worker is to stop, or else a starting one.
    pub(super) fn stop(&mut self) -> Option<(SlotId, Generation)> {
        let id = *self.idle.last().or(self.starting.last())?;
        self.set(id, SlotState::Stopping);
        self.named(id)
    }

    /// The slot is free.
    pub(super) fn remove(&mut self, id: SlotId) {
        self.unlist(id);
        let slot = self.all.get_mut(index(id));
        if slot.and_then(Option::take).is_some() {
            self.free.push(id);
        }
    }

    fn slot(&self, id: SlotId) -> Option<&Slot> {
        self.all.get(index(id))?.as_ref()
    }

    fn slot_mut(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.all.get_mut(index(id))?.as_mut()
    }

    fn named(&self, id: SlotId) -> Option<(SlotId, Generation)> {
        self.slot(id).map(|slot| (id, slot.generation))
    }

    fn new_generation(&mut self) -> Generation {
        self.next_generation += 1;
        self.next_generation - 1
    }

    fn set(&mut self, id: SlotId, state: SlotState) {
        self.unlist(id);
        let place = match state {
            SlotState::Starting => append(&mut self.starting, id),
            SlotState::Idle => append(&mut self.idle, id),
            SlotState::Busy(process) => {
                self.busy.insert(process, id);
                0
            }
            SlotState::BackingOff(until) => {
                self.backing_off.insert((until, id));
                0
            }
            SlotState::Stopping => 0,
        };
        if let Some(slot) = self.slot_mut(id) {
            slot.state = state;
            slot.place = place;
        }
    }

    fn unlist(&mut self, id: SlotId) {
        let Some(slot) = self.slot(id).copied() else {
            return;
        };
        let moved = match slot.state {
            SlotState::Starting => take_out(&mut self.starting, slot.place),
            SlotState::Idle => take_out(&mut self.idle, slot.place),
            SlotState::Busy(process) => {
                self.busy.remove(&process);
                None
            }
            SlotState::BackingOff(until) => {
                self.backing_off.remove(&(until, id));
                None
            }
            SlotState::Stopping => None,
        };
        if let Some(moved) = moved.and_then(|id| self.slot_mut(id)) {
            moved.place = slot.place;
        }
    }
}

/// Answers where `id` now stands.
fn append(list: &mut Vec<SlotId>, id: SlotId) -> usize {
    list.push(id);
    list.len() - 1
}

/// Answers who now stands at `place`.
fn take_out(list: &mut Vec<SlotId>, place: usize) -> Option<SlotId> {
    list.swap_remove(place);
    list.get(place).copied()
}

fn index(id: SlotId) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
