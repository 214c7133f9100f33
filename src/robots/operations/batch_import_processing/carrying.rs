//! Carrying out what rows come to: sites, then devices, then credentials, each all at once where they are new.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::judgement::{CredentialWork, DeviceKey, Judge, Verdict, row_error};
use super::table::{Line, Table};
use crate::domain::id::InventoryId;
use crate::domain::import::{Part, RowAnswer};
use crate::domain::inventory::Noun;
use crate::domain::inventory::name::fold;
use crate::domain::inventory::patch::Fields;
use crate::domain::robot::FieldError;
use crate::robot::inventory::{By, Inventory, InventoryError, NewItem, Reason};
use crate::store::import::ImportRow;

/// A row on its way.
pub(super) struct Work<'a> {
    pub(super) line: &'a Line,
    pub(super) verdict: Verdict,
}

impl Work<'_> {
    /// The row as it stands.
    pub(super) fn row(&self, ids: &Ids) -> ImportRow {
        let there = match self.verdict.credential {
            CredentialWork::Same(id) | CredentialWork::Change(id, _) => Some(id),
            CredentialWork::None | CredentialWork::Create(_) => None,
        };
        let made = ids.credentials.get(&self.line.number).copied();
        let refused = self.verdict.answer == RowAnswer::Refused;
        let device = ids.devices.get(&self.line.device_key()).copied();
        ImportRow {
            line: self.line.number,
            answer: self.verdict.answer,
            cells: self.line.shown.clone(),
            errors: self.verdict.errors.clone(),
            device: device.filter(|_| !refused),
            credential: there.or(made),
        }
    }

    fn is_accepted(&self) -> bool {
        self.verdict.answer != RowAnswer::Refused
    }

    fn refuse(&mut self, table: &Table, part: Part, errors: &[FieldError]) {
        let number = self.line.number;
        let errors = errors.iter();
        let errors = errors.map(|error| row_error(table, number, part, error));
        self.verdict = Verdict {
            answer: RowAnswer::Refused,
            errors: errors.collect(),
            credential: CredentialWork::None,
        };
    }
}

/// Things that are there by now.
#[derive(Debug, Default)]
pub(super) struct Ids {
    pub(super) devices: HashMap<DeviceKey, InventoryId>,
    pub(super) credentials: HashMap<u32, InventoryId>,
}

/// Where, and in whose name.
pub(super) struct Carrier<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) by: By<'a>,
    pub(super) table: &'a Table,
}

