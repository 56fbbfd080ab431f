//! The format of a pack: what is known about one system that keeps data.
//!
//! Each fact names its source, and the rules read nothing else.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::version::{Range, Version};
use crate::object::anti_affinity::Spread;

/// `policies/packs/<system>.yaml`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "a pack of stateward", description = "What is known about one system")]
pub struct Pack {
    /// Its name, as people write it.
    pub title: String,
    /// What it is and how it keeps data, in one or two sentences.
    pub about: String,
    /// How a set is recognised: by any of these.
    pub recognise: Vec<Recogniser>,
    /// How its pods keep data together.
    #[serde(default)]
    pub members: Option<Members>,
    /// What has to be done before a pod is removed.
    #[serde(default)]
    pub scale_down: Option<ScaleDown>,
    /// What has to be known before pods are added.
    #[serde(default)]
    pub scale_up: Option<ScaleUp>,
    /// Which versions may follow which.
    #[serde(default)]
    pub versions: Option<Versions>,
    /// Where the data is; the first entry that fits counts.
    #[serde(default)]
    pub data: Vec<DataFolder>,
    /// The `VOLUME` instructions of its images. What is not mounted exactly there is lost with the container.
    #[serde(default)]
    pub image_volumes: Vec<ImageVolume>,
    /// What names a member in its data.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// How its pods have to be run.
    #[serde(default)]
    pub pods: Pods,
    /// Settings that lose data or let anybody in.
    #[serde(default)]
    pub settings: Vec<Setting>,
    /// What it needs of its storage.
    #[serde(default)]
    pub storage: Option<Storage>,
    /// What has to follow when its volumes have grown.
    #[serde(default)]
    pub after_growth: Option<Advice>,
}

/// One way to recognise a set. All that it names has to hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recogniser {
    /// The repository of an image, with its registry: `docker.io/postgres`, `quay.io/coreos/etcd`. It is
    /// recognised on mirrors as well.
    #[serde(default)]
    pub image: Option<String>,
    /// The text in the tag, or in the last part of the path, that stands before the version: `pxc` of
    /// `1.15.0-pxc8.4`.
    #[serde(default)]
    pub version_after: Option<String>,
    /// Labels of the set or of its pods.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `<group>/<Kind>` of a controller owner.
    #[serde(default)]
    pub owner: Option<String>,
    /// A text in a command or argument of the container.
    #[serde(default)]
    pub argument: Option<String>,
    /// An environment variable of the container: its name, or `NAME=value` for one that has this value, or has it
    /// in a list with commas. All of several have to be there.
    #[serde(default)]
    pub variable: Option<OneOrAll>,
}

/// One text, or several that belong together.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "this is neither a text nor a list of texts")]
pub enum OneOrAll {
    /// one
    One(String),
    /// several
    All(Vec<String>),
}

impl OneOrAll {
    /// Each of them.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::All(texts) => texts,
        }
    }
}

/// How the pods keep data together.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Members {
    /// How.
    pub kind: MemberKind,
    /// Numbers of members that make sense. Others are warned of.
    #[serde(default)]
    pub sizes: Vec<u32>,
    /// The fewest members that a running cluster may have. Going below is denied.
    #[serde(default)]
    pub minimum: Option<u32>,
    /// Why another number does harm, in one sentence.
    pub why: String,
    /// Where this is said.
    pub source: String,
}

/// What the pods of a set are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemberKind {
    /// each pod votes, and more than half have to agree
    Majority,
    /// the number is fixed when the pool is made
    Pool,
    /// one pod is written to, the others follow it
    Primary,
    /// data is spread over the pods, with copies
    Copies,
    /// each pod has data of its own
    Independent,
}

/// What has to be done before a pod is removed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScaleDown {
    /// What to do before `replicas` is lowered, in order; each begins with a verb.
    pub steps: Vec<String>,
    /// What happens without these steps, in one sentence.
    pub why: String,
    /// Where this is said.
    pub source: String,
}

/// What has to be known before pods are added.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScaleUp {
    /// What goes wrong when a new pod finds the claim of a member that was removed, in one sentence.
    #[serde(default)]
    pub leftover_claims: Option<String>,
    /// What goes wrong when several pods are added at once to a single one, in one sentence.
    #[serde(default)]
    pub from_one: Option<String>,
    /// Where this is said.
    pub source: String,
}

/// Which versions may follow which.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Versions {
    /// How many numbers name a series: 1 for `17`, 2 for `8.4`.
    pub series: u8,
    /// To which later series an image may go.
    pub upgrade: Upgrade,
    /// To which earlier versions an image may go.
    pub downgrade: Downgrade,
    /// Series that differ from that: from one of them, only to those that are named.
    #[serde(default)]
    pub steps: Vec<VersionStep>,
    /// How far the images of a series may go back, where `downgrade` does not say it.
    #[serde(default)]
    pub back: Vec<VersionBack>,
    /// What to do for a new series, in order; each begins with a verb.
    #[serde(default)]
    pub way: Vec<String>,
    /// What happens otherwise, in one sentence.
    pub why: String,
    /// Where this is said.
    pub source: String,
}

/// To which later series an image may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Upgrade {
    /// to any
    Any,
    /// to the next one: the last number is one higher, or `steps` says so
    Next,
    /// to none: another series does not read the data
    Never,
}

/// To which earlier versions an image may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Downgrade {
    /// to any
    Any,
    /// within a series
    Series,
    /// to none
    Never,
}

/// From one series to others.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VersionStep {
    /// The series.
    pub from: Version,
    /// Where it may go.
    pub to: Vec<Version>,
    /// The first version of the series from which it may go there.
    #[serde(default)]
    pub at_least: Option<Version>,
}

