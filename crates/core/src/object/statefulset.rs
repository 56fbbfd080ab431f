//! StatefulSet.

use serde::Deserialize;

use super::json::{self, DecodeError, LazyField, Raw, Text, null_default};
use super::selector::LabelSelector;
use super::{Claim, Metadata, Object, PodTemplate};

/// An `apps/v1` StatefulSet. Its accessors apply the API server's defaults.
#[derive(Clone, Debug)]
pub struct StatefulSet<'a> {
    /// metadata
    pub metadata: Metadata<'a>,
    /// spec
    pub spec: StatefulSetSpec<'a>,
    /// status; empty where the document shows none
    pub status: LazyField<'a, StatefulSetStatus<'a>>,
}

impl<'a> StatefulSet<'a> {
    /// Reads a set from the head of its document; the pod template and the claim templates are
    /// decoded when a rule asks for them.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn decode(object: &Object<'a>) -> Result<Self, DecodeError> {
        Self::decode_like(object, None)
    }

    /// The same beside the other side of a change: most changes leave the spec alone.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn decode_like(
        object: &Object<'a>,
        like: Option<(&Object<'a>, &Self)>,
    ) -> Result<Self, DecodeError> {
        let same = like.filter(|(other, _)| other.spec == object.spec).map(|(_, set)| &set.spec);
        let spec = match (same, object.spec) {
            (Some(spec), _) => spec.clone(),
            (None, Some(raw)) => json::decode::<Option<SpecFields<'a>>>(raw.get(), "/spec")?
                .unwrap_or_default()
                .into(),
            (None, None) => SpecFields::default().into(),
        };
        Ok(Self {
            metadata: object.metadata.clone(),
            spec,
            status: LazyField::new(object.status, "/status"),
        })
    }

    /// The claim templates.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn claim_templates(&self) -> Result<&[Claim<'a>], DecodeError> {
        self.spec.claim_templates.get().map(Vec::as_slice)
    }

    /// The pod template.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn template(&self) -> Result<&PodTemplate<'a>, DecodeError> {
        self.spec.template.get()
    }

    /// The selector.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn selector(&self) -> Result<&LabelSelector<'a>, DecodeError> {
        self.spec.selector.get()
    }

    /// The claim template called `name` and its place in the list.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn claim_template(&self, name: &str) -> Result<Option<(usize, &Claim<'a>)>, DecodeError> {
        let templates = self.claim_templates()?;
        Ok(templates.iter().enumerate().find(|(_, template)| &*template.metadata.name == name))
    }

    /// The ordinals of the pods, from `ordinals.start` on.
    pub fn ordinals(&self) -> std::ops::Range<i64> {
        let start = self.spec.ordinals_start();
        start..start.saturating_add(self.spec.replicas().max(0))
    }

    /// The names of the claim templates.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn template_names(&self) -> Result<impl Iterator<Item = &str>, DecodeError> {
        Ok(self.claim_templates()?.iter().map(|template| template.metadata.name.as_str()))
    }

    /// Whether no pod is asked for and, as far as the status shows, none is left.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn is_idle(&self) -> Result<bool, DecodeError> {
        let pods = self.status.get()?.replicas.unwrap_or_default();
        Ok(self.spec.replicas() <= 0 && pods <= 0 && self.is_observed()?)
    }

    /// Whether the controller has seen the spec as it is now. A manifest does not tell.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn is_observed(&self) -> Result<bool, DecodeError> {
        let seen = self.status.get()?.observed_generation;
        Ok(self.metadata.generation.is_none_or(|now| seen.is_some_and(|seen| seen >= now)))
    }
}

