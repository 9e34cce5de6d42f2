use super::support::{fits_any, one_of};
use crate::facts::{ClassFacts, ReclaimPolicy, Subject};
use crate::model::{FieldPath, fits, includes, overlap, shortened};
use crate::rule::{Concern, Context, NewFinding, NewFindings, PolicyFault, Reads, Rule, RuleKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::sync::Arc;

/// Restricts what a StorageClass may look like.
///
/// # Why it matters
/// A class decides for every claim that names it what becomes of the data when the claim goes, who makes the volume and
/// how: encrypted or not, replicated or not. None of that can be changed in a class that exists, and a volume keeps what
/// it was made with.
///
/// # What it checks
/// This rule judges StorageClass objects when they are made: their reclaim policy, their provisioner, their parameters.
///
/// # Example
/// ```yaml
/// - storageClass:
///     reclaimPolicy: Retain
///     provisioners: {allow: [ebs.csi.aws.com, local-path.volgate.dev]}
///     parameters:
///       - {name: encrypted, allow: ["true"], required: true, provisioners: [ebs.csi.aws.com]}
/// ```
/// Bad: a class without `reclaimPolicy`, which means `Delete`. Good: `reclaimPolicy: Retain`.
///
/// # Details
/// Values of parameters are case-sensitive. A class has no namespace: in `match`, use `objectSelector` where not every
/// class is meant.
///
/// # What it does not check
/// The rule does not look at claims: that is `claimClass`; nor at volumes that exist, nor at classes that do: the rule
/// `reclaimPolicy` finds a database whose class deletes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The reclaim policy that a class must have. One that names none has `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaim_policy: Option<WantedReclaim>,
    /// Who may make the volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioners: Option<Provisioners>,
    /// What the parameters may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub parameters: Vec<Parameter>,
}

/// What becomes of a volume when its claim goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WantedReclaim {
    /// It goes as well, with its data.
    Delete,
    /// It stays until an administrator acts.
    Retain,
}

impl WantedReclaim {
    fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Retain => "Retain",
        }
    }
}

/// Provisioners by name; `*` stands for any text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provisioners {
    /// Allowed provisioners. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1)))]
    pub allow: Vec<String>,
    /// Forbidden provisioners, which win over `allow`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1)))]
    pub deny: Vec<String>,
}

/// What one parameter may be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameter {
    /// Its name, such as `encrypted`.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The values that it may have, and no others; `*` stands for any text. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub allow: Vec<String>,
    /// The values that it may not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub deny: Vec<String>,
    /// Whether it must be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The provisioners whose classes are meant; `*` stands for any text. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1)))]
    pub provisioners: Vec<String>,
}

impl RuleKind for Params {
    const ID: &'static str = "storage-class";
    const FIELD: &'static str = "storageClass";

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        let provisioners = self.provisioners.as_ref();
        if provisioners.is_some_and(|lists| lists.allow.is_empty() && lists.deny.is_empty()) {
            faults.push(PolicyFault::new(at.key("provisioners"), "says nothing: write `allow` or `deny`"));
        } else if *self == Self::default() {
            let message = "says nothing: write `reclaimPolicy`, `provisioners` or `parameters`";
            faults.push(PolicyFault::new(at.clone(), message));
        }
        if let Some(lists) = provisioners {
            denied_faults(&lists.allow, &lists.deny, &at.key("provisioners"), faults);
        }
        for (index, parameter) in self.parameters.iter().enumerate() {
            let at = at.key("parameters").index(index);
            if parameter.allow.is_empty() && parameter.deny.is_empty() && !parameter.required {
                faults.push(PolicyFault::new(
                    at.clone(),
                    "says nothing: write `allow`, `deny` or `required: true`",
                ));
            }
            denied_faults(&parameter.allow, &parameter.deny, &at, faults);
        }
        Arc::new(StorageClass(self.clone()))
    }
}

/// Reports what is allowed and denied at once.
fn denied_faults(allow: &[String], deny: &[String], at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    for (index, pattern) in allow.iter().enumerate() {
        if let Some(denied) = deny.iter().find(|denied| includes(denied, pattern)) {
            let message = format!("{pattern:?} is allowed and, by {denied:?}, denied: take one of them out");
            faults.push(PolicyFault::new(at.key("allow").index(index), message));
        }
    }
}

#[derive(Debug)]
struct StorageClass(Params);

/// How much of a value a message shows.
const SHOWN: usize = 100;

