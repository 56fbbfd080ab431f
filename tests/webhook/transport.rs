//! TLS, and certificates that change while the server runs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};
use stateward::certificates::{Made, dev};

use crate::harness::{Running, client, http, post, start, start_with, try_post, until};

const TAKEN: &str = "stateward_certificate_reloads_total{result=\"ok\"}";
const REFUSED: &str = "stateward_certificate_reloads_total{result=\"failed\"}";

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_tls_are_spoken() {
    let server = start(|_| {}).await;
    let authority = server.folder.join("ca.crt");
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        let tls = server.try_tls(&client(&authority, &[version], &["http/1.1"])).await.unwrap();
        assert_eq!(tls.get_ref().1.protocol_version(), Some(name));
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(post(&mut http(tls).await, "/validate", "{}").await.text, "validate 2");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_1_is_chosen_or_assumed() {
    let server = start(|_| {}).await;
    let authority = server.folder.join("ca.crt");
    let tls = server.try_tls(&client(&authority, &[&TLS13], &["h2", "http/1.1"])).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let tls = server.try_tls(&client(&authority, &[&TLS13], &[])).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), None);
    assert_eq!(post(&mut http(tls).await, "/validate", "{}").await.text, "validate 2");
    assert!(server.try_tls(&client(&authority, &[&TLS13], &["h2"])).await.is_err());
    server.stop().await;
}

/// The certificate that a new client is shown.
async fn shown(server: &Running) -> Vec<u8> {
    let tls = server.tls().await;
    tls.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// Another pair of the same authority, made in a folder of its own.
fn another(server: &Running, folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    for file in ["ca.crt", "ca.key"] {
        std::fs::copy(server.folder.join(file), folder.join(file)).unwrap();
    }
    dev::ensure(folder, &[], Timestamp::now()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_replaced_under_load_without_a_failed_call() {
    let server = Arc::new(start(|config| config.certificate_poll = Duration::from_millis(5)).await);
    let first = shown(&server).await;
    let done = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for fresh in [true, true, false, false] {
        let (server, done, calls) = (Arc::clone(&server), Arc::clone(&done), Arc::clone(&calls));
        clients.push(tokio::spawn(async move {
            let mut connection = server.connect().await;
            while !done.load(Ordering::Relaxed) {
                if fresh {
                    connection = server.connect().await;
                }
                let reply = post(&mut connection, "/validate", "{}").await;
                assert_eq!(reply.status, StatusCode::OK);
                calls.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for round in 1..=20 {
        let folder = server.folder.join(format!("round-{round}"));
        another(&server, &folder);
        // One file after the other, as people do: between the two they are no pair.
        for file in ["tls.crt", "tls.key"] {
            std::fs::copy(folder.join(file), server.folder.join("copy")).unwrap();
            std::fs::rename(server.folder.join("copy"), server.folder.join(file)).unwrap();
        }
        until(async || server.metric(TAKEN).await > f64::from(round) - 0.5).await;
    }
    let before = calls.load(Ordering::Relaxed);
    until(async || calls.load(Ordering::Relaxed) > before + 20).await;
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert_ne!(shown(&server).await, first);
    Arc::into_inner(server).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_pair_leave_the_old_one_in_use() {
    let server = start(|_| {}).await;
    let first = shown(&server).await;
    let mut open = server.connect().await;
    let folder = server.folder.join("other");
    another(&server, &folder);
    std::fs::copy(folder.join("tls.crt"), server.folder.join("tls.crt")).unwrap();
    until(async || server.metric(REFUSED).await > 0.5).await;
    assert_eq!(shown(&server).await, first);
    assert_eq!(server.page("/readyz").await.0, StatusCode::OK);

    std::fs::copy(folder.join("tls.key"), server.folder.join("tls.key")).unwrap();
    until(async || server.metric(TAKEN).await > 0.5).await;
    assert_ne!(shown(&server).await, first);
    // The connection from before the change is still there.
    assert_eq!(try_post(&mut open, "/validate", "{}").await.unwrap().status, StatusCode::OK);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_what_clients_trust() {
    let own = tempfile::tempdir().unwrap();
    let folder = own.path().join("certs");
    let made = dev::ensure(&folder, &[], Timestamp::now()).unwrap();
    assert_eq!(made.made, Made::Everything);
    let trusted = client(&made.authority, &[&TLS13], &["http/1.1"]);
    for _ in 0..2 {
        assert_eq!(dev::ensure(&folder, &[], Timestamp::now()).unwrap().made, Made::Nothing);
        let server = start_with(tempfile::tempdir().unwrap(), &folder, |_| {}).await;
        let tls = server.try_tls(&trusted).await.unwrap();
        assert_eq!(post(&mut http(tls).await, "/mutate", "{}").await.text, "mutate 2");
        server.stop().await;
    }
}
