//! A claim that names a volume, held against that volume.

use crate::facts::{ClaimFacts, ClassName, VolumeFacts};
use crate::model::{Brief, FieldPath};
use crate::rule::{Context, NewFinding, NewFindings};
use crate::storage::names;
use crate::verdict::Action;

/// Tells why Kubernetes never binds the claim to the volume that it names.
pub(super) fn check(context: &Context<'_>, claim: &ClaimFacts, findings: &mut NewFindings<'_>) {
    let spec = &claim.spec;
    let Some(volume) = spec.volume_name.as_ref().and_then(|name| context.lookup.volume(name)) else { return };
    // Of a volume that names the claim as well, the controller asks nothing more.
    if claim.bound || names(&volume, claim) {
        return;
    }
    let at = FieldPath::root().key("spec");
    let name = Brief(&volume.name);
    if let Some((namespace, other)) =
        taken(context, &volume, claim).filter(|of| !may_be_its_own(context, claim, of))
    {
        // Of its own name there was one before it, which had another uid.
        let (message, help) = if (&namespace, &other) == (&claim.namespace, &claim.name) {
            (
                format!(
                    "names volume {name}, which an earlier claim of this name had: it is bound to no other"
                ),
                "take the `uid` out of the volume's `claimRef` to give this claim the earlier one's data, or name another volume",
            )
        } else {
            (
                format!(
                    "names volume {name}, which is for claim {namespace}/{other}: one volume serves one claim"
                ),
                "name another volume, or take the other claim off it first (its `claimRef`)",
            )
        };
        findings.push(NewFinding::new(at.key("volumeName"), message).help(help).at_most(Action::Warn));
    }
    let other_class = match (&spec.class, &volume.class) {
        // What the default class of the cluster makes of it is not known.
        (ClassName::Absent, _) => None,
        (ours, theirs) if ours.name() == theirs.name() => None,
        (ours, theirs) => Some((ours.name().unwrap_or_default(), theirs.name().unwrap_or_default())),
    };
    if let Some((ours, theirs)) = other_class {
        let message = format!(
            "has class {ours:?}, but volume {name}, which it names, has class {theirs:?}: they are never bound to each other"
        );
        let field = if spec.class_in_annotation {
            FieldPath::root().key("metadata")
        } else {
            at.key("storageClassName")
        };
        findings.push(
            NewFinding::new(field, message)
                .related(at.key("volumeName"), "the volume")
                .help(format!("write `storageClassName: {theirs:?}`, or name another volume")),
        );
    }
    if let (Some(request), Some(capacity)) = (&spec.request, &volume.capacity)
        && request > capacity
    {
        let message = format!(
            "asks for {request}, but volume {name}, which it names, has {capacity}: they are never bound to each other"
        );
        findings.push(
            NewFinding::new(at.key("resources").key("requests").key("storage"), message)
                .related(at.key("volumeName"), "the volume")
                .help(format!("ask for {capacity} or less, or name another volume")),
        );
    }
    let (asked, has) = (spec.volume_mode, volume.volume_mode);
    if asked != has {
        let message = format!(
            "asks for volume mode {asked}, but volume {name}, which it names, has {has}: they are never bound to each other"
        );
        findings.push(
            NewFinding::new(at.key("volumeMode"), message)
                .related(at.key("volumeName"), "the volume")
                .help(format!("write `volumeMode: {has}`, or name another volume")),
        );
    }
    let lacking = |mode: &&Result<_, _>| !volume.access_modes.contains(mode);
    if let Some(Ok(mode)) = spec.access_modes.iter().filter(|mode| mode.is_ok()).find(lacking) {
        let offered: Vec<&str> = volume.access_modes.iter().flatten().map(|mode| mode.as_str()).collect();
        let message = format!(
            "asks for {mode}, but volume {name}, which it names, offers {}: they are never bound to each other",
            if offered.is_empty() { "no access mode".to_owned() } else { offered.join(", ") }
        );
        findings.push(
            NewFinding::new(at.key("accessModes"), message)
                .related(at.key("volumeName"), "the volume")
                .help("ask for what the volume offers, or name another volume"),
        );
    }
}

/// The other claim that has the volume, or that wants it.
fn taken(context: &Context<'_>, volume: &VolumeFacts, claim: &ClaimFacts) -> Option<(String, String)> {
    if let Some((namespace, name, _)) = &volume.claim {
        return Some((namespace.clone(), name.clone()));
    }
    context.lookup.other_claim_of(&volume.name, &claim.namespace, &claim.name)
}

