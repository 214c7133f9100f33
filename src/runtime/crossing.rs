//! The way from the control thread to the job runtime and back. To wake another thread costs more than a
//! short run does, so runs and their endings cross in batches: of what has gathered, never by waiting for more.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::core::Core;
use super::execute::{Ending, Job};
use super::service;
use super::worker::Finished;

/// Runs that cross at one time: the first of them must not wait long until the last is ready.
const JOBS_MAX: usize = 64;
/// Endings taken at one time.
const ENDINGS_MAX: usize = 256;

/// Where one boards. Unbounded, because what may be claimed bounds it.
pub(crate) struct Crossing {
    /// To the job runtime.
    pub(crate) jobs: mpsc::UnboundedSender<Job>,
    /// To the control thread.
    pub(crate) endings: mpsc::UnboundedSender<Ending>,
}

/// The receiving ends, taken by each start of the services in turn.
pub(crate) struct Piers {
    jobs: RefCell<mpsc::UnboundedReceiver<Job>>,
    endings: RefCell<mpsc::UnboundedReceiver<Ending>>,
}

impl Crossing {
    pub(crate) fn new() -> (Self, Piers) {
        let (jobs, jobs_inbox) = mpsc::unbounded_channel();
        let (endings, endings_inbox) = mpsc::unbounded_channel();
        let piers = Piers {
            jobs: RefCell::new(jobs_inbox),
            endings: RefCell::new(endings_inbox),
        };
        (Self { jobs, endings }, piers)
    }
}

/// Both services, restartable.
pub(crate) fn keep(core: &Arc<Core>, piers: Piers) {
    let piers = Rc::new(piers);
    let own = Rc::clone(&piers);
    service::keep(core, "way out", move |core| out(core, Rc::clone(&own)));
    service::keep(core, "way back", move |_| back(Rc::clone(&piers)));
}

/// The service that starts runs on the job runtime.
#[expect(
    clippy::await_holding_refcell_ref,
    reason = "one service at a time holds the inbox, on one thread"
)]
async fn out(core: Arc<Core>, piers: Rc<Piers>) {
    let mut inbox = piers.jobs.borrow_mut();
    let mut batch = Vec::new();
    while inbox.recv_many(&mut batch, JOBS_MAX).await > 0 {
        let batch = std::mem::take(&mut batch);
        let jobs = core.jobs.clone();
        // This task runs none of them itself: what it spawned last could not be taken over by another thread.
        core.jobs.spawn(async move {
            for job in batch {
                jobs.spawn(job.run());
            }
        });
    }
}

/// The service that tells workers what became of their runs.
#[expect(
    clippy::await_holding_refcell_ref,
    reason = "one service at a time holds the inbox, on one thread"
)]
async fn back(piers: Rc<Piers>) {
    let mut inbox = piers.endings.borrow_mut();
    let mut batch = Vec::new();
    while inbox.recv_many(&mut batch, ENDINGS_MAX).await > 0 {
        for ending in batch.drain(..) {
            // The end of a run whose worker is dead was told when it died.
            if let Some(worker) = ending.worker.upgrade() {
                worker.do_send(Finished(ending.process, ending.answer));
            }
        }
    }
}
