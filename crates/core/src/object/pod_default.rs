//! The fields of a pod template that a new set may be given.

use serde_json::{Value, json};

use super::pod::PodSpec;
use super::{DecodeError, StatefulSet};

/// What the API server writes into `terminationGracePeriodSeconds` where a manifest leaves it out, before
/// any webhook sees the object.
pub const GRACE: i64 = 30;
/// The `fsGroupChangePolicy` that leaves a volume alone whose root folder has the right group.
pub const ON_ROOT_MISMATCH: &str = "OnRootMismatch";

/// A field of the pod template that a new set may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodDefault {
    /// `affinity.podAntiAffinity`
    AntiAffinity,
    /// `terminationGracePeriodSeconds`
    GracePeriod,
    /// `securityContext.fsGroupChangePolicy`
    FsGroupChangePolicy,
}

impl PodDefault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::AntiAffinity, Self::GracePeriod, Self::FsGroupChangePolicy];

    /// The name in the annotation `stateward.dev/injected` and in the policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AntiAffinity => "anti-affinity",
            Self::GracePeriod => "grace-period",
            Self::FsGroupChangePolicy => "fs-group-change-policy",
        }
    }

    /// Where it stands in a set.
    pub const fn field(self) -> &'static str {
        match self {
            Self::AntiAffinity => "/spec/template/spec/affinity/podAntiAffinity",
            Self::GracePeriod => "/spec/template/spec/terminationGracePeriodSeconds",
            Self::FsGroupChangePolicy => "/spec/template/spec/securityContext/fsGroupChangePolicy",
        }
    }

    /// Whether the manifest of a set leaves it open, so that a value does not contradict anybody.
    ///
    /// # Errors
    /// The field of the set that has the wrong type.
    pub fn is_open(self, set: &StatefulSet<'_>) -> Result<bool, DecodeError> {
        let pod = &set.template()?.spec;
        Ok(match self {
            Self::AntiAffinity => !pod.says_how_to_spread(),
            Self::GracePeriod => pod.termination_grace_period_seconds.unwrap_or(GRACE) == GRACE,
            Self::FsGroupChangePolicy => {
                pod.security_context.fs_group.is_some()
                    && self.value(pod).is_none()
                    && (pod.named_claims().next().is_some() || !set.claim_templates()?.is_empty())
            }
        })
    }

    /// What a pod template says of it.
    pub fn value(self, pod: &PodSpec<'_>) -> Option<Value> {
        match self {
            Self::AntiAffinity => serde_json::from_str(pod.pod_anti_affinity()?.get()).ok(),
            Self::GracePeriod => pod.termination_grace_period_seconds.map(Value::from),
            Self::FsGroupChangePolicy => {
                let policy = pod.security_context.fs_group_change_policy.as_deref();
                policy.filter(|policy| !policy.is_empty()).map(|policy| json!(policy))
            }
        }
    }
}
