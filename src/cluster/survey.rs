//! A look at a whole cluster, once: for commands that judge what lives, and for exported facts.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::value::RawValue;
use stateward_core::facts::read::place;
use stateward_core::facts::{FACT_KINDS, FactKind, FactKindInfo, Facts, Known};

use super::client::{Extent, ReadError};
use super::{Client, path};

/// What was seen of a cluster.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) facts: Facts,
    /// the sets and claims that were asked for, as JSON
    pub(crate) objects: Vec<LiveObject>,
}

/// An object as the API server has it.
#[derive(Debug)]
pub(crate) struct LiveObject {
    pub(crate) kind: FactKind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) json: String,
}

/// A kind, a namespace and a name.
pub(crate) type Named<'a> = (FactKind, &'a str, &'a str);

impl Client {
    /// Reads every kind from which facts come, of all namespaces or of one. What cannot be read is
    /// unknown, with the reason. The objects that are `wanted` are kept whole.
    pub(crate) async fn survey(
        &self,
        namespace: Option<&str>,
        wanted: &BTreeSet<Named<'_>>,
    ) -> Survey {
        let mut survey = Survey { facts: Facts::none(), objects: Vec::new() };
        for info in &FACT_KINDS {
            let known = match self.read_kind(info, namespace, wanted, &mut survey).await {
                Ok(()) => continue,
                Err(ReadError::Refused { message, .. }) => message,
                Err(why) => why.to_string(),
            };
            let why = format!("the {}: {known}", info.many);
            survey.facts.forget(info.kind, Known::Nothing(&why));
        }
        survey
    }

    async fn read_kind(
        &self,
        info: &FactKindInfo,
        namespace: Option<&str>,
        wanted: &BTreeSet<Named<'_>>,
        survey: &mut Survey,
    ) -> Result<(), ReadError> {
        let only = namespace.filter(|_| info.namespaced);
        survey.facts.forget(info.kind, only.map_or(Known::All, Known::Namespace));
        let facts = RefCell::new(&mut survey.facts);
        let any_wanted = wanted.iter().any(|(kind, ..)| *kind == info.kind);
        let read = |object: &RawValue| {
            facts.borrow_mut().insert_live(info.kind, object);
            let (namespace, name) = any_wanted.then(|| place(object)).flatten()?;
            wanted.contains(&(info.kind, &namespace, &name)).then(|| LiveObject {
                kind: info.kind,
                namespace,
                name,
                json: object.get().to_owned(),
            })
        };
        let listed =
            self.list_raw(&list_path(info, namespace), extent(info.kind), read, |_, _| {}).await?;
        match listed {
            Some(listed) => survey.objects.extend(listed.kept),
            None if info.optional => {}
            None => {
                let why = format!("the {}, which this cluster does not serve", info.many);
                survey.facts.forget(info.kind, Known::Nothing(&why));
            }
        }
        Ok(())
    }
}

/// How much is read of an object of a kind: facts about namespaces stand in their metadata.
pub(super) fn extent(kind: FactKind) -> Extent {
    if kind == FactKind::Namespace { Extent::Metadata } else { Extent::Whole }
}

/// Where the objects of a kind are listed: all, or those of a namespace if the kind has namespaces.
pub(super) fn list_path(info: &FactKindInfo, namespace: Option<&str>) -> String {
    let &FactKindInfo { group, version, plural, .. } = info;
    match (group, namespace.filter(|_| info.namespaced)) {
        ("", None) => path(["api", version, plural]),
        ("", Some(namespace)) => path(["api", version, "namespaces", namespace, plural]),
        (group, None) => path(["apis", group, version, plural]),
        (group, Some(of)) => path(["apis", group, version, "namespaces", of, plural]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_listed_where_the_api_server_has_it() {
        let class = FactKind::Class.info();
        assert_eq!(list_path(class, Some("shop")), "/apis/storage.k8s.io/v1/storageclasses");
        assert_eq!(list_path(FactKind::Pod.info(), None), "/api/v1/pods");
        let sets = list_path(FactKind::Set.info(), Some("shop"));
        assert_eq!(sets, "/apis/apps/v1/namespaces/shop/statefulsets");
        let odd = list_path(FactKind::Pod.info(), Some("../x"));
        assert_eq!(odd, "/api/v1/namespaces/..%2Fx/pods", "a namespace stays one segment");
    }
}
