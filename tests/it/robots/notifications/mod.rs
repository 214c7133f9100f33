//! The robots of this category.

mod cpu_and_memory_monitor;
mod disk_space_monitors;
mod expiration_notification;
mod password_change_report;
