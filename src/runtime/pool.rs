//! A pool: the shell around `domain::pool::PoolState` that carries its effects out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;
use tokio::time::Instant;

use super::core::{Capacity, Core};
use super::service;
use super::worker::{EndRun, Run, Stop, Worker};
use crate::domain::id::{ProcessId, RobotId};
use crate::domain::pool::{PoolEffect, PoolEvent, PoolState, SlotId};
use crate::domain::task::RunEnd;
use crate::robot::Robot;
use crate::robot::outcome::Report;
use crate::robot::registry::PoolHealth;
pub(crate) use message::{
    Drain, End, Resize, RunEnded, Submit, WorkerDown, WorkerReady, ZombieEnded,
};
use runs::Runs;

mod message;
mod runs;

/// One robot's workers, and the runs they have.
pub(crate) struct Pool {
    core: Arc<Core>,
    id: RobotId,
    name: String,
    robot: Arc<dyn Robot>,
    state: PoolState,
    runs: Runs,
    workers: HashMap<SlotId, Addr<Worker>>,
    health: watch::Sender<PoolHealth>,
    epoch: Instant,
    timer: Option<(Duration, SpawnHandle)>,
}

impl Pool {
    pub(crate) fn new(
        core: Arc<Core>,
        id: RobotId,
        name: String,
        robot: Arc<dyn Robot>,
        health: watch::Sender<PoolHealth>,
    ) -> Self {
        let runs = Runs::new(Arc::clone(&core), id);
        Self {
            core,
            id,
            name,
            robot,
            state: PoolState::new(),
            runs,
            workers: HashMap::new(),
            health,
            epoch: Instant::now(),
            timer: None,
        }
    }

    fn step(&mut self, event: PoolEvent, ctx: &mut Context<Self>) {
        let was_quarantined = self.state.figures().quarantined_until.is_some();
        for effect in self.state.on(event, self.epoch.elapsed()) {
            self.carry_out(effect, ctx);
        }
        if !was_quarantined && self.state.figures().quarantined_until.is_some() {
            let last = self.health.borrow().last_error.clone().unwrap_or_default();
            log::error!(
                "{} crashes again and again and is quarantined; last error: {last}",
                self.name
            );
        }
        self.arm(ctx);
        self.publish();
    }

    fn carry_out(&mut self, effect: PoolEffect, ctx: &mut Context<Self>) {
        match effect {
            PoolEffect::Start(slot, generation) => {
                let (core, robot) = (Arc::clone(&self.core), Arc::clone(&self.robot));
                let worker = Worker::start_guarded(core, robot, ctx.address(), slot, generation);
                self.workers.insert(slot, worker);
            }
            PoolEffect::Run(slot, _, process) => self.run(slot, process),
            PoolEffect::EndRun(slot, _, process, reason) => {
                if let Some(worker) = self.workers.get(&slot) {
                    worker.do_send(EndRun(process, reason));
                }
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

    fn run(&self, slot: SlotId, process: ProcessId) {
        let entry = self.core.tools.registry.get(&self.name);
        if let (Some(worker), Some(run), Some(entry)) =
            (self.workers.get(&slot), self.runs.get(process), entry)
        {
            worker.do_send(Run {
                run: Arc::clone(run),
                entry,
            });
        }
    }

    fn give_back(&mut self, process: ProcessId) {
        let Some(run) = self.runs.take(process) else {
            return;
        };
        let core = Arc::clone(&self.core);
        service::spawn_control(async move {
            // On failure the lease ends with the node and the rescuer offers the task again.
            if let Err(error) = core
                .store()
                .task_release(vec![(run.task, run.process)])
                .await
            {
                log::warn!("failed to give back task {}: {error}", run.task);
            }
            core.room.notify_one();
        });
    }

    /// Keeps exactly one timer, for the earliest thing to do.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        let wanted = self.state.wake_at();
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
        if let Some(capacity) = self.capacity()
            && capacity.set_room(self.state.room())
        {
            self.core.room.notify_one();
        }
    }

    fn capacity(&self) -> Option<&Capacity> {
        self.core.capacity.get(&self.id)
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
        if ended.stuck {
            log::error!(
                "process {} of {} does not end; its thread is lost",
                ended.process,
                self.name
            );
            self.step(PoolEvent::Stuck(ended.slot, ended.generation), ctx);
        } else if !ended.panicked {
            self.step(PoolEvent::Ended(ended.slot, ended.generation), ctx);
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
        for claim in claims {
            let process = claim.process;
            self.runs.hold(claim);
            self.step(PoolEvent::Submit(process), ctx);
        }
        if let Some(capacity) = self.capacity() {
            capacity.redeem(count);
        }
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
