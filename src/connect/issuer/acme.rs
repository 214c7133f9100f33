//! An authority that speaks ACME (RFC 8555), with the challenge `http-01`.

mod renewal;

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use instant_acme::{
    Account, AuthorizationStatus, BodyWrapper, BytesResponse, ChallengeType, Error, HttpClient,
    Identifier, Key, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use super::challenge::Responder;
use super::{CertificateRequest, IssueError, Issuer, Suggestion, key_pair, params};
use crate::domain::failure::FailureClass;
use crate::domain::inventory::{AcmeRules, RevocationReason};

/// How long one request may take.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a step may take as a whole: an authority asks from several places, and may be busy.
const STEP_TIME_MAX: Duration = Duration::from_mins(3);
/// How long we wait for the authority to look, and for it to sign.
const POLL_TIME_MAX: Duration = Duration::from_secs(90);
/// Bound on an answer in bytes: a chain of ten large certificates is far below.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long an authority is left alone that says we ask too often: its shortest window (Let's Encrypt's).
const RATE_LIMITED_WAIT: Duration = Duration::from_hours(1);
/// What an authority says that is asked too often (RFC 8555, section 6.7).
const RATE_LIMITED: &str = "urn:ietf:params:acme:error:rateLimited";
/// Authorizations looked at for a reason; an order has at most one a name.
const AUTHORIZATIONS_MAX: usize = 100;

const SPEAK: &str = "speak to the ACME authority";
const ORDER: &str = "order a certificate";
const PROVE: &str = "prove the names to the ACME authority";
const FETCH: &str = "fetch the certificate";

/// An account at an ACME authority.
#[derive(Debug)]
pub struct Acme {
    rules: AcmeRules,
    key: SecretString,
}

impl Acme {
    /// Names authority and account key (ECDSA P-256, PKCS#8 in PEM); asks nobody yet. An account is made of a key that
    /// the authority does not know.
    #[must_use]
    pub const fn new(rules: AcmeRules, key: SecretString) -> Self {
        Self { rules, key }
    }

    async fn account(&self) -> Result<Account, IssueError> {
        let unfit = || {
            let reason = "it is no key of ECDSA P-256 in PKCS#8 (PEM)";
            IssueError::new(FailureClass::Invalid, "read the account's key", reason)
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(self.key.expose_secret().as_bytes())
            .map_err(|_| unfit())?;
        let key = Key::from_pkcs8_der(der.clone_key()).map_err(|_| unfit())?;
        let http = Box::new(Http(client(&self.rules)?));
        let directory = self.rules.directory.clone();
        let (account, _) = Account::builder_with_http(http)
            .create_from_key((key, PrivateKeyDer::Pkcs8(der)), directory)
            .await
            .map_err(|error| told(SPEAK, error))?;
        let contacts: Vec<&str> = self.rules.contacts.iter().map(String::as_str).collect();
        if !contacts.is_empty() {
            let updated = account.update_contacts(&contacts).await;
            updated.map_err(|error| told(SPEAK, error))?;
        }
        Ok(account)
    }

    async fn ordered(
        &self,
        names: &[String],
        replaces: Option<&[u8]>,
    ) -> Result<String, IssueError> {
        if let Some(wild) = names.iter().find(|name| name.starts_with('*')) {
            let reason = format!("`{wild}`: the challenge `http-01` proves no wildcard");
            return Err(IssueError::new(FailureClass::Unsupported, ORDER, reason));
        }
        let identifier = |name: &String| match name.parse::<IpAddr>() {
            Ok(address) => Identifier::Ip(address),
            Err(_) => Identifier::Dns(name.clone()),
        };
        let identifiers: Vec<Identifier> = names.iter().map(identifier).collect();
        let account = self.account().await?;
        let plain = NewOrder::new(&identifiers);
        let ordered = match replaces.and_then(renewal::identifier) {
            Some(replaced) => {
                let renewing = NewOrder::new(&identifiers).replaces(replaced);
                match account.new_order(&renewing).await {
                    Err(error) if renewal::is_of_replacing(&error) => {
                        account.new_order(&plain).await
                    }
                    ordered => ordered,
                }
            }
            None => account.new_order(&plain).await,
        };
        let order = ordered.map_err(|error| told(ORDER, error))?;
        Ok(order.url().to_owned())
    }

    async fn certified(
        &self,
        request: &CertificateRequest,
        url: &str,
    ) -> Result<String, IssueError> {
        let account = self.account().await?;
        let mut order = match account.order(url.to_owned()).await {
            Ok(order) => order,
            // An authority forgets orders after some days.
            Err(Error::Api(problem)) if problem.status == Some(404) => {
                return Err(refused(ORDER, &problem).losing_order());
            }
            Err(error) => return Err(told(ORDER, error)),
        };
        if order.state().status == OrderStatus::Pending {
            self.prove(&mut order).await?;
        }
        if order.state().status == OrderStatus::Ready {
            let pair = key_pair(&request.key)?;
            let csr = params(&request.names)?
                .serialize_request(&pair)
                .map_err(|error| IssueError::new(FailureClass::Invalid, ORDER, error))?;
            let finalized = order.finalize_csr(csr.der()).await;
            finalized.map_err(|error| told(ORDER, error))?;
        }
        if order.state().status == OrderStatus::Invalid {
            return Err(reason_of(&mut order).await);
        }
        let polled = order.poll_certificate(&patience()).await;
        polled.map_err(|error| told(FETCH, error))
    }

    /// Answers the authority's challenges until it is content.
    async fn prove(&self, order: &mut Order) -> Result<(), IssueError> {
        let mut answers = HashMap::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| told(PROVE, error))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let Some(challenge) = authorization.challenge(ChallengeType::Http01) else {
                let reason = "the authority does not offer the challenge `http-01`";
                return Err(IssueError::new(FailureClass::Unsupported, PROVE, reason));
            };
            let answer = challenge.key_authorization().as_str().to_owned();
            answers.insert(challenge.token.clone(), answer);
        }
        if !answers.is_empty() {
            let responder = Responder::bind(self.rules.challenge_listen).await?;
            return tokio::select! {
                looked = looked_at(order) => looked,
                () = responder.serve(&answers) => Ok(()),
            };
        }
        looked_at(order).await
    }
}

