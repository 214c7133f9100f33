//! Connections to the server: making them, using them again, letting them go.
//!
//! We drive the connection ourselves instead of using the library's pool, for two reasons:
//! only then we know at which command a server said no, and a mail that runs out of time
//! takes its connection with it instead of handing it, in the middle of a sentence, to the
//! next mail.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::Message;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::Rset;
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret;
use tokio::time::{Instant, timeout};

use super::exchange::{check_addresses, transact};
use super::letter::{build, mailbox};
use super::reply::Stage;
use super::{OutgoingMail, SendFailure, SmtpAccount, SmtpReply, SmtpTls};
use crate::connect::ConnectError;

/// Most connections kept for the next mail; more mails at once open more and close them.
pub const IDLE_CONNECTIONS_MAX: usize = 4;

/// Most mails over one connection: servers hang up on those who never do.
pub const MAILS_PER_CONNECTION_MAX: u32 = 50;

/// Servers must wait five minutes for a command (RFC 5321, section 4.5.3.2.7), but busy
/// ones do not; asking whether they still listen costs more than a new connection.
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// Saying goodbye is a courtesy; nobody waits longer for it.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(1);

/// Sends mail through one account.
pub struct SmtpConnector {
    account: SmtpAccount,
    from: Mailbox,
    reply_to: Option<Mailbox>,
    tls: Option<TlsParameters>,
    idle: Mutex<VecDeque<Connection>>,
}

struct Connection {
    line: AsyncSmtpConnection,
    mails: u32,
    idle_since: Instant,
}

