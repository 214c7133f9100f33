//! The configuration: flags over the environment over `robotd.toml` over defaults, checked as a whole.
//!
//! Paths in the file are taken from the file's folder, those of flags and variables from the working
//! directory.

mod database;
mod file;
mod flags;
mod mail;
mod nats;
mod problem;
mod robot;
mod show;
mod value;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;

use crate::connect::nats::NatsSettings;
use crate::connect::smtp::SmtpAccount;
use crate::connect::syslog::SyslogTarget;
use crate::robots::custom::Declaration;
use crate::runtime::NODE_TIMEOUT_DEFAULT;
use crate::store::StoreConfig;
use crate::store::upkeep::Retention;

pub use database::read as read_database_url;
pub use flags::{Flags, LogFormat};
pub use problem::{ConfigError, Problem};

use file::File;
use problem::Findings;

/// Where everything is unless somebody says otherwise.
const DATA_DIR_DEFAULT: &str = "./robotd-data";
/// Only this machine: who opens robotd to others decides so.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7070));
/// The file's name in the working directory or the data directory.
const FILE_NAME: &str = "robotd.toml";
/// The database's name in the data directory.
const DATABASE_NAME: &str = "robotd.db";

/// Shorter would take a slow moment of machine or database for a death.
const NODE_TIMEOUT_MIN: Duration = Duration::from_secs(3);
/// Longer would leave work undone for no reason.
const NODE_TIMEOUT_MAX: Duration = Duration::from_mins(5);
/// Service managers give 30 to 90 seconds before they kill.
const DRAIN_LIMIT_DEFAULT: Duration = Duration::from_secs(30);
/// A drain longer than this is not an end any more.
const DRAIN_LIMIT_MAX: Duration = Duration::from_hours(1);
/// A month of reports.
const KEEP_TASKS_DEFAULT: Duration = Duration::from_hours(30 * 24);
/// A week of events and ticks: duplicates later than that are new messages.
const KEEP_TRACES_DEFAULT: Duration = Duration::from_hours(7 * 24);
/// How long it is kept who viewed which secret; auditors ask about last year.
const KEEP_VIEWS_DEFAULT: Duration = Duration::from_hours(400 * 24);
/// Less would take away what is still looked at.
const KEEP_MIN: Duration = Duration::from_hours(1);
/// Ten years.
const KEEP_MAX: Duration = Duration::from_hours(3660 * 24);
/// One that never yields holds its thread, so that there must be others.
const JOB_THREADS_MIN: usize = 2;
/// More threads than this cost more than they do.
const JOB_THREADS_MAX: usize = 512;
/// A few robots that never yield leave room on the smallest machine.
const JOB_THREADS_FLOOR: usize = 8;
/// A host's name has at most 64 characters on Linux.
const NODE_CHARS_MAX: usize = 64;

