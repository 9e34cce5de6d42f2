use super::super::testing::{faults, judge, judge_review, judge_scale, judge_update, lines};
use super::Params;
use crate::cel::{FUNCTIONS, Kind, Type, compile, is_there, limits};
use crate::engine::Engine;
use crate::facts::Facts;
use crate::lookup::MapLookup;
use crate::model::{FieldPath, Operation};
use crate::policy::PolicySet;
use crate::rule::{Context, NewFindings, Review, RuleKind as _, Subjects};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn rule(expression: &str) -> Value {
    json!([{"cel": {"name": "test", "expression": expression, "message": "must hold"}}])
}

fn claim(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
           "metadata": {"name": "c", "namespace": "shop", "labels": {"a.b/c-d": "x"}}, "spec": spec})
}

fn redis() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "namespace": "shop"}, "spec": {
        "replicas": 3,
        "template": {"spec": {
            "containers": [{"name": "app", "image": "app:1", "volumeMounts": [
                {"name": "data", "mountPath": "/data"}, {"name": "scratch", "mountPath": "/tmp"},
                {"name": "config", "mountPath": "/etc/app"}]}],
            "volumes": [{"name": "scratch", "emptyDir": {}}, {"name": "config", "configMap": {"name": "c"}}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
            "storageClassName": "local-path", "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Gi"}}}}]}})
}

/// What a rule with that expression finds.
fn finds(expression: &str, object: &Value) -> Vec<String> {
    lines(&judge(rule(expression), &[], object))
}

#[track_caller]
fn holds(expression: &str, object: &Value) {
    assert_eq!(finds(expression, object), [""; 0], "{expression}");
}

#[track_caller]
fn fails(expression: &str, object: &Value, why: &str) {
    let found = finds(expression, object);
    assert!(
        matches!(found.as_slice(), [line] if line.contains("failed on this") && line.contains(why)),
        "{found:?}"
    );
}

#[test]
fn false_is_a_finding_and_true_is_none() {
    let object = claim(json!({"replicas": 3}));
    holds("object.spec.replicas == 3", &object);
    assert_eq!(finds("object.spec.replicas > 3", &object), ["Deny .: must hold (test)"]);
    let rules = json!([{"cel": {"name": "n", "expression": "object.spec.replicas > 3", "field": "spec.replicas",
        "messageExpression": "'has ' + string(object.spec.replicas)"}}]);
    assert_eq!(lines(&judge(rules, &[], &object)), ["Deny spec.replicas: has 3 (n)"]);
    let rules = json!([{"cel": {"name": "n", "expression": "object.spec.replicas > 3",
        "messageExpression": "object.absent"}}]);
    assert_eq!(lines(&judge(rules, &[], &object)), ["Deny .: not true: object.spec.replicas > 3 (n)"]);
}

#[test]
fn sees_keys_as_they_are_and_kubernetes_escapes() {
    let object = claim(json!({"with-dash": {"x.y": 1}, "namespace": "n", "list": [{"a": 1}], "f": 1.5}));
    holds("object.metadata.labels['a.b/c-d'] == 'x'", &object);
    holds("object.spec.with__dash__dash.x__dot__y == 1", &object);
    holds("object.spec.__namespace__ == 'n' && object.metadata.namespace == 'shop'", &object);
    holds("object.spec.list[0].a == 1 && object.spec.f == 1.5", &object);
}

#[test]
fn what_fails_is_a_finding_that_says_why() {
    let object = claim(json!({"text": "t", "nothing": null, "list": []}));
    fails("object.spec.replicas > 1", &object, "there is no field `replicas`");
    fails("object.spec.text.deeper == 'x'", &object, "does not take");
    fails("!object.spec.text.deeper", &object, "does not take");
    fails("!object.spec.nothing.deeper", &object, "does not take");
    fails("!has(object.spec.nothing.deeper)", &object, "needs a map in has(…)");
    fails("oldObject.spec.x == 1", &object, "does not take");
    fails("object.spec.list[0] == 1", &object, "no item");
    fails("object.spec.text.all(x, true)", &object, "a list or a map to go through");
    fails("object.spec.text", &object, "it comes to string");
    fails("object.spec.list < 1", &object, "does not take");
    holds("!has(object.spec.replicas) || object.spec.replicas > 1", &object);
    holds("object.spec.?replicas.orValue(1) == 1 && !has(object.?absent.x)", &object);
    let found = judge(rule("object.spec.replicas > 1"), &[], &object);
    assert!(found.findings[0].help.as_ref().unwrap().contains("has("));
}

#[test]
fn loops_are_cels() {
    let object = claim(json!({"n": [1, 2, 3], "m": {"b": 1, "a": 2}, "mixed": [1, "x"]}));
    holds("object.spec.n.all(x, x > 0) && !object.spec.n.all(x, x > 1)", &object);
    holds("object.spec.n.exists(x, x == 2) && !object.spec.n.exists(x, x == 4)", &object);
    holds("object.spec.n.exists_one(x, x > 2) && !object.spec.n.existsOne(x, x > 1)", &object);
    holds(
        "object.spec.n.map(x, x * 2) == [2, 4, 6] && object.spec.n.map(x, x > 1, x * 2) == [4, 6]",
        &object,
    );
    holds("object.spec.n.filter(x, x != 2) == [1, 3]", &object);
    holds("object.spec.m.map(k, k) == ['a', 'b'] && object.spec.m.all(k, object.spec.m[k] > 0)", &object);
    holds("object.spec.n.all(x, object.spec.n.exists(y, y == x))", &object);
    // A fault counts only when no other item decides.
    holds("object.spec.mixed.exists(x, x == 1 || x.foo == 1)", &object);
    holds("!object.spec.mixed.all(x, x.startsWith('y'))", &claim(json!({"mixed": [1, "x"]})));
    fails("object.spec.mixed.all(x, x > 0)", &object, "");
    holds("[].all(x, false) && [1, 2] + [3] == [1, 2, 3] && 'a' + 'b' == 'ab' && 2 in [1, 2]", &object);
    holds("size('äö') == 2 && 'äö'.size() == 2 && dyn(1) == 1 && size(object.spec.n) == 3", &object);
}

