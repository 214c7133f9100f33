//! One connection to the broker.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::{ContextBuilder, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, Stream};
use async_nats::{Client, ConnectOptions, HeaderMap};
use futures_util::future::join_all;
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use super::inbox::Inbox;
use super::settings::{Login, NatsSettings};
use super::standing::Standing;
use super::streams;
use crate::connect::{ConnectError, tls};

/// One attempt to connect, TLS and sign-in included.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The longest wait for an answer of the server.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// A connection over which nothing came is asked whether it still stands; two silences end it.
const PING_PERIOD: Duration = Duration::from_secs(10);
/// First and longest pause between two attempts to connect.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(100);
/// See [`RECONNECT_PAUSE_MIN`].
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Published messages whose acknowledgement is awaited at a time.
const UNACKNOWLEDGED_MAX: usize = 2_000;

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub subject: String,
    /// `Nats-Msg-Id`: the stream takes a message of a known id for the one it has.
    pub id: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub payload: Vec<u8>,
}

/// The connection. Cheap to clone; all clones share it.
#[derive(Debug, Clone)]
pub struct Broker {
    settings: Arc<NatsSettings>,
    client: Client,
    pub(super) context: jetstream::Context,
    standing: Standing,
}

impl Broker {
    /// Begins to connect, and goes on for ever: a server that is away is no error. `name` is shown by the server.
    ///
    /// Must be called inside the runtime that is to carry the connection.
    ///
    /// # Errors
    /// Settings that can never be used: a CA file or credentials that cannot be read.
    pub async fn connect(settings: NatsSettings, name: &str) -> Result<Self, ConnectError> {
        let standing = Standing::new();
        let told = standing.clone();
        let options = options(&settings)?.name(name).event_callback(move |event| {
            let told = told.clone();
            async move { told.heard(&event) }
        });
        let client = options.connect(settings.servers.clone()).await;
        let client = client.map_err(|error| ConnectError::Invalid {
            what: settings.shown(),
            reason: error.to_string(),
        })?;
        let context = ContextBuilder::new()
            .timeout(ANSWER_LIMIT)
            .max_ack_inflight(UNACKNOWLEDGED_MAX)
            .build(client.clone());
        Ok(Self {
            settings: Arc::new(settings),
            client,
            context,
            standing,
        })
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &NatsSettings {
        &self.settings
    }

    /// Waits until the connection stands.
    pub async fn connected(&self) {
        // The sender is part of `self`, so that the wait ends by a connection only.
        let _stands = self
            .standing
            .watch()
            .wait_for(|connected| *connected)
            .await
            .is_ok();
    }

    /// Whether the connection stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        *self.standing.watch().borrow()
    }

