//! Accounts of a PostgreSQL server.
//!
//! A password is only ever proven by SCRAM, and set as its verifier, which we make ourselves
//! (RFC 5802, RFC 7677): the server, its log and its statistics never see it readable.

mod refusal;
mod statement;

use async_trait::async_trait;
use rustls::ClientConfig;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::refusal::{asks_for_a_password, failed};
use self::statement::{alter_role, alter_role_login};
use super::target::{
    AdmissionOrder, Attempt, Command, Failure, Limits, Login, PasswordChange, Probed, Ran, Target,
    check_login, client_tls, dial, is_loopback,
};
use crate::connect::tls::Trust;
use crate::domain::failure::FailureClass;

const SIGN_IN: &str = "sign in at";
const CHANGE: &str = "change a password at";
const ADMIT: &str = "open or close an account at";

/// How we know that the server is the one we mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresTls {
    /// Not at all: for a server on this machine, refused for any host that is no loopback address.
    None,
    /// By its certificate. The server then also has to prove that it knows the password (channel
    /// binding).
    Verified(Trust),
}

/// A PostgreSQL server.
#[derive(Debug, Clone)]
pub struct PostgresTarget {
    host: String,
    port: u16,
    database: String,
    tls: PostgresTls,
    limits: Limits,
    shown: String,
}

/// What is done once the account is in.
enum Work {
    Nothing,
    Alter {
        statement: Zeroizing<String>,
        step: &'static str,
    },
}

impl PostgresTarget {
    /// Names the server and a database to sign in to; connects to nothing yet.
    #[must_use]
    pub fn new(host: &str, port: u16, database: &str, tls: PostgresTls, limits: Limits) -> Self {
        Self {
            host: host.to_owned(),
            port,
            database: database.to_owned(),
            tls,
            limits,
            shown: format!("{host}:{port}"),
        }
    }

    async fn sign_in(
        &self,
        attempt: &Attempt<'_>,
        login: &Login,
        work: Work,
    ) -> Result<(), Failure> {
        check_login(attempt, login)?;
        let Some(password) = login.credential.password() else {
            let reason = "a role signs in by its password, not by a key";
            return Err(attempt.fail(FailureClass::Unsupported, SIGN_IN, reason));
        };
        let mut config = Config::new();
        config
            .user(&login.account)
            .dbname(&self.database)
            .application_name("robotd");
        if let PostgresTls::Verified(trust) = &self.tls {
            let tls = client_tls(attempt, trust)?;
            config
                .password(password.expose_secret())
                .ssl_mode(SslMode::Require)
                .channel_binding(ChannelBinding::Require);
            self.over_tls(attempt, &config, tls, work).await
        } else {
            if !is_loopback(&self.host) {
                let reason = "a password would travel readable; use TLS";
                return Err(attempt.fail(FailureClass::Invalid, SIGN_IN, reason));
            }
            config.ssl_mode(SslMode::Disable);
            self.refuse_trust(attempt, &config).await?;
            config.password(password.expose_secret());
            let stream = self.reach(attempt).await?;
            let opened = config.connect_raw(stream, NoTls).await;
            let (client, connection) = opened.map_err(|error| failed(attempt, SIGN_IN, &error))?;
            carry_out(attempt, client, connection, work).await
        }
    }

    async fn over_tls(
        &self,
        attempt: &Attempt<'_>,
        config: &Config,
        tls: ClientConfig,
        work: Work,
    ) -> Result<(), Failure> {
        let mut maker = MakeRustlsConnect::new(tls);
        let made =
            MakeTlsConnect::<tokio::net::TcpStream>::make_tls_connect(&mut maker, &self.host);
        let tls = made.map_err(|error| {
            attempt.fail(
                FailureClass::Invalid,
                SIGN_IN,
                format!("`{}`: {error}", self.host),
            )
        })?;
        let stream = self.reach(attempt).await?;
        let opened = config.connect_raw(stream, tls).await;
        let (client, connection) = opened.map_err(|error| failed(attempt, SIGN_IN, &error))?;
        carry_out(attempt, client, connection, work).await
    }

