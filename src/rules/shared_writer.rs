use crate::facts::{ClaimSpec, Part, VolumeSource, Workload, WorkloadKind};
use crate::model::{AccessMode, FieldPath};
use crate::rule::{
    Concern, Context, NewFinding, NewFindings, OTHER_OBJECTS, PolicyFault, Reads, Rule, RuleKind,
};
use crate::storage::{Data, Place, Why};
use crate::verdict::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cell::LazyCell;
use std::collections::HashMap;
use std::sync::Arc;

/// Refuses several pods that write to one claim that is made for one writer.
///
/// # Why it matters
/// `ReadWriteOnce` means one *node*: replicas on other nodes never start, and those on the same node all write into the
/// same directory. Two database processes on one data directory destroy it. `ReadWriteOncePod` means one pod: the others
/// wait forever.
///
/// # What it checks
/// The rule is about a fixed `persistentVolumeClaim` in the template of
///
/// - a Deployment, ReplicaSet, ReplicationController or StatefulSet with more than one replica, and a DaemonSet;
/// - a Deployment with one replica that is updated by RollingUpdate with a surge, where the new pod starts before the
///   old one has stopped: a warning at most, unless the catalog knows the image to keep its data there, or the claim
///   is ReadWriteOncePod and the update can never end;
/// - a Job with parallel pods and a CronJob whose runs may overlap (`concurrencyPolicy: Allow`): a warning at most.
///
/// # Example
/// ```yaml
/// # bad: three replicas, one claim
/// kind: Deployment
/// spec:
///   replicas: 3
///   template: {spec: {volumes: [{name: data, persistentVolumeClaim: {claimName: data}}], …}}
/// # good: a claim for each
/// kind: StatefulSet
/// spec:
///   replicas: 3
///   volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], …}}]
/// ```
///
/// # Details
/// Read-only mounts are fine, as are claims that may be ReadWriteMany. Where every pod writes beneath its own
/// `subPathExpr`, made of a variable that `fieldRef` fills in for each pod (`metadata.name`), it is a warning at most.
/// In a cluster, scaling up is checked as well: `kubectl scale`, a HorizontalPodAutoscaler.
///
/// # What it does not check
/// It says nothing of claims that are not known, nor of the `maxReplicas` of a HorizontalPodAutoscaler, nor of two
/// workloads that share a claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {}

impl RuleKind for Params {
    const ID: &'static str = "shared-writer";
    const FIELD: &'static str = "sharedWriter";
    const READS_BEYOND: Option<&'static str> = Some(OTHER_OBJECTS);

    fn compile(&self, _at: &FieldPath, _faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        Arc::new(SharedWriter)
    }
}

#[derive(Debug)]
struct SharedWriter;

impl Rule for SharedWriter {
    fn reads(&self) -> &'static [Reads] {
        &[Reads::Pods]
    }

    fn finds(&self) -> Concern {
        Concern { stateful_sets: true, ..Concern::volumes(["persistentVolumeClaim"]) }
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        let Some(workload) = context.facts.workload() else { return };
        let Some(several) = Several::of(workload) else { return };
        let writers = LazyCell::new(|| writers(workload));
        let databases = LazyCell::new(|| context.data().map(databases).unwrap_or_default());
        for volume in &workload.pod.volumes {
            // A claim template of the same name shadows the pod volume.
            let fixed = workload.claim_template(volume.name).is_none();
            let VolumeSource::Claim { name, read_only: false } = volume.source else { continue };
            let Some(claim) = context.lookup.claim(context.facts.namespace(), name).filter(|_| fixed) else {
                continue;
            };
            let Some(mode) = exclusive(&claim.spec) else { continue };
            let Some(writer) = writers.get(volume.name) else { continue };
            let database = databases.get(&volume.index).copied();
            let Some((message, help, certain)) = several.judge(name, mode, database) else { continue };
            let pod = workload.pod.path();
            let mut finding = NewFinding::new(volume.source_path(&pod).key("claimName"), message)
                .related(several.path(workload.kind), several.note())
                .related(writer.field.clone(), "written here")
                .help(help);
            // Own directories help those that can start at all.
            let apart = mode == AccessMode::ReadWriteOnce && writer.own_directory;
            if !certain || apart {
                finding = finding.at_most(Action::Warn);
            }
            findings.push(finding);
        }
    }

    fn reads_replicas(&self, _kind: &str) -> bool {
        true
    }

    fn check_scale(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        self.check(context, findings);
        // Going from none to one again after an outage shares nothing. What is wrong then is how it is updated, which was
        // judged when it was written.
        if context.facts.workload().is_some_and(|workload| workload.replicas <= 1) {
            findings.at_most(Action::Warn);
        }
    }
}

