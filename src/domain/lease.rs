//! How long a node's lease lasts, and whose it may declare ended.
//!
//! Times are those since any beginning, by a clock that nobody sets.

use std::time::Duration;

/// A node may take as long to find a database again that was away: the store's pause before it connects, and a heartbeat.
const RETURN_MAX: Duration = Duration::from_secs(5);

/// Silence after which a node is dead that is to be missed within `timeout`. The rest of it is for a survivor's next
/// heartbeat and what follows from it.
#[must_use]
pub fn lease(timeout: Duration) -> Duration {
    timeout * 2 / 3
}

/// From one heartbeat to the next: three within a lease may get lost.
#[must_use]
pub fn period(timeout: Duration) -> Duration {
    timeout / 6
}

/// What a node's own heartbeats say about others.
///
/// One that was late itself, or has just started, cannot tell their silence from a database that was away. It spares them
/// until they can have been heard again.
#[derive(Debug, Clone, Copy)]
pub struct Witness {
    timeout: Duration,
    /// When the last heartbeat was sent that was answered.
    heard: Option<Duration>,
    /// Nobody is declared dead before this.
    spare_until: Duration,
}

impl Witness {
    /// Of a node that has just started.
    #[must_use]
    pub const fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            heard: None,
            spare_until: Duration::ZERO,
        }
    }

    /// Whether a heartbeat that is sent at `sent` may declare anybody dead.
    pub fn may_accuse(&mut self, sent: Duration) -> bool {
        let late = 2 * period(self.timeout);
        if self.heard.is_none_or(|heard| sent > heard + late) {
            self.spare(sent);
        }
        sent >= self.spare_until
    }

    /// The heartbeat that was sent at `sent` was answered.
    pub const fn heard(&mut self, sent: Duration) {
        self.heard = Some(sent);
    }

    /// Others cannot be judged for a while after `from`.
    pub fn spare(&mut self, from: Duration) {
        let time = lease(self.timeout).max(RETURN_MAX);
        self.spare_until = self.spare_until.max(from + time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_was_late_itself_accuses_nobody_for_a_while() {
        let mut witness = Witness::new(at(12));
        assert!(!witness.may_accuse(at(1)), "it has just started");
        for sent in (1..=9).step_by(2) {
            witness.heard(at(sent));
        }
        assert!(witness.may_accuse(at(11)));
        witness.heard(at(11));
        assert!(!witness.may_accuse(at(16)), "late");
        witness.heard(at(16));
        assert!(!witness.may_accuse(at(18)), "others may be as late");
        for sent in [18, 20, 22] {
            witness.heard(at(sent));
        }
        assert!(witness.may_accuse(at(24)));
        witness.spare(at(24));
        assert!(!witness.may_accuse(at(25)));
    }
}
