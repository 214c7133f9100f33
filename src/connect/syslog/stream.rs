//! One connection to a collector, and how we know what became of what we wrote.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use procfs::net::{TcpNetEntry, tcp, tcp6};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// What a collector may say back before we hang up: it has nothing to say.
const CHATTER_BYTES_MAX: usize = 64 * 1024;

/// The list of connections is read again after this; on one machine once is enough.
const ACKNOWLEDGED_PAUSE_MIN: Duration = Duration::from_millis(1);

/// Longer pauses would add more to a batch than the way to the other side of the world.
const ACKNOWLEDGED_PAUSE_MAX: Duration = Duration::from_millis(100);

/// A connection and its two ends, by which the kernel lists it.
pub(super) struct Stream {
    io: Box<dyn Duplex>,
    local: SocketAddr,
    peer: SocketAddr,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

impl Stream {
    pub(super) fn new(
        io: impl AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Self {
        Self {
            io: Box::new(io),
            local,
            peer,
        }
    }

    pub(super) async fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        self.io.write_all(batch).await?;
        self.io.flush().await
    }

    /// Tells whether the other side still listens, by what it sent: nothing, if it is well.
    ///
    /// The kernel takes a write after the other side has closed, and tells nobody until the
    /// next one; only the read side knows in time.
    pub(super) async fn is_open(&mut self) -> bool {
        // Lets the I/O driver deliver a close that arrived while nobody waited for it.
        tokio::task::yield_now().await;
        let mut said = [0_u8; 512];
        for _ in 0..CHATTER_BYTES_MAX / said.len() {
            let mut buffer = ReadBuf::new(&mut said);
            let polled = poll_fn(|cx| {
                let reading = Pin::new(&mut *self.io).poll_read(cx, &mut buffer);
                Poll::Ready(reading)
            });
            match polled.await {
                Poll::Pending => return true,
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return false,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_broken)) => return false,
            }
        }
        false
    }

    /// Ends the connection; `Ok` means that the other side has read everything.
    pub(super) async fn end(mut self) -> io::Result<()> {
        self.acknowledged().await?;
        self.io.shutdown().await?;
        let mut said = [0_u8; 512];
        for _ in 0..CHATTER_BYTES_MAX / said.len() {
            match self.io.read(&mut said).await {
                Ok(0) => return Ok(()),
                Ok(_chatter) => {}
                // rsyslog ends the connection without the farewell that TLS asks for.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("the collector talks back without end"))
    }

    /// Waits until the collector's kernel has every byte we wrote.
    async fn acknowledged(&self) -> io::Result<()> {
        let mut pause = ACKNOWLEDGED_PAUSE_MIN;
        loop {
            let (local, peer) = (self.local, self.peer);
            // The list may be long on a machine with many connections.
            let listed = tokio::task::spawn_blocking(move || listed(local, peer));
            match listed.await.map_err(io::Error::other)?? {
                // A connection that was reset is not listed any more.
                None => return Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                Some(entry) if entry.tx_queue == 0 => return Ok(()),
                Some(_waiting) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(ACKNOWLEDGED_PAUSE_MAX);
        }
    }
}

/// The kernel's own entry for a connection; only the list in `/proc` has it.
fn listed(local: SocketAddr, peer: SocketAddr) -> io::Result<Option<TcpNetEntry>> {
    let all = match local {
        SocketAddr::V4(_) => tcp(),
        SocketAddr::V6(_) => tcp6(),
    };
    // The list knows no scope of an IPv6 address, so we compare only what it knows.
    let end = |address: SocketAddr| (address.ip(), address.port());
    let ours = |entry: &TcpNetEntry| {
        end(entry.local_address) == end(local) && end(entry.remote_address) == end(peer)
    };
    Ok(all.map_err(io::Error::other)?.into_iter().find(ours))
}

/// RFC 6587, section 3.4.1: each message after its length and a space.
pub(super) fn octet_counted(messages: &[Vec<u8>]) -> Vec<u8> {
    let bytes: usize = messages.iter().map(|message| message.len() + 8).sum();
    let mut batch = Vec::with_capacity(bytes);
    for message in messages {
        batch.extend_from_slice(message.len().to_string().as_bytes());
        batch.push(b' ');
        batch.extend_from_slice(message);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_read_back_as_the_messages(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
        ) {
            let batch = octet_counted(&messages);
            let mut rest = batch.as_slice();
            let mut read = Vec::new();
            while !rest.is_empty() {
                let space = rest.iter().position(|byte| *byte == b' ').unwrap();
                let length: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
                read.push(rest[space + 1..=space + length].to_vec());
                rest = &rest[space + length + 1..];
            }
            prop_assert_eq!(read, messages);
        }
    }
}
