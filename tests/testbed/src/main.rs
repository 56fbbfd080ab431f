//! `cargo run -p testbed -- up`: a cluster for a person.

mod up;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use testbed::Kubernetes;

const USAGE: &str = "\
usage: cargo run -p testbed -- COMMAND

  up [--stateward PATH | --no-stateward]
                    start a cluster, with the webhook registered where the binary is built
  install [VERSION | all]
                    build the components and say where they are; all is every version that each
                    change is tested with
  quantity-table    write tools/quantity/table.json anew";

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Vec<String>) -> Result<()> {
    let mut arguments = arguments.into_iter();
    let command = arguments.next();
    match command.as_deref() {
        Some("up") => {
            let mut stateward = up::Choice::IfBuilt;
            while let Some(argument) = arguments.next() {
                stateward = match argument.as_str() {
                    "--no-stateward" => up::Choice::No,
                    "--stateward" => {
                        let path = arguments.next().context("--stateward needs a path")?;
                        up::Choice::Path(PathBuf::from(path))
                    }
                    _ => bail!("unknown argument {argument:?}\n\n{USAGE}"),
                };
            }
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(up::up(stateward))
        }
        Some("install") => {
            let versions = match arguments.next().as_deref() {
                None => vec![Kubernetes::from_environment()?],
                Some("all") => Kubernetes::TESTED.to_vec(),
                Some(name) => vec![name.parse()?],
            };
            for version in versions {
                let tools = testbed::install::install(version)?;
                print(&format!("Kubernetes {}: {tools:#?}", version.name()));
            }
            Ok(())
        }
        Some("quantity-table") => quantity_table(),
        Some("help" | "--help" | "-h") => {
            print(USAGE);
            Ok(())
        }
        Some(other) => bail!("unknown command {other:?}\n\n{USAGE}"),
        None => bail!("no command given\n\n{USAGE}"),
    }
}

/// Asks the parser of Kubernetes itself what each spelling means.
fn quantity_table() -> Result<()> {
    let output = testbed::install::go("quantity")?
        .args(["run", "."])
        .stderr(Stdio::inherit())
        .output()
        .context("could not run go")?;
    if !output.status.success() {
        bail!("the quantity program ended with {}", output.status);
    }
    let path = testbed::install::tools_folder().join("quantity/table.json");
    std::fs::write(&path, &output.stdout)
        .with_context(|| format!("could not write {}", path.display()))?;
    print(&format!("wrote {}", path.display()));
    Ok(())
}

/// Prints a line; a closed pipe is no error.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
