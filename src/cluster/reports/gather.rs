//! All reports that there should be, bounded together. Pure.

use super::super::judging::Judged;
use super::content::{Outcome, content, of_namespace, tallies};
use serde_json::Value;
use std::collections::BTreeMap;

/// Namespace and name of a report; the namespace is empty for one of the whole cluster.
pub(super) type Key = (String, String);

/// The name of the report that says what a namespace's reports leave out.
const OF_NAMESPACE: &str = "volgate-more";
/// The namespace in the metric of all those that have no series of their own. No namespace can have this name.
const OTHERS: &str = "_other";

/// How much there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Reports in a namespace.
    pub(super) in_namespace: usize,
    /// Their bytes.
    pub(super) bytes_in_namespace: usize,
    /// Reports in the cluster, besides one in each namespace that says what is left out.
    pub(super) all: usize,
    /// Their bytes.
    pub(super) bytes: usize,
    /// Series of the metric.
    pub(super) series: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { in_namespace: 200, bytes_in_namespace: 2 << 20, all: 5_000, bytes: 32 << 20, series: 2_000 }
    }
}

/// What was found so far, kind by kind.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    bounds: Bounds,
    /// Of the kinds whose lists are whole.
    settled: Part,
    /// Of the kind that is being listed.
    current: Part,
}

#[derive(Debug, Default)]
struct Part {
    reports: BTreeMap<Key, Value>,
    bytes: usize,
    namespaces: BTreeMap<String, OfNamespace>,
    judged: usize,
}

#[derive(Debug, Clone, Default)]
struct OfNamespace {
    reports: usize,
    bytes: usize,
    left_out: usize,
    findings: BTreeMap<(&'static str, Outcome), usize>,
}

/// One number of the metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) namespace: String,
    pub(super) rule: &'static str,
    pub(super) result: &'static str,
    pub(super) count: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// The reports.
    pub(super) reports: BTreeMap<Key, Value>,
    /// How many objects were judged.
    pub(super) judged: usize,
    /// How many with findings have no report.
    pub(super) left_out: usize,
    /// The findings by namespace and rule.
    pub(super) series: Vec<Series>,
}

impl Gathered {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// The list of a kind begins, or begins again: what was found since the last one ended is forgotten.
    pub(super) fn begin(&mut self) {
        self.current = Part::default();
    }

    /// The list of a kind is whole.
    pub(super) fn settle(&mut self) {
        let Part { reports, bytes, namespaces, judged } = std::mem::take(&mut self.current);
        self.settled.reports.extend(reports);
        self.settled.bytes += bytes;
        self.settled.judged += judged;
        for (name, of) in namespaces {
            let known = self.settled.namespaces.entry(name).or_default();
            known.reports += of.reports;
            known.bytes += of.bytes;
            known.left_out += of.left_out;
            for (key, count) in of.findings {
                *known.findings.entry(key).or_default() += count;
            }
        }
    }

    /// An object that was judged.
    pub(super) fn add(&mut self, judged: &Judged) {
        let Judged { object, verdict } = judged;
        self.current.judged += 1;
        let Some(content) = content(object, verdict) else { return };
        let text = |at| object.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let (namespace, uid) = (text("/metadata/namespace"), text("/metadata/uid"));
        let size = content.to_string().len();
        let has_room = self.has_room(namespace, size);
        let of = self.current.namespaces.entry(namespace.to_owned()).or_default();
        for tally in tallies(verdict) {
            *of.findings.entry(tally).or_default() += 1;
        }
        if !has_room {
            of.left_out += 1;
            return;
        }
        of.reports += 1;
        of.bytes += size;
        self.current.bytes += size;
        // Other engines name theirs after the uid alone.
        self.current.reports.insert((namespace.to_owned(), format!("volgate-{uid}")), content);
    }

    fn has_room(&self, namespace: &str, size: usize) -> bool {
        let (settled, current) = (&self.settled, &self.current);
        let in_namespace = [settled, current].into_iter().filter_map(|part| part.namespaces.get(namespace));
        let (mut reports, mut bytes) = (0, 0);
        for of in in_namespace {
            reports += of.reports;
            bytes += of.bytes;
        }
        reports < self.bounds.in_namespace
            && bytes + size <= self.bounds.bytes_in_namespace
            && settled.reports.len() + current.reports.len() < self.bounds.all
            && settled.bytes + current.bytes + size <= self.bounds.bytes
    }

    /// All that there should be.
    pub(super) fn end(mut self) -> Wanted {
        self.settle();
        let Part { mut reports, namespaces, judged, .. } = self.settled;
        for (name, of) in namespaces.iter().filter(|(_, of)| of.left_out > 0) {
            let key = (name.clone(), OF_NAMESPACE.to_owned());
            reports.insert(key, of_namespace(name, of.left_out));
        }
        let left_out = namespaces.values().map(|of| of.left_out).sum();
        Wanted { reports, judged, left_out, series: series(&namespaces, self.bounds.series) }
    }
}

