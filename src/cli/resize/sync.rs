//! `stateward resize sync`

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::bail;
use stateward_core::facts::Fact;
use stateward_core::object::Quantity;
use stateward_resize::observed::{Claim, Memory, Set};

use super::apply::Wait;
use super::target::{Session, Which, templates};
use super::{Outcome, controller_check, manifest};
use crate::cli::{print, print_error};

/// Arguments of `stateward resize sync`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Which,
    /// Only print the change for Git
    #[arg(long)]
    pub print_only: bool,
    #[command(flatten)]
    pub wait: Wait,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Outcome> {
    let session = args.which.open().await?;
    let templates = templates(&session.set().await?);
    let observed = session.cluster.observe(&session.key, None, Memory::default()).await;
    let (set, claims) = match (&observed.set, &observed.claims) {
        (Fact::Known(Some(set)), Fact::Known(claims)) => (set, claims),
        (Fact::Known(None), _) => bail!("there is no StatefulSet {}", session.key),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => {
            bail!("the claims of {} could not be read: {why}", session.key)
        }
    };
    let found = found(set, claims);
    if found.is_empty() {
        print(&format!("Nothing to do: no claim template of {} is behind.\n", session.key))?;
        return Ok(Outcome::Clean);
    }
    let mut text = String::new();
    for (template, Found { least, most }) in &found {
        let _ = writeln!(text, "Each claim of {template} is at least {least}.");
        if least != most {
            let _ = writeln!(
                text,
                "  The largest is {most}; to bring all of them there: {}",
                session.command_with("apply", &format!("--size {template}={most}"))
            );
        }
    }
    print(&text)?;
    let targets: BTreeMap<String, String> =
        found.iter().map(|(name, found)| (name.clone(), found.least.to_string())).collect();
    if args.print_only {
        print(&manifest::difference(&templates, &targets).unwrap_or_default())?;
        return Ok(Outcome::Clean);
    }
    session.sync(args, set, &targets, &templates).await
}

impl Session {
    async fn sync(
        &self,
        args: &Args,
        set: &Set,
        targets: &BTreeMap<String, String>,
        templates: &[(String, String)],
    ) -> anyhow::Result<Outcome> {
        let difference = manifest::difference(templates, targets).unwrap_or_default();
        let refuse = |why: String| {
            print_error(&format!("{why}. Nothing was changed. In Git:\n{difference}"));
            Ok(Outcome::Findings)
        };
        if let Some(owner) = &set.owner {
            return refuse(format!("{owner} owns the set and decides its size"));
        }
        let namespace = &args.which.place.system_namespace;
        let found = controller_check::absence(&self.cluster, namespace).await?;
        if let Some(why) = found.and_then(|controller| controller.absence()) {
            return refuse(format!("No controller would carry this out: {why}"));
        }
        self.request(targets, templates, false, &args.wait).await
    }
}

/// The claims of one template.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    least: Quantity,
    most: Quantity,
}

/// The templates that are smaller than every claim of a running ordinal: raising them to the
/// smallest lets no claim grow.
fn found(set: &Set, claims: &[Claim]) -> BTreeMap<String, Found> {
    let mut all: BTreeMap<String, Found> = BTreeMap::new();
    let counts = |claim: &&Claim| {
        !claim.foreign && !claim.terminating && set.ordinals().contains(&claim.ordinal)
    };
    for claim in claims.iter().filter(counts) {
        let size = &claim.request;
        all.entry(claim.template.clone())
            .and_modify(|found| {
                found.least = size.clone().min(found.least.clone());
                found.most = size.clone().max(found.most.clone());
            })
            .or_insert_with(|| Found { least: size.clone(), most: size.clone() });
    }
    all.retain(|template, found| set.templates.get(template).is_some_and(|t| *t < found.least));
    all
}
