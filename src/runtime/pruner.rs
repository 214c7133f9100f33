//! Removes what is older than its retention, and counts queues for the reports.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DurationRound, TimeDelta};
use tokio::time::Instant;

use super::core::Core;
use super::service;
use crate::domain::time::Timestamp;
use crate::store::sample::{OF_ALL_NODES, QUEUED, Sample};
use crate::store::upkeep::Retention;

/// How often old rows are looked for.
const PERIOD: Duration = Duration::from_secs(600);
/// Rows of a kind removed in one transaction.
const ROWS_MAX: u32 = 1_000;
/// Pause between transactions, so that others get the writer.
const PAUSE: Duration = Duration::from_millis(50);
/// How often queues are counted while tasks come and go.
const DEPTHS_PERIOD: Duration = Duration::from_secs(5);
/// How often it is recorded how many tasks wait in all.
const RECORD_EVERY: TimeDelta = TimeDelta::minutes(1);
/// Periods after which they are counted although no signal told of a task.
const QUIET_PERIODS_MAX: u32 = 12;

/// The service that prunes.
pub(crate) async fn run(core: Arc<Core>, retention: Retention) {
    let mut members = core.membership.changes();
    loop {
        // One node prunes for all.
        while core.membership.leads() {
            match core.store().prune(retention, ROWS_MAX, core.now()).await {
                Ok(0) => break,
                Ok(_) if service::pause(&core, PAUSE).await => {}
                Ok(_) => return,
                Err(error) => {
                    log::warn!("failed to prune: {error}");
                    break;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            _ = members.changed() => {}
            () = core.stopping.cancelled() => return,
        }
    }
}

/// The service that counts queues, and records their lengths for the chart of the last day.
pub(crate) async fn count_queues(core: Arc<Core>) {
    let mut quiet = QUIET_PERIODS_MAX;
    let mut recorded = None;
    let (mut signals, mut changes) = (core.store().signals(), core.store().changes());
    loop {
        let began = Instant::now();
        if quiet >= QUIET_PERIODS_MAX || !signals.is_empty() || !changes.is_empty() {
            // Before the count: what changes while it is made is counted again.
            signals = signals.resubscribe();
            changes = changes.resubscribe();
            quiet = 0;
            match core.store().task_depths().await {
                Ok(depths) => core.set_depths(depths),
                Err(error) => {
                    quiet = QUIET_PERIODS_MAX;
                    log::debug!("failed to count queues: {error}");
                }
            }
        }
        // What was not counted is not recorded.
        if quiet < QUIET_PERIODS_MAX {
            record(&core, &mut recorded).await;
        }
        if !service::pause(&core, service::rest(began.elapsed(), DEPTHS_PERIOD)).await {
            return;
        }
        quiet += 1;
    }
}

/// Records once a minute how many tasks wait; `last` is the minute that was. One node records for all.
async fn record(core: &Core, last: &mut Option<Timestamp>) {
    let Ok(minute) = core.now().duration_trunc(RECORD_EVERY) else {
        return;
    };
    if *last == Some(minute) || !core.membership.leads() {
        return;
    }
    let sample = Sample {
        series: QUEUED.to_owned(),
        node: core.tools.node,
        node_name: OF_ALL_NODES.to_owned(),
        at: minute,
        value: f64::from(core.queued()),
    };
    match core.store().sample_append(Vec::from([sample])).await {
        Ok(()) => *last = Some(minute),
        Err(error) => log::debug!("failed to record the length of queues: {error}"),
    }
}
