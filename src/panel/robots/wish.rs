//! What a person wishes of a robot, as typed, and the merge patch that it comes to.

use serde_json::{Map, Value, json};

use crate::api::robot_view::RobotView;
use crate::domain::iso_duration;
use crate::domain::robot::{FieldError, Overrides};
use crate::domain::schedule::Schedule;
use crate::domain::window::{AtClose, Days, Window};
use crate::panel::form::Fields;
use crate::panel::moment::{length, parse_length};
use crate::panel::schedule::{closing, day_names, edge};
use crate::panel::words::AT_CLOSES;

/// The form of a robot: every field as text, as browsers send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// `on` or `off`.
    pub(super) enabled: String,
    pub(super) instances: String,
    /// `none`, `every` or `cron`.
    pub(super) kind: String,
    pub(super) every: String,
    pub(super) cron: String,
    pub(super) cron_timezone: String,
    /// `always` or `only`.
    pub(super) windowed: String,
    pub(super) start: String,
    pub(super) end: String,
    pub(super) days: Vec<String>,
    pub(super) window_timezone: String,
    pub(super) at_close: String,
    pub(super) timeout: String,
    pub(super) range: String,
    pub(super) settings: String,
}

impl Wish {
    /// The form of a robot as it is.
    pub(super) fn of(robot: &RobotView) -> Self {
        let (kind, every, cron, zone) = match &robot.schedule {
            None => ("none", String::new(), String::new(), "UTC"),
            Some(Schedule::Every { interval }) => {
                ("every", length(*interval), String::new(), "UTC")
            }
            Some(Schedule::Cron {
                expression,
                timezone,
            }) => (
                "cron",
                String::new(),
                expression.as_str().to_owned(),
                timezone.name(),
            ),
        };
        let window = robot.window.as_ref();
        let days = window.map_or(Days::ALL, |window| window.days);
        Self {
            enabled: if robot.enabled { "on" } else { "off" }.to_owned(),
            instances: robot.instances.to_string(),
            kind: kind.to_owned(),
            every,
            cron,
            cron_timezone: zone.to_owned(),
            windowed: if window.is_some() { "only" } else { "always" }.to_owned(),
            start: window.map(|window| edge(window.start)).unwrap_or_default(),
            end: window.map(|window| closing(window.end)).unwrap_or_default(),
            days: days.names().map(str::to_owned).collect(),
            window_timezone: window
                .map_or("UTC", |window| window.timezone.name())
                .to_owned(),
            at_close: word(window.map(|window| window.at_close).unwrap_or_default()),
            timeout: length(robot.timeout),
            range: pretty(robot.range.as_ref()),
            settings: pretty(Some(&robot.settings)),
        }
    }

    /// The form that was sent.
    pub(super) fn read(fields: &Fields) -> Self {
        let text = |name| fields.text(name).to_owned();
        let json = |name| fields.text(name).replace("\r\n", "\n");
        Self {
            enabled: text("enabled"),
            instances: text("instances"),
            kind: text("kind"),
            every: text("every"),
            cron: text("cron"),
            cron_timezone: text("cron_timezone"),
            windowed: text("windowed"),
            start: text("start"),
            end: text("end"),
            days: fields.all("day").map(str::to_owned).collect(),
            window_timezone: text("window_timezone"),
            at_close: text("at_close"),
            timeout: text("timeout"),
            range: json("range"),
            settings: json("settings"),
        }
    }

    /// The form as it is sent, to be kept beside what is changed of it.
    pub(super) fn written(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let fields = [
            ("enabled", &self.enabled),
            ("instances", &self.instances),
            ("kind", &self.kind),
            ("every", &self.every),
            ("cron", &self.cron),
            ("cron_timezone", &self.cron_timezone),
            ("windowed", &self.windowed),
            ("start", &self.start),
            ("end", &self.end),
            ("window_timezone", &self.window_timezone),
            ("at_close", &self.at_close),
            ("timeout", &self.timeout),
            ("range", &self.range),
            ("settings", &self.settings),
        ];
        query.extend_pairs(fields);
        query.extend_pairs(self.days.iter().map(|day| ("day", day)));
        query.finish()
    }

    /// The form that has what was changed of `base` here, and all else as it is `now`: what somebody else changed
    /// meanwhile is not taken back unseen.
    pub(super) fn over(self, base: &Self, now: Self) -> Self {
        macro_rules! pick {
            ($($field:ident),+) => {
                Self { $($field: if self.$field == base.$field { now.$field } else { self.$field },)+ }
            };
        }
        pick!(
            enabled,
            instances,
            kind,
            every,
            cron,
            cron_timezone,
            windowed,
            start,
            end,
            days,
            window_timezone,
            at_close,
            timeout,
            range,
            settings
        )
    }

