//! Whatever is killed, nothing of the command is left.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{PATIENCE, Trial, again, eventually, kill_9, parent_of};
use robotd::connect::command::{CommandEnd, Stream};
use robotd::connect::error::ConnectError;

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the variable tells the test that it runs as its own child"
)]
async fn sigkill_of_the_process_that_runs_it_leaves_nothing_behind() {
    const VICTIM: &str = "IT_COMMAND_VICTIM";
    let mut trial = Trial::sh(TREE);
    if let Some(tag) = std::env::var_os(VICTIM) {
        trial.spec.env = vec![("TRIAL".to_owned(), tag.into_string().unwrap())];
        panic!("outlived its own death: {:?}", trial.run().await);
    }
    let mut victim = again(
        "killing::sigkill_of_the_process_that_runs_it_leaves_nothing_behind",
        VICTIM,
        &trial.tag,
    );
    tree_is_up(&trial).await;
    victim.kill().unwrap();
    victim.wait().unwrap();
    trial.nothing_is_left().await;
}

/// A tree with a child in the group, a child in a session of its own, and orphans of such a session.
/// The last command is no `sleep`, because some shells would become it.
const TREE: &str = "sleep 1001 & setsid sleep 1002 & (setsid sh -c 'sleep 1003 & sleep 1004; exit 0' &) ; echo ready; sleep 1005; exit 0";

async fn tree_is_up(trial: &Trial) {
    for seconds in 1001..=1005 {
        let line = format!("sleep {seconds}");
        eventually(&line, || trial.find_exactly(&line).is_some()).await;
    }
}

#[tokio::test]
async fn a_cancel_ends_the_whole_tree() {
    let trial = Trial::sh(TREE);
    let end = trial.run_while(async {
        tree_is_up(&trial).await;
        trial.cancel.cancel();
    });
    assert_eq!(end.await, CommandEnd::Signalled(15));
    assert_eq!(
        trial.processes(),
        [],
        "everything is gone before the end is answered"
    );
}

#[tokio::test]
async fn a_command_that_handles_sigterm_ends_its_own_way() {
    let trial = Trial::sh("trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.05; done");
    let end = trial.run_while(async {
        trial.saw("ready").await;
        trial.cancel.cancel();
    });
    assert_eq!(end.await, CommandEnd::Exited(4));
    assert_eq!(trial.texts(Stream::Stdout), ["ready", "bye"]);
}

#[tokio::test]
async fn a_command_that_ignores_sigterm_is_killed_after_the_grace() {
    let mut trial = Trial::sh("trap '' TERM; echo ready; while :; do sleep 1006; done");
    trial.grace = Duration::from_millis(300);
    let started = Instant::now();
    let end = trial.run_while(async {
        trial.saw("ready").await;
        trial.cancel.cancel();
    });
    assert_eq!(end.await, CommandEnd::Signalled(9));
    assert!(started.elapsed() >= trial.grace);
    assert_eq!(trial.processes(), []);
}

#[tokio::test]
async fn a_stopped_command_can_be_cancelled() {
    let trial = Trial::sh("echo ready; kill -STOP $$; sleep 1000");
    let end = trial.run_while(async {
        trial.saw("ready").await;
        trial.cancel.cancel();
    });
    assert_eq!(end.await, CommandEnd::Signalled(15));
}

#[tokio::test]
async fn a_cancel_before_the_start_starts_nothing() {
    let trial = Trial::sh("echo ran");
    trial.cancel.cancel();
    assert!(matches!(
        trial.try_run().await,
        Err(ConnectError::Refused { .. })
    ));
    assert!(trial.texts(Stream::Stdout).is_empty());
}

#[tokio::test]
async fn stragglers_end_with_their_command() {
    let trial = Trial::sh("sleep 1001 & setsid sleep 1002 & (setsid sleep 1003 &); exit 0");
    let started = Instant::now();
    assert_eq!(trial.run().await, CommandEnd::Exited(0));
    assert_eq!(trial.processes(), []);
    assert!(
        started.elapsed() < PATIENCE / 2,
        "open pipes are not waited for"
    );
}

