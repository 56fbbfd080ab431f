//! Whether growth may be accepted as a request: an edit is accepted in the name of something that
//! happens later only where that is known to be running, and able to.
//!
//! What is known must allow it. What is not known is decided by which mistake is worse. Without a
//! living Lease, or without the records and the namespace, nobody can say whether a request would
//! be carried out: the edit is refused, as it would be without stateward. Without claims, classes,
//! volumes or quotas it is accepted with a warning, since a resize that cannot go on says so itself.

use std::fmt::Write as _;

use super::{Growth, RULE, Requests};
use crate::annotations::{RESIZE_PAUSED, RESIZE_REQUESTED, RESIZE_UNFINISHED};
use crate::change::Change;
use crate::drivers::Expansion;
use crate::facts::{ClaimFact, ControllerState, Fact, Facts, RecordFact};
use crate::growth::{Growability, Obstacle, belongs, growability, no_volume_size};
use crate::mutations::patch::Objection;
use crate::object::immutable::arrow;
use crate::object::metadata::COLLECTOR_FINALIZERS;
use crate::object::names::claim_of;
use crate::object::{DecodeError, Quantity, StatefulSet};
use crate::record::Phase;
use crate::rules::Step;
use crate::rules::finding::one_line;
use crate::rules::remedy::{self, keep, kubectl, quoted, run, say};

/// One edit that grows claim templates, and what is known about it.
pub(super) struct GrowthCheck<'w, 'a> {
    pub(super) change: &'w Change<'a>,
    pub(super) old: &'w StatefulSet<'a>,
    pub(super) growing: &'w [Growth<'w>],
    /// what the annotation would hold
    pub(super) wanted: &'w Requests,
    pub(super) facts: &'w Facts,
}

/// What the answer says of the claims.
#[derive(Default)]
struct Outlook {
    warnings: Vec<String>,
    next: Next,
}

impl Outlook {
    /// The claim that moves first counts.
    fn note(&mut self, next: Next) {
        self.next = self.next.max(next);
    }

    /// A warning that holds for many claims is given once.
    fn warn_once(&mut self, warning: Option<String>) {
        self.warnings.extend(warning.filter(|warning| !self.warnings.contains(warning)));
    }
}

/// What happens to the claims after the edit is accepted.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// they could not be read
    #[default]
    NotKnown,
    /// there is none
    NoClaim,
    /// all have the size already
    Large,
    /// one grows once it is bound
    Later,
    /// one grows
    Grows,
}

impl Next {
    const fn describe(self) -> &'static str {
        match self {
            Self::NotKnown => "the controller grows its claims",
            Self::NoClaim => "it has no claim yet; new ones get that size",
            Self::Large => "its claims have that size already",
            Self::Later => "its claims grow once they are bound",
            Self::Grows => "its claims grow now",
        }
    }
}

/// How a claim stands to the size asked.
enum Ability {
    /// it is large enough
    Large,
    /// it can grow
    Able,
    /// it grows once it is bound
    Later,
    /// it cannot, for this reason: a sentence, and the steps that help
    Never(String, Vec<Step>),
}

impl GrowthCheck<'_, '_> {
    /// The warnings to accept the growth with, or the reason why it is rejected.
    pub(super) fn evaluate(&self) -> Result<Result<Vec<String>, Objection>, DecodeError> {
        let mut outlook = Outlook::default();
        if let Some(objection) = self.no_volume_size() {
            return Ok(Err(objection));
        }
        let objection = match self.template().map(|found| found.or_else(|| self.state()))? {
            Some(objection) => Some(objection),
            None => self.claims(&mut outlook)?.or_else(|| self.carried_out()),
        };
        if let Some(objection) = objection {
            return Ok(Err(objection));
        }
        self.warn(&mut outlook.warnings);
        Ok(Ok(self.accepted(&outlook).into_iter().chain(outlook.warnings).collect()))
    }

    fn namespace(&self) -> &str {
        &self.change.namespace
    }

    fn record(&self) -> Option<&RecordFact> {
        self.facts.known_record(self.namespace(), &self.change.name)
    }

