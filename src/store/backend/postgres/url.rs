//! Reading a database URL. Nothing of it that may be secret appears in an error.

use std::path::PathBuf;

use tokio_postgres::config::SslMode;

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
    /// All but the security (its `Debug` hides the password).
    pub(super) config: tokio_postgres::Config,
    /// The security.
    pub(super) tls: Tls,
}

/// Reads `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`.
pub(super) fn parse(url: &str) -> StoreResult<ParsedUrl> {
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(refused("it does not start with `postgres://`"));
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut config: tokio_postgres::Config = base
        .parse()
        .map_err(|_| refused("write `postgres://user:password@host:port/database`"))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(refused("it names no host"));
    }
    if config.get_dbname().is_none() {
        return Err(refused("it names no database"));
    }
    let tls = tls_of(query)?;
    config.ssl_mode(match tls {
        Tls::Disable => SslMode::Disable,
        Tls::Prefer => SslMode::Prefer,
        Tls::Require | Tls::VerifyFull(_) => SslMode::Require,
    });
    Ok(ParsedUrl { config, tls })
}

fn tls_of(query: &str) -> StoreResult<Tls> {
    let (mut mode, mut root) = (None, None);
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
            _ => {
                let key = short(key);
                return Err(refused(&format!(
                    "`{key}` is not one of sslmode, sslrootcert"
                )));
            }
        };
        if slot.replace(value).is_some() {
            return Err(refused(&format!("`{key}` stands there twice")));
        }
    }
    let tls = match mode.as_deref() {
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
