//! Spans, as a collector receives them. `cargo test --features otel --test webhook traces` runs it.

use std::collections::BTreeMap;
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
    asked_with(endpoint, header, "");
}

/// The same with further arguments of curl.
fn asked_with(endpoint: &str, header: &str, more: &str) {
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
    let command = format!("{} -H '{header}' {more}", line.trim_start_matches("try").trim());
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What was sent until now, at least one request. Messages one after the other are one message that
/// holds what all of them hold.
fn sent(received: &Receiver<(String, Vec<u8>)>) -> Vec<u8> {
    let first = received.recv_timeout(Duration::from_secs(10)).unwrap();
    let all = std::iter::once(first).chain(received.try_iter());
    all.flat_map(|(path, body)| {
        assert_eq!(path, "/v1/traces");
        body
    })
    .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn holds(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

/// The fields of a protobuf message that hold bytes, texts or messages, with their numbers.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = number(&mut message);
        let length = match tag & 7 {
            0 => {
                number(&mut message);
                continue;
            }
            1 => 8,
            2 => usize::try_from(number(&mut message)).unwrap(),
            5 => 4,
            kind => unreachable!("a field of kind {kind}"),
        };
        let (field, rest) = message.split_at(length);
        found.push((tag >> 3, field));
        message = rest;
    }
    found
}

fn number(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = message.split_first().unwrap();
        *message = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

const TRACE_ID: u64 = 1;
const SPAN_ID: u64 = 2;
const PARENT_ID: u64 = 4;
const NAME: u64 = 5;
const TIMES: [u64; 2] = [7, 8];
const ATTRIBUTE: u64 = 9;

/// A span as `opentelemetry.proto.trace.v1` has it.
struct Span<'a>(Vec<(u64, &'a [u8])>);

impl<'a> Span<'a> {
    fn field(&self, number: u64) -> &'a [u8] {
        self.0.iter().find(|(found, _)| *found == number).map_or(&[], |(_, field)| field)
    }

    fn times(&self) -> [u64; 2] {
        TIMES.map(|number| u64::from_le_bytes(self.field(number).try_into().unwrap()))
    }

    /// The texts of its attributes, by their keys.
    fn attribute(&self, key: &str) -> Option<&'a str> {
        let all = self.0.iter().filter(|(number, _)| *number == ATTRIBUTE);
        let pairs = all.map(|(_, attribute)| fields(attribute));
        let found = pairs.into_iter().find(|pair| pair[0].1 == key.as_bytes())?;
        let text = fields(found[1].1).first()?.1;
        Some(str::from_utf8(text).unwrap())
    }
}

/// All spans of a request, by their names.
fn spans(body: &[u8]) -> BTreeMap<&str, Span<'_>> {
    let mut messages = vec![body];
    // The request holds resources, those hold scopes, and those hold spans.
    for number in [1, 2, 2] {
        let all = messages.into_iter().flat_map(fields);
        messages = all.filter(|(found, _)| *found == number).map(|(_, field)| field).collect();
    }
    let spans = messages.into_iter().map(|span| Span(fields(span)));
    spans.map(|span| (str::from_utf8(span.field(NAME)).unwrap(), span)).collect()
}

#[test]
fn a_review_is_a_span_in_the_trace_of_the_api_server() {
    let (url, received) = collector();
    asked(&url, &format!("traceparent: 00-{TRACE}-{PARENT}-01"));
    let body = sent(&received);
    let all = spans(&body);
    assert_eq!(all.keys().collect::<Vec<_>>(), [&"POST /validate", &"decide", &"decode"]);
    let review = &all["POST /validate"];
    assert_eq!(review.field(TRACE_ID), bytes(TRACE), "another trace");
    assert_eq!(review.field(PARENT_ID), bytes(PARENT), "another parent");
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/validate"),
        ("stateward.operation", "UPDATE"),
        ("stateward.kind", "Scale"),
        ("stateward.outcome", "warned"),
        ("stateward.rule", "sts-scale-to-zero"),
    ] {
        assert_eq!(review.attribute(key), Some(value), "{key}");
    }
    // The name of the object is in the review, and not in the span.
    assert!(!holds(&body, b"default"));

    // Its phases are within it, one after the other.
    let [begin, end] = review.times();
    let mut last = begin;
    for phase in ["decode", "decide"] {
        let span = &all[phase];
        assert_eq!(span.field(TRACE_ID), bytes(TRACE), "{phase}");
        assert_eq!(span.field(PARENT_ID), review.field(SPAN_ID), "{phase}");
        let [first, then] = span.times();
        assert!(last <= first && first <= then, "{phase}");
        last = then;
    }
    assert!(last <= end);
}

#[test]
fn a_body_that_is_no_review_is_a_span_without_a_verdict() {
    let (url, received) = collector();
    // curl sends both bodies with an ampersand between them.
    asked_with(&url, &format!("traceparent: 00-{TRACE}-{PARENT}-01"), "-d more");
    let body = sent(&received);
    let all = spans(&body);
    assert_eq!(all.keys().collect::<Vec<_>>(), [&"POST /validate", &"decode"]);
    let review = &all["POST /validate"];
    assert_eq!(review.attribute("error.type"), Some("review"));
    assert_eq!(review.attribute("stateward.outcome"), None);
}

#[test]
fn what_the_api_server_does_not_sample_is_not_sent() {
    let (url, received) = collector();
    asked(&url, &format!("traceparent: 00-{TRACE}-{PARENT}-00"));
    assert!(received.recv_timeout(Duration::from_millis(500)).is_err());
}
