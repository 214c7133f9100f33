//! The executor against real targets.

use robotd::domain::inventory::Noun;
use robotd::domain::operation::{ChangeCause, OperationKind, OperationState};
use robotd::domain::task::PRIORITY_DEFAULT;
use robotd::robot::operation::{cancel, order as order_all};
use robotd::robot::outcome::Verdict;
use robotd::store::operation::NewOperation;
use serde_json::json;

use super::{
    EXECUTOR, OLD, RETRY, credential, current, device, inventory, kept, machine, make, opens,
    ordered, stands,
};
use crate::robots::rig::{Rig, count};
use crate::support::counterpart::free_port;
use crate::support::database::{Database, on_both};
use crate::support::postgres_server::PostgresServer;
use crate::support::sshd::Sshd;

on_both!(
    a_password_is_changed_over_ssh,
    a_password_is_changed_in_postgresql,
    the_first_key_is_pinned_and_no_other_one_is_met,
    a_wrong_secret_does_not_lock_the_account,
    what_cannot_be_reached_is_tried_again,
    what_cannot_be_worked_on_says_why,
    what_is_written_of_a_step_has_its_bound,
);

async fn a_password_is_changed_over_ssh(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    sshd.add_account("ana", OLD);
    let id = credential(&rig, machine(&rig, &sshd).await, "ana", OLD).await;
    let operation = ordered(&rig, OperationKind::ChangePassword, id).await;
    let outcome = rig.run(EXECUTOR, json!({})).await.unwrap();
    assert_eq!(count(&outcome, "operations_succeeded"), 1, "{:?}", rig.log);
    let new = current(&rig, id).await;
    assert!(new != OLD && opens(&sshd, "ana", &new) && !opens(&sshd, "ana", OLD));
    let done = stands(&rig, operation).await;
    assert_eq!(
        (done.state, done.attempts, done.candidate),
        (OperationState::Succeeded, 1, Some(2))
    );
    for kind in [
        "operation.requested",
        "operation.succeeded",
        "credential.password_changed",
    ] {
        assert_eq!(
            rig.rows("events", &format!("type = '{kind}'")).await,
            1,
            "{kind}"
        );
    }
    let again = rig.run(EXECUTOR, json!({})).await.unwrap();
    assert_eq!(again.verdict, Verdict::Nothing);
    // The new secret is proven by an operation of its own.
    let test = ordered(&rig, OperationKind::Test, id).await;
    rig.run(EXECUTOR, json!({})).await.unwrap();
    assert_eq!(stands(&rig, test).await.state, OperationState::Succeeded);
    for secret in [OLD, new.as_str()] {
        assert!(
            !rig.log
                .lock()
                .unwrap()
                .iter()
                .any(|line| line.contains(secret))
        );
        for (table, column) in [
            ("events", "body"),
            ("operation_attempts", "COALESCE(detail, '')"),
        ] {
            let found = format!("{column} LIKE '%{secret}%'");
            assert_eq!(rig.rows(table, &found).await, 0, "{table}");
        }
    }
}

async fn a_password_is_changed_in_postgresql(database: &Database) {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    server.reconfigure(
        "",
        "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
        &[],
    );
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::runtime::Handle::current().spawn(connection);
    let role = format!("CREATE ROLE ana LOGIN PASSWORD '{OLD}'");
    client.batch_execute(&role).await.unwrap();
    let rig = Rig::new(database, None).await;
    let server_id = device(&rig, "postgresql", server.port(), json!(null)).await;
    let id = credential(&rig, server_id, "ana", OLD).await;
    let operation = ordered(&rig, OperationKind::ChangePassword, id).await;
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let done = stands(&rig, operation).await;
    assert_eq!(done.state, OperationState::Succeeded, "{:?}", rig.log);
    let new = current(&rig, id).await;
    assert!(server.lets_in("ana", &new) && !server.lets_in("ana", OLD));
}

async fn the_first_key_is_pinned_and_no_other_one_is_met(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    sshd.add_account("ana", OLD);
    let at = device(&rig, "ssh", sshd.port, json!("trust_on_first_use")).await;
    let id = credential(&rig, at, "ana", OLD).await;
    ordered(&rig, OperationKind::ChangePassword, id).await;
    let outcome = rig.run(EXECUTOR, json!({})).await.unwrap();
    assert_eq!(count(&outcome, "operations_succeeded"), 1, "{:?}", rig.log);
    let met = inventory(&rig).get(Noun::Device, at).await.unwrap();
    let pinned = &met.lists["connectivities"][0]["pinned_host_key"];
    let key = sshd.host_key("ed25519");
    assert_eq!(
        *pinned,
        json!(format!("{} {}", key.algorithm, key.fingerprint))
    );
    // Another machine in its place is told nothing.
    let other = "ssh-ed25519 SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    rig.database
        .sql(&format!(
            "UPDATE device_connectivities SET pinned_host_key = '{other}'"
        ))
        .await;
    let operation = ordered(&rig, OperationKind::ChangePassword, id).await;
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let refused = stands(&rig, operation).await;
    assert_eq!(refused.state, OperationState::Failed);
    assert_eq!(refused.error_class.as_deref(), Some("host_key_mismatch"));
    assert!(opens(&sshd, "ana", &current(&rig, id).await));
    assert_eq!(kept(&rig, id).await[1], None);
}

