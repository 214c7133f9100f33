//! Writes the journals of running processes to the database.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::service;
use crate::domain::id::ProcessId;
use crate::robot::journal::{Drained, Journal};
use crate::store::StoreError;
use crate::store::process::LogLine;

/// How far a process's log in the database lags behind what it said.
const PERIOD: Duration = Duration::from_millis(250);
/// Attempts at a batch that the database refuses for another reason than being away; the process's end
/// must not wait for its log for ever.
const REFUSALS_MAX: u32 = 3;
/// Pause while the database is away. The journals' bounds hold meanwhile: commands wait, or lose the middle
/// of what they say.
const AWAY_PAUSE: Duration = Duration::from_millis(500);

/// The service. It sleeps while nothing runs.
pub(crate) async fn run(core: Arc<Core>) {
    while service::pause(&core, PERIOD).await {
        let journals = core.journals.all();
        if !journals.is_empty() {
            write(&core, &journals).await;
            continue;
        }
        // Where a journal was opened since the look above, it has rung already.
        tokio::select! {
            () = core.journals.opened() => {}
            () = core.stopping.cancelled() => return,
        }
    }
}

/// Writes what `journals` have said since they were last written.
pub(crate) async fn write(core: &Core, journals: &[Journal]) {
    let mut all = Drained::default();
    for journal in journals {
        let mut drained = journal.drain();
        all.lines.append(&mut drained.lines);
        all.cut.append(&mut drained.cut);
        all.progress.append(&mut drained.progress);
    }
    if !all.lines.is_empty() || !all.cut.is_empty() {
        append(core, all.lines, all.cut).await;
    }
    if !all.progress.is_empty()
        && let Err(error) = core.store().process_progress(all.progress).await
    {
        log::warn!("failed to record progress: {error}");
    }
}

/// Keeps lines, however long the database is away: a process's log is promised as its outcome is.
async fn append(core: &Core, lines: Vec<LogLine>, cut: Vec<(ProcessId, i64, i64)>) {
    let mut refusals = 0;
    while !core.fenced.is_cancelled() {
        match core.store().log_append(lines.clone(), cut.clone()).await {
            Ok(()) => return,
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(AWAY_PAUSE).await,
            Err(error) => {
                refusals += 1;
                if refusals == REFUSALS_MAX {
                    log::error!("failed to keep {} log lines: {error}", lines.len());
                    return;
                }
                tokio::time::sleep(PERIOD).await;
            }
        }
    }
}