/// Whether the volume may be for this claim, which names no namespace in its manifest: a kustomization or Helm gives it one.
fn may_be_its_own(context: &Context<'_>, claim: &ClaimFacts, (namespace, name): &(String, String)) -> bool {
    let stated = context.review.object.get("metadata").and_then(|metadata| metadata.get("namespace"));
    stated.is_none() && *name == claim.name && *namespace != claim.namespace
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{judge, lines};
    use serde_json::{Value, json};

    fn volume(more: Value) -> Value {
        let mut spec = json!({"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "manual",
                              "hostPath": {"path": "/mnt/m"}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-m"}, "spec": spec})
    }

    fn claim(name: &str, more: Value) -> Value {
        let mut spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "manual", "volumeName": "pv-m",
                              "resources": {"requests": {"storage": "5Gi"}}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
               "spec": spec})
    }

    fn found(context: &[Value], object: &Value) -> Vec<String> {
        lines(&judge(json!([{"volumeReachable": {}}]), context, object))
    }

    #[test]
    fn what_is_never_bound_is_refused() {
        let context = [volume(json!({}))];
        let said = |more: Value| found(&context, &claim("c", more));
        assert_eq!(said(json!({})), [""; 0]);
        assert_eq!(said(json!({"resources": {"requests": {"storage": "1Gi"}}})), [""; 0]);
        assert_eq!(said(json!({"volumeMode": "Filesystem"})), [""; 0]);
        let device = [volume(json!({"volumeMode": "Block"}))];
        assert_eq!(found(&device, &claim("c", json!({"volumeMode": "Block"}))), [""; 0]);
        assert_eq!(found(&device, &claim("c", json!({}))).len(), 1);
        assert_eq!(said(json!({"storageClassName": null})), [""; 0], "a default may be filled in");
        assert_eq!(said(json!({"volumeName": "unknown", "storageClassName": "x"})), [""; 0]);
        for (more, wanted) in [
            (
                json!({"storageClassName": "local-path"}),
                "Deny spec.storageClassName: has class \"local-path\", but volume pv-m",
            ),
            (json!({"storageClassName": ""}), "Deny spec.storageClassName: has class \"\""),
            (
                json!({"resources": {"requests": {"storage": "50Gi"}}}),
                "Deny spec.resources.requests.storage: asks for 50Gi, but volume pv-m, which it names, has 5Gi",
            ),
            (
                json!({"volumeMode": "Block"}),
                "Deny spec.volumeMode: asks for volume mode Block, but volume pv-m, which it names, has Filesystem",
            ),
            (
                json!({"accessModes": ["ReadWriteMany"]}),
                "Deny spec.accessModes: asks for ReadWriteMany, but volume pv-m, which it names, offers ReadWriteOnce",
            ),
        ] {
            let lines = said(more);
            assert!(lines.len() == 1 && lines[0].starts_with(wanted), "{lines:?}");
        }
    }

    #[test]
    fn a_claim_that_gets_its_namespace_later_may_be_the_volumes_own() {
        let kept = volume(json!({"claimRef": {"namespace": "media", "name": "store"}}));
        let mut unplaced = claim("store", json!({}));
        unplaced["metadata"].as_object_mut().unwrap().remove("namespace");
        assert_eq!(found(std::slice::from_ref(&kept), &unplaced), [""; 0]);
        assert_eq!(found(std::slice::from_ref(&kept), &claim("other", json!({}))).len(), 1);
        unplaced["metadata"]["namespace"] = json!("default");
        assert_eq!(found(&[kept], &unplaced).len(), 1);
    }

    #[test]
    fn a_second_claim_for_one_volume_is_a_warning() {
        let free = volume(json!({}));
        let other = claim("first", json!({}));
        let lines = found(&[free.clone(), other], &claim("second", json!({})));
        assert!(
            lines.len() == 1
                && lines[0]
                    .starts_with("Warn spec.volumeName: names volume pv-m, which is for claim default/first"),
            "{lines:?}"
        );
        let reserved = |name: &str| volume(json!({"claimRef": {"namespace": "default", "name": name}}));
        assert_eq!(found(&[reserved("first")], &claim("second", json!({}))).len(), 1);
        let lenient = json!({"storageClassName": "other", "resources": {"requests": {"storage": "50Gi"}}});
        assert_eq!(found(&[reserved("second")], &claim("second", lenient)), [""; 0], "each names the other");
        let gone = volume(json!({"claimRef": {"namespace": "default", "name": "second", "uid": "old"}}));
        let mut released = gone;
        released["status"] = json!({"phase": "Released"});
        let lines = found(&[released], &claim("second", json!({})));
        let wanted = "Warn spec.volumeName: names volume pv-m, which an earlier claim of this name had";
        assert!(lines.len() == 1 && lines[0].starts_with(wanted), "{lines:?}");
        assert_eq!(
            found(&[free.clone(), claim("second", json!({}))], &claim("second", json!({}))),
            [""; 0],
            "itself"
        );
    }
}
