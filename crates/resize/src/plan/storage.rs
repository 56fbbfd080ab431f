//! What the storage drivers of the claims mean for a resize. Of a driver that is not known nothing is said.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use stateward_core::drivers::{Expansion, Found};
use stateward_core::facts::{ClassFact, Fact};
use stateward_core::object::Quantity;
use stateward_core::record::Reason;

use super::{CheckOutcome, Restart};
use crate::View;
use crate::observed::{Claim, Set};
use crate::preflight::{self, Check, Growth, named};

/// What the driver of one StorageClass means for the resize.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStorage {
    /// the class
    pub class: String,
    /// its provisioner
    pub provisioner: String,
    /// what people call the driver
    pub driver: String,
    /// what to know before it begins
    pub notes: Vec<StorageNote>,
}

/// Something to know before a resize begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StorageNote {
    /// whether somebody may be surprised by it
    pub warning: bool,
    /// as a sentence
    pub text: String,
    /// where it is said
    pub source: String,
}

/// A claim that is still to grow, with its driver.
struct Growing<'v> {
    claim: &'v Claim,
    asked: &'v Quantity,
    class: &'v ClassFact,
    found: Found<'static>,
}

/// The drivers of the claims that are still to grow.
pub(super) struct Storage<'v> {
    growing: Vec<Growing<'v>>,
    /// a claim is to grow whose driver is not known
    unknown: bool,
}

impl<'v> Storage<'v> {
    pub(super) fn of(view: &'v View<'_>) -> Self {
        let (mut growing, mut unknown) = (Vec::new(), false);
        for (claim, asked) in preflight::claims(view).unwrap_or_default() {
            let state = preflight::growth(view, claim, asked);
            if matches!(state, Growth::Done | Growth::Stuck(_) | Growth::Failed(_)) {
                continue;
            }
            let class = match &view.observed.classes {
                Fact::Known(classes) => classes.get(&claim.class),
                Fact::Unknown(_) => None,
            };
            match class.and_then(|class| Some((class, class.driver()?))) {
                Some((class, found)) => growing.push(Growing { claim, asked, class, found }),
                None => unknown = true,
            }
        }
        Self { growing, unknown }
    }

    /// Why no pod has to restart for any claim; none if that is not known of one.
    pub(super) fn no_restart(&self) -> Option<String> {
        let is_known = |one: &Growing<'_>| one.grows_in_use() || one.is_pretended();
        if self.unknown || self.growing.is_empty() || !self.growing.iter().all(is_known) {
            return None;
        }
        let titles = |holds: fn(&Growing<'v>) -> bool| {
            let those = self.growing.iter().filter(|one| holds(one));
            let titles: BTreeSet<&str> = those.map(|one| one.found.driver.title.as_str()).collect();
            titles.into_iter().collect::<Vec<_>>().join(" and ")
        };
        let (grow, pretend) = (titles(Growing::grows_in_use), titles(Growing::is_pretended));
        let grow =
            (!grow.is_empty()).then(|| format!("volumes of {grow} grow while pods use them"));
        let pretend = (!pretend.is_empty()).then(|| format!("volumes of {pretend} do not change"));
        Some(grow.into_iter().chain(pretend).collect::<Vec<_>>().join("; "))
    }

    /// Whether volumes grow while pods use them, as far as a driver is known that says so.
    pub(super) fn checks(&self) -> Vec<Check> {
        let name = "drivers grow volumes while pods use them";
        let mut stopped: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for one in self.growing.iter().filter(|one| one.claim.mounted) {
            if let Some(why) = one.is_stopped_for() {
                stopped.entry(why).or_default().push(one.claim.name.clone());
            }
        }
        let blocked = stopped.into_iter().map(|(why, claims)| {
            let detail = format!("{}: {why}", named(&claims));
            Check { name, outcome: CheckOutcome::Blocked(Reason::OfflineOnly), detail }
        });
        let mut checks: Vec<Check> = blocked.collect();
        let all = !self.unknown && self.growing.iter().all(Growing::grows_in_use);
        if checks.is_empty() && all && !self.growing.is_empty() {
            checks.push(Check { name, outcome: CheckOutcome::Ok, detail: String::new() });
        }
        checks
    }

