//! What a run says while it runs: log lines and progress, bounded, on their way to the database.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock::SharedClock;
use crate::domain::id::ProcessId;
use crate::store::process::{LOG_LINE_BYTES_MAX, LogLine, Progress};

/// Lines waiting for the database, in bytes: what a command may print ahead of a slow disk.
const PENDING_BYTES_MAX: usize = 1024 * 1024;
/// What a line costs beside its text, in memory and in the database: a flood of empty lines is bounded too.
const LINE_BYTES: usize = 64;
/// The beginning of a log that is always kept, in bytes.
const HEAD_BYTES_MAX: usize = 512 * 1024;
/// The end of a log that is kept beside its beginning, in bytes.
const TAIL_BYTES_MAX: usize = 512 * 1024;

/// Bound on what a run says of its progress, in characters: one line of a table.
const PROGRESS_CHARS_MAX: usize = 200;

/// Weight of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum LogLevel {
    /// Something failed.
    Error = 1,
    /// Something is odd.
    Warn = 2,
    /// What was done.
    Info = 3,
    /// Details.
    Debug = 4,
    /// A command's standard output.
    Stdout = 5,
    /// A command's standard error.
    Stderr = 6,
}

impl LogLevel {
    /// The word on the wire for a stored level.
    #[must_use]
    pub const fn word(code: i16) -> &'static str {
        match code {
            1 => "error",
            2 => "warn",
            3 => "info",
            4 => "debug",
            5 => "stdout",
            _ => "stderr",
        }
    }
}

/// The log and progress of one process. Clones write to the same journal.
#[derive(Debug, Clone)]
pub struct Journal {
    process: ProcessId,
    clock: SharedClock,
    shared: Arc<Shared>,
}

/// The journals of a node's runs, for the one that writes them to the database. A run that says nothing
/// has none.
#[derive(Debug, Default)]
pub struct Journals {
    open: Mutex<HashMap<ProcessId, Journal>>,
    opened: Notify,
}

impl Journals {
    /// Enters a journal, unless the run it belongs to is `over`: nobody would ever close it.
    pub(super) fn open(&self, journal: &Journal, over: &AtomicBool) {
        let mut journals = self.lock();
        // Under the lock: a run is over before its journal is closed.
        if !over.load(Ordering::Acquire) {
            journals.insert(journal.process, journal.clone());
            self.opened.notify_one();
        }
    }

    /// Waits until a journal is opened, or answers at once where one was since the last wait.
    pub async fn opened(&self) {
        self.opened.notified().await;
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Journal> {
        self.lock().values().cloned().collect()
    }

    /// Closes those of ended processes; answers them for their last lines.
    pub fn close(&self, processes: impl Iterator<Item = ProcessId>) -> Vec<Journal> {
        let mut journals = self.lock();
        if journals.is_empty() {
            return Vec::new();
        }
        processes
            .filter_map(|process| journals.remove(&process))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProcessId, Journal>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    pending: VecDeque<LogLine>,
    pending_bytes: usize,
    next_seq: i64,
    head_bytes: usize,
    /// What was drained beyond the head, oldest first: (first seq, last seq, bytes).
    tail: VecDeque<(i64, i64, usize)>,
    tail_bytes: usize,
    progress: Option<Progress>,
}

/// What a journal hands to the database at one time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// New lines.
    pub lines: Vec<LogLine>,
    /// Ranges of the log that its bound has cut out: (process, first seq, last seq).
    pub cut: Vec<(ProcessId, i64, i64)>,
    /// The newest progress.
    pub progress: Vec<(ProcessId, Progress)>,
}

impl Journal {
    /// The empty journal of `process`.
    #[must_use]
    pub fn new(process: ProcessId, clock: SharedClock) -> Self {
        Self {
            process,
            clock,
            shared: Arc::default(),
        }
    }

    /// Writes a line; one too long is cut visibly. When the database is so slow that the bound on
    /// waiting lines is reached, the oldest waiting line is dropped; use [`Journal::write`] for floods.
    pub fn push(&self, level: LogLevel, text: impl AsRef<str>) {
        let line = self.line(level, text.as_ref());
        let mut state = self.state();
        state.push(line);
        while state.pending_bytes > PENDING_BYTES_MAX {
            let Some(dropped) = state.pending.pop_front() else {
                break;
            };
            state.pending_bytes = state.pending_bytes.saturating_sub(weight(&dropped));
        }
    }

