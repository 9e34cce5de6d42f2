//! What a report says: the findings of one object, bounded in number and size. Pure.

use crate::facts::FactsFault;
use crate::model::shortened;
use crate::verdict::{Action, Finding, Verdict};
use serde_json::{Map, Value, json};

/// How many findings of an object its report has; one more result says how many are left out.
pub(super) const MOST_RESULTS: usize = 50;
/// The longest message and the longest advice, in characters.
const LONGEST_TEXT: usize = 1_000;
/// The longest path of a field and the longest name of a policy.
const LONGEST_NAME: usize = 253;
/// Who has found it, as readers of reports show it.
pub(super) const SOURCE: &str = "volgate";
/// The labels of every report; nothing without the first is ever changed or deleted.
pub(super) const LABELS: [(&str, &str); 3] = [
    ("app.kubernetes.io/managed-by", SOURCE),
    ("app.kubernetes.io/name", "volgate"),
    ("app.kubernetes.io/component", "reports"),
];
/// The rule of what cannot be judged, and the result of what is left out.
pub(super) const UNREADABLE: &str = "unreadable";
const LEFT_OUT: &str = "left-out";

/// What became of a rule's question, as reports have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Outcome {
    /// Refused when it is made again.
    Fail,
    /// It cannot be judged.
    Error,
    /// Worth knowing.
    Warn,
    /// An exception excuses it.
    Skip,
}

impl Outcome {
    pub(super) const ALL: [Self; 4] = [Self::Fail, Self::Error, Self::Warn, Self::Skip];

    /// Its name in a result, and in the metric.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Skip => "skip",
        }
    }

    fn of(finding: &Finding) -> Self {
        match (&finding.excused, finding.action) {
            (Some(_), _) => Self::Skip,
            (None, Action::Deny) => Self::Fail,
            (None, Action::Warn | Action::Audit) => Self::Warn,
        }
    }
}

/// The findings of an object by rule and outcome, in the order of the findings; none where nothing was found.
pub(super) fn tallies(verdict: &Result<Verdict, FactsFault>) -> Vec<(&'static str, Outcome)> {
    match verdict {
        Ok(verdict) => verdict.findings.iter().map(|finding| (finding.rule, Outcome::of(finding))).collect(),
        Err(_) => vec![(UNREADABLE, Outcome::Error)],
    }
}

/// The object that a report is about, with what was found in it: all of the report but its own name. None where nothing was found, and
/// of an object without a uid, which no API server has.
pub(super) fn content(object: &Value, verdict: &Result<Verdict, FactsFault>) -> Option<Value> {
    let found = tallies(verdict);
    let text = |at: &str| object.pointer(at).and_then(Value::as_str).filter(|text| !text.is_empty());
    let uid = text("/metadata/uid")?;
    if found.is_empty() {
        return None;
    }
    let (kind, api_version, name) = (text("/kind")?, text("/apiVersion")?, text("/metadata/name")?);
    let mut scope = json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid});
    if let (Some(namespace), Some(scope)) = (text("/metadata/namespace"), scope.as_object_mut()) {
        scope.insert("namespace".to_owned(), namespace.into());
    }
    let mut results: Vec<Value> = match verdict {
        Ok(verdict) => verdict.findings.iter().take(MOST_RESULTS).map(result).collect(),
        Err(fault) => vec![json!({
            "source": SOURCE, "policy": SOURCE, "rule": UNREADABLE, "category": CATEGORY,
            "result": Outcome::Error.as_str(), "severity": "medium", "scored": false,
            "message": format!("the object cannot be judged: {}", shortened(&fault.to_string(), LONGEST_TEXT)),
        })],
    };
    if let Some(more) = found.len().checked_sub(results.len()).filter(|more| *more > 0) {
        results.push(left_out(format!("{more} more findings of this object are left out")));
    }
    let owner = json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid});
    let mut content = body(&scope, &found, results);
    if let Some(content) = content.as_object_mut() {
        // The garbage collector takes the report away with its object, whether volgate runs or not.
        content.insert("ownerReferences".to_owned(), json!([owner]));
    }
    Some(content)
}

/// What a namespace's own report says when not all of its objects have one.
pub(super) fn of_namespace(namespace: &str, more: usize) -> Value {
    let scope = match namespace {
        "" => Value::Null,
        name => json!({"apiVersion": "v1", "kind": "Namespace", "name": name}),
    };
    let s = if more == 1 { "object with findings has" } else { "objects with findings have" };
    let text = format!(
        "{more} more {s} no report: there is a bound on their number and size; `volgate audit` shows all"
    );
    body(&scope, &[("", Outcome::Warn)], vec![left_out(text)])
}

const CATEGORY: &str = "Storage";

fn body(scope: &Value, found: &[(&str, Outcome)], results: Vec<Value>) -> Value {
    let mut summary: Map<String, Value> = Map::new();
    summary.insert("pass".to_owned(), 0.into());
    for outcome in Outcome::ALL {
        let count = found.iter().filter(|(_, of)| *of == outcome).count();
        summary.insert(outcome.as_str().to_owned(), count.into());
    }
    let mut body = json!({"summary": summary, "results": results});
    if let (Some(body), false) = (body.as_object_mut(), scope.is_null()) {
        body.insert("scope".to_owned(), scope.clone());
    }
    body
}

