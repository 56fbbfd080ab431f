use std::collections::BTreeSet;

use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A container's image has no tag, or the tag `latest`, and no digest.
    ///
    /// ## Why
    /// Such a name can mean another image tomorrow. A pod that restarts on another node may run a
    /// newer major version. That version may not read the existing data, or may convert it for good,
    /// while the other members still run the older version.
    ///
    /// ## Way out
    /// Use a full version or a digest. The rule does not know which tags of a registry move, such as
    /// `17`.
    StsImageLatest {
        id: "sts-image-latest",
        title: "an image has no fixed version",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes.io/docs/concepts/containers/images#image-names; kube-linter latest-tag",
    }
}

impl Rule for StsImageLatest {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let floating = || {
            let old = written.old.iter().flat_map(|(_, pod)| pod.all_containers());
            old.map(|(_, _, old)| old).filter(|old| floats(&old.image))
        };
        let names: BTreeSet<&str> = floating().map(|old| old.name.as_str()).collect();
        let images: BTreeSet<&str> = floating().map(|old| old.image.as_str()).collect();
        for (list, index, container) in written.pod.all_containers() {
            let (name, image) = (&container.name, &container.image);
            if !floats(image) || names.contains(name.as_str()) || images.contains(image.as_str()) {
                continue;
            }
            let repository = image.strip_suffix(":latest").unwrap_or(image);
            findings
                .add(
                    template::container(list, index).key("image"),
                    format!("image {image} has no fixed version"),
                )
                .values(None, Some(image))
                .why(
                    "A pod that restarts may run a newer major version, which may not read the existing data.",
                )
                .remedy(vec![remedy::amend_template(
                    change,
                    &format!("use a full version, image: {repository}:<version>"),
                )]);
        }
        Ok(())
    }
}

/// Whether the image has neither a digest nor a tag other than `latest`. A colon before the last
/// slash belongs to the registry's port. No image at all is the API server's business.
fn floats(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or_default();
    !image.is_empty()
        && !image.contains('@')
        && last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

#[cfg(test)]
mod tests {
    use super::floats;

    #[test]
    fn ports_tags_and_digests_are_told_apart() {
        for image in ["postgres", "postgres:latest", "host:5000/img", "host:5000/img:latest"] {
            assert!(floats(image), "{image}");
        }
        for image in ["postgres:17", "host:5000/img:1", "img@sha256:0", "img:latest@sha256:0", ""] {
            assert!(!floats(image), "{image}");
        }
    }
}