/// Tells the authority that it may look, and waits until it has.
async fn looked_at(order: &mut Order) -> Result<(), IssueError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|error| told(PROVE, error))?;
        if authorization.status == AuthorizationStatus::Pending
            && let Some(mut challenge) = authorization.challenge(ChallengeType::Http01)
        {
            let ready = challenge.set_ready().await;
            ready.map_err(|error| told(PROVE, error))?;
        }
    }
    match order.poll_ready(&patience()).await {
        Ok(OrderStatus::Invalid) => Err(reason_of(order).await),
        Ok(_) => Ok(()),
        Err(Error::Api(problem)) => Err(refused(PROVE, &problem).losing_order()),
        Err(error) => Err(told(PROVE, error)),
    }
}

/// Why an order is lost, by what the authority says of its names.
async fn reason_of(order: &mut Order) -> IssueError {
    let lost = |reason: &str| {
        IssueError::new(FailureClass::PermissionDenied, PROVE, reason).losing_order()
    };
    let mut authorizations = order.authorizations();
    for _ in 0..AUTHORIZATIONS_MAX {
        let Some(Ok(mut authorization)) = authorizations.next().await else {
            break;
        };
        if let Err(error) = authorization.refresh().await {
            return told(PROVE, error).losing_order();
        }
        let problem = authorization
            .challenges
            .iter()
            .find_map(|one| one.error.as_ref());
        if let Some(problem) = problem {
            return refused(PROVE, problem).losing_order();
        }
    }
    lost("the authority has given the order up")
}

#[async_trait]
impl Issuer for Acme {
    async fn order(
        &self,
        names: &[String],
        replaces: Option<&[u8]>,
    ) -> Result<Option<String>, IssueError> {
        let ordered = within(ORDER, self.ordered(names, replaces)).await?;
        Ok(Some(ordered))
    }

