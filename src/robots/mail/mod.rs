//! Robots that send and fetch mail.
//!
//! The outbox in the database is theirs: others put mails in with the change that causes them, and
//! only these take them out.

mod email_sender;

use crate::robot::Robot;

pub(super) const ROBOTS: &[&'static dyn Robot] = &[&email_sender::SendQueuedMail];
