//! Too much, too slow, and reviews that fail.

use std::time::Duration;

use hyper::StatusCode;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::{Running, head, post, rest, soon, start, try_post, until, write};

const IN_FLIGHT: &str = "stateward_reviews_in_flight ";

async fn judged(server: &Running, reviews: f64) {
    server.counts(IN_FLIGHT, reviews).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_keep_nobody_out() {
    let server = start(|config| {
        config.handshake_timeout = Duration::from_secs(4);
        config.max_connections = 4096;
    })
    .await;
    let mut half_open = Vec::new();
    for _ in 0..2000 {
        half_open.push(TcpStream::connect(server.address).await.unwrap());
    }
    let open = "stateward_connections ";
    until(async || server.metric(open).await > 1999.5).await;
    for _ in 0..20 {
        assert_eq!(server.post("/validate", "{}").await.status, StatusCode::OK);
    }
    let mut closing = JoinSet::new();
    for mut stream in half_open {
        closing.spawn(async move { stream.read(&mut [0; 16]).await });
    }
    while let Some(closed) = soon(closing.join_next()).await {
        assert!(matches!(closed.unwrap(), Ok(0) | Err(_)), "something was sent");
    }
    until(async || server.metric(open).await < 0.5).await;
    let timeouts = "stateward_tls_handshake_failures_total{reason=\"timeout\"}";
    server.counts(timeouts, 2000.0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_keep_nobody_out() {
    let server = start(|config| {
        config.body_timeout = Duration::from_secs(3);
        config.max_reviews = 4;
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = server.tls().await;
        write(&mut stream, &(head("content-length: 1000\r\n") + "{")).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(server.post("/validate", "{}").await.status, StatusCode::OK);
    for mut stream in slow {
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 408"));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_beyond_the_cap_are_shed() {
    let server = start(|config| config.max_reviews = 1).await;
    let mut waiting = server.connect().await;
    let first = tokio::spawn(async move { post(&mut waiting, "/validate", "wait").await });
    judged(&server, 1.0).await;

    let mut connection = server.connect().await;
    let second = post(&mut connection, "/validate", "{}").await;
    assert_eq!(second.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(second.text, "too many reviews at a time, try again later\n");
    assert!((server.metric("stateward_shed_total{reason=\"reviews\"}").await - 1.0).abs() < 0.5);

    server.reviewer.gate.open();
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    judged(&server, 0.0).await;
    assert_eq!(post(&mut connection, "/validate", "{}").await.status, StatusCode::OK);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_cap_are_shed() {
    let server = start(|config| config.max_connections = 2).await;
    let mut held = [server.connect().await, server.connect().await];
    // One more is let in to be told; those after it are not.
    let mut surplus = server.connect().await;
    assert!(server.try_tls(&server.client()).await.is_err());
    let reply = post(&mut surplus, "/validate", "{}").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.closes);
    assert!(
        (server.metric("stateward_shed_total{reason=\"connections\"}").await - 2.0).abs() < 0.5
    );
    for connection in &mut held {
        assert_eq!(post(connection, "/validate", "{}").await.status, StatusCode::OK);
    }
    drop(held);
    until(async || {
        let Ok(tls) = server.try_tls(&server.client()).await else { return false };
        let mut connection = crate::harness::http(tls).await;
        try_post(&mut connection, "/validate", "{}")
            .await
            .is_ok_and(|reply| reply.status == StatusCode::OK)
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_reviews_wait_for_memory_and_are_denied_when_late() {
    let server = start(|config| config.max_memory = 1 << 20).await;
    // One that needs more than there is need not wait.
    let reply = server.post("/validate", vec![b'x'; 4 << 20]).await;
    assert_eq!(reply.text, "failed: the review is too large to judge");

    let mut holding = server.connect().await;
    let holds = "wait ".to_owned() + &" ".repeat(400_000);
    let held = tokio::spawn(async move { post(&mut holding, "/validate", holds).await });
    judged(&server, 1.0).await;
    let reply = server.post("/validate?timeout=1s", vec![b'x'; 400_000]).await;
    assert_eq!(reply.text, "failed: too many large reviews are being judged");
    assert_eq!(server.post("/validate", vec![b'x'; 60_000]).await.text, "validate 60000");
    let mut waiting = server.connect().await;
    let waits =
        tokio::spawn(
            async move { post(&mut waiting, "/validate", vec![b'x'; 400_000]).await.text },
        );
    server.reviewer.gate.open();
    assert_eq!(waits.await.unwrap(), "validate 400000");
    assert_eq!(held.await.unwrap().status, StatusCode::OK);

    // What was held is given back, also by those that were not judged.
    for _ in 0..5 {
        assert_eq!(server.post("/validate", vec![b'x'; 500_000]).await.text, "validate 500000");
    }
    let count = async |reason: &str| {
        let name = format!("stateward_reviews_without_verdict_total{{reason=\"{reason}\"}}");
        server.metric(&name).await
    };
    assert!((count("too-large").await - 1.0).abs() < 0.5);
    assert!((count("memory").await - 1.0).abs() < 0.5);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn late_large_reviews_leave_slots_and_threads_to_others() {
    let server = start(|config| {
        config.max_reviews = 2;
        config.max_large_reviews = 2;
        config.offload_above = 1000;
    })
    .await;
    let large = "wait ".to_owned() + &" ".repeat(2000);
    // The third and the fourth find that the first two still run, and miss their deadline as well.
    for _ in 0..4 {
        let reply = server.post("/validate?timeout=1s", large.clone()).await;
        assert_eq!(
            reply.text,
            "failed: the review missed its deadline and is larger than that of a real workload"
        );
        assert_eq!(server.post("/validate", "{}").await.text, "validate 2");
    }
    assert!((server.metric(IN_FLIGHT).await - 2.0).abs() < 0.5);
    let late = "stateward_reviews_without_verdict_total{reason=\"large-deadline\"}";
    assert!((server.metric(late).await - 4.0).abs() < 0.5);
    server.reviewer.gate.open();
    judged(&server, 0.0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_answered_and_costs_not_even_the_connection() {
    let server = start(|config| config.offload_above = 1000).await;
    let mut connection = server.connect().await;
    for body in ["panic".to_owned(), "panic ".to_owned() + &" ".repeat(2000)] {
        let reply = post(&mut connection, "/validate", body).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.text, "failed: the review panicked");
        assert_eq!(post(&mut connection, "/validate", "{}").await.text, "validate 2");
    }
    // Even where the answer to a panic panics.
    let reply = post(&mut connection, "/validate", "panic twice").await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(post(&mut connection, "/validate", "{}").await.text, "validate 2");
    assert!((server.metric("stateward_review_panics_total ").await - 3.0).abs() < 0.5);
    judged(&server, 0.0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_missed_deadline_is_answered_while_the_review_goes_on() {
    let server = start(|config| config.offload_above = 1000).await;
    let mut connection = server.connect().await;
    for (body, size) in [("wait".to_owned(), ""), ("wait ".to_owned() + &" ".repeat(2000), "large")]
    {
        let reply = post(&mut connection, "/validate?a=b&timeout=1s", body).await;
        assert!(reply.text.starts_with("failed: the review missed its deadline"), "{}", reply.text);
        assert!(reply.text.contains(size), "{}", reply.text);
        assert_eq!(post(&mut connection, "/validate", "{}").await.text, "validate 2");
    }
    assert!((server.metric(IN_FLIGHT).await - 2.0).abs() < 0.5);
    assert!((server.metric("stateward_review_deadline_misses_total ").await - 2.0).abs() < 0.5);
    server.reviewer.gate.open();
    judged(&server, 0.0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_configured_deadline_caps_what_is_asked_for() {
    let server = start(|config| config.review_timeout = Duration::from_millis(300)).await;
    for query in ["", "?timeout=30s", "?timeout=soon", "?timeout=-1s", "?timeout=0s"] {
        let reply = server.post(&format!("/validate{query}"), "wait").await;
        assert_eq!(reply.text, "failed: the review missed its deadline", "{query}");
        server.reviewer.gate.open();
        judged(&server, 0.0).await;
        server.reviewer.gate.shut();
    }
    server.stop().await;
}
