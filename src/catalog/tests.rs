//! The catalog as a whole: its schema, its patterns, and `fixtures.json`, one container a line.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::*;

/// A container and what the catalog should say of it: `data` (a `?` behind a path marks a guess), `little` where a
/// warning is enough, `cache`, `client`, or nothing when it is not listed.
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
    #[serde(default)]
    env_from: Vec<String>,
    working_dir: Option<String>,
    product: Option<String>,
    data: Option<Vec<String>>,
    #[serde(default)]
    cache: bool,
    /// Whether losing the data does little harm.
    #[serde(default)]
    little: bool,
    client: Option<String>,
    /// The variable that may make it a cache.
    cache_doubt: Option<String>,
    /// What names the directory, when nothing else is known of it.
    unplaced: Option<String>,
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
    check(catalog.classify(&ContainerView { image, command, args, env, ..ContainerView::default() }))
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
        "Apache Celeborn",
        "AppDaemon",
        "Atlantis",
        "Authelia",
        "Avalanche",
        "Besu",
        "Bitcoin Core",
        "CKAN",
        "Cardano node",
        "Cassandra Reaper",
        "Chronograf",
        "CloudBeaver",
        "Coroot",
        "CrowdSec",
        "DefectDojo",
        "Diun",
        "Double Take",
        "DynamoDB local",
        "Erigon",
        "File Browser",
        "Fluentd",
        "Frigate",
        "Geth",
        "Grafana",
        "Grafana Pyroscope",
        "Grafana Tempo",
        "Harbor Redis",
        "Harbor registry",
        "Hazelcast Management Center",
        "HeyForm",
        "Hive metastore",
        "Hyperledger Burrow",
        "Hyperledger Composer",
        "Jaeger",
        "Jupyter",
        "JupyterHub",
        "Keycloak",
        "Lighthouse",
        "LocalStack",
        "Lodestar",
        "Logstash",
        "Luigi",
        "Mail relay",
        "Nessus",
        "NetBox",
        "Netdata",
        "Nethermind",
        "NeuVector controller",
        "Nimbus",
        "ONLYOFFICE Docs",
        "Ollama",
        "Parca",
        "Phoenix",
        "Pi-hole",
        "Polkadot",
        "Prometheus",
        "Prometheus Pushgateway",
        "Prysm",
        "Pulsar Manager",
        "Quickwit",
        "Redis Insight",
        "Reth",
        "Sloop",
        "Teku",
        "This desktop application of LinuxServer.io",
        "This image of a home-lab publisher",
        "This small service of LinuxServer.io",
        "Vector",
        "VictoriaTraces",
        "Zabbix proxy",
        "Zammad",
        "acme-dns",
        "code-server",
        "listmonk",
        "mautrix bridge",
        "pgAdmin",
        "vcluster",
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
    assert_eq!(catalog.at_home("/prometheus"), Some("Prometheus"), "one segment, called like the product");
    assert_eq!(catalog.at_home("/alertmanager"), Some("Alertmanager"));
    assert_eq!(catalog.at_home("/bitnami/postgresql"), Some("PostgreSQL"), "above its directory");
    assert_eq!(catalog.at_home("/usr/share/elasticsearch"), None, "programs lie there, too");
    assert_eq!(catalog.at_home("/data"), None, "anyone's");
    assert_eq!(catalog.at_home("/code"), None, "anyone's");
    assert_eq!(catalog.at_home("/app/data"), None, "anyone's too");
    assert_eq!(catalog.at_home("/var/lib"), None);
}

