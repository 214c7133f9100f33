//! The inventory: a list and a page for every noun, made from its specification alone.

use std::collections::{BTreeSet, HashMap};

use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use askama::Template;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::certificates::Orders;
use super::form::Posted;
use super::list::{List, Report};
use super::moment::{At, length};
use super::shell::{Place, Shell, Visit, answer};
use super::{plain, see, text as t};
use crate::api::inventory;
use crate::api::query::{FromParams, Params, Query};
use crate::api::{ApiError, ApiState, Caller, Operator, Viewer};
use crate::domain::id::InventoryId;
use crate::domain::inventory::column::{Column, FilterKind, Kind};
use crate::domain::inventory::{Noun, NounSpec};
use crate::domain::iso_duration;
use crate::domain::secret::Secret;
use crate::store::inventory::Narrow;
use crate::store::page::{Page, PageRequest};

/// Fields that a list shows.
const CELLS_MAX: usize = 6;
/// Characters of a value in a list.
const CELL_CHARS: usize = 60;
/// Characters of a value on the page of a thing.
const VALUE_CHARS: usize = 20_000;

/// The things of a noun, as a report.
pub(super) struct Things;

/// A noun's list with its filters.
#[derive(Debug)]
pub(super) struct Narrowed {
    path: String,
    /// The noun of the path; without one there is no page.
    spec: Option<&'static NounSpec>,
    by: Vec<Narrow>,
}

impl FromParams for Narrowed {
    fn from_params(params: &mut Params<'_>) -> Self {
        let noun = params.path().strip_prefix("/inventory/");
        let noun = noun.map(|noun| noun.strip_suffix(".csv").unwrap_or(noun));
        let spec = noun.and_then(inventory::noun_at);
        let by = spec.map(|spec| inventory::narrowed(spec, params));
        Self {
            path: params.path().to_owned(),
            spec,
            by: by.unwrap_or_default(),
        }
    }
}

impl Narrowed {
    fn spec(&self) -> Result<&'static NounSpec, ApiError> {
        self.spec
            .ok_or_else(|| ApiError::missing("page", &self.path))
    }
}

/// The noun of a path.
pub(super) struct PathNoun(&'static NounSpec);

impl FromRequest for PathNoun {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let found = inventory::noun_at(request.match_info().query("noun"));
        std::future::ready(
            found
                .map(Self)
                .ok_or_else(|| ApiError::missing("page", request.path())),
        )
    }
}

/// The `{id}` of a path.
pub(super) struct PathThing(pub(super) InventoryId);

impl FromRequest for PathThing {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let id = inventory::id(request.match_info().query("id"));
        std::future::ready(
            id.map(Self)
                .ok_or_else(|| ApiError::missing("page", request.path())),
        )
    }
}

#[derive(Template)]
#[template(path = "inventory.html")]
pub(super) struct InventoryPage {
    shell: Shell,
    list: List,
    spec: &'static NounSpec,
    columns: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "thing.html")]
struct ThingPage {
    shell: Shell,
    spec: &'static NounSpec,
    id: String,
    orders: Orders,
    fields: Vec<Field>,
    warning: Option<String>,
    lists: Vec<Children>,
    secret: Option<Secret>,
}

/// A thing as a row.
struct Row {
    id: String,
    name: String,
    cells: Vec<Cell>,
}

/// A field with what it is called.
struct Field {
    name: String,
    cell: Cell,
}

/// Rows that belong to a thing.
struct Children {
    name: String,
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// A value as it is shown.
enum Cell {
    Nothing,
    Text(String),
    At(At),
    Link(String, String),
}

/// Names of things that others refer to.
pub(super) type Names = HashMap<(Noun, i64), String>;

/// Where one comes to who has not chosen a noun.
pub(super) async fn home(_: Viewer, _: Query<()>) -> HttpResponse {
    see("/inventory/devices")
}

impl Report for Things {
    const PLACE: Place = Place::Inventory;
    const TOPICS: &'static str = "inventory";
    const SUB: &'static str = t::INVENTORY_SUB;
    const EMPTY: &'static str = t::NO_THINGS;
    type Only = Narrowed;
    type View = Value;
    type Page = InventoryPage;

