//! What an ACME authority says of a certificate that it issued: when it is best renewed (RFC 9773), and that it is revoked (RFC 8555,
//! section 7.6).

use std::time::Duration;

use instant_acme::{CertificateIdentifier, Error, RevocationReason as Said, RevocationRequest};
use rustls_pki_types::CertificateDer;

use super::{Acme, told};
use crate::connect::issuer::{IssueError, Suggestion};
use crate::domain::failure::FailureClass;
use crate::domain::inventory::RevocationReason;
use crate::domain::time::{Timestamp, from_micros};

const SUGGEST: &str = "ask when the certificate is to be renewed";
const REVOKE: &str = "revoke the certificate";
/// What an authority says of a certificate that is revoked (RFC 8555, section 6.7).
const ALREADY_REVOKED: &str = "urn:ietf:params:acme:error:alreadyRevoked";
/// Bounds on how long an authority is not asked again (RFC 9773, section 4.3.2).
const AGAIN: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(24));

/// What an authority knows a certificate (DER) by; none: it is not one of an authority that says whose key signed it.
pub(super) fn identifier(certificate: &[u8]) -> Option<CertificateIdentifier<'static>> {
    let der = CertificateDer::from(certificate);
    let identifier = CertificateIdentifier::try_from(&der).ok()?;
    Some(identifier.into_owned())
}

/// Whether an order was refused for the certificate that it replaces: the authority knows no such thing, or not this
/// certificate, or has replaced it already.
pub(super) fn is_of_replacing(error: &Error) -> bool {
    match error {
        Error::Unsupported(_) => true,
        Error::Api(problem) => problem
            .status
            .is_some_and(|status| (400..500).contains(&status) && status != 429),
        // The library's own words: the authority did not say that it replaces it.
        Error::Other(source) => source.downcast_ref::<reqwest::Error>().is_none(),
        _ => false,
    }
}

impl Acme {
    /// When the authority suggests that a certificate is renewed; none where it offers no such thing.
    pub(super) async fn suggested(
        &self,
        certificate: &[u8],
    ) -> Result<Option<Suggestion>, IssueError> {
        let Some(identifier) = identifier(certificate) else {
            return Ok(None);
        };
        let account = self.account().await?;
        let (info, wait) = match account.renewal_info(&identifier).await {
            Ok(told) => told,
            Err(Error::Unsupported(_)) => return Ok(None),
            Err(error) => return Err(told(SUGGEST, error)),
        };
        let window = info.suggested_window;
        let instant =
            |seconds: i64| -> Timestamp { from_micros(seconds.saturating_mul(1_000_000)) };
        if window.end <= window.start {
            let reason = "the suggested window ends before it begins";
            return Err(IssueError::new(FailureClass::Protocol, SUGGEST, reason));
        }
        Ok(Some(Suggestion {
            window: (
                instant(window.start.unix_timestamp()),
                instant(window.end.unix_timestamp()),
            ),
            again_after: wait.clamp(AGAIN.0, AGAIN.1),
        }))
    }

    pub(super) async fn revoked(
        &self,
        certificate: &[u8],
        reason: RevocationReason,
    ) -> Result<(), IssueError> {
        let account = self.account().await?;
        let request = RevocationRequest {
            certificate: &CertificateDer::from(certificate),
            reason: said(reason),
        };
        match account.revoke(&request).await {
            Ok(()) => Ok(()),
            Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(ALREADY_REVOKED) => {
                Ok(())
            }
            Err(error) => Err(told(REVOKE, error)),
        }
    }
}

/// The reason as it is sent; that there is none is not sent (RFC 5280, section 5.3.1).
const fn said(reason: RevocationReason) -> Option<Said> {
    match reason {
        RevocationReason::Unspecified => None,
        RevocationReason::KeyCompromise => Some(Said::KeyCompromise),
        RevocationReason::AffiliationChanged => Some(Said::AffiliationChanged),
        RevocationReason::Superseded => Some(Said::Superseded),
        RevocationReason::CessationOfOperation => Some(Said::CessationOfOperation),
    }
}
