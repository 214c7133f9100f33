//! Which certificates a webhook accepts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{call, robotd_provider, spec};
use robotd::connect::error::ConnectError;
use robotd::connect::webhook::HttpSpec;

/// A certificate for one host name or address, signed by itself, made by openssl.
fn certificate(dir: &Path, name: &str, subject: &str) -> (PathBuf, PathBuf) {
    let (cert, key) = (
        dir.join(format!("{name}.pem")),
        dir.join(format!("{name}.key")),
    );
    let mut openssl = std::process::Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=robotd test",
    ]);
    openssl.args([
        "-addext",
        &format!("subjectAltName={subject}"),
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]);
    let made = openssl
        .arg("-out")
        .arg(&cert)
        .arg("-keyout")
        .arg(&key)
        .output()
        .expect("openssl is installed");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    (cert, key)
}

/// Answers 204 to everything over TLS.
fn tls_server(cert: &Path, key: &Path) -> SocketAddr {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    robotd_provider();
    let chain = CertificateDer::pem_file_iter(cert)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = Arc::new(
        rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let session = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(session, stream.unwrap());
            // A client that does not trust us ends the handshake, and this read fails.
            if stream.read(&mut [0; 4096]).is_ok() {
                drop(stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"));
            }
        }
    });
    address
}

#[tokio::test]
async fn only_a_trusted_certificate_for_this_host_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(dir.path(), "right", "IP:127.0.0.1");
    let (other_cert, other_key) = certificate(dir.path(), "other", "DNS:other.example");
    let url = format!("https://{}/", tls_server(&cert, &key));
    let other_url = format!("https://{}/", tls_server(&other_cert, &other_key));
    let trusting = |url: &str, ca_file: Option<&PathBuf>| HttpSpec {
        ca_file: ca_file.cloned(),
        ..spec(url.to_owned())
    };
    assert_eq!(
        call(&trusting(&url, Some(&cert))).await.unwrap().status,
        204
    );
    for refused in [
        trusting(&url, None),
        trusting(&url, Some(&other_cert)),
        trusting(&other_url, Some(&other_cert)),
    ] {
        let error = call(&refused).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}
