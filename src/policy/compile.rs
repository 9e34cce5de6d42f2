use super::compiled_rule::CompiledRule;
use super::counts::Counts;
use super::exception::CompiledException;
use super::faults::{exclude_faults, match_faults, rule_faults};
use super::matches::{Holds, POD};
use super::pointless::{never_fits, pointless};
use super::schema::{Match, SelfService, StoragePolicy};
use crate::catalog::Entry;
use crate::facts::CustomKind;
use crate::model::FieldPath;
use crate::rule::{PolicyFault, Subjects, Trust};
use crate::rules;
use jiff::civil::Date;
use std::sync::Arc;

/// A policy that is ready to be applied.
#[derive(Debug, Clone, Default)]
pub struct CompiledPolicy {
    /// Its name.
    pub name: String,
    /// Which goes first where only one can.
    pub priority: i32,
    /// What it is about.
    pub matches: Option<Match>,
    /// What it is not about.
    pub exclude: Vec<Match>,
    /// Its rules.
    pub rules: Vec<CompiledRule>,
    /// Who is excused.
    pub exceptions: Vec<CompiledException>,
    /// How an object excuses itself.
    pub self_service: Option<CompiledSelfService>,
    /// What it adds to the catalog.
    pub catalog: Vec<Entry>,
    /// What its author should know, though it is applied.
    pub notices: Vec<PolicyFault>,
    /// Whether what it adds to the catalog counts for its own rules alone.
    pub alone: bool,
    /// The custom resources that it adds.
    pub custom_resources: Vec<CustomKind>,
    /// How often it had a say. Copies of the policy count together.
    pub counts: Arc<Counts>,
}

/// Self-service that is ready to be applied.
#[derive(Debug, Clone)]
pub struct CompiledSelfService(SelfService);

impl CompiledPolicy {
    /// Checks what a schema cannot, and compiles the rules.
    ///
    /// # Errors
    /// Every fault that it has.
    pub fn compile(policy: &StoragePolicy) -> Result<Self, Vec<PolicyFault>> {
        let mut faults = Vec::new();
        let spec_path = FieldPath::root().key("spec");
        let spec = &policy.spec;
        if let Some(matches) = &spec.matches {
            match_faults(matches, &spec_path.key("match"), &mut faults);
        }
        for (index, exclude) in spec.exclude.iter().enumerate() {
            exclude_faults(exclude, &spec_path.key("exclude").index(index), &mut faults);
        }
        let mut compiled: Vec<CompiledRule> = Vec::new();
        for (index, entry) in spec.rules.iter().enumerate() {
            let at = spec_path.key("rules").index(index);
            if let Some((id, rule)) = rules::compile(entry, &at, &mut faults) {
                let action = entry.action.unwrap_or(spec.action);
                let same = compiled.iter().filter(|other| other.id == id);
                for (other, why) in same.filter_map(|other| Some((other, rule.contradicts(&*other.rule)?))) {
                    let message = format!("contradicts {}: {why}; take one of them out", other.field);
                    faults.push(PolicyFault::new(at.clone(), message));
                }
                compiled.push(CompiledRule { id, action, message: entry.message.clone(), rule, field: at });
            }
        }
        let mut exceptions = Vec::new();
        for (index, exception) in spec.exceptions.iter().enumerate() {
            let at = spec_path.key("exceptions").index(index);
            exceptions.push(CompiledException::compile(exception, &at, &mut faults));
        }
        if let Some(service) = &spec.self_service {
            rule_faults(&service.rules, &spec_path.key("selfService").key("rules"), &mut faults);
        }
        for (index, entry) in spec.custom_resources.iter().enumerate() {
            let at = spec_path.key("customResources").index(index);
            faults.extend(entry.faults().into_iter().map(|(field, why)| {
                let path = field.parse().unwrap_or_default();
                PolicyFault::new(at.join(&path), why)
            }));
        }
        let is_sound = |faults: &[PolicyFault]| faults.iter().all(|fault| fault.harmless);
        if is_sound(&faults) {
            pointless(spec, &compiled, &mut faults);
        }
        if is_sound(&faults) {
            never_fits(spec, &compiled, &mut faults);
        }
        if !is_sound(&faults) {
            return Err(faults);
        }
        let mut policy = Self {
            name: policy.metadata.name.clone(),
            priority: spec.priority,
            matches: spec.matches.clone(),
            exclude: spec.exclude.clone(),
            rules: compiled,
            exceptions,
            self_service: spec.self_service.clone().map(CompiledSelfService),
            catalog: spec.catalog.clone(),
            counts: Arc::default(),
            custom_resources: spec.custom_resources.clone(),
            notices: faults,
            alone: false,
        };
        policy.note_rules();
        Ok(policy)
    }

