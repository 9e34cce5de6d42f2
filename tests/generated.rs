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

/// The kinds of the table, for docs/custom-resources.md.
fn kinds() -> String {
    use volgate::facts::Lies;
    let mut rows = vec![
        "| group | kinds | versions | what is judged |".to_owned(),
        "| --- | --- | --- | --- |".to_owned(),
    ];
    let mut entries: Vec<_> = volgate::catalog::Catalog::embedded().kinds().entries().iter().collect();
    entries.sort_by_key(|entry| (&entry.group, entry.kinds.keys().next()));
    for entry in entries {
        let names: Vec<&str> = entry.kinds.keys().map(String::as_str).collect();
        let pods: std::collections::BTreeSet<String> =
            entry.pods.iter().map(|pods| format!("pod templates, as a {:?}", pods.alike)).collect();
        let mut judged: Vec<String> = pods.into_iter().collect();
        for store in &entry.stores {
            let product = store.product.as_ref().unwrap_or(&entry.product);
            let lies = store.cases.iter().map(|case| case.lies).chain([store.otherwise]);
            let may_be_lost =
                lies.into_iter().any(|lies| !matches!(lies, Lies::Claim | Lies::Unknown | Lies::Nowhere));
            let what = if may_be_lost { "on what its data lie, and its claims" } else { "its claims" };
            let line = format!("{product}: {what}");
            if !judged.contains(&line) {
                judged.push(line);
            }
        }
        rows.push(format!(
            "| `{}` | {} | {} | {} |",
            entry.group,
            names.join(", "),
            entry.versions.join(", "),
            judged.join("; ")
        ));
    }
    rows.join("\n") + "\n"
}

#[test]
fn the_page_on_custom_resources_lists_the_table() {
    let file = "docs/custom-resources.md";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let marker = "<!-- The rest is made from src/catalog/kinds.json. -->\n\n";
    let text = found.split(marker).next().unwrap_or_default();
    is_current(file, &format!("{text}{marker}{}", kinds()), "UPDATE=1 cargo test --test generated");
}
