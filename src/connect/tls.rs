//! How we verify whom we talk to over TLS, the same for every counterpart.

mod pinned;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::Verifier;

use super::ConnectError;

use self::pinned::PinnedCertificate;

/// How a certificate proves that its holder is the one we mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// It carries the host's name and comes from an authority that this machine trusts.
    Platform,
    /// The same, from an authority in this PEM file.
    File(PathBuf),
    /// The same, from an authority in this PEM text.
    Pem(String),
    /// It is the one with this SHA-256 digest (64 lower-case hexadecimal digits), whatever name it carries and whoever
    /// issued it.
    Fingerprint(String),
}

/// A client that trusts the authorities in `ca`, or the platform's when there is no file.
///
/// `target` only names the counterpart in errors. `identity` is our own certificate chain
/// and its key, both in PEM.
///
/// # Errors
///
/// [`ConnectError::Unreadable`] names a file that cannot be read or has nothing of use;
/// [`ConnectError::Tls`] says that certificates and key do not fit.
pub fn client_config(
    target: &str,
    ca: Option<&Path>,
    identity: Option<(&Path, &Path)>,
) -> Result<ClientConfig, ConnectError> {
    let trust = ca.map_or(Trust::Platform, |path| Trust::File(path.to_owned()));
    let builder = verifying(target, &trust)?;
    match identity {
        Some((cert, key)) => builder
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|error| refused(target, &error)),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// A client that knows its counterpart by `trust`, and shows no certificate of its own.
///
/// # Errors
///
/// Those of [`client_config`]; [`ConnectError::Invalid`] for a PEM text without a certificate.
pub fn trusting_config(target: &str, trust: &Trust) -> Result<ClientConfig, ConnectError> {
    Ok(verifying(target, trust)?.with_no_client_auth())
}

/// A client that takes any certificate, to look at it: nothing of worth may be said to whom it meets.
///
/// # Errors
///
/// [`ConnectError::Tls`] where TLS cannot be spoken at all.
pub fn observing_config(target: &str) -> Result<ClientConfig, ConnectError> {
    let (builder, provider) = speaking(target)?;
    let verifier = PinnedCertificate::any(&provider);
    let builder = builder.dangerous();
    Ok(builder
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// The versions of TLS that we speak, and by what cryptography.
fn speaking(
    target: &str,
) -> Result<
    (
        ConfigBuilder<ClientConfig, WantsVerifier>,
        Arc<CryptoProvider>,
    ),
    ConnectError,
> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(target, &error))?;
    Ok((builder, provider))
}

fn verifying(
    target: &str,
    trust: &Trust,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, ConnectError> {
    let (builder, provider) = speaking(target)?;
    let found = match trust {
        Trust::Platform => {
            let verifier = Verifier::new(provider).map_err(|error| refused(target, &error))?;
            let builder = builder.dangerous();
            return Ok(builder.with_custom_certificate_verifier(Arc::new(verifier)));
        }
        Trust::Fingerprint(digest) => {
            let verifier = PinnedCertificate::new(digest.clone(), &provider);
            let builder = builder.dangerous();
            return Ok(builder.with_custom_certificate_verifier(Arc::new(verifier)));
        }
        Trust::File(path) => certificates(path)?,
        Trust::Pem(text) => certificates_in(text)?,
    };
    let mut roots = RootCertStore::empty();
    for certificate in found {
        roots
            .add(certificate)
            .map_err(|error| refused(target, &error))?;
    }
    Ok(builder.with_root_certificates(roots))
}

fn refused(target: &str, error: &rustls::Error) -> ConnectError {
    ConnectError::Tls {
        target: target.to_owned(),
        reason: error.to_string(),
    }
}

fn certificates_in(text: &str) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(ConnectError::Invalid {
            what: "ca".to_owned(),
            reason: "it holds no certificate in PEM".to_owned(),
        }),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(path, &error))?;
    if found.is_empty() {
        return Err(unreadable(path, &PemError::NoItemsFound));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, ConnectError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &PemError) -> ConnectError {
    let reason = match error {
        PemError::NoItemsFound => "it holds no certificate or key in PEM".to_owned(),
        PemError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            "there is no such file".to_owned()
        }
        other => other.to_string(),
    };
    ConnectError::Unreadable {
        path: path.to_owned(),
        reason,
    }
}
