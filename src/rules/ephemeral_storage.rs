use super::support::quantity;
use crate::facts::{Container, PodFacts, Section};
use crate::model::{FieldPath, Quantity, yes};
use crate::rule::{Context, NewFinding, NewFindings, PolicyFault, Reads, Rule, RuleKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Limits what containers write to the node's disk.
///
/// # Why it matters
/// What a container writes to its image's layer, to its logs and to an emptyDir on disk lies on the node's own disk. Without a
/// limit of `ephemeral-storage` one container fills it, and the kubelet then evicts other pods as well. With one, the pod that
/// exceeds it is evicted, and it alone. The scheduler counts the request; where there is none, the limit stands for it.
///
/// # What it checks
/// Each container of a pod needs a limit of `ephemeral-storage`, and with `requireRequest` a request; neither may be
/// above `max`.
///
/// # Example
/// ```yaml
/// - ephemeralStorage: {max: 10Gi}
/// ```
/// Bad: a container without `resources.limits.ephemeral-storage`, or with `50Gi`.
/// Good: `resources: {limits: {ephemeral-storage: 2Gi}}`.
///
/// # Details
/// Init containers and sidecars count; containers that are put into a running pod have no resources. A LimitRange of the
/// namespace fills limits into pods before the webhook is asked, but not into the templates of workloads: put them there,
/// or name `kinds: [Pod]` with `kindsOnly: true` in `match`.
///
/// # What it does not check
/// The rule does not add up what the containers of a pod may take together, nor look at the `sizeLimit` of an emptyDir:
/// that is `emptyDir`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// Whether every container needs a limit.
    #[serde(default = "yes")]
    pub require_limit: bool,
    /// Whether every container needs a request; a limit stands for one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_request: bool,
    /// The largest limit and request, such as `10Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
}

impl RuleKind for Params {
    const ID: &'static str = "ephemeral-storage";
    const FIELD: &'static str = "ephemeralStorage";

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        if !self.require_limit && !self.require_request && self.max.is_none() {
            let message = "asks for nothing: write `max`, or take `requireLimit: false` out";
            faults.push(PolicyFault::new(at.clone(), message));
        }
        if self.require_limit && self.require_request {
            let message = "adds nothing, because each container needs a limit, which stands for a request: take it out, or \
                           write `requireLimit: false`";
            faults.push(PolicyFault::harmless(at.key("requireRequest"), message));
        }
        let max = quantity(self.max.as_deref(), &at.key("max"), faults);
        Arc::new(EphemeralStorage {
            require_limit: self.require_limit,
            require_request: self.require_request,
            max,
        })
    }
}

#[derive(Debug)]
struct EphemeralStorage {
    require_limit: bool,
    require_request: bool,
    max: Option<Quantity>,
}

/// The resource's name in Kubernetes.
const RESOURCE: &str = "ephemeral-storage";

impl Rule for EphemeralStorage {
    fn reads(&self) -> &'static [Reads] {
        &[Reads::Pods]
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        let Some(workload) = context.facts.workload() else { return };
        let pod = &workload.pod;
        let running = pod.containers.iter().filter(|container| container.section != Section::Ephemeral);
        for container in running {
            self.judge(pod, container, findings);
        }
    }
}

impl EphemeralStorage {
    fn judge(&self, pod: &PodFacts<'_>, container: &Container<'_>, findings: &mut NewFindings<'_>) {
        let name = container.name;
        let resources = container.path(&pod.path()).key("resources");
        let field = |list: &'static str| resources.key(list).key(RESOURCE);
        let limit = container.storage_limit.as_ref().filter(|limit| limit.value() > 0);
        let request = request(container);
        let help = || match &self.max {
            Some(max) => format!("set `resources.limits.{RESOURCE}`, at most {max}"),
            None => format!("set `resources.limits.{RESOURCE}`, such as 2Gi"),
        };
        if self.require_limit && limit.is_none() {
            let message = format!(
                "container {name:?} has no limit of {RESOURCE}: it can fill the node's disk, and the kubelet then evicts \
                 other pods as well"
            );
            findings.push(NewFinding::new(field("limits"), message).help(help()));
        } else if self.require_request && limit.is_none() && request.is_none() {
            let message = format!(
                "container {name:?} requests no {RESOURCE}: the scheduler puts it on a node whatever is left of its disk"
            );
            let help = format!("set `resources.requests.{RESOURCE}`, or a limit, which stands for it");
            findings.push(NewFinding::new(field("requests"), message).help(help));
        }
        let Some(max) = &self.max else { return };
        if let Some(limit) = limit.filter(|limit| *limit > max) {
            let message = format!(
                "container {name:?} may write {limit} to the node's disk: the most that the policy allows is {max}"
            );
            let help = format!("set `resources.limits.{RESOURCE}` to {max} or less; use a volume for more");
            findings.push(NewFinding::new(field("limits"), message).help(help));
        } else if let Some(request) = request.filter(|request| request > max) {
            let message = format!(
                "container {name:?} requests {request} of the node's disk: the most that the policy allows is {max}"
            );
            let help = format!("set `resources.requests.{RESOURCE}` to {max} or less; use a volume for more");
            findings.push(NewFinding::new(field("requests"), message).help(help));
        }
    }
}

