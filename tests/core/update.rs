//! `check --operation UPDATE --old` comes to the verdict that the webhook gives to the same objects in an AdmissionReview.

use crate::support::run::{TODAY, baseline_and};
use serde_json::{Value, json};
use volgate::admission::{judge, validate};
use volgate::check::{Input, Run};
use volgate::engine::Engine;
use volgate::lookup::MapLookup;
use volgate::policy::PolicySet;
use volgate::source::Source;

const WHO: &str = "jane";

fn review(object: &Value, old: &Value) -> Value {
    let (version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = json!({"group": group, "version": version, "kind": kind});
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1", "kind": kind, "requestKind": kind, "operation": "UPDATE", "dryRun": false,
            "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"],
            "userInfo": {"username": WHO, "groups": ["system:authenticated"]},
            "object": object, "oldObject": old,
        },
    })
}

fn workload(kind: &str, image: &str, volume: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {
                    "containers": [{
                        "name": "db", "image": image,
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }],
                    "volumes": [volume],
                },
            },
        },
    })
}

fn claim(size: &str, class: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "shop"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": size}},
        },
    })
}

/// What both say of each change, and whether it is refused.
fn said(policies: &PolicySet, object: &Value, old: &Value) -> (Vec<String>, bool) {
    let requester = volgate::rule::Requester::impersonated(WHO, &[]);
    let run = Run { requester: Some(&requester), ..Run::new(policies, TODAY) };
    let input = |value: &Value| [Input::new(Source::new("object.json", value.to_string()), true)];
    let (new, before) = (input(object), input(old));
    let report = run.check_update(&new, &before);
    assert_eq!((report.faults.len(), report.judged), (0, 1), "{:?}", report.faults);
    let mut by_check: Vec<String> = report.findings.iter().map(|it| format!("{:?}", it.finding)).collect();
    by_check.extend(report.changes.iter().map(|change| json!(change.patch).to_string()));

    let lookup = MapLookup::default();
    let engine = Engine { policies, lookup: &lookup, today: TODAY };
    let bytes = review(object, old).to_string();
    let verdict = judge(&bytes, &engine).unwrap().unwrap();
    let mut by_webhook: Vec<String> = verdict.findings.iter().map(|finding| format!("{finding:?}")).collect();
    by_webhook.extend((!verdict.patch.0.is_empty()).then(|| json!(verdict.patch).to_string()));
    assert_eq!(by_check, by_webhook, "{object:#}");

    let answer: Value = serde_json::from_slice(&validate(bytes.as_bytes(), &engine).body).unwrap();
    let refused = report.summary().denied > 0;
    assert_eq!(answer["response"]["allowed"], json!(!refused), "{answer:#}");
    (by_check, refused)
}

#[test]
fn an_update_is_judged_as_the_webhook_judges_it() {
    let policies = baseline_and(&[]);
    let scratch = json!({"name": "data", "emptyDir": {}});
    let kept = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}});
    let mut verdicts = Vec::new();
    for kind in ["Deployment", "StatefulSet"] {
        let (lost, safe) = (workload(kind, "redis:7", &scratch), workload(kind, "redis:7", &kept));
        let mut labelled = lost.clone();
        labelled["metadata"]["labels"] = json!({"team": "a"});
        let other = workload(kind, "redis:8", &scratch);
        let scaled = {
            let mut scaled = lost.clone();
            scaled["spec"]["replicas"] = json!(3);
            scaled
        };
        for (new, old) in
            [(&lost, &safe), (&safe, &lost), (&labelled, &lost), (&other, &lost), (&scaled, &lost)]
        {
            verdicts.push(said(&policies, new, old));
        }
    }
    verdicts.push(said(&policies, &claim("20Gi", "local-path"), &claim("10Gi", "local-path")));
    // Losing what was kept is refused, and keeping what would be lost is not.
    assert!(verdicts[0].1 && !verdicts[1].1 && verdicts[5].1 && !verdicts[6].1, "{verdicts:#?}");
}
