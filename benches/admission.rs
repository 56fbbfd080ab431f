//! What the API server waits for stateward, beside a server that allows everything, by the API
//! server's own metrics.
//!
//! A real API server calls both with the same registration, TLS and object, each for a namespace of its
//! own. Server-side dry runs go to one namespace and then to the other, turn by turn.
//!
//! `STATEWARD_BENCH_BINARY` names another binary than that of this build, `STATEWARD_BENCH_TURNS` how
//! many turns each has.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a bench prints rounded figures"
)]

#[path = "admission/allow.rs"]
mod allow;
#[path = "admission/metrics.rs"]
mod metrics;
#[path = "support/ratio.rs"]
mod ratio;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testbed::Testbed;
use testbed::process::Process;

use self::metrics::Calls;

/// Requests of a turn.
const TURN: usize = 50;
/// Turns of each side, unless the variable says otherwise.
const TURNS: usize = 40;
const LONG: Duration = Duration::from_secs(60);
/// The names of both namespaces and both registrations.
const SIDES: [&str; 2] = ["always-allow", "stateward"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, port, folder] = &arguments[..]
        && name == SIDES[0]
    {
        return allow::serve(port.parse()?, Path::new(folder));
    }
    tokio::runtime::Runtime::new()?.block_on(compare())
}

async fn compare() -> Result<()> {
    let turns =
        std::env::var("STATEWARD_BENCH_TURNS").ok().map(|turns| turns.parse()).transpose()?;
    let turns = turns.unwrap_or(TURNS);
    let testbed = Testbed::builder().controllers(false).start().await?;
    let folder = tempfile::tempdir()?;
    let _processes = servers(&testbed, folder.path()).await?;
    let set = set()?;
    for namespace in SIDES {
        let labels =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        testbed.apply(labels).await?;
        let created = testbed.create(&sets(namespace), set.clone()).await?;
        created.ok().context("the set is not taken")?;
    }
    let image = "/spec/template/spec/containers/0";
    let container = set.pointer(image).context("a set with a container")?.clone();
    let changes: [(&str, &dyn Fn(usize) -> Value); 2] = [
        ("one label changed", &|turn| json!({"metadata": {"labels": {"turn": turn.to_string()}}})),
        ("a new image", &|turn| {
            let mut container = container.clone();
            container["image"] = format!("improbable/thanos:v1.{turn}").into();
            json!({"spec": {"template": {"spec": {"containers": [container]}}}})
        }),
    ];
    // Both are called, and the connections are open.
    for namespace in SIDES {
        testbed
            .wait_for("the API server to call both", LONG, async || {
                turn(&testbed, namespace, changes[0].1).await?;
                let all = metrics::read(&testbed).await?;
                Ok((all.len() >= 2 && called(&all, namespace)).then_some(()))
            })
            .await?;
    }
    for (title, change) in changes {
        println!("\nan UPDATE of 12 KB, {title}: {} dry runs each, {TURN} by turns", turns * TURN);
        let mut found: [Vec<[Calls; 2]>; 2] = Default::default();
        for number in 0..turns {
            // Nobody always comes first.
            for side in [number % 2, 1 - number % 2] {
                let before = metrics::read(&testbed).await?;
                turn(&testbed, SIDES[side], change).await?;
                let after = metrics::read(&testbed).await?;
                let mut calls = Vec::new();
                for path in allow::PATHS {
                    let name = webhook(path, SIDES[side]);
                    let none = Calls::default();
                    let calls_then = after.get(&name).with_context(|| format!("no {name}"))?;
                    calls.push(calls_then.since(before.get(&name).unwrap_or(&none)));
                }
                let calls: [Calls; 2] = calls.try_into().ok().context("two webhooks")?;
                for (one, path) in calls.iter().zip(allow::PATHS) {
                    let count = one.count().round() as usize;
                    ensure!(count == TURN, "{path} was called {count} times");
                }
                found[side].push(calls);
            }
        }
        for (index, path) in allow::PATHS.iter().enumerate() {
            print(path, found.each_ref().map(|turns| turns.iter().map(|calls| &calls[index])));
        }
    }
    Ok(())
}

