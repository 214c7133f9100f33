//! Certificates on their way: what was ordered of an issuer, and what is published where.
//!
//! Both are rows that are there before anybody outside is told: an issue with its private key before the issuer is asked, a
//! publication before the machine is touched. Each automation has one open issue at most, each binding one open publication.
//! Whoever comes after one that was cut off finds the row, and brings it to its end.

use serde_json::Value;

use crate::domain::id::InventoryId;
use crate::domain::time::Timestamp;

use super::audit::NewAudit;
use super::backend::{read, write};
use super::event::NewEvent;
use super::private_key::PrivateKey;
use super::secret::SecretKept;
use super::signal::Signal;
use super::{Store, StoreResult};

/// Open issues, open publications and failures that are read at once.
pub const OPEN_MAX: u32 = 1_000;

/// Bound on the kept text of a failure, in characters.
pub const DETAIL_CHARS_MAX: usize = 512;

/// A certificate that was ordered, or is about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Its id, from [`Store::inventory_ids`]; the name of its folder where it is published.
    pub id: i64,
    /// For which automation.
    pub automation: InventoryId,
    /// Of whom.
    pub issuer: InventoryId,
    /// Its private key.
    pub private_key: i64,
    /// What it is for.
    pub names: Vec<String>,
    /// The order at the issuer, where it has one.
    pub order_url: Option<String>,
    /// The certificate and its chain, PEM, once it is there.
    pub certificate: Option<String>,
}

/// The private key of an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssueKey {
    /// A new one, kept with the issue.
    New(PrivateKey),
    /// One that is kept already.
    Same(i64),
}

/// An issue about to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIssue {
    /// Its id.
    pub id: i64,
    /// For which automation.
    pub automation: InventoryId,
    /// Of whom.
    pub issuer: InventoryId,
    /// Its key.
    pub key: IssueKey,
    /// What it is for.
    pub names: Vec<String>,
}

/// What an issuer answered on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssueStep {
    /// The order is there, or is lost.
    Order(Option<String>),
    /// The certificate is there.
    Certificate(String),
    /// It is of no use any more: something else is wanted by now.
    Abandoned,
}

/// The end of an issue: its certificate is in force.
#[derive(Debug, Clone, PartialEq)]
pub struct IssueEnd {
    /// The issue.
    pub issue: i64,
    /// For which automation.
    pub automation: InventoryId,
    /// The certificate in the inventory.
    pub certificate: InventoryId,
    /// Its serial number in hexadecimal.
    pub serial: String,
    /// Its life.
    pub life: (Timestamp, Timestamp),
    /// Written in the same transaction.
    pub audit: NewAudit,
    /// Published in the same transaction.
    pub events: Vec<NewEvent>,
}

/// An attempt that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setback {
    /// Of which automation or binding.
    pub of: InventoryId,
    /// Not tried again before this.
    pub next_attempt_at: Timestamp,
    /// Why, without secrets; at most [`DETAIL_CHARS_MAX`] characters are kept.
    pub error: String,
}

/// Something that failed and did not succeed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// A binding, else an automation.
    pub is_binding: bool,
    /// Which.
    pub id: InventoryId,
    /// What it is called.
    pub name: String,
    /// Attempts that failed in a row.
    pub failures: u32,
    /// Why the last one did.
    pub error: String,
    /// Begin and end of the certificate in force; none for a binding.
    pub life: Option<(Timestamp, Timestamp)>,
}

/// A binding where another certificate is to be published than is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueBinding {
    /// Which.
    pub binding: InventoryId,
    /// What is to be published.
    pub issue: i64,
    /// Attempts that failed in a row.
    pub failures: u32,
}

/// Where a publication stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicationState {
    /// The machine may have been touched.
    Begun,
    /// The certificate is proven to be served.
    Published,
    /// What was there before is there again, and proven to be served where it was seen before.
    RolledBack,
    /// Neither could be proven: somebody must look.
    Broken,
}

impl PublicationState {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Published => "published",
            Self::RolledBack => "rolled_back",
            Self::Broken => "broken",
        }
    }

    pub(super) const fn code(self) -> i16 {
        match self {
            Self::Begun => 0,
            Self::Published => 1,
            Self::RolledBack => 2,
            Self::Broken => 3,
        }
    }
}

/// A publication that was begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// Its id, from [`Store::inventory_ids`].
    pub id: i64,
    /// At which binding.
    pub binding: InventoryId,
    /// Of which automation.
    pub automation: InventoryId,
    /// Of which certificate.
    pub issue: i64,
    /// The binding as it was.
    pub place: Value,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
    /// What was in force in the folder; none where nothing was.
    pub previous: Option<String>,
    /// SHA-256 of what was served; none where nothing was, or nothing could be seen.
    pub served_before: Option<String>,
}

/// The end of a publication.
#[derive(Debug, Clone, PartialEq)]
pub struct PublicationEnd {
    /// Which.
    pub publication: Publication,
    /// What it came to; not `Begun`.
    pub state: PublicationState,
    /// SHA-256 of what is served now, as far as that is known.
    pub served: Option<String>,
    /// What went wrong, and when it is tried again; none where it was published, or nothing was tried.
    pub setback: Option<Setback>,
    /// Published in the same transaction.
    pub events: Vec<NewEvent>,
}

