//! Files that are made from the code are as the code would make them.
#![allow(missing_docs)]

use std::path::Path;

#[track_caller]
fn is_current(file: &str, wanted: &str, command: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    // `UPDATE=1 cargo test --test generated` writes them, for a tree whose binary does not build yet.
    if std::env::var_os("UPDATE").is_some() {
        assert!(std::fs::write(&path, wanted).is_ok(), "failed to write {file}");
        return;
    }
    let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    assert!(
        found == wanted,
        "{file} is out of date (from line {line:?} on, counted from 0); write it anew: {command}"
    );
}

#[test]
fn the_crds_are_current() {
    is_current("manifests/crd.yaml", &volgate::crd::yaml(), "cargo run -- crd > manifests/crd.yaml");
}
