//! Prints how long an expression of the rule `cel` can take before the limit of its steps stops it:
//! `cargo run --release --no-default-features --example cel_limit`.
//!
//! Each line is one expression made to be slow, on an object that is large in its way: the processor time of the
//! judgement less that of one that asks next to nothing, and what was found. An argument is a part of the expressions that are wanted.
#![allow(clippy::unwrap_used)] // a measurement that cannot be set up cannot run

use serde_json::{Value, json};
use std::time::Duration;
use volgate::engine::Engine;
use volgate::lookup::MapLookup;
use volgate::policy::{PolicySet, load};
use volgate::rule::Review;

/// What takes longer than this is shown; all is counted.
const SHOWN: Duration = Duration::from_millis(20);

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let mut worst = Duration::ZERO;
    for (what, object) in objects() {
        let base = judge(&rule("object.kind != ''", &[]).unwrap(), &object).0;
        println!(
            "# {what}: {} bytes, {:.1} ms by itself",
            object.to_string().len(),
            base.as_secs_f64() * 1e3
        );
        for (expression, variables) in expressions() {
            if !expression.contains(&only) {
                continue;
            }
            let Some(policies) = rule(&expression, &variables) else { continue };
            let (took, found) = judge(&policies, &object);
            let took = took.saturating_sub(base);
            worst = worst.max(took);
            if took > SHOWN {
                let shown: String = expression.chars().take(90).collect();
                let found: String = found.chars().take(70).collect();
                println!("{:>9.1} ms  {shown}  → {found}", took.as_secs_f64() * 1e3);
            }
        }
    }
    println!("the longest: {:.1} ms", worst.as_secs_f64() * 1e3);
}

/// Nothing when the expression is refused already as the policy is loaded.
fn rule(expression: &str, variables: &[String]) -> Option<PolicySet> {
    let variables: Vec<Value> = variables
        .iter()
        .enumerate()
        .map(|(n, expression)| json!({"name": format!("v{n}"), "expression": expression}))
        .collect();
    let policy = json!({
        "apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
        "spec": {"rules": [{"cel": {"name": "n", "expression": expression, "variables": variables}}]}
    });
    Some(PolicySet::build(vec![load(&policy).ok()?]).unwrap())
}

fn judge(policies: &PolicySet, object: &Value) -> (Duration, String) {
    let lookup = MapLookup::default();
    let engine = Engine { policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
    let start = on_the_processor();
    let found = engine.check(&Review::create(object)).unwrap().findings;
    (
        on_the_processor() - start,
        found.first().map_or_else(|| "true".to_owned(), |finding| finding.message.clone()),
    )
}

/// How long this thread has had a processor, so that other work of the machine counts less.
fn on_the_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn claim(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "a"}, "spec": spec})
}

/// Objects with the same fields, and their size in different ones.
fn objects() -> Vec<(&'static str, Value)> {
    let of = |text: usize, list: usize, n: usize, texts: usize| {
        let item =
            json!({"name": "x", "env": [{"name": "a", "value": "b"}], "m": {"a": {"b": {"c": [1, 2, 3]}}}});
        claim(json!({
            "text": "x".repeat(text),
            "list": vec![item; list],
            "n": (0..n).collect::<Vec<_>>(),
            "texts": vec!["xxxxxxxxxxxxxxx"; texts],
            "map": (0..n).map(|n| (format!("k{n}"), n.into())).collect::<serde_json::Map<_, _>>(),
            "pattern": "((x{1,20}){1,20}){1,20}y",
            "deep": "(x+x+)+y",
        }))
    };
    vec![
        ("much of each", of(100_000, 1_000, 1_000, 1_000)),
        ("one long text", of(3_000_000, 10, 1_000, 10)),
        ("many items", of(1_000, 30_000, 1_000, 10)),
        ("many texts", of(15, 10, 1_000, 150_000)),
    ]
}

