//! Manifests as people keep them: what becomes an object, where its fields stand, and what is said
//! about the rest.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use stateward::cli::input::{self, Exclude, Files, GitError, RenderError};
use stateward_check::pair::pair;
use stateward_check::select::Selection;
use stateward_core::object::{Object, Pointer};
use stateward_core::yaml::{Document, Inputs};
use tempfile::TempDir;

/// Everything that the files hold.
fn whole(files: Files) -> Inputs {
    let mut all = Inputs::default();
    files.read(NonZero::<usize>::MIN, |inputs| inputs).into_iter().for_each(|one| all.append(one));
    all
}

fn load(paths: &[PathBuf], stdin: &mut dyn std::io::Read) -> Inputs {
    whole(input::load(paths, &Exclude::default(), &BTreeSet::new(), stdin))
}

fn load_revision(folder: &Path, revision: &str, paths: &[PathBuf]) -> Result<Inputs, GitError> {
    input::load_revision(folder, revision, paths, &Exclude::default()).map(whole)
}

fn render(command: &str, folder: &Path) -> Result<Inputs, RenderError> {
    input::render(command, folder).map(whole)
}

fn render_revision(command: &str, folder: &Path, revision: &str) -> Result<Inputs, RenderError> {
    input::render_revision(command, folder, revision).map(whole)
}

pub(crate) fn read(text: &str) -> Inputs {
    load(&[PathBuf::from("-")], &mut text.as_bytes())
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/manifests")
}

fn names(inputs: &Inputs) -> Vec<&str> {
    inputs.documents.iter().map(|document| document.name.as_str()).collect()
}

/// `file:line:column: message` of each error and warning.
fn errors(inputs: &Inputs) -> Vec<String> {
    let shown = |e: &stateward_core::yaml::InputError| {
        format!("{}:{}:{}: {}", e.file, e.line, e.column, e.message)
    };
    inputs.errors.iter().chain(&inputs.harmless).chain(&inputs.warnings).map(shown).collect()
}

fn set(name: &str) -> String {
    format!("apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: {name}\n")
}

fn value(document: &Document) -> Value {
    serde_json::from_str(&document.json).unwrap()
}

fn at(document: &Document, pointer: &str) -> (usize, usize, String) {
    let place = document.locate(&Pointer::from(pointer));
    (place.line, place.column, document.source()[place.span].to_owned())
}

/// A folder with files in it.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), files);
    folder
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

// Real manifests.

#[test]
fn real_manifests_read_as_kubectl_reads_them() {
    let mut seen = 0;
    for entry in std::fs::read_dir(data()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let inputs = load(std::slice::from_ref(&path), &mut std::io::empty());
        assert!(inputs.errors.is_empty(), "{:?}", errors(&inputs));
        let expected = std::fs::read_to_string(path.with_extension("jsonl")).unwrap();
        let expected: Vec<Value> =
            expected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ours: Vec<Value> = inputs.documents.iter().map(value).collect();
        assert_eq!(ours, expected, "{}", path.display());
        for document in &inputs.documents {
            Object::decode(&document.json).unwrap();
            every_value_is_where_it_is_said_to_be(document);
        }
        seen += 1;
    }
    assert_eq!(seen, 7);
}

/// For each pointer of the object, the text at its place reads as its value.
fn every_value_is_where_it_is_said_to_be(document: &Document) {
    let object = value(document);
    let mut pointers = Vec::new();
    collect(&object, &Pointer::default(), &mut pointers);
    for pointer in pointers {
        let expected = object.pointer(pointer.as_str()).unwrap();
        let place = document.locate(&pointer);
        let text = &document.source()[place.span.clone()];
        let line = document.source()[..place.span.start].lines().count().max(1);
        let newline = document.source()[..place.span.start].ends_with('\n');
        assert_eq!(place.line, document.first_line() + line - usize::from(!newline));
        if expected.is_null() {
            continue;
        }
        // A block reads as it stands only at its own column.
        let text = " ".repeat(place.column - 1) + text;
        let options = serde_saphyr::options! { legacy_octal_numbers: true };
        let read: Value = serde_saphyr::from_str_with_options(&text, options)
            .unwrap_or_else(|error| panic!("{pointer}: {error}\n{text}"));
        assert!(
            same(&trimmed(&read), &trimmed(expected)),
            "{pointer}: {read} is not {expected}\n{text}"
        );
    }
}

fn collect(value: &Value, at: &Pointer, pointers: &mut Vec<Pointer>) {
    pointers.push(at.clone());
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                collect(element, &at.clone().index(index), pointers);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                collect(member, &at.clone().key(key), pointers);
            }
        }
        _ => {}
    }
}

