//! Folders that a process is told by its working directory, environment and arguments, and those
//! that its image takes if it is told none.

use super::Said::{self, Denied, Nothing, Warned};
use super::{judge, try_all_owned};

/// What is tried, the fields of the container before and after, and what has to be said. `mounts`
/// are those of both.
#[track_caller]
pub(super) fn try_told(image: &str, mounts: &str, cases: &[(&str, &str, &str, Said)]) {
    let pod = |told: &str| {
        format!(
            "containers: [{{name: db, image: '{image}', {told} volumeMounts: [{mounts}]}}],
             volumes: [{{name: e, emptyDir: {{}}}}]"
        )
    };
    let pods: Vec<_> = cases.iter().map(|(n, old, new, s)| (n, pod(old), pod(new), *s)).collect();
    let cases: Vec<_> =
        pods.iter().map(|(n, old, new, s)| (**n, old.as_str(), new.as_str(), *s)).collect();
    try_all_owned(&cases);
}

pub(super) const DATA: &str = "{name: data, mountPath: /data}";

#[test]
fn a_folder_that_is_named_for_the_first_time() {
    try_told(
        "app",
        DATA,
        &[
            ("flag leads out", "", "args: [--data-dir=/tmp/x],", Denied),
            ("two words", "", "args: [--data-dir, /tmp/x],", Denied),
            ("variable leads out", "", "env: [{name: APP_DATA_DIR, value: /tmp}],", Denied),
            ("JSON name", "", "args: [--storageDataPath=/tmp],", Denied),
            ("property", "", "args: [-Dpath.data=/tmp],", Denied),
            (
                "property in a variable",
                "",
                "env: [{name: JAVA_OPTS, value: '-Xmx1g -Dpath.data=/tmp'}],",
                Denied,
            ),
            (
                "into an emptyDir of a script",
                "",
                "command: [sh, -c, 'exec app --data-dir /tmp/x'],",
                Denied,
            ),
            ("into the claim", "", "args: [--data-dir=/data],", Nothing),
            (
                "into a folder of the claim, whose default is unknown",
                "",
                "args: [--data-dir=/data/x],",
                Nothing,
            ),
            (
                "a variable leads out, a flag that stays counts",
                "args: [--data-dir=/data],",
                "env: [{name: DATA_DIR, value: /tmp}], args: [--data-dir=/data],",
                Nothing,
            ),
            (
                "a flag leads out, and a variable stays",
                "env: [{name: DATA_DIR, value: /data/x}],",
                "env: [{name: DATA_DIR, value: /data/x}], args: [--data-dir=/tmp],",
                Denied,
            ),
            (
                "another program's variable",
                "env: [{name: A_DATA_DIR, value: /data/a}],",
                "env: [{name: A_DATA_DIR, value: /data/a}, {name: B_DATA_DIR, value: /b}],",
                Warned,
            ),
            (
                "another kind of folder",
                "args: [--data-dir=/data],",
                "args: [--data-dir=/data, --wal-dir=/wal],",
                Warned,
            ),
            ("a log folder", "", "args: [--log-dir=/tmp],", Nothing),
            ("a cache", "", "env: [{name: DATA_CACHE_DIR, value: /tmp}],", Nothing),
            ("a configuration", "", "args: [--config.path=/etc/x],", Nothing),
            ("a generic name", "", "args: [--path=/tmp, -d, /x], workingDir: /y,", Nothing),
            (
                "no path",
                "",
                "args: [--data-dir=x, --datapath=], env: [{name: MYSQL_DATABASE, value: shop}],",
                Nothing,
            ),
        ],
    );
}

