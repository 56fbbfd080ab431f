//! Names of variables, flags and folders, and what they say about data: `PGDATA`, `--data-dir`.

use super::data_folders::{ANY, DATA_FOLDERS};
use crate::object::pod::Container;

/// What people take a name for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// it names the data folder; the place of its row in [`DATA_FOLDERS`]
    Certain(usize),
    /// it contains a word for data
    Data,
    /// it names a folder that holds the data of some programs
    Perhaps,
    /// it says nothing about data
    Unclear,
    /// logs, caches, configuration and the like, which do not have to last, and addresses
    Scratch,
}

/// Names that are about data in some programs and not in others.
const PERHAPS: &[&str] = &[
    "D",
    "basedir",
    "basepath",
    "cd",
    "d",
    "dir",
    "directory",
    "folder",
    "h",
    "path",
    "prefix",
    "root",
    "rootdir",
    "rootpath",
    "s",
    "statedir",
    "store",
    "volumes",
    "workdir",
    "workingdir",
    "workspace",
];

/// Words for data.
const DATA: &[&str] = &["db", "dbpath", "persistence", "tsdb", "wal"];

/// Words for addresses, which only look like paths.
const ADDRESSES: &[&str] = &["endpoint", "host", "href", "link", "route", "uri", "url", "urls"];

/// Words for what does not have to last.
const SCRATCH: &[&str] = &[
    "cache",
    "cachedir",
    "cert",
    "certs",
    "conf",
    "config",
    "configuration",
    "etc",
    "initdb",
    "lock",
    "log",
    "logdir",
    "logfile",
    "logpath",
    "logs",
    "pid",
    "pidfile",
    "plugin",
    "plugins",
    "run",
    "script",
    "scripts",
    "secret",
    "secrets",
    "sock",
    "socket",
    "ssl",
    "temp",
    "tls",
    "tmp",
    "tmpdir",
];

/// Containers that look after the data of others, by a word of their name or image.
const HELPERS: &[&str] = &[
    "alloy",
    "backup",
    "backups",
    "exporter",
    "filebeat",
    "fluent",
    "fluentbit",
    "fluentd",
    "log",
    "logrotate",
    "logs",
    "metrics",
    "pgbackrest",
    "promtail",
    "rclone",
    "reloader",
    "restic",
    "rsync",
    "shipper",
    "telegraf",
    "vector",
    "velero",
    "walg",
    "xtrabackup",
];

/// The rows of [`DATA_FOLDERS`] whose flags count for `image`. It may have a long name, and many
/// values: it is looked at once.
pub(super) fn rows_of(image: &str) -> Vec<usize> {
    let rows = DATA_FOLDERS.iter().enumerate();
    rows.filter(|(_, row)| is_image(image, row.images)).map(|(index, _)| index).collect()
}

/// The meaning of a name such as `PGDATA`, `storage.tsdb.path` or `/data/tmp` to an image with
/// these [rows](rows_of).
pub(super) fn meaning(name: &str, rows: &[usize]) -> Meaning {
    let words = words(name);
    let ends: Vec<String> = (0..words.len()).map(|from| words[from..].concat()).collect();
    let whole = plain(name);
    let whole = whole.as_str();
    let certain = DATA_FOLDERS.iter().enumerate().find(|(index, row)| {
        ends.iter().any(|end| row.names.contains(&end.as_str()))
            || (row.flags.contains(&whole) && rows.contains(index))
    });
    if let Some((row, _)) = certain {
        return Meaning::Certain(row);
    }
    let is_data = |word: &String| {
        DATA.contains(&&**word) || word.contains("data") || word.contains("storage")
    };
    if words.iter().any(|word| SCRATCH.contains(&&**word)) {
        Meaning::Scratch
    } else if PERHAPS.contains(&whole) {
        Meaning::Perhaps
    } else if words.iter().any(is_data) {
        Meaning::Data
    } else if words.iter().any(|word| ADDRESSES.contains(&&**word)) {
        Meaning::Scratch
    } else {
        Meaning::Unclear
    }
}

/// Whether a row lists names of many programs: two of them may be two folders.
pub(super) fn is_of_any(row: usize) -> bool {
    DATA_FOLDERS.get(row).is_some_and(|row| row.names == ANY)
}

