//! What can be wrong with inputs, and what is said then.

use crate::folder::{CLAIM, Folder, SET, set};

#[test]
fn inputs_may_be_streams_lists_and_json() {
    let json = r#"{"apiVersion":"v1","kind":"List","items":[
        {"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"a"},
         "spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"0"}}}},
        {"apiVersion":"v1","kind":"Service","metadata":{"name":"s"}}]}"#;
    let stream = format!("# two of them\n{SET}---\n{}", set("two"));
    let folder = Folder::new(&[("list.json", json), ("stream.yaml", &stream)]);
    let ran = folder.judged(1, &["."]);
    assert_eq!(ran.verdicts(), ["pvc-invalid-value deny kubernetes"]);
    assert_eq!(ran.json()["summary"]["objects"], 3);
    let place = &ran.json()["findings"][0]["new"];
    assert_eq!((&place["line"], &place["column"]), (&3.into(), &85.into()));
}

#[test]
fn a_byte_order_mark_may_begin_any_file_that_was_joined() {
    let two = set("two");
    for text in [
        format!("{SET}---\n\u{feff}{two}"),
        format!("{SET}\u{feff}---\n{two}"),
        format!("\u{feff}{SET}\u{feff}---\r\n\u{feff}{two}"),
        format!("\u{feff}\u{feff}---\n{SET}---\n{two}").replacen("\u{feff}", "", 1),
    ] {
        let folder = Folder::new(&[("a.yaml", &text)]);
        assert_eq!(folder.judged(0, &["."]).json()["summary"]["objects"], 2, "{text:?}");
    }
}