/// The machine locks after three. However often somebody orders it, a window sees two.
async fn a_wrong_secret_does_not_lock_the_account(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    sshd.add_account("ana", OLD);
    let id = credential(&rig, machine(&rig, &sshd).await, "ana", "Wrong-Horse-1").await;
    let mut last = None;
    for state in [
        OperationState::Failed,
        OperationState::Failed,
        OperationState::Retrying,
    ] {
        let operation = ordered(&rig, OperationKind::Test, id).await;
        rig.run(EXECUTOR, json!({})).await.unwrap();
        let found = stands(&rig, operation).await;
        assert_eq!(found.state, state);
        last = Some(found);
    }
    assert!(sshd.lets_in("ana", OLD), "it is not locked");
    let last = last.unwrap();
    assert_eq!(last.attempts, 0, "what was not tried is not counted");
    // After its window it is asked again.
    for _ in 0..2 {
        rig.run(RETRY, json!({})).await.unwrap();
        rig.run(EXECUTOR, json!({})).await.unwrap();
        rig.pass(1_801);
    }
    let asked = stands(&rig, last.id).await;
    assert_eq!((asked.state, asked.attempts), (OperationState::Failed, 1));
    assert_eq!(asked.error_class.as_deref(), Some("auth_failed"));
}

/// The planned failure: nobody listens. It is tried again, later and later, and then given up.
async fn what_cannot_be_reached_is_tried_again(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "ssh", free_port(), json!(null)).await;
    let id = credential(&rig, at, "ana", OLD).await;
    let operation = ordered(&rig, OperationKind::ChangePassword, id).await;
    let rule =
        json!({"kind": "change_password", "class": "refused", "attempts": {"max_attempts": 3}});
    let settings = json!({"attempts": {"max_attempts": 9}, "attempt_rules": [rule]});
    for attempt in 1..=3 {
        let outcome = rig.run(EXECUTOR, settings.clone()).await.unwrap();
        let found = stands(&rig, operation).await;
        assert_eq!(found.attempts, attempt);
        assert_eq!(found.error_class.as_deref(), Some("refused"));
        assert_eq!(
            kept(&rig, id).await[1],
            None,
            "it certainly did not get there"
        );
        if attempt < 3 {
            assert_eq!(count(&outcome, "operations_again"), 1);
            assert_eq!(found.state, OperationState::Retrying);
            let early = rig.run(RETRY, json!({})).await.unwrap();
            assert_eq!(early.verdict, Verdict::Nothing);
            rig.pass(120);
            let due = rig.run(RETRY, json!({})).await.unwrap();
            assert_eq!(count(&due, "operations_queued"), 1);
        }
    }
    assert_eq!(stands(&rig, operation).await.state, OperationState::Failed);
    assert_eq!(rig.rows("events", "type = 'operation.failed'").await, 1);
    assert_eq!(
        rig.rows("events", "type = 'operation.retry_scheduled'")
            .await,
        2
    );
    assert_eq!(rig.rows("operation_attempts", "TRUE").await, 3);
    cancel(
        &rig.tools.store,
        &rig.tools.registry,
        operation,
        "ana",
        rig.now(),
    )
    .await
    .unwrap_err();
}

async fn what_cannot_be_worked_on_says_why(database: &Database) {
    let rig = Rig::new(database, None).await;
    let store = &rig.tools.store;
    let bare = device(&rig, "telnet", 23, json!(null)).await;
    let id = credential(&rig, bare, "ana", OLD).await;
    let operation = ordered(&rig, OperationKind::ChangePassword, id).await;
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let found = stands(&rig, operation).await;
    assert_eq!(found.state, OperationState::Failed);
    assert_eq!(found.error_class.as_deref(), Some("unsupported"));
    let attempts = store.operation_attempts(operation).await.unwrap();
    assert!(
        attempts[0]
            .detail
            .as_deref()
            .unwrap()
            .contains("connectivity")
    );
    // A credential that goes takes no operation with it.
    let operation = ordered(&rig, OperationKind::Test, id).await;
    let by = robotd::robot::inventory::By {
        actor: "ana",
        now: rig.now(),
    };
    inventory(&rig)
        .remove(Noun::Credential, id, None, by)
        .await
        .unwrap();
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let found = stands(&rig, operation).await;
    assert_eq!(found.error_class.as_deref(), Some("invalid"));
}

async fn what_is_written_of_a_step_has_its_bound(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    sshd.add_account("ana", OLD);
    let id = credential(&rig, machine(&rig, &sshd).await, "ana", OLD).await;
    let long = "x".repeat(500);
    let steps = format!("/usr/bin/seq -s {long} 1 9");
    let body = json!({"name": "long", "kind": "run_command", "protocol": "ssh", "steps": steps});
    let order = NewOperation {
        kind: OperationKind::RunTemplate,
        credential: id,
        run_at: None,
        expires_at: None,
        template: Some(make(&rig, Noun::OperationTemplate, body, None).await),
        priority: PRIORITY_DEFAULT,
        requested_by: "ana".to_owned(),
        cause: ChangeCause::Ordered,
    };
    let (store, registry) = (&rig.tools.store, &rig.tools.registry);
    let made = order_all(store, registry, Vec::from([order]), rig.now()).await;
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let attempts = store.operation_attempts(made.unwrap()[0]).await.unwrap();
    let steps = &attempts[0].steps;
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert!(steps[0].what.chars().count() < 300, "{}", steps[0].what);
    let said = &steps[0].said;
    assert_eq!((said.chars().count(), said.ends_with('…')), (1_000, true));
    assert!(said.starts_with("exit status 0"), "{said}");
}
