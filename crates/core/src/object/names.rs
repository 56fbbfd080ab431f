//! The forms of names and labels that the API server accepts.

/// A DNS label of at most 63 characters: names of sets, containers, volumes and namespaces.
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_label_of_any_length(text)
}

/// DNS labels joined by dots, at most 253 characters: names of claims and classes.
pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label_of_any_length)
}

/// A key of a label or an annotation: a name with an optional `prefix/`.
pub fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    prefix.is_none_or(is_dns_subdomain) && !name.is_empty() && is_label_value(name)
}

/// A value of a label; empty is legal.
pub fn is_label_value(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    text.is_empty() || text.len() <= 63 && text.bytes().all(inner) && has_plain_ends(text)
}

/// A name of a port: at most 15 lower-case characters with a letter among them.
pub fn is_port_name(text: &str) -> bool {
    text.len() <= 15
        && is_label_of_any_length(text)
        && text.bytes().any(|b| b.is_ascii_lowercase())
        && !text.contains("--")
}

fn is_label_of_any_length(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.bytes().all(inner) && has_plain_ends(text)
}

fn has_plain_ends(text: &str) -> bool {
    let plain = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    plain(text.as_bytes().first()) && plain(text.as_bytes().last())
}

/// Which template and ordinal a claim's name stands for in the set `set`.
///
/// Names are computed and compared, never matched by prefix: `data-a` of set `b` and `data` of set
/// `a-b` differ in no other way.
pub fn claim_of<'t>(
    name: &str,
    set: &str,
    templates: impl IntoIterator<Item = &'t str>,
) -> Option<(&'t str, u32)> {
    let (template, ordinal) = claim_parts(name, set)?;
    templates.into_iter().find(|one| *one == template).map(|template| (template, ordinal))
}

/// The name of the template and the ordinal, if this is the name of a claim of the set `set`.
pub fn claim_parts<'n>(name: &'n str, set: &str) -> Option<(&'n str, u32)> {
    let (pod, ordinal) = stem_and_ordinal(name)?;
    let template = pod.strip_suffix(set)?.strip_suffix('-')?;
    (!template.is_empty()).then_some((template, ordinal))
}

/// Whether this is the name of a pod of the set `set`.
pub fn is_pod_of(name: &str, set: &str) -> bool {
    pod_ordinal(name, set).is_some()
}

/// The ordinal, if this is the name of a pod of the set `set`.
pub fn pod_ordinal(name: &str, set: &str) -> Option<u32> {
    stem_and_ordinal(name).filter(|(stem, _)| *stem == set).map(|(_, ordinal)| ordinal)
}

/// The name without its ordinal, and the ordinal, written as Kubernetes writes it.
pub fn stem_and_ordinal(name: &str) -> Option<(&str, u32)> {
    let (stem, ordinal) = name.rsplit_once('-')?;
    let canonical = ordinal == "0" || !ordinal.starts_with('0');
    let digits = ordinal.bytes().all(|byte| byte.is_ascii_digit());
    Some((stem, ordinal.parse().ok().filter(|_| canonical && digits)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_plain_ends_and_63_characters() {
        assert!(is_dns_label("db-0") && is_dns_label(&"a".repeat(63)));
        for wrong in ["", "-db", "db-", "Db", "a.b", "a_b", &"a".repeat(64)] {
            assert!(!is_dns_label(wrong), "{wrong}");
        }
    }

    #[test]
    fn subdomains_are_labels_with_dots() {
        assert!(is_dns_subdomain("fast.example.com") && is_dns_subdomain(&"a".repeat(100)));
        for wrong in ["", ".", "a..b", "a.-b", "A", &"a".repeat(254)] {
            assert!(!is_dns_subdomain(wrong), "{wrong}");
        }
    }

    #[test]
    fn keys_have_one_prefix_at_most() {
        assert!(is_qualified_name("app.kubernetes.io/name") && is_qualified_name("A_b.c"));
        for wrong in ["", "/a", "a/", "a/b/c", "A/b", "a b"] {
            assert!(!is_qualified_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn label_values_may_be_empty() {
        assert!(is_label_value("") && is_label_value("1.2_3-X"));
        for wrong in ["-a", "a/b", "a b", &"a".repeat(64)] {
            assert!(!is_label_value(wrong), "{wrong}");
        }
    }

    #[test]
    fn port_names_hold_a_letter() {
        assert!(is_port_name("http-2"));
        for wrong in ["", "80", "a--b", "Http", "sixteen-letters-x"] {
            assert!(!is_port_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn colliding_prefixes_are_told_apart() {
        assert_eq!(claim_of("data-a-b-0", "b", ["data", "data-a"]), Some(("data-a", 0)));
        assert_eq!(claim_of("data-a-b-0", "a-b", ["data"]), Some(("data", 0)));
        assert_eq!(claim_of("data-a-b-0", "a", ["data"]), None);
        assert_eq!(claim_of("data-db-12", "db", ["data"]), Some(("data", 12)));
    }

    #[test]
    fn a_pod_has_the_name_of_its_set_and_an_ordinal() {
        assert_eq!(pod_ordinal("db-12", "db"), Some(12));
        assert_eq!(pod_ordinal("a-b-0", "a-b"), Some(0));
        for name in ["db", "db-", "db-01", "db-+1", "db-x", "mydb-0", "data-db-0"] {
            assert_eq!(pod_ordinal(name, "db"), None, "{name}");
        }
    }

    #[test]
    fn names_that_no_set_computes_belong_to_none() {
        for name in ["data-db", "data-db-", "data-db-01", "data-db-+1", "data-db-x", "datadb-0"] {
            assert_eq!(claim_of(name, "db", ["data"]), None, "{name}");
        }
    }
}
