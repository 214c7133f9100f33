//! Real mail servers on loopback: one that delivers, one that misbehaves as told.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use robotd::connect::smtp::{SmtpAccount, SmtpTls};
use tempfile::TempDir;

use super::authority::Authority;
use super::counterpart::{Counterpart, counterpart, free_port, skipped, wait_for};

/// Who may sign in at [`FaultySmtpServer`]'s ports with TLS.
pub const USERNAME: &str = "robotd";
/// The password of [`USERNAME`].
pub const PASSWORD: &str = "hunter2-not-in-any-log";

/// OpenBSD's `smtpd` with a mailbox in a temporary folder, without TLS: Debian 12's cannot use its
/// own private key with OpenSSL 3, it answers every handshake with an internal error.
///
/// It takes mail for `ana@example.org` and `bob@example.org` and refuses everybody else.
/// Its spool and run folders are fixed when it is compiled, so each one gets a mount
/// namespace of its own: many can run at once, and none touches the machine's.
pub struct SmtpServer {
    /// Port of loopback, without TLS and without sign-in.
    pub port: u16,
    smtpd: PathBuf,
    process: Option<Counterpart>,
    folder: TempDir,
}

impl SmtpServer {
    /// Starts one; `None` where it cannot run, which was said loudly.
    pub fn start() -> Option<Self> {
        let smtpd = counterpart("smtpd", "apt-get install -y opensmtpd")?;
        if !rustix::process::geteuid().is_root() {
            skipped("`smtpd` needs root: run the tests as root");
            return None;
        }
        let folder = TempDir::new().unwrap();
        prepare_folders(folder.path());
        let mut server = Self {
            port: free_port(),
            smtpd,
            process: None,
            folder,
        };
        server.configure();
        server.resume();
        Some(server)
    }

    /// Starts it again on the same ports after [`SmtpServer::stop`].
    pub fn resume(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c"]).arg(
            "mkdir -p /var/spool/smtpd && mount --bind \"$1\" /var/spool/smtpd && \
             mount --bind \"$2\" /run && exec \"$3\" -d -f \"$4\"",
        );
        command.arg("smtpd").arg(at("spool")).arg(at("run"));
        command.arg(&self.smtpd).arg(at("smtpd.conf"));
        let mut process = Counterpart::start(&mut command, &at("log"));
        process.wait_until_it_listens(self.port);
        self.process = Some(process);
    }

    /// Stops it; what it delivered stays.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop();
        }
    }

    /// Every delivered message as it lies in the mailbox, in no order.
    pub fn mails(&self) -> Vec<String> {
        let new = self.folder.path().join("mail/new");
        let Ok(listed) = std::fs::read_dir(new) else {
            return Vec::new();
        };
        listed
            .map(|entry| {
                let raw = std::fs::read(entry.unwrap().path()).unwrap();
                String::from_utf8_lossy(&raw).into_owned()
            })
            .collect()
    }

    /// Waits until there are at least `count` messages and returns them.
    pub fn wait_for_mails(&self, count: usize) -> Vec<String> {
        wait_for(&format!("{count} mails"), || {
            let mails = self.mails();
            (mails.len() >= count).then_some(mails)
        })
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn configure(&self) {
        let at = |name: &str| self.folder.path().join(name);
        let configuration = format!(
            "table people {{ ana = nobody, bob = nobody }}\n\
             listen on 127.0.0.1 port {port} hostname localhost\n\
             action \"in\" maildir \"{mail}\" virtual <people>\n\
             match from any for domain \"example.org\" action \"in\"\n",
            port = self.port,
            mail = at("mail").display(),
        );
        std::fs::write(at("smtpd.conf"), configuration).unwrap();
    }
}

/// The folders with the owners and modes that smtpd insists on.
fn prepare_folders(folder: &Path) {
    for (name, mode) in [
        (".", 0o755),
        ("spool", 0o711),
        ("run", 0o755),
        ("mail", 0o777),
    ] {
        let path = folder.join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// aiosmtpd with a script of faults, chosen by the recipient's name.
///
/// `greylisted` 450, `unknown` 550, `overquota` 452 after the text, `spam` 554 after the
/// text, `slow` never answers the text, `hangup` drops the line at the recipient, `lost`
/// drops it after the text, `leaving` 421, `talkative` 550 with a long and hostile text,
/// `signin` 530. The sender `banned@example.org` gets 550. Everybody else is accepted.
pub struct FaultySmtpServer {
    /// Port without TLS and without sign-in.
    pub port: u16,
    /// Port that asks for STARTTLS and a sign-in.
    pub starttls_port: u16,
    /// Port with TLS from the start that asks for a sign-in.
    pub tls_port: u16,
    /// What its certificate for `localhost` comes from.
    pub authority: Authority,
    process: Counterpart,
    _folder: TempDir,
}

impl FaultySmtpServer {
    /// Starts one; `None` where it cannot run, which was said loudly.
    pub fn start() -> Option<Self> {
        let install = "apt-get install -y python3-aiosmtpd";
        let python = counterpart("/usr/bin/python3", install)?;
        let importable = Command::new(&python)
            .args(["-c", "import aiosmtpd"])
            .output()
            .is_ok_and(|tried| tried.status.success());
        if !importable {
            skipped(&format!("Python's `aiosmtpd` is missing: {install}"));
            return None;
        }
        let folder = TempDir::new().unwrap();
        let authority = Authority::make(folder.path())?;
        let ports = [free_port(), free_port(), free_port()];
        let mut command = Command::new(python);
        command.args(["-u", "-c", include_str!("faulty_smtp_server.py")]);
        command.args(ports.map(|port| port.to_string()));
        command.arg(&authority.cert).arg(&authority.key);
        command.args([USERNAME, PASSWORD]);
        let mut process = Counterpart::start(&mut command, &folder.path().join("log"));
        for port in ports {
            process.wait_until_it_listens(port);
        }
        let [port, starttls_port, tls_port] = ports;
        Some(Self {
            port,
            starttls_port,
            tls_port,
            authority,
            process,
            _folder: folder,
        })
    }

    /// One line for each thing that happened: `connected`, `signed in PLAIN`,
    /// `accepted ADDRESS`.
    pub fn happened(&self) -> Vec<String> {
        self.process.said().lines().map(str::to_owned).collect()
    }
}

/// The account of a node at a server on loopback, without TLS.
pub fn account(port: u16) -> SmtpAccount {
    SmtpAccount {
        host: "127.0.0.1".to_owned(),
        port,
        tls: SmtpTls::None,
        username: None,
        password: None,
        from: "robotd <robotd@example.org>".to_owned(),
        reply_to: None,
        ca_file: None,
        timeout: Duration::from_secs(5),
    }
}
