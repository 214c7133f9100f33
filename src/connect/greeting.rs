//! Whether the service that should listen at a port does: it is greeted in its own protocol, and nobody signs in.
//!
//! No certificate and no first host key is refused here, because nothing of worth is said: they are shown, so that a caller can
//! see that they changed.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ssh::{HostKeyPolicy, SshTarget};
use super::target::{Attempt, Failure, Limits, check_host, class_of, dial};
use super::tls::observing_config;
use crate::domain::failure::FailureClass;
use crate::domain::hex::hexadecimal;
use crate::domain::inventory::Protocol;

const STEP: &str = "greet";

/// A search for the entry that every directory shows to everybody (RFC 4512, section 5.1).
const ROOT_DSE: &[u8] = b"\x30\x25\x02\x01\x01\x63\x20\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00\
    \x87\x0bobjectClass\x30\x00";
/// PostgreSQL's question whether TLS is spoken (its manual, section 55.2.11).
const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const HTTP_REQUEST: &[u8] = b"HEAD / HTTP/1.0\r\n\r\n";
/// The first bytes of every message of SMB 2 and 3 (MS-SMB2, section 2.2.1).
const SMB2: &[u8] = b"\xfeSMB";

/// A remote desktop's connection request, which offers TLS and `CredSSP` (MS-RDPBCGR, section 2.2.1.1; RFC 1006, RFC 905).
const RDP_REQUEST: &[u8] = &[3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0];
/// X.224's codes of a connection's confirmation and of its refusal.
const X224_ANSWERS: [u8; 2] = [0xd0, 0x80];
/// The first byte of `MySQL`'s greeting, its version since 1998, and of the error in its place, such as "too many connections".
const MYSQL_BEGINNINGS: [u8; 2] = [10, 0xff];
/// What every screen's version begins with (RFC 6143, section 7.1.1).
const RFB: [u8; 4] = *b"RFB ";
/// Telnet's "interpret as command" (RFC 854).
const TELNET_COMMAND: u8 = 0xff;
/// Asks a server not to send "go ahead", which it must answer, whatever it does (RFC 854, RFC 858).
const TELNET_REQUEST: &[u8] = &[TELNET_COMMAND, 253, 3];
/// Text that a Telnet server may show before its first command.
const TELNET_TEXT_BYTES_MAX: usize = 4 * 1024;

/// What a service has shown of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// How long it took until it was heard.
    pub latency: Duration,
    /// The machine's key as `ALGORITHM SHA256:…`, or the SHA-256 digest of a certificate in hexadecimal digits.
    pub key: Option<String>,
}

/// Greets the service that speaks `protocol`. With `host_key` a machine of SSH must show one of these keys.
///
/// # Errors
/// [`Failure`]; [`FailureClass::Protocol`] where somebody else listens.
pub async fn greet(
    (host, port): (&str, u16),
    protocol: Protocol,
    host_key: Option<HostKeyPolicy>,
    limits: Limits,
) -> Result<Greeting, Failure> {
    let shown = format!("{host}:{port}");
    let attempt = Attempt::nobodys(&shown);
    let began = Instant::now();
    let key = if protocol == Protocol::Ssh {
        let policy = host_key.unwrap_or(HostKeyPolicy::TrustFirst);
        let met = SshTarget::new(host, port, policy, limits).meet().await?;
        met.map(|key| format!("{} {}", key.algorithm, key.fingerprint))
    } else {
        let work = Box::pin(hello(&attempt, (host, port), protocol, limits.connect));
        attempt.within(limits.whole, STEP, work).await?
    };
    Ok(Greeting {
        latency: began.elapsed(),
        key,
    })
}

/// Whether anything listens at a port; nothing is said there.
pub async fn listens((host, port): (&str, u16), limit: Duration) -> bool {
    let shown = format!("{host}:{port}");
    let attempt = Attempt::nobodys(&shown);
    let dialling = dial(&attempt, host, port);
    attempt.within(limit, "reach", dialling).await.is_ok()
}

async fn hello(
    attempt: &Attempt<'_>,
    (host, port): (&str, u16),
    protocol: Protocol,
    connect: Duration,
) -> Result<Option<String>, Failure> {
    check_host(attempt, host)?;
    let dialling = dial(attempt, host, port);
    let mut stream = attempt.within(connect, "reach", dialling).await?;
    match protocol {
        Protocol::Tls => Ok(fingerprint(&over_tls(attempt, host, stream).await?)),
        Protocol::Https | Protocol::Ldaps => {
            let mut stream = over_tls(attempt, host, stream).await?;
            talk(attempt, &mut stream, protocol).await?;
            Ok(fingerprint(&stream))
        }
        Protocol::Postgresql => match exchange::<1>(attempt, &mut stream, SSL_REQUEST).await? {
            [b'S'] => Ok(fingerprint(&over_tls(attempt, host, stream).await?)),
            [b'N'] => Ok(None),
            _ => Err(not_it(attempt)),
        },
        _ => {
            talk(attempt, &mut stream, protocol).await?;
            Ok(None)
        }
    }
}

