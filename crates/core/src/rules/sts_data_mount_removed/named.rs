//! Paths that the environment and the arguments of a container name: `PGDATA`, `--data-dir=/data`.

use std::borrow::Cow;

use super::path;
use super::variables::{Variables, is_unknown};
use crate::object::Pointer;
use crate::object::pod::Container;

/// What names a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key<'c> {
    /// an environment variable
    Variable(&'c str),
    /// a flag, or `key=value`, without its dashes
    Flag(String),
    /// an argument of its own: the how-manieth path
    Argument(usize),
}

/// What people take a key for, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// it says where the data is
    Data,
    /// it may
    Unclear,
    /// logs, caches and the like, which are created again
    Scratch,
}

const DATA: [&str; 6] = ["dbpath", "db", "tsdb", "wal", "home", "persistence"];
const SCRATCH: [&str; 14] = [
    "log", "logs", "logdir", "tmp", "tmpdir", "temp", "cache", "cachedir", "pid", "pidfile",
    "sock", "socket", "run", "lock",
];

impl Key<'_> {
    pub(super) fn meaning(&self) -> Meaning {
        match self {
            Self::Variable(name) => meaning(name),
            Self::Flag(name) if name == "D" => Meaning::Data,
            Self::Flag(name) => meaning(name),
            Self::Argument(_) => Meaning::Unclear,
        }
    }
}

/// The meaning of a name such as `PGDATA`, `storage.tsdb.path`, `/data/tmp`.
pub(super) fn meaning(name: &str) -> Meaning {
    let lower = name.to_ascii_lowercase();
    let mut words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    if words.clone().any(|word| SCRATCH.contains(&word)) {
        Meaning::Scratch
    } else if words.any(is_data) {
        Meaning::Data
    } else {
        Meaning::Unclear
    }
}

fn is_data(word: &str) -> bool {
    DATA.contains(&word) || word.contains("data") || word.contains("storage")
}

/// A value that a container is given.
#[derive(Clone, Debug)]
pub(super) struct Named<'c> {
    pub(super) key: Key<'c>,
    /// the dashes before a flag
    pub(super) dashes: &'static str,
    /// as written, expanded
    pub(super) text: Cow<'c, str>,
    /// the list and the place in it: `env`, `command` or `args`
    pub(super) list: &'static str,
    pub(super) index: usize,
}

impl Named<'_> {
    /// The path, if the value is one that is known.
    pub(super) fn path(&self) -> Option<Cow<'_, str>> {
        let text = self.text.strip_prefix("file:").unwrap_or(&self.text);
        (text.starts_with('/') && !is_unknown(text)).then(|| path::normal(text))
    }

    /// What names it, as written.
    pub(super) fn name(&self) -> String {
        match &self.key {
            Key::Variable(name) => (*name).to_owned(),
            Key::Flag(name) => format!("{}{name}", self.dashes),
            Key::Argument(_) => "an argument".to_owned(),
        }
    }

    /// Where it stands in its container.
    pub(super) fn field(&self, container: Pointer) -> Pointer {
        let entry = container.key(self.list).index(self.index);
        if self.list == "env" { entry.key("value") } else { entry }
    }
}

