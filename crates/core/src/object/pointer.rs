//! JSON pointers (RFC 6901), the one way in which a field is named.

use std::fmt;

use serde::Serialize;

/// The longest pointer that a message names, in bytes.
const NAMED: usize = 1024;

/// Where a field stands in its object, such as `/spec/volumeClaimTemplates/0/spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Pointer(String);

impl Pointer {
    /// The annotation `key` of an object.
    pub fn annotation(key: &str) -> Self {
        Self::from("/metadata/annotations").key(key)
    }

    /// The pointer's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The member `key` of the object pointed at.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.0.push('/');
        if key.contains(['~', '/']) {
            self.0.push_str(&escape(key));
        } else {
            self.0.push_str(key);
        }
        self
    }

    /// The element `index` of the list pointed at.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push('/');
        self.0.push_str(&index.to_string());
        self
    }

    /// The pointer to the parent; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self::from(parent))
    }

    /// The pointer, or the nearest parent of one that is too long to be named: a key can have
    /// megabytes, and a pointer that is cut points to nothing.
    #[must_use]
    pub fn nameable(self) -> Self {
        if self.0.len() <= NAMED {
            return self;
        }
        let parent = (0..=NAMED).rev().find(|at| self.0.as_bytes()[*at] == b'/');
        Self::from(&self.0[..parent.unwrap_or_default()])
    }

    /// The unescaped tokens, from the root on.
    pub fn tokens(&self) -> impl Iterator<Item = String> {
        self.0.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"))
    }

    /// The field in the words of its YAML, as Kubernetes writes it:
    /// `spec.volumeClaimTemplates[0].metadata.labels[app.kubernetes.io/name]`.
    pub fn dotted(&self) -> String {
        let mut text = String::new();
        for token in self.tokens() {
            let index = !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit());
            if index || token.contains(['.', '/']) {
                text.push('[');
                text.push_str(&token);
                text.push(']');
            } else {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&token);
            }
        }
        text
    }
}

impl From<&str> for Pointer {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Pointer {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Escapes one token: `~` first, or the second replacement would be escaped again.
pub fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_reads_back() {
        let pointer = Pointer::from("/metadata/labels").key("a/b~c");
        assert_eq!(pointer.as_str(), "/metadata/labels/a~1b~0c");
        assert_eq!(pointer.tokens().last().as_deref(), Some("a/b~c"));
        assert_eq!(pointer.dotted(), "metadata.labels[a/b~c]");
    }

    #[test]
    fn a_key_of_any_length_is_named_by_its_parent() {
        let labels = Pointer::from("/metadata/labels");
        let key = |length| labels.clone().key(&"k".repeat(length));
        assert_eq!(key(1000).nameable(), key(1000));
        assert_eq!(key(1_000_000).nameable(), labels);
        assert_eq!(key(1_000_000).key("below").nameable(), labels);
        assert_eq!(Pointer::default().key(&"k".repeat(2000)).nameable(), Pointer::default());
    }

    #[test]
    fn indexes_stand_in_brackets() {
        assert_eq!(Pointer::from("/spec/x/0/y").dotted(), "spec.x[0].y");
    }
}