/// `status` of a set, as far as a re-creation asks for it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatefulSetStatus<'a> {
    /// the revision that pods had before the last change of the template
    #[serde(borrow)]
    pub current_revision: Text<'a>,
    /// the revision of the template
    #[serde(borrow)]
    pub update_revision: Text<'a>,
    /// how many pods there are
    pub replicas: Option<i64>,
    /// how many of them are ready; absent for none
    pub ready_replicas: Option<i64>,
    /// how many of them have the update revision; absent for none
    pub updated_replicas: Option<i64>,
    /// the generation that the controller has seen
    pub observed_generation: Option<i64>,
}

impl StatefulSetStatus<'_> {
    /// Whether the controller has written the status. Clients that encode a set without one write
    /// `replicas: 0` and `availableReplicas: 0`, which are never left out.
    pub fn is_written(&self) -> bool {
        !self.current_revision.is_empty()
            || !self.update_revision.is_empty()
            || self.observed_generation.is_some_and(|generation| generation > 0)
    }

    /// Whether pods of two revisions are, or may be, about. Under `OnDelete` the controller never moves
    /// the current revision on, so that a rollout counts as finished once all pods are updated and ready.
    pub fn is_rolling(&self) -> bool {
        let pods = self.replicas.unwrap_or_default();
        let all = |some: Option<i64>| pods > 0 && some.is_some_and(|some| some >= pods);
        !self.update_revision.is_empty()
            && self.current_revision != self.update_revision
            && !(all(self.updated_replicas) && all(self.ready_replicas))
    }
}

/// `spec` of a set.
#[derive(Clone, Debug)]
pub struct StatefulSetSpec<'a> {
    /// `None` means 1
    pub replicas: Option<i64>,
    /// which pods are the set's
    pub selector: LazyField<'a, LabelSelector<'a>>,
    /// the governing Service; empty where there is none
    pub service_name: Text<'a>,
    /// `None` means `OrderedReady`
    pub pod_management_policy: Option<Text<'a>>,
    /// how a new template reaches the pods
    pub update_strategy: UpdateStrategy<'a>,
    /// what happens to claims
    pub retention: RetentionPolicy<'a>,
    /// `None` means 10
    pub revision_history_limit: Option<i64>,
    /// seconds
    pub min_ready_seconds: Option<i64>,
    /// numbering
    pub ordinals: Option<Ordinals>,
    /// the pod template
    pub template: LazyField<'a, PodTemplate<'a>>,
    /// the claim templates
    pub claim_templates: LazyField<'a, Vec<Claim<'a>>>,
}

impl StatefulSetSpec<'_> {
    /// Number of pods, 1 by default.
    pub fn replicas(&self) -> i64 {
        self.replicas.unwrap_or(1)
    }

    /// `OrderedReady` by default.
    pub fn pod_management_policy(&self) -> &str {
        self.pod_management_policy.as_deref().filter(|p| !p.is_empty()).unwrap_or("OrderedReady")
    }

    /// The first ordinal, 0 by default.
    pub fn ordinals_start(&self) -> i64 {
        self.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0)
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SpecFields<'a> {
    replicas: Option<i64>,
    #[serde(borrow)]
    selector: Option<Raw<'a>>,
    #[serde(borrow)]
    service_name: Text<'a>,
    #[serde(borrow)]
    pod_management_policy: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "null_default")]
    update_strategy: UpdateStrategy<'a>,
    #[serde(borrow, deserialize_with = "null_default")]
    persistent_volume_claim_retention_policy: RetentionPolicy<'a>,
    revision_history_limit: Option<i64>,
    min_ready_seconds: Option<i64>,
    ordinals: Option<Ordinals>,
    #[serde(borrow)]
    template: Option<Raw<'a>>,
    #[serde(borrow)]
    volume_claim_templates: Option<Raw<'a>>,
}

