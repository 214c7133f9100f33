//! What the command line and the environment say; clap lays the one over the other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::domain::iso_duration;

/// Settings that every command understands. Each is also a variable and, but for `config`, a key of
/// `robotd.toml`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
#[expect(
    clippy::doc_markdown,
    reason = "these texts are shown by --help as they are"
)]
pub struct Flags {
    /// The configuration file [default: ./robotd.toml or DATA_DIR/robotd.toml, where there is one]
    #[arg(long, value_name = "FILE", env = "ROBOTD_CONFIG", global = true)]
    pub config: Option<PathBuf>,

    /// Where this node keeps its files [default: ./robotd-data]
    #[arg(long, value_name = "DIR", env = "ROBOTD_DATA_DIR", global = true)]
    pub data_dir: Option<PathBuf>,

    /// Address and port of the API [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDR", env = "ROBOTD_LISTEN", global = true, value_parser = address)]
    pub listen: Option<SocketAddr>,

    /// sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE [default: sqlite://DATA_DIR/robotd.db]
    #[arg(
        long,
        value_name = "URL",
        env = "ROBOTD_DATABASE_URL",
        hide_env_values = true,
        global = true
    )]
    pub database_url: Option<String>,

    /// NATS servers that events come from and changes go to: nats://HOST:PORT or tls://HOST:PORT, with commas between them
    #[arg(
        long,
        value_name = "URL",
        env = "ROBOTD_NATS_URL",
        hide_env_values = true,
        global = true
    )]
    pub nats_url: Option<String>,

    /// The name of this node, which outlives restarts [default: the host's name]
    #[arg(long, value_name = "NAME", env = "ROBOTD_NODE", global = true)]
    pub node: Option<String>,

    /// Within how long a dead node is missed, the same on all nodes, as ISO 8601 [default: PT15S]
    #[arg(long, value_name = "DURATION", env = "ROBOTD_NODE_TIMEOUT", global = true,
          hide_short_help = true, value_parser = duration)]
    pub node_timeout: Option<Duration>,

    /// How much is logged: error, warn, info, debug or trace [default: info]
    #[arg(
        long,
        value_name = "LEVEL",
        env = "ROBOTD_LOG_LEVEL",
        global = true,
        hide_short_help = true,
        value_parser = level
    )]
    pub log_level: Option<log::LevelFilter>,

    /// How log lines look [default: text]
    #[arg(
        long,
        value_name = "FORMAT",
        env = "ROBOTD_LOG_FORMAT",
        global = true,
        hide_short_help = true
    )]
    pub log_format: Option<LogFormat>,

    /// How long runs may finish after SIGTERM, as ISO 8601 [default: PT30S]
    #[arg(long, value_name = "DURATION", env = "ROBOTD_DRAIN_LIMIT", global = true,
          hide_short_help = true, value_parser = duration)]
    pub drain_limit: Option<Duration>,

    /// Threads for robots' code [default: twice the processors, at least 8]
    #[arg(
        long,
        value_name = "N",
        env = "ROBOTD_JOB_THREADS",
        global = true,
        hide_short_help = true
    )]
    pub job_threads: Option<usize>,

    /// Where audit messages go: udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT
    #[arg(
        long,
        value_name = "URL",
        env = "ROBOTD_SYSLOG",
        global = true,
        hide_short_help = true
    )]
    pub syslog: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "must be an IP address and a port, such as 127.0.0.1:7070".to_owned())
}

fn level(text: &str) -> Result<log::LevelFilter, String> {
    text.parse()
        .map_err(|_| "must be error, warn, info, debug or trace".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    iso_duration::parse(text).map_err(|error| error.to_string())
}
