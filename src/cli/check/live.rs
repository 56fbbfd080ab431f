//! The objects of a cluster as the old side of a check, and as facts.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde_json::Value;
use stateward_check::select::Selection;
use stateward_core::facts::{FactKind, Facts};
use stateward_core::yaml::{Document, File, Inputs};

use crate::cli::connection::Connection;
use crate::cluster::{LiveObject, Named};

/// What lives.
pub(super) struct Live {
    /// the objects that the manifests name
    pub(super) selection: Selection,
    pub(super) facts: Facts,
}

/// Reads the cluster. Manifests without a namespace get `namespace`, as `kubectl apply` does it: the
/// one that is asked for, or that of the context.
pub(super) fn read(
    connection: &Connection,
    namespace: Option<&str>,
    new: &mut Selection,
) -> anyhow::Result<Live> {
    crate::cli::runtime()?.block_on(async {
        let client = connection.open().await?;
        // A cluster that cannot be reached must not look like an empty one.
        client.version().await.context("cannot compare with the cluster")?;
        let kube = client.kube();
        let default = namespace.unwrap_or_else(|| kube.default_namespace());
        let namespaced = |one: &&mut Document| {
            let kind = FactKind::of_manifest(&one.api_version, &one.kind);
            one.namespace.is_empty() && kind.is_none_or(|kind| kind.info().namespaced)
        };
        let documents = new.documents.iter_mut().chain(&mut new.facts);
        for document in documents.filter(namespaced) {
            default.clone_into(&mut document.namespace);
        }
        let named: BTreeSet<Named<'_>> = new
            .documents
            .iter()
            .filter_map(|document| {
                let kind = FactKind::of_manifest(&document.api_version, &document.kind)?;
                Some((kind, document.namespace.as_str(), document.name.as_str()))
            })
            .collect();
        let survey = client.survey(namespace, &named).await;
        let files = survey.objects.iter().map(file).collect::<anyhow::Result<_>>()?;
        let mut inputs = Inputs::default();
        inputs.read(files);
        Ok(Live { selection: Selection::from(inputs), facts: survey.facts })
    })
}

/// The object as a file, so that findings can name places in it.
fn file(object: &LiveObject) -> anyhow::Result<File> {
    let LiveObject { kind, namespace, name, json } = object;
    let mut object: Value = serde_json::from_str(json)?;
    if let Some(metadata) = object["metadata"].as_object_mut() {
        // It is long, and no rule reads it of an object that is applied anew.
        metadata.remove("managedFields");
    }
    // The items of a list do not say what they are.
    object["apiVersion"] = kind.info().api_version().into();
    object["kind"] = kind.info().name.into();
    let name = format!("live/{}/{namespace}/{name}.json", kind.info().plural);
    Ok(File { name, bytes: serde_json::to_vec_pretty(&object)? })
}
