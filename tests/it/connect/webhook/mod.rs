//! Webhooks against real servers on loopback.

mod tls;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use robotd::connect::error::ConnectError;
use robotd::connect::webhook::{
    BODY_BYTES_MAX, HttpEnd, HttpOutcome, HttpSpec, Webhook, outcome_of,
};
use tokio_util::sync::CancellationToken;

/// More than any answer here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// A server with one path for each behaviour; `elsewhere` is where `/away` redirects to.
fn serve(elsewhere: String, hits: Arc<AtomicUsize>) -> SocketAddr {
    let app = move || {
        let (elsewhere, hits) = (elsewhere.clone(), hits.clone());
        let redirect = |status: u16, to: String| {
            web::post().to(move || {
                let status = actix_web::http::StatusCode::from_u16(status).unwrap();
                let answer = HttpResponse::build(status)
                    .insert_header(("Location", to.clone()))
                    .finish();
                std::future::ready(answer)
            })
        };
        App::new()
            .route(
                "/echo",
                web::to(move |request, body| {
                    hits.fetch_add(1, Ordering::SeqCst);
                    echo(request, body)
                }),
            )
            .route(
                "/broken",
                web::post()
                    .to(|| async { HttpResponse::InternalServerError().body("no\u{0} good") }),
            )
            .route(
                "/busy",
                web::post().to(|| async {
                    HttpResponse::TooManyRequests()
                        .insert_header(("Retry-After", "7"))
                        .finish()
                }),
            )
            .route(
                "/huge",
                web::post().to(|| async { HttpResponse::Ok().body("é".repeat(10_000_000)) }),
            )
            .route(
                "/slow",
                web::post().to(|| async {
                    tokio::time::sleep(LIMIT * 10).await;
                    HttpResponse::Ok().finish()
                }),
            )
            .route("/here", redirect(307, "/echo".to_owned()))
            .route("/changed", redirect(302, "/echo".to_owned()))
            .route("/away", redirect(307, elsewhere))
            .route("/loop", redirect(307, "/loop".to_owned()))
    };
    let (tell, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.bind(("127.0.0.1", 0)).unwrap();
        tell.send(server.addrs()[0]).unwrap();
        actix_web::rt::System::new().block_on(server.run()).unwrap();
    });
    address.recv().unwrap()
}

async fn echo(request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    HttpResponse::Created().json(serde_json::json!({
        "method": request.method().as_str(), "body": String::from_utf8_lossy(&body), "type": header("content-type"),
        "task": header("x-robotd-task-id"), "key": header("idempotency-key"), "authorization": header("authorization"),
    }))
}

fn spec(url: String) -> HttpSpec {
    robotd_provider();
    HttpSpec {
        url,
        token_file: None,
        ca_file: None,
    }
}

/// The process installs it; the first test to come does it for all.
fn robotd_provider() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

async fn call(spec: &HttpSpec) -> Result<HttpEnd, ConnectError> {
    call_within(spec, LIMIT).await
}

