//! A machine with a web server whose certificate lies in a folder with a link to the version in force.

use std::path::{Path, PathBuf};

use robotd::domain::time::Timestamp;

use super::certificates::Certificates;
use super::nginx::Nginx;
use super::sshd::Sshd;

/// What the web server's certificate is for.
pub const NAME: &str = "www.example.org";
/// The account that may publish there.
pub const ACCOUNT: &str = "deploy";

/// sshd with nginx beside it.
pub struct WebMachine {
    pub sshd: Sshd,
    pub nginx: Nginx,
    pub certificates: Certificates,
    /// The folder.
    pub directory: PathBuf,
    /// The certificate that is shown.
    pub pem: String,
}

impl WebMachine {
    /// Starts one whose certificate lives from and until then; the account has `password`. `None` where it cannot run, which
    /// was said loudly.
    pub fn start(life: (Timestamp, Timestamp), password: &str) -> Option<Self> {
        let sshd = Sshd::start()?;
        let certificates = Certificates::new()?;
        let pem = certificates.make(NAME, None, life);
        let directory = sshd.open_file("site");
        sshd.add_account(ACCOUNT, password);
        sshd.allow_sudo(ACCOUNT, "ALL=(root) NOPASSWD: /usr/sbin/nginx");
        lay_down(&sshd, &directory, &pem, &certificates.key(NAME));
        let nginx = Nginx::start(&directory)?;
        Some(Self {
            sshd,
            nginx,
            certificates,
            directory,
            pem,
        })
    }
}

/// The folder as somebody made it by hand, before robotd.
fn lay_down(sshd: &Sshd, directory: &Path, certificate: &str, key: &str) {
    let first = directory.join("by-hand");
    let path = first.to_str().unwrap();
    sshd.must(&["mkdir", "-p", path], "");
    std::fs::write(first.join("certificate.pem"), certificate).unwrap();
    std::fs::write(first.join("key.pem"), key).unwrap();
    let link = directory.join("current");
    sshd.must(&["ln", "-s", "by-hand", link.to_str().unwrap()], "");
    let owner = format!("{ACCOUNT}:");
    sshd.must(&["chown", "-R", &owner, directory.to_str().unwrap()], "");
}

/// Whether the files that the link leads to belong together.
pub fn is_one_pair(sshd: &Sshd, directory: &Path) -> bool {
    let public = |words: &[&str], file: &str| {
        let path = directory.join("current").join(file);
        let mut words = words.to_vec();
        words.push(path.to_str().unwrap());
        sshd.must(&words, "")
    };
    public(
        &["openssl", "x509", "-noout", "-pubkey", "-in"],
        "certificate.pem",
    ) == public(&["openssl", "pkey", "-pubout", "-in"], "key.pem")
}

/// A script in place of the command of a binding: where the file `hang` of its name is among the machine's open files it makes
/// `reached`, hangs as long as the other is there, and then fails; else it does what it stands for.
pub fn hanging(sshd: &Sshd, name: &str, command: &[String]) -> Vec<String> {
    let [path, flag, reached] =
        ["sh", "hang", "reached"].map(|end| sshd.open_file(&format!("{name}.{end}")));
    let script = format!(
        "if [ -e {flag} ]; then : >{reached}; while [ -e {flag} ]; do sleep 0.1; done; exit 1; fi; exec \"$@\"\n",
        flag = flag.display(),
        reached = reached.display(),
    );
    std::fs::write(&path, script).unwrap();
    let mut words = ["/bin/bash", path.to_str().unwrap()]
        .map(str::to_owned)
        .to_vec();
    words.extend(command.iter().cloned());
    words
}
