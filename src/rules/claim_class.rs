use super::support::{fits_any, one_of};
use crate::facts::ClassName;
use crate::lookup::LookupKind;
use crate::model::{FieldPath, did_you_mean, includes, overlap, yes};
use crate::rule::{Concern, Context, NewFinding, NewFindings, PolicyFault, Rule, RuleKind};
use crate::storage::{ClaimSite, ClaimSiteKind};
use crate::verdict::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::sync::Arc;

/// Restricts which storage classes claims may ask for.
///
/// # Why it matters
/// The class decides what a volume costs, where it can be used from and what becomes of it.
///
/// # What it checks
/// This rule judges claims, a StatefulSet's volumeClaimTemplates and generic ephemeral volumes, where a refused class
/// would otherwise show only when the pods do not come up. A class has three states. A name must fit `allow` and not
/// `deny`. An absent class is judged as the cluster's default; where that is not known, as in CI without a cluster, an
/// `allow` list makes it a warning. `""` asks for a volume without a class, made by hand: `allowNone` decides. The legacy
/// annotation `volume.beta.kubernetes.io/storage-class` counts and wins over the field, as it does in Kubernetes.
///
/// # Example
/// ```yaml
/// - claimClass: {allow: [local-path, "fast-*"]}
/// ```
/// Bad: `storageClassName: fsat-ssd`, which no cluster has: the claim stays Pending forever.
/// Good: `storageClassName: fast-ssd`.
///
/// # Details
/// With `requireName` every claim has to say which class it means, since the default is another tomorrow or in the next
/// cluster. Where a cluster has a default, the API server writes it into a claim before volgate is asked: there the
/// templates of workloads are refused, and in CI the claims as well.
///
/// # What it does not check
/// `mustExist` says nothing if not all classes are known, or for a class that only volumes made by hand have: such a
/// class needs no object. The rule does not look at the class of the volume that a claim is bound to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The classes that may be asked for; `*` stands for any text. Empty: every class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Forbidden classes, which win over `allow`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// Whether the class must exist, and a default where none is named.
    #[serde(default = "yes")]
    pub must_exist: bool,
    /// Whether each claim must name its class, or say `""`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_name: bool,
    /// Whether `""` may be asked for. Default: only where `allow` is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_none: Option<bool>,
}

impl RuleKind for Params {
    const ID: &'static str = "claim-class";
    const FIELD: &'static str = "claimClass";

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        for (field, patterns) in [("allow", &self.allow), ("deny", &self.deny)] {
            let at = at.key(field);
            if let Some(index) = patterns.iter().position(String::is_empty) {
                let message = "must name a class; for claims with the class \"\" there is `allowNone`";
                faults.push(PolicyFault::new(at.index(index), message));
            }
        }
        for (index, pattern) in self.allow.iter().enumerate() {
            if let Some(denied) = self.deny.iter().find(|denied| includes(denied, pattern)) {
                let message =
                    format!("{pattern:?} is allowed and, by {denied:?}, denied: take one of them out");
                faults.push(PolicyFault::new(at.key("allow").index(index), message));
            }
        }
        Arc::new(ClaimClass(self.clone()))
    }
}

impl Params {
    fn allows_none(&self) -> bool {
        self.allow_none.unwrap_or(self.allow.is_empty())
    }
}

#[derive(Debug)]
struct ClaimClass(Params);

impl Rule for ClaimClass {
    fn finds(&self) -> Concern {
        Concern::claim_sites()
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        findings.extend(context.facts.claim_sites().filter_map(|site| self.judge(context, &site)));
    }