#[tokio::test]
async fn a_command_that_kills_its_own_group_does_not_kill_the_guard() {
    assert_eq!(Trial::sh("kill -9 0").run().await, CommandEnd::Signalled(9));
    assert_eq!(
        Trial::sh("trap 'exit 5' TERM; kill -TERM 0; sleep 1")
            .run()
            .await,
        CommandEnd::Exited(5)
    );
}

#[tokio::test]
async fn dropping_the_run_kills_the_tree() {
    let trial = Trial::sh(TREE);
    tokio::select! {
        end = trial.run() => panic!("ended by itself: {end:?}"),
        () = tree_is_up(&trial) => {}
    }
    trial.nothing_is_left().await;
}

#[tokio::test]
async fn the_commands_death_is_told_from_an_exit_status() {
    let trial = Trial::sh("echo ready; sleep 1000; exit 0");
    let end = trial.run_while(async {
        trial.saw("ready").await;
        kill_9(trial.find("/bin/sh").unwrap());
    });
    assert_eq!(end.await, CommandEnd::Signalled(9));
    assert_eq!(trial.processes(), []);
}

#[tokio::test]
async fn the_death_of_a_commands_child_is_the_commands_business() {
    let trial = Trial::sh("echo ready; sleep 1007; echo child $?; exit 6");
    let end = trial.run_while(async {
        eventually("child", || trial.find_exactly("sleep 1007").is_some()).await;
        kill_9(trial.find_exactly("sleep 1007").unwrap());
    });
    assert_eq!(end.await, CommandEnd::Exited(6));
    assert_eq!(trial.texts(Stream::Stdout), ["ready", "child 137"]);
}

#[tokio::test]
async fn a_killed_guard_takes_the_tree_along_and_asks_for_another_try() {
    let trial = Trial::sh(TREE);
    let killing = async {
        tree_is_up(&trial).await;
        kill_9(parent_of(trial.find("/bin/sh").unwrap()));
    };
    let (end, ()) = tokio::join!(trial.try_run(), killing);
    assert!(end.is_err_and(|error| error.is_temporary()));
    assert_eq!(trial.processes(), []);
}

#[tokio::test]
async fn a_terminated_guard_stays_until_its_command_has_ended() {
    let trial = Trial::sh("echo ready; sleep 0.5; exit 8");
    let end = trial.run_while(async {
        trial.saw("ready").await;
        let guard =
            rustix::process::Pid::from_raw(parent_of(trial.find("/bin/sh").unwrap())).unwrap();
        for signal in [
            rustix::process::Signal::TERM,
            rustix::process::Signal::HUP,
            rustix::process::Signal::INT,
        ] {
            rustix::process::kill_process(guard, signal).unwrap();
        }
    });
    assert_eq!(end.await, CommandEnd::Exited(8));
}

#[tokio::test]
async fn the_death_of_robotd_leaves_nothing_behind() {
    // The guard as robotd starts it; closing our end of the socket is all that the kernel does
    // for a robotd that got SIGKILL.
    let trial = Trial::sh(TREE);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut guard = std::process::Command::new(env!("CARGO_BIN_EXE_robotd"));
    guard
        .arg("command-guard")
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::piped());
    let mut guard = guard.spawn().unwrap();
    let request = serde_json::json!({
        "program": trial.spec.program, "args": trial.spec.args, "current_dir": null,
        "env": trial.spec.env, "payload_bytes": 2,
    });
    let request = request.to_string().into_bytes();
    ours.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes())
        .unwrap();
    ours.write_all(&request).unwrap();
    ours.write_all(b"{}").unwrap();
    let mut ready = [0; 6];
    guard.stdout.take().unwrap().read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"ready\n");
    tree_is_up(&trial).await;
    drop(ours);
    trial.nothing_is_left().await;
    eventually("the guard ends", || guard.try_wait().unwrap().is_some()).await;
}

#[tokio::test]
async fn a_guard_that_is_not_talked_to_starts_nothing_and_ends() {
    for noise in [&b""[..], b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x02{}"] {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut guard = std::process::Command::new(env!("CARGO_BIN_EXE_robotd"));
        let mut guard = guard
            .arg("command-guard")
            .stdin(OwnedFd::from(theirs))
            .spawn()
            .unwrap();
        ours.write_all(noise).unwrap();
        drop(ours);
        eventually("the guard ends", || guard.try_wait().unwrap().is_some()).await;
        assert_eq!(guard.wait().unwrap().code(), Some(70));
    }
}
