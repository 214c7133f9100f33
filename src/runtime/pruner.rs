//! Removes what is older than its retention, and counts queues for the reports.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::service;
use crate::store::upkeep::Retention;

/// How often old rows are looked for.
const PERIOD: Duration = Duration::from_secs(600);
/// Rows of a kind removed in one transaction.
const ROWS_MAX: u32 = 1_000;
/// Pause between transactions, so that others get the writer.
const PAUSE: Duration = Duration::from_millis(50);
/// How often queues are counted.
const DEPTHS_PERIOD: Duration = Duration::from_secs(5);

/// The service that prunes.
pub(crate) async fn run(core: Arc<Core>, retention: Retention) {
    loop {
        loop {
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
        if !service::pause(&core, PERIOD).await {
            return;
        }
    }
}

/// The service that counts queues.
pub(crate) async fn count_queues(core: Arc<Core>) {
    loop {
        match core.store().task_depths().await {
            Ok(depths) => core.set_depths(depths),
            Err(error) => log::debug!("failed to count queues: {error}"),
        }
        if !service::pause(&core, DEPTHS_PERIOD).await {
            return;
        }
    }
}
