//! NATS JetStream: messages in by a durable pull consumer, messages out with acknowledgements.
//!
//! A [`Broker`] is one connection that comes back by itself for ever. Streams and the consumer are made where
//! they are missing, with bounded limits; those that are there are used as they are, after a look whether they
//! can do what is asked of them.

mod broker;
mod inbox;
mod settings;
mod standing;
mod streams;

pub use broker::{Broker, Outgoing};
pub use inbox::{Delivery, FETCH_MAX, Inbox};
pub use settings::{Login, NatsSettings};
pub use streams::{CHANGES_SUBJECT, DEAD_SUBJECT, DUPLICATE_WINDOW, EVENTS_SUBJECT};