    /// The rules that are applied to that object. A rule that reads the object as it stands is asked about the kinds that
    /// are named, and all others about what makes pods as well where pods are named.
    pub fn rules_about(&self, subjects: &Subjects<'_>) -> impl Iterator<Item = (&CompiledRule, Holds)> {
        let is_about = |widened| {
            let matches = self.matches.as_ref();
            let matched =
                matches.map_or(Holds::Yes, |matches| matches.holds(subjects, Trust::Stated, widened));
            if matched == Holds::No {
                return matched;
            }
            let excluded = self.exclude.iter().map(|exclude| exclude.holds(subjects, Trust::Proven, widened));
            matched.without(excluded.max().unwrap_or(Holds::No))
        };
        let reads_object = |rule: &CompiledRule| rule.rule.reads_any_kind();
        let widened = is_about(true);
        let named = if self.rules.iter().any(reads_object) { is_about(false) } else { Holds::No };
        let holds = move |rule: &CompiledRule| if reads_object(rule) { named } else { widened };
        self.rules.iter().map(move |rule| (rule, holds(rule))).filter(|(_, holds)| *holds != Holds::No)
    }

    /// The same by the places of the rules.
    pub fn about(&self, subjects: &Subjects<'_>) -> impl Iterator<Item = usize> {
        let about: Vec<&CompiledRule> = self.rules_about(subjects).map(|(rule, _)| rule).collect();
        let all = self.rules.iter().enumerate();
        all.filter(move |(_, rule)| about.iter().any(|it| std::ptr::eq(*it, *rule))).map(|(index, _)| index)
    }

    /// Adds what the rules' authors should know.
    fn note_rules(&mut self) {
        let brings = |matches: &Match| !matches.kinds_only && matches.kinds.iter().any(|kind| kind == POD);
        let brings_pods = self.matches.iter().chain(&self.exclude).any(brings);
        for rule in &self.rules {
            self.notices.extend(rule.rule.notices());
            if brings_pods && rule.rule.reads_any_kind() {
                let message = "this `cel` rule reads the object itself, so that it takes `Pod` for pods alone, unlike the \
                               other rules: name the workloads too, read `podSpec` and `podMeta` in place of `object`, or \
                               write `kindsOnly: true`";
                self.notices.push(PolicyFault::harmless(rule.field.clone(), message));
            }
        }
        self.notices.sort();
        self.notices.dedup();
    }

    /// What its author should know, though it is applied: what has no effect, or another one than it seems to have.
    pub fn notices(&self) -> &[PolicyFault] {
        &self.notices
    }

    /// Whether it is for some users, or leaves some out.
    pub fn reads_users(&self) -> bool {
        let matches = self.matches.iter().chain(&self.exclude);
        matches
            .chain(self.exceptions.iter().map(CompiledException::subjects))
            .any(|matches| matches.users.is_some())
    }

    /// Why a finding is a warning at most, where that depends on who asks. `holds` says whether the policy is about the
    /// object.
    pub fn doubt(&self, subjects: &Subjects<'_>, rule: &str, today: Date, holds: Holds) -> Option<String> {
        let what = if holds == Holds::Perhaps {
            "the policy is for some users, or leaves some out"
        } else if self.exception(subjects, rule, today, Trust::Proven, Holds::Perhaps).is_some() {
            "an exception of the policy is for some users"
        } else {
            return None;
        };
        Some(format!("{what}, and {}", subjects.no_requester()))
    }

