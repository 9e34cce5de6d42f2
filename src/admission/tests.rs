use super::*;
use crate::facts::{Facts, OwnerFacts};
use crate::lookup::MapLookup;
use crate::policy::{CompiledPolicy, CompiledRule, PolicySet};
use crate::rule::{NewFinding, NewFindings, Rule};
use crate::rules::testing::policy;
use crate::verdict::Action;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;
use std::sync::{Arc, Mutex};

/// Finds a fault in every object, and remembers the request that it was told of.
#[derive(Debug, Default)]
struct Objector {
    requests: Arc<Mutex<Vec<Value>>>,
}

impl Rule for Objector {
    fn check(&self, context: &crate::rule::Context<'_>, findings: &mut NewFindings<'_>) {
        self.requests.lock().unwrap().extend(context.review.request.cloned());
        findings.push(
            NewFinding::new(crate::model::FieldPath::root().key("spec"), "is objected to").help("give up"),
        );
    }
    fn reads_request(&self) -> bool {
        true
    }
}

fn objecting(action: Action, rule: Objector) -> PolicySet {
    let at = crate::model::FieldPath::root();
    let rule = CompiledRule { id: "objector", action, message: None, rule: Arc::new(rule), field: at };
    PolicySet::build(vec![CompiledPolicy {
        name: "strict".into(),
        priority: 0,
        matches: None,
        exclude: Vec::new(),
        rules: vec![rule],
        exceptions: Vec::new(),
        self_service: None,
        catalog: Vec::new(),
        notices: Vec::new(),
        alone: false,
        custom_resources: Vec::new(),
        counts: std::sync::Arc::default(),
    }])
    .unwrap()
}

fn defaults() -> PolicySet {
    policy(json!([{"defaultClass": {"name": "local-path"}}])).unwrap()
}

type Entry = fn(&[u8], &Engine<'_>) -> Answer;

fn send(entry: Entry, policies: &PolicySet, body: &[u8]) -> Answer {
    let lookup = MapLookup::default();
    entry(body, &Engine { policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) })
}

fn claim() -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "shop"}, "spec": {}})
}

fn review(object: Value) -> Value {
    let kind = object["kind"].as_str().unwrap_or("PersistentVolumeClaim").to_owned();
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": kind},
        "namespace": "shop", "name": "data", "operation": "CREATE",
        "userInfo": {"username": "alice"}, "object": object, "oldObject": null, "dryRun": true
    }})
}

fn post(entry: Entry, policies: &PolicySet, review: &Value) -> (Value, Outcome) {
    let answer = send(entry, policies, review.to_string().as_bytes());
    assert_eq!((answer.status, answer.content_type), (200, "application/json"));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(body["kind"], "AdmissionReview");
    (body["response"].clone(), answer.outcome)
}

/// The message of the refusal that a review with a fault must get under its uid.
fn refusal(review: &Value) -> String {
    refusal_of(review.to_string().as_bytes())
}

fn refusal_of(body: &[u8]) -> String {
    let policies = defaults();
    let mut messages = Vec::new();
    for entry in [mutate as Entry, validate] {
        let answer = send(entry, &policies, body);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
        assert_eq!(body["response"]["allowed"], false);
        assert_eq!(body["response"]["status"]["code"], 400);
        assert_eq!(answer.outcome.verdict, VerdictLabel::Unreadable);
        messages.push(body["response"]["status"]["message"].as_str().unwrap().to_owned());
    }
    assert_eq!(messages[0], messages[1]);
    assert!(messages[0].starts_with("failed to read the review: "), "{}", messages[0]);
    messages.remove(0)
}

#[test]
fn a_claim_without_a_class_is_patched() {
    let (response, outcome) = post(mutate, &defaults(), &review(claim()));
    let patch = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        response["patch"].as_str().unwrap(),
    )
    .unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&patch).unwrap(),
        json!([{"op": "add", "path": "/spec/storageClassName", "value": "local-path"}])
    );
    assert_eq!(response["patchType"], "JSONPatch");
    assert_eq!(response["allowed"], true);
    assert_eq!(
        (outcome.operation, outcome.kind, outcome.verdict),
        ("CREATE", "PersistentVolumeClaim", VerdictLabel::Patched)
    );
}

