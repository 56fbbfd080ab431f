//! A look at a whole cluster, once: for commands that judge what lives, and for exported facts.

use std::cell::RefCell;

use serde::Deserialize;
use serde_json::value::RawValue;
use stateward_core::facts::{FACT_KINDS, FactKind, FactKindInfo, Facts, Known};

use super::Client;
use super::client::{Extent, ReadError};

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

#[derive(Deserialize)]
struct Placed {
    metadata: Place,
}

#[derive(Deserialize)]
struct Place {
    #[serde(default)]
    namespace: String,
    name: String,
}

impl Client {
    /// Reads every kind from which facts come, of all namespaces or of one. What cannot be read is
    /// unknown, with the reason. Objects for which `wanted` says so are kept whole.
    pub(crate) async fn survey(
        &self,
        namespace: Option<&str>,
        wanted: &dyn Fn(FactKind, &str, &str) -> bool,
    ) -> Survey {
        let mut survey = Survey { facts: Facts::none(), objects: Vec::new() };
        for info in &FACT_KINDS {
            let known = match self.read_kind(info, namespace, wanted, &mut survey).await {
                Ok(()) => continue,
                Err(ReadError::Refused { message, .. }) => message,
                Err(why) => why.to_string(),
            };
            let why = format!("the {}s: {known}", info.name);
            survey.facts.forget(info.kind, Known::Nothing(&why));
        }
        survey
    }

    async fn read_kind(
        &self,
        info: &FactKindInfo,
        namespace: Option<&str>,
        wanted: &dyn Fn(FactKind, &str, &str) -> bool,
        survey: &mut Survey,
    ) -> Result<(), ReadError> {
        let only = namespace.filter(|_| info.namespaced);
        survey.facts.forget(info.kind, only.map_or(Known::All, Known::Namespace));
        let facts = RefCell::new(&mut survey.facts);
        let read = |object: &RawValue| {
            facts.borrow_mut().insert_live(info.kind, object);
            let Placed { metadata } = serde_json::from_str(object.get()).ok()?;
            let Place { namespace, name } = metadata;
            wanted(info.kind, &namespace, &name).then(|| LiveObject {
                kind: info.kind,
                namespace,
                name,
                json: object.get().to_owned(),
            })
        };
        let listed = self.list_raw(&info.path(namespace), Extent::Whole, read).await?;
        match listed {
            Some(listed) => survey.objects.extend(listed.kept),
            None if info.optional => {}
            None => {
                let why = format!("the {}s, which this cluster does not serve", info.name);
                survey.facts.forget(info.kind, Known::Nothing(&why));
            }
        }
        Ok(())
    }
}
