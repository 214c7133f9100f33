//! The outside world, against real counterparts.

mod account;
mod command;
mod greeting;
mod host;
mod ldap;
mod local;
mod postgres;
pub mod sheet;
mod smtp;
mod ssh;
mod syslog;
mod webhook;
mod windows;
