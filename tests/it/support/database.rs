//! A fresh database of each kind for one test. A file goes with its test; what is on the PostgreSQL server goes with the
//! server, because there a `DROP DATABASE` flushes what all other tests wrote.

use std::io::BufReader;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use robotd::store::transfer::Incoming;
use robotd::store::{Store, StoreConfig};
use tokio::sync::OnceCell;

use crate::store::make::{at, ground, success, task};

/// Where the administrator of a PostgreSQL server is reached, e.g. `postgres://postgres@127.0.0.1:5432/postgres`.
const POSTGRES_URL: &str = "ROBOTD_TEST_POSTGRES_URL";

/// Connections of one test's store: two writers at the least, and a reader.
const CONNECTIONS: u32 = 4;

/// A database and the store on it.
pub struct Database {
    /// `sqlite` or `postgres`, for messages.
    pub name: &'static str,
    /// The store, open.
    pub store: Store,
    /// What opens it once more.
    pub config: StoreConfig,
    place: Place,
}

enum Place {
    Sqlite { _folder: tempfile::TempDir },
    Postgres { url: String },
}

/// A fresh database of each kind. Without a PostgreSQL server the SQLite half runs, and says so;
/// with CI=true that is a failure.
pub async fn databases() -> Vec<Database> {
    let mut all = vec![Database::sqlite().await];
    all.extend(Database::postgres().await);
    all
}

impl Database {
    /// A fresh file.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig::Sqlite {
            path: folder.path().join("robotd.db"),
        };
        let store = Store::open(config.clone()).await.unwrap();
        Self {
            name: "sqlite",
            store,
            config,
            place: Place::Sqlite { _folder: folder },
        }
    }

    /// A fresh database on the server; `None`, said loudly, where there is no server.
    pub async fn postgres() -> Option<Self> {
        let admin = admin_url()?;
        Some(Self::copy_of(&admin, template(&admin).await).await)
    }

    /// A database on the server that was an SQLite file: exported from there and imported. Nothing is in it but what was
    /// given out and is gone.
    pub async fn moved() -> Option<Self> {
        let admin = admin_url()?;
        Some(Self::copy_of(&admin, moved_template(&admin).await).await)
    }

    async fn copy_of(admin: &str, template: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{template}_{count}");
        run(
            admin,
            &format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await;
        let url = with_database(admin, &name);
        let place = Place::Postgres { url: url.clone() };
        let config = StoreConfig::Postgres {
            url,
            connections: CONNECTIONS,
        };
        let store = Store::open(config.clone()).await.unwrap();
        Self {
            name: "postgres",
            store,
            config,
            place,
        }
    }

    /// What `--database-url` takes.
    pub fn url(&self) -> String {
        match &self.config {
            StoreConfig::Sqlite { path } => format!("sqlite://{}", path.display()),
            StoreConfig::Postgres { url, .. } => url.clone(),
        }
    }

    /// Another process's view of the same database.
    pub async fn open_again(&self) -> Store {
        Store::open(self.config.clone()).await.unwrap()
    }

    /// Runs SQL beside the store, as an administrator or an attacker would.
    pub async fn sql(&self, text: &str) {
        match &self.place {
            Place::Sqlite { .. } => self.file().batch_execute(text).unwrap(),
            Place::Postgres { url, .. } => run(url, text).await,
        }
    }

    /// The one number that a SELECT answers.
    pub async fn number(&self, select: &str) -> i64 {
        match &self.place {
            Place::Sqlite { .. } => {
                use diesel::RunQueryDsl as _;
                let select = diesel::dsl::sql::<diesel::sql_types::BigInt>(&format!("({select})"));
                diesel::select(select).get_result(&mut self.file()).unwrap()
            }
            Place::Postgres { url, .. } => client(url)
                .await
                .query_one(&format!("SELECT ({select})::bigint"), &[])
                .await
                .unwrap()
                .get(0),
        }
    }

    /// A session that keeps what it has locked until it is dropped (PostgreSQL).
    pub async fn session(&self) -> tokio_postgres::Client {
        match &self.place {
            Place::Sqlite { .. } => panic!("PostgreSQL only"),
            Place::Postgres { url, .. } => client(url).await,
        }
    }

    fn file(&self) -> diesel::SqliteConnection {
        let StoreConfig::Sqlite { path } = &self.config else {
            panic!("SQLite only")
        };
        let mut conn = diesel::SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
        conn
    }
}