    async fn suggestion(&self, certificate: &[u8]) -> Result<Option<Suggestion>, IssueError> {
        within(SPEAK, self.suggested(certificate)).await
    }

    async fn revoke(&self, certificate: &[u8], reason: RevocationReason) -> Result<(), IssueError> {
        within(SPEAK, self.revoked(certificate, reason)).await
    }

    async fn certify(
        &self,
        request: &CertificateRequest,
        order: Option<&str>,
    ) -> Result<String, IssueError> {
        let Some(url) = order else {
            let reason = "there is no order";
            return Err(IssueError::new(FailureClass::Invalid, FETCH, reason).losing_order());
        };
        within(FETCH, self.certified(request, url)).await
    }
}

async fn within<T>(
    step: &'static str,
    work: impl Future<Output = Result<T, IssueError>> + Send,
) -> Result<T, IssueError> {
    let late = |_| {
        let reason = format!("no end within {STEP_TIME_MAX:?}");
        IssueError::new(FailureClass::Timeout, step, reason)
    };
    timeout(STEP_TIME_MAX, Box::pin(work)).await.map_err(late)?
}

fn patience() -> RetryPolicy {
    RetryPolicy::new().timeout(POLL_TIME_MAX)
}

/// What an authority's refusal means.
fn refused(step: &'static str, problem: &Problem) -> IssueError {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let busy = problem.status.is_some_and(|status| status >= 500);
    let limited = kind == RATE_LIMITED || problem.status == Some(429);
    let class = if limited || busy {
        FailureClass::Unavailable
    } else {
        FailureClass::PermissionDenied
    };
    IssueError {
        wait: limited.then_some(RATE_LIMITED_WAIT),
        ..IssueError::new(class, step, problem)
    }
}

fn told(step: &'static str, error: Error) -> IssueError {
    match error {
        Error::Api(problem) => refused(step, &problem),
        Error::Timeout(_) => {
            let reason = "the authority took too long";
            IssueError::new(FailureClass::Timeout, step, reason)
        }
        Error::Other(source) => {
            let class = match source.downcast_ref::<reqwest::Error>() {
                Some(error) if error.is_timeout() => FailureClass::Timeout,
                Some(_) => FailureClass::Unavailable,
                None => FailureClass::Protocol,
            };
            IssueError::new(class, step, causes(source.as_ref()))
        }
        other => IssueError::new(FailureClass::Protocol, step, other),
    }
}

/// An error with what it came from: a library's outermost words often say nothing.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let words: Vec<String> = chain.map(ToString::to_string).collect();
    words.join(": ")
}

/// Speaks HTTP for the library, by our rules: TLS by our provider, no redirects, bounded in time and size.
struct Http(Client);

fn client(rules: &AcmeRules) -> Result<Client, IssueError> {
    let unfit =
        |error: reqwest::Error| IssueError::new(FailureClass::Invalid, SPEAK, causes(&error));
    let mut builder = Client::builder()
        .https_only(true)
        .timeout(REQUEST_TIME_MAX)
        .redirect(Policy::none())
        .no_proxy()
        .user_agent(concat!("robotd/", env!("CARGO_PKG_VERSION")));
    if let Some(ca) = &rules.ca {
        let certificates = Certificate::from_pem_bundle(ca.as_bytes()).map_err(unfit)?;
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(unfit)
}

impl HttpClient for Http {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let other = |error: reqwest::Error| Error::Other(Box::new(error));
            let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap));
            let mut response = client
                .execute(request.map_err(other)?)
                .await
                .map_err(other)?;
            let (mut parts, ()) = http::Response::new(()).into_parts();
            parts.status = response.status();
            parts.headers = std::mem::take(response.headers_mut());
            let mut body = BytesMut::new();
            while let Some(piece) = response.chunk().await.map_err(other)? {
                if body.len() + piece.len() > ANSWER_BYTES_MAX {
                    return Err(Error::Str("an answer of at most 1 MiB"));
                }
                body.extend_from_slice(&piece);
            }
            Ok(BytesResponse {
                parts,
                body: Box::new(body.freeze()),
            })
        })
    }
}
