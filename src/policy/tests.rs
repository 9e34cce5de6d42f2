use super::{CompiledPolicy, PolicySet, load};
use crate::engine::Engine;
use crate::facts::Facts;
use crate::lookup::MapLookup;
use crate::rule::{Requester, Review};
use crate::verdict::{Action, Verdict};
use jiff::civil::{Date, date};
use proptest::prelude::*;
use serde_json::{Value, json};

fn policy(spec: Value) -> Value {
    json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "test"}, "spec": spec})
}

/// The rule that every object breaks.
fn never() -> Value {
    json!({"cel": {"name": "never", "expression": "false", "message": "no"}})
}

fn faults(policy: &Value) -> Vec<String> {
    load(policy).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// What the author of a policy with that spec is told, though it is applied: these, each with that beginning.
#[track_caller]
fn noticed(spec: Value, wanted: &[&str]) {
    let found: Vec<String> = compiled("p", spec).notices().iter().map(ToString::to_string).collect();
    let fits = found.len() == wanted.len()
        && found.iter().zip(wanted).all(|(notice, wanted)| notice.contains(wanted));
    assert!(fits, "found {found:#?}\nwanted {wanted:#?}");
}

/// The faults of a policy with that spec, which must be these, each with that beginning.
#[track_caller]
fn told(spec: Value, wanted: &[&str]) {
    let found = faults(&policy(spec));
    let fits =
        found.len() == wanted.len() && found.iter().zip(wanted).all(|(fault, wanted)| fault.contains(wanted));
    assert!(fits, "found {found:#?}\nwanted {wanted:#?}");
}

fn compiled(name: &str, spec: Value) -> CompiledPolicy {
    let mut policy = policy(spec);
    policy["metadata"]["name"] = json!(name);
    load(&policy).unwrap()
}

fn judge_on(today: Date, spec: Value, context: &[Value], object: &Value) -> Verdict {
    let policies = PolicySet::build(vec![compiled("test", spec)]).unwrap();
    let mut lookup = MapLookup::default();
    for object in context {
        lookup.add(&Facts::read(object, None).unwrap());
    }
    Engine { policies: &policies, lookup: &lookup, today }.mutate_and_check(&Review::create(object)).unwrap()
}

fn judge(spec: Value, context: &[Value], object: &Value) -> Verdict {
    judge_on(date(2026, 11, 23), spec, context, object)
}

fn pod(labels: Value, owner: Option<(&str, &str)>) -> Value {
    let owners: Vec<Value> = owner
        .into_iter()
        .map(|(kind, name)| json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true}))
        .collect();
    json!({"apiVersion": "v1", "kind": "Pod",
           "metadata": {"name": "p", "namespace": "shop", "labels": labels, "ownerReferences": owners},
           "spec": {"containers": []}})
}

#[test]
fn unknown_fields_are_told_at_every_depth() {
    let mut bad = policy(json!({
        "acton": "Deny", "match": {"namespaceSelektor": {}, "objectSelector": {"matchLabel": {}}},
        "rules": [{"defaultClass": {"nam": "x", "name": "x"}}, {"defaultclass": {"name": "x"}}, {"zzz": {}}],
        "exceptions": [{"reason": "r", "kinds": ["Pod"], "untill": "2027-01-01"}]}));
    bad["spek"] = json!({});
    let found = faults(&bad);
    for wanted in [
        "spec.acton: unknown field `acton`: did you mean `action`?",
        "spec.match.namespaceSelektor: unknown field `namespaceSelektor`: did you mean `namespaceSelector`?",
        "spec.match.objectSelector.matchLabel: unknown field `matchLabel`: did you mean `matchLabels`?",
        "spec.rules[0].defaultClass.nam: unknown field `nam`: did you mean `name`?",
        "spec.rules[1].defaultclass: unknown rule `defaultclass`: did you mean `defaultClass`?",
        "spec.rules[2].zzz: unknown rule `zzz`: the rules are accessModes, bindingMode, cel, claimClass, claimSize, dangling, defaultClass, durableData, emptyDir, ephemeralStorage, hostPath, pinToVolume, reclaimPolicy, sharedWriter, storageClass, volumeMode, volumeReachable, volumeTypes",
        "spec.exceptions[0].untill: unknown field `untill`: did you mean `until`?",
    ] {
        assert!(found.iter().any(|fault| fault.starts_with(wanted)), "{wanted} in {found:#?}");
    }
}

#[test]
fn a_field_in_the_wrong_place_is_told_where_it_belongs() {
    let mut bad = policy(json!({
        "durableData": {"require": "claim"},
        "rules": [{"durableData": {"reason": "r", "readOnly": true}}, {"hostPath": {"path": "/var/log"}}],
        "catalog": [{"product": "P", "images": ["p"], "path": "/data"}]}));
    bad["exceptions"] = json!([]);
    bad["action"] = json!("Warn");
    bad["spek"] = json!({});
    bad["zzz"] = json!({});
    let found = faults(&bad);
    for wanted in [
        "action: unknown field `action`: it belongs in `spec`",
        "exceptions: unknown field `exceptions`: it belongs in `spec`",
        "spek: unknown field `spek`: did you mean `spec`?",
        "zzz: unknown field `zzz`: all that a policy says stands in `spec`",
        "spec.durableData: unknown field `durableData`: it belongs in `spec.rules[]`",
        "spec.catalog[0].path: unknown field `path`: it belongs in `spec.catalog[].data[]`",
        "spec.rules[0].durableData.reason: unknown field `reason`: it belongs in `spec.exceptions[]`",
        "spec.rules[0].durableData.readOnly: unknown field `readOnly`: it belongs in `spec.rules[].hostPath.allow[]`",
        "spec.rules[1].hostPath.path: unknown field `path`: it belongs in `spec.rules[].hostPath.allow[]`",
    ] {
        assert!(found.iter().any(|fault| fault.starts_with(wanted)), "{wanted} in {found:#?}");
    }
    let mut with_status = policy(json!({"rules": [{"durableData": {}}]}));
    with_status["status"] = json!({"rules": 1});
    assert!(load(&with_status).is_ok());
    let mut nowhere = policy(json!({}));
    nowhere.as_object_mut().unwrap().remove("spec");
    nowhere["rules"] = json!([{"durableData": {}}]);
    let found = faults(&nowhere);
    assert!(
        found.iter().any(|fault| fault == ".: the field `spec` is missing: `rules` belongs in it"),
        "{found:#?}"
    );
}