/// Why there is more than one pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Several {
    /// `replicas`.
    Replicas(i64),
    /// A DaemonSet.
    EveryNode,
    /// The pods of a Job.
    Parallel(i64),
    /// The runs of a CronJob.
    Overlap,
    /// The old and the new pod of a Deployment's rolling update; whether the old one may be stopped first.
    Update { stops_first: bool },
}

impl Several {
    fn of(workload: &Workload<'_>) -> Option<Self> {
        match workload.kind {
            WorkloadKind::DaemonSet => Some(Self::EveryNode),
            WorkloadKind::Job | WorkloadKind::CronJob if workload.parallelism > 1 => {
                Some(Self::Parallel(workload.parallelism))
            }
            WorkloadKind::CronJob if workload.concurrency == Some("Allow") => Some(Self::Overlap),
            _ if workload.replicas > 1 => Some(Self::Replicas(workload.replicas)),
            WorkloadKind::Deployment
                if workload.strategy == Some("RollingUpdate")
                    && workload.max_surge > 0
                    && workload.replicas == 1 =>
            {
                Some(Self::Update { stops_first: workload.max_unavailable > 0 })
            }
            _ => None,
        }
    }

    /// The field that makes them several.
    fn path(self, kind: WorkloadKind) -> FieldPath {
        let spec = FieldPath::root().key("spec");
        match self {
            Self::Replicas(_) => spec.key("replicas"),
            Self::EveryNode => FieldPath::root().key("kind"),
            Self::Parallel(_) if kind == WorkloadKind::CronJob => {
                spec.key("jobTemplate").key("spec").key("parallelism")
            }
            Self::Parallel(_) => spec.key("parallelism"),
            Self::Overlap => spec.key("concurrencyPolicy"),
            Self::Update { .. } => spec.key("strategy"),
        }
    }

    fn note(self) -> &'static str {
        match self {
            Self::Replicas(_) | Self::Parallel(_) => "how many pods run at a time",
            Self::EveryNode => "a DaemonSet has a pod on every node",
            Self::Overlap => "a run may start while the one before still runs",
            Self::Update { .. } => "the new pod starts before the old one has stopped",
        }
    }

    /// Message, help, and whether it is sure enough to refuse it; nothing where there is no harm.
    fn judge(
        self,
        claim: &str,
        mode: AccessMode,
        database: Option<&str>,
    ) -> Option<(String, &'static str, bool)> {
        let one_pod = mode == AccessMode::ReadWriteOncePod;
        let pods = match self {
            Self::Replicas(count) => format!("{count} replicas"),
            Self::EveryNode => "the pods of all nodes".to_owned(),
            Self::Parallel(count) => format!("{count} parallel pods"),
            Self::Overlap => "overlapping runs".to_owned(),
            // The old pod goes first, since the new one cannot start: as it should be.
            Self::Update { stops_first: true } if one_pod => return None,
            Self::Update { .. } if one_pod => {
                let message = format!(
                    "a rolling update of this Deployment never ends: the new pod waits for claim {claim:?}, which is \
                     {mode}, and the old one is kept until the new one is ready"
                );
                return Some((message, RECREATE, true));
            }
            Self::Update { .. } => {
                let beside = match database {
                    Some(product) => format!("two {product} processes then write to one data directory"),
                    None => "the two then write beside each other".to_owned(),
                };
                let message = format!(
                    "in a rolling update the new pod starts while the old one still writes to claim {claim:?}, which \
                     is {mode}: {beside}, or, on another node, the new pod hangs until the old one is gone"
                );
                return Some((message, RECREATE, database.is_some()));
            }
        };
        let harm = if one_pod {
            "only one of them can ever run at a time, the others wait"
        } else {
            "those on other nodes cannot start, and those on the same node write over each other's data"
        };
        let message = format!("{pods} write to one claim, {claim:?}, which is {mode}: {harm}");
        let (help, certain) = match self {
            Self::Parallel(_) => (PARALLEL, false),
            Self::Overlap => (OVERLAP, false),
            Self::EveryNode => (EVERY_NODE, true),
            _ => (REPLICAS, true),
        };
        Some((message, help, certain))
    }
}

