//! Errors of claims and of claim templates.

use serde_json::value::RawValue;

use super::{Area, Errors, ValidationError, identity, metadata, selector_terms, shown};
use crate::object::claim::{ClaimSpec, DataSource};
use crate::object::names::{is_dns_label, is_dns_subdomain};
use crate::object::selector::LabelSelector;
use crate::object::{Claim, DecodeError, Pointer, Text, json};

const MODES: [&str; 4] = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];

/// The errors of a new claim.
///
/// # Errors
/// The field that has the wrong type.
pub fn claim(claim: &Claim<'_>) -> Result<Vec<ValidationError>, DecodeError> {
    let mut errors = Errors::default();
    whole(claim, true, true, &mut errors)?;
    Ok(errors.list)
}

/// The errors of `new` that `old` does not have.
///
/// # Errors
/// The field that has the wrong type.
pub fn introduced_in_claim(
    old: &Claim<'_>,
    new: &Claim<'_>,
) -> Result<Vec<ValidationError>, DecodeError> {
    let mut before = Errors::of_old();
    whole(old, false, false, &mut before)?;
    let mut errors = Errors::besides(before, Vec::new());
    whole(new, false, false, &mut errors)?;
    Ok(errors.list)
}

/// Adds the errors of a claim. The name is checked if it is `created`, and the groups of its data
/// sources if `api_groups` says so.
fn whole(
    claim: &Claim<'_>,
    created: bool,
    api_groups: bool,
    errors: &mut Errors,
) -> Result<(), DecodeError> {
    if created {
        identity(&claim.metadata, errors);
    }
    let name = &claim.metadata.name;
    if created && !name.is_empty() && !is_dns_subdomain(name) {
        errors.push(ValidationError {
            area: Area::Name,
            field: "/metadata/name".into(),
            value: Some(name.to_string()),
            what: format!("{} is no name of a claim", shown(name)),
            instead: "name it in lower-case letters, digits, '-' and '.'".to_owned(),
        });
    }
    metadata(&claim.metadata, errors);
    let sources = normalised(&claim.spec, &"/spec".into())?;
    spec(&claim.spec, sources, &"/spec".into(), "", Area::Spec, api_groups, errors)
}

/// What is wrong with the claim template at place `index`.
///
/// # Errors
/// The field that has the wrong type.
pub(super) fn claim_template(
    template: &Claim<'_>,
    index: usize,
    errors: &mut Errors,
) -> Result<(), DecodeError> {
    let at = Pointer::from("/spec/volumeClaimTemplates").index(index).key("spec");
    let subject = format!("claim template {}: ", shown(&template.metadata.name));
    let spec_at = &template.spec;
    let sources = (source(spec_at.data_source, &at)?, source(spec_at.data_source_ref, &at)?);
    spec(spec_at, sources, &at, &subject, Area::ClaimTemplate, true, errors)
}

/// Adds an error: path, value, error, what to write instead.
type Add<'f> = dyn FnMut(&str, Option<&str>, String, &str) + 'f;

type Sources<'a> = (Option<DataSource<'a>>, Option<DataSource<'a>>);

/// Both data sources of a new claim as the server stores them: one that stands alone is copied,
/// one that only another group knows is dropped from `dataSource`.
fn normalised<'a>(spec: &ClaimSpec<'a>, at: &Pointer) -> Result<Sources<'a>, DecodeError> {
    let mut old_style = source(spec.data_source, at)?;
    let mut new_style = source(spec.data_source_ref, at)?;
    // CrossNamespaceVolumeDataSource is alpha: without its gate such a source is dropped.
    if new_style.as_ref().is_some_and(|source| !namespace(source).is_empty()) {
        new_style = None;
    }
    if new_style.is_none()
        && old_style.as_ref().is_some_and(|source| {
            !matches!(
                (source.kind.as_str(), source.group()),
                ("PersistentVolumeClaim", "") | ("VolumeSnapshot", "snapshot.storage.k8s.io")
            )
        })
    {
        old_style = None;
    }
    if old_style.is_none() {
        old_style.clone_from(&new_style);
    } else if new_style.is_none() {
        new_style.clone_from(&old_style);
    }
    Ok((old_style, new_style))
}

fn source<'a>(
    raw: Option<&'a RawValue>,
    at: &Pointer,
) -> Result<Option<DataSource<'a>>, DecodeError> {
    raw.map_or(Ok(None), |raw| json::decode(raw.get(), at.as_str()))
}

fn namespace<'s>(source: &'s DataSource<'_>) -> &'s str {
    source.namespace.as_deref().unwrap_or_default()
}

