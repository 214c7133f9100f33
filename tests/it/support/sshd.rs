//! A machine of a test's own to sign in to: OpenSSH's server with accounts, PAM and sudo.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use robotd::connect::target::HostKey;
use tempfile::TempDir;

use super::counterpart::{Counterpart, counterpart, free_port, skipped};

const INSTALL: &str = "apt-get install -y openssh-server openssh-client sshpass sudo";

/// Locks an account after three wrong passwords, and changes a password that is at its end. A wrong one is refused at once:
/// nobody learns from the seconds that PAM would wait.
const PAM: &str = "\
auth required pam_faillock.so preauth nodelay deny=3 unlock_time=600
auth [success=1 default=ignore] pam_unix.so nodelay
auth [default=die] pam_faillock.so authfail nodelay deny=3 unlock_time=600
auth sufficient pam_faillock.so authsucc nodelay deny=3 unlock_time=600
auth required pam_deny.so
account required pam_unix.so
password required pam_unix.so obscure yescrypt
session required pam_permit.so
";

/// `sshd` on loopback in a mount namespace of its own.
///
/// Its `/etc` is a copy in memory, and its `/run` is empty: accounts, rules of sudo and locks of this machine
/// are its own, go with it, and are never those of the machine that runs the tests.
pub struct Sshd {
    /// Port of loopback.
    pub port: u16,
    process: Counterpart,
    folder: TempDir,
}

impl Sshd {
    /// Starts one that asks by `keyboard-interactive` and `password`; `None` where it cannot
    /// run, which was said loudly.
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// Starts one with more lines of configuration, which win.
    pub fn start_with(options: &str) -> Option<Self> {
        let sshd = counterpart("sshd", INSTALL)?;
        for program in ["ssh", "ssh-keygen", "sshpass", "sudo", "useradd"] {
            counterpart(program, INSTALL)?;
        }
        if !rustix::process::geteuid().is_root() {
            skipped("`sshd` with accounts of its own needs root: run the tests as root");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let port = free_port();
        prepare(folder.path(), port, options);
        let at = |name: &str| folder.path().join(name);
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c"]).arg(
            "mount -t tmpfs tmpfs \"$1\" && cp -a /etc/. \"$1\" && mount --move \"$1\" /etc && \
             cp \"$2\" /etc/pam.d/sshd && mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && \
             exec \"$3\" -D -e -f \"$4\"",
        );
        command.arg("sshd").arg(at("etc")).arg(at("pam")).arg(&sshd);
        command.arg(at("sshd_config"));
        let mut process = Counterpart::start(&mut command, &at("log"));
        process.wait_until_it_listens(port);
        Some(Self {
            port,
            process,
            folder,
        })
    }

    /// Makes an account with a password and a shell.
    pub fn add_account(&self, name: &str, password: &str) {
        let home = self.folder.path().join("home").join(name);
        let home = home.to_str().unwrap();
        self.must(&["useradd", "-m", "-d", home, "-s", "/bin/bash", name], "");
        self.set_password(name, password);
    }

    /// Sets a password behind everybody's back.
    pub fn set_password(&self, name: &str, password: &str) {
        self.must(&["chpasswd"], &format!("{name}:{password}\n"));
    }

    /// Lets an account run a command as root; `rule` is what stands behind the account's name.
    pub fn allow_sudo(&self, name: &str, rule: &str) {
        let path = format!("/etc/sudoers.d/{name}");
        let install = ["install", "-m", "440", "/dev/stdin", &path];
        self.must(&install, &format!("{name} {rule}\n"));
    }

    /// Makes a key pair that signs in as an account; answers the private key's text.
    pub fn add_key(&self, name: &str, kind: &[&str], passphrase: &str) -> String {
        let path = self.folder.path().join(format!("key-{name}"));
        make_key(&path, kind, passphrase);
        let public = std::fs::read(path.with_extension("pub")).unwrap();
        let authorized = self.folder.path().join("keys").join(name);
        std::fs::write(&authorized, public).unwrap();
        std::fs::read_to_string(&path).unwrap()
    }

    /// Makes a key pair that signs in by the account's own `~/.ssh/authorized_keys`, in a line with these options; answers the private
    /// key's text. The server must be started to look there.
    pub fn add_own_key(
        &self,
        name: &str,
        kind: &[&str],
        passphrase: &str,
        options: &str,
    ) -> String {
        let path = self.folder.path().join(format!("own-{name}"));
        make_key(&path, kind, passphrase);
        let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
        let file = self.own_keys(name);
        let folder = file.rsplit_once('/').unwrap().0;
        let owned = ["-o", name, "-g", name];
        let made = [&["install", "-d", "-m", "700"], &owned[..], &[folder]];
        self.must(&made.concat(), "");
        let written = [
            &["install", "-m", "640"],
            &owned[..],
            &["/dev/stdin", &file],
        ];
        let text = format!("# kept as it is: {public}\n{options} {public}");
        self.must(&written.concat(), &text);
        std::fs::read_to_string(&path).unwrap()
    }

