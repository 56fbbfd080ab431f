//! The command line: one file per command.

pub mod bug_report;
pub mod certs;
pub mod check;
pub mod completions;
pub mod connection;
pub mod controller;
pub mod explain;
pub mod input;
pub mod leave;
pub mod man;
pub mod manifests;
pub mod output;
mod parallel;
pub mod policy;
pub mod probe;
mod registered;
pub mod report;
pub mod resize;
pub mod review;
pub mod rules;
pub mod serve;
pub mod status;

use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use stateward_check::report::CheckReport;
use tokio::runtime::{Builder, Runtime};

/// Judges every change to stateful workloads on Kubernetes.
///
/// stateward reads StatefulSets and PersistentVolumeClaims, in the cluster as an admission webhook
/// and before the merge as a check of manifests, and says the same in both places.
#[derive(Debug, Parser)]
#[command(
    name = "stateward",
    version,
    arg_required_else_help = true,
    after_help = "Example:\n  stateward check --old-ref origin/main deploy/\n\n\
                  Exit codes:\n  \
                  0  nothing denied; warnings do not count, but with check --fail-on warn\n  \
                  1  something denied, or found\n  \
                  2  could not run, or not read what it was given"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order in which the help lists them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge manifests, or the change between two versions of them.
    ///
    /// Reads YAML streams, JSON and List objects. A manifest alone is judged as a CREATE; with
    /// --old or --old-ref, an object that is in both versions is judged as an UPDATE.
    Check(check::Args),
    /// Judge one AdmissionReview.
    ///
    /// Reads a review as the API server sends it and prints the review that it would get back.
    /// Exit code: 0 allowed, 1 denied, 2 could not run.
    Review(review::Args),
    /// Run the admission webhook.
    ///
    /// Answers AdmissionReviews over HTTPS under /mutate and /validate, and /livez, /readyz and
    /// /metrics on a plain port. Certificates and policy are read again when they change. SIGTERM
    /// makes it unready, drains it and ends it with exit code 0.
    Serve(Box<serve::Args>),
    /// Run the resize controller.
    ///
    /// Grows the claims of sets that ask for it, then re-creates each set around its running pods
    /// so that its template says the same. Leads by a Lease; several instances are safe. SIGTERM
    /// closes what is open and ends it with exit code 0.
    Controller(controller::Args),
    /// Grow the volumes of a set, and look at how far that is
    Resize(resize::Args),
    /// List the rules
    Rules(rules::Args),
    /// Explain one rule: why, examples, way out
    Explain(explain::Args),
    /// The policy file: its schema, and whether one is right
    Policy(policy::Args),
    /// Print what the cluster has to know, for kubectl apply.
    ///
    /// With --url or --service a MutatingWebhookConfiguration, which sees each edit before
    /// Kubernetes validates it, and a ValidatingWebhookConfiguration, which sees what survives.
    /// With --crds what resizes need, with --rights who carries them out.
    Manifests(manifests::Args),
    /// Make certificates for development.
    ///
    /// Makes an authority and a serving certificate for this machine as ca.crt, ca.key,
    /// tls.crt and tls.key, or keeps those that are still valid.
    Certs(certs::Args),
    /// Ask the webhook of a cluster the way its API server does.
    ///
    /// Reads both webhook configurations, connects where they point, trusts what they trust, and
    /// sends a review. Exit code 1 says which webhook does not answer, and why.
    Probe(probe::Args),
    /// Say whether a cluster is guarded, and why not.
    ///
    /// Sends a canary through the API server, a dry run that both webhooks refuse, and looks when
    /// authority and certificate expire. Exit code: 0 guarded, 1 not, 2 cannot say.
    Status(status::Args),
    /// Prepare a cluster for stateward's departure.
    ///
    /// Removes both webhook configurations, then waits until no resize is at the point where its
    /// set is being re-created. Exit code 1 says which ones still are.
    Leave(leave::Args),
    /// Say what audit mode saw, and which policy to enforce next.
    ///
    /// Reads the log of `stateward serve --log-format json`, of one replica or of all. Nothing else
    /// keeps what was seen, so it reaches back as far as the log does, and says how far that is.
    Report(report::Args),
    /// Collect what is needed to report a fault of stateward.
    ///
    /// Versions, webhook configurations, policy, pods, metrics and recent denials as one JSON object.
    /// Names of objects, namespaces and users are in it; bodies of objects and Secrets are not.
    BugReport(bug_report::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Print or write manual pages
    Man(man::Args),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// nothing found, or simply done
    Clean,
    /// something found that counts
    Findings,
    /// some of it could not be done, which has been said
    Failed,
}

impl Outcome {
    /// What a report means for the exit code. What could not be judged weighs more than what was
    /// found: nobody knows what else there is.
    pub const fn of(report: &CheckReport, fail_on: check::FailOn) -> Self {
        let summary = &report.summary;
        let warnings_count = matches!(fail_on, check::FailOn::Warn);
        if summary.error > 0 {
            Self::Failed
        } else if summary.deny > 0 || (warnings_count && summary.warn > 0) {
            Self::Findings
        } else {
            Self::Clean
        }
    }

    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Findings => 1,
            Self::Failed => 2,
        }
    }
}

/// Runs one command.
///
/// # Errors
/// It could not run.
pub fn run(cli: Cli) -> anyhow::Result<Outcome> {
    match cli.command {
        Command::Check(args) => check::run(&args),
        Command::Review(args) => review::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Controller(args) => controller::run(&args),
        Command::Resize(args) => resize::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Manifests(args) => manifests::run(&args),
        Command::Certs(args) => certs::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Leave(args) => leave::run(&args),
        Command::Report(args) => report::run(&args),
        Command::BugReport(args) => bug_report::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

/// What commands that ask a cluster run on: one thread.
fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}

/// Writes `text` to standard output. A closed pipe is an error, which `main` knows.
fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes `text` to standard error, where it stands beside a report and not in it.
fn print_error(text: &str) {
    // With standard error closed, there is nobody to tell.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::check::FailOn;
    use super::*;
    use stateward_check::report::Summary;

    #[test]
    fn clap_finds_no_fault_with_the_arguments() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn the_exit_code_follows_the_worst() {
        let code = |deny, warn, error, fail_on| {
            let mut report = CheckReport::new(Vec::new(), 0, Vec::new(), Vec::new(), Vec::new());
            report.summary = Summary { deny, warn, error, not_judged: 1, ..Summary::default() };
            Outcome::of(&report, fail_on).code()
        };
        assert_eq!(code(0, 0, 0, FailOn::Warn), 0);
        assert_eq!(code(0, 1, 0, FailOn::Deny), 0);
        assert_eq!(code(0, 1, 0, FailOn::Warn), 1);
        assert_eq!(code(1, 0, 0, FailOn::Deny), 1);
        assert_eq!(code(1, 1, 1, FailOn::Deny), 2);
    }
}
