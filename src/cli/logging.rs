//! Where log lines go: standard error, as text or as one JSON object a line.

mod sparing;

use std::io::Write as _;

use log::LevelFilter;
use log::kv::{Error, Key, Value, VisitSource};
use serde_json::{Map, json};

use self::sparing::Sparing;
use crate::clock::{Clock, SystemClock};
use crate::config::LogFormat;

/// Starts logging; a second call changes nothing.
pub(crate) fn start(level: LevelFilter, format: LogFormat) {
    let mut builder = env_logger::Builder::new();
    // What libraries say below a warning is about them, not about robots.
    builder
        .filter_level(level.min(LevelFilter::Warn))
        // What it calls an error is a request that cannot be read: the client's, and answered with 400.
        .filter_module("actix_http", LevelFilter::Off)
        .filter_module("robotd", level);
    match format {
        LogFormat::Text => builder.format(|buffer, record| {
            let (level, at) = (record.level(), SystemClock.now());
            let at = at.format("%Y-%m-%dT%H:%M:%S%.3fZ");
            // One record is one line, whatever a foreign text in it holds.
            let text = record.args().to_string().replace(['\n', '\r'], " ");
            writeln!(buffer, "{at} {level:<5} {text}")
        }),
        LogFormat::Json => builder.format(|buffer, record| {
            let mut fields = Fields(Map::new());
            let read = record.key_values().visit(&mut fields);
            if read.is_err() {
                fields.0.insert("fields".to_owned(), json!("unreadable"));
            }
            let line = json!({
                "time": SystemClock.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
                "level": record.level().as_str().to_lowercase(),
                "target": record.target(),
                "message": record.args().to_string(),
                "fields": fields.0,
            });
            writeln!(buffer, "{line}")
        }),
    };
    let logger = builder.build();
    let most = logger.filter();
    // An error says that logging was started before.
    if log::set_boxed_logger(Box::new(Sparing::new(logger))).is_ok() {
        log::set_max_level(most);
    }
}

struct Fields(Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.insert(key.to_string(), json!(value.to_string()));
        Ok(())
    }
}
