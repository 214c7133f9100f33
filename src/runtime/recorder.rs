//! Records how processes ended, in batches: their last log lines first, then the ends.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use super::core::{Core, Ended};
use super::scribe;
use crate::domain::id::{IdMap, RobotId};
use crate::domain::retry::RetryPolicy;
use crate::domain::task::{Attempted, after_run};
use crate::store::StoreError;
use crate::store::task::{Completion, ERROR_CHARS_MAX};

/// Ends recorded in one transaction.
const BATCH_MAX: usize = 2_000;
/// First and longest pause after the database refused. The ends are kept meanwhile; nothing new is
/// claimed, because claims count until they are recorded.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
/// See [`RETRY_PAUSE_MIN`].
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Attempts at one end that the database refuses for another reason than being away.
const REFUSALS_MAX: u32 = 5;

/// The receiving end, taken by each start of the service in turn.
pub(crate) type Inbox = Rc<RefCell<mpsc::UnboundedReceiver<Ended>>>;

/// Ends received and not recorded yet; they outlive a failure of the service.
pub(crate) type Backlog = Rc<RefCell<Vec<Ended>>>;

/// The service: ends when every sender is gone or the node stops, after recording what it has.
#[expect(
    clippy::await_holding_refcell_ref,
    reason = "one service at a time holds the inbox, on one thread"
)]
pub(crate) async fn run(core: Arc<Core>, inbox: Inbox, backlog: Backlog) {
    loop {
        if backlog.borrow().is_empty() {
            let mut received = Vec::new();
            let mut inbox = inbox.borrow_mut();
            let count = tokio::select! {
                count = inbox.recv_many(&mut received, BATCH_MAX) => count,
                () = core.stopping.cancelled() => return,
            };
            if count == 0 {
                return;
            }
            backlog.borrow_mut().append(&mut received);
        }
        // The ends leave the backlog when they are recorded, not before: a failure in between repeats them.
        record(&core, &backlog.borrow()).await;
        backlog.borrow_mut().clear();
    }
}

/// Records `ends`, however long the database is away.
async fn record(core: &Core, ends: &[Ended]) {
    let processes = ends.iter().map(|ended| ended.run.process);
    let journals = core.journals.close(processes);
    scribe::write(core, &journals).await;
    complete(core, ends).await;
    for ended in ends {
        if let Some(capacity) = core.capacity.get(&ended.run.robot) {
            capacity.recorded();
        }
    }
    core.room.notify_one();
}

/// Records runs that a dead node left behind; they are in no pool and count for no capacity.
pub(crate) async fn record_lost(core: &Core, ends: Vec<Ended>) {
    complete(core, &ends).await;
}

async fn complete(core: &Core, ends: &[Ended]) {
    let mut pause = RETRY_PAUSE_MIN;
    loop {
        if core.fenced.is_cancelled() {
            log::warn!(
                "{} ends are not recorded: this node was declared dead",
                ends.len()
            );
            return;
        }
        match core.store().task_complete(completions(core, ends)).await {
            Ok(accepted) => return log_refused(ends, &accepted),
            Err(StoreError::Unavailable(reason)) => {
                log::warn!("{} ends wait for the database: {reason}", ends.len());
            }
            Err(error) if ends.len() > 1 => {
                log::warn!("failed to record {} ends at once: {error}", ends.len());
                break;
            }
            Err(error) => return refused(core, ends, &error).await,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_PAUSE_MAX);
    }
    // One bad row must not keep the others from being recorded.
    for end in ends.chunks(1) {
        Box::pin(complete(core, end)).await;
    }
}

async fn refused(core: &Core, ends: &[Ended], first: &StoreError) {
    let mut error = first.to_string();
    for _ in 1..REFUSALS_MAX {
        tokio::time::sleep(RETRY_PAUSE_MIN).await;
        match core.store().task_complete(completions(core, ends)).await {
            Ok(accepted) => return log_refused(ends, &accepted),
            Err(again) => error = again.to_string(),
        }
    }
    for ended in ends {
        log::error!(
            "failed to record the end of process {} of task {}: {error}; it is offered again when this node ends",
            ended.run.process,
            ended.run.task
        );
    }
}

fn log_refused(ends: &[Ended], accepted: &[bool]) {
    for (ended, _) in ends
        .iter()
        .zip(accepted)
        .filter(|(_, accepted)| !**accepted)
    {
        log::warn!(
            "the end of process {} came too late: its task was offered again",
            ended.run.process
        );
    }
}

/// What is to be recorded, by the retry policies in force. Made anew for each attempt, which is rarely a
/// second one, rather than copied for each.
fn completions(core: &Core, ends: &[Ended]) -> Vec<Completion> {
    let mut policies: IdMap<RobotId, RetryPolicy> = IdMap::default();
    ends.iter()
        .map(|ended| {
            let robot = ended.run.robot;
            let policy = policies.entry(robot).or_insert_with(|| {
                let entry = core.tools.registry.by_id(robot);
                entry.map_or(RetryPolicy::DEFAULT, |entry| entry.config.retry)
            });
            completion(ended, policy)
        })
        .collect()
}

fn completion(ended: &Ended, policy: &RetryPolicy) -> Completion {
    let run = &ended.run;
    let task = Attempted {
        attempt: run.attempt,
        max_attempts: run.max_attempts,
        deaths: run.deaths,
        deadline: run.deadline,
    };
    // Counted from the end, not from its recording: a database that was away must not add to the delay.
    let after = after_run(
        task,
        &ended.report.end,
        policy,
        ended.finished_at,
        rand::random(),
    );
    Completion {
        task: run.task,
        process: run.process,
        outcome: ended.report.end.outcome(),
        error_class: ended.report.error_class.clone(),
        error: ended
            .report
            .error
            .as_ref()
            .map(|text| text.chars().take(ERROR_CHARS_MAX).collect()),
        counters: counters(&ended.report.counters),
        finished_at: ended.finished_at,
        after,
    }
}

fn counters(counters: &BTreeMap<String, i64>) -> Value {
    counters
        .iter()
        .map(|(name, count)| (name.clone(), Value::from(*count)))
        .collect()
}