/// The administrator's URL; `None`, with a warning, where there is no server.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests have no configuration but their environment"
)]
fn admin_url() -> Option<String> {
    static WARNING: Once = Once::new();
    let url = std::env::var(POSTGRES_URL).ok();
    if url.is_none() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "{POSTGRES_URL} is not set: with CI=true the PostgreSQL half must run"
        );
        WARNING.call_once(|| eprintln!("=== SKIPPED on PostgreSQL: {POSTGRES_URL} is not set ==="));
    }
    url
}

/// The name of the database that the others are copies of: its tables take longer to make than to copy.
async fn template(admin: &str) -> &'static str {
    static MADE: OnceCell<String> = OnceCell::const_new();
    let make = || async {
        let name = format!("robotd_test_{}", std::process::id());
        run(admin, &format!("CREATE DATABASE {name}")).await;
        drop(open_to_fill(admin, &name).await);
        close(admin, &name).await;
        name
    };
    MADE.get_or_init(make).await
}

/// The same of those that came from SQLite.
async fn moved_template(admin: &str) -> &'static str {
    static MADE: OnceCell<String> = OnceCell::const_new();
    let make = || async {
        let template = template(admin).await;
        let name = format!("{template}_moved");
        run(
            admin,
            &format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await;
        let from = Database::sqlite().await;
        used_and_empty(&from).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        let out = Box::new(file.reopen().unwrap());
        from.store.export(out, at(0)).await.unwrap();
        let incoming = Box::new(BufReader::new(file.reopen().unwrap()));
        let to = open_to_fill(admin, &name).await;
        to.import(Incoming::open(incoming).unwrap()).await.unwrap();
        drop(to);
        close(admin, &name).await;
        name
    };
    MADE.get_or_init(make).await
}

/// Work is done and removed, long before the tests' own time: ids and numbers go on from there.
async fn used_and_empty(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let added = store.task_add(vec![task(robots[0]); 3], at(-100_000)).await;
    added.unwrap();
    let claims = vec![(robots[0], 2)];
    let claimed = store.task_claim(node, claims, at(-99_999)).await.unwrap();
    let ends = claimed.iter().map(|run| success(run, -99_998)).collect();
    store.task_complete(ends).await.unwrap();
    for table in [
        "tasks",
        "tasks_done",
        "processes",
        "claims",
        "leadership",
        "nodes",
        "robots",
    ] {
        database.sql(&format!("DELETE FROM {table}")).await;
    }
}

async fn open_to_fill(admin: &str, name: &str) -> Store {
    let config = StoreConfig::Postgres {
        url: with_database(admin, name),
        connections: 2,
    };
    Store::open(config).await.unwrap()
}

/// A database that somebody is connected to is not copied.
async fn close(admin: &str, name: &str) {
    run(
        admin,
        &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
    )
    .await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname";
    run(admin, &format!("{end} = '{name}'")).await;
}

/// `url` with another database in it.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = match url.split_once('?') {
        Some((base, query)) => (base, format!("?{query}")),
        None => (url, String::new()),
    };
    let server = base.rsplit_once('/').map_or(base, |(server, _)| server);
    format!("{server}/{name}{query}")
}

async fn client(url: &str) -> tokio_postgres::Client {
    let base = url.split_once('?').map_or(url, |(base, _)| base);
    let (client, connection) = tokio_postgres::connect(base, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::runtime::Handle::current().spawn(connection);
    client
}

async fn run(url: &str, text: &str) {
    client(url).await.batch_execute(text).await.unwrap();
}

/// Makes a test of each database out of `async fn case(database: &Database)`.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&crate::support::database::Database::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $case() {
                if let Some(database) = crate::support::database::Database::postgres().await {
                    super::$case(&database).await;
                }
            })*
        }
    };
}
pub(crate) use on_both;

/// The same, and once more on a database that was moved from one to the other.
macro_rules! on_all {
    ($($case:ident),* $(,)?) => {
        crate::support::database::on_both!($($case),*);
        mod moved {
            $(#[tokio::test]
            async fn $case() {
                if let Some(database) = crate::support::database::Database::moved().await {
                    super::$case(&database).await;
                }
            })*
        }
    };
}
pub(crate) use on_all;
