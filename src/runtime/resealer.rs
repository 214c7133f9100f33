//! Seals secrets anew that lie under older data keys than the newest, in the background.
//!
//! `robotd vault rotate-key` makes a key beside the node. Whoever began to seal anew may have been killed: an open rotation is
//! led to its end here, by the node that leads.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::service;
use crate::robot::safe::SafeError;

/// How often an open rotation is looked for: one row is read.
const PERIOD: Duration = Duration::from_secs(10);
/// Pause between transactions, so that others get the writer.
const PAUSE: Duration = Duration::from_millis(50);

/// The service.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        if core.membership.leads()
            && let Err(error) = round(&core).await
        {
            log::warn!("failed to seal secrets anew: {error}");
        }
        if !service::pause(&core, PERIOD).await {
            return;
        }
    }
}

/// Leads an open rotation to its end, or as far as the node lives.
async fn round(core: &Core) -> Result<(), SafeError> {
    let Some(mut resealing) = core.tools.safe.unfinished().await? else {
        return Ok(());
    };
    while resealing.step().await? {
        if !service::pause(core, PAUSE).await {
            return Ok(());
        }
    }
    let rotation = resealing.finish(core.now()).await?;
    log::info!(
        "data key {} seals all secrets; {} were sealed anew here, {} could not be opened and stay as they are",
        rotation.key,
        rotation.resealed,
        rotation.damaged.len() + rotation.damaged_keys.len()
    );
    Ok(())
}
