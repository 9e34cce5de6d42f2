//! Files that are made from the code are as the code would make them.

use std::path::Path;

#[track_caller]
fn is_current(file: &str, wanted: &str, command: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    // `UPDATE=1 cargo test --test core generated` writes them, for a tree whose binary does not build yet.
    if std::env::var_os("UPDATE").is_some() {
        assert!(std::fs::write(&path, wanted).is_ok(), "failed to write {file}");
        return;
    }
    let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    assert!(
        found == wanted,
        "{file} is out of date (from line {line:?} on, counted from 0); write it again: {command}"
    );
}

#[test]
fn the_crds_are_current() {
    // A chart can hold no file of another folder.
    let chart = "cp manifests/crd.yaml charts/volgate/files/crd.yaml";
    is_current("charts/volgate/files/crd.yaml", &volgate::crd::yaml(), chart);
    is_current("manifests/crd.yaml", &volgate::crd::yaml(), "cargo run -- crd > manifests/crd.yaml");
}

#[test]
fn the_schema_of_the_settings_is_current() {
    let command = "cargo run -- config schema > docs/volgate.schema.json";
    is_current("docs/volgate.schema.json", &volgate::cli::config_schema(), command);
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
        let pods: std::collections::BTreeSet<String> = entry
            .pods
            .iter()
            .map(|pods| match pods.parts {
                Some(_) => "steps of a run".to_owned(),
                None => format!("pod templates, as a {:?}", pods.alike),
            })
            .collect();
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
    is_current(file, &format!("{text}{marker}{}", kinds()), "UPDATE=1 cargo test --test core generated");
}

/// What is known of images' VOLUMEs, and where it was looked up.
fn volumes() -> String {
    let mut rows =
        vec!["| product | VOLUMEs at its data | looked up in |".to_owned(), "| --- | --- | --- |".to_owned()];
    for entry in volgate::catalog::Catalog::embedded().entries() {
        let of_variants = entry.variants.iter().flat_map(|variant| variant.image_volumes.iter().flatten());
        let mut all: Vec<&str> = entry.image_volumes.iter().chain(of_variants).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        if all.is_empty() && entry.checked.is_none() {
            continue;
        }
        let shown = if all.is_empty() { "none".to_owned() } else { format!("`{}`", all.join("` `")) };
        rows.push(format!("| {} | {shown} | {} |", entry.product, entry.checked.as_deref().unwrap_or("–")));
    }
    rows.join("\n") + "\n"
}

#[test]
fn the_page_on_images_lists_their_volumes() {
    let page = "# VOLUMEs of images\n\nGenerated from src/catalog/catalog.json; do not edit: `UPDATE=1 cargo test --test core \
        generated`.\n\nThe runtime mounts a fresh volume at each VOLUME that an image declares and the pod mounts nothing at: data in it \
        die with the container, even where a claim is mounted at a directory above. So a claim must be mounted at the VOLUME itself or \
        beneath it. The last column says in which repository's Dockerfiles the VOLUMEs were read, and of which tags; a dash: they were not looked up \
        there yet.\n\n";
    is_current(
        "docs/images.md",
        &format!("{page}{}", volumes()),
        "UPDATE=1 cargo test --test core generated",
    );
}

/// The rights of `volgate reports`: every kind that is judged, and reports.
#[cfg(feature = "agent")]
#[test]
fn the_role_of_the_reports_is_current() {
    let list = |of: &Option<Vec<String>>| {
        let quoted = |text: &String| if text.is_empty() { "\"\"".to_owned() } else { text.clone() };
        of.iter().flatten().map(quoted).collect::<Vec<_>>().join(", ")
    };
    let mut rules = String::new();
    for rule in volgate::cluster::reports_cluster_rules() {
        rules.push_str(&format!(
            "- apiGroups: [{}]\n  resources: [{}]\n  verbs: [{}]\n",
            list(&rule.api_groups),
            list(&rule.resources),
            rule.verbs.join(", ")
        ));
    }
    let file = "charts/volgate/files/reports-role.yaml";
    is_current(file, &rules, "UPDATE=1 cargo test --test core generated");
}

/// The page that documents every metric, made of what the processes serve.
#[cfg(feature = "agent")]
#[test]
fn the_page_on_metrics_is_current() {
    let mut page = "# Metrics\n\nGenerated from the metrics themselves; do not edit: `UPDATE=1 cargo test --test core generated`.\n\n\
        Each process serves its own at `/metrics` on port 8080, in the OpenMetrics format. The chart brings a Service, PodMonitor, \
        ServiceMonitor, alerts and a dashboard (`metrics.*` in its values, all off by default).\n"
        .to_owned();
    for (title, sample) in [
        ("The webhook: `volgate serve`", volgate::server::metrics_sample()),
        (
            "The provisioner's controller: `volgate provisioner`",
            volgate::cluster::provisioner_metrics_sample(),
        ),
        ("The provisioner's agents: `volgate agent`", volgate::agent::metrics_sample()),
        ("Policy reports: `volgate reports`", volgate::cluster::reports_metrics_sample()),
    ] {
        page.push_str(&format!(
            "\n## {title}\n| metric | type | labels | what it is |\n| --- | --- | --- | --- |\n"
        ));
        page.push_str(&rows(&sample));
    }
    is_current("docs/metrics.md", &page, "UPDATE=1 cargo test --test core generated");
}

/// A row for each metric of a text in the OpenMetrics format.
#[cfg(feature = "agent")]
fn rows(sample: &str) -> String {
    let mut rows = String::new();
    let line = |name: &str, start: &str| {
        sample.lines().find_map(|line| line.strip_prefix(&format!("# {start} {name} ")))
    };
    let names = sample.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next());
    for name in names {
        let (help, kind) = (line(name, "HELP").unwrap_or_default(), line(name, "TYPE").unwrap_or_default());
        let end = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let full = format!("{name}{end}");
        let series = sample.lines().find(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(end) && !line.starts_with('#'))
        });
        let labels =
            series.and_then(|line| line.split_once('{')?.1.split_once('}')).map_or("", |(inside, _)| inside);
        let labels: Vec<&str> = labels
            .split(',')
            .filter_map(|label| label.split('=').next())
            .filter(|label| !label.is_empty() && *label != "le")
            .collect();
        let help = help.trim_end_matches('.');
        rows.push_str(&format!("| `{full}` | {kind} | {} | {help} |\n", labels.join(", ")));
    }
    assert!(rows.lines().count() > 5, "{sample}");
    rows
}
