//! A node without a port: store, runtime and the API's table in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::support::safe;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode};
use actix_web::test::TestRequest;
use actix_web::{App, body, test, web};
use async_trait::async_trait;
use futures_util::future::LocalBoxFuture;
use robotd::api::{self, ApiState};
use robotd::clock::{Clock, SystemClock};
use robotd::domain::access::{Role, token_hash, token_text};
use robotd::domain::category::Category;
use robotd::domain::robot::{FieldError, Sharding};
use robotd::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use robotd::runtime::Terms;
use robotd::runtime::start::{Runtime, RuntimeConfig, start};
use robotd::store::upkeep::Retention;
use robotd::store::{Store, StoreConfig};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A robot that does nothing and is done.
pub const IDLE: &str = "custom.idle";
/// A robot that runs until it is cancelled.
pub const WAITER: &str = "custom.waiter";

struct Idle;

#[async_trait]
impl Robot for Idle {
    fn definition(&self) -> Result<Definition, FieldError> {
        let spec = RobotSpec {
            name: IDLE,
            title: "Idle",
            category: Category::Custom,
            summary: "Does nothing",
            events: &["test.woken", "device.created"],
            sharding: Sharding::Sharded,
            coalesce_events: false,
            ..RobotSpec::DEFAULT
        };
        spec.definition()
    }

    async fn run(&self, _: &Context) -> Result<Outcome, RobotError> {
        Ok(Outcome::counted("things", 1))
    }
}

struct Waiter;

#[async_trait]
impl Robot for Waiter {
    fn definition(&self) -> Result<Definition, FieldError> {
        let spec = RobotSpec {
            name: WAITER,
            title: "Waiter",
            category: Category::Custom,
            summary: "Waits to be cancelled",
            ..RobotSpec::DEFAULT
        };
        spec.definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        ctx.info("=waiting");
        ctx.cancelled().cancelled().await;
        Ok(Outcome::done())
    }
}

type Call = Box<dyn Fn(TestRequest) -> LocalBoxFuture<'static, Answer>>;

