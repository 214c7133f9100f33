//! Whole nodes: the program as shipped, started, used and killed.

mod audit;
mod cluster;
mod custom;
mod database_loss;
mod events;
mod first_start;
mod flood;
mod kill;
mod lost_answers;
mod low_disk;
mod secrets;
mod shutdown;
mod ticks;
mod vault;
mod window;
