//! What the rows of a file come to, beside what is there: looked up and checked, nothing written.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::table::{Line, Table};
use crate::domain::id::InventoryId;
use crate::domain::import::{COLUMNS, Part, RowAnswer, RowError};
use crate::domain::inventory::Noun;
use crate::domain::inventory::name::fold;
use crate::domain::inventory::patch::{Fields, merge_patch};
use crate::domain::robot::FieldError;
use crate::robot::inventory::{Inventory, InventoryError, NewItem, judge};
use crate::store::inventory::Item;

/// Stands for things that are about to be made, where fields are checked: whether they are there is not a matter of fields.
const UNMADE: InventoryId = InventoryId(1);

/// What tells a device of a file from the others: its name and its site's, folded.
pub(super) type DeviceKey = (String, String);

/// What is known so far of what rows name, and what accepted rows will make of it.
pub(super) struct Judge<'a> {
    inventory: &'a Inventory,
    create_sites: bool,
    /// Sites by folded name; none: to be made.
    pub(super) sites: HashMap<String, Option<InventoryId>>,
    policies: HashMap<String, Option<InventoryId>>,
    pub(super) devices: HashMap<DeviceKey, Device>,
}

/// A device as the rows accepted so far want it.
#[derive(Debug, Clone, Default)]
pub(super) struct Device {
    /// As it is; none: to be made.
    pub(super) item: Option<Item>,
    /// What to lay over it, or to make of it; without its site.
    pub(super) fields: Fields,
    /// Its site; empty: none, or that which it has.
    pub(super) site: String,
    /// Whether there is anything to do.
    pub(super) changes: bool,
}

/// What a row comes to.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) answer: RowAnswer,
    pub(super) errors: Vec<RowError>,
    pub(super) credential: CredentialWork,
}

/// What is to be done to a row's credential.
#[derive(Debug)]
pub(super) enum CredentialWork {
    /// Nothing: the row has none, or is refused.
    None,
    /// It is as it should be.
    Same(InventoryId),
    /// It is to be changed.
    Change(InventoryId, NewItem),
    /// It is to be made; its device is filled in when that is there.
    Create(NewItem),
}

/// An error of the API's fields, by the part of the row it is about.
type Wrong = (Part, Vec<FieldError>);

impl<'a> Judge<'a> {
    pub(super) fn new(inventory: &'a Inventory, create_sites: bool) -> Self {
        Self {
            inventory,
            create_sites,
            sites: HashMap::new(),
            policies: HashMap::new(),
            devices: HashMap::new(),
        }
    }

    /// Judges the next row. One that is refused leaves no trace in what the next ones are judged by.
    pub(super) async fn line(
        &mut self,
        table: &Table,
        line: &Line,
    ) -> Result<Verdict, InventoryError> {
        if !line.errors.is_empty() {
            return Ok(refused(line.errors.clone()));
        }
        let judged = match self.device(line).await? {
            Ok(device) => match self.credential(line, &device).await? {
                Ok(credential) => Ok((device, credential)),
                Err(wrong) => Err(wrong),
            },
            Err(wrong) => Err(wrong),
        };
        let (device, credential) = match judged {
            Ok(judged) => judged,
            Err((part, errors)) => {
                let errors = errors.iter();
                let errors = errors.map(|error| row_error(table, line.number, part, error));
                return Ok(refused(errors.collect()));
            }
        };
        let known = self.devices.insert(line.device_key(), device.clone());
        let answer = answer(known.as_ref(), &device, &credential);
        Ok(Verdict {
            answer,
            errors: Vec::new(),
            credential,
        })
    }