/// A name without case and separators, by which `data-dir` and `DATA_DIR` are the same. Flags of one
/// letter keep their case: `-D` and `-d` differ.
pub(super) fn plain(name: &str) -> String {
    if name.len() == 1 {
        return name.to_owned();
    }
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// The last words of a name in lower case: `storageDataPath` has three. Nobody's name has more
/// than eight that matter.
fn words(name: &str) -> Vec<String> {
    const MOST: usize = 8;
    if name.len() == 1 {
        return vec![name.to_owned()];
    }
    let mut words: Vec<String> = Vec::new();
    let from = name.char_indices().rev().nth(127).map_or(0, |(at, _)| at);
    let mut before = ' ';
    for c in name[from..].chars() {
        let is_first = !before.is_ascii_alphanumeric();
        let is_hump = before.is_ascii_lowercase() && c.is_ascii_uppercase();
        before = c;
        if !c.is_ascii_alphanumeric() {
            continue;
        }
        if is_first || is_hump {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.split_off(words.len().saturating_sub(MOST))
}

/// An image without tag and digest: `registry:5000/library/postgres`.
pub(super) fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

/// The last part of the repository, which a mirror keeps: `postgres`.
pub(super) fn base(image: &str) -> &str {
    let repository = repository(image);
    repository.rsplit_once('/').map_or(repository, |(_, base)| base)
}

/// Whether the image is one of `images`, or made from one: `postgres-ha`.
fn is_image(image: &str, images: &[&str]) -> bool {
    images.iter().any(|known| image.contains(known)) && !is_helper_name(image)
}

fn is_helper_name(name: &str) -> bool {
    // wal-g is one word to people.
    let words = words(name);
    words.iter().any(|word| HELPERS.contains(&word.as_str()))
        || words.windows(2).any(|pair| HELPERS.contains(&pair.concat().as_str()))
}

/// Whether a container looks after the data of others: an exporter, a log shipper, a backup. The
/// name alone does not say so of a database.
pub(super) fn is_helper(name: &str, image: &str, has_command: bool) -> bool {
    is_helper_name(image) || (is_helper_name(name) && (has_command || !is_data_image(image)))
}

/// Whether the image of this reference is known to keep data.
pub(in crate::rules) fn keeps_data_by_name(reference: &str) -> bool {
    let image = base(reference);
    is_data_image(image) && !is_helper_name(image)
}

/// Whether an image is known to keep data.
pub(super) fn is_data_image(image: &str) -> bool {
    DATA_FOLDERS.iter().any(|row| row.defaults.iter().any(|(known, _)| image.contains(known)))
}

/// The default folders of all images in a row.
pub(super) fn defaults(row: usize) -> impl Iterator<Item = &'static str> {
    let row = DATA_FOLDERS.get(row).into_iter();
    row.flat_map(|row| row.defaults.iter().chain(row.defaults_with_arguments))
        .map(|(_, folder)| *folder)
}

/// Whether a container takes this folder of a row if nothing is named.
pub(super) fn is_default(row: usize, folder: &str, container: &Container<'_>) -> bool {
    let Some(row) = DATA_FOLDERS.get(row) else { return false };
    let repository = repository(container.image.as_str());
    let publisher = Publisher::of(repository);
    let image = base(repository);
    let lists = |list: &[(&str, &str)], folder: Option<&str>| {
        list.iter().any(|(known, path)| {
            folder.is_none_or(|folder| folder == *path)
                && publisher.may_publish(path)
                && is_image(image, &[known])
        })
    };
    // Arguments of the container take the place of those of the image.
    let has_arguments = !container.command.is_empty() || !container.args.is_empty();
    if has_arguments && lists(row.defaults_with_arguments, None) {
        lists(row.defaults_with_arguments, Some(folder))
    } else {
        lists(row.defaults, Some(folder))
    }
}

/// The default folder of a container whose own arguments take the place of those by which its image names
/// another folder.
pub(in crate::rules) fn default_without_arguments_of_image(
    container: &Container<'_>,
) -> Option<&'static str> {
    let rows = DATA_FOLDERS.iter().enumerate();
    let mut folders = rows
        .flat_map(|(row, known)| known.defaults_with_arguments.iter().map(move |one| (row, one.1)));
    folders.find(|(row, folder)| is_default(*row, folder, container)).map(|(_, folder)| folder)
}

/// Who made an image. Those of Bitnami have folders of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Publisher {
    Bitnami,
    /// the images without a name before them
    Official,
    /// a mirror, or somebody else
    Unknown,
}

