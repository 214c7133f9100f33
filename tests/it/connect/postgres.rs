//! Roles of a real PostgreSQL server, over TLS and on loopback.

use std::path::PathBuf;
use std::time::Duration;

use robotd::connect::postgres::{PostgresTarget, PostgresTls};
use robotd::connect::target::{Failure, Limits, Login, PasswordChange, Target as _};
use robotd::connect::tls::Trust;
use robotd::domain::failure::{Effect, FailureClass};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::account::login;
use crate::support::authority::Authority;
use crate::support::counterpart::free_port;
use crate::support::postgres_server::PostgresServer;

const OLD: &str = "Right-Horse-7";
const NEW: &str = "Left-Camel-8.x";
const ODD: &str = "é: 'q\"$x\\`;!#{}|<&>* x ";

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(20),
    whole: Duration::from_secs(60),
};

/// A server that asks for passwords, and logs every statement.
struct Lab {
    server: PostgresServer,
    authority: Authority,
    _folder: TempDir,
}

impl Lab {
    fn start() -> Option<Self> {
        let server = PostgresServer::start()?;
        let folder = TempDir::new().unwrap();
        let authority = Authority::make(folder.path())?;
        server.reconfigure(
            "log_statement = 'all'\nlog_connections = on\nssl = on\n\
             ssl_cert_file = 'own.pem'\nssl_key_file = 'own.key'\n",
            "host all postgres 127.0.0.1/32 trust\n\
             host all trusting 127.0.0.1/32 trust\n\
             host all elderly 127.0.0.1/32 md5\n\
             host all banned 127.0.0.1/32 reject\n\
             host all all 127.0.0.1/32 scram-sha-256\n",
            &[("own.pem", &authority.cert), ("own.key", &authority.key)],
        );
        Some(Self {
            server,
            authority,
            _folder: folder,
        })
    }

    fn target(&self, tls: PostgresTls) -> PostgresTarget {
        PostgresTarget::new("127.0.0.1", self.server.port(), "postgres", tls, LIMITS)
    }

    /// Both ways to talk to it.
    fn targets(&self) -> [PostgresTarget; 2] {
        let verified = PostgresTls::Verified(Trust::File(self.authority.ca.clone()));
        [self.target(verified), self.target(PostgresTls::None)]
    }

    /// An administrator's own session, which nobody asks for a password.
    async fn admin(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.server.url(), NoTls)
            .await
            .unwrap();
        tokio::task::spawn_local(connection);
        client
    }

    async fn sql(&self, statements: &str) {
        self.admin().await.batch_execute(statements).await.unwrap();
    }
}

fn change(login: Login, role: &str, new: &str) -> PasswordChange {
    PasswordChange {
        login,
        account: role.to_owned(),
        secret: SecretString::from(new),
    }
}

async fn refusal(target: &PostgresTarget, login: &Login) -> Failure {
    let failure = target.probe(login).await.unwrap_err();
    assert_eq!(failure.effect, Effect::None);
    assert!(!failure.to_string().contains(OLD));
    failure
}