#[test]
fn a_policy_for_some_users_reads_name_and_groups_of_the_request() {
    let spec = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"}, "spec": {
        "match": {"users": {"names": ["anna"], "groups": ["dev*"], "serviceAccounts": ["ci/*"]}},
        "rules": [{"cel": {"name": "n", "expression": "false"}}]}});
    let policies = PolicySet::build(vec![crate::policy::load(&spec).unwrap()]).unwrap();
    let verdict = |user: Value| {
        let mut review = review(claim());
        review["request"]["userInfo"] = user;
        post(validate, &policies, &review).1.verdict
    };
    for user in [
        json!({"username": "anna"}),
        json!({"username": "bob", "groups": ["a", "developers"]}),
        json!({"username": "system:serviceaccount:ci:deployer", "groups": null}),
        json!({"username": "bob", "groups": ["developers", 7]}),
    ] {
        assert_eq!(verdict(user.clone()), VerdictLabel::Denied, "{user}");
    }
    for user in [
        json!({"username": "bob", "groups": ["a"], "extra": {"groups": ["developers"]}}),
        json!({"username": "bob", "groups": "developers"}),
        json!({"username": "system:serviceaccount:ci2:deployer"}),
        json!(null),
    ] {
        assert_eq!(verdict(user.clone()), VerdictLabel::Allowed, "{user}");
    }
    let many: Vec<String> = (0..250_000).map(|n| n.to_string()).collect();
    assert_eq!(verdict(json!({"username": "bob", "groups": many})), VerdictLabel::Unreadable, "a bound");
}

#[test]
fn who_asks_is_who_the_api_server_says() {
    let policies = policy(json!([{"durableData": {}}])).unwrap();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "r", "image": "redis"}]},
        "metadata": {"name": "data", "namespace": "shop", "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u", "controller": true}]}});
    let verdict = |user: Value| {
        let mut review = review(pod.clone());
        review["request"]["userInfo"] = user;
        post(validate, &policies, &review).1.verdict
    };
    let controller = "system:serviceaccount:kube-system:job-controller";
    assert_eq!(verdict(json!({"username": controller})), VerdictLabel::Warned);
    for user in [
        json!({"username": "alice", "groups": [controller], "extra": {"username": [controller]}}),
        json!({"username": [controller]}),
        json!({"username": null}),
        json!({}),
        json!(controller),
        json!(null),
    ] {
        assert_eq!(verdict(user.clone()), VerdictLabel::Denied, "{user}");
    }
}

#[test]
fn white_space_in_a_review_changes_nothing() {
    let mut deep = review(claim());
    deep["request"]["object"]["spec"] = (0..200).fold(json!(1), |inner, _| json!([inner]));
    for review in [review(claim()), review(json!("no map")), deep] {
        let texts = [serde_json::to_vec(&review), serde_json::to_vec_pretty(&review)].map(Result::unwrap);
        for entry in [mutate, validate] {
            let [compact, spaced] = texts.each_ref().map(|text| send(entry, &defaults(), text));
            let uid = compact.body.windows(8).any(|part| part == b"705ab4f5");
            assert!(uid, "{}", String::from_utf8_lossy(&compact.body));
            // What is wrong with it is told with its line.
            assert_eq!(compact.outcome.verdict, spaced.outcome.verdict);
            if compact.outcome.verdict != VerdictLabel::Unreadable {
                assert_eq!(compact, spaced);
            }
        }
    }
}

#[test]
fn an_empty_patch_is_left_out() {
    let mut object = claim();
    object["spec"]["storageClassName"] = json!("fast");
    let (response, outcome) = post(mutate, &defaults(), &review(object));
    assert_eq!(response, json!({"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": true}));
    assert_eq!(outcome.verdict, VerdictLabel::Allowed);
}