#[test]
fn a_field_of_another_type_is_told_what_to_write() {
    for (spec, wanted) in [
        (
            json!({"rules": ["durableData"]}),
            "spec.rules[0]: must be of type object, not \"durableData\": write `durableData: …`",
        ),
        (
            json!({"rules": {"durableData": {}}}),
            "spec.rules: must be of type array, not {\"durableData\":{}}: put a `-` before each",
        ),
        (
            json!({"rules": [{"durableData": null}]}),
            "not null: write `{}`, or some of its fields data, dispensable, jobs, require",
        ),
        (
            json!({"rules": [{"dangling": true}]}),
            "spec.rules[0].dangling: must be of type object, not true: write `{}`",
        ),
        (
            json!({"rules": [{"hostPath": {"allow": ["/var/log"]}}]}),
            "not \"/var/log\": write `path: \"/var/log\"`",
        ),
        (
            json!({"rules": [{"durableData": {"data": ["/x"]}}]}),
            "not \"/x\": its fields are objectSelector, paths",
        ),
        (json!({"rules": [{"claimSize": {"max": 10}}]}), "must be of type string, not 10: put it in quotes"),
        (json!({"rules": [{"volumeTypes": {"allow": "nfs"}}]}), "not \"nfs\": write a list, `[\"nfs\"]`"),
        (
            json!({"rules": [{"reclaimPolicy": {"claims": "yes"}}]}),
            "not \"yes\": write true or false, without quotes",
        ),
        (json!({"priority": "1", "rules": []}), "not \"1\": write a number, without quotes"),
        (
            json!({"match": {"objectSelector": {"matchLabels": ["a"]}}, "rules": []}),
            "write lines of `name: value` below it",
        ),
        (
            json!({"match": ["Pod"], "rules": []}),
            "write `{}`, or some of its fields kinds, kindsOnly, namespaceSelector",
        ),
        (json!({"action": ["Warn"], "rules": []}), "spec.action"),
    ] {
        let found = faults(&policy(spec.clone()));
        assert!(found.iter().any(|fault| fault.contains(wanted)), "{wanted} in {found:#?}");
    }
}

