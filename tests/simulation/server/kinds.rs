//! The kinds that are served, and how a path names them.

use std::collections::BTreeMap;

/// A kind.
#[expect(clippy::struct_field_names, reason = "its kind is one of its names")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
}

const fn kind(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
) -> Kind {
    Kind { group, version, plural, kind, namespaced }
}

/// Every kind.
pub(crate) static KINDS: [Kind; 18] = [
    kind("", "v1", "namespaces", "Namespace", false),
    kind("", "v1", "pods", "Pod", true),
    kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true),
    kind("", "v1", "persistentvolumes", "PersistentVolume", false),
    kind("", "v1", "events", "Event", true),
    kind("", "v1", "resourcequotas", "ResourceQuota", true),
    kind("", "v1", "replicationcontrollers", "ReplicationController", true),
    kind("apps", "v1", "statefulsets", "StatefulSet", true),
    kind("apps", "v1", "replicasets", "ReplicaSet", true),
    kind("apps", "v1", "daemonsets", "DaemonSet", true),
    kind("apps", "v1", "controllerrevisions", "ControllerRevision", true),
    kind("batch", "v1", "jobs", "Job", true),
    kind("storage.k8s.io", "v1", "storageclasses", "StorageClass", false),
    kind("coordination.k8s.io", "v1", "leases", "Lease", true),
    kind("stateward.dev", "v1alpha1", "statefulsetresizes", "StatefulSetResize", true),
    kind(ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", false),
    kind(
        ADMISSION,
        "v1",
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        false,
    ),
    kind(
        "authorization.k8s.io",
        "v1",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        false,
    ),
];

const ADMISSION: &str = "admissionregistration.k8s.io";

impl Kind {
    /// The kind with this plural.
    pub(crate) fn of(plural: &str) -> &'static Self {
        KINDS.iter().find(|kind| kind.plural == plural).unwrap()
    }

    pub(crate) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// `statefulsets.apps`, as messages name it.
    pub(crate) fn resource(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// The path of an object.
    pub(crate) fn path(&self, namespace: &str, name: &str) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let version = self.api_version();
        if self.namespaced {
            format!("{root}/{version}/namespaces/{namespace}/{}/{name}", self.plural)
        } else {
            format!("{root}/{version}/{}/{name}", self.plural)
        }
    }
}

/// What a path names.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub kind: &'static Kind,
    pub namespace: String,
    pub name: String,
    pub sub: String,
    pub query: BTreeMap<String, String>,
}

impl Route {
    /// Reads a path; nothing where no such kind is served.
    pub(crate) fn of(uri: &str) -> Option<Self> {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let mut parts = path.trim_matches('/').split('/').peekable();
        let group = match parts.next()? {
            "api" => "",
            "apis" => parts.next()?,
            _ => return None,
        };
        let version = parts.next()?;
        let mut rest: Vec<&str> = parts.collect();
        let mut namespace = "";
        if rest.len() > 2 && rest[0] == "namespaces" {
            namespace = rest[1];
            rest.drain(..2);
        }
        let served =
            |kind: &&Kind| kind.group == group && kind.version == version && kind.plural == rest[0];
        let kind = KINDS.iter().find(served)?;
        let part = |n: usize| rest.get(n).map_or(String::new(), |part| (*part).to_owned());
        Some(Self {
            kind,
            namespace: namespace.to_owned(),
            name: part(1),
            sub: part(2),
            query: query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.to_owned(), decoded(value)))
                .collect(),
        })
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        self.query.get("dryRun").is_some_and(|value| value == "All")
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let hex: String = bytes.by_ref().take(2).map(char::from).collect();
            out.push(u8::from_str_radix(&hex, 16).unwrap());
        } else {
            out.push(if byte == b'+' { b' ' } else { byte });
        }
    }
    String::from_utf8(out).unwrap()
}

/// Whether labels fit a `labelSelector`.
pub(crate) fn selected(selector: &str, labels: Option<&serde_json::Value>) -> bool {
    let label = |key: &str| labels.and_then(|labels| labels.get(key)?.as_str());
    terms(selector).iter().all(|term| {
        let set = |list: &str, value: Option<&str>| {
            let list = list.trim_matches(['(', ')']);
            value.is_some_and(|value| list.split(',').any(|one| one.trim() == value))
        };
        if let Some((key, list)) = term.split_once(" notin ") {
            !set(list, label(key))
        } else if let Some((key, list)) = term.split_once(" in ") {
            set(list, label(key))
        } else if let Some((key, value)) = term.split_once("!=") {
            label(key) != Some(value)
        } else if let Some((key, value)) = term.split_once('=') {
            label(key) == Some(value.trim_start_matches('='))
        } else if let Some(key) = term.strip_prefix('!') {
            label(key).is_none()
        } else {
            label(term).is_some()
        }
    })
}

/// The terms of a selector; commas within brackets do not part them.
fn terms(selector: &str) -> Vec<&str> {
    let (mut terms, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, c) in selector.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(&selector[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&selector[start..]);
    terms.into_iter().map(str::trim).filter(|term| !term.is_empty()).collect()
}