    async fn reach(&self, attempt: &Attempt<'_>) -> Result<tokio::net::TcpStream, Failure> {
        let dialling = dial(attempt, &self.host, self.port);
        attempt.within(self.limits.connect, "reach", dialling).await
    }

    /// Refuses a server that does not ask for a password: any would be taken for right. Without
    /// a password of ours the sign-in ends when the server asks, and no try is counted.
    async fn refuse_trust(&self, attempt: &Attempt<'_>, config: &Config) -> Result<(), Failure> {
        let stream = self.reach(attempt).await?;
        match config.connect_raw(stream, NoTls).await {
            Ok(_) => {
                let reason = "it lets the account in without a secret, so nothing can be said about this one";
                Err(attempt.fail(FailureClass::Unsupported, SIGN_IN, reason))
            }
            Err(error) if asks_for_a_password(&error) => Ok(()),
            Err(error) => Err(failed(attempt, SIGN_IN, &error)),
        }
    }
}

/// Works on a connection that is signed in, and says goodbye.
async fn carry_out<S, T>(
    attempt: &Attempt<'_>,
    client: Client,
    mut connection: Connection<S, T>,
    work: Work,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    if let Work::Alter { statement, step } = work {
        attempt.effect_begins();
        let altered = tokio::select! {
            biased;
            altered = client.batch_execute(&statement) => altered,
            ended = &mut connection => return Err(match ended {
                Ok(()) => attempt.fail(FailureClass::Refused, step, "the connection was closed"),
                Err(error) => failed(attempt, step, &error),
            }),
        };
        altered.map_err(|error| {
            // An error undoes the statement. A fatal one ends the session, perhaps after the
            // commit and before the answer.
            let undone = |said: &DbError| said.parsed_severity() == Some(Severity::Error);
            if error.as_db_error().is_some_and(undone) {
                attempt.effect_refused();
            }
            failed(attempt, step, &error)
        })?;
    }
    // The connection ends by itself once it has said goodbye for its client.
    drop(client);
    if let Err(error) = connection.await {
        log::debug!("a PostgreSQL server did not wait for our goodbye: {error}");
    }
    Ok(())
}

#[async_trait]
impl Target for PostgresTarget {
    async fn probe(&self, login: &Login) -> Result<Probed, Failure> {
        let attempt = Attempt::new(&self.shown, login);
        let work = Box::pin(self.sign_in(&attempt, login, Work::Nothing));
        attempt.within(self.limits.whole, SIGN_IN, work).await?;
        Ok(Probed { host_key: None })
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<(), Failure> {
        let attempt = Attempt::of_change(&self.shown, change);
        change.check(&attempt)?;
        let work = Work::Alter {
            statement: Zeroizing::new(alter_role(&change.account, &change.secret)),
            step: CHANGE,
        };
        let work = Box::pin(self.sign_in(&attempt, &change.login, work));
        attempt.within(self.limits.whole, CHANGE, work).await
    }

    async fn admit(&self, order: &AdmissionOrder) -> Result<(), Failure> {
        let attempt = Attempt::new(&self.shown, &order.login);
        order.check(&attempt)?;
        let work = Work::Alter {
            statement: Zeroizing::new(alter_role_login(&order.account, order.admission)),
            step: ADMIT,
        };
        let work = Box::pin(self.sign_in(&attempt, &order.login, work));
        attempt.within(self.limits.whole, ADMIT, work).await
    }

    async fn run(&self, login: &Login, _: &Command) -> Result<Ran, Failure> {
        let attempt = Attempt::new(&self.shown, login);
        let reason = "a database runs no commands";
        Err(attempt.fail(FailureClass::Unsupported, "run a command at", reason))
    }
}