fn expressions() -> Vec<(String, Vec<String>)> {
    let plain = [
        // Loops.
        "object.spec.n.all(x, object.spec.n.all(y, object.spec.n.all(z, true)))",
        "object.spec.n.all(x, object.spec.n.all(y, object.spec.n.all(z, x + y + z >= 0)))",
        "object.spec.list.all(x, object.spec.list.all(y, x == y))",
        "object.spec.n.map(x, object.spec.n.map(y, [x, y])).size() > 0",
        "object.spec.n.map(x, object.spec.n.map(y, {'a': x, 'b': y})).size() > 0",
        "object.spec.map.all(k, object.spec.map.all(l, k == l || true))",
        "object.spec.list.map(x, object.spec.list).distinct().size() == 1",
        "object.spec.n.all(x, [object.spec.list, object.spec.list].size() == 2)",
        "object.spec.n.all(x, object.spec.list == object.spec.list)",
        "object.spec.n.all(x, x in object.spec.n)",
        "object.spec.n.all(x, object.spec.n.all(y, x in object.spec.n))",
        "object.spec.n.all(x, object.?spec.?list.hasValue())",
        "object.spec.n.all(x, object.spec.n.all(y, facts.paths.size() == 0))",
        "object.spec.n.all(x, object.spec.n.all(y, has(object.spec.text)))",
        "object.spec.n.all(x, object.spec.n.all(y, object.spec.n.all(z, object.spec.n[0] == 0)))",
        "object.spec.list.all(x, object.spec.list.all(y, x.m.a.b.c[0] == y.m.a.b.c[2] || true))",
        "lists.range(240000).size() > 0",
        "lists.range(60000).map(x, x).size() > 0",
        "lists.range(240000).sum() > 0",
        "lists.range(240000).sort().size() > 0",
        "lists.range(700).distinct().size() > 0",
        "sets.equivalent(lists.range(10000), lists.range(10000))",
        // Texts.
        "object.spec.n.all(x, object.spec.text.upperAscii() != '')",
        "object.spec.n.all(x, object.spec.n.all(y, 'abc'.upperAscii() != ''))",
        "object.spec.n.all(x, object.spec.text.split('').size() > 0)",
        "object.spec.n.all(x, object.spec.text.indexOf('y') < 0)",
        "object.spec.n.all(x, object.spec.text.lastIndexOf('y') < 0)",
        "object.spec.n.all(x, object.spec.text.replace('x', 'yyyy') != '')",
        "object.spec.n.all(x, object.spec.text.reverse() != '')",
        "object.spec.n.all(x, object.spec.text.charAt(10) != '')",
        "object.spec.n.all(x, object.spec.text.substring(10) != '')",
        "object.spec.n.all(x, strings.quote(object.spec.text) != '')",
        "object.spec.n.all(x, base64.encode(bytes(object.spec.text)) != '')",
        "object.spec.n.all(x, '%s'.format([object.spec.text]) != '')",
        "object.spec.n.all(x, '%s%s%s%s%s%s%s%s'.format([object.spec.list, x, x, x, x, x, x, x]) != '')",
        "object.spec.n.all(x, '%.999999f'.format([1.5]) != '')",
        "object.spec.n.all(x, object.spec.n.all(y, '%.99999f'.format([1.5]) != ''))",
        "object.spec.n.all(x, object.spec.n.all(y, '%b'.format([1]) != ''))",
        "object.spec.texts.join(object.spec.texts.join('')).size() > 0",
        "object.spec.texts.map(t, t + t).size() > 0",
        "object.spec.texts.all(t, object.spec.texts.all(u, t == u))",
        "object.spec.texts.sort().size() > 0 && object.spec.texts.isSorted()",
        "object.spec.text.split('').map(x, x).size() > 0",
        "object.spec.text.split('').distinct().size() > 0",
        "object.spec.text.split('').join(object.spec.text).size() > 0",
        // Regular expressions.
        "object.spec.n.all(x, object.spec.text.matches('y'))",
        "object.spec.n.all(x, object.spec.text.matches('^(x|xx)*y$') || true)",
        "object.spec.n.all(x, object.spec.text.matches('(x+x+)+y') || true)",
        "object.spec.n.all(x, object.spec.n.all(y, 'a'.matches('[a-z]+')))",
        "object.spec.n.all(x, object.spec.n.all(y, 'a'.matches('\\\\pL{1,200}') || true))",
        "object.spec.n.all(x, object.spec.n.all(y, 'a'.matches('(\\\\pL{1,30}){1,10}') || true))",
        "object.spec.n.all(x, object.spec.n.all(y, 'a'.matches('((a{1,20}){1,20}){1,20}') || true))",
        "object.spec.n.all(x, object.spec.n.all(y, 'a'.matches(object.spec.pattern) || true))",
        "object.spec.n.all(x, object.spec.text.findAll('x').size() > 0)",
        "object.spec.n.all(x, object.spec.text.findAll('x*?').size() > 0)",
        "object.spec.text.findAll('x').size() > 0",
        "object.spec.n.all(x, object.spec.text.find('[a-w]*$') != 'a')",
        // Parsers.
        "object.spec.n.all(x, object.spec.n.all(y, quantity('1Gi').compareTo(quantity('2Gi')) < 0))",
        "object.spec.n.all(x, object.spec.n.all(y, timestamp('2026-01-01T00:00:00Z') < timestamp('2027-01-01T00:00:00Z')))",
        "object.spec.n.all(x, object.spec.n.all(y, url('https://example.com/a?b=c').getHost() != ''))",
        "object.spec.n.all(x, object.spec.n.all(y, cidr('10.0.0.0/8').containsIP(ip('10.1.2.3'))))",
        "object.spec.n.all(x, object.spec.n.all(y, semver('1.2.3').isLessThan(semver('1.2.4'))))",
        "object.spec.n.all(x, object.spec.n.all(y, !format.dns1123Label().validate('a').hasValue()))",
        "object.spec.n.all(x, object.spec.n.all(y, duration('1h') < duration('2h')))",
        "object.spec.n.all(x, isQuantity(object.spec.text) || isURL(object.spec.text) || isIP(object.spec.text) || true)",
    ];
    let mut all: Vec<(String, Vec<String>)> =
        plain.iter().map(|text| ((*text).to_owned(), Vec::new())).collect();
    // Without a loop: as often as 4,096 bytes of text and 32 variables allow.
    let many = |part: &str, between: &str| {
        let count = 4_000 / (part.len() + between.len());
        // A chain may be but 32 deep: a tree of lists is flat.
        format!("[{}].size() > 0", vec![part; count].join(","))
    };
    for part in [
        "object.spec.text.upperAscii()",
        "object.spec.text.split('')",
        "object.spec.text.matches('x*y')",
        "object.spec.text.matches('^(x|xx)*y$')",
        "object.spec.text.findAll('x').size()",
        "object.spec.list.flatten()",
        "object.spec.texts.sort()",
        "object.spec.list == object.spec.list",
        "object.spec.list.size()",
        "'%s'.format([object.spec.list])",
        "object.spec.text.reverse()",
        "'a'.matches('\\\\pL{1,200}')",
        "object",
        "facts",
    ] {
        let text = many(part, ",");
        let variables = vec![text.clone(); 32];
        let used: Vec<String> = (0..32).map(|n| format!("variables.v{n}")).collect();
        all.push((format!("[{}].all(x, x)", used.join(",")), variables));
        all.push((text, Vec::new()));
    }
    all
}