#[test]
fn a_denial_names_rule_field_help_and_policy() {
    let (response, outcome) = post(validate, &objecting(Action::Deny, Objector::default()), &review(claim()));
    assert_eq!(
        response,
        json!({
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": false,
            "status": {
                "status": "Failure", "code": 403, "reason": "Forbidden",
                "message": "objector: spec: is objected to; give up (policy strict)"
            },
            "auditAnnotations": {"denied": "objector=strict"}
        })
    );
    assert_eq!(outcome.reason.unwrap(), "objector: spec: is objected to; give up (policy strict)");
    let about = outcome.subject.unwrap();
    assert_eq!(
        (outcome.operation, &*about.kind, &*about.namespace, &*about.name),
        ("CREATE", "PersistentVolumeClaim", "shop", "data")
    );
    assert!(about.uid.starts_with("705ab4f5"), "{about:?}");
}

#[test]
fn a_warning_admits() {
    let (response, outcome) = post(validate, &objecting(Action::Warn, Objector::default()), &review(claim()));
    assert_eq!(response["allowed"], true);
    assert_eq!(response["warnings"], json!(["objector: spec: is objected to; give up (policy strict)"]));
    assert_eq!(response["auditAnnotations"], json!({"warned": "objector=strict"}));
    assert_eq!(outcome.findings, [Tally { rule: "objector", action: "warn" }]);
}

#[test]
fn a_rule_that_asks_for_the_request_gets_it_without_the_objects() {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let policies = objecting(Action::Audit, Objector { requests: requests.clone() });
    post(validate, &policies, &review(claim()));
    let request = requests.lock().unwrap().pop().unwrap();
    assert_eq!(request["userInfo"]["username"], "alice");
    assert_eq!((request.get("object"), request.get("oldObject")), (None, None));
}

#[test]
fn what_no_policy_is_about_is_admitted_unread() {
    let policies = objecting(Action::Deny, Objector::default());
    let mut foreign = review(json!("no object at all"));
    foreign["request"]["kind"] = json!({"group": "apps", "version": "v1", "kind": "Pod"});
    let mut delete = review(Value::Null);
    delete["request"]["operation"] = json!("DELETE");
    let mut excluded = review(json!("no object at all"));
    excluded["request"]["namespace"] = json!("kube-system");
    for review in [foreign, delete, excluded] {
        let (response, outcome) = post(validate, &policies, &review);
        assert_eq!(response["allowed"], true, "{review}");
        assert_eq!(outcome.verdict, VerdictLabel::Skipped);
    }
}

#[test]
fn a_kind_that_is_not_judged_has_a_bounded_label() {
    let mut foreign = review(claim());
    foreign["request"]["kind"]["kind"] = json!("Surprise");
    foreign["request"]["operation"] = json!("DELETE");
    let (_, outcome) = post(validate, &defaults(), &foreign);
    assert_eq!((outcome.operation, outcome.kind), ("DELETE", OTHER_KIND));
}

#[test]
fn every_workload_kind_is_judged() {
    for JudgedKind { group, kind } in JUDGED {
        let other = matches!(kind, "PersistentVolumeClaim" | "PersistentVolume" | "StorageClass" | "Scale");
        assert!(other || crate::facts::WorkloadKind::of(group, kind).is_some(), "{kind}");
    }
    assert!(kinds::judged("extensions", "Deployment").is_some());
    assert!(kinds::judged("extensions", "StorageClass").is_none());
}

#[test]
fn faults_are_told_under_the_uid() {
    let with = |change: fn(&mut Value)| {
        let mut review = review(claim());
        change(&mut review);
        refusal(&review)
    };
    let says = |message: String, part: &str| assert!(message.contains(part), "{message}");
    says(with(|r| r["apiVersion"] = json!("admission.k8s.io/v1beta1")), "admissionReviewVersions: [v1]");
    says(with(|r| r["kind"] = json!("Review")), "must be AdmissionReview");
    says(with(|r| r["request"]["operation"] = json!("PATCH")), "request.operation is \"PATCH\"");
    says(with(|r| r["request"]["object"] = Value::Null), "request.object is missing");
    says(with(|r| r["request"]["object"] = json!([])), "request.object is no map");
    says(with(|r| r["request"]["object"]["spec"] = json!([])), "spec: must be a map, not a list");
    says(with(|r| r["request"]["object"]["kind"] = json!("Pod")), "request.kind says");
    says(
        with(|r| r["request"]["namespace"] = json!(5)),
        "request.namespace: invalid type: integer `5`, expected a string",
    );
}

