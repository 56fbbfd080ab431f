//! The command line: one file per command.

pub mod advise;
pub mod audit;
pub mod bug_report;
pub mod certs;
pub mod check;
mod columns;
pub mod completions;
pub mod connection;
pub mod controller;
pub mod dashboard;
pub mod disable;
pub mod drivers;
pub mod explain;
pub mod facts;
pub mod input;
pub mod man;
pub mod manifests;
pub mod output;
pub mod packs;
mod parallel;
pub mod policy;
pub mod prepare_uninstall;
pub mod probe;
pub mod program;
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
use stateward_check::report::{CheckReport, Notice, NoticeLevel};
use tokio::runtime::{Builder, Runtime};

/// The version, with the commit that it was built from.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("STATEWARD_COMMIT"), ")");

/// Protect StatefulSets and their volumes on Kubernetes.
///
/// stateward judges changes to StatefulSets and PersistentVolumeClaims. In the cluster it runs as an
/// admission webhook, before the merge as a check of manifests. It gives the same answer in both places.
#[derive(Debug, Parser)]
#[command(
    name = "stateward",
    version = VERSION,
    arg_required_else_help = true,
    after_help = "Example:\n  stateward check --old-ref origin/main deploy/\n\n\
                  Exit codes:\n  \
                  0  nothing was denied (warnings count only with check --fail-on warn)\n  \
                  1  a change was denied, or a check failed: an invalid policy, an unprotected cluster\n  \
                  2  the command failed or could not read its input"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order in which the help lists them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check manifests, or the change between two versions of them.
    ///
    /// Reads YAML streams, JSON and List objects. A manifest alone is judged as a CREATE. With --old or
    /// --old-ref, an object that is in both versions is judged as an UPDATE.
    Check(check::Args),
    /// Export what a cluster knows, for checks that cannot reach it
    Facts(facts::Args),
    /// Show what can lose data in a cluster, or is stuck.
    ///
    /// Reads the cluster once, or facts from a file, and changes nothing. Lists claims whose volume is gone or
    /// goes with the next restart, sets whose claims are deleted with them, claims that differ in size from
    /// their siblings or their template, classes that cannot grow, and claims that nobody uses.
    Audit(audit::Args),
    /// Show the audit and running resizes in a browser, always current.
    ///
    /// Serves the page of `audit -o html` on this machine only, with the running resizes, and reads the cluster
    /// again while somebody looks. It changes nothing.
    Dashboard(dashboard::Args),
    /// Judge one AdmissionReview.
    ///
    /// Reads a review as the API server sends it, and prints the answer that the webhook would send back.
    /// Exit code: 0 allowed, 1 denied, 2 the command failed.
    Review(review::Args),
    /// Run the admission webhook.
    ///
    /// Answers AdmissionReviews over HTTPS at /mutate and /validate. A plain HTTP port serves /livez,
    /// /readyz and /metrics. It reloads certificates and policy when they change. On SIGTERM it becomes
    /// unready, finishes the open requests and exits with code 0.
    Serve(Box<serve::Args>),
    /// Run the resize controller.
    ///
    /// Grows the claims of StatefulSets with a resize request. It then re-creates each StatefulSet around
    /// its running pods, so that its template has the new size. A Lease elects the leader, so several
    /// instances are safe. On SIGTERM it finishes an open re-creation and exits with code 0.
    Controller(controller::Args),
    /// Grow a StatefulSet's volumes and track progress
    Resize(resize::Args),
    /// List the rules
    Rules(rules::Args),
    /// Explain a rule: why it exists, a bad and a good example, and the way out
    Explain(explain::Args),
    /// Say which storage fits the systems of manifests, and which they use
    Advise(advise::Args),
    /// List storage drivers, or explain one: how it expands volumes, its limits and traps, with sources
    Drivers(drivers::Args),
    /// List what is known about databases and other systems, or explain one of them
    Packs(packs::Args),
    /// Print the policy schema or validate a policy file
    Policy(policy::Args),
    /// Print manifests for kubectl apply.
    ///
    /// --url or --service prints both webhook configurations. --crds prints the objects that resizes need,
    /// --rights the roles of controller and webhook. --install prints everything that the chart installs;
    /// to use the chart afterwards, `helm upgrade --install` needs --take-ownership --force-conflicts.
    Manifests(manifests::Args),
    /// Create certificates for development.
    ///
    /// Creates a CA and a serving certificate for this machine: ca.crt, ca.key, tls.crt and tls.key. It
    /// keeps files that are still valid.
    Certs(certs::Args),
    /// Call the webhook of a cluster the way its API server does.
    ///
    /// Reads both webhook configurations, connects from this machine to the address in each, trusts its CA,
    /// and sends a review. If a webhook does not answer, it prints the reason and exits with code 1.
    Probe(probe::Args),
    /// Show if a cluster is protected, and if not, why.
    ///
    /// Sends a canary through the API server: a dry run that both webhooks must deny. It also shows when the
    /// CA and the certificate expire. Exit code: 0 protected, 1 not protected, 2 unknown.
    Status(status::Args),
    /// Allow every change for a while, when stateward is the problem.
    ///
    /// Annotates the namespace of stateward. Every replica then allows everything until the time has passed,
    /// and warns about it.
    Disable(disable::DisableArgs),
    /// End `disable` before its time
    Enable(disable::EnableArgs),
    /// Delete the webhooks and wait for resizes before you uninstall stateward.
    ///
    /// Deletes both webhook configurations, then waits until no StatefulSet is being re-created. If one
    /// still is at the end of the timeout, it names it and exits with code 1.
    PrepareUninstall(prepare_uninstall::Args),
    /// Summarize what audit mode saw, and propose a policy to enforce next.
    ///
    /// Reads the log of `stateward serve --log-format json`, from one replica or all of them. The log is the
    /// only source, so the report covers the time that the log covers, which it prints.
    Report(report::Args),
    /// Collect the information for a bug report.
    ///
    /// Prints versions, webhook configurations, policy, pods, metrics and recent denials as one JSON object.
    /// It holds names of objects, namespaces and users, but no Secrets and no objects.
    BugReport(bug_report::Args),
    /// Print shell completions
    Completions(completions::Args),
    /// Print or write manual pages
    Man(man::Args),
}

