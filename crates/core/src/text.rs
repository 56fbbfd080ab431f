//! Texts of tenants in messages: an object can hold one of megabytes, and a message quotes it for
//! each finding.

/// The longest name of an object or a namespace, in bytes. Kubernetes allows 253.
pub const NAME: usize = 256;

/// `text`, or its beginning with "…" after it, in at most `most` bytes.
pub fn cut(text: impl Into<String>, most: usize) -> String {
    let text = text.into();
    if text.len() <= most {
        return text;
    }
    let room = most.saturating_sub("…".len());
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end));
    // A new string: the old one would keep its memory.
    format!("{}…", &text[..end.unwrap_or_default()])
}

/// Names in words: `a, b and c`, or the first and the number of the others.
pub fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    let (shown, more) = names.split_at(names.len().min(SHOWN));
    match (shown, more.len()) {
        (shown, 1..) => format!("{} and {} more", shown.join(", "), more.len()),
        ([rest @ .., last], 0) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        (shown, _) => shown.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_once() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abc…");
        assert_eq!(cut("äöüäöü", 8), "äö…");
        assert_eq!(cut(cut("a".repeat(1000), 10), 10), cut("a".repeat(1000), 10));
        assert!(cut("a".repeat(1_000_000), 10).capacity() < 100);
    }

    #[test]
    fn many_names_are_counted() {
        assert_eq!(listed(&["a"]), "a");
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
        assert_eq!(listed(&["a", "b", "c", "d"]), "a, b, c and 1 more");
    }
}
