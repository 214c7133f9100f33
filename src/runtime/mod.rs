//! The runtime: actors and services that carry out what `domain` decides. It names no robot.
//!
//! Who owns what: [`supervisor`] owns the pools; a [`pool`] owns its workers, its queue and the runs in
//! hand; a [`worker`] owns the one run it watches. All of them, and the services, live on one control
//! thread that runs nobody else's code. Robots' code runs on a runtime of its own; [`crossing`] is the way there.
//!
//! The services, each a loop that is restarted when it fails: [`feeder`] claims tasks, [`recorder`]
//! records ends, [`scribe`] writes journals, [`scheduler`] decides ticks, [`rescuer`] keeps the node's
//! lease and offers dead nodes' work again, [`sharer`] keeps its part of each robot's instances, [`follower`] does
//! what other nodes changed, [`pruner`] removes what is old, [`resealer`] seals secrets anew, [`courier`] feeds syslog,
//! [`announcer`] the broker.
//! Each wakes on a signal of the store and, in case a signal was lost, by itself.

mod announcer;
pub mod bench;
mod change;
mod configuration;
mod core;
mod courier;
mod crossing;
mod dispatch;
mod execute;
mod feeder;
mod follower;
pub mod handle;
mod membership;
pub mod panic;
mod pool;
mod pruner;
mod recorder;
mod rescuer;
mod resealer;
mod scheduler;
mod scribe;
mod service;
mod sharer;
pub mod start;
mod supervisor;
mod worker;

pub use handle::Handle;
pub use membership::{NODE_TIMEOUT_DEFAULT, Terms};
pub use service::kept;
pub use start::{Runtime, RuntimeConfig, start};
pub use supervisor::DRAIN_GRACE;
