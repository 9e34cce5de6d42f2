use super::converted;
use serde_json::{Value, json};

fn constraint(kind: &str, spec: Value) -> Value {
    json!({"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": kind, "metadata": {"name": "c"}, "spec": spec})
}

fn spec(object: &Value) -> Value {
    let converted = converted(object);
    assert_eq!(converted.unsaid, [""; 0]);
    converted.policies[0]["spec"].clone()
}

#[test]
fn constraints_of_gatekeeper() {
    let pods = json!([{"apiGroups": [""], "kinds": ["Pod"]}]);
    assert_eq!(
        spec(&constraint(
            "K8sPSPHostFilesystem",
            json!({"match": {"kinds": pods, "excludedNamespaces": ["*-system"]},
            "enforcementAction": "warn", "parameters": {"allowedHostPaths": [{"pathPrefix": "/var/log", "readOnly": true}]}})
        )),
        json!({"action": "Warn", "match": {"kinds": ["Pod"]}, "exclude": [{"namespaces": ["*-system"]}],
               "rules": [{"hostPath": {"allow": [{"path": "/var/log", "readOnly": true}]}}]})
    );
    assert_eq!(spec(&constraint("K8sPSPHostFilesystem", json!({})))["rules"], json!([{"hostPath": {}}]));
    let rules =
        |kind: &str, params: Value| spec(&constraint(kind, json!({"parameters": params})))["rules"].clone();
    assert_eq!(
        rules("K8sPSPVolumeTypes", json!({"volumes": ["secret"]})),
        json!([{"volumeTypes": {"allow": ["secret"]}}])
    );
    assert_eq!(
        rules("K8sPSPFlexVolumes", json!({"allowedFlexVolumes": [{"driver": "example/lvm"}]})),
        json!([{"volumeTypes": {"flexDrivers": {"allow": ["example/lvm"]}}}])
    );
    assert_eq!(
        rules("K8sStorageClass", json!({"allowedStorageClasses": ["fast"]})),
        json!([{"claimClass": {"requireName": true, "allow": ["fast"]}}])
    );
    assert_eq!(
        rules("K8sContainerEphemeralStorageLimit", json!({"ephemeral-storage": "500Mi"})),
        json!([{"ephemeralStorage": {"max": "500Mi"}}])
    );
    for unsaid in [
        constraint("K8sRequiredLabels", json!({})),
        constraint("K8sPSPVolumeTypes", json!({"parameters": {"volumes": ["*"]}})),
        json!({"apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate"}),
        json!({"apiVersion": "v1", "kind": "Pod"}),
        json!("text"),
    ] {
        let converted = converted(&unsaid);
        assert!(converted.policies.is_empty() && converted.unsaid.len() == 1, "{unsaid}");
    }
    assert_eq!(
        converted(&json!({"rules": []})).unsaid,
        ["this is no Kubernetes object: it has no apiVersion and kind"]
    );
    let partly = converted(&constraint("K8sPSPHostFilesystem", json!({"match": {"source": "Original"}})));
    assert!(!partly.policies.is_empty() && partly.unsaid[0].contains("`match.source`"), "{partly:?}");
}

fn kyverno(rule: Value) -> Value {
    let mut rule = rule;
    rule["name"] = json!("r");
    json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "k"},
           "spec": {"validationFailureAction": "Enforce", "rules": [rule]}})
}

fn of(kinds: Value) -> Value {
    json!({"any": [{"resources": {"kinds": kinds}}]})
}

