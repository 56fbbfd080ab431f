//! The page about storage patterns is what the files of the drivers say.

use std::path::Path;

#[test]
fn the_page_about_storage_patterns_follows_from_the_drivers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/storage-patterns.md");
    let page = stateward_core::drivers::page::patterns();
    if std::env::var_os("STATEWARD_UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "run STATEWARD_UPDATE=1 cargo test --test docs storage");
}

#[test]
fn every_driver_is_on_the_page() {
    let page = stateward_core::drivers::page::patterns();
    for driver in stateward_core::drivers::all() {
        assert!(page.contains(&driver.title), "{}", driver.name);
    }
}
