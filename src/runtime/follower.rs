//! Follows what other nodes did: configurations they changed, processes they were asked to end, nodes that came and went.

use std::sync::Arc;

use actix::Addr;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::configuration;
use super::core::Core;
use super::service;
use super::supervisor::{CancelRun, Supervisor};
use crate::store::StoreResult;
use crate::store::signal::Signal;

/// The service, restartable.
pub(crate) fn keep(core: &Arc<Core>, supervisor: &Addr<Supervisor>) {
    let supervisor = supervisor.clone();
    service::keep(core, "follower", move |core| run(core, supervisor.clone()));
}

struct Follower {
    core: Arc<Core>,
    supervisor: Addr<Supervisor>,
    /// Whether configurations are to be read.
    reload: bool,
    /// Whether runs that were asked to stop are to be looked for.
    stop: bool,
}

async fn run(core: Arc<Core>, supervisor: Addr<Supervisor>) {
    let mut signals = core.store().signals();
    let mut follower = Follower {
        core: Arc::clone(&core),
        supervisor,
        reload: true,
        stop: true,
    };
    let period = core.membership.terms.timeout;
    let mut next_look = Instant::now();
    loop {
        if let Err(error) = follower.round().await {
            log::warn!("failed to read what other nodes changed: {error}");
        }
        tokio::select! {
            signal = signals.recv() => follower.note(signal),
            () = core.reconfigure.notified() => follower.reload = true,
            () = tokio::time::sleep_until(next_look) => {
                // A cancel whose signal was lost. Without others nobody else is asked.
                next_look = Instant::now() + period;
                let alive = core.membership.view().alive;
                follower.stop |= alive.iter().any(|node| *node != core.tools.node);
            }
            () = core.stopping.cancelled() => return,
        }
        while let Ok(signal) = signals.try_recv() {
            follower.note(Ok(signal));
        }
    }
}

impl Follower {
    fn note(&mut self, signal: Result<Signal, RecvError>) {
        let membership = &self.core.membership;
        match signal {
            Ok(Signal::Configured(_)) => self.reload = true,
            Ok(Signal::Cancel {
                process,
                robot,
                node,
            }) if node == self.core.tools.node => {
                self.supervisor.do_send(CancelRun(robot, process));
            }
            Ok(Signal::Nodes) => membership.look.notify_one(),
            Ok(Signal::Shares) => membership.share.notify_one(),
            Ok(Signal::Anything) | Err(RecvError::Lagged(_) | RecvError::Closed) => {
                (self.reload, self.stop) = (true, true);
                membership.look.notify_one();
                membership.share.notify_one();
            }
            Ok(_) => {}
        }
    }

    async fn round(&mut self) -> StoreResult<()> {
        if self.reload {
            configuration::reload(&self.core, &self.supervisor).await?;
            self.reload = false;
        }
        if self.stop {
            for (process, robot) in self.core.store().task_to_stop(self.core.tools.node).await? {
                self.supervisor.do_send(CancelRun(robot, process));
            }
            self.stop = false;
        }
        Ok(())
    }
}