#[test]
fn patterns_of_kyverno() {
    let rules = |kinds: Value, validate: Value| {
        spec(&kyverno(json!({"match": of(kinds), "validate": validate})))["rules"].clone()
    };
    let volumes = |banned: Value| json!({"pattern": {"spec": {"=(volumes)": [banned]}}});
    assert_eq!(rules(json!(["Pod"]), volumes(json!({"X(hostPath)": "null"}))), json!([{"hostPath": {}}]));
    assert_eq!(
        rules(json!(["Pod"]), volumes(json!({"X(nfs)": "null", "X(iscsi)": "null"}))),
        json!([{"volumeTypes": {"deny": ["iscsi", "nfs"]}}])
    );
    assert_eq!(
        rules(json!(["Pod"]), volumes(json!({"=(hostPath)": {"path": "!/var/run/docker.sock"}}))),
        json!([{"hostPath": {"deny": ["/var/run/docker.sock"]}}])
    );
    let types = json!({"deny": {"conditions": {"all": [{"key": "{{ request.object.spec.volumes[].keys(@)[] || '' }}",
        "operator": "AnyNotIn", "value": ["name", "secret", ""]}]}}});
    assert_eq!(rules(json!(["Pod"]), types), json!([{"volumeTypes": {"allow": ["secret"]}}]));
    assert_eq!(
        rules(json!(["StorageClass"]), json!({"pattern": {"reclaimPolicy": "Delete"}})),
        json!([{"storageClass": {"reclaimPolicy": "Delete"}}])
    );
    assert_eq!(
        rules(json!(["PersistentVolumeClaim"]), json!({"pattern": {"spec": {"storageClassName": "?*"}}})),
        json!([{"claimClass": {"requireName": true, "allowNone": false, "mustExist": false}}])
    );
    for unsaid in [
        json!({"match": of(json!(["Pod"])), "mutate": {}}),
        json!({"match": of(json!(["Pod"])), "validate": {"foreach": []}}),
        json!({"match": of(json!(["Pod"])), "validate": {"pattern": {"spec": {"containers": []}}}}),
        json!({"match": of(json!(["Pod"])), "context": [], "validate": volumes(json!({"X(nfs)": "null"}))}),
    ] {
        let converted = converted(&kyverno(unsaid.clone()));
        assert!(converted.policies.is_empty() && converted.unsaid.len() == 1, "{unsaid} {converted:?}");
    }
}

#[test]
fn a_policy_in_cel_keeps_its_expressions() {
    let policy = json!({"apiVersion": "policies.kyverno.io/v1", "kind": "ValidatingPolicy", "metadata": {"name": "v"}, "spec": {
        "validationActions": ["Audit"],
        "matchConstraints": {"resourceRules": [{"resources": ["pods"]}]},
        "autogen": {"podControllers": {"controllers": []}},
        "matchConditions": [{"name": "c", "expression": "has(object.spec.volumes)"}],
        "variables": [{"name": "nfs", "expression": "object.spec.volumes.filter(v, has(v.nfs))"}],
        "validations": [{"expression": "variables.nfs.size() == 0", "message": "no NFS"}]}});
    assert_eq!(
        spec(&policy),
        json!({"action": "Audit", "match": {"kinds": ["Pod"], "kindsOnly": true}, "rules": [{"cel": {
            "name": "v", "expression": "variables.nfs.size() == 0", "message": "no NFS", "when": "(has(object.spec.volumes))",
            "variables": [{"name": "nfs", "expression": "object.spec.volumes.filter(v, has(v.nfs))"}]}}]})
    );
    let mut foreign = policy.clone();
    foreign["spec"]["validations"][0]["expression"] = json!("http.Get('https://example').ok");
    let converted = converted(&foreign);
    assert!(
        converted.policies.is_empty() && converted.unsaid[0].contains("cannot be said here"),
        "{converted:?}"
    );
}

/// The rules that a pattern of Kyverno becomes, if anything is said.
fn said(kinds: &[&str], pattern: Value) -> Option<Value> {
    let converted = converted(&kyverno(json!({"match": of(json!(kinds)), "validate": {"pattern": pattern}})));
    converted.policies.first().map(|policy| policy["spec"]["rules"].clone())
}

