//! The engines: groups of writes, lost connections, refused URLs.

use std::time::Duration;

use robotd::store::task::{NewTask, TaskFilter};
use robotd::store::{Store, StoreConfig};

use super::make::{at, first, ground, task};
use crate::support::database::{Database, on_both};
use crate::support::mute_proxy::MuteProxy;

on_both!(one_failing_write_of_many_undoes_only_itself);

async fn one_failing_write_of_many_undoes_only_itself(database: &Database) {
    let (store, (robots, _)) = (&database.store, ground(&database.store).await);
    database
        .sql("CREATE UNIQUE INDEX trap ON tasks (priority) WHERE priority = 7")
        .await;
    let calls = (0..32).map(|number| {
        let priority = if number < 2 { 7 } else { 4 };
        store.task_add(
            vec![
                NewTask {
                    priority,
                    ..task(robots[0])
                };
                3 - usize::from(number < 2) * 2
            ],
            at(1),
        )
    });
    let results = futures_util::future::join_all(calls).await;
    let failed = results.iter().filter(|result| result.is_err()).count();
    assert_eq!(failed, 1, "one of the two that fall into the trap");
    let rows = store
        .task_list(TaskFilter::default(), first(500))
        .await
        .unwrap()
        .items;
    assert_eq!(rows.len(), 30 * 3 + 1);
}

/// A closed session is noticed, and replaced without the caller's knowing where nothing was begun.
#[tokio::test]
async fn a_lost_session_is_replaced() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let (store, (robots, _)) = (&database.store, ground(&database.store).await);
    let admin = database.session().await;
    for _ in 0..3 {
        admin
            .batch_execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'robotd'",
            )
            .await
            .unwrap();
        for _ in 0..8 {
            store.task_add(vec![task(robots[0])], at(1)).await.unwrap();
            store
                .task_list(TaskFilter::default(), first(1))
                .await
                .unwrap();
        }
    }
}

/// Makes a statement take longer than anybody waits without asking.
const SLOW: &str = "
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(4.5); RETURN NULL; END $$;
    CREATE TRIGGER slow AFTER INSERT ON tasks FOR EACH STATEMENT EXECUTE FUNCTION slow()";

/// The same database by way of `proxy`.
fn through(config: &StoreConfig, proxy: &MuteProxy) -> StoreConfig {
    let StoreConfig::Postgres { url, connections } = config else {
        panic!("PostgreSQL only")
    };
    let mut url = reqwest::Url::parse(url).unwrap();
    url.set_port(Some(proxy.address.port())).unwrap();
    StoreConfig::Postgres {
        url: url.into(),
        connections: *connections,
    }
}

/// What lies in between may take what is sent and lose it: no end of the connection ever says so.
#[tokio::test]
async fn an_answer_is_waited_for_while_the_server_works_and_no_longer() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let StoreConfig::Postgres { url, .. } = &database.config else {
        panic!("PostgreSQL only")
    };
    let server = reqwest::Url::parse(url).unwrap().port().unwrap();
    let proxy = MuteProxy::start(([127, 0, 0, 1], server).into()).await;
    let store = Store::open(through(&database.config, &proxy))
        .await
        .unwrap();
    let (robots, _) = ground(&store).await;
    let add = || store.task_add(vec![task(robots[0])], at(1));
    database.sql(SLOW).await;
    add().await.unwrap();
    database.sql("DROP TRIGGER slow ON tasks").await;
    let all = database.number("SELECT count(*) FROM tasks").await;
    assert_eq!(all, 1, "the server was asked, and said that it works on it");

    proxy.set_mute(true);
    let mut lost = std::pin::pin!(add());
    let a_moment = Duration::from_millis(500);
    assert!(tokio::time::timeout(a_moment, &mut lost).await.is_err());
    proxy.set_mute(false);
    let made_again = tokio::time::timeout(Duration::from_secs(10), lost).await;
    let made_again = made_again.expect("it waits for ever");
    // It was the first word on its connection, and was said again on another one.
    made_again.unwrap();
}

#[tokio::test]
async fn an_absent_server_is_reported_soon_and_without_the_password() {
    let url = "postgres://robotd:hunter2@127.0.0.1:1/robotd".to_owned();
    let config = StoreConfig::Postgres {
        url,
        connections: 2,
    };
    assert!(!format!("{config:?}").contains("hunter2"));
    let opened = tokio::time::timeout(Duration::from_secs(10), Store::open(config))
        .await
        .unwrap();
    let error = opened.unwrap_err();
    assert!(error.is_temporary(), "{error}");
    assert!(!error.to_string().contains("hunter2"));
}

/// `verify-full` takes a server whose certificate is of the authority named, and no other.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests have no configuration but their environment"
)]
async fn a_server_is_verified_when_asked_for() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let Ok(authority) = std::env::var("ROBOTD_TEST_POSTGRES_CA") else {
        return eprintln!("=== SKIPPED: TLS to PostgreSQL; ROBOTD_TEST_POSTGRES_CA is not set ===");
    };
    let StoreConfig::Postgres { url, .. } = &database.config else {
        panic!("PostgreSQL only")
    };
    let base = url.split_once('?').map_or(url.as_str(), |(base, _)| base);
    let open = async |query: String| {
        Store::open(StoreConfig::Postgres {
            url: format!("{base}?{query}"),
            connections: 2,
        })
        .await
    };
    open("sslmode=require".to_owned()).await.unwrap();
    open(format!("sslmode=verify-full&sslrootcert={authority}"))
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("none.pem");
    std::fs::write(&empty, "").unwrap();
    assert!(
        open(format!(
            "sslmode=verify-full&sslrootcert={}",
            empty.display()
        ))
        .await
        .is_err()
    );
    // The authority of the tests is not among the platform's.
    let error = open("sslmode=verify-full".to_owned())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("certificate"), "{error}");
}
