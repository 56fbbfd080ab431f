//! The rules: one file each, and the table of all of them.
//!
//! A rule is a pure function from a change, its facts and its parameters to findings. Its
//! description, examples, JSON schema, documentation page, `explain` output and SARIF entry all
//! come from its one file and its folder of fixtures under `policies/rules/`.

#[macro_use]
mod declare;
mod example;
pub mod finding;
pub mod page;
mod path;
pub mod remedy;
mod template;

mod autoscaling;
mod budgets;
mod class_delete;
mod data_left_behind;
mod namespace_delete;
/// Ownerships that are claimed.
pub mod owner_added;
mod protected_delete;
mod pv_claim_changed;
mod pv_delete;
mod pv_protection_removed;
mod pv_reclaim_to_delete;
mod pvc_attributes_class;
mod pvc_delete;
mod pvc_delete_last;
mod pvc_expand_class_disallows;
mod pvc_expand_driver_cannot;
mod pvc_expand_in_progress;
mod pvc_expand_pretended;
mod pvc_expand_unbound;
mod pvc_fractional_or_huge;
mod pvc_immutable_edit;
mod pvc_invalid_value;
mod pvc_keep_removed;
mod pvc_name_collision;
mod pvc_owner_removed;
mod pvc_protection_removed;
mod pvc_shrink;
mod pvc_sts_size_drift;
mod pvc_vac_unset;
/// Annotations that relax the policy.
pub mod reserved_annotation;
mod set_claims;
mod snapshot_delete;
mod sts_being_recreated;
mod sts_broken_rollout_overlap;
mod sts_dangerous_setting;
mod sts_data_mount_removed;
mod sts_data_moves_off_claim;
mod sts_data_not_on_claim;
mod sts_delete_cascade;
mod sts_delete_pvc_retention_delete;
mod sts_empty_password;
mod sts_emptydir_data;
mod sts_even_voters;
mod sts_fsgroup_change;
mod sts_grace_short;
mod sts_grace_zero;
mod sts_hostpath_data;
mod sts_hpa_below_quorum;
mod sts_identity_changed;
mod sts_image_latest;
mod sts_image_upgrade;
mod sts_image_version;
mod sts_immediate_binding;
mod sts_invalid_value;
mod sts_leftover_claims;
mod sts_max_unavailable_quorum;
mod sts_member_count;
mod sts_missing_class;
mod sts_mount_unknown_volume;
mod sts_multiple_pdbs;
mod sts_name_too_long;
mod sts_no_pdb;
mod sts_no_readiness;
mod sts_no_resources;
mod sts_no_spread;
mod sts_ondelete;
mod sts_ordinals_start;
mod sts_partition_left;
mod sts_pdb_blocks_all;
mod sts_pdb_quorum;
mod sts_pod_management_policy;
mod sts_pod_settings;
mod sts_pool_resized;
mod sts_publish_not_ready;
mod sts_reclaim_delete;
mod sts_recreate_mismatch;
mod sts_recreate_strategy;
mod sts_replica_jump;
mod sts_replicas_with_hpa;
mod sts_required_antiaffinity_nodes;
mod sts_restart_during_resize;
mod sts_retention_delete_create;
mod sts_retention_to_delete;
mod sts_rolling_restart;
mod sts_rwx_database;
mod sts_scale_below_minimum;
mod sts_scale_below_quorum;
mod sts_scale_down_deletes_claims;
mod sts_scale_down_multi;
mod sts_scale_down_steps;
mod sts_scale_to_zero;
mod sts_scale_up_from_one;
mod sts_selector;
mod sts_selector_overlap;
mod sts_service_missing;
mod sts_service_name;
mod sts_service_not_headless;
mod sts_shared_pvc;
mod sts_spec_immutable;
mod sts_system_changed;
mod sts_template_label_break;
mod sts_unknown_pack;
mod sts_vct_access_modes;
mod sts_vct_added;
mod sts_vct_metadata;
mod sts_vct_removed;
mod sts_vct_size_grow;
mod sts_vct_size_shrink;
mod sts_vct_storage_class;
mod sts_vct_unmounted;
mod sts_vct_volume_mode;
mod sts_volume_shadowed;
mod sts_zone_move;
mod system;
mod tool_replaces;
mod variables;
/// Sets whose pods vote.
pub mod voters;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::finding::{Finding, Findings, Step};
pub use self::pvc_keep_removed::kept_by;
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
    /// the kinds and operations that it judges; empty if only `check` sees what it is about
    pub judges: &'static [(Kind, &'static [Operation])],
    /// the KEP, file or issue that it rests on
    pub source: &'static str,
    /// Markdown: why it matters, and how to get out
    pub docs: &'static str,
    /// a fixture with a finding, as YAML
    pub bad: &'static str,
    /// a fixture without findings, as YAML
    pub good: &'static str,
    /// which webhook judges an edit of a set
    pub judged_at: JudgedAt,
    /// whether it judges terminating objects, and edits that only remove the last finalizers, too,
    /// which are otherwise exempt
    pub judges_terminating: bool,
    /// whether it judges writes to subresources such as `status`, through which the API server takes
    /// metadata, too
    pub judges_subresources: bool,
    /// the top-level key of the policy whose value holds the parameters, unless `rules` does
    pub params_from: Option<&'static str>,
}

