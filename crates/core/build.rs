//! Lists the files that the crate embeds, so that adding one is adding a file.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    embed("drivers")?;
    embed("packs")
}

/// Writes `<folder>.rs` into the folder for generated code: a slice of pairs of name and text, one for each
/// YAML file of `policies/<folder>`, in the order of their names.
fn embed(folder: &str) -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let path = Path::new(&root).join("../../policies").join(folder).canonicalize()?;
    println!("cargo::rerun-if-changed={}", path.display());
    let mut files = fs::read_dir(&path)?.collect::<io::Result<Vec<_>>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut code = "&[\n".to_owned();
    for file in files {
        let file = file.path();
        if let (Some("yaml"), Some(name)) = (text(file.extension()), text(file.file_stem())) {
            let _ =
                writeln!(code, "    ({name:?}, include_str!({:?})),", file.display().to_string());
        }
    }
    code.push_str("]\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join(format!("{folder}.rs")), code)
}

fn text(part: Option<&std::ffi::OsStr>) -> Option<&str> {
    part.and_then(std::ffi::OsStr::to_str)
}
