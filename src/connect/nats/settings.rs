//! How the broker is reached, and what its streams are called.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// How a node signs in.
#[derive(Debug, Clone, Default)]
pub enum Login {
    /// Not at all.
    #[default]
    None,
    /// By name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// By the text of a credentials file: a JWT and the key that signs for it.
    Credentials(SecretString),
}

/// The broker, as the operator describes it.
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// `nats://host:port` or `tls://host:port`; none holds a secret.
    pub servers: Vec<String>,
    /// Whether a connection without TLS is refused.
    pub tls: bool,
    /// The authority the servers' certificates must come from; the platform's when `None`.
    pub ca_file: Option<PathBuf>,
    /// How to sign in.
    pub login: Login,
    /// The stream that takes [`super::EVENTS_SUBJECT`].
    pub events_stream: String,
    /// The durable consumer of it that all nodes of one database share.
    pub consumer: String,
    /// The stream that takes [`super::CHANGES_SUBJECT`].
    pub changes_stream: String,
    /// The stream that takes [`super::DEAD_SUBJECT`].
    pub dead_stream: String,
    /// Bound in bytes on the streams of events and of changes, each, where they are made here.
    pub stream_bytes_max: i64,
    /// How long a delivered event may stay unacknowledged before it is delivered again, where the consumer is made here.
    pub ack_wait: Duration,
    /// Bound on delivered events that are not acknowledged, over all nodes, where the consumer is made here.
    pub in_flight_max: u32,
    /// Bound on the changes that wait in the database while the broker is away.
    pub changes_max: u32,
}

impl NatsSettings {
    /// The servers, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        self.servers.join(",")
    }
}
