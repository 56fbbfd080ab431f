//! The rules: one file each, and the table of all of them.
//!
//! A rule is a pure function from a change, its facts and its parameters to findings. Its
//! description, examples, JSON schema, documentation page, `explain` output and SARIF entry all
//! come from its one file and its folder of fixtures under `policies/rules/`.

mod example;
pub mod finding;
pub mod page;
pub mod remedy;
mod template;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::finding::{Finding, Findings, Step};
use crate::change::{Change, Operation};
use crate::facts::{Fact, Facts};
use crate::object::{DecodeError, Kind};

/// What kind of harm a rule is about; it decides the default action and who judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Kubernetes itself would refuse; judged by the mutating webhook, which alone sees it
    Refusal,
    /// destroys or strands data
    Data,
    /// good sense
    Practice,
}

impl Group {
    /// The name in the policy and in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refusal => "refusal",
            Self::Data => "data",
            Self::Practice => "practice",
        }
    }
}

/// What is done about a finding.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// nothing
    Off,
    /// say it and allow
    Warn,
    /// refuse
    Deny,
}

impl Action {
    /// The action that the policy names so.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Off, Self::Warn, Self::Deny].into_iter().find(|action| action.name() == name)
    }

    /// The name in the policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// What is known about a rule without running it.
#[derive(Debug)]
pub struct Meta {
    /// kebab case, never reused
    pub id: &'static str,
    /// one line: what it catches
    pub title: &'static str,
    /// what it is about
    pub group: Group,
    /// what is done where neither policy nor annotation says otherwise
    pub action: Action,
    /// the release that brought it
    pub since: &'static str,
    /// the kinds and operations that it judges
    pub judges: &'static [(Kind, &'static [Operation])],
    /// the KEP, file or issue that it rests on
    pub source: &'static str,
    /// Markdown: why it matters, and how to get out
    pub docs: &'static str,
    /// a fixture that it finds fault with, as YAML
    pub bad: &'static str,
    /// a fixture that it passes, as YAML
    pub good: &'static str,
}

impl Meta {
    /// Whether the rule judges this operation on this kind.
    pub fn applies(&self, kind: Kind, operation: Operation) -> bool {
        self.judges.iter().any(|(k, operations)| *k == kind && operations.contains(&operation))
    }

    /// The default action in the cluster, where practice rules are off, or in the CLI.
    pub const fn default_action(&self, in_cluster: bool) -> Action {
        match self.group {
            Group::Practice if in_cluster => Action::Off,
            _ => self.action,
        }
    }
}

/// Why a rule gave no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unjudged {
    /// a fact is not known; the text completes "needs …"
    Needs(String),
    /// a field of the object has the wrong type
    Malformed(DecodeError),
}

impl From<DecodeError> for Unjudged {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl<T> Fact<T> {
    /// The fact, or the outcome "not judged: needs …".
    ///
    /// # Errors
    /// [`Unjudged::Needs`] where it is not known.
    pub fn needed(self) -> Result<T, Unjudged> {
        match self {
            Self::Known(fact) => Ok(fact),
            Self::Unknown(needs) => Err(Unjudged::Needs(needs)),
        }
    }
}

/// Whether a rule could judge; its findings are in the collector.
pub type Judged = Result<(), Unjudged>;

/// A check over one change. Pure: no I/O, no clock, no client.
pub trait Rule: 'static {
    /// Parameters, with their defaults.
    type Params: DeserializeOwned + Serialize + JsonSchema + Default + Send + Sync;
    /// Its description.
    const META: Meta;

    /// Adds what it finds to `findings`.
    ///
    /// # Errors
    /// Why it could not judge.
    fn check(
        params: &Self::Params,
        change: &Change<'_>,
        facts: &Facts,
        findings: &mut Findings,
    ) -> Judged;
}

