//! The pod template of a StatefulSet.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Text, TextMap, null_default};

/// `spec.template`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodTemplate<'a> {
    /// labels and annotations of the pods
    #[serde(borrow, deserialize_with = "null_default")]
    pub metadata: PodTemplateMetadata<'a>,
    /// what the pods run
    #[serde(borrow, deserialize_with = "null_default")]
    pub spec: PodSpec<'a>,
}

/// `spec.template.metadata`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodTemplateMetadata<'a> {
    /// labels of the pods
    #[serde(borrow)]
    pub labels: TextMap<'a>,
    /// annotations of the pods
    #[serde(borrow)]
    pub annotations: TextMap<'a>,
}

/// `spec.template.spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec<'a> {
    /// containers
    #[serde(borrow, deserialize_with = "null_default")]
    pub containers: Vec<Container<'a>>,
    /// init containers, side cars among them
    #[serde(borrow, deserialize_with = "null_default")]
    pub init_containers: Vec<Container<'a>>,
    /// volumes beside those of the claim templates
    #[serde(borrow, deserialize_with = "null_default")]
    pub volumes: Vec<Volume<'a>>,
    /// affinity
    #[serde(borrow)]
    pub affinity: Option<Affinity<'a>>,
    /// labels that a node must have
    #[serde(borrow)]
    pub node_selector: TextMap<'a>,
    /// `topologySpreadConstraints`, not decoded
    #[serde(borrow, deserialize_with = "null_default")]
    pub topology_spread_constraints: Vec<&'a RawValue>,
    /// seconds between SIGTERM and SIGKILL; 30 where it is absent
    pub termination_grace_period_seconds: Option<i64>,
    /// `Always` where it is absent, the only legal value
    #[serde(borrow)]
    pub restart_policy: Option<Text<'a>>,
    /// forbidden in a StatefulSet
    pub active_deadline_seconds: Option<i64>,
    /// `ClusterFirst` where it is absent
    #[serde(borrow)]
    pub dns_policy: Option<Text<'a>>,
    /// what holds for all containers
    #[serde(borrow, deserialize_with = "null_default")]
    pub security_context: PodSecurityContext<'a>,
}

/// `securityContext` of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSecurityContext<'a> {
    /// the group that the files of its volumes get
    pub fs_group: Option<i64>,
    /// `Always` where it is absent
    #[serde(borrow)]
    pub fs_group_change_policy: Option<Text<'a>>,
}

impl<'a> PodSpec<'a> {
    /// `affinity.podAntiAffinity`, not decoded.
    pub fn pod_anti_affinity(&self) -> Option<&'a RawValue> {
        self.affinity.as_ref().and_then(|affinity| affinity.pod_anti_affinity)
    }

    /// Whether the template says anything about how its pods are spread.
    pub fn says_how_to_spread(&self) -> bool {
        self.pod_anti_affinity().is_some() || !self.topology_spread_constraints.is_empty()
    }

    /// Every volume that names a claim, with its place and the claim.
    pub fn named_claims(&self) -> impl Iterator<Item = (usize, &Volume<'a>, &str)> {
        self.volumes.iter().enumerate().filter_map(|(index, volume)| {
            let source = volume.persistent_volume_claim.as_ref()?;
            Some((index, volume, source.claim_name.as_str()))
        })
    }

    /// Every container with the name of its list and its place in it.
    pub fn all_containers(&self) -> impl Iterator<Item = (&'static str, usize, &Container<'a>)> {
        self.init_containers
            .iter()
            .enumerate()
            .map(|(index, container)| ("initContainers", index, container))
            .chain(
                self.containers
                    .iter()
                    .enumerate()
                    .map(|(index, container)| ("containers", index, container)),
            )
    }
}

