//! Spans, as a collector receives them. `cargo test --features otel --test traces` runs it.

#![cfg(feature = "otel")]
#![expect(clippy::unwrap_used, reason = "a test says by a panic what went wrong")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The trace that an API server would have begun.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector: gives the path and body of each request.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, sender) = (stream.unwrap(), sender.clone());
            std::thread::spawn(move || {
                while let Some(request) = receive(&stream) {
                    if sender.send(request).is_err() {
                        return;
                    }
                    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    (&stream).write_all(ok).unwrap();
                }
            });
        }
    });
    (url, received)
}

fn receive(stream: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, body))
}

/// Serves, asks the printed question with this header, ends the server; all spans are sent by then.
fn asked(endpoint: &str, header: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_stateward"));
    serve
        .args(["serve", "--dev", "--listen=127.0.0.1:0", "--health-listen=127.0.0.1:0"])
        .arg("--certs-dir")
        .arg(folder.path())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .stdout(Stdio::piped());
    let mut child = serve.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.starts_with("try")).unwrap();
    let command = format!("{} -H '{header}'", line.trim_start_matches("try").trim());
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn holds(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_review_is_a_span_in_the_trace_of_the_api_server() {
    let (url, received) = collector();
    asked(&url, &format!("traceparent: 00-{TRACE}-{PARENT}-01"));
    let (path, body) = received.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(path, "/v1/traces");
    assert!(holds(&body, &bytes(TRACE)), "another trace");
    assert!(holds(&body, &bytes(PARENT)), "another parent");
    for word in
        ["stateward", "review", "validate", "UPDATE", "Scale", "warned", "sts-scale-to-zero"]
    {
        assert!(holds(&body, word.as_bytes()), "{word}");
    }
    // The name of the object is in the review, and not in the span.
    assert!(!holds(&body, b"default"));
}

#[test]
fn what_the_api_server_does_not_sample_is_not_sent() {
    let (url, received) = collector();
    asked(&url, &format!("traceparent: 00-{TRACE}-{PARENT}-00"));
    assert!(received.recv_timeout(Duration::from_millis(500)).is_err());
}