#[test]
fn patterns_say_what_a_claim_asks_for() {
    let claim = |spec: Value| said(&["PersistentVolumeClaim"], json!({"spec": spec}));
    let class = |params: Value| Some(json!([{"claimClass": params}]));
    assert_eq!(
        claim(json!({"storageClassName": "fast | nas-*"})),
        class(
            json!({"requireName": true, "allowNone": false, "mustExist": false, "allow": ["fast", "nas-*"]})
        )
    );
    // It need not be there, but where it is it must name a class.
    assert_eq!(
        claim(json!({"=(storageClassName)": "?*"})),
        class(json!({"allowNone": false, "mustExist": false}))
    );
    assert_eq!(
        claim(json!({"=(storageClassName)": "!slow"})),
        class(json!({"allowNone": false, "mustExist": false, "deny": ["slow"]}))
    );
    let modes = |modes: Value| Some(json!([{"accessModes": {"allow": modes}}]));
    assert_eq!(claim(json!({"accessModes": ["ReadWriteOncePod"]})), modes(json!(["ReadWriteOncePod"])));
    assert_eq!(
        claim(json!({"accessModes": ["!ReadWriteMany"]})),
        modes(json!(["ReadWriteOnce", "ReadOnlyMany", "ReadWriteOncePod"]))
    );
    let size = |size: &str| claim(json!({"resources": {"requests": {"storage": size}}}));
    assert_eq!(size("<=10Gi & >=1Gi"), Some(json!([{"claimSize": {"max": "10Gi", "min": "1Gi"}}])));
    assert_eq!(
        said(
            &["StatefulSet"],
            json!({"spec": {"volumeClaimTemplates": [{"spec": {"storageClassName": "?*"}}]}})
        ),
        class(json!({"requireName": true, "allowNone": false, "mustExist": false}))
    );
    for unknown in [
        json!({"storageClassName": "f?st"}),
        json!({"storageClassName": "!slow & !old"}),
        json!({"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]}),
        json!({"accessModes": ["Sometimes"]}),
        json!({"storageClassName": "fast", "volumeMode": "Block"}),
        json!({"<(storageClassName)": "fast"}),
        json!({}),
    ] {
        assert_eq!(claim(unknown.clone()), None, "{unknown}");
    }
    assert_eq!(size("<10Gi"), None, "less than, and not at most");
    // A field that another kind has means something else there.
    assert_eq!(said(&["PersistentVolume"], json!({"spec": {"storageClassName": "?*"}})), None);
}

#[test]
fn patterns_say_what_a_pod_mounts_and_takes() {
    let volume = |kind: &str, volume: Value| said(&[kind], json!({"spec": {"=(volumes)": [volume]}}));
    let no_node_paths = Some(json!([{"hostPath": {}}]));
    assert_eq!(volume("Pod", json!({"X(hostPath)": "null"})), no_node_paths);
    assert_eq!(volume("Deployment", json!({"X(hostPath)": "null"})), None, "a Deployment has none at spec");
    let template = json!({"spec": {"template": {"spec": {"=(volumes)": [{"X(hostPath)": "null"}]}}}});
    assert_eq!(said(&["Deployment", "DaemonSet"], template.clone()), no_node_paths);
    assert_eq!(said(&["CronJob"], template.clone()), None);
    assert_eq!(said(&["CronJob"], json!({"spec": {"jobTemplate": template}})), no_node_paths);
    assert_eq!(said(&["PersistentVolume"], json!({"spec": {"X(hostPath)": "null"}})), no_node_paths);
    assert_eq!(volume("Pod", json!({})), None);
    assert_eq!(
        volume("Pod", json!({"=(hostPath)": {"path": "!/run/a.sock & !/run/b.sock"}})),
        Some(json!([{"hostPath": {"deny": ["/run/a.sock", "/run/b.sock"]}}]))
    );
    assert_eq!(
        said(&["PersistentVolume"], json!({"spec": {"=(hostPath)": {"path": "/srv/*"}}})),
        Some(json!([{"hostPath": {"allow": [{"path": "/srv"}]}}]))
    );
    for path in ["/srv", "/s*v/x*", "!/srv*", "srv*"] {
        assert_eq!(volume("Pod", json!({"hostPath": {"path": path}})), None, "{path}");
    }
    assert_eq!(
        volume("Pod", json!({"=(emptyDir)": {"sizeLimit": "<=2Gi"}})),
        Some(json!([{"emptyDir": {"maxSize": "2Gi"}}]))
    );
    let containers = |element: Value| said(&["Pod"], json!({"spec": {"containers": [element]}}));
    let root = containers(json!({"securityContext": {"readOnlyRootFilesystem": true}})).unwrap();
    assert_eq!(
        root[0]["cel"]["expression"],
        "(podSpec.containers).all(c, c.?securityContext.?readOnlyRootFilesystem.orValue(false) == true)"
    );
    assert_eq!(
        containers(
            json!({"resources": {"limits": {"ephemeral-storage": "<=1Gi"}, "requests": {"ephemeral-storage": "?*"}}})
        ),
        Some(json!([{"ephemeralStorage": {"requireLimit": true, "requireRequest": true, "max": "1Gi"}}]))
    );
    for unknown in [
        json!({"securityContext": {"readOnlyRootFilesystem": true, "privileged": false}}),
        json!({"=(securityContext)": {"readOnlyRootFilesystem": true}}),
        json!({"resources": {"limits": {"memory": "?*", "ephemeral-storage": "?*"}}}),
    ] {
        assert_eq!(containers(unknown.clone()), None, "{unknown}");
    }
    let types = |key: &str, value: Value| {
        let deny = json!({"conditions": {"any": [{"key": key, "operator": "AnyNotIn", "value": value}]}});
        converted(&kyverno(json!({"match": of(json!(["Pod"])), "validate": {"deny": deny}}))).policies.len()
    };
    let key = "{{ request.object.spec.volumes[].keys(@)[] || '' }}";
    assert_eq!(types(key, json!(["name", "secret"])), 1);
    assert_eq!(types(key, json!("{{ allowed }}")), 0, "a list that is not known");
    assert_eq!(types(key, json!(["{{ allowed }}"])), 0);
    assert_eq!(types("{{ request.object.spec.volumes[].keys(@)[] | length(@) }}", json!(["name"])), 0);
}

#[test]
fn each_rule_of_kyverno_keeps_its_own_objects_and_action() {
    let nfs = json!({"pattern": {"spec": {"=(volumes)": [{"X(nfs)": "null"}]}}});
    let rule = |name: &str, matches: Value, action: &str| {
        let mut validate = nfs.clone();
        validate["failureAction"] = json!(action);
        json!({"name": name, "match": matches, "validate": validate})
    };
    let in_team = json!({"any": [{"resources": {"kinds": ["Pod"], "namespaces": ["team"]}}]});
    let policy = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "k"}, "spec": {"rules": [
        rule("All", of(json!(["Pod"])), "Audit"), rule("Team", in_team, "Enforce"), rule("Again", of(json!(["v1/Pod"])), "Audit")]}});
    let policies = converted(&policy).policies;
    let shown: Vec<String> = policies
        .iter()
        .map(|it| format!("{} {} {}", it["metadata"]["name"], it["spec"]["action"], it["spec"]["match"]))
        .collect();
    assert_eq!(
        shown,
        [
            r#""k-all" "Audit" {"kinds":["Pod"]}"#,
            r#""k-team" "Deny" {"kinds":["Pod"],"namespaces":["team"]}"#
        ]
    );
    // The kinds are put together where the rest is the same, but not where an expression reads its own kind.
    let claims = |kind: &str, expression: &str| json!({"name": kind.to_lowercase(), "match": of(json!([kind])), "validate": {"cel": {"expressions": [{"expression": expression}]}}});
    let policy = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "k"}, "spec": {"emitWarning": true, "rules": [
        claims("PersistentVolumeClaim", "has(object.spec.storageClassName)"), claims("StatefulSet", "has(object.spec.volumeClaimTemplates)")]}});
    let policies = converted(&policy).policies;
    assert_eq!(policies.len(), 2);
    assert_eq!(policies[0]["spec"]["match"], json!({"kinds": ["PersistentVolumeClaim"]}));
    assert_eq!(policies[0]["spec"]["action"], "Warn");
}

