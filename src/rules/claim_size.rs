use super::support::{best_fit, class_samples, quantity};
use crate::json::Node;
use crate::model::{FieldPath, Operation, Quantity};
use crate::rule::{Concern, Context, NewFinding, NewFindings, PolicyFault, Rule, RuleKind};
use crate::storage::{ClaimSite, ClaimSiteKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Limits the size that claims ask for.
///
/// # Why it matters
/// A claim of a thousand times the meant size is one letter away (`10Ti` for `10Gi`), cannot be made smaller again, and
/// on local storage it is a promise that no disk keeps.
///
/// # What it checks
/// This rule judges claims, a StatefulSet's volumeClaimTemplates and generic ephemeral volumes by
/// `resources.requests.storage`. `perClass` sets other bounds for some classes; a bound that it leaves out stays the
/// general one. An absent class is taken for the cluster's default where that is known. When a claim grows, its new size
/// is held against the maximum. It may always shrink, which Kubernetes admits to recover from an expansion that failed.
///
/// # Example
/// ```yaml
/// - claimSize: {min: 1Gi, max: 100Gi, perClass: {"archive-*": {max: 10Ti}}}
/// ```
/// Bad: `resources: {requests: {storage: 10Ti}}`. Good: `resources: {requests: {storage: 10Gi}}`.
///
/// # What it does not check
/// The rule looks at one claim at a time: the sum of all claims of a namespace is for a ResourceQuota. It does not
/// multiply a template by the replicas.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The least size, such as `1Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// The largest size, such as `100Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// Other bounds for some classes; `*` in a class stands for any text, and the closest pattern counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub per_class: BTreeMap<String, SizeBounds>,
}

/// The bounds for the claims of some classes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SizeBounds {
    /// The least size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// The largest size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
}

impl RuleKind for Params {
    const ID: &'static str = "claim-size";
    const FIELD: &'static str = "claimSize";

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        if self.min.is_none() && self.max.is_none() && self.per_class.is_empty() {
            faults.push(PolicyFault::new(at.clone(), "sets no bound: write `min`, `max` or `perClass`"));
        }
        let general = Bounds::read(self.min.as_deref(), self.max.as_deref(), at, faults);
        general.order_fault(at, faults);
        let per_class = self.per_class.iter().map(|(class, bounds)| {
            let at = at.key("perClass").key(class.clone());
            let own = Bounds::read(bounds.min.as_deref(), bounds.max.as_deref(), &at, faults);
            let whole = own.over(&general);
            if own != Bounds::default() {
                whole.order_fault(&at, faults);
            }
            (class.clone(), whole)
        });
        let per_class = per_class.collect();
        Arc::new(ClaimSize { general, per_class })
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Bounds {
    min: Option<Quantity>,
    max: Option<Quantity>,
}

impl Bounds {
    fn read(min: Option<&str>, max: Option<&str>, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Self {
        Self { min: quantity(min, &at.key("min"), faults), max: quantity(max, &at.key("max"), faults) }
    }

    /// These, and the general ones where these say nothing.
    fn over(&self, general: &Self) -> Self {
        Self {
            min: self.min.clone().or_else(|| general.min.clone()),
            max: self.max.clone().or_else(|| general.max.clone()),
        }
    }

    fn order_fault(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) {
        if let Some((min, max)) = self.min.as_ref().zip(self.max.as_ref()).filter(|(min, max)| min > max) {
            faults
                .push(PolicyFault::new(at.clone(), format!("admits no size: min {min} is above max {max}")));
        }
    }
}

#[derive(Debug)]
struct ClaimSize {
    general: Bounds,
    /// Complete: with the general bounds where a class has none of its own.
    per_class: BTreeMap<String, Bounds>,
}

impl Rule for ClaimSize {
    fn finds(&self) -> Concern {
        Concern::claim_sites()
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        findings.extend(context.facts.claim_sites().filter_map(|site| self.judge(context, &site)));
    }

