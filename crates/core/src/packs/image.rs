//! References to images: registry, path, tag and digest.

/// `registry.example.com:5000/team/postgres:17@sha256:…`, in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageReference<'a> {
    /// `docker.io` where the reference names none
    pub registry: &'a str,
    /// without `library/`, which Docker Hub fills in
    pub path: &'a str,
    /// nothing if it names none
    pub tag: Option<&'a str>,
}

const DOCKER_HUB: &str = "docker.io";

/// Names of registries that are others.
const ALIASES: &[(&str, &str)] = &[
    ("index.docker.io", DOCKER_HUB),
    ("registry-1.docker.io", DOCKER_HUB),
    ("k8s.gcr.io", KUBERNETES),
];

const KUBERNETES: &str = "registry.k8s.io";

/// Registries that serve what others publish: there, an image of another organisation is another image.
const PUBLIC: &[&str] = &[
    DOCKER_HUB,
    "docker.elastic.co",
    "gcr.io",
    "ghcr.io",
    "mcr.microsoft.com",
    "public.ecr.aws",
    "quay.io",
    "registry.gitlab.com",
    KUBERNETES,
];

/// Organisations of Docker Hub that publish the same images in another registry: that, and their name there.
const ALSO_PUBLISHED: &[(&str, &str)] =
    &[("public.ecr.aws", "bitnami/"), ("public.ecr.aws", "hashicorp/")];

impl<'a> ImageReference<'a> {
    /// Reads a reference; `None` for what names no image. A tag is not looked at, because manifests have
    /// variables there: `postgres:${VERSION}`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let name = text.split('@').next().unwrap_or_default();
        let (first, rest) = name.split_once('/').unwrap_or(("", name));
        // As Docker does: what has no dot and no port is a part of the path.
        let names_registry = first.contains(['.', ':']) || first == "localhost";
        let (registry, rest) = if names_registry { (first, rest) } else { (DOCKER_HUB, name) };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        // `https://` names no registry, and neither does `../`.
        let sound = !registry.starts_with('.')
            && !registry.ends_with(':')
            && registry.bytes().all(|byte| byte.is_ascii_graphic());
        if !sound || !path.split('/').all(is_part) || tag.is_some_and(|tag| tag.contains(':')) {
            return None;
        }
        Some(Self { registry: without_alias(registry), path: without_library(path), tag })
    }

    /// The last part of the path.
    pub fn name(&self) -> &'a str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether this is the image `known`, from its own registry or from a mirror of it. A mirror keeps
    /// the path, perhaps below folders of its own. In a public registry, everything below an organisation
    /// is that organisation's: it may keep copies there, in a folder that says so.
    pub fn is(&self, known: &ImageReference<'_>) -> bool {
        if self.registry == known.registry {
            return folder_of(self.path, known.path) == Some("");
        }
        // `registry.example.com/quay.io/coreos/etcd`: the mirror says what it is a copy of.
        if let Some((registry, path)) = self.origin() {
            return registry == known.registry && folder_of(path, known.path) == Some("");
        }
        let Some(folder) = folder_of(self.path, known.path) else { return false };
        let public = PUBLIC.iter().any(|public| public.eq_ignore_ascii_case(self.registry));
        if folder.is_empty() {
            let also = |(at, who): &(&str, &str)| {
                self.registry == *at && self.path.starts_with(who) && known.registry == DOCKER_HUB
            };
            return !public || ALSO_PUBLISHED.iter().any(also);
        }
        let Some(folder) = folder.strip_suffix('/') else { return false };
        // An official image has one word for a name, which others use for images of their own.
        if known.path.contains('/') {
            return true;
        }
        let (above, last) = folder.rsplit_once('/').unwrap_or(("", folder));
        match known.registry {
            DOCKER_HUB => (!public || !above.is_empty()) && names_docker_hub(last),
            KUBERNETES => matches!(last, "google_containers" | "google-containers"),
            _ => false,
        }
    }

    /// The registry and the path that the path names: `quay.io` and `coreos/etcd` of
    /// `mirrors/quay.io/coreos/etcd`.
    fn origin(&self) -> Option<(&'a str, &'a str)> {
        let mut rest = self.path;
        let mut found = None;
        while let Some((part, after)) = rest.split_once('/') {
            let part = if part.contains('.') { without_alias(part) } else { part };
            if part.contains('.') && PUBLIC.contains(&part) {
                found = Some((part, without_library(after)));
            }
            rest = after;
        }
        found
    }
}

