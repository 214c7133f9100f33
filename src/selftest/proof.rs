//! What was found, held against what was promised.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use super::Order;
use crate::domain::time::{Timestamp, to_micros};

/// What was done to nodes, and what it showed.
#[derive(Debug, Default)]
pub(super) struct Blows {
    pub(super) kills: u32,
    pub(super) pauses: u32,
    /// Stopped nodes that ended when they were continued, because they had been declared dead.
    pub(super) declared_dead: u32,
    /// From the blow until another node said so.
    pub(super) missed_after: Vec<Duration>,
    /// From the end of the blow until the node took work.
    pub(super) back_after: Vec<Duration>,
}

/// What the reports say when all is over.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) tasks: Vec<Value>,
    pub(super) processes: Vec<Value>,
    pub(super) ticks: Vec<Value>,
    /// The most tasks that a look found running at once, and how many may.
    pub(super) at_once: u64,
    pub(super) at_once_max: u64,
}

/// What became of the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// What decided the blows: the same again makes the same plan.
    pub seed: u64,
    /// Nodes that worked as one.
    pub nodes: usize,
    /// Nodes killed.
    pub kills: u32,
    /// Nodes stopped and continued.
    pub pauses: u32,
    /// Of those, the ones that had been declared dead and ended.
    pub declared_dead: u32,
    /// Tasks that were answered with 2xx.
    pub accepted: usize,
    /// Of those, the ones that ended.
    pub ended: usize,
    /// Of those, the ones that did not: must be 0.
    pub lost: usize,
    /// Tasks beyond those that were accepted: must be 0, their keys are theirs.
    pub strays: usize,
    /// Tasks with more than one recorded success: must be 0.
    pub ran_twice: usize,
    /// Runs recorded as lost with their node, and offered again.
    pub runs_lost: usize,
    /// The most runs that a look found at once.
    pub at_once: u64,
    /// How many may run at once.
    pub at_once_max: u64,
    /// Planned instants in the ledger.
    pub ticks: usize,
    /// Seconds between the first and the last of which none is there: must be 0.
    pub ticks_lost: u64,
    /// Instants that are there more than once: must be 0.
    pub ticks_doubled: u64,
    /// Until another node said that a node is dead, in milliseconds: median and longest.
    pub missed_after_ms: Option<(u64, u64)>,
    /// Until a node took work again, in milliseconds: median and longest.
    pub back_after_ms: Option<(u64, u64)>,
}

impl Proof {
    pub(super) fn of(
        order: &Order,
        accepted: &HashSet<String>,
        blows: &Blows,
        found: &Found,
    ) -> anyhow::Result<Self> {
        let text =
            |row: &Value, name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
        let open = ["scheduled", "queued", "running"];
        let (mut ended, mut strays) = (0, 0);
        for task in &found.tasks {
            let (id, status) = (text(task, "id"), text(task, "status"));
            let id = id.context("a task without id")?;
            if !accepted.contains(&id) {
                strays += 1;
            } else if !open.contains(&status.unwrap_or_default().as_str()) {
                ended += 1;
            }
        }
        let mut successes: HashMap<String, u32> = HashMap::new();
        for run in &found.processes {
            if text(run, "outcome").as_deref() == Some("succeeded") {
                *successes
                    .entry(text(run, "task").unwrap_or_default())
                    .or_default() += 1;
            }
        }
        let lost = |run: &&Value| text(run, "outcome").as_deref() == Some("lost");
        let (ticks_lost, ticks_doubled) = gaps(&found.ticks)?;
        Ok(Self {
            seed: order.seed,
            nodes: order.nodes,
            kills: blows.kills,
            pauses: blows.pauses,
            declared_dead: blows.declared_dead,
            accepted: accepted.len(),
            ended,
            lost: accepted.len().saturating_sub(ended),
            strays,
            ran_twice: successes.values().filter(|count| **count > 1).count(),
            runs_lost: found.processes.iter().filter(lost).count(),
            at_once: found.at_once,
            at_once_max: found.at_once_max,
            ticks: found.ticks.len(),
            ticks_lost,
            ticks_doubled,
            missed_after_ms: spread(&blows.missed_after),
            back_after_ms: spread(&blows.back_after),
        })
    }

