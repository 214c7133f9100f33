//! Pure values and rules: no I/O, no clock reads. What is decided here is carried out above.

pub mod access;
pub mod alert;
pub mod audit;
pub mod category;
pub mod day;
pub mod event;
pub mod failure;
pub mod hex;
pub mod id;
pub mod inventory;
pub mod iso_duration;
pub mod mail;
pub mod operation;
pub mod password;
pub mod pool;
pub mod retry;
pub mod robot;
pub mod schedule;
pub mod sealed;
pub mod share;
pub mod task;
pub mod tick;
pub mod time;
pub mod trend;
pub mod window;