/// The folder above an image, with its slash: nothing if the path is the image itself. Bitnami publishes in
/// two organisations of Docker Hub.
fn folder_of<'p>(path: &'p str, image: &str) -> Option<&'p str> {
    path.strip_suffix(image).or_else(|| {
        let name = image.strip_prefix("bitnami/")?;
        path.strip_suffix(name)?.strip_suffix("bitnamisecure/")
    })
}

fn without_alias(registry: &str) -> &str {
    let known = ALIASES.iter().find(|(alias, _)| *alias == registry);
    known.map_or(registry, |(_, registry)| registry)
}

/// Docker Hub fills in `library/`.
fn without_library(path: &str) -> &str {
    path.strip_prefix("library/").unwrap_or(path)
}

/// Whether a path may have this part.
fn is_part(part: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.first().is_some_and(word)
        && bytes.last().is_some_and(word)
        && bytes.iter().all(|byte| word(byte) || matches!(byte, b'.' | b'_' | b'-'))
}

/// Whether a folder of a mirror is named after Docker Hub: `library`, which Docker Hub itself fills in,
/// `dockerhub-proxy`, and what Artifactory proposes.
fn names_docker_hub(folder: &str) -> bool {
    let words = ["dockerhub", "docker-hub", "docker_hub", "docker.hub"];
    matches!(folder, "library" | "docker-remote") || words.iter().any(|word| folder.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (&str, &str, Option<&str>) {
        let ImageReference { registry, path, tag } = ImageReference::parse(text).unwrap();
        (registry, path, tag)
    }

    #[test]
    fn references_are_taken_apart_as_docker_does() {
        assert_eq!(parts("postgres"), ("docker.io", "postgres", None));
        assert_eq!(parts("docker.io/library/postgres:17"), ("docker.io", "postgres", Some("17")));
        assert_eq!(parts("localhost/db:1@sha256:ab"), ("localhost", "db", Some("1")));
        assert_eq!(parts("host:5000/a/b"), ("host:5000", "a/b", None));
        assert_eq!(parts("bitnami/etcd:3.5"), ("docker.io", "bitnami/etcd", Some("3.5")));
        assert_eq!(parts("postgres:${VERSION}"), ("docker.io", "postgres", Some("${VERSION}")));
        assert_eq!(parts("k8s.gcr.io/etcd:3"), ("registry.k8s.io", "etcd", Some("3")));
        let none =
            ["", ":17", "@sha256:ab", "quay.io/", "https://docker.io/postgres", "a//b", "a b"];
        for none in none.into_iter().chain(["Postgres", "../postgres", "postgres/", "postgres:1:2"])
        {
            assert_eq!(ImageReference::parse(none), None, "{none}");
        }
    }

    #[test]
    fn an_image_is_known_on_mirrors_and_not_by_its_last_word() {
        let is = |image: &str, known: &str| {
            ImageReference::parse(image).unwrap().is(&ImageReference::parse(known).unwrap())
        };
        for image in [
            "postgres:17",
            "library/postgres",
            "index.docker.io/library/postgres:17",
            "registry.example.com/postgres:17",
            "registry.example.com/hub/library/postgres",
            "host:5000/library/postgres",
            "public.ecr.aws/docker/library/postgres:17",
        ] {
            assert!(is(image, "docker.io/postgres"), "{image}");
        }
        for image in [
            "supabase/postgres:17",
            "ghcr.io/example/postgres",
            "registry.example.com/team/postgres",
            "postgres-exporter",
            "mypostgres",
            "quay.io/library/postgres",
        ] {
            assert!(!is(image, "docker.io/postgres"), "{image}");
        }
        assert!(is("harbor.example.com/proxy/bitnami/etcd:3", "docker.io/bitnami/etcd"));
        assert!(is("harbor.example.com/coreos/etcd:3", "quay.io/coreos/etcd"));
        assert!(!is("harbor.example.com/mybitnami/etcd:3", "docker.io/bitnami/etcd"));
        assert!(!is("quay.io/bitnami/etcd", "docker.io/bitnami/etcd"));
    }
}
