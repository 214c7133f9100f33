//! What robotd and a command's guard say to each other, over the guard's standard input.
//!
//! That is one end of a pair of connected sockets. Robotd sends a length, a [`Request`] and the
//! payload, then [`Order`]s; the guard answers with one [`Report`] a line. The end of the
//! stream tells each side that the other is gone, whatever killed it. Both sides are the same
//! program file, so the form needs no version.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Program, arguments and environment: the kernel itself refuses more than about 2 MiB.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The guard keeps the payload in memory until the command has read it.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the guard is to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) program: String,
    pub(super) args: Vec<String>,
    pub(super) current_dir: Option<String>,
    /// Set on top of the guard's own environment, in this order.
    pub(super) env: Vec<(String, String)>,
    pub(super) payload_bytes: usize,
}

/// What robotd may ask of a guard whose command runs; one byte each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Ask the command's process group to end.
    Terminate,
    /// Kill everything the command started.
    Kill,
}

impl Order {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Self::Terminate => b'T',
            Self::Kill => b'K',
        }
    }

    /// An unknown byte is an order to kill: the safe reading of a broken conversation.
    pub(super) fn from_byte(byte: u8) -> Self {
        if byte == b'T' {
            Self::Terminate
        } else {
            Self::Kill
        }
    }
}

/// What the guard tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The command runs.
    Started(Started),
    /// The command could not be started; nothing runs.
    CannotStart { errno: Option<i32>, why: String },
    /// The command ended with this status and nothing it started is left.
    Exited(i32),
    /// The command was ended by this signal and nothing it started is left.
    Signalled(i32),
}

/// By what the command's processes are found again if the guard is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Started {
    /// The command's process id, which is also its process group.
    pub(super) pid: i32,
    /// When the command started, in clock ticks since boot: tells it from a later process of the same id.
    pub(super) start_ticks: u64,
}

/// Sends the request and the payload.
pub(super) async fn send_request(
    to: &mut (impl AsyncWrite + Unpin),
    request: &Request,
    payload: &[u8],
) -> io::Result<()> {
    let head = serde_json::to_vec(request)?;
    let length = u32::try_from(head.len()).map_err(io::Error::other)?;
    to.write_u32(length).await?;
    to.write_all(&head).await?;
    to.write_all(payload).await?;
    to.flush().await
}

/// Receives a request and its payload; both are bounded.
pub(super) async fn receive_request(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<(Request, Vec<u8>)> {
    let length = usize::try_from(from.read_u32().await?).map_err(io::Error::other)?;
    if length > REQUEST_BYTES_MAX {
        return Err(io::Error::other("the request is too long"));
    }
    let mut head = vec![0; length];
    from.read_exact(&mut head).await?;
    let request: Request = serde_json::from_slice(&head)?;
    if request.payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(io::Error::other("the payload is too long"));
    }
    let mut payload = vec![0; request.payload_bytes];
    from.read_exact(&mut payload).await?;
    Ok((request, payload))
}

/// Sends one report.
pub(super) async fn send_report(
    to: &mut (impl AsyncWrite + Unpin),
    report: &Report,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    to.write_all(&line).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(payload_bytes: usize) -> Request {
        Request {
            program: "/bin/true".into(),
            args: vec!["a b".into(), "\n".into()],
            current_dir: Some("/".into()),
            env: vec![("A".into(), "1".into())],
            payload_bytes,
        }
    }

    #[tokio::test]
    async fn a_request_arrives_as_it_was_sent() {
        let mut pipe = Vec::new();
        send_request(&mut pipe, &request(5), b"12345")
            .await
            .unwrap();
        assert_eq!(
            receive_request(&mut pipe.as_slice()).await.unwrap(),
            (request(5), b"12345".to_vec())
        );
    }

    #[tokio::test]
    async fn a_cut_or_oversized_request_is_refused() {
        let mut pipe = Vec::new();
        send_request(&mut pipe, &request(5), b"1234").await.unwrap();
        assert!(receive_request(&mut pipe.as_slice()).await.is_err());
        let mut pipe = Vec::new();
        send_request(&mut pipe, &request(PAYLOAD_BYTES_MAX + 1), b"")
            .await
            .unwrap();
        assert!(receive_request(&mut pipe.as_slice()).await.is_err());
        assert!(receive_request(&mut [0xff; 8].as_slice()).await.is_err());
    }

    #[test]
    fn orders_survive_the_wire_and_noise_kills() {
        for order in [Order::Terminate, Order::Kill] {
            assert_eq!(Order::from_byte(order.to_byte()), order);
        }
        assert_eq!(Order::from_byte(0), Order::Kill);
    }
}
