use super::converted;
use serde_json::{Value, json};

fn constraint(kind: &str, spec: Value) -> Value {
    json!({"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": kind, "metadata": {"name": "c"}, "spec": spec})
}

fn spec(object: &Value) -> Value {
    let converted = converted(object);
    assert_eq!(converted.unsaid, [""; 0]);
    converted.policy.unwrap()["spec"].clone()
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
        assert!(converted.policy.is_none() && converted.unsaid.len() == 1, "{unsaid}");
    }
    let partly = converted(&constraint("K8sPSPHostFilesystem", json!({"match": {"source": "Original"}})));
    assert!(partly.policy.is_some() && partly.unsaid[0].contains("`match.source`"), "{partly:?}");
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
        json!([{"claimClass": {"requireName": true}}])
    );
    for unsaid in [
        json!({"match": of(json!(["Pod"])), "mutate": {}}),
        json!({"match": of(json!(["Pod"])), "validate": {"foreach": []}}),
        json!({"match": of(json!(["Pod"])), "validate": {"pattern": {"spec": {"containers": []}}}}),
        json!({"match": of(json!(["Pod"])), "context": [], "validate": volumes(json!({"X(nfs)": "null"}))}),
    ] {
        let converted = converted(&kyverno(unsaid.clone()));
        assert!(converted.policy.is_none() && converted.unsaid.len() == 1, "{unsaid} {converted:?}");
    }
}

#[test]
fn a_policy_in_cel_keeps_its_expressions() {
    let policy = json!({"apiVersion": "policies.kyverno.io/v1", "kind": "ValidatingPolicy", "metadata": {"name": "v"}, "spec": {
        "validationActions": ["Audit"],
        "matchConstraints": {"resourceRules": [{"resources": ["pods"]}]},
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
        converted.policy.is_none() && converted.unsaid[0].contains("cannot be said here"),
        "{converted:?}"
    );
}