    fn contradicts(&self, other: &dyn Any) -> Option<String> {
        let other = other.downcast_ref::<Self>()?;
        class_samples(&self.per_class, &other.per_class).find_map(|class| {
            let (ours, theirs) = (self.bounds(class.as_deref()), other.bounds(class.as_deref()));
            let above = |min: &Option<Quantity>, max: &Option<Quantity>| {
                let (min, max) = min.as_ref().zip(max.as_ref()).filter(|(min, max)| min > max)?;
                let scope = class.as_ref().map(|class| format!(" for class {class:?}")).unwrap_or_default();
                Some(format!("one wants at least {min}{scope}, the other at most {max}"))
            };
            above(&ours.min, &theirs.max).or_else(|| above(&theirs.min, &ours.max))
        })
    }
}

impl ClaimSize {
    fn bounds(&self, class: Option<&str>) -> &Bounds {
        class.and_then(|class| best_fit(&self.per_class, class)).unwrap_or(&self.general)
    }

    fn judge(&self, context: &Context<'_>, site: &ClaimSite<'_>) -> Option<NewFinding> {
        if site.unchanged().size {
            return None;
        }
        let class = site.spec.class_in_effect(context.lookup);
        let Bounds { min, max } = self.bounds(class.as_deref());
        let field = site.request_field();
        let allowed = match (min, max) {
            (Some(min), Some(max)) => format!("from {min} to {max}"),
            (Some(min), None) => format!("{min} or more"),
            (None, Some(max)) => format!("{max} or less"),
            (None, None) => return None,
        };
        let of_class = match class.as_deref() {
            Some(class) if !class.is_empty() => format!(" of class {class:?}"),
            _ => String::new(),
        };
        let help = format!("ask for {allowed} in `resources.requests.storage`");
        let Some(request) = &site.spec.request else {
            // An operator has a size of its own.
            if matches!(site.kind, ClaimSiteKind::Custom(_)) {
                return None;
            }
            let message = format!("asks for no size{of_class}, where the policy allows {allowed}");
            return Some(NewFinding::new(field, message).help(help));
        };
        // A claim that becomes smaller gets better, even when it stays too large: that is how one recovers from an
        // expansion for which there was no room.
        if context.review.old.and_then(|old| requested(old, &field)).is_some_and(|old| *request < old) {
            return None;
        }
        if let Some(max) = max.as_ref().filter(|max| request > max) {
            let message = format!(
                "asks for {request}{of_class}: the most is {max}, and a claim cannot be made smaller later"
            );
            return Some(NewFinding::new(field, message).help(help));
        }
        // A claim that is too small and grows gets better, even when it stays too small.
        let min =
            min.as_ref().filter(|min| request < min && context.review.operation != Operation::Update)?;
        let message = format!("asks for {request}{of_class}: the least is {min}");
        Some(NewFinding::new(field, message).help(help))
    }
}

/// The size that stands at a field.
fn requested(object: Node<'_>, field: &FieldPath) -> Option<Quantity> {
    Quantity::parse(object.at(field)?.as_str()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, judge, judge_update, lines, policy};
    use serde_json::{Value, json};

    fn rule() -> Value {
        json!([{"claimSize": {"min": "1Gi", "max": "100Gi", "perClass": {
            "archive-*": {"max": "10Ti"}, "archive-small": {"min": "1Mi", "max": "1Gi"}, "": {"max": "5Gi"}}}}])
    }

    fn claim(class: Value, size: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"},
               "spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}}})
    }

    fn found(context: &[Value], class: Value, size: Value) -> Vec<String> {
        lines(&judge(rule(), context, &claim(class, size)))
    }

    #[test]
    fn a_claim_may_always_shrink() {
        let update = |old: &str, new: &str| {
            let [old, new] = [old, new].map(|size| claim(json!("fast"), json!(size)));
            lines(&judge_update(rule(), &[], &old, &new))
        };
        assert_eq!(update("200Gi", "160Gi"), [""; 0], "to recover from an expansion that failed");
        assert_eq!(update("200Gi", "201Gi").len(), 1);
        assert_eq!(update("50Gi", "101Gi").len(), 1);
    }

    #[test]
    fn bounds_include_their_ends() {
        for size in ["1Gi", "1024Mi", "100Gi"] {
            assert_eq!(found(&[], json!("fast"), json!(size)), [""; 0], "{size}");
        }
        let field = "Deny spec.resources.requests.storage: ";
        let large = found(&[], json!("fast"), json!("101Gi"));
        assert!(
            large[0].starts_with(field) && large[0].contains("101Gi of class \"fast\": the most is 100Gi")
        );
        let small = found(&[], json!("fast"), json!("1Gi".replace("Gi", "G")));
        assert!(small[0].starts_with(field) && small[0].contains("the least is 1Gi"), "{small:?}");
    }

    #[test]
    fn a_class_has_its_own_bounds_and_keeps_the_others() {
        assert_eq!(found(&[], json!("archive-1"), json!("10Ti")), [""; 0]);
        assert_eq!(found(&[], json!("archive-1"), json!("1Mi")).len(), 1, "the general minimum stays");
        assert_eq!(found(&[], json!("archive-small"), json!("1Mi")), [""; 0]);
        assert_eq!(found(&[], json!(""), json!("6Gi")).len(), 1);
        let default = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {
            "name": "archive-1", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}});
        assert_eq!(found(&[default], Value::Null, json!("10Ti")), [""; 0]);
        assert_eq!(found(&[], Value::Null, json!("10Ti")).len(), 1, "no default is known");
    }

