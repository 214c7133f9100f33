//! The guard: a small process between robotd and one command, so that nothing of the command
//! outlives the run, whichever of the three is killed.
//!
//! A process cannot be told by the kernel to end *with its descendants* when its parent dies.
//! So robotd starts itself once more as a guard. The guard's standard input is a socket to
//! robotd (see [`super::wire`]); its end means that robotd gave the run up or is dead. The guard
//! is a *child subreaper*: whatever the command leaves behind, sessions of its own included,
//! becomes the guard's child and can be found and killed. The command has its own process
//! group, so that a script's `kill 0` does not hit the guard.
//!
//! The guard writes nothing: its standard output and error are the command's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpid, kill_process_group,
    set_child_subreaper, wait, waitid,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::time::{Instant, timeout_at};

use super::processes::{self, children_of};
use super::wire::{Order, Report, Request, Started, receive_request, send_report};

/// The word after `robotd` that makes it a guard; not for people, and in no help text.
pub const SUBCOMMAND: &str = "command-guard";

/// A killed process is gone within milliseconds; what is left after this long cannot be killed,
/// and the run must not wait for it.
const SWEEP_MAX: Duration = Duration::from_secs(2);

/// sysexits: the conversation with robotd broke before the command started.
const EX_SOFTWARE: u8 = 70;

/// Is the guard. `main` calls this before it looks at anything else.
pub fn guard_main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime.and_then(|runtime| runtime.block_on(guard())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(EX_SOFTWARE),
    }
}

async fn guard() -> io::Result<()> {
    let mut robotd = lifeline()?;
    // A stop of the whole service signals the guard too; it must stay until the command has ended.
    let _deaf = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ]
    .map(signal);
    let mut children = signal(SignalKind::child())?;
    let (request, payload) = receive_request(&mut robotd).await?;
    set_child_subreaper(Some(getpid()))?;
    let report = match start(&request) {
        Ok((child, pid)) => {
            let start_ticks = processes::start_ticks(pid).unwrap_or_default();
            let started = Report::Started(Started {
                pid: pid.as_raw_pid(),
                start_ticks,
            });
            if let Err(error) = send_report(&mut robotd, &started).await {
                // Watching notices at once that robotd is gone, and kills the command.
                log::debug!("robotd is gone: {error}");
            }
            let end = watch(child, pid, &payload, &mut robotd, &mut children).await?;
            sweep(&mut children).await;
            report_of(end)
        }
        Err((errno, why)) => Report::CannotStart { errno, why },
    };
    send_report(&mut robotd, &report).await
}

/// Our standard input as the socket that it is.
fn lifeline() -> io::Result<UnixStream> {
    let socket = std::os::unix::net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// Starts the command in a process group of its own; an error is the system's number and text.
fn start(request: &Request) -> Result<(Child, Pid), (Option<i32>, String)> {
    let mut command = Command::new(&request.program);
    command
        .args(&request.args)
        .envs(request.env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::piped()).process_group(0);
    if let Some(dir) = &request.current_dir {
        // The system's own error would not tell a missing directory from a missing program.
        std::fs::read_dir(dir).map_err(|error| {
            (
                error.raw_os_error(),
                format!("directory `{dir}`: {}", plain(&error)),
            )
        })?;
        command.current_dir(dir);
    }
    let child = command
        .spawn()
        .map_err(|error| (error.raw_os_error(), plain(&error)))?;
    let pid = Pid::from_child(&child);
    Ok((child, pid))
}

/// The error's text without the number that the standard library appends.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .map(str::to_owned)
        .unwrap_or(text)
}

/// Feeds the command and obeys robotd until the command has ended; then nothing is left of its group.
async fn watch(
    mut child: Child,
    pid: Pid,
    payload: &[u8],
    robotd: &mut UnixStream,
    children: &mut SignalStream,
) -> io::Result<WaitStatus> {
    let mut feeding = Box::pin(feed(child.stdin.take(), payload));
    let (mut fed, mut order, mut gone) = (false, [0u8; 1], false);
    loop {
        if let Some(status) = ended(pid) {
            return Ok(status);
        }
        tokio::select! {
            _ = children.recv() => {}
            // A command that does not read its payload, or only a part of it, is no failure.
            _ = &mut feeding, if !fed => fed = true,
            read = robotd.read(&mut order), if !gone => {
                let order = match read {
                    Ok(1..) => Order::from_byte(order[0]),
                    Ok(0) | Err(_) => { gone = true; Order::Kill }
                };
                obey(order, pid);
            }
        }
    }
}

/// Writes the payload to the command and closes its standard input.
async fn feed(stdin: Option<std::process::ChildStdin>, payload: &[u8]) -> io::Result<()> {
    let Some(stdin) = stdin else {
        return Ok(());
    };
    pipe::Sender::from_owned_fd(OwnedFd::from(stdin))?
        .write_all(payload)
        .await
}

fn obey(order: Order, group: Pid) {
    match order {
        Order::Terminate => {
            signal_group(group, Signal::TERM);
            // A stopped process would see the first signal only when it goes on.
            signal_group(group, Signal::CONT);
        }
        Order::Kill => {
            signal_group(group, Signal::KILL);
            children_of(getpid()).into_iter().for_each(processes::kill);
        }
    }
}

/// The command's end, if it has ended; also takes away whatever else has ended.
///
/// The group is killed while the command is still a zombie: its id cannot mean another group yet.
fn ended(command: Pid) -> Option<WaitStatus> {
    let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if matches!(waitid(WaitId::Pid(command), peek), Ok(Some(_))) {
        signal_group(command, Signal::KILL);
    }
    let mut end = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == command {
            end = Some(status);
        }
    }
    end
}

/// An empty group is no error: it is what the signal is for.
fn signal_group(group: Pid, signal: Signal) {
    if let Err(error) = kill_process_group(group, signal) {
        log::debug!(
            "process group {} was not signalled: {error}",
            group.as_raw_pid()
        );
    }
}

/// Kills what the command left, until nothing is left: the children of a killed process become
/// ours in turn.
async fn sweep(children: &mut SignalStream) {
    let deadline = Instant::now() + SWEEP_MAX;
    loop {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        let left = children_of(getpid());
        if left.is_empty() {
            return;
        }
        left.into_iter().for_each(processes::kill);
        if timeout_at(deadline, children.recv()).await.is_err() {
            return;
        }
    }
}

fn report_of(status: WaitStatus) -> Report {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Report::Exited(code),
        (None, Some(signal)) => Report::Signalled(signal),
        // Only ended children are waited for, so this does not happen; 9 is the honest guess.
        (None, None) => Report::Signalled(Signal::KILL.as_raw()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_error_is_left_out() {
        assert_eq!(
            plain(&io::Error::from_raw_os_error(2)),
            "No such file or directory"
        );
        assert_eq!(plain(&io::Error::other("odd")), "odd");
    }
}