impl fmt::Debug for SmtpConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpConnector")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl SmtpConnector {
    /// Checks the account; connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Invalid`] names what is wrong with the account: an address, a name
    /// without a password, a password without TLS to another machine.
    /// [`ConnectError::Unreadable`] and [`ConnectError::Tls`] are about the authority file.
    pub fn new(account: SmtpAccount) -> Result<Self, ConnectError> {
        let shown = format!("{}:{}", account.host, account.port);
        let invalid = |reason: String| ConnectError::Invalid {
            what: shown.clone(),
            reason,
        };
        if account.username.is_some() != account.password.is_some() {
            return Err(invalid("user name and password go together".to_owned()));
        }
        if account.password.is_some() && account.tls == SmtpTls::None && !is_local(&account.host) {
            return Err(invalid(
                "a password would travel readable; use STARTTLS or TLS".to_owned(),
            ));
        }
        let from = mailbox(&account.from)
            .map_err(|reason| invalid(format!("sender address: {reason}")))?;
        let reply_to = account
            .reply_to
            .as_deref()
            .map(mailbox)
            .transpose()
            .map_err(|reason| invalid(format!("reply address: {reason}")))?;
        let tls = match account.tls {
            SmtpTls::None => None,
            SmtpTls::StartTls | SmtpTls::Implicit => Some(tls_parameters(&account)?),
        };
        Ok(Self {
            account,
            from,
            reply_to,
            tls,
            idle: Mutex::default(),
        })
    }

    /// Sends one mail; `Ok` means that the server has taken it over.
    ///
    /// The mail is sent again under the same Message-ID after [`SendFailure::Deferred`]:
    /// where the server fell silent at the very end, it may have arrived already.
    ///
    /// # Errors
    ///
    /// See [`SendFailure`] for the three kinds. None takes longer than the account's timeout.
    pub async fn send(&self, mail: &OutgoingMail) -> Result<SmtpReply, SendFailure> {
        let letter = build(&self.from, self.reply_to.as_ref(), mail)?;
        match timeout(self.account.timeout, self.deliver(&letter)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(SendFailure::deferred_by_us(&format!(
                "`{}:{}` did not finish within {:?}",
                self.account.host, self.account.port, self.account.timeout
            ))),
        }
    }

    /// Says goodbye on every connection that waits for a next mail.
    pub async fn close(&self) {
        let waiting = std::mem::take(&mut *self.idle());
        for connection in waiting {
            goodbye(connection).await;
        }
    }

    async fn deliver(&self, letter: &Message) -> Result<SmtpReply, SendFailure> {
        let mut connection = self.connection().await?;
        if let Err(failure) = check_addresses(&connection.line, letter) {
            self.keep(connection);
            return Err(failure);
        }
        connection.mails += 1;
        let outcome = transact(&mut connection.line, letter).await;
        let usable = match &outcome {
            Ok(_reply) => true,
            // After an answer the server waits for a next mail; 421 announces its leave.
            Err((error, _stage)) => {
                error.status().is_some_and(|code| u16::from(code) != 421)
                    && connection.line.command(Rset).await.is_ok()
            }
        };
        if usable && connection.mails < MAILS_PER_CONNECTION_MAX {
            self.keep(connection);
        } else {
            goodbye(connection).await;
        }
        outcome.map_err(|(error, stage)| SendFailure::of(&error, stage))
    }

    /// A connection that waited and still listens, or a new one.
    async fn connection(&self) -> Result<Connection, SendFailure> {
        loop {
            let Some(mut waiting) = self.idle().pop_back() else {
                break;
            };
            if waiting.idle_since.elapsed() < IDLE_TIME_MAX && waiting.line.test_connected().await {
                return Ok(waiting);
            }
            goodbye(waiting).await;
        }
        let line = self
            .signed_in()
            .await
            .map_err(|error| SendFailure::of(&error, Stage::SignIn))?;
        Ok(Connection {
            line,
            mails: 0,
            idle_since: Instant::now(),
        })
    }

    async fn signed_in(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let account = &self.account;
        let greeting = ClientId::default();
        let from_start = match account.tls {
            SmtpTls::Implicit => self.tls.clone(),
            SmtpTls::None | SmtpTls::StartTls => None,
        };
        let mut line = AsyncSmtpConnection::connect_tokio1(
            (account.host.as_str(), account.port),
            Some(account.timeout),
            &greeting,
            from_start,
            None,
        )
        .await?;
        if let (SmtpTls::StartTls, Some(tls)) = (account.tls, &self.tls) {
            line.starttls(tls.clone(), &greeting).await?;
        }
        if let (Some(username), Some(password)) = (&account.username, &account.password) {
            let credentials =
                Credentials::new(username.clone(), password.expose_secret().to_owned());
            line.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(line)
    }

    fn keep(&self, mut connection: Connection) {
        connection.idle_since = Instant::now();
        let mut idle = self.idle();
        idle.push_back(connection);
        if idle.len() > IDLE_CONNECTIONS_MAX {
            // Dropping closes it; no server minds in between two mails.
            idle.pop_front();
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, VecDeque<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn goodbye(mut connection: Connection) {
    // The connection ends either way; a server that does not answer changes nothing.
    let _answered = timeout(GOODBYE_TIME_MAX, connection.line.quit()).await;
}

fn is_local(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn tls_parameters(account: &SmtpAccount) -> Result<TlsParameters, ConnectError> {
    let refused = |error: SmtpError| ConnectError::Tls {
        target: format!("{}:{}", account.host, account.port),
        reason: error.to_string(),
    };
    let mut builder = TlsParameters::builder(account.host.clone());
    if let Some(path) = &account.ca_file {
        let pem = std::fs::read(path).map_err(|error| ConnectError::Unreadable {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        let authority = Certificate::from_pem(&pem).map_err(refused)?;
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(authority);
    }
    builder.build_rustls().map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    fn account() -> SmtpAccount {
        SmtpAccount {
            host: "mail.example.org".to_owned(),
            port: 587,
            tls: SmtpTls::None,
            username: None,
            password: None,
            from: "robotd <robotd@example.org>".to_owned(),
            reply_to: None,
            ca_file: None,
            timeout: Duration::from_secs(10),
        }
    }

    #[test]
    fn an_account_that_cannot_work_is_refused_with_its_reason() {
        let secret = || Some(SecretString::from("hunter2"));
        for (account, part) in [
            (
                SmtpAccount {
                    from: "robotd".to_owned(),
                    ..account()
                },
                "sender address",
            ),
            (
                SmtpAccount {
                    from: "a@b.c\r\nBcc: d@e.f".to_owned(),
                    ..account()
                },
                "control character",
            ),
            (
                SmtpAccount {
                    reply_to: Some("@".to_owned()),
                    ..account()
                },
                "reply address",
            ),
            (
                SmtpAccount {
                    username: Some("robotd".to_owned()),
                    ..account()
                },
                "go together",
            ),
            (
                SmtpAccount {
                    username: Some("robotd".to_owned()),
                    password: secret(),
                    ..account()
                },
                "travel readable",
            ),
            (
                SmtpAccount {
                    tls: SmtpTls::Implicit,
                    ca_file: Some("/no/such/file".into()),
                    ..account()
                },
                "/no/such/file",
            ),
        ] {
            let text = SmtpConnector::new(account).unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
            assert!(!text.contains("hunter2"));
        }
    }

    #[test]
    fn debug_output_has_no_password() {
        let signed_in = SmtpAccount {
            host: "127.0.0.1".to_owned(),
            username: Some("robotd".to_owned()),
            password: Some(SecretString::from("hunter2")),
            ..account()
        };
        let connector = SmtpConnector::new(signed_in).unwrap();
        let shown = format!("{connector:?}");
        assert!(shown.contains("127.0.0.1") && !shown.contains("hunter2"));
    }
}
