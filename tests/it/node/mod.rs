//! Whole nodes: the program as shipped, started, used and killed.

mod audit;
mod chaos;
mod cluster;
mod custom;
mod database_loss;
mod events;
mod executor_death;
mod expired_flood;
mod expired_passwords;
mod first_start;
mod flood;
mod imports;
mod kill;
mod lost_answers;
mod low_disk;
mod operations;
mod secrets;
mod shutdown;
mod task_cancel;
mod ticks;
mod transfer;
mod vault;
mod window;
