//! A caller of a node: one connection, one request at a time, as little work a request as can be.
//!
//! It shares the machine with what it measures. What a client library does beyond writing a request and reading an
//! answer would be counted as the node's.

use std::io::Write as _;

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::node::Node;

/// Media type of most bodies.
const JSON: &str = "application/json";
/// Media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";
/// The longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// One caller.
pub(super) struct Client {
    stream: TcpStream,
    /// What stands before every path.
    base: &'static str,
    /// What every head says.
    head: SecretString,
    /// The request on its way out.
    request: Vec<u8>,
    /// What came in and was not read yet.
    received: BytesMut,
}

impl Client {
    /// Connects as a program: its paths are those below `/api/v1`.
    pub(super) async fn connect(node: &Node) -> anyhow::Result<Self> {
        let token = node.token.expose_secret();
        Self::open(node, "/api/v1", &format!("Authorization: Bearer {token}")).await
    }

    /// Connects as a person and signs in to the panel: its paths are those of pages.
    pub(super) async fn visit(node: &Node) -> anyhow::Result<Self> {
        let mut stranger = Self::open(node, "", "Accept: text/html").await?;
        let form = Zeroizing::new(format!("token={}", node.token.expose_secret()));
        let (answer, _) = stranger
            .exchange("POST", "/sign-in", FORM, form.as_bytes())
            .await?;
        let session = answer.session.context("signing in began no session")?;
        let session = session.expose_secret();
        Self::open(node, "", &format!("Accept: text/html\r\nCookie: {session}")).await
    }

    async fn open(node: &Node, base: &'static str, who: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&node.listen).await?;
        stream.set_nodelay(true)?;
        let host = &node.listen;
        Ok(Self {
            stream,
            base,
            head: format!("HTTP/1.1\r\nHost: {host}\r\n{who}").into(),
            request: Vec::new(),
            received: BytesMut::new(),
        })
    }

    /// Sends a request; the answer's body, if it is a 2xx.
    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        kind: &str,
        body: impl AsRef<[u8]>,
    ) -> anyhow::Result<Bytes> {
        let (answer, body) = self.exchange(method, path, kind, body.as_ref()).await?;
        if !(200..300).contains(&answer.status) {
            let (status, text) = (answer.status, String::from_utf8_lossy(&body));
            anyhow::bail!("the node answered {status} to {path}: {text}");
        }
        Ok(body)
    }

    async fn exchange(
        &mut self,
        method: &str,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> anyhow::Result<(Head, Bytes)> {
        let (base, head) = (self.base, self.head.expose_secret());
        let length = body.len();
        self.request.clear();
        write!(
            self.request,
            "{method} {base}{path} {head}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        )?;
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request).await?;
        let answer = self.read_head().await?;
        while self.received.len() < answer.length {
            self.read_more().await?;
        }
        let body = self.received.split_to(answer.length).freeze();
        Ok((answer, body))
    }

    /// The head of the next answer, which is taken off.
    async fn read_head(&mut self) -> anyhow::Result<Head> {
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

    /// A page, as HTML.
    pub(super) async fn page(&mut self, path: &str) -> anyhow::Result<Bytes> {
        self.send("GET", path, FORM, "").await
    }

    /// Switches a robot on or off.
    pub(super) async fn enable(&mut self, robot: &str, enabled: bool) -> anyhow::Result<()> {
        let patch = serde_json::json!({"enabled": enabled}).to_string();
        self.send("PATCH", &format!("/robots/{robot}"), JSON, patch)
            .await
            .map(drop)
    }
}

/// What the head of an answer says.
#[derive(Debug)]
struct Head {
    status: u16,
    /// Of the body.
    length: usize,
    /// The cookie that it sets, as it is sent back.
    session: Option<SecretString>,
}

/// Reads a head. Bodies of a length that it does not say are not asked for.
fn read(head: &str) -> anyhow::Result<Head> {
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
        .context("an answer without a status")?;
    let (mut length, mut session) = (None, None);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        } else if name.eq_ignore_ascii_case("set-cookie") {
            session = value.trim().split(';').next().map(SecretString::from);
        }
    }
    Ok(Head {
        status,
        length: length.context("an answer that does not say its length")?,
        session,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_status_length_and_session() {
        let head = "HTTP/1.1 201 Created\r\nlocation: /a:b\r\nContent-LENGTH: 12\r\n\r\n";
        let answer = read(head).unwrap();
        assert_eq!((answer.status, answer.length), (201, 12));
        assert!(answer.session.is_none());
        let head = "HTTP/1.1 303 See Other\r\ncontent-length: 0\r\nset-cookie: a=b; Path=/\r\n\r\n";
        let session = read(head).unwrap().session.unwrap();
        assert_eq!(session.expose_secret(), "a=b");
        for head in [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 2\r\ncontent-length: 1\r\n\r\n",
            "",
        ] {
            assert!(read(head).is_err(), "{head:?}");
        }
    }
}
