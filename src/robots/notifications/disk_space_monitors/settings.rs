//! What an operator may set.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::connect::host::IGNORED_FS_TYPES;
use crate::domain::iso_duration::serde_iso;
use crate::domain::mail::Recipients;
use crate::domain::robot::FieldError;
use crate::domain::trend::Limits;
use crate::domain::window::Window;
use crate::robots::alerts::{Audience, REMINDER};
use crate::robots::settings::{self, require, require_between, require_percents};

/// Mounts that may be named; as many as are watched.
const MOUNTS_MAX: usize = 64;
/// Kinds that may be ignored.
const FS_TYPES_MAX: usize = 100;
/// Longest path; of events' subjects and alert keys.
const PATH_BYTES_MAX: usize = 200;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// Space in use, in percent of what programs can use, that is a warning.
    pub warn_percent: f64,
    /// The same, critical.
    pub critical_percent: f64,
    /// Files in use, in percent, that are a warning.
    pub inode_warn_percent: f64,
    /// The same, critical.
    pub inode_critical_percent: f64,
    /// Free GiB that are a warning; none: only the percentage counts.
    pub warn_free_gib: Option<f64>,
    /// The same, critical.
    pub critical_free_gib: Option<f64>,
    /// A level is left so many percent below where it began.
    pub hysteresis_percent: f64,
    /// A disk that will be full within this time is a warning.
    #[serde(with = "serde_iso")]
    pub forecast_horizon: Duration,
    /// A file system must answer within this time.
    #[serde(with = "serde_iso")]
    pub answer_within: Duration,
    /// Kinds of file systems that are not watched unless their mount is named.
    pub ignored_fs_types: Vec<String>,
    /// Mounts that must be there, with thresholds of their own.
    pub mounts: Vec<NamedMount>,
    /// Who gets mails.
    pub recipients: Recipients,
    /// How often a lasting alert is told again.
    #[serde(with = "serde_iso")]
    pub reminder_interval: Duration,
    /// When nobody gets mails.
    pub quiet_hours: Option<Window>,
}

/// A mount that must be there. What it does not say is as for all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedMount {
    /// Where it is mounted.
    pub path: PathBuf,
    /// `major:minor` of the device that must be mounted there; none: any.
    #[serde(default)]
    pub device: Option<String>,
    /// It is read-only on purpose.
    #[serde(default)]
    pub read_only: bool,
    /// See [`Settings::warn_percent`].
    #[serde(default)]
    pub warn_percent: Option<f64>,
    /// See [`Settings::critical_percent`].
    #[serde(default)]
    pub critical_percent: Option<f64>,
    /// See [`Settings::inode_warn_percent`].
    #[serde(default)]
    pub inode_warn_percent: Option<f64>,
    /// See [`Settings::inode_critical_percent`].
    #[serde(default)]
    pub inode_critical_percent: Option<f64>,
    /// See [`Settings::warn_free_gib`].
    #[serde(default)]
    pub warn_free_gib: Option<f64>,
    /// See [`Settings::critical_free_gib`].
    #[serde(default)]
    pub critical_free_gib: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        // A tmpfs is memory, which another robot watches; one that matters is named.
        let ignored = IGNORED_FS_TYPES.into_iter().chain(["tmpfs"]);
        Self {
            warn_percent: 80.0,
            critical_percent: 90.0,
            inode_warn_percent: 80.0,
            inode_critical_percent: 90.0,
            warn_free_gib: None,
            critical_free_gib: None,
            hysteresis_percent: 2.0,
            forecast_horizon: Duration::from_hours(24),
            answer_within: Duration::from_secs(5),
            ignored_fs_types: ignored.map(str::to_owned).collect(),
            mounts: Vec::new(),
            recipients: Recipients::default(),
            reminder_interval: REMINDER,
            quiet_hours: None,
        }
    }
}

/// The thresholds of one file system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Thresholds {
    /// Space in use, in percent.
    pub space: Limits,
    /// Files in use, in percent.
    pub inodes: Limits,
    /// Free bytes that are a warning.
    pub warn_free: Option<f64>,
    /// Free bytes that are critical.
    pub critical_free: Option<f64>,
}

