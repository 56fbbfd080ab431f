//! A walk over the bytes of a JSON document that decodes nothing nobody asks for.
//!
//! Decoding a review level by level with serde walks most bytes three times: as a part of the
//! request, of the object, and of its spec. This walk passes over each byte once and keeps where
//! members begin and end; where the old object has the same bytes as the new one, it passes over
//! them by one comparison. It gives up (`None`) on whatever is not plain: serde then says what it
//! is, or what is wrong with it.

use super::Raw;

/// Deeper documents are left to serde.
const DEPTH: u32 = 128;
/// Objects with more members are left to serde, since each key is compared with the others.
const MEMBERS: usize = 64;
/// An element of a list is compared with this many.
const COMPARED: usize = 16;

/// A place in a document.
#[derive(Debug)]
pub struct Walk<'a> {
    text: &'a str,
    at: usize,
}

/// The members of one object, each value as it stands in the document.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    text: &'a str,
    list: Vec<(&'a str, &'a str)>,
}

impl<'a> Members<'a> {
    /// The members of the object that begins here. Values that are the same bytes as those of
    /// `like` are not walked.
    pub fn read(walk: &mut Walk<'a>, like: Option<&Self>) -> Option<Self> {
        if let Some(like) = like
            && walk.passes(like.text)
        {
            return Some(like.clone());
        }
        let mut members = Self::begin(walk)?;
        while let Some(key) = members.key(walk)? {
            let value = walk.value_like(like.and_then(|like| like.get(key)))?;
            members.list.push((key, value));
        }
        Some(members)
    }

    /// Enters the object that begins here; its members are still to come.
    pub fn begin(walk: &mut Walk<'a>) -> Option<Self> {
        walk.blank();
        let text = &walk.text[walk.at..];
        walk.expect(b'{')?;
        Some(Self { text, list: Vec::with_capacity(16) })
    }

    /// The next key; `Some(None)` at the end of the object. A key that stands there twice is not
    /// plain.
    pub fn key(&mut self, walk: &mut Walk<'a>) -> Option<Option<&'a str>> {
        if walk.peek()? == b'}' {
            walk.at += 1;
            self.text = &self.text[..self.text.len() - (walk.text.len() - walk.at)];
            return Some(None);
        }
        if !self.list.is_empty() {
            walk.expect(b',')?;
        }
        walk.expect(b'"')?;
        let start = walk.at;
        walk.at = string(walk.text.as_bytes(), start)?;
        let key = &walk.text[start..walk.at - 1];
        walk.expect(b':')?;
        let plain = !key.contains('\\') && self.list.len() < MEMBERS && self.get(key).is_none();
        plain.then_some(Some(key))
    }

    /// Keeps a member.
    pub fn push(&mut self, key: &'a str, value: &'a str) {
        self.list.push((key, value));
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.list.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }

    /// The value of `key`, unless that is `null`.
    pub fn raw(&self, key: &str) -> Option<Raw<'a>> {
        self.get(key).filter(|value| *value != "null").map(Raw)
    }

    /// The members in the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.list.iter().copied()
    }

    /// The whole object.
    pub fn text(&self) -> &'a str {
        self.text
    }
}

impl<'a> Walk<'a> {
    /// At the beginning of `text`.
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not blank.
    pub fn peek(&mut self) -> Option<u8> {
        self.blank();
        self.text.as_bytes().get(self.at).copied()
    }