#[test]
fn all_kinds_of_faults_are_told_at_once() {
    told(
        json!({
            "priority": "high",
            "action": "Block",
            "match": {"objectSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
            "exclude": [{}, {"namespaces": ["A*b", "ok-*"]}, {"kinds": ["statefulset", "pods", "Cluster"]}],
            "rules": [
                {"cel": {"name": "n", "expression": "objekt == 1"}},
                {"defaultClass": {"name": 3}},
                {"defaultClass": {"name": "a"}, "cel": {"name": "n", "expression": "true"}},
                {"action": "Warn"},
                {},
                {"cel": {"name": "n", "expression": "quantity('10Gigs').isInteger()"}},
                {"defaultClass": {"name": "x", "action": "Warn"}}],
            "exceptions": [
                {"reason": "why not"},
                {"kinds": ["Pod"], "reason": "  "},
                {"kinds": ["Pod"], "reason": ""},
                {"kinds": ["Pod"]},
                {"kinds": ["Pod"], "reason": "r", "until": "tomorrow"},
                {"kinds": ["Pod"], "reason": "r", "rules": ["defaultClass"]}],
            "selfService": {"annotation": "a", "rules": ["cell"], "leastLength": -1}}),
        &[
            "spec.action: must be one of Audit, Warn, Deny, not \"Block\"",
            "spec.exceptions[0]: excuses everything",
            "spec.exceptions[1].reason: say in a few words why",
            "spec.exceptions[2].reason: must not be empty",
            "spec.exceptions[3]: the field `reason` is missing",
            "spec.exceptions[4].until: \"tomorrow\" is not a day: write it like 2027-03-31",
            "spec.exceptions[5].rules[0]: unknown rule \"defaultClass\": did you mean default-class?",
            "spec.exclude[0]: excludes everything",
            "spec.exclude[1].namespaces[0]: \"A*b\" fits no namespace",
            "spec.exclude[2].kinds[0]: \"statefulset\" is no kind: did you mean StatefulSet?",
            "spec.exclude[2].kinds[1]: \"pods\" is no kind: did you mean Pod?",
            "spec.match.objectSelector.matchExpressions[0]",
            "spec.priority: must be of type integer, not \"high\"",
            "spec.rules[0].cel.expression: unknown variable `objekt`: did you mean `object`?",
            "spec.rules[1].defaultClass.name: must be of type string, not 3",
            "spec.rules[2]: one entry holds one rule, and here are defaultClass and cel: give each its own `-`",
            "spec.rules[3]: names no rule: write one of defaultClass, durableData, pinToVolume, volumeReachable, hostPath, volumeTypes, emptyDir, ephemeralStorage, claimClass, claimSize, accessModes, volumeMode, reclaimPolicy, bindingMode, storageClass, sharedWriter, dangling, cel",
            "spec.rules[4]: names no rule",
            "spec.rules[5].cel.expression: quantity(…) cannot be",
            "spec.rules[6].defaultClass.action: unknown field `action`: an action stands beside the rule: `- defaultClass: {…}`",
            "spec.selfService.leastLength: must be at least 0, not -1",
        ],
    );
}

#[test]
fn what_is_no_policy_is_told() {
    assert_eq!(faults(&json!([1])), [".: must be a map, not [1]"]);
    assert_eq!(
        faults(&json!({"kind": "Pod"})),
        ["kind: is not a policy: kind is \"Pod\", and a policy's is StoragePolicy"]
    );
    assert_eq!(
        faults(&json!({"kind": "StoragePolicy", "apiVersion": "volgate.dev/v1"})),
        ["apiVersion: unknown version \"volgate.dev/v1\": write volgate.dev/v1alpha1"]
    );
    let bare = json!({"kind": "StoragePolicy", "apiVersion": "volgate.dev/v1alpha1"});
    assert_eq!(faults(&bare), [".: the field `metadata` is missing", ".: the field `spec` is missing"]);
    told(json!({"rules": []}), &["spec.rules: must have at least one item"]);
    told(json!({}), &["spec: the field `rules` is missing"]);
    told(
        json!({"rules": [never()], "priority": 3_000_000_000_u32}),
        &["spec.priority: must be at most 2147483647, not 3000000000"],
    );
    let long = json!({"rules": [{"cel": {"name": "n", "expression": "x".repeat(5000)}}]});
    told(long, &["spec.rules[0].cel.expression: must have at most 4096 characters"]);
    let wide = json!({"rules": [{"defaultClass": {"name": (0..100).collect::<Vec<_>>()}}]});
    let found = faults(&policy(wide));
    assert!(found[0].len() < 200, "{found:?}");
}

#[test]
fn a_label_that_kubernetes_refuses_is_told() {
    let spec = json!({"rules": [never()], "match": {
        "namespaceSelector": {"matchLabels": {"a b": "c"}},
        "objectSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]},
                                                 {"key": "a", "operator": "Like", "values": ["x"]}]}}});
    // The bad operator hides what else is wrong with its own part alone.
    let found = faults(&policy(spec));
    assert!(
        found.iter().any(|fault| fault
            .starts_with("spec.match.objectSelector.matchExpressions[1].operator: must be one of")),
        "{found:#?}"
    );
    told(
        json!({"rules": [never()], "match": {
            "namespaceSelector": {"matchLabels": {"a b": "c"}},
            "objectSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}}}),
        &[
            "spec.match.namespaceSelector.matchLabels[\"a b\"]",
            "spec.match.objectSelector.matchExpressions[0]",
        ],
    );
}

#[test]
fn an_exception_from_a_rule_that_is_not_there_is_told() {
    told(
        json!({"rules": [never()], "exceptions": [{"kinds": ["Pod"], "reason": "r", "rules": ["default-class"]}],
               "selfService": {"annotation": "a", "rules": ["default-class"]}}),
        &[
            "spec.exceptions[0].rules[0]: excuses from default-class, which this policy does not have",
            "spec.selfService.rules[0]: excuses from default-class",
        ],
    );
}

#[test]
fn policies_that_contradict_are_told_and_priority_resolves_it() {
    let class = |class: &str, more: Value| {
        let mut spec = json!({"rules": [never(), {"defaultClass": {"name": class}}]});
        spec.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        spec
    };
    let build =
        |a: (&str, Value), b: (&str, Value)| PolicySet::build(vec![compiled(a.0, a.1), compiled(b.0, b.1)]);
    let found = build(("a", class("x", json!({}))), ("b", class("y", json!({})))).unwrap_err();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].policy, found[0].other, found[0].field.to_string().as_str()),
        (1, 0, "spec.rules[1]")
    );
    assert!(found[0].message.contains("policies \"a\" and \"b\" contradict each other in default-class"));
    assert!(found[0].message.contains("higher `priority`"), "{}", found[0].message);
    assert!(build(("a", class("x", json!({}))), ("b", class("x", json!({})))).is_ok(), "they agree");
    let set = build(("a", class("x", json!({}))), ("b", class("y", json!({"priority": 1})))).unwrap();
    let names: Vec<&str> = set.policies().iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["b", "a"], "the higher priority goes first");
    let apart = |ns: &str| json!({"match": {"namespaces": [ns]}});
    assert!(
        build(("a", class("x", apart("a"))), ("b", class("y", apart("b")))).is_ok(),
        "about different objects"
    );
    let same = build(("a", class("x", json!({}))), ("a", class("x", json!({})))).unwrap_err();
    assert_eq!(same[0].field.to_string(), "metadata.name");
    assert!(same[0].message.contains("two policies named \"a\""));
    told(
        json!({"rules": [{"defaultClass": {"name": "x"}}, {"defaultClass": {"name": "y"}}]}),
        &["spec.rules[1]: contradicts spec.rules[0]: "],
    );
}

#[test]
fn the_higher_priority_fills_the_class() {
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                       "metadata": {"name": "c", "namespace": "shop"}, "spec": {}});
    let class = |name: &str, class: &str, priority: i32| {
        compiled(name, json!({"priority": priority, "rules": [{"defaultClass": {"name": class}}]}))
    };
    let policies = PolicySet::build(vec![class("a", "low", 0), class("b", "high", 5)]).unwrap();
    let lookup = MapLookup::default();
    let engine = Engine { policies: &policies, lookup: &lookup, today: date(2026, 11, 23) };
    let patch = engine.mutate_and_check(&Review::create(&claim)).unwrap().patch;
    assert_eq!(serde_json::to_value(patch).unwrap()[0]["value"], "high");
}

#[test]
fn an_exception_holds_until_the_end_of_its_last_day() {
    let spec = |until: &str| json!({"rules": [never()], "exceptions": [{"kinds": ["Pod"], "reason": "moving", "until": until}]});
    let excused = |until: &str| {
        let verdict = judge_on(date(2026, 11, 23), spec(until), &[], &pod(json!({}), None));
        (verdict.denied(), verdict.findings[0].excused.clone())
    };
    assert_eq!(excused("2026-11-22"), (true, None));
    assert_eq!(excused("2026-11-23"), (false, Some("moving (until 2026-11-23)".to_owned())));
    assert_eq!(excused("2026-11-24"), (false, Some("moving (until 2026-11-24)".to_owned())));
    told(spec("2026-02-30"), &["spec.exceptions[0].until: \"2026-02-30\" is not a day"]);
}

