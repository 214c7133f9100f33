//! A caller of a node: one connection, one request at a time, as little work a request as can be.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::node::Node;

/// Media type of most bodies.
const JSON: &str = "application/json";

/// One caller.
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    bearer: HeaderValue,
    /// Drives the connection; ends with it.
    _connection: JoinSet<()>,
}

impl Client {
    /// Connects.
    pub(super) async fn connect(node: &Node) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&node.listen).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            if let Err(error) = connection.await {
                log::debug!("a connection ended: {error}");
            }
        });
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", node.token.expose_secret()))?;
        bearer.set_sensitive(true);
        Ok(Self {
            sender,
            host: HeaderValue::try_from(node.listen.as_str())?,
            bearer,
            _connection: driver,
        })
    }

    /// Sends a request to a path below `/api/v1`; the answer, if it is a 2xx.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        kind: &'static str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &self.bearer)
            .header(CONTENT_TYPE, HeaderValue::from_static(kind))
            .body(Full::new(body.into()))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body);
            anyhow::bail!("the node answered {status} to {path}: {text}");
        }
        Ok(body)
    }

    /// `POST`.
    pub(super) async fn post(
        &mut self,
        path: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Bytes> {
        self.send(Method::POST, path, JSON, body).await
    }

    /// `GET`, as JSON.
    pub(super) async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        let body = self.send(Method::GET, path, JSON, Bytes::new()).await?;
        serde_json::from_slice(&body).context("failed to read an answer")
    }

    /// Switches a robot on or off.
    pub(super) async fn enable(&mut self, robot: &str, enabled: bool) -> anyhow::Result<()> {
        let patch = serde_json::json!({"enabled": enabled}).to_string();
        self.send(Method::PATCH, &format!("/robots/{robot}"), JSON, patch)
            .await
            .map(drop)
    }
}
