//! Publishes changes: takes them from the outbox in their order, and removes them once the broker has them on disk.
//!
//! One node at a time does so, by a lease that runs out when it dies. While the broker is away changes wait in the
//! database, up to a bound; beyond it the oldest are given up and a mark says how many.

mod announcement;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;

use super::core::Core;
use super::service;
use crate::connect::ConnectError;
use crate::connect::nats::Broker;
use crate::store::StoreResult;
use crate::store::outbox::{OutboxLease, Waiting};
use crate::store::signal::Signal;
use announcement::{message, waves};

/// Changes published at a time. An event among them has up to 64 KiB.
const BATCH_MAX: u32 = 500;
/// How long the lease lasts without being held on.
const LEASE_LIFE: Duration = Duration::from_secs(15);
/// How often it is held on, and the outbox's length looked at.
const LEASE_PERIOD: Duration = Duration::from_secs(5);
/// Changes that follow each other closely are published together.
const LINGER: Duration = Duration::from_millis(20);
/// First and longest pause after the broker did not take a change.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(250);
/// See [`RETRY_PAUSE_MIN`].
const RETRY_PAUSE_MAX: Duration = LEASE_PERIOD;
/// What this is called where its troubles are told.
const ABOUT: &str = "changes";

/// Keeps the service running, where there is a broker.
pub(crate) fn keep(core: &Arc<Core>) {
    if let Some(broker) = core.broker.clone() {
        service::keep(core, "announcer", move |core| run(core, broker.clone()));
    }
}

async fn run(core: Arc<Core>, broker: Broker) {
    let mut announcer = Announcer {
        core,
        broker,
        lease: None,
        prepared: false,
        lost: 0,
    };
    let mut wakes = Wakes::of(&announcer.core);
    let mut pause = RETRY_PAUSE_MIN;
    while !announcer.core.stopping.is_cancelled() {
        wakes.forget();
        let round = announcer.round().await;
        match &round {
            Ok(Round::More) => {}
            Ok(Round::Idle) => wakes.wait(&announcer.core).await,
            Ok(Round::Away) => announcer.wait_for_the_broker().await,
            Ok(Round::Stuck) | Err(_) => {
                if let Err(error) = &round {
                    log::warn!("failed to read the changes to be published: {error}");
                }
                service::pause(&announcer.core, pause).await;
                pause = (pause * 2).min(RETRY_PAUSE_MAX);
                continue;
            }
        }
        pause = RETRY_PAUSE_MIN;
    }
}

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// There may be more to publish.
    More,
    /// There is nothing to publish now.
    Idle,
    /// There is no connection.
    Away,
    /// The broker takes nothing now.
    Stuck,
}

struct Announcer {
    core: Arc<Core>,
    broker: Broker,
    /// What was last agreed on, and until when that holds by itself.
    lease: Option<(OutboxLease, Instant)>,
    /// Whether the stream was seen since the last failure.
    prepared: bool,
    /// Changes given up since all was published.
    lost: u64,
}

impl Announcer {
    async fn round(&mut self) -> StoreResult<Round> {
        let Some((lease, held_until)) = self.hold_lease().await? else {
            return Ok(Round::Idle);
        };
        if !self.broker.is_connected() {
            self.prepared = false;
            return Ok(Round::Away);
        }
        if !self.prepared {
            if let Err(error) = self.broker.prepare_changes().await {
                return Ok(self.stuck(&error));
            }
            self.prepared = true;
            self.tell(None);
        }
        let batch = self.core.store().outbox_next(BATCH_MAX).await?;
        if batch.is_empty() {
            if self.lost > 0 {
                self.lost = 0;
                self.tell(None);
            }
            return Ok(Round::Idle);
        }
        for wave in waves(batch) {
            // A wave takes less than the rest of the lease's life; another node may publish after it.
            if Instant::now() >= held_until {
                break;
            }
            if let Err(error) = self.publish(lease, &wave).await? {
                return Ok(self.stuck(&error));
            }
        }
        Ok(Round::More)
    }

