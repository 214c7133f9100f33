//! robotd: a supervision runtime for robots.
//!
//! The modules in the order of their layers, lowest first; imports go down only
//! (`docs/ARCHITECTURE.md`, checked by `tests/it/tidy.rs`).

pub mod domain;

pub mod clock;

pub mod store;

pub mod connect;

pub mod vault;

pub mod robot;

pub mod robots;

pub mod runtime;

pub mod intake;

pub mod api;

pub mod panel;

pub mod app;

pub mod config;

mod trial;

pub mod bench;

pub mod selftest;

pub mod cli;