/// What a node runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that was read, where there was one.
    pub file: Option<PathBuf>,
    /// Where this node keeps its files; may not exist yet.
    pub data_dir: PathBuf,
    /// Address of panel and API.
    pub listen: SocketAddr,
    /// The database.
    pub database: StoreConfig,
    /// This node's name, which outlives restarts.
    pub node_name: String,
    /// Within how long a dead node is missed; the same on all nodes of a database.
    pub node_timeout: Duration,
    /// How much is logged.
    pub log_level: LevelFilter,
    /// How log lines look.
    pub log_format: LogFormat,
    /// How long runs may finish after SIGTERM.
    pub drain_limit: Duration,
    /// How long finished things are kept.
    pub retention: Retention,
    /// Where audit messages go.
    pub syslog: Option<SyslogTarget>,
    /// The account mails go out by.
    pub mail: Option<SmtpAccount>,
    /// The broker that events come from and changes go to.
    pub nats: Option<NatsSettings>,
    /// Threads for robots' code.
    pub job_threads: usize,
    /// The operator's own robots.
    pub robots: Vec<Declaration>,
    /// What an administrator should know, though it works.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the file that `flags` name, or the one in its default place, and lays `flags` over it.
    ///
    /// The process must have installed a TLS provider.
    ///
    /// # Errors
    /// Every mistake, each with its place. A file that was asked for and is not there is one; a
    /// missing default file is not.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let path = file_of(flags);
        let file = path.as_deref().map(file::read).transpose()?;
        Self::layer(flags, path, file.unwrap_or_default())
    }

    /// The configuration in force as text; secrets are not in it.
    #[must_use]
    pub fn shown(&self) -> String {
        show::show(self)
    }

    fn layer(flags: &Flags, path: Option<PathBuf>, file: File) -> Result<Self, ConfigError> {
        let mut findings = Findings::of_file(path.as_deref());
        let found = &mut findings;
        let base = path.as_deref().and_then(Path::parent).map(Path::to_owned);
        let base = base.unwrap_or_default();
        let data_dir = data_dir_of(flags, file.data_dir.as_deref(), &base);
        let url = flags.nats_url.as_ref().or(file.nats_url.as_ref());
        let at = place(found, flags.nats_url.is_some(), "nats_url");
        let nats = nats::settings(
            url.map(String::as_str),
            at,
            file.nats.as_ref(),
            &base,
            found,
        );
        let database = database_of(flags, &file, &base, &data_dir, found);
        let node_name = node_of(flags, file.node.as_deref(), found);
        let node_timeout = node_timeout_of(flags, file.node_timeout.as_deref(), found);
        let retention = retention_of(&file.retention, found);
        let drain_limit = drain_limit_of(flags, file.drain_limit.as_deref(), found);
        let syslog = syslog_of(flags, file.syslog.as_deref(), found);
        let job_threads = job_threads_of(flags, file.job_threads, found);
        let log_level = flags.log_level.or_else(|| {
            let level = file.log.level.as_deref()?.parse();
            let text = "it must be error, warn, info, debug or trace";
            found.value("log.level", level.map_err(|_: log::ParseLevelError| text))
        });
        let mail = file.mail.and_then(|mail| mail::account(mail, &base, found));
        let robots = robot::declarations(file.robot, &base, found);
        let warnings = findings.finish()?;
        Ok(Self {
            file: path,
            data_dir,
            listen: flags.listen.or(file.listen).unwrap_or(LISTEN_DEFAULT),
            // A `None` was noted as a mistake, so that we are not here.
            database: database.ok_or_else(|| ConfigError::one("database_url", "it is missing"))?,
            node_name,
            node_timeout,
            log_level: log_level.unwrap_or(LevelFilter::Info),
            log_format: flags.log_format.or(file.log.format).unwrap_or_default(),
            drain_limit,
            retention,
            syslog,
            mail,
            nats,
            job_threads,
            robots,
            warnings,
        })
    }
}

/// The data directory as far as the command line and the environment know it, for commands that only
/// look for the token there.
#[must_use]
pub fn data_dir(flags: &Flags) -> PathBuf {
    data_dir_of(flags, None, Path::new(""))
}

fn data_dir_of(flags: &Flags, written: Option<&Path>, base: &Path) -> PathBuf {
    match (&flags.data_dir, written) {
        (Some(dir), _) => dir.clone(),
        (None, Some(dir)) => base.join(dir),
        (None, None) => PathBuf::from(DATA_DIR_DEFAULT),
    }
}

fn file_of(flags: &Flags) -> Option<PathBuf> {
    if flags.config.is_some() {
        return flags.config.clone();
    }
    [PathBuf::from(FILE_NAME), data_dir(flags).join(FILE_NAME)]
        .into_iter()
        .find(|path| path.exists())
}

/// Where a value was written: as a flag or its variable, or in the file.
fn place(findings: &Findings, by_flag: bool, key: &str) -> String {
    if by_flag {
        format!(
            "--{} (ROBOTD_{})",
            key.replace('_', "-"),
            key.to_uppercase()
        )
    } else {
        findings.key(key)
    }
}