fn spec(
    spec: &ClaimSpec<'_>,
    sources: Sources<'_>,
    at: &Pointer,
    subject: &str,
    area: Area,
    api_groups: bool,
    errors: &mut Errors,
) -> Result<(), DecodeError> {
    let field = |path: &str| Pointer::from(format!("{at}{path}"));
    let mut add = |path: &str, value: Option<&str>, what: String, instead: &str| {
        let field = field(path);
        errors.push(ValidationError {
            area,
            value: value.map(ToOwned::to_owned),
            what: format!("{subject}{what}"),
            instead: format!("set {} to {instead}", field.dotted()),
            field,
        });
    };
    if spec.access_modes.is_empty() {
        add("/accessModes", None, "no access mode is given".into(), "[ReadWriteOnce], say");
    }
    for mode in &spec.access_modes {
        if !MODES.contains(&mode.as_str()) {
            add(
                "/accessModes",
                Some(mode),
                format!("{} is no access mode", shown(mode)),
                "ReadWriteOnce, ReadOnlyMany, ReadWriteMany or ReadWriteOncePod",
            );
        }
    }
    let has = |wanted: &dyn Fn(&str) -> bool| spec.access_modes.iter().any(|mode| wanted(mode));
    if has(&|mode| mode == "ReadWriteOncePod")
        && has(&|mode| mode != "ReadWriteOncePod" && MODES.contains(&mode))
    {
        let modes = spec.access_modes.iter().map(Text::as_str).collect::<Vec<_>>().join(", ");
        add(
            "/accessModes",
            Some(&modes),
            "ReadWriteOncePod stands beside other access modes".into(),
            "[ReadWriteOncePod] alone, or leave that mode out",
        );
    }
    match spec.storage() {
        None => add(
            "/resources/requests/storage",
            None,
            "no storage request is given".into(),
            "a size such as 10Gi",
        ),
        Some(size) if !size.quantity.is_positive() => add(
            "/resources/requests/storage",
            Some(&size.text),
            format!("the storage request {} is not above zero", shown(&size.text)),
            "a size such as 10Gi",
        ),
        Some(_) => {}
    }
    for (path, class, what) in [
        ("/storageClassName", &spec.storage_class_name, "StorageClass"),
        ("/volumeAttributesClassName", &spec.volume_attributes_class_name, "VolumeAttributesClass"),
    ] {
        if let Some(class) = class.as_deref().filter(|c| !c.is_empty() && !is_dns_subdomain(c)) {
            add(
                path,
                Some(class),
                format!("{} is no name of a {what}", shown(class)),
                "lower-case letters, digits, '-' and '.'",
            );
        }
    }
    if let Some(mode) =
        spec.volume_mode.as_deref().filter(|mode| !matches!(*mode, "Filesystem" | "Block"))
    {
        add(
            "/volumeMode",
            Some(mode),
            format!("{} is no volume mode", shown(mode)),
            "Filesystem or Block",
        );
    }
    data_sources(sources, api_groups, &mut add);
    if let Some(raw) = spec.selector {
        let at = field("/selector");
        let selector: Option<LabelSelector<'_>> = json::decode(raw.get(), at.as_str())?;
        if let Some(selector) = selector {
            selector_terms(&selector, &at, area, subject, errors);
        }
    }
    Ok(())
}

fn data_sources((old_style, new_style): Sources<'_>, api_groups: bool, add: &mut Add<'_>) {
    for (path, source) in [("/dataSource", &old_style), ("/dataSourceRef", &new_style)] {
        let Some(source) = source else { continue };
        if source.name.is_empty() || source.kind.is_empty() {
            add(path, None, "its data source lacks kind or name".into(), "a kind and a name");
        }
        let group = source.group();
        if group.is_empty() && source.kind.as_str() != "PersistentVolumeClaim" {
            add(
                path,
                Some(&source.kind),
                format!("its data source {} lacks an apiGroup", shown(&source.kind)),
                "a source with its apiGroup; only PersistentVolumeClaim has none",
            );
        }
        if api_groups && !group.is_empty() && !is_dns_subdomain(group) {
            add(
                path,
                Some(group),
                format!("{} is no API group", shown(group)),
                "a source with an apiGroup such as snapshot.storage.k8s.io",
            );
        }
    }
    let Some(new_style) = new_style else { return };
    let namespace = namespace(&new_style);
    if !namespace.is_empty() && !is_dns_label(namespace) {
        add(
            "/dataSourceRef",
            Some(namespace),
            format!("{} is no namespace", shown(namespace)),
            "a source in a namespace that can exist",
        );
    }
    let Some(old_style) = old_style else { return };
    let same = (&old_style.api_group, &old_style.kind, &old_style.name)
        == (&new_style.api_group, &new_style.kind, &new_style.name);
    if !namespace.is_empty() || !same {
        add(
            "/dataSource",
            Some(&old_style.name),
            "dataSource and dataSourceRef name different sources".into(),
            "nothing, and keep dataSourceRef",
        );
    }
}