/// A container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container<'a> {
    /// name
    #[serde(borrow)]
    pub name: Text<'a>,
    /// image with tag or digest
    #[serde(borrow)]
    pub image: Text<'a>,
    /// replaces the image's entry point
    #[serde(borrow, deserialize_with = "null_default")]
    pub command: Vec<Text<'a>>,
    /// arguments
    #[serde(borrow, deserialize_with = "null_default")]
    pub args: Vec<Text<'a>>,
    /// where relative paths begin; the image's if it is empty
    #[serde(borrow)]
    pub working_dir: Text<'a>,
    /// file system mounts
    #[serde(borrow, deserialize_with = "null_default")]
    pub volume_mounts: Vec<VolumeMount<'a>>,
    /// block devices
    #[serde(borrow, deserialize_with = "null_default")]
    pub volume_devices: Vec<VolumeDevice<'a>>,
    /// environment
    #[serde(borrow, deserialize_with = "null_default")]
    pub env: Vec<EnvVar<'a>>,
    /// `ConfigMap`s and Secrets whose keys become variables, not decoded
    #[serde(borrow, deserialize_with = "null_default")]
    pub env_from: Vec<&'a RawValue>,
    /// ports
    #[serde(borrow, deserialize_with = "null_default")]
    pub ports: Vec<ContainerPort<'a>>,
    /// `Always`, `IfNotPresent` or `Never`; derived from the tag where it is absent
    #[serde(borrow)]
    pub image_pull_policy: Option<Text<'a>>,
    /// `resources`, not decoded
    #[serde(borrow)]
    pub resources: Option<&'a RawValue>,
    /// readiness probe, not decoded
    #[serde(borrow)]
    pub readiness_probe: Option<&'a RawValue>,
    /// `Always` makes an init container a side car
    #[serde(borrow)]
    pub restart_policy: Option<Text<'a>>,
}

/// One of `volumeMounts`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeMount<'a> {
    /// the volume or claim template
    #[serde(borrow)]
    pub name: Text<'a>,
    /// where it is mounted
    #[serde(borrow)]
    pub mount_path: Text<'a>,
    /// the folder of the volume that is mounted
    #[serde(borrow)]
    pub sub_path: Text<'a>,
    /// the same with variables expanded
    #[serde(borrow)]
    pub sub_path_expr: Text<'a>,
    /// whether nothing can be written there
    pub read_only: Option<bool>,
}

/// One of `volumeDevices`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeDevice<'a> {
    /// the claim template
    #[serde(borrow)]
    pub name: Text<'a>,
    /// where the device appears
    #[serde(borrow)]
    pub device_path: Text<'a>,
}

/// One of `env`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvVar<'a> {
    /// name
    #[serde(borrow)]
    pub name: Text<'a>,
    /// value; `None` where it comes from elsewhere
    #[serde(borrow)]
    pub value: Option<Text<'a>>,
    /// where the value comes from, not decoded
    #[serde(borrow)]
    pub value_from: Option<&'a RawValue>,
}

/// One of `ports`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort<'a> {
    /// name, which a Service may refer to
    #[serde(borrow)]
    pub name: Text<'a>,
    /// number
    pub container_port: Option<i64>,
    /// port of the node, if any
    pub host_port: Option<i64>,
    /// `TCP` where it is absent
    #[serde(borrow)]
    pub protocol: Option<Text<'a>>,
}

/// One of `volumes`, as far as rules tell sources apart.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Volume<'a> {
    /// name
    #[serde(borrow)]
    pub name: Text<'a>,
    /// a folder of the node
    #[serde(borrow)]
    pub host_path: Option<HostPath<'a>>,
    /// a claim that all pods share
    #[serde(borrow)]
    pub persistent_volume_claim: Option<ClaimSource<'a>>,
    /// a claim that lives as long as the pod, not decoded
    #[serde(borrow)]
    pub ephemeral: Option<&'a RawValue>,
    /// a folder that lives as long as the pod, not decoded
    #[serde(borrow)]
    pub empty_dir: Option<&'a RawValue>,
    /// files from a `ConfigMap`, not decoded
    #[serde(borrow)]
    pub config_map: Option<&'a RawValue>,
    /// files from a Secret, not decoded
    #[serde(borrow)]
    pub secret: Option<&'a RawValue>,
    /// files from several sources, not decoded
    #[serde(borrow)]
    pub projected: Option<&'a RawValue>,
    /// files about the pod, not decoded
    #[serde(borrow, rename = "downwardAPI")]
    pub downward_api: Option<&'a RawValue>,
}

/// `hostPath` of a volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HostPath<'a> {
    /// the folder
    #[serde(borrow)]
    pub path: Text<'a>,
}

/// `persistentVolumeClaim` of a volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimSource<'a> {
    /// name of the claim
    #[serde(borrow)]
    pub claim_name: Text<'a>,
    /// whether it is mounted read-only
    pub read_only: Option<bool>,
}

/// `affinity` of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Affinity<'a> {
    /// not decoded: that it is there is what counts
    #[serde(borrow)]
    pub pod_anti_affinity: Option<&'a RawValue>,
    /// which nodes are allowed, not decoded
    #[serde(borrow)]
    pub node_affinity: Option<&'a RawValue>,
}
