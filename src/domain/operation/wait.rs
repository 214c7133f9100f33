//! Why an operation waits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::task::{UnknownWord, words};

words! {
    /// Why an operation waits that is open and in nobody's hand.
    WaitReason {
        /// Its time has not come.
        Scheduled = ("scheduled", 0);
        /// One more refused sign-in might lock an account, by those that were refused or by those that others are about to make.
        Lockout = ("lockout", 1);
        /// An account is to sign in whose new secret is not proven: its recorded one may be the old one.
        UnverifiedChange = ("unverified_change", 2);
        /// Many operations did not reach its device: another one tries first.
        Outage = ("outage", 3);
        /// Its last attempt failed, or left it open what became of it: the next one follows.
        NextAttempt = ("next_attempt", 4);
        /// Another operation of its credential is running.
        OtherOperation = ("other_operation", 5);
        /// The secret that it follows is to be changed first.
        Parent = ("parent", 6);
        /// On its device run as many as may.
        DeviceLimit = ("device_limit", 7);
        /// The robot that carries operations out is switched off, or quarantined.
        RobotPaused = ("robot_paused", 8);
        /// The window of that robot is closed.
        Window = ("window", 9);
        /// Nothing stands in its way: the next instance of that robot that is free takes it.
        Executor = ("executor", 10);
    }
}