impl Settings {
    /// Whom to tell.
    pub(super) fn audience(&self) -> Audience<'_> {
        Audience {
            recipients: &self.recipients,
            reminder: self.reminder_interval,
            quiet_hours: self.quiet_hours.as_ref(),
        }
    }

    /// What is said of the mount at `path`.
    pub(super) fn named(&self, path: &Path) -> Option<&NamedMount> {
        self.mounts.iter().find(|named| named.path == path)
    }

    /// The thresholds that hold at `path`.
    pub(super) fn thresholds(&self, path: &Path) -> Thresholds {
        let general = NamedMount::default();
        let named = self.named(path).unwrap_or(&general);
        let bytes = |gib: f64| gib * 1024.0 * 1024.0 * 1024.0;
        let limits = |warn, critical| Limits {
            warn,
            critical,
            hysteresis: self.hysteresis_percent,
        };
        Thresholds {
            space: limits(
                named.warn_percent.unwrap_or(self.warn_percent),
                named.critical_percent.unwrap_or(self.critical_percent),
            ),
            inodes: limits(
                named.inode_warn_percent.unwrap_or(self.inode_warn_percent),
                named
                    .inode_critical_percent
                    .unwrap_or(self.inode_critical_percent),
            ),
            warn_free: named.warn_free_gib.or(self.warn_free_gib).map(bytes),
            critical_free: named
                .critical_free_gib
                .or(self.critical_free_gib)
                .map(bytes),
        }
    }

    fn check_mount(&self, index: usize, named: &NamedMount) -> Result<(), FieldError> {
        let field = |name: &str| format!("mounts[{index}].{name}");
        let path = named.path.as_os_str();
        let plain = named
            .path
            .to_str()
            .is_some_and(|path| !path.chars().any(char::is_control));
        require(
            named.path.is_absolute() && plain && path.len() <= PATH_BYTES_MAX,
            &field("path"),
            "must be an absolute path of at most 200 bytes without control characters",
        )?;
        let doubled = self
            .mounts
            .iter()
            .filter(|other| other.path == named.path)
            .count()
            > 1;
        require(!doubled, &field("path"), "stands twice")?;
        let all = self.thresholds(&named.path);
        require_percents(
            (&field("warn_percent"), all.space.warn),
            (&field("critical_percent"), all.space.critical),
        )?;
        require_percents(
            (&field("inode_warn_percent"), all.inodes.warn),
            (&field("inode_critical_percent"), all.inodes.critical),
        )?;
        require_free(
            (&field("warn_free_gib"), all.warn_free),
            (&field("critical_free_gib"), all.critical_free),
        )
    }
}

/// Free space is worse the less it is.
fn require_free(
    warn: (&str, Option<f64>),
    critical: (&str, Option<f64>),
) -> Result<(), FieldError> {
    for (name, value) in [warn, critical] {
        require(
            value.is_none_or(|v| v.is_finite() && v > 0.0),
            name,
            "must lie above 0",
        )?;
    }
    let ordered = warn
        .1
        .zip(critical.1)
        .is_none_or(|(warn, critical)| warn >= critical);
    require(ordered, warn.0, "must be at least the critical one")
}

impl settings::Settings for Settings {
    fn check(&self) -> Result<(), FieldError> {
        require_percents(
            ("warn_percent", self.warn_percent),
            ("critical_percent", self.critical_percent),
        )?;
        require_percents(
            ("inode_warn_percent", self.inode_warn_percent),
            ("inode_critical_percent", self.inode_critical_percent),
        )?;
        require_free(
            ("warn_free_gib", self.warn_free_gib),
            ("critical_free_gib", self.critical_free_gib),
        )?;
        require(
            (0.0..=20.0).contains(&self.hysteresis_percent),
            "hysteresis_percent",
            "must lie between 0 and 20",
        )?;
        let (hour, month) = (Duration::from_hours(1), Duration::from_hours(31 * 24));
        require_between("forecast_horizon", self.forecast_horizon, hour, month)?;
        let (short, long) = (Duration::from_millis(100), Duration::from_mins(1));
        require_between("answer_within", self.answer_within, short, long)?;
        require(
            self.ignored_fs_types.len() <= FS_TYPES_MAX,
            "ignored_fs_types",
            "must have at most 100 entries",
        )?;
        require(
            self.mounts.len() <= MOUNTS_MAX,
            "mounts",
            "must have at most 64 entries",
        )?;
        for (index, named) in self.mounts.iter().enumerate() {
            self.check_mount(index, named)?;
        }
        self.audience().check()
    }
}