#[test]
fn a_folder_that_is_no_longer_named() {
    try_told(
        "app",
        DATA,
        &[
            ("flag", "args: [--data-dir=/data/x],", "", Denied),
            (
                "renamed to a name that the program does not know",
                "args: [--data-dir=/data/x],",
                "args: [--dat-dir=/data/x],",
                Denied,
            ),
            (
                "a decoy takes the folder",
                "env: [{name: A_DATA_DIR, value: /data/a}],",
                "env: [{name: DECOY_DATA_DIR, value: /data/a}],",
                Denied,
            ),
            (
                "a variable becomes a flag",
                "env: [{name: APP_DATA_DIR, value: /data/a}],",
                "args: [--data-dir=/data/a],",
                Nothing,
            ),
            (
                "a flag becomes a variable",
                "args: [--data-dir=/data/a],",
                "env: [{name: APP_DATA_DIR, value: /data/a}],",
                Nothing,
            ),
            (
                "a flag becomes a variable that leads out",
                "args: [--data-dir=/data/a],",
                "env: [{name: APP_DATA_DIR, value: /a}],",
                Denied,
            ),
            ("a word for data", "args: [--datastore=/data/a],", "", Warned),
            ("a generic name", "args: [--dir=/data/a],", "", Warned),
            (
                "a generic name, and the data is named",
                "args: [--dir=/data/a, --data-dir=/data/b],",
                "args: [--data-dir=/data/b],",
                Nothing,
            ),
            ("an unclear name", "args: [--backups=/data/a],", "", Nothing),
            ("a log folder", "args: [--log-dir=/data/log],", "", Nothing),
            (
                "its value comes from elsewhere",
                "env: [{name: DATA_DIR, value: /data/x}],",
                "env: [{name: DATA_DIR, valueFrom: {configMapKeyRef: {name: c, key: k}}}],",
                Warned,
            ),
        ],
    );
}

#[test]
fn the_last_of_several_values_counts() {
    try_told(
        "app",
        DATA,
        &[
            (
                "a second one leads out",
                "args: [--data-dir=/data/x],",
                "args: [--data-dir=/data/x, --data-dir=/tmp],",
                Denied,
            ),
            (
                "a second one in two words",
                "args: [--data-dir=/data/x],",
                "args: [--data-dir=/data/x, --data-dir, /tmp],",
                Denied,
            ),
            (
                "one before it",
                "args: [--data-dir=/data/x],",
                "args: [--data-dir=/tmp, --data-dir=/data/x],",
                Nothing,
            ),
            (
                "in the command",
                "args: [--data-dir=/data/x],",
                "command: [app, --data-dir=/tmp], args: [--data-dir=/data/x],",
                Nothing,
            ),
            (
                "a list of programs",
                "env: [{name: PATH, value: '/data/bin:/bin'}],",
                "env: [{name: PATH, value: /bin}],",
                Nothing,
            ),
            (
                "spelled otherwise",
                "args: ['--data-dir=/data/x'],",
                "args: ['--data_dir', '\"/data//x\"'],",
                Nothing,
            ),
            (
                "out of the claim by ..",
                "args: ['--data-dir=/data/x'],",
                "args: ['--data-dir=/data/../x'],",
                Denied,
            ),
            ("no value", "args: ['--data-dir=/data/x'],", "args: ['--data-dir='],", Denied),
            (
                "a generic name leads out",
                "args: ['--path=/data/x'],",
                "args: ['--path=/tmp'],",
                Denied,
            ),
            (
                "a generic name stays in the claim",
                "args: ['--path=/data/x'],",
                "args: ['--path=/data/y'],",
                Warned,
            ),
            (
                "the last one is removed",
                "args: [--data-dir=/tmp, --data-dir=/data/x],",
                "args: [--data-dir=/tmp],",
                Denied,
            ),
            (
                "variables",
                "env: [{name: DATA_DIR, value: /data/x}],",
                "env: [{name: DATA_DIR, value: /data/x}, {name: DATA_DIR, value: /tmp}],",
                Denied,
            ),
            (
                "one of a list",
                "args: ['--data-dirs=/data/x,/data/y'],",
                "args: ['--data-dirs=/data/x,/tmp'],",
                Denied,
            ),
            (
                "a longer list",
                "args: ['--data-dirs=/data/x'],",
                "args: ['--data-dirs=/data/x,/tmp'],",
                Nothing,
            ),
            (
                "a store beside another",
                "args: [--store=/data/x],",
                "args: [--store=/data/x, --store=/tmp],",
                Nothing,
            ),
            (
                "stores in another order",
                "args: [--store=/data/x, --store=/tmp],",
                "args: [--store=/tmp, '--store=path=/data/x,size=1'],",
                Nothing,
            ),
        ],
    );
}

