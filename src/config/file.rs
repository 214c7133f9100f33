//! `robotd.toml` as it is written, before its values are checked.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::flags::LogFormat;
use super::problem::ConfigError;
use crate::domain::tick::{CatchUp, Overlap};

/// A thousand robots fit; what is larger is another file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The file's keys.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) data_dir: Option<PathBuf>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) database_url: Option<String>,
    pub(super) database_connections: Option<u32>,
    pub(super) nats_url: Option<String>,
    pub(super) node: Option<String>,
    pub(super) node_timeout: Option<String>,
    pub(super) drain_limit: Option<String>,
    pub(super) job_threads: Option<usize>,
    pub(super) syslog: Option<String>,
    pub(super) log: Log,
    pub(super) retention: RetentionTable,
    pub(super) mail: Option<Mail>,
    pub(super) nats: Option<Nats>,
    pub(super) robot: Vec<Robot>,
}

/// `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    pub(super) level: Option<String>,
    pub(super) format: Option<LogFormat>,
}

/// `[retention]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RetentionTable {
    pub(super) tasks: Option<String>,
    pub(super) events: Option<String>,
    pub(super) ticks: Option<String>,
    pub(super) views: Option<String>,
}

/// `[mail]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mail {
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) tls: Option<MailTls>,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) from: String,
    pub(super) reply_to: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) timeout: Option<String>,
}

/// `[nats]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Nats {
    pub(super) user: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) credentials_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) events_stream: Option<String>,
    pub(super) consumer: Option<String>,
    pub(super) changes_stream: Option<String>,
    pub(super) dead_stream: Option<String>,
    pub(super) stream_mib: Option<i64>,
    pub(super) ack_wait: Option<String>,
    pub(super) in_flight: Option<u32>,
    pub(super) changes_kept: Option<u32>,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum MailTls {
    None,
    StartTls,
    Implicit,
}

/// `[[robot]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Robot {
    pub(super) name: String,
    pub(super) title: Option<String>,
    pub(super) summary: Option<String>,
    pub(super) command: Option<Value>,
    pub(super) working_dir: Option<PathBuf>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    pub(super) http: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) every: Option<String>,
    pub(super) cron: Option<String>,
    pub(super) timezone: Option<String>,
    pub(super) window: Option<Value>,
    #[serde(default)]
    pub(super) events: Vec<String>,
    pub(super) instances: Option<u32>,
    pub(super) timeout: Option<String>,
    pub(super) retry: Option<Value>,
    pub(super) overlap: Option<Overlap>,
    pub(super) catch_up: Option<CatchUp>,
    pub(super) enabled: Option<bool>,
}

/// Reads the file at `path`.
///
/// # Errors
/// A file that cannot be read, is no TOML, or has a key or a type that is not known; the place
/// names the line and the key.
pub(super) fn read(path: &Path) -> Result<File, ConfigError> {
    let place = path.display().to_string();
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| ConfigError::one(&place, format!("it cannot be read: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::one(place, "it is larger than 1 MiB"));
    }
    parse(&place, &text)
}

/// Reads the text of the file called `place`.
pub(super) fn parse(place: &str, text: &str) -> Result<File, ConfigError> {
    let line = |error: &toml::de::Error| {
        error.span().map_or_else(String::new, |span| {
            let before = text.as_bytes().iter().take(span.start);
            format!(
                ", line {}",
                before.filter(|byte| **byte == b'\n').count() + 1
            )
        })
    };
    // The parser's whole text quotes the line, and the line may hold a password.
    let parser = toml::Deserializer::parse(text).map_err(|error| {
        let at = line(&error);
        ConfigError::one(format!("{place}{at}"), error.message())
    })?;
    serde_path_to_error::deserialize(parser).map_err(|error| {
        let at = line(error.inner());
        ConfigError::one(
            format!("{place}{at}: {}", error.path()),
            error.inner().message(),
        )
    })
}
