//! Paths as a container runtime sees them, and which mount a path belongs to.

use std::borrow::Cow;
use std::cmp::Ordering;

/// A path without its leading slash, without `//`, `.`, `..` and a trailing slash; the root is
/// empty. The kubelet roots relative mount paths, and the runtime cleans them in the same way.
pub(in crate::rules) fn normal(path: &str) -> Cow<'_, str> {
    let trimmed = path.strip_prefix('/').unwrap_or(path);
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    let odd = |part: &str| matches!(part, "" | "." | "..");
    if trimmed.is_empty() || !trimmed.split('/').any(odd) {
        return Cow::Borrowed(trimmed);
    }
    let mut parts = Vec::new();
    for part in trimmed.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    Cow::Owned(parts.join("/"))
}

/// What is left of `path` below `folder`; empty if they are the same.
pub(in crate::rules) fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    if folder.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// The order in which a folder stands before everything below it, and nothing else between.
pub(in crate::rules) fn order(left: &str, right: &str) -> Ordering {
    left.split('/').cmp(right.split('/'))
}

/// For each of `paths` the place in `folders` of the one that is nearest above it, or the same.
/// `folders` and `paths` are sorted by [`order`]; of equal folders the last counts, since it is
/// mounted over the others.
///
/// One pass over both: a pod with thousands of nested mounts takes linear time.
pub(in crate::rules) fn nearest(folders: &[&str], paths: &[&str]) -> Vec<Option<usize>> {
    let mut above: Vec<usize> = Vec::new();
    let mut next = 0;
    let covers = |folder: usize, path: &str| below(path, folders[folder]).is_some();
    paths
        .iter()
        .map(|path| {
            while next < folders.len() && order(folders[next], path) != Ordering::Greater {
                while above.last().is_some_and(|last| !covers(*last, folders[next])) {
                    above.pop();
                }
                above.push(next);
                next += 1;
            }
            while above.last().is_some_and(|last| !covers(*last, path)) {
                above.pop();
            }
            above.last().copied()
        })
        .collect()
}

/// A text that fits into a line: names and paths of any length end up in messages.
pub(in crate::rules) fn cut(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        None => clean(text),
        Some((end, _)) => clean(&text[..end]) + "…",
    }
}

/// A text in which what is not known, and what is no character to show, is a `$`.
pub(in crate::rules) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '$' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path_are_equal() {
        for path in
            ["/data/db", "data/db", "/data//db", "/data/db/", "/./data/x/../db", "//data/db/."]
        {
            assert_eq!(normal(path), "data/db", "{path}");
        }
        for root in ["", "/", ".", "//", "./", "/..", "a/.."] {
            assert_eq!(normal(root), "", "{root}");
        }
    }

    #[test]
    fn a_name_that_begins_alike_is_not_below() {
        assert_eq!(below("data/db", "data"), Some("db"));
        assert_eq!(below("data", "data"), Some(""));
        assert_eq!(below("data", ""), Some("data"));
        assert_eq!(below("database", "data"), None);
        assert_eq!(below("data", "data/db"), None);
    }

    #[test]
    fn the_nearest_folder_is_found() {
        let mut folders = ["", "data", "data/db/wal", "data-old", "data/db"];
        folders.sort_unstable_by(|a, b| order(a, b));
        assert_eq!(folders, ["", "data", "data/db", "data/db/wal", "data-old"]);
        let paths = ["a", "data", "data/db/wal/1", "data/db2", "data/x", "data-old/x", "database"];
        let found: Vec<_> =
            nearest(&folders, &paths).into_iter().map(|i| folders[i.unwrap()]).collect();
        assert_eq!(found, ["", "data", "data/db/wal", "data", "data", "data-old", ""]);
        assert_eq!(nearest(&["b"], &["a", "b/c", "c"]), [None, Some(0), None]);
    }

    #[test]
    fn of_equal_folders_the_last_counts() {
        assert_eq!(nearest(&["data", "data"], &["data", "data/db"]), [Some(1), Some(1)]);
    }
}