    /// Why not all is well with it, for people; empty when it is.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        self.standing.reasons(&self.settings.shown())
    }

    /// Notes what does not work although the connection stands, or that it does again.
    pub fn set_trouble(&self, about: &'static str, trouble: Option<String>) {
        self.standing.set_trouble(about, trouble);
    }

    /// Makes what is missing for events, and begins to take them.
    ///
    /// # Errors
    /// A server that does not answer; a stream or a consumer that is there and will not do.
    pub async fn inbox(&self) -> Result<Inbox, ConnectError> {
        self.stream(streams::dead(&self.settings), streams::DEAD_SUBJECT)
            .await?;
        let stream = self
            .stream(streams::events(&self.settings), streams::EVENTS_SUBJECT)
            .await?;
        let name = &self.settings.consumer;
        let consumer = stream
            .get_or_create_consumer(name, streams::consumer(&self.settings))
            .await
            .map_err(|error| self.refused("use the consumer of", &error))?;
        if let Some(reason) = streams::unfit_consumer(&consumer.cached_info().config) {
            return Err(unusable(format!("consumer {name}"), reason));
        }
        Inbox::open(self.clone(), &consumer).await
    }

    /// Makes the stream of changes where it is missing.
    ///
    /// # Errors
    /// As [`Broker::inbox`].
    pub async fn prepare_changes(&self) -> Result<(), ConnectError> {
        self.stream(streams::changes(&self.settings), streams::CHANGES_SUBJECT)
            .await
            .map(drop)
    }

    async fn stream(&self, wanted: Config, subject: &str) -> Result<Stream, ConnectError> {
        let name = wanted.name.clone();
        let stream = self
            .context
            .get_or_create_stream(wanted)
            .await
            .map_err(|error| self.refused("use a stream of", &error))?;
        match streams::unfit_stream(&stream.cached_info().config, subject) {
            Some(reason) => Err(unusable(format!("stream {name}"), reason)),
            None => Ok(stream),
        }
    }

    /// Publishes messages in their order; answers for each whether its stream has it on disk. After the first that
    /// cannot be sent the others are not tried.
    ///
    /// [`ConnectError::Invalid`] says that the server will never take this message.
    pub async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Result<(), ConnectError>> {
        let mut waiting = Vec::with_capacity(messages.len());
        let mut unsent = None;
        for message in messages {
            if unsent.is_some() {
                break;
            }
            let subject = message.subject.clone();
            let sent = self
                .context
                .send_publish(message.subject.clone(), built(message));
            match sent.await {
                Ok(acknowledged) => waiting.push((subject, acknowledged)),
                Err(error) => unsent = Some(self.unpublished(&subject, &error)),
            }
        }
        let answers = waiting
            .into_iter()
            .map(|(subject, acknowledged)| async move {
                let answer = acknowledged.await;
                answer.map_or_else(|error| Err(self.unpublished(&subject, &error)), |_| Ok(()))
            });
        let mut results = join_all(answers).await;
        results.extend(unsent.map(Err));
        results
    }

    /// Asks `reply` something and waits until the server has heard it.
    pub(super) async fn answer(&self, reply: String, text: String) -> Result<(), ConnectError> {
        let request = async_nats::Request::new()
            .payload(text.into())
            .timeout(Some(ANSWER_LIMIT));
        // The whole wait is bounded: a client that is away does not even take requests after some.
        let answered = timeout(ANSWER_LIMIT * 2, self.client.send_request(reply, request)).await;
        match answered {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.refused("acknowledge a message to", &error)),
            Err(_) => Err(ConnectError::TimedOut {
                target: self.settings.shown(),
                step: "acknowledge a message to",
                limit: ANSWER_LIMIT * 2,
            }),
        }
    }

    pub(super) fn refused(
        &self,
        step: &'static str,
        error: &(dyn std::error::Error + 'static),
    ) -> ConnectError {
        ConnectError::Refused {
            target: self.settings.shown(),
            step,
            reason: error.to_string(),
        }
    }

    fn unpublished(&self, subject: &str, error: &PublishError) -> ConnectError {
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => ConnectError::Invalid {
                what: subject.to_owned(),
                reason: "the message is larger than the server takes".to_owned(),
            },
            _ => self.refused("publish to", error),
        }
    }
}

fn unusable(what: String, reason: String) -> ConnectError {
    ConnectError::Invalid {
        what,
        reason: format!("it {reason}"),
    }
}

fn built(message: Outgoing) -> PublishMessage {
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        headers.insert(name.as_str(), value.as_str());
    }
    PublishMessage::build()
        .payload(message.payload.into())
        .headers(headers)
        .message_id(message.id)
}

fn options(settings: &NatsSettings) -> Result<ConnectOptions, ConnectError> {
    let options = match &settings.login {
        Login::None => ConnectOptions::new(),
        Login::Password { user, password } => ConnectOptions::with_user_and_password(
            user.clone(),
            password.expose_secret().to_owned(),
        ),
        Login::Credentials(text) => {
            // The parser's error may quote the file.
            ConnectOptions::with_credentials(text.expose_secret()).map_err(|_| {
                ConnectError::Invalid {
                    what: "nats.credentials_file".to_owned(),
                    reason: "it is no file of NATS credentials (a JWT and a key)".to_owned(),
                }
            })?
        }
    };
    let tls = tls::client_config(&settings.shown(), settings.ca_file.as_deref(), None)?;
    Ok(options
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(CONNECT_LIMIT)
        .request_timeout(Some(ANSWER_LIMIT))
        .ping_interval(PING_PERIOD)
        // Servers that are told of by others are not called over TLS unless this says so.
        .require_tls(settings.tls)
        .tls_client_config(tls)
        .reconnect_delay_callback(|attempt| {
            reconnect_pause(attempt, rand::random_range(0.5..=1.0))
        }))
}

/// The pause before the `attempt`th try, counted from 1; `jitter` is a part of it.
fn reconnect_pause(attempt: usize, jitter: f64) -> Duration {
    if attempt <= 1 {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(attempt - 2).unwrap_or(u32::MAX).min(16);
    RECONNECT_PAUSE_MAX
        .min(RECONNECT_PAUSE_MIN * 2_u32.pow(doublings))
        .mul_f64(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound() {
        assert_eq!(reconnect_pause(1, 1.0), Duration::ZERO);
        assert_eq!(reconnect_pause(2, 1.0), RECONNECT_PAUSE_MIN);
        assert_eq!(reconnect_pause(4, 0.5), RECONNECT_PAUSE_MIN * 2);
        for attempt in [9, 100, usize::MAX] {
            assert_eq!(reconnect_pause(attempt, 1.0), RECONNECT_PAUSE_MAX);
        }
    }
}
