//! `stateward resize`: grows the volumes of a set, and says how far that is.

mod apply;
mod controller_check;
mod edit;
mod local_grow;
mod manifest;
mod plan;
mod screen;
mod status;
mod sync;
mod target;
mod view;
mod wait;
mod write_spec;

use super::Outcome;

/// Arguments of `stateward resize`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    stateward resize plan db -n prod --size 200Gi\n  \
    stateward resize apply db -n prod --size data=200Gi --wait\n  \
    stateward resize status db -n prod\n\n\
    Exit codes: 0 done, 1 blocked, refused or ended short of it, 2 could not run.")]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// How a plan or a status is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// for people
    #[default]
    Text,
    /// for programs
    Json,
}

/// What to do with a resize.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Say what a resize would do: checks, steps, restarts, and the way out of each step
    #[command(after_help = "Example:\n  stateward resize plan sts/db -n prod --size 200Gi")]
    Plan(plan::Args),
    /// Grow the claims of a set, then re-create the set around its running pods.
    ///
    /// The controller in the cluster does it; this command asks for it and may be interrupted at
    /// any moment. With --claims-only the set is left alone until `finish`.
    #[command(after_help = "Example:\n  stateward resize apply sts/db -n prod --size 200Gi --wait")]
    Apply(apply::Args),
    /// Re-create the set of a resize that rests after its claims have grown.
    ///
    /// Also tries again where the set came back with its old template, and brings back a set that
    /// somebody deleted meanwhile.
    #[command(after_help = "Example:\n  stateward resize finish sts/db -n prod")]
    Finish(edit::FinishArgs),
    /// Show a resize, claim by claim, and what to do about what holds it up
    #[command(after_help = "Example:\n  stateward resize status sts/db -n prod")]
    Status(status::Args),
    /// Let a resize rest; a set that is away is still created again
    #[command(after_help = "Example:\n  stateward resize pause sts/db -n prod")]
    Pause(edit::Args),
    /// Let a paused or aborted resize go on
    #[command(after_help = "Example:\n  stateward resize resume sts/db -n prod")]
    Resume(edit::Args),
    /// End a resize: the set gets back what was changed of it, claims that have grown stay
    #[command(after_help = "Example:\n  stateward resize abort sts/db -n prod")]
    Abort(edit::AbortArgs),
    /// Raise the claim templates to what the claims are already, and print the change for Git.
    ///
    /// For claims that were grown by hand or by an autoresizer. No claim grows.
    #[command(after_help = "Example:\n  stateward resize sync sts/db -n prod")]
    Sync(sync::Args),
}

/// Does it.
///
/// # Errors
/// It could not run: no cluster, no such set, or an answer that was not understood.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    super::runtime()?.block_on(async {
        match &args.verb {
            Verb::Plan(args) => Box::pin(plan::run(args)).await,
            Verb::Apply(args) => Box::pin(apply::run(args)).await,
            Verb::Finish(args) => edit::finish(args).await,
            Verb::Status(args) => status::run(args).await,
            Verb::Pause(args) => edit::pause(args).await,
            Verb::Resume(args) => edit::resume(args).await,
            Verb::Abort(args) => edit::abort(args).await,
            Verb::Sync(args) => sync::run(args).await,
        }
    })
}
