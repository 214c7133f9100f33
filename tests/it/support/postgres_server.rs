//! A PostgreSQL server of a test's own, to be stopped and started again.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::counterpart::{free_port, skipped};

/// A server on loopback with its data in a temporary folder; stopped when dropped.
pub struct PostgresServer {
    port: u16,
    programs: PathBuf,
    folder: TempDir,
}

impl PostgresServer {
    /// Makes and starts one; `None` where it cannot run, which was said loudly.
    pub fn start() -> Option<Self> {
        let server = Self::in_new_folder()?;
        let made = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ];
        server.must("initdb", &made);
        server.begin();
        Some(server)
    }

    /// A standby of this one, to which everything is written before it counts as written at all.
    pub async fn with_standby(&self) -> Self {
        let standby = Self::in_new_folder().unwrap();
        let from = self.url();
        let copied = ["--write-recovery-conf", "--checkpoint=fast", "--dbname"];
        let copied: Vec<_> = copied.into_iter().chain([from.as_str()]).collect();
        standby.must("pg_basebackup", &copied);
        standby.begin();
        let (client, connection) = tokio_postgres::connect(&from, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::runtime::Handle::current().spawn(connection);
        // Not in the file that the standby has a copy of: it is to need no standby of its own.
        let wait_for_it = "ALTER SYSTEM SET synchronous_standby_names = '*'";
        client.batch_execute(wait_for_it).await.unwrap();
        client
            .batch_execute("SELECT pg_reload_conf()")
            .await
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let waited_for = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
        while client.query(waited_for, &[]).await.unwrap().is_empty() {
            assert!(Instant::now() < deadline, "{}", standby.log());
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        standby
    }

    /// A standby takes its primary's place.
    pub fn promote(&self) {
        self.must("pg_ctl", &["promote", "--wait"]);
    }

    fn in_new_folder() -> Option<Self> {
        let Some(programs) = programs() else {
            skipped("`initdb` is missing: apt-get install -y postgresql");
            return None;
        };
        let folder = TempDir::new().unwrap();
        // The server's user must be able to pass through.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        Some(Self {
            port: free_port(),
            programs,
            folder,
        })
    }

    /// Gives it its place and starts it.
    fn begin(&self) {
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\n",
            self.port,
            self.data().display(),
        );
        let path = self.data().join("postgresql.conf");
        let defaults = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, defaults + &settings).unwrap();
        self.resume();
    }

    /// Starts one that asks everybody but its administrator for a password, with these roles and their password.
    pub async fn start_with_roles(roles: &[String], password: &str) -> Option<Self> {
        let server = Self::start()?;
        let rules =
            "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        server.reconfigure("", rules, &[]);
        let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::runtime::Handle::current().spawn(connection);
        for role in roles {
            let made = format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'");
            client.batch_execute(&made).await.unwrap();
        }
        Some(server)
    }

    /// What a client connects to; the server asks for no password.
    pub fn url(&self) -> String {
        self.url_with(&[])
    }

    /// What a client connects to that goes to whichever of these servers takes changes.
    pub fn url_with(&self, others: &[&Self]) -> String {
        let all = std::iter::once(self).chain(others.iter().copied());
        let places: Vec<_> = all.map(|one| format!("127.0.0.1:{}", one.port)).collect();
        format!("postgres://postgres@{}/postgres", places.join(","))
    }

    /// Ends it at once, as a crash would.
    pub fn crash(&self) {
        self.must("pg_ctl", &["stop", "--mode=immediate", "--wait"]);
    }

    /// Starts it again, and waits until it takes connections.
    pub fn resume(&self) {
        let log = self.data().join("server.log");
        self.must(
            "pg_ctl",
            &["start", "--wait", "--log", log.to_str().unwrap()],
        );
    }

    /// Port of loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds settings, puts other rules of who may sign in how in place, gives it files, and
    /// starts it again.
    pub fn reconfigure(&self, settings: &str, rules: &str, files: &[(&str, &Path)]) {
        self.crash();
        let path = self.data().join("postgresql.conf");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, before + settings).unwrap();
        std::fs::write(self.data().join("pg_hba.conf"), rules).unwrap();
        for (name, from) in files {
            let copy = self.data().join(name);
            std::fs::copy(from, &copy).unwrap();
            // The server insists on a key that is its own and nobody else's.
            std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o600)).unwrap();
            let owner = std::fs::metadata(self.data()).unwrap();
            std::os::unix::fs::chown(&copy, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        self.resume();
    }

    /// Whether PostgreSQL's own client signs in by a password.
    pub fn lets_in(&self, role: &str, password: &str) -> bool {
        let ran = Command::new(self.program("psql"))
            .args(["-X", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-d", "postgres", "-c", "SELECT 1", "-w", "-U", role])
            .env("PGPASSWORD", password)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        ran.status.success()
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.data().join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// One of its programs. A version's own folder may lack those that clients have too.
    fn program(&self, name: &str) -> PathBuf {
        let beside = self.programs.join(name);
        if beside.is_file() {
            beside
        } else {
            name.into()
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn must(&self, program: &str, arguments: &[&str]) {
        // To a file: the server itself inherits the output and would keep a pipe open.
        let told = self.folder.path().join("told");
        let output = std::fs::File::create(&told).unwrap();
        let status = as_server_user(&self.program(program))
            .arg("--pgdata")
            .arg(self.data())
            .args(arguments)
            .current_dir("/")
            .stdin(std::process::Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .status()
            .unwrap();
        assert!(
            status.success(),
            "{program} {arguments:?}: {}",
            std::fs::read_to_string(&told).unwrap()
        );
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.crash();
        }
    }
}

/// The server refuses to run as root.
fn as_server_user(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

/// The folder of the newest server's programs; Debian keeps them out of the path.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut found: Vec<_> = versions
        .filter_map(Result::ok)
        .map(|version| version.path().join("bin"))
        .collect();
    found.sort();
    found.extend(["/usr/local/bin", "/usr/bin"].map(PathBuf::from));
    found
        .into_iter()
        .rev()
        .find(|folder| folder.join("initdb").is_file())
}
