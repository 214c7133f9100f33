//! Syslog: messages after RFC 5424, sent over UDP, TCP or TLS.
//!
//! [`SyslogMessage`] is pure and makes bytes, [`SyslogTarget`] is where they go, a
//! [`Collector`] sends them. Who needs certainty keeps a message until [`Collector::send`] returned
//! `Ok` for it and sends it again otherwise: a batch is accepted as a whole or not.

mod collector;
mod message;
mod priority;
mod stream;
mod target;

pub use collector::{BATCH_MESSAGES_MAX, Collector, CollectorLimits};
pub use message::{MESSAGE_BYTES_MAX, StructuredElement, SyslogMessage};
pub use priority::{Facility, Severity};
pub use target::{Confirm, SyslogTarget, TlsFiles, Transport};
