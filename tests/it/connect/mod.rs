//! The outside world, against real counterparts.

mod command;
mod host;
mod smtp;
mod syslog;
mod webhook;