    /// The pods that a person must stop before their volumes grow.
    pub(super) fn stops(&self, view: &View<'_>, set: &Set) -> Vec<Restart> {
        let Fact::Known(pods) = &view.observed.pods else { return Vec::new() };
        let pods: BTreeMap<u32, &str> =
            pods.iter().map(|pod| (pod.ordinal, pod.name.as_str())).collect();
        let stops = self.growing.iter().filter(|one| one.claim.mounted).filter_map(|one| {
            if !set.ordinals().contains(&one.claim.ordinal) {
                return None;
            }
            let pod = (*pods.get(&one.claim.ordinal)?).to_owned();
            Some(Restart { pod, why: format!("{}: {}", one.claim.name, one.is_stopped_for()?) })
        });
        stops.collect()
    }

    /// What to know, for each class.
    pub(super) fn notes(&self) -> Vec<PlannedStorage> {
        let mut classes: BTreeMap<&str, PlannedStorage> = BTreeMap::new();
        for one in &self.growing {
            let entry = classes.entry(&one.claim.class).or_insert_with(|| PlannedStorage {
                class: one.claim.class.clone(),
                provisioner: one.class.provisioner.clone(),
                driver: one.found.driver.title.clone(),
                notes: one.of_driver(),
            });
            for note in one.of_claim() {
                if entry.notes.len() < MOST_NOTES && !entry.notes.contains(&note) {
                    entry.notes.push(note);
                }
            }
        }
        classes.into_values().filter(|class| !class.notes.is_empty()).collect()
    }
}

/// A set may have thousands of claims.
const MOST_NOTES: usize = 20;

impl Growing<'_> {
    /// Whether the volume grows while pods use it.
    fn grows_in_use(&self) -> bool {
        let expansion = self.found.driver.expands();
        matches!(expansion, Some(Expansion::Online | Expansion::OnlineOnly))
            && self.is_stopped_for().is_none()
    }

    /// Whether the driver says that the volume grew, and does nothing.
    fn is_pretended(&self) -> bool {
        self.found.driver.expands() == Some(Expansion::Pretended)
    }

    /// Why no pod may use the volume while it grows, if that is so.
    fn is_stopped_for(&self) -> Option<String> {
        let driver = self.found.driver;
        if driver.expands() == Some(Expansion::Offline) {
            return Some(format!("{} grows a volume only while no pod uses it", driver.title));
        }
        // Without a capacity there is no volume yet.
        let from = self.claim.capacity.as_ref()?;
        let size = driver.detaches_above(&self.class.parameters, from, self.asked)?;
        Some(format!("{} grows a volume past {size} only while no pod uses it", driver.title))
    }

    /// What holds for every claim of the class.
    fn of_driver(&self) -> Vec<StorageNote> {
        let driver = self.found.driver;
        let mut notes = Vec::new();
        if let Some(fact) = &driver.expansion {
            let pretended = fact.is == Expansion::Pretended;
            if pretended {
                notes.push(note(
                    true,
                    &format!("{} {}", fact.is.sentence(), fact.text),
                    &fact.source,
                ));
            } else if !fact.text.is_empty() {
                notes.push(note(false, &fact.text, &fact.source));
            }
        }
        for limit in &driver.limits {
            notes.push(note(false, &format!("{} {}", limit.sentence(), limit.text), &limit.source));
        }
        notes.extend(driver.blockers.iter().map(|fact| note(true, &fact.text, &fact.source)));
        notes
    }

    /// What depends on the claim and the size asked.
    fn of_claim(&self) -> Vec<StorageNote> {
        let (driver, asked) = (self.found.driver, self.asked);
        let mut notes = Vec::new();
        if let Some(given) = driver.given(asked)
            && given != *asked
            && let Some(rounding) = driver.rounding_of(asked)
        {
            let less = given < *asked;
            let end =
                if less { ", less than the claim asks for: ask for a whole number" } else { "" };
            let text = format!(
                "{} gives multiples of {}: for {asked} it gives {given}{end}.",
                driver.title, rounding.unit
            );
            notes.push(note(less, &text, &rounding.source));
        }
        if let Some(bounds) = driver.bounds(&self.class.parameters)
            && let Some(most) = &bounds.most
            && asked > most
        {
            let text =
                format!("{asked} is more than {most}, the largest volume of {}.", driver.title);
            notes.push(note(true, &text, &bounds.source));
        }
        if driver.expands() == Some(Expansion::OnlineOnly)
            && !self.claim.mounted
            && let Some(fact) = &driver.expansion
        {
            let text = format!(
                "No pod of the set uses {}, and {} grows a volume only while a pod uses it.",
                self.claim.name, driver.title
            );
            notes.push(note(true, &text, &fact.source));
        }
        notes
    }
}

fn note(warning: bool, text: &str, source: &str) -> StorageNote {
    StorageNote { warning, text: text.trim_end().to_owned(), source: source.to_owned() }
}
