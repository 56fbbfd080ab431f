//! What is known of storage drivers: how they expand volumes, what limits them, and what they are fit for.
//!
//! Each driver is one file of `policies/drivers`, and each fact in it names its source. Rules, the growth of
//! claims, the plan of a resize and `stateward drivers` read the same facts. Of a driver that is not in the
//! table nothing is known, and nothing is concluded.

/// Drivers as text: one driver, all of them, and the page about storage patterns.
pub mod page;
mod read;
mod sizes;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

pub use self::read::{DriverError, parse};
use crate::object::Quantity;

/// The files, by name.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/drivers.rs"));

/// One driver.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Driver {
    /// the name of its file
    pub name: String,
    /// what people call it
    pub title: String,
    /// the month in which the sources were read, such as `2026-11`
    pub looked_up: String,
    /// the names by which a `StorageClass` calls it
    pub provisioners: Vec<Provisioner>,
    /// if nobody maintains it, or it is no longer there
    #[serde(default)]
    pub state: Option<State>,
    /// what its volumes are; the first entry that applies counts
    #[serde(default)]
    pub patterns: Vec<PatternFact>,
    /// how it expands volumes
    #[serde(default)]
    pub expansion: Option<ExpansionFact>,
    /// the sizes that it gives; the first entry that applies counts
    #[serde(default)]
    pub rounding: Vec<Rounding>,
    /// the smallest and the largest volume; the first entry that applies counts
    #[serde(default)]
    pub bounds: Vec<Bounds>,
    /// how often a volume may be changed
    #[serde(default)]
    pub limits: Vec<ChangeLimit>,
    /// what prevents an expansion for as long as it lasts
    #[serde(default)]
    pub blockers: Vec<Blocker>,
    /// the size that a volume passes only while no pod uses it
    #[serde(default)]
    pub detached_above: Option<DetachedAbove>,
    /// the access modes that hold what they promise
    #[serde(default)]
    pub access: Vec<Access>,
    /// the nodes that reach a volume
    #[serde(default)]
    pub topology: Option<TopologyFact>,
    /// what all this means for a database
    #[serde(default)]
    pub databases: Vec<DatabaseFact>,
    /// what has surprised people
    #[serde(default)]
    pub traps: Vec<Trap>,
}

/// A name of a driver, or the end of its names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Provisioner {
    /// the whole name
    #[serde(default)]
    pub name: Option<String>,
    /// the end of the name, before which any prefix and a dot may stand
    #[serde(default)]
    pub suffix: Option<String>,
    /// a plugin that was part of Kubernetes, whose volumes this driver serves now
    #[serde(default)]
    pub translated: bool,
    /// the version of Kubernetes that removed this plugin, with no driver in its place
    #[serde(default)]
    pub removed: Option<String>,
    /// where that is said
    pub source: String,
}

/// How a driver is maintained.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct State {
    /// how
    pub is: Maintenance,
    /// since when or why, as a sentence
    pub text: String,
    /// where that is said
    pub source: String,
}

/// How a driver is maintained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Maintenance {
    /// it is there, and nobody works on it
    Unmaintained,
    /// it is not there any more
    Removed,
    /// it is meant for tests
    ForTests,
}

/// A condition on a StorageClass and a claim. What is left out is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct When {
    /// spellings of one parameter of the class
    #[serde(default)]
    pub parameters: Vec<String>,
    /// its values, in any case; the empty one means that it is absent
    #[serde(default)]
    pub values: Vec<String>,
    /// the claim may be mounted by several nodes at once: `ReadWriteMany`
    #[serde(default)]
    pub shared: Option<bool>,
}

/// What a volume is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PatternFact {
    /// which
    pub is: Pattern,
    /// for which classes
    #[serde(default)]
    pub when: When,
    /// where that is said
    pub source: String,
}

/// The storage patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// a block device with one writer, which the storage replicates
    Block,
    /// a file system on the network with many writers
    File,
    /// a disk of one node, whose data the application replicates
    Local,
    /// a bucket of objects that is mounted as if it were a file system
    Object,
}

/// How a driver expands volumes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExpansionFact {
    /// how
    pub is: Expansion,
    /// what to know about it, as a sentence
    #[serde(default)]
    pub text: String,
    /// where that is said
    pub source: String,
}

