//! Claim templates: which old one a new one continues, and what differs between the two.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::Deserialize;

use super::{DifferenceKind, Differences, SpecDifference};
use crate::object::compare::{
    CLAIM_SPEC, CLAIM_STATUS, OBJECT_META, differences, elements, members,
};
use crate::object::json::decode;
use crate::object::{Claim, DecodeError, Pointer, Raw, StatefulSet, Text};

/// A claim template as text, with its name.
struct Template<'a> {
    name: Text<'a>,
    raw: Raw<'a>,
}

fn templates<'a>(set: &StatefulSet<'a>, at: &Pointer) -> Result<Vec<Template<'a>>, DecodeError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Head<'a> {
        #[serde(borrow)]
        metadata: Option<Name<'a>>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Name<'a> {
        #[serde(borrow)]
        name: Text<'a>,
    }
    if let Some(raw) = set.spec.claim_templates.raw().filter(|raw| !raw.get().starts_with('[')) {
        // The wrong type is named instead of called a difference.
        decode::<Option<Vec<Raw<'_>>>>(raw.get(), at.as_str())?;
    }
    let list = elements(set.spec.claim_templates.raw(), at)?.into_iter().enumerate();
    list.map(|(index, raw)| {
        let at = || at.clone().index(index);
        let head: Head<'_> = serde_json::from_str(raw.get())
            .or_else(|_| decode::<Head<'_>>(raw.get(), at().as_str()))?;
        Ok(Template { name: head.metadata.unwrap_or_default().name, raw })
    })
    .collect()
}

/// The places of `templates`, ordered by name; those of one name by place.
fn by_name(templates: &[Template<'_>]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..templates.len()).collect();
    places.sort_by(|a, b| templates[*a].name.cmp(&templates[*b].name));
    places
}

/// For each new template the place of the old one with its name. The name alone does not tell
/// templates of one name apart: the second pairs with the second.
fn partners(olds: &[Template<'_>], news: &[Template<'_>]) -> Vec<Option<usize>> {
    let (old_places, new_places) = (by_name(olds), by_name(news));
    let mut partners = vec![None; news.len()];
    let (mut o, mut n) = (0, 0);
    while let (Some(old), Some(new)) = (old_places.get(o), new_places.get(n)) {
        match olds[*old].name.cmp(&news[*new].name) {
            Ordering::Less => o += 1,
            Ordering::Greater => n += 1,
            Ordering::Equal => {
                partners[*new] = Some(*old);
                (o, n) = (o + 1, n + 1);
            }
        }
    }
    partners
}

/// Finds what differs between the claim templates of two sets.
pub(super) fn compare(
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
    found: &mut Differences,
) -> Result<(), DecodeError> {
    let at = Pointer::from("/spec/volumeClaimTemplates");
    let (olds, news) = (templates(old, &at)?, templates(new, &at)?);
    let partners = partners(&olds, &news);
    let mut kept = vec![false; olds.len()];
    for old in partners.iter().flatten() {
        kept[*old] = true;
    }
    let same_names = olds.len() == news.len() && kept.iter().all(|kept| *kept);
    let names = |templates: &[Template<'_>]| {
        templates.iter().map(|template| template.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    if same_names && olds.iter().zip(&news).any(|(old, new)| old.name != new.name) {
        found.push(SpecDifference {
            kind: DifferenceKind::Other,
            template: None,
            field: at.clone(),
            old_field: at.clone(),
            old: Some(names(&olds)),
            new: Some(names(&news)),
        });
    }
    for (index, (template, partner)) in news.iter().zip(partners).enumerate() {
        let field = || at.clone().index(index);
        match partner {
            Some(old_index) if olds[old_index].raw == template.raw => {}
            Some(old_index) => {
                let old_at = at.clone().index(old_index);
                claim_template(&olds[old_index], template, &old_at, &field(), found)?;
            }
            None => found.push(SpecDifference {
                kind: DifferenceKind::TemplateAdded,
                template: Some(Arc::from(&*template.name)),
                field: field(),
                old_field: at.clone(),
                old: None,
                new: Some(template.name.to_string()),
            }),
        }
    }
    for (index, template) in olds.iter().enumerate().filter(|(index, _)| !kept[*index]) {
        found.push(SpecDifference {
            kind: DifferenceKind::TemplateRemoved,
            template: Some(Arc::from(&*template.name)),
            field: at.clone(),
            old_field: at.clone().index(index),
            old: Some(template.name.to_string()),
            new: None,
        });
    }
    Ok(())
}

fn claim_template(
    old: &Template<'_>,
    new: &Template<'_>,
    old_at: &Pointer,
    new_at: &Pointer,
    found: &mut Differences,
) -> Result<(), DecodeError> {
    // The wrong type is named instead of called a difference.
    decode::<Claim<'_>>(old.raw.get(), old_at.as_str())?;
    decode::<Claim<'_>>(new.raw.get(), new_at.as_str())?;
    let new_name: Arc<str> = Arc::from(&*new.name);
    let (olds, news) = (members(Some(old.raw), old_at)?, members(Some(new.raw), new_at)?);
    for (part, shape) in
        [("metadata", &OBJECT_META), ("spec", &CLAIM_SPEC), ("status", &CLAIM_STATUS)]
    {
        let below = Pointer::default().key(part);
        let (old, new) = (olds.get(part).copied(), news.get(part).copied());
        for difference in differences(old, new, shape, &below)? {
            let path = difference.field.as_str();
            let kind = match path {
                "/spec/resources/requests/storage" => DifferenceKind::TemplateStorage,
                "/spec/storageClassName" => DifferenceKind::TemplateStorageClass,
                "/spec/volumeMode" => DifferenceKind::TemplateVolumeMode,
                _ if path.starts_with("/spec/accessModes") => DifferenceKind::TemplateAccessModes,
                _ if path.starts_with("/metadata/") => DifferenceKind::TemplateMetadata,
                _ => DifferenceKind::Other,
            };
            found.push(SpecDifference {
                kind,
                template: Some(Arc::clone(&new_name)),
                field: Pointer::from(format!("{new_at}{path}")),
                old_field: Pointer::from(format!("{old_at}{path}")),
                old: difference.old,
                new: difference.new,
            });
        }
    }
    Ok(())
}
