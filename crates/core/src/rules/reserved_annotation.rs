use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, Judged, Rule, voters};
use crate::annotations::{
    ALLOW, ALLOW_GRANTED, ALLOW_REASON, ALLOW_UNTIL, ANTI_AFFINITY, CONFIRM_DELETE, OWNER_MANAGED,
    PACK, POD_DEFAULTS, RESIZE, RESIZE_MAX, VOTERS,
};
use crate::change::{Change, User};
use crate::facts::Facts;
use crate::object::{Kind, Metadata, Pointer, Quantity};
use crate::text::cut;

declare_rule! {
    /// Somebody adds or changes an annotation that relaxes the policy, and the policy reserves that
    /// to other people.
    ///
    /// ## Why
    /// Everybody who may edit an object may annotate it. If the policy names people under `allow`,
    /// an exemption is theirs to grant: otherwise anybody could annotate first and delete data
    /// afterwards.
    ///
    /// Reserved are `allow` with its reason, end and grant, `resize: ignore`, `anti-affinity: none`,
    /// `pod-defaults: none`, a larger `resize-max` or none, another `pack`, and the end of `owner-managed` and of `voters`. The rule judges every way on
    /// which the API server takes annotations: CREATE, UPDATE, the subresource `status`, and claim
    /// templates, from which new claims get theirs. Removing an exemption is free.
    ///
    /// When a person whom the policy names grants an exemption, the mutating webhook writes
    /// `stateward.dev/allow-granted` beside it. Without a grant that fits, `allow` does not count,
    /// however it got there. `check` does not know who will apply a manifest, so it warns.
    ///
    /// If the policy asks for a second person, `confirm-delete` is reserved as well, and ends with the name of who
    /// writes it: `data-db-2 2030-01-31 by alice@example.com`. The rule denies another name, so that the deletion can
    /// be compared with it. This is judged for every kind whose deletion can be confirmed.
    ///
    /// ## Way out
    /// Ask one of the people whom the policy names under `allow` to annotate the object.
    ReservedAnnotation {
        id: "reserved-annotation",
        title: "an annotation that relaxes the policy is added by somebody without the right",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [
            StatefulSet: [Create, Update],
            Claim: [Create, Update],
            Namespace: [Create, Update],
            Volume: [Create, Update],
            Class: [Create, Update],
            Snapshot: [Create, Update]
        ],
        source: "docs/policy.md, allow",
        judges_subresources: true,
        params_from: Some("allow"),
    }
}

/// The id of the rule.
pub const ID: &str = "reserved-annotation";
/// The longest name that a message quotes, in bytes.
const NAME: usize = 80;

/// Who may relax the policy by annotations; nobody named means everybody.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Params {
    /// User names.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Whether one of these people has to confirm a deletion that somebody else makes. Also, an exemption
    /// counts for a deletion only if somebody else granted it.
    pub second_person: bool,
}

/// The value of an annotation, if it is new or another one than before.
pub fn written<'m>(
    key: &str,
    old: Option<&Metadata<'_>>,
    new: &'m Metadata<'_>,
) -> Option<&'m str> {
    let value = new.annotations.get(key)?;
    (old.and_then(|old| old.annotations.get(key)) != Some(value)).then_some(value)
}

/// What confirms a deletion, and the name after `by`: who says to have written it.
pub fn signature(value: &str) -> (&str, Option<&str>) {
    match value.split_once(" by ") {
        Some((value, signer)) => (value, Some(signer.trim())),
        None => (value, None),
    }
}

impl Params {
    /// Whether only some people may relax the policy.
    pub fn reserves(&self) -> bool {
        !self.users.is_empty() || !self.groups.is_empty()
    }

    /// Whether a person of this name may be one of them: who is in a group is not known.
    pub fn may_name(&self, name: &str) -> bool {
        !self.groups.is_empty() || self.users.iter().any(|user| user == name)
    }

    /// Whether `user` is one of them.
    pub fn names(&self, user: &User) -> bool {
        self.users.contains(&user.name)
            || user.groups.iter().any(|group| self.groups.contains(group))
    }
}

impl Rule for ReservedAnnotation {
    type Params = Params;

    fn check(params: &Params, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(new) = &change.objects.new else { return Ok(()) };
        if !params.reserves() {
            return Ok(());
        }
        let old = change.objects.old.as_ref().map(|old| &old.metadata);
        let at = Pointer::from("/metadata/annotations");
        judge(params, change, &at, old, &new.metadata, findings);
        if let Some((old, new)) = change.written_set() {
            let before = old.map(|old| old.claim_templates()).transpose()?;
            for (index, template) in new.claim_templates()?.iter().enumerate() {
                let known = before.and_then(|before| before.get(index)).map(|t| &t.metadata);
                let at = Pointer::from("/spec/volumeClaimTemplates").index(index);
                let at = at.key("metadata").key("annotations");
                judge(params, change, &at, known, &template.metadata, findings);
            }
        }
        Ok(())
    }
}

