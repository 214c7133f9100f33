//! Keeps this node's lease and leads where nobody else does, declares silent nodes dead, and offers their work again.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use tokio::time::Instant;

use super::core::{Core, Ended};
use super::recorder;
use crate::domain::lease::Witness;
use crate::domain::task::RunEnd;
use crate::robot::outcome::Report;
use crate::store::StoreResult;
use crate::store::node::Beat;
use crate::store::task::Claimed;

/// Pause after a heartbeat that the database did not take.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Rounds after which orphans are looked for although no node was found dead: another node may have found it and
/// then died itself, and what was lost may not have been recorded. As many as there are in two timeouts.
const ROUNDS_WITHOUT_LOOK_MAX: u32 = 12;
/// Orphans taken at one time.
const ORPHANS_MAX: u32 = 500;
/// A machine's clock that is further from the database's is worth a word: what it writes itself, such as its log, is off.
const OFFSET_MAX: TimeDelta = TimeDelta::seconds(1);

struct Rescuer {
    core: Arc<Core>,
    /// Rounds since orphans were looked for.
    since_look: u32,
    /// The witness's times are those since then.
    began: Instant,
    witness: Witness,
    /// Whether the machine's clock was off at the last round.
    off: bool,
}

/// The service. Its first round runs at once: a restarted node takes up what its predecessor left.
pub(crate) async fn run(core: Arc<Core>) {
    let period = core.membership.terms.period();
    let mut rescuer = Rescuer {
        core: Arc::clone(&core),
        since_look: ROUNDS_WITHOUT_LOOK_MAX,
        began: Instant::now(),
        witness: Witness::new(core.membership.terms.timeout),
        off: false,
    };
    loop {
        rescuer.since_look += 1;
        let began = Instant::now();
        let next = match rescuer.round().await {
            Ok(()) => began + period,
            Err(error) => {
                rescuer.since_look = ROUNDS_WITHOUT_LOOK_MAX;
                log::warn!("failed to renew the node's lease: {error}");
                Instant::now() + period.min(RETRY_PAUSE)
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = core.membership.look.notified() => {}
            // There is nothing left to renew.
            () = core.leaving.cancelled() => return core.stopping.cancelled().await,
        }
    }
}

impl Rescuer {
    /// Renews the lease and looks for orphans where there may be some.
    async fn round(&mut self) -> StoreResult<()> {
        let clock_offset = self.look_at_clock().await?;
        let core = Arc::clone(&self.core);
        let (sent, now) = (Instant::now(), core.now());
        let beat = Beat {
            at: now,
            silent_since: if self.witness.may_accuse(sent - self.began) {
                now - core.membership.terms.lease()
            } else {
                DateTime::UNIX_EPOCH
            },
            clock_offset,
        };
        let Some(heard) = core.store().node_beat(core.tools.node, beat).await? else {
            if core.leaving.is_cancelled() {
                return Ok(());
            }
            log::error!("this node was declared dead by another one; it stops");
            core.fenced.cancel();
            return Ok(());
        };
        core.heard(sent, &heard);
        self.witness.heard(sent - self.began);
        for node in &heard.dead {
            let lease = core.membership.terms.lease();
            log::warn!("node {node} has been silent for {lease:?} and is declared dead");
        }
        if !heard.dead.is_empty() || self.since_look > ROUNDS_WITHOUT_LOOK_MAX {
            rescue(&core).await?;
            self.since_look = 0;
        }
        Ok(())
    }

    /// Corrects the clock by the database's; answers how far the machine's is ahead of it, in microseconds.
    async fn look_at_clock(&mut self) -> StoreResult<i64> {
        let terms = &self.core.membership.terms;
        let Some(clock) = &terms.clock else {
            return Ok(0);
        };
        let Some(reading) = self.core.store().clock_reading().await? else {
            return Ok(0);
        };
        if clock.observe(&reading) > terms.period() {
            log::warn!(
                "the database's clock was stepped; nobody is declared dead until all have followed"
            );
            self.witness.spare(self.began.elapsed());
        }
        let offset = reading.offset();
        let off = TimeDelta::microseconds(offset).abs() > OFFSET_MAX;
        if off && !self.off {
            log::warn!(
                "this machine's clock is {} ms ahead of the database's, by which robots go; set it right",
                offset / 1_000
            );
        }
        self.off = off;
        Ok(offset)
    }
}

/// Offers again what nodes that are gone left behind, or ends it where nobody else may run it.
async fn rescue(core: &Core) -> StoreResult<()> {
    loop {
        let orphans = core.store().task_orphans(ORPHANS_MAX).await?;
        let all = orphans.len() < ORPHANS_MAX as usize;
        if !orphans.is_empty() {
            log::warn!(
                "{} runs were lost with their node and are offered again",
                orphans.len()
            );
            recorder::record_lost(
                core,
                orphans.into_iter().map(|run| lost(core, run)).collect(),
            )
            .await;
        }
        if all {
            break;
        }
    }
    while core.store().task_strand(core.now(), ORPHANS_MAX).await? == ORPHANS_MAX {}
    core.store().share_freed();
    Ok(())
}

fn lost(core: &Core, run: Claimed) -> Ended {
    let end = if run.cancel_requested {
        RunEnd::Cancelled
    } else {
        RunEnd::Lost
    };
    let report = Report::of_runtime(end, "node_lost", format!("node {} died", run.node));
    Ended {
        run: Arc::new(run),
        report,
        finished_at: core.now(),
    }
}
