//! A machine of a test's own with Windows accounts: Samba's server.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::counterpart::{Counterpart, counterpart, free_port, skipped};

const INSTALL: &str = "apt-get install -y samba smbclient";

/// `smbd` on loopback with its data in a temporary folder.
///
/// Its accounts are those of Debian's system users `root`, who is the administrator, `games`
/// and `news`, and those it is started for, whom only it knows: its `/etc/passwd` is a copy with them in it. Passwords have
/// eight characters, three wrong ones lock.
pub struct Smbd {
    /// Port of loopback.
    pub port: u16,
    process: Option<Counterpart>,
    folder: TempDir,
}

impl Smbd {
    /// Starts one; `None` where it cannot run, which was said loudly.
    pub fn start(password: &str) -> Option<Self> {
        Self::start_with(password, "")
    }

    /// Starts one that has these accounts too.
    pub fn start_for(names: &[String], password: &str) -> Option<Self> {
        Self::start_as(names, password, "")
    }

    /// Starts one with more lines of configuration, which win.
    pub fn start_with(password: &str, options: &str) -> Option<Self> {
        Self::start_as(&[], password, options)
    }

    fn start_as(names: &[String], password: &str, options: &str) -> Option<Self> {
        let smbd = counterpart("smbd", INSTALL)?;
        for program in ["smbclient", "rpcclient", "smbpasswd", "pdbedit", "net"] {
            counterpart(program, INSTALL)?;
        }
        if !rustix::process::geteuid().is_root() {
            skipped("`smbd` needs root: run the tests as root");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let port = free_port();
        configure(folder.path(), port, options);
        let mut users = std::fs::read_to_string("/etc/passwd").unwrap();
        for (name, uid) in names.iter().zip(60_000..) {
            users += &format!("{name}:x:{uid}:65534::/nonexistent:/usr/sbin/nologin\n");
        }
        std::fs::write(folder.path().join("passwd"), users).unwrap();
        let mut server = Self {
            port,
            process: None,
            folder,
        };
        let all = ["root", "games", "news"].into_iter();
        for name in all.chain(names.iter().map(String::as_str)) {
            server.set_password(name, password);
        }
        for (policy, value) in [("min password length", "8"), ("bad lockout attempt", "3")] {
            server.administrate("pdbedit", &["-P", policy, "-C", value], "");
        }
        // Samba's server starts programs that outlive it; in a process namespace of their own they
        // all end with its first process.
        let mut command = server.among_its_users(&["--fork", "--pid", "--kill-child"]);
        command.arg(smbd);
        command.args(["-F", "--no-process-group", "--debug-stdout", "-s"]);
        command.arg(server.configuration());
        let mut process = Counterpart::start(&mut command, &server.folder.path().join("log"));
        process.wait_until_it_listens(port);
        server.process = Some(process);
        Some(server)
    }

    /// Sets a password behind everybody's back; makes the account if it is not there.
    pub fn set_password(&self, name: &str, password: &str) {
        let twice = format!("{password}\n{password}\n");
        self.administrate("smbpasswd", &["-a", "-s", name], &twice);
    }

    /// Runs one of Samba's programs for administrators.
    pub fn administrate(&self, program: &str, arguments: &[&str], input: &str) {
        let option = if program == "smbpasswd" { "-c" } else { "-s" };
        let mut child = self
            .among_its_users(&[])
            .arg(program)
            .arg(option)
            .arg(self.configuration())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let ran = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{program} {arguments:?}: {said}");
    }

    /// A command that runs what is added to it, with the accounts of this machine's own.
    fn among_its_users(&self, options: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(options).args(["--mount", "sh", "-c"]);
        command.arg("mount --bind \"$1\" /etc/passwd && shift && exec \"$@\"");
        command.arg("sh").arg(self.folder.path().join("passwd"));
        command
    }

    /// Whether Samba's client signs in by a password that it gets in its own way, from its
    /// environment.
    pub fn lets_in(&self, name: &str, password: &str) -> bool {
        let ran = Command::new("smbclient")
            .args(["-s", "/dev/null", "-p", &self.port.to_string(), "-U", name])
            .args(["//127.0.0.1/IPC$", "-c", "exit"])
            .env("PASSWD", password)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        ran.status.success()
    }

    fn configuration(&self) -> std::path::PathBuf {
        self.folder.path().join("smb.conf")
    }
}

impl Drop for Smbd {
    /// `unshare` does not heed a friendly signal while it waits.
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }
}

fn configure(folder: &Path, port: u16, options: &str) {
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    let mut text = format!(
        "[global]\nworkgroup = TEST\nserver role = standalone server\n\
         interfaces = 127.0.0.1/8\nbind interfaces only = yes\nsmb ports = {port}\n\
         passdb backend = tdbsam:{folder}/private/passdb.tdb\nlog file = {folder}/log.smbd\n\
         disable netbios = yes\nload printers = no\ndisable spoolss = yes\nmap to guest = never\n",
        folder = folder.display()
    );
    for (setting, name) in [
        ("private dir", "private"),
        ("state directory", "state"),
        ("cache directory", "cache"),
        ("lock directory", "lock"),
        ("pid directory", "pid"),
        ("ncalrpc dir", "ncalrpc"),
    ] {
        let path = folder.join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        text.push_str(&format!("{setting} = {}\n", path.display()));
    }
    std::fs::write(folder.join("smb.conf"), text + options + "\n").unwrap();
}
