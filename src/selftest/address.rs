//! The database's address, and the same by another way.

use std::net::SocketAddr;

use anyhow::Context as _;
use reqwest::Url;

/// Of a database on one server.
pub(super) struct Address(Url);

impl Address {
    /// Reads it; refuses what no relay can lead to. No error repeats it: it may hold a password.
    pub(super) fn read(url: &str) -> anyhow::Result<Self> {
        let url = Url::parse(url).context("failed to read the address: name one server")?;
        let host = url.host_str().unwrap_or_default();
        anyhow::ensure!(
            !host.is_empty() && !host.starts_with('%') && !host.contains(','),
            "the address must name one server by its host, not a socket nor several"
        );
        anyhow::ensure!(
            !url.query_pairs().any(|(_, value)| value == "verify-full"),
            "nodes reach the server through a relay, which no certificate names: use `sslmode=require`"
        );
        Ok(Self(url))
    }

    /// Where the server is: `HOST:PORT`.
    pub(super) fn server(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        format!("{host}:{}", self.0.port().unwrap_or(5432))
    }

    /// The address of the same database for who goes through `relay`.
    pub(super) fn through(&self, relay: SocketAddr) -> anyhow::Result<String> {
        let mut url = self.0.clone();
        url.set_host(Some(&relay.ip().to_string()))?;
        url.set_port(Some(relay.port()))
            .map_err(|()| anyhow::anyhow!("the address takes no port"))?;
        Ok(url.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_takes_the_servers_place() {
        let relay = "127.0.0.1:9".parse().unwrap();
        for (url, server, through) in [
            (
                "postgres://u:p@db.example.org/d?sslmode=require",
                "db.example.org:5432",
                "postgres://u:p@127.0.0.1:9/d?sslmode=require",
            ),
            (
                "postgres://u@[::1]:77/d",
                "[::1]:77",
                "postgres://u@127.0.0.1:9/d",
            ),
        ] {
            let address = Address::read(url).unwrap();
            assert_eq!(address.server(), server);
            assert_eq!(address.through(relay).unwrap(), through);
        }
        for url in [
            "postgres://u:secret@a,b/d",
            "postgres://u:secret@a:1,b:2/d",
            "postgres://u:secret@%2Frun%2Fpostgresql/d",
            "postgres://u:secret@h/d?sslmode=verify-full",
        ] {
            if let Err(error) = Address::read(url) {
                assert!(!format!("{error:#}").contains("secret"), "{error:#}");
            } else {
                panic!("{url}");
            }
        }
    }
}
