//! What custom resources of known operators say of storage.

use super::DurableData;
use crate::facts::{CustomFacts, FactsFault, Lies, Store};
use crate::lookup::Lookup;
use crate::rule::{Context, NewFinding, NewFindings};
use crate::storage::{store_fate, with_templates};
use crate::verdict::Action;

impl DurableData {
    /// Judges where the data of a custom resource lie, and says which of its parts cannot be read.
    pub(super) fn judge_custom(
        &self,
        custom: &CustomFacts<'_>,
        context: &Context<'_>,
        findings: &mut NewFindings<'_>,
    ) {
        let Context { facts, lookup, .. } = context;
        let stores = custom.stores.iter().map(|store| with_templates(store, facts.namespace(), *lookup));
        findings.extend(stores.filter_map(|store| self.judge_store(&store, *lookup)));
        findings.extend(custom.unread.iter().map(unread));
    }

    fn judge_store(&self, store: &Store<'_>, lookup: &dyn Lookup) -> Option<NewFinding> {
        let Store { product, field, why, .. } = store;
        let fate = store_fate(store, lookup)?;
        let require = self.0.require;
        if fate.least >= require {
            return None;
        }
        let keep = store.help.unwrap_or("let it ask for a PersistentVolumeClaim");
        let place = place(store.lies);
        let new_finding = if store.lies == Lies::Unknown {
            NewFinding::new(field.clone(), format!("where {product} keeps its data is not known, {why}"))
                .help(format!("{keep}, or except it with a reason"))
                .at_most(Action::Warn)
        } else if fate.most < require {
            let lost = fate.least.lost_when();
            let help = match store.lies {
                Lies::Claim => "use a class with reclaim policy Retain",
                _ => keep,
            };
            NewFinding::new(
                field.clone(),
                format!("{product} keeps its data {place}, {why}: lost when {lost}"),
            )
            .help(help)
        } else {
            let message = format!(
                "{product} keeps its data {place}: whether that lasts is not known ({} or {})",
                fate.least, fate.most
            );
            NewFinding::new(field.clone(), message)
                .help("give volgate the class it asks for (in CI: `--cluster-state`), or name a class")
                .at_most(Action::Warn)
        };
        let new_finding = match store.dispensable {
            Some(why) => {
                let most = self.0.dispensable.action()?;
                let told = match new_finding.help.as_deref() {
                    Some(kept) if most < Action::Deny && new_finding.at_most.is_none() => {
                        format!("{product} is often run so, as {why}; to keep them, {kept}")
                    }
                    kept => kept.unwrap_or_default().to_owned(),
                };
                new_finding.help(told).at_most(most)
            }
            None => new_finding,
        };
        let old = store.unchanged.then(|| "it is a warning, as it was so before this change".to_owned());
        Some(if store.unchanged { new_finding.and_help(old).at_most(Action::Warn) } else { new_finding })
    }
}

/// Where data lie, in words.
fn place(lies: Lies) -> &'static str {
    match lies {
        Lies::Claim => "on PersistentVolumeClaims",
        Lies::EmptyDir => "on an emptyDir",
        Lies::Memory => "in memory",
        Lies::HostPath => "in a directory of the node",
        Lies::WritableLayer => "in the container's writable layer",
        Lies::Unknown | Lies::Nowhere => "nowhere",
    }
}

