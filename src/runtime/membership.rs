//! Where this node stands among the nodes of its database, as of its last heartbeat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::clock::ServerClock;
use crate::domain::id::NodeId;
use crate::domain::lease;
use crate::store::node::{Heard, Term};

/// Within how long a dead node is missed, unless somebody sets another time (promise 5).
pub const NODE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);

/// How this node is to live with others.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Within how long a dead node is missed and its work offered again; the same on all nodes.
    pub timeout: Duration,
    /// The clock that all nodes go by, where it is not the machine's; corrected with each heartbeat.
    pub clock: Option<Arc<ServerClock>>,
}

impl Terms {
    /// Silence after which a node is dead.
    pub(crate) fn lease(&self) -> Duration {
        lease::lease(self.timeout)
    }

    /// From one heartbeat to the next.
    pub(crate) fn period(&self) -> Duration {
        lease::period(self.timeout)
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            timeout: NODE_TIMEOUT_DEFAULT,
            clock: None,
        }
    }
}

/// What the last heartbeat said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// The term in which this node decides ticks, where it does.
    pub(crate) term: Option<Term>,
    /// All nodes that live and go on living.
    pub(crate) alive: Arc<[NodeId]>,
}

/// This node's standing, and what rings when it may have changed.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) terms: Terms,
    view: watch::Sender<View>,
    began: Instant,
    /// When the heartbeat that was answered last was sent, in milliseconds since `began`.
    renewed: AtomicU64,
    /// Rings when it is time for a heartbeat.
    pub(crate) look: Notify,
    /// Rings when the shares of instances may have to change.
    pub(crate) share: Notify,
    /// The same for robots whose configuration has changed, and no others.
    pub(crate) share_changed: Notify,
}

impl Membership {
    pub(crate) fn new(terms: Terms) -> Self {
        let nobody = View {
            term: None,
            alive: Arc::from([]),
        };
        Self {
            terms,
            view: watch::Sender::new(nobody),
            began: Instant::now(),
            renewed: AtomicU64::new(0),
            look: Notify::new(),
            share: Notify::new(),
            share_changed: Notify::new(),
        }
    }

    /// Takes note at `now` of what a heartbeat that was sent at `sent` was answered; answers whether the lease had run
    /// out before.
    pub(crate) fn heard(&self, sent: Instant, now: Instant, heard: &Heard) -> bool {
        let late = !self.lease_holds(now);
        let millis = u64::try_from((sent - self.began).as_millis()).unwrap_or(u64::MAX);
        self.renewed.store(millis, Ordering::Relaxed);
        self.view.send_if_modified(|view| {
            let changed = view.term != heard.term || *view.alive != *heard.alive;
            if changed {
                *view = View {
                    term: heard.term,
                    alive: heard.alive.clone().into(),
                };
            }
            changed
        });
        late
    }

    /// Whether others cannot have declared this node dead by `now`.
    pub(crate) fn lease_holds(&self, now: Instant) -> bool {
        let renewed = Duration::from_millis(self.renewed.load(Ordering::Relaxed));
        now - self.began < renewed + self.terms.lease()
    }

    /// What the last heartbeat said.
    pub(crate) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Whether this node does what one node does for all.
    pub(crate) fn leads(&self) -> bool {
        self.view.borrow().term.is_some()
    }

    /// Rings with each change of what heartbeats say.
    pub(crate) fn changes(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(term: Option<i64>) -> Heard {
        Heard {
            dead: Vec::new(),
            alive: vec![NodeId(1), NodeId(2)],
            term: term.map(Term),
            revisions: 1,
        }
    }

    #[test]
    fn a_lease_ends_as_long_after_its_heartbeat_was_sent_as_others_wait() {
        let timeout = Duration::from_millis(4_500);
        let membership = Membership::new(Terms {
            timeout,
            clock: None,
        });
        let second = |seconds| membership.began + Duration::from_secs(seconds);
        let hear = |sent, now, term| membership.heard(second(sent), second(now), &heard(term));
        assert!(!hear(1, 2, Some(4)), "in time");
        assert!(membership.leads() && membership.lease_holds(second(3)));
        assert!(!membership.lease_holds(second(4)), "the answer came late");
        let mut changes = membership.changes();
        assert!(hear(5, 5, Some(4)), "it had run out");
        assert!(!changes.has_changed().unwrap());
        assert!(!hear(6, 6, None));
        assert!(changes.has_changed().unwrap() && !membership.leads());
        assert_eq!(changes.borrow_and_update().alive.len(), 2);
    }
}
