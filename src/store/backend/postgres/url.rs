//! Reading a database URL. Nothing of it that may be secret appears in an error.

use std::path::PathBuf;

use tokio_postgres::config::{Host, SslMode};

use crate::store::{StoreError, StoreResult};

/// How much of the connection's security is asked for, in libpq's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tls {
    /// `disable`: none.
    Disable,
    /// `prefer`: encrypted where the server offers it; not verified. The default.
    Prefer,
    /// `require`: encrypted; not verified.
    Require,
    /// `verify-full`: encrypted, and the certificate is the host's, by this file or the platform's roots.
    VerifyFull(Option<PathBuf>),
}

/// A database URL, read.
#[derive(Debug, Clone)]
pub(super) struct ParsedUrl {
    /// All but the security, for each server that may have the database (their `Debug` hides the password).
    pub(super) servers: Vec<tokio_postgres::Config>,
    /// The security.
    pub(super) tls: Tls,
}

/// Reads `postgres://user:password@host:port,host:port/database?sslmode=…&sslrootcert=…&target_session_attrs=read-write`.
pub(super) fn parse(url: &str) -> StoreResult<ParsedUrl> {
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(refused("it does not start with `postgres://`"));
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let config: tokio_postgres::Config = base
        .parse()
        .map_err(|_| refused("write `postgres://user:password@host:port/database`"))?;
    if config.get_hosts().is_empty() {
        return Err(refused("it names no host"));
    }
    if config.get_dbname().is_none() {
        return Err(refused("it names no database"));
    }
    let tls = tls_of(query)?;
    let mode = match tls {
        Tls::Disable => SslMode::Disable,
        Tls::Prefer => SslMode::Prefer,
        Tls::Require | Tls::VerifyFull(_) => SslMode::Require,
    };
    let servers = servers(&config).map(|mut server| {
        server.ssl_mode(mode);
        server
    });
    Ok(ParsedUrl {
        servers: servers.collect(),
        tls,
    })
}

/// The same for each of its servers alone.
fn servers(all: &tokio_postgres::Config) -> impl Iterator<Item = tokio_postgres::Config> {
    let (hosts, ports) = (all.get_hosts(), all.get_ports());
    hosts.iter().enumerate().map(move |(number, host)| {
        let mut one = tokio_postgres::Config::new();
        match host {
            Host::Tcp(name) => one.host(name),
            Host::Unix(path) => one.host_path(path),
        };
        // One port is for all of them.
        if let Some(port) = ports.get(number).or(ports.first()) {
            one.port(*port);
        }
        if let Some(user) = all.get_user() {
            one.user(user);
        }
        if let Some(password) = all.get_password() {
            one.password(password);
        }
        if let Some(database) = all.get_dbname() {
            one.dbname(database);
        }
        one
    })
}

/// Where a server is, for people.
pub(super) fn place(server: &tokio_postgres::Config) -> String {
    let port = server.get_ports().first().unwrap_or(&5432);
    match server.get_hosts().first() {
        Some(Host::Tcp(name)) => format!("{name}:{port}"),
        Some(Host::Unix(path)) => format!("{}:{port}", path.display()),
        None => port.to_string(),
    }
}

fn tls_of(query: &str) -> StoreResult<Tls> {
    let (mut mode, mut root, mut wanted) = (None, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decoded(value).ok_or_else(|| {
            refused(&format!(
                "the value of `{}` is not percent-encoded UTF-8",
                short(key)
            ))
        })?;
        let slot = match key {
            "sslmode" => &mut mode,
            "sslrootcert" => &mut root,
            "target_session_attrs" => &mut wanted,
            _ => {
                let key = short(key);
                return Err(refused(&format!(
                    "`{key}` is not one of sslmode, sslrootcert, target_session_attrs"
                )));
            }
        };
        if slot.replace(value).is_some() {
            return Err(refused(&format!("`{key}` stands there twice")));
        }
    }
    // It makes changes: another server than one that takes them is never used, whether that is said or not.
    if wanted.is_some_and(|wanted| wanted != "read-write" && wanted != "primary") {
        return Err(refused(
            "target_session_attrs is `read-write` or left out: a server that takes no changes is of no use",
        ));
    }
    tls_as(mode.as_deref(), root)
}