#[test]
fn standard_input_is_a_dash() {
    let folder = Folder::new(&[("old.yaml", SET)]);
    let zero = SET.replace("replicas: 3", "replicas: -1");
    let ran = folder.check_with(&zero, &["-"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains(" --> -:7:13\n"), "{}", ran.stdout);
    assert_eq!(folder.check_with(SET, &["--old", "old.yaml", "-"]).code, Some(0));
}

#[test]
fn what_is_no_object_is_skipped_and_counted() {
    let folder = Folder::new(&[
        ("chart/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n"),
        ("chart/values.yaml", "replicas: 3\nimage: {tag: 17.2}\n"),
        ("chart/README.md", "# no manifest\n"),
        ("db.yaml", SET),
    ]);
    let ran = folder.judged(0, &["."]);
    let summary = &ran.json()["summary"];
    let counts = ["objects", "skipped", "leftOut"].map(|count| &summary[count]);
    assert_eq!(counts, [1, 1, 1], "the values of a chart are no manifest");
}

#[test]
fn an_unresolved_template_is_named_with_the_hint_to_render() {
    let template = SET.replace("replicas: 3", "replicas: {{ .Values.replicas }}");
    let folder = Folder::new(&[("templates/db.yaml", &template), ("db.yaml", SET)]);
    let ran = folder.judged(2, &["."]);
    assert_eq!(
        ran.errors(),
        [
            "templates/db.yaml:7:13: unresolved Helm template (`{{`): check what it renders to, with \
          --render 'helm template …'"
        ]
    );
    assert_eq!(ran.json()["summary"]["objects"], 1, "the other file is judged");
}

#[test]
fn each_bad_document_is_said_and_hides_no_other() {
    let bomb: Vec<String> = ('b'..='i')
        .zip('a'..='h')
        .map(|(name, of)| format!("{name}: &{name} [{}]", vec![format!("*{of}"); 9].join(",")))
        .collect();
    let folder = Folder::new(&[
        ("alias.yaml", &format!("kind: &a [StatefulSet]\n{}\n", bomb.join("\n"))),
        ("bracket.yaml", &SET.replace("matchLabels: {app: db}", "matchLabels: {app: db")),
        ("name.yaml", &SET.replacen("name: db", "name: 5", 1)),
        ("odd.json", "{\"kind\": \"StatefulSet\", \"apiVersion\": }"),
        ("stream.yaml", &format!("{}---\nkind: StatefulSet: c\n---\n{}", set("one"), set("two"))),
        ("tab.yaml", &SET.replace("  replicas: 3", "\treplicas: 3")),
        ("utf.yaml", "\u{feff}a: 1\n"),
        ("version.yaml", &SET.replace("apps/v1", "apps/v1beta1")),
    ]);
    std::fs::write(folder.path().join("latin.yaml"), b"kind: StatefulSet\na: \xe9\n").unwrap();
    std::os::unix::fs::symlink("loop.yaml", folder.path().join("loop.yaml")).unwrap();
    std::os::unix::fs::symlink("nowhere.yaml", folder.path().join("dead.yaml")).unwrap();
    let ran = folder.judged(2, &["."]);
    assert_eq!(
        ran.errors(),
        [
            "alias.yaml:7:17: aliases expand this document too far: kubectl refuses it, too",
            "bracket.yaml:11:11: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'",
            "dead.yaml:0:0: this link leads to nothing that could be read",
            "latin.yaml:2:4: this is not UTF-8",
            "loop.yaml:0:0: this link leads to nothing that could be read",
            "name.yaml:4:9: metadata.name is a number, not a string",
            "odd.json:1:39: not valid JSON: no JSON value stands here",
            "stream.yaml:31:18: not valid YAML: mapping values are not allowed in this context",
            "tab.yaml:7:1: a tab in the indentation: YAML takes spaces only",
            "version.yaml:1:13: no supported Kubernetes serves a StatefulSet of apps/v1beta1; write \
             apiVersion: apps/v1",
        ]
    );
    let judged = &ran.json()["judged"];
    let names: Vec<&str> =
        judged.as_array().unwrap().iter().map(|j| j["object"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn a_kind_or_a_list_that_nearly_is_one_is_no_empty_input() {
    for (text, says) in [
        (
            SET.replacen("StatefulSet", "Statefulset", 1),
            "2:7: there is no kind \"Statefulset\"; did you mean \"StatefulSet\"?",
        ),
        (
            CLAIM.replacen("PersistentVolumeClaim", "persistentvolumeclaim", 1),
            "2:7: there is no kind \"persistentvolumeclaim\"; did you mean \
             \"PersistentVolumeClaim\"?",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: foo\n".to_owned(),
            "3:8: items of a List is a string, not a list",
        ),
        (
            "apiVersion: apps/v1\nkind: StatefulSetList\nmetadata: {name: x}\nitems: {a: b}\n"
                .to_owned(),
            "4:8: items of a StatefulSetList is a mapping, not a list",
        ),
    ] {
        let folder = Folder::new(&[("a.yaml", &text)]);
        assert_eq!(folder.judged(2, &["a.yaml"]).errors(), [format!("a.yaml:{says}")]);
    }
    // Other projects may call their kinds what they like.
    let other = "apiVersion: example.com/v1\nkind: AllowList\nitems: {a: b}\n---\n\
        apiVersion: example.com/v1\nkind: Statefulset\nmetadata: {name: x}\n";
    let folder = Folder::new(&[("a.yaml", other)]);
    assert_eq!(folder.check(&["a.yaml"]).code, Some(0));
}

#[test]
fn a_field_of_the_wrong_type_is_named_at_its_place() {
    for (wrong, field, at, says) in [
        ("replicas: three", "/spec/replicas", "7:13", "\"three\" is a string, not a whole number"),
        ("replicas: 1.5", "/spec/replicas", "7:13", "1.5 is a number, not a whole number"),
        ("replicas: [3]", "/spec/replicas", "7:13", "this is a list, not a whole number"),
        (
            "replicas: 99999999999999999999",
            "/spec/replicas",
            "7:13",
            "this whole number has too many digits",
        ),
    ] {
        let folder = Folder::new(&[
            ("db.yaml", &SET.replace("replicas: 3", wrong)),
            ("two.yaml", &set("two")),
        ]);
        let ran = folder.judged(2, &["."]);
        assert_eq!(ran.verdicts(), ["malformed error -"], "{wrong}");
        let finding = &ran.json()["findings"][0];
        assert_eq!(finding["field"], field);
        let place = &finding["new"];
        assert_eq!(format!("{}:{}", place["line"], place["column"]), at);
        assert_eq!(finding["message"], format!("StatefulSet shop/db: spec.replicas: {says}"));
        assert_eq!(ran.json()["summary"]["objects"], 2);
        let text = folder.check(&["."]).stdout;
        assert!(text.contains(&format!(" --> db.yaml:{at}\n")), "{text}");
        assert!(!text.contains("explain malformed"), "there is no such page:\n{text}");
    }
}

#[test]
fn a_bad_quantity_is_named_at_its_place() {
    for (wrong, code, rule, says) in [
        ("10GB", 2, "malformed", "\"10GB\" is not a quantity"),
        ("1.5.Gi", 2, "malformed", "\"1.5.Gi\" is not a quantity"),
        ("[1]", 2, "malformed", "this is a list, not a size such as 10Gi"),
        ("{a: 1}", 2, "malformed", "this is a mapping, not a size such as 10Gi"),
        ("-1Gi", 1, "invalid", "the storage request -1Gi is not above zero"),
    ] {
        let folder = Folder::new(&[
            ("claim.yaml", &CLAIM.replacen("10Gi", wrong, 1)),
            ("db.yaml", &SET.replace("10Gi", wrong)),
        ]);
        let ran = folder.judged(code, &["."]);
        let json = ran.json();
        for (index, (file, at, prefix)) in
            [("claim.yaml", "8:35", "pvc"), ("db.yaml", "29:41", "sts")].into_iter().enumerate()
        {
            let finding = &json["findings"][index];
            let found = finding["rule"].as_str().unwrap();
            let wanted = format!("{prefix}-invalid-value");
            assert_eq!(found, if rule == "malformed" { rule } else { &wanted }, "{wrong}");
            let place = &finding["new"];
            assert_eq!(place["file"], file);
            assert_eq!(format!("{}:{}", place["line"], place["column"]), at, "{wrong}");
            let message = finding["message"].as_str().unwrap();
            assert!(message.contains(says), "{message}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = Folder::new(&[("db.yaml", SET), ("bad/stateward.yaml", "version: 1\nrles: {}\n")]);
    assert_eq!(
        folder.judged(2, &["db.yaml", "gone.yaml"]).errors(),
        ["gone.yaml:0:0: no such file or folder"]
    );
    assert_eq!(
        folder.judged(2, &["--old", "gone", "db.yaml"]).errors(),
        ["gone:0:0: no such file or folder"]
    );
    for (arguments, says) in [
        (
            &["--policy", "bad/stateward.yaml", "db.yaml"][..],
            "bad/stateward.yaml:2:1: there is no key \"rles\" here; did you mean \"rules\"?",
        ),
        (&["--policy", "gone", "db.yaml"], "cannot read the policy gone: "),
        (&["--old-ref", "HEAD", "db.yaml"], "is not in a git repository"),
        (&["--render", "exit 3"], "`exit 3` ended with exit status: 3"),
        (
            &["--render", "echo why >&2; false"],
            "`echo why >&2; false` ended with exit status: 1:\nwhy",
        ),
    ] {
        let ran = folder.check(arguments);
        assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{arguments:?}");
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(says), "{}", ran.stderr);
    }
}

#[test]
fn a_size_that_is_none_is_said_with_the_one_that_was_meant() {
    let folder =
        Folder::new(&[("db.yaml", &SET.replace("10Gi", "20GB").replace("17.2", "latest"))]);
    let ran = folder.check(&["db.yaml"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let field = "spec.volumeClaimTemplates[0].spec.resources.requests.storage";
    assert!(ran.stdout.contains(&format!("= help: 1. set {field} to 20G\n")), "{}", ran.stdout);
    let why = "The API server cannot read it either, so this field was not judged.";
    assert!(ran.stdout.contains(why), "{}", ran.stdout);
    assert!(ran.stdout.contains("sts-image-latest"), "other rules judge: {}", ran.stdout);
    folder.write("db.yaml", &SET.replace("replicas: 3", "replicas: [3]").replace("17.2", "latest"));
    let ran = folder.check(&["db.yaml"]);
    assert!(ran.stdout.contains("either, so this field was not judged."), "{}", ran.stdout);
    assert!(ran.stdout.contains("sts-image-latest"), "other rules judge: {}", ran.stdout);
}

#[test]
fn what_is_wrong_with_json_is_said_in_plain_words() {
    for (text, says) in [
        ("{\"a\": 1} trailing", "1:10: not valid JSON: text stands behind the end"),
        ("{\"a\": 1}\n}", "2:1: not valid JSON: text stands behind the end"),
        ("true}", "1:5: not valid JSON: text stands behind the end"),
        ("nonsense", "1:2: not valid JSON: no JSON value stands here"),
        ("{\"a\": 1", "1:7: not valid JSON: it ends in the middle of a value"),
        ("{a: 1}", "1:2: not valid JSON: a key in double quotes is missing"),
        ("{\"a\": 1,}", "1:9: not valid JSON: a key in double quotes is missing"),
        ("{\"a\" 1}", "1:6: not valid JSON: a key needs a colon and a value"),
        ("[1 2]", "1:4: not valid JSON: a comma or the closing ] is missing"),
    ] {
        let folder = Folder::new(&[("a.json", text)]);
        assert_eq!(folder.judged(2, &["a.json"]).errors(), [format!("a.json:{says}")]);
    }
}
