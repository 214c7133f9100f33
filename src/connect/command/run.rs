//! robotd's side of a run: starts the guard, reads the output, passes a cancel on.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines, Take};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::guard::SUBCOMMAND;
use super::lines::Line;
use super::output::Output;
use super::processes::{self, MARK_VARIABLE};
use super::wire::{Order, PAYLOAD_BYTES_MAX, Report, Request, Started, send_request};
use super::{CommandEnd, Invocation};
use crate::connect::error::ConnectError;

/// A guard reads its request within milliseconds, even on a busy machine within this.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// After SIGKILL a command is gone at once, unless the kernel or another user holds it.
const KILL_MAX: Duration = Duration::from_secs(5);

/// The guard says two short lines in its life.
const REPORT_BYTES_MAX: u64 = 64 * 1024;

/// A command gets robotd's environment without what starts with this: those are robotd's settings.
const OWN_PREFIX: &[u8] = b"ROBOTD_";

/// More of what is meant for robotd only: its secrets, and its talk with the service manager.
const OWN_VARIABLES: [&str; 9] = [
    "DATABASE_URL",
    "PGPASSWORD",
    "PGPASSFILE",
    "CREDENTIALS_DIRECTORY",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// The program file that serves as guard: robotd itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardProgram(PathBuf);

impl GuardProgram {
    /// The running program, whose `main` must call [`super::guard::guard_main`].
    ///
    /// This is the file that was started, even if another was put in its place since.
    pub fn this_program() -> Self {
        Self(PathBuf::from("/proc/self/exe"))
    }

    /// A robotd at a path, for tests, whose own program is no robotd.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

/// Runs a command to its end and gives out its output line by line, in order within each stream.
///
/// On `cancel` the command's process group gets SIGTERM and, after the grace, SIGKILL; the end
/// that follows is answered like any other, so the caller must look at its own token to tell a
/// cancelled run. Whatever the command started is killed when it ends, when this future is
/// dropped, and when robotd dies: each of them closes the guard's lifeline. Output that is not
/// taken (`lines` runs long) makes the command wait and does not grow our memory.
///
/// # Errors
/// [`ConnectError::Invalid`] for a spec or payload that cannot be run; [`ConnectError::Refused`]
/// if the program cannot be started or `cancel` came first; [`ConnectError::Unreachable`] if the
/// system had no room for a process or the guard was killed (the command is then killed too);
/// [`ConnectError::TimedOut`] if the command does not end even after SIGKILL.
pub async fn run(
    guard: &GuardProgram,
    invocation: Invocation<'_>,
    mut lines: impl FnMut(Line) + Send,
    cancel: CancellationToken,
) -> Result<CommandEnd, ConnectError> {
    invocation.spec.check()?;
    let program = &invocation.spec.program;
    if invocation.payload.len() > PAYLOAD_BYTES_MAX {
        return Err(ConnectError::Invalid {
            what: format!("payload for {program}"),
            reason: format!("it is longer than {PAYLOAD_BYTES_MAX} bytes"),
        });
    }
    if cancel.is_cancelled() {
        return Err(refused(program, "it was cancelled first"));
    }
    let mark = format!("{:032x}", rand::random::<u128>());
    let mut line = Lifeline::open(guard, program)?;
    let mut output = Output::new(line.child.stdout.take(), line.child.stderr.take());
    line.request(&request_of(&invocation, &mark), invocation.payload)
        .await?;
    let end = line
        .follow(&mut output, &mut lines, &cancel, invocation.grace)
        .await;
    if matches!(end, Err(Lost::Guard)) {
        processes::hunt(mark, line.started.take()).await;
    }
    output.drain(&mut lines).await;
    end.map_err(|lost| lost.explain(program))
}

/// Why there is no end to answer.
enum Lost {
    Guard,
    Start { errno: Option<i32>, why: String },
    Unkillable,
}

impl Lost {
    fn explain(self, program: &str) -> ConnectError {
        match self {
            Self::Guard => ConnectError::Unreachable {
                target: format!("guard of {program}"),
                source: io::Error::other("it was killed, and the command with it"),
            },
            Self::Start { errno, why } => cannot_start(program, errno, &why),
            Self::Unkillable => ConnectError::TimedOut {
                target: program.to_owned(),
                step: "kill",
                limit: KILL_MAX,
            },
        }
    }
}

/// The guard as robotd holds it. Dropping this closes the socket, and that ends the command.
struct Lifeline {
    child: Child,
    orders: OwnedWriteHalf,
    reports: Lines<BufReader<Take<OwnedReadHalf>>>,
    /// Known from the guard's first report on.
    started: Option<Started>,
}

impl Lifeline {
    fn open(guard: &GuardProgram, program: &str) -> Result<Self, ConnectError> {
        let open = || -> io::Result<Self> {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            let (reports, orders) = UnixStream::from_std(ours)?.into_split();
            let child = guard_command(guard).stdin(OwnedFd::from(theirs)).spawn()?;
            let reports = BufReader::new(reports.take(REPORT_BYTES_MAX)).lines();
            Ok(Self {
                child,
                orders,
                reports,
                started: None,
            })
        };
        open().map_err(|source| ConnectError::Unreachable {
            target: format!("guard of {program}"),
            source,
        })
    }

    /// Tells the guard what to run. That the guard is gone shows in [`Self::follow`].
    async fn request(&mut self, request: &Request, payload: &[u8]) -> Result<(), ConnectError> {
        let program = &request.program;
        match timeout(
            REQUEST_MAX,
            send_request(&mut self.orders, request, payload),
        )
        .await
        {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                log::debug!("the guard of `{program}` did not take its request: {error}");
                Ok(())
            }
            Err(_) => Err(ConnectError::TimedOut {
                target: program.clone(),
                step: "hand the payload to the guard of",
                limit: REQUEST_MAX,
            }),
        }
    }

    /// Reads output and reports until the command has ended.
    async fn follow(
        &mut self,
        output: &mut Output,
        lines: &mut impl FnMut(Line),
        cancel: &CancellationToken,
        grace: Duration,
    ) -> Result<CommandEnd, Lost> {
        // The last order given, and when the patience with it ends.
        let mut ordered: Option<(Order, Instant)> = None;
        loop {
            let patience = ordered.map_or_else(Instant::now, |(_, until)| until);
            tokio::select! {
                report = self.reports.next_line() => {
                    let text = report.ok().flatten().ok_or(Lost::Guard)?;
                    if let Some(end) = self.heed(&text)? {
                        return Ok(end);
                    }
                }
                _ = output.read(lines), if output.is_open() => {}
                () = cancel.cancelled(), if ordered.is_none() => {
                    self.order(Order::Terminate).await;
                    ordered = Some((Order::Terminate, Instant::now() + grace));
                }
                () = sleep_until(patience), if ordered.is_some() => {
                    if matches!(ordered, Some((Order::Kill, _))) {
                        return Err(Lost::Unkillable);
                    }
                    self.order(Order::Kill).await;
                    ordered = Some((Order::Kill, Instant::now() + KILL_MAX));
                }
            }
        }
    }

    fn heed(&mut self, text: &str) -> Result<Option<CommandEnd>, Lost> {
        match serde_json::from_str(text).map_err(|_| Lost::Guard)? {
            Report::Started(started) => {
                self.started = Some(started);
                Ok(None)
            }
            Report::CannotStart { errno, why } => Err(Lost::Start { errno, why }),
            Report::Exited(status) => Ok(Some(CommandEnd::Exited(status))),
            Report::Signalled(signal) => Ok(Some(CommandEnd::Signalled(signal))),
        }
    }

    async fn order(&mut self, order: Order) {
        if let Err(error) = self.orders.write_all(&[order.to_byte()]).await {
            log::debug!("a guard did not take its order, so it is gone: {error}");
        }
    }
}

/// The guard is in a process group of its own, so that a key typed at robotd's terminal does not reach it.
fn guard_command(guard: &GuardProgram) -> Command {
    let mut command = Command::new(&guard.0);
    command
        .arg0("robotd")
        .arg(SUBCOMMAND)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    // Dropping the run must not kill the guard: it has the command to kill first.
    command.kill_on_drop(false);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_own(name)) {
        command.env_remove(name);
    }
    command
}

