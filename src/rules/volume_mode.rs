use super::support::fits_any;
use crate::facts::{Container, VolumeSource, Workload};
use crate::model::{FieldPath, VolumeMode};
use crate::rule::{Concern, Context, NewFinding, NewFindings, OTHER_OBJECTS, PolicyFault, Rule, RuleKind};
use crate::storage::{ClaimSite, ClaimSiteKind, Place, Storage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Checks that block volumes are used as devices, and all others as mounts.
///
/// # Why it matters
/// A claim with `volumeMode: Block` is handed to a container by `volumeDevices`, any other by `volumeMounts`. Where the
/// two do not meet, everything is admitted, scheduled and bound, and then the pod stays in ContainerCreating.
///
/// # What it checks
/// This rule holds every mount and device against the claim behind it (claims that are known, a StatefulSet's
/// volumeClaimTemplates, generic ephemeral volumes), and a claim for a block device against its class, where the class is
/// known to make directories or shares only. A claim is held against the volume that it names by volume-reachable.
///
/// # Example
/// ```yaml
/// - volumeMode: {}
/// ```
/// Bad: `volumeMode: Block` in a template, and `volumeMounts: [{name: data, mountPath: /data}]`.
/// Good: `volumeDevices: [{name: data, devicePath: /dev/data}]`.
///
/// # What it does not check
/// The rule is silent about claims and classes that it does not know, and about pod volumes that do not exist, which
/// Kubernetes refuses itself. It does not refuse block devices as such.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// Classes that can make block devices although their provisioner is known as one that cannot; `*` at the end
    /// stands for any rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub block_classes: Vec<String>,
    /// Classes that cannot make block devices, besides those whose provisioner is known as such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_block_classes: Vec<String>,
}

impl RuleKind for Params {
    const ID: &'static str = "volume-mode";
    const FIELD: &'static str = "volumeMode";
    const READS_BEYOND: Option<&'static str> = Some(OTHER_OBJECTS);

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        for (index, class) in self.no_block_classes.iter().enumerate() {
            if self.block_classes.contains(class) {
                let message = format!("{class:?} stands in `blockClasses` as well: take one of them out");
                faults.push(PolicyFault::new(at.key("noBlockClasses").index(index), message));
            }
        }
        Arc::new(VolumeModeRule(self.clone()))
    }
}

#[derive(Debug)]
struct VolumeModeRule(Params);

impl Rule for VolumeModeRule {
    fn finds(&self) -> Concern {
        // Whatever is taken as a device is looked at, and what mounts a claim.
        Concern { devices: true, ..Concern::claim_sites().or(&Concern::volumes(["persistentVolumeClaim"])) }
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        for site in context.facts.claim_sites() {
            findings.extend(self.class_cannot(context, &site));
        }
        if let Some((workload, storage)) = context.storage() {
            for container in &workload.pod.containers {
                judge_uses(context, workload, storage, container, findings);
            }
        }
    }
}

impl VolumeModeRule {
    /// A claim for a block device, of a class that makes none.
    fn class_cannot(&self, context: &Context<'_>, site: &ClaimSite<'_>) -> Option<NewFinding> {
        if site.spec.volume_mode != VolumeMode::Block || site.spec.volume_name.is_some() {
            return None;
        }
        let class = site.spec.class_in_effect(context.lookup).filter(|class| !class.is_empty())?;
        if fits_any(&self.0.block_classes, &class) {
            return None;
        }
        let why = if fits_any(&self.0.no_block_classes, &class) {
            "says the policy".to_owned()
        } else {
            let facts = site.spec.class_facts(context.lookup).filter(|facts| facts.is_filesystem_only())?;
            format!("its provisioner is {}", facts.provisioner)
        };
        let message = format!(
            "asks for a block device of class {class:?}, which makes file systems only ({why}): the claim stays Pending"
        );
        Some(
            NewFinding::new(site.field("volumeMode"), message).related(site.class_field(), "the class").help(
                "leave `volumeMode` out and mount the claim by `volumeMounts`, or take a class that makes devices",
            ),
        )
    }
}