/// The parameters of a rule that has none.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// A rule with its parameters bound, ready to judge.
pub type Check = Box<dyn Fn(&Change<'_>, &Facts, &mut Findings) -> Judged + Send + Sync>;

/// A rule with its parameter type erased.
#[derive(Debug)]
pub struct Entry {
    /// its description
    pub meta: &'static Meta,
    /// the JSON schema of its parameters
    pub schema: fn() -> Schema,
    /// its parameters' defaults
    pub defaults: fn() -> serde_json::Value,
    /// binds parameters
    pub compile: fn(serde_json::Value) -> Result<Check, DecodeError>,
}

impl Entry {
    /// The entry of rule `R`.
    pub const fn of<R: Rule>() -> Self {
        Self {
            meta: &R::META,
            schema: || schemars::schema_for!(R::Params),
            defaults: || serde_json::to_value(R::Params::default()).unwrap_or_default(),
            compile: |params| {
                let params: R::Params = crate::object::json::decode(&params.to_string(), "")?;
                Ok(Box::new(move |change, facts, findings| {
                    R::check(&params, change, facts, findings)
                }))
            },
        }
    }
}

/// The first release that looks at the pod template and the claim templates of a new set, and at
/// its serviceName (kubernetes#131790, #132212, #130233; the exact release is unverified).
const POD_TEMPLATE_SINCE: u16 = 34;

/// What a rule needs that cannot judge a claim without its status; completes "needs …".
fn status() -> String {
    "its status, which the old manifest does not show".to_owned()
}

/// The rule called `id`.
pub fn by_id(id: &str) -> Option<&'static Entry> {
    RULES.iter().find(|entry| entry.meta.id == id)
}

/// Declares the description of a rule; its Markdown is the doc comment.
macro_rules! declare_rule {
    (
        $(#[doc = $doc:literal])*
        $name:ident {
            id: $id:literal,
            title: $title:literal,
            group: $group:ident,
            action: $action:ident,
            since: $since:literal,
            judges: [$($kind:ident: [$($operation:ident),+]),+],
            source: $source:literal $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub(super) struct $name;

        impl $name {
            const DESCRIPTION: $crate::rules::Meta = $crate::rules::Meta {
                id: $id,
                title: $title,
                group: $crate::rules::Group::$group,
                action: $crate::rules::Action::$action,
                since: $since,
                judges: &[$((
                    $crate::object::Kind::$kind,
                    &[$($crate::change::Operation::$operation),+],
                )),+],
                source: $source,
                docs: concat!($($doc, "\n"),*),
                bad: include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"), "/../../policies/rules/", $id, "/fail/example.yaml"
                )),
                good: include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"), "/../../policies/rules/", $id, "/pass/example.yaml"
                )),
            };
        }
    };
}

/// Makes the modules and the table of all rules, in the order in which they are judged.
macro_rules! rules {
    ($($module:ident::$name:ident,)*) => {
        $(mod $module;)*

        /// All rules, in the order in which they are judged and printed.
        pub static RULES: &[Entry] = &[$(Entry::of::<$module::$name>(),)*];
    };
}

rules! {
    sts_vct_size_shrink::StsVctSizeShrink,
    sts_vct_size_grow::StsVctSizeGrow,
    sts_vct_storage_class::StsVctStorageClass,
    sts_vct_access_modes::StsVctAccessModes,
    sts_vct_volume_mode::StsVctVolumeMode,
    sts_vct_added::StsVctAdded,
    sts_vct_removed::StsVctRemoved,
    sts_vct_metadata::StsVctMetadata,
    sts_service_name::StsServiceName,
    sts_selector::StsSelector,
    sts_pod_management_policy::StsPodManagementPolicy,
    sts_spec_immutable::StsSpecImmutable,
    sts_recreate_strategy::StsRecreateStrategy,
    sts_mount_unknown_volume::StsMountUnknownVolume,
    sts_invalid_value::StsInvalidValue,
    pvc_shrink::PvcShrink,
    pvc_expand_class_disallows::PvcExpandClassDisallows,
    pvc_expand_unbound::PvcExpandUnbound,
    pvc_immutable_edit::PvcImmutableEdit,
    pvc_vac_unset::PvcVacUnset,
    pvc_invalid_value::PvcInvalidValue,
    sts_delete_pvc_retention_delete::StsDeletePvcRetentionDelete,
    sts_being_recreated::StsBeingRecreated,
    sts_delete_cascade::StsDeleteCascade,
    sts_retention_to_delete::StsRetentionToDelete,
    sts_retention_delete_create::StsRetentionDeleteCreate,
    pvc_fractional_or_huge::PvcFractionalOrHuge,
    sts_scale_to_zero::StsScaleToZero,
    sts_replica_jump::StsReplicaJump,
    sts_ordinals_start::StsOrdinalsStart,
    sts_ondelete::StsOndelete,
    sts_data_mount_removed::StsDataMountRemoved,
    sts_vct_unmounted::StsVctUnmounted,
    sts_volume_shadowed::StsVolumeShadowed,
    sts_shared_pvc::StsSharedPvc,
    sts_name_too_long::StsNameTooLong,
    sts_image_latest::StsImageLatest,
    sts_hostpath_data::StsHostpathData,
    sts_no_spread::StsNoSpread,
    sts_grace_zero::StsGraceZero,
    sts_no_readiness::StsNoReadiness,
    sts_empty_password::StsEmptyPassword,
}
