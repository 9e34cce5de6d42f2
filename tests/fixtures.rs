//! Every fixture through the engine and through `check`; `tests/live.rs` runs the same through a real API server.

mod support;

use std::collections::BTreeSet;
use support::fixtures::{Fixture, NAMESPACE, all};
use volgate::check::{Input, Run};
use volgate::engine::Engine;
use volgate::facts::Facts;
use volgate::lookup::MapLookup;
use volgate::model::Operation;
use volgate::rule::Review;
use volgate::source::Source;

const TODAY: jiff::civil::Date = jiff::civil::date(2026, 11, 23);

#[test]
fn the_engine_finds_what_is_expected() {
    for fixture in all() {
        let policies = fixture.policies();
        let mut lookup = MapLookup::default();
        lookup.set_complete();
        for object in fixture.cluster() {
            lookup.add(&Facts::read(&object, None).unwrap());
        }
        // `check` and a cluster alike know an object by itself: a claim template's set, a class's own claims.
        let engine = Engine { policies: &policies, lookup: &lookup, today: TODAY };
        let mut review = Review { user: fixture.user.as_deref(), ..Review::create(&fixture.object) };
        if let Some(old) = &fixture.old {
            review = Review { operation: Operation::Update, old: Some(old.into()), ..review };
        }
        let verdict = engine.judge(&review).unwrap_or_else(|fault| panic!("{}: {fault}", fixture.name));
        fixture.compare("the engine", &verdict.findings, &verdict.patch);
        let mut patched = fixture.object.clone();
        json_patch::patch(&mut patched, &verdict.patch).unwrap();
        let again = engine.judge(&Review { object: (&patched).into(), ..review }).unwrap();
        assert_eq!(again.patch.0, [], "{}: a second application must be empty", fixture.name);
        assert_eq!(
            again.findings, verdict.findings,
            "{}: the patched object must be judged the same",
            fixture.name
        );
    }
}

#[test]
fn check_finds_what_is_expected() {
    // `check` takes every object for a new one, that nobody asks for.
    for fixture in all().into_iter().filter(|fixture| fixture.old.is_none() && fixture.user.is_none()) {
        let (findings, patch) = check(&fixture);
        fixture.compare("check", &findings, &patch);
    }
}

fn check(fixture: &Fixture) -> (Vec<volgate::verdict::Finding>, json_patch::Patch) {
    let context =
        serde_json::json!({"apiVersion": "v1", "kind": "List", "items": fixture.cluster()}).to_string();
    let context = [Input::new(Source::new("context.json", context), true)];
    let policies = fixture.policies();
    let run =
        Run { policies: &policies, context: &context, complete: true, namespace: NAMESPACE, today: TODAY };
    let inputs = [Input::new(Source::new("object.json", fixture.object.to_string()), true)];
    let mut report = run.check(&inputs);
    assert!(report.faults.is_empty(), "{}: {:?}", fixture.name, report.faults);
    let patch = report.changes.pop().map(|change| change.patch).unwrap_or_default();
    (report.findings.into_iter().map(|located| located.finding).collect(), patch)
}

#[test]
fn every_rule_has_a_case_that_passes_and_one_that_does_not() {
    let names: BTreeSet<String> = all().into_iter().map(|fixture| fixture.name).collect();
    let has = |prefix: String| names.iter().any(|name| name.starts_with(&prefix));
    for rule in volgate::rules::all() {
        let id = rule.id;
        let acts = ["deny", "warn", "audit", "mutate"].iter().any(|kind| has(format!("{id}/{kind}-")));
        assert!(acts, "tests/fixtures/{id} needs a case in which the rule acts");
        assert!(has(format!("{id}/allow-")), "tests/fixtures/{id} needs a case in which the rule is content");
    }
}
