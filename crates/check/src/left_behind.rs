//! Data that stays behind when an object comes back under another name, in another namespace, or as
//! another kind.

mod claims;
mod holder;
mod rendered;
mod successor;

use std::collections::HashMap;

use stateward_core::rules::Step;
use stateward_core::rules::remedy::{quoted, run, say};
use stateward_core::yaml::Document;

use self::claims::{Claims, Names};
use self::holder::{Form, Holder};
use crate::kustomize::Renamings;

/// The id of the finding.
pub(crate) const RULE: &str = "data-left-behind";

/// The warning about an object that takes the place of another one without its data.
#[derive(Debug)]
pub(crate) struct LeftBehind<'d> {
    /// the new object
    pub(crate) document: &'d Document,
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) remedy: Vec<Step>,
}

/// The objects among `news` that take the place of one among `olds` and do not use its claims.
/// `olds` are only in the old manifests, `news` only in the new ones. `renamings` are those of both.
///
/// A manifest that a kustomization applies is only a base: what counts is the name that Kustomize makes
/// of it. An object that is renamed while `namePrefix` changes the other way stays what it was.
pub(crate) fn find<'d>(
    olds: impl Iterator<Item = &'d Document>,
    news: impl Iterator<Item = &'d Document>,
    renamings: &(Renamings, Renamings),
) -> Vec<LeftBehind<'d>> {
    let has_data = |holder: &Holder<'_>| !holder.claims.is_empty();
    let mut olds: Vec<Holder<'_>> = olds.filter_map(Holder::of).filter(has_data).collect();
    if olds.is_empty() {
        return Vec::new();
    }
    let mut news: Vec<Holder<'_>> = news.filter_map(Holder::of).collect();
    // A claim is named once: beside it, its workload has nothing to add.
    let mut told: HashMap<&str, Names<'_>> = HashMap::new();
    for same in rendered::take_same(&mut olds, &mut news, renamings) {
        told.entry(&same.namespace).or_default().insert(&same.name);
    }
    // A name that ends in a dash is completed by a tool, nobody knows to what.
    let is_whole = |holder: &Holder<'_>| {
        !holder.document.name.starts_with('-') && !holder.document.name.ends_with('-')
    };
    let (old_claims, old_sets) = split(olds.into_iter().filter(is_whole));
    let (new_claims, new_sets) = split(news.into_iter().filter(is_whole));
    let mut found = Vec::new();
    for (old, new) in successor::pairs(&old_claims, &new_claims) {
        let (old, new) = (&old_claims[old], &new_claims[new]);
        told.entry(&old.document.namespace).or_default().insert(&old.document.name);
        if !new.is_filled {
            found.push(Replacement { old, new, left: old.claims.clone() }.describe());
        }
    }
    let mut filled: HashMap<&str, Names<'_>> = HashMap::new();
    for claim in new_claims.iter().filter(|claim| claim.is_filled) {
        filled.entry(&claim.document.namespace).or_default().insert(&claim.document.name);
    }
    for (old, new) in successor::pairs(&old_sets, &new_sets) {
        let (old, new) = (&old_sets[old], &new_sets[new]);
        let mut left = old.claims.clone();
        if old.document.namespace == new.document.namespace {
            left = left.without(&new.claims);
        }
        if let Some(told) = told.get(&*old.document.namespace) {
            left.remove(told);
        }
        // Somebody has brought the data along already.
        let beside = filled.get(&*new.document.namespace);
        let brought = beside.is_some_and(|filled| new.claims.has_any(filled));
        if !left.is_empty() && !brought {
            found.push(Replacement { old, new, left }.describe());
        }
    }
    found
}

fn split<'d>(holders: impl Iterator<Item = Holder<'d>>) -> (Vec<Holder<'d>>, Vec<Holder<'d>>) {
    holders.partition(|holder| holder.form == Form::Claim)
}

/// An object that takes the place of another one, and the claims that it does not use.
struct Replacement<'h, 'd> {
    old: &'h Holder<'d>,
    new: &'h Holder<'d>,
    left: Claims,
}