#[test]
fn has_kubernetes_functions() {
    let object = redis();
    holds("quantity('10Gi').isGreaterThan(quantity('1Gi'))", &object);
    holds(
        "'a-b'.matches('^[a-z-]+$') && 'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'",
        &object,
    );
    holds(
        "sets.contains([1, 2, 3], [1, 2]) && !sets.contains([1], [2]) && sets.intersects([1, 2], [2, 3])",
        &object,
    );
    holds("sets.equivalent([1, 2], [2, 1, 1]) && !sets.equivalent([1], [1, 2])", &object);
    holds("lists.range(3) == [0, 1, 2] && [1, 1, 2].distinct() == [1, 2]", &object);
    holds("'aaa'.replace('a', 'bb') == 'bbbbbb' && 'aaa'.replace('a', 'b', 2) == 'bba'", &object);
    holds("'%s has %d'.format(['x', 1]) == 'x has 1' && isSemver('1.2.3')", &object);
    holds("timestamp('2026-01-02T03:04:05Z').getFullYear() == 2026", &object);
}

#[test]
fn sees_the_request_the_namespace_and_the_old_object() {
    let object = claim(json!({}));
    holds(
        "request.operation == 'CREATE' && request.kind.kind == 'PersistentVolumeClaim' && request.kind.group == ''",
        &object,
    );
    holds("request.namespace == 'shop' && request.name == 'c' && request.kind.version == 'v1'", &object);
    holds(
        "!has(request.userInfo) && !has(request.resource) && !has(request.dryRun) && !has(request.subResource)",
        &object,
    );
    holds("oldObject == null", &object);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
                           "metadata": {"name": "shop", "labels": {"tier": "data"}, "annotations": {"owner": "me"}}});
    let seen = "namespaceObject.metadata.name == 'shop' && namespaceObject.metadata.labels.tier == 'data' && \
                namespaceObject.metadata.annotations.owner == 'me'";
    assert_eq!(lines(&judge(rule(seen), &[namespace], &object)), [""; 0]);
    let volume =
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {}});
    holds("namespaceObject == null && !has(request.namespace)", &volume);
    let (old, new) = (redis(), {
        let mut new = redis();
        new["spec"]["replicas"] = json!(1);
        new
    });
    let verdict = judge_update(rule("object.spec.replicas >= oldObject.spec.replicas"), &[], &old, &new);
    assert_eq!(lines(&verdict), ["Deny .: must hold (test)"]);
}

#[test]
fn a_rule_on_replicas_is_asked_when_a_workload_is_scaled() {
    let scaled = |rule: Value, to| lines(&judge_scale(json!([{"cel": rule}]), &[], &redis(), to));
    let named = |expression: &str| json!({"name": "n", "expression": expression, "message": "too many"});
    assert_eq!(scaled(named("object.spec.replicas <= 5"), 6), ["Deny spec.replicas: too many (n)"]);
    assert_eq!(scaled(named("object.spec.replicas <= 5"), 5), [""; 0]);
    assert_eq!(
        scaled(named("object.spec.replicas <= 2 * oldObject.spec.replicas"), 7),
        ["Deny spec.replicas: too many (n)"]
    );
    assert_eq!(scaled(named("object.metadata.namespace != 'shop' || object.spec.replicas < 5"), 5).len(), 1);
    let beyond = named("object.spec.replicas < 5 || object.spec.template.spec.hostNetwork");
    assert_eq!(
        scaled(beyond, 6),
        [
            "Warn spec.replicas: not judged: the expression \"n\" reads `object.spec.template.spec.hostNetwork`, which is not \
          known of a StatefulSet that is scaled"
        ]
    );
    let mut other = named("object.spec.replicas < 5");
    other["kinds"] = json!(["Deployment"]);
    assert_eq!(scaled(other, 6), [""; 0]);
    assert_eq!(
        scaled(named("object.spec.template.spec.containers.size() > 7"), 6),
        [""; 0],
        "not about replicas"
    );
}

#[test]
fn sees_a_live_request_but_not_its_objects() {
    let object = claim(json!({}));
    let request = json!({"uid": "u", "operation": "CREATE", "dryRun": true, "name": "c", "object": object,
                         "userInfo": {"username": "jane", "groups": ["dev"]},
                         "resource": {"group": "", "version": "v1", "resource": "persistentvolumeclaims"}});
    let review = Review { operation: Operation::Create, request: Some(&request), ..Review::create(&object) };
    let expression = "request.userInfo.username == 'jane' && 'dev' in request.userInfo.groups && request.dryRun && \
                      request.resource.resource == 'persistentvolumeclaims' && !has(request.object)";
    assert_eq!(lines(&judge_review(rule(expression), &[], &review)), [""; 0]);
}

