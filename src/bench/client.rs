//! A caller of a node: one connection, one request at a time, as little work a request as can be.
//!
//! It shares the machine with what it measures. What a client library does beyond writing a request and reading an
//! answer would be counted as the node's.

use std::io::Write as _;

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::node::Node;

/// Media type of most bodies.
const JSON: &str = "application/json";
/// The longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// One caller.
pub(super) struct Client {
    stream: TcpStream,
    /// What every head says.
    head: SecretString,
    /// The request on its way out.
    request: Vec<u8>,
    /// What came in and was not read yet.
    received: BytesMut,
}

impl Client {
    /// Connects.
    pub(super) async fn connect(node: &Node) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&node.listen).await?;
        stream.set_nodelay(true)?;
        let (host, token) = (&node.listen, node.token.expose_secret());
        Ok(Self {
            stream,
            head: format!("HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}").into(),
            request: Vec::new(),
            received: BytesMut::new(),
        })
    }

    /// Sends a request to a path below `/api/v1`; the answer's body, if it is a 2xx.
    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        kind: &str,
        body: impl AsRef<[u8]>,
    ) -> anyhow::Result<Bytes> {
        let (head, body) = (self.head.expose_secret(), body.as_ref());
        let length = body.len();
        self.request.clear();
        write!(
            self.request,
            "{method} /api/v1{path} {head}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        )?;
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request).await?;
        let (status, length) = self.read_head().await?;
        while self.received.len() < length {
            self.read_more().await?;
        }
        let body = self.received.split_to(length).freeze();
        if !(200..300).contains(&status) {
            let text = String::from_utf8_lossy(&body);
            anyhow::bail!("the node answered {status} to {path}: {text}");
        }
        Ok(body)
    }

    /// Status and length of the body of the next answer, whose head is taken off.
    async fn read_head(&mut self) -> anyhow::Result<(u16, usize)> {
        const END: &[u8] = b"\r\n\r\n";
        let mut seen = 0;
        let end = loop {
            let new = self.received.get(seen..).unwrap_or_default();
            if let Some(at) = new.windows(END.len()).position(|bytes| bytes == END) {
                break seen + at + END.len();
            }
            anyhow::ensure!(self.received.len() < HEAD_BYTES_MAX, "an endless head");
            seen = self.received.len().saturating_sub(END.len() - 1);
            self.read_more().await?;
        };
        let head = self.received.split_to(end);
        read(std::str::from_utf8(&head)?)
    }

    async fn read_more(&mut self) -> anyhow::Result<()> {
        let count = self.stream.read_buf(&mut self.received).await?;
        anyhow::ensure!(count > 0, "the node closed a connection");
        Ok(())
    }

    /// `POST`.
    pub(super) async fn post(
        &mut self,
        path: &str,
        body: impl AsRef<[u8]>,
    ) -> anyhow::Result<Bytes> {
        self.send("POST", path, JSON, body).await
    }

    /// `GET`, as JSON.
    pub(super) async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        let body = self.send("GET", path, JSON, "").await?;
        serde_json::from_slice(&body).context("failed to read an answer")
    }

    /// Switches a robot on or off.
    pub(super) async fn enable(&mut self, robot: &str, enabled: bool) -> anyhow::Result<()> {
        let patch = serde_json::json!({"enabled": enabled}).to_string();
        self.send("PATCH", &format!("/robots/{robot}"), JSON, patch)
            .await
            .map(drop)
    }
}

/// Status and length of the body, as a head says. Bodies of a length that it does not say are not asked for.
fn read(head: &str) -> anyhow::Result<(u16, usize)> {
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
        .context("an answer without a status")?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .context("an answer that does not say its length")?;
    Ok((status, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_status_and_length() {
        let head = "HTTP/1.1 201 Created\r\nlocation: /a:b\r\nContent-LENGTH: 12\r\n\r\n";
        assert_eq!(read(head).unwrap(), (201, 12));
        for head in [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 2\r\ncontent-length: 1\r\n\r\n",
            "",
        ] {
            assert!(read(head).is_err(), "{head:?}");
        }
    }
}
