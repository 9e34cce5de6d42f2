use super::compile::CompiledPolicy;
use super::parts::part_faults;
use super::schema::{API_VERSION, KIND, StoragePolicy, schema};
use super::way_out::{self, short};
use crate::model::{FieldPath, Segment, did_you_mean_code};
use crate::rule::PolicyFault;
use crate::schema::{Problem, Violation, violations};
use serde::Deserialize;
use serde_json::Value;
use std::sync::LazyLock;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| schema().to_value());

/// Reads and compiles one policy.
///
/// # Errors
/// Every fault that it has, in the order of the fields: unknown fields, wrong types, bad selectors, bad CEL, bad
/// quantities.
pub fn load(value: &Value) -> Result<CompiledPolicy, Vec<PolicyFault>> {
    if !value.is_object() {
        return Err(vec![PolicyFault::new(
            FieldPath::root(),
            format!("must be a map, not {}", short(value)),
        )]);
    }
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("kind") != KIND {
        let mut message = format!("is not a policy: kind is {:?}, and a policy's is {KIND}", text("kind"));
        if let Some(what) = for_another_engine(text("apiVersion")) {
            message.push_str(&format!("; this one is {what}"));
        }
        return Err(vec![PolicyFault::new(FieldPath::root().key("kind"), message)]);
    }
    if text("apiVersion") != API_VERSION {
        let message = format!("unknown version {:?}: write {API_VERSION}", text("apiVersion"));
        return Err(vec![PolicyFault::new(FieldPath::root().key("apiVersion"), message)]);
    }
    let mut faults: Vec<PolicyFault> = Vec::new();
    if value.pointer("/metadata/namespace").is_some_and(|namespace| !namespace.is_null()) {
        let message =
            "a policy belongs to no namespace: name those that it is about in `spec.match.namespaces`";
        faults.push(PolicyFault::new(FieldPath::root().key("metadata").key("namespace"), message));
    }
    faults.extend(beside_spec(value, &SCHEMA));
    for violation in violations(value, &SCHEMA) {
        explain(&violation, &SCHEMA, &mut faults);
    }
    let mut unread = None;
    if faults.is_empty() {
        match serde_json::from_value::<StoragePolicy>(value.clone()) {
            Ok(policy) => return CompiledPolicy::compile(&policy).map_err(in_order),
            Err(error) => unread = Some(PolicyFault::new(FieldPath::root(), error.to_string())),
        }
    }
    // What the schema has nothing against may have faults of its own: all of them are told at once.
    let broken: Vec<FieldPath> = faults.iter().map(|fault| fault.path.clone()).collect();
    part_faults(value, &broken, &mut faults);
    if faults.is_empty() {
        faults.extend(unread);
    }
    Err(in_order(faults))
}

/// The same of a policy that is part of volgate: a test holds it against the schema, which takes longer to make than a small run.
pub(super) fn load_own(value: &Value) -> Result<CompiledPolicy, Vec<PolicyFault>> {
    let unread = |error: serde_json::Error| vec![PolicyFault::new(FieldPath::root(), error.to_string())];
    StoragePolicy::deserialize(value).map_err(unread).and_then(|policy| CompiledPolicy::compile(&policy))
}

/// Fields of the object that no API server keeps: what stands beside `spec` has no effect.
fn beside_spec(policy: &Value, schema: &Value) -> Vec<PolicyFault> {
    let fields = policy.as_object().into_iter().flat_map(|fields| fields.keys());
    let unknown = fields.filter(|field| !TOP.contains(&field.as_str())).take(MOST_PLACED);
    let fault = |field: &String| {
        let hint =
            match (did_you_mean_code(field, &TOP), way_out::elsewhere(schema, field, &FieldPath::root())) {
                (_, Some(place)) => format!("it belongs in {place}"),
                (Some(meant), None) => meant,
                (None, None) => "all that a policy says stands in `spec`".to_owned(),
            };
        PolicyFault::new(FieldPath::root().key(field.clone()), format!("unknown field `{field}`: {hint}"))
    };
    unknown.map(fault).collect()
}

/// What is wrong with a value of another kind by its schema, in the words that are used of policies.
pub(crate) fn schema_faults(value: &Value, schema: &Value) -> Vec<PolicyFault> {
    let mut faults = Vec::new();
    violations(value, schema).iter().for_each(|violation| explain(violation, schema, &mut faults));
    in_order(faults)
}

