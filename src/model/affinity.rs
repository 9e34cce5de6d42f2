//! The algebra of node selectors: conjunction, implication, contradiction. It speaks of all nodes that could be, so it
//! needs to know none of them.

use super::node_selector::{HOSTNAME, NODE_NAME, NodeRequirement, NodeSelector, NodeTerm};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// How much may still be compared and combined, in requirements and their values: whoever writes a selector chooses how
/// many terms meet how many others. Beyond it there is no answer, and that is said.
#[derive(Debug)]
pub struct Effort(Cell<usize>);

impl Effort {
    /// What one rule may spend on one object: some milliseconds.
    pub const MOST: usize = 1 << 17;

    /// That many.
    pub const fn new(most: usize) -> Self {
        Self(Cell::new(most))
    }

    /// Takes some of it; nothing once there is not enough.
    pub fn spend(&self, cost: usize) -> Option<()> {
        let left = self.0.get().checked_sub(cost);
        self.0.set(left.unwrap_or_default());
        left.map(|_| ())
    }

    /// How much is left.
    pub fn left(&self) -> usize {
        self.0.get()
    }
}

impl NodeSelector {
    /// What both selectors match, without the terms that are contradictory or that another term covers. Empty when no
    /// node can satisfy both; `None` when it takes more than `limit` terms or more than the effort.
    pub fn and(&self, other: &Self, limit: usize, effort: &Effort) -> Option<Self> {
        let theirs = sized(&other.terms);
        let ours = sized(&self.terms);
        let pairs = ours.iter().flat_map(|ours| theirs.iter().map(move |theirs| (ours, theirs)));
        let all = pairs.map(|((our_size, ours), (their_size, theirs))| {
            effort.spend(our_size + their_size)?;
            Some(ours.and(theirs))
        });
        absorb(all, limit, effort)
    }

    /// The terms, each with that one; those that contradict it are left out. `None` when it takes more than the effort.
    pub fn each_with(&self, term: &NodeTerm, effort: &Effort) -> Option<Self> {
        let size = term.size();
        let mut terms = Vec::new();
        for ours in &self.terms {
            effort.spend(ours.size() + size)?;
            terms.extend(ours.and(term));
        }
        Some(Self { terms })
    }

    /// The same without what is superfluous: contradictory terms, terms that another one covers, requirements that
    /// another one covers. `None` when more than `limit` terms are left, or it takes more than the effort.
    pub fn simplify(&self, limit: usize, effort: &Effort) -> Option<Self> {
        let all = self.terms.iter().map(|term| {
            effort.spend(term.size())?;
            Some(term.and(term))
        });
        absorb(all, limit, effort)
    }

