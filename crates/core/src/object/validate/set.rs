//! Errors of a StatefulSet.

use super::{
    Area, Errors, ValidationError, annotations, claim_template, identity, labels, metadata, pod,
    selector_terms, shown,
};
use crate::object::names::is_dns_label;
use crate::object::statefulset::IntOrString;
use crate::object::{DecodeError, Pointer, StatefulSet};

/// What is wrong with a new set.
///
/// # Errors
/// The field that has the wrong type.
pub fn created(
    set: &StatefulSet<'_>,
    kubernetes_minor: u16,
) -> Result<Vec<ValidationError>, DecodeError> {
    let mut errors = Errors::default();
    identity(&set.metadata, &mut errors);
    name(set, &mut errors);
    metadata(&set.metadata, &mut errors);
    let service = &set.spec.service_name;
    if !service.is_empty() && !is_dns_label(service) {
        errors.push(ValidationError {
            area: Area::ServiceName,
            field: "/spec/serviceName".into(),
            value: Some(service.to_string()),
            what: format!("serviceName {} is no name of a Service", shown(service)),
            instead: "set spec.serviceName to lower-case letters, digits and '-', without dots"
                .to_owned(),
        });
    }
    for (index, template) in set.claim_templates()?.iter().enumerate() {
        claim_template(template, index, &mut errors)?;
    }
    spec(set, kubernetes_minor, &mut errors)?;
    Ok(errors.list)
}

/// What is wrong with `new` and was not wrong with `old` in the same way.
///
/// # Errors
/// The field that has the wrong type.
pub fn introduced(
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
    kubernetes_minor: u16,
) -> Result<Vec<ValidationError>, DecodeError> {
    let mut errors = Errors::default();
    touched(old, new, kubernetes_minor, &mut errors)?;
    // The common case: nothing is wrong with the new object, whatever was wrong with the old one.
    if errors.count == 0 {
        return Ok(Vec::new());
    }
    let mut before = Errors::of_old();
    spec(old, kubernetes_minor, &mut before)?;
    let mut ignored = Vec::new();
    // The server skips the pod template if the old spec is invalid already.
    if before.count > 0 {
        ignored.extend([Area::Mount, Area::Pod]);
    }
    // The API server rejects a changed selector as such.
    if old.selector()? != new.selector()? {
        ignored.push(Area::Selector);
    }
    metadata(&old.metadata, &mut before);
    let mut errors = Errors::besides(before, ignored);
    touched(old, new, kubernetes_minor, &mut errors)?;
    Ok(errors.list)
}

/// Adds the errors of `new` in the parts that differ from `old`.
fn touched(
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
    kubernetes_minor: u16,
    errors: &mut Errors,
) -> Result<(), DecodeError> {
    if old.metadata.labels != new.metadata.labels
        || old.metadata.annotations != new.metadata.annotations
    {
        metadata(&new.metadata, errors);
    }
    numbers(new, errors);
    max_unavailable(new, kubernetes_minor, errors);
    words(new, errors);
    if !old.spec.selector.same_bytes(&new.spec.selector)
        || !old.spec.template.same_bytes(&new.spec.template)
        || !old.spec.claim_templates.same_bytes(&new.spec.claim_templates)
    {
        parts(new, errors)?;
    }
    Ok(())
}

fn name(set: &StatefulSet<'_>, errors: &mut Errors) {
    let name = &set.metadata.name;
    if name.is_empty() || is_dns_label(name) {
        return;
    }
    let what = if name.len() > 63 {
        format!("its name has {} characters, more than 63", name.len())
    } else {
        format!("{} is no name of a set", shown(name))
    };
    errors.push(ValidationError {
        area: Area::Name,
        field: "/metadata/name".into(),
        value: Some(name.to_string()),
        what,
        instead: "name it in lower-case letters, digits and '-', 52 characters at most".to_owned(),
    });
}

/// `ValidateStatefulSetSpec` without what is looked at on CREATE only.
fn spec(
    set: &StatefulSet<'_>,
    kubernetes_minor: u16,
    errors: &mut Errors,
) -> Result<(), DecodeError> {
    numbers(set, errors);
    max_unavailable(set, kubernetes_minor, errors);
    words(set, errors);
    parts(set, errors)
}

/// Errors of the selector and the pod template.
fn parts(set: &StatefulSet<'_>, errors: &mut Errors) -> Result<(), DecodeError> {
    let selector = set.selector()?;
    let template = set.template()?;
    let at = Pointer::from("/spec/selector");
    if selector.is_empty() {
        errors.push(ValidationError {
            area: Area::Selector,
            field: at,
            value: None,
            what: "its selector is empty".to_owned(),
            instead: "set spec.selector.matchLabels to labels of spec.template.metadata.labels"
                .to_owned(),
        });
    } else {
        let sound = errors.count;
        selector_terms(selector, &at, Area::Selector, "", errors);
        // A selector that is wrong in itself matches nothing: once is enough.
        if errors.count == sound && !selector.matches(&template.metadata.labels) {
            errors.push(ValidationError {
                area: Area::Selector,
                field: "/spec/template/metadata/labels".into(),
                value: Some(
                    template
                        .metadata
                        .labels
                        .iter()
                        .map(|(key, value)| format!("{key}={value}"))
                        .collect::<Vec<_>>()
                        .join(","),
                ),
                what: "the labels of its pod template do not match its selector".to_owned(),
                instead: format!("set spec.template.metadata.labels so that they match {selector}"),
            });
        }
    }
    let at = Pointer::from("/spec/template/metadata");
    labels(&template.metadata.labels, &at.clone().key("labels"), Area::Spec, errors);
    annotations(&template.metadata.annotations, &at.key("annotations"), Area::Spec, errors);
    pod::template(set, errors)
}

