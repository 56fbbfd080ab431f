//! `stateward audit` of a large cluster: seconds and peak memory, from an export and from an API server,
//! beside a floor that only reads the bytes of the export as JSON.
//!
//! The cluster has 10,000 sets, and 100,000 claims, volumes and pods; `STATEWARD_BENCH_SETS` changes that. The
//! bounds are 20 s and 300 MB.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::expect_used,
    reason = "a bench prints rounded figures, and has nobody to report to"
)]

#[path = "audit/cluster.rs"]
mod cluster;
#[path = "audit/list_server.rs"]
mod list_server;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cluster::Cluster;
use serde::de::IgnoredAny;

/// The pause between two looks at the memory of a process; its peak only rises.
const LOOK: Duration = Duration::from_millis(20);

fn main() {
    let sets = std::env::var("STATEWARD_BENCH_SETS").ok();
    let sets = sets.map_or(10_000, |sets| sets.parse().expect("a number of sets"));
    let cluster = Cluster { sets };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let export = folder.path().join("facts.json");
    cluster.export(&export).expect("a file");
    let bytes = export.metadata().expect("the export").len() as f64 / 1e6;
    println!("\n{sets} sets with 10 claims, volumes and pods each; {bytes:.0} MB of facts");
    let start = Instant::now();
    let file = BufReader::with_capacity(64 << 10, File::open(&export).expect("the export"));
    serde_json::from_reader::<_, IgnoredAny>(file).expect("JSON");
    let floor = start.elapsed().as_secs_f64();
    println!("  {:<28} {floor:>6.2} s", "only reads the JSON");
    let facts = ["--facts", export.to_str().expect("a path in UTF-8")];
    let server = list_server::start(cluster);
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, list_server::kubeconfig(server)).expect("a file");
    let live = ["--kubeconfig", kubeconfig.to_str().expect("a path in UTF-8")];
    for (from, arguments) in [("export", facts), ("API server", live)] {
        for format in ["text", "json", "html", "sarif", "junit", "markdown"] {
            let (seconds, peak) = run(&arguments, format, folder.path());
            println!(
                "  {:<28} {seconds:>6.2} s  × {:>5.1}  {peak:>6.0} MB",
                format!("{from}, {format}"),
                seconds / floor
            );
        }
    }
}

/// Seconds, and the peak of resident memory in MB.
fn run(arguments: &[&str], format: &str, folder: &Path) -> (f64, f64) {
    let start = Instant::now();
    let mut process = Command::new(env!("CARGO_BIN_EXE_stateward"))
        .arg("audit")
        .args(arguments)
        .arg("-o")
        .arg(format!("{format}={}", folder.join("report").display()))
        .stdout(Stdio::null())
        .spawn()
        .expect("stateward");
    let status = format!("/proc/{}/status", process.id());
    let mut peak = 0.0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak = kib.map_or(peak, |kib| kib * 1024.0 / 1e6);
        if let Some(ended) = process.try_wait().expect("a child") {
            assert!(ended.success(), "{arguments:?} as {format}: {ended}");
            return (start.elapsed().as_secs_f64(), peak);
        }
        std::thread::sleep(LOOK);
    }
}
