//! What a rule judges: one operation on one object, with who asked for it and when.

use std::cell::OnceCell;

use crate::object::compare::shown;
use crate::object::immutable::{self, DifferenceKind, Differences, SpecDifference};
use crate::object::metadata::{COLLECTOR_FINALIZERS, ORPHAN};
use crate::object::validate::{self, ValidationError};
use crate::object::{
    Claim, DecodeError, Kind, Metadata, Object, Pointer, Scale, Snapshot, StatefulSet, Volume,
};
use crate::text::{self, cut};

/// The operation of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// a new object
    Create,
    /// a changed object
    Update,
    /// an object that goes away
    Delete,
}

impl Operation {
    /// As AdmissionReview spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// Who speaks to the API server: remedies speak of Git and values where a tool would undo a
/// command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tool {
    /// a person with `kubectl`, or nobody known
    #[default]
    Kubectl,
    /// Helm
    Helm,
    /// Argo CD
    ArgoCd,
    /// Flux
    Flux,
}

impl Tool {
    /// The tool that a user name or a field manager betrays.
    pub fn recognise(username: &str, field_manager: &str) -> Self {
        let account = username.strip_prefix("system:serviceaccount:").unwrap_or_default();
        let (namespace, account) = account.split_once(':').unwrap_or_default();
        if field_manager.starts_with("argocd") || account.starts_with("argocd-") {
            Self::ArgoCd
        } else if matches!(field_manager, "kustomize-controller" | "helm-controller")
            || namespace == "flux-system"
            || matches!(account, "kustomize-controller" | "helm-controller")
        {
            Self::Flux
        } else if field_manager == "helm" {
            Self::Helm
        } else {
            Self::Kubectl
        }
    }

    /// The tool's name, where it keeps the desired state itself.
    pub const fn keeper(self) -> Option<&'static str> {
        match self {
            Self::Kubectl => None,
            Self::Helm => Some("Helm"),
            Self::ArgoCd => Some("Argo CD"),
            Self::Flux => Some("Flux"),
        }
    }
}

/// A version of Kubernetes, which decides what the API server refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubernetesVersion {
    /// 1
    pub major: u16,
    /// such as 36
    pub minor: u16,
}

impl Default for KubernetesVersion {
    /// 1.36, on which the behaviour was observed.
    fn default() -> Self {
        Self { major: 1, minor: 36 }
    }
}

impl std::str::FromStr for KubernetesVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not a Kubernetes version such as 1.36");
        let (major, rest) = text.trim_start_matches('v').split_once('.').ok_or_else(wrong)?;
        let minor = rest.split('.').next().unwrap_or_default();
        Ok(Self {
            major: major.parse().map_err(|_| wrong())?,
            minor: minor.parse().map_err(|_| wrong())?,
        })
    }
}

/// Who asked for a change, as the review says.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// such as `dev` or `system:serviceaccount:ci:deployer`; empty in the CLI
    pub name: String,
    /// groups
    pub groups: Vec<String>,
}

impl User {
    /// Namespace and name of the service account, if the user is one.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

/// The old and the new side of something.
#[derive(Clone, Debug)]
pub struct Pair<T> {
    /// `None` on CREATE
    pub old: Option<T>,
    /// `None` on DELETE
    pub new: Option<T>,
}

impl<T> Pair<T> {
    /// Both sides, on UPDATE.
    pub fn both(&self) -> Option<(&T, &T)> {
        Some((self.old.as_ref()?, self.new.as_ref()?))
    }

    /// The new side, or the old one on DELETE.
    pub fn any(&self) -> Option<&T> {
        self.new.as_ref().or(self.old.as_ref())
    }

