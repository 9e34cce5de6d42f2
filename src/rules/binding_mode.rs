use super::support::fits_any;
use crate::facts::{BindingMode, ClassFacts, Subject};
use crate::model::FieldPath;
use crate::rule::{Concern, Context, NewFinding, NewFindings, OTHER_OBJECTS, PolicyFault, Rule, RuleKind};
use crate::storage::ClaimSite;
use crate::verdict::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Requires classes of local storage to wait for the first pod.
///
/// # Why it matters
/// With `volumeBindingMode: Immediate`, which is what an absent field means, a claim is bound as soon as it exists. On
/// storage that one node alone can use, that picks the pod's node before the scheduler has seen the pod: when the node
/// has no room for it, or the pod's affinity, taints or a second claim want another one, the pod stays Pending forever.
///
/// # What it checks
/// Such a class must say `WaitForFirstConsumer`. The rule checks the class itself; claims, volumeClaimTemplates and
/// ephemeral volumes that ask for a class with the wrong mode get a warning at most, since their authors can only take
/// another class.
///
/// # Example
/// ```yaml
/// - bindingMode: {provisioners: [disks.example.com]}
/// ```
/// Bad: `provisioner: rancher.io/local-path` alone. Good: with `volumeBindingMode: WaitForFirstConsumer`.
///
/// # Details
/// A class without a provisioner (`kubernetes.io/no-provisioner`) is held to it when one of its free volumes is bound to
/// nodes; where no volume of it is known it is a warning at most, since they may lie on the network. The mode of a
/// class cannot be changed: delete the class and create it again.
///
/// # What it does not check
/// It does not look at volumes that are bound already, nor at classes whose storage every node can use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// Provisioners of local storage besides those that volgate knows; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provisioners: Vec<String>,
}

impl RuleKind for Params {
    const ID: &'static str = "binding-mode";
    const FIELD: &'static str = "bindingMode";
    const READS_BEYOND: Option<&'static str> = Some(OTHER_OBJECTS);

    fn compile(&self, _at: &FieldPath, _faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        Arc::new(BindingModeRule(self.clone()))
    }
}

#[derive(Debug)]
struct BindingModeRule(Params);

/// How sure it is that one node alone can use a class's volumes.
#[derive(Clone, Copy, PartialEq)]
enum Local {
    No,
    Maybe,
    Yes,
}

impl Rule for BindingModeRule {
    fn finds(&self) -> Concern {
        Concern::claim_sites()
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        match &context.facts.subject {
            Subject::Class(class) => findings.extend(self.judge_class(context, class)),
            _ => findings
                .extend(context.facts.claim_sites().filter_map(|site| self.judge_claim(context, &site))),
        }
    }
}

impl BindingModeRule {
    fn judge_class(&self, context: &Context<'_>, class: &ClassFacts) -> Option<NewFinding> {
        let local = self.local(context, class);
        if class.binding == BindingMode::WaitForFirstConsumer || local == Local::No {
            return None;
        }
        let field = FieldPath::root().key("volumeBindingMode");
        let message = format!(
            "class {:?} ({}) binds claims at once, before the scheduler has seen the pod: the volume picks the node, \
             and a pod that does not fit there stays Pending",
            class.name, class.provisioner
        );
        let new_finding =
            NewFinding::new(field, message).help("set `volumeBindingMode: WaitForFirstConsumer`");
        Some(if local == Local::Maybe { new_finding.at_most(Action::Warn) } else { new_finding })
    }

    fn judge_claim(&self, context: &Context<'_>, site: &ClaimSite<'_>) -> Option<NewFinding> {
        // A claim that names its volume has chosen already.
        if site.spec.volume_name.is_some() {
            return None;
        }
        let class = site.spec.class_facts(context.lookup)?;
        if class.binding == BindingMode::WaitForFirstConsumer || self.local(context, &class) != Local::Yes {
            return None;
        }
        let message = format!(
            "asks for class {:?}, which binds claims to a node before the scheduler has seen the pod: a pod that does \
             not fit there stays Pending",
            class.name
        );
        Some(
            NewFinding::new(site.class_field(), message)
                .help("take a class with `volumeBindingMode: WaitForFirstConsumer`, or delete this one and create it again with it")
                .at_most(Action::Warn),
        )
    }

