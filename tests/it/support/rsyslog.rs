//! A real syslog daemon on loopback.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::authority::Authority;
use super::counterpart::{Counterpart, counterpart, free_port, wait_for};

/// rsyslog with its own configuration; it writes every message as it came to one file.
///
/// Its queue is `direct`: a message is in the file before the next one is read, so that
/// what it has read survives its own sudden end.
pub struct Rsyslog {
    /// Port for datagrams.
    pub udp_port: u16,
    /// Port for octet counting.
    pub tcp_port: u16,
    /// Port for octet counting inside TLS.
    pub tls_port: u16,
    /// What its certificate for `localhost` comes from.
    pub authority: Authority,
    driver: &'static str,
    rsyslogd: PathBuf,
    process: Option<Counterpart>,
    folder: TempDir,
}

impl Rsyslog {
    /// Starts one with `GnuTLS`; `None` where it cannot run, which was said loudly.
    pub fn start() -> Option<Self> {
        Self::start_with("gtls")
    }

    /// Starts one with a TLS driver of rsyslog, `gtls` (`GnuTLS`) or `ossl` (OpenSSL).
    pub fn start_with(driver: &'static str) -> Option<Self> {
        let install = "apt-get install -y rsyslog rsyslog-gnutls rsyslog-openssl";
        let rsyslogd = counterpart("rsyslogd", install)?;
        let folder = TempDir::new().unwrap();
        let mut collector = Self {
            udp_port: free_port(),
            tcp_port: free_port(),
            tls_port: free_port(),
            authority: Authority::make(folder.path())?,
            driver,
            rsyslogd,
            process: None,
            folder,
        };
        collector.configure();
        collector.resume();
        Some(collector)
    }

    fn configure(&self) {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let configuration = format!(
            "global(workDirectory=\"{folder}\" maxMessageSize=\"16k\"\n\
             \x20 defaultNetstreamDriverCAFile=\"{ca}\" defaultNetstreamDriverCertFile=\"{cert}\"\n\
             \x20 defaultNetstreamDriverKeyFile=\"{key}\")\n\
             module(load=\"imudp\")\n\
             module(load=\"imtcp\")\n\
             template(name=\"raw\" type=\"string\" string=\"%rawmsg%\\n\")\n\
             template(name=\"parsed\" type=\"string\" string=\
             \"%pri%|%timereported:::date-rfc3339%|%hostname%|%app-name%|%procid%|%msgid%|%structured-data%|%msg%\\n\")\n\
             ruleset(name=\"all\" queue.type=\"direct\") {{\n\
             \x20 action(type=\"omfile\" file=\"{raw}\" template=\"raw\")\n\
             \x20 action(type=\"omfile\" file=\"{parsed}\" template=\"parsed\")\n\
             }}\n\
             input(type=\"imudp\" address=\"127.0.0.1\" port=\"{udp}\" ruleset=\"all\")\n\
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{tcp}\" ruleset=\"all\"\n\
             \x20 streamDriver.name=\"ptcp\" streamDriver.mode=\"0\")\n\
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{tls}\" ruleset=\"all\"\n\
             \x20 streamDriver.name=\"{driver}\" streamDriver.mode=\"1\" streamDriver.authMode=\"anon\")\n",
            driver = self.driver,
            folder = self.folder.path().display(),
            ca = self.authority.ca.display(),
            cert = self.authority.cert.display(),
            key = self.authority.key.display(),
            raw = at("raw.log"),
            parsed = at("parsed.log"),
            udp = self.udp_port,
            tcp = self.tcp_port,
            tls = self.tls_port,
        );
        std::fs::write(at("rsyslog.conf"), configuration).unwrap();
    }

    /// Starts it again on the same ports after [`Rsyslog::kill`].
    pub fn resume(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        // The killed one could not remove its own.
        let _absent = std::fs::remove_file(at("pid"));
        let mut command = Command::new(&self.rsyslogd);
        command.args(["-n", "-f"]).arg(at("rsyslog.conf"));
        command.arg("-i").arg(at("pid"));
        let mut process = Counterpart::start(&mut command, &at("log"));
        process.wait_until_it_listens(self.tcp_port);
        process.wait_until_it_listens(self.tls_port);
        self.process = Some(process);
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Stops it from doing anything until it is killed; its kernel goes on.
    pub fn pause(&self) {
        self.process.as_ref().unwrap().pause();
    }

    /// A target at one of its ports; `options` begin with `?` or are empty.
    pub fn target(&self, scheme: &str, options: &str) -> String {
        match scheme {
            "udp" => format!("udp://127.0.0.1:{}", self.udp_port),
            "tcp" => format!("tcp://127.0.0.1:{}{options}", self.tcp_port),
            _ => {
                let ca = self.authority.ca.display();
                let options = options.replace('?', "&");
                format!("tls://localhost:{}?ca={ca}{options}", self.tls_port)
            }
        }
    }

    /// What is in a file: `raw.log` has the messages as they came, `parsed.log` their parts.
    pub fn lines(&self, file: &str) -> Vec<String> {
        let bytes = std::fs::read(self.folder.path().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Waits until a file has at least `count` lines.
    pub fn wait_for_lines(&self, file: &str, count: usize) -> Vec<String> {
        wait_for(&format!("{count} lines in {file}"), || {
            let lines = self.lines(file);
            (lines.len() >= count).then_some(lines)
        })
    }

    /// From now on it only talks to those whose certificate its authority has signed.
    pub fn ask_for_certificates(&mut self) {
        let path = self.folder.path().join("rsyslog.conf");
        let anonymous = std::fs::read_to_string(&path).unwrap();
        let strict = anonymous.replace("\"anon\"", "\"x509/certvalid\"");
        std::fs::write(&path, strict).unwrap();
        self.kill();
        self.resume();
    }
}