/// The review of a Deployment's `scale` subresource from 1 to 3.
fn scale() -> Value {
    let scale = |replicas: Value| {
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
               "metadata": {"name": "web", "namespace": "shop", "uid": "u"},
               "spec": replicas, "status": {"replicas": 1, "selector": "app=web"}})
    };
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"}, "subResource": "scale",
        "namespace": "shop", "name": "web", "operation": "UPDATE", "userInfo": {"username": "alice"},
        "object": scale(json!({"replicas": 3})), "oldObject": scale(json!({"replicas": 1}))
    }})
}

/// The status, warnings and outcome of a scale under a rule on shared writers, where the Deployment shares a claim.
fn scaled(entry: Entry, policies: &PolicySet, review: &Value) -> (Value, Outcome) {
    let mut lookup = MapLookup::default();
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "shop"},
                       "spec": {"accessModes": ["ReadWriteOnce"]}});
    lookup.add(&Facts::read(&claim, None).unwrap());
    let pod = json!({"containers": [{"name": "c", "volumeMounts": [{"name": "d", "mountPath": "/d"}]}],
                     "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]});
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment",
                          "metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": {"template": {"spec": pod}}});
    let id = Facts::identify(&workload, None);
    lookup.add_owner(OwnerFacts::read_whole((&workload).into(), &id).unwrap());
    let engine = Engine { policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
    let answer = entry(review.to_string().as_bytes(), &engine);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    (body["response"].clone(), answer.outcome)
}

#[test]
fn a_scale_is_refused_by_a_rule_on_replicas_and_a_dry_run_says_the_same() {
    let policies = policy(json!([{"sharedWriter": {}}, {"durableData": {}}])).unwrap();
    let (response, outcome) = scaled(validate, &policies, &scale());
    let message = response["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("shared-writer: spec.replicas: 3 replicas write to one claim, \"c\""),
        "{message}"
    );
    assert_eq!((outcome.operation, outcome.kind), ("UPDATE", "Scale"));
    let about = outcome.subject.unwrap();
    assert_eq!((&*about.kind, &*about.namespace, &*about.name), ("Scale", "shop", "web"));
    let mut dry = scale();
    dry["request"]["dryRun"] = json!(true);
    assert_eq!(scaled(validate, &policies, &dry).0, response);
    let (response, outcome) = scaled(mutate, &policies, &scale());
    assert_eq!(
        (&response["allowed"], outcome.verdict),
        (&json!(true), VerdictLabel::Allowed),
        "nothing to change"
    );
    // A 0 is left out of a Scale.
    let mut down = scale();
    down["request"]["object"]["spec"] = json!({});
    assert_eq!(scaled(validate, &policies, &down).1.verdict, VerdictLabel::Allowed);
    let mut up = scale();
    up["request"]["oldObject"]["spec"] = json!({});
    assert_eq!(scaled(validate, &policies, &up).1.verdict, VerdictLabel::Denied);
    let mut unknown = scale();
    unknown["request"]["object"]["metadata"]["uid"] = json!("of another");
    let (response, outcome) = scaled(validate, &policies, &unknown);
    assert_eq!((&response["allowed"], outcome.verdict), (&json!(true), VerdictLabel::Warned));
    assert!(
        response["warnings"][0].as_str().unwrap().starts_with("shared-writer: spec.replicas: not judged: ")
    );
}

