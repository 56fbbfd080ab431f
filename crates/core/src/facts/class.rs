//! What rules read of a StorageClass.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Fact, Facts, Reclaim};
use crate::drivers::{self, Found, NoExpansion, Pattern};
use crate::object::Claim;
use crate::object::json::null_default;

/// Either of them makes a class the default; the second is older.
const DEFAULT: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

/// The provisioners whose volumes one zone can use.
const ZONAL: [&str; 8] = [
    "cinder.csi.openstack.org",
    "disk.csi.azure.com",
    "ebs.csi.aws.com",
    "ebs.csi.eks.amazonaws.com",
    "kubernetes.io/aws-ebs",
    "kubernetes.io/azure-disk",
    "kubernetes.io/gce-pd",
    "pd.csi.storage.gke.io",
];

/// The provisioners whose volumes one node can use.
const LOCAL: [&str; 4] =
    ["kubernetes.io/no-provisioner", "local.csi.openebs.io", "rancher.io/local-path", "topolvm.io"];

/// Who can use the volumes of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// every node, as far as the provisioner tells
    #[default]
    Unlimited,
    /// the nodes of one zone
    Zone,
    /// one node
    Node,
}

/// What is read of a StorageClass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Manifest")]
pub struct ClassFact {
    /// `metadata.uid`; empty if it comes from a manifest
    pub uid: String,
    /// `allowVolumeExpansion`
    pub allow_volume_expansion: bool,
    /// since when the class exists, if it is marked as the default
    pub default_since: Option<Timestamp>,
    /// a volume is created as soon as its claim is, before a pod is scheduled
    pub immediate: bool,
    /// `reclaimPolicy`
    pub reclaim: Reclaim,
    /// who can use its volumes
    pub reach: Reach,
    /// `provisioner`; empty if that is not known
    pub provisioner: String,
    /// those of `parameters` on which facts of its driver depend
    pub parameters: BTreeMap<String, String>,
}

/// The longest parameter that is kept, in bytes: what facts compare is a short word.
const LONGEST_PARAMETER: usize = 64;
/// The longest name of a provisioner, in bytes.
const LONGEST_PROVISIONER: usize = 253;
/// The longest UID that is kept, in bytes: the API server makes UUIDs.
const LONGEST_UID: usize = 64;
/// Such a parameter says that each volume is copied to several zones.
const REGIONAL: &str = "regional-pd";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Manifest {
    #[serde(deserialize_with = "null_default")]
    metadata: Metadata,
    #[serde(deserialize_with = "null_default")]
    allow_volume_expansion: bool,
    // A manifest with a value of another type is refused by the API server, and not for these.
    volume_binding_mode: Value,
    reclaim_policy: Value,
    provisioner: Value,
    parameters: Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    uid: Value,
    #[serde(deserialize_with = "null_default")]
    annotations: BTreeMap<String, Value>,
    creation_timestamp: Option<String>,
}

impl From<Manifest> for ClassFact {
    fn from(class: Manifest) -> Self {
        let annotations = &class.metadata.annotations;
        let marked = |key: &&str| annotations.get(*key).is_some_and(|value| value == "true");
        let created = class.metadata.creation_timestamp.and_then(|time| time.parse().ok());
        let reclaim = class.reclaim_policy.as_str().unwrap_or("Delete");
        let provisioner = class.provisioner.as_str().unwrap_or_default();
        let reach = reach(provisioner, &class.parameters);
        let provisioner = if provisioner.len() > LONGEST_PROVISIONER { "" } else { provisioner };
        let parameters = class.parameters.as_object().into_iter().flatten();
        let parameters = parameters.filter_map(|(name, value)| Some((name, value.as_str()?)));
        // Other parameters may be secret, such as the key of a REST service.
        let read = parameters.filter(|(name, value)| {
            value.len() <= LONGEST_PARAMETER && drivers::reads_parameter(provisioner, name)
        });
        let uid = class.metadata.uid.as_str().filter(|uid| uid.len() <= LONGEST_UID);
        Self {
            uid: uid.unwrap_or_default().to_owned(),
            allow_volume_expansion: class.allow_volume_expansion,
            default_since: DEFAULT
                .iter()
                .any(marked)
                .then(|| created.unwrap_or(Timestamp::UNIX_EPOCH)),
            immediate: class.volume_binding_mode != "WaitForFirstConsumer",
            reclaim: Reclaim::from_name(Some(reclaim)),
            reach,
            provisioner: provisioner.to_owned(),
            parameters: read.map(|(name, value)| (name.clone(), value.to_owned())).collect(),
        }
    }
}

/// Some drivers copy a volume to several zones if a parameter says so.
fn reach(provisioner: &str, parameters: &Value) -> Reach {
    let mut texts =
        parameters.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str());
    if LOCAL.contains(&provisioner) {
        Reach::Node
    } else if ZONAL.contains(&provisioner)
        && !texts.any(|text| {
            text == REGIONAL
                || text.ends_with("_ZRS")
                || text == "hyperdisk-balanced-high-availability"
        })
    {
        Reach::Zone
    } else {
        Reach::Unlimited
    }
}

