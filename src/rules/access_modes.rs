use super::support::{best_fit, class_samples, fits_any, one_of};
use crate::facts::ClassFacts;
use crate::model::{AccessMode, FieldPath, nearest};
use crate::rule::{Concern, Context, NewFinding, NewFindings, PolicyFault, Rule, RuleKind};
use crate::storage::{ClaimSite, ClaimSiteKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Restricts the access modes of claims, and refuses those that their class cannot give.
///
/// # Why it matters
/// A claim that asks for `ReadWriteMany` of a class whose volumes lie on one node stays Pending forever, or worse: some
/// provisioners hand out a volume all the same, and the second node sees an empty directory.
///
/// # What it checks
/// `ReadWriteMany` and `ReadOnlyMany` are findings wherever the class is known to be a local one, whatever the lists
/// say. Every mode of a claim is judged, since any of them may be used; a claim without any, or with an unknown one, is
/// a finding. The rule checks claims, a StatefulSet's volumeClaimTemplates and generic ephemeral volumes.
///
/// # Example
/// ```yaml
/// - accessModes: {allow: [ReadWriteOnce, ReadWriteOncePod], perClass: {"nfs-*": [ReadWriteMany]}}
/// ```
/// Bad: `accessModes: [ReadWriteMany]` with `storageClassName: local-path`.
/// Good: `accessModes: [ReadWriteOnce]`, or a class on the network.
///
/// # What it does not check
/// The rule does not judge PersistentVolumes, whose modes say what they support and not how they are used; a claim that
/// names its volume is held against the lists only. A class without a provisioner counts as local when all its free
/// volumes are bound to nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The modes that may be asked for. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<AccessMode>,
    /// Other lists for some classes; `*` in a class stands for any text, and the closest pattern counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub per_class: BTreeMap<String, Vec<AccessMode>>,
    /// Classes that many nodes can use although their provisioner is a local one, such as those of
    /// `rancher.io/local-path` with a `sharedFileSystemPath`; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_classes: Vec<String>,
}

impl RuleKind for Params {
    const ID: &'static str = "access-modes";
    const FIELD: &'static str = "accessModes";

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        for (class, modes) in &self.per_class {
            let at = at.key("perClass").key(class.clone());
            if modes.is_empty() {
                let message = "allows no mode, so that no claim of the class passes: name one, or deny the class with \
                               `claimClass`";
                faults.push(PolicyFault::new(at, message));
            }
        }
        Arc::new(AccessModes(self.clone()))
    }
}

#[derive(Debug)]
struct AccessModes(Params);

const MODES: [AccessMode; 4] = [
    AccessMode::ReadWriteOnce,
    AccessMode::ReadOnlyMany,
    AccessMode::ReadWriteMany,
    AccessMode::ReadWriteOncePod,
];

impl Rule for AccessModes {
    fn finds(&self) -> Concern {
        Concern::claim_sites()
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        for site in context.facts.claim_sites() {
            self.judge(context, &site, findings);
        }
    }

    fn contradicts(&self, other: &dyn Any) -> Option<String> {
        let other = other.downcast_ref::<Self>()?;
        class_samples(&self.0.per_class, &other.0.per_class).find_map(|class| {
            let (ours, theirs) = (self.allowed(class.as_deref()), other.allowed(class.as_deref()));
            if ours.is_empty() || theirs.is_empty() || ours.iter().any(|mode| theirs.contains(mode)) {
                return None;
            }
            let scope = class.map(|class| format!(" for class {class:?}")).unwrap_or_default();
            let (ours, theirs) = (one_of(ours), one_of(theirs));
            Some(format!("one allows only {theirs}{scope}, the other only {ours}"))
        })
    }
}

impl AccessModes {
    /// The modes that claims of a class may ask for; all when empty.
    fn allowed(&self, class: Option<&str>) -> &[AccessMode] {
        class.and_then(|class| best_fit(&self.0.per_class, class)).unwrap_or(&self.0.allow)
    }

