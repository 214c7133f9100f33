//! Where syslog messages go, as an operator writes it.
//!
//! `udp://host:514`, `tcp://host:601`, `tls://host:6514?ca=/etc/robotd/collector-ca.pem`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::connect::ConnectError;

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram a message (RFC 5426): may be lost on the way without anybody noticing.
    Udp,
    /// Octet counting (RFC 6587): readable on the way.
    Tcp,
    /// Octet counting inside TLS (RFC 5425); the collector's certificate is verified.
    Tls,
}

impl Transport {
    /// The scheme of a target and its registered port.
    const SCHEMES: [(&'static str, Self, u16); 3] = [
        ("udp", Self::Udp, 514),
        ("tcp", Self::Tcp, 601),
        ("tls", Self::Tls, 6514),
    ];

    fn scheme(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// How we learn that a collector has read a batch sent over TCP or TLS.
///
/// Syslog has no answer, and bytes the kernel took may sit unread in a collector that dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Confirm {
    /// We end our side after each batch and wait until the collector ends its side, which
    /// it does after reading everything; a collector that dies earlier resets instead.
    #[default]
    Close,
    /// The connection stays open and a batch counts as accepted once it is written. For
    /// collectors behind something that never closes; the last batch before a crash of the
    /// collector may be lost.
    Off,
}

/// What TLS needs beyond the address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// The authority the collector's certificate must come from; the platform's when `None`.
    pub ca: Option<PathBuf>,
    /// The name the certificate must carry, where it is not the host we connect to.
    pub server_name: Option<String>,
    /// Our own certificate and its key, for collectors that ask who we are.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// One collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogTarget {
    /// How messages travel.
    pub transport: Transport,
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// Port, 514, 601 or 6514 unless written.
    pub port: u16,
    /// How we learn that a batch arrived; means nothing for UDP.
    pub confirm: Confirm,
    /// Empty unless the transport is TLS.
    pub tls: TlsFiles,
}

impl FromStr for SyslogTarget {
    type Err = ConnectError;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        parse(written).map_err(|reason| ConnectError::Invalid {
            what: written.to_owned(),
            reason,
        })
    }
}

impl fmt::Display for SyslogTarget {
    /// The address alone, for logs and errors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.transport.scheme();
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

fn parse(written: &str) -> Result<SyslogTarget, String> {
    let (scheme, rest) = written
        .split_once("://")
        .ok_or("it has no scheme; write `udp://`, `tcp://` or `tls://` before the host")?;
    let (_, transport, default_port) = Transport::SCHEMES
        .into_iter()
        .find(|(known, ..)| *known == scheme)
        .ok_or_else(|| format!("scheme `{scheme}` is not `udp`, `tcp` or `tls`"))?;
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, port) = host_and_port(authority.strip_suffix('/').unwrap_or(authority))?;
    let mut target = SyslogTarget {
        transport,
        host,
        port: port.unwrap_or(default_port),
        confirm: Confirm::default(),
        tls: TlsFiles::default(),
    };
    apply_options(&mut target, query)?;
    Ok(target)
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest
            .split_once(']')
            .ok_or("the IPv6 address has no closing bracket")?;
        host.parse::<std::net::Ipv6Addr>()
            .map_err(|_| format!("`{host}` is not an IPv6 address"))?;
        match after {
            "" => (host, None),
            _ => (
                host,
                Some(after.strip_prefix(':').ok_or("text after the bracket")?),
            ),
        }
    } else {
        match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address needs brackets, as in `[::1]`".to_owned());
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    if let Some(bad) = host
        .chars()
        .find(|c| !(c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':')))
    {
        return Err(format!("`{}` cannot be in a host", bad.escape_default()));
    }
    let port = port
        .map(|port| match port.parse::<u16>() {
            Ok(0) | Err(_) => Err(format!("port `{port}` is not between 1 and 65535")),
            Ok(port) => Ok(port),
        })
        .transpose()?;
    Ok((host.to_owned(), port))
}

