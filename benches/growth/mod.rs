//! What the bench and the test of growth share.

// Both use most of it.
#![allow(missing_docs)]

pub mod counting;
pub mod shapes;

use volgate::check::{Input, Run, apply};
use volgate::policy::{PolicySet, load};
use volgate::report;
use volgate::source::{Source, parse};

/// Both shipped policies and one of rules that they leave out, so that every rule has its say.
pub fn policies() -> PolicySet {
    let texts = [
        include_str!("../../policies/baseline.yaml"),
        include_str!("../../policies/restricted.yaml"),
        include_str!("policy.yaml"),
    ];
    let policies =
        texts.iter().flat_map(|text| parse(text)).map(|document| load(&document.unwrap().value).unwrap());
    PolicySet::build(policies.collect()).unwrap()
}

/// All that `volgate check` does with one file, every form of the report and the changes included. How many findings
/// and faults there are.
pub fn check(policies: &PolicySet, text: &str) -> usize {
    let inputs = [Input::new(Source::new("file.yaml", text), true)];
    let today = jiff::civil::date(2026, 11, 23);
    let run = Run { complete: true, ..Run::new(policies, today) };
    let report = run.check(&inputs);
    drop(report::human(&report, &inputs, &report::Options::default()));
    drop(report::json(&report, &inputs).to_string());
    drop(apply(0, text, &report));
    report.findings.len() + report.faults.len()
}
