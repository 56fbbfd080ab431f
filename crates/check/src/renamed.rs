//! A set that goes while another comes in its place: the new one starts with empty claims.

use serde_json::Value;
use stateward_core::object::Kind;
use stateward_core::rules::Step;
use stateward_core::yaml::Document;

use crate::pair::Pairing;

/// The id of the finding.
pub(crate) const RULE: &str = "sts-renamed";

/// The warning about a new set that replaces an old one.
#[derive(Debug)]
pub(crate) struct Renamed {
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) remedy: Vec<Step>,
}

/// What of a set tells whether another one is the same under another name.
struct Shape {
    set: Value,
}

impl Shape {
    fn of(document: &Document) -> Option<Self> {
        let kind = Kind::of_manifest(&document.api_version, &document.kind);
        let set = serde_json::from_str(&document.json).ok()?;
        let shape = Self { set };
        (kind == Kind::StatefulSet && !shape.templates().is_empty()).then_some(shape)
    }

    fn templates(&self) -> Vec<&str> {
        let templates = self.set["spec"]["volumeClaimTemplates"].as_array();
        let names = templates.into_iter().flatten().map(|one| &one["metadata"]["name"]);
        names.filter_map(Value::as_str).collect()
    }

    /// The images without their tags.
    fn images(&self) -> Vec<&str> {
        let containers = self.set["spec"]["template"]["spec"]["containers"].as_array();
        let images = containers.into_iter().flatten().map(|one| &one["image"]);
        images.filter_map(Value::as_str).map(without_tag).collect()
    }

    fn replicas(&self) -> u64 {
        self.set["spec"]["replicas"].as_u64().unwrap_or(1)
    }

    /// Whether `other` has the same claim templates, and the same selector or the same images.
    fn is_like(&self, other: &Self) -> bool {
        let same = |mut one: Vec<&str>, mut two: Vec<&str>| {
            one.sort_unstable();
            two.sort_unstable();
            one == two
        };
        let images = self.images();
        same(self.templates(), other.templates())
            && (self.set["spec"]["selector"] == other.set["spec"]["selector"]
                || (!images.is_empty() && same(images, other.images())))
    }
}

fn without_tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

/// For each new set, by its place among the pairs, the old one whose place it takes. `removed` are
/// sets that only the old manifests have. A set that could have taken the place of either of two
/// takes that of the one which is named most alike.
pub(crate) fn find(pairings: &[Pairing], removed: &[Document]) -> Vec<(usize, Renamed)> {
    let gone = pairings.iter().filter(|pairing| pairing.new.is_none());
    let gone = gone.filter_map(|pairing| pairing.old.as_ref()).chain(removed);
    let mut olds: Vec<(&Document, Shape)> =
        gone.filter_map(|document| Some((document, Shape::of(document)?))).collect();
    let mut found = Vec::new();
    if olds.is_empty() {
        return found;
    }
    for (index, pairing) in pairings.iter().enumerate() {
        let (None, Some(new)) = (&pairing.old, &pairing.new) else { continue };
        let Some(shape) = Shape::of(new) else { continue };
        let like = olds.iter().enumerate().filter(|(_, (_, old))| old.is_like(&shape));
        let best = like.max_by_key(|(_, (old, _))| {
            let (one, two) = (old.name.bytes(), new.name.bytes());
            (old.namespace == new.namespace, one.zip(two).take_while(|(a, b)| a == b).count())
        });
        let Some((at, _)) = best else { continue };
        let (old, shape) = olds.swap_remove(at);
        found.push((index, Renamed::new(old, &shape, new)));
    }
    found
}

impl Renamed {
    fn new(old: &Document, shape: &Shape, new: &Document) -> Self {
        let moved = old.namespace != new.namespace;
        let place = |document: &Document| match (moved, &*document.namespace) {
            (false, _) => document.name.clone(),
            (true, "") => format!("{} (no namespace)", document.name),
            (true, namespace) => format!("{namespace}/{}", document.name),
        };
        let claims = claims(shape, &old.name);
        Self {
            what: format!("would take the place of {}, and start with empty claims", place(old)),
            why: format!(
                "Claims belong to the name of a set. The data stays in {claims}, which {} would not \
                 use.",
                place(new)
            ),
            remedy: vec![
                Step {
                    text: if moved {
                        format!("keep the set where it is, as {}", place(old))
                    } else {
                        format!(
                            "keep the name {}; many charts take it as fullnameOverride",
                            old.name
                        )
                    },
                    command: None,
                },
                Step {
                    text: format!(
                        "or, before {} is created, create its claims with spec.volumeName set to the \
                         volumes of {claims}: let each volume's reclaim policy be Retain, delete the \
                         old claim, and clear the volume's claimRef",
                        place(new)
                    ),
                    command: None,
                },
            ],
        }
    }
}

/// `data-db-0 … data-db-2 and wal-db-0 … wal-db-2`.
fn claims(shape: &Shape, set: &str) -> String {
    let last = shape.replicas().saturating_sub(1);
    let ranges = shape.templates().into_iter().map(|template| match last {
        0 => format!("{template}-{set}-0"),
        1 => format!("{template}-{set}-0 and -1"),
        last => format!("{template}-{set}-0 to -{last}"),
    });
    ranges.collect::<Vec<_>>().join(", ")
}