/// A part that cannot be read: nothing is said of it, and that is said.
fn unread(fault: &FactsFault) -> NewFinding {
    NewFinding::new(fault.path.clone(), format!("not judged: {}", fault.message))
        .help("see on what its data lie; what the operator makes of it is judged in the cluster")
        .at_most(Action::Warn)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{judge, judge_update, lines};
    use serde_json::{Value, json};

    fn kafka(version: &str, replicas: u32, storage: Value) -> Value {
        json!({"apiVersion": format!("kafka.strimzi.io/{version}"), "kind": "Kafka", "metadata": {"name": "k"},
               "spec": {"kafka": {"replicas": replicas, "storage": storage}}})
    }

    fn found(params: Value, context: &[Value], object: &Value) -> Vec<String> {
        lines(&judge(json!([{"durableData": params}]), context, object))
    }

    #[test]
    fn it_is_said_where_the_data_lie_and_why() {
        let verdict =
            judge(json!([{"durableData": {}}]), &[], &kafka("v1beta2", 1, json!({"type": "ephemeral"})));
        let told = "Deny spec.kafka.storage.type: Apache Kafka keeps its data on an emptyDir, as `spec.kafka.storage.type` \
                    is `ephemeral`: lost when the pod ends";
        assert_eq!(lines(&verdict), [told]);
        let help = verdict.findings[0].help.as_deref().unwrap();
        assert!(help.contains("persistent-claim"), "{help}");
        let prometheus = json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": {"name": "p"}, "spec": {}});
        let told = "spec.storage: Prometheus keeps its data on an emptyDir, as `spec.storage` is not set: lost when the pod ends";
        assert_eq!(found(json!({}), &[], &prometheus), [format!("Warn {told}")]);
        assert_eq!(found(json!({"dispensable": "Deny"}), &[], &prometheus), [format!("Deny {told}")]);
        assert_eq!(found(json!({"dispensable": "Ignore"}), &[], &prometheus), [""; 0]);
    }

    #[test]
    fn what_is_required_is_held_against_the_class() {
        let on = |class: &str| {
            kafka("v1beta2", 1, json!({"type": "persistent-claim", "size": "1Gi", "class": class}))
        };
        let class = |name: &str, policy: &str| {
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
                   "provisioner": "example.com/p", "reclaimPolicy": policy})
        };
        let context = [class("kept", "Retain"), class("gone", "Delete")];
        let required = json!({"require": "volume"});
        assert_eq!(found(required.clone(), &context, &on("kept")), [""; 0]);
        let gone = found(required.clone(), &context, &on("gone")).join("");
        assert!(gone.starts_with("Deny") && gone.contains("on PersistentVolumeClaims"), "{gone}");
        let unknown = found(required, &context, &on("other")).join("");
        assert!(unknown.starts_with("Warn") && unknown.contains("not known"), "{unknown}");
        assert_eq!(found(json!({}), &context, &on("gone")), [""; 0], "claims are enough");
        let reclaim = lines(&judge(json!([{"reclaimPolicy": {}}]), &context, &on("gone"))).join("");
        assert!(reclaim.starts_with("Deny spec.kafka.storage.class"), "{reclaim}");
        assert_eq!(judge(json!([{"reclaimPolicy": {}}]), &context, &on("kept")).findings, []);
    }

    #[test]
    fn what_an_existing_one_says_of_storage_is_a_warning_when_something_else_changes() {
        let rules = json!([{"durableData": {}}, {"claimClass": {"deny": ["bad"], "mustExist": false}}, {"claimSize": {"max": "10Gi"}}]);
        let told = |old: &Value, new: &Value| -> Vec<String> {
            let found = judge_update(rules.clone(), &[], old, new).findings;
            found.iter().map(|finding| format!("{} {}", finding.action, finding.field)).collect()
        };
        let ephemeral = |replicas| kafka("v1beta2", replicas, json!({"type": "ephemeral"}));
        let claim = |replicas, class: &str, size: &str| {
            kafka("v1beta2", replicas, json!({"type": "persistent-claim", "class": class, "size": size}))
        };
        assert_eq!(told(&ephemeral(1), &ephemeral(3)), ["Warn spec.kafka.storage.type"]);
        assert_eq!(told(&ephemeral(1), &ephemeral(1)), [""; 0], "its spec is the same");
        assert_eq!(
            told(&claim(1, "a", "1Gi"), &ephemeral(1)),
            ["Deny spec.kafka.storage.type"],
            "it lost its claim"
        );
        assert_eq!(told(&claim(1, "bad", "1Gi"), &claim(3, "bad", "1Gi")), [""; 0]);
        assert_eq!(told(&claim(1, "bad", "1Gi"), &claim(1, "bad", "20Gi")), ["Deny spec.kafka.storage.size"]);
        assert_eq!(told(&claim(1, "a", "1Gi"), &claim(1, "bad", "1Gi")), ["Deny spec.kafka.storage.class"]);
    }

    #[test]
    fn what_an_object_takes_from_templates_counts_as_its_own() {
        let made = |kind: &str, name: &str, namespace: &str, spec: Value| {
            json!({"apiVersion": "clickhouse.altinity.com/v1", "kind": format!("ClickHouseInstallation{kind}"),
                   "metadata": {"name": name, "namespace": namespace}, "spec": spec})
        };
        let claims = json!({"templates": {"volumeClaimTemplates": [{"name": "data", "spec": {}}]}});
        let disk = json!({"templates": {"podTemplates": [{"name": "p", "spec": {"volumes": [{"name": "v", "hostPath": {"path": "/d"}}]}}]}});
        let context = [
            made("Template", "claims", "default", claims.clone()),
            made("Template", "claims", "other", json!({})),
            made("Template", "layout", "default", json!({"configuration": {"clusters": []}})),
            made("Template", "disk", "default", disk),
        ];
        let told = |named: Value| {
            found(json!({}), &context, &made("", "i", "default", json!({"useTemplates": named}))).join("")
        };
        assert_eq!(told(json!([{"name": "claims"}])), "");
        assert_eq!(told(json!([{"name": "unknown"}, {"name": "claims", "namespace": "default"}])), "");
        let layer = told(json!([{"name": "layout"}]));
        assert!(layer.starts_with("Deny spec.templates.volumeClaimTemplates: "), "{layer}");
        assert!(told(json!([{"name": "claims", "namespace": "other"}])).starts_with("Deny"));
        let disk = told(json!([{"name": "disk"}]));
        assert!(disk.starts_with("Deny spec.useTemplates[0]: ") && disk.contains("`disk` says"), "{disk}");
        let unknown = told(json!([{"name": "layout"}, {"name": "x"}]));
        assert!(
            unknown.starts_with("Warn spec.useTemplates[1]: ") && unknown.contains("is not known"),
            "{unknown}"
        );
        // Its own claims count before those of a template that nobody knows.
        let own = json!({"useTemplates": [{"name": "x"}], "templates": claims["templates"]});
        assert_eq!(found(json!({}), &context, &made("", "i", "default", own)), [""; 0]);
    }

    #[test]
    fn what_a_test_expects_of_a_status_is_not_judged() {
        let told = |spec: Value, status: Value| {
            let object = json!({"apiVersion": "redis.redis.opstreelabs.in/v1beta2", "kind": "RedisCluster",
                                "metadata": {"name": "r"}, "spec": spec, "status": status});
            found(json!({}), &[], &object).len()
        };
        assert_eq!(told(Value::Null, json!({"state": "Ready"})), 0);
        assert_eq!(told(json!({}), json!({"state": "Ready"})), 1, "the object itself, as the cluster has it");
        assert_eq!(told(Value::Null, Value::Null), 1, "all defaults");
    }

    #[test]
    fn pod_templates_are_judged_one_by_one_and_share_an_allowance() {
        let template = |image: &str| json!({"spec": {"containers": [{"name": "c", "image": image}]}});
        let ray = |workers: Vec<Value>| {
            json!({"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "r"},
                   "spec": {"headGroupSpec": {"template": template("rayproject/ray")}, "workerGroupSpecs": workers}})
        };
        let worker = |image: &str| json!({"groupName": "g", "template": template(image)});
        let lost = found(json!({}), &[], &ray(vec![worker("rayproject/ray"), worker("redis")]));
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert!(
            lost[0].starts_with("Deny spec.workerGroupSpecs[1].template.spec.containers[0].image"),
            "{lost:?}"
        );
        // Beyond a bound, what was not judged is said.
        let many = found(json!({}), &[], &ray(vec![worker("redis"); 500]));
        assert_eq!(
            many.iter().filter(|line| line.contains("pod templates are judged")).count(),
            1,
            "{many:?}"
        );
        assert!(many.len() < 40, "{}", many.len());
        // What cannot be read is no denial: another version of the operator may take it.
        let odd = ray(vec![json!({"template": {"spec": {"containers": "x"}}}), worker("redis")]);
        let told = found(json!({}), &[], &odd);
        assert!(
            told.iter()
                .any(|line| line
                    .starts_with("Warn spec.workerGroupSpecs[0].template.spec.containers: not judged")),
            "{told:?}"
        );
        assert!(told.iter().any(|line| line.starts_with("Deny spec.workerGroupSpecs[1]")), "{told:?}");
    }

    #[test]
    fn the_directories_of_all_pod_templates_count_together() {
        let disks = json!({"spec": {"containers": [{"name": "c", "image": "minio/minio", "args": ["server", "/d{1...100}"]}]}});
        let ray = |workers: usize| {
            json!({"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "r"},
                   "spec": {"workerGroupSpecs": vec![json!({"groupName": "g", "template": disks}); workers]}})
        };
        let few = found(json!({}), &[], &ray(2));
        assert!(few.len() == 2 && few.iter().all(|line| line.starts_with("Deny")), "{few:?}");
        let many = found(json!({}), &[], &ray(20));
        assert!(many.iter().all(|line| line.contains("more than 51 directories are named")), "{many:?}");
    }

    #[test]
    fn what_is_too_much_to_look_at_is_a_warning_and_no_guess() {
        let pools = vec![json!({"name": "n"}); 30_000];
        let object = json!({"apiVersion": "elasticsearch.k8s.elastic.co/v1", "kind": "Elasticsearch",
            "metadata": {"name": "e"}, "spec": {"nodeSets": pools}});
        let told = found(json!({}), &[], &object);
        assert_eq!(told, ["Warn spec: not judged: it has more fields than are looked at"]);
    }

    #[test]
    fn a_version_that_the_table_does_not_name_is_not_judged() {
        assert_eq!(found(json!({}), &[], &kafka("v9", 1, json!({"type": "ephemeral"}))), [""; 0]);
    }

    #[test]
    fn a_policy_adds_kinds_and_takes_them_out() {
        use crate::engine::Engine;
        use crate::lookup::MapLookup;
        use crate::policy::{PolicySet, load};
        use crate::rule::Review;
        let judged = |customs: Value, object: &Value| -> Vec<String> {
            let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
                "spec": {"match": {"kinds": ["Wombat", "Kafka"]}, "rules": [{"durableData": {}}], "customResources": customs}});
            let policies = PolicySet::build(vec![load(&policy).unwrap()]).unwrap();
            let lookup = MapLookup::default();
            let engine =
                Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
            let verdict = engine.mutate_and_check(&Review::create(object)).unwrap();
            lines(&verdict)
        };
        let wombat = json!({"apiVersion": "example.com/v1", "kind": "Wombat", "metadata": {"name": "w"},
                            "spec": {"pools": [{"disk": "none"}, {"disk": "claim"}]}});
        let entry = json!({"product": "Wombat", "group": "example.com", "versions": ["v1"], "kinds": {"Wombat": "wombats"},
            "stores": [{"of": "spec.pools[]", "at": "disk", "otherwise": "unknown", "cases": [
                {"when": [{"field": "disk", "is": ["none"]}], "lies": "memory"}, {"when": [{"field": "disk", "is": ["claim"]}], "lies": "claim"}]}]});
        assert_eq!(judged(json!([]), &wombat), [""; 0]);
        let said = judged(json!([entry]), &wombat);
        let told = "Deny spec.pools[0].disk: Wombat keeps its data in memory, as `spec.pools[0].disk` is `none`: lost when ";
        assert!(said.len() == 1 && said[0].starts_with(told), "{said:?}");
        let out = json!({"product": "Kafka", "group": "kafka.strimzi.io", "versions": ["v1beta2"], "kinds": {"Kafka": "kafkas"}, "judged": false});
        let ephemeral = kafka("v1beta2", 1, json!({"type": "ephemeral"}));
        assert_eq!(judged(json!([]), &ephemeral).len(), 1);
        assert_eq!(judged(json!([out]), &ephemeral), [""; 0]);
        let broken = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
            "spec": {"rules": [{"durableData": {}}], "customResources": [{"product": "P", "group": "example.com", "versions": ["v1"],
                "kinds": {"P": "ps"}, "pods": [{"at": "spec..x", "as": "Job"}]}]}});
        let faults: Vec<String> = load(&broken).unwrap_err().iter().map(ToString::to_string).collect();
        assert!(faults[0].starts_with("spec.customResources[0].pods[0].at:"), "{faults:?}");
    }
}