    /// The value that begins here.
    pub fn value(&mut self) -> Option<&'a str> {
        self.blank();
        let start = self.at;
        self.at = value(self.text.as_bytes(), start)?;
        Some(&self.text[start..self.at])
    }

    /// The value that begins here; where that is `like`, by comparing alone.
    pub fn value_like(&mut self, like: Option<&'a str>) -> Option<&'a str> {
        match like {
            Some(like) if self.passes(like) => Some(like),
            _ => self.value(),
        }
    }

    /// The elements of the list that begins here, and the whole of it. Elements that are the same
    /// bytes as those of `like` are not walked.
    pub fn list_like(&mut self, like: &[&'a str]) -> Option<(Vec<&'a str>, &'a str)> {
        self.blank();
        let start = self.at;
        self.expect(b'[')?;
        let mut list = Vec::with_capacity(like.len() + 1);
        while self.peek()? != b']' {
            if !list.is_empty() {
                self.expect(b',')?;
            }
            let same = like.iter().take(COMPARED).find(|like| self.passes(like));
            list.push(match same {
                Some(same) => same,
                None => self.value()?,
            });
        }
        self.at += 1;
        Some((list, &self.text[start..self.at]))
    }

    /// Whether nothing but blanks is left.
    pub fn is_done(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Passes over `like` where the document goes on with it. Only a value that says itself where
    /// it ends can be known by its first bytes.
    fn passes(&mut self, like: &str) -> bool {
        self.blank();
        let passes = like.starts_with(['{', '[', '"'])
            && self.text.as_bytes()[self.at..].starts_with(like.as_bytes());
        if passes {
            self.at += like.len();
        }
        passes
    }

    fn blank(&mut self) {
        self.at = blank(self.text.as_bytes(), self.at);
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }
}

fn blank(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The end of the value that begins at `at`.
fn value(bytes: &[u8], mut at: usize) -> Option<usize> {
    // The containers around `at`, the innermost in the lowest bit: 1 for an object.
    let (mut objects, mut depth) = (0_u128, 0);
    loop {
        at = blank(bytes, at);
        let first = *bytes.get(at)?;
        at = match first {
            b'"' => string(bytes, at + 1)?,
            b'{' | b'[' => {
                at = blank(bytes, at + 1);
                // `]` and `}` each stand two after the bracket that they close.
                if *bytes.get(at)? != first + 2 {
                    if depth == DEPTH {
                        return None;
                    }
                    depth += 1;
                    objects = objects << 1 | u128::from(first == b'{');
                    if first == b'{' {
                        at = key(bytes, at)?;
                    }
                    continue;
                }
                at + 1
            }
            b't' => word(bytes, at, b"true")?,
            b'f' => word(bytes, at, b"false")?,
            b'n' => word(bytes, at, b"null")?,
            _ => number(bytes, at)?,
        };
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = blank(bytes, at);
            match (*bytes.get(at)?, objects & 1) {
                (b',', 0) => {
                    at += 1;
                    break;
                }
                (b',', _) => {
                    at = key(bytes, blank(bytes, at + 1))?;
                    break;
                }
                (b']', 0) | (b'}', 1) => {
                    at += 1;
                    objects >>= 1;
                    depth -= 1;
                }
                _ => return None,
            }
        }
    }
}

/// The place after the key at `at` and its colon.
fn key(bytes: &[u8], at: usize) -> Option<usize> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    let at = blank(bytes, string(bytes, at + 1)?);
    (*bytes.get(at)? == b':').then_some(at + 1)
}

fn word(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    bytes[at..].starts_with(word).then_some(at + word.len())
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = |from: usize| {
        let count = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let whole = at + usize::from(bytes[at] == b'-');
    let mut end = if bytes.get(whole) == Some(&b'0') { whole + 1 } else { digits(whole)? };
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(end) {
        end += 1;
        end = digits(end + usize::from(matches!(bytes.get(end), Some(b'+' | b'-'))))?;
    }
    Some(end)
}

/// The place after the string whose text begins at `at`.
fn string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let Some(eight) = bytes.get(at..)?.first_chunk::<8>() else {
            // So close to the end of the document there are few bytes left.
            match *bytes.get(at)? {
                b'"' => return Some(at + 1),
                b'\\' => at += escape(bytes, at)?,
                0..0x20 => return None,
                _ => at += 1,
            }
            continue;
        };
        let mut specials = specials(u64::from_le_bytes(*eight));
        let mut next = at + 8;
        while specials != 0 {
            let place = specials.trailing_zeros() / 8;
            let here = at + place as usize;
            match bytes[here] {
                b'"' => return Some(here + 1),
                b'\\' => {
                    let length = escape(bytes, here)?;
                    next = next.max(here + length);
                    // What the escape covers is passed: most often a quote.
                    let passed = 8 * (place + length as u32);
                    specials &= u64::MAX.checked_shl(passed).unwrap_or(0);
                }
                _ => return None,
            }
        }
        at = next;
    }
}

/// The length of the escape at `at`.
fn escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' if bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => Some(6),
        _ => None,
    }
}