async fn call_within(spec: &HttpSpec, limit: Duration) -> Result<HttpEnd, ConnectError> {
    let headers = [("X-Robotd-Task-Id", "7"), ("Idempotency-Key", "8")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Webhook::new(spec)?
        .call(b"{\"a\":1}", &headers, &CancellationToken::new(), limit)
        .await
}

fn server() -> SocketAddr {
    serve(String::new(), Arc::default())
}

#[tokio::test]
async fn the_receiver_gets_payload_headers_and_token() {
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, "s3cret\n").unwrap();
    let spec = HttpSpec {
        token_file: Some(token_file),
        ..spec(format!("http://{}/echo", server()))
    };
    let end = call(&spec).await.unwrap();
    assert_eq!(outcome_of(&end), HttpOutcome::Succeeded);
    let seen: serde_json::Value = serde_json::from_str(&end.body_head).unwrap();
    let expected = serde_json::json!({
        "method": "POST", "body": "{\"a\":1}", "type": "application/json", "task": "7", "key": "8", "authorization": "Bearer s3cret",
    });
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_failure_and_a_full_receiver_are_told_apart() {
    let address = server();
    let end = call(&spec(format!("http://{address}/broken")))
        .await
        .unwrap();
    assert_eq!(
        end,
        HttpEnd {
            status: 500,
            retry_after: None,
            body_head: "no\0 good".to_owned()
        }
    );
    let end = call(&spec(format!("http://{address}/busy"))).await.unwrap();
    let HttpOutcome::TryAgain { after, .. } = outcome_of(&end) else {
        panic!("{end:?}")
    };
    assert_eq!(after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_slow_receiver_times_out_and_can_be_cancelled() {
    let spec = spec(format!("http://{}/slow", server()));
    let started = Instant::now();
    let error = call_within(&spec, Duration::from_millis(200))
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
    let cancel = CancellationToken::new();
    let webhook = Webhook::new(&spec).unwrap();
    let (error, ()) = tokio::join!(webhook.call(b"", &[], &cancel, LIMIT), async {
        cancel.cancel()
    });
    assert!(
        matches!(error, Err(ConnectError::Refused { .. })),
        "{error:?}"
    );
    assert!(started.elapsed() < LIMIT / 2);
}

#[tokio::test]
async fn a_huge_answer_is_cut() {
    let end = call(&spec(format!("http://{}/huge", server())))
        .await
        .unwrap();
    assert_eq!(end.status, 200);
    assert_eq!(end.body_head.len(), BODY_BYTES_MAX);
}

/// Accepts connections for ever and hands each, its request read, to `answer`.
fn raw_server(answer: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok() {
                answer(stream);
            }
        }
    });
    address
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_status_is_worth_another_try() {
    let closed = raw_server(drop);
    let error = call(&spec(format!("http://{closed}/"))).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Unreachable { .. }),
        "{error:?}"
    );
    let noise = raw_server(|mut stream| drop(stream.write_all(b"\0\xff not http\r\n\r\n")));
    let error = call(&spec(format!("http://{noise}/"))).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Unreachable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_status_counts_even_if_the_body_breaks_off_or_never_ends() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf";
    let broken = raw_server(move |mut stream| drop(stream.write_all(head)));
    let end = call(&spec(format!("http://{broken}/"))).await.unwrap();
    assert_eq!((end.status, end.body_head.as_str()), (200, "half"));
    let kept = std::sync::Mutex::new(Vec::new());
    let endless = raw_server(move |mut stream| {
        stream.write_all(head).unwrap();
        kept.lock().unwrap().push(stream);
    });
    let end = call_within(
        &spec(format!("http://{endless}/")),
        Duration::from_millis(500),
    )
    .await
    .unwrap();
    assert_eq!((end.status, end.body_head.as_str()), (200, "half"));
}

#[tokio::test]
async fn nobody_there_is_worth_another_try_and_the_text_keeps_the_secrets() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = call(&spec(format!(
        "http://user:s3cret@{address}/s3cret?key=s3cret"
    )))
    .await
    .unwrap_err();
    assert!(error.is_temporary());
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("reach `http://{address}`: ")) && !text.contains("s3cret"),
        "{text}"
    );
}

#[tokio::test]
async fn redirects_stay_within_the_origin_and_repeat_the_post() {
    let there = Arc::new(AtomicUsize::new(0));
    let elsewhere = serve(String::new(), there.clone());
    let here = Arc::new(AtomicUsize::new(0));
    let address = serve(format!("http://{elsewhere}/echo"), here.clone());
    let end = call(&spec(format!("http://{address}/here"))).await.unwrap();
    assert_eq!(end.status, 201);
    assert!(
        end.body_head.contains(r#""method":"POST""#) && end.body_head.contains(r#"{\"a\":1}"#),
        "{}",
        end.body_head
    );
    for (path, status) in [("changed", 302), ("away", 307), ("loop", 307)] {
        let end = call(&spec(format!("http://{address}/{path}")))
            .await
            .unwrap();
        assert_eq!(end.status, status, "{path}");
        assert!(matches!(outcome_of(&end), HttpOutcome::Failed(_)));
    }
    assert_eq!(
        (here.load(Ordering::SeqCst), there.load(Ordering::SeqCst)),
        (1, 0)
    );
}

#[tokio::test]
async fn what_cannot_be_called_is_refused_early() {
    let good = spec("https://localhost/".to_owned());
    let none = Some(PathBuf::from("/no/such"));
    for url in [
        "",
        "localhost/x",
        "ftp://localhost/",
        "file:///etc/passwd",
        "http://",
    ] {
        assert!(
            matches!(
                Webhook::new(&spec(url.to_owned())),
                Err(ConnectError::Invalid { .. })
            ),
            "{url}"
        );
    }
    for ca_file in [
        none.clone(),
        Some(PathBuf::from("/dev/null")),
        Some(PathBuf::from("/etc/passwd")),
    ] {
        assert!(matches!(
            Webhook::new(&HttpSpec {
                ca_file,
                ..good.clone()
            }),
            Err(ConnectError::Unreadable { .. })
        ));
    }
    for token_file in [
        none,
        Some(PathBuf::from("/dev/null")),
        Some(PathBuf::from("/dev/zero")),
        Some(PathBuf::from("/etc/passwd")),
    ] {
        let error = call(&HttpSpec {
            token_file,
            ..good.clone()
        })
        .await
        .unwrap_err();
        assert!(
            matches!(error, ConnectError::Unreadable { .. }),
            "{error:?}"
        );
    }
}