/// `resources.requests.ephemeral-storage` of a container; nothing where it is none.
fn request(container: &Container<'_>) -> Option<Quantity> {
    let request = container.node.get("resources")?.get("requests")?.get(RESOURCE)?;
    let request = match request.as_str() {
        Some(text) => Quantity::parse(text).ok(),
        None => Quantity::parse(&request.as_number()?.to_string()).ok(),
    };
    request.filter(|request| request.value() > 0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, judge, lines};
    use serde_json::{Value, json};

    fn found(params: Value, resources: Value) -> Vec<String> {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
            "containers": [{"name": "c", "resources": resources}],
            "ephemeralContainers": [{"name": "debug"}]}});
        lines(&judge(json!([{"ephemeralStorage": params}]), &[], &pod))
    }

    fn of(list: &str, size: Value) -> Value {
        json!({list: {"ephemeral-storage": size}})
    }

    #[track_caller]
    fn expect(found: &[String], list: &str, part: &str) {
        assert_eq!(found.len(), 1, "{found:?}");
        let field = format!("Deny spec.containers[0].resources.{list}[\"ephemeral-storage\"]: ");
        let plain = format!("Deny spec.containers[0].resources.{list}.ephemeral-storage: ");
        let is_there = found[0].starts_with(&field) || found[0].starts_with(&plain);
        assert!(is_there && found[0].contains(part), "{found:?}");
    }

    #[test]
    fn a_limit_is_needed_and_bounded() {
        expect(&found(json!({}), json!({})), "limits", "has no limit");
        expect(&found(json!({}), of("limits", json!(0))), "limits", "has no limit");
        expect(&found(json!({}), of("requests", json!("1Gi"))), "limits", "has no limit");
        assert_eq!(found(json!({}), of("limits", json!("1Gi"))), [""; 0]);
        let max = json!({"max": "2Gi"});
        assert_eq!(found(max.clone(), of("limits", json!("2Gi"))), [""; 0]);
        assert_eq!(found(max.clone(), of("limits", json!(2_000_000_000))), [""; 0]);
        expect(&found(max.clone(), of("limits", json!("3Gi"))), "limits", "may write 3Gi");
        let bound = json!({"requireLimit": false, "max": "2Gi"});
        assert_eq!(found(bound.clone(), json!({})), [""; 0]);
        expect(&found(bound, of("requests", json!("3Gi"))), "requests", "requests 3Gi");
    }

    #[test]
    fn a_limit_stands_for_a_request() {
        let params = json!({"requireLimit": false, "requireRequest": true});
        expect(&found(params.clone(), json!({})), "requests", "requests no ephemeral-storage");
        assert_eq!(found(params.clone(), of("requests", json!("1Gi"))), [""; 0]);
        assert_eq!(found(params, of("limits", json!("1Gi"))), [""; 0]);
    }

    #[test]
    fn init_containers_count() {
        let set = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": {
            "spec": {"containers": [], "initContainers": [{"name": "i"}]}}}});
        let lines = lines(&judge(json!([{"ephemeralStorage": {}}]), &[], &set));
        assert!(
            lines[0].starts_with("Deny spec.template.spec.initContainers[0].resources.limits"),
            "{lines:?}"
        );
    }

    #[test]
    fn a_bad_policy_is_refused() {
        let of = |params: Value| faults(json!([{"ephemeralStorage": params}]));
        assert!(of(json!({"max": "10GB"}))[0].contains("max: \"10GB\" is not a quantity"));
        assert!(of(json!({"requireLimit": false}))[0].contains("asks for nothing"));
        assert!(of(json!({"requireRequest": true}))[0].contains("adds nothing"));
    }
}
