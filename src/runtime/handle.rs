//! All that the HTTP API may ask of the runtime. Nothing here asks an actor and waits for it, so a stalled
//! control thread cannot hold up `/health`.

use std::sync::Arc;

use actix::Addr;
use serde_json::json;

use super::change::{difference, first_instant};
use super::configuration::{enter, reload};
use super::core::Core;
use super::scheduler;
use super::supervisor::{CancelRun, Supervisor};
use crate::domain::event::CloudEvent;
use crate::domain::id::RobotId;
use crate::domain::robot::{FieldError, Overrides, RobotStanding, RobotStatus, merge};
use crate::domain::tick::{can_fire, next_wake};
use crate::domain::time::Timestamp;
use crate::robot::registry::{Entry, Registry, effective};
use crate::robot::{Admission, Refusal};
use crate::store::StoreError;
use crate::store::audit::NewAudit;
use crate::store::robot::RobotChange;
use crate::store::task::CancelEffect;
use crate::store::upkeep::Reachability;

/// How often a change is tried where other nodes change the same robot at the same moment.
const CHANGE_TRIES: u32 = 5;

/// The runtime as the API sees it. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    core: Arc<Core>,
    supervisor: Addr<Supervisor>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("node", &self.core.tools.node)
            .finish_non_exhaustive()
    }
}

/// Why a robot's configuration was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no robot of this name.
    #[error("there is no robot `{0}`")]
    Unknown(String),
    /// The configuration would not be valid.
    #[error("the configuration would not be valid")]
    Invalid(Vec<FieldError>),
    /// Somebody changed the robot since the caller looked.
    #[error("the robot is at revision {current}")]
    Stale {
        /// The revision now.
        current: i64,
    },
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How the node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// All well.
    Ok,
    /// Something needs attention; work goes on.
    Degraded,
    /// Work does not go on.
    Failing,
}

/// The supervisor's tree as a value.
#[derive(Debug, Clone)]
pub struct NodeHealth {
    /// The one word.
    pub status: HealthStatus,
    /// Why it is not `ok`, for people; empty when it is.
    pub reasons: Vec<String>,
    /// Whether the control thread answers (its heartbeat is younger than 2 s).
    pub control_alive: bool,
    /// Whether the database answers.
    pub store_reachable: bool,
    /// Whether the node is shutting down.
    pub draining: bool,
    /// Every robot.
    pub robots: Vec<RobotHealth>,
}

/// One robot in the tree.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct RobotHealth {
    /// `category.robot`.
    pub name: String,
    /// The one word.
    pub status: RobotStatus,
    /// Instances wanted now.
    pub wanted: u32,
    /// Runs in execution on this node.
    pub running: u32,
    /// Queued tasks, exact up to 10,000.
    pub queued: u32,
    /// Worker restarts since the start.
    pub restarts: u64,
    /// Runs that do not end although told to.
    pub zombies: u32,
    /// Whether it is quarantined.
    pub quarantined: bool,
    /// Class of the last error.
    pub last_error_class: Option<String>,
}

/// What a robot's `state` shows beside its configuration.
#[derive(Debug, Clone)]
pub struct RobotState {
    /// The one word.
    pub status: RobotStatus,
    /// Runs in execution on this node.
    pub running: u32,
    /// Queued tasks, exact up to 10,000 (as of the last seconds).
    pub queued: u32,
    /// The next planned instant.
    pub next_tick_at: Option<Timestamp>,
    /// Worker restarts since the start.
    pub restarts: u64,
}

impl Handle {
    pub(super) const fn new(core: Arc<Core>, supervisor: Addr<Supervisor>) -> Self {
        Self { core, supervisor }
    }

    /// Asks a robot whether it would carry out a task that somebody is about to register.
    ///
    /// # Errors
    /// The robot's refusal.
    pub async fn admit(&self, robot: RobotId, admission: &Admission<'_>) -> Result<(), Refusal> {
        match self.core.robots.get(&robot) {
            Some(robot) => robot.admit(admission).await,
            None => Ok(()),
        }
    }