/// Statements of the administrator's session run beside the test on its thread.
async fn locally(test: impl Future<Output = ()>) {
    tokio::task::LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn passwords_change_and_the_server_never_sees_them() {
    locally(async {
        let Some(lab) = Lab::start() else { return };
        let odd_role = "o'dd \"role\"; --";
        lab.sql(&format!(
            "CREATE ROLE ana LOGIN PASSWORD '{OLD}'; CREATE ROLE boss LOGIN CREATEROLE PASSWORD '{OLD}'; \
             CREATE ROLE \"o'dd \"\"role\"\"; --\" LOGIN PASSWORD '{OLD}'"
        ))
        .await;
        let seen = lab.server.log().len();
        for target in lab.targets() {
            for (role, old, new) in [("ana", OLD, NEW), ("ana", NEW, ODD), ("ana", ODD, OLD)] {
                let order = change(login(role, old), role, new);
                target.change_password(&order).await.unwrap();
                assert!(lab.server.lets_in(role, new) && !lab.server.lets_in(role, old));
                target.probe(&login(role, new)).await.unwrap();
            }
            let order = change(login("boss", OLD), odd_role, NEW);
            target.change_password(&order).await.unwrap();
            assert!(lab.server.lets_in(odd_role, NEW));
            let order = change(login("boss", OLD), odd_role, OLD);
            target.change_password(&order).await.unwrap();
        }
        let log = lab.server.log().split_off(seen);
        assert!(log.contains("ALTER ROLE \"ana\" PASSWORD 'SCRAM-SHA-256$4096:"), "{log}");
        assert!(![OLD, NEW, ODD].iter().any(|secret| log.contains(secret)), "{log}");
    })
    .await;
}

#[tokio::test]
async fn a_refused_sign_in_has_its_class() {
    locally(async {
        let Some(lab) = Lab::start() else { return };
        lab.sql(&format!(
            "CREATE ROLE ana LOGIN PASSWORD '{OLD}'; CREATE ROLE shut NOLOGIN PASSWORD '{OLD}'; \
             CREATE ROLE late LOGIN PASSWORD '{OLD}' VALID UNTIL '2001-01-01'; CREATE ROLE trusting LOGIN; \
             CREATE ROLE banned LOGIN PASSWORD '{OLD}'; CREATE ROLE full LOGIN CONNECTION LIMIT 0 PASSWORD '{OLD}'; \
             SET password_encryption = 'md5'; CREATE ROLE elderly LOGIN PASSWORD '{OLD}'"
        ))
        .await;
        for target in lab.targets() {
            for (role, password, class) in [
                ("ana", "wrong-horse", FailureClass::AuthFailed),
                ("nobody_here", OLD, FailureClass::AuthFailed),
                ("late", OLD, FailureClass::AuthFailed),
                ("shut", OLD, FailureClass::AccountDisabled),
                ("full", OLD, FailureClass::Unavailable),
                ("banned", OLD, FailureClass::PermissionDenied),
                ("trusting", OLD, FailureClass::Unsupported),
            ] {
                let failure = refusal(&target, &login(role, password)).await;
                assert_eq!(failure.class, class, "{role}: {failure}");
            }
        }
        let [verified, plain] = lab.targets();
        // A password that an impostor could ask for readable is not given away under TLS.
        let failure = refusal(&verified, &login("elderly", OLD)).await;
        assert_eq!(failure.class, FailureClass::Unsupported, "{failure}");
        plain.probe(&login("elderly", OLD)).await.unwrap();
        let lost = PostgresTarget::new("127.0.0.1", lab.server.port(), "nowhere", PostgresTls::None, LIMITS);
        let failure = refusal(&lost, &login("ana", OLD)).await;
        assert_eq!(failure.class, FailureClass::Invalid, "{failure}");
    })
    .await;
}

#[tokio::test]
async fn who_may_not_change_it_changes_nothing() {
    locally(async {
        let Some(lab) = Lab::start() else { return };
        lab.sql(&format!(
            "CREATE ROLE ana LOGIN PASSWORD '{OLD}'; CREATE ROLE bob LOGIN PASSWORD '{OLD}'; \
             CREATE ROLE boss LOGIN CREATEROLE PASSWORD '{OLD}'; \
             CREATE ROLE still LOGIN PASSWORD '{OLD}'; ALTER ROLE still SET default_transaction_read_only = on"
        ))
        .await;
        for (administrator, role, class) in [
            ("bob", "ana", FailureClass::PermissionDenied),
            ("boss", "nobody_here", FailureClass::NoSuchAccount),
            ("boss", "postgres", FailureClass::PermissionDenied),
            ("still", "still", FailureClass::Unsupported),
        ] {
            let order = change(login(administrator, OLD), role, NEW);
            let failure = lab.targets()[0].change_password(&order).await.unwrap_err();
            assert_eq!(failure.class, class, "{role}: {failure}");
            assert_eq!(failure.effect, Effect::None, "{role}: {failure}");
        }
        assert!(lab.server.lets_in("ana", OLD) && lab.server.lets_in("still", OLD));
    })
    .await;
}

#[tokio::test]
async fn an_order_whose_end_is_not_known_is_unverified() {
    locally(async {
        let Some(lab) = Lab::start() else { return };
        lab.sql(&format!("CREATE ROLE ana LOGIN PASSWORD '{OLD}'")).await;
        let admin = lab.admin().await;
        // Another administrator has the same row in hand: ours waits.
        admin.batch_execute("BEGIN; ALTER ROLE ana CONNECTION LIMIT 7").await.unwrap();
        let limits = Limits {
            whole: Duration::from_secs(3),
            ..LIMITS
        };
        let port = lab.server.port();
        let slow = PostgresTarget::new("127.0.0.1", port, "postgres", PostgresTls::None, limits);
        let order = change(login("ana", OLD), "ana", NEW);
        let failure = slow.change_password(&order).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Timeout, "{failure}");
        assert!(failure.is_unverified());

        let [verified, _] = lab.targets();
        let ending = async {
            let second = lab.admin().await;
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE usename = 'ana' AND application_name = 'robotd' AND wait_event_type = 'Lock'";
            // The one whose time was up may still be among them, so that ours is not the first.
            loop {
                let ended = second.query(end, &[]).await.unwrap();
                if !ended.is_empty() {
                    tokio::task::yield_now().await;
                }
                if second.is_closed() {
                    return;
                }
            }
        };
        let failure = tokio::select! {
            changed = verified.change_password(&order) => changed.unwrap_err(),
            () = ending => panic!("the administrator was cut off"),
        };
        assert!(failure.class.is_temporary(), "{failure}");
        assert!(failure.is_unverified());
        admin.batch_execute("ROLLBACK").await.unwrap();
        assert!(lab.server.lets_in("ana", OLD));
    })
    .await;
}

