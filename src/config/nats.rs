//! `nats_url` and `[nats]`: the broker that events come from and changes go to.

use std::path::Path;
use std::time::Duration;

use reqwest::Url;

use super::file::Nats;
use super::problem::Findings;
use super::value;
use crate::connect::nats::{Login, NatsSettings};
use crate::vault::secret_file;

/// Servers of one cluster that are named; the client learns of the others.
const SERVERS_MAX: usize = 16;
/// A stream's or a consumer's name.
const NAME_CHARS_MAX: usize = 64;
/// A number that may be written.
struct Bounded<T> {
    default: T,
    min: T,
    max: T,
}

/// Size of the streams of events and of changes that are made here, up to a terabyte.
const STREAM_MIB: Bounded<i64> = Bounded {
    default: 256,
    min: 1,
    max: 1024 * 1024,
};
/// Two fetches: one being stored, one on its way. At 128 KiB each this is the memory that events may take.
const IN_FLIGHT: Bounded<u32> = Bounded {
    default: 1_000,
    min: 1,
    max: 10_000,
};
/// About 100 MB of the database; a bound that is met in a minute, and one that no disk likes.
const CHANGES_KEPT: Bounded<u32> = Bounded {
    default: 1_000_000,
    min: 1_000,
    max: 100_000_000,
};
/// Storing an event takes milliseconds; a node that died is noticed within this time.
const ACK_WAIT_DEFAULT: Duration = Duration::from_secs(30);
/// Less would deliver events again that are being stored, more would keep those of a dead node for long.
const ACK_WAIT_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_mins(10);

/// The broker, where there is one; `None` with the mistakes noted, too. `place` is where its address was written.
pub(super) fn settings(
    url: Option<&str>,
    place: String,
    table: Option<&Nats>,
    base: &Path,
    findings: &mut Findings,
) -> Option<NatsSettings> {
    let Some(url) = url else {
        if table.is_some() {
            let text = "`[nats]` has no effect without `nats_url`";
            findings.warnings.push(text.to_owned());
        }
        return None;
    };
    let before = findings.count();
    let none = Nats::default();
    let table = table.unwrap_or(&none);
    let servers = servers(url).map_err(|text| findings.wrong_at(place, text));
    let servers = servers.unwrap_or_default();
    let login = login(table, base, findings);
    let ca_file = table.ca_file.as_ref().map(|file| base.join(file));
    if let Some(file) = ca_file.as_ref().filter(|file| !file.is_file()) {
        findings.wrong("nats.ca_file", format!("`{}` is no file", file.display()));
    }
    let tls = ca_file.is_some() || servers.iter().any(|url| url.scheme() == "tls");
    if !tls && !matches!(login, Login::None) && servers.iter().any(is_elsewhere) {
        let text = "the login at NATS goes over the network as it is; write `tls://` in `nats_url`";
        findings.warnings.push(text.to_owned());
    }
    let mut name = |key, written, default| name(findings, key, written, default);
    let events_stream = name(
        "events_stream",
        table.events_stream.as_deref(),
        "ROBOTD_EVENTS",
    );
    let consumer = name("consumer", table.consumer.as_deref(), "robotd");
    let changes_stream = name(
        "changes_stream",
        table.changes_stream.as_deref(),
        "ROBOTD_CHANGES",
    );
    let dead_stream = name("dead_stream", table.dead_stream.as_deref(), "ROBOTD_DEAD");
    let mib = STREAM_MIB.of(findings, "nats.stream_mib", table.stream_mib);
    let in_flight_max = IN_FLIGHT.of(findings, "nats.in_flight", table.in_flight);
    let changes_max = CHANGES_KEPT.of(findings, "nats.changes_kept", table.changes_kept);
    let ack_wait = table.ack_wait.as_deref();
    let ack_wait = value::duration(
        findings,
        "nats.ack_wait",
        ack_wait,
        ACK_WAIT_DEFAULT,
        ACK_WAIT_RANGE,
    );
    (findings.count() == before).then(|| NatsSettings {
        servers: servers.iter().map(shown).collect(),
        tls,
        ca_file,
        login,
        events_stream,
        consumer,
        changes_stream,
        dead_stream,
        stream_bytes_max: mib.saturating_mul(1024 * 1024),
        ack_wait,
        in_flight_max,
        changes_max,
    })
}

/// Reads addresses with commas between them. No text holds them: somebody may have written a password there.
fn servers(written: &str) -> Result<Vec<Url>, String> {
    let servers: Vec<Url> = written
        .split(',')
        .map(|one| server(one.trim()))
        .collect::<Result<_, _>>()?;
    match servers.len() {
        1..=SERVERS_MAX => Ok(servers),
        _ => Err(format!("at most {SERVERS_MAX} servers are named")),
    }
}

fn server(written: &str) -> Result<Url, String> {
    let form = "each server is `nats://HOST:PORT` or `tls://HOST:PORT`, with commas between them";
    let url = Url::parse(written).map_err(|_| form.to_owned())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "it must not hold a name or password: use `user` and `password_file`, or `credentials_file`, in `[nats]`"
                .to_owned(),
        );
    }
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let known = matches!(url.scheme(), "nats" | "tls");
    match url.host_str() {
        Some(host) if known && bare && !host.is_empty() => Ok(url),
        _ => Err(form.to_owned()),
    }
}