    /// The row's device with what the row adds to it.
    async fn device(&mut self, line: &Line) -> Result<Result<Device, Wrong>, InventoryError> {
        if let Err(error) = self.site(line.site()).await? {
            return Ok(Err((Part::Reference, Vec::from([error]))));
        }
        let mut device = match self.devices.get(&line.device_key()) {
            Some(known) => known.clone(),
            None => match self.look_up(line).await? {
                Ok(device) => device,
                Err(error) => return Ok(Err((Part::Device, Vec::from([error])))),
            },
        };
        // By its name it was found; how that is written is not changed.
        let mut said = line.device.clone();
        said.remove("hostname");
        merge_patch(&mut device.fields, &said);
        if !line.way.is_empty() {
            let there = device.item.as_ref().map(|item| &item.body);
            let ways = with_way(there, &device.fields, &line.way);
            device.fields.insert("connectivities".to_owned(), ways);
        }
        let item = NewItem {
            fields: device.fields.clone(),
            secret: None,
        };
        let checked = match &device.item {
            Some(there) => judge::change(Noun::Device, there, &item),
            None => judge::new(Noun::Device, item).map(|()| true),
        };
        Ok(match checked {
            Ok(changes) => {
                device.changes = changes;
                Ok(device)
            }
            Err(errors) => Err((Part::Device, errors)),
        })
    }

    /// Whether a site may be named.
    async fn site(&mut self, name: &str) -> Result<Result<(), FieldError>, InventoryError> {
        let key = fold(name);
        if name.is_empty() || self.sites.contains_key(&key) {
            return Ok(Ok(()));
        }
        let found = self.inventory.find(Noun::Site, &[name]).await?;
        if found.is_none() {
            if !self.create_sites {
                let detail = format!("there is no site `{name}`; make it first");
                return Ok(Err(FieldError::new("site", detail)));
            }
            let mut fields = Fields::new();
            fields.insert("name".to_owned(), Value::from(name));
            let secret = None;
            if let Err(errors) = judge::new(Noun::Site, NewItem { fields, secret }) {
                let detail = errors.first().map_or("", |error| error.detail.as_str());
                return Ok(Err(FieldError::new("site", detail)));
            }
        }
        self.sites.insert(key, found.map(|site| site.id));
        Ok(Ok(()))
    }

    /// The device of a row as it is there. One that names no site means the only device of its name.
    async fn look_up(&self, line: &Line) -> Result<Result<Device, FieldError>, InventoryError> {
        let name = line.hostname();
        let site = line.site();
        let item = match self.sites.get(&fold(site)) {
            _ if site.is_empty() => {
                let mut found = self.inventory.named(Noun::Device, name, 2).await?;
                let one = found.pop();
                if !found.is_empty() {
                    let detail = "stands in several sites; name the site";
                    return Ok(Err(FieldError::new("hostname", detail)));
                }
                one
            }
            Some(Some(site)) => {
                let parts = [name, &site.to_string()];
                self.inventory.find(Noun::Device, &parts).await?
            }
            _ => None,
        };
        let mut fields = Fields::new();
        if item.is_none() {
            fields.insert("hostname".to_owned(), Value::from(name));
        }
        Ok(Ok(Device {
            item,
            fields,
            site: site.to_owned(),
            changes: false,
        }))
    }

    async fn credential(
        &mut self,
        line: &Line,
        device: &Device,
    ) -> Result<Result<CredentialWork, Wrong>, InventoryError> {
        if !line.has_credential() {
            return Ok(Ok(CredentialWork::None));
        }
        let mut fields = line.credential.clone();
        if let Some(name) = line.names.get("policy") {
            let Some(policy) = self.policy(name).await? else {
                let detail = format!("there is no credential policy `{name}`; make it first");
                let error = FieldError::new("policy", detail);
                return Ok(Err((Part::Reference, Vec::from([error]))));
            };
            fields.insert("policy".to_owned(), json!(policy));
        }
        let there = match &device.item {
            Some(device) => {
                let id = device.id.to_string();
                let (name, domain) = ["username", "domain"]
                    .map(|field| line.credential_text(field))
                    .into();
                let parts = [name, domain, &id];
                self.inventory.find(Noun::Credential, &parts).await?
            }
            None => None,
        };
        let work = match there {
            Some(item) => self.changed(line, &item, fields).await?,
            None => created(line, device, fields),
        };
        Ok(work.map_err(|errors| (Part::Credential, errors)))
    }

