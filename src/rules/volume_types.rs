use super::support::{fits_any, one_of};
use crate::facts::{PodVolume, VolumeSource, Workload, WorkloadKind};
use crate::json::Node;
use crate::model::{FieldPath, beginning, did_you_mean, did_you_mean_code};
use crate::rule::{Concern, Context, NewFinding, NewFindings, PolicyFault, Reads, Rule, RuleKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Restricts which types of pod volume may be used.
///
/// # Why it matters
/// A pod that names its storage itself (`nfs`, `iscsi`, `hostPath`, an inline `csi` volume) goes past classes, claims,
/// quotas and whoever hands out storage.
///
/// # What it checks
/// This rule names the types that are allowed, or those that are not, by their field in a pod's `volumes`. A type that
/// Kubernetes 1.37 does not have is always a finding: the API server drops the field, and the pod gets an empty emptyDir
/// in place of its data. So is a pod volume of two types, which the API server refuses. A pod volume without a type
/// counts as `emptyDir`, which is what Kubernetes makes of it.
///
/// # Example
/// ```yaml
/// - volumeTypes:
///     allow: [configMap, secret, projected, downwardAPI, emptyDir, persistentVolumeClaim, csi]
///     csiDrivers: {allow: [secrets-store.csi.k8s.io]}
/// ```
/// Bad: `volumes: [{name: data, nfs: {server: nas, path: /data}}]`.
/// Good: `volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]`.
///
/// # What it does not check
/// The service account token that the API server itself puts into pods is let through whatever the list says. The
/// rule does not look at what lies behind a claim, nor at the paths of hostPath volumes: that is `hostPath`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The types that may be used, and no others; `[]` allows none. Not beside `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// The types that may not be used. Not beside `allow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<Vec<String>>,
    /// Which drivers inline `csi` volumes may use. Default: every driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csi_drivers: Option<CsiDrivers>,
    /// Which drivers `flexVolume` volumes may use. Default: every driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flex_drivers: Option<FlexDrivers>,
}

/// The drivers of inline `csi` volumes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsiDrivers {
    /// The drivers that may be used, and no others; `*` stands for any text.
    pub allow: Vec<String>,
}

/// The drivers of `flexVolume` volumes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlexDrivers {
    /// The drivers that may be used, such as `example/lvm`, and no others; `*` stands for any text.
    pub allow: Vec<String>,
}

impl RuleKind for Params {
    const ID: &'static str = "volume-types";
    const FIELD: &'static str = "volumeTypes";

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        match (&self.allow, &self.deny) {
            (Some(_), Some(_)) => {
                let message =
                    "has both `allow` and `deny`: keep one; what `allow` does not name is refused anyway";
                faults.push(PolicyFault::new(at.clone(), message));
            }
            (None, None) if self.csi_drivers.is_none() && self.flex_drivers.is_none() => {
                let message = "says nothing: write `allow`, `deny`, `csiDrivers` or `flexDrivers`";
                faults.push(PolicyFault::new(at.clone(), message));
            }
            _ => {}
        }
        let known: Vec<&str> = VolumeSource::types().collect();
        for (field, types) in [("allow", &self.allow), ("deny", &self.deny)] {
            for (index, name) in types.iter().flatten().enumerate() {
                if !known.contains(&name.as_str()) {
                    let hint = did_you_mean(name, &known)
                        .unwrap_or_else(|| format!("the types are {}", known.join(", ")));
                    let message = format!("unknown pod volume type {name:?}: {hint}");
                    faults.push(PolicyFault::new(at.key(field).index(index), message));
                }
            }
        }
        let drivers = [
            ("csi", "csiDrivers", self.csi_drivers.is_some()),
            ("flexVolume", "flexDrivers", self.flex_drivers.is_some()),
        ];
        for (kind, field, _) in drivers.into_iter().filter(|(kind, _, given)| *given && !self.permits(kind)) {
            let message =
                format!("has no effect, because the type {kind} is refused: allow {kind}, or take this out");
            faults.push(PolicyFault::new(at.key(field), message));
        }
        Arc::new(VolumeTypes(self.clone()))
    }
}

