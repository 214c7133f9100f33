//! The time of day, as a thing that is handed in, so that tests own it.
//!
//! Time limits and back-off use `tokio::time` (monotonic, and virtual in tests); this clock is for
//! instants that are stored or compared with stored ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;

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

/// By how much the machine's clock is taken to be off, in microseconds; nothing, unless the self-test says so.
static OFF: AtomicI64 = AtomicI64::new(0);

impl SystemClock {
    /// Lets this process see the machine's clock `by` off, as it would after a step. Instants of `tokio::time` and of the
    /// standard library go on as before, as they do then.
    pub(crate) fn set_off(self, by: TimeDelta) {
        let micros = by.num_microseconds().unwrap_or_default();
        OFF.store(micros, Ordering::Relaxed);
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        let off = OFF.load(Ordering::Relaxed);
        from_micros(to_micros(chrono::Utc::now()).saturating_add(off))
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

/// A server's clock beside this machine's, as of one question and its answer.
#[derive(Debug, Clone, Copy)]
pub struct ClockReading {
    /// When it was asked.
    pub asked: Instant,
    /// When the answer was there.
    pub answered: Instant,
    /// What the server's clock said in between.
    pub server: Timestamp,
    /// What this machine's clock says in the middle between question and answer.
    pub machine: Timestamp,
}

impl ClockReading {
    /// Asks for the server's time by `ask`.
    ///
    /// # Errors
    /// Those of `ask`.
    pub fn take<E>(
        machine: &dyn Clock,
        ask: impl FnOnce() -> Result<Timestamp, E>,
    ) -> Result<Self, E> {
        let (asked, before) = (Instant::now(), machine.now());
        let server = ask()?;
        let answered = Instant::now();
        Ok(Self {
            asked,
            answered,
            server,
            machine: before + (answered - asked) / 2,
        })
    }

    /// How far this machine's clock is ahead of the server's, in microseconds.
    #[must_use]
    pub fn offset(&self) -> i64 {
        to_micros(self.machine) - to_micros(self.server)
    }
}

/// The clock of a server that many nodes share, carried on between readings by this machine's monotonic clock: a step
/// of the machine's own clock does not show in it.
#[derive(Debug)]
pub struct ServerClock {
    began: Instant,
    /// The server's time at `began`, in microseconds.
    origin: AtomicI64,
}

/// What a reading may differ by beyond its own uncertainty without being followed: microseconds of rounding.
const ROUNDING: i64 = 100;

impl ServerClock {
    /// The server's clock as of a first reading.
    #[must_use]
    pub fn new(reading: &ClockReading) -> Self {
        let began = reading.asked;
        let half = (reading.answered - reading.asked) / 2;
        Self {
            began,
            origin: AtomicI64::new(to_micros(reading.server) - micros(half)),
        }
    }

    /// Takes a later reading into account. The answer was written somewhere between question and answer: a clock that
    /// shows a time from this span is left alone, so that it does not tremble. Answers how far it was set.
    pub fn observe(&self, reading: &ClockReading) -> Duration {
        let half = micros(reading.answered - reading.asked) / 2;
        let middle = micros(reading.asked - self.began) + half;
        let origin = to_micros(reading.server) - middle;
        let shown = self.origin.load(Ordering::Relaxed);
        let off = (origin - shown).abs();
        if off <= half + ROUNDING {
            return Duration::ZERO;
        }
        self.origin.store(origin, Ordering::Relaxed);
        Duration::from_micros(off.unsigned_abs())
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        let origin = self.origin.load(Ordering::Relaxed);
        from_micros(origin.saturating_add(micros(self.began.elapsed())))
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    /// A reading that took 10 ms, whose server was `ahead` of the machine.
    fn reading(at: Instant, machine: Timestamp, ahead: TimeDelta) -> ClockReading {
        ClockReading {
            asked: at,
            answered: at + Duration::from_millis(10),
            server: machine + ahead,
            machine,
        }
    }

    #[test]
    fn a_servers_clock_is_followed_beyond_the_uncertainty_of_its_reading() {
        let (began, epoch) = (Instant::now(), DateTime::UNIX_EPOCH);
        let hour = TimeDelta::hours(1);
        let clock = ServerClock::new(&reading(began, epoch, hour));
        let shown = || clock.now() - TimeDelta::microseconds(micros(began.elapsed()));
        // What it showed when the first reading was asked for, but for the time this takes.
        let is = |wanted: Timestamp| {
            let wrong = (shown() - wanted).abs();
            assert!(wrong < TimeDelta::milliseconds(2), "{wrong}");
        };
        let start = epoch + hour - TimeDelta::milliseconds(5);
        is(start);
        let later = began + Duration::from_secs(5);
        let then = epoch + TimeDelta::seconds(5);
        for (ahead, wanted) in [
            (hour + TimeDelta::milliseconds(4), start),
            (hour - TimeDelta::milliseconds(4), start),
            (
                hour - TimeDelta::milliseconds(900),
                start - TimeDelta::milliseconds(900),
            ),
        ] {
            clock.observe(&reading(later, then, ahead));
            is(wanted);
        }
        assert_eq!(reading(began, epoch, hour).offset(), -3_600_000_000);
    }
}