    /// What either of the selectors matches. Terms that list values of one label alone become one term.
    pub fn any_of<'s>(selectors: impl IntoIterator<Item = &'s Self>) -> Self {
        let mut listed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut seen: HashSet<&NodeTerm> = HashSet::new();
        let mut terms: Vec<NodeTerm> = Vec::new();
        for term in selectors.into_iter().flat_map(|selector| &selector.terms) {
            match (term.match_expressions.as_slice(), term.match_fields.as_slice()) {
                ([only], []) if only.operator == "In" => {
                    listed.entry(&only.key).or_default().extend(only.values.iter().map(String::as_str));
                }
                _ => {
                    if seen.insert(term) {
                        terms.push(term.clone());
                    }
                }
            }
        }
        let merged = listed.into_iter().map(|(key, values)| {
            let values = values.into_iter().map(str::to_owned).collect();
            NodeRequirement { key: key.to_owned(), operator: Cow::Borrowed("In"), values }.into()
        });
        Self { terms: merged.chain(terms).collect() }
    }

    /// Whether [`any_of`](Self::any_of) it alone is the same: mostly the one node of a local volume.
    pub fn is_plain(&self) -> bool {
        let single = |requirement: &NodeRequirement| requirement.values.len() <= 1;
        matches!(self.terms.as_slice(), [only] if only.match_expressions.iter().all(single))
    }

    /// Whether no node that could be satisfies both; `None` when it takes more than the effort to tell.
    pub fn contradicts(&self, other: &Self, effort: &Effort) -> Option<bool> {
        let theirs = sized(&other.terms);
        for (our_size, ours) in sized(&self.terms) {
            for (their_size, theirs) in &theirs {
                effort.spend(our_size + their_size)?;
                if !ours.contradicts(theirs) {
                    return Some(false);
                }
            }
        }
        Some(true)
    }

    /// Whether no node that could be satisfies it.
    pub fn is_contradictory(&self) -> bool {
        self.terms.iter().all(NodeTerm::is_contradictory)
    }

    /// Whether every term names its nodes one by one, so that a node that is yet to come satisfies none.
    pub fn names_nodes(&self) -> bool {
        let named = |requirement: &NodeRequirement| requirement.operator == "In";
        self.terms.iter().all(|term| {
            term.match_expressions.iter().any(|requirement| requirement.key == HOSTNAME && named(requirement))
                || term.match_fields.iter().any(named)
        })
    }

    /// Whether each term lies within one term of the other, so that every node it matches the other matches too;
    /// `None` when it takes more than the effort to tell.
    pub fn implies(&self, other: &Self, effort: &Effort) -> Option<bool> {
        let theirs = sized(&other.terms);
        for (our_size, ours) in sized(&self.terms) {
            let mut holds = false;
            for (their_size, theirs) in &theirs {
                effort.spend(our_size + their_size)?;
                holds = ours.implies(theirs);
                if holds {
                    break;
                }
            }
            if !holds {
                return Some(false);
            }
        }
        Some(true)
    }

    /// How many terms, requirements and values it has.
    pub fn size(&self) -> usize {
        self.terms.iter().map(NodeTerm::size).sum()
    }
}

impl NodeTerm {
    /// What both terms match, without the requirements that another one covers; `None` when no node can.
    pub fn and(&self, other: &Self) -> Option<Self> {
        if self.is_empty() || other.is_empty() {
            return None;
        }
        let both = Self {
            match_expressions: reduced(
                self.match_expressions.iter().chain(&other.match_expressions),
                Over::Labels,
            ),
            match_fields: reduced(self.match_fields.iter().chain(&other.match_fields), Over::Fields),
        };
        (!both.is_contradictory()).then_some(both)
    }

    /// Whether no node that could be satisfies both.
    pub fn contradicts(&self, other: &Self) -> bool {
        self.is_empty()
            || other.is_empty()
            || nobody(self.match_expressions.iter().chain(&other.match_expressions), Over::Labels)
            || nobody(self.match_fields.iter().chain(&other.match_fields), Over::Fields)
    }

    /// Whether every node that could be and that this term matches, the other matches too.
    pub fn implies(&self, other: &Self) -> bool {
        let holds = !other.is_empty()
            && within(&self.match_expressions, &other.match_expressions, Over::Labels)
            && within(&self.match_fields, &other.match_fields, Over::Fields);
        holds || self.is_contradictory()
    }

    /// Whether no node that could be satisfies it.
    pub fn is_contradictory(&self) -> bool {
        self.is_empty()
            || nobody(self.match_expressions.iter(), Over::Labels)
            || nobody(self.match_fields.iter(), Over::Fields)
    }

    /// How many requirements and values it has, and one for itself.
    fn size(&self) -> usize {
        let all = self.match_expressions.iter().chain(&self.match_fields);
        1 + all.map(|requirement| 1 + requirement.values.len()).sum::<usize>()
    }
}

impl From<NodeRequirement> for NodeTerm {
    fn from(requirement: NodeRequirement) -> Self {
        Self { match_expressions: vec![requirement], match_fields: Vec::new() }
    }
}

impl From<NodeTerm> for NodeSelector {
    fn from(term: NodeTerm) -> Self {
        Self { terms: vec![term] }
    }
}

/// The terms with their sizes, each counted once.
fn sized(terms: &[NodeTerm]) -> Vec<(usize, &NodeTerm)> {
    terms.iter().map(|term| (term.size(), term)).collect()
}

/// So many requirements are held against each other one by one, without a list of what belongs together.
const FEW: usize = 8;

/// The requirements of each label or field.
fn by_key<'a>(requirements: impl Iterator<Item = &'a NodeRequirement>) -> Vec<&'a NodeRequirement> {
    let mut sorted: Vec<&NodeRequirement> = requirements.collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    sorted
}