impl Params {
    fn permits(&self, name: &str) -> bool {
        let names =
            |list: &Option<Vec<String>>| list.as_ref().map(|list| list.iter().any(|item| item == name));
        names(&self.allow).unwrap_or(true) && !names(&self.deny).unwrap_or(false)
    }

    fn permitted(&self) -> BTreeSet<&'static str> {
        VolumeSource::types().filter(|name| self.permits(name)).collect()
    }
}

#[derive(Debug)]
struct VolumeTypes(Params);

impl Rule for VolumeTypes {
    fn reads(&self) -> &'static [Reads] {
        &[Reads::Pods]
    }

    fn finds(&self) -> Concern {
        Concern::any_volume()
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        let Some(workload) = context.facts.workload() else { return };
        let pod = workload.pod.path();
        let volumes = workload.pod.volumes.iter();
        findings.extend(volumes.filter_map(|volume| self.judge(workload, volume, &pod)));
    }

    fn contradicts(&self, other: &dyn Any) -> Option<String> {
        let other = &other.downcast_ref::<Self>()?.0;
        let (ours, theirs) = (self.0.permitted(), other.permitted());
        if ours.is_empty() || theirs.is_empty() || !ours.is_disjoint(&theirs) {
            return None;
        }
        Some("what one allows the other refuses, so that no pod volume of any type is left".to_owned())
    }
}

impl VolumeTypes {
    fn judge(&self, workload: &Workload<'_>, volume: &PodVolume<'_>, pod: &FieldPath) -> Option<NewFinding> {
        let name = volume.name;
        let field = volume.path(pod).key(volume.source.field().unwrap_or("emptyDir").to_owned());
        let known = |kind: &str| VolumeSource::types().any(|known| known == kind);
        if let (Some(first), Some(second)) = (volume.source.field(), volume.second)
            && known(first)
            && known(second)
        {
            let message = format!(
                "pod volume {name:?} is both {first} and {second}: the API server refuses a volume of two types"
            );
            let finding = NewFinding::new(volume.path(pod).key(second.to_owned()), message)
                .related(field, "the other type")
                .help("keep the one that is meant, and give the other a name of its own");
            return Some(finding);
        }
        if let VolumeSource::Unknown(kind) = volume.source {
            let known: Vec<&str> = VolumeSource::types().collect();
            let shown = beginning(kind, 64);
            let message = format!(
                "pod volume {name:?} has the type {shown:?}, which Kubernetes 1.37 does not have: the API server drops \
                 the field, and the pod gets an empty emptyDir in its place"
            );
            let help =
                did_you_mean_code(kind, &known).unwrap_or_else(|| format!("use {}", self.alternatives()));
            return Some(NewFinding::new(field, message).help(help));
        }
        let kind = volume.source.field().unwrap_or("emptyDir");
        if !self.0.permits(kind) {
            if is_api_access(workload, volume) {
                return None;
            }
            let message = format!("pod volume {name:?} is of type {kind}, which the policy does not allow");
            return Some(NewFinding::new(field, message).help(format!("use {}", self.alternatives())));
        }
        let (what, driver, allow) = match (&volume.source, &self.0.csi_drivers, &self.0.flex_drivers) {
            (VolumeSource::Csi { driver, .. }, Some(drivers), _) => ("CSI", *driver, &drivers.allow),
            (VolumeSource::Network { kind: "flexVolume", .. }, _, Some(drivers)) => {
                let source = volume.node.get("flexVolume");
                let driver = source.and_then(|source| source.get("driver")).and_then(Node::as_str);
                ("FlexVolume", driver.unwrap_or_default(), &drivers.allow)
            }
            _ => return None,
        };
        if fits_any(allow, driver) {
            return None;
        }
        let shown = beginning(driver, 253);
        let message = format!(
            "pod volume {name:?} is made by {what} driver {shown:?}, which the policy does not allow"
        );
        Some(NewFinding::new(field.key("driver"), message).help(match allow.is_empty() {
            true => "use a persistentVolumeClaim: no driver may make inline volumes".to_owned(),
            false => format!("use a persistentVolumeClaim, or the driver {}", one_of(allow)),
        }))
    }