/// The words of a protocol that shows no key, or whose key was seen before.
async fn talk(
    attempt: &Attempt<'_>,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    protocol: Protocol,
) -> Result<(), Failure> {
    let is_it = match protocol {
        Protocol::Http | Protocol::Https => {
            exchange::<5>(attempt, stream, HTTP_REQUEST).await? == *b"HTTP/"
        }
        // A message is a sequence (RFC 4511, section 4.1.1).
        Protocol::Ldap | Protocol::Ldaps => {
            exchange::<1>(attempt, stream, ROOT_DSE).await? == [0x30]
        }
        Protocol::Smb | Protocol::WindowsRpc => {
            let answer = exchange::<8>(attempt, stream, &smb2_negotiate()).await?;
            answer.ends_with(SMB2)
        }
        Protocol::Rdp => {
            let [version, _, _, _, _, code] = exchange::<6>(attempt, stream, RDP_REQUEST).await?;
            version == 3 && X224_ANSWERS.contains(&(code & 0xf0))
        }
        // These speak first. A packet's length and number, of which the first is 0, stand before its words.
        Protocol::Mysql => {
            let [_, _, _, number, first] = exchange::<5>(attempt, stream, &[]).await?;
            number == 0 && MYSQL_BEGINNINGS.contains(&first)
        }
        Protocol::Vnc => exchange::<4>(attempt, stream, &[]).await? == RFB,
        Protocol::Telnet => negotiates(attempt, stream).await?,
        // Greeted above.
        Protocol::Ssh | Protocol::Postgresql | Protocol::Tls => false,
    };
    if is_it { Ok(()) } else { Err(not_it(attempt)) }
}

/// Whether a command of Telnet is in what a server says.
async fn negotiates(
    attempt: &Attempt<'_>,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<bool, Failure> {
    let lost = |error: std::io::Error| attempt.fail(class_of(&error), STEP, error.to_string());
    stream.write_all(TELNET_REQUEST).await.map_err(lost)?;
    let mut heard = [0; 256];
    let mut left = TELNET_TEXT_BYTES_MAX;
    while left > 0 {
        let count = stream.read(&mut heard).await.map_err(lost)?;
        let Some(said) = heard.get(..count).filter(|said| !said.is_empty()) else {
            return Ok(false);
        };
        if said.contains(&TELNET_COMMAND) {
            return Ok(true);
        }
        left = left.saturating_sub(count);
    }
    Ok(false)
}

/// Says something and hears the first `N` bytes of the answer.
async fn exchange<const N: usize>(
    attempt: &Attempt<'_>,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    words: &[u8],
) -> Result<[u8; N], Failure> {
    let lost = |error: std::io::Error| attempt.fail(class_of(&error), STEP, error.to_string());
    stream.write_all(words).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;
    let mut answer = [0; N];
    stream.read_exact(&mut answer).await.map_err(lost)?;
    Ok(answer)
}

fn not_it(attempt: &Attempt<'_>) -> Failure {
    let reason = "what listens there speaks another protocol";
    attempt.fail(FailureClass::Protocol, STEP, reason)
}

async fn over_tls(
    attempt: &Attempt<'_>,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Failure> {
    let refused = |reason: String| attempt.fail(FailureClass::Tls, "agree on TLS with", reason);
    let config = observing_config("the target").map_err(|error| refused(error.to_string()))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| refused(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(config));
    let agreed = connector.connect(name, stream).await;
    agreed.map_err(|error| refused(error.to_string()))
}

fn fingerprint(stream: &TlsStream<TcpStream>) -> Option<String> {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates()?.first()?;
    Some(hexadecimal(&Sha256::digest(certificate)))
}

/// The first message of a client: versions 2.0.2 and 2.1, which every server knows (MS-SMB2, section 2.2.3).
fn smb2_negotiate() -> Vec<u8> {
    let mut message = Vec::with_capacity(108);
    // Its length, as the session service wants it (MS-SMB2, section 2.1).
    message.extend([0, 0, 0, 104]);
    // The header: sizes, no status, the command 0, one credit.
    message.extend(SMB2);
    message.extend([64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    message.extend([0; 48]);
    // The request: its size, two versions, signing enabled.
    message.extend([36, 0, 2, 0, 1, 0]);
    message.extend([0; 30]);
    message.extend([0x02, 0x02, 0x10, 0x02]);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_length_that_they_say() {
        assert_eq!(smb2_negotiate().len(), 4 + 104);
        assert_eq!(ROOT_DSE.len(), 2 + usize::from(ROOT_DSE[1]));
        assert_eq!(SSL_REQUEST.len(), usize::from(SSL_REQUEST[3]));
        assert_eq!(RDP_REQUEST.len(), usize::from(RDP_REQUEST[3]));
        assert_eq!(RDP_REQUEST.len(), 5 + usize::from(RDP_REQUEST[4]));
    }
}
