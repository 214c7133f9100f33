//! A pool: the shell around `domain::pool::PoolState` that carries its effects out.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;
use tokio::time::Instant;

use super::bench::PoolSizes;
use super::core::Core;
use super::service;
use super::worker::{EndRun, Run, Stop, Worker};
use crate::domain::id::{IdMap, ProcessId, RobotId};
use crate::domain::pool::{EndReason, PoolEffect, PoolEvent, PoolState, SlotId};
use crate::domain::task::RunEnd;
use crate::robot::Robot;
use crate::robot::outcome::Report;
use crate::robot::registry::{Entry, PoolHealth};
use crate::store::StoreError;
use message::Settle;
pub(crate) use message::{
    Drain, End, Look, Resize, RunEnded, RunLeaves, Submit, WorkerDown, WorkerReady, ZombieEnded,
};
use runs::{Limit, Runs};

mod message;
mod runs;

/// Pause after the database did not take a task back.
const RELEASE_PAUSE: Duration = Duration::from_millis(500);

/// One robot's workers, and the runs they have.
pub(crate) struct Pool {
    core: Arc<Core>,
    id: RobotId,
    name: String,
    robot: Arc<dyn Robot>,
    state: PoolState,
    runs: Runs,
    workers: IdMap<SlotId, Addr<Worker>>,
    health: watch::Sender<PoolHealth>,
    epoch: Instant,
    timer: Option<(Duration, SpawnHandle)>,
    /// Whether [`Settle`] is in the mailbox.
    unsettled: bool,
    /// Whether its quarantine has been said.
    quarantined: bool,
}

impl Pool {
    pub(crate) fn new(
        core: Arc<Core>,
        id: RobotId,
        name: String,
        robot: Arc<dyn Robot>,
        health: watch::Sender<PoolHealth>,
        state: PoolState,
    ) -> Self {
        let runs = Runs::new(Arc::clone(&core), id);
        Self {
            core,
            id,
            name,
            robot,
            state,
            runs,
            workers: IdMap::default(),
            health,
            epoch: Instant::now(),
            timer: None,
            unsettled: false,
            quarantined: false,
        }
    }

    fn step(&mut self, event: PoolEvent, ctx: &mut Context<Self>) {
        let now = self.epoch.elapsed();
        let effects = self.state.on(event, now);
        self.carry_out(effects, now, ctx);
    }

    /// Carries out what follows from events, one or many.
    fn carry_out(&mut self, effects: Vec<PoolEffect>, now: Duration, ctx: &mut Context<Self>) {
        let mut entry = None;
        for effect in effects {
            match effect {
                PoolEffect::Start(slot, generation) => {
                    let (core, robot) = (Arc::clone(&self.core), Arc::clone(&self.robot));
                    let worker =
                        Worker::start_guarded(core, robot, ctx.address(), slot, generation);
                    self.workers.insert(slot, worker);
                }
                PoolEffect::Run(slot, _, process) => {
                    entry = entry.or_else(|| self.core.tools.registry.by_id(self.id));
                    if let Some(entry) = &entry {
                        self.run(slot, process, entry, now);
                    }
                }
                PoolEffect::EndRun(slot, _, process, reason) => {
                    self.tell_end(slot, process, ended_from_outside(reason));
                }
                PoolEffect::Stop(slot, _) => {
                    if let Some(worker) = self.workers.remove(&slot) {
                        worker.do_send(Stop);
                    }
                }
                PoolEffect::Lose(process) => {
                    let report = Report::of_runtime(RunEnd::Lost, "worker_lost", "its worker died");
                    self.runs.end(process, report);
                }
                PoolEffect::Return(process) => self.give_back(process),
            }
        }
        // At once: what may be claimed is exact at any instant. All else can wait until the mailbox is empty.
        let capacity = self.runs.capacity();
        if capacity.set_room(self.state.room()) && capacity.free() > 0 {
            self.core.room.notify_one();
        }
        if !self.unsettled {
            self.unsettled = true;
            ctx.address().do_send(Settle);
        }
    }

