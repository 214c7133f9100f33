//! The tests that need a store, a server, a process or the source tree, in one binary: one link,
//! one run. The folders mirror `src/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::string_slice,
    reason = "a test says what went wrong by panicking"
)]
#![allow(
    unreachable_pub,
    reason = "nobody outside sees a test binary: `pub` here is what a support module offers"
)]

mod api;
mod bench;
mod cli;
mod config;
mod connect;
mod docs;
mod model;
mod node;
mod panel;
mod robots;
mod runtime;
mod store;
mod support;
mod tidy;
mod vault;