    /// Takes the edit back.
    fn take_back(&self) -> Vec<Step> {
        let keep = |(difference, _): &Growth<'_>| {
            keep(self.change, &difference.field, difference.old.as_deref().unwrap_or_default())
        };
        self.growing.first().map(keep).into_iter().collect()
    }

    /// A size that no volume has would never be found as requested.
    fn no_volume_size(&self) -> Option<Objection> {
        let why =
            |(difference, size): &Growth<'_>| Some((no_volume_size(size)?, difference.new.clone()));
        let (why, size) = self.growing.iter().find_map(why)?;
        let size = size.as_deref().unwrap_or_default();
        let why = format!("{size} {why}, and no volume has that size.");
        Some(Objection::instead(RULE, why, self.take_back()))
    }

    fn owns(&self, ordinal: u32, claim: &ClaimFact) -> Result<bool, DecodeError> {
        belongs(self.old, i64::from(ordinal), &claim.labels)
    }

    /// The set must say whose claims are to grow.
    fn template(&self) -> Result<Option<Objection>, DecodeError> {
        let names: Vec<&str> =
            self.old.claim_templates()?.iter().map(|claim| &*claim.metadata.name).collect();
        let grows =
            |name: &str| self.growing.iter().any(|(d, _)| d.template.as_deref() == Some(name));
        let twice = names
            .iter()
            .find(|name| grows(name) && names.iter().filter(|other| other == name).count() > 1);
        Ok(twice.map(|name| {
            let why =
                format!("Two of its claim templates are called {name}: none of them can grow.");
            Objection::instead(RULE, why, self.take_back())
        }))
    }

    /// Namespace and record must not stand against it.
    fn state(&self) -> Option<Objection> {
        if let Fact::Known(Some(namespace)) = self.facts.namespaces.get("", self.namespace())
            && namespace.terminating
        {
            let why = "Its namespace is going away, and nothing is resized there any more.";
            return Some(Objection::instead(RULE, why, self.take_back()));
        }
        let record = self.record()?;
        if record.is_aborted() {
            let why = "Its resize was aborted, and none begins before that is taken back.";
            let mut steps =
                vec![run("take the abort back, then make the edit again", self.resize("resume"))];
            steps.extend(remedy::otherwise("or ", self.take_back()));
            return Some(Objection::instead(RULE, why, steps));
        }
        let failed = matches!(record.phase, Phase::Conflict | Phase::Degraded);
        // The controller takes another request for a new one, and the same one for the old.
        if failed && record.taken == *self.wanted {
            let mut why = format!("The resize to this size ended as {}", record.phase);
            if let Some(reason) = &record.reason {
                _ = write!(why, " ({reason})");
            }
            why.push_str(", and nothing tries it again by itself.");
            let steps = vec![
                run("see what it ended on", self.resize("status")),
                run("once that is mended, let it go on", self.resize("finish")),
            ];
            return Some(Objection::instead(RULE, why, steps));
        }
        None
    }

    /// Claims must be able to grow: those that are bound, each; if none is bound, at least one.
    fn claims(&self, outlook: &mut Outlook) -> Result<Option<Objection>, DecodeError> {
        let claims: Vec<(&str, &ClaimFact)> = match self.facts.claims.of(self.namespace()) {
            Fact::Known(claims) => claims.collect(),
            // Carrying it out begins with reading them.
            Fact::Unknown(_) => return self.templates(),
        };
        outlook.note(Next::NoClaim);
        for (difference, size) in self.growing {
            let Some(template) = difference.template.as_deref() else { continue };
            let (mut able, mut later, mut never) = (false, Vec::new(), None);
            let mut missing: Vec<i64> = self.old.ordinals().take(MOST_PODS).collect();
            for (name, claim) in &claims {
                let Some((_, ordinal)) = claim_of(name, &self.change.name, [template]) else {
                    continue;
                };
                if !self.owns(ordinal, claim)? {
                    continue;
                }
                missing.retain(|expected| *expected != i64::from(ordinal));
                match self.ability(name, claim, size) {
                    Ability::Large => {
                        able = true;
                        outlook.note(Next::Large);
                    }
                    Ability::Able => {
                        able = true;
                        outlook.note(Next::Grows);
                        outlook.warn_once(self.pretended(claim));
                    }
                    Ability::Later => later.push((*name).to_owned()),
                    Ability::Never(why, steps) if !claim.volume.is_empty() => {
                        return Ok(Some(Objection::instead(RULE, why, steps)));
                    }
                    Ability::Never(why, steps) => never = Some((why, steps)),
                }
            }
            let class = self.old.claim_template(template)?;
            let class = class.map(|(_, claim)| claim.class()).filter(|class| !class.is_empty());
            let name = |ordinal: &i64| format!("{template}-{}-{ordinal}", self.change.name);
            match class.and_then(|class| self.class_forbids(class, missing.first().map(name))) {
                Some(reason) => never = Some(reason),
                None => later.extend(missing.iter().map(name)),
            }
            if let Some((why, steps)) = never.filter(|_| !able && later.is_empty()) {
                return Ok(Some(Objection::instead(RULE, why, steps)));
            }
            if let Some(first) = later.first() {
                let more = match later.len() {
                    1 => String::new(),
                    count => format!(" and {} more", count - 1),
                };
                outlook.note(Next::Later);
                outlook.warnings.push(format!(
                    "{}: claim {first}{more} not bound yet: it grows once it is",
                    self.change.object_name()
                ));
            }
        }
        self.quota(&claims)
    }

    /// Without a cluster, only the classes of the templates tell what their claims allow.
    fn templates(&self) -> Result<Option<Objection>, DecodeError> {
        if self.facts.controller != ControllerState::NotLooked {
            return Ok(None);
        }
        for (difference, _) in self.growing {
            let Some(template) = difference.template.as_deref() else { continue };
            let class = self.old.claim_template(template)?.map(|(_, claim)| claim.class());
            let first = format!("{template}-{}-{}", self.change.name, self.old.ordinals().start);
            let reason = class.and_then(|class| self.class_forbids(class, Some(first)));
            if let Some((why, steps)) = reason {
                return Ok(Some(Objection::instead(RULE, why, steps)));
            }
        }
        Ok(None)
    }

    /// A warning if the driver of a claim only pretends to grow it.
    fn pretended(&self, claim: &ClaimFact) -> Option<String> {
        let Fact::Known(class) = self.facts.class(&claim.class) else { return None };
        let driver = class.driver()?.driver;
        let pretends = driver.expands() == Some(Expansion::Pretended);
        let object = self.change.object_name();
        pretends.then(|| format!("{object}: {} only pretends to grow volumes", driver.title))
    }

    fn ability(&self, name: &str, claim: &ClaimFact, size: &Quantity) -> Ability {
        if claim.request.as_ref().is_some_and(|request| request >= size) {
            return Ability::Large;
        }
        let bound = !claim.volume.is_empty();
        let class = self.facts.classes.get("", &claim.class);
        let volume = self.facts.volumes.get("", &claim.volume);
        let volume = volume.map(|volume| volume.and_then(|volume| volume.fixed));
        match growability(&claim.class, bound, &class, &volume) {
            Growability::Growable => Ability::Able,
            Growability::OnceBound => Ability::Later,
            Growability::Never(obstacle) => {
                Ability::Never(format!("Claim {name} {obstacle}."), self.way_out(obstacle))
            }
        }
    }

    /// Why the claim `name`, which is not there yet, would never grow.
    fn class_forbids(&self, class: &str, name: Option<String>) -> Option<(String, Vec<Step>)> {
        let name = name?;
        let known = self.facts.classes.get("", class);
        match growability(class, false, &known, &Fact::Known(None)) {
            Growability::Never(obstacle) => {
                Some((format!("Claim {name} {obstacle}."), self.way_out(obstacle)))
            }
            Growability::Growable | Growability::OnceBound => None,
        }
    }

    fn way_out(&self, obstacle: Obstacle<'_>) -> Vec<Step> {
        let mut steps = self.take_back();
        match obstacle {
            Obstacle::ClassForbids(class) => steps.push(run(
                "or, if its driver can expand volumes, allow it, then make the edit again; no pod \
                 restarts",
                format!(
                    "kubectl patch storageclass {} --type merge -p \
                     '{{\"allowVolumeExpansion\":true}}'",
                    quoted(class)
                ),
            )),
            Obstacle::ClassMissing(class) => steps.push(say(format!(
                "or create StorageClass {class} again, with allowVolumeExpansion: true"
            ))),
            Obstacle::NoClass | Obstacle::Driver(..) | Obstacle::Volume(_) => {
                return self.elsewhere();
            }
        }
        steps
    }

    fn elsewhere(&self) -> Vec<Step> {
        let mut steps = self.take_back();
        steps.push(say("or create a second set with bigger claims, and copy the data over"));
        steps
    }

    /// What the claims need more must be left of every quota that counts them.
    fn quota(&self, claims: &[(&str, &ClaimFact)]) -> Result<Option<Objection>, DecodeError> {
        let Fact::Known(quotas) = self.facts.quotas.of(self.namespace()) else { return Ok(None) };
        for (name, limit) in quotas.flat_map(|(name, q)| q.limits.iter().map(move |l| (name, l))) {
            let mut need: i128 = 0;
            for (difference, size) in self.growing {
                let Some(template) = difference.template.as_deref() else { continue };
                for (claim_name, claim) in claims {
                    let ours = match claim_of(claim_name, &self.change.name, [template]) {
                        Some((_, ordinal)) => self.owns(ordinal, claim)?,
                        None => false,
                    };
                    let counts = limit.class.as_ref().is_none_or(|class| **class == *claim.class);
                    let request = claim.request.as_ref().filter(|_| ours && counts);
                    if let (Some(asked), Some(has)) = (nanos(size), request.and_then(nanos)) {
                        need = need.saturating_add(asked.saturating_sub(has).max(0));
                    }
                }
            }
            let (Some(hard), Some(used)) = (nanos(&limit.hard), nanos(&limit.used)) else {
                continue;
            };
            if need == 0 || used.saturating_add(need) <= hard {
                continue;
            }
            let what = match &limit.class {
                Some(class) => format!("storage of class {class}"),
                None => "storage".to_owned(),
            };
            let why = format!(
                "ResourceQuota {name} leaves {} of {what}, and the claims need {} more.",
                bytes(hard.saturating_sub(used).max(0)),
                bytes(need)
            );
            let mut steps = vec![run(
                format!(
                    "raise it to {} at least, then make the edit again",
                    bytes(used.saturating_add(need))
                ),
                format!("{} edit resourcequota {}", kubectl(self.change), quoted(name)),
            )];
            steps.extend(remedy::otherwise("or ", self.take_back()));
            return Ok(Some(Objection::instead(RULE, why, steps)));
        }
        Ok(None)
    }

    /// Somebody must be there to carry it out, and everything that decides about that be known.
    fn carried_out(&self) -> Option<Objection> {
        let facts = self.facts;
        match &facts.controller {
            ControllerState::NotLooked => return None,
            ControllerState::Absent(why) => {
                return Some(Objection::before(
                    RULE,
                    format!("No controller would carry it out: {why}."),
                    say("let a controller run, then make the edit again"),
                ));
            }
            ControllerState::Runs => {}
        }
        let unknown = |why: String| {
            Objection::before(
                RULE,
                format!("Whether it would be carried out is not known: needs {why}."),
                say("make the edit again in a minute"),
            )
        };
        if let Fact::Unknown(why) = facts.record(self.namespace(), &self.change.name) {
            return Some(unknown(why));
        }
        match facts.namespaces.get("", self.namespace()) {
            Fact::Unknown(why) => Some(unknown(why)),
            Fact::Known(_) => None,
        }
    }

    /// What is visible already that blocks the re-creation of the set.
    fn recreation_blocked(&self) -> Option<String> {
        let metadata = &self.old.metadata;
        let mut finalizers = metadata.finalizers.iter().map(|finalizer| &**finalizer);
        if let Some(foreign) = finalizers.find(|name| !COLLECTOR_FINALIZERS.contains(name)) {
            return Some(format!("its finalizer {foreign} blocks"));
        }
        if metadata.annotations.get(RESIZE_UNFINISHED).is_some() {
            return Some(format!("its annotation {RESIZE_UNFINISHED} blocks"));
        }
        let Fact::Known(mut sets) = self.facts.sets.of(self.namespace()) else { return None };
        let labels = &self.old.template().ok()?.metadata.labels;
        sets.find(|(name, set)| *name != &*self.change.name && set.selects(labels))
            .map(|(name, _)| format!("StatefulSet {name} selects its pods, too, and blocks"))
    }

    /// What becomes of the edit, and where to see it happen.
    fn accepted(&self, outlook: &Outlook) -> Vec<String> {
        let object = self.change.object_name();
        let mut said: Vec<String> = Vec::new();
        for (difference, _) in self.growing {
            let template = difference.template.as_deref().unwrap_or_default();
            let sizes = arrow(difference.old.as_deref(), difference.new.as_deref());
            said.push(format!("{object}: growth of claim template {template} accepted, {sizes}"));
        }
        if self.facts.controller == ControllerState::Runs {
            if !self.is_paused() {
                let follows = match self.recreation_blocked() {
                    Some(_) => "",
                    None => "; its claim template follows",
                };
                said.push(format!("{object}: {}{follows}", outlook.next.describe()));
            }
            let (name, namespace) = (quoted(&self.change.name), quoted(self.namespace()));
            let watch = format!("Watch: kubectl get statefulsetresize {name} -n {namespace} -w");
            // A command that is cut does something else, or nothing.
            said.extend(Some(watch).filter(|watch| *watch == one_line(watch)));
        }
        said.push(format!(
            "To cancel, remove the annotation {RESIZE_REQUESTED}; a rollback does not cancel it"
        ));
        said
    }

    fn is_paused(&self) -> bool {
        let set =
            |set: &StatefulSet<'_>| set.metadata.annotations.get(RESIZE_PAUSED) == Some("true");
        let new = self.change.written_set().map(|(_, new)| new);
        self.record().is_some_and(|record| record.paused) || set(self.old) || new.is_some_and(set)
    }

    fn warn(&self, warnings: &mut Vec<String>) {
        let object = self.change.object_name();
        let facts = self.facts;
        if facts.controller == ControllerState::NotLooked {
            warnings.push(format!(
                "{object}: stateward reads no cluster here, and cannot tell if a controller grows it"
            ));
            return;
        }
        if self.record().is_some_and(|record| record.paused) {
            warnings
                .push(format!("{object}: its resize is paused until {}", self.resize("resume")));
        } else if self.is_paused() {
            warnings
                .push(format!("{object}: its resize is paused by its annotation {RESIZE_PAUSED}"));
        }
        if let Some(why) = self.recreation_blocked() {
            warnings.push(format!("{object}: {why} re-creation; claims grow"));
        }
        let unknown = [
            facts.claims.get("", "").map(drop),
            facts.classes.get("", "").map(drop),
            facts.volumes.get("", "").map(drop),
            facts.quotas.get("", "").map(drop),
        ];
        let unknown = unknown.into_iter().find_map(|fact| match fact {
            Fact::Unknown(why) => Some(why),
            Fact::Known(()) => None,
        });
        if let Some(why) = unknown {
            warnings
                .push(format!("{object}: not checked whether its claims can grow: needs {why}"));
        }
    }

    /// A command about this resize.
    fn resize(&self, verb: &str) -> String {
        let set = quoted(&format!("sts/{}", self.change.name));
        format!("stateward resize {verb} {set} -n {}", quoted(self.namespace()))
    }
}

/// More pods than these are not looked for one by one.
const MOST_PODS: usize = 10_000;

/// A size in nano units, if it is not absurd.
pub(in crate::mutations) fn nanos(quantity: &Quantity) -> Option<i128> {
    quantity.nanos()?.parse().ok()
}

/// A size for people.
fn bytes(nanos: i128) -> Quantity {
    Quantity::from_units(u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX))
}
