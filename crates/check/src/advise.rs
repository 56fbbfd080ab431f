//! Which storage pattern the system of a set wants, which one its manifest uses, and what fits better.
//!
//! Packs say how a system keeps data, drivers say what the volumes of a class are. Where neither knows,
//! nothing is concluded.

use serde::Serialize;
use stateward_core::drivers::{Pattern, page};
use stateward_core::facts::{ClassFact, Facts, TemplateClass};
use stateward_core::object::{Claim, DecodeError, Object, StatefulSet};
use stateward_core::packs::{MemberKind, NetworkFiles, Pack, Packs, Recognised, Traits, recognise};

use crate::system::System;

/// What is advised for one set. Its JSON is stable: fields are only ever added.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// its namespace; empty if the manifest names none
    pub namespace: String,
    /// its name
    pub name: String,
    /// the system that it runs; null if no pack knows it
    pub system: Option<AdvisedSystem>,
    /// its claim templates, in their order
    pub volumes: Vec<VolumeAdvice>,
    /// what fits the system; empty if nothing is known, or if it needs no volume
    pub fits: Vec<&'static str>,
    /// why the storage in use does not fit; null if it fits
    pub why: Option<Reason>,
    /// YAML of a claim template that fits, if one of the set does not
    pub skeleton: Option<String>,
}

/// The system of a set.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdvisedSystem {
    /// which one
    #[serde(flatten)]
    pub system: System,
    /// what it is and how it keeps data
    pub about: String,
}

/// Whether one claim template fits the system.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeAdvice {
    /// the claim template
    pub template: String,
    /// its class; null for the default class
    pub class: Option<String>,
    /// what people call the driver; null if it is not known
    pub driver: Option<String>,
    /// the storage pattern in use; null if it is not known
    pub pattern: Option<&'static str>,
    /// whether that fits; null if one of both is not known
    pub fits: Option<bool>,
}

/// A reason with its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// one or two sentences
    pub text: String,
    /// a page, a file or an issue
    pub source: String,
}

/// Advises on a set.
///
/// # Errors
/// The field that has the wrong type.
pub fn advise(json: &str, packs: &Packs, facts: &Facts) -> Result<Advice, DecodeError> {
    let object = Object::decode(json)?;
    let set = StatefulSet::decode(&object)?;
    let known = recognise(packs, &Traits::of(&set)?);
    let wanted = known.as_ref().map(|known| Wanted::of(known.pack, set.spec.replicas()));
    let wanted = wanted.unwrap_or_default();
    let mut volumes = Vec::new();
    let mut misfit = None;
    for claim in set.claim_templates()? {
        let (volume, pattern) = wanted.volume(claim, facts);
        if volume.fits == Some(false) && misfit.is_none() {
            misfit = Some((claim, pattern));
        }
        volumes.push(volume);
    }
    let about = |known: Recognised<'_>| AdvisedSystem {
        about: known.pack.about.clone(),
        system: System::from(known),
    };
    let system = known.map(about);
    let best = wanted.patterns.first();
    let skeleton = misfit.zip(best).map(|((claim, _), best)| skeleton(claim, *best));
    let pattern = misfit.and_then(|(_, pattern)| pattern);
    Ok(Advice {
        namespace: set.metadata.namespace.to_string(),
        name: set.metadata.name.to_string(),
        system,
        volumes,
        fits: wanted.patterns.iter().map(|pattern| pattern.label()).collect(),
        why: wanted.why(pattern),
        skeleton,
    })
}

/// What a system wants of its volumes.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// the best first
    patterns: Vec<Pattern>,
    /// what the vendor says about network file systems
    network: Option<Reason>,
}

impl Wanted {
    fn of(pack: &Pack, replicas: i64) -> Self {
        let members = pack.members.as_ref();
        if pack.data.is_empty() && members.is_none() {
            return Self::default();
        }
        let copies = members.is_some_and(|members| {
            matches!(members.kind, MemberKind::Majority | MemberKind::Copies | MemberKind::Pool)
        });
        let followers = members.is_some_and(|members| members.kind == MemberKind::Primary);
        let mut patterns = vec![Pattern::Block];
        // A lost node takes a local disk with it, so somebody else must have the data.
        if (copies && replicas >= 3) || (followers && replicas >= 2) {
            patterns.push(Pattern::Local);
        }
        let storage = pack.storage.as_ref();
        if storage.is_some_and(|storage| storage.network_files == NetworkFiles::Supported) {
            patterns.push(Pattern::File);
        }
        let network = storage.filter(|storage| storage.network_files != NetworkFiles::Supported);
        let network = network
            .map(|storage| Reason { text: storage.why.clone(), source: storage.source.clone() });
        Self { patterns, network }
    }

    /// Whether a claim template fits, and its storage pattern.
    fn volume(&self, claim: &Claim<'_>, facts: &Facts) -> (VolumeAdvice, Option<Pattern>) {
        let shared = claim.spec.access_modes.iter().any(|mode| mode.as_str() == "ReadWriteMany");
        let class = match facts.class_of(claim) {
            Ok(TemplateClass::Known(_, class)) => Some(class),
            _ => None,
        };
        // Without a class, ReadWriteMany still tells that it is a file system on the network.
        let pattern = class.and_then(|class| class.pattern(shared));
        let pattern = pattern.or_else(|| shared.then_some(Pattern::File));
        let known = pattern.filter(|_| !self.patterns.is_empty());
        let advice = VolumeAdvice {
            template: claim.metadata.name.to_string(),
            class: Some(claim.class()).filter(|class| !class.is_empty()).map(str::to_owned),
            driver: class.and_then(ClassFact::driver).map(|found| found.driver.title.clone()),
            pattern: pattern.map(Pattern::label),
            fits: known.map(|pattern| self.patterns.contains(&pattern)),
        };
        (advice, pattern)
    }

    /// Why the pattern in use does not fit.
    fn why(&self, misfit: Option<Pattern>) -> Option<Reason> {
        let pattern = misfit?;
        let known = self.network.as_ref().filter(|_| pattern == Pattern::File);
        Some(known.cloned().unwrap_or_else(|| {
            let (text, source) = page::meaning(pattern);
            Reason { text: text.replace('`', ""), source: source.to_owned() }
        }))
    }
}

/// A claim template with the volumes of `pattern`.
fn skeleton(claim: &Claim<'_>, pattern: Pattern) -> String {
    let mode = if pattern == Pattern::File { "ReadWriteMany" } else { "ReadWriteOncePod" };
    let size = claim.spec.storage();
    let size = size.map_or_else(|| "<size>".to_owned(), ToString::to_string);
    format!(
        "volumeClaimTemplates:\n  - metadata:\n      name: {}\n    spec:\n      accessModes: [{mode}]\n      \
         storageClassName: <a class of {} storage>\n      resources:\n        requests:\n          storage: {size}\n",
        claim.metadata.name,
        pattern.label()
    )
}