#[test]
fn sees_facts() {
    let object = redis();
    holds("facts.kind == 'StatefulSet' && facts.stateful", &object);
    holds(
        "facts.containers[0].name == 'app' && facts.containers[0].image == 'app:1' && !facts.containers[0].stateful",
        &object,
    );
    holds("facts.containers[0].section == 'containers' && !has(facts.containers[0].product)", &object);
    let of = |path: &str, rest: &str| format!("facts.paths.exists_one(p, p.path == '{path}' && {rest})");
    holds(
        &of("/", "p.volume == '' && p.durability == 'container' && !p.readOnly && p.container == 'app'"),
        &object,
    );
    holds(
        &of(
            "/tmp",
            "p.volume == 'scratch' && p.durability == 'pod' && p.reach == 'some-nodes' && !p.data && !p.guess",
        ),
        &object,
    );
    holds(
        &of("/data", "p.durability == 'unknown' && p.least == 'claim' && p.most == 'volume' && p.data"),
        &object,
    );
    holds(&of("/etc/app", "p.readOnly && !p.data"), &object);
    holds(
        "facts.claims[0].name == 'data' && facts.claims[0].class == 'local-path' && facts.claims[0].size == '10Gi'",
        &object,
    );
    holds(
        "facts.claims[0].field == 'spec.volumeClaimTemplates[0].spec' && facts.claims[0].mode == 'Filesystem'",
        &object,
    );
    holds("facts.claims[0].bytes == 10737418240 && facts.claims[0].modes == ['ReadWriteOnce']", &object);
    let claim = claim(json!({"storageClassName": ""}));
    holds("facts.claims.all(c, c.class == '' && c.name == 'c' && !has(c.size)) && !facts.stateful", &claim);
    holds("facts.claims.size() == 1 && facts.paths == [] && facts.containers == []", &claim);
}

#[test]
fn kinds_and_when_narrow_the_question() {
    let rules = |more: Value| {
        let mut cel = json!({"name": "n", "expression": "object.spec.replicas < 3"});
        cel.as_object_mut().unwrap().append(more.clone().as_object_mut().unwrap());
        json!([{"cel": cel}])
    };
    let found = |more: Value, object: &Value| judge(rules(more), &[], object).findings.len();
    assert_eq!(found(json!({}), &redis()), 1);
    assert_eq!(found(json!({"kinds": ["StatefulSet"]}), &redis()), 1);
    assert_eq!(found(json!({"kinds": ["Deployment"]}), &redis()), 0);
    assert_eq!(found(json!({"when": "object.metadata.name == 's'"}), &redis()), 1);
    assert_eq!(found(json!({"when": "object.metadata.name == 't'"}), &redis()), 0);
    let broken = judge(rules(json!({"when": "object.absent == 1"})), &[], &redis());
    assert!(
        broken.findings[0].message.contains("failed on this StatefulSet: `when`: there is no field `absent`")
    );
}

#[test]
fn variables_are_evaluated_when_they_are_needed() {
    let rules = |expression: &str| {
        json!([{"cel": {"name": "n", "expression": expression, "variables": [
            {"name": "broken", "expression": "object.absent"},
            {"name": "names", "expression": "object.spec.template.spec.volumes.map(v, v.name)"},
            {"name": "count", "expression": "variables.names.size()"}]}}])
    };
    assert_eq!(
        lines(&judge(rules("variables.count == 2 && variables.names[0] == 'scratch'"), &[], &redis())),
        [""; 0]
    );
    assert_eq!(lines(&judge(rules("true || variables.broken"), &[], &redis())), [""; 0]);
    assert_eq!(judge(rules("variables.broken == 1"), &[], &redis()).findings.len(), 1);
}

#[test]
fn tells_what_cannot_be_at_load() {
    let told = |expression: &str, part: &str| {
        let found = faults(rule(expression));
        assert!(
            matches!(found.as_slice(), [fault] if fault.starts_with("spec.rules[0].cel.expression: ") && fault.contains(part)),
            "{expression}: {found:?}"
        );
    };
    told("object.spec.replicas >", "failed to parse it at line 1, column 23: ");
    told("object.spec\n  .x ==== 1", "line 2, column 8");
    told("'unclosed", "failed to parse it at line 1, column 1");
    told("objekt.spec == 1", "unknown variable `objekt`: did you mean `object`? (line 1, column 1)");
    told(
        "true &&\n  zzz",
        "unknown variable `zzz`: there are object, oldObject, request, namespaceObject, facts and variables.<name> (line 2, column 3)",
    );
    told(
        "object.spec.name.startWith('a')",
        "unknown function `startWith`: did you mean `startsWith`? (line 1, column 18)",
    );
    told("set.contains([1], [1])", "unknown variable `set`");
    told("variables.x == 1", "unknown variable `variables.x`: no variable stands before this expression");
    told("variables == 1", "is not a value");
    told("object.spec.name.matches('(')", "matches(…) cannot be");
    told("quantity('10Gigs').isLessThan(quantity('1Gi'))", "quantity(…) cannot be");
    told("timestamp('yesterday') == timestamp('2026-01-01T00:00:00Z')", "timestamp(…) cannot be");
    told("[1].all(object, true)", "rename it");
    told("[1].all(x, [1].all(x, true))", "rename it");
    told("Foo{a: 1} == null", "makes a message");
    told("object.spec.list.every()", "unknown function `every`");
    told("1 + 1 - 1", "must come to true or false");
    told("'text'", "must come to true or false");
    let both = faults(json!([{"cel": {"name": "n", "expression": "objekt == zzz", "field": "spec..x",
        "messageExpression": "1 - 1", "when": "[", "variables": [
            {"name": "9x", "expression": "variables.later"}, {"name": "later", "expression": "true"},
            {"name": "later", "expression": "nope()"}]}}]));
    let told: Vec<&str> = both.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    assert_eq!(
        told,
        [
            "spec.rules[0].cel.expression",
            "spec.rules[0].cel.expression",
            "spec.rules[0].cel.field",
            "spec.rules[0].cel.messageExpression",
            "spec.rules[0].cel.variables[0].expression",
            "spec.rules[0].cel.variables[0].name",
            "spec.rules[0].cel.variables[2].expression",
            "spec.rules[0].cel.variables[2].name",
            "spec.rules[0].cel.when"
        ],
        "{both:?}"
    );
}