const REPLICAS: &str = "give each pod a claim of its own with a StatefulSet's `volumeClaimTemplates`; or run one \
                        replica; or use a ReadWriteMany claim if the software can share its files; pods that only read \
                        need `readOnly: true` on the pod volume";
const EVERY_NODE: &str = "give each pod a volume of its own with a generic ephemeral volume (`ephemeral`), use a \
                          ReadWriteMany claim, or set `readOnly: true` on the pod volume if the pods only read";
const PARALLEL: &str = "use a ReadWriteMany claim, or run the pods one after the other (`parallelism: 1`)";
const OVERLAP: &str = "set `concurrencyPolicy: Forbid`, so that a run waits for the one before it";
const RECREATE: &str = "set `strategy.type: Recreate`, so that the old pod is gone before the new one starts, or use a \
                        StatefulSet, which does the same";

/// The first mount or device through which a claim is written.
struct Writer {
    field: FieldPath,
    /// Whether each pod has a directory of its own, in this and in all others.
    own_directory: bool,
}

/// The writers of each pod volume.
fn writers<'w>(workload: &'w Workload<'_>) -> HashMap<&'w str, Writer> {
    let pod = workload.pod.path();
    let mut writers: HashMap<&str, Writer> = HashMap::new();
    let mut add = |volume: &'w str, own_directory: bool, field: FieldPath| {
        let writer = writers.entry(volume).or_insert(Writer { field, own_directory });
        writer.own_directory &= own_directory;
    };
    for container in &workload.pod.containers {
        for mount in container.mounts.iter().filter(|mount| !mount.read_only) {
            let own_directory = match mount.part {
                Part::OfPod => true,
                Part::OfOrdinal => workload.kind == WorkloadKind::StatefulSet,
                Part::OfNode => workload.kind == WorkloadKind::DaemonSet,
                Part::Shared => false,
            };
            add(mount.volume, own_directory, container.mount_path(&pod, mount));
        }
        for device in &container.devices {
            let field = container.path(&pod).key("volumeDevices").index(device.index);
            add(device.volume, false, field);
        }
    }
    writers
}

/// The mode that allows one writer alone, when the claim may have no other.
fn exclusive(spec: &ClaimSpec) -> Option<AccessMode> {
    let asks = |mode: AccessMode| spec.access_modes.contains(&Ok(mode));
    [AccessMode::ReadWriteOncePod, AccessMode::ReadWriteOnce]
        .into_iter()
        .find(|mode| asks(*mode) && !asks(AccessMode::ReadWriteMany))
}

/// The products that keep their data on pod volumes, by the volume's index, as far as the catalog knows them.
fn databases<'w>(data: &Data<'w, '_>) -> HashMap<usize, &'w str> {
    let mut databases = HashMap::new();
    for path in data.rows().filter(|path| path.certain) {
        if let (Place::Volume(volume), Why::Product { name, .. }) = (path.cover.place, path.why) {
            databases.entry(volume.index).or_insert(name);
        }
    }
    databases
}

#[cfg(test)]
mod tests {
    use super::super::testing::{judge, judge_scale, lines};
    use crate::engine::Engine;
    use crate::facts::Facts;
    use crate::lookup::MapLookup;
    use crate::policy::{PolicySet, load};
    use crate::rule::Review;
    use serde_json::{Value, json};

