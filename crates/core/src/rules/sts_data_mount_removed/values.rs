//! Values that a container is given by its working directory, environment and arguments.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::variables::{Variables, comes_from_elsewhere, is_unknown};
use super::named::{self, Meaning};
use crate::object::Pointer;
use crate::object::pod::Container;
use crate::rules::path;

/// A variable, a flag or an argument of its own.
#[derive(Debug)]
pub(super) struct Name {
    /// as people read it
    pub(super) shown: String,
    /// without case and separators; empty for an argument of its own
    pub(super) plain: String,
    pub(super) meaning: Meaning,
}

/// What a value takes of the budget of its pod: a text of three bytes may be one.
const VALUE: usize = 64;

/// A value with its name. A list with commas is several values.
#[derive(Debug)]
pub(super) struct Named<'c> {
    pub(super) name: Rc<Name>,
    /// as written, expanded
    pub(super) text: Cow<'c, str>,
    /// the list that it is a part of
    pub(super) list_text: Option<Rc<str>>,
    /// whether it comes from a `ConfigMap`, a Secret or a field of the pod
    pub(super) from_elsewhere: bool,
    /// the path that it is, if it is one
    pub(super) path: Option<String>,
    /// the field of the container: `workingDir`, `env`, `command` or `args`
    pub(super) list: &'static str,
    pub(super) index: usize,
    /// of two values with one name the greater order counts
    pub(super) order: usize,
}

impl Named<'_> {
    /// Where it stands in its container.
    pub(super) fn field(&self, container: Pointer) -> Pointer {
        match self.list {
            "workingDir" => container.key(self.list),
            "env" => container.key("env").index(self.index).key("value"),
            list => container.key(list).index(self.index),
        }
    }
}

impl Named<'_> {
    /// As written, with the other parts of its list.
    pub(super) fn whole_text(&self) -> &str {
        self.list_text.as_deref().unwrap_or(&self.text)
    }
}

/// Names that may be given several times, each with a folder of its own.
fn repeats(plain: &str) -> bool {
    matches!(plain, "" | "store" | "volumes")
}

/// The values of `container` that count: of a name that is given twice, the last one.
pub(super) fn values<'c>(
    container: &'c Container<'_>,
    variables: &mut Variables<'c>,
) -> Vec<Named<'c>> {
    let image = named::base(container.image.as_str());
    let from = match container.working_dir.as_str() {
        "" => named::working_dir(image),
        folder => Some(folder),
    };
    let rows = named::rows_of(image);
    let mut reader = Reader { variables, rows, from, order: 0, flag: None, found: Vec::new() };
    if !container.working_dir.as_str().is_empty() {
        let text = Cow::Borrowed(container.working_dir.as_str());
        reader.add("workingDir", "", "workingDir", 0, text);
    }
    let variable = container.env.iter().enumerate();
    let last: BTreeMap<&str, usize> = variable.map(|(i, v)| (v.name.as_str(), i)).collect();
    for (index, variable) in container.env.iter().enumerate() {
        let name = variable.name.as_str();
        let is_last = last.get(name) == Some(&index);
        let Some(text) = reader.variables.get(name).filter(|_| is_last).cloned() else { continue };
        if text.starts_with('-') || text.contains(" -") {
            reader.script(&text, "env", index);
        }
        reader.add(name, "", "env", index, text);
    }
    for (list, words) in [("command", &container.command), ("args", &container.args)] {
        for (index, word) in words.iter().enumerate() {
            let text = reader.variables.expand(word.as_str());
            if text.trim().contains(char::is_whitespace) {
                let text = reader.variables.expand_script(&text).into_owned();
                reader.script(&text, list, index);
            } else {
                let may_be_path = list == "args" || index > 0;
                reader.word(&text, list, index, may_be_path);
            }
        }
    }
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for named in &reader.found {
        let order = last.entry(&named.name.plain).or_default();
        *order = named.order.max(*order);
    }
    let counts: Vec<bool> = reader
        .found
        .iter()
        .map(|named| {
            repeats(&named.name.plain) || last.get(&*named.name.plain) == Some(&named.order)
        })
        .collect();
    let mut counts = counts.into_iter();
    reader.found.retain(|_| counts.next().unwrap_or_default());
    reader.found
}

struct Reader<'v, 'c> {
    variables: &'v mut Variables<'c>,
    /// see [`named::rows_of`]
    rows: Vec<usize>,
    /// the working directory
    from: Option<&'c str>,
    order: usize,
    /// the flag before, with its dashes
    flag: Option<(String, &'static str)>,
    found: Vec<Named<'c>>,
}

impl<'c> Reader<'_, 'c> {
    /// The flags in a script of a shell. What else it names is not read, except by images that are
    /// told their data that way.
    fn script(&mut self, script: &str, list: &'static str, index: usize) {
        self.flag = None;
        let data = matches!(named::meaning("", &self.rows), Meaning::Certain(_));
        // A line that ends in a backslash goes on.
        let script = script.replace("\\\n", " ");
        for command in script.split(['\n', ';', '&', '|', '(', ')']) {
            let words = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
            for (at, word) in words.enumerate() {
                // What is only printed or a comment tells nobody a folder.
                if word.starts_with('#') || (at == 0 && matches!(word, "echo" | "printf" | ":")) {
                    break;
                }
                if word == "cd" {
                    self.flag = Some((word.to_owned(), ""));
                } else if !word.is_empty() {
                    self.word(word, list, index, data);
                }
            }
        }
        self.flag = None;
    }

