//! What answers the challenge `http-01` (RFC 8555, section 8.3) while an order runs.
//!
//! One request a connection, a bounded head, a bounded time, a bounded number of them: whoever asks is a stranger. Only
//! `GET` of a token that is waited for has an answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::IssueError;
use crate::domain::failure::FailureClass;

/// Strangers that are answered at once; an authority asks from a handful of places.
const CONNECTIONS_MAX: usize = 32;
/// Bound on a request's head in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// How long a stranger may take.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// How long nobody is let in after the system refused to.
const PAUSE: Duration = Duration::from_millis(100);
/// Where the tokens are.
const PREFIX: &str = "/.well-known/acme-challenge/";

/// A port on which the tokens of an order are answered.
#[derive(Debug)]
pub(super) struct Responder {
    listener: TcpListener,
}

impl Responder {
    /// Takes the port.
    pub(super) async fn bind(at: SocketAddr) -> Result<Self, IssueError> {
        match TcpListener::bind(at).await {
            Ok(listener) => Ok(Self { listener }),
            Err(error) => Err(IssueError::new(
                FailureClass::Unavailable,
                "answer the authority's challenges",
                format!("listening on {at}: {error}"),
            )),
        }
    }

    /// Answers until it is dropped. `answers` are the key authorizations by their tokens.
    pub(super) async fn serve(&self, answers: &HashMap<String, String>) {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(()) = open.next() => {}
                accepted = self.listener.accept(), if open.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => open.push(answer(stream, answers)),
                    // Too many open files, say: it passes.
                    Err(error) => {
                        log::warn!("failed to let an authority in: {error}");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
    }
}

async fn answer(mut stream: TcpStream, answers: &HashMap<String, String>) {
    let exchange = async {
        let head = head(&mut stream).await?;
        let (status, body) = match token(&head).and_then(|token| answers.get(token)) {
            Some(body) => ("200 OK", body.as_str()),
            None => ("404 Not Found", ""),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    // What a stranger does wrong is not our failure; the authority says what it misses.
    match timeout(REQUEST_TIME_MAX, exchange).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => log::debug!("a request for a challenge broke off: {error}"),
        Err(_) => log::debug!("a request for a challenge took too long"),
    }
}

/// Reads to the empty line, or as far as there is room.
async fn head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut piece = [0; 1_024];
    while head.len() < HEAD_BYTES_MAX && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece).await? {
            0 => break,
            count => head.extend_from_slice(&piece[..count]),
        }
    }
    Ok(head)
}

/// The token that a request's first line asks for.
fn token(head: &[u8]) -> Option<&str> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some("GET"), Some(path), Some("HTTP/1.1" | "HTTP/1.0")) => path.strip_prefix(PREFIX),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_get_of_a_token_names_one() {
        let of = |head: &'static str| token(head.as_bytes());
        let path = "GET /.well-known/acme-challenge/a-b_c HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(of(path), Some("a-b_c"));
        for head in [
            "",
            "GET / HTTP/1.1\r\n\r\n",
            "POST /.well-known/acme-challenge/a HTTP/1.1\r\n\r\n",
            "GET /.well-known/acme-challenge/a\r\n\r\n",
            "GET  /.well-known/acme-challenge/a HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(of(head), None, "{head:?}");
        }
    }

    #[tokio::test]
    async fn a_waited_for_token_is_answered_and_nothing_else() {
        let responder = Responder::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let at = responder.listener.local_addr().unwrap();
        let answers = HashMap::from([("known".to_owned(), "known.print".to_owned())]);
        let ask = async |path: &str| {
            let mut stream = TcpStream::connect(at).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).await.unwrap();
            said
        };
        let asking = async {
            let known = ask("/.well-known/acme-challenge/known").await;
            (
                known,
                ask("/.well-known/acme-challenge/other").await,
                ask("/").await,
            )
        };
        let (known, other, root) = tokio::select! {
            said = asking => said,
            () = responder.serve(&answers) => unreachable!(),
        };
        assert!(known.starts_with("HTTP/1.1 200 ") && known.ends_with("\r\n\r\nknown.print"));
        assert!(other.starts_with("HTTP/1.1 404 ") && root.starts_with("HTTP/1.1 404 "));
    }
}