impl Carrier<'_> {
    /// Carries out what the rows were judged to be; a row that somebody got in the way of is refused after all.
    pub(super) async fn carry(
        &self,
        judge: &mut Judge<'_>,
        works: &mut [Work<'_>],
    ) -> Result<Ids, InventoryError> {
        let mut ids = Ids::default();
        self.sites(judge, works).await?;
        self.new_devices(judge, works, &mut ids).await?;
        self.known_devices(judge, works, &mut ids).await?;
        self.new_credentials(works, &mut ids).await?;
        self.known_credentials(works).await?;
        Ok(ids)
    }

    async fn sites(
        &self,
        judge: &mut Judge<'_>,
        works: &mut [Work<'_>],
    ) -> Result<(), InventoryError> {
        let mut wanted = HashMap::new();
        for work in works.iter().filter(|work| work.is_accepted()) {
            let name = work.line.site();
            if judge.sites.get(&fold(name)) == Some(&None) {
                wanted.insert(fold(name), named("name", name));
            }
        }
        let (made, refused) = self.create(Noun::Site, wanted).await?;
        judge
            .sites
            .extend(made.into_iter().map(|(key, id)| (key, Some(id))));
        for work in works {
            if let Some(errors) = refused.get(&fold(work.line.site())) {
                work.refuse(self.table, Part::Reference, &at("site", errors));
            }
        }
        Ok(())
    }

    async fn new_devices(
        &self,
        judge: &Judge<'_>,
        works: &mut [Work<'_>],
        ids: &mut Ids,
    ) -> Result<(), InventoryError> {
        let mut wanted = HashMap::new();
        for key in devices_of(works) {
            let Some(device) = judge.devices.get(&key).filter(|one| one.item.is_none()) else {
                continue;
            };
            let mut fields = device.fields.clone();
            if let Some(Some(site)) = judge.sites.get(&fold(&device.site)) {
                fields.insert("site".to_owned(), json!(site));
            }
            let secret = None;
            wanted.insert(key, NewItem { fields, secret });
        }
        let (made, refused) = self.create(Noun::Device, wanted).await?;
        ids.devices.extend(made);
        for work in works {
            if let Some(errors) = refused.get(&work.line.device_key()) {
                work.refuse(self.table, Part::Device, errors);
            }
        }
        Ok(())
    }

    async fn known_devices(
        &self,
        judge: &Judge<'_>,
        works: &mut [Work<'_>],
        ids: &mut Ids,
    ) -> Result<(), InventoryError> {
        for key in devices_of(works) {
            let Some(device) = judge.devices.get(&key) else {
                continue;
            };
            let Some(item) = &device.item else { continue };
            ids.devices.insert(key.clone(), item.id);
            if !device.changes {
                continue;
            }
            let patch = NewItem {
                fields: device.fields.clone(),
                secret: None,
            };
            if let Err(errors) = self.change(Noun::Device, item.id, &patch).await? {
                for work in works.iter_mut() {
                    if work.line.device_key() == key {
                        work.refuse(self.table, Part::Device, &errors);
                    }
                }
            }
        }
        Ok(())
    }

    async fn new_credentials(
        &self,
        works: &mut [Work<'_>],
        ids: &mut Ids,
    ) -> Result<(), InventoryError> {
        let mut wanted = HashMap::new();
        for work in works.iter() {
            let device = ids.devices.get(&work.line.device_key());
            if let (CredentialWork::Create(item), Some(device)) = (&work.verdict.credential, device)
            {
                let mut item = item.clone();
                item.fields.insert("device".to_owned(), json!(device));
                wanted.insert(work.line.number, item);
            }
        }
        let (made, refused) = self.create(Noun::Credential, wanted).await?;
        ids.credentials.extend(made);
        for work in works {
            if let Some(errors) = refused.get(&work.line.number) {
                work.refuse(self.table, Part::Credential, errors);
            }
        }
        Ok(())
    }

    async fn known_credentials(&self, works: &mut [Work<'_>]) -> Result<(), InventoryError> {
        for work in works {
            let CredentialWork::Change(id, patch) = &work.verdict.credential else {
                continue;
            };
            if let Err(errors) = self.change(Noun::Credential, *id, patch).await? {
                work.refuse(self.table, Part::Credential, &errors);
            }
        }
        Ok(())
    }

    /// Makes all that can be made, at once; answers what was made, and why the others were not.
    async fn create<K: Clone + Eq + std::hash::Hash>(
        &self,
        noun: Noun,
        wanted: HashMap<K, NewItem>,
    ) -> Result<Created<K>, InventoryError> {
        let mut wanted: Vec<(K, NewItem)> = wanted.into_iter().collect();
        let mut refused = HashMap::new();
        while !wanted.is_empty() {
            let items = wanted.iter().map(|(_, item)| item.clone()).collect();
            let reasons = match self.inventory.create(noun, items, self.by).await {
                Ok(made) => {
                    let keys = wanted.into_iter().map(|(key, _)| key);
                    let ids = made.into_iter().map(|item| item.id);
                    return Ok((keys.zip(ids).collect(), refused));
                }
                Err(InventoryError::Refused(reasons)) => reasons,
                Err(error) => return Err(error),
            };
            let reasons: HashMap<usize, Reason> = reasons.into_iter().collect();
            let mut left = Vec::with_capacity(wanted.len());
            for (index, (key, item)) in wanted.into_iter().enumerate() {
                match reasons.get(&index) {
                    Some(reason) => drop(refused.insert(key, errors_of(reason))),
                    None => left.push((key, item)),
                }
            }
            wanted = left;
        }
        Ok((HashMap::new(), refused))
    }

    async fn change(
        &self,
        noun: Noun,
        id: InventoryId,
        patch: &NewItem,
    ) -> Result<Result<(), Vec<FieldError>>, InventoryError> {
        let changed = self.inventory.change(noun, id, None, patch, self.by);
        match changed.await {
            Ok(_) => Ok(Ok(())),
            Err(InventoryError::Refused(reasons)) => Ok(Err(reasons
                .iter()
                .flat_map(|(_, reason)| errors_of(reason))
                .collect())),
            Err(error) => Err(error),
        }
    }
}

/// What was made, and why the others were not.
type Created<K> = (HashMap<K, InventoryId>, HashMap<K, Vec<FieldError>>);

fn devices_of(works: &[Work<'_>]) -> HashSet<DeviceKey> {
    let accepted = works.iter().filter(|work| work.is_accepted());
    accepted.map(|work| work.line.device_key()).collect()
}

fn named(field: &str, name: &str) -> NewItem {
    let mut fields = Fields::new();
    fields.insert(field.to_owned(), Value::from(name));
    NewItem {
        fields,
        secret: None,
    }
}

/// The same errors at another field.
fn at(field: &str, errors: &[FieldError]) -> Vec<FieldError> {
    let moved = errors.iter();
    moved
        .map(|error| FieldError::new(field, error.detail.clone()))
        .collect()
}

fn errors_of(reason: &Reason) -> Vec<FieldError> {
    let whole = |detail: &str| Vec::from([FieldError::new("", detail)]);
    match reason {
        Reason::Invalid(errors) => errors.clone(),
        Reason::Taken(error) => Vec::from([error.clone()]),
        Reason::InUse(what) => whole(what),
        Reason::Stale { .. } => {
            whole("was changed by somebody else at the same moment; send it again")
        }
        Reason::Missing(what) => whole(&format!("{what} is not there any more; send it again")),
    }
}