    fn contradicts(&self, other: &dyn Any) -> Option<String> {
        let other = &other.downcast_ref::<Self>()?.0;
        let ours = &self.0;
        let none_is_left = |allow: &[String], deny: &[String]| {
            !allow.is_empty() && allow.iter().all(|class| deny.iter().any(|denied| includes(denied, class)))
        };
        let apart = !ours.allow.is_empty()
            && !other.allow.is_empty()
            && !ours.allow.iter().any(|a| other.allow.iter().any(|b| overlap(a, b)));
        if ours.allows_none() && other.allows_none() {
            return None;
        }
        if apart {
            return Some(format!(
                "one allows the class {}, the other {}, so that none is left",
                one_of(&other.allow),
                one_of(&ours.allow)
            ));
        }
        (none_is_left(&ours.allow, &other.deny) || none_is_left(&other.allow, &ours.deny))
            .then(|| "one denies every class that the other allows".to_owned())
    }
}

impl ClaimClass {
    fn judge(&self, context: &Context<'_>, site: &ClaimSite<'_>) -> Option<NewFinding> {
        if site.unchanged().class {
            return None;
        }
        let field = site.class_field();
        match &site.spec.class {
            ClassName::Named(class) => {
                if let Some(why) = self.refuses(class) {
                    return Some(
                        NewFinding::new(field, format!("asks for class {class:?}, {why}"))
                            .help(self.allowed()),
                    );
                }
                self.misses(context, site, class).then(|| {
                    let message =
                        format!("asks for class {class:?}, which does not exist: the claim stays Pending");
                    NewFinding::new(field, message).help(self.instead(context, class))
                })
            }
            ClassName::Empty => (!self.0.allows_none()).then(|| {
                let message = "asks for a volume without a class (`\"\"`), which the policy does not allow";
                NewFinding::new(field, message).help(self.allowed())
            }),
            ClassName::Absent => self.judge_absent(context, site, field),
        }
    }

    fn judge_absent(
        &self,
        context: &Context<'_>,
        site: &ClaimSite<'_>,
        field: FieldPath,
    ) -> Option<NewFinding> {
        let default = context.lookup.default_class();
        // A claim gets the default's name from the API server, a template does not.
        let is_named = default.is_some() && matches!(site.kind, ClaimSiteKind::Claim);
        if self.0.require_name && !is_named {
            let message = "names no class, which the policy wants of every claim";
            return Some(NewFinding::new(field, message).help(self.allowed()));
        }
        // A custom resource is not changed, and the claims that its operator makes of it may still be given a class.
        if context.facts.custom.is_some() {
            return None;
        }
        if let Some(default) = default {
            let class = &default.name;
            let why = self.refuses(class)?;
            let message = format!("names no class, and the cluster's default is {class:?}, {why}");
            return Some(NewFinding::new(field, message).help(self.allowed()));
        }
        if context.lookup.knows_all(LookupKind::Class) {
            return self.0.must_exist.then(|| {
                let message = "names no class, and the cluster has no default: the claim stays Pending";
                NewFinding::new(field, message).help(self.allowed())
            });
        }
        (!self.0.allow.is_empty()).then(|| {
            let message =
                "names no class, and whether the policy allows the cluster's default is not known here";
            NewFinding::new(field, message).help(self.allowed()).at_most(Action::Warn)
        })
    }

