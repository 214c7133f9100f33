//! The outside world: what robotd sends to other programs and reads from its machine.
//!
//! Each file is one kind of counterpart. Nothing here knows a table, a robot or a
//! schedule: a caller hands in plain values and gets back plain values or an error that
//! says whether trying again can help. Retrying is the caller's business.

pub mod command;
pub mod error;
pub mod greeting;
pub mod host;
pub mod issuer;
pub mod ldap;
pub mod local;
pub mod nats;
pub mod postgres;
pub mod sheet;
pub mod smtp;
pub mod ssh;
pub mod syslog;
pub mod target;
pub mod tls;
pub mod tls_probe;
pub mod version_folder;
pub mod webhook;
pub mod windows;

pub use error::ConnectError;