impl<'d> Replacement<'_, 'd> {
    fn describe(&self) -> LeftBehind<'d> {
        let old = self.place(self.old.document);
        let new = self.place(self.new.document);
        let left = self.left.text();
        let start =
            if self.new.claims.is_empty() { "without its data" } else { "with empty claims" };
        let (what, why) = match self.old.form {
            Form::Claim => (
                format!("would take the place of {old}, and start empty"),
                format!(
                    "A claim cannot be renamed or moved. The data stays in {left}, and is lost when that \
                     claim is deleted, unless its volume is retained."
                ),
            ),
            _ if self.old.deletes_claims => (
                format!("would take the place of {old}, and start {start}"),
                format!(
                    "The claims {left} would be deleted with {old}, and {new} would not use them."
                ),
            ),
            _ => (
                format!("would take the place of {old}, and start {start}"),
                format!("The data stays in {left}, which {new} would not use."),
            ),
        };
        LeftBehind { document: self.new.document, what, why, remedy: self.remedy() }
    }

    fn moved(&self) -> bool {
        self.old.document.namespace != self.new.document.namespace
    }

    fn changes_kind(&self) -> bool {
        let (old, new) = (self.old.document, self.new.document);
        old.kind != new.kind || old.group() != new.group()
    }

    /// A document by what tells it from the other one.
    fn place(&self, document: &Document) -> String {
        let Document { name, namespace, kind, .. } = document;
        let same_kind = self.old.document.kind == self.new.document.kind;
        let kind = match self.changes_kind() {
            true if same_kind => format!("{kind} of {} ", document.group()),
            true => format!("{kind} "),
            false => String::new(),
        };
        match (self.moved(), namespace.as_str()) {
            (false, _) => format!("{kind}{name}"),
            (true, "") => format!("{kind}{name} (no namespace)"),
            (true, namespace) => format!("{kind}{namespace}/{name}"),
        }
    }

    fn remedy(&self) -> Vec<Step> {
        let (old, new) = (self.place(self.old.document), self.place(self.new.document));
        let left = self.left.text();
        let mut steps = vec![say(self.keep())];
        if self.old.deletes_claims && self.old.form == Form::Set {
            steps.push(run(
                "keep the claims, as whenDeleted is Delete; no pod restarts",
                format!(
                    "{} patch {} {} --type merge -p '{{\"spec\":\
                     {{\"persistentVolumeClaimRetentionPolicy\":{{\"whenDeleted\":\"Retain\"}}}}}}'",
                    self.kubectl(),
                    self.resource(),
                    quoted(&self.old.document.name)
                ),
            ));
        } else if self.old.deletes_claims {
            steps.push(say(format!("before {old} is deleted, save its claims: they belong to it")));
        }
        let retain = "or give the volumes to the new claims: first retain them";
        steps.push(match self.retain_command() {
            Some(command) => run(retain, command),
            None => say(format!("{retain}, with reclaim policy Retain")),
        });
        let created = self.new.claims.text();
        let own = if created.is_empty() { "claims for it".to_owned() } else { created };
        steps.push(say(format!(
            "then stop the pods, delete {left}, clear claimRef of each volume, and create {own} with \
             spec.volumeName"
        )));
        let copy = if self.moved() {
            "or copy the data, by a backup that is restored there: snapshots stay in their namespace"
                .to_owned()
        } else {
            format!(
                "or create {own} from VolumeSnapshots of the old claims, before {new} is created"
            )
        };
        steps.push(say(copy));
        steps
    }

    /// The way out that changes the least.
    fn keep(&self) -> String {
        let old = self.place(self.old.document);
        let noun = match self.old.form {
            Form::Claim => "claim",
            Form::Set => "set",
            Form::Workload => "workload",
        };
        let mount = self.left.words().filter(|words| words.len() == 1 && !self.moved());
        match (self.changes_kind(), mount) {
            (true, Some(words)) => format!(
                "keep {old}, or mount claim {} in the pods of {}",
                words.concat(),
                self.place(self.new.document)
            ),
            (true, None) => format!("keep {old}"),
            _ if self.moved() => format!("keep the {noun} where it is, as {old}"),
            _ if self.old.document.name == self.new.document.name => {
                format!("keep the claims of {old}")
            }
            _ => format!("keep the name {old}; many charts take it as fullnameOverride"),
        }
    }

    fn kubectl(&self) -> String {
        match self.old.document.namespace.as_str() {
            "" => "kubectl".to_owned(),
            namespace => format!("kubectl -n {}", quoted(namespace)),
        }
    }

    /// The resource of the old set, as kubectl takes it.
    fn resource(&self) -> String {
        match self.old.document.group() {
            "apps" => "statefulset".to_owned(),
            group => quoted(&format!("statefulsets.{group}")),
        }
    }

    fn retain_command(&self) -> Option<String> {
        let words: Vec<String> = self.left.words()?.iter().map(|word| quoted(word)).collect();
        let kubectl = self.kubectl();
        Some(format!(
            "for c in {}; do kubectl patch pv \"$({kubectl} get pvc $c -o jsonpath='{{.spec.volumeName}}')\" \
             -p '{{\"spec\":{{\"persistentVolumeReclaimPolicy\":\"Retain\"}}}}'; done",
            words.join(" ")
        ))
    }
}
