//! Sending batches of messages to one collector.
//!
//! A batch is accepted as a whole or not at all, as far as the caller can know: after an
//! error some of it may have arrived, and sending it again may show it twice. UDP promises
//! nothing; we report what the network tells us.
//!
//! TCP and TLS promise more than it seems, unless [`Confirm::Off`] says otherwise. A batch
//! counts as accepted when three things happened in this order: the collector's kernel
//! acknowledged every byte, we ended our side, the collector ended its own. A collector
//! that dies without having read everything makes its kernel reset the connection, which
//! is an error here. The first step matters because a collector that was gone before the
//! bytes came looks, at first, like one that has read them: its end arrives, and the reset
//! only follows.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio_rustls::TlsConnector;

use super::stream::{Stream, octet_counted};
use super::target::{Confirm, SyslogTarget, Transport};
use crate::connect::ConnectError;
use crate::connect::tls::client_config;

/// Most messages in one batch: at 8 KiB each a batch stays below 1 MiB in memory.
pub const BATCH_MESSAGES_MAX: usize = 128;

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub struct CollectorLimits {
    /// Name lookup, connection and TLS handshake together.
    pub connect: Duration,
    /// Writing one batch.
    pub write: Duration,
    /// Waiting until the collector has read one batch.
    pub confirm: Duration,
}

impl Default for CollectorLimits {
    /// Longer than three lost packets take to be sent again, short enough to be told soon.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            write: Duration::from_secs(10),
            confirm: Duration::from_secs(10),
        }
    }
}

/// The sender's side of one collector.
///
/// It connects when there is something to send, and again after every error.
pub struct Collector {
    target: SyslogTarget,
    shown: String,
    limits: CollectorLimits,
    link: Option<Link>,
    /// Kept between connections, because reading the platform's store is slow; forgotten
    /// after a TLS error, so that a renewed authority file is read.
    tls: Option<Arc<ClientConfig>>,
}

enum Link {
    Datagrams(UdpSocket),
    Stream(Stream),
}

impl Collector {
    /// A collector that is not connected yet.
    #[must_use]
    pub fn new(target: SyslogTarget, limits: CollectorLimits) -> Self {
        Self {
            shown: target.to_string(),
            target,
            limits,
            link: None,
            tls: None,
        }
    }

    /// Sends messages in order; `Ok` means that the collector has all of them.
    ///
    /// # Errors
    ///
    /// Any error means that the batch must be sent again: unreachable, too slow, closed in
    /// between, not trusted, or more than [`BATCH_MESSAGES_MAX`] messages.
    pub async fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), ConnectError> {
        if messages.is_empty() {
            return Ok(());
        }
        if messages.len() > BATCH_MESSAGES_MAX {
            return Err(ConnectError::Invalid {
                what: self.shown.clone(),
                reason: format!(
                    "a batch of {} messages exceeds {BATCH_MESSAGES_MAX}",
                    messages.len()
                ),
            });
        }
        let sent = match self.target.transport {
            Transport::Udp => self.send_datagrams(messages).await,
            Transport::Tcp | Transport::Tls => self.send_stream(messages).await,
        };
        if let Err(ConnectError::Tls { .. }) = &sent {
            self.tls = None;
        }
        sent
    }

    async fn send_datagrams(&mut self, messages: &[Vec<u8>]) -> Result<(), ConnectError> {
        let addresses = self
            .within("look up", self.limits.connect, self.addresses())
            .await?;
        let kept = match self.link.take() {
            // A collector may have moved; the lookup is what tells us.
            Some(Link::Datagrams(socket))
                if socket
                    .peer_addr()
                    .is_ok_and(|peer| addresses.contains(&peer)) =>
            {
                socket
            }
            _ => self.bound(&addresses).await?,
        };
        let written = async {
            for message in messages {
                kept.send(message).await?;
            }
            // An "unreachable" that came back meanwhile is reported here or by the next send.
            match kept.take_error()? {
                Some(refused) => Err(refused),
                None => Ok(()),
            }
        };
        self.within("write to", self.limits.write, written).await?;
        self.link = Some(Link::Datagrams(kept));
        Ok(())
    }

    /// A socket that talks to the first address it can.
    async fn bound(&self, addresses: &[SocketAddr]) -> Result<UdpSocket, ConnectError> {
        let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            let any = match address {
                SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            };
            let attempt = async {
                let socket = UdpSocket::bind(any).await?;
                socket.connect(address).await?;
                Ok(socket)
            };
            match attempt.await {
                Ok(socket) => return Ok(socket),
                Err(error) => refused = error,
            }
        }
        Err(ConnectError::from_stream(&self.shown, refused))
    }

    async fn send_stream(&mut self, messages: &[Vec<u8>]) -> Result<(), ConnectError> {
        let mut kept = match self.link.take() {
            Some(Link::Stream(stream)) => Some(stream),
            Some(Link::Datagrams(_)) | None => None,
        };
        if let Some(stream) = &mut kept
            && !stream.is_open().await
        {
            kept = None;
        }
        let mut stream = match kept {
            Some(stream) => stream,
            None => self.connected().await?,
        };
        let batch = octet_counted(messages);
        self.within("write to", self.limits.write, stream.write(&batch))
            .await?;
        match self.target.confirm {
            Confirm::Close => {
                self.within(
                    "get a batch confirmed by",
                    self.limits.confirm,
                    stream.end(),
                )
                .await?;
            }
            Confirm::Off => self.link = Some(Link::Stream(stream)),
        }
        Ok(())
    }

    async fn connected(&mut self) -> Result<Stream, ConnectError> {
        let tls = match self.target.transport {
            Transport::Tls => Some(self.tls_client()?),
            Transport::Tcp | Transport::Udp => None,
        };
        let opening = async {
            let tcp = TcpStream::connect((self.target.host.as_str(), self.target.port)).await?;
            tcp.set_nodelay(true)?;
            let (local, peer) = (tcp.local_addr()?, tcp.peer_addr()?);
            Ok(match tls {
                Some((connector, name)) => {
                    Stream::new(connector.connect(name, tcp).await?, local, peer)
                }
                None => Stream::new(tcp, local, peer),
            })
        };
        self.within("connect to", self.limits.connect, opening)
            .await
    }

    fn tls_client(&mut self) -> Result<(TlsConnector, ServerName<'static>), ConnectError> {
        let files = &self.target.tls;
        let name = files.server_name.as_ref().unwrap_or(&self.target.host);
        let name = ServerName::try_from(name.clone()).map_err(|error| ConnectError::Invalid {
            what: self.shown.clone(),
            reason: format!("`{name}` cannot be a certificate's name: {error}"),
        })?;
        let config = match &self.tls {
            Some(kept) => Arc::clone(kept),
            None => Arc::new(client_config(
                &self.shown,
                files.ca.as_deref(),
                files
                    .identity
                    .as_ref()
                    .map(|(cert, key)| (cert.as_path(), key.as_path())),
            )?),
        };
        self.tls = Some(Arc::clone(&config));
        Ok((TlsConnector::from(config), name))
    }

    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let found = lookup_host((self.target.host.as_str(), self.target.port)).await?;
        Ok(found.collect())
    }

    async fn within<T>(
        &self,
        step: &'static str,
        limit: Duration,
        work: impl Future<Output = io::Result<T>>,
    ) -> Result<T, ConnectError> {
        match tokio::time::timeout(limit, work).await {
            Ok(done) => done.map_err(|error| ConnectError::from_stream(&self.shown, error)),
            Err(_elapsed) => Err(ConnectError::TimedOut {
                target: self.shown.clone(),
                step,
                limit,
            }),
        }
    }
}
