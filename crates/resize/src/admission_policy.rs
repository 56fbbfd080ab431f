//! The admission policy that binds a request for growth to the right to grow claims.
//!
//! A request is an annotation of the set, and whoever may edit a set could write one. So a
//! `ValidatingAdmissionPolicy` asks, after every mutation, whether the requesting user may patch
//! the claims themselves. Removing the annotation asks for nothing, and so does writing it again
//! as it is; both pass whoever does it.

use serde_json::{Value, json};
use stateward_core::annotations::RESIZE_REQUESTED;

/// The name of the policy and of its binding.
pub const NAME: &str = "resize-requested.stateward.dev";

/// The policy. Every field that the API server would fill in is written out, so that what it
/// returns equals what is written here.
pub fn policy() -> Value {
    let new = format!("object.metadata.?annotations[?'{RESIZE_REQUESTED}']");
    let old = format!("oldObject.metadata.?annotations[?'{RESIZE_REQUESTED}']");
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/name": "stateward"}},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {},
                "resourceRules": [{
                    "apiGroups": ["apps"],
                    "apiVersions": ["v1"],
                    // A write of the status may change annotations too.
                    "resources": ["statefulsets", "statefulsets/status"],
                    "operations": ["CREATE", "UPDATE"],
                    "scope": "Namespaced",
                }],
            },
            "matchConditions": [{
                "name": "growth-is-asked-for",
                "expression": format!(
                    "{new}.hasValue() && (oldObject == null || {old} != {new})"
                ),
            }],
            "validations": [{
                "expression": "authorizer.group('').resource('persistentvolumeclaims')\
                    .namespace(request.namespace).check('patch').allowed()",
                "reason": "Forbidden",
                "message": "growing the claims of a StatefulSet needs the right to patch \
                    persistentvolumeclaims in its namespace",
                "messageExpression": message(&new),
            }],
        },
    })
}

/// The message in one line, since the API server drops one with several.
fn message(requested: &str) -> String {
    format!(
        "'StatefulSet ' + request.namespace + '/' + object.metadata.?name.orValue(request.name) + ': growth of claim templates to \
         ' + {requested}.orValue('') + ' is asked for ({RESIZE_REQUESTED}), and ' + \
         request.userInfo.username + ' may not patch persistentvolumeclaims there. Growth is a \
         change of the claims, so it takes that right. Nothing was changed, and no pod restarts. \
         Leave the size as it is, or let somebody who grants rights run: \
         kubectl create role grow-claims -n ' + request.namespace + ' --verb=get,patch \
         --resource=persistentvolumeclaims; kubectl create rolebinding grow-claims -n ' + \
         request.namespace + ' --role=grow-claims --user=' + request.userInfo.username"
    )
}

/// The binding that puts the policy in force in every namespace.
pub fn binding() -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/name": "stateward"}},
        "spec": {"policyName": NAME, "validationActions": ["Deny"]},
    })
}