fn tls_as(mode: Option<&str>, mut root: Option<String>) -> StoreResult<Tls> {
    let tls = match mode {
        Some("disable") => Tls::Disable,
        None | Some("prefer") => Tls::Prefer,
        Some("require") => Tls::Require,
        Some("verify-full") => Tls::VerifyFull(root.take().map(PathBuf::from)),
        Some(other) => {
            let other = short(other);
            return Err(refused(&format!(
                "sslmode `{other}` is not one of disable, prefer, require, verify-full"
            )));
        }
    };
    if root.is_some() {
        return Err(refused(
            "`sslrootcert` is only read with sslmode=verify-full; without it nothing is verified",
        ));
    }
    Ok(tls)
}

fn refused(why: &str) -> StoreError {
    StoreError::Other(format!("the database URL cannot be used: {why}"))
}

/// Enough of a wrong word to recognise it.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let (high, low) = (
                char::from(rest.next()?).to_digit(16)?,
                char::from(rest.next()?).to_digit(16)?,
            );
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_libpq_are_read() {
        let tls = |query: &str| parse(&format!("postgres://u:p@h:1/d{query}")).unwrap().tls;
        assert_eq!(tls(""), Tls::Prefer);
        assert_eq!(tls("?sslmode=disable"), Tls::Disable);
        assert_eq!(tls("?sslmode=require"), Tls::Require);
        assert_eq!(tls("?sslmode=verify-full"), Tls::VerifyFull(None));
        assert_eq!(
            tls("?sslrootcert=%2Fetc%2Fa%20b.pem&sslmode=verify-full"),
            Tls::VerifyFull(Some(PathBuf::from("/etc/a b.pem")))
        );
    }

    #[test]
    fn each_server_has_its_own_port_or_the_common_one() {
        let places = |url: &str| {
            let servers = parse(url).unwrap().servers;
            servers.iter().map(place).collect::<Vec<_>>().join(" ")
        };
        let query = "?target_session_attrs=read-write";
        assert_eq!(
            places(&format!("postgres://u:p@a:1,[::1]:2/d{query}")),
            "a:1 ::1:2"
        );
        assert_eq!(places("postgres://u@a,b:2/d"), "a:5432 b:2");
        assert_eq!(places("postgres://u@a/d"), "a:5432");
        let parsed = parse("postgres://u:p@a,b/d").unwrap().servers;
        for server in parsed {
            assert_eq!(server.get_password(), Some(b"p".as_slice()));
            assert_eq!(server.get_dbname(), Some("d"));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_without_the_password() {
        for (url, why) in [
            ("mysql://u:secret@h/d", "start with"),
            ("postgres://u:secret@h:port/d", "write `postgres://"),
            ("postgres://u:secret@h", "no database"),
            (
                "postgres://u:secret@h/d?sslmode=verify-ca",
                "`verify-ca` is not one of",
            ),
            ("postgres://u:secret@h/d?ssl=on", "`ssl` is not one of"),
            (
                "postgres://u:secret@h/d?sslmode=require&sslmode=disable",
                "twice",
            ),
            (
                "postgres://u:secret@h/d?sslmode=require&sslrootcert=x",
                "only read with",
            ),
            ("postgres://u:secret@h/d?sslmode=%zz", "percent-encoded"),
            (
                "postgres://u:secret@h/d?target_session_attrs=any",
                "is `read-write` or left out",
            ),
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains(why), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_password_does_not_show() {
        let parsed = parse("postgres://u:secret@h/d").unwrap();
        assert!(!format!("{parsed:?}").contains("secret"));
    }
}