/// How a driver expands volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expansion {
    /// also while pods use the volume; none has to restart
    Online,
    /// only while no pod uses the volume
    Offline,
    /// only while a pod uses the volume
    OnlineOnly,
    /// not at all
    None,
    /// it reports success and changes nothing
    Pretended,
}

/// The sizes that a driver gives.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rounding {
    /// for requests below this size; for all if it is absent
    #[serde(default, deserialize_with = "read::quantity")]
    pub below: Option<Quantity>,
    /// sizes are multiples of it
    #[serde(deserialize_with = "read::size")]
    pub unit: Quantity,
    /// the next smaller multiple, not the next larger one
    #[serde(default)]
    pub down: bool,
    /// where that is said
    pub source: String,
}

/// The smallest and the largest volume.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bounds {
    /// for which classes
    #[serde(default)]
    pub when: When,
    /// the smallest; smaller requests fail or get this size
    #[serde(default, deserialize_with = "read::quantity")]
    pub least: Option<Quantity>,
    /// the largest
    #[serde(default, deserialize_with = "read::quantity")]
    pub most: Option<Quantity>,
    /// where that is said
    pub source: String,
}

/// How often a volume may be changed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ChangeLimit {
    /// so many changes
    pub changes: u32,
    /// in so many hours, whenever they begin
    pub hours: u32,
    /// what else counts, as a sentence
    pub text: String,
    /// where that is said
    pub source: String,
}

/// What prevents an expansion for as long as it lasts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Blocker {
    /// as a sentence
    pub text: String,
    /// where that is said
    pub source: String,
}

/// The size that a volume passes only while no pod uses it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DetachedAbove {
    /// the size
    #[serde(deserialize_with = "read::size")]
    pub size: Quantity,
    /// the classes for which it counts; one that does not say what it is counts as none
    #[serde(default)]
    pub when: When,
    /// where that is said
    pub source: String,
}

/// Access modes of one volume mode.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Access {
    /// `Filesystem` or `Block`
    pub volume_mode: String,
    /// such as `ReadWriteOnce`
    pub modes: Vec<String>,
    /// what they depend on, as a sentence
    #[serde(default)]
    pub text: String,
    /// where that is said
    pub source: String,
}

/// The nodes that reach a volume.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TopologyFact {
    /// which
    pub is: Topology,
    /// what it depends on, as a sentence
    #[serde(default)]
    pub text: String,
    /// where that is said
    pub source: String,
}

/// The nodes that reach a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// those of one zone
    Zone,
    /// those of one region
    Region,
    /// one node
    Node,
    /// all
    Any,
}

/// What a driver means for a database.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DatabaseFact {
    /// whether its volumes may hold the data of one
    pub is: Fitness,
    /// for which classes
    #[serde(default)]
    pub when: When,
    /// why, as a sentence
    pub text: String,
    /// where that is said
    pub source: String,
}

/// Whether volumes may hold the data of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fitness {
    /// yes
    Fit,
    /// on a condition
    Conditional,
    /// no
    Unfit,
}

/// What has surprised people.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Trap {
    /// as a sentence
    pub text: String,
    /// where that is said
    pub source: String,
}

/// The driver that a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'d> {
    /// the driver
    pub driver: &'d Driver,
    /// the entry that the name matched
    pub provisioner: &'d Provisioner,
}

/// All drivers, and the way to them.
#[derive(Debug, Default)]
pub struct Drivers {
    all: Vec<Driver>,
    /// driver and entry, by the whole name
    names: HashMap<String, (usize, usize)>,
    /// driver and entry, by the end of the name
    suffixes: HashMap<String, (usize, usize)>,
}

/// The shipped drivers. A file that cannot be read is missing here, and [`faults`] names it.
static DRIVERS: LazyLock<(Drivers, Vec<DriverError>)> = LazyLock::new(|| read::table(FILES));

/// More dots than these are not looked at, so that a name of any length is found in the same time.
const MOST_DOTS: usize = 8;

/// The shipped drivers, in the order of their names.
pub fn all() -> &'static [Driver] {
    &DRIVERS.0.all
}

/// What is wrong with the shipped files; a test keeps it empty.
pub fn faults() -> &'static [DriverError] {
    &DRIVERS.1
}

/// The shipped driver with a provisioner's name.
pub fn by_provisioner(name: &str) -> Option<Found<'static>> {
    DRIVERS.0.get(name)
}