#[test]
fn refuses_what_nests_too_deep_without_a_stack_overflow() {
    let repeated = |left: &str, middle: &str, right: &str, count: usize| {
        format!("{}{middle}{}", left.repeat(count), right.repeat(count))
    };
    for expression in [
        repeated("(", "true", ")", 2000),
        repeated("[", "1", "]", 2000),
        repeated("!", "true", "", 4000),
        repeated("-", "1", "", 4000),
        repeated("size(", "''", ")", 600),
        format!("object{} == 1", ".a".repeat(2000)),
        format!("object{} == 1", "[0]".repeat(1300)),
        format!("1{} == 1", "+1".repeat(2000)),
        format!("true{}", "?true:true".repeat(400)),
        format!("object{} == 1", ".all(x, x)".repeat(400)),
        "(".repeat(4096),
        "a.".repeat(2048),
    ] {
        let compiled = compile(&expression, &[]);
        // A run of `!` is one step to the parser, which counts it.
        if !expression.starts_with('!') && !expression.starts_with('-') {
            assert!(compiled.is_err(), "{expression:.40}");
        }
    }
    assert!(compile(&format!("true{}", " && true".repeat(400)), &[]).is_ok(), "`&&` is balanced");
    let long = compile(&" ".repeat(limits::LENGTH + 1), &[]).unwrap_err();
    assert!(long[0].contains("4097 bytes long"), "{long:?}");
    let loops = "[1].all(a, [1].all(b, [1].all(c, [1].all(d, true))))";
    assert!(compile(loops, &[]).unwrap_err()[0].contains("more than 3 loops"));
}

/// The deepest expressions that are accepted, on three quarters of the stack of a tokio thread (without optimisation).
#[test]
fn evaluates_the_deepest_on_a_small_stack() {
    let deep = |start: &str, step: &str, end: &str| {
        let fits = |count: usize| format!("{start}{}{end}", step.repeat(count));
        let most = (1..200).take_while(|count| compile(&fits(*count), &[]).is_ok()).last().unwrap();
        fits(most)
    };
    let sums = deep("1", "+1", " > 0");
    let fields = deep("has(object", ".a", ") || true");
    let nested = {
        let fits = |n: usize| format!("{}'a'{} == 'a'", "string(".repeat(n), ")".repeat(n));
        fits((1..200).take_while(|n| compile(&fits(*n), &[]).is_ok()).last().unwrap())
    };
    let loops = {
        let inner = |n: usize| format!("{}c{} == '1'", "string(".repeat(n), ")".repeat(n));
        let fits = |n: usize| format!("[1].all(a, [1].all(b, [1].all(c, {} || true)))", inner(n));
        fits((1..200).take_while(|n| compile(&fits(*n), &[]).is_ok()).last().unwrap())
    };
    let run = move || {
        for expression in [sums, fields, nested, loops] {
            let found = finds(&expression, &claim(json!({})));
            assert!(found.iter().all(|line| !line.contains("broke off")), "{expression}: {found:?}");
        }
    };
    std::thread::Builder::new().stack_size(1536 << 10).spawn(run).unwrap().join().unwrap();
}

#[test]
fn what_takes_too_long_is_a_finding_and_not_a_wait() {
    let item = json!({"name": "x", "env": [{"name": "a", "value": "b"}]});
    let list: Vec<Value> = (0..1000).map(|_| item.clone()).collect();
    let object =
        claim(json!({"list": list, "text": "x".repeat(100_000), "n": (0..1000).collect::<Vec<_>>()}));
    let start = Instant::now();
    for expression in [
        "object.spec.n.all(x, object.spec.n.all(y, object.spec.n.all(z, x + y + z >= 0)))",
        "object.spec.list.all(x, object.spec.list.all(y, x == y))",
        "object.spec.n.map(x, object.spec.n.map(y, [x, y])).size() > 0",
        "object.spec.n.all(x, object.spec.list.size() == 1000 && size(object.spec.list.map(y, y)) > x)",
        "object.spec.n.all(x, object.spec.text.contains('y') == false && object.spec.text.upperAscii() != '')",
        "object.spec.list.map(x, object.spec.list).distinct().size() == 1",
        "object.spec.n.all(x, object.spec.list == object.spec.list)",
        "object.spec.n.all(x, x in object.spec.n)",
        "lists.range(1000000000).size() > 0",
        "object.spec.text.replace('', object.spec.text).size() > 0",
        "object.spec.text.split('').join(object.spec.text).size() > 0",
        "sets.equivalent(lists.range(10000), lists.range(10000))",
        "object.spec.n.all(x, object.spec.text.split('').size() > 0)",
        "object.spec.n.all(x, object.spec.list in [object.spec.list])",
        "object.spec.n.all(x, 'a'.matches('a{' + string(x) + '}') || true)",
        "object.spec.n.all(x, !object.spec.text.matches('x{1,200}y'))",
        "object.spec.text.findAll('x').size() > 0",
        "true || object.spec.n.all(x, true)",
    ] {
        let found = finds(expression, &object);
        match expression.starts_with("true") {
            true => assert_eq!(found, [""; 0]),
            false => {
                assert!(
                    found.iter().any(|f| f.contains("takes more than 250000 steps")),
                    "{expression}: {found:?}"
                );
            }
        }
    }
    // Each stops within the limit; all of them together, without optimisation, with other tests beside them.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    // An `||` cannot hide it.
    let hidden = "object.spec.n.all(x, object.spec.n.all(y, object.spec.n.all(z, x >= 0))) || true";
    assert!(finds(hidden, &object)[0].contains("takes more than 250000 steps"));
    // What lies in the object is not copied.
    holds("object.spec.n.all(x, [object.spec.list, object.spec.list].size() == 2)", &object);
    holds("object.spec.n.all(x, {'a': object.spec.list}.size() == 1)", &object);
    holds("object.spec.n.all(x, object.?spec.?list.hasValue())", &object);
    holds("object.spec.n.all(x, object.spec.list != [x])", &object);
    // One loop over all of it is no trouble.
    holds("object.spec.list.all(x, x.env.all(e, e.name == 'a' && size(e.value) == 1))", &object);
    holds("object.spec.list.map(x, x.name).filter(n, n != 'y').size() == 1000", &object);
}

