use super::counts::Counts;
use super::matches::POD;
use super::schema::{Exception, Match, RuleEntry, SelfService, StoragePolicy};
use crate::catalog::Entry;
use crate::model::{FieldPath, fits, nearest};
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
    /// How often it had a say. Copies of the policy count together.
    pub counts: Arc<Counts>,
}

/// A rule with its action.
#[derive(Debug, Clone)]
pub struct CompiledRule {
    /// Its id.
    pub id: &'static str,
    /// What a finding of it leads to.
    pub action: Action,
    /// What the policy's author says to a finding of it.
    pub message: Option<String>,
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
        if faults.is_empty() {
            pointless(spec, &compiled, &mut faults);
            unread_kinds(spec, &compiled, &mut faults);
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
            counts: Arc::default(),
        })
    }

    /// The rules that are applied to that object. A rule that reads the object as it stands is asked about the kinds that
    /// are named, and all others about what makes pods as well where pods are named.
    pub fn rules_about(&self, subjects: &Subjects<'_>) -> impl Iterator<Item = &CompiledRule> {
        let is_about = |widened| {
            self.matches.as_ref().is_none_or(|matches| matches.holds(subjects, Trust::Stated, widened))
                && !self.exclude.iter().any(|exclude| exclude.holds(subjects, Trust::Proven, widened))
        };
        let reads_object = |rule: &CompiledRule| rule.rule.reads_any_kind();
        let widened = is_about(true);
        let named = if self.rules.iter().any(reads_object) { is_about(false) } else { false };
        self.rules.iter().filter(move |rule| if reads_object(rule) { named } else { widened })
    }

    /// What its author should know, though it is no fault.
    pub fn notices(&self) -> Vec<PolicyFault> {
        let brings = |matches: &Match| !matches.kinds_only && matches.kinds.iter().any(|kind| kind == POD);
        if !self.matches.iter().chain(&self.exclude).any(brings) {
            return Vec::new();
        }
        let reads_object = self.rules.iter().filter(|rule| rule.rule.reads_any_kind());
        let notice = |rule: &CompiledRule| {
            let message = "this `cel` rule reads the object itself, so that it takes `Pod` for pods alone, unlike the \
                           other rules: name the workloads too, or write `kindsOnly: true`";
            PolicyFault::new(rule.field.clone(), message)
        };
        reads_object.map(notice).collect()
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
        if let Some(ended) = self.exceptions.iter().find(|e| e.excused_once(subjects, rule, today)) {
            let until = ended.until.map_or_else(String::new, |until| until.to_string());
            return Some(format!("the exception for this ended on {until} ({:?})", ended.reason));
        }
        let excluded = || self.exclude.iter().any(|exclude| exclude.holds(subjects, Trust::Stated, true));
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
            // Nobody else is excused with a pod.
            kinds_only: false,
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
        self.until.is_none_or(|until| today <= until) && self.covers(subjects, rule, trust)
    }

    /// Whether it would excuse, had it not ended.
    fn excused_once(&self, subjects: &Subjects<'_>, rule: &str, today: Date) -> bool {
        self.until.is_some_and(|until| until < today) && self.covers(subjects, rule, Trust::Proven)
    }

    fn covers(&self, subjects: &Subjects<'_>, rule: &str, trust: Trust) -> bool {
        (self.rules.is_empty() || self.rules.iter().any(|id| id == rule))
            && self.subjects.holds(subjects, trust, false)
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

/// Reports exceptions and self-service for rules that the policy does not have: they excuse from nothing, which
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

/// Reports kinds that a policy is to be about and no rule of it reads. Any other kind may own a pod.
fn unread_kinds(
    spec: &super::schema::StoragePolicySpec,
    compiled: &[CompiledRule],
    faults: &mut Vec<PolicyFault>,
) {
    if compiled.iter().any(|rule| rule.rule.reads_any_kind()) {
        return;
    }
    let kinds = spec.matches.as_ref().map_or(&[][..], |matches| &matches.kinds);
    for (index, kind) in kinds.iter().enumerate().filter(|(_, kind)| UNREAD.contains(&kind.as_str())) {
        let path = FieldPath::root().key("spec").key("match").key("kinds").index(index);
        let message =
            format!("no rule of this policy reads a {kind}: take it out, or ask about it with a `cel` rule");
        faults.push(PolicyFault::new(path, message));
    }
}

/// Kubernetes' own kinds that neither hold storage nor own pods.
const UNREAD: [&str; 14] = [
    "ConfigMap",
    "CustomResourceDefinition",
    "Endpoints",
    "Event",
    "HorizontalPodAutoscaler",
    "Ingress",
    "LimitRange",
    "Namespace",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ResourceQuota",
    "Secret",
    "Service",
    "ServiceAccount",
];

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
    let wider = |pattern: &String, index: usize| {
        let others = matches.namespaces.iter().enumerate().filter(move |(other, _)| *other != index);
        others
            .filter(|(other, wider)| *wider != pattern || *other < index)
            .find(|(_, wider)| fits(wider, pattern))
            .map(|(_, wider)| wider)
    };
    // Each is held against each.
    const MOST_COMPARED: usize = 200;
    for (index, pattern) in matches.namespaces.iter().enumerate().take(MOST_COMPARED) {
        if let Some(wider) = wider(pattern, index) {
            let message = format!("{pattern:?} adds nothing to {wider:?}: take one of the two out");
            faults.push(PolicyFault::new(at.key("namespaces").index(index), message));
        }
    }
    if matches.kinds_only && !matches.kinds.iter().any(|kind| kind == POD) {
        let message = "says that `Pod` stands for pods alone, and `kinds` does not name it: take it out";
        faults.push(PolicyFault::new(at.key("kindsOnly"), message));
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
