//! Ids that are known before the insert: ascending, never used twice.

use std::ops::Range;

use chrono::TimeDelta;
use tokio::sync::Mutex;

use super::backend::write;
use super::{Store, StoreResult};
use crate::domain::time::Timestamp;

/// Ids reserved at a time: one small write for so many tasks, and what a restart throws away.
const BLOCK: i64 = 10_000;

/// How long a block is used, so that an id tells when it was given out.
pub(super) const BLOCK_LIFE: TimeDelta = TimeDelta::seconds(60);

/// What has ids of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Series {
    /// Tasks.
    Task,
    /// Processes.
    Process,
    /// Events.
    Event,
    /// Things of the inventory, and views of their secrets.
    Inventory,
    /// Operations.
    Operation,
    /// Imports.
    Import,
}

/// The parts of the reserved blocks that are not used yet.
#[derive(Debug, Default)]
pub(super) struct Ids {
    task: Mutex<Block>,
    process: Mutex<Block>,
    event: Mutex<Block>,
    inventory: Mutex<Block>,
    operation: Mutex<Block>,
    import: Mutex<Block>,
}

#[derive(Debug, Default)]
struct Block {
    next: i64,
    end: i64,
    reserved_at: Timestamp,
}

impl Block {
    fn serves(&self, count: i64, now: Timestamp) -> bool {
        let age = now - self.reserved_at;
        self.end - self.next >= count && age >= TimeDelta::zero() && age < BLOCK_LIFE
    }
}

impl Series {
    /// Its name in the database.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Process => "process",
            Self::Event => "event",
            Self::Inventory => "inventory",
            Self::Operation => "operation",
            Self::Import => "import",
        }
    }

    /// Whether it is kept which ids belong to which time.
    pub(super) const fn is_marked(self) -> bool {
        matches!(self, Self::Task | Self::Process)
    }
}

impl Store {
    /// Takes `count` ids of a series for what happens at `now`; answers the first, the others follow without gaps.
    pub(super) async fn ids(
        &self,
        series: Series,
        count: usize,
        now: Timestamp,
    ) -> StoreResult<i64> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let block = match series {
            Series::Task => &self.ids_ref().task,
            Series::Process => &self.ids_ref().process,
            Series::Event => &self.ids_ref().event,
            Series::Inventory => &self.ids_ref().inventory,
            Series::Operation => &self.ids_ref().operation,
            Series::Import => &self.ids_ref().import,
        };
        let mut block = block.lock().await;
        if count > 0 && !block.serves(count, now) {
            let size = count.max(BLOCK);
            let first = write!(self, ids::reserve(series, size, now))?;
            *block = Block {
                next: first,
                end: first + size,
                reserved_at: now,
            };
        }
        let first = block.next;
        block.next += count;
        Ok(first)
    }

    /// As [`Store::ids`], of processes and without waiting: none where not enough are reserved.
    pub(super) fn process_ids_at_hand(&self, count: u32, now: Timestamp) -> Option<Range<i64>> {
        let mut block = self.ids_ref().process.try_lock().ok()?;
        let count = i64::from(count);
        if !block.serves(count, now) {
            return None;
        }
        let first = block.next;
        block.next += count;
        Some(first..block.next)
    }

    /// Takes back the end of what [`Store::ids`] gave out last, from `first` on, where nothing was given
    /// out since; else these ids stay unused.
    pub(super) async fn process_ids_unused(&self, first: i64, end: i64) {
        let mut block = self.ids_ref().process.lock().await;
        if block.next == end {
            block.next = first;
        }
    }
}
