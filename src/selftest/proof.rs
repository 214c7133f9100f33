//! What was found, held against what was promised.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use super::{Blow, Order};
use crate::domain::time::{Timestamp, to_micros};

/// What was done to nodes, and what it showed.
#[derive(Debug, Default)]
pub(super) struct Blows {
    kinds: BTreeMap<Blow, Told>,
    /// Nodes that were found ended, as those do that were declared dead, before anything more was done to them.
    pub(super) found_ended: u32,
}

impl Blows {
    /// One more of a kind.
    pub(super) fn of(&mut self, blow: Blow) -> &mut Told {
        let told = self.kinds.entry(blow).or_default();
        told.count += 1;
        told
    }

    fn suffered(&self) -> Vec<Suffered> {
        let told = self.kinds.iter();
        told.map(|(blow, told)| Suffered {
            blow: *blow,
            count: told.count,
            declared_dead: told.declared_dead,
            missed_after_ms: spread(&told.missed_after),
            back_after_ms: spread(&told.back_after),
        })
        .collect()
    }
}

/// What blows of one kind showed.
#[derive(Debug, Default)]
pub(super) struct Told {
    count: u32,
    /// Nodes that ended afterwards, because they had been declared dead.
    pub(super) declared_dead: u32,
    /// From the blow until another node said so.
    pub(super) missed_after: Vec<Duration>,
    /// From the end of the blow until the node worked as before.
    pub(super) back_after: Vec<Duration>,
}

/// Blows of one kind, and how long it took to get over them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suffered {
    /// What was done.
    pub blow: Blow,
    /// How often.
    pub count: u32,
    /// Nodes that were declared dead for it, and ended when they could know; those that were killed could not.
    pub declared_dead: u32,
    /// Until another node said that the node is dead, or that its clock is off, in milliseconds: median and longest.
    pub missed_after_ms: Option<(u64, u64)>,
    /// Until the node worked as before, in milliseconds: median and longest.
    pub back_after_ms: Option<(u64, u64)>,
}

impl Suffered {
    fn line(&self) -> (String, String) {
        let spread = |of: Option<(u64, u64)>| {
            of.map_or_else(
                || "-".to_owned(),
                |(median, most)| format!("{median} ms, {most} ms at most"),
            )
        };
        let what = match self.blow {
            Blow::Killed => "nodes killed",
            Blow::Stopped => "nodes stopped",
            Blow::Cut => "nodes cut off",
            Blow::Silent => "nodes with a silent database",
            Blow::Stepped => "clocks stepped",
        };
        let figures = format!(
            "{}, of these ended as dead {}; seen after {}; well again after {}",
            self.count,
            self.declared_dead,
            spread(self.missed_after_ms),
            spread(self.back_after_ms)
        );
        (what.to_owned(), figures)
    }
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
    /// What was done to them, and how long it took to get over it.
    pub blows: Vec<Suffered>,
    /// Nodes that had ended between two blows, because they were declared dead, and were started again.
    pub found_ended: u32,
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
            blows: blows.suffered(),
            found_ended: blows.found_ended,
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
        let text = |what: &str, figure: String| (what.to_owned(), figure);
        let number = |what: &str, figure: usize| text(what, figure.to_string());
        let mut lines = Vec::from([
            text("seed", self.seed.to_string()),
            number("nodes", self.nodes),
        ]);
        lines.extend(self.blows.iter().map(Suffered::line));
        lines.extend([
            text("nodes found ended as dead", self.found_ended.to_string()),
            number("tasks accepted", self.accepted),
            number("tasks ended", self.ended),
            number("tasks lost", self.lost),
            number("tasks nobody was told of", self.strays),
            number("tasks recorded as done twice", self.ran_twice),
            number("runs lost and offered again", self.runs_lost),
            text(
                "runs at once",
                format!("{} of {}", self.at_once, self.at_once_max),
            ),
            number("ticks", self.ticks),
            text("ticks lost", self.ticks_lost.to_string()),
            text("ticks doubled", self.ticks_doubled.to_string()),
            text(
                "the promises",
                if self.holds() { "held" } else { "BROKE" }.to_owned(),
            ),
        ]);
        let lines = lines
            .iter()
            .map(|(what, figure)| format!("{what:<30}{figure}"));
        lines.collect::<Vec<_>>().join("\n")
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