/// Whether the requirements leave no value of one of their labels or fields.
fn nobody<'a>(requirements: impl Iterator<Item = &'a NodeRequirement> + Clone, over: Over) -> bool {
    if requirements.clone().count() <= FEW {
        return requirements.clone().any(|r| Domain::of(requirements.clone(), over, &r.key).is_empty());
    }
    let sorted = by_key(requirements);
    sorted.chunk_by(|a, b| a.key == b.key).any(|same| domain(same, over).is_empty())
}

/// The values that satisfy requirements of one label or field.
fn domain<'a>(same: &[&'a NodeRequirement], over: Over) -> Domain<'a> {
    let key = same.first().map_or("", |requirement| requirement.key.as_str());
    Domain::of(same.iter().copied(), over, key)
}

/// Whether what satisfies the inner requirements satisfies the outer ones.
fn within(inner: &[NodeRequirement], outer: &[NodeRequirement], over: Over) -> bool {
    if inner.len().max(outer.len()) <= FEW {
        return outer.iter().all(|requirement| {
            let alone = Domain::of([requirement], over, &requirement.key);
            Domain::of(inner, over, &requirement.key).within(&alone)
        });
    }
    let (inner, outer) = (by_key(inner.iter()), by_key(outer.iter()));
    outer.chunk_by(|a, b| a.key == b.key).all(|same| {
        let key = same.first().map_or("", |requirement| requirement.key.as_str());
        let from = inner.partition_point(|requirement| requirement.key.as_str() < key);
        let of_key = inner.iter().skip(from).copied().take_while(|requirement| requirement.key == key);
        Domain::of(of_key, over, key).within(&domain(same, over))
    })
}

/// The terms that no other one covers; `None` when they are more than `limit`, or it takes more than the effort.
fn absorb(
    all: impl Iterator<Item = Option<Option<NodeTerm>>>,
    limit: usize,
    effort: &Effort,
) -> Option<NodeSelector> {
    let mut terms: Vec<(usize, NodeTerm)> = Vec::new();
    for term in all {
        let Some(term) = term? else { continue };
        let size = term.size();
        effort.spend(terms.iter().map(|(kept, _)| kept + size).sum())?;
        if terms.iter().any(|(_, kept)| term.implies(kept)) {
            continue;
        }
        terms.retain(|(_, kept)| !kept.implies(&term));
        if terms.len() == limit {
            return None;
        }
        terms.push((size, term));
    }
    Some(NodeSelector { terms: terms.into_iter().map(|(_, term)| term).collect() })
}

/// The requirements without those that another one covers, in their order. Of many about one label only those that are
/// there twice are left out: what is superfluous in them does no harm.
fn reduced<'a>(all: impl Iterator<Item = &'a NodeRequirement>, over: Over) -> Vec<NodeRequirement> {
    let covers = |outer: &NodeRequirement, inner: &NodeRequirement| {
        outer.key == inner.key
            && Domain::of([inner], over, &inner.key).within(&Domain::of([outer], over, &outer.key))
    };
    let uncovered = |all: &[(usize, &'a NodeRequirement)]| {
        let mut kept: Vec<(usize, &NodeRequirement)> = Vec::new();
        for (at, requirement) in all {
            if !kept.iter().any(|(_, other)| covers(requirement, other)) {
                kept.retain(|(_, other)| !covers(other, requirement));
                kept.push((*at, requirement));
            }
        }
        kept
    };
    let mut all: Vec<(usize, &NodeRequirement)> = all.enumerate().collect();
    if all.len() > FEW {
        all.sort_by(|(_, a), (_, b)| a.key.cmp(&b.key));
        let mut kept = Vec::new();
        for same in all.chunk_by(|(_, a), (_, b)| a.key == b.key) {
            if same.len() <= FEW {
                kept.extend(uncovered(same));
            } else {
                let mut seen = HashSet::new();
                kept.extend(same.iter().filter(|(_, requirement)| seen.insert(*requirement)));
            }
        }
        kept.sort_unstable_by_key(|(at, _)| *at);
        all = kept;
    } else {
        all = uncovered(&all);
    }
    all.into_iter().map(|(_, requirement)| requirement.clone()).collect()
}

/// What requirements are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Labels,
    Fields,
}