    /// Whether all that was promised held.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.lost == 0
            && self.strays == 0
            && self.ran_twice == 0
            && self.at_once <= self.at_once_max
            && self.ticks_lost == 0
            && self.ticks_doubled == 0
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let spread = |of: Option<(u64, u64)>| {
            of.map_or_else(
                || "-".to_owned(),
                |(median, most)| format!("{median} ms, {most} ms at most"),
            )
        };
        let lines = [
            ("seed", self.seed.to_string()),
            ("nodes", self.nodes.to_string()),
            (
                "blows",
                format!(
                    "{} killed, {} stopped, {} of these ended as dead",
                    self.kills, self.pauses, self.declared_dead
                ),
            ),
            ("tasks accepted", self.accepted.to_string()),
            ("tasks ended", self.ended.to_string()),
            ("tasks lost", self.lost.to_string()),
            ("tasks nobody was told of", self.strays.to_string()),
            ("tasks recorded as done twice", self.ran_twice.to_string()),
            ("runs lost and offered again", self.runs_lost.to_string()),
            (
                "runs at once",
                format!("{} of {}", self.at_once, self.at_once_max),
            ),
            ("ticks", self.ticks.to_string()),
            ("ticks lost", self.ticks_lost.to_string()),
            ("ticks doubled", self.ticks_doubled.to_string()),
            ("a dead node was missed after", spread(self.missed_after_ms)),
            ("a node was back after", spread(self.back_after_ms)),
            (
                "the promises",
                if self.holds() { "held" } else { "BROKE" }.to_owned(),
            ),
        ];
        let lines = lines.map(|(what, figure)| format!("{what:<30}{figure}"));
        lines.join("\n")
    }
}

/// How many seconds are missing between the first and the last tick, and how many are there twice.
fn gaps(ticks: &[Value]) -> anyhow::Result<(u64, u64)> {
    let time = |row: &Value, name: &str| -> anyhow::Result<Option<i64>> {
        let text = row.get(name).and_then(Value::as_str);
        let at = text.map(str::parse::<Timestamp>).transpose()?;
        Ok(at.map(|at| to_micros(at).div_euclid(1_000_000)))
    };
    let mut spans = Vec::new();
    for tick in ticks {
        let from = time(tick, "planned_at")?.context("a tick without its instant")?;
        spans.push((from, time(tick, "through")?.unwrap_or(from)));
    }
    spans.sort_unstable();
    let (mut lost, mut doubled, mut next) = (0, 0, spans.first().map_or(0, |(from, _)| *from));
    for (from, through) in spans {
        lost += u64::try_from(from - next).unwrap_or(0);
        doubled += u64::try_from(next - from).unwrap_or(0);
        next = next.max(through + 1);
    }
    Ok((lost, doubled))
}

/// Median and longest, in milliseconds.
fn spread(times: &[Duration]) -> Option<(u64, u64)> {
    let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut times: Vec<_> = times.iter().map(millis).collect();
    times.sort_unstable();
    Some((*times.get(times.len() / 2)?, *times.last()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tick(planned: &str, through: Option<&str>) -> Value {
        let at = |second: &str| format!("2026-01-01T00:00:{second}Z");
        json!({"planned_at": at(planned), "through": through.map(at)})
    }

    #[test]
    fn what_breaks_a_promise_is_seen() {
        let order = Order {
            database_url: String::new(),
            nodes: 3,
            tasks: 3,
            length: Duration::ZERO,
            seed: 1,
        };
        let accepted = HashSet::from(["1", "2", "3"].map(str::to_owned));
        let run = |task: &str, outcome: &str| json!({"task": task, "outcome": outcome});
        let task = |id: &str, status: &str| json!({"id": id, "status": status});
        let mut found = Found {
            tasks: vec![
                task("1", "succeeded"),
                task("2", "succeeded"),
                task("3", "failed"),
            ],
            processes: vec![
                run("1", "lost"),
                run("1", "succeeded"),
                run("2", "succeeded"),
            ],
            ticks: vec![
                tick("03", None),
                tick("02", None),
                tick("04", Some("06")),
                tick("07", None),
            ],
            at_once: 2,
            at_once_max: 2,
        };
        let proof = |found: &Found| Proof::of(&order, &accepted, &Blows::default(), found).unwrap();
        let all = proof(&found);
        assert!(all.holds(), "{}", all.table());
        assert_eq!((all.ended, all.runs_lost, all.ticks), (3, 1, 4));
        found.ticks.remove(0);
        assert_eq!(proof(&found).ticks_lost, 1);
        found.ticks = vec![tick("02", None), tick("02", None)];
        assert_eq!(proof(&found).ticks_doubled, 1);
        found.ticks.clear();
        found.processes.push(run("1", "succeeded"));
        found.tasks.push(task("4", "succeeded"));
        found.tasks.remove(1);
        let broken = proof(&found);
        assert_eq!((broken.ran_twice, broken.strays, broken.lost), (1, 1, 1));
        assert!(!broken.holds());
    }
}