    /// Waits until the connection stands, or it is time to hold the lease on.
    async fn wait_for_the_broker(&self) {
        tokio::select! {
            () = self.broker.connected() => {}
            () = tokio::time::sleep(LEASE_PERIOD) => {}
            () = self.core.stopping.cancelled() => {}
        }
    }

    /// The lease, held on where it is time; `None` while another node has it.
    async fn hold_lease(&mut self) -> StoreResult<Option<(OutboxLease, Instant)>> {
        if let Some((_, until)) = self.lease
            && Instant::now() < until
        {
            return Ok(self.lease);
        }
        self.lease = None;
        let (store, now) = (self.core.store(), self.core.now());
        let node = self.core.tools.node;
        let Some(lease) = store.outbox_lease(node, now, now + LEASE_LIFE).await? else {
            return Ok(None);
        };
        let max = self.broker.settings().changes_max;
        let mut lost = 0;
        loop {
            let given_up = store.outbox_trim(max, now).await?.given_up;
            lost += given_up;
            if given_up == 0 {
                break;
            }
        }
        if lost > 0 {
            self.lost += lost;
            log::error!(
                "{lost} changes were given up: more than {max} wait for NATS; their readers are told so"
            );
            self.tell(None);
        }
        self.lease = Some((lease, Instant::now() + LEASE_PERIOD));
        Ok(self.lease)
    }

    /// Publishes changes of different things and removes those that the stream has.
    async fn publish(
        &self,
        lease: OutboxLease,
        wave: &[Waiting],
    ) -> StoreResult<Result<(), ConnectError>> {
        let registry = &self.core.tools.registry;
        let name = |robot| registry.by_id(robot).map(|entry| entry.name().to_owned());
        let (mut done, mut ids, mut messages) = (Vec::new(), Vec::new(), Vec::new());
        for waiting in wave {
            match message(lease, waiting, name) {
                Some(message) => {
                    ids.push(waiting.id);
                    messages.push(message);
                }
                None => done.push(waiting.id),
            }
        }
        let mut failed = None;
        for (id, result) in ids.into_iter().zip(self.broker.publish(messages).await) {
            match result {
                Ok(()) => done.push(id),
                Err(error @ ConnectError::Invalid { .. }) => {
                    log::error!("change {id} is never published: failed to {error}");
                    done.push(id);
                    failed = failed.or(Some(error));
                }
                Err(error) => failed = Some(error),
            }
        }
        self.core.store().outbox_done(done).await?;
        Ok(failed.map_or(Ok(()), Err))
    }

    fn stuck(&mut self, error: &ConnectError) -> Round {
        self.prepared = false;
        // While the server is away that is what there is to tell.
        if self.broker.is_connected() {
            log::warn!("changes wait in the database: failed to {error}");
            self.tell(Some(error));
        }
        Round::Stuck
    }

    /// Tells what does not work, or that it does again, and what was lost meanwhile.
    fn tell(&self, error: Option<&ConnectError>) {
        let lost = match self.lost {
            0 => None,
            lost => Some(format!(
                "{lost} changes were given up while NATS did not take them"
            )),
        };
        let error = error.map(|error| format!("failed to {error}; changes wait in the database"));
        let told: Vec<_> = error.into_iter().chain(lost).collect();
        let told = (!told.is_empty()).then(|| told.join("; "));
        self.broker.set_trouble(ABOUT, told);
    }
}

/// What says that something may have changed.
struct Wakes {
    changes: Receiver<Signal>,
    signals: Receiver<Signal>,
}

impl Wakes {
    fn of(core: &Core) -> Self {
        Self {
            changes: core.store().changes(),
            signals: core.store().signals(),
        }
    }

    /// What is told from now on wakes; what was told is looked at by the round that follows.
    fn forget(&mut self) {
        self.changes = self.changes.resubscribe();
        self.signals = self.signals.resubscribe();
    }

    /// Waits until something may have changed, or it is time to hold the lease on.
    async fn wait(&mut self, core: &Core) {
        tokio::select! {
            _told = self.changes.recv() => {}
            _told = self.signals.recv() => {}
            () = tokio::time::sleep(LEASE_PERIOD) => return,
            () = core.stopping.cancelled() => return,
        }
        service::pause(core, LINGER).await;
    }
}