    /// Whether workloads of that kind may be among those that the policy is about.
    pub fn names_workload(&self, kind: &str) -> bool {
        let Some(matches) = &self.matches else { return true };
        let named = |named: &String| named == kind || named == POD && !matches.kinds_only;
        matches.kinds.is_empty() || matches.kinds.iter().any(named)
    }

    /// The exceptions that end within that many days, each with its reason and last day.
    pub fn ending(&self, today: Date, days: i32) -> impl Iterator<Item = (&str, Date)> {
        let left = move |until: Date| today.until(until).map_or(i32::MAX, |span| span.get_days());
        let soon = move |until: &Date| (0..=days).contains(&left(*until));
        let ending = self.exceptions.iter().filter_map(|e| Some((e.reason.as_str(), e.until?)));
        ending.filter(move |(_, until)| soon(until))
    }

    /// Why an object is excused from a rule of this policy today.
    pub fn excuse(&self, subjects: &Subjects<'_>, rule: &str, today: Date) -> Option<String> {
        if let Some(exception) = self.exception(subjects, rule, today, Trust::Proven, Holds::Yes) {
            return Some(match exception.until {
                Some(until) => format!("{} (until {until})", exception.reason),
                None => exception.reason.clone(),
            });
        }
        let service = &self.self_service.as_ref()?.0;
        let reason = subjects.annotation(&service.annotation)?.trim();
        let allowed = service.rules.iter().any(|id| id == rule);
        (is_reason(service, reason) && allowed).then(|| format!("the object's own reason: {reason}"))
    }

    /// The annotation by which an object may excuse itself from a rule of this policy.
    pub fn self_service_for(&self, rule: &str) -> Option<&str> {
        let service = &self.self_service.as_ref()?.0;
        service.rules.iter().any(|id| id == rule).then_some(service.annotation.as_str())
    }

    /// Why an object that asks to be excused from a rule is not: an annotation that says too little, an owner that is
    /// not known. Only for an object that [`excuse`](Self::excuse) does not excuse.
    pub fn refused_excuse(&self, subjects: &Subjects<'_>, rule: &str, today: Date) -> Option<String> {
        if let Some(ended) = self.exceptions.iter().find(|e| e.excused_once(subjects, rule, today)) {
            let until = ended.until.map_or_else(String::new, |until| until.to_string());
            return Some(format!("the exception for this ended on {until} ({:?})", ended.reason));
        }
        let excluded =
            || self.exclude.iter().any(|exclude| exclude.holds(subjects, Trust::Stated, true) == Holds::Yes);
        let by_owner = if self.exception(subjects, rule, today, Trust::Stated, Holds::Yes).is_some() {
            Some("an exception of the policy")
        } else {
            excluded().then_some("an `exclude` of the policy")
        };
        if let (Some(what), Some(owner)) = (by_owner, subjects.unproven_owner()) {
            return Some(format!(
                "{what} does not hold here, because the owner that the object names, {owner}, is not known, and anyone \
                 can write that"
            ));
        }
        let service = &self.self_service.as_ref()?.0;
        let annotation = &service.annotation;
        let reason = subjects.annotation(annotation)?.trim();
        if !service.rules.iter().any(|id| id == rule) {
            let rules = service.rules.join(", ");
            return Some(format!("the annotation {annotation} excuses from {rules} alone"));
        }
        (!is_reason(service, reason)).then(|| {
            format!(
                "the reason in the annotation {annotation} does not count: it has {} characters, and the policy asks \
                 for {}",
                reason.chars().count(),
                service.least_length
            )
        })
    }

    fn exception(
        &self,
        subjects: &Subjects<'_>,
        rule: &str,
        today: Date,
        trust: Trust,
        holds: Holds,
    ) -> Option<&CompiledException> {
        self.exceptions.iter().find(|exception| exception.excuses(subjects, rule, today, trust) == holds)
    }
}

fn is_reason(service: &SelfService, text: &str) -> bool {
    text.chars().count() >= service.least_length as usize
}