/// How far the images of a series may go back.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VersionBack {
    /// The series.
    pub from: Version,
    /// The lowest version that still reads its data.
    pub to: Version,
}

/// Where the data is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataFolder {
    /// An absolute path in the container.
    pub folder: String,
    /// The image that this holds for, as in `recognise`. Default: all.
    #[serde(default)]
    pub image: Option<String>,
    /// The versions that this holds for, such as `<18`. Default: all.
    #[serde(default)]
    pub versions: Option<Range>,
    /// Environment variables that move it.
    #[serde(default)]
    pub variables: Vec<String>,
    /// Flags that move it: `--data-dir`, `-D`. A value may be a list with commas.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// A command of the program that has the folders as its operands: `server` of MinIO.
    #[serde(default)]
    pub operands_of: Option<String>,
    /// Programs that use the folder, besides the one that has the name of the image.
    #[serde(default)]
    pub programs: Vec<String>,
    /// Where this is said.
    pub source: String,
}

/// A `VOLUME` of an image.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ImageVolume {
    /// An absolute path in the container.
    pub folder: String,
    /// The image that this holds for, as in `recognise`. Default: all.
    #[serde(default)]
    pub image: Option<String>,
    /// The versions that this holds for. Default: all.
    #[serde(default)]
    pub versions: Option<Range>,
    /// Where this is said.
    pub source: String,
}

/// How the pods have to be run.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pods {
    /// `podManagementPolicy` that it needs.
    #[serde(default)]
    pub management: Option<Needed>,
    /// `updateStrategy.type` that it needs.
    #[serde(default)]
    pub strategy: Option<Needed>,
    /// The shortest `terminationGracePeriodSeconds` that lets it stop in good order.
    #[serde(default)]
    pub grace: Option<Grace>,
    /// How strongly its pods have to be kept apart. New sets are given it if the policy says
    /// `anti-affinity: system`.
    #[serde(default)]
    pub anti_affinity: Option<KeptApart>,
    /// What a rolling update does to it, if that does harm.
    #[serde(default)]
    pub rolling_update: Option<RollingUpdate>,
}

/// How strongly pods are kept apart.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeptApart {
    /// How strongly.
    pub value: Spread,
    /// What happens with less, in one sentence.
    pub why: String,
    /// Where this is said.
    pub source: String,
}

/// Why its pods must not restart one after another without anybody's help.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RollingUpdate {
    /// Which edits of the pod template do harm. Default: all, because all restart the pods.
    #[serde(default)]
    pub edits: RollingEdits,
    /// How the names of the variables begin that count as a part of the program. Default: all variables.
    #[serde(default)]
    pub variables: Vec<String>,
    /// Texts in an image, an argument, or the name or value of a variable of the pod. One of them shows that a
    /// rolling update does no harm.
    #[serde(default)]
    pub unless: Vec<String>,
    /// Whether it does harm only where the set has more than one replica.
    #[serde(default)]
    pub with_replicas: bool,
    /// What to do once `updateStrategy.type` is `OnDelete` and the edit is made, in order; each begins with a verb.
    pub steps: Vec<String>,
    /// What happens during a rolling update, in one sentence.
    pub why: String,
    /// Where this is said.
    pub source: String,
}

/// Edits of a pod template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RollingEdits {
    /// all of them
    #[default]
    All,
    /// those of the image, the command, the arguments or the variables of the container that runs the system
    Program,
}

/// What names a member in its data.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Identity {
    /// Environment variables that name the member or its cluster.
    #[serde(default)]
    pub variables: Vec<String>,
    /// Whether the data holds the DNS names of the members, of which `serviceName` is a part.
    #[serde(default)]
    pub service: bool,
    /// Ways to another name, each as a step that begins with a verb.
    #[serde(default)]
    pub steps: Vec<String>,
    /// What happens under another name, in one sentence.
    pub why: String,
    /// Where this is said.
    pub source: String,
}

/// A value that a field of the set has to have.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Needed {
    /// `Parallel`, `OrderedReady`, `OnDelete` or `RollingUpdate`.
    pub value: String,
    /// What happens with another value, in one sentence.
    pub why: String,
    /// Where this is said.
    pub source: String,
}

/// A time to stop.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Grace {
    /// In seconds.
    pub seconds: u32,
    /// What happens with less, in one sentence.
    pub why: String,
    /// Where this is said.
    pub source: String,
}

/// A setting that loses data or lets anybody in. Passwords that are empty have a rule of their own.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Setting {
    /// An environment variable.
    #[serde(default)]
    pub variable: Option<String>,
    /// The values of the variable that do harm. Default: any.
    #[serde(default)]
    pub values: Vec<String>,
    /// A flag among the arguments: `--insecure`, `-dev`.
    #[serde(default)]
    pub argument: Option<String>,
    /// Whether it does harm only where the set has more than one replica.
    #[serde(default)]
    pub with_replicas: bool,
    /// What happens, in one sentence.
    pub why: String,
    /// Where this is said.
    pub source: String,
}

/// What a system needs of its storage.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Storage {
    /// Whether its data may be on a network file system, such as NFS.
    pub network_files: NetworkFiles,
    /// What happens otherwise, in one sentence.
    pub why: String,
    /// Where this is said.
    pub source: String,
}

/// Whether data may be on a network file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkFiles {
    /// it works
    Supported,
    /// the vendor advises against it, or sets conditions
    Discouraged,
    /// the vendor excludes it
    Unsupported,
}

/// Something to do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Advice {
    /// What to do, in one sentence that begins with a verb.
    pub step: String,
    /// Where this is said.
    pub source: String,
}