#[test]
fn outside_of_loops_the_cost_is_counted_too() {
    let object = claim(json!({"text": "x".repeat(100_000)}));
    holds("object.spec.text.upperAscii() != '' && object == object", &object);
    let often = format!("[{}].size() > 0", vec!["object.spec.text.upperAscii()"; 100].join(","));
    assert!(finds(&often, &object)[0].contains("takes more than 250000 steps"));
    let often = format!("[{}].size() > 0", vec!["object == object"; 100].join(","));
    assert!(finds(&often, &object)[0].contains("takes more than 250000 steps"));
}

#[test]
fn a_regular_expression_has_bounds() {
    let object = claim(
        json!({"text": "a-1", "n": (0..200).collect::<Vec<_>>(), "pattern": "((a{1,50}){1,50}){1,50}"}),
    );
    let found = faults(rule("object.spec.text.matches('((a{1,50}){1,50}){1,50}')"));
    assert!(found.iter().any(|fault| fault.contains("is too large: write smaller numbers")), "{found:?}");
    fails("object.spec.text.matches(object.spec.pattern)", &object, "is too large: write smaller numbers");
    // Compiled once, however often it is asked.
    holds("object.spec.n.all(x, object.spec.text.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$'))", &object);
    holds("object.spec.text.find('[0-9]+') == '1' && object.spec.text.find('z') == ''", &object);
    holds("'a1b22c'.findAll('[0-9]+') == ['1', '22'] && 'a1b22c'.findAll('[0-9]+', 1) == ['1']", &object);
    holds("'a1b22c'.findAll('[0-9]+', -1).size() == 2 && 'ab'.findAll('').size() == 3", &object);
    fails("object.spec.text.matches(object.spec.text + '(')", &object, "is no regular expression");
}

#[test]
fn a_format_of_any_length_is_refused() {
    let object = claim(json!({}));
    holds("'%.3f|%s'.format([1.5, 'a']) == '1.500|a'", &object);
    fails("'%.65f'.format([1.5]) != ''", &object, "asks for more than 64 digits");
    fails("'%.99999999999999999999999f'.format([1.5]) != ''", &object, "asks for more than 64 digits");
}

#[test]
fn a_text_that_doubles_is_stopped() {
    let variables: Vec<Value> = (0..12)
        .map(|n| match n {
            0 => json!({"name": "v0", "expression": "object.spec.text"}),
            n => json!({"name": format!("v{n}"), "expression": format!("variables.v{0} + variables.v{0}", n - 1)}),
        })
        .collect();
    let rules = json!([{"cel": {"name": "n", "expression": "variables.v11 != ''", "variables": variables}}]);
    let verdict = judge(rules, &[], &claim(json!({"text": "x".repeat(100_000)})));
    assert!(verdict.findings[0].message.contains("takes more than"), "{:?}", verdict.findings);
}

#[test]
fn a_chain_of_variables_is_as_deep_as_it_is_long() {
    let variables: Vec<Value> = (0..32)
        .map(|n| match n {
            0 => json!({"name": "v0", "expression": "1"}),
            n => json!({"name": format!("v{n}"), "expression": format!("1 + (2 + variables.v{})", n - 1)}),
        })
        .collect();
    let found =
        faults(json!([{"cel": {"name": "n", "expression": "variables.v31 > 0", "variables": variables}}]));
    assert!(found.iter().any(|fault| fault.contains("counting the variables")), "{found:?}");
}

#[test]
fn a_sum_out_of_range_is_a_finding() {
    let object =
        claim(json!({"n": [9_223_372_036_854_775_807_i64, 1], "least": -9_223_372_036_854_775_808_i64}));
    fails("object.spec.n.sum() > 0", &object, "out of range");
    fails("object.spec.n[0] + 1 > 0", &object, "out of range");
    fails("-object.spec.least > 0", &object, "out of range");
    fails("object.spec.n[0] / (object.spec.n[1] - 1) > 0", &object, "by zero");
}

#[test]
fn every_function_exists() {
    for signature in FUNCTIONS {
        assert!(is_there(signature), "{signature:?}");
    }
}

/// The defects of the library's parser, which had `!!x` for `!x` and `--1` for `-1`.
#[test]
fn signs_are_counted() {
    let object = claim(json!({"yes": true, "one": 1, "text": "!!x"}));
    holds(
        "!!object.spec.yes && !!!!object.spec.yes && !!!(!object.spec.yes) && !(!object.spec.yes)",
        &object,
    );
    holds("!!true && ! ! true && !// why\n!true && !!(!!(true)) && [true].all(x, !!x)", &object);
    assert_eq!(finds("!!false", &object).len(), 1);
    assert_eq!(finds("!!!object.spec.yes", &object).len(), 1);
    holds("--1 == 1 && - -1 == 1 && ---1 == -1 && -(-1) == 1 && 1 - -1 == 2 && 1 - - -1 == 0", &object);
    holds("--object.spec.one == 1 && ---object.spec.one == -1 && --1.5 == 1.5", &object);
    holds(
        "-9223372036854775808 < -9223372036854775807 && object.spec.text == '!!x' && '--1'.size() == 3",
        &object,
    );
    fails("--object.spec.text == 1", &object, "does not take string");
    fails("!!object.spec.one", &object, "does not take int");
}