#[tokio::test]
async fn no_secret_goes_to_a_server_that_is_not_verified() {
    locally(async {
        let Some(lab) = Lab::start() else { return };
        lab.sql(&format!("CREATE ROLE ana LOGIN PASSWORD '{OLD}'"))
            .await;
        let other = TempDir::new().unwrap();
        let Some(stranger) = Authority::make(other.path()) else {
            return;
        };
        let strange = lab.target(PostgresTls::Verified(Trust::File(stranger.ca)));
        let failure = refusal(&strange, &login("ana", OLD)).await;
        assert_eq!(failure.class, FailureClass::Tls, "{failure}");

        let missing = lab.target(PostgresTls::Verified(Trust::File(PathBuf::from(
            "/no/such/file",
        ))));
        let failure = refusal(&missing, &login("ana", OLD)).await;
        assert_eq!(failure.class, FailureClass::Invalid, "{failure}");

        let Some(bare) = PostgresServer::start() else {
            return;
        };
        let verified = PostgresTls::Verified(Trust::File(lab.authority.ca.clone()));
        let bare = PostgresTarget::new(
            "127.0.0.1",
            bare.port(),
            "postgres",
            verified.clone(),
            LIMITS,
        );
        let failure = refusal(&bare, &login("postgres", OLD)).await;
        assert_eq!(failure.class, FailureClass::Tls, "{failure}");

        let far = PostgresTarget::new("192.0.2.1", 5432, "postgres", PostgresTls::None, LIMITS);
        let failure = refusal(&far, &login("ana", OLD)).await;
        assert_eq!(failure.class, FailureClass::Invalid, "{failure}");
        let closed = PostgresTarget::new("127.0.0.1", free_port(), "postgres", verified, LIMITS);
        let failure = refusal(&closed, &login("ana", OLD)).await;
        assert_eq!(failure.class, FailureClass::Refused, "{failure}");
    })
    .await;
}