/// Without the space that a block scalar owes to its surroundings: a place ends with the last
/// visible character, and `|2` counts from a parent that is not part of the place.
fn trimmed(value: &Value) -> Value {
    match value {
        Value::String(text) => text.split_whitespace().collect::<String>().into(),
        Value::Array(elements) => elements.iter().map(trimmed).collect(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), trimmed(value))).collect()
        }
        _ => value.clone(),
    }
}

/// Equal, `1` and `1.0` being one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // serde_json reads other fractions a hair off, and the test compares by it.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 64.0)),
        "[ -~]{0,12}".prop_map(Value::from),
        "(yes|y|0644|1e3|~|null|<<|10Gi|- a|a: b|#x|\\{\\{ x|\\|)".prop_map(Value::from),
        "[ a-z\n]{0,20}".prop_map(Value::from),
        "[äé世\u{1f600}\u{7f}-]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[ -~é]{0,8}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_as_yaml_reads_back(spec in any_json()) {
        let object = json!({
            "apiVersion": "v1", "kind": "X", "metadata": { "name": "x" }, "spec": spec,
        });
        let text = serde_saphyr::to_string(&object).unwrap();
        let inputs = read(&text);
        prop_assert!(inputs.errors.is_empty(), "{:?}\n{text}", errors(&inputs));
        prop_assert_eq!(inputs.documents.len(), 1);
        let ours = value(&inputs.documents[0]);
        prop_assert!(same(&ours, &object), "{ours}\n{object}\n{text}");
        every_value_is_where_it_is_said_to_be(&inputs.documents[0]);
    }

    #[test]
    fn what_is_written_as_json_reads_back(spec in any_json(), pretty in any::<bool>()) {
        let object = json!({
            "apiVersion": "v1", "kind": "X", "metadata": { "name": "x" }, "spec": spec,
        });
        let text =
            if pretty { serde_json::to_string_pretty(&object).unwrap() } else { object.to_string() };
        let inputs = read(&text);
        prop_assert!(inputs.errors.is_empty(), "{:?}\n{text}", errors(&inputs));
        prop_assert_eq!(&inputs.documents[0].json, &text);
        let document = &inputs.documents[0];
        let mut pointers = Vec::new();
        collect(&object, &Pointer::default(), &mut pointers);
        for pointer in pointers {
            let place = document.locate(&pointer);
            let read: Value = serde_json::from_str(&document.source()[place.span]).unwrap();
            prop_assert_eq!(&read, object.pointer(pointer.as_str()).unwrap());
        }
    }

    #[test]
    fn no_text_at_all_brings_it_down(text in "([ -~\n\t]|\\{\\{|---\n|- |: |&a |\\*a|<<|é|\\|\n|#){0,40}") {
        let inputs = read(&text);
        for document in &inputs.documents {
            document.locate(&Pointer::from("/metadata/name"));
        }
        for error in &inputs.errors {
            prop_assert!(error.line >= 1 && error.column >= 1);
        }
    }
}

// Places.

#[test]
fn a_place_is_that_of_the_value_in_the_file() {
    let inputs = read(
        "# a comment\n---\n# Source: db/templates/set.yaml\napiVersion: apps/v1\nkind: StatefulSet\n\
         metadata:\n  name: db\n  labels: {\"ü\": x, app: 'd b'}\nspec:\n  replicas:\n  template:\n\
         \x20   spec:\n      args:\n        - |\n          first\n          second\n        - >- # why\n          third\n\
         \x20     image: a\n        b\n",
    );
    let document = &inputs.documents[0];
    assert_eq!(document.template.as_deref(), Some("db/templates/set.yaml"));
    let at = |pointer| at(document, pointer);
    assert_eq!(at("/metadata/name"), (7, 9, "db".to_owned()));
    assert_eq!(at("/metadata/labels/app"), (8, 25, "'d b'".to_owned()));
    assert_eq!(at("/metadata/labels"), (8, 11, "{\"ü\": x, app: 'd b'}".to_owned()));
    // An empty value has no place, an absent field neither.
    assert_eq!(at("/spec/replicas"), (10, 3, "replicas".to_owned()));
    assert_eq!(at("/spec/volumeClaimTemplates/0/spec"), (9, 1, "spec".to_owned()));
    assert_eq!(at("/metadata/name/x"), (7, 3, "name".to_owned()));
    assert_eq!(at("/absent"), (4, 1, "apiVersion: apps/v1".to_owned()));
    assert_eq!(
        at("/spec/template/spec/args/0"),
        (14, 11, "|\n          first\n          second".to_owned())
    );
    assert_eq!(at("/spec/template/spec/args/1").0, 17);
    assert_eq!(at("/spec/template/spec/args/7"), (13, 7, "args".to_owned()));
    assert_eq!(at("/spec/template/spec/image"), (19, 14, "a\n        b".to_owned()));
    assert_eq!((document.location().line, document.location().column), (4, 1));
}

