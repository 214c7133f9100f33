//! Events on their way in.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{Consumer, pull};
use futures_util::StreamExt as _;
use futures_util::stream::ReadyChunks;

use super::broker::Broker;
use crate::connect::ConnectError;

/// Messages asked for at a time, and the most that are handed on at once.
pub const FETCH_MAX: usize = 500;
/// How long one request for messages stands.
const REQUEST_LIFE: Duration = Duration::from_secs(30);
/// A server that has nothing says so this often; silence for twice as long is a broken consumer.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The durable consumer, being read.
pub struct Inbox {
    broker: Broker,
    messages: ReadyChunks<pull::Stream>,
    broken: Option<ConnectError>,
}

impl Inbox {
    pub(super) async fn open(
        broker: Broker,
        consumer: &Consumer<pull::Config>,
    ) -> Result<Self, ConnectError> {
        let messages = consumer
            .stream()
            .max_messages_per_batch(FETCH_MAX)
            .expires(REQUEST_LIFE)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(|error| broker.refused("ask for messages of", &error))?;
        Ok(Self {
            broker,
            messages: messages.ready_chunks(FETCH_MAX),
            broken: None,
        })
    }

    /// Waits for messages; answers all that are here, at most [`FETCH_MAX`].
    ///
    /// # Errors
    /// The consumer cannot be read any more: it is to be opened anew.
    pub async fn next(&mut self) -> Result<Vec<Delivery>, ConnectError> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let Some(chunk) = self.messages.next().await else {
            return Err(self.ended("the consumer's messages ended".to_owned()));
        };
        let mut deliveries = Vec::with_capacity(chunk.len());
        for message in chunk {
            match message {
                Ok(message) => deliveries.push(Delivery {
                    broker: self.broker.clone(),
                    message,
                }),
                Err(error) => self.broken = Some(self.ended(error.to_string())),
            }
        }
        match self.broken.take() {
            Some(error) if deliveries.is_empty() => Err(error),
            broken => {
                self.broken = broken;
                Ok(deliveries)
            }
        }
    }

    fn ended(&self, reason: String) -> ConnectError {
        ConnectError::Refused {
            target: self.broker.settings().shown(),
            step: "read messages of",
            reason,
        }
    }
}

/// One message, until somebody says what becomes of it.
#[derive(Debug)]
pub struct Delivery {
    broker: Broker,
    message: Message,
}

impl Delivery {
    /// Where it was published.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.message.subject
    }

    /// Its headers; one that was given twice comes twice.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self
            .message
            .headers
            .iter()
            .flat_map(|headers| headers.iter());
        headers.flat_map(|(name, values)| {
            let name: &str = name.as_ref();
            values.iter().map(move |value| (name, value.as_str()))
        })
    }

    /// Its body.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.message.payload
    }

    /// Its place in the stream, which names it for ever: `STREAM:SEQUENCE`.
    #[must_use]
    pub fn place(&self) -> String {
        let place = self.message.info().ok();
        place.map_or_else(
            || "unknown".to_owned(),
            |info| format!("{}:{}", info.stream, info.stream_sequence),
        )
    }

    /// How often it was delivered, this time included.
    #[must_use]
    pub fn deliveries(&self) -> u32 {
        let delivered = self.message.info().map_or(1, |info| info.delivered);
        u32::try_from(delivered).unwrap_or(u32::MAX).max(1)
    }

    /// It is on disk and never to be delivered again; the server has heard it when this returns.
    ///
    /// # Errors
    /// The server did not answer; it may deliver the message again.
    pub async fn confirm(&self) -> Result<(), ConnectError> {
        self.answer("+ACK".to_owned()).await
    }

    /// It is to be delivered again after `delay`.
    ///
    /// # Errors
    /// As [`Delivery::confirm`]; it is delivered again in any case.
    pub async fn again(&self, delay: Duration) -> Result<(), ConnectError> {
        self.answer(format!("-NAK {{\"delay\":{}}}", delay.as_nanos()))
            .await
    }

    /// It can never be accepted and is not to be delivered again.
    ///
    /// # Errors
    /// As [`Delivery::confirm`].
    pub async fn refuse(&self) -> Result<(), ConnectError> {
        self.answer("+TERM".to_owned()).await
    }

    async fn answer(&self, text: String) -> Result<(), ConnectError> {
        let reply = self.message.reply.as_ref().map(ToString::to_string);
        let reply = reply.ok_or_else(|| ConnectError::Invalid {
            what: self.subject().to_owned(),
            reason: "it was not delivered by a stream".to_owned(),
        })?;
        self.broker.answer(reply, text).await
    }
}