/// Holds a container's mounts and devices against what is behind them.
fn judge_uses<'w, 'a>(
    context: &Context<'_>,
    workload: &'w Workload<'a>,
    storage: Storage<'w, 'a>,
    container: &'w Container<'a>,
    findings: &mut NewFindings<'_>,
) {
    let pod = workload.pod.path();
    for mount in &container.mounts {
        let place = storage.mount_cover(mount).place;
        if let Some(behind) = Behind::of(context, &pod, place).filter(|it| it.mode == Some(VolumeMode::Block))
        {
            let message = format!(
                "mounts {:?} as a file system, but {} is a block device: the pod stays in ContainerCreating",
                mount.volume, behind.name
            );
            let help = format!(
                "use `volumeDevices: [{{name: {}, devicePath: /dev/…}}]` in place of the mount, or make it `volumeMode: \
                 Filesystem`",
                mount.volume
            );
            let field = container.mount_path(&pod, mount);
            findings.push(NewFinding::new(field, message).related(behind.field, "says so").help(help));
        }
    }
    for device in &container.devices {
        let place = storage.device_cover(device).place;
        let Some(behind) = Behind::of(context, &pod, place) else { continue };
        let what = match behind.mode {
            Some(VolumeMode::Block) => continue,
            Some(VolumeMode::Filesystem) => "is a file system",
            None => "is no claim, and only claims can be devices",
        };
        let message = format!(
            "takes {:?} as a block device, but {} {what}: the pod stays in ContainerCreating",
            device.volume, behind.name
        );
        let help = match behind.mode {
            Some(_) => "mount it by `volumeMounts`, or make the claim `volumeMode: Block`",
            None => "mount it by `volumeMounts`, or put a claim with `volumeMode: Block` in its place",
        };
        let field = container.path(&pod).key("volumeDevices").index(device.index);
        findings.push(NewFinding::new(field, message).related(behind.field, "says so").help(help));
    }
}

/// What lies behind a mount or device, where it is known.
struct Behind {
    name: String,
    /// The claim's mode; nothing for a pod volume that is no claim.
    mode: Option<VolumeMode>,
    /// The field that says so.
    field: FieldPath,
}

impl Behind {
    fn of(context: &Context<'_>, pod: &FieldPath, place: Place<'_, '_>) -> Option<Self> {
        let volume = match place {
            Place::Template(template) => return Some(Self::site(&ClaimSite::template(template))),
            Place::Volume(volume) => volume,
            Place::WritableLayer | Place::Missing => return None,
        };
        if let Some(site) = ClaimSite::ephemeral(volume, pod) {
            return Some(Self::site(&site));
        }
        let field = volume.source_path(pod);
        match &volume.source {
            VolumeSource::Claim { name, .. } => {
                let claim = context.lookup.claim(context.facts.namespace(), name)?;
                let field = field.key("claimName");
                Some(Self { name: format!("claim {name:?}"), mode: Some(claim.spec.volume_mode), field })
            }
            VolumeSource::Unknown(_) => None,
            source => {
                let kind = source.field().unwrap_or("emptyDir");
                Some(Self { name: format!("the {kind} behind it"), mode: None, field })
            }
        }
    }

    fn site(site: &ClaimSite<'_>) -> Self {
        let name = match site.kind {
            ClaimSiteKind::Template(_) => "the claim of its template",
            ClaimSiteKind::Ephemeral(_) | ClaimSiteKind::Claim | ClaimSiteKind::Custom(_) => {
                "the claim made for the pod"
            }
        };
        let field = site.field("volumeMode");
        Self { name: name.to_owned(), mode: Some(site.spec.volume_mode), field }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, judge};
    use crate::verdict::Verdict;
    use serde_json::{Value, json};

    fn found(params: Value, context: &[Value], object: &Value) -> Verdict {
        judge(json!([{"volumeMode": params}]), context, object)
    }

    fn fields(verdict: &Verdict) -> Vec<String> {
        verdict.findings.iter().map(|finding| finding.field.to_string()).collect()
    }

