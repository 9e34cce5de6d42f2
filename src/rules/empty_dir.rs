use super::support::{Most, quantity};
use crate::facts::{Container, Mount, PodFacts, PodVolume, Section, VolumeSource};
use crate::json::Node;
use crate::model::{FieldPath, Quantity, nearest, yes};
use crate::rule::{Concern, Context, NewFinding, NewFindings, PolicyFault, Reads, Rule, RuleKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Limits the size of emptyDir volumes.
///
/// # Why it matters
/// An emptyDir without `sizeLimit` takes the node's disk until the kubelet evicts pods, and not only the guilty one. With
/// `medium: Memory` it is a tmpfs: what is written there counts as the memory of the container that wrote it, so that a
/// size limit above the containers' memory limits ends in an OOM kill before the volume is full, and a tmpfs with no
/// limit on either side may take all memory that the node has for pods.
///
/// # What it checks
/// A tmpfs needs a `sizeLimit` whatever `requireSizeLimit` says (`unboundedMemory` and `orMemoryLimit` ask for less),
/// and one that the memory limits of the containers that write to it can hold. A medium that the kubelet does not know
/// keeps the pod from starting, and is always a finding.
///
/// # Example
/// ```yaml
/// - emptyDir: {maxSize: 10Gi, maxMemory: 1Gi}
/// ```
/// Bad: `emptyDir: {}`, `emptyDir: {medium: memory}`, `emptyDir: {medium: Memory, sizeLimit: 2Gi}` beside
/// `limits: {memory: 1Gi}`. Good: `emptyDir: {sizeLimit: 2Gi}`.
///
/// # Details
/// A `sizeLimit` of 0 is none. A pod volume without a type is an emptyDir without a limit. Huge pages are bounded by
/// the containers' own limits, and need no size. In-place resizes of a running pod are not checked: they cannot change
/// a `sizeLimit`, and a memory limit that is lowered below one goes unnoticed.
///
/// # What it does not check
/// The rule does not hold `ephemeral-storage` limits of containers against `maxSize`, and does not excuse volumes by
/// their names, which any author can choose: that is for a policy's `exceptions`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// Whether every emptyDir on disk needs a `sizeLimit`.
    #[serde(default = "yes")]
    pub require_size_limit: bool,
    /// Whether one on disk needs none where each container that mounts it has a limit of `ephemeral-storage`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub or_storage_limit: bool,
    /// The largest `sizeLimit`, such as `10Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<String>,
    /// Whether `medium: Memory` may be used.
    #[serde(default = "yes")]
    pub allow_memory: bool,
    /// The strictest action for a tmpfs without a `sizeLimit`.
    #[serde(default = "Most::deny", skip_serializing_if = "Most::is_deny")]
    pub unbounded_memory: Most,
    /// Whether a tmpfs needs no `sizeLimit` where the memory limits of the containers that write to it, or of the pod, hold it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub or_memory_limit: bool,
    /// The largest `sizeLimit` with `medium: Memory`. Default: `maxSize`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<String>,
}

