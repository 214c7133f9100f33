//! Events by the broker: the same checks and the same way in as over HTTP, acknowledged after the commit.
//!
//! What happens to a message: it becomes an event (or is known as one) and is acknowledged; or the database cannot
//! take it now and it is delivered again, later each time; or it can never be accepted, and is put aside as a dead
//! letter with the reason before it is refused. A node that dies on the way has acknowledged nothing, and the (source,
//! id) of an event makes its second delivery the same event.

mod dead;
mod message;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{IntakeError, accept, problems};
use crate::clock::SharedClock;
use crate::connect::ConnectError;
use crate::connect::nats::{Broker, Delivery};
use crate::domain::event::CloudEvent;
use crate::domain::robot::FieldError;
use crate::robot::registry::Registry;
use crate::store::Store;

/// First and longest pause before the consumer is opened again.
const OPEN_PAUSE_MIN: Duration = Duration::from_millis(250);
/// See [`OPEN_PAUSE_MIN`].
const OPEN_PAUSE_MAX: Duration = Duration::from_secs(10);
/// First and longest delay before a message is delivered again that could not be stored.
const AGAIN_MIN: Duration = Duration::from_secs(1);
/// See [`AGAIN_MIN`].
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// An event that the database takes with no other, nor by itself, is put aside after so many deliveries.
const REFUSALS_MAX: u32 = 10;
/// What this is called where its troubles are told.
const ABOUT: &str = "events";

/// What events need on their way in.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where they come from.
    pub broker: Broker,
    /// Where they go.
    pub store: Store,
    /// Whom they wake.
    pub registry: Arc<Registry>,
    /// The time of day.
    pub clock: SharedClock,
}

impl Listener {
    /// Takes events in until `stop` fires; comes back by itself whatever happens to the broker.
    pub async fn listen(self, stop: CancellationToken) {
        let mut pause = OPEN_PAUSE_MIN;
        while !stop.is_cancelled() {
            let ended = tokio::select! {
                ended = self.read(&mut pause) => ended,
                () = stop.cancelled() => return,
            };
            // While the server is away that is what there is to tell.
            if self.broker.is_connected() {
                log::warn!("events do not come in by NATS for now: failed to {ended}");
                let text = format!("failed to {ended}");
                self.broker.set_trouble(ABOUT, Some(text));
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(OPEN_PAUSE_MAX),
                () = stop.cancelled() => return,
            }
        }
    }

    /// Reads the consumer until it breaks; answers why.
    async fn read(&self, pause: &mut Duration) -> ConnectError {
        self.broker.connected().await;
        let mut inbox = match self.broker.inbox().await {
            Ok(inbox) => inbox,
            Err(error) => return error,
        };
        self.broker.set_trouble(ABOUT, None);
        loop {
            match inbox.next().await {
                Ok(deliveries) => self.take_in(deliveries).await,
                Err(error) => return error,
            }
            *pause = OPEN_PAUSE_MIN;
        }
    }

    async fn take_in(&self, deliveries: Vec<Delivery>) {
        let mut events = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            match read(&delivery) {
                Ok(event) => events.push((delivery, event)),
                Err(reason) => self.put_aside(&delivery, &reason).await,
            }
        }
        self.store(events).await;
    }

    /// Stores events in one transaction; where the database refuses them, each by itself.
    async fn store(&self, mut events: Vec<(Delivery, CloudEvent)>) {
        let batch: Vec<_> = events.iter().map(|(_, event)| event.clone()).collect();
        if batch.is_empty() {
            return;
        }
        let count = batch.len();
        let accepted = accept(&self.store, &self.registry, self.clock.as_ref(), batch).await;
        match accepted {
            Ok(appended) => {
                log::debug!(
                    "{count} messages by NATS: {} events, {} known",
                    appended.accepted,
                    appended.duplicates
                );
                settle(events.iter().map(|(delivery, _)| delivery.confirm())).await;
            }
            Err(IntakeError::Store(error)) if error.is_temporary() => {
                log::warn!("{count} events by NATS wait there for the database: {error}");
                let again = events
                    .iter()
                    .map(|(delivery, _)| delivery.again(delay(delivery.deliveries())));
                settle(again).await;
            }
            Err(error) if count > 1 => {
                log::warn!("failed to store {count} events at once: {error}");
                for event in events.drain(..) {
                    Box::pin(self.store(Vec::from([event]))).await;
                }
            }
            Err(error) => {
                for (delivery, _) in &events {
                    self.refused(delivery, &error).await;
                }
            }
        }
    }

    /// Deals with an event that the database refuses although it can be reached.
    async fn refused(&self, delivery: &Delivery, error: &IntakeError) {
        let (place, deliveries) = (delivery.place(), delivery.deliveries());
        log::error!(
            "failed to store the event of message {place}, delivered {deliveries} times: {error}"
        );
        if deliveries < REFUSALS_MAX {
            settle([delivery.again(delay(deliveries))]).await;
        } else {
            self.put_aside(
                delivery,
                "it could not be stored; the log of the node says why",
            )
            .await;
        }
    }

    /// Puts a message aside and refuses it, in this order: a letter that could not be sent is tried again later.
    async fn put_aside(&self, delivery: &Delivery, reason: &str) {
        let place = delivery.place();
        let letter = dead::letter(delivery, reason);
        let to = letter.subject.clone();
        let sent = self.broker.publish(Vec::from([letter])).await;
        if let Some(Err(error)) = sent.into_iter().next() {
            log::warn!(
                "message {place} cannot be accepted ({reason}) and waits to be put aside: failed to {error}"
            );
            settle([delivery.again(delay(delivery.deliveries()))]).await;
        } else {
            log::warn!("message {place} cannot be accepted and lies at {to}: {reason}");
            settle([delivery.refuse()]).await;
        }
    }
}

/// The event of a message, or why it is none that can be accepted.
fn read(delivery: &Delivery) -> Result<CloudEvent, String> {
    let event = message::read(delivery.headers(), delivery.payload())?;
    let wrong: Vec<_> = problems(&event).iter().map(told).collect();
    match wrong.is_empty() {
        true => Ok(event),
        false => Err(wrong.join("; ")),
    }
}

fn told(problem: &FieldError) -> String {
    format!("`{}`: {}", problem.field, problem.detail)
}

/// Tells the broker what became of messages. One that does not hear it delivers them again, which does no harm.
async fn settle<F>(answers: impl IntoIterator<Item = F>)
where
    F: Future<Output = Result<(), ConnectError>>,
{
    let unheard = join_all(answers).await;
    let mut errors = unheard.into_iter().filter_map(Result::err);
    if let Some(first) = errors.next() {
        log::debug!(
            "{} messages may be delivered again: failed to {first}",
            errors.count() + 1
        );
    }
}

/// The delay before a message is delivered again that was delivered so often.
fn delay(deliveries: u32) -> Duration {
    let doublings = deliveries.saturating_sub(1).min(16);
    AGAIN_MAX.min(AGAIN_MIN * 2_u32.pow(doublings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_later_each_time() {
        let seconds = |deliveries| delay(deliveries).as_secs();
        assert_eq!(
            [0, 1, 2, 3, 6, 7, 1_000].map(seconds),
            [1, 1, 2, 4, 32, 60, 60]
        );
    }
}