    async fn select(
        state: &ApiState,
        only: &Narrowed,
        part: PageRequest,
    ) -> Result<Page<Value>, ApiError> {
        inventory::select(state, only.spec()?, only.by.clone(), part).await
    }

    fn columns(only: &Narrowed) -> Result<Vec<&'static str>, ApiError> {
        Ok(inventory::columns(only.spec()?))
    }

    fn title(only: &Narrowed) -> Result<String, ApiError> {
        Ok(heading(only.spec()?))
    }

    async fn page(
        state: &ApiState,
        only: &Narrowed,
        shell: Shell,
        list: List,
        views: Vec<Value>,
    ) -> Result<InventoryPage, ApiError> {
        let spec = only.spec()?;
        let columns: Vec<_> = listed(spec).collect();
        let names = names(state, &columns, &views).await?;
        let row = |thing: &Value| Row {
            id: id_of(thing),
            name: name_of(spec, thing),
            cells: columns
                .iter()
                .map(|column| cell(column, thing, &names, CELL_CHARS))
                .collect(),
        };
        Ok(InventoryPage {
            shell,
            list,
            spec,
            rows: views.iter().map(row).collect(),
            columns: columns.iter().map(|column| label(column.field)).collect(),
        })
    }
}

/// Shows a thing.
pub(super) async fn one(
    Viewer(caller): Viewer,
    PathNoun(spec): PathNoun,
    PathThing(id): PathThing,
    _: Query<()>,
    visit: Visit,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    show(&state, visit, &caller, spec, id, None).await
}

/// Shows a credential with its secret, for the reason that was given. The view is in the audit trail.
pub(super) async fn secret(
    Operator(caller): Operator,
    PathThing(id): PathThing,
    Posted(fields): Posted,
    visit: Visit,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let reason = Some(fields.text("reason").to_owned()).filter(|reason| !reason.is_empty());
    let shown = inventory::reveal(&state, id, reason, &caller.name).await?;
    let (spec, secret) = (Noun::Credential.spec(), Some(shown.secret));
    show(&state, visit, &caller, spec, id, secret).await
}

async fn show(
    state: &ApiState,
    visit: Visit,
    caller: &Caller,
    spec: &'static NounSpec,
    id: InventoryId,
    secret: Option<Secret>,
) -> Result<HttpResponse, ApiError> {
    let thing = inventory::one(state, spec, id).await?;
    let columns: Vec<_> = spec.columns.iter().chain(spec.state).collect();
    let names = names(state, &columns, std::slice::from_ref(&thing)).await?;
    let fields = columns.iter().map(|column| Field {
        name: label(column.field),
        cell: cell(column, &thing, &names, VALUE_CHARS),
    });
    let name = name_of(spec, &thing);
    let title = if name.is_empty() {
        spec.noun.title()
    } else {
        name
    };
    // The address of a secret that is shown can only be posted to.
    let topics = if secret.is_some() { "" } else { Things::TOPICS };
    answer(&ThingPage {
        shell: visit.shell(Some(caller), Place::Inventory, title, topics),
        spec,
        id: id.to_string(),
        orders: Orders::of(spec.noun, &thing, caller, state.now()),
        fields: fields.collect(),
        warning: thing
            .get("warning")
            .map(|text| plain::value(text, VALUE_CHARS)),
        lists: lists(spec, &thing),
        secret,
    })
}