/// Calls `each` for every value that `container` is given by variables and arguments. A list with
/// commas is several values.
pub(super) fn values<'c>(
    container: &'c Container<'_>,
    variables: &mut Variables<'c>,
    mut each: impl FnMut(Named<'c>),
) {
    for (index, variable) in container.env.iter().enumerate() {
        if let Some(value) = variable.value.as_deref() {
            let text = variables.expand(value);
            let key = Key::Variable(variable.name.as_str());
            split(Named { key, dashes: "", text, list: "env", index }, &mut each);
        }
    }
    let (mut flag, mut paths) = (None, 0);
    let arguments = [("command", &container.command), ("args", &container.args)];
    for (list, index, argument) in arguments
        .into_iter()
        .flat_map(|(list, words)| words.iter().enumerate().map(move |(i, word)| (list, i, word)))
    {
        let text = variables.expand(argument.as_str());
        // A script of a shell: its flags are read, what else it names is not.
        let script = text.trim().contains(char::is_whitespace);
        let words = text.split_whitespace().map(|word| word.trim_matches(['"', '\'', ';']));
        for word in words {
            let mut dashes = dashes_of(word);
            let (key, value) = if let Some((key, value)) = word.split_once('=') {
                flag = None;
                (Key::Flag(key.trim_start_matches('-').to_owned()), value)
            } else if let Some(name) = word.strip_prefix('-') {
                let short = name.char_indices().nth(1).map(|(at, _)| name.split_at(at));
                // -D/data
                let Some((key, value)) = short.filter(|(_, value)| value.starts_with('/')) else {
                    flag = Some((name.trim_start_matches('-').to_owned(), dashes));
                    continue;
                };
                (Key::Flag(key.to_owned()), value)
            } else if let Some((key, before)) = flag.take() {
                dashes = before;
                (Key::Flag(key), word)
            } else if word.starts_with('/') && !script && list == "args" {
                paths += 1;
                (Key::Argument(paths), word)
            } else {
                continue;
            };
            let text = Cow::Owned(value.trim_matches(['"', '\'']).to_owned());
            split(Named { key, dashes, text, list, index }, &mut each);
        }
    }
}

fn dashes_of(word: &str) -> &'static str {
    match word.as_bytes() {
        [b'-', b'-', ..] => "--",
        [b'-', ..] => "-",
        _ => "",
    }
}

fn split<'c>(named: Named<'c>, each: &mut impl FnMut(Named<'c>)) {
    if !named.text.contains(',') {
        return each(named);
    }
    for part in named.text.split(',') {
        each(Named { text: Cow::Owned(part.trim().to_owned()), ..named.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::sts_data_mount_removed::variables::BUDGET;

    fn found(container: &str) -> Vec<String> {
        let container: Container<'_> = serde_json::from_str(container).unwrap();
        let mut found = Vec::new();
        values(&container, &mut Variables::of(&container, BUDGET), |named| {
            if let Some(path) = named.path() {
                found.push(format!("{} /{path} {}/{}", named.name(), named.list, named.index));
            }
        });
        found
    }

    #[test]
    fn every_way_to_name_a_path_is_read() {
        let container = r#"{
            "env": [{"name": "PGDATA", "value": "/data//pg/"}, {"name": "D", "value": "$(PGDATA)/x"},
                    {"name": "NO", "value": "data"}, {"name": "UNKNOWN", "value": "/$(POD)"}],
            "command": ["/bin/prometheus", "--storage.tsdb.path=/prom"],
            "args": ["-data-dir", "/a", "-D/b", "--wal=$(D)", "-c", "data_directory=/c", "server",
                     "/d", "--quiet", "--dirs=/e,/f", "file:/g"]
        }"#;
        assert_eq!(
            found(container),
            [
                "PGDATA /data/pg env/0",
                "D /data/pg/x env/1",
                "--storage.tsdb.path /prom command/1",
                "-data-dir /a args/1",
                "-D /b args/2",
                "--wal /data/pg/x args/3",
                "data_directory /c args/5",
                "an argument /d args/7",
                "--dirs /e args/9",
                "--dirs /f args/9",
            ]
        );
        let script =
            r#"{"command": ["sh", "-c", "rm /x; exec postgres -D '/data/pg' \"--wal=/w\""]}"#;
        assert_eq!(found(script), ["-D /data/pg command/2", "--wal /w command/2"]);
    }

    #[test]
    fn names_say_what_they_are_about() {
        for name in ["PGDATA", "storage.tsdb.path", "dbpath", "JENKINS_HOME", "data-dir", "wal-dir"]
        {
            assert_eq!(meaning(name), Meaning::Data, "{name}");
        }
        for name in ["LOG_DIR", "DATA_LOG_DIR", "pid-file", "/data/tmp", "lost.cache"] {
            assert_eq!(meaning(name), Meaning::Scratch, "{name}");
        }
        for name in ["CATALOG", "config.file", "BACKUP_DIR", ""] {
            assert_eq!(meaning(name), Meaning::Unclear, "{name}");
        }
    }
}
