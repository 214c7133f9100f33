//! The store, on both databases: one list of cases, which must not tell them apart.

mod alert;
mod audit;
mod claim;
mod dispatch;
mod engine;
mod event;
mod inventory;
mod inventory_batch;
mod inventory_rules;
mod key_survey;
mod mail;
mod make;
mod node;
mod operation;
mod operation_report;
mod process;
mod report;
mod sample;
mod schema;
mod secret;
mod share;
mod task;
mod task_end;
mod task_list;
mod tick;
mod token;
