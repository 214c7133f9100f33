//! Every robot with its configuration in force. The supervisor writes it; everybody reads it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::watch;

use super::spec::Definition;
use crate::domain::event::{CloudEvent, Routes};
use crate::domain::id::{IdMap, RobotId};
use crate::domain::robot::{FieldError, Overrides, RobotConfig};
use crate::domain::time::Timestamp;
use crate::store::event::{NewEvent, Wake};

/// A robot as it stands.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its row.
    pub id: RobotId,
    /// What it is by default.
    pub definition: Arc<Definition>,
    /// What was changed over HTTP.
    pub overrides: Overrides,
    /// Counts changes.
    pub revision: i64,
    /// First instant of an `every` schedule.
    pub anchor: Timestamp,
    /// The configuration in force.
    pub config: Arc<RobotConfig>,
    /// How its pool does.
    pub health: watch::Receiver<PoolHealth>,
}

impl Entry {
    /// `category.robot`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.identity.name
    }
}

/// How a robot's pool does on this node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PoolHealth {
    /// Instances wanted here: 0 while disabled, outside the window or quarantined; 1 while probing.
    pub wanted: u32,
    /// Runs in execution here.
    pub running: u32,
    /// Workers waiting to be restarted.
    pub backing_off: u32,
    /// Runs that do not end although they were told to; each holds a thread.
    pub zombies: u32,
    /// Worker restarts in the last minute.
    pub restarts_recent: u32,
    /// Worker restarts since the start.
    pub restarts: u64,
    /// Since when and until when (next probe) the pool is quarantined.
    pub quarantined: Option<(Timestamp, Timestamp)>,
    /// Stable class of the last error, e.g. `panicked`.
    pub last_error_class: Option<String>,
    /// The last error of a worker, for people.
    pub last_error: Option<String>,
}

/// All robots.
#[derive(Debug, Default)]
pub struct Registry {
    entries: RwLock<Entries>,
    routes: RwLock<Arc<Routes>>,
}

#[derive(Debug, Default)]
struct Entries {
    by_name: BTreeMap<String, Arc<Entry>>,
    by_id: IdMap<RobotId, Arc<Entry>>,
}

impl Registry {
    /// Enters or replaces a robot, unless a later revision of it stands there; answers what does.
    pub fn put(&self, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(later) = entries.by_id.get(&entry.id)
            && later.revision > entry.revision
        {
            return Arc::clone(later);
        }
        entries.by_id.insert(entry.id, Arc::clone(&entry));
        let name = entry.name().to_owned();
        let before = entries.by_name.insert(name, Arc::clone(&entry));
        let listens = |entry: &Entry| !entry.definition.identity.events.is_empty();
        if listens(&entry) || before.is_some_and(|before| listens(&before)) {
            let routes = Arc::new(entries.routes());
            *self.routes.write().unwrap_or_else(PoisonError::into_inner) = routes;
        }
        entry
    }

    /// The robot called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Entry>> {
        self.read().by_name.get(name).cloned()
    }

    /// The robot with this id.
    #[must_use]
    pub fn by_id(&self, id: RobotId) -> Option<Arc<Entry>> {
        self.read().by_id.get(&id).cloned()
    }

    /// All robots by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.read().by_name.values().cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// `event` with the robots it wakes.
    #[must_use]
    pub fn route(&self, event: CloudEvent) -> NewEvent {
        let routes = Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner));
        let wakes = routes
            .resolve(&event.kind)
            .into_iter()
            .filter_map(|id| self.by_id(id))
            .map(|entry| Wake {
                robot: entry.id,
                max_attempts: i32::try_from(entry.config.retry.max_attempts).unwrap_or(i32::MAX),
                coalesce: entry.definition.coalesce_events,
            })
            .collect();
        NewEvent { event, wakes }
    }
}

impl Entries {
    fn routes(&self) -> Routes {
        let mut routes = Routes::default();
        for entry in self.by_name.values() {
            for pattern in &entry.definition.identity.events {
                routes.subscribe(pattern, entry.id);
            }
        }
        routes
    }
}

/// The configuration in force: `overrides` over the defaults, checked against the robot.
///
/// # Errors
/// Every field that does not fit.
pub fn effective(
    definition: &Definition,
    overrides: &Overrides,
) -> Result<RobotConfig, Vec<FieldError>> {
    let config = definition.defaults.with_overrides(overrides)?;
    definition.check(&config)?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::domain::retry::RetryPolicy;
    use crate::robot::RobotSpec;

    const ANY: RobotSpec = RobotSpec {
        name: "custom.any",
        events: &["storage.*"],
        ..RobotSpec::DEFAULT
    };

    const ONE: RobotSpec = RobotSpec {
        name: "custom.one",
        events: &["storage.low"],
        coalesce_events: false,
        retry: RetryPolicy {
            max_attempts: 2,
            ..RetryPolicy::DEFAULT
        },
        ..RobotSpec::DEFAULT
    };

    fn entry(id: i64, spec: &RobotSpec, overrides: Overrides) -> Entry {
        let definition = spec.definition().unwrap();
        let config = effective(&definition, &overrides).unwrap();
        Entry {
            id: RobotId(id),
            definition: Arc::new(definition),
            overrides,
            revision: 1,
            anchor: DateTime::UNIX_EPOCH,
            config: Arc::new(config),
            health: watch::channel(PoolHealth::default()).1,
        }
    }

    fn woken(registry: &Registry, kind: &str) -> Vec<(i64, i32, bool)> {
        let event = CloudEvent::own("test", "1".to_owned(), kind, None, json!({}));
        let wakes = registry.route(event).wakes;
        wakes
            .iter()
            .map(|wake| (wake.robot.0, wake.max_attempts, wake.coalesce))
            .collect()
    }

    #[test]
    fn an_event_wakes_its_robots_as_they_are_configured_now() {
        let registry = Registry::default();
        registry.put(entry(1, &ANY, Overrides::new()));
        registry.put(entry(2, &ONE, Overrides::new()));
        assert_eq!(
            woken(&registry, "storage.low"),
            [(1, 5, true), (2, 2, false)]
        );
        assert_eq!(woken(&registry, "storage.gone"), [(1, 5, true)]);
        assert_eq!(woken(&registry, "session.expired"), []);

        let patient = json!({"retry": {"max_attempts": 9}});
        registry.put(entry(2, &ONE, patient.as_object().unwrap().clone()));
        assert_eq!(
            woken(&registry, "storage.low"),
            [(1, 5, true), (2, 9, false)],
            "a robot that is entered again is not woken twice"
        );
    }

    #[test]
    fn a_robot_is_found_by_its_name_and_by_its_id() {
        let registry = Registry::default();
        registry.put(entry(7, &ONE, Overrides::new()));
        assert_eq!(registry.get("custom.one").unwrap().id, RobotId(7));
        assert_eq!(registry.by_id(RobotId(7)).unwrap().name(), "custom.one");
        assert!(registry.get("custom.any").is_none() && registry.by_id(RobotId(1)).is_none());
        registry.put(entry(1, &ANY, Overrides::new()));
        let names: Vec<_> = registry.all().iter().map(|e| e.name().to_owned()).collect();
        assert_eq!(names, ["custom.any", "custom.one"]);
    }

    #[test]
    fn a_robot_refuses_more_instances_than_make_sense() {
        let definition = ONE.definition().unwrap();
        let twice = json!({"instances": 2});
        let errors = effective(&definition, twice.as_object().unwrap()).unwrap_err();
        assert_eq!(errors[0].field, "instances");
    }
}