/// Nested `!!(` took the library's parser twice as long for each further level.
#[test]
fn an_expression_is_compiled_in_proportion_to_its_length() {
    let nested = format!("{}true{}", "!!(".repeat(limits::NESTING - 2), ")".repeat(limits::NESTING - 2));
    let start = Instant::now();
    for _ in 0..100 {
        let _ = compile(&nested, &[]);
    }
    let deep = "!!(".repeat(12) + "true" + &")".repeat(12);
    holds(&deep, &claim(json!({})));
    // Twenty-two levels took minutes each.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn or_and_or_value_are_of_optionals_alone() {
    let object = claim(json!({"text": "t", "nothing": null}));
    holds("object.spec.?text.orValue('x') == 't' && object.spec.?absent.orValue('x') == 'x'", &object);
    holds(
        "object.spec.?absent.or(object.spec.?text).value() == 't' && object.spec.?absent.?deeper.orValue(1) == 1",
        &object,
    );
    holds("optional.of(1).orValue(object.spec.absent) == 1 && !optional.none().hasValue()", &object);
    fails(
        "object.spec.text.orValue('x') == 't'",
        &object,
        "`orValue` is called on string, which is no optional",
    );
    fails("object.spec.text.or(optional.of('x')).hasValue()", &object, "`or` is called on string");
    let found = faults(rule("'a'.orValue('x') == 'a'"));
    assert!(found[0].contains("`orValue` is called on string, which is no optional"), "{found:?}");
    fails(
        "object.spec.?nothing.orValue('x') == 'x' || object.spec.?absent.value() == 1",
        &object,
        "without a value",
    );
}

#[test]
fn has_what_kubernetes_has() {
    let object = claim(json!({"n": [1, 2, 3], "m": {"b": 1, "a": 2}, "text": "t"}));
    // Optionals.
    holds("format.named('dns1123Label').hasValue() && !format.named('nothing').hasValue()", &object);
    holds("!format.named('dns1123Label').value().validate('ok').hasValue()", &object);
    holds("format.dns1123Label().validate('No').value().size() > 0", &object);
    holds(
        "object.spec.?text.optMap(t, t + '!').value() == 't!' && !object.spec.?absent.optMap(t, t).hasValue()",
        &object,
    );
    holds("object.?spec.optFlatMap(s, s.?text).orValue('x') == 't'", &object);
    holds(
        "[?object.spec.?absent, ?object.spec.?text] == ['t'] && {?'a': object.spec.?absent} == {}",
        &object,
    );
    holds(
        "object.spec.n.first().value() == 1 && object.spec.n.last().value() == 3 && !object.spec.absent.all(x, x) || true",
        &object,
    );
    // Loops of two variables.
    holds("object.spec.n.all(i, v, v == i + 1) && object.spec.n.exists(i, v, i == 2 && v == 3)", &object);
    holds("object.spec.n.existsOne(i, v, v > 2) && object.spec.n.exists_one(i, v, i == 0)", &object);
    holds(
        "object.spec.m.all(k, v, k in ['a', 'b'] && v > 0) && object.spec.m.exists(k, v, k == 'a' && v == 2)",
        &object,
    );
    holds("object.spec.n.transformList(i, v, i * v) == [0, 2, 6]", &object);
    holds("object.spec.n.transformList(i, v, i > 0, v) == [2, 3]", &object);
    holds("object.spec.m.transformMap(k, v, v * 10) == {'a': 20, 'b': 10}", &object);
    holds("object.spec.m.transformMap(k, v, k == 'a', v) == {'a': 2}", &object);
    holds("object.spec.m.transformMapEntry(k, v, {v: k}) == {1: 'b', 2: 'a'}", &object);
    fails("object.spec.m.transformMapEntry(k, v, {'same': k}) == {}", &object, "twice");
    holds("object.spec.n.sortBy(x, -x) == [3, 2, 1] && [3, 1, 2].sort() == [1, 2, 3]", &object);
    // Types and conversions.
    holds(
        "type(object.spec.n) == list && type(1) == int && type('a') == string && type(type(1)) == type",
        &object,
    );
    holds(
        "type(object.spec.m) == map && type(null) == null_type && type(1u) != int && string(type(1.5)) == 'double'",
        &object,
    );
    holds(
        "type(timestamp(0)) == google.protobuf.Timestamp && type(optional.of(1)) == type(optional.none())",
        &object,
    );
    holds(
        "bool('true') && !bool('0') && bool(true) && string(1000000.0) == '1e+06' && string(true) == 'true'",
        &object,
    );
    fails("bool(object.spec.text + 'x')", &object, "\"tx\" cannot become a bool");
    holds(
        "timestamp('2026-01-02T03:04:05Z').getHours('+02:30') == 5 && duration('90m').getHours() == 1",
        &object,
    );
    let found = faults(rule("timestamp('2026-01-02T03:04:05Z').getHours('Europe/Berlin') == 4"));
    assert!(found[0].contains("the names of time zones are not known here"), "{found:?}");
}

