//! Commands are real processes here; each test ends by looking at `/proc` for what is left.

mod killing;
mod running;

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use robotd::connect::command::{
    CommandEnd, CommandSpec, GuardProgram, Invocation, Line, Stream, run,
};
use robotd::connect::error::ConnectError;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command under test: its processes carry a variable of their own, by which they are found.
struct Trial {
    spec: CommandSpec,
    payload: Vec<u8>,
    grace: Duration,
    cancel: CancellationToken,
    tag: String,
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Trial {
    fn new(program: &str, args: &[&str]) -> Self {
        let tag = format!("{:x}", rand::random::<u128>());
        Self {
            spec: CommandSpec {
                program: program.to_owned(),
                args: args.iter().map(|arg| (*arg).to_owned()).collect(),
                current_dir: None,
                env: vec![("TRIAL".to_owned(), tag.clone())],
            },
            payload: b"{}".to_vec(),
            grace: Duration::from_secs(20),
            cancel: CancellationToken::new(),
            tag,
            lines: Arc::default(),
        }
    }

    fn sh(script: &str) -> Self {
        Self::new("/bin/sh", &["-c", script])
    }

    async fn run(&self) -> CommandEnd {
        self.try_run().await.expect("the command runs")
    }

    async fn try_run(&self) -> Result<CommandEnd, ConnectError> {
        let env = [("ROBOTD_TASK_ID".to_owned(), "7".to_owned())];
        let invocation = Invocation {
            spec: &self.spec,
            payload: &self.payload,
            env: &env,
            grace: self.grace,
        };
        let lines = |line| self.lines.lock().unwrap().push(line);
        let guard = GuardProgram::at(env!("CARGO_BIN_EXE_robotd"));
        let run = run(&guard, invocation, lines, self.cancel.clone());
        tokio::time::timeout(PATIENCE, run)
            .await
            .expect("the run must end")
    }

    /// Runs while `meanwhile` acts on it.
    async fn run_while(&self, meanwhile: impl Future<Output = ()>) -> CommandEnd {
        tokio::join!(self.run(), meanwhile).0
    }

    fn texts(&self, stream: Stream) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines
            .iter()
            .filter(|line| line.stream == stream)
            .map(|line| line.text.clone())
            .collect()
    }

    /// The processes of this trial, guard excluded: pid and command line.
    fn processes(&self) -> Vec<(i32, String)> {
        carrying("TRIAL", &self.tag)
    }

    fn find(&self, word: &str) -> Option<i32> {
        self.processes()
            .into_iter()
            .find(|(_, line)| line.contains(word))
            .map(|(pid, _)| pid)
    }

    /// The process with exactly this command line; a shell's holds its whole script.
    fn find_exactly(&self, line: &str) -> Option<i32> {
        self.processes()
            .into_iter()
            .find(|(_, found)| found == line)
            .map(|(pid, _)| pid)
    }

    async fn saw(&self, text: &str) {
        eventually(text, || {
            self.lines
                .lock()
                .unwrap()
                .iter()
                .any(|line| line.text == text)
        })
        .await;
    }

    async fn nothing_is_left(&self) {
        eventually("nothing is left", || self.processes().is_empty()).await;
    }
}

fn carrying(name: &str, value: &str) -> Vec<(i32, String)> {
    let processes = procfs::process::all_processes()
        .unwrap()
        .filter_map(Result::ok);
    processes
        .filter(|process| {
            process.environ().is_ok_and(|env| {
                env.get(name.as_ref() as &std::ffi::OsStr)
                    .is_some_and(|v| v == value)
            })
        })
        .map(|process| (process.pid, process.cmdline().unwrap_or_default().join(" ")))
        .collect()
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn kill_9(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn parent_of(pid: i32) -> i32 {
    procfs::process::Process::new(pid)
        .unwrap()
        .stat()
        .unwrap()
        .ppid
}

/// Starts this test program once more for one test, with a variable that tells it so.
fn again(test: &str, variable: &str, value: &str) -> std::process::Child {
    let name = format!("connect::command::{test}");
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program
        .args(["--exact", &name])
        .env(variable, value)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}
