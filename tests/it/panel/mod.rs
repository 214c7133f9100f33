//! The panel: what it refuses, by HTTP; and how it works, in a real browser at a real node.

mod certificates;
mod change;
mod frame;
mod growth;
mod inventory;
mod many;
mod orders;
mod overview;
mod pages;
mod process;
mod reports;
pub mod rig;
mod robots;
mod tls;