    #[test]
    fn no_request_is_no_size() {
        let found = found(&[], json!("fast"), Value::Null);
        assert_eq!(
            found,
            [
                "Deny spec.resources.requests.storage: asks for no size of class \"fast\", where the policy allows from 1Gi to \
                 100Gi"
            ]
        );
    }

    #[test]
    fn growth_is_judged_and_nothing_else_of_an_update() {
        let grow = |from: &str, to: &str| {
            let (old, new) = (claim(json!("fast"), json!(from)), claim(json!("fast"), json!(to)));
            judge_update(rule(), &[], &old, &new).findings.len()
        };
        assert_eq!(grow("50Gi", "200Gi"), 1);
        assert_eq!(grow("50Gi", "60Gi"), 0);
        assert_eq!(grow("200Gi", "200Gi"), 0, "it was there before the policy");
        assert_eq!(grow("1Mi", "2Mi"), 0, "still too small, but better");
    }

    #[test]
    fn a_policy_must_admit_a_size() {
        let of = |params: Value| faults(json!([{"claimSize": params}]));
        assert!(of(json!({}))[0].contains("sets no bound"));
        assert!(
            of(json!({"max": "10GB"}))[0]
                .starts_with("spec.rules[0].claimSize.max: \"10GB\" is not a quantity")
        );
        assert!(of(json!({"min": "2Gi", "max": "1Gi"}))[0].contains("min 2Gi is above max 1Gi"));
        let inner = of(json!({"min": "2Gi", "perClass": {"a": {"max": "1Gi"}, "b*c": {}}}));
        assert!(inner[0].starts_with("spec.rules[0].claimSize.perClass.a: admits no size"), "{inner:?}");
        assert_eq!(inner.len(), 1, "`*` may stand anywhere");
    }

    #[test]
    fn policies_without_a_common_size_contradict() {
        let rule = |params: Value| {
            policy(json!([{"claimSize": params}])).unwrap().policies()[0].rules[0].rule.clone()
        };
        let contradict = |a: Value, b: Value| rule(a).contradicts(&*rule(b));
        assert!(contradict(json!({"min": "2Gi"}), json!({"max": "1Gi"})).is_some());
        assert!(contradict(json!({"max": "1Gi"}), json!({"min": "2Gi"})).is_some());
        assert!(contradict(json!({"min": "1Gi"}), json!({"max": "1Gi"})).is_none());
        let inner = contradict(json!({"perClass": {"a-*": {"min": "2Gi"}}}), json!({"max": "1Gi"})).unwrap();
        assert!(inner.contains("for class \"a-\""), "{inner}");
    }
}
