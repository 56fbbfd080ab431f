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
}
