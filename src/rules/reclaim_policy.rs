use crate::facts::{CustomClaim, Lies, Store, Subject, Workload};
use crate::model::{Durability, FieldPath, yes};
use crate::rule::{
    Concern, Context, NewFinding, NewFindings, OTHER_OBJECTS, PolicyFault, Reads, Rule, RuleKind,
};
use crate::storage::{DataPath, Place, claim_fate};
use crate::verdict::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Refuses stateful data that goes when its claim goes.
///
/// # Why it matters
/// With reclaim policy Delete, one `kubectl delete pvc`, a deleted namespace or a Helm uninstall takes the data along.
///
/// # What it checks
/// This rule looks at the data of stateful workloads (those that `durable-data` knows, and the templates of a
/// StatefulSet) and refuses a claim whose class or volume has reclaim policy Delete, and a StatefulSet whose
/// `persistentVolumeClaimRetentionPolicy` deletes the claims.
///
/// # Example
/// Bad: postgres on a class with `reclaimPolicy: Delete`; `whenScaled: Delete` on a StatefulSet of a database. Good: a
/// class with `reclaimPolicy: Retain`.
///
/// # What it does not check
/// Claims whose class is not known are passed over: `durable-data` with `require: volume` warns of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// Whether the class or volume must retain the data.
    #[serde(default = "yes")]
    pub volumes: bool,
    /// Whether a StatefulSet must retain its claims.
    #[serde(default = "yes")]
    pub claims: bool,
    /// Paths that are not data, with all that lies beneath them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^/")))]
    pub scratch: Vec<String>,
}

impl RuleKind for Params {
    const ID: &'static str = "reclaim-policy";
    const FIELD: &'static str = "reclaimPolicy";
    const READS_BEYOND: Option<&'static str> = Some(OTHER_OBJECTS);

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        if !self.volumes && !self.claims {
            let message = "asks for nothing with both `volumes` and `claims` false: take the rule out";
            faults.push(PolicyFault::new(at.clone(), message));
        }
        Arc::new(ReclaimPolicy(self.clone()))
    }
}

#[derive(Debug)]
struct ReclaimPolicy(Params);

impl Rule for ReclaimPolicy {
    fn reads(&self) -> &'static [Reads] {
        &[Reads::Pods]
    }

    fn finds(&self) -> Concern {
        Concern { stateful_sets: true, ..Concern::volumes(["persistentVolumeClaim"]) }
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        if let Subject::Custom(custom) = &context.facts.subject {
            if self.0.volumes {
                let stores = custom.stores.iter().filter(|store| !store.unchanged);
                findings.extend(stores.flat_map(|store| custom_findings(store, context)));
            }
            return;
        }
        let Some(workload) = context.facts.workload() else { return };
        let Some(data) = context.data_with(&self.0.scratch, []) else { return };
        if self.0.volumes {
            let doomed = data.rows().filter(|data| data.cover.fate.most == Durability::Claim);
            findings.extend(doomed.filter_map(|data| volume_finding(workload, data)));
        }
        if self.0.claims && data.rows().any(|data| matches!(data.cover.place, Place::Template(_))) {
            retention_findings(workload, findings);
        }
    }
}

fn volume_finding(workload: &Workload<'_>, data: &DataPath<'_, '_>) -> Option<NewFinding> {
    let pod = workload.pod.path();
    let (field, what) = match data.cover.place {
        Place::Template(template) => {
            let class = template.path().key("spec").key("storageClassName");
            (class, format!("the claims of template {:?}", template.name))
        }
        Place::Volume(volume) => {
            (volume.source_path(&pod), format!("the claim of pod volume {:?}", volume.name))
        }
        Place::WritableLayer | Place::Missing => return None,
    };
    let message = format!(
        "{} is data on {what}, whose reclaim policy is Delete: lost when {}",
        data.path,
        data.cover.fate.most.lost_when()
    );
    let new_finding = NewFinding::new(field, message)
        .help("use a class with `reclaimPolicy: Retain`, or set it on the volume");
    Some(if data.certain { new_finding } else { new_finding.at_most(Action::Warn) })
}

/// The claims that a custom resource asks for, of classes that delete their volumes.
fn custom_findings(store: &Store<'_>, context: &Context<'_>) -> Vec<NewFinding> {
    let doomed = |claim: &&CustomClaim| claim_fate(&claim.spec, context.lookup).most == Durability::Claim;
    let found = store.claims.iter().filter(|_| store.lies == Lies::Claim).filter(doomed).map(|claim| {
        let message = format!(
            "{} keeps its data on claims whose reclaim policy is Delete: lost when {}",
            store.product,
            Durability::Claim.lost_when()
        );
        NewFinding::new(claim.class.clone(), message)
            .help("use a class with `reclaimPolicy: Retain`, or set it on the volume")
    });
    found.collect()
}

fn retention_findings(workload: &Workload<'_>, findings: &mut NewFindings<'_>) {
    let Some((deleted, scaled)) = workload.claim_retention else { return };
    let at = FieldPath::root().key("spec").key("persistentVolumeClaimRetentionPolicy");
    let cases = [
        ("whenDeleted", deleted, "this StatefulSet is deleted"),
        ("whenScaled", scaled, "this StatefulSet is scaled down"),
    ];
    for (field, _, when) in cases.into_iter().filter(|(_, policy, _)| *policy == "Delete") {
        let message = format!("its claims are data and are deleted when {when}");
        findings.push(
            NewFinding::new(at.key(field), message).help(format!("write `{field}: Retain`, the default")),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, judge, lines};
    use serde_json::{Value, json};

    fn set(retention: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {
            "persistentVolumeClaimRetentionPolicy": retention,
            "template": {"spec": {"containers": [{"name": "c", "image": "postgres:16", "volumeMounts": [
                {"name": "d", "mountPath": "/var/lib/postgresql/data"}]}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"storageClassName": "c"}}]}})
    }

    fn class(reclaim: &str) -> Value {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "c"},
               "provisioner": "x", "reclaimPolicy": reclaim})
    }

    fn found(params: Value, context: &[Value], object: &Value) -> Vec<String> {
        lines(&judge(json!([{"reclaimPolicy": params}]), context, object))
    }

    #[test]
    fn a_delete_class_loses_the_data_with_the_claim() {
        let findings = found(json!({}), &[class("Delete")], &set(json!({})));
        assert_eq!(
            findings,
            [
                "Deny spec.volumeClaimTemplates[0].spec.storageClassName: /var/lib/postgresql/data is data on the \
                 claims of template \"d\", whose reclaim policy is Delete: lost when the claim is deleted"
            ]
        );
        assert!(found(json!({}), &[class("Retain")], &set(json!({}))).is_empty());
        assert!(found(json!({}), &[], &set(json!({}))).is_empty(), "the class is not known");
    }

    #[test]
    fn a_retention_policy_that_deletes_claims_is_found() {
        let retention = json!({"whenDeleted": "Delete", "whenScaled": "Delete"});
        let findings = found(json!({}), &[class("Retain")], &set(retention.clone()));
        assert_eq!(findings.len(), 2);
        assert!(findings[0].contains("whenDeleted") && findings[1].contains("whenScaled"), "{findings:?}");
        assert!(found(json!({"claims": false}), &[class("Retain")], &set(retention)).is_empty());
    }

    #[test]
    fn asking_for_nothing_is_a_fault() {
        assert_eq!(faults(json!([{"reclaimPolicy": {"claims": false, "volumes": false}}])).len(), 1);
    }
}