/// Which webhook judges the UPDATE of a set by a rule. All other operations follow the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgedAt {
    /// the mutating webhook for refusals, which reach no other; the validating webhook for the rest
    ByGroup,
    /// the mutating webhook, because the API server itself refuses the edits that it judges
    Mutation,
}

impl Meta {
    /// What most rules leave out of their description.
    pub(crate) const DEFAULT: Self = Self {
        id: "",
        title: "",
        group: Group::Practice,
        action: Action::Warn,
        since: "",
        judges: &[],
        source: "",
        docs: "",
        bad: "",
        good: "",
        judged_at: JudgedAt::ByGroup,
        judges_terminating: false,
        judges_subresources: false,
        params_from: None,
    };

    /// Whether the mutating webhook judges `change` by this rule. The API server validates an object
    /// between the two webhooks, so the validating one never sees an edit that it refuses itself.
    pub fn judged_by_mutating(&self, change: &Change<'_>) -> bool {
        self.group == Group::Refusal
            || (self.judged_at == JudgedAt::Mutation
                && change.updated_set().is_some()
                && change.circumstances.sub_resource.is_empty())
    }

    /// Whether the rule judges this operation on this kind.
    pub fn applies(&self, kind: Kind, operation: Operation) -> bool {
        self.judges.iter().any(|(k, operations)| *k == kind && operations.contains(&operation))
    }

    /// The default action in the cluster, where practice rules are off, or in the CLI.
    pub const fn default_action(&self, in_cluster: bool) -> Action {
        match self.group {
            Group::Practice if in_cluster => Action::Off,
            _ if in_cluster && self.judges.is_empty() => Action::Off,
            _ => self.action,
        }
    }
}

/// Why a rule gave no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unjudged {
    /// a fact is not known; the text completes "needs …"
    Needs(String),
    /// the same, and claims may be deleted unnoticed: the answer says so
    Blind(String),
    /// a field of the object has the wrong type
    Malformed(DecodeError),
}

impl Unjudged {
    /// The same, if claims may be deleted unnoticed.
    #[must_use]
    pub fn blind(self) -> Self {
        match self {
            Self::Needs(needs) => Self::Blind(needs),
            other => other,
        }
    }
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
    /// [`Unjudged::Needs`] if it is not known.
    pub fn needed(self) -> Result<T, Unjudged> {
        match self {
            Self::Known(fact) => Ok(fact),
            Self::Unknown(needs) => Err(Unjudged::Needs(needs)),
        }
    }
}

/// Whether a rule could judge; its findings are in the collector.
pub type Judged = Result<(), Unjudged>;

/// The description of a rule, which `declare_rule!` writes.
pub trait Describe: 'static {
    /// The description.
    const META: Meta;
}

/// A check over one change. Pure: no I/O, no clock, no client.
pub trait Rule: Describe {
    /// Parameters, with their defaults.
    type Params: DeserializeOwned + Serialize + JsonSchema + Default + Send + Sync;

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
    /// the rule with its default parameters
    pub by_default: fn() -> Check,
    /// binds parameters
    pub compile: fn(&serde_json::Value) -> Result<Check, DecodeError>,
}

impl Entry {
    /// The entry of rule `R`.
    pub const fn of<R: Rule>() -> Self {
        Self {
            meta: &R::META,
            schema: || schemars::schema_for!(R::Params),
            defaults: || serde_json::to_value(R::Params::default()).unwrap_or_default(),
            by_default: || bind::<R>(R::Params::default()),
            compile: |params| Ok(bind::<R>(crate::object::json::decode(&params.to_string(), "")?)),
        }
    }
}

