//! An ACME authority on loopback.

use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::authority::Authority;
use super::counterpart::{Counterpart, counterpart, free_port};

/// Pebble; it looks at once, and at a port of loopback instead of port 80.
pub struct Pebble {
    /// Where it looks for the answer to `http-01`.
    pub http_port: u16,
    /// Its directory.
    pub directory: String,
    /// Who vouches for its directory.
    pub authority: Authority,
    management: u16,
    process: Counterpart,
    _folder: TempDir,
}

impl Pebble {
    /// Starts one; `None` without `pebble`, which was said loudly.
    pub fn start() -> Option<Self> {
        let program = counterpart("pebble", "apt-get install -y pebble")?;
        let folder = TempDir::new().unwrap();
        let authority = Authority::make(folder.path())?;
        let [port, management, http_port, tls_port] = std::array::from_fn(|_| free_port());
        let configuration = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": authority.cert, "privateKey": authority.key, "httpPort": http_port, "tlsPort": tls_port,
            "ocspResponderURL": "", "externalAccountBindingRequired": false,
        }});
        let path = folder.path().join("pebble.json");
        std::fs::write(&path, configuration.to_string()).unwrap();
        let mut command = Command::new(program);
        command
            .arg("-config")
            .arg(path)
            .env("PEBBLE_VA_NOSLEEP", "1");
        let mut process = Counterpart::start(&mut command, &folder.path().join("log"));
        process.wait_until_it_listens(port);
        process.wait_until_it_listens(management);
        Some(Self {
            http_port,
            directory: format!("https://localhost:{port}/dir"),
            authority,
            management,
            process,
            _folder: folder,
        })
    }

    /// The root of what it issues: PEM.
    pub async fn root(&self) -> String {
        let url = format!("https://localhost:{}/roots/0", self.management);
        self.get(&url).await
    }

    /// What it says of a certificate with this serial number, in hexadecimal: JSON.
    pub async fn status(&self, serial: &str) -> String {
        let (port, path) = (self.management, "cert-status-by-serial");
        self.get(&format!("https://localhost:{port}/{path}/{serial}"))
            .await
    }

    /// What one of its addresses answers.
    pub async fn get(&self, url: &str) -> String {
        let ca = std::fs::read(&self.authority.ca).unwrap();
        let ca = reqwest::Certificate::from_pem(&ca).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy();
        let answer = client.build().unwrap().get(url).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        self.process.said()
    }
}
