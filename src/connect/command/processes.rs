//! Finding and killing the processes that a command left, through `/proc`.

use std::ffi::OsStr;
use std::time::Duration;

use procfs::process::{Process, Stat, all_processes};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::wire::Started;

/// Everything a command starts carries this variable, with a value of its own for each run.
/// It is how the processes of a killed guard are found.
pub const MARK_VARIABLE: &str = "ROBOTD_COMMAND_MARK";

/// A killed process is gone within milliseconds; what is left after this long cannot be killed
/// (another user's, or stuck in the kernel).
const HUNT_MAX: Duration = Duration::from_secs(2);

/// Between two looks at `/proc` while killed processes disappear.
const HUNT_PAUSE: Duration = Duration::from_millis(5);

/// The children of `parent` that still run; zombies do not.
pub(super) fn children_of(parent: Pid) -> Vec<Pid> {
    running(|_, stat| stat.ppid == parent.as_raw_pid())
}

/// When this process started, in clock ticks since boot.
pub(super) fn start_ticks(pid: Pid) -> Option<u64> {
    let stat = Process::new(pid.as_raw_pid()).and_then(|process| process.stat());
    stat.ok().map(|stat| stat.starttime)
}

/// Kills whatever belongs to a command whose guard is dead, until nothing of it is left.
///
/// A process belongs to it if it carries the mark, or is in the command's process group.
pub(super) async fn hunt(mark: String, started: Option<Started>) {
    let deadline = Instant::now() + HUNT_MAX;
    while Instant::now() < deadline {
        let (mark, started) = (mark.clone(), started.clone());
        let look = move || belonging(&mark, started.as_ref());
        // A panic while looking means that we saw nothing; the log has it from the panic hook.
        let found = tokio::task::spawn_blocking(look).await.unwrap_or_default();
        if found.is_empty() {
            return;
        }
        for pid in found {
            kill(pid);
        }
        tokio::time::sleep(HUNT_PAUSE).await;
    }
    log::warn!("some processes of a command cannot be killed");
}

/// Sends SIGKILL; that the process is gone already is what we want.
pub(super) fn kill(pid: Pid) {
    if let Err(error) = kill_process(pid, Signal::KILL) {
        log::debug!("process {} was not killed: {error}", pid.as_raw_pid());
    }
}

fn belonging(mark: &str, started: Option<&Started>) -> Vec<Pid> {
    let group = started
        .filter(|started| group_is_ours(started))
        .map(|started| started.pid);
    running(|process, stat| {
        Some(stat.pgrp) == group
            || process.environ().is_ok_and(|env| {
                env.get(OsStr::new(MARK_VARIABLE))
                    .is_some_and(|value| value == mark)
            })
    })
}

/// The kernel gives a group's id to no new process while the group has members, so the group is
/// still ours unless its id now names a process that started at another time.
fn group_is_ours(started: &Started) -> bool {
    let now = Pid::from_raw(started.pid).and_then(start_ticks);
    now.is_none_or(|ticks| ticks == started.start_ticks)
}

fn running(belongs: impl Fn(&Process, &Stat) -> bool) -> Vec<Pid> {
    let Ok(processes) = all_processes() else {
        return Vec::new();
    };
    processes
        .filter_map(Result::ok)
        .filter_map(|process| {
            let stat = process.stat().ok()?;
            let alive = !matches!(stat.state, 'Z' | 'X' | 'x');
            (alive && belongs(&process, &stat))
                .then(|| Pid::from_raw(stat.pid))
                .flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_start_and_a_parent() {
        let own = rustix::process::getpid();
        assert!(start_ticks(own).is_some_and(|ticks| ticks > 0));
        let parent = rustix::process::getppid().unwrap();
        assert!(children_of(parent).contains(&own));
    }

    #[test]
    fn a_group_whose_id_was_given_to_another_process_is_not_ours() {
        let own = rustix::process::getpid();
        let start_ticks = start_ticks(own).unwrap();
        let started = Started {
            pid: own.as_raw_pid(),
            start_ticks,
        };
        assert!(group_is_ours(&started));
        assert!(!group_is_ours(&Started {
            start_ticks: start_ticks + 1,
            ..started
        }));
    }
}
