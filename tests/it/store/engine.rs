//! The engines: groups of writes, lost connections, refused URLs.

use std::time::Duration;

use robotd::store::task::{NewTask, TaskFilter};
use robotd::store::{Store, StoreConfig};

use super::make::{at, first, ground, task};
use crate::support::database::{Database, on_both};

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
