//! `[[robot]]`: the operator's own robots.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::file::Robot;
use super::problem::Findings;
use super::value;
use crate::connect::command::CommandSpec;
use crate::connect::webhook::{HttpSpec, Webhook};
use crate::domain::retry::RetryPolicy;
use crate::domain::robot::{RobotConfig, TIMEOUT_MAX};
use crate::domain::schedule::Schedule;
use crate::domain::window::Window;
use crate::robot::RobotSpec;
use crate::robots::custom::{Action, Declaration};

/// What every operator's robot is called.
const PREFIX: &str = "custom.";

/// A name stands in tables, labels of figures and addresses.
const NAME_CHARS_MAX: usize = 64;

/// Robots in one file; each has its supervisor and its rows.
const ROBOTS_MAX: usize = 1_000;

/// Event types one robot listens to.
const EVENTS_MAX: usize = 64;

/// Characters of a title, a summary or an event type.
const TEXT_CHARS_MAX: usize = 256;

/// All robots of the file; those with a mistake are left out, and the mistakes noted.
pub(super) fn declarations(
    robots: Vec<Robot>,
    base: &Path,
    findings: &mut Findings,
) -> Vec<Declaration> {
    if robots.len() > ROBOTS_MAX {
        findings.wrong("robot", format!("there are more than {ROBOTS_MAX}"));
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    let mut declared = Vec::new();
    for (index, robot) in robots.into_iter().enumerate() {
        let at = |key: &str| format!("robot[{index}].{key}");
        if !names.insert(robot.name.clone()) {
            findings.wrong(&at("name"), format!("`{}` is declared twice", robot.name));
        }
        declared.extend(declaration(robot, base, &at, findings));
    }
    declared
}

fn declaration(
    robot: Robot,
    base: &Path,
    at: &dyn Fn(&str) -> String,
    findings: &mut Findings,
) -> Option<Declaration> {
    let before = findings.count();
    check_name(&robot.name, at, findings);
    check_texts(&robot, at, findings);
    let action = action(&robot, base, at, findings);
    let defaults = defaults(&robot, at, findings);
    if let Err(errors) = defaults.validate() {
        for error in errors {
            findings.wrong(&at(&error.field), error.detail);
        }
    }
    let action = action.filter(|_| findings.count() == before)?;
    let word = robot.name.trim_start_matches(PREFIX).replace('_', " ");
    let mut letters = word.chars();
    let capital = letters.next().map(|first| first.to_ascii_uppercase());
    Some(Declaration {
        title: robot
            .title
            .unwrap_or_else(|| capital.into_iter().chain(letters).collect()),
        summary: robot.summary.unwrap_or_else(|| match &action {
            Action::Command(spec) => format!("Runs {}", spec.program),
            Action::Http(_) => "Calls an address of the operator".to_owned(),
        }),
        name: robot.name,
        events: robot.events,
        defaults,
        action,
    })
}

fn check_name(name: &str, at: &dyn Fn(&str) -> String, findings: &mut Findings) {
    let valid = name.strip_prefix(PREFIX).is_some_and(|word| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    });
    if !valid || name.len() > NAME_CHARS_MAX {
        findings.wrong(
            &at("name"),
            format!(
                "it must be `custom.` and small letters, digits or `_`, at most {NAME_CHARS_MAX} in all, such as `custom.nightly_report`"
            ),
        );
    }
}

fn check_texts(robot: &Robot, at: &dyn Fn(&str) -> String, findings: &mut Findings) {
    for (key, text) in [("title", &robot.title), ("summary", &robot.summary)] {
        if text.as_deref().is_some_and(|text| !is_line(text)) {
            findings.wrong(
                &at(key),
                format!("it must be one line of at most {TEXT_CHARS_MAX} characters"),
            );
        }
    }
    if robot.events.len() > EVENTS_MAX {
        findings.wrong(&at("events"), format!("there are more than {EVENTS_MAX}"));
    }
    for (index, event) in robot.events.iter().enumerate() {
        let stem = event.strip_suffix('*').unwrap_or(event);
        if !is_line(event) || stem.contains(['*', ' ']) {
            findings.wrong(
                &at(&format!("events[{index}]")),
                "it must be an event type such as `storage.low`; a `*` may stand at its end only",
            );
        }
    }
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= TEXT_CHARS_MAX
        && !text.chars().any(char::is_control)
}

