//! `serve` as a whole, in a process of its own, since it ends by a signal.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use clap::Parser as _;
use stateward::cli::serve::{self, ServeArgs};
use stateward::telemetry::Metrics;
use stateward::webhook::{BadReview, Endpoint, Failure, Health, Outcome, Reviewed, Reviewer};

/// Answers with the review itself, where that is JSON.
struct Echo;

impl Reviewer for Echo {
    fn review(&self, _: Endpoint, body: &[u8]) -> Result<Reviewed, BadReview> {
        serde_json::from_slice::<serde_json::Value>(body)
            .map_err(|error| BadReview(error.to_string()))?;
        Ok(Reviewed {
            body: body.to_owned(),
            allowed: true,
            operation: "UPDATE",
            kind: "Scale",
            outcome: Outcome::Allowed,
            denials: Vec::new(),
            verdicts: Vec::new(),
        })
    }

    fn failed(&self, _: Endpoint, _: &[u8], failure: Failure) -> Result<Reviewed, BadReview> {
        Err(BadReview(failure.describe().to_owned()))
    }
}

#[derive(Debug, clap::Parser)]
struct Arguments {
    #[command(flatten)]
    serve: ServeArgs,
}

#[test]
fn serve_prints_a_command_that_works_and_ends_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let certs: PathBuf = folder.path().join("it's here");
    let arguments = Arguments::try_parse_from([
        "serve".as_ref(),
        "--dev".as_ref(),
        "--listen=127.0.0.1:0".as_ref(),
        "--health-listen=127.0.0.1:0".as_ref(),
        "--certs-dir".as_ref(),
        certs.as_os_str(),
        "--log-format=json".as_ref(),
        "--log-level=warn".as_ref(),
    ])
    .unwrap();
    let (sender, receiver) = mpsc::channel();
    let server = std::thread::spawn(move || {
        serve::run(
            &arguments.serve,
            Arc::new(Echo),
            Arc::new(Metrics::new()),
            Health::new(),
            |started| Ok(sender.send(started.clone())?),
        )
    });
    let started = receiver.recv_timeout(Duration::from_secs(60)).unwrap();
    let text = started.to_string();
    assert!(text.starts_with(&format!("reviews   https://{}/mutate and", started.address)));
    assert!(
        text.contains(&format!("health    http://{}/readyz", started.health_address)),
        "{text}"
    );
    assert!(text.contains("ca.crt (newly made)"), "{text}");

    let line = text.split_once("try       ").unwrap().1;
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl is needed for this test: {complaint}");
    let review: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(review.pointer("/request/operation").unwrap(), "UPDATE");

    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
        .unwrap();
    server.join().unwrap().unwrap();
}
