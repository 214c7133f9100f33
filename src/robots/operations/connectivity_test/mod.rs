//! Looks whether the services of devices still listen, and whether they are the same ones.
//!
//! - **Looks at**: every connectivity of every enabled device, or those of the device that an event
//!   names, or of up to 500 that imports have changed, half a minute after they ended; nobody signs in.
//! - **Changes**: the status, latency and last error of each connectivity, and writes each test down for 30 days. Publishes
//!   `device.connectivity_lost` when `fails` of the last `of` tests failed, `device.connectivity_recovered`, and
//!   `device.host_key_changed`; of a whole subnet once `network.connectivity_lost` and `recovered`, with alerts and mails.
//!   Remembers until when it looked at imports.
//! - **Safe to repeat**: yes: the same answer changes nothing but its time, and what was told is not told again.
//! - **If it stops**: services that went away are found only when somebody needs them.
//!
//! Number 43 of the catalogue. Where nearly nothing answers, and none of the `canaries`, it is this machine's own network that is
//! away: that is one alert, the run fails, and nothing is said of the devices.

mod imported;
mod judgement;
mod settings;
mod subnets;

use async_trait::async_trait;
use futures_util::StreamExt;
use serde_json::{Value, json};

use self::imported::Due;
use self::judgement::{Judged, Known, is_own_outage, judge};
use self::settings::Settings;
use self::subnets::Subnet;
use crate::connect::greeting::{greet, listens};
use crate::connect::ssh::HostKeyPolicy;
use crate::connect::target::Limits;
use crate::domain::alert::{Finding, Level, Notice};
use crate::domain::category::Category;
use crate::domain::event::CloudEvent;
use crate::domain::id::InventoryId;
use crate::domain::inventory::column::id_of;
use crate::domain::inventory::{Noun, TRUST_ON_FIRST_USE};
use crate::domain::robot::{FieldError, Sharding};
use crate::domain::time::{Timestamp, to_micros};
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::alerts::Round;
use crate::robots::settings::check;
use crate::store::StoreError;
use crate::store::connectivity::{WAYS_MAX, WayTested};
use crate::store::event::NewEvent;
use crate::store::inventory::{Item, Narrow, Wanted};
use crate::store::page::PageRequest;

/// Devices that are read at once.
const PAGE_DEVICES: usize = 100;
/// Ways that are judged together, so that whole subnets are seen: they are held in memory, some hundred bytes each. Of more, each
/// part is judged by itself.
const TOGETHER_MAX: usize = 50_000;

/// Alert keys of this robot, and those of its subnets.
const PREFIX: &str = "connectivity:";
const SUBNETS: &str = "connectivity:subnet:";
const OWN_NETWORK: &str = "connectivity:own_network";

/// The class of a run that reached nothing.
const NETWORK: &str = "network";

pub(super) struct TestConnectivity;

#[async_trait]
impl Robot for TestConnectivity {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "operations.connectivity_test",
            title: "Connectivity test",
            category: Category::Operations,
            summary: "Looks whether the services of devices still listen, and whether they are the same ones",
            wakes: Wakes::Every(std::time::Duration::from_mins(30)),
            events: &[
                "device.created",
                "device.changed",
                "session.failed",
                "batch_import.finished",
            ],
            // Most of them name a device.
            coalesce_events: false,
            instances: 2,
            sharding: Sharding::Sharded,
            timeout: std::time::Duration::from_mins(25),
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let run = Run {
            ctx,
            settings: ctx.settings()?,
        };
        if let Some(device) = named(ctx.payload()) {
            return run.some(&[device]).await;
        }
        let Some(import) = imported::ended(ctx.payload()) else {
            return run.all().await;
        };
        match imported::due(ctx, import).await? {
            Due::Nothing => Ok(Outcome::nothing()),
            Due::Later(at) => Ok(Outcome::snooze(at)),
            Due::Devices(devices) => run.some(&devices).await,
            Due::All => run.all().await,
        }
    }
}

#[derive(Default)]
struct Tally {
    up: usize,
    down: usize,
}

impl Tally {
    fn outcome(&self) -> Outcome {
        if self.up + self.down == 0 {
            return Outcome::nothing();
        }
        Outcome::counted("ways_up", self.up).and("ways_down", self.down)
    }
}

struct Run<'a> {
    ctx: &'a Context,
    settings: Settings,
}

/// A way of a device before and after it was tested.
struct Tested {
    device: InventoryId,
    subnet: Option<Subnet>,
    way: Known,
    judged: Judged,
}