#[test]
fn every_fixture_is_classified_as_written() {
    let mut wrong = Vec::new();
    for fixture in fixtures() {
        let command: Vec<&str> = fixture.command.iter().map(String::as_str).collect();
        let args: Vec<&str> = fixture.args.iter().map(String::as_str).collect();
        let env: Vec<_> = fixture.env.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let env_from: Vec<&str> = fixture.env_from.iter().map(String::as_str).collect();
        let container = ContainerView {
            name: "",
            roles: Default::default(),
            image: &fixture.image,
            command: &command,
            args: &args,
            env: &env,
            env_from: &env_from,
            working_dir: fixture.working_dir.as_deref(),
            configuration: None,
        };
        let (mut doubts, mut little) = ((None, None), false);
        let (product, data, cache, client) = match Catalog::embedded().classify(&container) {
            Statefulness::NotListed => (None, None, false, None),
            Statefulness::Unplaced { product, why, .. } => {
                let Unplaced::Value(name) = why else { panic!("{fixture:?}") };
                doubts.1 = Some(name.name);
                (Some(product), None, false, None)
            }
            Statefulness::Cache { product, why, .. } => {
                assert!(!why.is_empty(), "{fixture:?}");
                (Some(product), None, true, None)
            }
            Statefulness::Client { product, program } => (Some(product), None, false, Some(program)),
            Statefulness::Stateful { product, data, cache, copy, .. } => {
                little = copy.is_some();
                doubts.0 = cache.map(|doubt| match doubt.by {
                    Unsure::Variable(name) | Unsure::File(name) => name,
                });
                let paths = data
                    .iter()
                    .map(|place| {
                        let sure =
                            matches!(place.doubt, None | Some(PlaceDoubt::Publisher | PlaceDoubt::Script));
                        format!("{}{}", place.path, if sure { "" } else { "?" })
                    })
                    .collect::<Vec<_>>();
                (Some(product), Some(paths), false, None)
            }
        };
        let found = (product, data, cache, little, client, doubts.0, doubts.1);
        let expected = (
            fixture.product.as_deref(),
            fixture.data.clone(),
            fixture.cache,
            fixture.little,
            fixture.client.clone(),
            fixture.cache_doubt.as_deref(),
            fixture.unplaced.as_deref(),
        );
        if found != expected {
            wrong.push(format!(
                "{} {command:?} {args:?} {env:?}: {found:?} and not {expected:?}",
                fixture.image
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_product_has_a_stateful_fixture() {
    let tested: BTreeSet<String> = fixtures()
        .into_iter()
        .filter(|fixture| fixture.data.is_some())
        .filter_map(|fixture| fixture.product)
        .collect();
    let entries = Catalog::embedded().entries();
    let products: BTreeSet<String> = entries.iter().map(|entry| entry.product.clone()).collect();
    let keeping = entries.iter().filter(|entry| entry.keeps_nothing.is_none());
    let keeping: BTreeSet<String> = keeping.map(|entry| entry.product.clone()).collect();
    assert_eq!(keeping.difference(&tested).collect::<Vec<_>>(), Vec::<&String>::new());
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

/// Bitnami moved its images of old, and sells them under a third name.
#[test]
fn an_image_of_bitnami_is_known_wherever_it_lies() {
    let entries = Catalog::embedded().entries();
    let variants = entries.iter().flat_map(|entry| &entry.variants).flat_map(|variant| &variant.images);
    let images: BTreeSet<&str> =
        entries.iter().flat_map(|entry| &entry.images).chain(variants).map(String::as_str).collect();
    let names = |publisher: &'static str| {
        images.iter().filter_map(move |image| image.strip_prefix(publisher)).collect::<BTreeSet<_>>()
    };
    assert_eq!(names("bitnami/"), names("bitnamilegacy/"));
    assert_eq!(names("bitnami/"), names("bitnamisecure/"));
}

#[test]
fn conditions_name_one_subject_and_reasons_are_given() {
    for entry in Catalog::embedded().entries() {
        let when =
            entry.stateful_when.iter().chain(entry.variants.iter().filter_map(|v| v.stateful_when.as_ref()));
        for condition in entry.conditions() {
            let subjects = [&condition.flag, &condition.word, &condition.env, &condition.container];
            let subjects = subjects.into_iter().flatten().count() + usize::from(!condition.roles.is_empty());
            let by_key = usize::from(condition.key.is_some());
            assert!(subjects == 1 || (subjects, by_key) == (0, 1), "{}: {condition:?}", entry.product);
            let read = |file: &ConfigFile| !file.name.is_empty();
            let files =
                entry.variants.iter().filter_map(|v| v.config_files.as_ref()).chain([&entry.config_files]);
            assert!(by_key == 0 || files.flatten().any(read), "{}: no file has {condition:?}", entry.product);
        }
        for when in when {
            assert_eq!(when.any.is_empty(), when.otherwise.is_empty(), "{}", entry.product);
        }
    }
}

#[test]
fn what_moved_the_data_is_told() {
    let catalog = Catalog::embedded();
    let moved = |state: Statefulness<'_>| {
        places(state).first().unwrap().moved_by.map(|by| {
            assert_eq!(by.named.file, None);
            format!("{} {:?}", by.named, by.origin)
        })
    };
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
            Some(("PGDATA", "Env { index: Some(1) }")),
        ),
        (("postgres:16", &[], &[]), &[("PGDATA", None)], Some(("PGDATA", "Env { index: Some(0) }"))),
        (("minio/minio", &[], &["server", "/x"]), &[], Some(("server", "Args { index: 1 }"))),
        (("postgres:16", &[], &[]), &[], None),
    ] {
        let expected = expected.map(|(name, origin)| format!("{name} {origin}"));
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
    assert_eq!(volume("bitnami/postgresql:17", &[]), Some("/bitnami/postgresql".to_owned()));
    assert_eq!(volume("bitnami/mariadb:11", &[]), None);
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
    let catalog = Catalog::with(extra, Vec::new());
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
    let embedded = Catalog::embedded().entry("memcached").unwrap();
    assert!(embedded.keeps_nothing.is_some(), "an extension's entry counts, and not this one");
}

/// What finding out about a container takes of its budget: bytes, steps and places.
fn cost(container: &ContainerView<'_>) -> (Statefulness<'static>, (usize, usize, usize)) {
    let mut budget = Budget::of(container);
    let Listed { entry, found, image, .. } = Catalog::embedded().listed(container.image).unwrap();
    let listing = resolve::Listing { entry, variants: &found.variants, foreign: false, extension: false };
    let state = match resolve::resolve(&listing, &image, container, &mut budget) {
        Statefulness::Stateful { product, data, .. } => {
            let data = data.into_iter().map(|place| DataPlace {
                path: place.path.into_owned().into(),
                moved_by: None,
                doubt: None,
                image_volume: None,
                mounted_only: false,
                cache: None,
            });
            let (product, data) = (known(product), data.collect());
            Statefulness::Stateful {
                product,
                data,
                parts: &[],
                enough: &[],
                scratch: &[],
                dispensable: None,
                copy: None,
                cache: None,
                start: Start::Server,
            }
        }
        Statefulness::Unplaced { product, why: Unplaced::Excess(excess), .. } => Statefulness::Unplaced {
            product: known(product),
            why: Unplaced::Excess(excess),
            dispensable: None,
        },
        other => panic!("{other:?}"),
    };
    (state, budget.used())
}

fn known(product: &str) -> &'static str {
    Catalog::embedded().entries().iter().map(|entry| &*entry.product).find(|name| *name == product).unwrap()
}

fn input(container: &ContainerView<'_>) -> usize {
    let texts = container.command.iter().chain(container.args).map(|text| text.len() + 3);
    let variables = container.env.iter().map(|(name, value)| name.len() + value.map_or(0, str::len) + 3);
    texts.chain(variables).sum()
}

/// Containers that were made to cost more than their size, of about so many bytes.
fn attacks(bytes: usize, check: &mut dyn FnMut(&str, &ContainerView<'_>)) {
    let of = |image,
              command: &[&str],
              args: &[&str],
              name: &str,
              check: &mut dyn FnMut(&str, &ContainerView<'_>)| {
        check(name, &ContainerView { image, command, args, ..ContainerView::default() });
    };
    for unit in
        ["$(", "$", "${", "$(A)", "$((", "{1...2}", "{1...1}", "{1...4294967295}", "/../", ".{", "/x,", "'`"]
    {
        let text = unit.repeat(bytes / unit.len());
        of("redis", &[], &["--dir", &text], unit, check);
        of("redis", &["sh", "-c", &text], &[], unit, check);
        of("minio/minio", &[], &["server", &format!("/{text}")], unit, check);
        of("elasticsearch:8", &[], &[&format!("-Epath.data={text}")], unit, check);
        let env = [("PGDATA", Some(text.as_str()))];
        let postgres = ContainerView { image: "postgres:16", env: &env, ..ContainerView::default() };
        check(unit, &postgres);
        check(
            unit,
            &ContainerView { working_dir: Some(&text), args: &["--dir", "x"], image: "redis", ..postgres },
        );
    }
    for unit in ["a ", "a;", "-a ", "A=1 ", "ls;", "\"\" ", "--dir /x ", "$A ", "<(", ">&"] {
        let script = unit.repeat(bytes / unit.len());
        for image in ["redis", "minio/minio", "elasticsearch:8", "strimzi/kafka"] {
            of(image, &["sh", "-c", &script], &[], unit, check);
        }
    }
    let references = bytes / 4 / 4;
    for names in [&["A", "B", "C", "D", "E"][..], &["A", "A", "A", "A", "A"]] {
        let texts: Vec<String> = names.iter().map(|name| format!("$({name})").repeat(references)).collect();
        let mut env = vec![("A", Some("x"))];
        env.extend(names.iter().skip(1).zip(&texts).map(|(name, text)| (*name, Some(text.as_str()))));
        let args = ["--dir", "$(E)"];
        check(
            "references",
            &ContainerView { image: "redis", env: &env, args: &args, ..ContainerView::default() },
        );
    }
    let names: Vec<String> = (0..bytes / 16).map(|n| format!("V{n}")).collect();
    let values: Vec<String> = (0..bytes / 16).map(|n| format!("$(V{})", n / 2)).collect();
    let env: Vec<_> =
        names.iter().zip(&values).map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
    check("variables", &ContainerView { image: "redis", env: &env, ..ContainerView::default() });
    for word in ["/{1...64}", "/x", "http://host/x", "--store=/x", "-D/x"] {
        let words: Vec<String> = (0..bytes / 24).map(|n| format!("{word}{n}")).collect();
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        args.insert(0, "server");
        of("minio/minio", &[], &args, word, check);
        let same = vec![word; args.len()];
        of("minio/minio", &["minio", "server"], &same, word, check);
        of("postgres:16", &[], &same, word, check);
        of("cockroachdb/cockroach", &[], &same, word, check);
    }
}

#[test]
fn no_container_costs_more_than_its_size() {
    let mut seen = 0;
    attacks(1 << 13, &mut |name, container| {
        if matches!(
            Catalog::embedded().classify(container),
            Statefulness::Client { .. } | Statefulness::Cache { .. }
        ) {
            return;
        }
        let ((state, (bytes, steps, places)), input) = (cost(container), input(container));
        // What is refused is counted, but not made: once, and no value is longer than the allowance.
        let allowed = 2 * (4 * (input + container.working_dir.map_or(0, str::len)) + 8192);
        assert!(bytes <= allowed, "{name}: {bytes} bytes of {input}");
        assert!(steps <= 2 * input + 2048, "{name}: {steps} steps of {input}");
        assert!(places <= 129, "{name}: {places} places");
        if let Statefulness::Stateful { data, .. } = state {
            assert!(
                data.len() <= 128 && data.iter().map(|place| place.path.len()).sum::<usize>() <= allowed,
                "{name}"
            );
        }
        seen += 1;
    });
    assert!(seen > 100, "{seen}");
}

#[test]
fn four_variables_of_many_references_are_not_known() {
    for count in [60, 1000] {
        let texts: Vec<String> =
            ["A", "B", "C", "D"].iter().map(|name| format!("$({name})").repeat(count)).collect();
        let value = "x".repeat(count);
        let mut env = vec![("A", Some(value.as_str()))];
        env.extend(
            ["B", "C", "D", "E"].into_iter().zip(&texts).map(|(name, text)| (name, Some(text.as_str()))),
        );
        let args = ["--dir", "/$(E)"];
        let container = ContainerView { image: "redis", env: &env, args: &args, ..ContainerView::default() };
        let (state, (bytes, ..)) = cost(&container);
        assert!(
            matches!(state, Statefulness::Unplaced { why: Unplaced::Excess(Excess::Bytes(_)), .. }),
            "{state:?}"
        );
        assert!(bytes <= 8 * input(&container) + 2 * 8192, "{bytes} bytes");
    }
}

#[test]
fn many_words_of_many_disks_are_not_known() {
    let words: Vec<String> = (0..14_000).map(|n| format!("/{n}/{{1...64}}")).collect();
    let mut args = vec!["server"];
    args.extend(words.iter().map(String::as_str));
    let container = ContainerView { image: "minio/minio", args: &args, ..ContainerView::default() };
    let (state, (bytes, _, places)) = cost(&container);
    let why = Unplaced::Excess(Excess::Places(128));
    assert_eq!(state, Statefulness::Unplaced { product: "MinIO", why, dispensable: None });
    assert!(bytes < 10_000 && places <= 129, "the rest is not read: {bytes} bytes, {places} places");
    let args = ["server", "http://a/d{1...64}", "http://b/d{1...64}", "http://c/e{1...64}"];
    let container = ContainerView { image: "minio/minio", args: &args, ..ContainerView::default() };
    let Statefulness::Stateful { data, .. } = Catalog::embedded().classify(&container) else { panic!() };
    assert_eq!(data.len(), 128, "each once");
}

#[test]
fn a_mebibyte_of_dollars_and_parentheses_is_read_once() {
    const MIB: usize = 1 << 20;
    for unit in ["$(", "$((", "$"] {
        let text = unit.repeat(MIB / unit.len());
        let container = ContainerView { image: "redis", args: &["--dir", &text], ..ContainerView::default() };
        let (state, (bytes, steps, _)) = cost(&container);
        let Statefulness::Stateful { data, .. } = state else { panic!("{state:?}") };
        assert_eq!(data.len(), 1, "{unit}");
        assert!(bytes <= MIB + 16 && steps <= MIB / 4096 + 16, "{unit}: {bytes} bytes, {steps} steps");
    }
    let script = "${".repeat(MIB / 2);
    let container =
        ContainerView { image: "redis", command: &["sh", "-c", &script], ..ContainerView::default() };
    let (state, (_, steps, _)) = cost(&container);
    assert!(matches!(state, Statefulness::Unplaced { why: Unplaced::Excess(Excess::Steps(65_536)), .. }));
    assert!(steps <= 65_536 + MIB / 4096 + 1, "{steps}");
}

#[test]
fn a_mebibyte_of_ranges_does_not_exhaust_the_stack() {
    for unit in ["{1...2}", "{1...1}", "{0...0}/", "{2...1}", "{1...4294967295}"] {
        let path = format!("/{}", unit.repeat((1 << 20) / unit.len()));
        let container =
            ContainerView { image: "minio/minio", args: &["server", &path], ..ContainerView::default() };
        let (_, (bytes, steps, places)) = cost(&container);
        assert!(
            bytes <= 2 * (4 * input(&container) + 8192) && steps < 10 && places <= 129,
            "{unit}: {bytes} bytes"
        );
    }
}

#[test]
fn a_hundred_thousand_variables_are_not_known_and_a_thousand_are() {
    let names: Vec<String> = (0..100_000).map(|n| format!("V{n}")).collect();
    let mut env: Vec<_> = names.iter().map(|name| (name.as_str(), Some("/x"))).collect();
    env.push(("PGDATA", Some("$(V7)/y")));
    let of = |env: &[(&str, Option<&str>)]| {
        cost(&ContainerView { image: "postgres:16", env, ..ContainerView::default() })
    };
    let (state, (bytes, steps, _)) = of(&env);
    assert!(matches!(state, Statefulness::Unplaced { why: Unplaced::Excess(Excess::Steps(65_536)), .. }));
    assert_eq!((bytes, steps), (0, 100_001), "not one is read");
    let (state, (_, steps, _)) = of(env.get(99_000..).unwrap());
    assert!(matches!(state, Statefulness::Stateful { .. }) && steps <= 1010, "{steps}");
}

/// A configuration whose one mount is a ConfigMap or a Secret with that file.
fn mounted<'a>(
    allowance: &'a Allowance,
    (path, named): (&'a str, &'a crate::facts::FileSource<'a>),
    object: Option<&serde_json::Value>,
) -> Configuration<'a> {
    let read = |object| match crate::facts::Facts::read(object, None).unwrap().subject {
        crate::facts::Subject::Config(facts) => std::sync::Arc::new(facts),
        other => panic!("{other:?}"),
    };
    let mut configuration = Configuration::new(allowance);
    let source = Source { named, object: object.map(read) };
    configuration.mounts.push(Mounted {
        index: 0,
        path,
        sub_path: Some("file"),
        files: Some(vec![source]),
        rendered: false,
    });
    configuration
}

/// A text that gives a key a value, as a file of that syntax has it.
fn text_of(syntax: Syntax, key: &str, value: &str) -> String {
    match syntax {
        Syntax::Lines => match key.split_once('.').filter(|(section, _)| *section != "log") {
            Some((section, key)) => format!("[{section}]\n{key} = {value}\n"),
            None => format!("{key} {value}\n"),
        },
        Syntax::Blocks => {
            let mut parts: Vec<&str> = key.split('.').collect();
            let last = parts.pop().unwrap();
            let open: String = parts.iter().map(|part| format!("{part} {{\n")).collect();
            format!("{open}{last} = \"{value}\"\n{}", "}\n".repeat(parts.len()))
        }
        Syntax::Yaml => format!("{key}: {value}\n"),
        Syntax::Xml => {
            let close: String = key.rsplit('.').map(|part| format!("</{part}>")).collect();
            let open: String = key.split('.').map(|part| format!("<{part}>")).collect();
            format!("<root>{open}{value}{close}</root>")
        }
    }
}

#[test]
fn another_publishers_image_may_keep_its_data_elsewhere() {
    for (image, foreign) in [
        ("redis:7", false),
        ("docker.io/library/redis:7", false),
        ("registry.corp/redis:7", false),
        ("registry.corp/mirror/library/redis:7", false),
        ("bitnami/redis:7", false),
        ("qdrant/qdrant", false),
        ("ghcr.io/dani-garcia/vaultwarden", false),
        ("registry.redhat.io/rhel9/redis-7", false),
        ("lscr.io/linuxserver/mariadb", false),
        ("example/redis", true),
        ("signoz/zookeeper:3.7.1", true),
        ("registry.corp/solr/solr:9", true),
        ("registry.corp/qdrant/qdrant:v1", false),
    ] {
        classify(Catalog::embedded(), (image, &[], &[]), &[], |state| {
            let doubts = places(state).into_iter().map(|place| place.doubt == Some(PlaceDoubt::Publisher));
            assert_eq!(doubts.collect::<BTreeSet<_>>(), BTreeSet::from([foreign]), "{image}");
        });
    }
    let moved = [("PGDATA", Some("/x"))];
    classify(Catalog::embedded(), ("example/postgres", &[], &[]), &moved, |state| {
        assert_eq!(places(state)[0].doubt, None, "it is named");
    });
}

#[test]
fn images_that_keep_nothing_are_known() {
    for image in [
        "memcached:1.6",
        "quay.io/argoproj/argocd:v3",
        "quay.io/strimzi/operator-of-mine-operator",
        "otel/opentelemetry-collector-contrib",
        "oliver006/redis-exporter",
    ] {
        classify(Catalog::embedded(), (image, &[], &[]), &[], |state| {
            assert!(matches!(state, Statefulness::Cache { always: true, .. }), "{image}: {state:?}");
        });
    }
}

#[test]
fn every_key_of_every_configuration_file_moves_the_data() {
    use crate::facts::{ConfigKind, FileSource};
    let named = FileSource { object: Some((ConfigKind::ConfigMap, "c")), items: None };
    let mut seen = 0;
    for entry in Catalog::embedded().entries() {
        for file in &entry.config_files {
            // These hold no data unless the file says so.
            let more = match entry.product.as_str() {
                "NATS" => "jetstream: true\n",
                "Eclipse Mosquitto" => "persistence true\n",
                "Casdoor" => "driverName = sqlite\n",
                "Semaphore UI" => "dialect: bolt\n",
                "Cortex" => "blocks_storage.backend: filesystem\n",
                "GoToSocial" => "db-type: sqlite\n",
                "lakeFS" => "database.type: local\nblockstore.type: local\n",
                "Nessie" => "nessie.version.store.type=ROCKSDB\n",
                "OpenFGA" => "datastore.engine: sqlite\n",
                "Synapse" => "database.name: sqlite3\n",
                "Vector" => "sources: {in: {type: file}}\n",
                "Fluentd" => "@type file\n",
                _ => "",
            };
            let [image, ..] = entry.images.as_slice() else { panic!("{entry:?}") };
            for (dir, key) in entry.data.iter().flat_map(|dir| dir.keys.iter().map(move |key| (dir, key))) {
                let value =
                    if dir.value == ValueForm::File { "sqlite:///moved/here/file.db" } else { "/moved/here" };
                let content = format!("{more}{}", text_of(file.syntax, key, value));
                let map = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"},
                    "data": {"file": content}});
                let flag = file.flags.first().map(|flag| format!("{flag}=/etc/some/file.conf"));
                let word =
                    file.words.first().map(|word| format!("/etc/some/file{}", word.trim_start_matches('*')));
                let usual = file.paths.iter().find(|path| !path.contains('*'));
                let path = usual
                    .cloned()
                    .unwrap_or_else(|| word.clone().unwrap_or("/etc/some/file.conf".to_owned()));
                let args: Vec<&str> = match usual {
                    Some(_) => Vec::new(),
                    None => word
                        .as_deref()
                        .or(flag.as_deref())
                        .into_iter()
                        .flat_map(|arg| arg.split(' '))
                        .collect(),
                };
                let server = match entry.product.as_str() {
                    "Vault" | "OpenBao" => &["server"][..],
                    "Consul" => &["agent", "-server"],
                    "GreptimeDB" => &["standalone"],
                    "Apache Pinot" => &["StartServer"],
                    "Apache RocketMQ" => &["mqbroker"],
                    "OpenFGA" => &["run"],
                    _ => &[],
                };
                let args = [server, &args].concat();
                let allowance = Allowance::default();
                let configuration = mounted(&allowance, (&path, &named), Some(&map));
                let view = ContainerView {
                    image,
                    args: &args,
                    configuration: Some(&configuration),
                    ..ContainerView::default()
                };
                let state = Catalog::embedded().classify(&view);
                let Statefulness::Stateful { data, .. } = &state else {
                    panic!("{} {key}: {state:?}", entry.product)
                };
                let moved = data.iter().find(|place| place.path == "/moved/here");
                let Some(moved) = moved else { panic!("{} {key} {dir:?}: {state:?}", entry.product) };
                assert_eq!(
                    (moved.doubt, moved.moved_by.unwrap().named.file),
                    (None, Some(&*file.name)),
                    "{state:?}"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "{seen}");
}

/// Dremio's configuration file.
const DREMIO: &str = "/opt/dremio/conf/dremio.conf";

/// What a configuration file says makes a product keep nothing, little, or its data elsewhere; and what it does not say does not.
#[test]
fn a_configuration_file_says_what_a_product_keeps() {
    use crate::facts::{ConfigKind, FileSource};
    let named = FileSource { object: Some((ConfigKind::ConfigMap, "c")), items: None };
    let gotify = "/etc/gotify/config.yml";
    let nacos = "/home/nacos/conf/application.properties";
    let privatebin = "/srv/cfg/conf.php";
    let pinot = ("apachepinot/pinot", &["StartController", "-configFileName", "/c/pinot.conf"][..]);
    let ory = ("oryd/kratos", &["serve", "--config", "/c/kratos.yaml"][..]);
    let graylog = "/usr/share/graylog/data/config/graylog.conf";
    for ((image, args), path, content, expected) in [
        (
            ("gotify/server", &[][..]),
            gotify,
            "database:\n  dialect: postgres\n  connection: host=db\n",
            "little",
        ),
        (("gotify/server", &[]), gotify, "database:\n  dialect: sqlite3\n  connection: /x/g.db\n", "/x"),
        (("nacos/nacos-server", &[]), nacos, "spring.sql.init.platform=mysql\n", "nothing"),
        (("nacos/nacos-server", &[]), nacos, "server.port=8848\n", "/home/nacos/data"),
        (("privatebin/fs", &[]), privatebin, ";<?php\n[model]\nclass = Database\n", "nothing"),
        (("privatebin/fs", &[]), privatebin, ";<?php\n[model]\nclass = Filesystem\n", "/srv/data"),
        (pinot, "/c/pinot.conf", "controller.data.dir=s3://bucket/x\n", "nothing"),
        (pinot, "/c/pinot.conf", "controller.data.dir=file:///x/y\n", "/x/y"),
        (pinot, "/c/pinot.conf", "controller.data.dir=/x/y\n", "/x/y"),
        (ory, "/c/kratos.yaml", "dsn: postgres://db/x\n", "nothing"),
        (ory, "/c/kratos.yaml", "dsn: sqlite:///x/db.sqlite?_fk=true\n", "/x"),
        (("graylog/graylog", &[]), graylog, "message_journal_enabled = false\n", "nothing"),
        (
            ("graylog/graylog", &[]),
            graylog,
            "message_journal_enabled = true\n",
            "/usr/share/graylog/data/journal",
        ),
        (
            ("smallstep/step-ca", &[]),
            "/home/step/config/ca.json",
            r#"{"db":{"dataSource":"postgresql://db/x"}}"#,
            "nothing",
        ),
        (
            ("smallstep/step-ca", &[]),
            "/home/step/config/ca.json",
            r#"{"db":{"dataSource":"/x/db"}}"#,
            "/x/db",
        ),
        (
            ("casbin/casdoor", &[]),
            "/conf/app.conf",
            "driverName = sqlite\ndataSourceName = file:casdoor.db?cache=shared\n",
            "/",
        ),
        (
            ("casbin/casdoor", &[]),
            "/conf/app.conf",
            "driverName = mysql\ndataSourceName = root:x@tcp(db:3306)/\n",
            "nothing",
        ),
        (
            ("apache/amoro", &["ams"]),
            "/usr/local/amoro/conf/config.yaml",
            "ams: {database: {type: derby}}",
            "/tmp/amoro/derby",
        ),
        (
            ("apache/amoro", &["ams"]),
            "/usr/local/amoro/conf/config.yaml",
            "ams: {database: {type: mysql}}",
            "nothing",
        ),
        (("apache/fluss", &["tabletServer"]), "/opt/conf/server.yaml", "data.dir: /tables\n", "/tables"),
        (("guacsec/guac", &["guacgql"]), "/guac/guac.yaml", "gql-backend: keyvalue\n", "nothing"),
        (
            ("dremio/dremio-oss", &[]),
            DREMIO,
            "services.coordinator.master.enabled: true\n",
            "/opt/dremio/data",
        ),
        (
            ("dremio/dremio-oss", &[]),
            DREMIO,
            "paths: {local: \"/l\"}\nservices.executor.enabled: false\n",
            "/l",
        ),
        (("dremio/dremio-oss", &[]), DREMIO, "services.coordinator.master.enabled: false\n", "little"),
        (("dremio/dremio-oss", &[]), DREMIO, "services: {coordinator: {enabled: false}}\n", "little"),
        (("redis:7", &["/c.conf"]), "/c.conf", "appendonly yes\nreplicaof primary 6379\n", "little"),
        (("redis:7", &["/c.conf"]), "/c.conf", "appendonly yes\ndir /d\n", "/d"),
        (("grafana/pyroscope", &[]), "/etc/pyroscope/config.yaml", "target: ingester\n", "/data"),
        (("grafana/pyroscope", &[]), "/etc/pyroscope/config.yaml", "target: shuffler\n", "little"),
        (
            ("hivemq/hivemq-ce", &[]),
            "/opt/hivemq/conf/config.xml",
            "<hivemq><persistence><mode>in-memory</mode></persistence></hivemq>",
            "nothing",
        ),
        (
            ("passbolt/passbolt", &[]),
            "/etc/passbolt/gpg/serverkey_private.asc",
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
            "nothing",
        ),
        (
            ("quay/quay", &[]),
            "/conf/stack/config.yaml",
            "DISTRIBUTED_STORAGE_CONFIG: {default: [S3Storage, {host: x}]}\n",
            "nothing",
        ),
        (
            ("quay/quay", &[]),
            "/conf/stack/config.yaml",
            "DISTRIBUTED_STORAGE_CONFIG: {default: [LocalStorage, {}]}\n",
            "/datastorage",
        ),
        (("getsentry/sentry", &[]), "/etc/sentry/config.yml", "filestore.backend: s3\n", "nothing"),
        (("getsentry/sentry", &[]), "/etc/sentry/config.yml", "filestore.options: {location: /f}\n", "/f"),
        (
            ("loft-sh/vcluster", &[]),
            "/var/lib/vcluster/config.yaml",
            "controlPlane: {backingStore: {etcd: {deploy: {enabled: true}}}}\n",
            "nothing",
        ),
        (
            ("loft-sh/vcluster", &[]),
            "/var/lib/vcluster/config.yaml",
            "controlPlane: {backingStore: {etcd: {deploy: {enabled: false}}}}\n",
            "/data",
        ),
        (("danny-avila/librechat", &[]), "/app/librechat.yaml", "fileStrategy: s3\n", "nothing"),
        (
            ("danny-avila/librechat", &[]),
            "/app/librechat.yaml",
            "fileStrategy: {avatar: s3, image: s3, document: local}\n",
            "/app/client/public/images",
        ),
        (
            ("crowdsecurity/crowdsec", &[]),
            "/etc/crowdsec/config.yaml.local",
            "db_config: {type: postgresql}\n",
            "nothing",
        ),
        (
            ("crowdsecurity/crowdsec", &[]),
            "/etc/crowdsec/config.yaml.local",
            "db_config: {type: sqlite}\n",
            "/var/lib/crowdsec/data",
        ),
        (
            ("ejabberd/ecs", &[]),
            "/home/ejabberd/conf/ejabberd.yml",
            "default_db: sql\nauth_method: [sql]\n",
            "little",
        ),
        (
            ("ejabberd/ecs", &[]),
            "/home/ejabberd/conf/ejabberd.yml",
            "default_db: sql\n",
            "/home/ejabberd/database",
        ),
        (("lightninglabs/lnd", &[]), "/root/.lnd/lnd.conf", "[db]\ndb.backend=postgres\n", "little"),
        (("lightninglabs/lnd", &[]), "/root/.lnd/lnd.conf", "[Bitcoin]\nbitcoin.regtest=1\n", "little"),
        (("lightninglabs/lnd", &[]), "/root/.lnd/lnd.conf", "[Bitcoin]\nbitcoin.mainnet=1\n", "/root/.lnd"),
        (
            ("projectnessie/nessie", &[]),
            "/deployments/config/application.properties",
            "nessie.version.store.type=JDBC2\n",
            "nothing",
        ),
        (
            ("treeverse/lakefs", &[]),
            "/etc/lakefs/config.yaml",
            "blockstore: {type: local, local: {path: /b}}\n",
            "/b",
        ),
        (("treeverse/lakefs", &[]), "/etc/lakefs/config.yaml", "blockstore: {type: s3}\n", "nothing"),
        (
            ("wso2/wso2is:5.11.0", &[]),
            "/home/wso2carbon/wso2is-5.11.0/repository/conf/deployment.toml",
            "[database.identity_db]\ntype = \"mysql\"\n",
            "nothing",
        ),
    ] {
        let map = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"},
            "data": {"file": content}});
        let allowance = Allowance::default();
        let configuration = mounted(&allowance, (path, &named), Some(&map));
        let view =
            ContainerView { image, args, configuration: Some(&configuration), ..ContainerView::default() };
        let found = match Catalog::embedded().classify(&view) {
            Statefulness::Cache { .. } => "nothing".to_owned(),
            Statefulness::Stateful { copy: Some(_), .. } => "little".to_owned(),
            Statefulness::Stateful { data, .. } => data.first().unwrap().path.to_string(),
            other => panic!("{image} {content}: {other:?}"),
        };
        assert_eq!(found, expected, "{image} {content}");
    }
}

/// What keeps everything in memory because nobody named a database is told apart from what has one elsewhere.
#[test]
fn what_is_in_memory_for_want_of_a_database_is_lost() {
    let catalog = Catalog::embedded();
    let is_lost = |image: &str, args: &[&str], env: &[(&str, Option<&str>)]| {
        classify(catalog, (image, &[], args), env, |state| match state {
            Statefulness::Cache { lossy, .. } => lossy,
            other => panic!("{image} {args:?}: {other:?}"),
        })
    };
    for (image, args, memory, elsewhere) in [
        ("oryd/hydra:v2", &[][..], Some(("DSN", "memory")), ("DSN", "postgres://o@db/o")),
        ("oryd/keto:v0.12", &["serve"], Some(("DSN", "memory")), ("DSN", "mysql://o@tcp(db)/o")),
        (
            "oryd/kratos:v1",
            &["serve"],
            Some(("DSN", "sqlite://:memory:?_fk=true")),
            ("DSN", "cockroach://o@db/o"),
        ),
        ("authzed/spicedb", &["serve"], None, ("SPICEDB_DATASTORE_ENGINE", "postgres")),
        (
            "authzed/spicedb",
            &["serve"],
            Some(("SPICEDB_DATASTORE_ENGINE", "memory")),
            ("SPICEDB_DATASTORE_ENGINE", "mysql"),
        ),
        ("openfga/openfga", &["run"], None, ("OPENFGA_DATASTORE_ENGINE", "mysql")),
        ("jaegertracing/all-in-one:1.60", &[], None, ("SPAN_STORAGE_TYPE", "cassandra")),
        ("thelastpickle/cassandra-reaper:3.6", &[], None, ("REAPER_STORAGE_TYPE", "cassandra")),
    ] {
        let memory: Vec<_> = memory.into_iter().map(|(name, value)| (name, Some(value))).collect();
        assert!(is_lost(image, args, &memory), "{image} {memory:?}");
        assert!(!is_lost(image, args, &[(elsewhere.0, Some(elsewhere.1))]), "{image} {elsewhere:?}");
    }
    assert!(is_lost("authzed/spicedb", &["serve", "--datastore-engine=memory"], &[]));
    assert!(!is_lost("authzed/spicedb", &["serve", "--datastore-engine", "spanner"], &[]));
    assert!(is_lost("guacsec/guac", &["guacgql"], &[]));
    assert!(!is_lost("guacsec/guac", &["guacgql", "--gql-backend=ent"], &[]));
    assert!(is_lost("jaegertracing/jaeger:2.5", &[], &[]));
}

#[test]
fn a_file_from_a_secret_moves_the_data_to_a_mount_and_shows_nothing() {
    use crate::facts::{ConfigKind, FileSource};
    let named = FileSource { object: Some((ConfigKind::Secret, "s")), items: None };
    let state = |text: &str, mount: &'static str| {
        let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"file": text}});
        let allowance = Allowance::default();
        let mut configuration = mounted(&allowance, ("/etc/redis.conf", &named), Some(&secret));
        configuration.mounts.push(Mounted {
            index: 1,
            path: mount,
            sub_path: Some(""),
            files: None,
            rendered: false,
        });
        let view = ContainerView {
            image: "redis:7",
            args: &["/etc/redis.conf"],
            configuration: Some(&configuration),
            ..ContainerView::default()
        };
        let state = Catalog::embedded().classify(&view);
        let told = format!("{state:?}");
        assert!(!told.contains("hidden"), "{told}");
        match state {
            Statefulness::Cache { .. } => "cache".to_owned(),
            other => places(other)
                .iter()
                .map(|place| format!("{}{}", place.path, if place.doubt.is_some() { "?" } else { "" }))
                .collect(),
        }
    };
    assert_eq!(state("dir /srv/hidden\n", "/srv"), "/srv");
    assert_eq!(state("dir /else/hidden\n", "/srv"), "/", "it lies on no mount");
    assert_eq!(state("dir /else/${DIR}\n", "/srv"), "/data?", "a variable is filled in later");
    assert_eq!(state("port 1\n", "/srv"), "/data");
    assert_eq!(state("save \"\"\nappendonly no\nrequirepass hidden\n", "/srv"), "cache");
}

#[test]
fn a_read_replica_is_a_copy() {
    for (image, env, args, copy) in [
        ("bitnami/postgresql:11", [("POSTGRESQL_REPLICATION_MODE", Some("slave"))], &[][..], true),
        ("bitnami/postgresql:11", [("POSTGRESQL_REPLICATION_MODE", Some("master"))], &[], false),
        ("redis:7", [("X", None)], &["--replicaof", "redis-0", "6379"], true),
        ("redis:7", [("X", None)], &[], false),
    ] {
        classify(Catalog::embedded(), (image, &[], args), &env, |state| {
            assert_eq!(
                matches!(state, Statefulness::Stateful { copy: Some(_), .. }),
                copy,
                "{image} {env:?}"
            );
        });
    }
}

#[test]
fn what_can_be_a_mere_cache_says_how() {
    let arguments = |product| Catalog::embedded().cache_arguments(product);
    assert_eq!(arguments("Redis").as_deref(), Some("--save \"\" --appendonly no"));
    assert_eq!(arguments("Dragonfly").as_deref(), Some("--dbfilename \"\""));
    for product in ["PostgreSQL", "MongoDB", "Grafana Loki", "no product"] {
        assert_eq!(arguments(product), None, "{product}");
    }
}
