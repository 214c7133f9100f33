//! A way to a PostgreSQL server on which connections break at the worst moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How a commit is asked for in PostgreSQL's protocol: the text of a simple query, ended by a zero.
const COMMIT: &[u8] = b"COMMIT\0";

/// Passes everything on, but for every n-th commit: the server carries it out, and the client loses its
/// connection instead of hearing so.
pub struct CuttingProxy {
    /// Where clients connect to.
    pub address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Every so many commits; none while it is 0.
    period: AtomicUsize,
    commits: AtomicUsize,
    cut: AtomicUsize,
}

impl CuttingProxy {
    /// A proxy in front of a server; it cuts nothing yet.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        tokio::runtime::Handle::current().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else {
                    continue;
                };
                tokio::runtime::Handle::current().spawn(pass(client, server, Arc::clone(&shared)));
            }
        });
        Self { address, counts }
    }

    /// Cuts every `period`th commit from now on; 0 for none.
    pub fn cut_every(&self, period: usize) {
        self.counts.period.store(period, Ordering::Relaxed);
    }

    /// How many were cut.
    pub fn cut(&self) -> usize {
        self.counts.cut.load(Ordering::Relaxed)
    }
}

/// Passes bytes on until one side ends or a commit is to be cut; dropping both ends them.
async fn pass(mut client: TcpStream, mut server: TcpStream, counts: Arc<Counts>) {
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                if server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
                if asked[..length].windows(COMMIT.len()).any(|window| window == COMMIT) && counts.is_due() {
                    // The answer is there, so the commit is on disk.
                    let _heard = server.read(&mut answered).await;
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

impl Counts {
    fn is_due(&self) -> bool {
        let period = self.period.load(Ordering::Relaxed);
        let number = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        let due = period > 0 && number.is_multiple_of(period);
        self.cut.fetch_add(usize::from(due), Ordering::Relaxed);
        due
    }
}