    fn claim(modes: &[&str]) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shared", "namespace": "default"},
               "spec": {"accessModes": modes}})
    }

    fn template(mount: Value) -> Value {
        json!({"spec": {"containers": [{"name": "c", "image": "example.org/app", "volumeMounts": [mount]}],
               "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "shared"}}]}})
    }

    fn mount() -> Value {
        json!({"name": "data", "mountPath": "/var/lib/db/data"})
    }

    fn workload(kind: &str, spec: Value) -> Value {
        let mut spec = spec;
        if kind == "CronJob" {
            spec["jobTemplate"]["spec"]["template"] = template(mount());
        } else {
            spec["template"] = template(mount());
        }
        let group = if kind.ends_with("Job") { "batch/v1" } else { "apps/v1" };
        json!({"apiVersion": group, "kind": kind, "metadata": {"name": "w"}, "spec": spec})
    }

    fn found(modes: &[&str], object: &Value) -> Vec<String> {
        lines(&judge(json!([{"sharedWriter": {}}]), &[claim(modes)], object))
    }

    fn action(modes: &[&str], object: &Value) -> String {
        let found = found(modes, object);
        assert!(found.len() < 2, "{found:?}");
        found.first().map_or_else(String::new, |line| line.split(' ').next().unwrap().to_owned())
    }

    const ONCE: &[&str] = &["ReadWriteOnce"];
    const ONE_POD: &[&str] = &["ReadWriteOncePod"];

    #[test]
    fn several_replicas_on_one_claim() {
        let three = json!({"replicas": 3});
        let finding = found(ONCE, &workload("Deployment", three.clone()));
        assert!(
            finding[0].starts_with(
                r#"Deny spec.template.spec.volumes[0].persistentVolumeClaim.claimName: 3 replicas write to one claim, "shared", which is ReadWriteOnce"#
            ),
            "{finding:?}"
        );
        for kind in ["ReplicaSet", "StatefulSet"] {
            assert_eq!(action(ONCE, &workload(kind, three.clone())), "Deny", "{kind}");
            assert_eq!(action(ONCE, &workload(kind, json!({}))), "", "{kind}");
        }
        assert_eq!(action(ONCE, &workload("DaemonSet", json!({}))), "Deny");
        assert_eq!(action(ONE_POD, &workload("StatefulSet", three.clone())), "Deny");
        assert_eq!(action(&["ReadWriteMany"], &workload("Deployment", three.clone())), "");
        assert_eq!(action(&["ReadWriteOnce", "ReadWriteMany"], &workload("Deployment", three.clone())), "");
        assert_eq!(action(&["ReadOnlyMany"], &workload("Deployment", three.clone())), "");
        assert_eq!(
            lines(&judge(json!([{"sharedWriter": {}}]), &[], &workload("Deployment", three))),
            [""; 0],
            "not known"
        );
    }

    #[test]
    fn only_writers_count() {
        let mut set = workload("StatefulSet", json!({"replicas": 2}));
        let mounted = |mount: Value| {
            let mut set = set.clone();
            set["spec"]["template"] = template(mount);
            action(ONCE, &set)
        };
        assert_eq!(mounted(json!({"name": "data", "mountPath": "/data", "readOnly": true})), "");
        assert_eq!(mounted(json!({"name": "other", "mountPath": "/data"})), "");
        let own = json!({"name": "data", "mountPath": "/data", "subPathExpr": "$(POD_NAME)"});
        let mut one_pod = set.clone();
        one_pod["spec"]["template"] = template(own);
        one_pod["spec"]["template"]["spec"]["containers"][0]["env"] =
            json!([by_field("POD_NAME", "metadata.name")]);
        assert_eq!(action(ONCE, &one_pod), "Warn", "each pod has its own directory");
        assert_eq!(action(ONE_POD, &one_pod), "Deny", "only one of them starts");
        assert_eq!(mounted(json!({"name": "data", "mountPath": "/data", "subPath": "x"})), "Deny");
        set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {}}]);
        assert_eq!(action(ONCE, &set), "", "each pod has its own claim");
        let mut read_only = workload("Deployment", json!({"replicas": 2}));
        read_only["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["readOnly"] =
            json!(true);
        assert_eq!(action(ONCE, &read_only), "");
        let mut device = workload("Deployment", json!({"replicas": 2}));
        device["spec"]["template"]["spec"]["containers"][0] =
            json!({"name": "c", "volumeDevices": [{"name": "data", "devicePath": "/dev/xvda"}]});
        assert_eq!(action(ONCE, &device), "Deny");
    }

    /// Workloads of all kinds that can be scaled, whose pods use the claim in all ways.
    fn scalable() -> Vec<Value> {
        let mounts = [
            json!([mount()]),
            json!([{"name": "data", "mountPath": "/data", "readOnly": true}]),
            json!([{"name": "other", "mountPath": "/data"}]),
            json!([{"name": "data", "mountPath": "/data", "subPathExpr": "$(POD_NAME)"}]),
            json!([{"name": "data", "mountPath": "/data", "subPathExpr": "$(POD_NAME)"}, mount()]),
        ];
        let volumes = json!([
            {"name": "data", "persistentVolumeClaim": {"claimName": "shared"}}, {"name": "other", "emptyDir": {}}]);
        let read_only =
            json!([{"name": "data", "persistentVolumeClaim": {"claimName": "shared", "readOnly": true}}]);
        let mut all = Vec::new();
        for (api_version, kind) in [
            ("apps/v1", "Deployment"),
            ("apps/v1", "StatefulSet"),
            ("apps/v1", "ReplicaSet"),
            ("v1", "ReplicationController"),
        ] {
            let with = |pod: Value| {
                json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "w", "namespace": "default"},
                                           "spec": {"replicas": 1, "template": {"spec": pod}}})
            };
            for mounts in &mounts {
                let container = json!([{"name": "c", "image": "postgres", "env": [by_field("POD_NAME", "metadata.name")], "volumeMounts": mounts}]);
                all.push(with(json!({"containers": container, "volumes": volumes})));
                all.push(with(json!({"initContainers": container, "containers": [], "volumes": volumes})));
                all.push(with(json!({"containers": container, "volumes": read_only})));
            }
            let device = json!([{"name": "c", "volumeDevices": [{"name": "data", "devicePath": "/dev/x"}]}]);
            all.push(with(json!({"containers": device, "volumes": volumes})));
            if kind == "StatefulSet" {
                let mut set = with(
                    json!({"containers": [{"name": "c", "volumeMounts": [mount()]}], "volumes": volumes}),
                );
                set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {}}]);
                all.push(set);
            }
        }
        all
    }

    #[test]
    fn scaling_up_is_judged_as_the_workload_itself() {
        let mut found = 0;
        for workload in scalable() {
            for modes in [ONCE, ONE_POD, &["ReadWriteMany"]] {
                let context = [claim(modes)];
                let mut grown = workload.clone();
                grown["spec"]["replicas"] = json!(3);
                let rules = || json!([{"sharedWriter": {}}]);
                let as_written = lines(&judge(rules(), &context, &grown));
                let field = "spec.template.spec.volumes[0].persistentVolumeClaim.claimName";
                let wanted: Vec<String> =
                    as_written.iter().map(|line| line.replace(field, "spec.replicas")).collect();
                let scaled = judge_scale(rules(), &context, &workload, 3);
                assert_eq!(lines(&scaled), wanted, "{workload}");
                assert!(scaled.findings.iter().all(|finding| finding.related.is_empty()));
                found += wanted.len();
                assert_eq!(lines(&judge_scale(rules(), &context, &grown, 2)), [""; 0], "scaled down");
                assert_eq!(lines(&judge_scale(rules(), &context, &grown, 3)), [""; 0], "left as it is");
            }
        }
        assert!(found > 40, "{found}");
    }

    #[test]
    fn going_back_from_none_to_one_is_a_warning_at_most() {
        let down = |strategy: Value| workload("Deployment", json!({"replicas": 0, "strategy": strategy}));
        let rolling =
            down(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}));
        let scaled = |modes, object: &Value, to| {
            lines(&judge_scale(json!([{"sharedWriter": {}}]), &[claim(modes)], object, to))
        };
        for modes in [ONCE, ONE_POD] {
            let found = scaled(modes, &rolling, 1);
            assert!(found.len() == 1 && found[0].starts_with("Warn spec.replicas: "), "{found:?}");
            assert!(
                scaled(modes, &rolling, 2)[0]
                    .starts_with("Deny spec.replicas: 2 replicas write to one claim")
            );
            assert_eq!(scaled(modes, &down(json!({"type": "Recreate"})), 1), [""; 0]);
        }
    }

    fn by_field(name: &str, field: &str) -> Value {
        json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}})
    }

    #[test]
    fn a_directory_is_a_pods_own_when_the_kubelet_makes_it_so() {
        let apart = |kind: &str, mount: Value, env: Value| {
            let mut object = workload(kind, json!({"replicas": 2}));
            let container = &mut object["spec"]["template"]["spec"]["containers"][0];
            container["volumeMounts"][0].as_object_mut().unwrap().extend(mount.as_object().unwrap().clone());
            container["env"] = env;
            action(ONCE, &object) == "Warn"
        };
        let by = |expression: &str| json!({"subPathExpr": expression});
        let name = json!([by_field("NAME", "metadata.name")]);
        for (kind, expression, env) in [
            ("Deployment", "$(NAME)", name.clone()),
            ("Deployment", "a/$(NAME)-x", name.clone()),
            (
                "Deployment",
                "$(DIR)",
                json!([by_field("NAME", "metadata.uid"), {"name": "DIR", "value": "d/$(NAME)"}]),
            ),
            ("DaemonSet", "$(NODE)", json!([by_field("NODE", "spec.nodeName")])),
            (
                "StatefulSet",
                "$(N)",
                json!([by_field("N", "metadata.labels['apps.kubernetes.io/pod-index']")]),
            ),
        ] {
            assert!(apart(kind, by(expression), env.clone()), "{kind} {expression} {env}");
        }
        for (kind, expression, env) in [
            ("Deployment", "$(NAME)", json!([])),
            ("Deployment", "$(NAME)", json!([{"name": "NAME", "value": "same"}])),
            (
                "Deployment",
                "$(NAME)",
                json!([{"name": "NAME", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]),
            ),
            ("Deployment", "$(NAME)", json!([by_field("NAME", "metadata.namespace")])),
            ("Deployment", "$(NAME)", json!([by_field("NAME", "metadata.labels['app']")])),
            (
                "Deployment",
                "$(NAME)",
                json!([by_field("NAME", "metadata.name"), {"name": "NAME", "value": "same"}]),
            ),
            (
                "Deployment",
                "$(DIR)",
                json!([{"name": "DIR", "value": "$(NAME)"}, by_field("NAME", "metadata.name")]),
            ),
            ("Deployment", "$$(NAME)", name.clone()),
            ("Deployment", "$(NODE)", json!([by_field("NODE", "spec.nodeName")])),
            ("Deployment", "$(N)", json!([by_field("N", "metadata.labels['apps.kubernetes.io/pod-index']")])),
            ("Deployment", &"$(".repeat(100_000), name.clone()),
        ] {
            assert!(!apart(kind, by(expression), env.clone()), "{kind} {env}");
        }
        assert!(!apart("Deployment", json!({"subPath": "$(NAME)"}), name), "a plain path");
    }

    #[test]
    fn a_rolling_update_of_one_replica() {
        let rolling = |strategy: Value| workload("Deployment", json!({"strategy": strategy}));
        let update = |surge: Value, unavailable: Value| {
            rolling(
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}),
            )
        };
        let default = workload("Deployment", json!({}));
        assert_eq!(action(ONCE, &default), "Warn");
        assert_eq!(action(ONCE, &rolling(json!({"type": "Recreate"}))), "");
        assert_eq!(action(ONCE, &workload("Deployment", json!({"replicas": 0}))), "");
        for none in [json!(0), json!("0%")] {
            assert_eq!(action(ONCE, &update(none.clone(), json!(1))), "");
            assert_eq!(action(ONE_POD, &update(none, json!(0))), "", "the controller then stops one first");
        }
        assert_eq!(action(ONCE, &update(json!("1%"), json!(0))), "Warn");
        assert_eq!(action(ONE_POD, &default), "Deny");
        assert_eq!(action(ONE_POD, &update(json!(1), json!("100%"))), "", "the old pod goes first");
    }

    #[test]
    fn a_rolling_update_of_a_database() {
        let entry = json!([{"product": "Example DB", "images": ["example-db"], "data": [{"path": "/var/lib/db/data"}]}]);
        let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "test"},
                            "spec": {"rules": [{"sharedWriter": {}}], "catalog": entry}});
        let policies = PolicySet::build(vec![load(&policy).unwrap()]).unwrap();
        let mut lookup = MapLookup::default();
        let claim = claim(ONCE);
        lookup.add(&Facts::read(&claim, None).unwrap());
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        let mut deployment = workload("Deployment", json!({}));
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("example-db:1");
        let found = |object: &Value| lines(&engine.mutate_and_check(&Review::create(object)).unwrap());
        let line = &found(&deployment)[0];
        assert!(line.starts_with("Deny ") && line.contains("two Example DB processes"), "{line}");
        // Its data lies elsewhere: what is shared is something else.
        deployment["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]["mountPath"] =
            json!("/backup");
        assert!(found(&deployment)[0].starts_with("Warn "));
    }

    #[test]
    fn jobs_are_a_warning() {
        assert_eq!(action(ONCE, &workload("Job", json!({}))), "");
        assert_eq!(action(ONCE, &workload("Job", json!({"parallelism": 2}))), "Warn");
        assert_eq!(action(ONCE, &workload("Job", json!({"parallelism": 2, "completions": 1}))), "");
        assert_eq!(action(ONCE, &workload("CronJob", json!({}))), "Warn");
        assert_eq!(action(ONCE, &workload("CronJob", json!({"concurrencyPolicy": "Allow"}))), "Warn");
        assert_eq!(action(ONCE, &workload("CronJob", json!({"concurrencyPolicy": "Forbid"}))), "");
        let parallel = json!({"concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {"parallelism": 2}}});
        assert_eq!(action(ONCE, &workload("CronJob", parallel)), "Warn");
        let verdict = judge(json!([{"sharedWriter": {}}]), &[claim(ONCE)], &workload("CronJob", json!({})));
        assert_eq!(verdict.findings[0].related[0].0.to_string(), "spec.concurrencyPolicy");
    }
}