fn shown(url: &Url) -> String {
    let (host, port) = (
        url.host_str().unwrap_or_default(),
        url.port().unwrap_or(4222),
    );
    format!("{}://{host}:{port}", url.scheme())
}

fn is_elsewhere(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let here = host
        .parse()
        .map(|address: std::net::IpAddr| address.is_loopback());
    host != "localhost" && !here.unwrap_or(false)
}

fn login(table: &Nats, base: &Path, findings: &mut Findings) -> Login {
    let mut secret = |key: &str, file: &Path| {
        let read = secret_file::read_foreign(&base.join(file));
        let read = read.map_err(|error| format!("failed to {error}"));
        let (secret, warning) = findings.value(key, read)?;
        findings.warnings.extend(warning);
        Some(secret)
    };
    match (&table.user, &table.password_file, &table.credentials_file) {
        (None, None, None) => Some(Login::None),
        (Some(user), Some(file), None) => {
            let user = user.clone();
            secret("nats.password_file", file).map(|password| Login::Password { user, password })
        }
        (None, None, Some(file)) => secret("nats.credentials_file", file).map(Login::Credentials),
        _ => {
            let text = "`user` goes with `password_file`, or `credentials_file` stands alone; a password itself never \
                 stands in this file";
            findings.wrong("nats", text);
            None
        }
    }
    .unwrap_or_default()
}

impl<T: Copy + PartialOrd + std::fmt::Display> Bounded<T> {
    /// The number that is written, or the default; out of bounds, the mistake is noted.
    fn of(self, findings: &mut Findings, key: &str, written: Option<T>) -> T {
        let number = written.unwrap_or(self.default);
        if number < self.min || number > self.max {
            let (min, max) = (self.min, self.max);
            findings.wrong(key, format!("it must lie between {min} and {max}"));
        }
        number
    }
}

/// The name of a stream or of the consumer.
fn name(findings: &mut Findings, key: &str, written: Option<&str>, default: &str) -> String {
    let name = written.unwrap_or(default);
    if !is_name(name) {
        let detail = format!("it must be 1 to {NAME_CHARS_MAX} letters, digits, `_` or `-`");
        findings.wrong(&format!("nats.{key}"), detail);
    }
    name.to_owned()
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, table: &Nats) -> (Option<NatsSettings>, Findings) {
        let mut findings = Findings::default();
        let place = "nats_url".to_owned();
        let settings = settings(Some(url), place, Some(table), Path::new("/"), &mut findings);
        (settings, findings)
    }

    #[test]
    fn servers_are_read_with_their_port() {
        let (settings, _) = read("nats://a, tls://b.example:7,nats://[::1]", &Nats::default());
        let settings = settings.unwrap();
        assert_eq!(
            settings.servers,
            ["nats://a:4222", "tls://b.example:7", "nats://[::1]:4222"]
        );
        assert!(
            settings.tls,
            "one that is to be called over TLS makes it so for all"
        );
        let (plain, _) = read("nats://a", &Nats::default());
        assert!(!plain.unwrap().tls);
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for url in [
            "",
            "secret",
            "nats://u:secret@h",
            "nats://secret@h",
            "http://h/secret",
            "nats://h/secret",
            "nats://h,",
        ] {
            let (settings, findings) = read(url, &Nats::default());
            assert!(settings.is_none(), "{url}");
            assert!(!format!("{findings:?}").contains("secret"), "{findings:?}");
        }
        assert!(
            read(&vec!["nats://h"; 17].join(","), &Nats::default())
                .0
                .is_none()
        );
    }

    #[test]
    fn bounds_and_names_are_looked_at() {
        for table in [
            Nats {
                stream_mib: Some(0),
                ..Nats::default()
            },
            Nats {
                in_flight: Some(0),
                ..Nats::default()
            },
            Nats {
                changes_kept: Some(10),
                ..Nats::default()
            },
            Nats {
                ack_wait: Some("PT0S".to_owned()),
                ..Nats::default()
            },
            Nats {
                consumer: Some("a.b".to_owned()),
                ..Nats::default()
            },
            Nats {
                user: Some("u".to_owned()),
                ..Nats::default()
            },
            Nats {
                ca_file: Some("no/such".into()),
                ..Nats::default()
            },
        ] {
            let told = format!("{table:?}");
            assert!(read("nats://h", &table).0.is_none(), "{told}");
        }
    }

    #[test]
    fn a_login_over_a_bare_network_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        secret_file::create(&file, "secret").unwrap();
        for (url, warnings) in [
            ("nats://h", 1),
            ("tls://h", 0),
            ("nats://127.0.0.1", 0),
            ("nats://localhost", 0),
        ] {
            let table = Nats {
                user: Some("u".to_owned()),
                password_file: Some(file.clone()),
                ..Nats::default()
            };
            let (settings, findings) = read(url, &table);
            assert!(!format!("{settings:?}").contains("secret"));
            assert_eq!(findings.warnings.len(), warnings, "{url}: {findings:?}");
        }
    }
}
