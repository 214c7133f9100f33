//! `robotd robots` and `robotd robot`: what there is, without a node and without a database.

use serde_json::{Value, json};

use super::exit::{Exit, Failure, Ran};
use super::print;
use super::table::table;
use crate::app::all_robots;
use crate::config::Config;
use crate::domain::iso_duration;
use crate::domain::schedule::Schedule;
use crate::robot::Definition;

/// All robots by name.
pub(super) fn definitions(config: &Config) -> Result<Vec<Definition>, Failure> {
    let mut all = Vec::new();
    for robot in all_robots(config)? {
        let definition = robot.definition().map_err(|error| {
            let text = format!("read a robot: {}: {}", error.field, error.detail);
            Failure::text(Exit::Software, text)
        })?;
        all.push(definition);
    }
    all.sort_by(|a, b| a.identity.name.cmp(&b.identity.name));
    Ok(all)
}

pub(super) fn list(config: &Config, as_json: bool) -> Ran {
    let all = definitions(config)?;
    if as_json {
        let all: Vec<Value> = all.iter().map(as_value).collect();
        return print::answer(&format!("{:#}", Value::from(all)));
    }
    let rows = all
        .iter()
        .map(|definition| {
            [
                definition.identity.name.clone(),
                definition.identity.category.title().to_owned(),
                schedule(definition),
                definition.identity.events.join(" "),
            ]
        })
        .collect();
    print::answer(&table(["ROBOT", "CATEGORY", "SCHEDULE", "EVENTS"], rows))
}

pub(super) fn show(config: &Config, name: &str, as_json: bool) -> Ran {
    let definition = find(config, name)?;
    if as_json {
        return print::answer(&format!("{:#}", as_value(&definition)));
    }
    let (identity, defaults) = (&definition.identity, &definition.defaults);
    let sharding = json!(identity.sharding);
    let lines = [
        ("name", identity.name.clone()),
        ("title", identity.title.clone()),
        ("category", identity.category.title().to_owned()),
        ("summary", identity.summary.clone()),
        ("schedule", schedule(&definition)),
        ("events", identity.events.join(", ")),
        (
            "instances",
            format!(
                "{} of at most {}, {}",
                defaults.instances,
                identity.instances_max,
                sharding.as_str().unwrap_or_default()
            ),
        ),
        ("timeout", iso_duration::format(defaults.timeout)),
        ("retry", json!(defaults.retry).to_string()),
        ("overlap", word(&json!(defaults.overlap))),
        ("catch up", word(&json!(defaults.catch_up))),
        ("range", json!(defaults.range).to_string()),
        ("settings", defaults.settings.to_string()),
    ];
    let rows = lines.map(|(key, value)| [key.to_owned(), value]).into();
    print::answer(&table(["ROBOT", ""], rows))
}

/// The robot called `name`.
pub(super) fn find(config: &Config, name: &str) -> Result<Definition, Failure> {
    let found = definitions(config)?
        .into_iter()
        .find(|definition| definition.identity.name == name);
    found.ok_or_else(|| unknown(name))
}

/// There is no such robot.
pub(super) fn unknown(name: &str) -> Failure {
    let name = print::plain(name);
    Failure::text(
        Exit::Usage,
        format!("find robot `{name}`: there is none; `robotd robots` lists them"),
    )
}

fn schedule(definition: &Definition) -> String {
    match &definition.defaults.schedule {
        None => "on demand".to_owned(),
        Some(Schedule::Every { interval }) => format!("every {}", iso_duration::format(*interval)),
        Some(Schedule::Cron {
            expression,
            timezone,
        }) => format!("{expression} ({timezone})"),
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn as_value(definition: &Definition) -> Value {
    let mut value = json!(definition.identity);
    if let (Value::Object(fields), Value::Object(defaults)) =
        (&mut value, json!(definition.defaults))
    {
        fields.extend(defaults);
    }
    value
}
