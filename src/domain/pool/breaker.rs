//! How long a crashed worker waits, and when its whole pool is given a rest.

use std::collections::VecDeque;
use std::time::Duration;

/// First back-off of a crashed worker.
pub const BACKOFF_BASE: Duration = Duration::from_millis(200);
/// Longest back-off of a crashed worker.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Crashes in a row, without a success anywhere in the pool, that trip the breaker.
pub const CRASHES_IN_A_ROW_MAX: u32 = 5;
/// Length of the sliding window in which crashes are counted.
pub const CRASH_WINDOW: Duration = Duration::from_secs(60);
/// First quarantine; it doubles with each failed probe.
pub const QUARANTINE_BASE: Duration = Duration::from_secs(120);
/// Longest quarantine.
pub const QUARANTINE_MAX: Duration = Duration::from_secs(3600);
/// Crashes within [`CRASH_WINDOW`] that a pool of any size may have.
const CRASHES_ALLOWED_MIN: u32 = 5;
/// Crashes within [`CRASH_WINDOW`] that each instance adds to what a larger pool may have.
const CRASHES_ALLOWED_PER_INSTANCE: u32 = 3;

/// How a pool's crashed workers come back, and when they are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// First back-off of a crashed worker; it doubles with each crash up to [`BACKOFF_MAX`].
    pub backoff_base: Duration,
    /// Crashes in a row, without a success anywhere in the pool, that trip the breaker.
    pub crashes_in_a_row_max: u32,
    /// Length of the sliding window in which crashes are counted.
    pub crash_window: Duration,
}

impl RestartPolicy {
    /// What every robot gets.
    pub const DEFAULT: Self = Self {
        backoff_base: BACKOFF_BASE,
        crashes_in_a_row_max: CRASHES_IN_A_ROW_MAX,
        crash_window: CRASH_WINDOW,
    };
    /// At once and for ever: to measure what a restart costs.
    pub const AT_ONCE: Self = Self {
        backoff_base: Duration::ZERO,
        crashes_in_a_row_max: u32::MAX,
        crash_window: Duration::ZERO,
    };
}

/// Counts a pool's crashes and quarantines it when they are too many.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    policy: RestartPolicy,
    position: Position,
    crashes_in_a_row: u32,
    /// When each crash within [`CRASH_WINDOW`] was, oldest first.
    recent_crashes: VecDeque<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// All instances work.
    Closed,
    /// Quarantined until then; `cooloff` is how long this time.
    Open { until: Duration, cooloff: Duration },
    /// One worker tries; `cooloff` is how long the last quarantine was.
    Probing { cooloff: Duration },
}

impl Breaker {
    /// A breaker that has seen no crash.
    pub(super) const fn new(policy: RestartPolicy) -> Self {
        Self {
            policy,
            position: Position::Closed,
            crashes_in_a_row: 0,
            recent_crashes: VecDeque::new(),
        }
    }

    /// Takes note of a run that ended without a crash: a probe that succeeds ends the quarantine.
    pub(super) fn succeeded(&mut self) {
        self.crashes_in_a_row = 0;
        if matches!(self.position, Position::Probing { .. }) {
            self.position = Position::Closed;
            self.recent_crashes.clear();
        }
    }

    /// Takes note of a crash at `now` in a pool of `instances`. A failed probe opens the breaker for twice
    /// as long as before.
    pub(super) fn crashed(&mut self, now: Duration, instances: u32) {
        self.crashes_in_a_row = self.crashes_in_a_row.saturating_add(1);
        self.recent_crashes.push_back(now);
        self.forget_old_crashes(now);
        let cooloff = match self.position {
            Position::Probing { cooloff } => (cooloff * 2).min(QUARANTINE_MAX),
            Position::Closed
                if self.crashes_in_a_row >= self.policy.crashes_in_a_row_max
                    || self.recent_crashes() > crashes_allowed(instances) =>
            {
                QUARANTINE_BASE
            }
            Position::Closed | Position::Open { .. } => return,
        };
        self.position = Position::Open {
            until: now + cooloff,
            cooloff,
        };
    }

    /// Takes note that it is `now`: old crashes no longer count, a quarantine that is over is followed by
    /// a probe.
    pub(super) fn pass(&mut self, now: Duration) {
        self.forget_old_crashes(now);
        if let Position::Open { until, cooloff } = self.position
            && until <= now
        {
            self.position = Position::Probing { cooloff };
        }
    }

    /// How many of `instances` may work.
    pub(super) fn allowed(&self, instances: u32) -> u32 {
        match self.position {
            Position::Closed => instances,
            Position::Open { .. } => 0,
            Position::Probing { .. } => instances.min(1),
        }
    }

    /// When the next probe may start, where the pool is quarantined.
    pub(super) const fn open_until(&self) -> Option<Duration> {
        match self.position {
            Position::Open { until, .. } => Some(until),
            Position::Closed | Position::Probing { .. } => None,
        }
    }

    /// Whether the pool is neither quarantined nor probing.
    pub(super) fn is_closed(&self) -> bool {
        self.position == Position::Closed
    }

    /// Crashes within [`CRASH_WINDOW`].
    pub(super) fn recent_crashes(&self) -> u32 {
        u32::try_from(self.recent_crashes.len()).unwrap_or(u32::MAX)
    }

    /// How long a worker waits after its `crashes`-th crash; see [`backoff`].
    pub(super) fn backoff(&self, crashes: u32, jitter: f64) -> Duration {
        backoff(self.policy.backoff_base, crashes, jitter)
    }

    fn forget_old_crashes(&mut self, now: Duration) {
        while self
            .recent_crashes
            .front()
            .is_some_and(|at| *at + self.policy.crash_window <= now)
        {
            self.recent_crashes.pop_front();
        }
    }
}

/// Crashes within [`CRASH_WINDOW`] that a pool of `instances` may have.
const fn crashes_allowed(instances: u32) -> u32 {
    let allowed = instances.saturating_mul(CRASHES_ALLOWED_PER_INSTANCE);
    if allowed > CRASHES_ALLOWED_MIN {
        allowed
    } else {
        CRASHES_ALLOWED_MIN
    }
}

/// How long a worker waits after its `crashes`-th crash since its last success, at least 1; `jitter` (0..1)
/// moves it by up to a fifth either way, so that workers do not come back together.
pub(super) fn backoff(base: Duration, crashes: u32, jitter: f64) -> Duration {
    // 2^16 times the base is far beyond the longest wait.
    let doublings = crashes.saturating_sub(1).min(16);
    let delay = base.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    delay.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
}