/// The highest bit of each byte that is a quote, a backslash or a control character.
fn specials(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const LOW: u64 = ONES * 0x7f;
    // The highest bit of each byte that is not zero; no byte carries into the next.
    let filled = |word: u64| ((word & LOW) + LOW) | word;
    let quote = filled(word ^ (ONES * u64::from(b'"')));
    let backslash = filled(word ^ (ONES * u64::from(b'\\')));
    let control = filled(word & (ONES * 0xe0));
    !(quote & backslash & control) & !LOW
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    /// The whole document as one value.
    fn whole(text: &str) -> Option<&str> {
        let mut walk = Walk::new(text);
        walk.value().filter(|_| walk.is_done())
    }

    fn agrees(text: &str) {
        let serde = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get);
        assert_eq!(whole(text), serde, "{text:?}");
    }

    #[test]
    fn takes_what_serde_takes() {
        for text in [
            "",
            " ",
            "{}",
            " [ ] ",
            "{,}",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":{\"b\":[1,{},[]]}}",
            "[[]",
            "[]]",
            "{]",
            "[}",
            "0",
            "-0",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1.5",
            "1e5",
            "1E+05",
            "1e",
            "1e+",
            "1e400",
            "1.5e-3",
            "tru",
            "true",
            "truee",
            "null",
            "nul",
            "false",
            "True",
            "\"",
            "\"a",
            "\"\\",
            "\"\\\"",
            "\"\\\"\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "\"\\u00e9\"",
            "\"a\nb\"",
            "\"\u{7f}é\u{0}\"",
            "\"€#\\\\\"",
            "\"12345678\"",
            "\"1234567\\\\\"",
            "\u{a0}1",
            "1 2",
            "{\"a\":1}x",
        ] {
            agrees(text);
        }
    }

    #[test]
    fn leaves_depth_to_serde() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(whole(&nested(129)).is_some());
        assert!(whole(&nested(130)).is_none());
        assert!(whole(&nested(100_000)).is_none());
    }

    #[test]
    fn members_are_plain_or_not_at_all() {
        let read = |text| {
            let mut walk = Walk::new(text);
            Members::read(&mut walk, None)
        };
        let members = read(r#" { "a" : 1 , "b" : {"c":[]} } , "#).unwrap();
        assert_eq!(members.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "{\"c\":[]}")]);
        assert_eq!(members.text(), r#"{ "a" : 1 , "b" : {"c":[]} }"#);
        assert_eq!(members.get("c"), None);
        for text in [r#"{"a":1,"a":2}"#, r#"{"\u0061":1}"#, "[]", r#"{"a":1 "b":2}"#, r#"{"a":1,}"#]
        {
            assert!(read(text).is_none(), "{text}");
        }
        let many = |count: usize| {
            let list: Vec<String> = (0..count).map(|n| format!("\"{n}\":0")).collect();
            format!("{{{}}}", list.join(","))
        };
        assert!(Members::read(&mut Walk::new(&many(MEMBERS)), None).is_some());
        assert!(Members::read(&mut Walk::new(&many(MEMBERS + 1)), None).is_none());
    }

    #[test]
    fn the_same_bytes_are_the_same_value() {
        let like =
            |text: &str, like: &str| Walk::new(text).value_like(Some(like)).map(str::to_owned);
        assert_eq!(like(r#"{"a":1},2"#, r#"{"a":1}"#).as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(like(r#""ab","#, r#""a""#).as_deref(), Some(r#""ab""#));
        // A number does not say where it ends.
        assert_eq!(like("12,", "1").as_deref(), Some("12"));
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
            any::<bool>().prop_map(serde_json::Value::from),
            Just(serde_json::Value::Null),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
        .prop_map(|value| value.to_string())
    }

    proptest! {
        #[test]
        fn takes_what_serde_takes_of_anything(text in json(), cuts in cuts()) {
            agrees(&text);
            agrees(&cut(&text, &cuts));
        }
    }

    /// Places, and what is put there instead of one character.
    fn cuts() -> impl Strategy<Value = Vec<(usize, String)>> {
        prop::collection::vec((any::<usize>(), r#"[{}\[\],:"\\ 0-9etu\x00\x1f]{0,2}"#), 1..3)
    }

    fn cut(text: &str, cuts: &[(usize, String)]) -> String {
        let mut text: Vec<char> = text.chars().collect();
        for (at, instead) in cuts {
            let at = at % (text.len() + 1);
            let end = (at + 1).min(text.len());
            text.splice(at..end, instead.chars());
        }
        text.into_iter().collect()
    }
}
