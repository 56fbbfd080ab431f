use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::Change;
use crate::facts::{Fact, Facts};

declare_rule! {
    /// A StorageClass is deleted that claims or claim templates use. The rule is silent if nothing uses it.
    ///
    /// ## Why
    /// Volumes that exist keep working. But a claim can only grow while its class exists, and a new
    /// claim, such as that of a new replica, stays `Pending`. A claim cannot change its class, and
    /// neither can a claim template: only a class of the same name helps.
    ///
    /// ## Way out
    /// Keep the manifest of the class, and create the class again. To delete and create it is the only way to
    /// change its parameters, and `helm upgrade --force` or `kubectl replace --force` do both, so the rule only warns.
    ///
    /// A claim template that names no class counts if the class is the default. The rule needs facts,
    /// which the webhook has if it watches a cluster.
    ClassDelete {
        id: "class-delete",
        title: "a StorageClass is deleted that claims or claim templates use",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [Class: [Delete]],
        source: "kubernetes plugin/pkg/admission/storage/persistentvolume/resize/admission.go; kubernetes.io/docs/concepts/storage/storage-classes",
    }
}

impl Rule for ClassDelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let class = change.name.as_str();
        let claims = facts.claims.everywhere().needed()?;
        let claims = claims.filter(|(.., claim)| *claim.class == *class && !claim.terminating);
        let claims = claims.count();
        let (sets, unknown) = match sets_of(class, facts) {
            Fact::Known(sets) => (sets, None),
            Fact::Unknown(why) => (0, Some(why)),
        };
        let users = [(claims, "claim", "claims"), (sets, "StatefulSet", "StatefulSets")];
        let users: Vec<String> = users
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
            .collect();
        if users.is_empty() {
            return unknown.map_or(Ok(()), |why| Err(Unjudged::Needs(why)));
        }
        let verb = if claims + sets == 1 { "uses" } else { "use" };
        let mut why = String::from(
            "Volumes that exist keep working. But no claim of the class can grow, and new replicas stay \
             Pending, until a class of this name exists again. A claim template cannot name another \
             one.",
        );
        if unknown.is_some() {
            why.push_str(" It is not known which StatefulSets use it.");
        }
        let (name, file) = (remedy::quoted(class), format!("storageclass-{class}.yaml"));
        let file = remedy::quoted(&file);
        findings
            .add("", format!("would be deleted; {} {verb} it", users.join(" and ")))
            .why(why)
            .command(
                "keep its manifest first, to create the class again",
                // The API server creates no object that has a version.
                format!("kubectl get storageclass {name} -o yaml | grep -v '^  resourceVersion:' > {file}"),
            )
            .command(
                "see which claims use it",
                format!("kubectl get pvc --all-namespaces | grep -w {name}"),
            )
            .command(
                "create the class again, under the same name; no pod restarts",
                format!("kubectl create -f {file}"),
            );
        Ok(())
    }
}

/// How many sets get their claims from the class. A template that names none gets the default.
fn sets_of(class: &str, facts: &Facts) -> Fact<usize> {
    let sets = match facts.sets.everywhere() {
        Fact::Known(sets) => sets.filter(|(.., set)| !set.terminating),
        Fact::Unknown(why) => return Fact::Unknown(why),
    };
    let mut count = 0;
    for (.., set) in sets {
        let mut classes = set.templates.iter().map(|template| template.class.as_deref());
        let default = if classes.clone().any(|class| class.is_none()) {
            match facts.default_class() {
                Fact::Known(default) => default.map(|(name, _)| name),
                Fact::Unknown(why) => return Fact::Unknown(why),
            }
        } else {
            None
        };
        count += usize::from(classes.any(|of| of.or(default) == Some(class)));
    }
    Fact::Known(count)
}