#[test]
fn types_are_checked_at_load() {
    let told = |expression: &str, part: &str| {
        let found = faults(rule(expression));
        assert!(matches!(found.as_slice(), [fault] if fault.contains(part)), "{expression}: {found:?}");
    };
    told(
        "object.spec.list.size() == '1'",
        "`==` does not take these two: int and string are never equal (line 1, column 25)",
    );
    told("facts.statefull", "facts has no field `statefull`: did you mean `stateful`? (line 1, column 7)");
    told("has(facts.statefull)", "did you mean `stateful`?");
    told(
        "facts.paths.all(p, p.durablity != 'pod')",
        "an item of facts.paths has no field `durablity`: did you mean `durability`?",
    );
    told("facts.paths[0].rech == ''", "did you mean `reach`?");
    told("request.userInfo.user == 'jane'", "request.userInfo has no field `user`");
    told("namespaceObject.metadata.label.tier == 'x'", "did you mean `labels`?");
    told("facts['paths'].all(p, p.readonly)", "did you mean `readOnly`?");
    told("facts.stateful == 'true'", "bool and string are never equal");
    told("facts.claims.all(c, c.bytes > '1Gi')", "`>` does not take int and string");
    told("facts.kind + 1 == ''", "`+` does not take string and int");
    told("facts.kind && true", "`&&` takes bool, not string");
    told("!facts.kind", "`!` takes bool, not string");
    told("facts.kind ? true : false", "`? :` takes bool, not string");
    told("1 in ['a']", "`in` does not take int and list");
    told("facts.kind.startsWith(1)", "`startsWith` takes string and string, not string and int");
    told("facts.kind.startsWith('a', 'b')", "`startsWith` takes 1 arguments, and here are 2");
    told("startsWith('a', 'b')", "write x.startsWith(…)");
    told("facts.kind.quantity().isInteger()", "write quantity(…)");
    told("facts.kind.all(c, true)", "needs a list or a map to go through, not string");
    told("facts.paths.filter(p, p.path).size() == 0", "the condition of `filter` takes bool, not string");
    told("facts.paths.map(p, p.path).exists(q, q == 1)", "string and int are never equal");
    told("facts.stateful.deeper", "bool has no field `deeper`");
    told("quantity('1Gi') == '1Gi'", "quantity and string are never equal");
    told("facts.kind", "must come to true or false, not string");
    told("optional.of(true)", "must come to true or false, not optional");
    // Variables have types too.
    let found = faults(json!([{"cel": {"name": "n", "expression": "variables.count == '1'",
        "variables": [{"name": "count", "expression": "facts.paths.size()"}]}}]));
    assert!(
        matches!(found.as_slice(), [fault] if fault.contains("int and string are never equal")),
        "{found:?}"
    );
    // What may be right is left alone.
    let object = claim(json!({"list": [1, "a"], "n": 1}));
    holds(
        "object.spec.list[0] == 1 && object.spec.list[1] == 'a' && object.spec.n == 1.0 && 1 < 1.5",
        &object,
    );
    holds(
        "namespaceObject == null && has(request.kind.group) && facts.claims.map(c, c.name) == []",
        &json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {}}),
    );
    holds(
        "(true ? 1 : 'a') == 1 && {'a': 1, 'b': 'x'}['b'] == 'x' && dyn(1) != 'a' && [1, 'a'][1] == 'a'",
        &object,
    );
}

#[test]
fn messages_name_no_types_of_the_library() {
    let object = claim(json!({"n": 1, "text": "x", "list": [1]}));
    for expression in [
        "object.spec.n.startsWith('a')",
        "object.spec.n.matches('a')",
        "quantity(object.spec.n).isInteger()",
        "quantity(object.spec.text).isInteger()",
        "object.spec.text.isGreaterThan(quantity('1'))",
        "ip(object.spec.text).family() == 4",
        "semver(object.spec.text).major() == 1",
        "object.spec.text.format([1]) == ''",
        "'%d'.format([object.spec.text]) == ''",
        "object.spec.list.join() == ''",
        "object.spec.list.split(',') == []",
        "duration(object.spec.text) == duration('1s')",
        "base64.decode(object.spec.text) == b''",
        "math.greatest(object.spec.list) == 2 || math.ceil(object.spec.n) == 1.0",
    ] {
        for line in finds(expression, &object) {
            let names = ["Arc<", "Value::", "Opaque", "String(", "Int(", "Ok(", "Err(", "CelString", "dyn "];
            assert!(names.iter().all(|name| !line.contains(name)), "{expression}: {line}");
        }
    }
}