    fn word(&mut self, word: &str, list: &'static str, index: usize, may_be_path: bool) {
        let mut dashes = match word.as_bytes() {
            [b'-', b'-', ..] => "--",
            [b'-', ..] => "-",
            _ => "",
        };
        let name = word.trim_start_matches('-');
        let short = name.char_indices().nth(1).map(|(at, _)| name.split_at(at));
        let (key, value) = if let Some((key, value)) = name.split_once('=') {
            self.flag = None;
            (key.to_owned(), value)
        } else if let Some((key, value)) =
            short.filter(|(_, value)| dashes == "-" && value.starts_with('/'))
        {
            // -D/data
            self.flag = None;
            (key.to_owned(), value)
        } else if !dashes.is_empty() {
            self.flag = Some((name.to_owned(), dashes));
            return;
        } else if let Some((key, before)) = self.flag.take() {
            dashes = before;
            (key, word)
        } else if may_be_path && (word.starts_with('/') || word.contains("://")) {
            (String::new(), word)
        } else {
            return;
        };
        let text = value.trim_matches(['"', '\'']).to_owned();
        self.add(&key, dashes, list, index, Cow::Owned(text));
    }

    fn add(
        &mut self,
        name: &str,
        dashes: &'static str,
        list: &'static str,
        index: usize,
        text: Cow<'c, str>,
    ) {
        self.order += 1;
        let plain = name.strip_prefix(['D', 'E', 'C']).filter(|rest| {
            dashes == "-"
                && rest.contains('.')
                && rest.starts_with(|c: char| c.is_ascii_lowercase())
        });
        // -Dpath.data=/data
        let plain = plain.unwrap_or(name);
        let shown = match name {
            "" => "an argument".to_owned(),
            name => format!("{dashes}{}", path::cut(name)),
        };
        let meaning = named::meaning(plain, &self.rows);
        let name = Rc::new(Name { shown, plain: named::plain(plain), meaning });
        let is_certain = matches!(meaning, Meaning::Certain(_));
        let is_end = |c: char| c == ',' || (is_certain && c.is_whitespace());
        let order = self.order;
        let mut push = |text: Cow<'c, str>, list_text: Option<&Rc<str>>| {
            if self.variables.take(VALUE) {
                let path = self.path(&text, &name);
                let (name, from_elsewhere) = (Rc::clone(&name), comes_from_elsewhere(&text));
                let list_text = list_text.map(Rc::clone);
                self.found.push(Named {
                    name,
                    text,
                    list_text,
                    from_elsewhere,
                    path,
                    list,
                    index,
                    order,
                });
            }
        };
        if !text.contains(is_end) {
            push(text, None);
            return;
        }
        let whole = Rc::<str>::from(&*text);
        for part in text.split(is_end) {
            // path=/data,size=10
            let value = part.rsplit_once('=').filter(|(_, value)| value.starts_with('/'));
            let part = value.map_or(part, |(_, value)| value).trim();
            push(Cow::Owned(part.to_owned()), Some(&whole));
        }
    }

    /// The path that a value names. A relative one is a path only if its name is about data.
    fn path(&mut self, text: &str, name: &Name) -> Option<String> {
        // /bin:/usr/bin is a list.
        if is_unknown(text) || (text.starts_with('/') && text.contains(":/")) {
            return None;
        }
        let is_certain = matches!(name.meaning, Meaning::Certain(_));
        if let Some(path) = absolute(text, is_certain && name.plain.is_empty()) {
            let first = first_of_range(path);
            return Some(path::normal(&first).into_owned());
        }
        let is_relative = match name.meaning {
            Meaning::Certain(_) => !text.is_empty() && !text.contains(':'),
            Meaning::Data | Meaning::Perhaps => text.starts_with("./") || text.starts_with("../"),
            _ => false,
        };
        let from = self.from.filter(|_| is_relative)?;
        let is_left = self.variables.take(from.len() + text.len());
        is_left.then(|| path::normal(&format!("{from}/{text}")).into_owned())
    }
}

/// The absolute path in a value: itself, or in `file:/data`, `sqlite:////data/x.db?mode=rw`. In
/// `http://host/data` it is one only to an image that takes its folders as URLs.
fn absolute(text: &str, takes_urls: bool) -> Option<&str> {
    if text.starts_with('/') {
        return Some(text);
    }
    let (scheme, rest) = text.rsplit_once(':').filter(|(_, rest)| rest.starts_with('/'))?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '+' | '-' | '.');
    if takes_urls && rest.starts_with("//") {
        let host = rest.trim_start_matches('/');
        return host.find('/').map(|at| &host[at..]);
    }
    if !scheme.chars().all(is_scheme) || (rest.starts_with("//") && !rest.starts_with("///")) {
        return None;
    }
    rest.split(['?', ';', '#']).next()
}