fn database_of(
    flags: &Flags,
    file: &File,
    base: &Path,
    data_dir: &Path,
    findings: &mut Findings,
) -> Option<StoreConfig> {
    let (url, base) = match (&flags.database_url, &file.database_url) {
        (Some(url), _) => (url, Path::new("")),
        (None, Some(url)) => (url, base),
        (None, None) => {
            return Some(StoreConfig::Sqlite {
                path: data_dir.join(DATABASE_NAME),
            });
        }
    };
    let connections = file.database_connections;
    let place = place(findings, flags.database_url.is_some(), "database_url");
    database::parse(url, connections, base)
        .map_err(|error| findings.wrong_at(place, error))
        .ok()
}

fn node_of(flags: &Flags, written: Option<&str>, findings: &mut Findings) -> String {
    let name = flags.node.as_deref().or(written).map_or_else(
        || {
            let host = rustix::system::uname();
            host.nodename().to_string_lossy().into_owned()
        },
        str::to_owned,
    );
    let valid = (1..=NODE_CHARS_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !valid {
        let place = place(findings, flags.node.is_some(), "node");
        findings.wrong_at(
            place,
            format!("it must be 1 to {NODE_CHARS_MAX} letters, digits, `.`, `_` or `-`"),
        );
    }
    name
}

fn retention_of(written: &file::RetentionTable, findings: &mut Findings) -> Retention {
    let mut keep = |key: &str, text: &Option<String>, default| {
        let key = format!("retention.{key}");
        value::duration(
            findings,
            &key,
            text.as_deref(),
            default,
            KEEP_MIN..=KEEP_MAX,
        )
    };
    Retention {
        tasks: keep("tasks", &written.tasks, KEEP_TASKS_DEFAULT),
        events: keep("events", &written.events, KEEP_TRACES_DEFAULT),
        ticks: keep("ticks", &written.ticks, KEEP_TRACES_DEFAULT),
        views: keep("views", &written.views, KEEP_VIEWS_DEFAULT),
    }
}

fn drain_limit_of(flags: &Flags, written: Option<&str>, findings: &mut Findings) -> Duration {
    let bounds = Duration::ZERO..=DRAIN_LIMIT_MAX;
    match flags.drain_limit {
        Some(limit) if bounds.contains(&limit) => limit,
        Some(limit) => {
            let place = place(findings, true, "drain_limit");
            findings.wrong_at(place, "it must be at most PT1H");
            limit
        }
        None => value::duration(
            findings,
            "drain_limit",
            written,
            DRAIN_LIMIT_DEFAULT,
            bounds,
        ),
    }
}

fn node_timeout_of(flags: &Flags, written: Option<&str>, findings: &mut Findings) -> Duration {
    let bounds = NODE_TIMEOUT_MIN..=NODE_TIMEOUT_MAX;
    match flags.node_timeout {
        Some(timeout) if bounds.contains(&timeout) => timeout,
        Some(timeout) => {
            let place = place(findings, true, "node_timeout");
            findings.wrong_at(place, "it must lie between PT3S and PT5M");
            timeout
        }
        None => value::duration(
            findings,
            "node_timeout",
            written,
            NODE_TIMEOUT_DEFAULT,
            bounds,
        ),
    }
}

fn syslog_of(
    flags: &Flags,
    written: Option<&str>,
    findings: &mut Findings,
) -> Option<SyslogTarget> {
    let text = flags.syslog.as_deref().or(written)?;
    let place = place(findings, flags.syslog.is_some(), "syslog");
    text.parse()
        .map_err(|error: crate::connect::ConnectError| {
            findings.wrong_at(place, format!("failed to {error}"));
        })
        .ok()
}

fn job_threads_of(flags: &Flags, written: Option<usize>, findings: &mut Findings) -> usize {
    let threads = flags.job_threads.or(written).unwrap_or_else(|| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        (processors * 2).clamp(JOB_THREADS_FLOOR, JOB_THREADS_MAX)
    });
    if !(JOB_THREADS_MIN..=JOB_THREADS_MAX).contains(&threads) {
        let place = place(findings, flags.job_threads.is_some(), "job_threads");
        findings.wrong_at(
            place,
            format!("it must lie between {JOB_THREADS_MIN} and {JOB_THREADS_MAX}"),
        );
    }
    threads
}