/// The API of a node under test.
pub struct Api {
    pub store: Store,
    pub state: ApiState,
    tokens: [String; 3],
    call: Call,
    runtime: Option<Runtime>,
    dir: TempDir,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: web::Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The names of the bad fields of a problem, after checking that it is a whole one.
    pub fn problem(&self, status: u16, kind: &str) -> Vec<String> {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let json = self.json();
        assert_eq!(json["type"], format!("urn:robotd:problem:{kind}"), "{json}");
        assert_eq!(json["status"], status);
        assert!(
            json["title"].is_string() && json["detail"].is_string(),
            "{json}"
        );
        let errors = json["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A time no test waits for in full: two busy cores run the whole suite.
pub const PATIENCE: Duration = Duration::from_secs(30);

impl Api {
    /// A node with two robots and a token of each role.
    pub async fn start() -> Self {
        Self::start_with(Vec::new()).await
    }

    /// The same with more robots.
    pub async fn start_with(mut robots: Vec<Arc<dyn Robot>>) -> Self {
        robots.extend([Arc::new(Idle) as Arc<dyn Robot>, Arc::new(Waiter)]);
        let dir = tempfile::Builder::new()
            .prefix("robotd-api-")
            .tempdir()
            .unwrap();
        let path = dir.path().join("robotd.db");
        let store = Store::open(StoreConfig::Sqlite { path }).await.unwrap();
        let day = Duration::from_secs(86_400);
        let safe = safe(&store, dir.path()).await;
        let runtime = start(RuntimeConfig {
            store: store.clone(),
            safe: safe.clone(),
            clock: Arc::new(SystemClock),
            robots,
            node_name: "test".to_owned(),
            data_dir: dir.path().to_owned(),
            mail: None,
            broker: None,
            syslog: None,
            retention: Retention {
                tasks: day,
                events: day,
                ticks: day,
                views: day,
            },
            terms: Terms::default(),
            job_threads: 2,
        })
        .await
        .unwrap();
        let tokens = tokens(&store).await;
        let state = ApiState::new(
            store.clone(),
            safe,
            runtime.handle().clone(),
            Arc::new(SystemClock),
            CancellationToken::new(),
        );
        let call = calls(state.clone()).await;
        let api = Self {
            store,
            state,
            tokens,
            call,
            runtime: Some(runtime),
            dir,
        };
        api.until("/health", |health| health["status"] == "ok")
            .await;
        api
    }

    /// The token of a role.
    pub fn token(&self, role: Role) -> &str {
        &self.tokens[role as usize]
    }

    /// Sends a request as it is, from another machine.
    pub async fn send(&self, request: TestRequest) -> Answer {
        self.send_from(SocketAddr::from(([192, 0, 2, 1], 1234)), request)
            .await
    }

    /// Sends a request as it is, from `peer`.
    pub async fn send_from(&self, peer: SocketAddr, request: TestRequest) -> Answer {
        (self.call)(request.peer_addr(peer)).await
    }

    /// Sends a request with the admin's token.
    pub async fn admin(&self, request: TestRequest) -> Answer {
        self.send(request.insert_header((
            "authorization",
            format!("Bearer {}", self.token(Role::Admin)),
        )))
        .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.admin(TestRequest::get().uri(path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.admin(TestRequest::post().uri(path).set_json(body))
            .await
    }

    /// Sends bytes of any type with any method.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: impl Into<web::Bytes>,
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = TestRequest::with_uri(path)
            .method(method)
            .set_payload(body.into());
        self.admin(if media.is_empty() {
            request
        } else {
            request.insert_header(("content-type", media))
        })
        .await
    }

    /// Changes the database beside the node, as an attacker would.
    pub fn sql(&self, text: &str) {
        use diesel::connection::SimpleConnection as _;
        let path = self.dir.path().join("robotd.db");
        let mut conn =
            <diesel::SqliteConnection as diesel::Connection>::establish(path.to_str().unwrap())
                .unwrap();
        conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
        conn.batch_execute(text).unwrap();
    }

    /// Looks until the answer of `path` is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = async {
            loop {
                let json = self.get(path).await.json();
                if wanted(&json) {
                    return json;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look)
            .await
            .unwrap_or_else(|_| panic!("waited in vain at {path}"))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.stop();
        }
    }
}

async fn tokens(store: &Store) -> [String; 3] {
    let mut tokens = Vec::new();
    for (index, role) in [Role::Viewer, Role::Operator, Role::Admin]
        .into_iter()
        .enumerate()
    {
        let text = token_text([u8::try_from(index).unwrap() + 1; 32]);
        store
            .token_create(role.as_str(), role, token_hash(&text), SystemClock.now())
            .await
            .unwrap();
        tokens.push(text);
    }
    tokens.try_into().unwrap()
}

async fn calls(state: ApiState) -> Call {
    let app = App::new()
        .configure(|config| api::configure(config, state))
        .default_service(web::to(api::not_found));
    let service = std::rc::Rc::new(test::init_service(app).await);
    Box::new(move |request| {
        let service = std::rc::Rc::clone(&service);
        Box::pin(async move {
            match service.call(request.to_request()).await {
                Ok(response) => answer(response).await,
                Err(error) => {
                    let response = error.error_response();
                    let (status, headers) = (response.status(), response.headers().clone());
                    let bytes = body::to_bytes(response.into_body()).await.unwrap();
                    Answer {
                        status,
                        headers,
                        bytes,
                    }
                }
            }
        })
    })
}

async fn answer<B: body::MessageBody>(response: ServiceResponse<B>) -> Answer
where
    B::Error: std::fmt::Debug,
{
    let (status, headers) = (response.status(), response.headers().clone());
    // A stream does not end by itself; its first piece is enough.
    let streamed = headers
        .get("content-type")
        .is_some_and(|value| value == "text/event-stream");
    let bytes = if streamed {
        first(response.into_body()).await
    } else {
        body::to_bytes(response.into_body()).await.unwrap()
    };
    Answer {
        status,
        headers,
        bytes,
    }
}

async fn first<B: body::MessageBody>(body: B) -> web::Bytes
where
    B::Error: std::fmt::Debug,
{
    let mut body = std::pin::pin!(body);
    let pieces = async {
        // The first piece is a comment that keeps the line open.
        while let Some(piece) = std::future::poll_fn(|cx| body.as_mut().poll_next(cx)).await {
            let piece = piece.unwrap();
            if !piece.starts_with(b":") {
                return piece;
            }
        }
        web::Bytes::new()
    };
    tokio::time::timeout(PATIENCE, pieces).await.unwrap()
}
