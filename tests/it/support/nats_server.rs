//! A real NATS server with JetStream on loopback.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{ConnectOptions, HeaderMap};
use tempfile::TempDir;

use super::authority::Authority;
use super::counterpart::{Counterpart, PATIENCE, counterpart, free_port};
use super::node::POLL;

/// Who may sign in where [`NatsServer::start_guarded`] was called.
pub const USER: &str = "robotd";
/// By this password.
pub const PASSWORD: &str = "open-sesame-4222";

/// nats-server with streams in its own folder, which outlive it.
pub struct NatsServer {
    /// Where it listens.
    pub port: u16,
    /// What its certificate comes from, where it has one.
    pub authority: Option<Authority>,
    program: PathBuf,
    process: Option<Counterpart>,
    folder: TempDir,
}

impl NatsServer {
    /// Starts one that anybody on this machine may use; `None` where it cannot run, which was said loudly.
    pub fn start() -> Option<Self> {
        Self::start_with(false)
    }

    /// Starts one that asks for TLS and [`PASSWORD`].
    pub fn start_guarded() -> Option<Self> {
        Self::start_with(true)
    }

    fn start_with(guarded: bool) -> Option<Self> {
        super::install_tls_provider();
        let program = counterpart("nats-server", "apt-get install -y nats-server")?;
        let folder = TempDir::new().unwrap();
        let authority = match guarded {
            true => Some(Authority::make(folder.path())?),
            false => None,
        };
        let mut server = Self {
            port: free_port(),
            authority,
            program,
            process: None,
            folder,
        };
        server.configure();
        server.resume();
        Some(server)
    }

    fn configure(&self) {
        let mut text = format!(
            "listen: \"127.0.0.1:{}\"\njetstream {{ store_dir: \"{}\", max_file_store: 2GB }}\n",
            self.port,
            self.folder.path().join("streams").display()
        );
        if let Some(authority) = &self.authority {
            text += &format!(
                "tls {{ cert_file: \"{}\", key_file: \"{}\" }}\n\
                 authorization {{ user: \"{USER}\", password: \"{PASSWORD}\" }}\n",
                authority.cert.display(),
                authority.key.display()
            );
        }
        std::fs::write(self.folder.path().join("nats.conf"), text).unwrap();
    }

    /// Starts it again on the same port and with the same streams after [`NatsServer::kill`].
    pub fn resume(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.folder.path().join("nats.conf"));
        let mut process = Counterpart::start(&mut command, &self.folder.path().join("log"));
        process.wait_until_it_listens(self.port);
        self.process = Some(process);
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Its address for robotd.
    pub fn url(&self) -> String {
        match self.authority {
            Some(_) => format!("tls://localhost:{}", self.port),
            None => format!("nats://127.0.0.1:{}", self.port),
        }
    }

    /// A client beside robotd, which comes back after a restart of the server.
    pub async fn client(&self) -> jetstream::Context {
        let mut options = ConnectOptions::new().retry_on_initial_connect();
        if let Some(authority) = &self.authority {
            options = options
                .add_root_certificates(authority.ca.clone())
                .user_and_password(USER.to_owned(), PASSWORD.to_owned());
        }
        let client = options.connect(self.url()).await.unwrap();
        ContextBuilder::new()
            .timeout(Duration::from_secs(2))
            .build(client)
    }
}

/// Publishes until the stream has it; answers how often that was tried.
pub async fn publish(
    context: &jetstream::Context,
    subject: &str,
    headers: &[(&str, &str)],
    payload: &[u8],
) -> usize {
    let deadline = Instant::now() + PATIENCE * 2;
    let mut tries = 0;
    loop {
        tries += 1;
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, *value);
        }
        let sent = context.publish_with_headers(subject.to_owned(), map, payload.to_vec().into());
        let heard = match sent.await {
            Ok(acknowledged) => acknowledged.await.map(drop),
            Err(error) => Err(error),
        };
        let Err(error) = heard else { return tries };
        assert!(
            Instant::now() < deadline,
            "{subject} does not take it: {error}"
        );
        tokio::time::sleep(POLL).await;
    }
}