/// The values of one label or field that satisfy some requirements.
#[derive(Debug)]
struct Domain<'a> {
    /// Whether it may be missing.
    absent: bool,
    /// Whether it may be there at all.
    present: bool,
    /// The only values, if they are listed.
    listed: Option<Values<'a>>,
    denied: Values<'a>,
    above: Option<i64>,
    below: Option<i64>,
}

/// Values to be found among: a selector may list thousands, and mostly it lists one.
#[derive(Debug, Default)]
struct Values<'a> {
    /// The only one, for which no list is made.
    only: Option<&'a str>,
    /// In their order.
    sorted: Vec<&'a str>,
}

impl<'a> Values<'a> {
    fn of(values: &'a [String]) -> Self {
        if let [only] = values {
            return Self { only: Some(only), sorted: Vec::new() };
        }
        let mut sorted: Vec<&str> = values.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        Self { only: None, sorted }
    }

    /// Adds values; [`sort`](Self::sort) is called after the last.
    fn add(&mut self, more: &'a [String]) {
        match more {
            [only] if self.only.is_none() && self.sorted.is_empty() => self.only = Some(only),
            more => {
                self.sorted.extend(self.only.take());
                self.sorted.extend(more.iter().map(String::as_str));
            }
        }
    }

    fn sort(&mut self) {
        self.sorted.sort_unstable();
    }

    fn retain(&mut self, kept: impl Fn(&str) -> bool) {
        self.only = self.only.filter(|value| kept(value));
        self.sorted.retain(|value| kept(value));
    }

    fn iter(&self) -> impl Iterator<Item = &'a str> {
        self.only.into_iter().chain(self.sorted.iter().copied())
    }

    fn contains(&self, value: &str) -> bool {
        self.only == Some(value) || self.sorted.binary_search(&value).is_ok()
    }
}

impl<'a> Domain<'a> {
    fn of(requirements: impl IntoIterator<Item = &'a NodeRequirement>, over: Over, key: &str) -> Self {
        // Every node has a name, and no other field can be selected.
        let mut domain = Self {
            absent: over == Over::Labels || key != NODE_NAME,
            present: over == Over::Labels || key == NODE_NAME,
            listed: None,
            denied: Values::default(),
            above: None,
            below: None,
        };
        for requirement in requirements.into_iter().filter(|requirement| requirement.key == key) {
            domain.narrow(requirement);
        }
        domain.denied.sort();
        domain
    }

    fn narrow(&mut self, requirement: &'a NodeRequirement) {
        let values = || Values::of(&requirement.values);
        if !matches!(requirement.operator.as_ref(), "NotIn" | "DoesNotExist") {
            self.absent = false;
        }
        match requirement.operator.as_ref() {
            "In" => {
                let mut values = values();
                if let Some(listed) = self.listed.take() {
                    values.retain(|value| listed.contains(value));
                }
                self.listed = Some(values);
            }
            "NotIn" => self.denied.add(&requirement.values),
            "Exists" => {}
            "DoesNotExist" => self.present = false,
            operator @ ("Gt" | "Lt") => match requirement.values.as_slice() {
                [value] => match value.parse::<i64>() {
                    Ok(bound) if operator == "Gt" => {
                        self.above = Some(self.above.map_or(bound, |above| above.max(bound)));
                    }
                    Ok(bound) => self.below = Some(self.below.map_or(bound, |below| below.min(bound))),
                    Err(_) => self.present = false,
                },
                _ => self.present = false,
            },
            // Kubernetes refuses it; it matches nothing.
            _ => self.present = false,
        }
    }

    fn holds(&self, value: &str) -> bool {
        let within = |bound: Option<i64>, holds: fn(i64, i64) -> bool| match bound {
            Some(bound) => value.parse::<i64>().is_ok_and(|number| holds(number, bound)),
            None => true,
        };
        self.present
            && self.listed.as_ref().is_none_or(|listed| listed.contains(value))
            && !self.denied.contains(value)
            && within(self.above, |number, bound| number > bound)
            && within(self.below, |number, bound| number < bound)
    }

