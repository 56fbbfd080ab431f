//! Files that a person leaves out: `--exclude` and `.statewardignore`, written like `.gitignore`.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

/// The file whose patterns are left out of every walk.
pub const IGNORE_FILE: &str = ".statewardignore";

/// A pattern that is none.
#[derive(Debug, thiserror::Error)]
#[error("{place}: \"{pattern}\" is not a pattern: {source}")]
pub struct PatternError {
    place: String,
    pattern: String,
    #[source]
    source: globset::Error,
}

/// What a walk leaves out: patterns, each from a folder, and single files.
#[derive(Clone, Debug, Default)]
pub struct Exclude {
    rules: Vec<Rule>,
    files: HashSet<PathBuf>,
}

#[derive(Clone, Debug)]
struct Rule {
    /// absolute
    base: PathBuf,
    matcher: GlobMatcher,
    folders_only: bool,
    /// written with `!`
    keep: bool,
}

impl Exclude {
    /// Adds the lines of an ignore file that lies in `base`. `place` names it in errors.
    ///
    /// # Errors
    /// A line is no pattern.
    pub fn add(&mut self, base: &Path, place: &str, lines: &str) -> Result<(), PatternError> {
        for (number, line) in lines.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (keep, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (true, pattern),
                None => (false, line),
            };
            let folders_only = pattern.ends_with('/');
            let pattern = pattern.trim_end_matches('/');
            // A slash within binds a pattern to the folder of its file.
            let glob = match pattern.strip_prefix('/') {
                Some(bound) => bound.to_owned(),
                None if pattern.contains('/') => pattern.to_owned(),
                None => format!("**/{pattern}"),
            };
            let mut builder = GlobBuilder::new(&glob);
            let builder = builder.literal_separator(true).backslash_escape(true);
            let matcher = builder.build().map_err(|source| PatternError {
                place: format!("{place}:{}", number + 1),
                pattern: line.to_owned(),
                source,
            })?;
            let (base, matcher) = (normal(base), matcher.compile_matcher());
            self.rules.push(Rule { base, matcher, folders_only, keep });
        }
        Ok(())
    }

    /// Adds files and folders by their paths from `here`.
    pub fn add_files(&mut self, here: &Path, files: &[String]) {
        self.files.extend(files.iter().map(|file| normal(&here.join(file))));
    }

    /// Whether a file of the working folder `here` is left out: it matches, or a folder above it
    /// does. The last pattern that matches decides, and nothing comes back out of a folder that is
    /// left out.
    pub fn excludes(&self, here: &Path, file: &str) -> bool {
        if self.rules.is_empty() && self.files.is_empty() {
            return false;
        }
        let file = normal(&here.join(file));
        if file.ancestors().any(|path| self.files.contains(path)) {
            return true;
        }
        let mut above: Vec<&Path> = file.ancestors().collect();
        above.reverse();
        above.into_iter().any(|path| {
            let is_folder = path != file;
            let deciding = self.rules.iter().rev().find(|rule| {
                let inside = path.strip_prefix(&rule.base);
                (is_folder || !rule.folders_only)
                    && inside.is_ok_and(|inside| rule.matcher.is_match(inside))
            });
            deciding.is_some_and(|rule| !rule.keep)
        })
    }
}

/// A path without `.` and `..`, whatever links are on the way.
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            component => normal.push(component),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_an_ignore_file_of_git() {
        let mut exclude = Exclude::default();
        let lines = "# a comment\n\n*.j2.yaml\n/top.yaml\nvendor/\ncharts/*/ci\na/**/z.yaml\n\
                     *.tmp.yaml\n!keep.tmp.yaml\n";
        exclude.add(Path::new("/repo"), "f", lines).unwrap();
        let here = Path::new("/repo/deploy");
        for (file, excluded) in [
            ("db.yaml", false),
            ("db.j2.yaml", true),
            ("x/y/db.j2.yaml", true),
            ("../top.yaml", true),
            ("top.yaml", false),
            ("vendor/a/b.yaml", true),
            ("../vendor/b.yaml", true),
            ("vendor", false),
            ("../charts/db/ci/values.yaml", true),
            ("charts/db/ci/values.yaml", false),
            ("../a/z.yaml", true),
            ("../a/b/c/z.yaml", true),
            ("x.tmp.yaml", true),
            ("keep.tmp.yaml", false),
            ("vendor/keep.tmp.yaml", true),
            ("/elsewhere/x.tmp.yaml", false),
        ] {
            assert_eq!(exclude.excludes(here, file), excluded, "{file}");
        }
    }

    #[test]
    fn a_bad_pattern_is_named_with_its_line() {
        let error = Exclude::default().add(Path::new("/"), "f", "ok\na[\n").unwrap_err();
        assert!(error.to_string().starts_with("f:2: \"a[\" is not a pattern: "), "{error}");
    }
}
