//! A way to a server that lets nobody through until so many wait there at once.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

/// Holds the first connections until there are as many as asked for, and passes on all that come later.
pub struct Gate {
    /// Port of loopback.
    pub port: u16,
}

impl Gate {
    /// A gate in front of a server that opens for the first time when `count` connections wait.
    pub async fn start(server: SocketAddr, count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let barrier = Arc::new(Barrier::new(count));
        tokio::runtime::Handle::current().spawn(async move {
            let mut number = 0;
            while let Ok((mut client, _)) = listener.accept().await {
                number += 1;
                let held = (number <= count).then(|| Arc::clone(&barrier));
                tokio::runtime::Handle::current().spawn(async move {
                    if let Some(barrier) = held {
                        barrier.wait().await;
                    }
                    if let Ok(mut server) = TcpStream::connect(server).await {
                        let _ended = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self { port }
    }
}
