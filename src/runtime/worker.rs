//! A worker: an actor that holds at most one run.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::core::Core;
use super::execute::{Execution, Leaves, execute};
use super::pool::{Pool, RunEnded, WorkerDown, WorkerReady, ZombieEnded};
use super::service;
use crate::domain::id::ProcessId;
use crate::domain::pool::{Death, EndReason, Generation, SlotId};
use crate::robot::Robot;
use crate::robot::registry::Entry;
use crate::store::task::Claimed;

/// Runs one process at a time for its pool.
pub(crate) struct Worker {
    core: Arc<Core>,
    robot: Arc<dyn Robot>,
    pool: Addr<Pool>,
    slot: SlotId,
    generation: Generation,
    /// What it runs, and how to end it.
    current: Option<(ProcessId, Option<oneshot::Sender<EndReason>>)>,
    /// What its guard tells the pool when it dies.
    death: Rc<Cell<Death>>,
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

/// End what you run, if it is still this.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct EndRun(pub(crate) ProcessId, pub(crate) EndReason);

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

    fn finished(&mut self, process: ProcessId, done: Execution, ctx: &mut actix::Context<Self>) {
        self.current = None;
        let panicked = matches!(done.leaves, Leaves::Panic);
        let stuck = matches!(done.leaves, Leaves::Zombie(_));
        if let Leaves::Zombie(handle) = done.leaves {
            self.watch_zombie(process, handle);
        }
        self.pool.do_send(RunEnded {
            slot: self.slot,
            generation: self.generation,
            process,
            report: done.report,
            panicked,
            stuck,
        });
        if panicked {
            self.death.set(Death::RobotPanicked);
            ctx.stop();
        }
    }

    /// A thread cannot be killed; all that can be done is to count it and to say when it comes back.
    fn watch_zombie(&self, process: ProcessId, handle: impl Future + 'static) {
        let pool = self.pool.clone();
        service::spawn_control(async move {
            handle.await;
            log::info!("process {process} has ended after all");
            pool.do_send(ZombieEnded);
        });
    }
}

impl Handler<Run> for Worker {
    type Result = ();

    fn handle(&mut self, Run { run, entry }: Run, ctx: &mut Self::Context) {
        let process = run.process;
        let (end, ended) = oneshot::channel();
        self.current = Some((process, Some(end)));
        let execution = execute(
            Arc::clone(&self.core),
            entry,
            Arc::clone(&self.robot),
            run,
            ended,
        );
        ctx.spawn(
            execution
                .into_actor(self)
                .map(move |done, worker, ctx| worker.finished(process, done, ctx)),
        );
    }
}

impl Handler<EndRun> for Worker {
    type Result = ();

    fn handle(&mut self, EndRun(process, reason): EndRun, _: &mut Self::Context) {
        if let Some((current, end)) = &mut self.current
            && *current == process
            && let Some(end) = end.take()
        {
            // A run that has just ended no longer listens; its end is on the way.
            let _ended_already = end.send(reason);
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