impl<'a> From<SpecFields<'a>> for StatefulSetSpec<'a> {
    fn from(fields: SpecFields<'a>) -> Self {
        Self {
            replicas: fields.replicas,
            selector: LazyField::new(fields.selector, "/spec/selector"),
            service_name: fields.service_name,
            pod_management_policy: fields.pod_management_policy,
            update_strategy: fields.update_strategy,
            retention: fields.persistent_volume_claim_retention_policy,
            revision_history_limit: fields.revision_history_limit,
            min_ready_seconds: fields.min_ready_seconds,
            ordinals: fields.ordinals,
            template: LazyField::new(fields.template, "/spec/template"),
            claim_templates: LazyField::new(
                fields.volume_claim_templates,
                "/spec/volumeClaimTemplates",
            ),
        }
    }
}

/// `spec.updateStrategy`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateStrategy<'a> {
    /// `RollingUpdate` where it is absent
    #[serde(borrow, rename = "type")]
    pub kind: Option<Text<'a>>,
    /// parameters of `RollingUpdate`
    pub rolling_update: Option<RollingUpdate>,
}

impl UpdateStrategy<'_> {
    /// `RollingUpdate` by default.
    pub fn kind(&self) -> &str {
        self.kind.as_deref().filter(|kind| !kind.is_empty()).unwrap_or("RollingUpdate")
    }
}

/// `spec.updateStrategy.rollingUpdate`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollingUpdate {
    /// ordinals below it keep the old template
    pub partition: Option<i64>,
    /// how many pods may be missing during an update
    pub max_unavailable: Option<IntOrString>,
}

/// A number, or a text such as a percentage.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "this is neither a whole number nor a percentage")]
pub enum IntOrString {
    /// such as 1; other numbers do not fit the field
    Number(i32),
    /// such as `25%`
    Text(String),
}

impl IntOrString {
    /// The number of pods out of `total` that it stands for, as the controller reads
    /// `maxUnavailable`: percentages are rounded down, and one is the least. `None` if the API server
    /// refuses it.
    pub fn unavailable_of(&self, total: i64) -> Option<i64> {
        let number = match self {
            Self::Number(number) => i64::from(*number),
            Self::Text(text) => {
                let percent: u32 = text.strip_suffix('%')?.parse().ok()?;
                total.max(0).saturating_mul(i64::from(percent)) / 100
            }
        };
        Some(number.max(1))
    }
}

impl std::fmt::Display for IntOrString {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// `spec.persistentVolumeClaimRetentionPolicy`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetentionPolicy<'a> {
    /// `Retain` where it is absent
    #[serde(borrow)]
    pub when_deleted: Option<Text<'a>>,
    /// `Retain` where it is absent
    #[serde(borrow)]
    pub when_scaled: Option<Text<'a>>,
}

impl RetentionPolicy<'_> {
    /// What happens to the claims when the set is deleted.
    pub fn when_deleted(&self) -> &str {
        self.when_deleted.as_deref().filter(|policy| !policy.is_empty()).unwrap_or("Retain")
    }

    /// What happens to the claims of pods that are scaled away.
    pub fn when_scaled(&self) -> &str {
        self.when_scaled.as_deref().filter(|policy| !policy.is_empty()).unwrap_or("Retain")
    }
}

/// `spec.ordinals`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Ordinals {
    /// the first ordinal
    pub start: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::IntOrString;

    #[test]
    fn percentages_are_rounded_down_to_one_at_least() {
        let of = |text: &str, total| IntOrString::Text(text.to_owned()).unavailable_of(total);
        assert_eq!((of("50%", 5), of("99%", 3), of("100%", 3)), (Some(2), Some(2), Some(3)));
        assert_eq!((of("1%", 5), of("0%", 5), of("50%", 0)), (Some(1), Some(1), Some(1)));
        assert_eq!(of("4294967295%", i64::MAX), Some(i64::MAX / 100));
        assert_eq!((of("half", 5), of("-1%", 5), of("4294967296%", 5)), (None, None, None));
        assert_eq!(IntOrString::Number(3).unavailable_of(2), Some(3));
        assert_eq!(IntOrString::Number(i32::MIN).unavailable_of(2), Some(1));
    }
}