impl Rule for StorageClass {
    fn reads(&self) -> &'static [Reads] {
        &[Reads::Classes]
    }

    fn finds(&self) -> Concern {
        Concern::default()
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        let Subject::Class(class) = &context.facts.subject else { return };
        findings.extend(self.reclaim(class));
        findings.extend(self.provisioner(class));
        for parameter in &self.0.parameters {
            findings.extend(judge_parameter(class, parameter));
        }
    }

    fn contradicts(&self, other: &dyn Any) -> Option<String> {
        let (ours, theirs) = (&self.0, &other.downcast_ref::<Self>()?.0);
        if let (Some(ours), Some(theirs)) = (ours.reclaim_policy, theirs.reclaim_policy)
            && ours != theirs
        {
            return Some(format!(
                "one wants reclaim policy {}, the other {}",
                theirs.as_str(),
                ours.as_str()
            ));
        }
        let allowed = |params: &'_ Params| {
            params.provisioners.as_ref().map(|lists| lists.allow.clone()).unwrap_or_default()
        };
        let (ours, theirs) = (allowed(ours), allowed(theirs));
        let apart = !ours.is_empty()
            && !theirs.is_empty()
            && !ours.iter().any(|a| theirs.iter().any(|b| overlap(a, b)));
        apart.then(|| {
            let (ours, theirs) = (one_of(&ours), one_of(&theirs));
            format!("one allows the provisioner {theirs}, the other {ours}, so that none is left")
        })
    }
}

impl StorageClass {
    fn reclaim(&self, class: &ClassFacts) -> Option<NewFinding> {
        let wanted = self.0.reclaim_policy?;
        let (has, means) = match class.reclaim {
            ReclaimPolicy::Delete => ("Delete", "a claim that is deleted takes its data along"),
            ReclaimPolicy::Retain => {
                ("Retain", "volumes stay when their claims go, and somebody has to remove them")
            }
            ReclaimPolicy::Recycle => ("Recycle", "a claim that is deleted takes its data along"),
        };
        if has == wanted.as_str() {
            return None;
        }
        let wanted = wanted.as_str();
        let message =
            format!("class {:?} has reclaim policy {has}: {means}; the policy wants {wanted}", class.name);
        let help =
            format!("write `reclaimPolicy: {wanted}`; a class that exists has to be deleted and made again");
        Some(NewFinding::new(FieldPath::root().key("reclaimPolicy"), message).help(help))
    }

    fn provisioner(&self, class: &ClassFacts) -> Option<NewFinding> {
        let lists = self.0.provisioners.as_ref()?;
        let provisioner = &class.provisioner;
        let why = if fits_any(&lists.deny, provisioner) {
            "which the policy denies"
        } else if !lists.allow.is_empty() && !fits_any(&lists.allow, provisioner) {
            "which the policy does not allow"
        } else {
            return None;
        };
        let shown = shortened(provisioner, SHOWN);
        let message = format!("class {:?} has volumes made by {shown:?}, {why}", class.name);
        let help = match lists.allow.is_empty() {
            true => "use another provisioner".to_owned(),
            false => format!("use {}", one_of(&lists.allow)),
        };
        Some(NewFinding::new(FieldPath::root().key("provisioner"), message).help(help))
    }
}