/// The numbers of the namespaces with the most findings each, and of all others together.
fn series(namespaces: &BTreeMap<String, OfNamespace>, most: usize) -> Vec<Series> {
    let mut by_size: Vec<(usize, &String, &OfNamespace)> =
        namespaces.iter().map(|(name, of)| (of.findings.values().sum(), name, of)).collect();
    by_size.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let mut series = Vec::new();
    let mut others: BTreeMap<(&'static str, Outcome), usize> = BTreeMap::new();
    for (_, name, of) in by_size {
        if series.len() + of.findings.len() > most {
            for (key, count) in &of.findings {
                *others.entry(*key).or_default() += count;
            }
            continue;
        }
        series.extend(of.findings.iter().map(|((rule, outcome), count)| Series {
            namespace: name.clone(),
            rule,
            result: outcome.as_str(),
            count: *count,
        }));
    }
    series.extend(others.into_iter().map(|((rule, outcome), count)| Series {
        namespace: OTHERS.to_owned(),
        rule,
        result: outcome.as_str(),
        count,
    }));
    series
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FieldPath;
    use crate::verdict::{Action, Finding, Verdict};
    use serde_json::json;

    fn judged(namespace: &str, name: &str, rules: &[&'static str]) -> Judged {
        let finding = |rule: &&'static str| Finding {
            rule,
            action: Action::Deny,
            policy: "p".to_owned(),
            name: None,
            message: "m".to_owned(),
            help: None,
            field: FieldPath::root(),
            related: Vec::new(),
            excused: None,
            lost: None,
        };
        let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "uid": format!("{namespace}{name}")}});
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = json!(namespace);
        }
        let findings = rules.iter().map(finding).collect();
        Judged { object, verdict: Ok(Verdict { findings, ..Verdict::default() }) }
    }

    fn names(wanted: &Wanted) -> Vec<String> {
        wanted.reports.keys().map(|(namespace, name)| format!("{namespace}/{name}")).collect()
    }

    #[test]
    fn each_object_with_findings_has_a_report_and_a_list_that_begins_again_is_forgotten() {
        let mut gathered = Gathered::new(Bounds::default());
        gathered.begin();
        gathered.add(&judged("shop", "lost", &["a"]));
        gathered.begin();
        gathered.add(&judged("shop", "x", &["a", "a", "b"]));
        gathered.add(&judged("shop", "fine", &[]));
        gathered.settle();
        gathered.begin();
        gathered.add(&judged("", "v", &["a"]));
        let wanted = gathered.end();
        assert_eq!(names(&wanted), ["/volgate-v", "shop/volgate-shopx"]);
        assert_eq!((wanted.judged, wanted.left_out), (3, 0));
        let series: Vec<String> = wanted
            .series
            .iter()
            .map(|one| format!("{} {} {} {}", one.namespace, one.rule, one.result, one.count))
            .collect();
        assert_eq!(series, ["shop a fail 2", "shop b fail 1", " a fail 1"]);
    }

    #[test]
    fn a_namespace_with_too_much_takes_nothing_from_others_and_says_so() {
        let bounds = Bounds { in_namespace: 2, all: 4, ..Bounds::default() };
        let mut gathered = Gathered::new(bounds);
        for kind in 0..2 {
            gathered.begin();
            for number in 0..2 {
                gathered.add(&judged("loud", &format!("{kind}{number}"), &["a"]));
            }
            gathered.settle();
        }
        gathered.begin();
        gathered.add(&judged("calm", "x", &["a"]));
        gathered.add(&judged("late", "x", &["a"]));
        gathered.add(&judged("late", "y", &["a"]));
        let wanted = gathered.end();
        assert_eq!(
            names(&wanted),
            [
                "calm/volgate-calmx",
                "late/volgate-latex",
                "late/volgate-more",
                "loud/volgate-loud00",
                "loud/volgate-loud01",
                "loud/volgate-more"
            ]
        );
        assert_eq!(wanted.left_out, 3);
        let more = &wanted.reports[&("loud".to_owned(), "volgate-more".to_owned())];
        assert!(
            more["results"][0]["message"]
                .as_str()
                .unwrap()
                .starts_with("2 more objects with findings have no report")
        );
        assert_eq!(more["scope"], json!({"apiVersion": "v1", "kind": "Namespace", "name": "loud"}));
    }

    #[test]
    fn bytes_and_series_are_bounded_too() {
        let one = judged("a", "x", &["a"]);
        let size = content(&one.object, &one.verdict).unwrap().to_string().len();
        let mut gathered = Gathered::new(Bounds { bytes_in_namespace: size, series: 2, ..Bounds::default() });
        gathered.begin();
        for (namespace, name) in [("a", "x"), ("a", "y"), ("b", "x"), ("c", "x")] {
            gathered.add(&judged(namespace, name, &["a"]));
        }
        let wanted = gathered.end();
        assert_eq!(
            (wanted.reports.len(), wanted.left_out),
            (4, 1),
            "three, and one that says what is left out"
        );
        let series: Vec<(&str, usize)> =
            wanted.series.iter().map(|one| (&*one.namespace, one.count)).collect();
        assert_eq!(series, [("a", 2), ("b", 1), ("_other", 1)]);
    }
}