    fn try_map<U, E>(&self, f: impl Fn(&T) -> Result<U, E>) -> Result<Pair<U>, E> {
        Ok(Pair {
            old: self.old.as_ref().map(&f).transpose()?,
            new: self.new.as_ref().map(&f).transpose()?,
        })
    }
}

/// The object that changes, by kind.
#[expect(clippy::large_enum_variant, reason = "one is made per review, on the stack")]
#[derive(Clone, Debug)]
pub enum Subject<'a> {
    /// a set
    StatefulSet(Pair<StatefulSet<'a>>),
    /// a claim
    Claim(Pair<Claim<'a>>),
    /// the scale of a set
    Scale(Pair<Scale<'a>>),
    /// a namespace, of which only metadata is read
    Namespace,
    /// a volume
    Volume(Pair<Volume<'a>>),
    /// a StorageClass, of which only metadata is read
    Class,
    /// a snapshot
    Snapshot(Pair<Snapshot<'a>>),
    /// a kind that no rule judges
    Other,
}

/// The circumstances of a change, everything but the objects.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// who asked
    pub user: User,
    /// through which tool
    pub tool: Tool,
    /// `options.fieldManager`
    pub field_manager: String,
    /// `options.propagationPolicy` of a DELETE
    pub propagation_policy: Option<String>,
    /// `options.orphanDependents` of a DELETE, the deprecated form of `propagationPolicy`
    pub orphan_dependents: Option<bool>,
    /// whether the request is a dry run
    pub dry_run: bool,
    /// what the API server would refuse
    pub kubernetes: KubernetesVersion,
    /// `status` and the like; empty for the main resource
    pub sub_resource: String,
}

/// The name of an object as people read it, also of one that has none yet. A name that no object
/// can have is cut.
pub fn label(name: &str, generate_name: &str) -> String {
    match (name, generate_name) {
        ("", "") => "(no name)".to_owned(),
        ("", stem) => format!("{}*", cut(stem, text::NAME)),
        (name, _) => cut(name, text::NAME),
    }
}

/// Operation, old object, new object, who, options, now.
#[derive(Debug)]
pub struct Change<'a> {
    /// the operation
    pub operation: Operation,
    /// the object's kind
    pub kind: Kind,
    /// the namespace, from the review where the object leaves it out; empty where neither says. A
    /// volume is judged in the namespace of its claim, and a namespace in itself
    pub namespace: String,
    /// the name, from the old object where the review leaves it out
    pub name: String,
    /// the heads of both documents
    pub objects: Pair<Object<'a>>,
    /// the typed view
    pub subject: Subject<'a>,
    /// who, how, when
    pub circumstances: Circumstances,
    differences: OnceCell<Result<Differences, DecodeError>>,
    validation_errors: OnceCell<Result<Vec<ValidationError>, DecodeError>>,
    creation_error: OnceCell<Result<Option<Pointer>, DecodeError>>,
}

impl<'a> Change<'a> {
    /// A change from its documents.
    ///
    /// `namespace` is used where the object names none.
    ///
    /// # Errors
    /// The field of a known kind that has the wrong type.
    pub fn new(
        operation: Operation,
        kind: Kind,
        namespace: &str,
        objects: Pair<Object<'a>>,
        circumstances: Circumstances,
    ) -> Result<Self, DecodeError> {
        let subject = match kind {
            Kind::StatefulSet => {
                let old = objects.old.as_ref().map(StatefulSet::decode).transpose()?;
                let new = objects.new.as_ref().map(|new| {
                    StatefulSet::decode_like(new, objects.old.as_ref().zip(old.as_ref()))
                });
                Subject::StatefulSet(Pair { new: new.transpose()?, old })
            }
            Kind::Claim => Subject::Claim(objects.try_map(Claim::decode)?),
            Kind::Scale => Subject::Scale(objects.try_map(Scale::decode)?),
            Kind::Namespace => Subject::Namespace,
            Kind::Volume => Subject::Volume(objects.try_map(Volume::decode)?),
            Kind::Class => Subject::Class,
            Kind::Snapshot => Subject::Snapshot(objects.try_map(Snapshot::decode)?),
            Kind::Other => Subject::Other,
        };
        let sides = || objects.new.iter().chain(&objects.old).map(|object| &object.metadata);
        let first = |mut texts: std::vec::IntoIter<&str>| {
            texts.find(|text| !text.is_empty()).unwrap_or_default().to_owned()
        };
        let mut namespaces: Vec<&str> = sides().map(|m| m.namespace.as_str()).collect();
        namespaces.push(namespace);
        let names: Vec<&str> = sides().map(|m| m.name.as_str()).collect();
        let name = first(names.into_iter());
        let namespace = match &subject {
            Subject::Namespace => name.clone(),
            // The stored volume says whose it is: the edit may name another claim.
            Subject::Volume(pair) => {
                let stored = pair.old.as_ref().or(pair.new.as_ref());
                let claim = stored.and_then(Volume::claim);
                claim.map_or(String::new(), |claim| claim.namespace.to_string())
            }
            _ => first(namespaces.into_iter()),
        };
        Ok(Self {
            operation,
            kind,
            namespace,
            name,
            objects,
            subject,
            circumstances,
            differences: OnceCell::new(),
            validation_errors: OnceCell::new(),
            creation_error: OnceCell::new(),
        })
    }

    /// `metadata` of the new object, or of the old one on DELETE.
    pub fn metadata(&self) -> Option<&Metadata<'a>> {
        self.objects.any().map(|object| &object.metadata)
    }

    /// Old and new set of an UPDATE.
    pub fn updated_set(&self) -> Option<(&StatefulSet<'a>, &StatefulSet<'a>)> {
        match &self.subject {
            Subject::StatefulSet(pair) if self.operation == Operation::Update => pair.both(),
            _ => None,
        }
    }

    /// The set of a CREATE.
    pub fn created_set(&self) -> Option<&StatefulSet<'a>> {
        match &self.subject {
            Subject::StatefulSet(pair) if self.operation == Operation::Create => pair.new.as_ref(),
            _ => None,
        }
    }

    /// The set of a DELETE.
    pub fn deleted_set(&self) -> Option<&StatefulSet<'a>> {
        match &self.subject {
            Subject::StatefulSet(pair) if self.operation == Operation::Delete => pair.old.as_ref(),
            _ => None,
        }
    }