    fn has_value(&self) -> bool {
        match &self.listed {
            Some(listed) => listed.iter().any(|value| self.holds(value)),
            // A number can be written in more ways than can be denied (7, 07, 007).
            None => {
                let (above, below) = (self.above.unwrap_or(i64::MIN), self.below.unwrap_or(i64::MAX));
                let unbounded = self.above.is_none() || self.below.is_none();
                self.present && (above < below) && (unbounded || above + 1 < below)
            }
        }
    }

    fn is_empty(&self) -> bool {
        !self.absent && !self.has_value()
    }

    fn within(&self, outer: &Self) -> bool {
        if self.absent && !outer.absent {
            return false;
        }
        if !self.has_value() {
            return true;
        }
        match &self.listed {
            Some(listed) => listed.iter().all(|value| !self.holds(value) || outer.holds(value)),
            None => {
                outer.present
                    && outer.listed.is_none()
                    && outer.denied.iter().all(|value| !self.holds(value))
                    && outer.above.is_none_or(|bound| self.above.is_some_and(|above| above >= bound))
                    && outer.below.is_none_or(|bound| self.below.is_some_and(|below| below <= bound))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than any of these tests takes.
    fn effort() -> Effort {
        Effort::new(usize::MAX)
    }

    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn selector(terms: Value) -> NodeSelector {
        NodeSelector::parse(&json!({"nodeSelectorTerms": terms}))
    }

    fn term(expressions: Value) -> NodeTerm {
        NodeTerm::parse(&json!({"matchExpressions": expressions}))
    }

    fn is_in(key: &str, values: &[&str]) -> Value {
        json!({"key": key, "operator": "In", "values": values})
    }

    #[test]
    fn drops_contradictory_and_covered_terms() {
        let own = selector(json!([
            {"matchExpressions": [is_in("host", &["a", "b"]), is_in("os", &["linux"])]},
            {"matchExpressions": [is_in("host", &["c"])]},
            {"matchExpressions": [is_in("host", &["a"]), is_in("os", &["linux"]), is_in("disk", &["ssd"])]}]));
        let volume = selector(json!([{"matchExpressions": [is_in("host", &["a"])]}]));
        // The first term's host is covered by the volume's, the second contradicts it, the third is within the first.
        let wanted =
            selector(json!([{"matchExpressions": [is_in("os", &["linux"]), is_in("host", &["a"])]}]));
        assert_eq!(own.and(&volume, 64, &effort()), Some(wanted.clone()));
        assert_eq!(wanted.and(&volume, 64, &effort()), Some(wanted.clone()));
        assert_eq!(wanted.implies(&volume, &effort()), Some(true));
        assert_eq!(own.implies(&volume, &effort()), Some(false));
        let apart = |terms: Value| own.contradicts(&selector(terms), &effort());
        assert_eq!(apart(json!([{"matchExpressions": [is_in("host", &["d"])]}])), Some(true));
        assert_eq!(apart(json!([{}])), Some(true), "an empty term matches nothing");
    }

    #[test]
    fn stops_at_the_limit() {
        let terms = |key: &str| {
            let terms: Vec<Value> =
                (0..3).map(|n| json!({"matchExpressions": [is_in(key, &[&format!("v{n}")])]})).collect();
            selector(json!(terms))
        };
        assert_eq!(terms("a").and(&terms("b"), 8, &effort()), None);
        assert_eq!(terms("a").and(&terms("b"), 9, &effort()).unwrap().terms.len(), 9);
        assert_eq!(terms("a").and(&terms("a"), 3, &effort()), Some(terms("a")), "only what is left counts");
    }

    #[test]
    fn unites_lists_of_one_label() {
        let one = selector(json!([{"matchExpressions": [is_in("host", &["b"])]}]));
        let two = selector(json!([{"matchExpressions": [is_in("host", &["a", "b"])]},
                                  {"matchExpressions": [is_in("zone", &["z"]), is_in("host", &["c"])]}]));
        let wanted = selector(json!([{"matchExpressions": [is_in("host", &["a", "b"])]},
                                     {"matchExpressions": [is_in("zone", &["z"]), is_in("host", &["c"])]}]));
        assert_eq!(NodeSelector::any_of([&one, &two, &two]), wanted);
    }

    #[test]
    fn knows_the_corners_of_numbers_and_names() {
        let gt = |n: &str| json!({"key": "cpu", "operator": "Gt", "values": [n]});
        let lt = |n: &str| json!({"key": "cpu", "operator": "Lt", "values": [n]});
        assert!(term(json!([gt("4"), lt("5")])).is_contradictory());
        assert!(!term(json!([gt("4"), lt("6")])).is_contradictory());
        assert!(term(json!([gt("9223372036854775807")])).is_contradictory());
        assert!(!term(json!([gt("-9223372036854775808")])).is_contradictory());
        assert!(term(json!([gt("4")])).implies(&term(json!([{"key": "cpu", "operator": "Exists"}]))));
        assert!(term(json!([gt("x")])).is_contradictory());
        let field = |name: &str, operator: &str| {
            NodeTerm::parse(
                &json!({"matchFields": [{"key": "metadata.name", "operator": operator, "values": [name]}]}),
            )
        };
        assert_eq!(field("a", "In").and(&field("b", "In")), None);
        assert_eq!(field("a", "In").and(&field("b", "NotIn")), Some(field("a", "In")));
        // A label of that name is another thing than the field.
        let label = term(json!([is_in("metadata.name", &["b"])]));
        assert!(field("a", "In").and(&label).is_some());
    }

    #[test]
    fn many_requirements_are_taken_label_by_label() {
        let not_in = |n: usize| json!({"key": "host", "operator": "NotIn", "values": [format!("h{n}")]});
        let many = term(json!((0..400).map(not_in).collect::<Vec<_>>()));
        let with = |more: Value| {
            let mut all = many.clone();
            all.match_expressions.extend(term(json!([more])).match_expressions);
            all
        };
        assert_eq!(many.and(&many), Some(many.clone()), "what is there twice is left out");
        assert!(with(is_in("host", &["h3", "h399"])).is_contradictory());
        assert!(!with(is_in("host", &["h3", "h400"])).is_contradictory());
        assert!(with(is_in("host", &["h3"])).implies(&many) && many.implies(&term(json!([not_in(7)]))));
        assert!(!many.implies(&term(json!([not_in(400)]))) && !many.implies(&with(not_in(400))));
        assert!(term(json!([is_in("host", &["h400"])])).implies(&many));
        assert!(many.contradicts(&term(json!([is_in("host", &["h1"])]))));
        assert!(!many.contradicts(&term(json!([is_in("host", &["x"])]))));
        let labels: Vec<Value> = (0..40).map(|n| is_in(&format!("l{n}"), &["v"])).collect();
        let apart = many.and(&term(json!(labels))).unwrap();
        assert_eq!(apart.match_expressions.len(), 440, "nothing covers what is about another label");
    }

    #[test]
    fn effort_is_what_is_looked_at() {
        let terms = |key: &str, count: usize| {
            let term = |n: usize| json!({"matchExpressions": [is_in(key, &[&format!("v{n}")])]});
            selector(json!((0..count).map(term).collect::<Vec<_>>()))
        };
        let (own, other) = (terms("a", 100), terms("a", 100));
        let effort = Effort::new(1_000_000);
        assert_eq!(own.implies(&other, &effort), Some(true));
        // Half of the pairs, and each term is of size 3: itself, its requirement, its value.
        assert_eq!(1_000_000 - effort.left(), 100 * 101 / 2 * 6);
        let short = Effort::new(1_000);
        assert_eq!(own.implies(&other, &short), None);
        assert_eq!((own.contradicts(&other, &short), short.left()), (None, 0), "spent for good");
        assert_eq!(own.and(&terms("a", 1), usize::MAX, &Effort::new(1_000)), Some(terms("a", 1)));
        assert_eq!(own.and(&terms("b", 50), usize::MAX, &Effort::new(1_000)), None);
        assert_eq!(own.simplify(usize::MAX, &Effort::new(1_000)), None);
    }

    /// Few keys and values, so that requirements meet; among the nodes' values are some that no requirement names.
    fn requirement() -> impl Strategy<Value = NodeRequirement> {
        let operators = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];
        let values = proptest::sample::subsequence(vec!["1", "2", "3", "a"], 1..=3);
        (proptest::sample::select(vec!["k", "l"]), proptest::sample::select(operators.to_vec()), values)
            .prop_map(|(key, operator, values)| {
                let take = match operator {
                    "Exists" | "DoesNotExist" => 0,
                    "Gt" | "Lt" => 1,
                    _ => values.len(),
                };
                let values = values.into_iter().take(take).map(str::to_owned).collect();
                NodeRequirement { key: key.to_owned(), operator: Cow::Borrowed(operator), values }
            })
    }

    fn field() -> impl Strategy<Value = NodeRequirement> {
        (proptest::sample::select(vec!["In", "NotIn"]), proptest::sample::select(vec!["n0", "n1"])).prop_map(
            |(operator, name)| NodeRequirement {
                key: NODE_NAME.to_owned(),
                operator: Cow::Borrowed(operator),
                values: vec![name.to_owned()],
            },
        )
    }

    fn any_term() -> impl Strategy<Value = NodeTerm> {
        let expressions = proptest::collection::vec(requirement(), 0..4);
        (expressions, proptest::collection::vec(field(), 0..2))
            .prop_map(|(match_expressions, match_fields)| NodeTerm { match_expressions, match_fields })
    }

    fn any_selector() -> impl Strategy<Value = NodeSelector> {
        proptest::collection::vec(any_term(), 1..4).prop_map(|terms| NodeSelector { terms })
    }

    /// Every node that the requirements above can tell apart, with values beyond all that they name.
    fn nodes() -> Vec<(&'static str, BTreeMap<String, String>)> {
        let values = [
            None,
            Some("0"),
            Some("1"),
            Some("01"),
            Some("2"),
            Some("02"),
            Some("3"),
            Some("4"),
            Some("a"),
            Some("z"),
        ];
        let mut nodes = Vec::new();
        for name in ["n0", "n1", "n2"] {
            for k in values {
                for l in values {
                    let labels = [("k", k), ("l", l)].into_iter();
                    let labels = labels.filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
                    nodes.push((name, labels.collect()));
                }
            }
        }
        nodes
    }

    proptest! {
        #[test]
        fn the_conjunction_matches_what_both_match(own in any_selector(), a in any_selector(), b in any_selector()) {
            let all = own.and(&a, usize::MAX, &effort()).unwrap().and(&b, usize::MAX, &effort()).unwrap();
            for (name, labels) in nodes() {
                let wanted = own.matches(name, &labels) && a.matches(name, &labels) && b.matches(name, &labels);
                prop_assert_eq!(all.matches(name, &labels), wanted, "{} {:?}: {}", name, labels, all);
            }
            for part in [&own, &a, &b] {
                prop_assert_eq!(all.implies(part, &effort()), Some(true), "a second pinning would change it");
            }
            // The same nodes, though perhaps in other words: two NotIn of one label and one with both values are alike.
            let again = all.and(&a, usize::MAX, &effort()).unwrap();
            let same = again.implies(&all, &effort()).zip(all.implies(&again, &effort()));
            prop_assert_eq!(same, Some((true, true)), "{} is not {}", again, all);
            prop_assert_eq!(all.simplify(usize::MAX, &effort()).unwrap(), all);
        }

        #[test]
        fn the_union_matches_what_either_matches(a in any_selector(), b in any_selector()) {
            let any = NodeSelector::any_of([&a, &b]);
            let simple = any.simplify(usize::MAX, &effort()).unwrap();
            for (name, labels) in nodes() {
                let wanted = a.matches(name, &labels) || b.matches(name, &labels);
                prop_assert_eq!(any.matches(name, &labels), wanted);
                prop_assert_eq!(simple.matches(name, &labels), wanted, "{}", simple);
            }
        }

        #[test]
        fn implication_and_contradiction_are_exact(a in any_term(), b in any_term()) {
            let within = nodes().iter().all(|(name, labels)| !a.matches(name, labels) || b.matches(name, labels));
            prop_assert_eq!(a.implies(&b), within);
            let apart = !nodes().iter().any(|(name, labels)| a.matches(name, labels) && b.matches(name, labels));
            prop_assert_eq!(a.and(&b).is_none(), apart);
            prop_assert_eq!(NodeSelector::from(a).contradicts(&b.into(), &effort()), Some(apart));
        }
    }
}