/// The shipped driver with this name, which is that of its file.
pub fn by_name(name: &str) -> Option<Found<'static>> {
    let driver = all().iter().find(|driver| driver.name == name)?;
    Some(Found { driver, provisioner: driver.provisioners.first()? })
}

/// Whether a fact of a shipped driver depends on this parameter of its classes.
pub fn reads_parameter(provisioner: &str, parameter: &str) -> bool {
    by_provisioner(provisioner)
        .is_some_and(|found| found.driver.conditions().any(|when| when.names(parameter)))
}

impl Drivers {
    /// The driver with a provisioner's name.
    pub fn get(&self, name: &str) -> Option<Found<'_>> {
        let ends = name.rmatch_indices('.').take(MOST_DOTS).map(|(dot, _)| &name[dot + 1..]);
        let by_end = || std::iter::once(name).chain(ends).find_map(|end| self.suffixes.get(end));
        let (driver, entry) = self.names.get(name).or_else(by_end)?;
        let driver = self.all.get(*driver)?;
        Some(Found { driver, provisioner: driver.provisioners.get(*entry)? })
    }
}

impl When {
    /// Whether a parameter is the one that the condition is about.
    fn names(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|name| name.eq_ignore_ascii_case(parameter))
    }

    /// Whether it holds for a class with these parameters and a claim that is shared or not.
    pub fn holds(&self, parameters: &BTreeMap<String, String>, shared: bool) -> bool {
        if self.shared.is_some_and(|wanted| wanted != shared) {
            return false;
        }
        if self.parameters.is_empty() {
            return true;
        }
        let mut found = parameters.iter().filter(|(name, _)| self.names(name));
        let value = found.next().map_or("", |(_, value)| value);
        self.values.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    }
}

impl Driver {
    fn conditions(&self) -> impl Iterator<Item = &When> {
        let patterns = self.patterns.iter().map(|fact| &fact.when);
        let bounds = self.bounds.iter().map(|fact| &fact.when);
        let databases = self.databases.iter().map(|fact| &fact.when);
        let detached = self.detached_above.iter().map(|fact| &fact.when);
        patterns.chain(bounds).chain(databases).chain(detached)
    }

    /// What the volumes of a class with these parameters are, if that is known.
    pub fn pattern(&self, parameters: &BTreeMap<String, String>, shared: bool) -> Option<Pattern> {
        let fact = self.patterns.iter().find(|fact| fact.when.holds(parameters, shared));
        fact.map(|fact| fact.is)
    }

    /// What a class with these parameters means for a database, if that is known.
    pub fn database(
        &self,
        parameters: &BTreeMap<String, String>,
        shared: bool,
    ) -> Option<&DatabaseFact> {
        self.databases.iter().find(|fact| fact.when.holds(parameters, shared))
    }

    /// How it expands volumes, if that is known.
    pub fn expands(&self) -> Option<Expansion> {
        self.expansion.as_ref().map(|fact| fact.is)
    }
}

/// Why no volume of a provisioner is ever expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoExpansion<'d> {
    /// the driver cannot
    Driver(&'d Driver),
    /// Kubernetes has removed the plugin of this name
    Removed(&'d Driver, &'d Provisioner),
}

/// The rest of a sentence that begins with the class.
impl fmt::Display for NoExpansion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver(driver) => {
                write!(f, "uses {}, which cannot expand volumes", driver.title)
            }
            Self::Removed(driver, provisioner) => {
                let version = provisioner.removed.as_deref().unwrap_or_default();
                write!(f, "uses {}, which Kubernetes {version} removed", driver.title)
            }
        }
    }
}

impl<'d> Found<'d> {
    /// Why no volume is ever expanded, if that is certain.
    pub fn no_expansion(self) -> Option<NoExpansion<'d>> {
        if self.provisioner.removed.is_some() {
            return Some(NoExpansion::Removed(self.driver, self.provisioner));
        }
        (self.driver.expands() == Some(Expansion::None)).then_some(NoExpansion::Driver(self.driver))
    }
}

impl NoExpansion<'_> {
    /// Where it is said.
    pub fn source(&self) -> &str {
        match self {
            Self::Driver(driver) => driver.expansion.as_ref().map_or("", |fact| &fact.source),
            Self::Removed(_, provisioner) => &provisioner.source,
        }
    }
}

#[cfg(test)]
mod tests;