impl Store {
    /// Begins an issue: the row and its private key. `NotFound`; `Conflict` where the automation has an open one.
    pub async fn certificate_issue_begin(
        &self,
        new: NewIssue,
        now: Timestamp,
    ) -> StoreResult<SecretKept> {
        write!(self, certificate::issue_begin(&new, now))
    }

    /// The open issues, the oldest first, at most [`OPEN_MAX`].
    pub async fn certificate_issue_open(&self) -> StoreResult<Vec<Issue>> {
        read!(self, certificate::issue_open())
    }

    /// One issue. `NotFound`.
    pub async fn certificate_issue_get(&self, id: i64) -> StoreResult<Issue> {
        read!(self, certificate::issue_get(id))
    }

    /// The issue whose certificate is in force in an automation.
    pub async fn certificate_issue_current(
        &self,
        automation: InventoryId,
    ) -> StoreResult<Option<Issue>> {
        read!(self, certificate::issue_current(automation))
    }

    /// Notes what the issuer answered; `Conflict` where the issue is not open any more.
    pub async fn certificate_issue_note(
        &self,
        id: i64,
        step: IssueStep,
        now: Timestamp,
    ) -> StoreResult<()> {
        write!(self, certificate::issue_note(id, &step, now))
    }

    /// Puts the certificate of an issue in force, and forgets private keys but its own and the one before. Answers `false`,
    /// and does nothing, where the issue is not open any more.
    pub async fn certificate_issue_end(&self, end: IssueEnd, now: Timestamp) -> StoreResult<bool> {
        let ids = self.publication_ids(&end.events, now).await?;
        let published = write!(self, certificate::issue_end(&end, &ids, now))?;
        let Some(published) = published else {
            return Ok(false);
        };
        self.tell(Signal::Inventory);
        self.tell(Signal::Syslog);
        self.tell_published(published);
        Ok(true)
    }

    /// Counts a failed attempt to renew. The issue stays open for the next one.
    pub async fn certificate_renewal_failed(&self, setback: Setback) -> StoreResult<()> {
        write!(self, certificate::renewal_failed(&setback))
    }

    /// Issues that were begun with an issuer since an instant.
    pub async fn certificate_issues_since(
        &self,
        issuer: InventoryId,
        since: Timestamp,
    ) -> StoreResult<u32> {
        read!(self, certificate::issues_since(issuer, since))
    }

    /// Automations and bindings that failed and did not succeed since, at most [`OPEN_MAX`] of each.
    pub async fn certificate_failing(&self) -> StoreResult<Vec<Failing>> {
        read!(self, certificate::failing())
    }

    /// Notes which certificates an automation's current one has taken the place of, once it is published everywhere.
    /// Answers how many.
    pub async fn certificate_replaced(&self, automation: InventoryId) -> StoreResult<usize> {
        write!(self, certificate::replaced(automation))
    }

    /// Bindings where another certificate is to be published than is there, that are not held back by a failure and have no
    /// open publication; at most `limit`, from behind `after` on. One that a caller changed since is published anew.
    pub async fn certificate_binding_due(
        &self,
        after: InventoryId,
        limit: u32,
        now: Timestamp,
    ) -> StoreResult<Vec<DueBinding>> {
        read!(self, certificate_publication::due(after, limit, now))
    }

    /// Counts a failed attempt to publish that left the machine as it was.
    pub async fn certificate_binding_failed(&self, setback: Setback) -> StoreResult<()> {
        write!(self, certificate_publication::failed(&setback))
    }

    /// Notes that a binding serves the certificate of an issue already.
    pub async fn certificate_binding_served(
        &self,
        due: DueBinding,
        served: String,
        now: Timestamp,
    ) -> StoreResult<()> {
        write!(self, certificate_publication::served(due, &served, now))
    }

    /// The publications that were begun and not ended, the oldest first, at most [`OPEN_MAX`].
    pub async fn certificate_publication_open(&self) -> StoreResult<Vec<Publication>> {
        read!(self, certificate_publication::open())
    }

    /// Begins a publication, before the machine is touched. `Conflict` where the binding has an open one.
    pub async fn certificate_publication_begin(
        &self,
        new: Publication,
        now: Timestamp,
    ) -> StoreResult<()> {
        write!(self, certificate_publication::begin(&new, now))
    }

    /// Ends a publication, and notes at its binding what it came to. Answers `false`, and does nothing, where it was ended
    /// already.
    pub async fn certificate_publication_end(
        &self,
        end: PublicationEnd,
        now: Timestamp,
    ) -> StoreResult<bool> {
        let ids = self.publication_ids(&end.events, now).await?;
        let published = write!(self, certificate_publication::end(&end, &ids, now))?;
        let Some(published) = published else {
            return Ok(false);
        };
        self.tell(Signal::Inventory);
        self.tell_published(published);
        Ok(true)
    }
}
