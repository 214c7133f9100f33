//! Each robot against a real store of both kinds, run twice: the second run tells nobody again.

mod catalog;
mod certificates;
mod custom;
mod mail;
mod notifications;
mod operations;
mod rig;
mod system_monitors;
mod task_manager;
