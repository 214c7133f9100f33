//! A way to a server on which clients can be made to speak in vain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Passes everything on; while it is mute it swallows what clients say, and still passes on what the server says.
pub struct MuteProxy {
    /// Where clients connect to.
    pub address: SocketAddr,
    mute: Arc<AtomicBool>,
}

impl MuteProxy {
    /// A proxy in front of a server.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mute = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&mute);
        tokio::runtime::Handle::current().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else {
                    continue;
                };
                tokio::runtime::Handle::current().spawn(pass(client, server, Arc::clone(&shared)));
            }
        });
        Self { address, mute }
    }

    /// From now on clients are heard, or not.
    pub fn set_mute(&self, mute: bool) {
        self.mute.store(mute, Ordering::SeqCst);
    }
}

/// Passes bytes on until one side ends; dropping both ends them.
async fn pass(mut client: TcpStream, mut server: TcpStream, mute: Arc<AtomicBool>) {
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                if !mute.load(Ordering::SeqCst) && server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