    fn run(&mut self, slot: SlotId, process: ProcessId, entry: &Arc<Entry>, now: Duration) {
        let limit = entry.config.timeout;
        let limit = Limit {
            slot,
            limit,
            until: now.saturating_add(limit),
        };
        if let (Some(worker), Some(run)) =
            (self.workers.get(&slot), self.runs.start(process, limit))
        {
            let entry = Arc::clone(entry);
            worker.do_send(Run { run, entry });
        }
    }

    fn tell_end(&self, slot: SlotId, process: ProcessId, report: Report) {
        if let Some(worker) = self.workers.get(&slot) {
            worker.do_send(EndRun(process, report));
        }
    }

    fn end_overdue(&mut self) {
        for (process, Limit { slot, limit, .. }) in self.runs.overdue(self.epoch.elapsed()) {
            let text = format!("ran longer than its time limit of {limit:?}");
            let report = Report::of_runtime(RunEnd::TimedOut, "timed_out", text);
            self.tell_end(slot, process, report);
        }
    }

    fn give_back(&mut self, process: ProcessId) {
        let Some(run) = self.runs.take(process) else {
            return;
        };
        let core = Arc::clone(&self.core);
        let id = self.id;
        service::spawn_control(async move {
            loop {
                let given = core.store().task_release(vec![(run.task, run.process)]);
                match given.await {
                    Err(StoreError::Unavailable(_))
                        if service::pause(&core, RELEASE_PAUSE).await => {}
                    Ok(()) => break,
                    Err(error) => {
                        // The lease ends with the node, and the task is offered again then.
                        log::warn!("failed to give back task {}: {error}", run.task);
                        break;
                    }
                }
            }
            if let Some(capacity) = core.capacity.get(&id) {
                capacity.given_back();
            }
            core.room.notify_one();
        });
    }

    /// Keeps exactly one timer, for the earliest thing to do.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        let wanted = [self.state.wake_at(), self.runs.look_at()];
        let wanted = wanted.into_iter().flatten().min();
        if self.timer.as_ref().map(|(at, _)| *at) == wanted {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        if let Some(at) = wanted {
            let delay = at.saturating_sub(self.epoch.elapsed());
            let timer = ctx.run_later(delay, |pool, ctx| {
                pool.timer = None;
                pool.end_overdue();
                pool.step(PoolEvent::Wake, ctx);
            });
            self.timer = Some((at, timer));
        }
    }

    fn publish(&self) {
        let figures = self.state.figures();
        let now = self.core.now();
        let elapsed = self.epoch.elapsed();
        self.health.send_if_modified(|health| {
            let quarantined = figures.quarantined.then(|| {
                let since = health.quarantined.map_or(now, |(since, _)| since);
                let until = figures
                    .quarantined_until
                    .map_or(now, |until| now + until.saturating_sub(elapsed));
                match health.quarantined {
                    // The same quarantine seen a moment later: keep its end from trembling.
                    Some((_, told)) if (told - until).abs() < chrono::TimeDelta::seconds(1) => {
                        (since, told)
                    }
                    _ => (since, until),
                }
            });
            let new = PoolHealth {
                wanted: figures.wanted,
                running: figures.running,
                backing_off: figures.backing_off,
                zombies: figures.zombies,
                restarts_recent: figures.restarts_recent,
                restarts: figures.restarts,
                quarantined,
                last_error_class: health.last_error_class.clone(),
                last_error: health.last_error.clone(),
            };
            let changed = *health != new;
            *health = new;
            changed
        });
    }

    fn say_quarantine(&mut self) {
        let quarantined = self.state.figures().quarantined_until.is_some();
        if quarantined && !self.quarantined {
            let last = self.health.borrow().last_error.clone().unwrap_or_default();
            log::error!(
                "{} crashes again and again and is quarantined; last error: {last}",
                self.name
            );
        }
        self.quarantined = quarantined;
    }