#[test]
fn arguments_of_their_own_are_found_at_any_place() {
    try_told(
        "app",
        DATA,
        &[
            (
                "an argument more",
                "args: [server, /data/x],",
                "args: [server, --address, ':9000', /data/x],",
                Nothing,
            ),
            (
                "an argument before",
                "args: [server, /data/x],",
                "args: [server, /tmp, /data/x],",
                Nothing,
            ),
            (
                "an argument more, and another folder",
                "args: [server, /data/x],",
                "args: [server, /tmp, /y],",
                Warned,
            ),
            (
                "an argument less",
                "args: [server, /data/x, /data/y],",
                "args: [server, /data/x],",
                Nothing,
            ),
            (
                "from args to command",
                "args: [server, /data/x],",
                "command: [app, server, /data/x],",
                Nothing,
            ),
            (
                "from args to command, elsewhere",
                "args: [--data-dir, /data/x],",
                "command: [app, --data-dir=/x],",
                Denied,
            ),
        ],
    );
}

#[test]
fn relative_paths_begin_in_the_working_directory() {
    try_told(
        "app",
        DATA,
        &[
            (
                "the folder moves",
                "workingDir: /data, args: [--data-dir=x],",
                "workingDir: /tmp, args: [--data-dir=x],",
                Denied,
            ),
            (
                "spelled otherwise",
                "workingDir: /data, args: [--data-dir=x],",
                "workingDir: /tmp, args: [--data-dir=/data/x],",
                Nothing,
            ),
            (
                "both move",
                "workingDir: /data, args: [--data-dir=x/y],",
                "workingDir: /data/x, args: [--data-dir=./y],",
                Nothing,
            ),
            (
                "the working directory leaves the claim",
                "workingDir: /data,",
                "workingDir: /tmp,",
                Denied,
            ),
            (
                "the working directory is another one of the claim",
                "workingDir: /data,",
                "workingDir: /data/x,",
                Warned,
            ),
            ("it is removed", "workingDir: /data,", "", Warned),
            (
                "it leaves, and the data is named",
                "workingDir: /data, args: [--data-dir=/data],",
                "workingDir: /tmp, args: [--data-dir=/data],",
                Nothing,
            ),
            ("it was never in the claim", "workingDir: /app,", "workingDir: /tmp,", Nothing),
            (
                "a script changes the folder",
                "command: [sh, -c, 'cd /data && exec app'],",
                "command: [sh, -c, 'cd /tmp && exec app'],",
                Denied,
            ),
        ],
    );
    try_told(
        "redis:7",
        DATA,
        &[
            (
                "redis may be told by its configuration",
                "args: [/etc/redis.conf],",
                "args: [/etc/redis.conf], workingDir: /tmp,",
                Warned,
            ),
            ("redis writes where it starts", "", "workingDir: /tmp,", Denied),
            (
                "redis is told its folder",
                "args: [--dir, /data],",
                "workingDir: /tmp, args: [--dir, /data],",
                Nothing,
            ),
            ("redis is told another", "", "args: [redis-server, --dir, /tmp],", Denied),
            ("redis is told its default", "", "args: [redis-server, --dir, /data/],", Nothing),
        ],
    );
    try_told(
        "prom/prometheus:v2",
        "{name: data, mountPath: /prometheus}",
        &[
            (
                "relative to the image's",
                "args: [--storage.tsdb.path=data],",
                "args: [--storage.tsdb.path=/prometheus/data],",
                Nothing,
            ),
            (
                "elsewhere",
                "args: [--storage.tsdb.path=data],",
                "args: [--storage.tsdb.path=/tmp/data],",
                Denied,
            ),
        ],
    );
}

