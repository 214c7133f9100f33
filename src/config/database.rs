//! The database's address, as the operator writes it.

use std::path::{Path, PathBuf};

use reqwest::Url;

use super::ConfigError;
use crate::store::StoreConfig;

/// Connections to PostgreSQL unless the file says otherwise: a writer's batches and readers beside
/// them; more only helps a server with many processors.
pub(super) const CONNECTIONS_DEFAULT: u32 = 10;

/// What the store accepts.
const CONNECTIONS_RANGE: std::ops::RangeInclusive<u32> = 2..=100;

/// Reads `url` by itself; a relative file is taken from the working directory.
///
/// # Errors
/// What is wrong with it, by the name of the setting.
pub fn read(url: &str) -> Result<StoreConfig, ConfigError> {
    parse(url, None, Path::new("")).map_err(|text| ConfigError::one("database_url", text))
}

/// Reads `url`; relative files are taken from `base`. No error text holds the address, which may
/// contain a password.
pub(super) fn parse(
    url: &str,
    connections: Option<u32>,
    base: &Path,
) -> Result<StoreConfig, String> {
    if let Some(path) = url.strip_prefix("sqlite://") {
        if connections.is_some() {
            return Err("`database_connections` goes with PostgreSQL only".to_owned());
        }
        if path.is_empty() || path.contains('?') {
            return Err(
                "after `sqlite://` stands the path of a file and nothing else: `sqlite:///var/lib/robotd/robotd.db`"
                    .to_owned(),
            );
        }
        return Ok(StoreConfig::Sqlite {
            path: base.join(PathBuf::from(path)),
        });
    }
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err("it must begin with `sqlite://` or `postgres://`".to_owned());
    }
    let (before, hosts, after) = split(url);
    for host in hosts.split(',') {
        let one = format!("{before}{host}{after}");
        let parsed = Url::parse(&one).map_err(|error| error.to_string())?;
        if parsed.path().trim_matches('/').is_empty() {
            return Err("it names no database: `postgres://user@host:5432/robotd`".to_owned());
        }
    }
    let connections = connections.unwrap_or(CONNECTIONS_DEFAULT);
    if !CONNECTIONS_RANGE.contains(&connections) {
        return Err("`database_connections` must lie between 2 and 100".to_owned());
    }
    Ok(StoreConfig::Postgres {
        url: url.to_owned(),
        connections,
    })
}

/// The address without its password, for people.
pub(super) fn masked(config: &StoreConfig) -> String {
    match config {
        StoreConfig::Sqlite { path } => format!("sqlite://{}", path.display()),
        StoreConfig::Postgres { url, connections } => {
            let url = mask(url).unwrap_or_else(|| "postgres://***".to_owned());
            format!("{url} ({connections} connections)")
        }
    }
}

/// An address in three parts, of which the middle one names hosts and ports, with commas between them.
fn split(url: &str) -> (&str, &str, &str) {
    let from = url.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = url.split_at(from);
    let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let user = authority.rfind('@').map_or(0, |at| at + 1);
    let (before, hosts) = url.split_at(scheme.len() + user);
    let (hosts, _) = hosts.split_at(authority.len() - user);
    (before, hosts, after)
}

/// `None` for what cannot be read; it might be a password from end to end.
fn mask(url: &str) -> Option<String> {
    let (before, hosts, after) = split(url);
    let (first, others) = match hosts.split_once(',') {
        Some((first, others)) => (first, format!(",{others}")),
        None => (hosts, String::new()),
    };
    let masked = mask_one(&format!("{before}{first}{after}"))?;
    let (before, host, after) = split(&masked);
    Some(format!("{before}{host}{others}{after}"))
}

fn mask_one(url: &str) -> Option<String> {
    let mut url = Url::parse(url).ok()?;
    if url.password().is_some() {
        url.set_password(Some("***")).ok()?;
    }
    let shown: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| {
            let secret = name.to_ascii_lowercase().contains("pass");
            let value = if secret { "***".into() } else { value };
            (name.into_owned(), value.into_owned())
        })
        .collect();
    if !shown.is_empty() {
        url.query_pairs_mut().clear().extend_pairs(shown);
    }
    Some(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let base = Path::new("/base");
        let sqlite = |path: &str| Ok(StoreConfig::Sqlite { path: path.into() });
        assert_eq!(parse("sqlite:///a/b.db", None, base), sqlite("/a/b.db"));
        assert_eq!(parse("sqlite://b.db", None, base), sqlite("/base/b.db"));
        let postgres = |url: &str, connections| {
            let url = url.to_owned();
            Ok(StoreConfig::Postgres { url, connections })
        };
        for url in [
            "postgres://u:p@h:5433/d?sslmode=require",
            "postgres://u:p@h:1,[::1]:2,c/d?target_session_attrs=read-write",
            "postgresql://h/d",
        ] {
            assert_eq!(parse(url, None, base), postgres(url, CONNECTIONS_DEFAULT));
            assert_eq!(parse(url, Some(100), base), postgres(url, 100));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for (url, connections) in [
            ("", None),
            ("secret", None),
            ("mysql://u:secret@h/d", None),
            ("sqlite://", None),
            ("sqlite://a.db?mode=secret", None),
            ("sqlite://a.db", Some(5)),
            ("postgres://u:secret@h", None),
            ("postgres://u:secret@h:port/d", None),
            ("postgres://u:secret@h,h:port/d", None),
            ("postgres://u:secret@h/d", Some(1)),
            ("postgres://u:secret@h/d", Some(101)),
        ] {
            let error = parse(url, connections, Path::new("/")).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_password_is_masked_wherever_it_stands() {
        for (url, shown) in [
            ("postgres://u:secret@h/d", "postgres://u:***@h/d"),
            (
                "postgres://u@h/d?sslmode=require",
                "postgres://u@h/d?sslmode=require",
            ),
            (
                "postgres://u:secret@h:1,g:2/d?password=secret",
                "postgres://u:***@h:1,g:2/d?password=***",
            ),
            (
                "postgres://u@h/d?password=secret",
                "postgres://u@h/d?password=***",
            ),
        ] {
            assert_eq!(mask(url).as_deref(), Some(shown));
        }
    }
}
