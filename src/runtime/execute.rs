//! One run: the robot's code on the job runtime, watched from the control thread.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::core::Core;
use super::panic;
use crate::domain::pool::EndReason;
use crate::domain::task::RunEnd;
use crate::robot::outcome::{Outcome, Report, RobotError};
use crate::robot::registry::Entry;
use crate::robot::{Context, Robot};
use crate::store::task::Claimed;

/// How long an aborted run may take to reach its next await before it counts as a zombie.
const ABORT_WAIT: Duration = Duration::from_secs(1);

type RunHandle = AbortOnDropHandle<Result<Outcome, RobotError>>;

/// How a run ended, as its worker tells its pool.
pub(crate) struct Execution {
    /// For the process row.
    pub(crate) report: Report,
    /// What it means for the worker.
    pub(crate) leaves: Leaves,
}

/// What a run leaves behind.
pub(crate) enum Leaves {
    /// Nothing; the worker goes on.
    Nothing,
    /// A panic; the worker is replaced.
    Panic,
    /// Code that does not end; this is its handle.
    Zombie(RunHandle),
}

/// Runs `robot` once and answers how it ended. Dropping the future ends the run at its next await.
pub(crate) async fn execute(
    core: Arc<Core>,
    entry: Arc<Entry>,
    robot: Arc<dyn Robot>,
    run: Arc<Claimed>,
    end: oneshot::Receiver<EndReason>,
) -> Execution {
    let limit = entry.config.timeout;
    let grace = entry.definition.cancel_grace;
    let cancel = CancellationToken::new();
    let label = format!("{} process {}", entry.name(), run.process);
    let journal = core.open_journal(run.process);
    let config = Arc::clone(&entry.config);
    let ctx = Context::new(
        Arc::clone(&core.tools),
        run,
        entry.name(),
        config,
        journal,
        cancel.clone(),
    );
    let work = async move { robot.run(&ctx).await };
    let mut handle = AbortOnDropHandle::new(core.jobs.spawn(panic::named(label, work)));

    let (why, class, text) = tokio::select! {
        result = &mut handle => return joined(result),
        () = tokio::time::sleep(limit) => {
            (RunEnd::TimedOut, "timed_out", format!("ran longer than its time limit of {limit:?}"))
        }
        reason = end => match reason {
            Ok(EndReason::Cancelled) => (RunEnd::Cancelled, "cancelled", "cancelled on request".to_owned()),
            Ok(EndReason::Interrupted) | Err(_) => {
                (RunEnd::Interrupted, "interrupted", "interrupted; the task is offered again".to_owned())
            }
        },
    };
    let report = Report::of_runtime(why, class, text);
    cancel.cancel();
    if !grace.is_zero() && timeout(grace, &mut handle).await.is_ok() {
        return Execution {
            report,
            leaves: Leaves::Nothing,
        };
    }
    handle.abort();
    match timeout(ABORT_WAIT, &mut handle).await {
        Ok(_) => Execution {
            report,
            leaves: Leaves::Nothing,
        },
        Err(_) => Execution {
            report,
            leaves: Leaves::Zombie(handle),
        },
    }
}

fn joined(result: Result<Result<Outcome, RobotError>, JoinError>) -> Execution {
    match result {
        Ok(answer) => Execution {
            report: Report::from(answer),
            leaves: Leaves::Nothing,
        },
        Err(error) if error.is_panic() => {
            let text = format!("panicked: {}", payload_text(error.into_panic().as_ref()));
            let report = Report::of_runtime(RunEnd::Panicked, "panicked", text);
            Execution {
                report,
                leaves: Leaves::Panic,
            }
        }
        Err(_) => {
            let report =
                Report::of_runtime(RunEnd::Lost, "lost", "the job runtime ended under the run");
            Execution {
                report,
                leaves: Leaves::Nothing,
            }
        }
    }
}

/// What a panic said, at most [`panic::TEXT_CHARS_MAX`] characters.
fn payload_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text");
    text.chars().take(panic::TEXT_CHARS_MAX).collect()
}