impl Run<'_> {
    /// Tests these devices: too few to say anything of a subnet.
    async fn some(&self, devices: &[InventoryId]) -> Result<Outcome, RobotError> {
        let mut tally = Tally::default();
        for ids in devices.chunks(PAGE_DEVICES) {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                match self.ctx.inventory().get(Noun::Device, *id).await {
                    Ok(device) => found.push(device),
                    // It went meanwhile.
                    Err(StoreError::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let tested = self.test(found).await?;
            self.believe(&tested).await?;
            self.record(&tested, &mut tally).await?;
        }
        Ok(tally.outcome())
    }

    /// Tests all devices that are enabled.
    async fn all(&self) -> Result<Outcome, RobotError> {
        let (ctx, mut tally, mut after) = (self.ctx, Tally::default(), None);
        let mut round = Round::open(ctx, PREFIX).await?;
        let mut tested = Vec::new();
        loop {
            let page = PageRequest {
                limit: u32::try_from(PAGE_DEVICES).unwrap_or(u32::MAX),
                after,
            };
            let enabled = Noun::Device.spec().filters.iter();
            let enabled = enabled.filter(|filter| filter.name == "enabled");
            let narrow = enabled.map(|filter| Narrow {
                filter,
                value: Wanted::Bool(true),
            });
            let inventory = ctx.inventory();
            let found = inventory.list(Noun::Device, narrow.collect(), page).await?;
            after = found.next;
            tested.extend(self.test(found.items).await?);
            let is_last = after.is_none() || ctx.cancelled().is_cancelled();
            if is_last || tested.len() >= TOGETHER_MAX {
                let part = std::mem::take(&mut tested);
                if let Err(error) = self.conclude(part, &mut round, &mut tally).await {
                    self.own_network(round, &error).await?;
                    return Err(error);
                }
            }
            if after.is_some() && is_last {
                // Cut off: who was not asked may be away still.
                round.undecided.push(PREFIX.to_owned());
            }
            if is_last {
                break;
            }
        }
        let audience = self.settings.audience();
        let outcome = tally.outcome();
        round.close(ctx, audience, told_of, outcome).await
    }

    /// Judges what was tested together, and records it.
    async fn conclude(
        &self,
        mut tested: Vec<Tested>,
        round: &mut Round,
        tally: &mut Tally,
    ) -> Result<(), RobotError> {
        self.believe(&tested).await?;
        let was_away = |subnet: Subnet| round.level(&key_of(subnet)) > Level::Ok;
        let devices_min = self.settings.subnet_devices();
        let away = subnets::settle(&mut tested, devices_min, was_away);
        for (subnet, devices) in away {
            let title = format!("nothing answers in {subnet}");
            let text = format!("None of the services of {devices} devices answers there.");
            round.push(key_of(subnet), Level::Critical, title, text);
        }
        self.record(&tested, tally).await
    }

    /// Tells that our own network is away, and nothing of others.
    async fn own_network(&self, mut round: Round, error: &RobotError) -> Result<(), RobotError> {
        if error.class != NETWORK {
            return Ok(());
        }
        round.undecided.push(SUBNETS.to_owned());
        let title = format!("{} reaches nothing", self.ctx.tools().node_name);
        let text = error.to_string();
        round.push(OWN_NETWORK.to_owned(), Level::Critical, title, text);
        let audience = self.settings.audience();
        let outcome = Outcome::nothing();
        let closed = round.close(self.ctx, audience, told_of, outcome);
        closed.await.map(drop)
    }

    async fn test(&self, devices: Vec<Item>) -> Result<Vec<Tested>, RobotError> {
        let mut ways = Vec::new();
        for device in &devices {
            let enabled = device.body.get("enabled") == Some(&Value::Bool(true));
            let address = device.body.get("address").and_then(Value::as_str);
            let lists = device.lists.get("connectivities").cloned();
            let known: Vec<Known> = serde_json::from_value(lists.unwrap_or_default())
                .map_err(|error| RobotError::fail("inventory", error.to_string()))?;
            let address = address.filter(|_| enabled).unwrap_or_default();
            let known = known.into_iter().filter(|way| {
                let greets = self.settings.greets(way.protocol);
                greets && !address.is_empty()
            });
            ways.extend(known.map(|way| (device.id, address.to_owned(), way)));
        }
        let asked = ways
            .into_iter()
            .map(|(device, address, way)| self.ask(device, address, way));
        let asked = futures_util::stream::iter(asked);
        Ok(asked
            .buffer_unordered(self.settings.concurrency())
            .collect()
            .await)
    }

    /// Refuses what says more of our own network than of the devices.
    async fn believe(&self, tested: &[Tested]) -> Result<(), RobotError> {
        let failing = tested.iter().filter(|one| one.judged.failures > 0).count();
        let has_canaries = self.settings.canaries().next().is_some();
        let suspect = match has_canaries {
            true => failing > 0 && failing == tested.len() || is_own_outage(tested.len(), failing),
            false => is_own_outage(tested.len(), failing),
        };
        if !suspect {
            return Ok(());
        }
        for place in self.settings.canaries() {
            if listens(place, self.settings.limit()).await {
                return Ok(());
            }
        }
        let what = format!(
            "{failing} of {} services do not answer: this machine's own network is away; nothing is said of them",
            tested.len()
        );
        Err(RobotError::retry(NETWORK, what))
    }

    async fn ask(&self, device: InventoryId, address: String, way: Known) -> Tested {
        let limits = Limits {
            connect: self.settings.limit(),
            whole: self.settings.limit() * 2,
        };
        let known = match way.host_key.as_deref() {
            Some(TRUST_ON_FIRST_USE) => way.pinned_host_key.as_deref(),
            other => other,
        };
        let host_key = known.and_then(HostKeyPolicy::pinned);
        let to = (address.as_str(), way.port);
        let mut heard = greet(to, way.protocol, host_key.clone(), limits).await;
        for _ in 1..self.settings.tries() {
            if heard
                .as_ref()
                .is_err_and(|failure| failure.class.is_temporary())
            {
                heard = greet(to, way.protocol, host_key.clone(), limits).await;
            }
        }
        let heard = heard.map_err(|failure| failure.class);
        let judged = judge(&way, &heard, self.settings.lost());
        Tested {
            device,
            subnet: Subnet::of(&address),
            way,
            judged,
        }
    }

    async fn record(&self, tested: &[Tested], tally: &mut Tally) -> Result<(), RobotError> {
        for part in tested.chunks(WAYS_MAX) {
            self.record_part(part, tally).await?;
        }
        Ok(())
    }

    async fn record_part(&self, tested: &[Tested], tally: &mut Tally) -> Result<(), RobotError> {
        let now = self.ctx.clock().now();
        let failing = tested.iter().filter(|one| one.judged.failures > 0).count();
        tally.up += tested.len() - failing;
        tally.down += failing;
        let rows = tested.iter().map(|one| WayTested {
            device: one.device,
            protocol: one.way.protocol.as_str(),
            port: one.way.port,
            status: one.judged.status.map(judgement::Status::as_str),
            failures: one.judged.failures,
            recent: one.judged.recent.clone(),
            error_class: one.judged.error.map(|class| class.as_str()),
            latency: one.judged.latency,
            key: one.judged.key.clone(),
        });
        let events = tested.iter().flat_map(|one| self.events(one, now));
        let store = self.ctx.store();
        let (rows, events) = (rows.collect(), events.collect());
        Ok(store.connectivity_record(rows, events, now).await?)
    }

    fn events(&self, tested: &Tested, now: Timestamp) -> Vec<NewEvent> {
        let registry = &self.ctx.tools().registry;
        let (device, way) = (tested.device, &tested.way);
        let event = |kind: &&'static str| {
            let (protocol, port) = (way.protocol.as_str(), way.port);
            let data = json!({
                "device": device, "protocol": protocol, "port": port, "key": tested.judged.key,
                "error_class": tested.judged.error.map(|class| class.as_str()),
            });
            let id = format!("{device}:{protocol}:{port}:{}:{kind}", to_micros(now));
            let subject = Some(device.to_string());
            registry.route(CloudEvent::own("connectivity", id, kind, subject, data))
        };
        tested.judged.news.iter().map(event).collect()
    }
}

fn key_of(subnet: Subnet) -> String {
    format!("{SUBNETS}{subnet}")
}

/// What programs are told of a subnet that is away, or back.
fn told_of(finding: &Finding, change: Notice) -> Option<(&'static str, String)> {
    let subnet = finding.key.strip_prefix(SUBNETS)?;
    let kind = match change {
        Notice::Cleared => "network.connectivity_recovered",
        _ => "network.connectivity_lost",
    };
    Some((kind, subnet.to_owned()))
}

/// The device that an event names; none where all are to be tested.
fn named(payload: &Value) -> Option<InventoryId> {
    let data = payload.get("data")?;
    let of_device = payload
        .get("type")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.starts_with("device."));
    let field = if of_device { "id" } else { "device" };
    data.get(field).and_then(id_of)
}