#[test]
fn what_kyverno_leaves_out_is_not_lost_in_silence() {
    let nfs = json!({"pattern": {"spec": {"=(volumes)": [{"X(nfs)": "null"}]}}});
    let part = |rule: Value| {
        let mut rule = rule;
        rule["validate"] = nfs.clone();
        let converted = converted(&kyverno(rule));
        (converted.policies.first().map(|policy| policy["spec"].clone()), converted.unsaid.join("; "))
    };
    let pods = |resources: Value| {
        let mut resources = resources;
        resources["kinds"] = json!(["Pod"]);
        json!({"match": {"any": [{"resources": resources}]}})
    };
    for (rule, why) in [
        (pods(json!({"operations": ["DELETE"]})), "deletions or connections"),
        (pods(json!({"operations": ["UPDATE"]})), "updates alone"),
        (pods(json!({"selector": {"matchLabels": {"app": "*"}}})), "wildcards"),
        (pods(json!({"namespaces": ["team-?"]})), "only `*`"),
        (json!({"match": of(json!(["Pod/exec"]))}), "subresources"),
        (json!({"match": of(json!(["*Set"]))}), "whole kinds"),
        (json!({"match": {}}), "names nothing"),
        (json!({"match": {"clusterRoles": ["admin"]}}), "roles"),
        (
            json!({"match": of(json!(["Pod"])), "celPreconditions": [{"expression": "true"}]}),
            "celPreconditions",
        ),
        (
            json!({"match": of(json!(["Pod"])), "preconditions": {"any": [
                {"key": "{{ request.operation }}", "operator": "Equals", "value": "CREATE"},
                {"key": "{{ request.object.metadata.name }}", "operator": "Equals", "value": "a"}]}}),
            "`preconditions`",
        ),
        (
            json!({"match": of(json!(["Pod"])), "preconditions": {"all": [
                {"key": "{{ request.operation }}", "operator": "Equals", "value": "DELETE"}]}}),
            "deletions",
        ),
    ] {
        let (policy, unsaid) = part(rule.clone());
        assert!(policy.is_none() && unsaid.contains(why), "{rule}: {unsaid}");
    }
    let (policy, unsaid) = part(pods(json!({"operations": ["CREATE"]})));
    assert!(policy.is_some() && unsaid.contains("updates as well"), "{unsaid}");
    // All entries of `all` must hold; each of `any` is enough.
    let all = json!({"match": {"all": [{"resources": {"kinds": ["Pod"]}}, {"resources": {"namespaces": ["a"]}}]},
        "exclude": {"all": [{"resources": {"namespaces": ["a"]}}, {"subjects": [{"kind": "User", "name": "root"}]}]}});
    let (policy, unsaid) = part(all);
    assert_eq!(
        (policy.unwrap(), unsaid.as_str()),
        (
            json!({"action": "Deny", "match": {"kinds": ["Pod"], "namespaces": ["a"]},
                   "exclude": [{"namespaces": ["a"], "users": {"names": ["root"]}}], "rules": [{"volumeTypes": {"deny": ["nfs"]}}]}),
            ""
        )
    );
    let twice =
        json!({"match": {"all": [{"resources": {"kinds": ["Pod"]}}, {"resources": {"kinds": ["Job"]}}]}});
    assert!(part(twice).0.is_none());
    // An exclusion that cannot be said is named, and the policy is the stricter for it.
    let (policy, unsaid) = part(json!({"match": of(json!(["Pod"])), "exclude": {"clusterRoles": ["admin"]}}));
    assert!(policy.unwrap()["exclude"].is_null() && unsaid.contains("`exclude`: roles"), "{unsaid}");
    let (policy, unsaid) = part(
        json!({"match": of(json!(["Pod"])), "exclude": {"any": [{"resources": {"operations": ["DELETE"]}}]}}),
    );
    assert!(policy.unwrap()["exclude"].is_null() && unsaid.is_empty(), "{unsaid}");
    let mut wide = kyverno(json!({"match": of(json!(["Pod"])), "validate": nfs.clone()}));
    wide["spec"]["validationFailureActionOverrides"] = json!([{"action": "Audit", "namespaces": ["a"]}]);
    wide["spec"]["applyRules"] = json!("One");
    assert_eq!(converted(&wide).unsaid.len(), 2);
    let many = json!({"match": of(json!(vec!["Pod"; 501])), "validate": nfs});
    assert!(converted(&kyverno(many)).policies.is_empty());
}

