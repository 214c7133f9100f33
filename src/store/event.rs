//! Events: durable, deduplicated, and the tasks they make, in one transaction.

use std::sync::Arc;

use crate::domain::event::{BATCH_EVENTS_MAX, CloudEvent, EventRecord};
use crate::domain::id::{RobotId, TaskId};
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::id::Series;
use super::outbox::Outbox;
use super::page::{Page, PageRequest};
use super::task::{Registered, Start, bounded};
use super::{Store, StoreResult};

/// An event and the robots it wakes (`domain::event::Routes::resolve`).
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The event; already checked.
    pub event: CloudEvent,
    /// Who is woken, with the attempts its tasks get.
    pub wakes: Vec<Wake>,
}

/// One robot to wake for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// Which.
    pub robot: RobotId,
    /// Attempts of the task.
    pub max_attempts: i32,
    /// True: the robot only needs to look; a task of it that still waits serves this event too.
    pub coalesce: bool,
}

/// What `event_append` did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Appended {
    /// New events.
    pub accepted: u32,
    /// Events whose (source, id) was known.
    pub duplicates: u32,
    /// Tasks made.
    pub tasks: Vec<TaskId>,
}

/// Filters of the report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only this type.
    pub kind: Option<String>,
    /// Only this source.
    pub source: Option<String>,
    /// Arrived at or after.
    pub from: Option<Timestamp>,
    /// Arrived before.
    pub to: Option<Timestamp>,
}

/// What a publication writes with: ids, and instances for the tasks.
#[derive(Debug)]
pub(super) struct Publication {
    /// The first event's; the others follow.
    pub(super) first_event: i64,
    /// The first task's; the others follow.
    pub(super) first_task: i64,
    /// What is started of them.
    pub(super) start: Option<Arc<Start>>,
    /// Whether its changes are kept for the broker.
    pub(super) outbox: Outbox,
}

/// What a publication came to, and what is to be told after the commit.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// The answer.
    pub(super) appended: Appended,
    /// The tasks made.
    pub(super) registered: Registered,
    /// Robots that have a waiting task already.
    pub(super) served: Vec<RobotId>,
}

impl Store {
    /// Writes events and the tasks they make; the same (source, id) twice is one event, within the batch too.
    /// A task's payload is the CloudEvent as JSON.
    pub async fn event_append(
        &self,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> StoreResult<Appended> {
        bounded("events", events.len(), BATCH_EVENTS_MAX)?;
        let ids = self.publication_ids(&events, now).await?;
        let published = write!(self, event::insert_events(&events, &ids, now))?;
        Ok(self.tell_published(published))
    }

    /// The report, newest first (keyset by id).
    pub async fn event_list(
        &self,
        filter: EventFilter,
        page: PageRequest,
    ) -> StoreResult<Page<EventRecord>> {
        read!(self, event::list(&filter, page))
    }

    /// Ids for events and for as many tasks as they can make, and instances for those tasks that can start.
    pub(super) async fn publication_ids(
        &self,
        events: &[NewEvent],
        now: Timestamp,
    ) -> StoreResult<Publication> {
        let tasks = events.iter().map(|event| event.wakes.len()).sum();
        let woken = events.iter().flat_map(|event| &event.wakes);
        Ok(Publication {
            first_event: self.ids(Series::Event, events.len(), now).await?,
            first_task: self.ids(Series::Task, tasks, now).await?,
            start: self.start_of(woken.map(|wake| wake.robot), now),
            outbox: self.outbox(),
        })
    }

    /// Tells what events made; hands the answer on.
    pub(super) fn tell_published(&self, published: Published) -> Appended {
        self.tell_registered(published.registered);
        // Their waiting tasks were held for a moment: whoever looked then passed them over.
        self.tell_queued_again(published.served);
        published.appended
    }
}