    /// Writes a line, waiting while too many wait for the database.
    ///
    /// Only the beginning of a log is waited for. What comes behind it is kept as far as it is the end, and
    /// what the bound would cut out of the database anyway does not go there: a flood runs at its own speed.
    pub async fn write(&self, level: LogLevel, text: impl AsRef<str>) {
        let line = self.line(level, text.as_ref());
        loop {
            let room = self.shared.room.notified();
            {
                let mut state = self.state();
                if state.head_bytes >= HEAD_BYTES_MAX {
                    state.push(line);
                    return state.drop_before_tail();
                }
                if state.pending_bytes < PENDING_BYTES_MAX {
                    return state.push(line);
                }
            }
            room.await;
        }
    }

    /// Says how far the run has got; the newest one counts.
    pub fn progress(&self, percent: u8, message: &str) {
        let progress = Progress {
            percent: i16::from(percent.min(100)),
            message: message
                .chars()
                .filter(|c| !c.is_control())
                .take(PROGRESS_CHARS_MAX)
                .collect(),
        };
        self.state().progress = Some(progress);
    }

    /// Takes what is new since the last call.
    #[must_use]
    pub fn drain(&self) -> Drained {
        let mut state = self.state();
        let lines: Vec<_> = state.pending.drain(..).collect();
        state.pending_bytes = 0;
        let cut = state
            .account(&lines)
            .into_iter()
            .map(|(a, b)| (self.process, a, b))
            .collect();
        let progress = state
            .progress
            .take()
            .map(|p| (self.process, p))
            .into_iter()
            .collect();
        drop(state);
        self.shared.room.notify_waiters();
        Drained {
            lines,
            cut,
            progress,
        }
    }

    fn line(&self, level: LogLevel, text: &str) -> LogLine {
        LogLine {
            process: self.process,
            seq: 0,
            at: self.clock.now(),
            level: level as i16,
            text: cut_line(text),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, mut line: LogLine) {
        self.next_seq += 1;
        line.seq = self.next_seq;
        self.pending_bytes += weight(&line);
        self.pending.push_back(line);
    }

    /// Drops waiting lines that are neither of the beginning, which is in the database, nor of the end.
    fn drop_before_tail(&mut self) {
        while let Some(oldest) = self.pending.front().map(weight)
            && self.pending_bytes - oldest >= TAIL_BYTES_MAX
        {
            self.pending_bytes -= oldest;
            self.pending.pop_front();
        }
    }

    /// Counts drained lines; answers the ranges that now lie between the kept head and tail.
    fn account(&mut self, lines: &[LogLine]) -> Vec<(i64, i64)> {
        for line in lines {
            let bytes = weight(line);
            if self.head_bytes < HEAD_BYTES_MAX {
                self.head_bytes += bytes;
                continue;
            }
            self.tail_bytes += bytes;
            match self.tail.back_mut() {
                Some((_, last, size)) if *size < TAIL_BYTES_MAX / 16 => {
                    *last = line.seq;
                    *size += bytes;
                }
                _ => self.tail.push_back((line.seq, line.seq, bytes)),
            }
        }
        let mut cut = Vec::new();
        while self.tail_bytes > TAIL_BYTES_MAX && self.tail.len() > 1 {
            if let Some((first, last, bytes)) = self.tail.pop_front() {
                self.tail_bytes -= bytes;
                cut.push((first, last));
            }
        }
        cut
    }
}

/// Room for the words that say that a line was cut, rounded up.
const CUT_BYTES: usize = 16;

fn weight(line: &LogLine) -> usize {
    line.text.len() + LINE_BYTES
}

fn cut_line(text: &str) -> String {
    if text.len() <= LOG_LINE_BYTES_MAX {
        return text.to_owned();
    }
    let (kept, _) = text.split_at(text.floor_char_boundary(LOG_LINE_BYTES_MAX - CUT_BYTES));
    format!("{kept} … (cut)")
}

#[cfg(test)]
mod tests;
