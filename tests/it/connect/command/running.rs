//! What goes in and comes out of a command that is left alone.

use super::{PATIENCE, Trial, again, parent_of};
use robotd::connect::command::{
    CommandEnd, GuardProgram, Invocation, LINE_BYTES_MAX, Line, MARK_VARIABLE, Stream,
    parse_progress, run,
};
use robotd::connect::error::ConnectError;

#[tokio::test]
async fn the_exit_status_is_answered() {
    for status in [0, 3, 75, 137, 255] {
        assert_eq!(
            Trial::sh(&format!("exit {status}")).run().await,
            CommandEnd::Exited(status)
        );
    }
}

#[tokio::test]
async fn a_command_that_cannot_start_is_refused_with_the_reason() {
    let mut astray = Trial::sh("true");
    astray.spec.current_dir = Some("/no/such".to_owned());
    for (trial, text) in [
        (
            Trial::new("/x/y", &[]),
            "start `/x/y`: No such file or directory",
        ),
        (
            Trial::new("no-such-program", &[]),
            "start `no-such-program`: No such file or directory",
        ),
        (
            Trial::new("/etc/passwd", &[]),
            "start `/etc/passwd`: Permission denied",
        ),
        (
            astray,
            "start `/bin/sh`: directory `/no/such`: No such file or directory",
        ),
    ] {
        let error = trial.try_run().await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
        assert_eq!(error.to_string(), text);
    }
}

#[tokio::test]
async fn a_payload_of_one_mebibyte_comes_back() {
    let mut trial = Trial::new("/bin/cat", &[]);
    trial.payload = (0..16 * 1024)
        .map(|n| format!("{n:063}\n"))
        .collect::<String>()
        .into_bytes();
    assert_eq!(trial.payload.len(), 1024 * 1024);
    assert_eq!(trial.run().await, CommandEnd::Exited(0));
    let echoed: String = trial
        .texts(Stream::Stdout)
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(echoed.into_bytes() == trial.payload);
}

#[tokio::test]
async fn a_command_need_not_read_its_payload() {
    for script in ["exit 0", "exec <&-; echo closed", "head -c 10 >/dev/null"] {
        let mut trial = Trial::sh(script);
        trial.payload = vec![b'x'; 4 * 1024 * 1024];
        assert_eq!(trial.run().await, CommandEnd::Exited(0), "{script}");
    }
}

#[tokio::test]
async fn lines_keep_their_order_and_their_stream() {
    let trial = Trial::sh(
        "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done; printf last; echo '::progress 40 copying' >&2",
    );
    assert_eq!(trial.run().await, CommandEnd::Exited(0));
    let numbered = |word: &str| (1..=9).map(|i| format!("{word} {i}")).collect::<Vec<_>>();
    assert_eq!(
        trial.texts(Stream::Stdout),
        [numbered("out"), vec!["last".into()]].concat()
    );
    let err = trial.texts(Stream::Stderr);
    assert_eq!(err[..9], numbered("err"));
    assert_eq!(parse_progress(&err[9]).unwrap().percent, 40);
}

#[tokio::test]
async fn lines_come_while_the_command_runs() {
    let trial = Trial::sh("echo first; sleep 1000");
    let end = trial.run_while(async {
        trial.saw("first").await;
        trial.cancel.cancel();
    });
    assert_eq!(end.await, CommandEnd::Signalled(15));
    trial.nothing_is_left().await;
}

#[tokio::test]
async fn fifty_megabytes_of_output_do_not_grow_memory() {
    let trial = Trial::sh(
        "head -c 25000000 /dev/zero; yes 0123456789012345678901234567890123456789 | head -c 25000000 >&2",
    );
    let mut bytes = 0usize;
    let mut longest = 0usize;
    let before = resident();
    let invocation = Invocation {
        spec: &trial.spec,
        payload: b"",
        env: &[],
        grace: trial.grace,
    };
    let count = |line: Line| {
        bytes += line.text.len();
        longest = longest.max(line.text.len());
    };
    let guard = GuardProgram::at(env!("CARGO_BIN_EXE_robotd"));
    let end = tokio::time::timeout(
        PATIENCE,
        run(&guard, invocation, count, trial.cancel.clone()),
    )
    .await
    .unwrap();
    assert!(matches!(end, Ok(CommandEnd::Exited(0))), "{end:?}");
    assert!(bytes > 49_000_000, "{bytes}");
    assert!(longest <= LINE_BYTES_MAX + 6, "{longest}");
    // The other tests of this binary run beside this one, hence the wide margin below 50 MB.
    assert!(resident().saturating_sub(before) < 30_000_000);
}

fn resident() -> u64 {
    procfs::process::Process::myself()
        .unwrap()
        .statm()
        .unwrap()
        .resident
        * 4096
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the variable tells the test that it runs as its own child"
)]
async fn a_command_gets_the_tasks_variables_and_none_of_ours() {
    const SECRET: &str = "ROBOTD_DATABASE_URL";
    if std::env::var_os(SECRET).is_none() {
        let mut child = again(
            "running::a_command_gets_the_tasks_variables_and_none_of_ours",
            SECRET,
            "s3cret",
        );
        assert!(child.wait().unwrap().success());
        return;
    }
    let mut trial = Trial::new("/usr/bin/env", &[]);
    trial
        .spec
        .env
        .push(("ROBOTD_TASK_ID".to_owned(), "from the file".to_owned()));
    assert_eq!(trial.run().await, CommandEnd::Exited(0));
    let variables = trial.texts(Stream::Stdout);
    let own: Vec<_> = variables
        .iter()
        .filter(|v| v.starts_with("ROBOTD_") && !v.starts_with(MARK_VARIABLE))
        .collect();
    assert_eq!(own, ["ROBOTD_TASK_ID=7"]);
    assert!(variables.iter().any(|v| v.starts_with("PATH=")));
}

#[tokio::test]
async fn arguments_and_directory_are_passed_without_a_shell() {
    let mut trial = Trial::new(
        "/bin/sh",
        &[
            "-c",
            "pwd; printf '%s\n' \"$@\"",
            "sh",
            "$HOME; `id` 'x'",
            "",
        ],
    );
    trial.spec.current_dir = Some("/usr".to_owned());
    assert_eq!(trial.run().await, CommandEnd::Exited(0));
    assert_eq!(trial.texts(Stream::Stdout), ["/usr", "$HOME; `id` 'x'", ""]);
}

#[tokio::test]
async fn the_guards_command_line_shows_nothing_of_the_command() {
    let trial = Trial::sh("echo ready; : s3cret; sleep 1000; exit 0");
    let end = trial.run_while(async {
        trial.saw("ready").await;
        let guard =
            procfs::process::Process::new(parent_of(trial.find("s3cret").unwrap())).unwrap();
        assert_eq!(guard.cmdline().unwrap(), ["robotd", "command-guard"]);
        trial.cancel.cancel();
    });
    assert_eq!(end.await, CommandEnd::Signalled(15));
}