    /// The schedule that is wished for.
    pub(super) fn schedule(&self) -> Result<Option<Schedule>, FieldError> {
        let value = match self.kind.as_str() {
            "none" => return Ok(None),
            "cron" => json!({"cron": self.cron, "timezone": self.cron_timezone}),
            _ => {
                let every = parse_length(&self.every);
                let every = every.map_err(|error| FieldError::new("every", error))?;
                json!({"every": iso_duration::format(every)})
            }
        };
        let read = serde_json::from_value(value);
        read.map(Some)
            .map_err(|error| FieldError::new("schedule", error.to_string()))
    }

    /// The window that is wished for.
    pub(super) fn window(&self) -> Result<Option<Window>, FieldError> {
        if self.windowed != "only" {
            return Ok(None);
        }
        let read = serde_json::from_value(json!({
            "start": self.start, "end": self.end, "days": self.days,
            "timezone": self.window_timezone, "at_close": self.at_close,
        }));
        read.map(Some)
            .map_err(|error| FieldError::new("window", error.to_string()))
    }

    /// The merge patch that makes `robot` as it is wished for; empty where it is so already.
    ///
    /// # Errors
    /// Every field that cannot be read. Bounds are not looked at: they are the robot's.
    pub(super) fn patch(&self, robot: &RobotView) -> Result<Overrides, Vec<FieldError>> {
        let mut patch = Overrides::new();
        let mut errors = Vec::new();
        let enabled = self.enabled != "off";
        if enabled != robot.enabled {
            patch.insert("enabled".to_owned(), enabled.into());
        }
        match self.instances.parse::<u32>() {
            Ok(instances) if instances == robot.instances => {}
            Ok(instances) => {
                patch.insert("instances".to_owned(), instances.into());
            }
            Err(_) => errors.push(FieldError::new("instances", "must be a whole number")),
        }
        let mut changed = |field: &str, read: Result<Option<Value>, FieldError>| match read {
            Ok(Some(value)) => {
                patch.insert(field.to_owned(), value);
            }
            Ok(None) => {}
            Err(error) => errors.push(error),
        };
        changed("schedule", differing(self.schedule(), &robot.schedule));
        changed("window", differing(self.window(), &robot.window));
        let timeout = parse_length(&self.timeout);
        changed(
            "timeout",
            timeout
                .map(|timeout| {
                    (timeout != robot.timeout).then(|| iso_duration::format(timeout).into())
                })
                .map_err(|error| FieldError::new("timeout", error)),
        );
        if let Some(range) = &robot.range {
            changed("range", json_change("range", &self.range, range));
        }
        changed(
            "settings",
            json_change("settings", &self.settings, &robot.settings),
        );
        if errors.is_empty() {
            Ok(patch)
        } else {
            Err(errors)
        }
    }

    /// Whether the window opens on a day, for the form's boxes.
    pub(super) fn has_day(&self, day: &str) -> bool {
        self.days.iter().any(|known| known == day)
    }

    /// The days of the week, for the form's boxes.
    pub(super) fn day_names(&self) -> &'static [(&'static str, &'static str); 7] {
        day_names()
    }
}

fn differing<T: PartialEq + serde::Serialize>(
    wished: Result<Option<T>, FieldError>,
    now: &Option<T>,
) -> Result<Option<Value>, FieldError> {
    let wished = wished?;
    if wished == *now {
        return Ok(None);
    }
    serde_json::to_value(wished)
        .map(Some)
        .map_err(|error| FieldError::new("", error.to_string()))
}

/// The merge patch that makes `now` what `text` says; `None` where it is so.
fn json_change(field: &str, text: &str, now: &Value) -> Result<Option<Value>, FieldError> {
    let wished: Value = serde_json::from_str(text)
        .map_err(|error| FieldError::new(field, format!("is not JSON: {error}")))?;
    match (&wished, now) {
        (wished, now) if wished == now => Ok(None),
        (Value::Object(wished), Value::Object(now)) => {
            Ok(Some(Value::Object(difference(now, wished))))
        }
        _ => Ok(Some(wished)),
    }
}

/// The merge patch (RFC 7396) from one object to another.
fn difference(from: &Map<String, Value>, to: &Map<String, Value>) -> Map<String, Value> {
    let removed = from.keys().filter(|name| !to.contains_key(*name));
    let mut patch: Map<_, _> = removed.map(|name| (name.clone(), Value::Null)).collect();
    for (name, value) in to {
        let change = match (from.get(name), value) {
            (Some(old), new) if old == new => continue,
            (Some(Value::Object(old)), Value::Object(new)) => Value::Object(difference(old, new)),
            _ => value.clone(),
        };
        patch.insert(name.clone(), change);
    }
    patch
}

fn pretty(value: Option<&Value>) -> String {
    value.map(|value| format!("{value:#}")).unwrap_or_default()
}

fn word(at_close: AtClose) -> String {
    let known = AT_CLOSES.iter().find(|(_, known)| *known == at_close);
    known.map_or("", |(word, _)| *word).to_owned()
}

#[cfg(test)]
mod tests;
