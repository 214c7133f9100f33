//! The operator's robots by hand: a real program and a real server, on a real store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::support::safe;
use robotd::clock::SystemClock;
use robotd::config::{Config, Flags};
use robotd::connect::command::GuardProgram;
use robotd::domain::id::{NodeId, ProcessId, RobotId, TaskId};
use robotd::domain::robot::Overrides;
use robotd::domain::task::Trigger;
use robotd::robot::context::Tools;
use robotd::robot::journal::{Drained, LogLevel};
use robotd::robot::registry::{Entry, PoolHealth, Registry};
use robotd::robot::{Context, Outcome, RobotError};
use robotd::store::task::Claimed;
use robotd::store::{Store, StoreConfig};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the one robot of `toml` with `payload`; answers what it said too.
async fn run(
    toml: &str,
    payload: Value,
    cancel: CancellationToken,
) -> (Result<Outcome, RobotError>, Drained) {
    crate::support::install_tls_provider();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("robotd.toml");
    std::fs::write(&file, toml).unwrap();
    let flags = Flags {
        config: Some(file),
        ..Flags::default()
    };
    let declared = Config::load(&flags).unwrap().robots.remove(0);
    let guard = GuardProgram::at(env!("CARGO_BIN_EXE_robotd"));
    let robot = declared.robot(guard).unwrap();
    let path = dir.path().join("robotd.db");
    let store = Store::open(StoreConfig::Sqlite { path }).await.unwrap();
    let safe = safe(&store, dir.path()).await;
    let tools = Tools {
        store,
        safe,
        clock: Arc::new(SystemClock),
        registry: Arc::new(Registry::default()),
        node: NodeId(1),
        node_name: "node-1".to_owned(),
        node_started_at: chrono::DateTime::UNIX_EPOCH,
        data_dir: dir.path().to_owned(),
        mail: None,
        guard: GuardProgram::this_program(),
    };
    let claimed = Claimed {
        task: TaskId(7),
        process: ProcessId(8),
        robot: RobotId(1),
        node: NodeId(1),
        trigger: Trigger::Api,
        payload,
        attempt: 2,
        max_attempts: 5,
        deaths: 0,
        deadline: None,
        planned_at: None,
        started_at: chrono::DateTime::UNIX_EPOCH,
        cancel_requested: false,
    };
    let entry = Entry {
        id: claimed.robot,
        definition: Arc::new(robot.definition().unwrap()),
        overrides: Overrides::new(),
        revision: 1,
        anchor: chrono::DateTime::UNIX_EPOCH,
        config: Arc::new(declared.defaults.clone()),
        health: watch::channel(PoolHealth::default()).1,
    };
    let (tools, entry, claimed) = (Arc::new(tools), Arc::new(entry), Arc::new(claimed));
    let ctx = Context::new(tools, entry, claimed, Arc::default()).ended_by(cancel);
    let answer = tokio::time::timeout(PATIENCE, robot.run(&ctx)).await;
    (answer.expect("the run must end"), ctx.journal().drain())
}

fn script(text: &str) -> String {
    format!(
        "[[robot]]\nname = 'custom.a'\ncommand = ['/bin/sh', '-c', '''{text}''']\nenv = {{ OWN = 'set' }}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_gets_its_payload_and_names_and_its_output_is_the_log() {
    let text = "cat; echo; echo $ROBOTD_TASK_ID $ROBOTD_PROCESS_ID $ROBOTD_ATTEMPT $ROBOTD_ROBOT $OWN; \
                echo ::progress 40 copying; echo aside >&2";
    let (answer, said) = run(&script(text), json!({"a": 1}), CancellationToken::new()).await;
    assert_eq!(answer.unwrap(), Outcome::done());
    let mut lines: BTreeMap<i16, Vec<&str>> = BTreeMap::new();
    for line in &said.lines {
        lines.entry(line.level).or_default().push(&line.text);
    }
    assert_eq!(
        lines[&(LogLevel::Stdout as i16)],
        ["{\"a\":1}", "7 8 2 custom.a set"]
    );
    assert_eq!(lines[&(LogLevel::Stderr as i16)], ["aside"]);
    let (_, progress) = &said.progress[0];
    assert_eq!(
        (progress.percent, progress.message.as_str()),
        (40, "copying")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_command_is_classed() {
    for (text, class) in [
        ("exit 75", "try_again"),
        ("exit 3", "exit_status"),
        ("kill -9 $$", "signal"),
    ] {
        let (answer, _) = run(&script(text), Value::Null, CancellationToken::new()).await;
        let error = answer.unwrap_err();
        assert_eq!((error.class, error.temporary), (class, true), "{text}");
    }
    let missing = "[[robot]]\nname = 'custom.a'\ncommand = ['/no/such']";
    let (answer, _) = run(missing, Value::Null, CancellationToken::new()).await;
    assert!(
        !answer.unwrap_err().temporary,
        "it cannot be started later either"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_command_ends_with_what_it_started() {
    let cancel = CancellationToken::new();
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("started");
    let text = format!("sleep 86417 & touch {}; wait", mark.display());
    let text = script(&text);
    let running = run(&text, Value::Null, cancel.clone());
    let meanwhile = async {
        while !mark.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancel.cancel();
    };
    let ((answer, _), ()) = tokio::join!(running, meanwhile);
    assert_eq!(answer.unwrap_err().class, "signal");
    let left = procfs::process::all_processes()
        .unwrap()
        .filter_map(|process| process.ok()?.cmdline().ok());
    assert_eq!(
        left.filter(|words| words.contains(&"86417".to_owned()))
            .count(),
        0
    );
}
