use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::Change;
use crate::facts::{ClaimFact, ControllerState, Fact, Facts};
use crate::object::{Claim, Pointer, StatefulSet};

declare_rule! {
    /// A set is created, and a claim that exists with the name of one of its claims has another size,
    /// class or access mode than the claim template.
    ///
    /// ## Why
    /// The controller takes a claim by its name and compares nothing. The pods get the old claims with
    /// their old data, and only pods that are added later get what the template says: members of one
    /// database then have volumes of different sizes or classes (kubernetes#61493).
    ///
    /// The rule looks at claims within the replicas. It compares the class only if the template names
    /// one. It does not see the volume mode. It needs to know the claims of the namespace, which the
    /// webhook does if it watches a cluster. `check` knows only the claims among its inputs, and is
    /// silent about others.
    ///
    /// ## Way out
    /// Write into the template what the claims have. If the data is not needed, delete the claims
    /// before the set is created.
    StsRecreateMismatch {
        id: "sts-recreate-mismatch",
        title: "existing claims that a new set takes over differ from its claim template",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "kubernetes#61493; kubernetes pkg/controller/statefulset/stateful_pod_control.go createPersistentVolumeClaims",
    }
}

/// The most ordinals whose claims are looked up one by one among the inputs.
const LOOKED_UP: i64 = 1000;

impl Rule for StsRecreateMismatch {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.created_set() else { return Ok(()) };
        for (index, template) in set.claim_templates()?.iter().enumerate() {
            let at = Pointer::from("/spec/volumeClaimTemplates").index(index);
            let claims = claims(change, facts, set, &template.metadata.name)?;
            for what in [Property::Size, Property::Class, Property::AccessModes] {
                report(change, template, &at, &claims, what, findings);
            }
        }
        Ok(())
    }
}

/// The claims within the replicas that the template stands for, by name, in the order of ordinals.
fn claims<'f>(
    change: &Change<'_>,
    facts: &'f Facts,
    set: &StatefulSet<'_>,
    template: &str,
) -> Result<Vec<(String, &'f ClaimFact)>, Unjudged> {
    let (namespace, ordinals) = (change.namespace.as_str(), set.ordinals());
    match facts.claims_named(namespace, &change.name, [template]) {
        Fact::Known(mut claims) => {
            claims.retain(|claim| ordinals.contains(&claim.ordinal));
            claims.sort_by_key(|claim| claim.ordinal);
            Ok(claims.iter().map(|claim| (claim.name.to_owned(), claim.claim)).collect())
        }
        // Where nobody looks at a cluster, the set is new but for what the inputs show.
        Fact::Unknown(_)
            if facts.controller == ControllerState::NotLooked
                && facts.claims.why_unknown().is_none() =>
        {
            let last = ordinals.end.min(ordinals.start.saturating_add(LOOKED_UP));
            let names = (ordinals.start..last).map(|i| format!("{template}-{}-{i}", change.name));
            Ok(names
                .filter_map(|name| match facts.claim(namespace, &name) {
                    Fact::Known(claim) => Some((name, claim)),
                    Fact::Unknown(_) => None,
                })
                .collect())
        }
        Fact::Unknown(needs) => Err(Unjudged::Needs(needs)),
    }
}

/// What is compared.
#[derive(Clone, Copy)]
enum Property {
    Size,
    Class,
    AccessModes,
}

impl Property {
    const fn field(self) -> &'static str {
        match self {
            Self::Size => "/spec/resources/requests/storage",
            Self::Class => "/spec/storageClassName",
            Self::AccessModes => "/spec/accessModes",
        }
    }

    /// What the claim and the template say, where they differ.
    fn difference(self, claim: &ClaimFact, template: &Claim<'_>) -> Option<(String, String)> {
        match self {
            Self::Size => {
                let (has, wanted) = (claim.request.as_ref()?, template.spec.storage()?);
                (*has != wanted.quantity).then(|| (has.to_string(), wanted.to_string()))
            }
            Self::Class => {
                let named =
                    template.spec.storage_class_name.is_some() || !template.class().is_empty();
                let wanted = template.class();
                (named && *claim.class != *wanted)
                    .then(|| ((*claim.class).to_owned(), wanted.to_owned()))
            }
            Self::AccessModes => {
                let sorted = |modes: &mut Vec<String>| {
                    modes.sort();
                    modes.dedup();
                    modes.join(", ")
                };
                let wanted = template.spec.access_modes.iter().map(|mode| mode.as_str().to_owned());
                let has = sorted(&mut claim.access_modes.to_vec());
                let wanted = sorted(&mut wanted.collect());
                (has != wanted).then_some((has, wanted))
            }
        }
    }
}

fn report(
    change: &Change<'_>,
    template: &Claim<'_>,
    at: &Pointer,
    claims: &[(String, &ClaimFact)],
    property: Property,
    findings: &mut Findings,
) {
    let differing: Vec<(&str, (String, String))> = claims
        .iter()
        .filter_map(|(name, claim)| Some((name.as_str(), property.difference(claim, template)?)))
        .collect();
    let Some((first, (has, wanted))) = differing.first() else { return };
    let names: Vec<&str> = differing.iter().map(|(name, _)| *name).collect();
    let claims = match names.len() {
        1 => format!("claim {first}"),
        count => format!("{count} claims such as {first}"),
    };
    let shown = |value: &str| if value.is_empty() { "none".to_owned() } else { value.to_owned() };
    let (has_shown, wanted_shown) = (shown(has), shown(wanted));
    let field = Pointer::from(format!("{at}{}", property.field()));
    let keep = match property {
        Property::AccessModes => format!("[{has}]"),
        _ if has.is_empty() => "\"\"".to_owned(),
        _ => has.clone(),
    };
    let dotted = field.dotted();
    let place = remedy::manifest_place(change.circumstances.tool);
    findings
        .add(field, format!("would reuse {claims} with {has_shown}, not {wanted_shown}"))
        .values(Some(has), Some(wanted))
        .why(format!(
            "The controller takes {} by name and compares nothing. Only pods that are added later get \
             {wanted_shown}.",
            remedy::listed(&names)
        ))
        .step(format!("set {dotted}: {keep} {place}, before the set is created"))
        .command(
            "or see what the claims hold, and delete them first if nobody needs the data",
            format!(
                "{} describe pvc {}",
                remedy::kubectl(change),
                names.iter().take(3).map(|name| remedy::quoted(name)).collect::<Vec<_>>().join(" ")
            ),
        );
}
