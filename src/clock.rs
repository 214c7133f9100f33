//! The time of day, as a thing that is handed in, so that tests own it.
//!
//! Time limits and back-off use `tokio::time` (monotonic, and virtual in tests); this clock is for
//! instants that are stored or compared with stored ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::domain::time::{Timestamp, from_micros, to_micros};

/// Tells the time of day.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now, in microseconds' precision (what the databases keep).
    fn now(&self) -> Timestamp;
}

/// A clock that many parts share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        from_micros(to_micros(chrono::Utc::now()))
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `at`.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self(AtomicI64::new(to_micros(at)))
    }

    /// Shows `at` from now on; may go back.
    pub fn set(&self, at: Timestamp) {
        self.0.store(to_micros(at), Ordering::SeqCst);
    }

    /// Moves on by `by`.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        from_micros(self.0.load(Ordering::SeqCst))
    }
}