#[test]
fn what_an_alias_brings_stands_where_the_alias_is_used() {
    let inputs = read(
        "apiVersion: v1\nkind: X\nmetadata: {name: x}\na: &a\n  b: [1, 2]\nc: *a\nd:\n  <<: *a\n  e: 5\n",
    );
    let document = &inputs.documents[0];
    assert_eq!(value(document)["d"], json!({ "b": [1, 2], "e": 5 }));
    assert_eq!(at(document, "/a/b/1"), (5, 10, "2".to_owned()));
    assert_eq!(at(document, "/c/b/1"), (6, 4, "*a".to_owned()));
    assert_eq!(at(document, "/d/b/1"), (8, 7, "*a".to_owned()));
    assert_eq!(at(document, "/d/e"), (9, 6, "5".to_owned()));
}

// Streams, lists, files.

#[test]
fn one_bad_document_hides_no_other() {
    let text = format!(
        "{}---\na: b: c\n---\n{}---\nx:\n\ty: 1\n---\n{}  name: again\n--- # the last\n{}",
        set("one"),
        set("two"),
        set("three"),
        set("four")
    );
    let inputs = read(&text);
    assert_eq!(names(&inputs), ["one", "two", "again", "four"]);
    assert_eq!(
        errors(&inputs),
        [
            "-:6:5: not valid YAML: mapping values are not allowed in this context",
            "-:14:1: a tab in the indentation: YAML takes spaces only",
            "-:20:3: the key \"name\" replaces the one of line 19, column 3; kubectl applies only \
             this one",
        ]
    );
    assert_eq!(at(&inputs.documents[3], "/metadata/name"), (25, 9, "four".to_owned()));
}

#[test]
fn a_separator_inside_a_block_or_a_word_separates_nothing() {
    let text = format!("{}data: |\n  ---\n  x\n---\n{}other: a\n----: b\n", set("one"), set("two"));
    let inputs = read(&text);
    assert_eq!(errors(&inputs), [""; 0]);
    assert_eq!(names(&inputs), ["one", "two"]);
    assert_eq!(value(&inputs.documents[0])["data"], "---\nx\n");
}

#[test]
fn directives_comments_and_line_ends_of_all_sorts_are_read() {
    let text =
        format!("\u{feff}%YAML 1.1\n# licence\n---\n{}...\n---\n# nothing\n---\n", set("one"))
            .replace('\n', "\r\n");
    let inputs = read(&text);
    assert_eq!(errors(&inputs), [""; 0]);
    assert_eq!((names(&inputs), inputs.skipped), (vec!["one"], 0));
    assert_eq!(at(&inputs.documents[0], "/metadata/name"), (7, 9, "one".to_owned()));
    let inputs = read("");
    assert_eq!((inputs.documents.len(), inputs.skipped, inputs.errors.len()), (0, 0, 0));
}

#[test]
fn what_is_no_kubernetes_object_is_counted() {
    let inputs = read(
        "apiVersion: v2\nname: chart\n---\nreplicas: 3\n---\n- hosts: all\n---\ntext\n---\n\
         apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n---\nservices: {a: {}}\n",
    );
    assert_eq!(errors(&inputs), [""; 0]);
    assert_eq!((inputs.documents.len(), inputs.skipped), (0, 6));
}

#[test]
fn what_is_nearly_an_object_is_an_error() {
    let inputs = read(
        "kind: StatefulSet\nmetadata: {name: a}\n---\napiVersion: v1\nmetadata: {name: a}\n---\n\
         apiVersion: v1\nkind: 5\n---\napiVersion: v1\nkind: X\nmetadata: []\n---\n\
         apiVersion: v1\nkind: X\nmetadata: {name: 123}\n",
    );
    assert_eq!(
        errors(&inputs),
        [
            "-:1:1: apiVersion is missing",
            "-:4:1: kind is missing",
            "-:8:7: kind is a number, not a string",
            "-:12:11: metadata is a list, not a mapping",
            "-:16:18: metadata.name is a number, not a string",
        ]
    );
    assert_eq!((inputs.documents.len(), inputs.skipped), (0, 0));
}