#[test]
fn an_exception_that_ended_is_named_and_one_that_ends_soon_is_told() {
    let spec = |until: &str| json!({"rules": [never()], "exceptions": [{"kinds": ["Pod"], "reason": "moving", "until": until}]});
    let help = |until: &str, object: &Value| {
        judge_on(date(2026, 11, 23), spec(until), &[], object).findings[0].help.clone()
    };
    let pod = pod(json!({}), None);
    let wanted = "the exception for this ended on 2026-11-22 (\"moving\")";
    assert_eq!(help("2026-11-22", &pod).as_deref(), Some(wanted));
    assert_eq!(help("2026-11-23", &pod), None);
    assert_eq!(help("2026-11-22", &set()), None, "it was never for a StatefulSet");
    let ending = |until: &str| compiled("p", spec(until)).ending(date(2026, 11, 23), 14).count();
    let days = ["2026-11-22", "2026-11-23", "2026-12-07", "2026-12-08", "2027-11-23"];
    assert_eq!(days.map(ending), [0, 1, 1, 0, 0]);
}

fn set() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "namespace": "shop"},
           "spec": {"template": {"metadata": {"labels": {"app": "db"}},
                                 "spec": {"containers": [{"name": "c", "image": "redis"}]}}}})
}

#[test]
fn pods_stand_for_what_makes_them() {
    let data = json!({"durableData": {}});
    let denied = |spec: Value, object: &Value| judge(spec, &[], object).denied();
    let claim =
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {}});
    let about = |kinds: Value| json!({"rules": [data, never()], "match": kinds});
    let rules = |spec: Value, object: &Value| -> Vec<&str> {
        judge(spec, &[], object).findings.iter().map(|finding| finding.rule).collect()
    };
    // A rule that reads the object as it stands is asked about the named kinds alone.
    assert_eq!(rules(about(json!({"kinds": ["Pod"]})), &set()), ["durable-data"]);
    assert_eq!(rules(about(json!({"kinds": ["Pod", "StatefulSet"]})), &set()), ["cel", "durable-data"]);
    assert_eq!(rules(about(json!({"kinds": ["Pod"], "kindsOnly": true})), &set()), [""; 0]);
    assert_eq!(rules(about(json!({"kinds": ["Pod"]})), &claim), [""; 0]);
    assert_eq!(rules(about(json!({"kinds": ["Pod"]})), &pod(json!({}), None)), ["cel"]);
    // What the selector asks for may stand in the pod template.
    let labelled = |value: &str| json!({"kinds": ["Pod"], "objectSelector": {"matchLabels": {"app": value}}});
    assert!(denied(about(labelled("db")), &set()) && !denied(about(labelled("web")), &set()));
    let excluding = |exclude: Value| json!({"rules": [data], "exclude": [exclude]});
    assert!(!denied(excluding(json!({"kinds": ["Pod"]})), &set()));
    assert!(denied(excluding(json!({"kinds": ["Pod"], "kindsOnly": true})), &set()));
    let excepted = json!({"rules": [data], "exceptions": [{"kinds": ["Pod"], "reason": "pods alone"}]});
    assert!(denied(excepted, &set()), "an exception is for what it names");
    let notices = |spec: Value| compiled("p", spec).notices().len();
    assert_eq!(notices(about(json!({"kinds": ["Pod"]}))), 1);
    assert_eq!(notices(about(json!({"kinds": ["Pod"], "kindsOnly": true}))), 0);
    assert_eq!(notices(json!({"rules": [data], "match": {"kinds": ["Pod"]}})), 0);
}

#[test]
fn what_can_have_no_effect_is_noticed() {
    let data = json!({"durableData": {}});
    noticed(
        json!({"rules": [data], "match": {"kinds": ["Pod", "ConfigMap", "StrimziPodSet"], "namespaces": ["db-*", "db-1", "a", "a"]}}),
        &[
            "spec.match.kinds[1]: no rule of this policy reads a ConfigMap",
            "spec.match.namespaces[1]: \"db-1\" adds nothing to \"db-*\": take one of the two out",
            "spec.match.namespaces[3]: \"a\" adds nothing to \"a\"",
        ],
    );
    noticed(
        json!({"rules": [data], "match": {"kinds": ["Pod", "ConfigMap", "StrimziPodSet"]}}),
        &["spec.match.kinds[1]: no rule of this policy reads a ConfigMap"],
    );
    told(json!({"rules": [data, never()], "match": {"kinds": ["ConfigMap"]}}), &[]);
    told(
        json!({"rules": [data], "match": {"kinds": ["Statefulste", "Deploymnet"]}}),
        &[
            "\"Statefulste\" is no kind: did you mean StatefulSet?",
            "\"Deploymnet\" is no kind: did you mean Deployment?",
        ],
    );
    noticed(
        json!({"rules": [data], "match": {"kinds": ["Job"], "kindsOnly": true}}),
        &["spec.match.kindsOnly: says that"],
    );
    let mut named = policy(json!({"rules": [data]}));
    named["metadata"]["namespace"] = json!("shop");
    assert!(faults(&named)[0].starts_with("metadata.namespace: a policy belongs to no namespace"));
    let kyverno = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "k"}, "spec": {}});
    assert!(
        faults(&kyverno)[0]
            .ends_with("and volgate reads none of it: `volgate policy from` translates what it can say")
    );
}

#[test]
fn a_policys_own_message_stands_before_the_findings() {
    let rule = json!({"durableData": {}, "message": "Ask the storage team (wiki/claims)"});
    let message = judge(json!({"rules": [rule]}), &[], &set()).findings.remove(0).message;
    assert!(
        message.starts_with("Ask the storage team (wiki/claims) (Redis keeps its data in /data, which is"),
        "{message}"
    );
    let cel = json!({"cel": {"name": "n", "expression": "true"}, "message": "x"});
    told(json!({"rules": [cel]}), &["spec.rules[0].message: a `cel` rule has its own `message`"]);
    told(json!({"rules": [{"durableData": {}, "message": ""}]}), &["spec.rules[0].message"]);
    let long = json!({"durableData": {}, "message": "m".repeat(501)});
    told(json!({"rules": [long]}), &["spec.rules[0].message"]);
}