impl Publisher {
    fn of(repository: &str) -> Self {
        let path = repository.strip_prefix("docker.io/").unwrap_or(repository);
        let path = path.strip_prefix("library/").unwrap_or(path);
        if repository.contains("bitnami") {
            Self::Bitnami
        } else if path.contains('/') {
            Self::Unknown
        } else {
            Self::Official
        }
    }

    fn may_publish(self, folder: &str) -> bool {
        match self {
            Self::Bitnami => folder.starts_with("/bitnami/"),
            Self::Official => !folder.starts_with("/bitnami/"),
            Self::Unknown => true,
        }
    }
}

/// The working directory of an image, in which a relative path begins.
pub(super) fn working_dir(image: &str) -> Option<&'static str> {
    const WORKING_DIRS: &[(&str, &str)] = &[
        ("redis", "/data"),
        ("valkey", "/data"),
        ("keydb", "/data"),
        ("dragonfly", "/data"),
        ("prometheus", "/prometheus"),
        ("cockroach", "/cockroach"),
    ];
    let of_image = |(known, _): &&(&str, &str)| is_image(image, &[known]);
    WORKING_DIRS.iter().find(of_image).map(|(_, folder)| *folder)
}

/// Whether a file of this name holds data.
pub(super) fn is_data_file(name: &str) -> bool {
    const DATA_FILES: &[&str] =
        &["aof", "bolt", "db", "ibd", "mdb", "rdb", "sqlite", "sqlite3", "sst", "wal", "wt"];
    name.rsplit_once('.').is_some_and(|(_, end)| DATA_FILES.contains(&end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_are_about() {
        let certain =
            |name: &str, image: &str| matches!(meaning(name, &rows_of(image)), Meaning::Certain(_));
        for name in [
            "PGDATA",
            "storage.tsdb.path",
            "dbpath",
            "JENKINS_HOME",
            "data-dir",
            "wal-dir",
            "MYSQL_DATADIR",
            "storageDataPath",
            "KAFKA_LOG_DIRS",
            "log.dirs",
            "ZOO_DATA_LOG_DIR",
            "data_log_dir",
            "GF_PATHS_DATA",
            "path.data",
            "fs_data_dirs",
            "MEILI_DB_PATH",
            "dataDir",
            "DATA_FOLDER",
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
        ] {
            assert!(certain(name, "x"), "{name}");
        }
        for (name, image) in
            [("dir", "redis"), ("D", "postgres"), ("store", "cockroach"), ("", "minio")]
        {
            assert!(certain(name, image) && !certain(name, "x"), "{name}");
            assert!(!certain(name, &format!("{image}-exporter")), "{name}");
        }
        for (names, wanted) in [
            (&["DATABASE_URL", "METADATA", "CASSANDRA_DATA_X"][..], Meaning::Data),
            (&["path", "d", "workingDir", "dir"], Meaning::Perhaps),
            (
                &[
                    "LOG_DIR",
                    "pid-file",
                    "/data/tmp",
                    "lost.cache",
                    "config.file",
                    "DATA_LOGS",
                    "web.external-url",
                    "route-prefix",
                ],
                Meaning::Scratch,
            ),
            (&["CATALOG", "BACKUP_DIR", "MY_DIR", "JAVA_HOME", "HOME", ""], Meaning::Unclear),
        ] {
            for name in names {
                assert_eq!(meaning(name, &[]), wanted, "{name}");
            }
        }
    }

    #[test]
    fn helpers_are_known_by_image_or_name() {
        for (name, image) in [
            ("x", "postgres-exporter"),
            ("log-shipper", "busybox"),
            ("x", "fluent-bit"),
            ("x", "wal-g"),
        ] {
            assert!(is_helper(name, image, false), "{name} {image}");
        }
        for (name, image) in
            [("db", "postgres"), ("backup", "postgres"), ("x", "pgvector"), ("catalog", "app")]
        {
            assert!(!is_helper(name, image, false), "{name} {image}");
        }
        assert!(is_helper("backup", "postgres", true));
    }
}
