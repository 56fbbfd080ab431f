//! Paths of the API server. A name may come from a review, which anybody can send.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that are escaped in a segment and in a query: all that RFC 3986 does not call
/// unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path of these segments, each of which is escaped.
pub(crate) fn path<const N: usize>(segments: [&str; N]) -> String {
    segments.iter().fold(String::new(), |mut path, segment| {
        path.push('/');
        // These two would change the path without a character that has to be escaped.
        match *segment {
            "." => path.push_str("%2E"),
            ".." => path.push_str("%2E%2E"),
            segment => path.extend(utf8_percent_encode(segment, RESERVED)),
        }
        path
    })
}

/// `path` with a query; keys and values are escaped.
pub(crate) fn with_query<const N: usize>(path: &str, query: [(&str, &str); N]) -> String {
    let mut path = path.to_owned();
    for (key, value) in query {
        path.push(if path.contains('?') { '&' } else { '?' });
        path.extend(utf8_percent_encode(key, RESERVED));
        path.push('=');
        path.extend(utf8_percent_encode(value, RESERVED));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(path(["api", "v1", "namespaces", "shop"]), "/api/v1/namespaces/shop");
        let hostile = "kube-public/events?dryRun=All&x=";
        assert_eq!(
            path(["api", "v1", "namespaces", hostile, "events"]),
            "/api/v1/namespaces/kube-public%2Fevents%3FdryRun%3DAll%26x%3D/events"
        );
        for (name, escaped) in [
            ("..", "%2E%2E"),
            (".", "%2E"),
            ("a#b", "a%23b"),
            ("a%2Fb", "a%252Fb"),
            ("a\\b", "a%5Cb"),
            ("a\r\nHost: b", "a%0D%0AHost%3A%20b"),
            ("ü", "%C3%BC"),
            ("a.b_c~d-e", "a.b_c~d-e"),
        ] {
            assert_eq!(path(["api", name]), format!("/api/{escaped}"));
        }
    }

    #[test]
    fn a_query_is_added_to_what_is_there() {
        let once = with_query("/api", [("labelSelector", "a/b=c")]);
        assert_eq!(once, "/api?labelSelector=a%2Fb%3Dc");
        assert_eq!(with_query(&once, [("limit", "1")]), "/api?labelSelector=a%2Fb%3Dc&limit=1");
    }
}