/// The first folder of a range such as `/data{1...4}`.
fn first_of_range(path: &str) -> Cow<'_, str> {
    let range = path.split_once('{').and_then(|(before, rest)| {
        let (range, after) = rest.split_once('}')?;
        let (first, _) = range.split_once("...")?;
        Some(format!("{before}{first}{after}"))
    });
    range.map_or(Cow::Borrowed(path), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::variables::BUDGET;

    fn found(container: &str) -> Vec<String> {
        let container: Container<'_> = serde_json::from_str(container).unwrap();
        values(&container, &mut Variables::of(&container, Some(BUDGET)))
            .iter()
            .filter_map(|n| {
                let path = n.path.as_ref()?;
                Some(format!("{} /{path} {}/{}", n.name.shown, n.list, n.index))
            })
            .collect()
    }

    #[test]
    fn every_way_to_name_a_path_is_read() {
        let container = r#"{
            "env": [{"name": "PGDATA", "value": "/data//pg/"}, {"name": "Q", "value": "$(PGDATA)/x"},
                    {"name": "NO", "value": "data"}, {"name": "UNKNOWN", "value": "/$(POD)"},
                    {"name": "URL", "value": "jdbc:h2:file:/h2/x;MODE=y"},
                    {"name": "WEB", "value": "http://host/path"}],
            "command": ["/bin/prometheus", "--storage.tsdb.path=/prom"],
            "args": ["-data-dir", "/a", "-D/b", "--wal=$(Q)", "-c", "data_directory=/c", "server",
                     "/d", "--quiet", "--dirs=/e,/f", "file:/no", "--store=path=/s,size=1", "-Dpath.data=/g"]
        }"#;
        assert_eq!(
            found(container),
            [
                "PGDATA /data/pg env/0",
                "Q /data/pg/x env/1",
                "URL /h2/x env/4",
                "--storage.tsdb.path /prom command/1",
                "-data-dir /a args/1",
                "-D /b args/2",
                "--wal /data/pg/x args/3",
                "data_directory /c args/5",
                "an argument /d args/7",
                "--dirs /e args/9",
                "--dirs /f args/9",
                "--store /s args/11",
                "-Dpath.data /g args/12",
            ]
        );
    }

    #[test]
    fn scripts_are_read_for_their_flags() {
        let script =
            r#"{"command": ["sh", "-c", "rm /x; exec postgres -D '/data/pg' \"--wal=/w\""]}"#;
        assert_eq!(found(script), ["-D /data/pg command/2", "--wal /w command/2"]);
        let script = r#"{"env": [{"name": "DIR", "value": "/d"}, {"name": "OPTS", "value": "-Xmx1g -Dpath.data=/j"}],
            "command": ["sh", "-c", "cd /srv && db --data-dir=$DIR/x \\\n --log-dir ${LOG:-/l}"]}"#;
        assert_eq!(
            found(script),
            [
                "DIR /d env/0",
                "-Dpath.data /j env/1",
                "cd /srv command/2",
                "--data-dir /d/x command/2",
                "--log-dir /l command/2"
            ]
        );
    }

    #[test]
    fn of_two_values_the_last_counts() {
        let twice = r#"{"env": [{"name": "DATA_DIR", "value": "/a"}, {"name": "DATA_DIR", "value": "/b"}],
            "args": ["--data-dir", "/c", "--data-dir=/d", "--store=/e", "--store=/f"]}"#;
        assert_eq!(
            found(twice),
            ["--data-dir /d args/2", "--store /e args/3", "--store /f args/4"]
        );
    }

    #[test]
    fn relative_paths_begin_in_the_working_directory() {
        let container = r#"{"workingDir": "/data", "env": [{"name": "MYSQL_DATABASE", "value": "shop"}],
            "args": ["--data-dir=x/y", "--dir=./z", "--user=me", "--path", "me"]}"#;
        assert_eq!(
            found(container),
            [
                "workingDir /data workingDir/0",
                "--data-dir /data/x/y args/0",
                "--dir /data/z args/1"
            ]
        );
        assert_eq!(
            found(r#"{"image": "prom/prometheus:v2", "args": ["--storage.tsdb.path=data"]}"#),
            ["--storage.tsdb.path /prometheus/data args/0"]
        );
    }

    #[test]
    fn minio_is_told_its_folders_by_arguments() {
        let container = r#"{"image": "minio/minio", "command": ["sh", "-c", "minio server /a"],
            "args": ["http://minio-{0...3}.minio/data{1...4}"], "env": [{"name": "MINIO_VOLUMES", "value": "/v1 /v2"}]}"#;
        assert_eq!(
            found(container),
            [
                "MINIO_VOLUMES /v1 env/0",
                "MINIO_VOLUMES /v2 env/0",
                "an argument /a command/2",
                "an argument /data1 args/0"
            ]
        );
    }
}