    /// What to use in place of a refused type, the better known types only where the list would be long.
    fn alternatives(&self) -> String {
        let permitted = match &self.0.allow {
            Some(allow) if allow.is_empty() => return "no pod volumes: the policy allows none".to_owned(),
            Some(allow) => one_of(allow),
            None => one_of(
                ["persistentVolumeClaim", "ephemeral", "emptyDir"]
                    .into_iter()
                    .filter(|name| self.0.permits(name)),
            ),
        };
        if permitted.is_empty() { "a type that the policy does not refuse".to_owned() } else { permitted }
    }
}

/// Whether this is the token volume that the ServiceAccount admission plugin puts into a pod, and nothing more: its
/// name alone could be anyone's.
fn is_api_access(workload: &Workload<'_>, volume: &PodVolume<'_>) -> bool {
    if workload.kind != WorkloadKind::Pod || !volume.name.starts_with("kube-api-access-") {
        return false;
    }
    let sources = volume.node.get("projected").and_then(|projected| projected.get("sources"));
    sources.filter(|sources| sources.is_list()).is_some_and(|sources| sources.items().all(is_api_access_part))
}

fn is_api_access_part(source: Node<'_>) -> bool {
    let mut fields = source.fields();
    let (Some((kind, content)), None) = (fields.next(), fields.next()) else { return false };
    match kind {
        // A token for another audience is the author's own wish.
        "serviceAccountToken" => content.get("audience").is_none_or(Node::is_null),
        "configMap" => content.get("name").and_then(Node::as_str) == Some("kube-root-ca.crt"),
        "downwardAPI" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, judge, lines, policy};
    use serde_json::{Value, json};

    fn pod(volumes: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
               "spec": {"containers": [{"name": "c"}], "volumes": volumes}})
    }

    fn found(params: Value, volumes: Value) -> Vec<String> {
        lines(&judge(json!([{"volumeTypes": params}]), &[], &pod(volumes)))
    }

    #[test]
    fn an_allow_list_refuses_the_rest() {
        let params = json!({"allow": ["configMap", "emptyDir"]});
        let volumes = json!([{"name": "a", "emptyDir": {}}, {"name": "b", "nfs": {}}, {"name": "c"}]);
        assert_eq!(
            found(params.clone(), volumes),
            ["Deny spec.volumes[1].nfs: pod volume \"b\" is of type nfs, which the policy does not allow"]
        );
        assert_eq!(found(json!({"allow": []}), json!([{"name": "c"}])).len(), 1, "no type is an emptyDir");
        let verdict = judge(json!([{"volumeTypes": params}]), &[], &pod(json!([{"name": "b", "nfs": {}}])));
        assert_eq!(verdict.findings[0].help.as_deref(), Some("use configMap or emptyDir"));
    }

    #[test]
    fn a_deny_list_refuses_what_it_names() {
        let params = json!({"deny": ["gitRepo", "hostPath"]});
        let volumes = json!([{"name": "a", "gitRepo": {}}, {"name": "b", "nfs": {}}]);
        assert_eq!(found(params, volumes).len(), 1);
    }

    #[test]
    fn a_volume_of_two_types_is_always_a_finding() {
        let volume = |sources: Value| {
            let mut volume = json!({"name": "a"});
            volume.as_object_mut().unwrap().extend(sources.as_object().unwrap().clone());
            judge(json!([{"volumeTypes": {"deny": ["gitRepo"]}}]), &[], &pod(json!([volume])))
        };
        let claim = json!({"claimName": "c"});
        for sources in [
            json!({"persistentVolumeClaim": claim, "emptyDir": {}}),
            json!({"emptyDir": {}, "secret": {}, "persistentVolumeClaim": claim}),
        ] {
            let verdict = volume(sources);
            assert_eq!(
                lines(&verdict),
                ["Deny spec.volumes[0].persistentVolumeClaim: pod volume \"a\" is both emptyDir and \
                     persistentVolumeClaim: the API server refuses a volume of two types"]
            );
            assert_eq!(verdict.findings[0].related[0].0.to_string(), "spec.volumes[0].emptyDir");
        }
        assert!(volume(json!({"emptyDir": {}, "persistentVolumeClaim": null})).findings.is_empty());
    }

    #[test]
    fn an_unknown_type_is_always_a_finding() {
        let verdict = judge(
            json!([{"volumeTypes": {"deny": ["hostPath"]}}]),
            &[],
            &pod(json!([{"name": "a", "emptydir": {}}])),
        );
        assert!(lines(&verdict)[0].starts_with("Deny spec.volumes[0].emptydir: "), "{verdict:?}");
        assert_eq!(verdict.findings[0].help.as_deref(), Some("did you mean `emptyDir`?"));
    }

    #[test]
    fn inline_csi_drivers_can_be_chosen() {
        let params = json!({"csiDrivers": {"allow": ["secrets-store.csi.k8s.io", "csi.example.*"]}});
        let volume = |driver: &str| json!([{"name": "a", "csi": {"driver": driver}}]);
        assert_eq!(found(params.clone(), volume("secrets-store.csi.k8s.io")).len(), 0);
        assert_eq!(found(params.clone(), volume("csi.example.com")).len(), 0);
        assert!(found(params, volume("evil.example"))[0].starts_with("Deny spec.volumes[0].csi.driver: "));
    }

    #[test]
    fn the_injected_token_passes_and_no_imitation() {
        let token = |name: &str, more: Value| {
            let mut sources = json!([
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": []}}]);
            sources.as_array_mut().unwrap().push(more);
            json!([{"name": name, "projected": {"sources": sources}}])
        };
        let params = json!({"allow": ["emptyDir"]});
        let nothing_more = json!({"downwardAPI": {}});
        assert_eq!(found(params.clone(), token("kube-api-access-x7k2p", nothing_more.clone())).len(), 0);
        assert_eq!(found(params.clone(), token("mine", nothing_more)).len(), 1);
        let secret = json!({"secret": {"name": "root"}});
        assert_eq!(found(params.clone(), token("kube-api-access-x7k2p", secret)).len(), 1);
        let audience = json!({"serviceAccountToken": {"audience": "vault"}});
        assert_eq!(found(params, token("kube-api-access-x7k2p", audience)).len(), 1);
    }

    #[test]
    fn a_policy_that_cannot_be_meant_is_refused() {
        let of = |params: Value| faults(json!([{"volumeTypes": params}]));
        assert_eq!(
            of(json!({"allow": ["hostpath"]})),
            [
                "spec.rules[0].volumeTypes.allow[0]: unknown pod volume type \"hostpath\": did you mean hostPath?"
            ]
        );
        assert_eq!(of(json!({})).len(), 1);
        assert_eq!(of(json!({"allow": ["csi"], "deny": ["nfs"]})).len(), 1);
        assert_eq!(of(json!({"allow": ["nfs"], "csiDrivers": {"allow": []}})).len(), 1);
        assert_eq!(of(json!({"csiDrivers": {"allow": ["*.k8s.io"]}})), [""; 0], "`*` may stand anywhere");
        assert_eq!(of(json!({"allow": ["nfs"], "flexDrivers": {"allow": []}})).len(), 1);
    }

    #[test]
    fn all_types_of_kubernetes_1_37_are_known() {
        let types: Vec<&str> = crate::facts::VolumeSource::types().collect();
        assert_eq!(types.len(), 30, "{types:?}");
        assert!(policy(json!([{"volumeTypes": {"allow": types}}])).is_ok());
    }

    #[test]
    fn two_policies_may_leave_nothing() {
        let rule = |params: Value| {
            policy(json!([{"volumeTypes": params}])).unwrap().policies()[0].rules[0].rule.clone()
        };
        let allows = |types: Value| rule(json!({"allow": types}));
        assert!(allows(json!(["nfs"])).contradicts(&*allows(json!(["emptyDir"]))).is_some());
        assert!(allows(json!(["nfs"])).contradicts(&*rule(json!({"deny": ["nfs"]}))).is_some());
        assert!(allows(json!(["nfs", "csi"])).contradicts(&*allows(json!(["csi"]))).is_none());
    }
}
