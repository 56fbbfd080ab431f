//! The boundaries of ARCHITECTURE.md: the pure crates stay pure, and modules form no import cycle.
//! `.ci/run` also builds the pure crates for wasm32, a target without files, network and clock.

mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use self::modules::{Modules, paths, sources};

/// The crates without I/O, clock or client.
const PURE: [&str; 3] = ["check", "core", "resize"];

/// What a pure crate must not depend on, not even through another crate. A `*` ends a prefix.
const IMPURE_CRATES: [&str; 20] = [
    "aws-lc*",
    "axum*",
    "getrandom",
    "h2",
    "hyper*",
    "kube*",
    "mio",
    "native-tls",
    "openssl*",
    "quinn*",
    "rand",
    "reqwest",
    "ring",
    "rustix",
    "rustls*",
    "socket2",
    "tempfile",
    "tokio*",
    "ureq",
    "walkdir",
];

/// What a pure crate must not name: files, network, processes, the clock, and threads that outlive a
/// call. Scoped threads are allowed: they only divide the work of one call.
const IMPURE_PATHS: [&str; 13] = [
    "std::env",
    "std::fs",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net",
    "std::os",
    "std::process",
    "std::thread::Builder",
    "std::thread::sleep",
    "std::thread::spawn",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// The functions that ask the system for the time or the time zone.
const IMPURE_CALLS: [&str; 3] = ["TimeZone::system", "Timestamp::now", "Zoned::now"];

/// The cycles that are left: crate, modules, and why they are. A line goes when its cycle is cut;
/// none is added.
const CYCLES: &[(&str, &[&str], &str)] = &[
    (
        "check",
        &[
            "report::format",
            "report::github",
            "report::json",
            "report::junit",
            "report::markdown",
            "report::sarif",
            "report::text",
        ],
        "each format takes Options and RenderError from the module that chooses among the formats",
    ),
    (
        "core",
        &["facts", "growth", "mutations", "policy", "rules"],
        "facts read the key of an annotation that a mutation writes, mutations use remedies of rules",
    ),
    ("core", &["policy::file", "policy::settings"], "one error type for both"),
    ("core", &["yaml::tree", "yaml::view"], "a view reads a tree that keeps views"),
    (
        "resize",
        &["step::finalize", "step::grow", "step::recreate", "step::request", "step::retention_pin"],
        "the phases of the protocol lead to each other",
    ),
    (
        "stateward",
        &["cli::controller", "cli::serve"],
        "`serve --with-controller` runs both, and both share arguments",
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn crates() -> BTreeMap<&'static str, PathBuf> {
    BTreeMap::from([
        ("check", root().join("crates/check/src")),
        ("core", root().join("crates/core/src")),
        ("resize", root().join("crates/resize/src")),
        ("stateward", root().join("src")),
        ("testbed", root().join("tests/testbed/src")),
    ])
}

#[test]
fn pure_crates_depend_on_no_runtime_client_or_tls() {
    for name in PURE {
        let dependencies = dependencies(&format!("stateward-{name}"));
        assert!(dependencies.contains("serde_json"), "{dependencies:?}");
        let impure: Vec<&String> =
            dependencies.iter().filter(|dependency| is_impure(dependency)).collect();
        assert!(impure.is_empty(), "crates/{name} depends on {impure:?}: see `cargo tree -i`");
    }
    let shell = dependencies("stateward");
    for expected in ["aws-lc-rs", "hyper", "kube-client", "rustls", "tokio"] {
        assert!(shell.contains(expected) && is_impure(expected), "{expected}");
    }
}

fn is_impure(dependency: &str) -> bool {
    IMPURE_CRATES.iter().any(|name| match name.strip_suffix('*') {
        Some(prefix) => dependency.starts_with(prefix),
        None => dependency == *name,
    })
}

/// The names of the crates that are linked with `package` on this machine.
fn dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--package", package])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

#[test]
fn pure_crates_name_no_files_network_processes_or_clock() {
    for name in PURE {
        let sources = sources(&crates()[name]);
        assert!(!sources.is_empty());
        for (module, source) in sources {
            let impure = impure_paths(&source);
            assert!(impure.is_empty(), "crates/{name}, {}: {impure:?}", module.join("::"));
        }
    }
}

/// The paths in `source` that a pure crate must not name.
fn impure_paths(source: &str) -> Vec<String> {
    let is_impure = |path: &str| {
        // The import of a whole module would hide what is used of it.
        ["std", "std::io", "std::thread", "std::time"].contains(&path)
            || IMPURE_PATHS
                .iter()
                .any(|impure| format!("{path}::").starts_with(&format!("{impure}::")))
            || IMPURE_CALLS
                .iter()
                .any(|impure| format!("::{path}").ends_with(&format!("::{impure}")))
    };
    paths(source)
        .iter()
        .map(|path| path.segments.join("::"))
        .filter(|path| is_impure(path))
        .collect()
}

#[test]
fn modules_form_no_import_cycle_but_the_known_ones() {
    let mut found: Vec<(&str, BTreeSet<String>)> = Vec::new();
    for (name, folder) in crates() {
        let modules = Modules::read(&folder);
        let cycles = modules.cycles();
        let largest = cycles.iter().filter(|cycle| !cycle[0].contains("::")).map(Vec::len).max();
        println!(
            "{name}: {} of {} top-level modules in the largest cycle, {} cycles of deeper modules",
            largest.unwrap_or(0),
            modules.top().len(),
            cycles.iter().filter(|cycle| cycle[0].contains("::")).count(),
        );
        found.extend(cycles.into_iter().map(|cycle| (name, cycle.into_iter().collect())));
    }
    let known = |name: &str, cycle: &BTreeSet<String>| {
        CYCLES.iter().position(|(owner, modules, _)| {
            *owner == name && cycle.iter().all(|module| modules.contains(&module.as_str()))
        })
    };
    let new: Vec<_> = found.iter().filter(|(name, cycle)| known(name, cycle).is_none()).collect();
    assert!(new.is_empty(), "these modules import each other: {new:#?}");
    let met: BTreeSet<_> = found.iter().filter_map(|(name, cycle)| known(name, cycle)).collect();
    for (at, (name, modules, _)) in CYCLES.iter().enumerate() {
        assert!(met.contains(&at), "{name} has no cycle {modules:?} any more: remove its line");
    }
}

/// The cycles of a crate of the modules given, each with its source.
fn cycles_of(modules: &[(&str, &str)]) -> Vec<String> {
    let mut read = Modules::default();
    for (module, source) in modules {
        let path: Vec<String> = module.split("::").map(str::to_owned).collect();
        read.add(&path, source);
    }
    read.cycles().iter().map(|cycle| cycle.join(" ")).collect()
}

#[test]
fn cycles_are_found_in_imports_expressions_macros_and_through_reexports() {
    assert_eq!(cycles_of(&[("a", "use crate::{c, b::{X, Y}};"), ("b", "use super::a;")]), ["a b"]);
    assert_eq!(
        cycles_of(&[("a", "fn f() { crate::b::g() }"), ("b", "fn g() { m!(x, crate::a::f) }")]),
        ["a b"]
    );
    assert_eq!(
        cycles_of(&[("a", "use crate::b::X;"), ("b", "use crate::c::X;"), ("c", "use crate::a;")]),
        ["a c"],
        "what b passes on is declared in c"
    );
    assert_eq!(
        cycles_of(&[
            ("a", "use crate::b;"),
            ("b", "use crate::c;"),
            ("c", "mod d { use super::super::a; }")
        ]),
        ["a b c"]
    );
    assert_eq!(
        cycles_of(&[("p::a", "use super::b;"), ("p::b", "use crate::p::a::X as Y;")]),
        ["p::a p::b"]
    );
}

#[test]
fn comments_unit_tests_and_parents_make_no_cycle() {
    assert!(
        cycles_of(&[("a", "/// [`crate::b`]\nuse x::b; // crate::b"), ("b", "use crate::a;")])
            .is_empty()
    );
    assert!(
        cycles_of(&[("a", "#[cfg(test)] mod tests { use crate::b; }"), ("b", "use crate::a;")])
            .is_empty()
    );
    assert!(cycles_of(&[("a", "mod c; use self::c::X;"), ("a::c", "use super::Y;")]).is_empty());
}

#[test]
fn impure_paths_are_found_however_they_are_written() {
    let found = |source| impure_paths(source).join(" ");
    assert_eq!(
        found("use std::{fmt, fs::File, time::{Duration, Instant}};"),
        "std::fs::File std::time::Instant"
    );
    assert_eq!(found("fn f() { ::std::env::var(\"A\"); }"), "std::env::var");
    assert_eq!(found("use std::fs;"), "std::fs");
    assert_eq!(found("use std::time;"), "std::time");
    assert_eq!(found("use std::*;"), "std");
    assert_eq!(found("fn f() { jiff::Timestamp::now() }"), "jiff::Timestamp::now");
    assert_eq!(found("use std::time::Duration; // std::fs"), "");
    assert_eq!(found("#[cfg(test)] mod tests { use std::fs; }"), "");
}
