//! Keeps this node's shares of robots' instances: gives back what others are due, and takes what is its own due.
//!
//! What a node may start is bounded by its limit, which is never more than the slots it holds in the database. To give
//! slots back it lowers the limit first and lets go when no run needs them any more; to have more it waits for the
//! database. Where nothing is to be changed, nothing is asked.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use tokio::time::Instant;

use super::core::Core;
use super::service;
use super::supervisor::{Reconfigured, Supervisor};
use crate::domain::id::{IdMap, RobotId};
use crate::domain::robot::Sharding;
use crate::robot::registry::Entry;
use crate::store::StoreResult;
use crate::store::share::{Share, ShareClaim};

/// How often it is looked whether slots that others are due have become free.
const LOOK_PERIOD: Duration = Duration::from_millis(50);
/// Asks for what no signal told of: often while something is missing, seldom otherwise.
const MISSING_PERIOD: Duration = Duration::from_secs(1);
/// See [`MISSING_PERIOD`].
const SWEEP_PERIOD: Duration = Duration::from_secs(30);
/// Pause after the database refused.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Exchanges one after the other; what is still to be given back then waits for the next look.
const ROUNDS_MAX: u32 = 3;

struct Sharer {
    core: Arc<Core>,
    supervisor: Addr<Supervisor>,
    /// What the database said last of those robots whose slots are not what they should be.
    unsettled: IdMap<RobotId, Share>,
    /// The revisions by which robots' instances were shared last.
    revisions: IdMap<RobotId, i64>,
    /// Whether some robots have other ones by now.
    changed: bool,
    next_sweep: Instant,
}

/// The service, restartable.
pub(crate) fn keep(core: &Arc<Core>, supervisor: &Addr<Supervisor>) {
    let supervisor = supervisor.clone();
    service::keep(core, "sharer", move |core| run(core, supervisor.clone()));
}

async fn run(core: Arc<Core>, supervisor: Addr<Supervisor>) {
    let mut members = core.membership.changes();
    let mut sharer = Sharer {
        core: Arc::clone(&core),
        supervisor,
        unsettled: IdMap::default(),
        revisions: IdMap::default(),
        changed: false,
        next_sweep: Instant::now(),
    };
    loop {
        if let Err(error) = sharer.round().await {
            log::warn!("failed to share instances: {error}");
            sharer.next_sweep = Instant::now() + RETRY_PAUSE;
        }
        let wait = sharer.next_sweep.saturating_duration_since(Instant::now());
        let wait = if sharer.owes() {
            wait.min(LOOK_PERIOD)
        } else {
            wait
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = core.membership.share.notified() => sharer.next_sweep = Instant::now(),
            () = core.membership.share_changed.notified() => sharer.changed = true,
            _ = members.changed() => sharer.next_sweep = Instant::now(),
            () = core.stopping.cancelled() => return,
        }
    }
}

impl Sharer {
    async fn round(&mut self) -> StoreResult<()> {
        let now = Instant::now();
        if self.core.store().has_unheard() {
            self.next_sweep = match self.changed {
                true => now + LOOK_PERIOD,
                false => self.next_sweep.max(now + LOOK_PERIOD),
            };
            return Ok(());
        }
        let all = self.next_sweep <= now;
        if all || self.changed {
            let robots: Vec<_> = self.core.tools.registry.all();
            let asked = robots.iter().map(Arc::as_ref);
            let asked: Vec<_> = asked
                .filter(|entry| all || self.revisions.get(&entry.id) != Some(&entry.revision))
                .collect();
            self.exchange(asked.into_iter()).await?;
            self.changed = false;
            let missing = self
                .unsettled
                .values()
                .any(|share| share.slots < share.target);
            let period = if missing {
                MISSING_PERIOD
            } else {
                SWEEP_PERIOD
            };
            let next = Instant::now() + period;
            self.next_sweep = if all { next } else { next.min(self.next_sweep) };
        }
        for _ in 0..ROUNDS_MAX {
            let free = self.unsettled.values().filter(|share| self.is_free(share));
            let robots: Vec<_> = free
                .filter_map(|share| self.core.tools.registry.by_id(share.robot))
                .collect();
            if robots.is_empty() {
                break;
            }
            self.exchange(robots.iter().map(Arc::as_ref)).await?;
        }
        Ok(())
    }

    /// Whether others are due slots that this node still holds.
    fn owes(&self) -> bool {
        let mut shares = self.unsettled.values();
        shares.any(|share| share.slots > share.target)
    }

    /// Whether some of those slots are needed by no run any more.
    fn is_free(&self, share: &Share) -> bool {
        let capacity = self.core.capacity.get(&share.robot);
        share.slots > share.target && capacity.is_some_and(|own| own.needed() < share.slots)
    }

    async fn exchange(&mut self, robots: impl Iterator<Item = &Entry>) -> StoreResult<()> {
        let claims: Vec<_> = robots.filter_map(|entry| self.claim(entry)).collect();
        // What runs here may be more than is known: it is not said what can be spared.
        if claims.is_empty() || self.core.store().has_unheard() {
            return Ok(());
        }
        let revisions: Vec<_> = claims
            .iter()
            .map(|claim| (claim.robot, claim.revision))
            .collect();
        let node = self.core.tools.node;
        let Some(shares) = self.core.store().share_exchange(node, claims).await? else {
            // Declared dead: the next heartbeat says so.
            self.core.membership.look.notify_one();
            return Ok(());
        };
        self.revisions.extend(revisions);
        let (mut more, mut stale) = (false, false);
        for share in shares {
            if let Some(capacity) = self.core.capacity.get(&share.robot) {
                more |= capacity.set_limit(share.slots.min(share.target));
            }
            stale |= share.stale;
            if share.slots == share.target {
                self.unsettled.remove(&share.robot);
            } else {
                self.unsettled.insert(share.robot, share);
            }
        }
        if stale {
            self.core.reconfigure.notify_one();
        }
        self.supervisor.do_send(Reconfigured);
        if more {
            self.core.room.notify_one();
        }
        Ok(())
    }

    /// What is said of a robot whose instances are shared at all.
    fn claim(&self, entry: &Entry) -> Option<ShareClaim> {
        let capacity = self.core.capacity.get(&entry.id)?;
        is_shared(entry).then(|| ShareClaim {
            robot: entry.id,
            revision: entry.revision,
            instances: entry.config.instances,
            busy: capacity.needed(),
        })
    }
}

/// Whether a robot's instances are those of all nodes together.
pub(crate) fn is_shared(entry: &Entry) -> bool {
    match entry.definition.identity.sharding {
        Sharding::Sharded | Sharding::Single => true,
        Sharding::PerNode => false,
    }
}
