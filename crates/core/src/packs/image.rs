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

/// Registries that serve what others publish: there, an image of another organisation is another image.
const PUBLIC: &[&str] = &[
    DOCKER_HUB,
    "docker.elastic.co",
    "gcr.io",
    "ghcr.io",
    "mcr.microsoft.com",
    "public.ecr.aws",
    "quay.io",
    "registry.k8s.io",
];

impl<'a> ImageReference<'a> {
    /// Reads a reference; `None` for what names no image.
    pub fn parse(text: &'a str) -> Option<Self> {
        let name = text.split('@').next().unwrap_or_default();
        let (first, rest) = name.split_once('/').unwrap_or(("", name));
        // As Docker does: what has no dot and no port is a part of the path.
        let names_registry = first.contains(['.', ':']) || first == "localhost";
        let (registry, rest) = if names_registry { (first, rest) } else { (DOCKER_HUB, name) };
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
            other => other,
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        let path = path.strip_prefix("library/").unwrap_or(path);
        (!path.is_empty()).then_some(Self { registry, path, tag })
    }

    /// The last part of the path.
    pub fn name(&self) -> &'a str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether this is the image `known`, from its own registry or from a mirror of it. A mirror keeps
    /// the path, perhaps below folders of its own. A public registry is no mirror, unless it says so:
    /// `public.ecr.aws/docker/library/postgres`.
    pub fn is(&self, known: &ImageReference<'_>) -> bool {
        if self.registry == known.registry {
            return self.path == known.path;
        }
        let official = known.registry == DOCKER_HUB && !known.path.contains('/');
        if PUBLIC.contains(&self.registry) {
            let copied = format!("docker/library/{}", known.path);
            return official && self.registry == "public.ecr.aws" && self.path == copied;
        }
        if official {
            // `registry.example.com/postgres`, or `…/library/postgres` below folders of its own.
            return self.path == known.path
                || self
                    .path
                    .strip_suffix(known.path)
                    .is_some_and(|folder| folder.ends_with("/library/"));
        }
        self.path
            .strip_suffix(known.path)
            .is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
    }
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
        for none in ["", ":17", "@sha256:ab", "quay.io/"] {
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