/// Why a request by annotation proves no right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotInForce {
    /// it is not there
    #[error("{0} {NAME} does not exist")]
    Missing(&'static str),
    /// it has a `deletionTimestamp`
    #[error("{0} {NAME} is going away")]
    Terminating(&'static str),
    /// its spec is another one
    #[error("{kind} {NAME} differs from that of this version at {field}")]
    Changed {
        /// its kind
        kind: &'static str,
        /// the first field that differs, as a JSON pointer
        field: String,
    },
}

/// Whether policy and binding stand as this version writes them, as read from the API server.
///
/// # Errors
/// The first thing that is not as written here. A field that is not known counts: it may let
/// requests pass.
pub fn in_force(
    live_policy: Option<&Value>,
    live_binding: Option<&Value>,
) -> Result<(), NotInForce> {
    for (kind, ours, live) in [
        ("ValidatingAdmissionPolicy", policy(), live_policy),
        ("ValidatingAdmissionPolicyBinding", binding(), live_binding),
    ] {
        let live = live.ok_or(NotInForce::Missing(kind))?;
        if live.pointer("/metadata/deletionTimestamp").is_some() {
            return Err(NotInForce::Terminating(kind));
        }
        let found = live.get("spec").unwrap_or(&Value::Null);
        if let Some(field) = difference(&ours["spec"], found, "/spec") {
            return Err(NotInForce::Changed { kind, field });
        }
    }
    Ok(())
}

/// The first field in which two values differ.
fn difference(ours: &Value, live: &Value, at: &str) -> Option<String> {
    match (ours, live) {
        (Value::Object(ours), Value::Object(live)) => {
            let keys = ours.keys().chain(live.keys().filter(|key| !ours.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                let of = |object: &serde_json::Map<String, Value>| object.get(key).cloned();
                let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                match (of(ours), of(live)) {
                    (Some(ours), Some(live)) => difference(&ours, &live, &at),
                    _ => Some(at),
                }
            })
        }
        (Value::Array(ours), Value::Array(live)) if ours.len() == live.len() => {
            let mut pairs = ours.iter().zip(live).enumerate();
            pairs.find_map(|(index, (ours, live))| difference(ours, live, &format!("{at}/{index}")))
        }
        _ => (ours != live).then(|| at.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(edit: impl FnOnce(&mut Value, &mut Value)) -> Result<(), NotInForce> {
        let (mut policy, mut binding) = (policy(), binding());
        edit(&mut policy, &mut binding);
        in_force(Some(&policy), Some(&binding))
    }

    fn at(kind: &'static str, field: &str) -> Result<(), NotInForce> {
        Err(NotInForce::Changed { kind, field: field.to_owned() })
    }

    #[test]
    fn what_the_server_adds_to_metadata_and_status_does_not_matter() {
        let added = |policy: &mut Value, binding: &mut Value| {
            for object in [policy, binding] {
                object["metadata"]["uid"] = "A".into();
                object["metadata"]["labels"]["helm.sh/chart"] = "stateward".into();
                object["status"] = json!({"observedGeneration": 1});
            }
        };
        assert_eq!(changed(added), Ok(()));
    }

    #[test]
    fn every_way_out_is_noticed() {
        let kind = "ValidatingAdmissionPolicy";
        let bound = "ValidatingAdmissionPolicyBinding";
        assert_eq!(in_force(None, Some(&binding())), Err(NotInForce::Missing(kind)));
        assert_eq!(in_force(Some(&policy()), None), Err(NotInForce::Missing(bound)));
        let going = |policy: &mut Value, _: &mut Value| {
            policy["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        };
        assert_eq!(changed(going), Err(NotInForce::Terminating(kind)));
        let open = |policy: &mut Value, _: &mut Value| {
            policy["spec"]["failurePolicy"] = "Ignore".into();
        };
        assert_eq!(changed(open), at(kind, "/spec/failurePolicy"));
        let excluded = |policy: &mut Value, _: &mut Value| {
            policy["spec"]["matchConstraints"]["excludeResourceRules"] = json!([{}]);
        };
        assert_eq!(changed(excluded), at(kind, "/spec/matchConstraints/excludeResourceRules"));
        let fewer = |policy: &mut Value, _: &mut Value| {
            policy["spec"]["matchConstraints"]["resourceRules"][0]["operations"] =
                json!(["UPDATE"]);
        };
        assert_eq!(changed(fewer), at(kind, "/spec/matchConstraints/resourceRules/0/operations"));
        let audited = |_: &mut Value, binding: &mut Value| {
            binding["spec"]["validationActions"][0] = "Audit".into();
        };
        assert_eq!(changed(audited), at(bound, "/spec/validationActions/0"));
        let narrowed = |_: &mut Value, binding: &mut Value| {
            binding["spec"]["matchResources"] = json!({"namespaceSelector": {}});
        };
        assert_eq!(changed(narrowed), at(bound, "/spec/matchResources"));
    }

    #[test]
    fn what_is_said_names_kind_and_field() {
        let error = NotInForce::Changed { kind: "K", field: "/spec/a".to_owned() };
        let said = "K resize-requested.stateward.dev differs from that of this version at /spec/a";
        assert_eq!(error.to_string(), said);
    }
}