    /// All robots with their configuration in force.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.core.tools.registry
    }

    /// Lays `patch` (RFC 7396) over a robot's configuration; in force when this returns. `expected` is the
    /// revision from `If-Match`, where the caller sent one.
    ///
    /// # Errors
    /// See [`ChangeError`]; nothing is changed then.
    pub async fn robot_change(
        &self,
        name: &str,
        expected: Option<i64>,
        patch: &Overrides,
        actor: &str,
    ) -> Result<Arc<Entry>, ChangeError> {
        let patched = |entry: &Entry| {
            let mut overrides = entry.overrides.clone();
            merge(&mut overrides, patch);
            overrides
        };
        self.put_overrides(name, expected, patched, ("robot.change", actor))
            .await
    }

    /// Back to the defaults of the code or of `robotd.toml`.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn robot_reset(
        &self,
        name: &str,
        expected: Option<i64>,
        actor: &str,
    ) -> Result<Arc<Entry>, ChangeError> {
        let none = |_: &Entry| Overrides::new();
        self.put_overrides(name, expected, none, ("robot.reset", actor))
            .await
    }

    fn entry(&self, name: &str) -> Result<Arc<Entry>, ChangeError> {
        let entry = self.registry().get(name);
        entry.ok_or_else(|| ChangeError::Unknown(name.to_owned()))
    }

    /// Puts what `make` makes of the robot as it stands. Where another node was faster, what it did is read first.
    async fn put_overrides(
        &self,
        name: &str,
        expected: Option<i64>,
        make: impl Fn(&Entry) -> Overrides,
        by: (&str, &str),
    ) -> Result<Arc<Entry>, ChangeError> {
        for _ in 1..CHANGE_TRIES {
            let entry = self.entry(name)?;
            match self.try_overrides(&entry, expected, make(&entry), by).await {
                Err(ChangeError::Stale { .. }) => reload(&self.core, &self.supervisor).await?,
                done => return done,
            }
            let current = self.entry(name)?.revision;
            if current == entry.revision || expected.is_some_and(|revision| revision != current) {
                return Err(ChangeError::Stale { current });
            }
        }
        let entry = self.entry(name)?;
        self.try_overrides(&entry, expected, make(&entry), by).await
    }

    async fn try_overrides(
        &self,
        entry: &Entry,
        expected: Option<i64>,
        overrides: Overrides,
        (action, actor): (&str, &str),
    ) -> Result<Arc<Entry>, ChangeError> {
        let config = effective(&entry.definition, &overrides).map_err(ChangeError::Invalid)?;
        // After the check: a request that would fail anyway is not refused for its precondition (RFC 9110, 13.2.1).
        if expected.is_some_and(|revision| revision != entry.revision) {
            return Err(ChangeError::Stale {
                current: entry.revision,
            });
        }
        if overrides == entry.overrides {
            // Nothing to write, unless another node changed it a moment ago.
            reload(&self.core, &self.supervisor).await?;
            let current = self.entry(entry.name())?;
            return if current.revision == entry.revision {
                Ok(current)
            } else {
                Err(ChangeError::Stale {
                    current: current.revision,
                })
            };
        }
        let now = self.core.now();
        let rescheduled = config.schedule != entry.config.schedule;
        let anchor = rescheduled.then(|| first_instant(config.schedule.as_ref(), now));
        let (before, after) = difference(&entry.config, &config);
        let event = CloudEvent::own(
            "runtime",
            format!("{}:{}", entry.name(), entry.revision + 1),
            "robot.settings_changed",
            Some(entry.name().to_owned()),
            json!({"robot": entry.name(), "revision": entry.revision + 1, "actor": actor}),
        );
        let change = RobotChange {
            id: entry.id,
            revision: entry.revision,
            overrides,
            anchor,
            audit: NewAudit {
                actor: actor.to_owned(),
                action: action.to_owned(),
                object: format!("robot:{}", entry.name()),
                before: Some(before),
                after: Some(after),
            },
            event: Some(self.registry().route(event)),
        };
        let row = self.core.store().robot_change(change, now).await;
        let row = row.map_err(|error| match error {
            StoreError::Conflict { .. } => ChangeError::Stale {
                current: entry.revision + 1,
            },
            other => ChangeError::Store(other),
        })?;
        Ok(enter(&self.core, &self.supervisor, entry, row, config))
    }

    /// Tells the worker of a running process to end it, here or on another node, after the store recorded the request.
    pub fn cancel(&self, effect: CancelEffect) {
        match effect {
            CancelEffect::Requested {
                process,
                robot,
                node,
            } if node == self.core.tools.node => {
                self.supervisor.do_send(CancelRun(robot, process));
            }
            CancelEffect::Requested { .. } => self.core.store().tell_node(effect),
            CancelEffect::Cancelled => {}
        }
    }

    /// How a robot stands now.
    #[must_use]
    pub fn robot_state(&self, entry: &Entry) -> RobotState {
        let now = self.core.now();
        let health = entry.health.borrow();
        RobotState {
            status: RobotStatus::of(RobotStanding {
                enabled: entry.config.enabled,
                instances: entry.config.instances,
                window_open: entry
                    .config
                    .window
                    .as_ref()
                    .is_none_or(|window| window.is_open(now)),
                quarantined: health.quarantined.is_some(),
                backing_off: health.backing_off,
                running: health.running,
            }),
            running: health.running,
            queued: self.core.depth(entry.id),
            next_tick_at: scheduler::plan(entry).and_then(|plan| next_wake(&plan, Some(now), now)),
            restarts: health.restarts,
        }
    }

    /// Whether any planned instant of a robot lies inside its window; true where it has no schedule.
    #[must_use]
    pub fn can_fire(&self, entry: &Entry) -> bool {
        scheduler::plan(entry).is_none_or(|plan| can_fire(&plan, self.core.now()))
    }

    /// See [`Safe::seals_left`](crate::robot::safe::Safe::seals_left).
    #[must_use]
    pub fn seals_left(&self) -> u64 {
        self.core.tools.safe.seals_left()
    }

    /// How the node does now; a read of values, never a wait.
    #[must_use]
    pub fn health(&self) -> NodeHealth {
        let robots: Vec<_> = self
            .registry()
            .all()
            .iter()
            .map(|entry| self.robot_health(entry))
            .collect();
        let control_alive = self.core.control_alive();
        let store_reachable = self.core.store().reachability() == Reachability::Reachable;
        let draining = self.core.draining.is_cancelled();
        let mut reasons = Vec::new();
        if !control_alive {
            reasons.push("the control thread does not answer".to_owned());
        }
        if !store_reachable {
            reasons.push("the database does not answer; work goes on when it does".to_owned());
        }
        if draining {
            reasons.push("the node is shutting down".to_owned());
        }
        let failing = !control_alive || !store_reachable;
        if let Some(broker) = &self.core.broker {
            reasons.extend(broker.reasons());
        }
        for robot in &robots {
            if robot.quarantined {
                reasons.push(format!(
                    "{} crashes again and again and is quarantined",
                    robot.name
                ));
            } else if robot.zombies > 0 {
                reasons.push(format!(
                    "{} has runs that do not end: {}",
                    robot.name, robot.zombies
                ));
            }
        }
        let status = match (failing, reasons.is_empty()) {
            (true, _) => HealthStatus::Failing,
            (false, false) => HealthStatus::Degraded,
            (false, true) => HealthStatus::Ok,
        };
        NodeHealth {
            status,
            reasons,
            control_alive,
            store_reachable,
            draining,
            robots,
        }
    }

    fn robot_health(&self, entry: &Entry) -> RobotHealth {
        let state = self.robot_state(entry);
        let health = entry.health.borrow();
        RobotHealth {
            name: entry.name().to_owned(),
            status: state.status,
            wanted: health.wanted,
            running: health.running,
            queued: state.queued,
            restarts: health.restarts,
            zombies: health.zombies,
            quarantined: health.quarantined.is_some(),
            last_error_class: health.last_error_class.clone(),
        }
    }
}