impl ClassFact {
    /// The driver of the class, if it is known.
    pub fn driver(&self) -> Option<Found<'static>> {
        drivers::by_provisioner(&self.provisioner)
    }

    /// Why no volume of the class is ever expanded, whatever the class allows, if that is certain.
    pub fn no_expansion(&self) -> Option<NoExpansion<'static>> {
        self.driver()?.no_expansion()
    }

    /// What the volumes of the class are, if that is known. A claim that several nodes may mount at once is
    /// `shared`; some drivers give it a file system of another kind.
    pub fn pattern(&self, shared: bool) -> Option<Pattern> {
        self.driver()?.driver.pattern(&self.parameters, shared)
    }

    /// The object that it was read from, with these fields only.
    pub(super) fn manifest(&self) -> Value {
        let mut metadata = json!({"uid": self.uid});
        if let Some(since) = self.default_since {
            metadata = json!({
                "uid": self.uid,
                "annotations": {DEFAULT[0]: "true"},
                "creationTimestamp": since.to_string(),
            });
        }
        let mut parameters = self.parameters.clone();
        if ZONAL.contains(&self.provisioner.as_str()) && self.reach == Reach::Unlimited {
            // Which parameter said so was not kept.
            parameters.insert("copies".to_owned(), REGIONAL.to_owned());
        }
        json!({
            "metadata": metadata,
            "allowVolumeExpansion": self.allow_volume_expansion,
            "volumeBindingMode": if self.immediate { "Immediate" } else { "WaitForFirstConsumer" },
            "reclaimPolicy": self.reclaim.name(),
            "provisioner": self.provisioner,
            "parameters": parameters,
        })
    }
}

/// The class that the claims of a template get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateClass<'c> {
    /// it exists
    Known(&'c str, &'c ClassFact),
    /// no class has this name
    Missing(&'c str),
    /// the template names none, and no class is the default
    NoDefault,
    /// no provisioner is asked, or nobody knows: it is not among the inputs, or cannot be read
    Untold,
}

impl Facts {
    /// The class that the claims of a template get.
    ///
    /// # Errors
    /// What would have to be known, if classes cannot be read.
    pub fn class_of<'c>(&'c self, template: &'c Claim<'_>) -> Result<TemplateClass<'c>, String> {
        let unknown = |why: String| match self.classes.why_unknown() {
            Some(_) => Err(why),
            None => Ok(TemplateClass::Untold),
        };
        let name = template.class();
        if !name.is_empty() {
            return match self.classes.get("", name) {
                Fact::Known(Some(class)) => Ok(TemplateClass::Known(name, class)),
                Fact::Known(None) => Ok(TemplateClass::Missing(name)),
                Fact::Unknown(why) => unknown(why),
            };
        }
        if template.names_class() {
            return Ok(TemplateClass::Untold);
        }
        match self.default_class() {
            Fact::Known(Some((name, class))) => Ok(TemplateClass::Known(name, class)),
            Fact::Known(None) => Ok(TemplateClass::NoDefault),
            // The class that cannot be read may be the default.
            Fact::Unknown(why) if self.classes.are_all() => Err(why),
            Fact::Unknown(why) => unknown(why),
        }
    }

    /// The class that claims get which name none: of several defaults the newest, as the API server
    /// chooses it. Beside manifests, others may exist.
    pub fn default_class(&self) -> Fact<Option<(&str, &ClassFact)>> {
        self.classes.of("").map(|classes| {
            let marked =
                classes.filter_map(|(name, class)| Some((class.default_since?, name, class)));
            let newest = marked
                .max_by(|(a, first, _), (b, second, _)| a.cmp(b).then_with(|| second.cmp(first)));
            newest.map(|(_, name, class)| (name, class))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Objects;

    fn class(json: Value) -> ClassFact {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn of_two_default_classes_the_newest_counts_and_then_the_first_name() {
        let mut facts = Facts { classes: Objects::all(), ..Facts::none() };
        assert_eq!(facts.default_class(), Fact::Known(None));
        for (name, created) in [
            ("old", "2024-01-01T00:00:00Z"),
            ("b", "2026-01-01T00:00:00Z"),
            ("a", "2026-01-01T00:00:00Z"),
        ] {
            let metadata = json!({
                "annotations": {DEFAULT[1]: "true"}, "creationTimestamp": created,
            });
            facts.classes.insert("", name, class(json!({"metadata": metadata})));
        }
        facts.classes.insert(
            "",
            "newer",
            class(json!({"metadata": {
                "annotations": {DEFAULT[0]: "false"}, "creationTimestamp": "2026-06-01T00:00:00Z",
            }})),
        );
        let Fact::Known(Some((name, _))) = facts.default_class() else { panic!("there is one") };
        assert_eq!(name, "a");
        facts.classes.insert_unknown("", "odd", "odd, which cannot be read");
        assert!(
            matches!(facts.default_class(), Fact::Unknown(_)),
            "the odd one may be the default"
        );
        assert!(matches!(Facts::none().default_class(), Fact::Unknown(_)));
    }

    #[test]
    fn what_is_left_out_is_what_the_api_server_takes_it_for() {
        let read = class(
            json!({"provisioner": "ebs.csi.aws.com", "parameters": {"type": "gp3", "iops": 3}}),
        );
        assert_eq!(
            (read.immediate, read.reclaim, read.reach),
            (true, Reclaim::Delete, Reach::Zone)
        );
        let read = class(json!({
            "provisioner": "pd.csi.storage.gke.io", "parameters": {"replication-type": "regional-pd"},
            "reclaimPolicy": "Retain", "volumeBindingMode": "WaitForFirstConsumer",
        }));
        assert_eq!(
            (read.immediate, read.reclaim, read.reach),
            (false, Reclaim::Retain, Reach::Unlimited)
        );
    }
}
