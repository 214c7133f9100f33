//! A PostgreSQL server of a test's own, to be stopped and started again.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

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
        let Some(programs) = programs() else {
            skipped("`initdb` is missing: apt-get install -y postgresql");
            return None;
        };
        let folder = TempDir::new().unwrap();
        // The server's user must be able to pass through.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let server = Self {
            port: free_port(),
            programs,
            folder,
        };
        let made = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ];
        server.must("initdb", &made);
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\n",
            server.port,
            server.data().display(),
        );
        let path = server.data().join("postgresql.conf");
        let defaults = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, defaults + &settings).unwrap();
        server.resume();
        Some(server)
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
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
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
        // A version's own programs may have no client among them.
        let beside = self.programs.join("psql");
        let program = if beside.is_file() {
            beside
        } else {
            "psql".into()
        };
        let ran = Command::new(program)
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

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn must(&self, program: &str, arguments: &[&str]) {
        // To a file: the server itself inherits the output and would keep a pipe open.
        let told = self.folder.path().join("told");
        let output = std::fs::File::create(&told).unwrap();
        let status = as_server_user(&self.programs.join(program))
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