/// Hands on what a rule is told of a new object.
fn with_context<T>(object: &Value, ask: impl FnOnce(&Context<'_>) -> T) -> T {
    let (policies, lookup) = (PolicySet::build(Vec::new()).unwrap(), MapLookup::default());
    let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
    let facts = Facts::read(object, None).unwrap();
    let (review, subjects) = (Review::create(object), Subjects::new(&facts, &lookup, None));
    ask(&engine.context(&review, &facts, &subjects))
}

/// How many findings a rule with that expression has, and the steps that it took.
fn asked(context: &Context<'_>, expression: &str) -> (usize, u64) {
    let params: Params = serde_json::from_value(json!({"name": "n", "expression": expression})).unwrap();
    let (mut found, before) = (NewFindings::new(&|_| true), context.cel.left());
    params.compile(&FieldPath::root(), &mut Vec::new()).check(context, &mut found);
    (found.finish().len(), before - context.cel.left())
}

/// Facts, request and namespace are made once for all rules, and only when a rule reads them.
#[test]
fn what_expressions_see_is_made_once_a_review() {
    with_context(&redis(), |context| {
        assert_eq!(asked(context, "object.metadata.name == 's' && (true || facts.stateful)").0, 0);
        assert_eq!(context.cel.made(), (0, 0, 0));
        assert_eq!(asked(context, "request.operation == 'CREATE'").0, 0);
        assert_eq!(context.cel.made(), (0, 0, 1));
        for _ in 0..5 {
            assert_eq!(asked(context, "facts.stateful && namespaceObject.metadata.name == 'shop'").0, 0);
            assert_eq!(context.cel.made(), (1, 1, 1));
        }
        assert!(asked(context, "facts.stateful").1 <= 5, "a look at a field is a few steps");
    });
}

#[test]
fn the_cost_grows_with_the_object_and_not_faster() {
    let pod = |count: usize| {
        let containers: Vec<Value> = (0..count)
            .map(|n| json!({"name": format!("c{n}"), "image": "corp/app", "volumeMounts": [{"name": "v", "mountPath": "/m"}]}))
            .collect();
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"},
               "spec": {"containers": containers, "volumes": [{"name": "v", "emptyDir": {}}]}})
    };
    for expression in [
        "object.spec.containers.all(c, has(c.image) && c.image.startsWith('corp/') && !!(c.name != ''))",
        "object.spec.containers.map(c, c.name).join(',').size() > 0 && object == object",
        "object.spec.containers.all(i, c, c == object.spec.containers[i])",
        "facts.paths.filter(p, p.durability == 'pod').size() == facts.containers.size()",
        "object.spec.containers.transformMap(i, c, c.name).all(i, name, name.matches('^c[0-9]+$'))",
    ] {
        let steps = |count: usize| with_context(&pod(count), |context| asked(context, expression));
        let ((few, small), (many, large)) = (steps(20), steps(200));
        assert_eq!((few, many), (0, 0), "{expression}");
        assert!(large <= 11 * small, "{expression}: {small} steps for 20 and {large} for 200");
    }
}

#[test]
fn all_rules_of_a_review_share_a_budget() {
    let object = claim(json!({"n": (0..400).collect::<Vec<_>>()}));
    let slow = "object.spec.n.all(x, object.spec.n.exists(y, y == x && y >= 0) || true)";
    let rules: Vec<Value> =
        (0..24).map(|n| json!({"cel": {"name": format!("n{n}"), "expression": slow}})).collect();
    let found = lines(&judge(json!(rules), &[], &object));
    assert_eq!(found.len(), 24, "{found:?}");
    let beyond = found
        .iter()
        .filter(|line| line.contains("not evaluated: the cel rules take more than 4000000 steps"))
        .count();
    assert!((8..=9).contains(&beyond), "{beyond} of {found:?}");
    assert!(found.iter().all(|line| line.starts_with("Deny")), "{found:?}");
}

#[test]
fn facts_have_a_bound() {
    let mounts: Vec<Value> =
        (0..limits::ROWS).map(|n| json!({"name": "v", "mountPath": format!("/m{n}")})).collect();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"}, "spec": {
        "containers": [{"name": "c", "image": "corp/app", "volumeMounts": mounts}],
        "volumes": [{"name": "v", "emptyDir": {}}]}});
    fails("facts.paths.size() > 0", &pod, "the object has more than 10000 containers, mounts and volumes");
    holds("object.spec.containers.size() == 1", &pod);
}

#[test]
fn lists_and_maps_of_the_object_are_compared_and_walked_where_they_lie() {
    let object = redis();
    for expression in [
        "object.spec.template.spec.containers.all(c, c.volumeMounts.exists(m, m.mountPath == '/data'))",
        "object == object && object.spec.template.spec.volumes.map(v, v.name) == ['scratch', 'config']",
        "object.spec.volumeClaimTemplates[0].metadata == {'name': 'data'} && has(object.spec.replicas)",
        "object.spec.template.spec.containers[0].transformMap(k, v, k == 'name', v) == {'name': 'app'}",
        "size(object.spec) == 3 && object.spec.replicas == 3 && 'spec' in object && !('x' in object)",
    ] {
        holds(expression, &object);
    }
}

#[test]
fn a_program_knows_what_it_comes_to_and_whether_it_reads_the_request() {
    let compiled = |text: &str| compile(text, &[]).unwrap();
    assert_eq!(compiled("request.operation == 'CREATE'").kind, Type::Of(Kind::Bool));
    assert!(compiled("request.operation == 'CREATE'").reads_request);
    assert!(!compiled("object.request == 'request'").reads_request);
    assert_eq!(compiled("[1, 2].map(x, string(x))").kind, Type::list(Type::Of(Kind::Text)));
    assert_eq!(compiled("facts.claims[0].?size").kind, Type::optional(Type::Of(Kind::Text)));
    assert_eq!(compiled("object.spec").kind, Type::Dyn);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_text_gets_an_answer(text in ".{0,60}") {
        let _ = compile(&text, &[]);
    }

    #[test]
    fn any_mix_of_tokens_gets_an_answer(tokens in proptest::collection::vec(proptest::sample::select(vec![
        "object", ".", "spec", "(", ")", "[", "]", "{", "}", ",", ":", "?", "1", "'a'", "+", "-", "*", "/", "%", "==", "<",
        "in", "!", "&&", "||", "all", "x", "has", "size", "null", "true", "variables", "map", "facts", "1u", "0.5", "b'x'",
        "quantity", "timestamp", "duration", "matches", "lists.range", "substring", "split", "sum", "first", "format",
    ]), 0..14)) {
        let text = tokens.join(" ").replace(" . ", ".").replace(" (", "(");
        if compile(&text, &[]).is_ok_and(|program| program.kind.may_be(Kind::Bool)) {
            let _ = finds(&text, &claim(json!({"list": [1]})));
        }
    }
}