impl RuleKind for Params {
    const ID: &'static str = "empty-dir";
    const FIELD: &'static str = "emptyDir";

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        let max_size = quantity(self.max_size.as_deref(), &at.key("maxSize"), faults);
        let max_memory = quantity(self.max_memory.as_deref(), &at.key("maxMemory"), faults);
        if self.max_memory.is_some() && !self.allow_memory {
            let message = "has no effect, because `allowMemory` is false: take one of them out";
            faults.push(PolicyFault::new(at.key("maxMemory"), message));
        }
        if self.or_storage_limit && !self.require_size_limit {
            let message = "has no effect, because `requireSizeLimit` is false: take one of them out";
            faults.push(PolicyFault::new(at.key("orStorageLimit"), message));
        }
        if !self.allow_memory {
            let parts = [
                ("unboundedMemory", !self.unbounded_memory.is_deny()),
                ("orMemoryLimit", self.or_memory_limit),
            ];
            for (field, _) in parts.into_iter().filter(|(_, given)| *given) {
                let message = "has no effect, because `allowMemory` is false: take one of them out";
                faults.push(PolicyFault::new(at.key(field), message));
            }
        } else if self.or_memory_limit && self.unbounded_memory == Most::Ignore {
            let message = "has no effect, because `unboundedMemory` is Ignore: take one of them out";
            faults.push(PolicyFault::new(at.key("orMemoryLimit"), message));
        }
        Arc::new(EmptyDir {
            unbounded_memory: self.unbounded_memory,
            or_memory_limit: self.or_memory_limit,
            or_storage_limit: self.or_storage_limit,
            require_size_limit: self.require_size_limit,
            allow_memory: self.allow_memory,
            max_memory: max_memory.or_else(|| max_size.clone()),
            max_size,
        })
    }
}

#[derive(Debug)]
struct EmptyDir {
    require_size_limit: bool,
    or_storage_limit: bool,
    allow_memory: bool,
    unbounded_memory: Most,
    or_memory_limit: bool,
    max_size: Option<Quantity>,
    max_memory: Option<Quantity>,
}

impl Rule for EmptyDir {
    fn reads(&self) -> &'static [Reads] {
        &[Reads::Pods]
    }

    fn finds(&self) -> Concern {
        Concern::volumes(["emptyDir"])
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        let Some(workload) = context.facts.workload() else { return };
        let pod = &workload.pod;
        for volume in &pod.volumes {
            // Of several of one name, which no API server takes, the mounts mean the first.
            let is_first = pod.volume(volume.name).is_some_and(|first| first.index == volume.index);
            findings.extend(self.judge(pod, volume, is_first.then_some(volume.name)));
        }
    }
}

/// The media that the kubelet knows; huge pages of a size (`HugePages-2Mi`) besides.
const MEDIA: [&str; 2] = ["Memory", "HugePages"];

impl EmptyDir {
    /// `mounted` is the name by which mounts mean the pod volume.
    fn judge(&self, pod: &PodFacts<'_>, volume: &PodVolume<'_>, mounted: Option<&str>) -> Option<NewFinding> {
        let (medium, size_limit) = match &volume.source {
            VolumeSource::EmptyDir { medium, size_limit } => (*medium, size_limit.as_ref()),
            VolumeSource::Unset => ("", None),
            _ => return None,
        };
        // The API server makes an emptyDir of a volume without a type.
        let source = volume.path(&pod.path()).key("emptyDir");
        let name = volume.name;
        match medium {
            "" => {
                let field = source.key("sizeLimit");
                let Some(size) = size_limit.filter(|size| size.value() > 0) else {
                    if !self.require_size_limit || (self.or_storage_limit && has_storage_limits(pod, mounted))
                    {
                        return None;
                    }
                    let message = format!(
                        "emptyDir {name:?} has no size limit: it can fill the node's disk, and the kubelet then \
                         evicts other pods as well"
                    );
                    let mut help = match &self.max_size {
                        Some(max) => format!("set `sizeLimit`, at most {max}"),
                        None => "set `sizeLimit`, such as 1Gi".to_owned(),
                    };
                    if self.or_storage_limit {
                        help.push_str(", or `limits.ephemeral-storage` of every container that mounts it");
                    }
                    return Some(NewFinding::new(field, message).help(help));
                };
                too_large(name, size, self.max_size.as_ref(), field)
            }
            "Memory" => self.judge_memory(pod, (volume, mounted), size_limit, &source),
            other if is_huge_pages(other) => None,
            other => {
                let message = format!(
                    "emptyDir {name:?} has the medium {other:?}, which the kubelet does not know: the pod never starts"
                );
                let help = match nearest(other, &MEDIA) {
                    Some(near) => format!("did you mean `{near}`? Leave the field out for the node's disk"),
                    None => {
                        "write `Memory` for a tmpfs, or leave the field out for the node's disk".to_owned()
                    }
                };
                Some(NewFinding::new(source.key("medium"), message).help(help))
            }
        }
    }