    /// Whether a DELETE keeps the dependents, as with `--cascade=orphan`.
    ///
    /// Source: `shouldOrphanDependents` of the generic registry of Kubernetes 1.36. It looks at
    /// `orphanDependents`, then `propagationPolicy`, then the finalizers of the object. The API
    /// server rejects a request that sets both options.
    pub fn orphans(&self) -> bool {
        let Circumstances { orphan_dependents, propagation_policy, .. } = &self.circumstances;
        let finalizers = || self.metadata().map_or(&[][..], |metadata| &metadata.finalizers);
        match (orphan_dependents, propagation_policy) {
            (Some(orphans), _) => *orphans,
            (None, Some(policy)) => policy == "Orphan",
            (None, None) => finalizers()
                .iter()
                .find(|name| COLLECTOR_FINALIZERS.contains(&name.as_str()))
                .is_some_and(|first| first.as_str() == ORPHAN),
        }
    }

    /// The new set of a CREATE or an UPDATE, and the old one of an UPDATE.
    pub fn written_set(&self) -> Option<(Option<&StatefulSet<'a>>, &StatefulSet<'a>)> {
        match &self.subject {
            Subject::StatefulSet(pair) => Some((pair.old.as_ref(), pair.new.as_ref()?)),
            _ => None,
        }
    }

