//! A robotd process under test: started from the binary, spoken to over HTTP, killed as needed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long a node may take to become ready.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often a condition is looked at.
pub const POLL: Duration = Duration::from_millis(25);
/// How much later than promised a thing may be seen where all tests share two cores.
pub const BUSY: Duration = Duration::from_secs(4);

/// A data directory, its configuration, and the process that runs on them, if one does.
pub struct Node {
    dir: TempDir,
    port: u16,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    child: Option<Child>,
    client: Client,
}

impl Node {
    /// A node on SQLite with `toml` as its configuration; not started yet.
    pub fn new(toml: &str) -> Self {
        super::install_tls_provider();
        let dir = tempfile::Builder::new()
            .prefix("robotd-node-")
            .tempdir()
            .unwrap();
        fs::write(dir.path().join("robotd.toml"), toml).unwrap();
        let client = Client::builder()
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self {
            dir,
            port: free_port(),
            arguments: Vec::new(),
            variables: Vec::new(),
            child: None,
            client,
        }
    }

    /// The same on another database.
    pub fn on_database(mut self, url: &str) -> Self {
        self.arguments = vec!["--database-url".to_owned(), url.to_owned()];
        self
    }

    /// The same with more words on its command line.
    pub fn with_arguments(mut self, words: &[&str]) -> Self {
        self.arguments
            .extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Gives it the master key and the first token of another node, as many nodes on one database need them.
    pub fn keys_of(&self, other: &Self) {
        fs::create_dir_all(self.data_dir()).unwrap();
        for file in ["master.key", "admin.token"] {
            fs::copy(other.data_dir().join(file), self.data_dir().join(file)).unwrap();
        }
    }

    /// The same with a variable in its environment.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where its files are.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts the process and waits until it is ready.
    pub async fn start(&mut self) {
        self.spawn();
        self.ready().await;
    }

    /// Starts the process without waiting.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the node runs already");
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_robotd"))
            .arg("serve")
            .args(["--data-dir", self.data_dir().to_str().unwrap()])
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args([
                "--config",
                self.dir.path().join("robotd.toml").to_str().unwrap(),
            ])
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let told = self.dir.path().join("stdout");
        std::thread::spawn(move || {
            let mut text = String::new();
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                text.push_str(&line);
                text.push('\n');
                fs::write(&told, &text).unwrap();
            }
        });
        self.child = Some(child);
    }

    /// Waits until the node says that it is ready.
    pub async fn ready(&mut self) {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let url = format!("{}/health/ready", self.url());
            if self
                .client
                .get(&url)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return;
            }
            if let Some(status) = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().unwrap())
            {
                panic!("robotd ended with {status}:\n{}", self.log());
            }
            assert!(
                Instant::now() < deadline,
                "robotd was not ready in time:\n{}",
                self.log()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// What it printed on standard output.
    pub fn output(&self) -> String {
        fs::read_to_string(self.dir.path().join("stdout")).unwrap_or_default()
    }

    /// What it logged, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// A file beside the data directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The first admin token.
    pub fn token(&self) -> String {
        fs::read_to_string(self.data_dir().join("admin.token"))
            .unwrap()
            .trim()
            .to_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running node").id()
    }

    /// A request with the admin token to `/api/v1{path}`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/api/v1{path}", self.url()))
            .bearer_auth(self.token())
    }

    /// GET that must succeed.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "GET {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The items of all pages of a list, in its order.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let first = format!("{path}{separator}limit=500");
        let mut page = self.get(&first).await;
        let mut items = Vec::new();
        loop {
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(cursor) = page["next_cursor"].as_str() else {
                return items;
            };
            page = self.get(&format!("{first}&cursor={cursor}")).await;
        }
    }

    /// A request with a body that must succeed.
    pub async fn send(&self, method: Method, path: &str, body: Value) -> Value {
        let answer = self
            .request(method.clone(), path)
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(
            status.is_success(),
            "{method} {path} {body}: {status} {text}"
        );
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Polls `path` until `wanted` holds; answers the last answer.
    pub async fn until(
        &self,
        path: &str,
        limit: Duration,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + limit;
        loop {
            let value = self.get(path).await;
            if wanted(&value) {
                return value;
            }
            assert!(
                Instant::now() < deadline,
                "{path} stayed {value:#}\n{}",
                self.log()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// SIGKILL; waits for the end.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("a running node");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        let mut child = self.child.take().expect("a running node");
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() >= deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("robotd did not end within {limit:?}:\n{}", self.log());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// SIGTERM, and the drain.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.ended(Duration::from_secs(20)).await;
        assert!(
            status.success(),
            "{status} (signal {:?})\n{}",
            status.signal(),
            self.log()
        );
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            if std::thread::panicking() {
                eprintln!("log of the node:\n{}", last_lines(&self.log(), 60));
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Whether a process (not a zombie) of this command line part lives below `root`.
pub fn processes_matching(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line)
            .replace('\0', " ")
            .contains(text)
            && alive(&entry.path())
        {
            found.push(pid);
        }
    }
    found
}

fn alive(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim_start().starts_with('Z'))
}
