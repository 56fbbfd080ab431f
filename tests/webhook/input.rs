//! Bad input, and what it gets.

use std::time::Duration;

use http_body_util::Full;
use hyper::{Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{head, post, rest, send, soon, start, write};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_review_gets_its_status_and_one_line() {
    let server = start(|_| {}).await;
    let json = Some("application/json");
    let table = [
        ("POST", "/validate", json, "{}", 200, "validate 2"),
        ("POST", "/mutate?timeout=10s", json, "{}", 200, "mutate 2"),
        ("POST", "/validate", Some("Application/JSON; charset=utf-8"), "{}", 200, "validate 2"),
        ("POST", "/validate", Some("text/plain"), "{}", 415, "the content type of a review is"),
        ("POST", "/validate", Some("application/jsonp"), "{}", 415, "the content type of a review"),
        ("POST", "/validate", None, "{}", 415, "the content type of a review is"),
        ("GET", "/validate", None, "", 405, "/validate takes POST"),
        ("PUT", "/mutate", json, "{}", 405, "/mutate takes POST"),
        ("POST", "/", json, "{}", 404, "reviews are answered at /mutate and /validate"),
        ("POST", "/validate/", json, "{}", 404, "reviews are answered at"),
        ("POST", "/livez", json, "{}", 404, "reviews are answered at"),
        ("POST", "/validate", json, "bad", 400, "the review has no uid"),
    ];
    for (method, path, kind, body, status, text) in table {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let request = request.body(Full::from(body)).unwrap();
        let reply = send(&mut server.connect().await, request).await.unwrap();
        assert_eq!(reply.status.as_u16(), status, "{method} {path} {kind:?}");
        assert!(reply.text.starts_with(text), "{method} {path}: {}", reply.text);
        if status == 200 {
            assert_eq!(reply.headers["content-type"], "application/json");
        } else {
            assert!(reply.text.ends_with('\n'), "{:?}", reply.text);
            assert_eq!(reply.text.lines().count(), 1, "{:?}", reply.text);
        }
        if status == 405 {
            assert_eq!(reply.headers["allow"], "POST");
        }
    }
    for (reason, count) in [("content-type", 3.0), ("method", 2.0), ("path", 3.0), ("review", 1.0)]
    {
        let name = format!("stateward_bad_requests_total{{reason=\"{reason}\"}}");
        assert!((server.metric(&name).await - count).abs() < 0.5, "{reason}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_review_does_not_cost_the_connection() {
    let server = start(|_| {}).await;
    let mut connection = server.connect().await;
    for _ in 0..3 {
        assert_eq!(post(&mut connection, "/validate", "bad").await.status, StatusCode::BAD_REQUEST);
        assert_eq!(post(&mut connection, "/validate", "{}").await.status, StatusCode::OK);
    }
    server.stop().await;
}

/// What an API server can send: 3 MiB from a client and as much from its store, each byte written in
/// six, and the rest of the review.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_body_of_an_api_server_is_read() {
    let server = start(|_| {}).await;
    let limit = 36 * 1024 * 1024;
    let reply = server.post("/validate", vec![b'x'; limit]).await;
    assert_eq!((reply.status, reply.text), (StatusCode::OK, format!("validate {limit}")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_body_is_answered_from_its_beginning() {
    let server = start(|config| config.max_body = 1_000_000).await;
    let reply = server.post("/validate", vec![b'x'; 1_000_001]).await;
    let text = "failed: the review is too large to judge";
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, text));
    // The rest was read, so the connection can be used on.
    assert!(!reply.closes);

    let mut stream = server.tls().await;
    write(&mut stream, &head("transfer-encoding: chunked\r\nconnection: close\r\n")).await.unwrap();
    for _ in 0..40 {
        write(&mut stream, &format!("8000\r\n{}\r\n", "x".repeat(0x8000))).await.unwrap();
    }
    write(&mut stream, "0\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.ends_with(text));

    // Without a uid there is nothing to answer with.
    let reply = server.post("/validate", b"nobody".repeat(200_000)).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(reply.text, "a body may have at most 1000000 bytes\n");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_is_put_together() {
    let server = start(|_| {}).await;
    let mut stream = server.tls().await;
    write(&mut stream, &head("transfer-encoding: chunked\r\nconnection: close\r\n")).await.unwrap();
    for _ in 0..100 {
        write(&mut stream, &format!("3e8\r\n{}\r\n", "x".repeat(1000))).await.unwrap();
    }
    write(&mut stream, "0\r\n\r\n").await.unwrap();
    let reply = rest(&mut stream).await;
    assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("validate 100000"), "{reply}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_body_is_refused_and_occupies_no_memory() {
    let server = start(|_| {}).await;
    let before = peak_memory();
    let mut stream = server.tls().await;
    write(&mut stream, &head("transfer-encoding: chunked\r\n")).await.unwrap();
    let chunk = format!("10002\r\n{}\r\n", "nobody".repeat(0x2aab));
    let mut sent = 0_u64;
    // Until the server closes; 4 GiB would be endless enough.
    while sent < 4 << 30 {
        match soon(stream.write_all(chunk.as_bytes())).await {
            Ok(()) => sent += chunk.len() as u64,
            Err(_) => break,
        }
    }
    assert!(sent < 4 << 30, "the server never closed");
    let grown = peak_memory().saturating_sub(before);
    // Other tests of this process send bodies of 36 MiB at the same time.
    assert!(grown < 192 << 20, "grew by {} MiB while {} MiB were sent", grown >> 20, sent >> 20);
    assert!(server.metric("stateward_bad_requests_total{reason=\"too-large\"}").await > 0.5);
    server.stop().await;
}

/// The most memory that this process ever had.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_first_is_told_before_it_sends() {
    let server = start(|config| config.max_body = 1000).await;
    let expect = "expect: 100-continue\r\nconnection: close\r\n";
    let mut stream = server.tls().await;
    write(&mut stream, &head(&format!("{expect}content-length: 2\r\n"))).await.unwrap();
    let mut first = [0; 12];
    soon(stream.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100");
    write(&mut stream, "{}").await.unwrap();
    assert!(rest(&mut stream).await.ends_with("validate 2"));

    let mut stream = server.tls().await;
    write(&mut stream, &head(&format!("{expect}content-length: 2000\r\n"))).await.unwrap();
    let reply = rest(&mut stream).await;
    assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_ends_the_connection() {
    let server = start(|config| config.header_timeout = Duration::from_millis(200)).await;
    let (mut silent, mut slow) = (server.tls().await, server.tls().await);
    assert_eq!(rest(&mut silent).await, "");
    // A byte now and then does not prolong it.
    let sent = soon(async {
        let mut sent = 0;
        for byte in head("").bytes().cycle() {
            let gone = slow.write_all(&[byte]).await.is_err() || slow.flush().await.is_err();
            if gone {
                break;
            }
            sent += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sent
    })
    .await;
    assert!(sent < head("").len(), "a whole head was taken");
    let closed = "stateward_connections_closed_total{reason=\"header-timeout\"}";
    server.counts(closed, 2.0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unused_connection_outlives_the_limit_of_a_head() {
    let server = start(|config| config.header_timeout = Duration::from_millis(100)).await;
    let mut connection = server.connect().await;
    for _ in 0..3 {
        assert_eq!(post(&mut connection, "/validate", "{}").await.status, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unused_connection_ends_in_the_end() {
    let server = start(|config| config.idle_timeout = Duration::from_millis(100)).await;
    let mut stream = server.tls().await;
    write(&mut stream, &(head("content-length: 2\r\n") + "{}")).await.unwrap();
    assert!(rest(&mut stream).await.ends_with("validate 2"));
    let closed = "stateward_connections_closed_total{reason=\"idle-timeout\"}";
    server.counts(closed, 1.0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_told_why() {
    let server = start(|config| config.body_timeout = Duration::from_millis(200)).await;
    let mut stream = server.tls().await;
    write(&mut stream, &(head("content-length: 1000\r\n") + "{")).await.unwrap();
    let reply = rest(&mut stream).await;
    assert!(reply.starts_with("HTTP/1.1 408"), "{reply}");
    assert!(reply.ends_with("the body took longer than 200ms\n"), "{reply}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_let_go() {
    let server = start(|config| config.write_timeout = Duration::from_millis(200)).await;
    let mut stream = server.tls().await;
    // An answer of 4 MiB does not fit into the buffers of the two sockets.
    write(&mut stream, &(head("content-length: 5\r\n") + "large")).await.unwrap();
    let closed = "stateward_connections_closed_total{reason=\"write-timeout\"}";
    server.counts(closed, 1.0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_or_no_tls_ends_the_connection() {
    let server = start(|_| {}).await;
    let mut stream = server.tls().await;
    write(&mut stream, "\u{0}\u{1}\u{2}nonsense\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 400"));

    let mut plain = tokio::net::TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    let _ = soon(plain.read_to_end(&mut bytes)).await;
    assert!(!bytes.starts_with(b"HTTP"), "plain HTTP was answered");
    let failed = "stateward_tls_handshake_failures_total{reason=\"protocol\"}";
    server.counts(failed, 1.0).await;
    assert_eq!(server.post("/validate", "{}").await.status, StatusCode::OK);
    server.stop().await;
}