    fn remember_error(&self, report: &Report) {
        if report.error_class.is_some() {
            self.health.send_modify(|health| {
                health.last_error_class.clone_from(&report.error_class);
                health.last_error.clone_from(&report.error);
            });
        }
    }
}

impl Actor for Pool {
    type Context = Context<Self>;
}

impl Handler<WorkerReady> for Pool {
    type Result = ();

    fn handle(&mut self, WorkerReady { slot, generation }: WorkerReady, ctx: &mut Self::Context) {
        self.step(PoolEvent::Ready(slot, generation), ctx);
    }
}

impl Handler<WorkerDown> for Pool {
    type Result = ();

    fn handle(
        &mut self,
        WorkerDown {
            slot,
            generation,
            death,
        }: WorkerDown,
        ctx: &mut Self::Context,
    ) {
        self.step(
            PoolEvent::Down(slot, generation, death, rand::random()),
            ctx,
        );
    }
}

impl Handler<RunEnded> for Pool {
    type Result = ();

    fn handle(&mut self, ended: RunEnded, ctx: &mut Self::Context) {
        self.remember_error(&ended.report);
        self.runs.end(ended.process, ended.report);
        match ended.leaves {
            RunLeaves::Nothing => self.step(PoolEvent::Ended(ended.slot, ended.generation), ctx),
            // Its worker's death is told next.
            RunLeaves::Panic => {}
            RunLeaves::Zombie => {
                log::error!(
                    "process {} of {} does not end; its thread is lost",
                    ended.process,
                    self.name
                );
                self.step(PoolEvent::Stuck(ended.slot, ended.generation), ctx);
            }
        }
    }
}

impl Handler<ZombieEnded> for Pool {
    type Result = ();

    fn handle(&mut self, _: ZombieEnded, ctx: &mut Self::Context) {
        self.step(PoolEvent::ZombieGone, ctx);
    }
}

impl Handler<Submit> for Pool {
    type Result = ();

    fn handle(&mut self, Submit(claims): Submit, ctx: &mut Self::Context) {
        let count = u32::try_from(claims.len()).unwrap_or(u32::MAX);
        let now = self.epoch.elapsed();
        let mut effects = Vec::with_capacity(claims.len());
        for claim in claims {
            let process = claim.process;
            self.runs.hold(claim);
            effects.append(&mut self.state.on(PoolEvent::Submit(process), now));
        }
        self.carry_out(effects, now, ctx);
        self.runs.capacity().delivered(count);
    }
}

impl Handler<Settle> for Pool {
    type Result = ();

    fn handle(&mut self, _: Settle, ctx: &mut Self::Context) {
        self.unsettled = false;
        self.say_quarantine();
        self.arm(ctx);
        self.publish();
    }
}

impl Handler<Look> for Pool {
    type Result = MessageResult<Look>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        MessageResult(PoolSizes {
            places: self.state.places(),
            workers: self.workers.len(),
            runs: self.runs.len(),
        })
    }
}

impl Handler<Resize> for Pool {
    type Result = ();

    fn handle(&mut self, Resize(instances): Resize, ctx: &mut Self::Context) {
        self.step(PoolEvent::Resize(instances), ctx);
    }
}

impl Handler<End> for Pool {
    type Result = ();

    fn handle(&mut self, End(process, reason): End, ctx: &mut Self::Context) {
        let processes =
            process.map_or_else(|| self.state.busy().collect(), |process| vec![process]);
        for process in processes {
            self.step(PoolEvent::End(process, reason), ctx);
        }
    }
}

impl Handler<Drain> for Pool {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        self.step(PoolEvent::Drain, ctx);
    }
}

fn ended_from_outside(reason: EndReason) -> Report {
    match reason {
        EndReason::Cancelled => {
            Report::of_runtime(RunEnd::Cancelled, "cancelled", "cancelled on request")
        }
        EndReason::Interrupted => Report::of_runtime(
            RunEnd::Interrupted,
            "interrupted",
            "interrupted; the task is offered again",
        ),
    }
}