#[test]
fn a_rule_about_pods_follows_what_makes_them_as_kyverno_has_it() {
    let cel = |annotation: Option<&str>, expression: &str| {
        let mut policy = kyverno(json!({"match": of(json!(["Pod"])),
            "celPreconditions": [{"name": "c", "expression": "has(object.spec.volumes)"}],
            "validate": {"cel": {"variables": [{"name": "v", "expression": "object.spec.volumes"}], "expressions": [{"expression": expression}]}}}));
        if let Some(annotation) = annotation {
            policy["metadata"]["annotations"] =
                json!({"pod-policies.kyverno.io/autogen-controllers": annotation});
        }
        let converted = converted(&policy);
        (converted.policies[0]["spec"].clone(), converted.unsaid.len())
    };
    let expression =
        "variables.v.all(v, v.name != 'object.spec' && object.metadata.?name.orValue('') != v.object)";
    let (spec, unsaid) = cel(None, expression);
    assert_eq!((&spec["match"], unsaid), (&json!({"kinds": ["Pod"]}), 0));
    assert_eq!(
        spec["rules"],
        json!([{"cel": {"name": "r", "when": "(has(podSpec.volumes))", "variables": [{"name": "v", "expression": "podSpec.volumes"}],
            "expression": "variables.v.all(v, v.name != 'object.spec' && podMeta.?name.orValue('') != v.object)"}}])
    );
    let (spec, _) = cel(Some("Deployment,StatefulSet"), expression);
    assert_eq!(spec["match"], json!({"kinds": ["Pod", "Deployment", "StatefulSet"], "kindsOnly": true}));
    let (spec, _) = cel(Some("none"), expression);
    assert_eq!(spec["match"], json!({"kinds": ["Pod"], "kindsOnly": true}));
    assert_eq!(spec["rules"][0]["cel"]["when"], "(has(object.spec.volumes))");
    // What else it reads of the object stands in no template.
    let (spec, unsaid) = cel(None, "object.kind == 'Pod'");
    assert_eq!((&spec["match"], unsaid), (&json!({"kinds": ["Pod"], "kindsOnly": true}), 1));
    let mut pattern = kyverno(
        json!({"match": of(json!(["Pod"])), "validate": {"pattern": {"spec": {"volumes": [{"X(nfs)": "null"}]}}}}),
    );
    pattern["metadata"]["annotations"] = json!({"pod-policies.kyverno.io/autogen-controllers": "none"});
    assert_eq!(spec_of(&pattern)["match"], json!({"kinds": ["Pod"], "kindsOnly": true}));
}