#[test]
fn self_service_wants_a_reason_of_some_length() {
    let spec = json!({"rules": [never()], "selfService": {"annotation": "why", "rules": ["cel"], "leastLength": 10}});
    let excused = |reason: &str| {
        let mut pod = pod(json!({}), None);
        pod["metadata"]["annotations"] = json!({"why": reason});
        judge(spec.clone(), &[], &pod).findings[0].excused.clone()
    };
    assert_eq!(excused("too short"), None);
    assert_eq!(excused("   short   "), None);
    assert_eq!(
        excused("rebuilt in a minute").as_deref(),
        Some("the object's own reason: rebuilt in a minute")
    );
    let mut denied = pod(json!({}), None);
    let help = |pod: &Value| judge(spec.clone(), &[], pod).findings[0].help.clone();
    assert_eq!(help(&denied), None, "it did not ask");
    denied["metadata"]["annotations"] = json!({"why": " a cache "});
    assert_eq!(
        help(&denied).as_deref(),
        Some(
            "the reason in the annotation why does not count: it has 7 characters, and the policy asks for 10"
        )
    );
    let other = json!({"rules": [never(), {"dangling": {}}],
        "selfService": {"annotation": "why", "rules": ["dangling"]}});
    denied["metadata"]["annotations"] = json!({"why": "rebuilt in a minute"});
    assert_eq!(
        judge(other, &[], &denied).findings[0].help.as_deref(),
        Some("the annotation why excuses from dangling alone")
    );
    let without = json!({"rules": [never()]});
    let mut own = pod(json!({}), None);
    own["metadata"]["annotations"] = json!({"why": "rebuilt in a minute"});
    assert!(judge(without, &[], &own).denied(), "nobody allowed it");
}

#[test]
fn selects_by_the_labels_of_the_namespace() {
    let spec = json!({"rules": [never()], "match": {"namespaceSelector": {"matchLabels": {"tier": "data"}}}});
    let namespace = |labels: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}});
    let pod = pod(json!({"tier": "data"}), None);
    assert!(judge(spec.clone(), &[namespace(json!({"tier": "data"}))], &pod).denied());
    assert!(!judge(spec.clone(), &[namespace(json!({"tier": "web"}))], &pod).denied());
    assert!(!judge(spec, &[], &pod).denied(), "a namespace that is not known has no such label");
    let named = json!({"rules": [never()],
        "match": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}});
    assert!(judge(named, &[], &pod).denied(), "the name is known always");
}

#[test]
fn a_pod_inherits_from_its_deployment() {
    let owner = |kind: &str, name: &str, labels: Value, owner: Option<(&str, &str)>| {
        let mut object = pod(labels, owner);
        object["apiVersion"] = json!("apps/v1");
        object["kind"] = json!(kind);
        object["metadata"]["name"] = json!(name);
        object["spec"] = json!({"template": {"spec": {"containers": []}}});
        object
    };
    let context = [
        owner("ReplicaSet", "web-1", json!({}), Some(("Deployment", "web"))),
        owner("Deployment", "web", json!({"app": "session-cache"}), None),
    ];
    let spec = json!({"rules": [never()], "exceptions": [
        {"objectSelector": {"matchLabels": {"app": "session-cache"}}, "reason": "a cache"}]});
    let owned = pod(json!({}), Some(("ReplicaSet", "web-1")));
    assert!(!judge(spec.clone(), &context, &owned).denied());
    assert!(judge(spec.clone(), &context[..1], &owned).denied(), "the Deployment is not known");
    assert!(judge(spec.clone(), &context, &pod(json!({}), Some(("ReplicaSet", "other")))).denied());
    let by_kind = json!({"rules": [never()], "exceptions": [{"kinds": ["Deployment"], "reason": "r"}]});
    assert!(!judge(by_kind, &context, &owned).denied());
}

#[test]
fn an_owner_excuses_only_when_it_is_there_under_that_uid() {
    let set = |uid: &str| {
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
               "metadata": {"name": "agent", "namespace": "shop", "uid": uid, "labels": {"app": "agent"}},
               "spec": {"template": {"spec": {"containers": []}}}})
    };
    let owned = pod(json!({}), Some(("DaemonSet", "agent")));
    let by_kind = json!({"kinds": ["DaemonSet"]});
    let by_label = json!({"objectSelector": {"matchLabels": {"app": "agent"}}});
    for subjects in [by_kind, by_label] {
        let mut exception = subjects.clone();
        exception["reason"] = json!("an agent");
        let excepts = json!({"rules": [never()], "exceptions": [exception]});
        let excludes = json!({"rules": [never()], "exclude": [subjects]});
        for spec in [&excepts, &excludes] {
            assert!(!judge(spec.clone(), &[set("u")], &owned).denied(), "{spec}");
            assert!(judge(spec.clone(), &[set("another")], &owned).denied(), "{spec}");
            assert!(judge(spec.clone(), &[], &owned).denied(), "{spec}");
        }
    }
    // The reference still brings the pod under a policy.
    let about = json!({"rules": [never()], "match": {"kinds": ["DaemonSet"]}});
    assert!(judge(about, &[], &owned).denied());
}

