//! The catalogue: every robot that ships with the program, by category.
//!
//! A robot is one file here, named like the robot, and two lines in its category's `mod.rs`. It may
//! use `robot` (its contract), `store`, `connect` and `domain`, and never another robot: robots speak
//! by events and through the database. What several of them share stands beside the categories:
//! [`alerts`] tells people and programs what a monitor found, [`settings`] reads settings, `targets` knows a
//! credential's account, `ways` how it is reached, `privileged` who may work on it, [`fitness`] what it cannot have, `steps` and
//! `by_template` how an operator's commands work on it, `sign_ins` and `tries` count what it refuses, `transcript` writes down what was done,
//! `ended` says what an attempt came to, [`waiting`] why an operation waits, [`password_change`] changes a password so that none is ever lost, and `key_rotation` a key.

mod alerts;
mod by_template;
mod certificates;
pub mod custom;
mod ended;
pub mod fitness;
mod key_rotation;
mod mail;
mod notifications;
mod operations;
pub mod password_change;
mod privileged;
mod settings;
mod sign_ins;
mod system_monitors;
mod targets;
mod task_manager;
mod transcript;
mod tries;
pub mod waiting;
mod ways;

use std::sync::Arc;

use crate::robot::Robot;

/// All robots in the order of the categories; each list is in its category's `mod.rs`.
const ALL: &[&[&'static dyn Robot]] = &[
    notifications::ROBOTS,
    mail::ROBOTS,
    system_monitors::ROBOTS,
    certificates::ROBOTS,
    task_manager::ROBOTS,
    operations::ROBOTS,
];

/// Every robot of the catalogue.
#[must_use]
pub fn catalog() -> Vec<Arc<dyn Robot>> {
    let robots = ALL.iter().copied().flatten().copied();
    robots
        .map(|robot| Arc::new(robot) as Arc<dyn Robot>)
        .collect()
}