/// Mean and p99 of each side over all turns, and the ratios.
fn print<'a>(path: &str, sides: [impl Iterator<Item = &'a Calls>; 2]) {
    let sides = sides.map(Iterator::collect::<Vec<_>>);
    let totals = sides.each_ref().map(|turns| Calls::sum(turns));
    let [allow, ours] = totals.each_ref().map(|calls| calls.mean() * 1e3);
    for (name, calls) in SIDES.iter().zip(&totals) {
        let (limit, share) = calls.first_bucket();
        println!(
            "  /{path:<9} {name:<13} mean {:.3} ms, p99 {:.2} ms ({:.2} % within {} ms)",
            calls.mean() * 1e3,
            calls.quantile(0.99) * 1e3,
            share * 100.0,
            limit * 1e3
        );
    }
    let [allow_p99, ours_p99] = totals.each_ref().map(|calls| calls.quantile(0.99));
    let mut ratios: Vec<f64> =
        sides[0].iter().zip(&sides[1]).map(|(allow, ours)| ours.mean() / allow.mean()).collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "  {:<10} ratio of means {:.3}, of p99 {:.3}; median of the ratios of turns {:.3}",
        "",
        ours / allow,
        ours_p99 / allow_p99,
        ratios[ratios.len() / 2]
    );
}

/// One turn: edits that change nothing for good.
async fn turn(testbed: &Testbed, namespace: &str, change: &dyn Fn(usize) -> Value) -> Result<()> {
    let path = format!("{}/measured?dryRun=All", sets(namespace));
    for number in 0..TURN {
        let reply = testbed.merge(&path, change(number)).await?;
        reply.ok().context("a dry run was refused")?;
    }
    Ok(())
}

fn called(all: &std::collections::BTreeMap<String, Calls>, side: &str) -> bool {
    allow::PATHS.iter().all(|path| all.contains_key(&webhook(path, side)))
}

fn sets(namespace: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/statefulsets")
}

fn webhook(path: &str, side: &str) -> String {
    format!("{path}.{side}.dev")
}

/// The set of a recorded review, as it was before it was in a cluster.
fn set() -> Result<Value> {
    let review: Value = serde_json::from_slice(&ratio::update_of_12_kb(false))?;
    let mut set = review["request"]["oldObject"].clone();
    let spec = set["spec"].take();
    let annotations = set["metadata"]["annotations"].take();
    let labels = set["metadata"]["labels"].take();
    Ok(json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "measured", "labels": labels, "annotations": annotations},
        "spec": spec
    }))
}

/// Starts both servers with the same certificate, and registers each for its namespace.
async fn servers(testbed: &Testbed, folder: &Path) -> Result<[Process; 2]> {
    let own = PathBuf::from(env!("CARGO_BIN_EXE_stateward"));
    let binary = std::env::var_os("STATEWARD_BENCH_BINARY").map_or(own, PathBuf::from);
    let output = |arguments: &[String]| {
        let output = Command::new(&binary).args(arguments).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let crds = output(&["manifests".to_owned(), "--crds".to_owned()])?;
    let apply = ["apply", "--server-side", "-f", "-"];
    testbed.kubectl_with("admin", &apply, Some(&crds)).await?.ok()?;
    let [allow, ours, health] =
        [testbed::free_port()?, testbed::free_port()?, testbed::free_port()?];
    let serve = [
        "serve".to_owned(),
        "--dev".to_owned(),
        format!("--certs-dir={}", folder.display()),
        format!("--kubeconfig={}", testbed.kubeconfig().display()),
        format!("--listen=127.0.0.1:{ours}"),
        format!("--health-listen=127.0.0.1:{health}"),
    ];
    let stateward = Process::start(SIDES[1], &binary, &serve, &folder.join("stateward.log"))?;
    listening(testbed, ours, &stateward).await?;
    let arguments = [SIDES[0].to_owned(), allow.to_string(), folder.display().to_string()];
    let program = std::env::current_exe()?;
    let other = Process::start(SIDES[0], &program, &arguments, &folder.join("allow.log"))?;
    listening(testbed, allow, &other).await?;

    for (side, port) in SIDES.into_iter().zip([allow, ours]) {
        let printed = output(&[
            "manifests".to_owned(),
            format!("--ca={}", folder.join("ca.crt").display()),
            format!("--url=https://127.0.0.1:{port}"),
            format!("--namespace-selector=kubernetes.io/metadata.name={side}"),
            "--failure-policy=Fail".to_owned(),
        ])?;
        // Two registrations of one name would be one.
        let printed = printed.replace("name: stateward\n", &format!("name: {side}\n"));
        let printed = printed.replace(".stateward.dev\n", &format!(".{side}.dev\n"));
        testbed.kubectl_with("admin", &["apply", "-f", "-"], Some(&printed)).await?.ok()?;
    }
    Ok([other, stateward])
}

async fn listening(testbed: &Testbed, port: u16, process: &Process) -> Result<()> {
    let connected = testbed
        .wait_for("a server to listen", LONG, async || {
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop))
        })
        .await;
    connected.with_context(|| process.tail())
}