fn judge_parameter(class: &ClassFacts, wanted: &Parameter) -> Option<NewFinding> {
    let is_meant = wanted.provisioners.is_empty()
        || wanted.provisioners.iter().any(|pattern| fits(pattern, &class.provisioner));
    if !is_meant {
        return None;
    }
    let name = &wanted.name;
    let field = FieldPath::root().key("parameters").key(name.clone());
    let Some(value) = class.parameters.get(name) else {
        return wanted.required.then(|| {
            let message = format!("class {:?} has no parameter {name:?}, which the policy wants", class.name);
            let help = match wanted.allow.is_empty() {
                true => format!("set `{name}`"),
                false => format!(
                    "set `{name}` to {}",
                    one_of(wanted.allow.iter().map(|value| format!("{value:?}")))
                ),
            };
            NewFinding::new(field, message).help(help)
        });
    };
    let denied = fits_any(&wanted.deny, value);
    if !denied && (wanted.allow.is_empty() || fits_any(&wanted.allow, value)) {
        return None;
    }
    let shown = shortened(value, SHOWN);
    let message = format!("class {:?} has {name} {shown:?}, which the policy does not allow", class.name);
    let help = match wanted.allow.is_empty() {
        true => "use another value".to_owned(),
        false => format!("use {}", one_of(wanted.allow.iter().map(|value| format!("{value:?}")))),
    };
    Some(NewFinding::new(field, message).help(help))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, judge, judge_update, lines};
    use serde_json::{Value, json};

    fn class(more: Value) -> Value {
        let mut class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "c"},
                               "provisioner": "ebs.csi.aws.com"});
        class.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        class
    }

    fn found(params: Value, more: Value) -> Vec<String> {
        lines(&judge(json!([{"storageClass": params}]), &[], &class(more)))
    }

    #[track_caller]
    fn expect(found: &[String], field: &str, part: &str) {
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("Deny {field}: ")) && found[0].contains(part), "{found:?}");
    }

    #[test]
    fn the_reclaim_policy_is_as_wanted() {
        let retain = json!({"reclaimPolicy": "Retain"});
        expect(
            &found(retain.clone(), json!({})),
            "reclaimPolicy",
            "takes its data along; the policy wants Retain",
        );
        expect(
            &found(retain.clone(), json!({"reclaimPolicy": "Delete"})),
            "reclaimPolicy",
            "has reclaim policy Delete",
        );
        assert_eq!(found(retain.clone(), json!({"reclaimPolicy": "Retain"})), [""; 0]);
        assert_eq!(
            found(json!({"reclaimPolicy": "Delete"}), json!({})),
            [""; 0],
            "what it means that says nothing"
        );
        let rule = json!([{"storageClass": retain}]);
        let old = class(json!({}));
        let changed = class(json!({"allowVolumeExpansion": true}));
        assert_eq!(
            judge_update(rule.clone(), &[], &old, &changed).findings,
            [],
            "it cannot be changed any more"
        );
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "d"}, "spec": {}});
        assert_eq!(judge(rule, &[], &claim).findings, []);
    }

    #[test]
    fn provisioners_are_allowed_or_denied() {
        let allow = json!({"provisioners": {"allow": ["*.csi.aws.com"]}});
        assert_eq!(found(allow.clone(), json!({})), [""; 0]);
        expect(&found(allow, json!({"provisioner": "nfs.csi.k8s.io"})), "provisioner", "does not allow");
        let deny = json!({"provisioners": {"deny": ["ebs.*"]}});
        expect(&found(deny.clone(), json!({})), "provisioner", "which the policy denies");
        assert_eq!(found(deny, json!({"provisioner": "nfs.csi.k8s.io"})), [""; 0]);
    }

    #[test]
    fn parameters_are_held_to_their_values() {
        let encrypted = json!({"parameters": [
            {"name": "encrypted", "allow": ["true"], "required": true, "provisioners": ["ebs.csi.aws.com"]},
            {"name": "type", "deny": ["io*"]}]});
        let of = |parameters: Value| found(encrypted.clone(), json!({"parameters": parameters}));
        assert_eq!(of(json!({"encrypted": "true", "type": "gp3"})), [""; 0]);
        expect(&of(json!({"type": "gp3"})), "parameters.encrypted", "has no parameter");
        expect(&of(json!({"encrypted": "false"})), "parameters.encrypted", "has encrypted \"false\"");
        expect(&of(json!({"encrypted": "true", "type": "io2"})), "parameters.type", "\"io2\"");
        let other = json!({"provisioner": "nfs.csi.k8s.io", "parameters": {"type": "gp3"}});
        assert_eq!(found(encrypted.clone(), other), [""; 0], "another provisioner has no such parameter");
    }

    #[test]
    fn a_policy_that_says_nothing_or_two_things_is_refused() {
        let of = |params: Value| faults(json!([{"storageClass": params}]));
        assert!(of(json!({}))[0].contains("says nothing"));
        assert!(of(json!({"provisioners": {}}))[0].contains("says nothing"));
        assert!(of(json!({"parameters": [{"name": "a"}]}))[0].contains("says nothing"));
        assert!(
            of(json!({"provisioners": {"allow": ["a*"], "deny": ["a*"]}}))[0].contains("allowed and, by")
        );
        let two = |a: Value, b: Value| faults(json!([{"storageClass": a}, {"storageClass": b}])).len();
        assert_eq!(two(json!({"reclaimPolicy": "Retain"}), json!({"reclaimPolicy": "Delete"})), 1);
        let allow = |name: &str| json!({"provisioners": {"allow": [name]}});
        assert_eq!(two(allow("a.*"), allow("b.*")), 1);
        assert_eq!(two(allow("a.*"), allow("*.b")), 0);
    }
}