#[test]
fn a_controllers_own_account_proves_the_kind_and_no_labels() {
    let excuse = |subjects: Value| {
        let mut exception = subjects;
        exception["reason"] = json!("an agent");
        compiled("p", json!({"rules": [never()], "exceptions": [exception]}))
    };
    let owned = pod(json!({}), Some(("DaemonSet", "agent")));
    let denied = |subjects: Value, user: Option<&str>| {
        let policies = PolicySet::build(vec![excuse(subjects)]).unwrap();
        let lookup = MapLookup::default();
        let engine = Engine { policies: &policies, lookup: &lookup, today: date(2026, 11, 23) };
        engine.mutate_and_check(&Review { user, ..Review::create(&owned) }).unwrap().denied()
    };
    let by_kind = json!({"kinds": ["DaemonSet"]});
    let controller = "system:serviceaccount:kube-system:daemon-set-controller";
    for user in [controller, "system:kube-controller-manager"] {
        assert!(!denied(by_kind.clone(), Some(user)), "{user}");
        let another_kind = json!({"kinds": ["StatefulSet"]});
        assert!(denied(another_kind, Some(user)), "{user}");
        let by_label = json!({"objectSelector": {"matchLabels": {"app": "agent"}}});
        assert!(denied(by_label, Some(user)), "{user} says nothing of labels");
    }
    for user in [None, Some("alice"), Some("system:serviceaccount:kube-system:job-controller")] {
        assert!(denied(by_kind.clone(), user), "{user:?}");
    }
}

#[test]
fn an_owner_that_is_not_believed_is_told() {
    let spec =
        json!({"rules": [never()], "exceptions": [{"kinds": ["StrimziPodSet"], "reason": "it knows"}]});
    let help = |owner| judge(spec.clone(), &[], &pod(json!({}), owner)).findings[0].help.clone();
    let told = help(Some(("StrimziPodSet", "kafka"))).unwrap();
    assert!(
        told.starts_with("an exception of the policy does not hold here")
            && told.contains("StrimziPodSet \"kafka\""),
        "{told}"
    );
    assert_eq!(help(Some(("ReplicaSet", "web"))), None);
}

#[test]
fn a_rules_own_action_counts() {
    let mut warn = never();
    warn["action"] = json!("Warn");
    let verdict = judge(
        json!({"action": "Audit", "rules": [warn, {"cel": {"name": "b", "expression": "false"}}]}),
        &[],
        &pod(json!({}), None),
    );
    let actions: Vec<Action> = verdict.findings.iter().map(|finding| finding.action).collect();
    assert_eq!(actions, [Action::Warn, Action::Audit]);
}

/// The verdict when that user asks, with these groups; nobody where there is no name.
fn judge_as(spec: Value, user: Option<(&str, &[&str])>, context: &[Value], object: &Value) -> Verdict {
    let policies = PolicySet::build(vec![compiled("test", spec)]).unwrap();
    let mut lookup = MapLookup::default();
    for object in context {
        lookup.add(&Facts::read(object, None).unwrap());
    }
    let requester = user.map(|(name, groups)| Requester {
        name: name.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    });
    let review =
        Review { user: user.map(|(name, _)| name), requester: requester.as_ref(), ..Review::create(object) };
    Engine { policies: &policies, lookup: &lookup, today: date(2026, 11, 23) }
        .mutate_and_check(&review)
        .unwrap()
}

#[test]
fn users_are_named_by_name_group_and_service_account() {
    let object = pod(json!({}), None);
    let denied = |users: Value, name: &str, groups: &[&str]| {
        let spec = json!({"rules": [never()], "match": {"users": users}});
        judge_as(spec, Some((name, groups)), &[], &object).denied()
    };
    let names = json!({"names": ["oidc:*@example.com", "anna"]});
    assert!(denied(names.clone(), "anna", &[]) && denied(names.clone(), "oidc:bob@example.com", &[]));
    assert!(!denied(names.clone(), "annabel", &[]) && !denied(names, "bob", &["anna"]), "a group is no user");
    let groups = json!({"groups": ["storage-*"]});
    assert!(denied(groups.clone(), "x", &["a", "storage-admins"]) && !denied(groups, "storage-x", &["a"]));
    let accounts = json!({"serviceAccounts": ["ops/*", "ci/deployer"]});
    for (name, is) in [
        ("system:serviceaccount:ops:anything", true),
        ("system:serviceaccount:ci:deployer", true),
        ("system:serviceaccount:ci:other", false),
        ("system:serviceaccount:ops2:x", false),
        ("ops/x", false),
    ] {
        assert_eq!(denied(accounts.clone(), name, &[]), is, "{name}");
    }
    let two = json!({"names": ["a"], "groups": ["g"]});
    assert!(denied(two.clone(), "a", &[]) && denied(two, "b", &["g"]), "one is enough");
}

#[test]
fn an_unknown_user_makes_a_warning_that_says_so() {
    let object = pod(json!({}), None);
    let users = json!({"names": ["anna"]});
    let matched = json!({"rules": [never()], "match": {"users": users}});
    let excluded = json!({"rules": [never()], "exclude": [{"users": users}]});
    let excepted = json!({"rules": [never()], "exceptions": [{"users": users, "reason": "she knows"}]});
    for spec in [&matched, &excluded, &excepted] {
        let verdict = judge_as(spec.clone(), None, &[], &object);
        let finding = &verdict.findings[0];
        assert_eq!(finding.action, Action::Warn, "{spec}");
        assert!(
            finding.help.as_deref().unwrap().contains("who asks is not known here (`--as USER`"),
            "{finding:?}"
        );
    }
    for (spec, anna, bob) in [(&matched, true, false), (&excluded, false, true), (&excepted, false, true)] {
        assert_eq!(judge_as(spec.clone(), Some(("anna", &[])), &[], &object).denied(), anna, "{spec}");
        assert_eq!(judge_as(spec.clone(), Some(("bob", &[])), &[], &object).denied(), bob, "{spec}");
    }
    // Another part of the same entry that does not hold decides without the user.
    let elsewhere =
        json!({"rules": [never()], "exceptions": [{"users": users, "namespaces": ["b"], "reason": "r"}]});
    assert!(judge_as(elsewhere, None, &[], &object).denied());
    // Nothing is filled in for somebody who is not known.
    let class = json!({"rules": [{"defaultClass": {"name": "x"}}], "match": {"users": users}});
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                       "metadata": {"name": "c", "namespace": "shop"}, "spec": {}});
    let changes = |user: Option<(&str, &[&str])>| judge_as(class.clone(), user, &[], &claim).patch.0.len();
    assert_eq!([changes(None), changes(Some(("bob", &[]))), changes(Some(("anna", &[])))], [0, 0, 1]);
}