/// Reads `ca=…&name=…&cert=…&key=…&confirm=close|off`; each at most once.
fn apply_options(target: &mut SyslogTarget, query: &str) -> Result<(), String> {
    let (mut cert, mut key) = (None, None);
    let mut seen = Vec::new();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if value.is_empty() {
            return Err(format!("option `{name}` has no value"));
        }
        if seen.contains(&name) {
            return Err(format!("option `{name}` is given twice"));
        }
        seen.push(name);
        let tls = target.transport == Transport::Tls;
        match name {
            "confirm" if target.transport != Transport::Udp => {
                target.confirm = match value {
                    "close" => Confirm::Close,
                    "off" => Confirm::Off,
                    _ => return Err(format!("`confirm` is `close` or `off`, not `{value}`")),
                }
            }
            "ca" if tls => target.tls.ca = Some(PathBuf::from(value)),
            "name" if tls => target.tls.server_name = Some(value.to_owned()),
            "cert" if tls => cert = Some(PathBuf::from(value)),
            "key" if tls => key = Some(PathBuf::from(value)),
            "ca" | "name" | "cert" | "key" => {
                return Err(format!("option `{name}` needs `tls://`"));
            }
            _ => {
                return Err(format!(
                    "option `{name}` is unknown; known are `ca`, `name`, `cert`, `key`, and \
                     `confirm` for `tcp` and `tls`"
                ));
            }
        }
    }
    target.tls.identity = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => return Err("`cert` and `key` go together".to_owned()),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(written: &str) -> String {
        written.parse::<SyslogTarget>().unwrap_err().to_string()
    }

    #[test]
    fn the_three_transports_have_their_ports() {
        for (written, shown) in [
            ("udp://logs.example", "udp://logs.example:514"),
            ("tcp://logs.example", "tcp://logs.example:601"),
            ("tls://[2001:db8::1]", "tls://[2001:db8::1]:6514"),
            ("tcp://127.0.0.1:5514/", "tcp://127.0.0.1:5514"),
        ] {
            let target: SyslogTarget = written.parse().unwrap();
            assert_eq!(target.to_string(), shown);
        }
    }

    #[test]
    fn tls_takes_files_and_a_name() {
        let target: SyslogTarget =
            "tls://10.0.0.7:6514?ca=/etc/ca.pem&name=logs.example&cert=/c.pem&key=/k.pem"
                .parse()
                .unwrap();
        assert_eq!(target.tls.ca, Some(PathBuf::from("/etc/ca.pem")));
        assert_eq!(target.tls.server_name.as_deref(), Some("logs.example"));
        assert_eq!(
            target.tls.identity,
            Some((PathBuf::from("/c.pem"), PathBuf::from("/k.pem")))
        );
        assert_eq!(target.confirm, Confirm::Close);
    }

    #[test]
    fn mistakes_are_named() {
        for (written, part) in [
            ("logs.example:514", "has no scheme"),
            ("http://logs.example", "scheme `http`"),
            ("tcp://", "names no host"),
            ("tcp://a b", "` ` cannot be in a host"),
            ("tcp://host:0", "port `0`"),
            ("tcp://host:70000", "port `70000`"),
            ("tcp://::1", "needs brackets"),
            ("tcp://[::1", "no closing bracket"),
            ("tcp://[::g]", "not an IPv6 address"),
            ("tcp://host?ca=/x", "needs `tls://`"),
            ("udp://host?confirm=off", "unknown"),
            ("tls://host?ca=", "has no value"),
            ("tls://host?ca=/a&ca=/b", "given twice"),
            ("tls://host?verify=no", "option `verify` is unknown"),
            ("tls://host?cert=/c", "go together"),
            ("tcp://host?confirm=maybe", "`close` or `off`"),
        ] {
            let text = refused(written);
            assert!(text.contains(part), "{written}: {text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(written in any::<String>()) {
            if let Ok(target) = written.parse::<SyslogTarget>() {
                prop_assert_eq!(target.to_string().parse::<SyslogTarget>().unwrap().port, target.port);
            }
        }

        #[test]
        fn what_is_shown_reads_back(host in "[a-z][a-z0-9.-]{0,40}", port in 1_u16.., scheme in "udp|tcp|tls") {
            let target: SyslogTarget = format!("{scheme}://{host}:{port}").parse().unwrap();
            prop_assert_eq!(target.to_string().parse::<SyslogTarget>().unwrap(), target);
        }
    }
}
