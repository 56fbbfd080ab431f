use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::json::{self, null_default};
use crate::object::pod::{Container, PodSpec};

declare_rule! {
    /// A container has neither requests nor limits of resources.
    ///
    /// ## Why
    /// The scheduler takes the container for free and may put it on a full node. When memory runs out, the pods
    /// that asked for none are killed and evicted first: a database leaves before anything else.
    ///
    /// The rule looks at `containers`, not at init containers. A LimitRange of the namespace may fill in
    /// defaults, which the manifest does not show.
    ///
    /// ## Way out
    /// Set `resources.requests` for memory and CPU.
    StsNoResources {
        id: "sts-no-resources",
        title: "a container has no resource requests",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction#pod-selection-for-kubelet-eviction",
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resources {
    #[serde(deserialize_with = "null_default")]
    requests: Map<String, Value>,
    #[serde(deserialize_with = "null_default")]
    limits: Map<String, Value>,
}

impl Rule for StsNoResources {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let asks = |container: &Container<'_>| {
            let Some(raw) = container.resources else { return false };
            let read = json::decode::<Option<Resources>>(raw.get(), "");
            // A field of another type is the API server's to refuse.
            read.map_or(true, |read| {
                read.is_some_and(|read| !read.requests.is_empty() || !read.limits.is_empty())
            })
        };
        let free = |pod: &PodSpec<'_>| -> BTreeSet<String> {
            let free = pod.containers.iter().filter(|container| !asks(container));
            free.map(|container| container.name.to_string()).collect()
        };
        let before = written.old.map(|(_, pod)| free(pod)).unwrap_or_default();
        for (index, container) in written.pod.containers.iter().enumerate() {
            let name = container.name.as_str();
            if before.contains(name) || asks(container) {
                continue;
            }
            findings
                .add(
                    template::container("containers", index).key("resources"),
                    format!("container {name} asks for no memory and no CPU"),
                )
                .why("When a node runs out of memory, its pods are killed and evicted first.")
                .remedy(vec![remedy::amend_template(
                    change,
                    &format!("set resources.requests.memory and resources.requests.cpu for {name}"),
                )]);
        }
        Ok(())
    }
}
