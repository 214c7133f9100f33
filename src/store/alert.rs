//! Alert states, changed together with the mails and events they cause.

use crate::domain::alert::AlertState;
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::event::NewEvent;
use super::mail::NewMail;
use super::{Store, StoreResult};

/// Bound on the states of one list.
pub(super) const ALERTS_MAX: i64 = 10_000;

impl Store {
    /// States whose key starts with `prefix`, at most 10,000.
    pub async fn alert_list(&self, prefix: &str) -> StoreResult<Vec<AlertState>> {
        let prefix = prefix.to_owned();
        read!(self, alert::list(&prefix))
    }

    /// Writes states, queues mails and publishes events in one transaction: after a crash nobody is told twice
    /// and nobody is forgotten.
    pub async fn alert_apply(
        &self,
        states: Vec<AlertState>,
        mails: Vec<NewMail>,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> StoreResult<()> {
        let ids = self.publication_ids(&events, now).await?;
        let published = write!(self, alert::apply(&states, &mails, &events, &ids, now))?;
        self.tell_published(published);
        Ok(())
    }
}
