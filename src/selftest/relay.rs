//! A way to a server that can be broken: a relay on loopback.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::io::{copy, copy_bidirectional, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// How the way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// Everything passes.
    Open,
    /// Connections break, and new ones break at once.
    Cut,
    /// What is sent is taken and lost. A connection that has lived in such a time stays like this.
    Silent,
}

/// A relay, until it is dropped.
pub(super) struct Relay {
    address: SocketAddr,
    passage: watch::Sender<Passage>,
    _work: AbortOnDropHandle<()>,
}

impl Relay {
    /// Leads to `server`, which is `HOST:PORT`.
    pub(super) async fn to(server: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.context("failed to listen for a node")?;
        let address = listener.local_addr()?;
        let (passage, seen) = watch::channel(Passage::Open);
        let work = tokio::runtime::Handle::current().spawn(relay(listener, server, seen));
        Ok(Self {
            address,
            passage,
            _work: AbortOnDropHandle::new(work),
        })
    }

    /// Where it is entered.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the way is like this.
    pub(super) fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }
}

async fn relay(listener: TcpListener, server: String, mut passage: watch::Receiver<Passage>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let now = *passage.borrow();
                // One that is not accepted, or not let in, is closed.
                if let Ok((client, _)) = accepted && now != Passage::Cut {
                    connections.spawn(pass(client, server.clone(), passage.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
            changed = passage.changed() => {
                if changed.is_err() {
                    return;
                }
                if *passage.borrow_and_update() == Passage::Cut {
                    connections.shutdown().await;
                }
            }
        }
    }
}

/// Passes bytes on until one side ends; dropping both ends them.
async fn pass(mut client: TcpStream, server: String, mut passage: watch::Receiver<Passage>) {
    if *passage.borrow() == Passage::Open {
        let Ok(mut server) = TcpStream::connect(server).await else {
            return;
        };
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            _ = passage.wait_for(|passage| *passage == Passage::Silent) => {}
        }
        let (mut lost, mut unheard) = (sink(), sink());
        tokio::select! {
            _ = copy(&mut client, &mut lost) => {}
            _ = copy(&mut server, &mut unheard) => {}
        }
    } else {
        // An error ends it as an end does.
        drop(copy(&mut client, &mut sink()).await);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    /// What comes back of a word within a moment; none where nothing comes.
    async fn echo(way: &mut TcpStream) -> Option<usize> {
        way.write_all(b"hello").await.ok()?;
        let mut heard = [0; 5];
        let read = timeout(Duration::from_millis(200), way.read(&mut heard));
        read.await.ok()?.ok()
    }

    async fn echoes() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::runtime::Handle::current().spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut way, _)) = listener.accept().await {
                open.spawn(async move {
                    let (mut read, mut write) = way.split();
                    drop(copy(&mut read, &mut write).await);
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn a_way_is_open_cut_or_silent() {
        let relay = Relay::to(echoes().await).await.unwrap();
        let enter = || TcpStream::connect(relay.address());
        let (mut first, mut second) = (enter().await.unwrap(), enter().await.unwrap());
        assert_eq!(echo(&mut first).await, Some(5));
        assert_eq!(echo(&mut second).await, Some(5));
        relay.set(Passage::Silent);
        let mut third = enter().await.unwrap();
        for silent in [&mut first, &mut third] {
            assert_eq!(echo(silent).await, None);
        }
        relay.set(Passage::Open);
        let mut fourth = enter().await.unwrap();
        assert_eq!(echo(&mut fourth).await, Some(5));
        for silent in [&mut first, &mut second, &mut third] {
            assert_eq!(echo(silent).await, None, "it stays as it was");
        }
        relay.set(Passage::Cut);
        let mut fifth = enter().await.unwrap();
        for broken in [&mut first, &mut fourth, &mut fifth] {
            assert_eq!(echo(broken).await.unwrap_or_default(), 0);
        }
    }
}