#[test]
fn a_scale_that_no_rule_is_about_is_admitted_unread() {
    let mut bad = scale();
    bad["request"]["object"] = json!("no object at all");
    let verdict = |rules: Value, review: &Value| scaled(validate, &policy(rules).unwrap(), review).1.verdict;
    assert_eq!(verdict(json!([{"durableData": {}}]), &bad), VerdictLabel::Skipped, "no rule reads replicas");
    for (pointer, value) in [
        ("/request/resource", json!({"group": "argoproj.io", "resource": "rollouts"})),
        ("/request/namespace", json!("kube-system")),
        ("/request/operation", json!("DELETE")),
    ] {
        let mut other = bad.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        assert_eq!(verdict(json!([{"sharedWriter": {}}]), &other), VerdictLabel::Skipped, "{pointer}");
    }
}

#[test]
fn a_bad_scale_is_refused_with_its_field() {
    let policies = policy(json!([{"sharedWriter": {}}])).unwrap();
    for (pointer, value, wanted) in [
        ("/request/object", Value::Null, "request.object is missing, and every UPDATE has one"),
        ("/request/object", json!([]), "request.object is no map"),
        ("/request/oldObject", Value::Null, "request.oldObject is missing"),
        ("/request/oldObject", json!("x"), "request.oldObject is no map"),
        (
            "/request/object/kind",
            json!("Deployment"),
            "request.object is of kind \"Deployment\", and request.kind says \"Scale\"",
        ),
        ("/request/object/spec", json!([]), "request.object.spec: must be a map, not a list"),
        (
            "/request/object/spec/replicas",
            json!("3"),
            "request.object.spec.replicas: must be a whole number, not a string",
        ),
        (
            "/request/object/spec/replicas",
            json!(2.5),
            "request.object.spec.replicas: must be a whole number, not a number",
        ),
        (
            "/request/object/spec/replicas",
            json!(-1),
            "request.object.spec.replicas: is -1, and must be 0 to 2147483647",
        ),
        (
            "/request/object/spec/replicas",
            json!(1_u64 << 40),
            "request.object.spec.replicas: is 1099511627776",
        ),
        (
            "/request/oldObject/spec/replicas",
            json!(true),
            "request.oldObject.spec.replicas: must be a whole number",
        ),
        ("/request/object/metadata", json!(7), "request.object: invalid type: integer `7`, expected a map"),
        ("/request/object/metadata/uid", json!(7), "request.object.metadata.uid: must be a string"),
        ("/request/namespace", json!(""), "request.name or request.namespace is missing"),
        ("/request/operation", json!("CREATE"), "request.operation is CREATE, and a Scale is never made"),
        (
            "/request/kind",
            json!({"group": "extensions", "kind": "Scale"}),
            "request.kind is \"Scale\" of the group \"extensions\"",
        ),
        (
            "/request/kind",
            json!({"group": "apps", "kind": "Deployment"}),
            "request.kind is \"Deployment\" of the group \"apps\"",
        ),
        ("/request/resource", json!(5), "request.resource is missing"),
        ("/request/resource", json!({"group": "apps", "resource": []}), "request.resource is missing"),
    ] {
        let mut bad = scale();
        *bad.pointer_mut(pointer).unwrap() = value;
        let (response, outcome) = scaled(validate, &policies, &bad);
        let message = response["status"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(wanted), "{pointer}: {wanted:?} is not in {response}");
        assert_eq!((&response["status"]["code"], outcome.verdict), (&json!(400), VerdictLabel::Unreadable));
    }
}

#[test]
fn an_account_that_cannot_be_read_is_nobodys() {
    for user in [json!(7), json!({"username": ["x"]}), Value::Null] {
        let mut odd = review(claim());
        odd["request"]["userInfo"] = user;
        assert_eq!(post(mutate, &defaults(), &odd).1.verdict, VerdictLabel::Patched);
    }
}

#[test]
fn an_update_with_a_bad_old_object_is_refused() {
    let mut update = review(claim());
    update["request"]["operation"] = json!("UPDATE");
    update["request"]["oldObject"] = json!("x");
    assert!(refusal(&update).contains("request.oldObject is no map"));
}

