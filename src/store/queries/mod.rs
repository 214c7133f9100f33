//! The queries, written once and compiled for each engine's connection type.
//!
//! Synchronous functions, split by noun; each runs inside a transaction that its caller opens and
//! ends. Hot statements are [`statement::Statement`]s, whose prepared form is kept by the
//! connection; the rest is diesel's query builder.

pub(in crate::store) use super::{Conn, dialect};

pub(in crate::store) mod activity;
pub(in crate::store) mod alert;
pub(in crate::store) mod audit;
pub(in crate::store) mod bench;
pub(in crate::store) mod candidate;
pub(in crate::store) mod certificate;
pub(in crate::store) mod certificate_decision;
pub(in crate::store) mod certificate_publication;
pub(in crate::store) mod certificate_retention;
pub(in crate::store) mod change_report;
pub(in crate::store) mod claims;
pub(in crate::store) mod connectivity;
pub(in crate::store) mod credential_link;
pub(in crate::store) mod credential_view;
pub(in crate::store) mod due;
pub(in crate::store) mod event;
pub(in crate::store) mod execution;
pub(in crate::store) mod expiration;
pub(in crate::store) mod fact;
pub(in crate::store) mod ids;
pub(in crate::store) mod import;
pub(in crate::store) mod import_report;
pub(in crate::store) mod inventory;
pub(in crate::store) mod inventory_check;
pub(in crate::store) mod inventory_read;
pub(in crate::store) mod load;
pub(in crate::store) mod log;
pub(in crate::store) mod mail;
pub(in crate::store) mod node;
pub(in crate::store) mod operation;
pub(in crate::store) mod operation_move;
pub(in crate::store) mod operation_report;
pub(in crate::store) mod operation_wait;
pub(in crate::store) mod outbox;
pub(in crate::store) mod private_key;
pub(in crate::store) mod process;
pub(in crate::store) mod process_report;
pub(in crate::store) mod queue_depth;
pub(in crate::store) mod reconciliation;
pub(in crate::store) mod report;
pub(in crate::store) mod robot;
pub(in crate::store) mod rows;
pub(in crate::store) mod sample;
pub(in crate::store) mod secret;
pub(in crate::store) mod share;
pub(in crate::store) mod sign_in;
pub(in crate::store) mod sql;
pub(in crate::store) mod statement;
mod stretch;
pub(in crate::store) mod task_add;
pub(in crate::store) mod task_approval;
pub(in crate::store) mod task_claim;
pub(in crate::store) mod task_complete;
pub(in crate::store) mod task_control;
pub(in crate::store) mod task_definition;
pub(in crate::store) mod task_finish;
pub(in crate::store) mod task_release;
pub(in crate::store) mod task_report;
pub(in crate::store) mod tick;
pub(in crate::store) mod token;
pub(in crate::store) mod transfer;
pub(in crate::store) mod upkeep;
pub(in crate::store) mod vault_key;

/// The engine's diesel back end.
pub(in crate::store) type Db = <Conn as diesel::Connection>::Backend;
