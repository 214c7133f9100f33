//! Trouble that lasts is said once, and then every minute: a database that is away would else be told of by each of many loops, each
//! time that it tries again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, Log, Metadata, Record};

/// How long a warning or an error is not said again.
const PAUSE: Duration = Duration::from_mins(1);
/// Texts that are known at once; when there are more, all are said again.
const KNOWN_MAX: usize = 1_000;

/// A logger that says the same warning or error once a minute.
pub(super) struct Sparing<L> {
    inner: L,
    said: Mutex<Said>,
}

/// When what was said last, by the hash of place and text.
#[derive(Debug, Default)]
struct Said(HashMap<u64, Instant>);

impl Said {
    /// Whether it is to be said now.
    fn is_due(&mut self, what: u64, now: Instant) -> bool {
        if let Some(last) = self.0.get(&what)
            && now.saturating_duration_since(*last) < PAUSE
        {
            return false;
        }
        if self.0.len() >= KNOWN_MAX {
            self.0.clear();
        }
        self.0.insert(what, now);
        true
    }
}

impl<L: Log> Sparing<L> {
    pub(super) fn new(inner: L) -> Self {
        Self {
            inner,
            said: Mutex::default(),
        }
    }

    fn is_due(&self, record: &Record<'_>) -> bool {
        if record.level() > Level::Warn {
            return true;
        }
        let mut hasher = DefaultHasher::new();
        (record.target(), record.line()).hash(&mut hasher);
        record.args().to_string().hash(&mut hasher);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.is_due(hasher.finish(), Instant::now())
    }
}

impl<L: Log> Log for Sparing<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) && self.is_due(record) {
            self.inner.log(record);
        }
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_said_once_and_then_every_minute() {
        let (mut said, begin) = (Said::default(), Instant::now());
        let due = [0, 1, 59, 60, 61, 119, 120].map(|second| {
            let now = begin + Duration::from_secs(second);
            (said.is_due(7, now), said.is_due(second, now))
        });
        assert_eq!(
            due.map(|(same, _)| same),
            [true, false, false, true, false, false, true]
        );
        assert!(due.iter().all(|(_, another)| *another));
        for other in 0..5_000 {
            said.is_due(1_000 + other, begin);
            assert!(said.0.len() <= KNOWN_MAX);
        }
    }
}
