//! Whether the service that should listen at a port does: it is greeted in its own protocol, and nobody signs in.
//!
//! No certificate and no first host key is refused here, because nothing of worth is said: they are shown, so that a caller can
//! see that they changed. That somebody listens is all that is looked at of the remote desktop, `MySQL`, Telnet and VNC.

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
        Protocol::Http | Protocol::Ldap => {
            talk(attempt, &mut stream, protocol).await?;
            Ok(None)
        }
        Protocol::Https | Protocol::Ldaps => {
            let mut stream = over_tls(attempt, host, stream).await?;
            talk(attempt, &mut stream, protocol).await?;
            Ok(fingerprint(&stream))
        }
        Protocol::Postgresql => {
            let answer = exchange::<1>(attempt, &mut stream, SSL_REQUEST).await?;
            match answer {
                [b'S'] => Ok(fingerprint(&over_tls(attempt, host, stream).await?)),
                [b'N'] => Ok(None),
                _ => Err(not_it(attempt)),
            }
        }
        Protocol::Smb | Protocol::WindowsRpc => {
            let answer = exchange::<8>(attempt, &mut stream, &smb2_negotiate()).await?;
            if answer.ends_with(SMB2) {
                Ok(None)
            } else {
                Err(not_it(attempt))
            }
        }
        Protocol::Ssh | Protocol::Rdp | Protocol::Mysql | Protocol::Telnet | Protocol::Vnc => {
            Ok(None)
        }
    }
}

/// The words of HTTP and LDAP, over TLS or not.
async fn talk(
    attempt: &Attempt<'_>,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    protocol: Protocol,
) -> Result<(), Failure> {
    let is_it = if matches!(protocol, Protocol::Http | Protocol::Https) {
        exchange::<5>(attempt, stream, HTTP_REQUEST).await? == *b"HTTP/"
    } else {
        // A message is a sequence (RFC 4511, section 4.1.1).
        exchange::<1>(attempt, stream, ROOT_DSE).await? == [0x30]
    };
    if is_it { Ok(()) } else { Err(not_it(attempt)) }
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
    }
}