    fn judge_memory(
        &self,
        pod: &PodFacts<'_>,
        (volume, mounted): (&PodVolume<'_>, Option<&str>),
        size_limit: Option<&Quantity>,
        source: &FieldPath,
    ) -> Option<NewFinding> {
        let name = volume.name;
        if !self.allow_memory {
            let message = format!("emptyDir {name:?} is kept in memory, which the policy does not allow");
            return Some(
                NewFinding::new(source.key("medium"), message).help("leave `medium` out for the node's disk"),
            );
        }
        let held = MemoryLimit::of(pod, mounted);
        let field = source.key("sizeLimit");
        let Some(size) = size_limit.filter(|size| size.value() > 0) else {
            let most = self.unbounded_memory.action()?;
            if self.or_memory_limit && held.is_some() {
                return None;
            }
            let message = match &held {
                Some(held) => format!(
                    "emptyDir {name:?} is kept in memory and has no size limit: what is written there counts as the \
                     containers' own memory ({} at most), and they are OOM-killed when it is full",
                    held.text
                ),
                None => format!(
                    "emptyDir {name:?} is kept in memory without a size limit, and no memory limit holds it: it may \
                     take all memory that the node has for pods"
                ),
            };
            return Some(
                NewFinding::new(field, message)
                    .help("set `sizeLimit`, below the memory limit of the container")
                    .at_most(most),
            );
        };
        if let Some(held) = held.filter(|held| size.value() > held.bytes) {
            let message = format!(
                "emptyDir {name:?} is kept in memory and may hold {size}, but the memory limits of those who write \
                 to it allow {}: they are OOM-killed before it is full",
                held.text
            );
            let new_finding = NewFinding::new(field, message)
                .help(format!("lower `sizeLimit` well below {}, or raise the memory limits", held.text));
            return Some(
                held.fields
                    .into_iter()
                    .fold(new_finding, |new_finding, at| new_finding.related(at, "the memory limit")),
            );
        }
        too_large(name, size, self.max_memory.as_ref(), field)
    }
}

/// The containers that mount the pod volume by such a mount. One that is put into a running pod is left out: it has no
/// resources of its own.
fn mounting<'p, 'a>(
    pod: &'p PodFacts<'a>,
    volume: Option<&'p str>,
    is_meant: fn(&Mount<'_>) -> bool,
) -> impl Iterator<Item = &'p Container<'a>> {
    let mut last: Option<&Container<'_>> = None;
    let mounts = volume.into_iter().flat_map(|volume| pod.mounts_of(volume));
    mounts.filter(move |(_, mount)| is_meant(mount)).map(|(container, _)| container).filter(
        move |container| {
            let again = last.replace(container).is_some_and(|last| std::ptr::eq(last, *container));
            !again && container.section != Section::Ephemeral
        },
    )
}

/// Whether each container that mounts the pod volume has a limit of ephemeral storage, to which it counts.
fn has_storage_limits(pod: &PodFacts<'_>, volume: Option<&str>) -> bool {
    mounting(pod, volume, |_| true)
        .all(|container| container.storage_limit.as_ref().is_some_and(|limit| limit.value() > 0))
}

fn too_large(name: &str, size: &Quantity, max: Option<&Quantity>, field: FieldPath) -> Option<NewFinding> {
    let max = max.filter(|max| size > max)?;
    let message = format!("emptyDir {name:?} may hold {size}: the most that the policy allows is {max}");
    Some(
        NewFinding::new(field, message)
            .help(format!("set `sizeLimit` to {max} or less; use an ephemeral volume for more")),
    )
}

/// As the kubelet has it: `HugePages`, or `HugePages-` and a page size.
fn is_huge_pages(medium: &str) -> bool {
    match medium.strip_prefix("HugePages") {
        Some("") => true,
        Some(rest) => rest.strip_prefix('-').is_some_and(|size| Quantity::parse(size).is_ok()),
        None => false,
    }
}

/// How much memory those who write to a pod volume may use together.
struct MemoryLimit {
    bytes: i128,
    text: String,
    fields: Vec<FieldPath>,
}

impl MemoryLimit {
    /// None where nothing limits it, or nobody writes to it.
    fn of(pod: &PodFacts<'_>, volume: Option<&str>) -> Option<Self> {
        let writers: Vec<&Container<'_>> = mounting(pod, volume, |mount| !mount.read_only).collect();
        let containers = writers.iter().map(|container| container.memory_limit.as_ref());
        let limits: Option<Vec<&Quantity>> = containers.collect();
        let own = limits.filter(|limits| !limits.is_empty()).map(|limits| {
            // Init containers run before the others, one by one.
            let (init, beside): (Vec<_>, Vec<_>) =
                writers.iter().zip(limits).partition(|(container, _)| container.section == Section::Init);
            let most = init.iter().map(|(_, limit)| limit.value()).max().unwrap_or(0);
            let together: i128 = beside.iter().map(|(_, limit)| limit.value()).sum();
            let text = match (init.as_slice(), beside.as_slice()) {
                ([], [(_, only)]) | ([(_, only)], []) => only.to_string(),
                _ => format!("{} bytes", most.max(together)),
            };
            let limit = |c: &&Container<'_>| c.path(&pod.path()).key("resources").key("limits").key("memory");
            Self {
                bytes: most.max(together),
                text,
                fields: writers.iter().take(NewFinding::MOST_RELATED).map(limit).collect(),
            }
        });
        let whole = pod_memory_limit(pod.spec).filter(|_| !writers.is_empty()).map(|limit| Self {
            bytes: limit.value(),
            text: limit.to_string(),
            fields: vec![pod.path().key("resources").key("limits").key("memory")],
        });
        [own, whole].into_iter().flatten().min_by_key(|limit| limit.bytes)
    }
}

/// `spec.resources.limits.memory` of the pod as a whole.
fn pod_memory_limit(spec: Node<'_>) -> Option<Quantity> {
    let limit = spec.get("resources")?.get("limits")?.get("memory")?;
    match limit.as_str() {
        Some(text) => Quantity::parse(text).ok(),
        None => Quantity::parse(&limit.as_number()?.to_string()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, judge, lines};
    use serde_json::{Value, json};

    fn pod(source: Value, containers: Value) -> Value {
        let mut volume = json!({"name": "v"});
        volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
               "spec": {"containers": containers, "volumes": [volume]}})
    }

    fn writer(memory: Value) -> Value {
        json!({"name": "c", "resources": {"limits": memory}, "volumeMounts": [{"name": "v", "mountPath": "/v"}]})
    }

    fn found(params: Value, source: Value, containers: Value) -> Vec<String> {
        lines(&judge(json!([{"emptyDir": params}]), &[], &pod(source, containers)))
    }

    #[track_caller]
    fn expect(found: &[String], field: &str, part: &str) {
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("Deny {field}: ")) && found[0].contains(part), "{found:?}");
    }

    #[test]
    fn a_size_limit_is_needed_on_disk() {
        expect(
            &found(json!({}), json!({"emptyDir": {}}), json!([])),
            "spec.volumes[0].emptyDir.sizeLimit",
            "no size limit",
        );
        expect(
            &found(json!({}), json!({}), json!([])),
            "spec.volumes[0].emptyDir.sizeLimit",
            "no size limit",
        );
        let zero = json!({"emptyDir": {"sizeLimit": 0}});
        expect(&found(json!({}), zero, json!([])), "spec.volumes[0].emptyDir.sizeLimit", "no size limit");
        assert_eq!(found(json!({}), json!({"emptyDir": {"sizeLimit": "1Gi"}}), json!([])), [""; 0]);
        assert_eq!(found(json!({"requireSizeLimit": false}), json!({"emptyDir": {}}), json!([])), [""; 0]);
        assert_eq!(found(json!({}), json!({"hostPath": {"path": "/"}}), json!([])), [""; 0]);
    }

    #[test]
    fn limits_of_ephemeral_storage_can_stand_for_a_size_limit() {
        let params = json!({"orStorageLimit": true, "maxSize": "1Gi"});
        let of = |params: &Value, source: Value, containers: Value| found(params.clone(), source, containers);
        let (limited, free) = (writer(json!({"ephemeral-storage": "2Gi"})), writer(json!({"memory": "2Gi"})));
        let other = json!({"name": "other", "volumeMounts": [{"name": "w", "mountPath": "/w"}]});
        let field = "spec.volumes[0].emptyDir.sizeLimit";
        let disk = || json!({"emptyDir": {}});
        assert_eq!(of(&params, disk(), json!([limited, other])), [""; 0]);
        expect(&of(&params, disk(), json!([limited, free])), field, "no size limit");
        let none = writer(json!({"ephemeral-storage": 0}));
        expect(&of(&params, disk(), json!([none])), field, "no size limit");
        expect(&of(&json!({}), disk(), json!([limited])), field, "no size limit");
        expect(&of(&params, json!({"emptyDir": {"sizeLimit": "2Gi"}}), json!([limited])), field, "is 1Gi");
        expect(
            &of(&params, json!({"emptyDir": {"medium": "Memory"}}), json!([limited])),
            field,
            "all memory",
        );
        let useless = json!([{"emptyDir": {"orStorageLimit": true, "requireSizeLimit": false}}]);
        assert!(faults(useless)[0].contains("has no effect"));
    }

    #[test]
    fn sizes_have_a_maximum_for_each_medium() {
        let params = json!({"maxSize": "1Gi", "maxMemory": "100M"});
        let on = |medium: &str, size: &str| json!({"emptyDir": {"medium": medium, "sizeLimit": size}});
        let field = "spec.volumes[0].emptyDir.sizeLimit";
        assert_eq!(found(params.clone(), on("", "1024Mi"), json!([])), [""; 0]);
        expect(&found(params.clone(), on("", "1025Mi"), json!([])), field, "is 1Gi");
        expect(&found(params, on("Memory", "101M"), json!([])), field, "is 100M");
        expect(&found(json!({"maxSize": "1Gi"}), on("Memory", "2Gi"), json!([])), field, "is 1Gi");
    }

    #[test]
    fn memory_is_held_by_the_memory_limits() {
        let of = |size: Value, containers: Value| {
            let source = json!({"emptyDir": {"medium": "Memory", "sizeLimit": size}});
            found(json!({"requireSizeLimit": false}), source, containers)
        };
        let limited = |memory: &str| writer(json!({"memory": memory}));
        let field = "spec.volumes[0].emptyDir.sizeLimit";
        expect(&of(Value::Null, json!([writer(json!({}))])), field, "all memory that the node");
        expect(&of(Value::Null, json!([limited("1Gi")])), field, "(1Gi at most)");
        assert_eq!(of(json!("1Gi"), json!([limited("1Gi")])), [""; 0]);
        expect(&of(json!("2Gi"), json!([limited("1Gi")])), field, "OOM-killed before it is full");
        assert_eq!(of(json!("2Gi"), json!([limited("1Gi"), limited("1Gi")])), [""; 0], "together");
        assert_eq!(of(json!("2Gi"), json!([limited("1Gi"), writer(json!({}))])), [""; 0], "one has no limit");
        assert_eq!(
            of(json!("2Gi"), json!([{"name": "other", "resources": {"limits": {"memory": "1Gi"}}}])),
            [""; 0]
        );
    }

    #[test]
    fn a_tmpfs_without_a_limit_can_be_less_than_a_denial() {
        let of = |params: Value, containers: Value| {
            found(params, json!({"emptyDir": {"medium": "Memory"}}), containers)
        };
        let limited = writer(json!({"memory": "1Gi"}));
        let both = || json!([limited.clone(), writer(json!({}))]);
        let warned = of(json!({"unboundedMemory": "Warn"}), json!([limited]));
        assert!(
            warned.len() == 1 && warned[0].starts_with("Warn spec.volumes[0].emptyDir.sizeLimit: "),
            "{warned:?}"
        );
        assert_eq!(of(json!({"unboundedMemory": "Ignore"}), both()), [""; 0]);
        assert_eq!(of(json!({"orMemoryLimit": true}), json!([limited])), [""; 0]);
        expect(
            &of(json!({"orMemoryLimit": true}), both()),
            "spec.volumes[0].emptyDir.sizeLimit",
            "all memory that the node",
        );
        let large = json!({"emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}});
        let params = json!({"unboundedMemory": "Ignore", "orMemoryLimit": false});
        expect(
            &found(params, large, json!([limited])),
            "spec.volumes[0].emptyDir.sizeLimit",
            "OOM-killed before",
        );
        for useless in [
            json!({"orMemoryLimit": true, "allowMemory": false}),
            json!({"orMemoryLimit": true, "unboundedMemory": "Ignore"}),
        ] {
            assert!(faults(json!([{"emptyDir": useless}]))[0].contains("has no effect"));
        }
    }

    #[test]
    fn init_containers_and_the_whole_pod_count_as_they_run() {
        let source = json!({"emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}});
        let mut object = pod(source, json!([writer(json!({"memory": "1Gi"}))]));
        object["spec"]["initContainers"] = json!([writer(json!({"memory": "1Gi"}))]);
        let rule = json!([{"emptyDir": {}}]);
        assert_eq!(judge(rule.clone(), &[], &object).findings.len(), 1, "one after the other");
        object["spec"]["initContainers"][0]["restartPolicy"] = json!("Always");
        assert_eq!(judge(rule.clone(), &[], &object).findings, [], "a sidecar runs beside");
        object["spec"]["resources"] = json!({"limits": {"memory": "1Gi"}});
        let verdict = judge(rule, &[], &object);
        assert_eq!(verdict.findings[0].related[0].0.to_string(), "spec.resources.limits.memory");
    }

    #[test]
    fn media_must_be_known() {
        let of = |params: Value, medium: &str| {
            let source = json!({"emptyDir": {"medium": medium, "sizeLimit": "1Mi"}});
            judge(json!([{"emptyDir": params}]), &[], &pod(source, json!([])))
        };
        let field = "spec.volumes[0].emptyDir.medium";
        for medium in ["HugePages", "HugePages-2Mi", "Memory"] {
            assert_eq!(of(json!({}), medium).findings, [], "{medium}");
        }
        for medium in ["memory", "HugePages-big", "HugePages2Mi", "SSD"] {
            expect(&lines(&of(json!({}), medium)), field, "never starts");
        }
        assert!(of(json!({}), "memory").findings[0].help.as_deref().unwrap().contains("`Memory`"));
        expect(&lines(&of(json!({"allowMemory": false}), "Memory")), field, "does not allow");
    }

    #[test]
    fn a_bad_policy_is_refused() {
        let of = |params: Value| faults(json!([{"emptyDir": params}]));
        assert!(of(json!({"maxSize": "10GB"}))[0].contains("maxSize: \"10GB\" is not a quantity"));
        assert!(of(json!({"maxMemory": "0"}))[0].contains("must be more than 0"));
        assert_eq!(of(json!({"maxMemory": "1Gi", "allowMemory": false})).len(), 1);
    }
}