    fn local(&self, context: &Context<'_>, class: &ClassFacts) -> Local {
        if fits_any(&self.0.provisioners, &class.provisioner) {
            return Local::Yes;
        }
        if !class.is_static() {
            return if class.is_local() { Local::Yes } else { Local::No };
        }
        let volumes = context.lookup.available(&class.name);
        match volumes.tied > 0 {
            true => Local::Yes,
            false if volumes.count == 0 => Local::Maybe,
            false => Local::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, judge, lines};
    use serde_json::{Value, json};

    fn class(name: &str, provisioner: &str, mode: Value) -> Value {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": provisioner,
               "metadata": {"name": name}, "volumeBindingMode": mode})
    }

    fn found(context: &[Value], object: &Value) -> Vec<String> {
        lines(&judge(json!([{"bindingMode": {"provisioners": ["disks.example.*"]}}]), context, object))
    }

    #[test]
    fn a_local_class_must_wait() {
        for provisioner in ["rancher.io/local-path", "local-path.volgate.dev", "disks.example.com"] {
            for mode in [json!("Immediate"), Value::Null] {
                let lines = found(&[], &class("c", provisioner, mode));
                assert!(lines[0].starts_with("Deny volumeBindingMode: class \"c\""), "{lines:?}");
            }
            assert_eq!(found(&[], &class("c", provisioner, json!("WaitForFirstConsumer"))), [""; 0]);
        }
        assert_eq!(found(&[], &class("c", "ebs.csi.aws.com", json!("Immediate"))), [""; 0]);
    }

    #[test]
    fn a_static_class_is_known_by_its_volumes() {
        let volume = |affinity: Value| {
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"},
                   "spec": {"storageClassName": "c", "nodeAffinity": affinity}})
        };
        let object = class("c", "kubernetes.io/no-provisioner", Value::Null);
        assert!(found(&[], &object)[0].starts_with("Warn volumeBindingMode: "));
        assert!(
            found(&[volume(json!({"required": {"nodeSelectorTerms": []}}))], &object)[0].starts_with("Deny ")
        );
        assert_eq!(found(&[volume(Value::Null)], &object), [""; 0]);
    }

    #[test]
    fn who_asks_for_such_a_class_is_warned() {
        let context = [
            class("now", "rancher.io/local-path", json!("Immediate")),
            class("later", "rancher.io/local-path", json!("WaitForFirstConsumer")),
        ];
        let claim = |spec: Value| json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": spec});
        let lines = found(&context, &claim(json!({"storageClassName": "now"})));
        assert!(lines[0].starts_with("Warn spec.storageClassName: "), "{lines:?}");
        assert_eq!(found(&context, &claim(json!({"storageClassName": "later"}))), [""; 0]);
        assert_eq!(found(&context, &claim(json!({"storageClassName": "now", "volumeName": "pv"}))), [""; 0]);
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {
            "template": {"spec": {"containers": []}},
            "volumeClaimTemplates": [{"metadata": {"name": "a"}, "spec": {"storageClassName": "now"}}]}});
        assert!(
            found(&context, &set)[0].starts_with("Warn spec.volumeClaimTemplates[0].spec.storageClassName: ")
        );
    }

    #[test]
    fn a_star_stands_for_any_text() {
        assert_eq!(faults(json!([{"bindingMode": {"provisioners": ["*.example.com"]}}])), [""; 0]);
        let rule = json!([{"bindingMode": {"provisioners": ["*.example.com"]}}]);
        let judged = |name: &str| judge(rule.clone(), &[], &class("c", name, Value::Null)).findings.len();
        assert_eq!([judged("disks.example.com"), judged("disks.example.org")], [1, 0]);
    }
}
