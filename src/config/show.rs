//! The configuration in force, for people; no secret is in it.

use std::fmt::Write as _;

use super::{Config, database};
use crate::connect::nats::{Login, NatsSettings};
use crate::connect::smtp::SmtpAccount;
use crate::domain::iso_duration;
use crate::domain::schedule::Schedule;
use crate::robots::custom::{Action, Declaration};

pub(super) fn show(config: &Config) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{key:<18} {value}");
    };
    let file = config.file.as_ref();
    line(
        "file",
        file.map_or_else(|| "none".to_owned(), |file| file.display().to_string()),
    );
    line("data_dir", config.data_dir.display().to_string());
    line("listen", config.listen.to_string());
    line("database", database::masked(&config.database));
    line("node", config.node_name.clone());
    line("node_timeout", iso_duration::format(config.node_timeout));
    line(
        "log",
        format!(
            "{} as {}",
            config.log_level.as_str().to_lowercase(),
            config.log_format.as_str()
        ),
    );
    line("drain_limit", iso_duration::format(config.drain_limit));
    line("job_threads", config.job_threads.to_string());
    line(
        "retention.tasks",
        iso_duration::format(config.retention.tasks),
    );
    line(
        "retention.events",
        iso_duration::format(config.retention.events),
    );
    line(
        "retention.ticks",
        iso_duration::format(config.retention.ticks),
    );
    line(
        "retention.views",
        iso_duration::format(config.retention.views),
    );
    let syslog = config.syslog.as_ref();
    line("syslog", syslog.map_or_else(none, ToString::to_string));
    line("mail", config.mail.as_ref().map_or_else(none, mail));
    line("nats", config.nats.as_ref().map_or_else(none, nats));
    for declaration in &config.robots {
        line(&declaration.name, robot(declaration));
    }
    for warning in &config.warnings {
        line("warning", warning.clone());
    }
    text
}

fn none() -> String {
    "none".to_owned()
}

fn mail(account: &SmtpAccount) -> String {
    let who = account.username.as_deref().map_or_else(
        || "without a password".to_owned(),
        |name| format!("as {name}, password ***"),
    );
    format!(
        "{}:{} ({:?}) {who}, from {}",
        account.host, account.port, account.tls, account.from
    )
}

fn nats(settings: &NatsSettings) -> String {
    let who = match &settings.login {
        Login::None => "without a login".to_owned(),
        Login::Password { user, .. } => format!("as {user}, password ***"),
        Login::Credentials(_) => "by a credentials file".to_owned(),
    };
    format!("{} {who}", settings.shown())
}

/// Arguments and variables may hold secrets and are only counted; so may the path of an address.
fn robot(declaration: &Declaration) -> String {
    let what = match &declaration.action {
        Action::Command(spec) => format!(
            "runs {} ({} arguments, {} variables)",
            spec.program,
            spec.args.len(),
            spec.env.len()
        ),
        Action::Http(spec) => reqwest::Url::parse(&spec.url).map_or_else(
            |_| "calls ***".to_owned(),
            |url| format!("calls {}/***", url.origin().ascii_serialization()),
        ),
    };
    let defaults = &declaration.defaults;
    let when = match &defaults.schedule {
        None => "on demand".to_owned(),
        Some(Schedule::Every { interval }) => format!("every {}", iso_duration::format(*interval)),
        Some(Schedule::Cron {
            expression,
            timezone,
        }) => format!("at {expression} in {timezone}"),
    };
    format!(
        "{what}, {when}, {} at once, at most {}{}",
        defaults.instances,
        iso_duration::format(defaults.timeout),
        if defaults.enabled {
            ""
        } else {
            ", switched off"
        }
    )
}