#[test]
fn a_pod_of_somebody_who_is_excused_is_not_refused_to_its_controller() {
    let set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
                     "metadata": {"name": "agent", "namespace": "shop", "uid": "u"},
                     "spec": {"template": {"spec": {"containers": []}}}});
    let owned = pod(json!({}), Some(("DaemonSet", "agent")));
    let users = json!({"names": ["anna"]});
    let excepted = json!({"rules": [never()], "exceptions": [{"users": users, "reason": "she knows"}]});
    let controller = "system:serviceaccount:kube-system:daemon-set-controller";
    let made = judge_as(excepted.clone(), Some((controller, &[])), std::slice::from_ref(&set), &owned);
    assert_eq!(made.findings[0].action, Action::Warn);
    assert!(made.findings[0].help.as_deref().unwrap().contains("who wrote its owner is not known"));
    let by_bob = judge_as(excepted, Some(("bob", &[])), std::slice::from_ref(&set), &owned);
    assert!(by_bob.denied(), "an owner that is there excuses nobody else");
    let matched = json!({"rules": [never()], "match": {"users": users}});
    let none = judge_as(matched, Some((controller, &[])), &[set], &owned);
    assert_eq!(none.findings, [], "the DaemonSet itself was judged");
}

#[test]
fn users_that_name_nobody_are_told() {
    told(json!({"rules": [never()], "match": {"users": {}}}), &["spec.match.users: names nobody"]);
    told(
        json!({"rules": [never()], "exceptions": [{"reason": "r", "users": {"serviceAccounts": ["x", "a/b/c", "/x", "system:serviceaccount:a/b"]}}]}),
        &["[0]: \"x\" is no service account", "[1]", "[2]", "[3]"],
    );
    noticed(
        json!({"rules": [never()], "match": {"users": {"names": ["a*", "ab"]}}}),
        &["spec.match.users.names[1]: \"ab\" adds nothing to \"a*\""],
    );
}

#[test]
fn what_can_never_fit_is_noticed() {
    let data = || json!({"durableData": {}});
    let about = |matches: Value| json!({"rules": [data()], "match": matches});
    noticed(
        about(json!({"kinds": ["Deployment", "apps/v1/StatefulSet", "*"]})),
        &["can be no kind", "can be no kind"],
    );
    noticed(
        about(json!({"kinds": ["Pod", "Widget"]})),
        &["spec.match.kinds[1]: volgate does not know the kind \"Widget\""],
    );
    noticed(about(json!({"namespaces": ["kube-system", "a"]})), &["no policy is about kube-system"]);
    noticed(about(json!({"namespaces": ["Prod_*"]})), &["\"Prod_*\" fits no namespace"]);
    let twice = json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["c"]}]});
    noticed(
        about(json!({"objectSelector": twice})),
        &["what it asks of the label \"a\" cannot hold together"],
    );
    let absent = json!({"matchExpressions": [{"key": "a", "operator": "Exists"}, {"key": "a", "operator": "DoesNotExist"}]});
    noticed(about(json!({"namespaceSelector": absent})), &["spec.match.namespaceSelector: fits nothing"]);
    let possible = json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x"]},
                                                {"key": "a", "operator": "Exists"}]});
    noticed(about(json!({"objectSelector": possible})), &[]);
    let class = json!({"storageClass": {"reclaimPolicy": "Retain"}});
    noticed(
        json!({"rules": [class, {"hostPath": {}}], "match": {"kinds": ["StorageClass"]}}),
        &["spec.rules[1]: never finds anything: it reads pods and what makes them, PersistentVolumes"],
    );
    noticed(
        json!({"rules": [class], "match": {"namespaces": ["a"]}}),
        &["spec.rules[0]: never finds anything: StorageClasses belong to no namespace"],
    );
    noticed(json!({"rules": [class], "match": {"kinds": ["StorageClass"]}}), &[]);
    let excluding = |exclude: &str| json!({"rules": [data()], "match": {"namespaces": ["a-*"]}, "exclude": [{"namespaces": [exclude]}]});
    noticed(excluding("b"), &["spec.exclude[0].namespaces: takes nothing away"]);
    noticed(excluding("a*"), &["spec.exclude[0].namespaces: takes away all"]);
    noticed(excluding("a-x"), &[]);
    noticed(
        json!({"rules": [data()], "match": {"namespaces": ["a-*"]}, "exceptions": [{"namespaces": ["b"], "reason": "r"}]}),
        &["spec.exceptions[0].namespaces: excuses nobody"],
    );
}

#[test]
fn a_policy_with_a_useless_entry_is_applied() {
    let spec =
        json!({"rules": [never()], "match": {"namespaces": ["shop", "sh*"], "kinds": ["Pod", "ConfigMap"]}});
    let policy = compiled("p", spec.clone());
    assert!(policy.notices().iter().all(|notice| notice.harmless) && policy.notices().len() >= 2);
    assert!(judge(spec, &[], &pod(json!({}), None)).denied(), "a cluster that holds it must not lose it");
    // Beside a real fault it is told as well.
    told(
        json!({"rules": [never()], "match": {"namespaces": ["a", "a"]}, "priority": "x"}),
        &["spec.match.namespaces[1]: \"a\" adds nothing", "spec.priority: must be of type integer"],
    );
}

