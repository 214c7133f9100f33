//! The runtime in this process, on real stores, with robots that misbehave in every way we know.

mod dispatch;
mod misbehaviour;
mod restarts;
mod rig;
mod tree;