fn left_out(message: String) -> Value {
    json!({
        "source": SOURCE, "policy": SOURCE, "rule": LEFT_OUT, "category": CATEGORY,
        "result": Outcome::Warn.as_str(), "severity": "low", "scored": false, "message": message,
    })
}

fn result(finding: &Finding) -> Value {
    let outcome = Outcome::of(finding);
    let severity = match finding.action {
        Action::Deny => "high",
        Action::Warn => "medium",
        Action::Audit => "low",
    };
    let mut properties = json!({
        "action": finding.action.as_str(),
        "field": shortened(&finding.field.to_string(), LONGEST_NAME),
    });
    let further = [
        ("help", &finding.help, LONGEST_TEXT),
        ("name", &finding.name, LONGEST_NAME),
        ("excused", &finding.excused, LONGEST_TEXT),
    ];
    for (key, text, most) in further {
        if let (Some(properties), Some(text)) = (properties.as_object_mut(), text) {
            properties.insert(key.to_owned(), shortened(text, most).into());
        }
    }
    json!({
        "source": SOURCE, "policy": shortened(&finding.policy, LONGEST_NAME), "rule": finding.rule, "category": CATEGORY,
        "result": outcome.as_str(), "severity": severity, "scored": outcome == Outcome::Fail,
        "message": shortened(&finding.message, LONGEST_TEXT), "properties": properties,
    })
}

/// Whether a report that is stored says what is wanted: a server may have added fields of its own.
pub(super) fn says(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| stored.get(key).is_some_and(|found| says(found, value)))
        }
        (Value::Array(stored), Value::Array(wanted)) => {
            stored.len() == wanted.len()
                && stored.iter().zip(wanted).all(|(stored, wanted)| says(stored, wanted))
        }
        (stored, wanted) => stored == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FieldPath;

    fn finding(action: Action, excused: Option<&str>) -> Finding {
        Finding {
            rule: "durable-data",
            action,
            policy: "baseline".to_owned(),
            name: None,
            message: "m".repeat(3_000),
            help: Some("h".to_owned()),
            field: FieldPath::root(),
            related: Vec::new(),
            excused: excused.map(str::to_owned),
            lost: None,
        }
    }

    fn verdict(findings: Vec<Finding>) -> Result<Verdict, FactsFault> {
        Ok(Verdict { findings, ..Verdict::default() })
    }

    fn object() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop", "uid": "u"}})
    }

    #[test]
    fn a_report_names_its_object_and_counts_what_was_found() {
        assert_eq!(content(&object(), &verdict(Vec::new())), None, "nothing was found");
        let found = vec![
            finding(Action::Deny, None),
            finding(Action::Warn, None),
            finding(Action::Audit, None),
            finding(Action::Deny, Some("a cache")),
        ];
        let report = content(&object(), &verdict(found)).unwrap();
        assert_eq!(report["summary"], json!({"pass": 0, "fail": 1, "warn": 2, "error": 0, "skip": 1}));
        assert_eq!(report["scope"]["namespace"], "shop");
        let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u"}]);
        assert_eq!(report["ownerReferences"], owner);
        let results = report["results"].as_array().unwrap();
        let outcomes: Vec<&Value> = results.iter().map(|result| &result["result"]).collect();
        assert_eq!(outcomes, ["fail", "warn", "warn", "skip"]);
        assert_eq!(results[3]["properties"]["excused"], "a cache");
        assert_eq!(results[0]["message"].as_str().unwrap().chars().count(), LONGEST_TEXT);
    }

    #[test]
    fn a_report_is_bounded_and_says_what_it_leaves_out() {
        let report =
            content(&object(), &verdict(vec![finding(Action::Deny, None); MOST_RESULTS + 7])).unwrap();
        let results = report["results"].as_array().unwrap();
        assert_eq!(results.len(), MOST_RESULTS + 1);
        assert_eq!(results[MOST_RESULTS]["message"], "7 more findings of this object are left out");
        assert_eq!(report["summary"]["fail"], MOST_RESULTS + 7);
        assert!(report.to_string().len() < 200 * 1024);
        let exactly = content(&object(), &verdict(vec![finding(Action::Deny, None); MOST_RESULTS])).unwrap();
        assert_eq!(exactly["results"].as_array().unwrap().len(), MOST_RESULTS);
    }

    #[test]
    fn a_stored_report_says_the_same_with_further_fields_and_not_with_others() {
        let wanted = json!({"summary": {"fail": 1}, "results": [{"rule": "a"}]});
        let mut stored = json!({"summary": {"fail": 1}, "results": [{"rule": "a", "timestamp": {"seconds": 1}}], "metadata": {}});
        assert!(says(&stored, &wanted));
        stored["results"] = json!([{"rule": "a"}, {"rule": "b"}]);
        assert!(!says(&stored, &wanted), "a result that is gone");
        assert!(!says(&json!({"results": []}), &wanted));
    }
}