fn is_own(variable: &OsStr) -> bool {
    variable.as_encoded_bytes().starts_with(OWN_PREFIX)
        || OWN_VARIABLES.iter().any(|own| variable == *own)
}

fn request_of(invocation: &Invocation<'_>, mark: &str) -> Request {
    let spec = invocation.spec;
    let mark = (MARK_VARIABLE.to_owned(), mark.to_owned());
    Request {
        program: spec.program.clone(),
        args: spec.args.clone(),
        current_dir: spec.current_dir.clone(),
        env: spec
            .env
            .iter()
            .chain(invocation.env)
            .cloned()
            .chain([mark])
            .collect(),
        payload_bytes: invocation.payload.len(),
    }
}

/// A full machine may have room later; a missing program stays missing.
fn cannot_start(program: &str, errno: Option<i32>, why: &str) -> ConnectError {
    use rustix::io::Errno;
    let full = [
        Errno::AGAIN,
        Errno::NOMEM,
        Errno::MFILE,
        Errno::NFILE,
        Errno::TXTBSY,
    ];
    if errno.is_some_and(|errno| full.contains(&Errno::from_raw_os_error(errno))) {
        ConnectError::Unreachable {
            target: program.to_owned(),
            source: io::Error::other(format!("it cannot start now: {why}")),
        }
    } else {
        refused(program, why)
    }
}

fn refused(program: &str, reason: &str) -> ConnectError {
    ConnectError::Refused {
        target: program.to_owned(),
        step: "start",
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_machine_is_worth_another_try() {
        let missing = cannot_start("/x/y", Some(2), "No such file or directory");
        assert_eq!(
            missing.to_string(),
            "start `/x/y`: No such file or directory"
        );
        assert!(!missing.is_temporary());
        assert!(cannot_start("/x/y", Some(11), "try again").is_temporary());
        assert!(!cannot_start("/x/y", None, "odd").is_temporary());
    }

    #[test]
    fn the_own_settings_are_kept_from_commands() {
        for own in [
            "ROBOTD_DATABASE_URL",
            "ROBOTD_",
            "NOTIFY_SOCKET",
            "PGPASSWORD",
        ] {
            assert!(is_own(OsStr::new(own)), "{own}");
        }
        for other in [
            "PATH",
            "HOME",
            "ROBOTDX",
            "MY_ROBOTD_THING",
            "NOTIFY_SOCKETS",
        ] {
            assert!(!is_own(OsStr::new(other)), "{other}");
        }
    }
}