/// The result of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// done, and no finding counts
    Clean,
    /// a denial, a failed check, or a warning with `--fail-on warn`
    Findings,
    /// a part failed, and its error was printed
    Failed,
}

impl Outcome {
    /// An error outweighs a finding, because input that could not be judged may hide worse findings.
    pub fn of(report: &CheckReport, fail_on: check::FailOn) -> Self {
        let summary = &report.summary;
        let is_warning = |notice: &Notice| notice.level == NoticeLevel::Warning;
        let has_warnings = summary.warn > 0 || report.notices.iter().any(is_warning);
        if summary.error > 0 {
            Self::Failed
        } else if summary.deny > 0 || (has_warnings && fail_on == check::FailOn::Warn) {
            Self::Findings
        } else {
            Self::Clean
        }
    }

    /// The exit code of the process.
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
        Command::Facts(args) => facts::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Dashboard(args) => dashboard::run(&args),
        Command::Review(args) => review::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Controller(args) => controller::run(&args),
        Command::Resize(args) => resize::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Advise(args) => advise::run(&args),
        Command::Drivers(args) => drivers::run(&args),
        Command::Packs(args) => packs::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Manifests(args) => manifests::run(&args),
        Command::Certs(args) => certs::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Disable(args) => disable::disable(&args),
        Command::Enable(args) => disable::enable(&args),
        Command::PrepareUninstall(args) => prepare_uninstall::run(&args),
        Command::Report(args) => report::run(&args),
        Command::BugReport(args) => bug_report::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

/// The runtime of commands that call an API server. One thread is enough for them.
fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}

/// Writes `text` to standard output. A closed pipe is an error, and `main` ends quietly on it.
fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes `text` to standard error, so that it is no part of a report on standard output.
fn print_error(text: &str) {
    // If standard error is closed, nobody can read the message.
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

    /// Every command below `command`, each with its arguments.
    fn all_arguments(command: &clap::Command) -> Vec<clap::Arg> {
        let own = command.get_arguments().cloned();
        own.chain(command.get_subcommands().flat_map(all_arguments)).collect()
    }

    #[test]
    fn a_namespace_has_the_same_flag_in_every_command() {
        let arguments = all_arguments(&<Cli as clap::CommandFactory>::command());
        let mut found = std::collections::BTreeSet::new();
        for argument in &arguments {
            let long = argument.get_long().unwrap_or_default();
            let values: Vec<&str> = argument
                .get_value_names()
                .unwrap_or_default()
                .iter()
                .map(clap::builder::Str::as_str)
                .collect();
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(argument.get_all_aliases().is_none_or(|all| all.is_empty()), "--{long}");
            if long.contains("namespace") || values.iter().any(|value| value.contains("NAMESPACE"))
            {
                found.insert(long.to_owned());
            }
            match long {
                // As in kubectl: the namespace of the objects that the command is about.
                "namespace" => assert_eq!(argument.get_short(), Some('n'), "{help}"),
                "system-namespace" => {
                    assert!(help.starts_with("Namespace of stateward"), "{help}");
                    assert_eq!(argument.get_default_values(), ["stateward"], "{help}");
                    assert_eq!((argument.get_short(), values), (None, vec!["NAMESPACE"]));
                }
                _ => assert_ne!(argument.get_short(), Some('n'), "--{long}"),
            }
        }
        // Only what runs in a pod takes its namespace; a CI runner has that variable, too.
        let from_pod = arguments
            .iter()
            .filter(|argument| argument.get_env().is_some_and(|name| name == "POD_NAMESPACE"));
        assert_eq!(from_pod.count(), 2, "serve and controller");
        let known = [
            "all-namespaces",
            "canary-namespace",
            "exclude-namespace",
            "namespace",
            "namespace-selector",
            "system-namespace",
        ];
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), known);
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