#[test]
fn bodies_that_are_broken_behind_the_uid_are_answered_under_it() {
    let says = |body: Vec<u8>, part: &str| {
        let message = refusal_of(&body);
        assert!(message.contains(part), "{message}");
    };
    let uid = r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": "shop",
        "kind": {"kind": "PersistentVolumeClaim"}, "object": "#;
    let body = |object: &[u8]| [uid.as_bytes(), object, b"}}"].concat();
    says(uid.as_bytes().to_vec(), "EOF");
    says(body(b"{\"kind\": \"Persistent"), "EOF");
    says(body(b"{\"a\": \"\0\"}"), "control character");
    says(body(b"{\0}"), "key must be a string");
    says(body(b"{\"a\": \"\xff\xfe\"}"), "the body is not UTF-8 at byte ");
    says(body(b"{\"a\": 1e999}"), "number out of range");
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    says(body(format!("{{\"spec\": {deep}}}").as_bytes()), "nested deeper than 128");
    let mut trailing = body(b"{}");
    trailing.extend(b" x");
    says(trailing, "trailing characters");
}

#[test]
fn a_uid_behind_a_bad_object_is_found() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let body = format!(
        r#"{{"request": {{"object": {{"spec": {deep}}}, "kind": {{"kind": "Pod"}}, "operation": "CREATE",
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002"}}, "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}}"#
    );
    assert!(refusal_of(body.as_bytes()).contains("nested deeper"));
}

#[test]
fn without_a_uid_the_answer_is_text() {
    let without = |body: &[u8], part: &str| {
        let answer = send(validate, &defaults(), body);
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!((answer.status, answer.content_type), (400, "text/plain; charset=utf-8"), "{text}");
        assert!(text.contains(part), "{text}");
    };
    without(b"", "EOF");
    without(b"\0", "expected value");
    without(b"\xff", "not UTF-8 at byte 0");
    without(b"[]", "invalid type: sequence");
    without(b"{}", "request.uid is missing");
    without(b"{\"request\": null}", "request.uid is missing");
    without(b"{\"request\": {\"uid\": \"\"}}", "request.uid is missing");
    without(b"{\"request\": {\"uid\": 7}}", "expected a string");
    without("[".repeat(10_000).as_bytes(), "invalid type: sequence");
    without(b"apiVersion: v1", "expected value");
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(
                prop_oneof![
                    ".{0,6}",
                    Just("spec".to_owned()),
                    Just("metadata".to_owned()),
                    Just("volumes".to_owned())
                ],
                inner,
                0..4
            )
            .prop_map(Value::from_iter),
        ]
    })
}

/// A review of a pod with that spec and these fields of its metadata.
fn pod_review(spec: Value, metadata: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    object["metadata"]["name"] = json!("data");
    review(object)
}

fn many(count: usize, item: Value) -> Value {
    vec![item; count].into()
}