    /// Why a class may not be asked for, as the end of a sentence.
    fn refuses(&self, class: &str) -> Option<&'static str> {
        if fits_any(&self.0.deny, class) {
            return Some("which the policy denies");
        }
        let allowed = self.0.allow.is_empty() || fits_any(&self.0.allow, class);
        (!allowed).then_some("which the policy does not allow")
    }

    /// Whether a class is sure not to exist where it would have to.
    fn misses(&self, context: &Context<'_>, site: &ClaimSite<'_>, class: &str) -> bool {
        let lookup = context.lookup;
        self.0.must_exist
            && lookup.class(class).is_none()
            && lookup.knows_all(LookupKind::Class)
            // Volumes made by hand may have a class that has no object.
            && site.spec.volume_name.is_none()
            && lookup.knows_all(LookupKind::Volume)
            && lookup.available(class).count == 0
    }

    fn instead(&self, context: &Context<'_>, class: &str) -> String {
        // An allowed class that exists and is written nearly the same.
        let existing =
            self.0.allow.iter().map(String::as_str).filter(|name| context.lookup.class(name).is_some());
        did_you_mean(class, &existing.collect::<Vec<_>>()).unwrap_or_else(|| {
            "write the name of a class of this cluster (`kubectl get storageclass` lists them)".to_owned()
        })
    }

    fn allowed(&self) -> String {
        match self.0.allow.as_slice() {
            [] if self.0.deny.is_empty() => "set `storageClassName` to a class of the cluster".to_owned(),
            [] => "set `storageClassName` to another class".to_owned(),
            allow => format!("set `storageClassName` to {}", one_of(allow)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, judge, lines, policy};
    use crate::engine::Engine;
    use crate::lookup::MapLookup;
    use crate::rule::Review;
    use serde_json::{Value, json};

    fn claim(spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": spec})
    }

    fn named(class: &str) -> Value {
        claim(json!({"storageClassName": class}))
    }

    fn class(name: &str, default: &str) -> Value {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "x", "metadata": {
            "name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": default}}})
    }

    fn found(params: Value, context: &[Value], object: &Value) -> Vec<String> {
        lines(&judge(json!([{"claimClass": params}]), context, object))
    }

    #[test]
    fn names_are_held_against_both_lists() {
        let params = json!({"allow": ["local-path", "fast-*"], "deny": ["fast-old"], "mustExist": false});
        assert_eq!(found(params.clone(), &[], &named("local-path")), [""; 0]);
        assert_eq!(found(params.clone(), &[], &named("fast-ssd")), [""; 0]);
        for name in ["fast-old", "slow", "local-path-2"] {
            let lines = found(params.clone(), &[], &named(name));
            assert!(lines[0].starts_with("Deny spec.storageClassName: asks for class"), "{name}: {lines:?}");
        }
    }

    #[test]
    fn the_legacy_annotation_wins() {
        let mut object = named("local-path");
        object["metadata"]["annotations"] = json!({"volume.beta.kubernetes.io/storage-class": "slow"});
        let lines = found(json!({"allow": ["local-path"]}), &[], &object);
        assert!(
            lines[0].starts_with("Deny metadata.annotations[\"volume.beta.kubernetes.io/storage-class\"]: "),
            "{lines:?}"
        );
    }

    #[test]
    fn no_class_is_a_state_of_its_own() {
        let of = |params: Value| found(params, &[], &named("")).len();
        assert_eq!(of(json!({"allow": ["a"]})), 1);
        assert_eq!(of(json!({"allow": ["a"], "allowNone": true})), 0);
        assert_eq!(of(json!({"deny": ["a"]})), 0);
        assert_eq!(of(json!({"allowNone": false})), 1);
    }

    #[test]
    fn an_absent_class_is_the_clusters_default() {
        let of = |context: &[Value], params: Value| found(params, context, &claim(json!({})));
        let refused = of(&[class("gp2", "true")], json!({"allow": ["local-path"]}));
        assert!(
            refused[0].starts_with(
                "Deny spec.storageClassName: names no class, and the cluster's default is \"gp2\""
            )
        );
        assert_eq!(of(&[class("gp2", "true")], json!({"allow": ["gp2"]})), [""; 0]);
        assert!(of(&[class("gp2", "false")], json!({}))[0].contains("has no default"));
        assert_eq!(of(&[], json!({"mustExist": false})), [""; 0]);
    }

    #[test]
    fn a_class_must_be_named_where_nobody_else_names_it() {
        let params = json!({"requireName": true, "mustExist": false});
        let of = |context: &[Value], object: &Value| found(params.clone(), context, object);
        let wanted = "names no class, which the policy wants of every claim";
        assert!(of(&[], &claim(json!({})))[0].contains(wanted));
        assert_eq!(of(&[], &named("a")), [""; 0]);
        assert_eq!(of(&[], &named("")), [""; 0]);
        let default = [class("gp2", "true")];
        assert_eq!(of(&default, &claim(json!({}))), [""; 0], "the API server names it");
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {
            "template": {"spec": {"containers": []}},
            "volumeClaimTemplates": [{"metadata": {"name": "a"}, "spec": {}}]}});
        assert!(of(&default, &set)[0].contains(wanted));
        let defaulted = json!([{"claimClass": params}, {"defaultClass": {"name": "local-path"}}]);
        assert_eq!(lines(&judge(defaulted, &[], &set)), [""; 0], "another rule names it");
    }

    #[test]
    fn what_is_not_known_is_no_denial() {
        let of = |params: Value, object: &Value| {
            let policies = policy(json!([{"claimClass": params}])).unwrap();
            let lookup = MapLookup::default();
            let engine =
                Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 1, 1) };
            lines(&engine.mutate_and_check(&Review::create(object)).unwrap())
        };
        assert!(
            of(json!({"allow": ["a"]}), &claim(json!({})))[0].starts_with("Warn spec.storageClassName: ")
        );
        assert_eq!(of(json!({"deny": ["a"]}), &claim(json!({}))), [""; 0]);
        assert_eq!(of(json!({}), &named("whatever")), [""; 0]);
    }

    #[test]
    fn a_class_must_exist_unless_volumes_are_made_by_hand() {
        let verdict = judge(
            json!([{"claimClass": {"allow": ["fast-*", "fast-ssd"]}}]),
            &[class("fast-ssd", "false")],
            &named("fast-sdd"),
        );
        assert!(verdict.findings[0].message.contains("does not exist"), "{verdict:?}");
        assert_eq!(verdict.findings[0].help.as_deref(), Some("did you mean fast-ssd?"));
        assert_eq!(found(json!({}), &[class("fast-ssd", "false")], &named("fast-ssd")), [""; 0]);
        let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"},
                            "spec": {"storageClassName": "manual"}});
        assert_eq!(found(json!({}), &[volume], &named("manual")), [""; 0]);
        let bound = claim(json!({"storageClassName": "manual", "volumeName": "pv"}));
        assert_eq!(found(json!({}), &[], &bound), [""; 0]);
        assert_eq!(found(json!({"mustExist": false}), &[], &named("nowhere")), [""; 0]);
    }

    #[test]
    fn templates_are_judged_where_they_stand() {
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {
            "template": {"spec": {"containers": [], "volumes": [
                {"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "b"}}}}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "a"}, "spec": {"storageClassName": "b"}}]}});
        let verdict = judge(json!([{"claimClass": {"deny": ["b"]}}]), &[], &set);
        let fields: Vec<String> = verdict.findings.iter().map(|f| f.field.to_string()).collect();
        assert_eq!(
            fields,
            [
                "spec.template.spec.volumes[0].ephemeral.volumeClaimTemplate.spec.storageClassName",
                "spec.volumeClaimTemplates[0].spec.storageClassName",
            ]
        );
    }

    #[test]
    fn policies_that_leave_no_class_contradict() {
        let rule = |params: Value| {
            policy(json!([{"claimClass": params}])).unwrap().policies()[0].rules[0].rule.clone()
        };
        let contradict = |a: Value, b: Value| rule(a).contradicts(&*rule(b)).is_some();
        assert!(contradict(json!({"allow": ["a"]}), json!({"allow": ["b"]})));
        assert!(contradict(json!({"allow": ["a*"]}), json!({"deny": ["a*"]})));
        assert!(contradict(json!({"deny": ["*"]}), json!({"allow": ["a"]})));
        assert!(!contradict(json!({"allow": ["a*"]}), json!({"allow": ["ab", "c"]})));
        assert!(!contradict(
            json!({"allow": ["a"], "allowNone": true}),
            json!({"allow": ["b"], "allowNone": true})
        ));
        assert!(faults(json!([{"claimClass": {"allow": ["a-1"], "deny": ["a-*"]}}]))[0].contains("take one"));
        assert_eq!(faults(json!([{"claimClass": {"allow": ["", "*a"]}}])).len(), 1, "`*` may stand anywhere");
    }
}
