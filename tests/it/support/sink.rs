//! An HTTP endpoint that takes what a robot sends and remembers which tasks it saw.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

/// The endpoint; it stops when dropped.
pub struct Sink {
    port: u16,
    seen: Arc<Mutex<HashSet<String>>>,
    server: ServerHandle,
}

impl Sink {
    /// Starts it on a free port, on a thread of its own.
    pub fn start() -> Self {
        let seen: Arc<Mutex<HashSet<String>>> = Arc::default();
        let (sender, receiver) = std::sync::mpsc::channel();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    App::new()
                        .app_data(web::Data::new(Arc::clone(&shared)))
                        .default_service(web::to(take))
                })
                .workers(1)
                .disable_signals()
                .bind("127.0.0.1:0")
                .unwrap();
                let port = server.addrs()[0].port();
                let server = server.run();
                sender.send((port, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (port, server) = receiver.recv().unwrap();
        Self { port, seen, server }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/take", self.port)
    }

    /// Ids of the tasks it saw.
    pub fn tasks(&self) -> HashSet<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn take(request: HttpRequest, seen: web::Data<Arc<Mutex<HashSet<String>>>>) -> HttpResponse {
    if let Some(task) = request
        .headers()
        .get("x-robotd-task-id")
        .and_then(|value| value.to_str().ok())
    {
        seen.lock().unwrap().insert(task.to_owned());
    }
    HttpResponse::NoContent().finish()
}
