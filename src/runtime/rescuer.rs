//! Keeps this node's lease, declares silent nodes dead, and offers their work again.

use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, Ended};
use super::{recorder, service};
use crate::domain::task::RunEnd;
use crate::robot::outcome::Report;
use crate::store::StoreResult;
use crate::store::task::Claimed;

/// How often the lease is renewed and others' leases are looked at.
const PERIOD: Duration = Duration::from_secs(5);
/// Silence after which a node is dead (design.md promise 5).
pub const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Rounds after which orphans are looked for although no node was found dead: another node may have found it and
/// then died itself, and what was lost may not have been recorded.
const ROUNDS_WITHOUT_LOOK_MAX: u32 = 6;
/// Orphans taken at one time.
const ORPHANS_MAX: u32 = 500;

/// The service. Its first round runs at once: a restarted node takes up what its predecessor left.
pub(crate) async fn run(core: Arc<Core>) {
    let mut since_look = ROUNDS_WITHOUT_LOOK_MAX;
    loop {
        since_look += 1;
        match round(&core, since_look).await {
            Ok(true) => since_look = 0,
            Ok(false) => {}
            Err(error) => {
                since_look = ROUNDS_WITHOUT_LOOK_MAX;
                log::warn!("failed to renew the node's lease: {error}");
            }
        }
        if !service::pause(&core, PERIOD).await {
            return;
        }
    }
}

/// Renews the lease; answers whether it was looked for orphans.
async fn round(core: &Core, since_look: u32) -> StoreResult<bool> {
    let now = core.now();
    let (node, silent_since) = (core.tools.node, now - SILENCE_MAX);
    let Some(dead) = core.store().node_beat(node, now, silent_since).await? else {
        log::error!("this node was declared dead by another one; it stops");
        core.fenced.cancel();
        return Ok(false);
    };
    for node in &dead {
        log::warn!("node {node} has been silent for {SILENCE_MAX:?} and is declared dead");
    }
    if dead.is_empty() && since_look <= ROUNDS_WITHOUT_LOOK_MAX {
        return Ok(false);
    }
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
            return Ok(true);
        }
    }
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
