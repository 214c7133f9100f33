//! A web server with TLS: one that shows the certificate it finds in a folder, or one before a node.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::authority::Authority;
use super::counterpart::{Counterpart, counterpart, free_port};

/// nginx with its own prefix, on loopback.
pub struct Nginx {
    /// Port of loopback.
    pub port: u16,
    program: PathBuf,
    _process: Counterpart,
    folder: TempDir,
}

impl Nginx {
    /// Starts one that shows `directory/current/certificate.pem`; `None` without `nginx`.
    pub fn start(directory: &Path) -> Option<Self> {
        let current = directory.join("current");
        let pair = [current.join("certificate.pem"), current.join("key.pem")];
        Self::serve(&pair, "return 204;")
    }

    /// Starts one that does what `answer` says, in its own words, as `https://localhost`; `None` without `nginx`.
    pub fn before(authority: &Authority, answer: &str) -> Option<Self> {
        Self::serve(&[authority.cert.clone(), authority.key.clone()], answer)
    }

    fn serve(pair: &[PathBuf; 2], answer: &str) -> Option<Self> {
        let program = counterpart("nginx", "apt-get install -y nginx")?;
        let folder = TempDir::new().unwrap();
        let port = free_port();
        std::fs::write(
            folder.path().join("nginx.conf"),
            configuration(folder.path(), pair, port, answer),
        )
        .unwrap();
        let mut command = Command::new(&program);
        command.args(arguments(folder.path()));
        let mut process = Counterpart::start(&mut command, &folder.path().join("log"));
        process.wait_until_it_listens(port);
        Some(Self {
            port,
            program,
            _process: process,
            folder,
        })
    }

    /// The command that has it do something, as an account that may run it under sudo.
    pub fn command(&self, action: &[&str]) -> Vec<String> {
        let program = self.program.to_str().unwrap();
        let words = ["/usr/bin/sudo", "-n", program].map(str::to_owned);
        let action = action.iter().map(|word| (*word).to_owned());
        words
            .into_iter()
            .chain(arguments(self.folder.path()))
            .chain(action)
            .collect()
    }

    /// Makes its configuration unreadable; it goes on with the one it has.
    pub fn spoil(&self) {
        let path = self.folder.path().join("nginx.conf");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}nonsense;\n")).unwrap();
    }

    /// Makes it readable again.
    pub fn mend(&self) {
        let path = self.folder.path().join("nginx.conf");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("nonsense;\n", "")).unwrap();
    }

    /// The serial number of what it shows, in small hexadecimal digits, as OpenSSL's client sees it; one that reloads may cut the
    /// first connection.
    pub fn serial(&self) -> String {
        let shown = (0..3).map(|_| self.shown());
        let mut shown = shown.skip_while(String::is_empty);
        shown.next().unwrap_or_default()
    }

    fn shown(&self) -> String {
        let shown = Command::new("sh")
            .args(["-c", "openssl s_client -connect \"$1\" -servername www.example.org </dev/null 2>/dev/null | openssl x509 -noout -serial", "sh"])
            .arg(format!("127.0.0.1:{}", self.port))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(shown.stdout).unwrap();
        let serial = said.trim().strip_prefix("serial=").unwrap_or(&said);
        serial.to_ascii_lowercase()
    }
}

fn arguments(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    ["-p", folder, "-c", "nginx.conf"]
        .map(str::to_owned)
        .to_vec()
}

fn configuration(folder: &Path, pair: &[PathBuf; 2], port: u16, answer: &str) -> String {
    let folder = folder.display();
    let [certificate, key] = pair.each_ref().map(|path| path.display());
    format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error;\nevents {{}}\n\
         http {{\n  access_log off;\n  client_body_temp_path {folder}/body;\n  proxy_temp_path {folder}/proxy;\n\
         fastcgi_temp_path {folder}/fastcgi;\n  uwsgi_temp_path {folder}/uwsgi;\n  scgi_temp_path {folder}/scgi;\n\
         server {{\n    listen 127.0.0.1:{port} ssl;\n    ssl_certificate {certificate};\n\
         ssl_certificate_key {key};\n    {answer}\n  }}\n}}\n"
    )
}