fn spec_of(object: &Value) -> Value {
    converted(object).policies[0]["spec"].clone()
}

#[test]
fn what_a_policy_in_cel_is_about_is_kept_or_named() {
    let policy = |kind: &str, spec: Value| {
        let (group, version) = if kind == "ValidatingAdmissionPolicy" {
            ("admissionregistration.k8s.io", "v1")
        } else {
            ("policies.kyverno.io", "v1")
        };
        let mut spec = spec;
        spec["validations"] = json!([{"expression": "has(object.spec.volumes)"}]);
        json!({"apiVersion": format!("{group}/{version}"), "kind": kind, "metadata": {"name": "v", "namespace": "team"}, "spec": spec})
    };
    let rules = |rule: Value| json!({"matchConstraints": {"resourceRules": [rule]}});
    let pods = || json!({"apiGroups": [""], "resources": ["pods"]});
    let kind = "ValidatingAdmissionPolicy";
    assert_eq!(spec(&policy(kind, rules(pods())))["match"], json!({"kinds": ["Pod"], "kindsOnly": true}));
    let follows = spec(&policy("ValidatingPolicy", rules(pods())));
    assert_eq!(
        (&follows["match"], &follows["rules"][0]["cel"]["expression"]),
        (&json!({"kinds": ["Pod"]}), &json!("has(podSpec.volumes)"))
    );
    let mut some = rules(pods());
    some["autogen"] = json!({"podControllers": {"controllers": ["deployments"]}});
    assert_eq!(
        spec(&policy("ValidatingPolicy", some.clone()))["match"],
        json!({"kinds": ["Pod", "Deployment"], "kindsOnly": true})
    );
    some["autogen"] = json!({"podControllers": {"controllers": []}});
    assert_eq!(
        spec(&policy("ValidatingPolicy", some))["match"],
        json!({"kinds": ["Pod"], "kindsOnly": true})
    );
    let namespaced = spec(&policy("NamespacedValidatingPolicy", rules(pods())));
    assert_eq!(namespaced["match"]["namespaces"], json!(["team"]));
    let apps = json!({"apiGroups": ["apps"], "resources": ["*"], "operations": ["CREATE"]});
    let apps = spec(&policy(kind, rules(apps)));
    assert_eq!(apps["match"]["kinds"], json!(["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]));
    assert_eq!(apps["rules"][0]["cel"]["when"], "(request.operation == 'CREATE')");
    for (rule, why) in [
        (json!({"apiGroups": ["metrics.k8s.io"], "resources": ["pods"]}), "not asked about it"),
        (json!({"resources": ["pods"], "resourceNames": ["a"]}), "resourceNames"),
        (json!({"resources": ["pods"], "operations": ["DELETE"]}), "deletions"),
    ] {
        let converted = converted(&policy(kind, rules(rule.clone())));
        assert!(converted.policies.is_empty() && converted.unsaid[0].contains(why), "{rule} {converted:?}");
    }
    for field in ["failurePolicy", "paramKind", "auditAnnotations"] {
        let mut spec = rules(pods());
        spec[field] = if field == "failurePolicy" { json!("Ignore") } else { json!([1]) };
        let unsaid = converted(&policy(kind, spec)).unsaid;
        assert!(unsaid.len() == 1 && unsaid[0].contains(field), "{unsaid:?}");
    }
    let mut loose = policy(kind, rules(pods()));
    let unsaid = |expression: &str, policy: &mut Value| {
        policy["spec"]["validations"][0]["expression"] = json!(expression);
        converted(policy).unsaid.len()
    };
    assert_eq!(unsaid("object.spec.volumes.orValue([]).size() == 0", &mut loose), 1);
    assert_eq!(unsaid("object.spec.?volumes.orValue([]).size() == 0", &mut loose), 0);
    assert_eq!(unsaid("object.metadata.?labels['a.b/c'].orValue('') == ''", &mut loose), 0);
}

#[test]
fn a_read_only_root_of_gatekeeper_excuses_the_same_images() {
    let params = json!({"parameters": {"exemptImages": ["registry.example/tools/*", "busybox"]}});
    let rule = &spec(&constraint("K8sPSPReadOnlyRootFilesystem", params))["rules"][0]["cel"];
    let expression = rule["expression"].as_str().unwrap();
    assert!(
        expression.contains(r#"c.image.startsWith("registry.example/tools/") || c.image == "busybox" || "#),
        "{expression}"
    );
    let labels = json!({"match": {"labelSelector": {"matchLabels": {"app": "web*"}}}});
    assert!(converted(&constraint("K8sPSPHostFilesystem", labels)).policies.is_empty());
}