/// The fields that a list shows: the first that fit into a cell.
fn listed(spec: &'static NounSpec) -> impl Iterator<Item = &'static Column> {
    let fits = |column: &&Column| !matches!(column.kind, Kind::Object);
    let all = spec.columns.iter().chain(spec.state);
    all.filter(|column| column.field != spec.named_by)
        .filter(fits)
        .take(CELLS_MAX)
}

/// The names of the things that these refer to.
async fn names(
    state: &ApiState,
    columns: &[&'static Column],
    things: &[Value],
) -> Result<Names, ApiError> {
    let mut wanted = Vec::new();
    for column in columns {
        if let Kind::Ref(noun) = column.kind {
            let ids = things.iter().filter_map(|thing| {
                let id = thing.get(column.field).and_then(Value::as_str);
                id.and_then(inventory::id)
            });
            wanted.extend(ids.map(|id| (noun, id)));
        }
    }
    named(state, wanted).await
}

/// The names of things; those that are gone have none.
pub(super) async fn named(
    state: &ApiState,
    wanted: impl IntoIterator<Item = (Noun, InventoryId)>,
) -> Result<Names, ApiError> {
    let mut ids: HashMap<Noun, BTreeSet<InventoryId>> = HashMap::new();
    for (noun, id) in wanted {
        ids.entry(noun).or_default().insert(id);
    }
    let mut names = Names::new();
    for (noun, ids) in ids {
        let found = inventory::names(state, noun, ids.into_iter().collect()).await?;
        let shown =
            |(id, name): (InventoryId, String)| ((noun, id.0), plain::shortened(&name, CELL_CHARS));
        names.extend(found.into_iter().map(shown));
    }
    Ok(names)
}

fn id_of(thing: &Value) -> String {
    plain::value(thing.get("id").unwrap_or(&Value::Null), CELL_CHARS)
}

fn name_of(spec: &NounSpec, thing: &Value) -> String {
    plain::value(thing.get(spec.named_by).unwrap_or(&Value::Null), CELL_CHARS)
}

fn cell(column: &Column, thing: &Value, names: &Names, chars: usize) -> Cell {
    let value = thing.get(column.field).unwrap_or(&Value::Null);
    let text = value.as_str().unwrap_or_default();
    match column.kind {
        _ if value.is_null() => Cell::Nothing,
        Kind::Bool => Cell::Text(if *value == true { t::YES } else { t::NO }.to_owned()),
        Kind::Time => {
            serde_json::from_value(value.clone()).map_or(Cell::Nothing, |at| Cell::At(At(at)))
        }
        Kind::Duration => {
            Cell::Text(iso_duration::parse(text).map_or_else(|_| text.to_owned(), length))
        }
        Kind::Object => Cell::Text(plain::visible(&format!("{value:#}"))),
        Kind::List => {
            let texts = value.as_array().into_iter().flatten();
            let texts: Vec<_> = texts.map(|text| plain::value(text, chars)).collect();
            Cell::Text(plain::shortened(&texts.join(", "), chars))
        }
        Kind::Ref(noun) => match inventory::id(text) {
            Some(InventoryId(id)) => {
                let name = names.get(&(noun, id)).cloned();
                let address = format!("/inventory/{}/{id}", noun.spec().path);
                Cell::Link(address, name.unwrap_or_else(|| text.to_owned()))
            }
            None => Cell::Nothing,
        },
        Kind::Text | Kind::Int => Cell::Text(plain::value(value, chars)),
    }
}

/// What belongs to a thing, as tables.
fn lists(spec: &NounSpec, thing: &Value) -> Vec<Children> {
    let none = Names::new();
    let table = |child: &crate::domain::inventory::column::Child| {
        let columns: Vec<_> = child.columns.iter().chain(child.state).collect();
        let rows = thing
            .get(child.field)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let row = |entry: &Value| match entry {
            Value::Object(_) => columns
                .iter()
                .map(|column| cell(column, entry, &none, CELL_CHARS))
                .collect(),
            value => Vec::from([Cell::Text(plain::value(value, CELL_CHARS))]),
        };
        Children {
            name: label(child.field),
            rows: rows.map(row).collect(),
            columns: columns.iter().map(|column| label(column.field)).collect(),
        }
    };
    spec.children.iter().map(table).collect()
}

/// A field's name as people read it: `host_key` is `Host key`.
pub(super) fn label(field: &str) -> String {
    let spaced = field.replace('_', " ");
    let mut letters = spaced.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// The things of a noun as people call them.
fn heading(spec: &NounSpec) -> String {
    label(&spec.path.replace('-', "_"))
}
