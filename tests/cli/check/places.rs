//! The manifest and the line that a notice names: those with the fault.

use crate::folder::{CLAIM, Folder, Ran, SET};

/// `file:line` and the message of each notice.
fn notices(ran: &Ran) -> Vec<(String, String)> {
    let json = ran.json();
    let notices = json["notices"].as_array().unwrap().iter();
    notices
        .map(|notice| {
            let file = notice["file"].as_str().unwrap();
            let message = notice["message"].as_str().unwrap().to_owned();
            (format!("{file}:{}", notice["line"]), message)
        })
        .collect()
}

#[test]
fn a_field_that_cannot_be_decoded_is_named_in_the_manifest_that_has_it() {
    let both = SET.replace("serviceName: db", "serviceName: [db]");
    let old = both.replace("replicas: 3", "replicas: three");
    let folder = Folder::new(&[("old.yaml", &old), ("new.yaml", &format!("# moved\n{both}"))]);
    // The change mends one fault, and did not bring the other.
    let ran = folder.judged(0, &["--old", "old.yaml", "new.yaml"]);
    let places: Vec<String> = notices(&ran).into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, ["new.yaml:9", "old.yaml:7"]);
    // A fault that the change makes worse is still its own.
    folder.write("new.yaml", &old.replace("[db]", "{}"));
    assert_eq!(
        folder.judged(2, &["--old", "old.yaml", "new.yaml"]).verdicts(),
        ["malformed error -"]
    );
}

#[test]
fn an_object_that_is_not_judged_is_named_once_with_its_line() {
    let variables = SET
        .replace("replicas: 3", "replicas: ${n}")
        .replace("10Gi", "\"${size}\"")
        .replace("serviceName: db", "serviceName: \"${name}\"");
    let folder =
        Folder::new(&[("a/db.yaml", &variables), ("b/db.yaml", &format!("---\n{variables}"))]);
    let ran = folder.check(&["a/db.yaml"]);
    let lines: Vec<&str> =
        ran.stdout.lines().filter(|line| line.contains("not judged: ")).collect();
    assert_eq!(lines.len(), 1, "{ran:?}");
    let begin = "not judged: StatefulSet shop/db (a/db.yaml:7): needs the values of ${n} in spec.replicas, ";
    assert!(lines[0].starts_with(begin), "{lines:?}");
    for field in ["${size} in spec.volumeClaimTemplates[0]", "they become, with --render"] {
        assert!(lines[0].contains(field), "{lines:?}");
    }
    assert!(ran.stdout.ends_with("; 1 not judged\n"), "{ran:?}");
    // The old manifest has the variable.
    folder.write("new.yaml", SET);
    let ran = folder.check(&["--old", "b/db.yaml", "new.yaml"]);
    assert!(ran.stdout.contains("not judged: StatefulSet shop/db (b/db.yaml:8): "), "{ran:?}");
    // Several rules need the same.
    let claim = CLAIM.split("status:").next().unwrap();
    folder.write("old.yaml", claim);
    folder.write("new.yaml", &claim.replace("10Gi", "20Gi"));
    let ran = folder.check(&["--old", "old.yaml", "new.yaml"]);
    assert_eq!(ran.stdout.matches("not judged: ").count(), 1, "{ran:?}");
    assert_eq!(ran.stdout.matches("(new.yaml:1): ").count(), 1, "{ran:?}");
    let github = folder.check(&["--old", "old.yaml", "new.yaml", "--format", "github"]).stdout;
    assert_eq!(github.matches("::notice file=new.yaml,line=1,").count(), 1, "{github}");
}

/// GitHub shows an annotation beside the new file, where the number is that of another line.
#[test]
fn github_has_no_line_for_what_only_the_old_revision_has() {
    let broken = CLAIM.replace("data-db-0", "logs").replace("  accessModes", "\taccessModes");
    let folder =
        Folder::repository(&[("db.yaml", &format!("{CLAIM}---\n{SET}")), ("logs.yaml", &broken)]);
    folder.write("db.yaml", CLAIM);
    folder.write("logs.yaml", &CLAIM.replace("data-db-0", "logs"));
    let arguments = ["--old-ref", "HEAD", ".", "--deletions", "--format", "github"];
    let ran = folder.check(&arguments);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(!ran.stdout.contains("file="), "{ran:?}");
    assert!(
        lines[0].starts_with("::warning title=warning sts-delete-cascade::HEAD:db.yaml:17: "),
        "{ran:?}"
    );
    assert!(
        lines[1].starts_with("::warning::HEAD:logs.yaml:5: the old manifest could not"),
        "{ran:?}"
    );
    // Nor a link to a file of a name that no revision has.
    let markdown = ["--old-ref", "HEAD", ".", "--deletions", "--format", "markdown"];
    assert!(folder.check(&markdown).stdout.contains("| `HEAD:db.yaml:17` |"));
}

#[test]
fn a_volume_that_changes_is_named_at_its_own_line() {
    let single = SET.replace("replicas: 3", "replicas: 1");
    let (head, _) = single.split_once("  volumeClaimTemplates:").unwrap();
    let with = |data: &str| {
        format!(
            "{head}      volumes:\n        - name: tmp\n          emptyDir: {{}}\n        - name: data\n          {data}\n"
        )
    };
    let claim = with("persistentVolumeClaim: {claimName: db}");
    for (new, line) in [
        (with("emptyDir: {}"), 28),
        (with("persistentVolumeClaim: {claimName: other}"), 28),
        // The mount names another volume.
        (claim.replace("{name: data, mountPath", "{name: tmp, mountPath"), 24),
    ] {
        let folder = Folder::new(&[("old.yaml", &claim), ("new.yaml", &new)]);
        let ran = folder.judged(1, &["--old", "old.yaml", "new.yaml"]);
        assert_eq!(ran.verdicts(), ["sts-data-mount-removed deny policy"]);
        let finding = &ran.json()["findings"][0];
        assert_eq!(
            (&finding["old"]["line"], &finding["new"]["line"]),
            (&line.into(), &line.into())
        );
    }
}