    fn judge(&self, context: &Context<'_>, site: &ClaimSite<'_>, findings: &mut NewFindings<'_>) {
        if site.unchanged().modes {
            return;
        }
        let class = site.spec.class_in_effect(context.lookup);
        let allowed = self.allowed(class.as_deref());
        let choice = if allowed.is_empty() { &MODES } else { allowed };
        let field = site.field("accessModes");
        if site.spec.access_modes.is_empty() {
            // An operator fills them in.
            if matches!(site.kind, ClaimSiteKind::Custom(_)) {
                return;
            }
            let message = "asks for no access mode, and Kubernetes makes no claim without one";
            let help = format!("set `accessModes` to {}", one_of(choice));
            findings.push(NewFinding::new(field, message).help(help));
            return;
        }
        let local = self.local_class(context, site);
        for (index, mode) in site.spec.access_modes.iter().enumerate() {
            let at = field.index(index);
            match mode {
                Err(text) => {
                    let message =
                        format!("asks for the access mode {text:?}, which Kubernetes does not know");
                    let known = MODES.map(AccessMode::as_str);
                    let meant =
                        AccessMode::parse(text).map(AccessMode::as_str).or_else(|| nearest(text, &known));
                    findings.push(NewFinding::new(at, message).help(match meant {
                        Some(meant) => format!("did you mean {meant}?"),
                        None => format!("write {}", one_of(choice)),
                    }));
                }
                Ok(mode) if !allowed.is_empty() && !allowed.contains(mode) => {
                    let scope =
                        match class.as_deref().filter(|class| best_fit(&self.0.per_class, class).is_some()) {
                            Some(class) => format!(" for class {class:?}"),
                            None => String::new(),
                        };
                    let message = format!("asks for {mode}, which the policy does not allow{scope}");
                    findings.push(NewFinding::new(at, message).help(format!("write {}", one_of(allowed))));
                }
                Ok(mode @ (AccessMode::ReadWriteMany | AccessMode::ReadOnlyMany)) => {
                    if let Some(class) = &local {
                        findings.push(cannot_share(site, at, *mode, class));
                    }
                }
                Ok(AccessMode::ReadWriteOnce | AccessMode::ReadWriteOncePod) => {}
            }
        }
    }

    /// The class of the claim's volume when it is sure that one node alone can use the volume.
    fn local_class(&self, context: &Context<'_>, site: &ClaimSite<'_>) -> Option<Arc<ClassFacts>> {
        if site.spec.volume_name.is_some() {
            return None;
        }
        let class = site.spec.class_facts(context.lookup)?;
        let local = if class.is_static() {
            let volumes = context.lookup.available(&class.name);
            volumes.count > 0 && volumes.tied == volumes.count
        } else {
            class.is_local()
        };
        (local && !fits_any(&self.0.shared_classes, &class.name)).then_some(class)
    }
}