fn numbers(set: &StatefulSet<'_>, errors: &mut Errors) {
    let spec = &set.spec;
    let partition = spec.update_strategy.rolling_update.as_ref().and_then(|r| r.partition);
    let rolling = spec.update_strategy.kind() == "RollingUpdate";
    for (path, value, least) in [
        ("/spec/replicas", spec.replicas, 0),
        ("/spec/minReadySeconds", spec.min_ready_seconds, 0),
        ("/spec/ordinals/start", spec.ordinals.as_ref().and_then(|o| o.start), 0),
        (
            "/spec/updateStrategy/rollingUpdate/partition",
            partition,
            // Beside another strategy the whole of it is refused.
            if rolling { 0 } else { i64::from(i32::MIN) },
        ),
        // A negative limit is legal: it keeps every revision.
        ("/spec/revisionHistoryLimit", spec.revision_history_limit, i64::from(i32::MIN)),
    ] {
        let Some(value) = value else { continue };
        let name = path.rsplit('/').next().unwrap_or_default();
        let name = if name == "start" { "ordinals.start" } else { name };
        let (limit, instead) = if value < least {
            (format!("less than {least}"), format!("{least} or more"))
        } else if i32::try_from(value).is_err() {
            ("which does not fit 32 bits".to_owned(), format!("at most {}", i32::MAX))
        } else {
            continue;
        };
        let field = Pointer::from(path);
        errors.push(ValidationError {
            area: Area::Spec,
            value: Some(value.to_string()),
            what: format!("{name} is {value}, {limit}"),
            instead: format!("set {} to {instead}", field.dotted()),
            field,
        });
    }
}

/// The first release that keeps `maxUnavailable`, and so validates it. Before, its feature gate is off
/// and the server drops the field.
const MAX_UNAVAILABLE_SINCE: u16 = 37;

fn max_unavailable(set: &StatefulSet<'_>, kubernetes_minor: u16, errors: &mut Errors) {
    let strategy = &set.spec.update_strategy;
    let value = strategy.rolling_update.as_ref().and_then(|r| r.max_unavailable.as_ref());
    // Beside another strategy the whole of it is refused.
    let Some(value) = value.filter(|_| {
        kubernetes_minor >= MAX_UNAVAILABLE_SINCE && strategy.kind() == "RollingUpdate"
    }) else {
        return;
    };
    let (text, fault) = match value {
        IntOrString::Number(number) => {
            let fault = (*number < 1).then_some("less than 1");
            (number.to_string(), fault)
        }
        IntOrString::Text(text) => {
            let digits = text.strip_suffix('%').filter(|digits| {
                !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
            });
            let fault = match digits.map(|digits| digits.trim_start_matches('0')) {
                None => Some("neither a whole number nor a percentage"),
                Some("") => Some("less than 1%"),
                Some(digits) if digits.len() > 3 || digits.parse().is_ok_and(|n: u32| n > 100) => {
                    Some("more than 100%")
                }
                Some(_) => None,
            };
            (text.clone(), fault)
        }
    };
    let Some(fault) = fault else { return };
    errors.push(ValidationError {
        area: Area::Spec,
        field: "/spec/updateStrategy/rollingUpdate/maxUnavailable".into(),
        what: format!("maxUnavailable is {}, {fault}", shown(&text)),
        value: Some(text),
        instead: "set spec.updateStrategy.rollingUpdate.maxUnavailable to 1 or more, or to a \
                  percentage up to 100%"
            .to_owned(),
    });
}

fn words(set: &StatefulSet<'_>, errors: &mut Errors) {
    let spec = &set.spec;
    let mut one_of = |area, path: &str, value: &str, allowed: &[&str]| {
        if !allowed.contains(&value) {
            let field = Pointer::from(path);
            let name = path.rsplit('/').next().unwrap_or_default();
            let name = if name == "type" { "updateStrategy.type" } else { name };
            let allowed = allowed.join(" or ");
            errors.push(ValidationError {
                area,
                value: Some(value.to_owned()),
                what: format!("{name} is {}, not {allowed}", shown(value)),
                instead: format!("set {} to {allowed}", field.dotted()),
                field,
            });
        }
    };
    one_of(
        Area::Spec,
        "/spec/podManagementPolicy",
        spec.pod_management_policy(),
        &["OrderedReady", "Parallel"],
    );
    let strategy = spec.update_strategy.kind();
    one_of(
        if strategy == "Recreate" { Area::Recreate } else { Area::Spec },
        "/spec/updateStrategy/type",
        strategy,
        &["RollingUpdate", "OnDelete"],
    );
    let retention = &spec.retention;
    for (path, value) in [
        ("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted", retention.when_deleted()),
        ("/spec/persistentVolumeClaimRetentionPolicy/whenScaled", retention.when_scaled()),
    ] {
        one_of(Area::Spec, path, value, &["Retain", "Delete"]);
    }
    if strategy == "OnDelete" && spec.update_strategy.rolling_update.is_some() {
        errors.push(ValidationError {
            area: Area::Spec,
            field: "/spec/updateStrategy/rollingUpdate".into(),
            value: None,
            what: "rollingUpdate is given beside updateStrategy.type OnDelete".to_owned(),
            instead: "leave spec.updateStrategy.rollingUpdate out".to_owned(),
        });
    }
}