#[test]
fn lists_are_taken_apart() {
    let inputs = read(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: A\n  metadata:\n    name: a\n\
         - apiVersion: v1\n  kind: List\n  items:\n  - {apiVersion: v1, kind: B, metadata: {name: b}}\n- 7\n\
         ---\napiVersion: apps/v1\nkind: StatefulSetList\nitems:\n- metadata:\n    name: c\n---\n\
         apiVersion: x/v1\nkind: AllowList\nmetadata: {name: d}\nitems: [e]\n",
    );
    assert_eq!(names(&inputs), ["a", "b", "c", "d"]);
    assert_eq!(errors(&inputs), ["-:12:3: an item of a List is a number, not an object"]);
    let typed = &inputs.documents[2];
    assert_eq!(
        value(typed),
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "c" } })
    );
    assert_eq!((typed.api_version.as_str(), typed.kind.as_str()), ("apps/v1", "StatefulSet"));
    assert_eq!(at(&inputs.documents[0], "/metadata/name"), (7, 11, "a".to_owned()));
    assert_eq!(at(typed, "/metadata/name"), (18, 11, "c".to_owned()));
}

#[test]
fn json_is_kept_as_it_is() {
    let item = r#"{ "metadata": {"name": "c"}, "n": 1e400, "big": 9223372036854775808 }"#;
    let text = format!(
        "{{\"apiVersion\":\"apps/v1\",\n\t\"kind\":\"StatefulSetList\",\"items\":[{item}, {{}}]}}\n"
    );
    let inputs = read(&text);
    assert_eq!(errors(&inputs), [""; 0]);
    let document = &inputs.documents[0];
    assert_eq!(
        document.json,
        format!(r#"{{"apiVersion":"apps/v1","kind":"StatefulSet",{}"#, &item[2..])
    );
    assert_eq!(inputs.documents[1].json, r#"{"apiVersion":"apps/v1","kind":"StatefulSet"}"#);
    assert_eq!(at(document, "/metadata/name"), (2, 59, "\"c\"".to_owned()));
    assert_eq!(at(document, "/n"), (2, 70, "1e400".to_owned()));
    assert_eq!(at(document, "/absent").0, 2);
}

#[test]
fn bad_json_is_said_at_its_place() {
    let folder = folder(&[
        ("a.json", "{\n  \"a\": 1,\n  \"b\": }\n"),
        ("b.json", "{\"apiVersion\": \"v1\", \"kind\": \"X\",\n\"kind\": \"Y\"}"),
        (
            "c.json",
            "{\"apiVersion\": \"v1\", \"kind\": \"X\"} {\"apiVersion\": \"v1\", \"kind\": \"Y\"}",
        ),
        ("d.json", "{\"a\": \"\\ud800\"}"),
    ]);
    let inputs = load(&[folder.path().to_owned()], &mut std::io::empty());
    let kinds: Vec<_> = inputs.documents.iter().map(|document| &document.kind).collect();
    assert_eq!(kinds, ["Y", "X", "Y"]);
    let errors = errors(&inputs).join("\n").replace(&format!("{}/", folder.path().display()), "");
    assert_eq!(
        errors,
        "a.json:3:8: not valid JSON: no JSON value stands here\n\
         d.json:1:7: not valid JSON: unexpected end of hex escape\n\
         b.json:2:1: the key \"kind\" replaces the one of line 1, column 22; kubectl applies only \
         this one"
    );
}

#[test]
fn a_folder_is_walked_and_a_named_file_always_read() {
    let folder = folder(&[
        ("b/z.yml", &set("z")),
        ("b/a.yaml", &set("a")),
        ("a.json", r#"{"apiVersion":"v1","kind":"X","metadata":{"name":"json"}}"#),
        ("readme.txt", &set("text")),
        (".hidden/a.yaml", &set("below")),
        (".x.yaml", &set("hidden")),
        (".git/a.yaml", &set("history")),
    ]);
    let root = folder.path();
    std::os::unix::fs::symlink(root, root.join("b/loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.join("b/dead.yaml")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.join("b/dead")).unwrap();
    let inputs = load(&[root.to_owned()], &mut std::io::empty());
    assert_eq!(names(&inputs), ["below", "hidden", "json", "a", "z"]);
    assert_eq!(
        errors(&inputs),
        [format!("{}/b/dead.yaml:0:0: {}", root.display(), input::DEAD_LINK)]
    );
    let named = [root.join("readme.txt"), root.join(".x.yaml"), root.join("readme.txt")];
    assert_eq!(names(&load(&named, &mut std::io::empty())), ["text", "hidden"]);
    let missing = load(&[root.join("no.yaml")], &mut std::io::empty());
    assert_eq!(
        errors(&missing),
        [format!("{}/no.yaml:0:0: no such file or folder", root.display())]
    );
}

#[test]
fn what_is_no_utf8_is_said() {
    let read = |bytes: &[u8]| errors(&load(&[PathBuf::from("-")], &mut &*bytes));
    assert_eq!(read(b"a: 1\nb: \xc3\xa9\xff"), ["-:2:5: this is not UTF-8"]);
    assert_eq!(read(b"\xff\xfea\0:\0"), ["-:1:1: this is UTF-16: save it as UTF-8"]);
    assert_eq!(read(b"\xfe\xff\0a\0:"), ["-:1:1: this is UTF-16: save it as UTF-8"]);
    assert_eq!(read(b"a: \0"), ["-:1:4: not valid YAML: unexpected character: `\\u{0}'"]);
}

#[test]
fn a_large_stream_is_read_in_order_by_several_threads() {
    let sets: Vec<String> = (0..5000).map(|n| set(&format!("s{n}"))).collect();
    let inputs = read(&format!("---\n{}", sets.join("---\n")));
    assert_eq!(inputs.documents.len(), 5000);
    for (n, document) in inputs.documents.iter().enumerate() {
        assert_eq!(document.name, format!("s{n}"));
        assert_eq!(document.location().line, 5 * n + 2);
    }
}

// Helm.

#[test]
fn an_unresolved_template_is_named_as_such() {
    let hint = "unresolved Helm template (`{{`): check what it renders to, with \
                --render 'helm template …'";
    for (text, place) in [
        ("{{- if .Values.x }}\nkind: X\n{{- end }}\n", "1:1"),
        ("apiVersion: v1\nkind: X\nmetadata:\n  name: {{ .Values.name }}\n", "4:9"),
        ("apiVersion: v1\nkind: X\nmetadata:\n  name: db-{{ .Release.Name }}\n", "4:9"),
        ("apiVersion: v1\nkind: X\nmetadata:\n  name: \"{{- include \"x\" . }}\"\n", "4:10"),
        (
            "apiVersion: v1\nkind: X\nmetadata:\n  name: x\n  labels:\n{{ toYaml .x | indent 4 }}\n",
            "6:1",
        ),
    ] {
        let inputs = read(text);
        assert_eq!(errors(&inputs), [format!("-:{place}: {hint}")], "{text}");
        assert!(inputs.documents.is_empty());
    }
    // Braces of others are their own business.
    let inputs = read(
        "apiVersion: v1\nkind: X\nmetadata: {name: x}\nsummary: \"{{ $labels.pod }} is down\"\n\
         plain: up {{ $value }}\nchart: |\n  {{ .Values.x }}\n",
    );
    assert_eq!(errors(&inputs), [""; 0]);
    assert_eq!(names(&inputs), ["x"]);
}

// Git.

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
        .args(["-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"])
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A repository whose first commit holds `a` in `deploy`, and whose index and work tree differ.
fn repository() -> TempDir {
    let folder = folder(&[
        ("deploy/a.yaml", &set("old-a")),
        ("deploy/deep/b.yml", &set("old-b")),
        ("deploy/deep/notes.txt", "text"),
        ("deploy/.hidden/c.yaml", &set("hidden")),
        ("other/odd ü.manifest", &set("odd")),
        ("top.yaml", &set("top")),
    ]);
    let root = folder.path();
    std::os::unix::fs::symlink("../top.yaml", root.join("deploy/link.yaml")).unwrap();
    std::os::unix::fs::symlink("deploy", root.join("alias")).unwrap();
    std::os::unix::fs::symlink("..", root.join("deploy/deep/loop")).unwrap();
    git(root, &["init", "--quiet"]);
    git(root, &["add", "."]);
    git(root, &["commit", "--quiet", "-m", "first"]);
    git(root, &["tag", "v1"]);
    write(root, &[("deploy/a.yaml", &set("new-a")), ("deploy/new.yaml", &set("new"))]);
    git(root, &["add", "deploy/a.yaml"]);
    folder
}

fn state(root: &Path) -> (String, Vec<u8>) {
    (git(root, &["status", "--porcelain"]), std::fs::read(root.join(".git/index")).unwrap())
}

fn paths(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

#[test]
fn a_revision_is_read_from_any_folder() {
    let repository = repository();
    let root = repository.path();
    let before = state(root);
    let files = |folder: &Path, names: &[&str]| {
        let inputs = load_revision(folder, "v1", &paths(names)).unwrap();
        assert_eq!(errors(&inputs), [""; 0]);
        inputs
            .documents
            .iter()
            .map(|document| format!("{} {}", document.file, document.name))
            .collect::<Vec<_>>()
    };
    let deploy = [
        "v1:deploy/.hidden/c.yaml hidden",
        "v1:deploy/a.yaml old-a",
        "v1:deploy/deep/b.yml old-b",
        "v1:deploy/link.yaml top",
    ];
    assert_eq!(files(root, &["deploy"]), deploy);
    assert_eq!(files(root, &["./deploy/", "deploy"]), deploy);
    let mut named_first = deploy;
    named_first.swap(0, 1);
    assert_eq!(files(root, &["deploy/a.yaml", "deploy"]), named_first);
    assert_eq!(files(root, &["other/odd ü.manifest"]), ["v1:other/odd ü.manifest odd"]);
    assert_eq!(files(root, &["deploy/new.yaml", "absent/x"]), [""; 0]);
    assert_eq!(
        files(&root.join("deploy"), &["a.yaml", "../top.yaml"]),
        ["v1:a.yaml old-a", "v1:../top.yaml top"]
    );
    assert_eq!(
        files(&root.join("deploy"), &["."]),
        ["v1:.hidden/c.yaml hidden", "v1:a.yaml old-a", "v1:deep/b.yml old-b", "v1:link.yaml top"]
    );
    assert_eq!(files(root, &["alias/a.yaml"]), ["v1:alias/a.yaml old-a"]);
    let absolute = root.join("deploy/a.yaml");
    assert_eq!(
        files(&root.join("other"), &[absolute.to_str().unwrap()]),
        [format!("v1:{} old-a", absolute.display())]
    );
    assert_eq!(state(root), before);
}

#[test]
fn a_revision_and_a_clean_work_tree_hold_the_same() {
    let repository = repository();
    let root = repository.path();
    git(root, &["add", "."]);
    git(root, &["commit", "--quiet", "-m", "second"]);
    for path in ["", "deploy", "deploy/deep", "alias", "alias/deep/loop"] {
        let old = load_revision(root, "HEAD", &paths(&[if path.is_empty() { "." } else { path }]));
        let mut old: Vec<String> =
            old.unwrap().documents.iter().map(|d| d.file.replace("HEAD:", "")).collect();
        let new = load(&[root.join(path)], &mut std::io::empty());
        let within = |d: &Document| {
            let path = Path::new(&*d.file).strip_prefix(root).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let mut new: Vec<String> = new.documents.iter().map(within).collect();
        old.sort();
        new.sort();
        assert!(old.len() > 1, "{path}: {old:?}");
        assert_eq!(old, new, "{path}");
    }
}

#[test]
fn errors_of_a_revision_keep_their_place() {
    let folder = folder(&[("a.yaml", "a: 1\nb: [\n")]);
    git(folder.path(), &["init", "--quiet"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "--quiet", "-m", "first"]);
    let inputs = load_revision(folder.path(), "HEAD", &paths(&["a.yaml"])).unwrap();
    assert_eq!(errors(&inputs), ["HEAD:a.yaml:2:4: not valid YAML: unclosed bracket '['"]);
}

#[test]
fn what_git_lacks_is_said() {
    let repository = repository();
    let root = repository.path();
    for revision in ["origin/main", "--all", ""] {
        let error = load_revision(root, revision, &paths(&["deploy"])).unwrap_err();
        assert!(matches!(error, GitError::NoRevision(ref name) if name == revision), "{error}");
    }
    let error = load_revision(root, "v1", &paths(&["../elsewhere"])).unwrap_err();
    assert!(matches!(error, GitError::Outside(_)), "{error}");
    let error = load_revision(root, "v1", &paths(&["/etc/hosts"])).unwrap_err();
    assert!(matches!(error, GitError::Outside(_)), "{error}");
    let elsewhere = folder(&[]);
    let error = load_revision(elsewhere.path(), "v1", &paths(&["x"])).unwrap_err();
    assert!(matches!(error, GitError::NotARepository(_)), "{error}");
}

// Rendering.

#[test]
fn both_sides_are_rendered_where_they_are() {
    let repository = repository();
    let root = repository.path();
    let before = state(root);
    let command = "echo '# Source: chart/templates/a.yaml'; cat a.yaml";
    let deploy = root.join("deploy");
    let new = render(command, &deploy).unwrap();
    let old = render_revision(command, &deploy, "v1").unwrap();
    assert_eq!((names(&new), names(&old)), (vec!["new-a"], vec!["old-a"]));
    assert_eq!((&*new.documents[0].file, &*old.documents[0].file), ("rendered", "v1:rendered"));
    assert_eq!(old.documents[0].template.as_deref(), Some("chart/templates/a.yaml"));
    // A folder that is new in the work tree rendered to nothing before.
    write(root, &[("fresh/a.yaml", &set("fresh"))]);
    assert!(render_revision(command, &root.join("fresh"), "v1").unwrap().documents.is_empty());
    std::fs::remove_dir_all(root.join("fresh")).unwrap();
    assert_eq!(state(root), before);
}

#[test]
fn the_settings_of_a_repository_change_nothing_that_is_rendered() {
    use std::os::unix::fs::PermissionsExt;

    let repository = repository();
    let root = repository.path();
    let hook = root.join(".git/hooks/post-index-change");
    write(root, &[(".git/hooks/post-index-change", "#!/bin/sh\ntouch $GIT_DIR/ran\n")]);
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    // What a sparse checkout leaves out is left out of both sides.
    write(root, &[(".git/info/sparse-checkout", "/deploy/\n")]);
    git(root, &["config", "core.sparseCheckout", "true"]);
    git(root, &["config", "core.splitIndex", "true"]);
    let old = render_revision("cat deploy/a.yaml", root, "v1").unwrap();
    assert_eq!(names(&old), ["old-a"]);
    assert!(!root.join(".git/ran").exists());
    let shared = std::fs::read_dir(root.join(".git")).unwrap();
    let shared = shared
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("sharedindex"));
    assert_eq!(shared.count(), 0);
}

#[test]
fn a_command_that_fails_is_quoted() {
    let repository = repository();
    let noisy = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i >&2; done; exit 3";
    let error = render(noisy, repository.path()).unwrap_err().to_string();
    assert!(error.contains("ended with exit status: 3:\nline 3\n"), "{error}");
    assert!(error.ends_with("line 12"), "{error}");
    let error = render_revision("exit 4", repository.path(), "v1").unwrap_err();
    assert_eq!(error.to_string(), "`exit 4` at v1 ended with exit status: 4");
    let error = render_revision("true", repository.path(), "v2").unwrap_err();
    assert!(matches!(error, RenderError::Git(GitError::NoRevision(_))));
}

// Pairing.

fn manifest(kind: &str, namespace: &str, name: &str) -> String {
    format!(
        "---\napiVersion: {kind}\nkind: StatefulSet\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
    )
}

fn pairs(old: &Inputs, new: &Inputs, deletions: bool) -> (Vec<(String, String)>, Vec<String>) {
    let [old, new] = [old, new].map(|inputs| Selection::from(inputs.clone()));
    let paired = pair(old, new, deletions);
    let side = |document: &Option<Document>| {
        document.as_ref().map_or("-".to_owned(), |d| format!("{}:{}", d.file, d.location().line))
    };
    let shown = paired.pairings.iter().map(|p| (side(&p.old), side(&p.new))).collect();
    (shown, errors(&Inputs { errors: paired.errors, ..Inputs::default() }))
}

fn pairs_of(shown: &[(&str, &str)]) -> Vec<(String, String)> {
    shown.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect()
}

#[test]
fn objects_pair_by_kind_namespace_and_name() {
    let old = read(
        &[
            manifest("apps/v1beta1", "x", "a"),
            manifest("apps/v1", "x", "b"),
            manifest("apps/v1", "x", "gone"),
            manifest("other/v1", "x", "c"),
        ]
        .concat(),
    );
    let new = read(
        &[
            manifest("apps/v1", "x", "b"),
            manifest("apps/v1", "x", "a"),
            manifest("apps/v1", "z", "b"),
            manifest("apps/v1", "x", "c"),
        ]
        .concat(),
    );
    let expected = [("-:6", "-:2"), ("-:2", "-:6"), ("-", "-:10"), ("-", "-:14")];
    assert_eq!(pairs(&old, &new, false), (pairs_of(&expected), vec![]));
    let with_deletions = [&expected[..], &[("-:10", "-")]].concat();
    assert_eq!(pairs(&old, &new, true), (pairs_of(&with_deletions), vec![]));
}

#[test]
fn an_object_that_is_defined_twice_in_a_file_is_compared_twice_and_warned_of() {
    let one = manifest("apps/v1", "x", "a");
    let (shown, errors) = pairs(&read(&one), &read(&[one.clone(), one.clone()].concat()), false);
    assert_eq!((shown, errors), (pairs_of(&[("-:2", "-:6")]), vec![]));
    let two = format!("{one}spec: {{replicas: 2}}\n");
    let both = read(&[one.clone(), two].concat());
    let (shown, errors) = pairs(&read(&one), &both, false);
    assert_eq!((shown, errors), (pairs_of(&[("-:2", "-:2"), ("-:2", "-:6")]), vec![]));
    let paired = pair(read(&one).into(), both.clone().into(), false);
    assert_eq!(
        paired.notices[0].input.to_string(),
        "-:6:1: StatefulSet x/a is also defined at -:2:1; kubectl applies both, this one last"
    );
    // The last of the old ones is the state that is there.
    let (shown, errors) = pairs(&both, &read(&one), true);
    assert_eq!((shown, errors), (pairs_of(&[("-:6", "-:2")]), vec![]));
}

#[test]
fn overlays_pair_by_the_names_of_their_files() {
    let one = manifest("apps/v1", "x", "a");
    let before = folder(&[("prod/a.yaml", &one), ("dev/a.yaml", &one)]);
    let after = folder(&[("prod/a.yaml", &one), ("dev/a.yaml", &one), ("test/a.yaml", &one)]);
    let load = |folder: &TempDir| {
        let mut inputs = load(&[folder.path().to_owned()], &mut std::io::empty());
        for document in &mut inputs.documents {
            let path = Path::new(&*document.file).strip_prefix(folder.path()).unwrap();
            document.file = path.to_str().unwrap().into();
        }
        inputs
    };
    let expected = [
        ("dev/a.yaml:2", "dev/a.yaml:2"),
        ("prod/a.yaml:2", "prod/a.yaml:2"),
        // A copy for another cluster.
        ("-", "test/a.yaml:2"),
    ];
    assert_eq!(pairs(&load(&before), &load(&after), true), (pairs_of(&expected), vec![]));
    let moved = folder(&[("old.yaml", &one)]);
    // Of two that say the same, either may be taken.
    let expected = [("old.yaml:2", "dev/a.yaml:2"), ("old.yaml:2", "prod/a.yaml:2")];
    assert_eq!(pairs(&load(&moved), &load(&before), true), (pairs_of(&expected), vec![]));
    // If neither names nor contents tell, any choice would be a guess.
    let two = format!("{one}spec: {{replicas: 2}}\n");
    let before = folder(&[("prod/a.yaml", &one), ("dev/a.yaml", &two)]);
    let moved = folder(&[("old.yaml", &format!("{one}spec: {{replicas: 3}}\n"))]);
    let (shown, errors) = pairs(&load(&moved), &load(&before), true);
    assert_eq!(shown, pairs_of(&[]));
    assert_eq!(
        errors,
        ["prod/a.yaml:2:1: StatefulSet x/a is also defined at dev/a.yaml:2:1; which one counts?"]
    );
}

#[test]
fn a_namespace_that_one_side_leaves_out_hides_no_old_object() {
    let bare = "---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}\n";
    let [x, z] = ["x", "z"].map(|namespace| manifest("apps/v1", namespace, "a"));
    let paired = |old: &[&str], new: &[&str]| {
        let (shown, errors) = pairs(&read(&old.concat()), &read(&new.concat()), true);
        assert_eq!(errors, [""; 0]);
        shown
    };
    assert_eq!(paired(&[&x], &[bare]), pairs_of(&[("-:2", "-:2")]));
    assert_eq!(paired(&[bare], &[&x]), pairs_of(&[("-:2", "-:2")]));
    // Either of two may be meant, or neither.
    assert_eq!(paired(&[&x, &z], &[bare]), pairs_of(&[("-", "-:2"), ("-:2", "-"), ("-:6", "-")]));
    assert_eq!(paired(&[bare], &[&x, &z]), pairs_of(&[("-", "-:2"), ("-", "-:6"), ("-:2", "-")]));
    assert_eq!(paired(&[&x], &[&z]), pairs_of(&[("-", "-:2"), ("-:2", "-")]));
}

#[test]
fn what_has_no_name_yet_is_always_new() {
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {generateName: c-}\n";
    let (shown, errors) = pairs(&read(claim), &read(&format!("{claim}---\n{claim}")), true);
    assert_eq!(shown, pairs_of(&[("-", "-:1"), ("-", "-:5")]));
    assert_eq!(errors, [""; 0]);
}