fn cannot_share(site: &ClaimSite<'_>, at: FieldPath, mode: AccessMode, class: &ClassFacts) -> NewFinding {
    let message = format!(
        "asks for {mode}, but the volumes of class {:?} ({}) can be used on one node alone: the claim stays Pending, \
         or pods on other nodes do not see the data",
        class.name, class.provisioner
    );
    NewFinding::new(at, message)
        .related(site.class_field(), "the class")
        .help("write ReadWriteOnce, or take a class whose storage is on the network")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, judge, lines, policy};
    use serde_json::{Value, json};

    fn claim(class: &str, modes: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"},
               "spec": {"storageClassName": class, "accessModes": modes}})
    }

    fn class(name: &str, provisioner: &str) -> Value {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": provisioner,
               "metadata": {"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}})
    }

    fn found(params: Value, context: &[Value], object: &Value) -> Vec<String> {
        lines(&judge(json!([{"accessModes": params}]), context, object))
    }

    #[test]
    fn each_mode_is_judged() {
        let params = json!({"allow": ["ReadWriteOnce"], "perClass": {"nfs-*": ["ReadWriteMany"]}});
        let modes = json!(["ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany"]);
        assert_eq!(
            found(params.clone(), &[], &claim("fast", modes.clone())),
            [
                "Deny spec.accessModes[1]: asks for ReadWriteMany, which the policy does not allow",
                "Deny spec.accessModes[2]: asks for ReadOnlyMany, which the policy does not allow",
            ]
        );
        assert_eq!(found(params.clone(), &[], &claim("nfs-a", json!(["ReadWriteMany"]))), [""; 0]);
        assert!(found(params, &[], &claim("nfs-a", modes.clone()))[0].ends_with("for class \"nfs-a\""));
        assert_eq!(found(json!({}), &[], &claim("fast", modes)), [""; 0]);
    }

    #[test]
    fn unknown_modes_and_none_are_findings() {
        let of = |modes: Value| judge(json!([{"accessModes": {}}]), &[], &claim("fast", modes)).findings;
        let help = |modes: Value| of(modes)[0].help.clone().unwrap();
        assert_eq!(help(json!(["RWX"])), "did you mean ReadWriteMany?");
        assert_eq!(help(json!(["ReadWriteMani"])), "did you mean ReadWriteMany?");
        assert_eq!(of(json!(["Exclusive"]))[0].field.to_string(), "spec.accessModes[0]");
        assert_eq!(of(json!([]))[0].field.to_string(), "spec.accessModes");
    }

    #[test]
    fn local_classes_cannot_be_shared() {
        let context = [class("local", "rancher.io/local-path"), class("nfs", "nfs.csi.k8s.io")];
        let shared = json!(["ReadWriteMany"]);
        let local = judge(json!([{"accessModes": {}}]), &context, &claim("local", shared.clone()));
        assert!(lines(&local)[0].contains("can be used on one node alone"), "{local:?}");
        assert_eq!(local.findings[0].related[0].0.to_string(), "spec.storageClassName");
        assert_eq!(found(json!({}), &context, &claim("nfs", shared.clone())), [""; 0]);
        assert_eq!(found(json!({}), &context, &claim("local", json!(["ReadWriteOnce"]))), [""; 0]);
        assert_eq!(
            found(json!({"sharedClasses": ["loc*"]}), &context, &claim("local", shared.clone())),
            [""; 0]
        );
        let mut default = claim("local", shared.clone());
        default["spec"].as_object_mut().unwrap().remove("storageClassName");
        assert_eq!(found(json!({}), &context, &default).len(), 1, "the default is local");
        let mut bound = claim("local", shared);
        bound["spec"]["volumeName"] = json!("pv");
        assert_eq!(found(json!({}), &context, &bound), [""; 0]);
    }

    #[test]
    fn static_classes_are_known_by_their_volumes() {
        let volume = |name: &str, affinity: Value| {
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                   "spec": {"storageClassName": "manual", "nodeAffinity": affinity}})
        };
        let manual = class("manual", "kubernetes.io/no-provisioner");
        let object = claim("manual", json!(["ReadOnlyMany"]));
        let local = volume("a", json!({"required": {"nodeSelectorTerms": []}}));
        let anywhere = volume("b", Value::Null);
        assert_eq!(found(json!({}), std::slice::from_ref(&manual), &object), [""; 0], "no volume is known");
        assert_eq!(found(json!({}), &[manual.clone(), local.clone()], &object).len(), 1);
        assert_eq!(found(json!({}), &[manual, local, anywhere], &object), [""; 0]);
    }

    #[test]
    fn policies_must_leave_a_mode() {
        let rule = |params: Value| {
            policy(json!([{"accessModes": params}])).unwrap().policies()[0].rules[0].rule.clone()
        };
        let contradict = |a: Value, b: Value| rule(a).contradicts(&*rule(b)).is_some();
        assert!(contradict(json!({"allow": ["ReadWriteOnce"]}), json!({"allow": ["ReadWriteMany"]})));
        assert!(contradict(
            json!({"allow": ["ReadWriteOnce"]}),
            json!({"perClass": {"a": ["ReadWriteMany"]}})
        ));
        assert!(!contradict(json!({"allow": ["ReadWriteOnce"]}), json!({})));
        assert!(faults(json!([{"accessModes": {"perClass": {"a": []}}}]))[0].contains("allows no mode"));
        assert!(faults(json!([{"accessModes": {"allow": ["RWX"]}}]))[0].contains("must be one of"));
    }
}