    async fn changed(
        &self,
        line: &Line,
        item: &Item,
        mut fields: Fields,
    ) -> Result<Result<CredentialWork, Vec<FieldError>>, InventoryError> {
        fields.remove("username");
        fields.remove("domain");
        let mut patch = NewItem {
            fields,
            secret: line.whole_secret(),
        };
        let changes = match judge::change(Noun::Credential, item, &patch) {
            Ok(changes) => changes,
            Err(errors) => return Ok(Err(errors)),
        };
        // A secret that is in force is not put in force once more: a file may be sent twice.
        if let Some(secret) = &patch.secret
            && self.inventory.is_current(item.id, secret).await?
        {
            patch.secret = None;
        }
        let same = !changes && patch.secret.is_none();
        Ok(Ok(if same {
            CredentialWork::Same(item.id)
        } else {
            CredentialWork::Change(item.id, patch)
        }))
    }

    async fn policy(&mut self, name: &str) -> Result<Option<InventoryId>, InventoryError> {
        let key = fold(name);
        if let Some(known) = self.policies.get(&key) {
            return Ok(*known);
        }
        let found = self.inventory.find(Noun::CredentialPolicy, &[name]).await?;
        let id = found.map(|policy| policy.id);
        self.policies.insert(key, id);
        Ok(id)
    }
}

fn created(
    line: &Line,
    device: &Device,
    mut fields: Fields,
) -> Result<CredentialWork, Vec<FieldError>> {
    if line.secret.is_none() {
        let missing = FieldError::new("secret", "missing field `secret`");
        return Err(Vec::from([missing]));
    }
    let id = device.item.as_ref().map_or(UNMADE, |device| device.id);
    fields.insert("device".to_owned(), json!(id));
    let item = NewItem {
        fields,
        secret: line.whole_secret(),
    };
    judge::new(Noun::Credential, item.clone())?;
    Ok(CredentialWork::Create(item))
}

fn refused(errors: Vec<RowError>) -> Verdict {
    Verdict {
        answer: RowAnswer::Refused,
        errors,
        credential: CredentialWork::None,
    }
}

/// What a row does beside the rows before it.
fn answer(known: Option<&Device>, device: &Device, credential: &CredentialWork) -> RowAnswer {
    let is_new = known.is_none() && device.item.is_none();
    let before = known.map(|known| &known.fields);
    let adds = device.changes && before != Some(&device.fields);
    match credential {
        CredentialWork::Create(_) => RowAnswer::Created,
        _ if is_new => RowAnswer::Created,
        CredentialWork::Change(..) => RowAnswer::Updated,
        _ if adds => RowAnswer::Updated,
        _ => RowAnswer::Unchanged,
    }
}

/// The device's connectivities with one more, or with another key of one that is there.
fn with_way(there: Option<&Fields>, wanted: &Fields, way: &Fields) -> Value {
    let list = |fields: &Fields| {
        fields
            .get("connectivities")
            .and_then(Value::as_array)
            .cloned()
    };
    let known = list(wanted).or_else(|| there.and_then(list));
    let mut ways = known.unwrap_or_default();
    let is_same = |one: &Value| {
        ["protocol", "port"]
            .iter()
            .all(|name| one.get(*name) == way.get(*name))
    };
    match ways.iter_mut().find(|one| is_same(one)) {
        Some(Value::Object(one)) => merge_patch(one, way),
        _ => ways.push(Value::Object(way.clone())),
    }
    Value::from(ways)
}

/// An error of a field of the API at the column that fills it.
pub(super) fn row_error(table: &Table, line: u32, part: Part, error: &FieldError) -> RowError {
    let path = error.field.as_str();
    let (part, field) = match path.strip_prefix("connectivities") {
        Some(rest) => (
            Part::Connectivity,
            rest.rsplit('.').next().unwrap_or_default(),
        ),
        None => (part, path.split('[').next().unwrap_or_default()),
    };
    let filled = |field: &str| {
        COLUMNS
            .iter()
            .find(|column| column.part == part && column.field == field)
    };
    match filled(field) {
        Some(column) => table.error(line, column.name, error.detail.clone()),
        None => table.error(line, path, error.detail.clone()),
    }
}
