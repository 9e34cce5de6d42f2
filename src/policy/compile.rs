use super::schema::{Exception, Match, RuleEntry, SelfService, StoragePolicy};
use crate::catalog::Entry;
use crate::model::{FieldPath, nearest};
use crate::rule::{PolicyFault, Rule, Subjects, Trust, kind_faults, selector_faults};
use crate::rules;
use crate::verdict::Action;
use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

/// A policy that is ready to be applied.
#[derive(Debug, Clone)]
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
}

/// A rule with its action.
#[derive(Debug, Clone)]
pub struct CompiledRule {
    /// Its id.
    pub id: &'static str,
    /// What a finding of it leads to.
    pub action: Action,
    /// The rule.
    pub rule: Arc<dyn Rule>,
    /// Where it stands in its policy.
    pub field: FieldPath,
}

/// An exception that is ready to be applied.
#[derive(Debug, Clone)]
pub struct CompiledException {
    subjects: Match,
    rules: Vec<String>,
    reason: String,
    until: Option<Date>,
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
                compiled.push(CompiledRule { id, action, rule, field: at });
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
        if faults.is_empty() {
            pointless(spec, &compiled, &mut faults);
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            name: policy.metadata.name.clone(),
            priority: spec.priority,
            matches: spec.matches.clone(),
            exclude: spec.exclude.clone(),
            rules: compiled,
            exceptions,
            self_service: spec.self_service.clone().map(CompiledSelfService),
            catalog: spec.catalog.clone(),
        })
    }

    /// Whether the policy is about that object.
    pub fn is_about(&self, subjects: &Subjects<'_>) -> bool {
        self.matches.as_ref().is_none_or(|matches| matches.holds(subjects, Trust::Stated))
            && !self.exclude.iter().any(|exclude| exclude.holds(subjects, Trust::Proven))
    }

    /// Whether objects of that kind may be among those that the policy is about.
    pub fn names_kind(&self, kind: &str) -> bool {
        let kinds = self.matches.as_ref().map_or(&[][..], |matches| &matches.kinds);
        kinds.is_empty() || kinds.iter().any(|named| named == kind)
    }

    /// Why an object is excused from a rule of this policy today.
    pub fn excuse(&self, subjects: &Subjects<'_>, rule: &str, today: Date) -> Option<String> {
        if let Some(exception) = self.exception(subjects, rule, today, Trust::Proven) {
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

    /// Why an object that asks to be excused from a rule is not: an annotation that says too little, an owner that is
    /// not known. Only for an object that [`excuse`](Self::excuse) does not excuse.
    pub fn refused_excuse(&self, subjects: &Subjects<'_>, rule: &str, today: Date) -> Option<String> {
        let excluded = || self.exclude.iter().any(|exclude| exclude.holds(subjects, Trust::Stated));
        let by_owner = if self.exception(subjects, rule, today, Trust::Stated).is_some() {
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
    ) -> Option<&CompiledException> {
        self.exceptions.iter().find(|exception| exception.excuses(subjects, rule, today, trust))
    }
}

fn is_reason(service: &SelfService, text: &str) -> bool {
    text.chars().count() >= service.least_length as usize
}

impl CompiledException {
    fn compile(exception: &Exception, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Self {
        let subjects = Match {
            namespaces: exception.namespaces.clone(),
            namespace_selector: exception.namespace_selector.clone(),
            object_selector: exception.object_selector.clone(),
            kinds: exception.kinds.clone(),
        };
        if subjects == Match::default() {
            faults.push(PolicyFault::new(
                at.clone(),
                "excuses everything: say whom by objectSelector, namespaceSelector, namespaces or kinds, or take the \
                 rule out of the policy",
            ));
        }
        match_faults(&subjects, at, faults);
        rule_faults(&exception.rules, &at.key("rules"), faults);
        if exception.reason.trim().is_empty() {
            faults.push(PolicyFault::new(
                at.key("reason"),
                "say in a few words why: it stands in the audit log",
            ));
        }
        let until = exception.until.as_ref().and_then(|until| match until.parse::<Date>() {
            Ok(date) => Some(date),
            Err(_) => {
                let message = format!("{until:?} is not a day: write it like 2027-03-31");
                faults.push(PolicyFault::new(at.key("until"), message));
                None
            }
        });
        Self { subjects, rules: exception.rules.clone(), reason: exception.reason.trim().to_owned(), until }
    }

    fn excuses(&self, subjects: &Subjects<'_>, rule: &str, today: Date, trust: Trust) -> bool {
        self.until.is_none_or(|until| today <= until)
            && (self.rules.is_empty() || self.rules.iter().any(|id| id == rule))
            && self.subjects.holds(subjects, trust)
    }
}

/// The faults of those parts of a policy that the schema has nothing against: `broken` are the places of its errors.
pub(super) fn part_faults(policy: &Value, broken: &[FieldPath], faults: &mut Vec<PolicyFault>) {
    let spec_path = FieldPath::root().key("spec");
    let Some(spec) = policy.get("spec") else { return };
    let list = |key: &'static str| {
        let items = spec.get(key).and_then(Value::as_array).into_iter().flatten().enumerate();
        let path = spec_path.key(key);
        items.map(move |(index, item)| (path.index(index), item))
    };
    if let (path, Some(value)) = (spec_path.key("match"), spec.get("match"))
        && let Some(matches) = part::<Match>(value, &path, broken, faults)
    {
        match_faults(&matches, &path, faults);
    }
    for (path, item) in list("exclude") {
        if let Some(exclude) = part::<Match>(item, &path, broken, faults) {
            exclude_faults(&exclude, &path, faults);
        }
    }
    for (path, item) in list("rules") {
        if let Some(entry) = part::<RuleEntry>(item, &path, broken, faults) {
            rules::compile(&entry, &path, faults);
        }
    }
    for (path, item) in list("exceptions") {
        if let Some(exception) = part::<Exception>(item, &path, broken, faults) {
            CompiledException::compile(&exception, &path, faults);
        }
    }
    if let (path, Some(value)) = (spec_path.key("selfService"), spec.get("selfService"))
        && let Some(service) = part::<SelfService>(value, &path, broken, faults)
    {
        rule_faults(&service.rules, &path.key("rules"), faults);
    }
}

/// Reads one part of a policy, unless it is broken.
fn part<T: DeserializeOwned>(
    value: &Value,
    at: &FieldPath,
    broken: &[FieldPath],
    faults: &mut Vec<PolicyFault>,
) -> Option<T> {
    if broken
        .iter()
        .any(|path| path.segments().starts_with(at.segments()) || at.segments().starts_with(path.segments()))
    {
        return None;
    }
    match serde_json::from_value(value.clone()) {
        Ok(part) => Some(part),
        Err(error) => {
            faults.push(PolicyFault::new(at.clone(), error.to_string()));
            None
        }
    }
}

/// Tells of exceptions and self-service for rules that the policy does not have: they excuse from nothing, which
/// nobody means.
fn pointless(
    spec: &super::schema::StoragePolicySpec,
    compiled: &[CompiledRule],
    faults: &mut Vec<PolicyFault>,
) {
    let spec_path = FieldPath::root().key("spec");
    let exceptions = spec.exceptions.iter().enumerate().map(|(index, exception)| {
        (spec_path.key("exceptions").index(index).key("rules"), exception.rules.as_slice())
    });
    let service = spec.self_service.iter();
    let service =
        service.map(|service| (spec_path.key("selfService").key("rules"), service.rules.as_slice()));
    for (path, ids) in exceptions.chain(service) {
        for (index, id) in
            ids.iter().enumerate().filter(|(_, id)| !compiled.iter().any(|rule| rule.id == **id))
        {
            let message =
                format!("excuses from {id}, which this policy does not have: take it out or add the rule");
            faults.push(PolicyFault::new(path.index(index), message));
        }
    }
}

fn exclude_faults(exclude: &Match, at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    if *exclude == Match::default() {
        faults.push(PolicyFault::new(
            at.clone(),
            "excludes everything: say what by objectSelector, namespaceSelector, namespaces or kinds",
        ));
    }
    match_faults(exclude, at, faults);
}

fn rule_faults(ids: &[String], at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    let known: Vec<&str> = rules::all().iter().map(|rule| rule.id).collect();
    for (index, id) in ids.iter().enumerate().filter(|(_, id)| !known.contains(&id.as_str())) {
        let hint = match nearest(id, &known) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the rules are {}", known.join(", ")),
        };
        faults.push(PolicyFault::new(at.index(index), format!("unknown rule {id:?}: {hint}")));
    }
}

fn match_faults(matches: &Match, at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    for (index, pattern) in matches.namespaces.iter().enumerate() {
        let inside = pattern.strip_suffix('*').unwrap_or(pattern);
        if pattern.is_empty() || inside.contains('*') {
            let message = format!(
                "{pattern:?} fits no namespace: write a name, or its beginning with one `*` at the end"
            );
            faults.push(PolicyFault::new(at.key("namespaces").index(index), message));
        }
    }
    kind_faults(&matches.kinds, &at.key("kinds"), faults);
    let selectors =
        [("namespaceSelector", &matches.namespace_selector), ("objectSelector", &matches.object_selector)];
    for (field, selector) in selectors {
        if let Some(selector) = selector {
            selector_faults(selector, &at.key(field), faults);
        }
    }
}
