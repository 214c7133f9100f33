//! Real programs that tests talk to: found, started on loopback, stopped by their id.

use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for a program to start, stop or do what it was asked: generous, because
/// two busy cores run the whole suite.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often we look again while we wait.
const GLANCE: Duration = Duration::from_millis(10);

/// Ports that nothing on a usual machine uses by itself.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// Where Debian keeps daemons, which need not be on a person's path.
const DAEMON_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// The path of a program, or `None` after saying loudly that a test is skipped without it.
///
/// With `CI=true` nothing is skipped: a missing program fails the test.
#[expect(
    clippy::disallowed_methods,
    reason = "the path is where the machine keeps its programs, not a setting of ours"
)]
pub fn counterpart(program: &str, install: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(DAEMON_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        skipped(&format!("`{program}` is missing: {install}"));
    }
    found
}

/// Says what was skipped and why, also when the test passes; fails with `CI=true`.
#[expect(
    clippy::disallowed_methods,
    reason = "only the environment tells whether this is the build server"
)]
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test").to_owned();
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "nothing may be skipped with CI=true, but {why}"
    );
    // Written past the capture of the test harness, which would hide it.
    let line = format!("SKIPPED {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A port of loopback that nobody listens on, for TCP and for UDP; never the same twice.
///
/// Never twice, because a test that stops a program and starts it again counts on the port
/// it had. Below the ports the kernel gives to outgoing connections, for the same reason;
/// where we begin depends on the process, so that two test runs seldom meet.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(97);
    for _ in 0..PORTS.len() {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let place = begin.wrapping_add(step) as usize % PORTS.len();
        let port = PORTS.start + u16::try_from(place).unwrap();
        let address = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
    panic!("no port is free for both TCP and UDP");
}

/// Gives others their turn between two looks. Nothing unparks these threads, so that it is a wait with
/// a deadline; what we look at is another process, which has no other way to tell us.
fn glance() {
    std::thread::park_timeout(GLANCE);
}

/// Waits until something is there, and fails with `what` when it never is.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        glance();
    }
}

/// A started program; it is gone when this is.
pub struct Counterpart {
    child: Child,
    log: PathBuf,
}

impl Counterpart {
    /// Starts a program with its output in `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self {
            child,
            log: log.to_owned(),
        }
    }

    /// Waits until the program accepts connections on a port of loopback.
    pub fn wait_until_it_listens(&mut self, port: u16) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "nobody listens on port {port}; ended: {ended:?}; it said: {}",
                self.said()
            );
            glance();
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything the program has printed.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Asks it to end and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        self.end(Signal::TERM)
    }

    /// Stops it from doing anything; only [`Counterpart::kill`] can follow.
    pub fn pause(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
        // The signal is only on its way; each thread stops when it meets it.
        let threads = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        wait_for("every thread to stop", || {
            let stopped = |thread: std::io::Result<std::fs::DirEntry>| {
                let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
                stat.rsplit(") ").next().unwrap().starts_with('T')
            };
            std::fs::read_dir(&threads)
                .unwrap()
                .all(stopped)
                .then_some(())
        });
    }

    /// Ends it at once, in the middle of whatever it does.
    pub fn kill(mut self) -> ExitStatus {
        self.end(Signal::KILL)
    }

    fn end(&mut self, signal: Signal) -> ExitStatus {
        if let Some(status) = self.child.try_wait().unwrap() {
            return status;
        }
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                return self.child.wait().unwrap();
            }
            glance();
        }
    }
}

impl Drop for Counterpart {
    fn drop(&mut self) {
        self.end(Signal::TERM);
    }
}
