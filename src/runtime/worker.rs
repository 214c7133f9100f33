//! A worker: an actor that holds at most one run.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::FutureExt;

use super::core::Core;
use super::execute::{Answer, Job, Leash, judged};
use super::pool::{Pool, RunEnded, RunLeaves, WorkerDown, WorkerReady, ZombieEnded};
use super::service;
use crate::domain::id::ProcessId;
use crate::domain::pool::{Death, Generation, SlotId};
use crate::robot::Robot;
use crate::robot::outcome::Report;
use crate::robot::registry::Entry;
use crate::store::task::Claimed;

/// How long an aborted run may take to reach its next await before it counts as a zombie.
const ABORT_WAIT: Duration = Duration::from_secs(1);

/// Runs one process at a time for its pool.
pub(crate) struct Worker {
    core: Arc<Core>,
    robot: Arc<dyn Robot>,
    pool: Addr<Pool>,
    slot: SlotId,
    generation: Generation,
    current: Option<Current>,
    /// What its guard tells the pool when it dies.
    death: Rc<Cell<Death>>,
}

/// What a worker runs.
struct Current {
    process: ProcessId,
    leash: Leash,
    /// How it ends, where it was told to.
    told: Option<Report>,
    /// The next thing to do where it does not end although told to.
    insist: Option<SpawnHandle>,
}

impl Actor for Worker {
    type Context = actix::Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.pool.do_send(WorkerReady {
            slot: self.slot,
            generation: self.generation,
        });
    }
}

/// Run this.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Run {
    pub(crate) run: Arc<Claimed>,
    pub(crate) entry: Arc<Entry>,
}

/// End what you run, if it is still this; the report is how it ends.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct EndRun(pub(crate) ProcessId, pub(crate) Report);

/// The code of a run is gone from the job runtime.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Finished(pub(crate) ProcessId, pub(crate) Answer);

/// You are not needed any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

impl Worker {
    /// Starts a worker on the current arbiter. However it ends, its pool gets one [`WorkerDown`]: by the
    /// guard that the wrapping task owns, which also fires when the arbiter goes away.
    pub(crate) fn start_guarded(
        core: Arc<Core>,
        robot: Arc<dyn Robot>,
        pool: Addr<Pool>,
        slot: SlotId,
        generation: Generation,
    ) -> Addr<Self> {
        let death = Rc::new(Cell::new(Death::WorkerFailed));
        let guard = DownGuard {
            pool: pool.clone(),
            slot,
            generation,
            death: Rc::clone(&death),
        };
        let ctx = actix::Context::new();
        let addr = ctx.address();
        let worker = Self {
            core,
            robot,
            pool,
            slot,
            generation,
            current: None,
            death,
        };
        let life = AssertUnwindSafe(ctx.into_future(worker)).catch_unwind();
        service::spawn_control(async move {
            let ended = life.await;
            if ended.is_err() {
                guard.death.set(Death::WorkerFailed);
            }
            drop(guard);
        });
        addr
    }

    /// The run that is to end goes on although it was told to: it is aborted at its next await.
    fn abort(&mut self, ctx: &mut actix::Context<Self>) {
        if let Some(current) = &mut self.current {
            current.leash.abort();
            current.insist = Some(ctx.run_later(ABORT_WAIT, |worker, _| worker.give_up()));
        }
    }

    /// The run reaches no await. A thread cannot be killed; all that can be done is to count it and to say
    /// when it comes back.
    fn give_up(&mut self) {
        let Some(Current {
            process,
            leash,
            told: Some(report),
            ..
        }) = self.current.take()
        else {
            return;
        };
        let (pool, last) = (self.pool.clone(), leash.last());
        service::spawn_control(async move {
            drop(leash);
            let _gone = last.await;
            log::info!("process {process} has ended after all");
            pool.do_send(ZombieEnded);
        });
        self.report(process, report, RunLeaves::Zombie);
    }

    fn report(&self, process: ProcessId, report: Report, leaves: RunLeaves) {
        self.pool.do_send(RunEnded {
            slot: self.slot,
            generation: self.generation,
            process,
            report,
            leaves,
        });
    }
}

impl Handler<Run> for Worker {
    type Result = ();

    fn handle(&mut self, Run { run, entry }: Run, ctx: &mut Self::Context) {
        let process = run.process;
        let robot = Arc::clone(&self.robot);
        let (job, leash) = Job::new(&self.core, entry, robot, run, ctx.address().downgrade());
        self.current = Some(Current {
            process,
            leash,
            told: None,
            insist: None,
        });
        // Refused only when the node has ended; the job's end is then told to nobody.
        drop(self.core.crossing.jobs.send(job));
    }
}

impl Handler<Finished> for Worker {
    type Result = ();

    fn handle(&mut self, Finished(process, answer): Finished, ctx: &mut Self::Context) {
        let Some(current) = self.current.take_if(|current| current.process == process) else {
            return;
        };
        if let Some(insist) = current.insist {
            ctx.cancel_future(insist);
        }
        let (report, panicked) = match current.told {
            // Whatever it answers now: it was told to end, and that is what counts.
            Some(told) => (told, false),
            None => judged(answer),
        };
        if panicked {
            self.report(process, report, RunLeaves::Panic);
            self.death.set(Death::RobotPanicked);
            ctx.stop();
        } else {
            self.report(process, report, RunLeaves::Nothing);
        }
    }
}

impl Handler<EndRun> for Worker {
    type Result = ();

    fn handle(&mut self, EndRun(process, report): EndRun, ctx: &mut Self::Context) {
        let Some(current) = &mut self.current else {
            return;
        };
        if current.process != process || current.told.is_some() {
            return;
        }
        current.told = Some(report);
        let grace = current.leash.cancel();
        if grace.is_zero() {
            self.abort(ctx);
        } else {
            current.insist = Some(ctx.run_later(grace, Self::abort));
        }
    }
}

impl Handler<Stop> for Worker {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.death.set(Death::Stopped);
        ctx.stop();
    }
}

/// Tells the pool that the worker is gone, whatever took it.
struct DownGuard {
    pool: Addr<Pool>,
    slot: SlotId,
    generation: Generation,
    death: Rc<Cell<Death>>,
}

impl Drop for DownGuard {
    fn drop(&mut self) {
        self.pool.do_send(WorkerDown {
            slot: self.slot,
            generation: self.generation,
            death: self.death.get(),
        });
    }
}