#[test]
fn a_rule_about_the_pod_follows_what_makes_pods() {
    let nfs = json!({"cel": {"name": "no-nfs", "field": "podSpec.volumes", "message": "no",
        "expression": "podSpec.?volumes.orValue([]).all(v, !has(v.nfs)) && podMeta.?labels[?'app'].orValue('') != 'bad'"}});
    let spec = json!({"rules": [nfs], "match": {"kinds": ["Pod"]}});
    assert_eq!(compiled("p", spec.clone()).notices().len(), 0, "it needs no notice");
    let fields = |object: &Value| -> Vec<String> {
        judge(spec.clone(), &[], object).findings.iter().map(|finding| finding.field.to_string()).collect()
    };
    let volumes = json!([{"name": "a", "nfs": {"server": "nas", "path": "/"}}]);
    let (mut bare, mut set) = (pod(json!({}), None), set());
    assert_eq!(fields(&bare), [""; 0]);
    assert_eq!(fields(&set), [""; 0]);
    bare["spec"]["volumes"] = volumes.clone();
    set["spec"]["template"]["spec"]["volumes"] = volumes;
    assert_eq!(fields(&bare), ["spec.volumes"]);
    assert_eq!(fields(&set), ["spec.template.spec.volumes"]);
    set["spec"]["template"] = json!({"metadata": {"labels": {"app": "bad"}}, "spec": {"containers": []}});
    assert_eq!(fields(&set).len(), 1, "podMeta is the template's");
    set["spec"]["template"] = json!({"spec": {"containers": []}});
    assert_eq!(fields(&set), [""; 0], "without metadata it is an empty map");
    let everything = json!({"rules": [nfs]});
    let claim =
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {}});
    assert_eq!(judge(everything, &[], &claim).findings, [], "what makes no pods is not asked about");
    let finding = judge(spec.clone(), &[], &bare).findings.remove(0);
    assert_eq!(finding.name.as_deref(), Some("no-nfs"));
    // One that reads the object as well is about the named kinds alone.
    let both = json!({"rules": [{"cel": {"name": "n", "expression": "object.kind == podSpec.x"}}], "match": {"kinds": ["Pod"]}});
    assert_eq!(compiled("p", both.clone()).notices().len(), 1);
    assert_eq!(judge(both, &[], &set).findings, []);
    let kinds = json!({"rules": [{"cel": {"name": "n", "expression": "podSpec.x", "kinds": ["Pod"]}}]});
    noticed(kinds, &["spec.rules[0].cel.kinds: asks about pods alone"]);
    let config = json!({"rules": [{"cel": {"name": "n", "expression": "object.x", "kinds": ["ConfigMap"]}}]});
    noticed(config, &["spec.rules[0].cel.kinds[0]: the webhook is not asked about a ConfigMap"]);
}

#[test]
fn what_a_policy_that_stands_alone_adds_to_the_catalog_is_its_own() {
    let catalog = json!([{"product": "Ledger", "images": ["example/ledger"], "data": [{"path": "/ledger"}]}]);
    let adding = |alone: bool| {
        let mut policy = compiled("adding", json!({"rules": [{"durableData": {}}], "catalog": catalog}));
        policy.alone = alone;
        policy
    };
    let other = || compiled("other", json!({"rules": [{"durableData": {}}], "action": "Warn"}));
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
                        "spec": {"containers": [{"name": "c", "image": "example/ledger"}]}});
    let found = |policies: Vec<CompiledPolicy>| -> Vec<String> {
        let policies = PolicySet::build(policies).unwrap();
        let lookup = MapLookup::default();
        let engine = Engine { policies: &policies, lookup: &lookup, today: date(2026, 11, 23) };
        engine
            .mutate_and_check(&Review::create(&object))
            .unwrap()
            .findings
            .iter()
            .map(|f| f.policy.clone())
            .collect()
    };
    assert_eq!(found(vec![adding(true), other()]), ["adding"]);
    let silent = |alone: bool| {
        let mut policy = compiled(
            "silent",
            json!({"rules": [{"hostPath": {}}],
            "catalog": [{"product": "Redis", "images": ["redis"], "stateful": false}]}),
        );
        policy.alone = alone;
        policy
    };
    let redis = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
                       "spec": {"containers": [{"name": "c", "image": "redis"}]}});
    let denied = |policies: Vec<CompiledPolicy>| {
        let policies = PolicySet::build(policies).unwrap();
        let lookup = MapLookup::default();
        Engine { policies: &policies, lookup: &lookup, today: date(2026, 11, 23) }
            .mutate_and_check(&Review::create(&redis))
            .unwrap()
            .findings
            .len()
    };
    assert_eq!(denied(vec![silent(true), other()]), 1, "it takes nothing away from others");
    assert_eq!(denied(vec![silent(false), other()]), 0);
}

/// JSON made of a policy's own words, so that it gets past the first checks.
fn any_json() -> impl Strategy<Value = Value> {
    let words = || {
        prop::sample::select(vec![
            "spec",
            "rules",
            "match",
            "exclude",
            "exceptions",
            "reason",
            "until",
            "kinds",
            "namespaces",
            "objectSelector",
            "matchLabels",
            "matchExpressions",
            "key",
            "operator",
            "values",
            "In",
            "action",
            "Deny",
            "cel",
            "name",
            "expression",
            "variables",
            "defaultClass",
            "selfService",
            "annotation",
            "leastLength",
            "catalog",
            "priority",
            "true",
            "object.spec.x",
            "2027-01-01",
            "",
            "*",
            "a/b",
            "\u{0}",
        ])
        .prop_map(str::to_owned)
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((words(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn load_never_panics(value in any_json()) {
        let _ = load(&value);
        let _ = load(&policy(value.clone()));
        let _ = load(&policy(json!({"rules": [value.clone()], "match": value.clone(), "exceptions": [value.clone()]})));
        let _ = load(&policy(json!({"rules": [{"cel": value.clone()}, {"defaultClass": value}]})));
    }
}

#[test]
fn the_built_in_baseline_is_a_policy_as_its_users_write_them() {
    let documents = crate::source::parse(crate::policy::BASELINE);
    let [Ok(document)] = documents.as_slice() else { panic!("{documents:?}") };
    let loaded = load(&document.value).unwrap();
    assert_eq!(format!("{loaded:?}"), format!("{:?}", crate::policy::embedded_baseline().unwrap()));
}
