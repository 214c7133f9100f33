//! Greetings of real services, and of what listens in their place.

use std::time::Duration;

use robotd::connect::greeting::greet;
use robotd::connect::ssh::HostKeyPolicy;
use robotd::connect::target::Limits;
use robotd::domain::failure::FailureClass;
use robotd::domain::inventory::Protocol;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

use crate::support::consoles::{mariadb, remote_desktop, remote_screen, says, telnet};
use crate::support::counterpart::free_port;
use crate::support::sink::Sink;
use crate::support::slapd::Slapd;
use crate::support::smbd::Smbd;
use crate::support::sshd::Sshd;

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    whole: Duration::from_secs(20),
};

async fn heard(
    port: u16,
    protocol: Protocol,
    key: Option<HostKeyPolicy>,
) -> Result<Option<String>, FailureClass> {
    let greeting = greet(("127.0.0.1", port), protocol, key, LIMITS).await;
    greeting
        .map(|greeting| greeting.key)
        .map_err(|failure| failure.class)
}

#[tokio::test]
async fn services_are_known_by_their_greeting() {
    let (Some(sshd), Some(smbd), Some(slapd)) = (
        Sshd::start(),
        Smbd::start("Right-Horse-7"),
        Slapd::start(&[], "Right-Horse-7"),
    ) else {
        return;
    };
    let sink = Sink::start();
    let http: u16 = sink
        .url()
        .rsplit_once(':')
        .unwrap()
        .1
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let certificate = CertificateDer::from_pem_file(&slapd.authority.cert).unwrap();
    let digest: String = Sha256::digest(&certificate)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let key = sshd.host_key("ed25519");
    let ssh = format!("{} {}", key.algorithm, key.fingerprint);
    for (port, protocol, found) in [
        (sshd.port, Protocol::Ssh, Ok(Some(ssh.clone()))),
        (smbd.port, Protocol::Smb, Ok(None)),
        (smbd.port, Protocol::WindowsRpc, Ok(None)),
        (slapd.port, Protocol::Ldap, Ok(None)),
        (slapd.tls_port, Protocol::Ldaps, Ok(Some(digest.clone()))),
        (slapd.tls_port, Protocol::Tls, Ok(Some(digest))),
        (http, Protocol::Http, Ok(None)),
        (sshd.port, Protocol::Http, Err(FailureClass::Protocol)),
        // `SSH` begins like the answer that TLS may begin.
        (sshd.port, Protocol::Postgresql, Err(FailureClass::Tls)),
        (sshd.port, Protocol::Ldap, Err(FailureClass::Protocol)),
        (sshd.port, Protocol::Smb, Err(FailureClass::Protocol)),
        (sshd.port, Protocol::Https, Err(FailureClass::Tls)),
        (free_port(), Protocol::Telnet, Err(FailureClass::Refused)),
    ] {
        assert_eq!(heard(port, protocol, None).await, found, "{protocol:?}");
    }
    let pinned = |text: &str| HostKeyPolicy::pinned(text);
    assert_eq!(
        heard(sshd.port, Protocol::Ssh, pinned(&ssh)).await,
        Ok(Some(ssh))
    );
    let other = "ssh-ed25519 SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mismatch = Err(FailureClass::HostKeyMismatch);
    assert_eq!(
        heard(sshd.port, Protocol::Ssh, pinned(other)).await,
        mismatch
    );
}

/// A server that asks for TLS shows its certificate, one that does not says so.
#[tokio::test]
async fn postgresql_is_greeted_with_its_own_question() {
    use crate::support::postgres_server::PostgresServer;
    let Some(server) = PostgresServer::start() else {
        return;
    };
    assert_eq!(
        heard(server.port(), Protocol::Postgresql, None).await,
        Ok(None)
    );
}

#[tokio::test]
async fn screens_and_consoles_are_known_by_what_they_say() {
    let (Some(desktop), Some(screen), Some(console), Some(mariadb), Some(sshd)) = (
        remote_desktop(),
        remote_screen(),
        telnet(),
        mariadb(),
        Sshd::start(),
    ) else {
        return;
    };
    let other = || Err(FailureClass::Protocol);
    for (port, protocol, found) in [
        (desktop.port, Protocol::Rdp, Ok(None)),
        (screen.port, Protocol::Vnc, Ok(None)),
        (console, Protocol::Telnet, Ok(None)),
        (mariadb.port, Protocol::Mysql, Ok(None)),
        // An error in place of the greeting: too many connections (error 1040).
        (
            says(b"\x10\0\0\0\xff\x10\x04Too many conn"),
            Protocol::Mysql,
            Ok(None),
        ),
        (sshd.port, Protocol::Rdp, other()),
        (sshd.port, Protocol::Vnc, other()),
        (sshd.port, Protocol::Mysql, other()),
        (screen.port, Protocol::Mysql, other()),
        (says(b"220 ready\r\n"), Protocol::Vnc, other()),
    ] {
        assert_eq!(heard(port, protocol, None).await, found, "{protocol:?}");
    }
    // A port that is open is no service.
    let soon = Limits {
        whole: Duration::from_millis(300),
        ..LIMITS
    };
    let quiet = says(b"");
    for protocol in [
        Protocol::Rdp,
        Protocol::Vnc,
        Protocol::Mysql,
        Protocol::Telnet,
    ] {
        let silent = greet(("127.0.0.1", quiet), protocol, None, soon).await;
        assert_eq!(
            silent.unwrap_err().class,
            FailureClass::Timeout,
            "{protocol:?}"
        );
    }
}
