//! A pod that goes past the scheduler, and claims that wait for it.

use crate::facts::{BindingMode, ClaimSpec, VolumeSource, Workload};
use crate::rule::{Context, NewFinding, NewFindings};
use crate::storage::reserved_volume;
use crate::verdict::Action;

/// Warns of a claim that has no volume yet, and whose class waits for the scheduler (`WaitForFirstConsumer`): the scheduler never
/// sees a pod with `nodeName`. It is no denial, as another pod may use the claim, and a claim of a template may be bound already.
pub(super) fn check(
    context: &Context<'_>,
    workload: &Workload<'_>,
    who: &str,
    findings: &mut NewFindings<'_>,
) {
    let pod = &workload.pod;
    let Some(node) = pod.node_name else { return };
    let at = pod.path();
    let of_templates = workload.claim_templates.iter().filter_map(|template| {
        let class = waits(context, &template.spec)?;
        Some((template.path(), format!("the claims of template {:?}", template.name), class))
    });
    let of_volumes = pod.volumes.iter().filter(|volume| workload.claim_template(volume.name).is_none());
    let of_volumes = of_volumes.filter_map(|volume| {
        let field = volume.source_path(&at);
        match &volume.source {
            VolumeSource::Ephemeral(spec) => {
                Some((field, format!("the claim of pod volume {:?}", volume.name), waits(context, spec)?))
            }
            VolumeSource::Claim { name, .. } => {
                let claim = context.lookup.claim(context.facts.namespace(), name)?;
                if reserved_volume(&claim, context.lookup).is_some() {
                    return None;
                }
                Some((field.key("claimName"), format!("claim {name:?}"), waits(context, &claim.spec)?))
            }
            _ => None,
        }
    });
    let Some((field, claim, class)) = of_templates.chain(of_volumes).next() else { return };
    let message = format!(
        "`nodeName` goes past the scheduler, and class {class:?} gives {claim} a volume only when the scheduler has chosen a \
         node (WaitForFirstConsumer): unless another pod uses the claim first, {who} would wait in ContainerCreating forever"
    );
    let finding = NewFinding::new(at.key("nodeName"), message)
        .related(field, claim)
        .help(format!("write `nodeSelector: {{kubernetes.io/hostname: {node}}}` in place of it"));
    findings.push(finding.at_most(Action::Warn));
}

/// The name of the class that waits, if it does.
fn waits(context: &Context<'_>, spec: &ClaimSpec) -> Option<String> {
    if spec.volume_name.is_some() {
        return None;
    }
    let class = spec.class_facts(context.lookup)?;
    (class.binding == BindingMode::WaitForFirstConsumer).then(|| class.name.clone())
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{judge, lines};
    use serde_json::{Value, json};

    fn class(mode: &str) -> Value {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "disks"},
               "provisioner": "disks.example.com", "volumeBindingMode": mode})
    }

    fn claim(volume: Option<&str>) -> Value {
        let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "default"},
                               "spec": {"storageClassName": "disks"}});
        if let Some(volume) = volume {
            claim["spec"]["volumeName"] = json!(volume);
        }
        claim
    }

    fn said(context: &[Value], spec: Value) -> Vec<String> {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec});
        pod["spec"]["containers"] = json!([]);
        lines(&judge(json!([{"volumeReachable": {}}]), context, &pod))
    }

    #[test]
    fn a_pod_past_the_scheduler_gets_no_volume_of_a_class_that_waits_for_it() {
        let pod = |node: Value| json!({"nodeName": node, "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]});
        let waiting = [class("WaitForFirstConsumer"), claim(None)];
        let found = said(&waiting, pod(json!("n1")));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("Warn spec.nodeName: `nodeName` goes past the scheduler"), "{found:?}");
        // Whom the scheduler sees, and what has a volume or gets one at once, has nothing to wait for.
        assert_eq!(said(&waiting, pod(Value::Null)), [""; 0]);
        assert_eq!(said(&[class("Immediate"), claim(None)], pod(json!("n1"))), [""; 0]);
        assert_eq!(said(&[class("WaitForFirstConsumer"), claim(Some("pv"))], pod(json!("n1"))), [""; 0]);
        let reserved = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"},
            "spec": {"storageClassName": "disks", "claimRef": {"namespace": "default", "name": "data"}}});
        assert_eq!(said(&[&waiting[..], &[reserved]].concat(), pod(json!("n1"))), [""; 0]);
        assert_eq!(said(&[claim(None)], pod(json!("n1"))), [""; 0], "the class is not known");
        let ephemeral = json!({"nodeName": "n1", "volumes": [{"name": "d", "ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "disks"}}}}]});
        assert_eq!(said(&waiting, ephemeral).len(), 1);
    }

    #[test]
    fn templates_of_a_stateful_set_wait_as_well() {
        let set = |node: Value| {
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {
                "template": {"spec": {"nodeName": node, "containers": []}},
                "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"storageClassName": "disks"}}]}})
        };
        let found = |node: Value| {
            lines(&judge(json!([{"volumeReachable": {}}]), &[class("WaitForFirstConsumer")], &set(node)))
        };
        assert!(
            found(json!("n1"))[0].starts_with("Warn spec.template.spec.nodeName:"),
            "{:?}",
            found(json!("n1"))
        );
        assert_eq!(found(Value::Null), [""; 0]);
    }
}
