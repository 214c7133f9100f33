//! Ids that are known before the insert: ascending, never used twice.

use tokio::sync::Mutex;

use super::backend::write;
use super::{Store, StoreResult};

/// Ids reserved at a time: one small write for so many tasks, and what a restart throws away.
const BLOCK: i64 = 10_000;

/// What has ids of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Series {
    /// Tasks.
    Task,
    /// Processes.
    Process,
    /// Events.
    Event,
}

/// The parts of the reserved blocks that are not used yet.
#[derive(Debug, Default)]
pub(super) struct Ids {
    task: Mutex<Block>,
    process: Mutex<Block>,
    event: Mutex<Block>,
}

#[derive(Debug, Default)]
struct Block {
    next: i64,
    end: i64,
}

impl Store {
    /// Takes `count` ids of a series; answers the first, the others follow without gaps.
    pub(super) async fn ids(&self, series: Series, count: usize) -> StoreResult<i64> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let (name, block) = match series {
            Series::Task => ("task", &self.ids_ref().task),
            Series::Process => ("process", &self.ids_ref().process),
            Series::Event => ("event", &self.ids_ref().event),
        };
        let mut block = block.lock().await;
        if block.end - block.next < count {
            let size = count.max(BLOCK);
            let first = write!(self, ids::reserve(name, size))?;
            *block = Block {
                next: first,
                end: first + size,
            };
        }
        let first = block.next;
        block.next += count;
        Ok(first)
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