/// Judges the annotations at one place, before and after.
fn judge(
    params: &Params,
    change: &Change<'_>,
    at: &Pointer,
    old: Option<&Metadata<'_>>,
    new: &Metadata<'_>,
    findings: &mut Findings,
) {
    let (nothing, user) = (Metadata::default(), &change.circumstances.user);
    let old = old.unwrap_or(&nothing);
    let named = params.names(user);
    if params.second_person {
        let written =
            |key| written(key, Some(old), new).filter(|value: &&str| !value.trim().is_empty());
        let own = |signer: Option<&str>| signer == Some(user.name.as_str());
        if let Some(value) = written(CONFIRM_DELETE) {
            let field = at.clone().key(CONFIRM_DELETE);
            match signature(value).1 {
                _ if !named => reserved(field, CONFIRM_DELETE, user, findings),
                signer if !own(signer) => {
                    let step = format!("end the value with \" by {}\", or leave it out", user.name);
                    unsigned(field, signer, step, findings);
                }
                _ => {}
            }
        }
        if let Some(value) = written(ALLOW_GRANTED).filter(|_| named) {
            let grant: Option<serde_json::Value> = serde_json::from_str(value).ok();
            let grantor = grant.as_ref().and_then(|grant| grant["by"].as_str());
            if !own(grantor) {
                let step = "leave it out: the webhook writes it".to_owned();
                unsigned(at.clone().key(ALLOW_GRANTED), grantor, step, findings);
            }
        }
    }
    if !named && matches!(change.kind, Kind::StatefulSet | Kind::Claim) {
        for key in relaxations(old, new) {
            reserved(at.clone().key(key), key, user, findings);
        }
    }
}

/// Somebody signs in a name that is not his own, or in none.
fn unsigned(field: Pointer, signer: Option<&str>, step: String, findings: &mut Findings) {
    let what = match signer {
        Some(signer) => format!("would be signed in the name of {}", cut(signer, NAME)),
        None => "would not be signed".to_owned(),
    };
    findings
        .add(field, what)
        .why("The policy asks for a second person, so the annotation has to say who wrote it.")
        .step(step);
}

fn reserved(field: Pointer, key: &'static str, user: &User, findings: &mut Findings) {
    let finding = findings
        .add(field, format!("would set {key}, which the policy reserves"))
        .why("The annotation relaxes the policy, and the policy names who may do that.")
        .step("ask one of the people whom the policy names under allow to set the annotation")
        .step(format!("or leave {key} out"));
    // Nobody knows yet who will apply a manifest that is checked.
    if user.name.is_empty() {
        finding.unsure();
    }
}

/// The annotations by whose change `new` is judged less strictly than `old`.
fn relaxations(old: &Metadata<'_>, new: &Metadata<'_>) -> Vec<&'static str> {
    let before = |key: &str| old.annotations.get(key);
    let after = |key: &str| new.annotations.get(key);
    let mut keys = Vec::new();
    if after(ALLOW).is_some() {
        let exempting = [ALLOW, ALLOW_REASON, ALLOW_UNTIL, ALLOW_GRANTED];
        keys.extend(exempting.into_iter().find(|key| before(key) != after(key)));
    } else if after(ALLOW_GRANTED).is_some() && before(ALLOW_GRANTED) != after(ALLOW_GRANTED) {
        keys.push(ALLOW_GRANTED);
    }
    for (key, relaxed) in [(RESIZE, "ignore"), (ANTI_AFFINITY, "none"), (POD_DEFAULTS, "none")] {
        if after(key) == Some(relaxed) && before(key) != Some(relaxed) {
            keys.push(key);
        }
    }
    if before(OWNER_MANAGED) == Some("allow") && after(OWNER_MANAGED) != Some("allow") {
        keys.push(OWNER_MANAGED);
    }
    // Another pack knows other voters, and `none` knows nobody.
    if before(PACK) != after(PACK) {
        keys.push(PACK);
    }
    if voters::is_marked(old) && !voters::is_marked(new) {
        keys.push(VOTERS);
    }
    let size = |text: &str| text.trim().parse::<Quantity>().ok();
    if let Some(limit) = before(RESIZE_MAX)
        && after(RESIZE_MAX) != Some(limit)
        && after(RESIZE_MAX).and_then(size).is_none_or(|max| size(limit).is_none_or(|l| max > l))
    {
        keys.push(RESIZE_MAX);
    }
    keys
}