    /// The claim of a CREATE.
    pub fn created_claim(&self) -> Option<&Claim<'a>> {
        match &self.subject {
            Subject::Claim(pair) if self.operation == Operation::Create => pair.new.as_ref(),
            _ => None,
        }
    }

    /// Old and new claim of an UPDATE.
    pub fn updated_claim(&self) -> Option<(&Claim<'a>, &Claim<'a>)> {
        match &self.subject {
            Subject::Claim(pair) if self.operation == Operation::Update => pair.both(),
            _ => None,
        }
    }

    /// The new claim of a CREATE or an UPDATE, and the old one of an UPDATE.
    pub fn written_claim(&self) -> Option<(Option<&Claim<'a>>, &Claim<'a>)> {
        match &self.subject {
            Subject::Claim(pair) => Some((pair.old.as_ref(), pair.new.as_ref()?)),
            _ => None,
        }
    }

    /// The volume of a DELETE.
    pub fn deleted_volume(&self) -> Option<&Volume<'a>> {
        match &self.subject {
            Subject::Volume(pair) if self.operation == Operation::Delete => pair.old.as_ref(),
            _ => None,
        }
    }

    /// The snapshot of a DELETE.
    pub fn deleted_snapshot(&self) -> Option<&Snapshot<'a>> {
        match &self.subject {
            Subject::Snapshot(pair) if self.operation == Operation::Delete => pair.old.as_ref(),
            _ => None,
        }
    }

    /// Old and new volume of an UPDATE.
    pub fn updated_volume(&self) -> Option<(&Volume<'a>, &Volume<'a>)> {
        match &self.subject {
            Subject::Volume(pair) if self.operation == Operation::Update => pair.both(),
            _ => None,
        }
    }

    /// Old and new number of replicas, of an UPDATE of a set or of its scale.
    pub fn scaled(&self) -> Option<(i64, i64)> {
        match &self.subject {
            Subject::StatefulSet(pair) => {
                let (old, new) = pair.both()?;
                Some((old.spec.replicas(), new.spec.replicas()))
            }
            Subject::Scale(pair) => {
                let (old, new) = pair.both()?;
                Some((old.replicas, new.replicas))
            }
            _ => None,
        }
    }

    /// What differs between old and new although the API server lets it change in no UPDATE: outside
    /// the mutable fields of a set, anywhere in the spec of a claim. At most 64 of each kind, computed
    /// once.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn differences(&self) -> Result<&[SpecDifference], DecodeError> {
        Ok(&self.all_differences()?.list)
    }

    /// The differences of one kind, each with the name of its claim template.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn template_differences(
        &self,
        kind: DifferenceKind,
    ) -> Result<impl Iterator<Item = (&str, &SpecDifference)>, DecodeError> {
        let of_kind = self.differences()?.iter().filter(move |difference| difference.kind == kind);
        Ok(of_kind.filter_map(|difference| Some((difference.template.as_deref()?, difference))))
    }

    /// Whether [`Self::differences`] leaves some out. Nobody edits that many fields at once; no
    /// mutation can repair such an edit.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn has_more_differences(&self) -> Result<bool, DecodeError> {
        Ok(self.all_differences()?.truncated)
    }

    fn all_differences(&self) -> Result<&Differences, DecodeError> {
        self.differences
            .get_or_init(|| match &self.subject {
                Subject::StatefulSet(pair) => match pair.both() {
                    Some((old, new)) => immutable::statefulset(old, new),
                    None => Ok(Differences::default()),
                },
                Subject::Claim(_) => match self.objects.both() {
                    Some((old, new)) => immutable::claim(old, new),
                    None => Ok(Differences::default()),
                },
                _ => Ok(Differences::default()),
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The value of the old object at `field`, as people read it.
    ///
    /// # Errors
    /// The place where the old document is not JSON.
    pub fn old_value(&self, field: &Pointer) -> Result<Option<String>, DecodeError> {
        Ok(self
            .objects
            .old
            .as_ref()
            .map(|old| old.value_at(field))
            .transpose()?
            .flatten()
            .map(shown))
    }

    /// The values of a set that the API server would refuse: on CREATE all, on UPDATE those that
    /// the edit introduces. Computed once.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn validation_errors(&self) -> Result<&[ValidationError], DecodeError> {
        self.validation_errors
            .get_or_init(|| match self.written_set() {
                Some((Some(old), new)) => {
                    validate::introduced(old, new, self.circumstances.kubernetes.minor)
                }
                Some((None, new)) => validate::created(new, self.circumstances.kubernetes.minor),
                None => Ok(Vec::new()),
            })
            .as_deref()
            .map_err(Clone::clone)
    }

    /// The first field for which the API server would refuse to create the new set of an UPDATE.
    /// Computed once.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn creation_error(&self) -> Result<Option<&Pointer>, DecodeError> {
        self.creation_error
            .get_or_init(|| {
                let Some((_, new)) = self.updated_set() else { return Ok(None) };
                let errors = validate::created(new, self.circumstances.kubernetes.minor)?;
                Ok(errors.into_iter().next().map(|error| error.field))
            })
            .as_ref()
            .map(Option::as_ref)
            .map_err(Clone::clone)
    }

    /// The namespace in which events about the object are written; empty for a volume.
    pub fn object_namespace(&self) -> &str {
        if self.kind == Kind::Volume { "" } else { &self.namespace }
    }

    /// The object as people name it: `StatefulSet shop/db`.
    pub fn object_name(&self) -> String {
        let kind = self.kind.reported_as();
        let generate_name = self.metadata().map(|metadata| metadata.generate_name.as_str());
        let name = label(&self.name, generate_name.unwrap_or_default());
        if self.namespace.is_empty() || !self.kind.is_namespaced() {
            format!("{kind} {name}")
        } else {
            format!("{kind} {}/{name}", cut(self.namespace.as_str(), text::NAME))
        }
    }
}
