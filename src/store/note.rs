//! What a node tells the others: signals on their way through the database, many in one note.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::signal::Signal;
use crate::domain::id::{NodeId, ProcessId, RobotId};
use crate::domain::time::{from_micros, to_micros};

/// Longest note: PostgreSQL takes payloads of less than 8,000 bytes.
const BYTES_MAX: usize = 7_900;

/// Signals as they are sent: the numbers of the ids, and no word more than is needed.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    ready: BTreeSet<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    configured: BTreeSet<i64>,
    /// Process, robot, node.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    cancel: BTreeSet<(i64, i64, i64)>,
    #[serde(skip_serializing_if = "is_false")]
    inventory: bool,
    #[serde(skip_serializing_if = "is_false")]
    syslog: bool,
    #[serde(skip_serializing_if = "is_false")]
    nodes: bool,
    #[serde(skip_serializing_if = "is_false")]
    shares: bool,
    #[serde(skip_serializing_if = "is_false")]
    changed: bool,
    #[serde(skip_serializing_if = "is_false")]
    anything: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Whom a signal is for, beside this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nobody.
    Here,
    /// The other nodes, where some are known to live; not it, but now and then that there was one of its kind.
    Digest,
    /// The other nodes, where some are known to live.
    Peers,
    /// The other nodes, also those that this one does not know of yet.
    All,
}

impl Signal {
    pub(super) const fn reach(&self) -> Reach {
        match self {
            Self::Task { .. } | Self::Process { .. } => Reach::Digest,
            Self::Configured(_) | Self::Elsewhere | Self::Anything => Reach::Here,
            Self::TasksReady(_)
            | Self::Scheduled(_)
            | Self::Robot(_)
            | Self::Inventory
            | Self::Syslog => Reach::Peers,
            Self::Cancel { .. } | Self::Nodes | Self::Shares => Reach::All,
        }
    }
}

impl Note {
    /// Adds a signal; those that are for nobody else are left out.
    pub(super) fn add(&mut self, signal: Signal) {
        match signal {
            Signal::TasksReady(robots) => self.ready.extend(robots.iter().map(|robot| robot.0)),
            Signal::Scheduled(at) => {
                self.due = self.due.into_iter().chain([to_micros(at)]).min();
            }
            Signal::Robot(robot) => drop(self.configured.insert(robot.0)),
            Signal::Cancel {
                process,
                robot,
                node,
            } => {
                self.cancel.insert((process.0, robot.0, node.0));
            }
            Signal::Inventory => self.inventory = true,
            Signal::Syslog => self.syslog = true,
            Signal::Nodes => self.nodes = true,
            Signal::Shares => self.shares = true,
            Signal::Elsewhere => self.changed = true,
            Signal::Task { .. }
            | Signal::Process { .. }
            | Signal::Configured(_)
            | Signal::Anything => {}
        }
    }

    /// As it is sent. What does not fit is not told: the others are to look at everything.
    pub(super) fn text(&self) -> String {
        let text = serde_json::json!(self).to_string();
        if text.len() <= BYTES_MAX {
            return text;
        }
        let short = Self {
            inventory: self.inventory,
            nodes: self.nodes,
            shares: self.shares,
            changed: self.changed,
            anything: true,
            ..Self::default()
        };
        serde_json::json!(short).to_string()
    }

    /// The signals in a note that was received; one that cannot be read is of a version that says more.
    pub(super) fn read(text: &str) -> Vec<Signal> {
        let Ok(note) = serde_json::from_str::<Self>(text) else {
            return vec![Signal::Anything];
        };
        let robots = |ids: BTreeSet<i64>| ids.into_iter().map(RobotId).collect::<Vec<_>>();
        let mut signals = Vec::new();
        if !note.ready.is_empty() {
            signals.push(Signal::TasksReady(robots(note.ready)));
        }
        signals.extend(note.due.map(|at| Signal::Scheduled(from_micros(at))));
        if !note.configured.is_empty() {
            signals.push(Signal::Configured(robots(note.configured)));
        }
        let cancel = |(process, robot, node)| Signal::Cancel {
            process: ProcessId(process),
            robot: RobotId(robot),
            node: NodeId(node),
        };
        signals.extend(note.cancel.into_iter().map(cancel));
        for (told, signal) in [
            (note.inventory, Signal::Inventory),
            (note.syslog, Signal::Syslog),
            (note.nodes, Signal::Nodes),
            (note.shares, Signal::Shares),
            (note.changed, Signal::Elsewhere),
            (note.anything, Signal::Anything),
        ] {
            if told {
                signals.push(signal);
            }
        }
        signals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(signals: Vec<Signal>) -> (String, Vec<Signal>) {
        let mut note = Note::default();
        for signal in signals {
            note.add(signal);
        }
        let text = note.text();
        let read = Note::read(&text);
        (text, read)
    }

    #[test]
    fn signals_arrive_as_one_note() {
        let cancel = Signal::Cancel {
            process: ProcessId(7),
            robot: RobotId(2),
            node: NodeId(3),
        };
        let (text, read) = sent(vec![
            Signal::TasksReady(vec![RobotId(2), RobotId(1)]),
            Signal::TasksReady(vec![RobotId(2)]),
            Signal::Scheduled(from_micros(9)),
            Signal::Scheduled(from_micros(5)),
            Signal::Robot(RobotId(4)),
            cancel.clone(),
            Signal::Inventory,
            Signal::Nodes,
            Signal::Elsewhere,
        ]);
        assert_eq!(
            text,
            r#"{"cancel":[[7,2,3]],"changed":true,"configured":[4],"due":5,"inventory":true,"nodes":true,"ready":[1,2]}"#
        );
        let expected = [
            Signal::TasksReady(vec![RobotId(1), RobotId(2)]),
            Signal::Scheduled(from_micros(5)),
            Signal::Configured(vec![RobotId(4)]),
            cancel,
            Signal::Inventory,
            Signal::Nodes,
            Signal::Elsewhere,
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_does_not_fit_or_cannot_be_read_says_that_it_is_time_to_look() {
        let many = (0..5_000).map(RobotId).collect();
        let (text, read) = sent(vec![Signal::TasksReady(many), Signal::Shares]);
        assert!(text.len() <= BYTES_MAX);
        assert_eq!(read, [Signal::Shares, Signal::Anything]);
        assert_eq!(Note::read("not JSON"), [Signal::Anything]);
        let (_, read) = sent(vec![Signal::Syslog, Signal::Configured(vec![RobotId(1)])]);
        assert_eq!(read, [Signal::Syslog], "what was heard is not told again");
    }
}
