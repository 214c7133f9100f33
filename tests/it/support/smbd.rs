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
/// and `news`. Passwords have eight characters, three wrong ones lock.
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

    /// Starts one with more lines of configuration, which win.
    pub fn start_with(password: &str, options: &str) -> Option<Self> {
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
        let mut server = Self {
            port,
            process: None,
            folder,
        };
        for name in ["root", "games", "news"] {
            server.set_password(name, password);
        }
        for (policy, value) in [("min password length", "8"), ("bad lockout attempt", "3")] {
            server.administrate("pdbedit", &["-P", policy, "-C", value], "");
        }
        // Samba's server starts programs that outlive it; in a process namespace of their own they
        // all end with its first process.
        let mut command = Command::new("unshare");
        command.args(["--fork", "--pid", "--kill-child"]).arg(smbd);
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
        let mut child = Command::new(program)
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