    /// The path of an account's own `authorized_keys`.
    pub fn own_keys(&self, name: &str) -> String {
        let home = self.folder.path().join("home").join(name);
        home.join(".ssh/authorized_keys").display().to_string()
    }

    /// Runs a program as root on the machine; fails with what it said when it fails.
    pub fn must(&self, words: &[&str], input: &str) -> String {
        let ran = self.inside(words, input);
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{words:?}: {said}");
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    fn inside(&self, words: &[&str], input: &str) -> Output {
        let target = self.process.id().to_string();
        let mut child = Command::new("nsenter")
            .args(["--mount", "--target", &target, "--"])
            .args(words)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    /// The account's line of `/etc/shadow`, by which a test sees whether anything changed.
    pub fn shadow(&self, name: &str) -> String {
        let text = self.must(&["cat", "/etc/shadow"], "");
        let start = format!("{name}:");
        let line = text.lines().find(|line| line.starts_with(&start));
        line.unwrap().to_owned()
    }

    /// Puts a program of the test in place of one of the machine's.
    pub fn replace_program(&self, path: &str, script: &str) {
        let own = self.folder.path().join("program");
        std::fs::write(&own, script).unwrap();
        std::fs::set_permissions(&own, PermissionsExt::from_mode(0o755)).unwrap();
        self.must(&["mount", "--bind", own.to_str().unwrap(), path], "");
    }

    /// Whether OpenSSH's own client signs in by a password.
    pub fn lets_in(&self, name: &str, password: &str) -> bool {
        let ran = Command::new("sshpass")
            .args(["-e", "ssh", "-F", "none", "-p", &self.port.to_string()])
            .args(["-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "PubkeyAuthentication=no"])
            .args(["-o", "NumberOfPasswordPrompts=1"])
            .arg(format!("{name}@127.0.0.1"))
            .arg("true")
            .env("SSHPASS", password)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        ran.status.success()
    }

    /// A host key as `ssh-keygen` describes it.
    pub fn host_key(&self, kind: &str) -> HostKey {
        let path = self.folder.path().join(format!("host-{kind}.pub"));
        let text = std::fs::read_to_string(&path).unwrap();
        let listed = Command::new("ssh-keygen")
            .args(["-l", "-f"])
            .arg(&path)
            .output()
            .unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        HostKey {
            algorithm: text.split(' ').next().unwrap().to_owned(),
            fingerprint: listed.split(' ').nth(1).unwrap().to_owned(),
        }
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        self.process.said()
    }

    /// A file that an account may write to.
    pub fn open_file(&self, name: &str) -> PathBuf {
        self.folder.path().join("open").join(name)
    }
}

fn prepare(folder: &Path, port: u16, options: &str) {
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(folder.join("pam"), PAM).unwrap();
    for (name, mode) in [
        ("etc", 0o755),
        ("home", 0o755),
        ("keys", 0o755),
        ("open", 0o777),
    ] {
        let path = folder.join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let mut configuration = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nPidFile none\n{options}\nUsePAM yes\nStrictModes no\n\
         KbdInteractiveAuthentication yes\nPasswordAuthentication yes\n\
         PermitRootLogin prohibit-password\nAuthorizedKeysFile {folder}/keys/%u\n\
         LogLevel VERBOSE\nUseDNS no\nMaxStartups 100\n",
        folder = folder.display()
    );
    for kind in ["ed25519", "rsa", "ecdsa"] {
        let path = folder.join(format!("host-{kind}"));
        if kind == "rsa" {
            RSA_HOST_KEY.copy_to(&path);
        } else {
            make_key(&path, &["-t", kind], "");
        }
        configuration.push_str(&format!("HostKey {}\n", path.display()));
    }
    std::fs::write(folder.join("sshd_config"), configuration).unwrap();
}

/// The RSA host key of all machines here: finding the primes for each would take longer than most of what is tested.
static RSA_HOST_KEY: LazyLock<KeyPair> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key");
    make_key(&path, &["-t", "rsa", "-b", "2048"], "");
    KeyPair {
        private: std::fs::read(&path).unwrap(),
        public: std::fs::read(path.with_extension("pub")).unwrap(),
    }
});

struct KeyPair {
    private: Vec<u8>,
    public: Vec<u8>,
}

impl KeyPair {
    fn copy_to(&self, path: &Path) {
        std::fs::write(path, &self.private).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(path.with_extension("pub"), &self.public).unwrap();
    }
}

fn make_key(path: &Path, kind: &[&str], passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", passphrase])
        .args(kind)
        .arg("-f")
        .arg(path)
        .stdin(Stdio::null())
        .status();
    assert!(made.unwrap().success());
}
