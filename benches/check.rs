//! `stateward check` over 10,000 generated manifests, beside merely reading them; and how long it
//! takes to judge one small manifest, process start included, beside `/bin/true`.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints rounded figures"
)]

#[path = "support/generate.rs"]
mod generate;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use stateward::cli::input::{Exclude, load};
use stateward_check::judge::check;
use stateward_check::pair::pair;
use stateward_check::select::Selection;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::Facts;
use stateward_core::policy::Policy;

const MANIFESTS: usize = 10_000;
const ROUNDS: usize = 7;
const STARTS: usize = 101;

const SMALL: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, image: postgres:17.2}]
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    std::fs::create_dir_all(&old)?;
    std::fs::create_dir_all(&new)?;
    generate::write(MANIFESTS, &old, &new)?;
    let bytes = size(&old)? + size(&new)?;
    println!(
        "{MANIFESTS} manifests, old and new: {:.1} MB of YAML, {:.0} bytes each",
        bytes as f64 / 1e6,
        bytes as f64 / (2 * MANIFESTS) as f64
    );
    in_process(&old, &new, bytes)?;
    as_a_process(&old, &new, bytes)?;
    let small = folder.path().join("small.yaml");
    std::fs::write(&small, SMALL)?;
    cold_start(&small)
}

fn size(folder: &Path) -> std::io::Result<u64> {
    std::fs::read_dir(folder)?.map(|file| Ok(file?.metadata()?.len())).sum()
}

/// The parts of a check, one after the other.
fn in_process(old: &Path, new: &Path, bytes: u64) -> Result<(), Box<dyn std::error::Error>> {
    let policy = Policy::default();
    let read = |folder: &Path| {
        let files = load(
            &[PathBuf::from(folder)],
            &Exclude::default(),
            &BTreeSet::new(),
            &mut std::io::empty(),
        );
        let mut all = Selection::default();
        let one = NonZero::<usize>::MIN;
        files.read(one, Selection::from).into_iter().for_each(|part| all.append(part));
        all
    };
    let (mut reading, mut judging) = (Vec::new(), Vec::new());
    let mut summary = None;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let (before, after) = (read(old), read(new));
        reading.push(start.elapsed());
        let start = Instant::now();
        let mut facts = Facts::none();
        facts.add_documents(&after.documents);
        let paired = pair(before, after, false);
        let context =
            EvaluationContext { policy: &policy, facts: &facts, now: Timestamp::UNIX_EPOCH };
        let report = check(paired, KubernetesVersion::default(), &context);
        judging.push(start.elapsed());
        summary = Some(report.summary);
    }
    let summary = summary.ok_or("no round was run")?;
    println!(
        "  {} objects judged: {} denied, {} warned, {} not judged, {} errors",
        summary.objects, summary.deny, summary.warn, summary.not_judged, summary.error
    );
    let (reading, judging) = (median(reading), median(judging));
    let whole = reading + judging;
    for (name, time) in [("reading the YAML", reading), ("pairing and judging", judging)] {
        println!(
            "  {name:<22} {:>7.0} ms, {:>3.0} %, {:>5.1} µs a manifest",
            time.as_secs_f64() * 1e3,
            100.0 * time.as_secs_f64() / whole.as_secs_f64(),
            time.as_secs_f64() * 1e6 / MANIFESTS as f64
        );
    }
    println!(
        "  both: {:.1} MB/s; × {:.2} of merely reading",
        bytes as f64 / 1e6 / whole.as_secs_f64(),
        whole.as_secs_f64() / reading.as_secs_f64()
    );
    Ok(())
}

/// The command, with everything that belongs to it.
fn as_a_process(old: &Path, new: &Path, bytes: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut times = Vec::new();
    let mut peak = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_stateward"))
            .arg("check")
            .arg("--old")
            .args([old, new])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let code = loop {
            if let Some(status) = child.try_wait()? {
                break status.code();
            }
            peak = peak.max(memory(child.id()).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(2));
        };
        times.push(start.elapsed());
        assert_eq!(code, Some(1), "some of the changes are denied");
    }
    let time = median(times).as_secs_f64();
    println!(
        "  the whole command      {:>7.0} ms: {:.0} manifests/s, {:.1} MB/s, {:.0} MB at most",
        time * 1e3,
        (2 * MANIFESTS) as f64 / time,
        bytes as f64 / 1e6 / time,
        peak as f64 / 1e3
    );
    Ok(())
}

/// The most memory that a process has had so far, in kB.
fn memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn cold_start(manifest: &Path) -> Result<(), Box<dyn std::error::Error>> {
    println!("\nstarting and ending a process, {STARTS} times each, in turn");
    let stateward = env!("CARGO_BIN_EXE_stateward");
    let mut commands = [
        ("/bin/true", Command::new("/bin/true")),
        ("stateward --version", Command::new(stateward)),
        ("stateward check of one small manifest", Command::new(stateward)),
    ];
    commands[1].1.arg("--version");
    commands[2].1.arg("check").arg(manifest);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..STARTS {
        for ((_, command), times) in commands.iter_mut().zip(&mut times) {
            let start = Instant::now();
            let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
            times.push(start.elapsed());
            assert!(status.success(), "{command:?}: {status}");
        }
    }
    for ((name, _), mut times) in commands.iter().zip(times) {
        times.sort_unstable();
        println!(
            "  {name:<38} median {:>6.2} ms, best {:>6.2} ms",
            times[times.len() / 2].as_secs_f64() * 1e3,
            times[0].as_secs_f64() * 1e3
        );
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
