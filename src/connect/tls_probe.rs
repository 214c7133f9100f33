//! Which certificate a service shows to whoever asks.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::ConnectError;

/// Asks a service for its certificate by a TLS handshake, and answers it as DER. Nothing is sent over the connection.
///
/// Whether the certificate verifies is not asked: the caller knows which one it wants to see, and an old one may be at its
/// end. That the service holds its private key is proven by the handshake, where the library can read the certificate.
///
/// # Errors
/// [`ConnectError`] where the name cannot be asked for, or there is no handshake within `limit`.
pub async fn served(
    (host, port): (&str, u16),
    name: &str,
    limit: Duration,
) -> Result<Vec<u8>, ConnectError> {
    let target = format!("{host}:{port}");
    let name = ServerName::try_from(name.to_owned()).map_err(|_| ConnectError::Invalid {
        what: name.to_owned(),
        reason: "it is no DNS name and no IP address".to_owned(),
    })?;
    let tls = |reason: String| ConnectError::Tls {
        target: target.clone(),
        reason,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = AnyCertificate(provider.signature_verification_algorithms);
    let config = config(provider, verifier).map_err(|error| tls(error.to_string()))?;
    let shaking = async {
        let stream = TcpStream::connect((host, port)).await?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    };
    let stream = match timeout(limit, shaking).await {
        Ok(shaken) => shaken.map_err(|error| ConnectError::from_stream(&target, error))?,
        Err(_) => {
            return Err(ConnectError::TimedOut {
                target,
                step: "see the certificate of",
                limit,
            });
        }
    };
    let shown = stream.get_ref().1.peer_certificates();
    match shown.and_then(<[_]>::first) {
        Some(certificate) => Ok(certificate.to_vec()),
        None => Err(tls("it showed no certificate".to_owned())),
    }
}

fn config(
    provider: Arc<CryptoProvider>,
    verifier: AnyCertificate,
) -> Result<ClientConfig, rustls::Error> {
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Lets a certificate pass that the library cannot read, such as one of X.509 version 1: it is to be seen all the same, for it
/// may be the one that is about to be replaced. A wrong signature is refused.
fn or_unreadable(
    verified: Result<HandshakeSignatureValid, rustls::Error>,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    match verified {
        Err(rustls::Error::InvalidCertificate(
            CertificateError::BadEncoding | CertificateError::Other(_),
        )) => Ok(HandshakeSignatureValid::assertion()),
        other => other,
    }
}

/// Takes any certificate, and none that can be read without its private key.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        or_unreadable(verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        or_unreadable(verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0,
        ))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