    fn claim(name: &str, spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
               "metadata": {"name": name, "namespace": "default"}, "spec": spec})
    }

    /// A pod with one mount and one device of each volume.
    fn pod(volumes: Value) -> Value {
        let names: Vec<&str> =
            volumes.as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect();
        let mounts: Vec<Value> = names.iter().map(|name| json!({"name": name, "mountPath": "/m"})).collect();
        let devices: Vec<Value> =
            names.iter().map(|name| json!({"name": name, "devicePath": "/dev/d"})).collect();
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
            "containers": [{"name": "c", "volumeMounts": mounts, "volumeDevices": devices}], "volumes": volumes}})
    }

    const MOUNT: &str = "spec.containers[0].volumeMounts[0]";
    const DEVICE: &str = "spec.containers[0].volumeDevices[0]";

    #[test]
    fn a_known_claim_decides() {
        let object = pod(json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]));
        let of = |mode: &str| found(json!({}), &[claim("data", json!({"volumeMode": mode}))], &object);
        assert_eq!(fields(&of("Block")), [MOUNT]);
        assert_eq!(fields(&of("Filesystem")), [DEVICE]);
        assert_eq!(
            of("Block").findings[0].related[0].0.to_string(),
            "spec.volumes[0].persistentVolumeClaim.claimName"
        );
        assert_eq!(found(json!({}), &[], &object).findings, [], "the claim is not known");
    }

    #[test]
    fn templates_and_ephemeral_volumes_decide() {
        let ephemeral =
            |spec: Value| pod(json!([{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}]));
        let block = found(json!({}), &[], &ephemeral(json!({"volumeMode": "Block"})));
        assert_eq!(fields(&block), [MOUNT]);
        assert_eq!(
            block.findings[0].related[0].0.to_string(),
            "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.volumeMode"
        );
        assert_eq!(fields(&found(json!({}), &[], &ephemeral(json!({})))), [DEVICE]);
        // A template stands before a pod volume of the same name.
        let pod = pod(json!([{"name": "v", "emptyDir": {}}]));
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {
            "template": {"spec": pod["spec"]},
            "volumeClaimTemplates": [{"metadata": {"name": "v"}, "spec": {"volumeMode": "Block"}}]}});
        assert_eq!(
            fields(&found(json!({}), &[], &set)),
            ["spec.template.spec.containers[0].volumeMounts[0]"]
        );
    }

    #[test]
    fn only_claims_can_be_devices() {
        let verdict = found(json!({}), &[], &pod(json!([{"name": "v", "emptyDir": {}}])));
        assert_eq!(fields(&verdict), [DEVICE]);
        assert!(verdict.findings[0].message.contains("the emptyDir behind it is no claim"), "{verdict:?}");
    }

    #[test]
    fn a_class_may_make_no_devices() {
        let class = |name: &str, provisioner: &str| {
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": provisioner,
                   "metadata": {"name": name}})
        };
        let context = [
            class("local", "rancher.io/local-path"),
            class("ceph", "rook-ceph.cephfs.csi.ceph.com"),
            class("rbd", "rbd.csi.ceph.com"),
        ];
        let of = |params: Value, class: &str, mode: &str| {
            let object = claim("c", json!({"storageClassName": class, "volumeMode": mode}));
            fields(&found(params, &context, &object))
        };
        assert_eq!(of(json!({}), "local", "Block"), ["spec.volumeMode"]);
        assert_eq!(of(json!({}), "ceph", "Block"), ["spec.volumeMode"]);
        assert_eq!(of(json!({}), "rbd", "Block"), [""; 0]);
        assert_eq!(of(json!({}), "local", "Filesystem"), [""; 0]);
        assert_eq!(of(json!({"blockClasses": ["loc*"]}), "local", "Block"), [""; 0]);
        assert_eq!(of(json!({"noBlockClasses": ["other"]}), "other", "Block"), ["spec.volumeMode"]);
        assert_eq!(of(json!({}), "other", "Block"), [""; 0], "the class is not known");
    }

    #[test]
    fn a_class_stands_in_one_list() {
        let both = json!([{"volumeMode": {"blockClasses": ["a"], "noBlockClasses": ["a", "*b"]}}]);
        assert_eq!(faults(both).len(), 1, "`*` may stand anywhere");
    }
}
