//! The catalog as a whole: its schema, its patterns, and `fixtures.json`, one container a line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::*;

/// A container and what the catalog should say of it: `data` (a `?` behind a path marks a guess), `cache`, `client`,
/// or nothing when it is not listed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fixture {
    image: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, Option<String>>,
    working_dir: Option<String>,
    product: Option<String>,
    data: Option<Vec<String>>,
    #[serde(default)]
    cache: bool,
    client: Option<String>,
}

fn fixtures() -> Vec<Fixture> {
    serde_json::from_str(include_str!("fixtures.json")).unwrap()
}

fn classify<T>(
    catalog: &Catalog,
    (image, command, args): (&str, &[&str], &[&str]),
    env: &[(&str, Option<&str>)],
    check: impl FnOnce(Statefulness<'_>) -> T,
) -> T {
    check(catalog.classify(&ContainerView { image, command, args, env, working_dir: None }))
}

fn places(state: Statefulness<'_>) -> Vec<DataPlace<'_>> {
    match state {
        Statefulness::Stateful { data, .. } => data,
        other => panic!("not stateful: {other:?}"),
    }
}

#[test]
fn what_is_dispensable_is_known_by_name() {
    let dispensable = |entry: &&Entry| entry.dispensable.is_some();
    let catalog = Catalog::embedded();
    let found: BTreeSet<_> =
        catalog.entries().iter().filter(dispensable).map(|entry| &*entry.product).collect();
    let expected = [
        "AdGuard Home",
        "Alertmanager",
        "Authelia",
        "Chronograf",
        "CloudBeaver",
        "Frigate",
        "Grafana",
        "Grafana Tempo",
        "Harbor Redis",
        "Harbor registry",
        "Jaeger",
        "Keycloak",
        "Netdata",
        "Ollama",
        "Pi-hole",
        "Prometheus",
        "Quickwit",
        "Redis Insight",
        "This image of a home-lab publisher",
        "pgAdmin",
    ];
    assert_eq!(found, BTreeSet::from(expected), "no product whose only copy of its data is lost with it");
    classify(catalog, ("bitnami/grafana", &[], &[]), &[], |state| {
        assert!(matches!(state, Statefulness::Stateful { dispensable: Some(_), .. }), "{state:?}");
    });
}

#[test]
fn a_directory_can_tell_the_product() {
    let catalog = Catalog::embedded();
    assert_eq!(catalog.at_home("/var/lib/mysql"), Some("MySQL"));
    assert_eq!(catalog.at_home("/data/db"), Some("MongoDB"));
    assert_eq!(catalog.at_home("/var/lib/rabbitmq"), Some("RabbitMQ"));
    assert_eq!(catalog.at_home("/data"), None, "anyone's");
    assert_eq!(catalog.at_home("/app/data"), None, "anyone's too");
    assert_eq!(catalog.at_home("/var/lib"), None);
}

#[test]
fn every_fixture_is_classified_as_written() {
    for fixture in fixtures() {
        let command: Vec<&str> = fixture.command.iter().map(String::as_str).collect();
        let args: Vec<&str> = fixture.args.iter().map(String::as_str).collect();
        let env: Vec<_> = fixture.env.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let container = ContainerView {
            image: &fixture.image,
            command: &command,
            args: &args,
            env: &env,
            working_dir: fixture.working_dir.as_deref(),
        };
        let (product, data, cache, client) = match Catalog::embedded().classify(&container) {
            Statefulness::NotListed => (None, None, false, None),
            Statefulness::Cache { product, why } => {
                assert!(!why.is_empty(), "{fixture:?}");
                (Some(product), None, true, None)
            }
            Statefulness::Client { product, program } => (Some(product), None, false, Some(program)),
            Statefulness::Stateful { product, data, .. } => {
                let paths = data
                    .iter()
                    .map(|place| format!("{}{}", place.path, if place.certain { "" } else { "?" }))
                    .collect::<Vec<_>>();
                (Some(product), Some(paths), false, None)
            }
        };
        assert_eq!(
            (product, data, cache, client),
            (fixture.product.as_deref(), fixture.data.clone(), fixture.cache, fixture.client.clone()),
            "{fixture:?}"
        );
    }
}

#[test]
fn every_product_has_a_stateful_fixture() {
    let tested: BTreeSet<String> = fixtures()
        .into_iter()
        .filter(|fixture| fixture.data.is_some())
        .filter_map(|fixture| fixture.product)
        .collect();
    let products: BTreeSet<String> =
        Catalog::embedded().entries().iter().map(|entry| entry.product.clone()).collect();
    assert_eq!(products.difference(&tested).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(products.len(), Catalog::embedded().entries().len(), "a product stands twice");
    assert!(products.len() >= 60, "{} products", products.len());
}

#[test]
fn the_file_fits_its_schema_and_its_type() {
    let schema = serde_json::to_value(schemars::schema_for!(CatalogFile)).unwrap();
    let file: serde_json::Value = serde_json::from_str(EMBEDDED).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> = validator.iter_errors(&file).map(|fault| fault.to_string()).collect();
    assert_eq!(faults, Vec::<String>::new());
    let typed: CatalogFile = serde_json::from_str(EMBEDDED).unwrap();
    assert_eq!(serde_json::to_value(&typed).unwrap(), file, "the file writes out what is the default anyway");
}

#[test]
fn the_schema_refuses_what_the_types_refuse() {
    let schema = serde_json::to_value(schemars::schema_for!(Entry)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (text, fits) in [
        (r#"{"product":"X","images":["x"],"data":[{"path":"/x"}]}"#, true),
        (r#"{"product":"X","images":["x"],"stateful":false}"#, true),
        (r#"{"product":"X","images":["host.corp:5000/a/x","b/x-#"]}"#, true),
        (r#"{"product":"X","images":["vendor/*","ghcr.io/vendor/*"]}"#, true),
        (r#"{"product":"X","images":["*"]}"#, false),
        (r#"{"product":"X","images":["vendor/x*"]}"#, false),
        (r#"{"product":"X","images":["vendor/*/x"]}"#, false),
        (r#"{"product":"X","images":[]}"#, false),
        (r#"{"product":"","images":["x"]}"#, false),
        (r#"{"product":"X","images":["X"]}"#, false),
        (r#"{"product":"X","images":["a//x"]}"#, false),
        (r#"{"product":"X","images":["x:7"]}"#, false),
        (r#"{"product":"X","images":["x"],"dta":[]}"#, false),
        (r#"{"product":"X","images":["x"],"data":[{"flags":["dir"]}]}"#, false),
        (r#"{"product":"X","images":["x"],"scratch":["tmp"]}"#, false),
    ] {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(validator.is_valid(&value), fits, "{text}");
    }
}

#[test]
fn no_image_stands_in_two_entries() {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in Catalog::embedded().entries() {
        let mut own: Vec<&str> = entry.images.iter().map(String::as_str).collect();
        own.sort_unstable();
        own.dedup();
        assert_eq!(own.len(), entry.images.len(), "{} names an image twice", entry.product);
        let variants = entry.variants.iter().flat_map(|variant| &variant.images).map(String::as_str);
        for image in own.into_iter().chain(variants) {
            let owner = owners.insert(image, &entry.product);
            assert!(
                owner.is_none_or(|owner| owner == entry.product),
                "{image}: {owner:?} and {}",
                entry.product
            );
        }
    }
}

#[test]
fn conditions_name_one_subject_and_reasons_are_given() {
    for entry in Catalog::embedded().entries() {
        let caches =
            entry.cache_when.iter().chain(entry.variants.iter().flat_map(|v| v.cache_when.iter().flatten()));
        let when =
            entry.stateful_when.iter().chain(entry.variants.iter().filter_map(|v| v.stateful_when.as_ref()));
        let conditions = (entry.uncertain_when.iter())
            .chain(entry.variants.iter().flat_map(|variant| &variant.when))
            .chain(caches.flat_map(|cache| &cache.all))
            .chain(when.clone().flat_map(|when| &when.any));
        for condition in conditions {
            let subjects = [&condition.flag, &condition.word, &condition.env].into_iter().flatten().count();
            assert_eq!(subjects, 1, "{}: {condition:?}", entry.product);
        }
        for when in when {
            assert_eq!(when.any.is_empty(), when.otherwise.is_empty(), "{}", entry.product);
        }
    }
}

#[test]
fn what_moved_the_data_is_told() {
    let catalog = Catalog::embedded();
    let moved = |state: Statefulness<'_>| places(state).first().unwrap().moved_by.map(|by| format!("{by:?}"));
    for (container, env, expected) in [
        (
            ("redis", &[][..], &["--appendonly", "yes", "--dir", "/x"][..]),
            &[][..],
            Some(("--dir", "Args { index: 3 }")),
        ),
        (("redis", &["redis-server", "--dir=/x"], &[]), &[], Some(("--dir", "Command { index: 1 }"))),
        (
            ("redis", &["sh", "-c", "redis-server --dir /x"], &[]),
            &[],
            Some(("--dir", "Command { index: 2 }")),
        ),
        (("redis", &["sh", "-c"], &["redis-server --dir /x"]), &[], Some(("--dir", "Args { index: 0 }"))),
        (
            ("postgres:16", &[], &[]),
            &[("A", None), ("PGDATA", Some("/x"))],
            Some(("PGDATA", "Env { name: \"PGDATA\", index: Some(1) }")),
        ),
        (
            ("postgres:16", &[], &[]),
            &[("PGDATA", None)],
            Some(("PGDATA", "Env { name: \"PGDATA\", index: Some(0) }")),
        ),
        (("minio/minio", &[], &["server", "/x"]), &[], Some(("server", "Args { index: 1 }"))),
        (("postgres:16", &[], &[]), &[], None),
    ] {
        let expected =
            expected.map(|(name, origin)| format!("MovedBy {{ name: {name:?}, origin: {origin} }}"));
        assert_eq!(classify(catalog, container, env, moved), expected, "{container:?}");
    }
}

#[test]
fn image_volumes_are_told_unless_the_version_is_unknown() {
    let volume = |image: &str, env: &[(&str, Option<&str>)]| {
        classify(Catalog::embedded(), (image, &[], &[]), env, |state| {
            places(state).first().unwrap().image_volume.map(str::to_owned)
        })
    };
    let old = Some("/var/lib/postgresql/data".to_owned());
    assert_eq!(volume("postgres:17", &[]), old);
    assert_eq!(volume("postgres:17", &[("PGDATA", Some("/var/lib/postgresql/data/pgdata"))]), old);
    assert_eq!(volume("postgres:17", &[("PGDATA", Some("/var/lib/postgresql/database"))]), None);
    assert_eq!(volume("postgres:18", &[]), Some("/var/lib/postgresql".to_owned()));
    assert_eq!(volume("postgres", &[]), None);
    assert_eq!(volume("postgres:latest", &[]), None);
    assert_eq!(volume("mongo", &[]), Some("/data/db".to_owned()));
    assert_eq!(volume("bitnami/postgresql:17", &[]), None);
}

#[test]
fn extensions_win_and_take_images_out() {
    let extra: Vec<Entry> = serde_json::from_str(
        r#"[
            {"product":"our redis","images":["mycorp/redis"],"data":[{"path":"/ours"}]},
            {"product":"Memcached with extstore","images":["memcached"],"data":[{"path":"/ext"}]},
            {"product":"MySQL","images":["mysql"],"stateful":false,"except":["finance/mysql"]}
        ]"#,
    )
    .unwrap();
    let catalog = Catalog::with(extra);
    let path =
        |image| classify(&catalog, (image, &[], &[]), &[], |state| places(state).remove(0).path.into_owned());
    let listed = |image| classify(&catalog, (image, &[], &[]), &[], |state| state != Statefulness::NotListed);
    assert_eq!(path("mycorp/redis:1"), "/ours");
    assert_eq!(path("redis:7"), "/data");
    assert_eq!(path("memcached"), "/ext");
    assert!(!listed("mysql:8"));
    assert!(!listed("bitnami/mysql:8"), "an extension's name counts before a more exact built-in one");
    assert!(listed("finance/mysql:8"));
    assert_eq!(catalog.entry("mysql").map(|entry| entry.stateful), Some(false));
    assert_eq!(Catalog::embedded().entry("memcached"), None);
}

/// Loose limits, which hold in a debug build on a busy machine: the aim is a tenth of them.
#[test]
fn loading_and_looking_up_are_quick() {
    let start = Instant::now();
    let file: CatalogFile = serde_json::from_str(EMBEDDED).unwrap();
    let catalog = Catalog::build(file.entries, Vec::new());
    assert!(start.elapsed() < Duration::from_millis(250), "{:?}", start.elapsed());
    for (image, args, limit) in [
        ("registry.corp/team/app:1.2.3", &["--port", "80"][..], 50),
        ("postgres:16", &[], 250),
        ("redis:7", &["--appendonly", "yes"], 250),
    ] {
        let container = ContainerView { image, args, ..ContainerView::default() };
        let start = Instant::now();
        for _ in 0..1000 {
            std::hint::black_box(catalog.classify(std::hint::black_box(&container)));
        }
        let each = start.elapsed() / 1000;
        println!("{image}: {each:?}");
        assert!(each < Duration::from_micros(limit), "{image}: {each:?}");
    }
}
