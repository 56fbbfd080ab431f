//! Which pack recognises which image, and the version that its tag names, as a table.

use std::collections::BTreeSet;

use stateward_core::packs::{ContainerTraits, ImageReference, Packs, Traits, recognise};

use crate::growth::{FACTOR, MOST, processor_time, ratio};

/// Reference, pack, version; `-` is none.
const TABLE: &str = include_str!("images.tsv");

fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
        [reference, pack, version] => (reference, pack, version),
        _ => panic!("three columns: {line}"),
    })
}

/// The pack and the version of a set whose one container runs this image over a claim.
fn known(image: &str) -> (&'static str, String) {
    let container = ContainerTraits { image, keeps_data: true, ..ContainerTraits::default() };
    let traits = Traits { containers: vec![container], ..Traits::default() };
    let known = recognise(Packs::built_in(), &traits);
    let version = known.as_ref().and_then(|known| known.version.as_ref());
    let version = version.map_or_else(|| "-".to_owned(), ToString::to_string);
    (known.map_or("-", |known| known.name), version)
}

#[test]
fn each_image_of_the_table_is_taken_for_the_system_that_it_runs() {
    let mut wrong = Vec::new();
    for (image, pack, version) in rows() {
        let found = known(image);
        if found != (pack, version.to_owned()) {
            wrong.push(format!("\"{image}\" is {} {}, not {pack} {version}", found.0, found.1));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_third_of_the_table_is_near_misses_and_no_reference_is_there_twice() {
    let all: Vec<&str> = rows().map(|(image, ..)| image).collect();
    let misses = rows().filter(|(_, pack, _)| *pack == "-").count();
    assert!(all.len() >= 150 && misses * 3 >= all.len(), "{misses} of {}", all.len());
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

/// Whatever somebody writes into `image` is read in one pass and harms nobody.
#[test]
fn long_and_hostile_references_take_no_more_than_their_length() {
    const SHORT: usize = 1 << 16;
    let parts = [
        "/",
        "a/",
        "a.b/",
        "docker.io/",
        "library/",
        "quay.io/coreos/",
        ":",
        "@",
        ".",
        "pg",
        "pg-",
        "1.",
        "9",
    ];
    let forms: [fn(&str) -> String; 6] = [
        str::to_owned,
        |many| format!("{many}postgres"),
        |many| format!("postgres:{many}"),
        |many| format!("timescale/timescaledb:{many}"),
        |many| format!("x.example.com/{many}library/postgres:17"),
        |many| format!("{many}quay.io/coreos/etcd:{many}"),
    ];
    for part in parts.into_iter().chain(["\0", "\u{202e}", "é", "${", "bitnami/"]) {
        for form in forms {
            let work = |length: usize| {
                let image = form(&part.repeat(length / part.len()));
                let before = processor_time();
                let _ = (known(&image), ImageReference::parse(&image));
                processor_time().saturating_sub(before)
            };
            let ratio = ratio(|| work(SHORT), || work(SHORT * FACTOR));
            assert!(ratio <= MOST, "{part:?} {}: {ratio:.0}", form("…"));
        }
    }
}
