//! What is exported, and what is said to stay.

use super::*;
use serde_json::json;

fn exported(spec: Value, version: u32) -> Exported {
    let spec = serde_json::from_value(spec).unwrap();
    admission_policies(&[("p".to_owned(), spec)], KubernetesVersion(version))
}

fn left(exported: &Exported) -> Vec<(&'static str, bool)> {
    exported.left.iter().map(|left| (left.rule, left.whole)).collect()
}

#[test]
fn versions_choose_the_api() {
    let spec = json!({"rules": [{"defaultClass": {"name": "fast"}}]});
    let api =
        |version| exported(spec.clone(), version).documents.first().map(|one| one["apiVersion"].clone());
    assert_eq!(api(37), Some(json!("admissionregistration.k8s.io/v1")));
    assert_eq!(api(36), Some(json!("admissionregistration.k8s.io/v1")));
    assert_eq!(api(35), Some(json!("admissionregistration.k8s.io/v1beta1")));
    assert_eq!(api(34), Some(json!("admissionregistration.k8s.io/v1beta1")));
    assert_eq!(api(33), None);
    assert_eq!("v1.36.2".parse(), Ok(KubernetesVersion(36)));
    assert!("1.29".parse::<KubernetesVersion>().is_err() && "2.1".parse::<KubernetesVersion>().is_err());
}

#[test]
fn what_needs_other_objects_stays_with_the_webhook() {
    let spec = json!({"rules": [{"durableData": {}}, {"pinToVolume": {}}, {"volumeTypes": {"deny": ["nfs"]}},
        {"accessModes": {}}, {"claimSize": {"max": "1Gi", "perClass": {"x": {"max": "2Gi"}}}},
        {"cel": {"name": "f", "expression": "facts.stateful"}}, {"claimClass": {"allow": ["a"]}}]});
    let exported = exported(spec, 37);
    assert_eq!(
        left(&exported),
        [
            ("durable-data", true),
            ("pin-to-volume", true),
            ("access-modes", true),
            ("claim-size", true),
            ("cel", true),
            ("claim-class", false),
            ("claim-class", false),
        ]
    );
    assert_eq!(exported.documents.len(), 4, "two policies with their bindings");
}

#[test]
fn a_rule_says_itself_why_it_stays() {
    let why = |rule: Value| {
        let exported = exported(json!({"rules": [rule]}), 37);
        assert!(exported.documents.is_empty());
        exported.left.into_iter().map(|left| left.why).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(why(json!({"dangling": {}})), "it reads other objects: claims, volumes, classes or nodes");
    assert_eq!(why(json!({"pinToVolume": {}})), "it reads where the pod's volumes are");
    let untranslated = "`volgate export` does not translate it";
    assert_eq!(why(json!({"storageClass": {}})), untranslated, "it reads the class alone");
    assert_eq!(stays("a-rule-to-come"), untranslated);
}

#[test]
fn a_policy_that_excuses_by_more_than_namespaces_stays_whole() {
    let rules = json!([{"volumeTypes": {"deny": ["nfs"]}}]);
    for more in [
        json!({"match": {"objectSelector": {"matchLabels": {"a": "b"}}}}),
        json!({"match": {"users": {"names": ["anna"]}}}),
        json!({"exceptions": [{"namespaces": ["a"], "until": "2030-01-01", "reason": "soon gone"}]}),
        json!({"exceptions": [{"objectSelector": {}, "reason": "whoever"}]}),
        json!({"exclude": [{"kinds": ["Pod"]}]}),
        json!({"selfService": {"annotation": "a", "rules": ["volume-types"]}}),
    ] {
        let mut spec = more.clone();
        spec["rules"] = rules.clone();
        let exported = exported(spec, 37);
        assert_eq!((exported.documents.len(), left(&exported)), (0, vec![("volume-types", true)]), "{more}");
    }
    let spec = json!({"rules": rules, "match": {"namespaces": ["team-*"], "kinds": ["Pod"], "kindsOnly": true},
                      "exclude": [{"namespaces": ["team-x"]}], "action": "Warn"});
    let exported = exported(spec, 37);
    let policy = &exported.documents[0]["spec"];
    assert_eq!(policy["matchConstraints"]["resourceRules"].as_array().unwrap().len(), 1);
    let conditions = policy["matchConditions"].to_string();
    assert!(conditions.contains("^(?s:team-.*)$") && conditions.contains("== 'team-x'"), "{conditions}");
    assert_eq!(exported.documents[1]["spec"]["validationActions"], json!(["Warn"]));
}

#[test]
fn names_that_only_volgate_has_become_variables() {
    let spec = json!({"rules": [{"cel": {"name": "n", "expression": "podSpec.?volumes.orValue([]).all(v, v.podSpec != 'podSpec')",
        "variables": [{"name": "m", "expression": "podMeta.?labels.podMeta"}], "when": "has(podSpec.hostNetwork)"}}]});
    let exported = exported(spec, 37);
    let policy = &exported.documents[0]["spec"];
    let expression = policy["validations"][0]["expression"].as_str().unwrap();
    assert_eq!(
        expression,
        "!(has(variables.podSpec.hostNetwork)) || (variables.podSpec.?volumes.orValue([]).all(v, v.podSpec != 'podSpec'))"
    );
    assert_eq!(
        policy["variables"][2],
        json!({"name": "m", "expression": "variables.podMeta.?labels.podMeta"})
    );
}
