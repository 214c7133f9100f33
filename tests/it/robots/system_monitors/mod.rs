//! The robots of this category.

mod primary_key_monitor;
mod schedule_monitor;
