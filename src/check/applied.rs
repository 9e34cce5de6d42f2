//! Which policies were about which objects of a run, and what of them was about none.

use super::{Input, Manifest, Report, Run, effective};
use crate::facts::Facts;
use crate::lookup::MapLookup;
use crate::rule::Subjects;
use crate::verdict::Action;
use serde::Serialize;

/// What one policy was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// The policy's name.
    pub policy: String,
    /// How many of the judged objects it is about.
    pub objects: usize,
    /// Its rules, in their order.
    pub rules: Vec<AppliedRule>,
    /// Its exceptions, in their order.
    pub exceptions: Vec<AppliedException>,
    /// The first thousand of the objects, each with the rules that were asked about it.
    pub about: Vec<AppliedObject>,
}

/// One object that a policy is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedObject {
    /// Kind, namespace and name.
    pub object: String,
    /// The file and the line.
    pub place: String,
    /// The rules, by id.
    pub rules: Vec<&'static str>,
}

/// How many objects are named for one policy.
const MOST_NAMED: usize = 1_000;

/// What one rule was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedRule {
    /// Its id.
    pub rule: &'static str,
    /// What its question is called, where it is an author's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many objects it was asked about.
    pub objects: usize,
    /// How many findings it has that refuse.
    pub denied: usize,
    /// How many that warn.
    pub warned: usize,
    /// How many for the audit log alone, the excused ones among them.
    pub audited: usize,
}

/// Whom one exception excuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedException {
    /// Its reason.
    pub reason: String,
    /// How many objects it is about, whether or not a rule finds something in them.
    pub objects: usize,
}

impl Run<'_> {
    /// What each policy was about, among the objects that a report of this run judged.
    pub fn applied(&self, report: &Report<'_>, inputs: &[Input]) -> Vec<Applied> {
        let lookup = self.lookup(inputs);
        let mut all: Vec<Applied> = self
            .policies
            .policies()
            .iter()
            .map(|policy| Applied {
                policy: policy.name.clone(),
                objects: 0,
                rules: policy
                    .rules
                    .iter()
                    .map(|rule| AppliedRule {
                        rule: rule.id,
                        name: rule.rule.name().map(str::to_owned),
                        objects: 0,
                        denied: 0,
                        warned: 0,
                        audited: 0,
                    })
                    .collect(),
                exceptions: policy
                    .exceptions
                    .iter()
                    .map(|exception| AppliedException { reason: exception.reason().to_owned(), objects: 0 })
                    .collect(),
                about: Vec::new(),
            })
            .collect();
        for manifest in &report.manifests {
            self.count(manifest, inputs, &lookup, &mut all);
        }
        for located in &report.findings {
            let finding = &located.finding;
            let policy = all.iter_mut().find(|applied| applied.policy == finding.policy);
            let rules = policy.into_iter().flat_map(|applied| &mut applied.rules);
            let mut rules = rules.filter(|rule| rule.rule == finding.rule && rule.name == finding.name);
            if let Some(rule) = rules.next() {
                *match effective(finding) {
                    Action::Deny => &mut rule.denied,
                    Action::Warn => &mut rule.warned,
                    Action::Audit => &mut rule.audited,
                } += 1;
            }
        }
        all
    }

    fn count(&self, manifest: &Manifest<'_>, inputs: &[Input], lookup: &MapLookup, all: &mut [Applied]) {
        let Ok(facts) = Facts::read(&*manifest.value, Some(self.namespace)) else { return };
        let subjects = Subjects::new(&facts, lookup, None).asked_by(self.requester);
        for (policy, applied) in self.policies.policies().iter().zip(all) {
            let mut about_any = false;
            let mut rules = Vec::new();
            for index in policy.about(&subjects) {
                about_any = true;
                if policy.rules.get(index).is_some_and(|rule| rule.reads(&facts))
                    && let Some(rule) = applied.rules.get_mut(index)
                {
                    rule.objects += 1;
                    rules.push(rule.rule);
                }
            }
            applied.objects += usize::from(about_any);
            if about_any && applied.about.len() < MOST_NAMED {
                let (object, place) = (facts.id.to_string(), manifest.place(inputs));
                applied.about.push(AppliedObject { object, place, rules });
            }
            for (exception, seen) in policy.exceptions.iter().zip(&mut applied.exceptions) {
                seen.objects += usize::from(about_any && exception.is_about(&subjects, self.today));
            }
        }
    }
}
