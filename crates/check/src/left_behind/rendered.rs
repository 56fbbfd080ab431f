//! Objects that have other names in the files, and the same ones in the cluster.

use std::collections::{BTreeSet, HashSet};

use stateward_core::yaml::Document;

use super::claims::Claims;
use super::holder::Holder;
use crate::kustomize::{Renaming, Renamings};
use crate::pair::{Rendered, path};

/// Takes out the old objects that the new input renders with all their names and claims, and the new ones that
/// stand for them. Gives the manifests of the old claims and workloads.
pub(super) fn take_same<'d>(
    olds: &mut Vec<Holder<'d>>,
    news: &mut Vec<Holder<'d>>,
    renamings: &(Renamings, Renamings),
) -> Vec<&'d Document> {
    if renamings.0.is_empty() && renamings.1.is_empty() {
        return Vec::new();
    }
    let (mut rendered, mut used) = (Rendered::new(), Vec::new());
    for (at, new) in news.iter().enumerate() {
        for renaming in renamings.1.of_file(path(&new.document.file)).iter() {
            rendered.insert(new.document, renaming, used.len());
            used.push((at, claims(new, renaming), renaming.is_none()));
        }
    }
    let (mut same, mut taken) = (Vec::new(), HashSet::new());
    olds.retain(|old| {
        let all = renamings.0.of_file(path(&old.document.file));
        let stands_for = |renaming: &Renaming| {
            let (at, used, as_it_is) = used.get(rendered.get(old.document, renaming)?)?;
            let is_renamed = !(*as_it_is && renaming.is_none());
            (is_renamed && claims(old, renaming).without(used).is_empty()).then_some(*at)
        };
        let Some(found) = all.iter().map(stands_for).collect::<Option<Vec<usize>>>() else {
            return true;
        };
        taken.extend(found);
        same.push(old.document);
        false
    });
    let mut at = 0..;
    news.retain(|_| at.next().is_none_or(|at| !taken.contains(&at)));
    same
}

/// The claims as they are called in the cluster. Kustomize renames a claim and the volumes that name it
/// together.
fn claims(holder: &Holder<'_>, renaming: &Renaming) -> Claims {
    let (old, new) = (&holder.document.name, renaming.name(&holder.document.name));
    let stem = |stem: &String| match stem.strip_suffix(old.as_str()) {
        Some(template) => format!("{template}{new}"),
        None => stem.clone(),
    };
    let Claims { numbered, named, generated } = &holder.claims;
    Claims {
        numbered: numbered.iter().map(|(one, ranges)| (stem(one), ranges.clone())).collect(),
        named: named.iter().map(|name| renaming.name(name)).collect::<BTreeSet<_>>(),
        generated: generated.iter().map(stem).collect(),
    }
}
