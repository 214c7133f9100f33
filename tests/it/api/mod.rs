//! The HTTP API, spoken to in process against a real store and a real runtime.

mod activity;
mod alerts;
mod app;
mod auth;
mod bad_input;
mod certificates;
mod events;
mod imports;
mod inventory;
mod inventory_secrets;
mod openapi;
mod operations;
mod reports;
mod robots;
mod stream;
mod task_approvals;
mod tasks;
