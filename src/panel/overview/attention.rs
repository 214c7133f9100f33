//! What somebody should look at, the worst first.

use serde_json::Value;

use crate::api::alerts::AlertView;
use crate::api::health::HealthView;
use crate::api::robot_view::RobotView;
use crate::api::task_approvals::TaskApprovalView;
use crate::domain::alert::Level;
use crate::domain::approval::ApprovalState;
use crate::domain::robot::RobotStatus;
use crate::domain::time::Timestamp;
use crate::panel::moment::Age;
use crate::panel::spark::is_wrong;
use crate::panel::words::{self, Word};
use crate::panel::{plain, text as t};

/// Characters of an error or a finding.
const TEXT_CHARS: usize = 240;
/// Matters of one kind that are shown each by itself.
const EACH_MAX: usize = 20;
/// Characters of the name of a task's definition.
const NAME_CHARS: usize = 60;
/// Things that are named where they have the same matter.
const NAMED_MAX: usize = 8;

/// A matter.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) word: Word,
    /// What it is about, where it is one thing: address and name.
    pub(super) of: Option<(String, String)>,
    pub(super) text: String,
    /// The things that have it together: address and name.
    pub(super) links: Vec<(String, String)>,
    /// How many more it is about than there are links.
    pub(super) further: usize,
    pub(super) since: Option<Age>,
}

impl Attention {
    fn new(word: Word, text: impl Into<String>) -> Self {
        Self {
            word,
            of: None,
            text: text.into(),
            links: Vec::new(),
            further: 0,
            since: None,
        }
    }

    fn at(mut self, address: String, name: &str) -> Self {
        self.of = Some((address, name.to_owned()));
        self
    }

    fn since(mut self, of: Timestamp, now: Timestamp) -> Self {
        self.since = Some(Age { of, now });
        self
    }
}

/// All matters: the node's, what monitors found, robots that do not work, tasks that somebody must decide on, and what is
/// switched off or tells nobody.
pub(super) fn attention(
    health: &HealthView,
    alerts: &[AlertView],
    (robots, decisions): (&[RobotView], &[TaskApprovalView]),
    now: Timestamp,
) -> Vec<Attention> {
    let mut needs: Vec<_> = of_node(health).collect();
    needs.extend(alerts.iter().take(EACH_MAX).map(|alert| {
        let text = plain::shortened(&alert.title, TEXT_CHARS);
        Attention::new(words::alert(alert.level), text).since(alert.since, now)
    }));
    needs.extend(stuck(health).take(EACH_MAX));
    let of_robots = robots.iter().filter_map(|robot| of_robot(robot, now));
    needs.extend(of_robots.take(EACH_MAX));
    needs.sort_by_key(|matter| matter.word.tone != "bad");
    let task = |one: &TaskApprovalView| {
        let name = plain::shortened(&one.name, NAME_CHARS);
        (format!("/tasks/{}", one.task), name)
    };
    needs.extend(together(
        words::approval(ApprovalState::WaitingApproval),
        t::NEEDS_DECISION,
        decisions.iter().map(task),
    ));
    let paused = |robot: &&RobotView| robot.state.status == RobotStatus::Paused;
    let off = |robot: &&RobotView| robot.state.status == RobotStatus::Disabled;
    needs.extend(together(
        words::robot(RobotStatus::Paused),
        t::NEEDS_PAUSED,
        robots.iter().filter(paused).map(link),
    ));
    needs.extend(together(
        words::robot(RobotStatus::Disabled),
        t::NEEDS_OFF,
        robots.iter().filter(off).map(link),
    ));
    needs.extend(together(
        words::alert(Level::Warning),
        t::NEEDS_RECIPIENTS,
        robots.iter().filter(|robot| tells_nobody(robot)).map(link),
    ));
    needs
}

/// What is wrong with the node itself; what is wrong with a robot is said of the robot.
fn of_node(health: &HealthView) -> impl Iterator<Item = Attention> {
    let of_robot = |reason: &str| {
        let named = health.robots.iter();
        named.map(|robot| &robot.name).any(|name| {
            let rest = reason.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.starts_with(' '))
        })
    };
    let reasons = health
        .reasons
        .iter()
        .filter(move |reason| !of_robot(reason));
    reasons.map(|reason| Attention::new(words::health(health.status), reason))
}

/// Robots whose runs do not end although they were told to.
fn stuck(health: &HealthView) -> impl Iterator<Item = Attention> {
    let stuck = health.robots.iter().filter(|robot| robot.zombies > 0);
    stuck.map(|robot| {
        let text = format!("{} {}", t::NEEDS_STUCK, robot.zombies);
        let address = format!("/executions?robot={}", robot.name);
        Attention::new(words::alert(Level::Critical), text).at(address, &robot.name)
    })
}

/// What is wrong with a robot by itself.
fn of_robot(robot: &RobotView, now: Timestamp) -> Option<Attention> {
    let status = robot.state.status;
    let last = robot.state.last_process.as_ref();
    let error = last.and_then(|last| last.error.as_deref());
    let text = plain::shortened(error.unwrap_or(t::NEEDS_NO_ERROR), TEXT_CHARS);
    if matches!(status, RobotStatus::Quarantined | RobotStatus::BackingOff) {
        let address = format!("/robots/{}", robot.name);
        return Some(Attention::new(words::robot(status), text).at(address, &robot.title));
    }
    let last = last.filter(|last| is_wrong(last.outcome))?;
    let matter = Attention::new(words::outcome(last.outcome), text);
    let address = format!("/processes/{}", last.id);
    Some(
        matter
            .at(address, &robot.title)
            .since(last.finished_at, now),
    )
}

/// Whether a robot would tell people of something but knows nobody to tell.
fn tells_nobody(robot: &RobotView) -> bool {
    let recipients = robot.settings.get("recipients").and_then(Value::as_array);
    robot.enabled && recipients.is_some_and(Vec::is_empty)
}

/// Where a robot is, and what it is called.
fn link(robot: &RobotView) -> (String, String) {
    (format!("/robots/{}", robot.name), robot.title.clone())
}

/// One matter of many things: address and name of each.
fn together(
    word: Word,
    text: &str,
    things: impl Iterator<Item = (String, String)>,
) -> Option<Attention> {
    let mut matter = Attention::new(word, text);
    for thing in things {
        if matter.links.len() < NAMED_MAX {
            matter.links.push(thing);
        } else {
            matter.further += 1;
        }
    }
    (!matter.links.is_empty()).then_some(matter)
}