#[test]
fn variables_and_scripts_are_expanded() {
    let dir = |value: &str, rest: &str| format!("env: [{{name: DIR, value: {value}}}], {rest},");
    let script = "command: [sh, -c, 'exec app --data-dir=\"${DIR}/x\" --quiet']";
    let args = "args: ['--data-dir=$(DIR)/x']";
    let cases: Vec<(&str, String, String, Said)> = vec![
        ("an argument", dir("/data", args), dir("/tmp", args), Denied),
        (
            "an argument, expanded",
            dir("/data", args),
            "args: [--data-dir=/data/x],".into(),
            Nothing,
        ),
        ("a script", dir("/data", script), dir("/tmp", script), Denied),
        (
            "a script, expanded",
            dir("/data", script),
            "command: [sh, -c, 'app --data-dir=/data/x'],".into(),
            Nothing,
        ),
        (
            "a script with a default",
            "command: [sh, -c, 'app --data-dir ${DIR:-/data}/x'],".into(),
            dir("/tmp", script),
            Denied,
        ),
        (
            "a script that exports",
            "command: [sh, -c, 'export PGDATA=/data/x; exec app'],".into(),
            "command: [sh, -c, 'export PGDATA=/tmp; exec app'],".into(),
            Denied,
        ),
        (
            "a script and a variable",
            "command: [sh, -c, 'PGDATA=/data/x app'],".into(),
            "env: [{name: PGDATA, value: /data/x}],".into(),
            Nothing,
        ),
        (
            "a script becomes a command",
            "command: [sh, -c, 'app --data-dir /data/x'],".into(),
            "command: [app, --data-dir, /data/x],".into(),
            Nothing,
        ),
        (
            "a decoy in a comment",
            "command: [sh, -c, 'app --data-dir=/data/x'],".into(),
            "command: [sh, -c, \"app --data-dir=/tmp\\n# --data-dir=/data/x\"],".into(),
            Denied,
        ),
        (
            "a decoy that is printed",
            "command: [sh, -c, 'app --data-dir=/data/x'],".into(),
            "command: [sh, -c, 'app --data-dir=/tmp; echo --data-dir=/data/x'],".into(),
            Denied,
        ),
        (
            "a comment",
            "command: [sh, -c, 'app --data-dir=/data/x'],".into(),
            "command: [sh, -c, \"# --data-dir=/tmp\\napp --data-dir=/data/x\"],".into(),
            Nothing,
        ),
        (
            "a reference that is escaped",
            dir("/data", args),
            dir("/data", "args: ['--data-dir=$$(DIR)/x']"),
            Denied,
        ),
        (
            "a reference to a later variable",
            "env: [{name: A, value: /data}, {name: DATA_DIR, value: $(A)/x}],".into(),
            "env: [{name: DATA_DIR, value: $(A)/x}, {name: A, value: /data}],".into(),
            Denied,
        ),
        (
            "lines",
            "command: [sh, -c, \"app \\\\\\n --data-dir=/data/x \\\\\\n --quiet\"],".into(),
            "command: [sh, -c, \"app \\\\\\n --data-dir=/x \\\\\\n --quiet\"],".into(),
            Denied,
        ),
    ];
    let cases: Vec<_> =
        cases.iter().map(|(n, old, new, s)| (*n, old.as_str(), new.as_str(), *s)).collect();
    try_told("app", DATA, &cases);
}

/// What has to stay is named as a whole, and where it stands.
#[test]
fn the_words_lead_to_what_has_to_stay() {
    let one = |env: &str, mount: &str| {
        format!("containers: [{{name: k, image: app, env: [{env}], volumeMounts: [{mount}]}}]")
    };
    let finding = |old: &str, new: &str| {
        let pod = |text: &str| serde_saphyr::from_str(&format!("{{{text}}}")).unwrap();
        let mut findings = judge(&pod(old), &pod(new));
        assert_eq!(findings.len(), 1, "{findings:?}");
        let finding = findings.remove(0);
        (finding.denial("StatefulSet db"), finding.what, finding.field.to_string())
    };
    let expression = "{name: data, mountPath: /data, subPathExpr: $(D)}";
    let of = |value: &str| {
        one(&format!("{{name: X, value: x}}, {{name: D, value: {value}}}"), expression)
    };
    let (denial, what, field) = finding(&of("a"), &of("b"));
    assert_eq!(what, "data moves in k, subPath a → b");
    assert!(denial.contains("keep the value of D in container k"), "{denial}");
    assert_eq!(field, "/spec/template/spec/containers/0/env/1/value");

    let of = |value: &str| one(&format!("{{name: KAFKA_LOG_DIRS, value: '{value}'}}"), DATA);
    let (denial, what, _) = finding(&of("/data/a,/data/b"), &of("/data/a"));
    assert_eq!(what, "KAFKA_LOG_DIRS in k would change, /data/a,/data/b → /data/a");
    assert!(denial.contains("keep KAFKA_LOG_DIRS /data/a,/data/b in"), "{denial}");

    let long = format!("/data/{}", "x".repeat(100));
    let of = |value: &str| one(&format!("{{name: DATA_DIR, value: {value}}}"), DATA);
    let (_, what, _) = finding(&of(&format!("{long}/a")), &of(&format!("{long}/b")));
    assert!(what.ends_with("/a → …/b"), "{what}");
    let (_, what, _) = finding(&of(&format!("{long}a")), &of(&format!("{long}b")));
    assert!(what.ends_with("xa → …xxxxxxxxxxxxxb") || what.ends_with('b'), "{what}");
}