fn defaults(robot: &Robot, at: &dyn Fn(&str) -> String, findings: &mut Findings) -> RobotConfig {
    let spec = RobotSpec::DEFAULT;
    RobotConfig {
        enabled: robot.enabled.unwrap_or(true),
        instances: robot.instances.unwrap_or(spec.instances),
        schedule: schedule(robot, at, findings),
        window: typed::<Window>(robot.window.as_ref(), &at("window"), findings),
        range: None,
        timeout: value::duration(
            findings,
            &at("timeout"),
            robot.timeout.as_deref(),
            spec.timeout,
            Duration::from_millis(1)..=TIMEOUT_MAX,
        ),
        retry: typed::<RetryPolicy>(robot.retry.as_ref(), &at("retry"), findings)
            .unwrap_or(spec.retry),
        overlap: robot.overlap.unwrap_or(spec.overlap),
        catch_up: robot.catch_up.unwrap_or(spec.catch_up),
        settings: json!({}),
    }
}

/// When it wakes by itself: `every`, or `cron` with `timezone`, or never.
fn schedule(
    robot: &Robot,
    at: &dyn Fn(&str) -> String,
    findings: &mut Findings,
) -> Option<Schedule> {
    let fields = [
        ("every", &robot.every),
        ("cron", &robot.cron),
        ("timezone", &robot.timezone),
    ];
    let written: serde_json::Map<String, Value> = fields
        .iter()
        .filter_map(|(key, text)| Some(((*key).to_owned(), Value::from(text.as_deref()?))))
        .collect();
    if written.is_empty() {
        return None;
    }
    let key = fields.iter().find(|(_, text)| text.is_some());
    let key = key.map_or("every", |(key, _)| *key);
    findings.value(&at(key), serde_json::from_value(Value::Object(written)))
}

/// A value that reads and checks itself.
fn typed<T: DeserializeOwned>(
    written: Option<&Value>,
    key: &str,
    findings: &mut Findings,
) -> Option<T> {
    match serde_path_to_error::deserialize::<_, T>(written?) {
        Ok(value) => Some(value),
        Err(error) => {
            let path = error.path().to_string();
            let key = if path == "." {
                key.to_owned()
            } else {
                format!("{key}.{path}")
            };
            findings.wrong(&key, error.inner());
            None
        }
    }
}

fn action(
    robot: &Robot,
    base: &Path,
    at: &dyn Fn(&str) -> String,
    findings: &mut Findings,
) -> Option<Action> {
    match (&robot.command, &robot.http) {
        (Some(words), None) => {
            let foreign = [
                ("token_file", &robot.token_file),
                ("ca_file", &robot.ca_file),
            ];
            for (key, _) in foreign.iter().filter(|(_, file)| file.is_some()) {
                findings.wrong(&at(key), "it goes with `http` only");
            }
            command(robot, words, base, at, findings).map(Action::Command)
        }
        (None, Some(url)) => {
            if robot.working_dir.is_some() {
                findings.wrong(&at("working_dir"), "it goes with `command` only");
            }
            if !robot.env.is_empty() {
                findings.wrong(&at("env"), "it goes with `command` only");
            }
            let spec = HttpSpec {
                url: url.clone(),
                token_file: robot.token_file.as_ref().map(|file| base.join(file)),
                ca_file: robot.ca_file.as_ref().map(|file| base.join(file)),
            };
            let usable = Webhook::new(&spec).map_err(|error| format!("failed to {error}"));
            findings.value(&at("http"), usable)?;
            Some(Action::Http(spec))
        }
        _ => {
            findings.wrong(
                &at("command"),
                "exactly one of `command` and `http` must be given",
            );
            None
        }
    }
}

fn command(
    robot: &Robot,
    words: &Value,
    base: &Path,
    at: &dyn Fn(&str) -> String,
    findings: &mut Findings,
) -> Option<CommandSpec> {
    let Ok(mut words) = serde_json::from_value::<Vec<String>>(words.clone()) else {
        findings.wrong(
            &at("command"),
            "it must be a list of texts, the program and each of its arguments: \
             [\"/usr/local/bin/report\", \"--quiet\"]; no shell reads it",
        );
        return None;
    };
    if words.is_empty() {
        findings.wrong(&at("command"), "it names no program");
        return None;
    }
    for name in robot.env.keys().filter(|name| name.starts_with("ROBOTD_")) {
        findings.wrong(
            &at(&format!("env.{name}")),
            "names with `ROBOTD_` are robotd's own",
        );
    }
    let program = words.remove(0);
    let spec = CommandSpec {
        program,
        args: words,
        current_dir: robot
            .working_dir
            .as_ref()
            .map(|dir| base.join(dir).display().to_string()),
        env: robot.env.clone().into_iter().collect(),
    };
    findings.value(
        &at("command"),
        spec.check().map_err(|error| format!("failed to {error}")),
    )?;
    Some(spec)
}
