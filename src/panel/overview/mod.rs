//! The first page: what needs attention, how the last day went, and what is there to do the work.

mod attention;

use actix_web::{HttpResponse, web};
use askama::Template;

use self::attention::{Attention, attention};
use super::latency::Latency;
use super::moment::{Age, At};
use super::shell::{Place, Shell, Visit, answer};
use super::spark::{Day, marks};
use super::text as t;
use super::waiting::Waiting;
use super::words::{self, Word, count};
use crate::api::health::{self, HealthView};
use crate::api::nodes::{self, NodeView};
use crate::api::paging::PageParams;
use crate::api::query::Query;
use crate::api::robots::RobotsParams;
use crate::api::task_approvals::{self, TaskApprovalParams};
use crate::api::{ApiError, ApiState, Viewer, activity, alerts, queue_history, robots};
use crate::domain::approval::ApprovalState;
use crate::domain::time::Timestamp;
use crate::runtime::handle::RobotHealth;
use crate::store::page::PageRequest;

/// Starts of nodes that are shown: a restart is one more.
const NODES: u32 = 5;
/// Robots of the supervisor's tree that are shown: those in trouble and those at work come first.
const BRANCHES: usize = 60;
/// Tasks that wait for somebody's decision that are counted.
const DECISIONS: u32 = 100;
/// Queues that are shown, the longest.
const QUEUES: usize = 8;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    shell: Shell,
    health: Word,
    needs: Vec<Attention>,
    runs: String,
    wrong: String,
    running: String,
    queued: String,
    robots: usize,
    day: Day,
    latency: Latency,
    waiting: Waiting,
    marks: Vec<At>,
    queues: Vec<Queue>,
    nodes: Vec<Node>,
    tree: Vec<Branch>,
    /// How many robots more there are.
    further: usize,
}

/// The waiting tasks of a robot.
struct Queue {
    robot: String,
    queued: u32,
    /// Of the longest queue.
    longest: u32,
}

/// A start of robotd.
struct Node {
    id: String,
    name: String,
    state: Word,
    version: String,
    started: Age,
    heard: Age,
}

/// A robot in the supervisor's tree.
struct Branch {
    robot: String,
    status: Word,
    running: u32,
    wanted: u32,
    queued: String,
    restarts: String,
    zombies: u32,
    last_error: Option<String>,
}

/// Shows it.
pub(super) async fn page(
    Viewer(caller): Viewer,
    _: Query<()>,
    visit: Visit,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let now = state.now();
    let health = health::read(&state);
    let all = RobotsParams {
        category: None,
        status: None,
    };
    let robots = robots::select(&state, &all).await?;
    let activity = activity::read(&state).await?;
    let queue = queue_history::read(&state).await?;
    let alerts = alerts::open(&state).await?;
    let waiting = TaskApprovalParams {
        state: Some(ApprovalState::WaitingApproval),
    };
    let decisions = PageRequest {
        limit: DECISIONS,
        after: None,
    };
    let decisions = task_approvals::select(&state, &waiting, decisions).await?;
    let newest = PageParams {
        limit: NODES,
        cursor: None,
    };
    let nodes = nodes::select(&state, &newest).await?.items;
    let day = Day::of_all(&activity);
    let (well, wrong) = day.totals();
    let sum = |part: fn(&RobotHealth) -> u32| {
        let parts = health.robots.iter().map(|robot| u64::from(part(robot)));
        parts.sum::<u64>()
    };
    let queued = sum(|robot| robot.queued);
    answer(&OverviewPage {
        shell: visit.shell(
            Some(&caller),
            Place::Overview,
            t::OVERVIEW,
            "robot process task",
        ),
        needs: attention(&health, &alerts, (&robots, &decisions.items), now),
        runs: count(well + wrong),
        wrong: count(wrong),
        running: count(sum(|robot| robot.running)),
        queued: count(queued),
        waiting: Waiting::of(&queue, queued),
        robots: robots.len(),
        further: health.robots.len().saturating_sub(BRANCHES),
        latency: Latency::of(&activity),
        marks: marks(now),
        queues: queues(&health.robots),
        nodes: nodes.into_iter().map(|node| Node::of(node, now)).collect(),
        health: words::health(health.status),
        tree: tree(health),
        day,
    })
}

impl Node {
    fn of(node: NodeView, now: Timestamp) -> Self {
        let age = |of| Age { of, now };
        Self {
            id: node.id.to_string(),
            name: node.name,
            state: words::node(node.state),
            version: node.version,
            started: age(node.started_at),
            heard: age(node.heartbeat_at),
        }
    }
}

/// The longest queues.
fn queues(robots: &[RobotHealth]) -> Vec<Queue> {
    let mut waiting: Vec<_> = robots.iter().filter(|robot| robot.queued > 0).collect();
    waiting.sort_by(|a, b| (b.queued, &a.name).cmp(&(a.queued, &b.name)));
    let longest = waiting.first().map_or(1, |robot| robot.queued);
    waiting
        .into_iter()
        .take(QUEUES)
        .map(|robot| Queue {
            robot: robot.name.clone(),
            queued: robot.queued,
            longest,
        })
        .collect()
}

/// The supervisor's tree: what is in trouble first, then what works, then by name.
fn tree(health: HealthView) -> Vec<Branch> {
    let mut robots = health.robots;
    robots.sort_by_key(|robot| {
        let trouble = robot.quarantined || robot.zombies > 0;
        let idle = robot.running == 0 && robot.queued == 0;
        (!trouble, idle, robot.name.clone())
    });
    robots
        .into_iter()
        .take(BRANCHES)
        .map(|robot| Branch {
            status: words::robot(robot.status),
            running: robot.running,
            wanted: robot.wanted,
            queued: count(u64::from(robot.queued)),
            restarts: count(robot.restarts),
            zombies: robot.zombies,
            last_error: robot.last_error_class,
            robot: robot.name,
        })
        .collect()
}