/// What a policy of that API version is for, when it is not volgate, and what to do with it.
pub fn for_another_engine(api_version: &str) -> Option<String> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let (engine, is_translated) = match group {
        "kyverno.io" | "policies.kyverno.io" => ("Kyverno", true),
        "constraints.gatekeeper.sh" => ("Gatekeeper", true),
        "templates.gatekeeper.sh" | "config.gatekeeper.sh" => ("Gatekeeper", false),
        "policies.kubewarden.io" => ("Kubewarden", false),
        _ => return None,
    };
    let way_out = if is_translated { ": `volgate policy from` translates what it can say" } else { "" };
    Some(format!("for {engine}, and volgate reads none of it{way_out}"))
}

fn in_order(mut faults: Vec<PolicyFault>) -> Vec<PolicyFault> {
    faults.sort();
    faults.dedup();
    faults
}

/// The fields of a policy as an object.
const TOP: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
/// Of how many misplaced fields it is said where they belong: each takes a walk through the schema.
const MOST_PLACED: usize = 64;

/// Puts what breaks a schema into words that name the field and the way out.
fn explain(violation: &Violation<'_>, schema: &Value, faults: &mut Vec<PolicyFault>) {
    let Violation { path, found, schema: part, problem } = violation;
    let mut fault = |message: String| faults.push(PolicyFault::new(path.clone(), message));
    match problem {
        Problem::Unknown(unknown) => {
            let known = way_out::fields(part);
            for field in unknown {
                let (what, these) = match is_rule_entry(path) {
                    true => ("rule", "rules"),
                    false => ("field", "fields here"),
                };
                let elsewhere =
                    (faults.len() < MOST_PLACED).then(|| way_out::elsewhere(schema, field, path)).flatten();
                let hint = match did_you_mean_code(field, &known) {
                    _ if *field == "action" && path.parent().is_some_and(|above| is_rule_entry(&above)) => {
                        let rule = path.segments().last().map_or_else(String::new, name_of);
                        format!(
                            "an action stands beside the rule: `- {rule}: {{…}}` and, indented like `{rule}`, `action: …`"
                        )
                    }
                    _ if let Some(place) = &elsewhere => format!("it belongs in {place}"),
                    Some(meant) => meant,
                    None if known.is_empty() => "there are no fields here".to_owned(),
                    None => {
                        let known: Vec<&str> = known
                            .iter()
                            .copied()
                            .filter(|name| what != "rule" || !matches!(*name, "action" | "message"))
                            .collect();
                        format!("the {these} are {}", known.join(", "))
                    }
                };
                faults.push(PolicyFault::new(
                    path.key((*field).to_owned()),
                    format!("unknown {what} `{field}`: {hint}"),
                ));
            }
        }
        Problem::Missing(name) => {
            let mut message = format!("the field `{name}` is missing");
            let below = part.get("properties").and_then(|properties| properties.get(name));
            let inside = below.map(way_out::fields).unwrap_or_default();
            if let Some(inner) = inside.iter().find(|inner| found.get(**inner).is_some()) {
                message.push_str(&format!(": `{inner}` belongs in it"));
            }
            fault(message);
        }
        Problem::Type(types) => {
            let way_out = way_out::of_type(found, part);
            fault(format!("must be of type {}, not {}{way_out}", types.join(" or "), short(found)));
        }
        Problem::NoneOf(options) => {
            let options: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
            fault(format!("must be one of {}, not {}", options.join(", "), short(found)));
        }
        Problem::Pattern(pattern) => fault(format!("must match {pattern}, and {} does not", short(found))),
        Problem::FewItems(1) => fault("must have at least one item".to_owned()),
        Problem::FewItems(least) => fault(format!("must have at least {least} items")),
        Problem::ManyItems(most) => fault(format!("must have at most {most} items")),
        Problem::Short(1) => fault("must not be empty".to_owned()),
        Problem::Short(least) => fault(format!("must have at least {least} characters")),
        Problem::Long(most) => fault(format!("must have at most {most} characters")),
        Problem::Low(least) => fault(format!("must be at least {least}, not {}", short(found))),
        Problem::High(most) => fault(format!("must be at most {most}, not {}", short(found))),
    }
}

/// Whether that is the place of one entry of `spec.rules`.
fn is_rule_entry(path: &FieldPath) -> bool {
    match path.segments() {
        [Segment::Key(spec), Segment::Key(rules), Segment::Index(_)] => spec == "spec" && rules == "rules",
        _ => false,
    }
}

fn name_of(segment: &Segment) -> String {
    match segment {
        Segment::Key(key) => key.to_string(),
        Segment::Index(index) => index.to_string(),
    }
}

#[cfg(test)]
mod tests;