fn bind<R: Rule>(params: R::Params) -> Check {
    Box::new(move |change, facts, findings| R::check(&params, change, facts, findings))
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

/// All rules, in the order in which they are judged and printed.
pub static RULES: &[Entry] = &[
    Entry::of::<sts_vct_size_shrink::StsVctSizeShrink>(),
    Entry::of::<sts_vct_size_grow::StsVctSizeGrow>(),
    Entry::of::<sts_vct_storage_class::StsVctStorageClass>(),
    Entry::of::<sts_vct_access_modes::StsVctAccessModes>(),
    Entry::of::<sts_vct_volume_mode::StsVctVolumeMode>(),
    Entry::of::<sts_vct_added::StsVctAdded>(),
    Entry::of::<sts_vct_removed::StsVctRemoved>(),
    Entry::of::<sts_vct_metadata::StsVctMetadata>(),
    Entry::of::<sts_service_name::StsServiceName>(),
    Entry::of::<sts_selector::StsSelector>(),
    Entry::of::<sts_pod_management_policy::StsPodManagementPolicy>(),
    Entry::of::<sts_spec_immutable::StsSpecImmutable>(),
    Entry::of::<sts_recreate_strategy::StsRecreateStrategy>(),
    Entry::of::<sts_mount_unknown_volume::StsMountUnknownVolume>(),
    Entry::of::<sts_invalid_value::StsInvalidValue>(),
    Entry::of::<pvc_shrink::PvcShrink>(),
    Entry::of::<pvc_sts_size_drift::PvcStsSizeDrift>(),
    Entry::of::<pvc_expand_class_disallows::PvcExpandClassDisallows>(),
    Entry::of::<pvc_expand_unbound::PvcExpandUnbound>(),
    Entry::of::<pvc_immutable_edit::PvcImmutableEdit>(),
    Entry::of::<pvc_vac_unset::PvcVacUnset>(),
    Entry::of::<pvc_attributes_class::PvcAttributesClass>(),
    Entry::of::<pvc_invalid_value::PvcInvalidValue>(),
    Entry::of::<reserved_annotation::ReservedAnnotation>(),
    Entry::of::<owner_added::OwnerAdded>(),
    Entry::of::<sts_delete_pvc_retention_delete::StsDeletePvcRetentionDelete>(),
    Entry::of::<sts_being_recreated::StsBeingRecreated>(),
    Entry::of::<sts_delete_cascade::StsDeleteCascade>(),
    Entry::of::<sts_retention_to_delete::StsRetentionToDelete>(),
    Entry::of::<sts_retention_delete_create::StsRetentionDeleteCreate>(),
    Entry::of::<sts_recreate_mismatch::StsRecreateMismatch>(),
    Entry::of::<data_left_behind::DataLeftBehind>(),
    Entry::of::<protected_delete::ProtectedDelete>(),
    Entry::of::<pvc_delete_last::PvcDeleteLast>(),
    Entry::of::<pvc_delete::PvcDelete>(),
    Entry::of::<namespace_delete::NamespaceDelete>(),
    Entry::of::<pv_delete::PvDelete>(),
    Entry::of::<class_delete::ClassDelete>(),
    Entry::of::<snapshot_delete::SnapshotDelete>(),
    Entry::of::<pv_reclaim_to_delete::PvReclaimToDelete>(),
    Entry::of::<pv_protection_removed::PvProtectionRemoved>(),
    Entry::of::<pv_claim_changed::PvClaimChanged>(),
    Entry::of::<pvc_keep_removed::PvcKeepRemoved>(),
    Entry::of::<tool_replaces::ToolReplaces>(),
    Entry::of::<pvc_protection_removed::PvcProtectionRemoved>(),
    Entry::of::<pvc_owner_removed::PvcOwnerRemoved>(),
    Entry::of::<pvc_expand_in_progress::PvcExpandInProgress>(),
    Entry::of::<pvc_expand_driver_cannot::PvcExpandDriverCannot>(),
    Entry::of::<pvc_expand_pretended::PvcExpandPretended>(),
    Entry::of::<pvc_fractional_or_huge::PvcFractionalOrHuge>(),
    Entry::of::<sts_scale_down_deletes_claims::StsScaleDownDeletesClaims>(),
    Entry::of::<sts_scale_below_quorum::StsScaleBelowQuorum>(),
    Entry::of::<sts_scale_down_multi::StsScaleDownMulti>(),
    Entry::of::<sts_scale_below_minimum::StsScaleBelowMinimum>(),
    Entry::of::<sts_pool_resized::StsPoolResized>(),
    Entry::of::<sts_scale_down_steps::StsScaleDownSteps>(),
    Entry::of::<sts_system_changed::StsSystemChanged>(),
    Entry::of::<sts_identity_changed::StsIdentityChanged>(),
    Entry::of::<sts_unknown_pack::StsUnknownPack>(),
    Entry::of::<sts_scale_up_from_one::StsScaleUpFromOne>(),
    Entry::of::<sts_leftover_claims::StsLeftoverClaims>(),
    Entry::of::<sts_even_voters::StsEvenVoters>(),
    Entry::of::<sts_scale_to_zero::StsScaleToZero>(),
    Entry::of::<sts_replica_jump::StsReplicaJump>(),
    Entry::of::<sts_ordinals_start::StsOrdinalsStart>(),
    Entry::of::<sts_ondelete::StsOndelete>(),
    Entry::of::<sts_partition_left::StsPartitionLeft>(),
    Entry::of::<sts_max_unavailable_quorum::StsMaxUnavailableQuorum>(),
    Entry::of::<sts_broken_rollout_overlap::StsBrokenRolloutOverlap>(),
    Entry::of::<sts_restart_during_resize::StsRestartDuringResize>(),
    Entry::of::<sts_rolling_restart::StsRollingRestart>(),
    Entry::of::<sts_data_mount_removed::StsDataMountRemoved>(),
    Entry::of::<sts_data_moves_off_claim::StsDataMovesOffClaim>(),
    Entry::of::<sts_image_version::StsImageVersion>(),
    Entry::of::<sts_image_upgrade::StsImageUpgrade>(),
    Entry::of::<sts_fsgroup_change::StsFsgroupChange>(),
    Entry::of::<sts_vct_unmounted::StsVctUnmounted>(),
    Entry::of::<sts_volume_shadowed::StsVolumeShadowed>(),
    Entry::of::<sts_shared_pvc::StsSharedPvc>(),
    Entry::of::<sts_name_too_long::StsNameTooLong>(),
    Entry::of::<pvc_name_collision::PvcNameCollision>(),
    Entry::of::<sts_missing_class::StsMissingClass>(),
    Entry::of::<sts_zone_move::StsZoneMove>(),
    Entry::of::<sts_hpa_below_quorum::StsHpaBelowQuorum>(),
    Entry::of::<sts_image_latest::StsImageLatest>(),
    Entry::of::<sts_hostpath_data::StsHostpathData>(),
    Entry::of::<sts_emptydir_data::StsEmptydirData>(),
    Entry::of::<sts_data_not_on_claim::StsDataNotOnClaim>(),
    Entry::of::<sts_rwx_database::StsRwxDatabase>(),
    Entry::of::<sts_member_count::StsMemberCount>(),
    Entry::of::<sts_pod_settings::StsPodSettings>(),
    Entry::of::<sts_dangerous_setting::StsDangerousSetting>(),
    Entry::of::<sts_no_spread::StsNoSpread>(),
    Entry::of::<sts_grace_zero::StsGraceZero>(),
    Entry::of::<sts_no_readiness::StsNoReadiness>(),
    Entry::of::<sts_empty_password::StsEmptyPassword>(),
    Entry::of::<sts_replicas_with_hpa::StsReplicasWithHpa>(),
    Entry::of::<sts_no_pdb::StsNoPdb>(),
    Entry::of::<sts_pdb_blocks_all::StsPdbBlocksAll>(),
    Entry::of::<sts_pdb_quorum::StsPdbQuorum>(),
    Entry::of::<sts_multiple_pdbs::StsMultiplePdbs>(),
    Entry::of::<sts_service_missing::StsServiceMissing>(),
    Entry::of::<sts_service_not_headless::StsServiceNotHeadless>(),
    Entry::of::<sts_publish_not_ready::StsPublishNotReady>(),
    Entry::of::<sts_immediate_binding::StsImmediateBinding>(),
    Entry::of::<sts_reclaim_delete::StsReclaimDelete>(),
    Entry::of::<sts_required_antiaffinity_nodes::StsRequiredAntiaffinityNodes>(),
    Entry::of::<sts_selector_overlap::StsSelectorOverlap>(),
    Entry::of::<sts_template_label_break::StsTemplateLabelBreak>(),
    Entry::of::<sts_grace_short::StsGraceShort>(),
    Entry::of::<sts_no_resources::StsNoResources>(),
];