#[test]
fn lists_that_no_cluster_can_use_are_refused_with_the_field() {
    let pod = |spec: Value| pod_review(spec, json!({}));
    let container = |field: &str, count: usize, item: Value| {
        pod(json!({"containers": [{"name": "a"}, {"name": "b", field: many(count, item)}]}))
    };
    type Make<'m> = &'m dyn Fn(usize) -> Value;
    let table: [(usize, &str, Make<'_>); 10] = [
        (1_000, "spec.containers", &|n| pod(json!({"containers": many(n, json!({}))}))),
        (1_000, "spec.initContainers", &|n| pod(json!({"initContainers": many(n, json!({}))}))),
        (1_000, "spec.ephemeralContainers", &|n| pod(json!({"ephemeralContainers": many(n, json!({}))}))),
        (10_000, "spec.volumes", &|n| pod(json!({"volumes": many(n, json!({}))}))),
        (50_000, "spec.containers[1].env", &|n| container("env", n, json!({}))),
        (50_000, "spec.containers[1].args", &|n| container("args", n, json!(""))),
        (50_000, "spec.containers[1].command", &|n| container("command", n, json!(""))),
        (50_000, "spec.containers[1].envFrom", &|n| container("envFrom", n, json!({}))),
        (50_000, "metadata.finalizers", &|n| {
            pod_review(json!({}), json!({"finalizers": many(n, json!(""))}))
        }),
        (50_000, "metadata.ownerReferences", &|n| {
            pod_review(json!({}), json!({"ownerReferences": many(n, json!({}))}))
        }),
    ];
    for (most, field, make) in table {
        let (response, _) = post(validate, &defaults(), &make(most));
        assert_eq!(response["allowed"], true, "{field}: {response}");
        let text = refusal(&make(most + 1));
        let wanted = format!("{field}: has {} items, and at most {most} are read", most + 1);
        assert!(text.contains(&wanted), "{text}");
    }
}

#[test]
fn the_mounts_of_all_containers_count_together() {
    let pod = |more: usize| {
        let container = |count: usize| json!({"name": "c", "volumeMounts": many(count, json!({}))});
        let containers = json!([container(4_000), container(3_000), container(3_000 + more)]);
        pod_review(json!({"containers": containers}), json!({}))
    };
    assert_eq!(post(validate, &defaults(), &pod(0)).0["allowed"], true);
    let text = refusal(&pod(1));
    assert!(text.contains("spec.containers[2].volumeMounts: the pod has more than 10000 mounts"), "{text}");
    let devices = json!({"containers": [{"volumeDevices": many(10_001, json!({}))}]});
    assert!(refusal(&pod_review(devices, json!({}))).contains("the pod has more than 10000 mounts"));
}

#[test]
fn a_review_of_too_many_values_is_refused_with_the_field() {
    let text = |count: usize, namespace: &str| {
        let mut review = pod_review(json!({}), json!({"junk": many(count, json!(10))}));
        review["request"]["namespace"] = json!(namespace);
        review.to_string()
    };
    let refused = refusal_of(text(MAX_VALUES, "shop").as_bytes());
    assert!(
        refused.contains("request.object.metadata.junk: more than 200000 values up to here"),
        "{refused}"
    );
    for (count, namespace, verdict) in [
        (MAX_VALUES - 100, "shop", VerdictLabel::Allowed),
        (MAX_VALUES, "kube-system", VerdictLabel::Skipped),
    ] {
        assert_eq!(send(validate, &defaults(), text(count, namespace).as_bytes()).outcome.verdict, verdict);
    }
    let nameless = send(validate, &defaults(), format!("[{}]", "1,".repeat(MAX_VALUES)).as_bytes());
    assert_eq!(nameless.status, 400);
}

proptest! {
    #[test]
    fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..400)) {
        for entry in [mutate as Entry, validate] {
            let answer = send(entry, &defaults(), &body);
            prop_assert!(answer.status == 400 || answer.status == 200);
            prop_assert!(!answer.body.is_empty());
        }
    }

    #[test]
    fn any_field_may_be_anything_and_the_uid_comes_back(
        field in prop::sample::select(vec!["kind", "namespace", "name", "operation", "object", "oldObject", "subResource", "resource", "userInfo"]),
        value in json_value(),
    ) {
        let mut review = review(claim());
        review["request"][field] = value;
        for entry in [mutate as Entry, validate] {
            let (response, _) = post(entry, &defaults(), &review);
            prop_assert_eq!(&response["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
        }
    }

    #[test]
    fn a_torn_or_damaged_body_keeps_its_uid(cut in 0usize..400, byte in any::<u8>(), tear in any::<bool>()) {
        let mut request = review(claim())["request"].take();
        let uid = request.as_object_mut().unwrap().remove("uid").unwrap();
        let head = format!(r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":{uid},"#);
        let mut body = format!("{head}{}}}", request.to_string().trim_start_matches('{')).into_bytes();
        let at = (head.len() + cut).min(body.len() - 1);
        if tear { body.truncate(at) } else { body[at] = byte }
        let answer = send(validate, &defaults(), &body);
        prop_assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let response: Value = serde_json::from_slice(&answer.body).unwrap();
        prop_assert_eq!(&response["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    }
}

#[test]
fn a_review_in_a_file_gets_the_answer_of_the_webhook() {
    let policies = policy(json!([{"defaultClass": {"name": "local-path"}}, {"durableData": {}}])).unwrap();
    let lookup = MapLookup::default();
    let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
    let redis = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "data", "namespace": "shop"},
        "spec": {"containers": [{"name": "redis", "image": "redis"}]}});
    let mut deleted = review(redis.clone());
    deleted["request"]["operation"] = json!("DELETE");
    let mut unknown = review(redis.clone());
    unknown["request"]["operation"] = json!("PATCH");
    let mut other_kind = review(redis.clone());
    other_kind["request"]["kind"]["kind"] = json!("PersistentVolumeClaim");
    for (review, judged) in [
        (review(claim()), true),
        (review(redis), true),
        (deleted, true),
        (unknown, false),
        (other_kind, false),
    ] {
        let text = review.to_string();
        let kept = judge(&text, &engine);
        let labels = [mutate as Entry, validate].map(|entry| send(entry, &policies, text.as_bytes()).outcome);
        match kept {
            Ok(Some(verdict)) => {
                assert_eq!(verdict.denied(), labels[1].verdict == VerdictLabel::Denied, "{text}");
                assert_eq!(!verdict.patch.0.is_empty(), labels[0].verdict == VerdictLabel::Patched, "{text}");
                assert_eq!(verdict.findings.len(), labels[1].findings.len(), "{text}");
            }
            Ok(None) => assert_eq!(labels[1].verdict, VerdictLabel::Skipped, "{text}"),
            Err(_) => assert_eq!(labels[1].verdict, VerdictLabel::Unreadable, "{text}"),
        }
        assert_eq!(labels[1].verdict != VerdictLabel::Unreadable, judged, "{text}");
    }
}

#[test]
fn a_refusal_of_what_a_controller_makes_is_told_at_the_topmost_owner_that_is_proven() {
    let policies = objecting(Action::Deny, Objector::default());
    let mut lookup = MapLookup::default();
    let mut add = |object: Value| {
        let id = Facts::identify(&object, None);
        lookup.add_owner(OwnerFacts::read_whole((&object).into(), &id).unwrap());
    };
    let owner = |kind: &str, name: &str, uid: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true}]);
    add(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop", "uid": "d"}}),
    );
    for (name, of) in [("web-1", "d"), ("web-2", "gone")] {
        add(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {
            "name": name, "namespace": "shop", "uid": name, "ownerReferences": owner("Deployment", "web", of)}}));
    }
    let told = |change: &dyn Fn(&mut Value), owners: Value| {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop", "ownerReferences": owners},
                         "spec": {"containers": []}});
        let mut review = review(pod);
        review["request"]["dryRun"] = json!(false);
        change(&mut review);
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        let denial = validate(review.to_string().as_bytes(), &engine).outcome.denial;
        denial.map(|denial| (format!("{} {}", denial.owner.kind, denial.owner.name), denial.note))
    };
    let same = |_: &mut Value| {};
    let (at, note) = told(&same, owner("ReplicaSet", "web-1", "web-1")).unwrap();
    assert_eq!(
        (&*at, &*note),
        ("Deployment web", "a Pod is refused: objector: spec: is objected to; give up (policy strict)")
    );
    let at = |owners| told(&same, owners).map(|(at, _)| at);
    assert_eq!(
        at(owner("ReplicaSet", "web-2", "web-2")).as_deref(),
        Some("ReplicaSet web-2"),
        "its Deployment is another one by now"
    );
    assert_eq!(at(owner("ReplicaSet", "web-1", "made-up")), None, "nobody has proven it");
    assert_eq!(at(owner("Keeper", "web-1", "web-1")), None, "nothing is known of it");
    assert_eq!(at(json!([])), None);
    let dry = |review: &mut Value| review["request"]["dryRun"] = json!(true);
    assert_eq!(told(&dry, owner("ReplicaSet", "web-1", "web-1")), None, "a dry run leaves no trace");
    let update = |review: &mut Value| {
        review["request"]["operation"] = json!("UPDATE");
        review["request"]["oldObject"] = review["request"]["object"].clone();
        review["request"]["oldObject"]["spec"] = json!({"containers": [], "nodeName": "n"});
    };
    assert_eq!(told(&update, owner("ReplicaSet", "web-1", "web-1")), None, "no controller makes it");
}
