//! One run: the robot's code on the job runtime, and the leash by which its worker holds it.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use actix::WeakAddr;
use futures_util::FutureExt;
use futures_util::future::{AbortHandle, AbortRegistration, Abortable};
use tokio::sync::{mpsc, oneshot};

use super::core::Core;
use super::panic::{self, Label};
use super::worker::Worker;
use crate::domain::id::ProcessId;
use crate::domain::task::RunEnd;
use crate::robot::outcome::Report;
use crate::robot::registry::Entry;
use crate::robot::{Context, Robot};
use crate::store::task::Claimed;

/// What became of the robot's code.
pub(crate) enum Answer {
    /// It returned.
    Returned(Report),
    /// It panicked, with this text.
    Panicked(String),
    /// Nothing: it was aborted, or the job runtime ended under it.
    Dropped,
}

/// A run's code is gone from the job runtime; on its way to the run's worker.
pub(crate) struct Ending {
    pub(crate) worker: WeakAddr<Worker>,
    pub(crate) process: ProcessId,
    pub(crate) answer: Answer,
}

/// A run on its way to the job runtime. Whatever becomes of it, there is one [`Ending`].
pub(crate) struct Job {
    robot: Arc<dyn Robot>,
    ctx: Context,
    abort: AbortRegistration,
    reply: Reply,
}

impl Job {
    /// One run of `robot` for `worker`.
    pub(crate) fn new(
        core: &Core,
        entry: Arc<Entry>,
        robot: Arc<dyn Robot>,
        run: Arc<Claimed>,
        worker: WeakAddr<Worker>,
    ) -> (Self, Leash) {
        let process = run.process;
        let (tools, journals) = (Arc::clone(&core.tools), Arc::clone(&core.journals));
        let ctx = Context::new(tools, entry, run, journals);
        let (handle, abort) = AbortHandle::new_pair();
        let leash = Leash {
            ctx: ctx.clone(),
            abort: handle,
        };
        let ending = Ending {
            worker,
            process,
            answer: Answer::Dropped,
        };
        let reply = Reply {
            endings: core.crossing.endings.clone(),
            ending: Some(ending),
        };
        let job = Self {
            robot,
            ctx,
            abort,
            reply,
        };
        (job, leash)
    }

    /// Runs the robot's code.
    pub(crate) async fn run(self) {
        let Self {
            robot,
            ctx,
            abort,
            mut reply,
        } = self;
        let label = Label::Run(ctx.clone());
        // The call itself is the robot's code, too.
        let work = panic::named(label, async { robot.run(&ctx).await });
        let ended = AssertUnwindSafe(Abortable::new(work, abort))
            .catch_unwind()
            .await;
        reply.answer(match ended {
            Ok(Ok(result)) => Answer::Returned(Report::from(result)),
            Ok(Err(_aborted)) => Answer::Dropped,
            Err(panic) => Answer::Panicked(payload_text(panic.as_ref())),
        });
    }
}

/// Sends the ending when it is dropped, with the robot's code or after it.
struct Reply {
    endings: mpsc::UnboundedSender<Ending>,
    ending: Option<Ending>,
}

impl Reply {
    fn answer(&mut self, answer: Answer) {
        if let Some(ending) = &mut self.ending {
            ending.answer = answer;
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let Some(mut ending) = self.ending.take() else {
            return;
        };
        // What was caught leaves its text; this one came out of a destructor.
        if std::thread::panicking() {
            ending.answer = Answer::Panicked("while its future was dropped".to_owned());
        }
        // Nobody listens any more when the node has ended.
        drop(self.endings.send(ending));
    }
}

/// Holds a run; it is aborted at its next await when this is dropped, and nothing it says is kept.
pub(crate) struct Leash {
    ctx: Context,
    abort: AbortHandle,
}

impl Leash {
    /// Asks the run to end; answers how long it may take to do so.
    pub(crate) fn cancel(&self) -> Duration {
        self.ctx.cancelled().cancel();
        self.ctx.cancel_grace()
    }

    /// Ends the run at its next await.
    pub(crate) fn abort(&self) {
        self.abort.abort();
    }

    /// Ends, with an error, when nothing of the run is left.
    pub(crate) fn last(&self) -> oneshot::Receiver<()> {
        self.ctx.last()
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.ctx.close();
        self.abort.abort();
    }
}

/// The report on a run whose code has ended by itself, and whether it panicked.
pub(crate) fn judged(answer: Answer) -> (Report, bool) {
    match answer {
        Answer::Returned(report) => (report, false),
        Answer::Panicked(text) => {
            let text = format!("panicked: {text}");
            let report = Report::of_runtime(RunEnd::Panicked, "panicked", text);
            (report, true)
        }
        Answer::Dropped => {
            let text = "the job runtime ended under the run";
            (Report::of_runtime(RunEnd::Lost, "lost", text), false)
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
