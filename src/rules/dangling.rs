use crate::facts::{ClaimFacts, Container, Subject, VolumeSource, Workload, WorkloadKind};
use crate::lookup::LookupKind;
use crate::model::FieldPath;
use crate::rule::{Belongs, Context, NewFinding, NewFindings, OTHER_OBJECTS, PolicyFault, Rule, RuleKind};
use crate::verdict::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// How many names are told of those that could be meant.
const NAMED: usize = 12;

/// Finds names that lead nowhere: mounts without a pod volume, pod volumes without a mount, claims that do not exist.
///
/// # Why it matters
/// Each is most often a name that was changed in one place only. The pod then waits in Pending or ContainerCreating
/// with nothing but an event to say why, or, worse, runs and writes its data beside the volume that was meant for it.
/// The API server refuses a mount that names nothing, but only when it is applied; `volgate check` says so before. The
/// rest it lets pass: it compares mount paths as text, so that `/data` and `/data/` are two.
///
/// # What it checks
/// The rule refuses a mount or block device that names no pod volume (nor claim template), two mounts of a container at
/// the same path, of which only one is seen, and two pod volumes of the same name. It warns of a pod volume or claim
/// template that nothing mounts, a claim that exists nowhere (it may be made after its pod), a volume that a claim
/// names but that does not exist, and a generic ephemeral volume whose claim (`<pod>-<volume>`) exists already and is
/// not the pod's own.
///
/// # Example
/// ```yaml
/// # bad: the mount says "data", the volume "redis-data"
/// containers: [{name: redis, volumeMounts: [{name: data, mountPath: /data}]}]
/// volumes: [{name: redis-data, persistentVolumeClaim: {claimName: redis}}]
/// # good
/// containers: [{name: redis, volumeMounts: [{name: redis-data, mountPath: /data}]}]
/// volumes: [{name: redis-data, persistentVolumeClaim: {claimName: redis}}]
/// ```
///
/// # What it does not check
/// Claims that Kubernetes makes itself are not missed: those of a StatefulSet's templates, also where another workload
/// uses them by name, and those of generic ephemeral volumes. It does not look for ConfigMaps, Secrets or paths on a
/// node, and not inside `subPath`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {}

impl RuleKind for Params {
    const ID: &'static str = "dangling";
    const FIELD: &'static str = "dangling";
    const READS_BEYOND: Option<&'static str> = Some(OTHER_OBJECTS);

    fn compile(&self, _at: &FieldPath, _faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        Arc::new(Dangling)
    }
}

#[derive(Debug)]
struct Dangling;

impl Rule for Dangling {
    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        match &context.facts.subject {
            // What runs the steps fills in names, and puts volumes of its own beside theirs.
            Subject::Workload(workload) if workload.is_step => {}
            Subject::Workload(workload) => {
                for container in &workload.pod.containers {
                    mounts(workload, container, findings);
                    same_path(workload, container, findings);
                }
                same_name(workload, findings);
                unused(workload, findings);
                missing_claims(context, workload, findings);
                taken_claims(context, workload, findings);
                for template in &workload.claim_templates {
                    missing_volume(context, template.spec.volume_name.as_deref(), &template.path(), findings);
                }
            }
            Subject::Claim(ClaimFacts { spec, .. }) => {
                missing_volume(context, spec.volume_name.as_deref(), &FieldPath::root(), findings);
            }
            _ => {}
        }
    }
}

/// The names that a mount can use.
fn names<'w>(workload: &'w Workload<'_>) -> impl Iterator<Item = &'w str> {
    let volumes = workload.pod.volumes.iter().map(|volume| volume.name);
    volumes.chain(workload.claim_templates.iter().map(|template| template.name))
}

/// What a container uses: the pod volume's name, the field, and `mount` or `block device`.
fn uses<'w>(
    workload: &Workload<'_>,
    container: &'w Container<'_>,
) -> impl Iterator<Item = (&'w str, FieldPath, &'static str)> {
    let at = container.path(&workload.pod.path());
    let (mounts, devices) = (at.key("volumeMounts"), at.key("volumeDevices"));
    let mounted = container.mounts.iter().map(move |m| (m.volume, mounts.index(m.index), "mount"));
    mounted.chain(container.devices.iter().map(move |d| (d.volume, devices.index(d.index), "block device")))
}

fn mounts(workload: &Workload<'_>, container: &Container<'_>, findings: &mut NewFindings<'_>) {
    let known = |name: &str| workload.pod.volume(name).is_some() || workload.claim_template(name).is_some();
    for (name, field, what) in uses(workload, container).filter(|(name, ..)| !known(name)) {
        let message = format!(
            "the {what} of container {:?} names the pod volume {name:?}, which does not exist: no pod can be made from \
             this",
            container.name
        );
        let all: Vec<String> = names(workload).take(NAMED).map(|known| format!("{known:?}")).collect();
        let more = if names(workload).nth(NAMED).is_some() { ", …" } else { "" };
        let help = match all.as_slice() {
            [] => format!("add {name:?} to the pod's `volumes`"),
            _ => format!("write one of {}{more}, or add {name:?} to the pod's `volumes`", all.join(", ")),
        };
        findings.push(NewFinding::new(field.key("name"), message).help(help));
    }
}

/// Each item that is like an earlier one, behind the first that it is like.
fn repeated<'t, T, K: Eq + Hash>(
    items: &'t [T],
    what: impl Fn(&'t T) -> K,
) -> impl Iterator<Item = (&'t T, &'t T)> {
    let mut firsts = HashMap::new();
    items.iter().filter_map(move |item| match firsts.entry(what(item)) {
        Entry::Occupied(first) => Some((*first.get(), item)),
        Entry::Vacant(place) => {
            place.insert(item);
            None
        }
    })
}

fn same_path(workload: &Workload<'_>, container: &Container<'_>, findings: &mut NewFindings<'_>) {
    let pod = workload.pod.path();
    for (first, mount) in repeated(&container.mounts, |mount| &mount.path) {
        let message = format!(
            "container {:?} mounts both {:?} and {:?} at {}: the later one hides the other, and data goes to one of \
             them alone",
            container.name, first.volume, mount.volume, mount.path
        );
        let finding = NewFinding::new(container.mount_path(&pod, mount).key("mountPath"), message)
            .related(container.mount_path(&pod, first).key("mountPath"), "the first mount at this path")
            .help("give each mount a path of its own, or remove one");
        findings.push(finding);
    }
}

/// Pod volumes of the same name: a mount means the first, and the API server refuses them.
fn same_name(workload: &Workload<'_>, findings: &mut NewFindings<'_>) {
    let pod = workload.pod.path();
    for (first, volume) in repeated(&workload.pod.volumes, |volume| volume.name) {
        let message = format!(
            "two pod volumes have the name {:?}: no mount can tell which is meant, and the API server refuses them",
            volume.name
        );
        let finding = NewFinding::new(volume.path(&pod).key("name"), message)
            .related(first.path(&pod).key("name"), "the first of this name")
            .help("give each a name of its own, or remove one");
        findings.push(finding);
    }
}

/// Pod volumes and claim templates that no container uses.
fn unused(workload: &Workload<'_>, findings: &mut NewFindings<'_>) {
    let pod = workload.pod.path();
    let containers = workload.pod.containers.iter();
    let used: HashSet<&str> =
        containers.flat_map(|container| uses(workload, container)).map(|(name, ..)| name).collect();
    for volume in workload.pod.volumes.iter().filter(|volume| !used.contains(volume.name)) {
        let message = format!(
            "no container mounts the pod volume {:?}: what was meant to lie on it lies somewhere else",
            volume.name
        );
        let help = "mount it with `volumeMounts` where the data is, or remove it";
        findings
            .push(NewFinding::new(volume.path(&pod).key("name"), message).help(help).at_most(Action::Warn));
    }
    for template in workload.claim_templates.iter().filter(|template| !used.contains(template.name)) {
        let message = format!(
            "no container mounts the claim template {:?}: every replica gets a claim that stays empty, and its data \
             lies somewhere else",
            template.name
        );
        let help = "mount it with `volumeMounts` where the data is, or remove it";
        let field = template.path().key("metadata").key("name");
        findings.push(NewFinding::new(field, message).help(help).at_most(Action::Warn));
    }
}

fn missing_claims(context: &Context<'_>, workload: &Workload<'_>, findings: &mut NewFindings<'_>) {
    let namespace = context.facts.namespace();
    for volume in &workload.pod.volumes {
        let VolumeSource::Claim { name, .. } = volume.source else { continue };
        let made = workload.claim_template(volume.name).is_some()
            || is_set_claim(context, workload, volume.name, name)
            || context.lookup.claim_to_come(namespace, name);
        if made || context.lookup.claim(namespace, name).is_some() {
            continue;
        }
        // A state without claims says nothing of them; that is told once, and not for each.
        if context.lookup.leaves_out(LookupKind::Claim) {
            continue;
        }
        let place = match context.lookup.knows_all(LookupKind::Claim) {
            true => "in the cluster",
            false => "in what was given",
        };
        let message = format!(
            "claim {name:?} exists nowhere {place} (namespace {namespace:?}): the pod stays Pending until there is one"
        );
        let finding = NewFinding::new(volume.source_path(&workload.pod.path()).key("claimName"), message)
            .help("correct the name, or create the claim in the pod's own namespace")
            .at_most(Action::Warn);
        findings.push(finding);
    }
}

/// Generic ephemeral volumes whose claim exists already and is somebody's own. Of other workloads than these the names of
/// the pods are not known.
fn taken_claims(context: &Context<'_>, workload: &Workload<'_>, findings: &mut NewFindings<'_>) {
    /// How many pods of a StatefulSet are looked at.
    const MOST_PODS: i64 = 100;
    let name = &context.facts.id.name;
    let pods: Vec<String> = match workload.kind {
        // A name that is made by the API server ends so.
        WorkloadKind::Pod if !name.ends_with('*') => vec![name.clone()],
        WorkloadKind::StatefulSet => {
            (0..workload.replicas.min(MOST_PODS)).map(|ordinal| format!("{name}-{ordinal}")).collect()
        }
        _ => return,
    };
    let namespace = context.facts.namespace();
    let volumes = workload.pod.volumes.iter();
    for volume in volumes.filter(|volume| matches!(volume.source, VolumeSource::Ephemeral(_))) {
        let claims = pods.iter().map(|pod| (pod, format!("{pod}-{}", volume.name)));
        let mut taken = claims
            .filter(|(_, claim)| context.lookup.claim(namespace, claim).is_some_and(|claim| !claim.of_pod));
        let Some((pod, claim)) = taken.next() else { continue };
        let message = format!(
            "the claim of the ephemeral volume {:?} of pod {pod:?} would be {claim:?}, which exists already and is not \
             the pod's: the pod does not start",
            volume.name
        );
        let finding = NewFinding::new(volume.path(&workload.pod.path()).key("name"), message)
            .help("rename the volume, the pod or the claim; to use that claim, name it in `persistentVolumeClaim`")
            .at_most(Action::Warn);
        findings.push(finding);
    }
}

/// Whether the StatefulSet of a pod has made the claim for it; the cache may not know it yet.
fn is_set_claim(context: &Context<'_>, workload: &Workload<'_>, volume: &str, claim: &str) -> bool {
    workload.kind == WorkloadKind::Pod
        && matches!(
            context.subjects.belongs_to(WorkloadKind::StatefulSet),
            Belongs::Proven | Belongs::Unknown(_)
        )
        && claim.strip_prefix(volume).and_then(|rest| rest.strip_prefix('-')) == Some(&context.facts.id.name)
}

/// A claim that names a volume binds to that one or to none.
fn missing_volume(
    context: &Context<'_>,
    name: Option<&str>,
    claim: &FieldPath,
    findings: &mut NewFindings<'_>,
) {
    let Some(name) = name.filter(|_| context.lookup.knows_all(LookupKind::Volume)) else { return };
    if context.lookup.volume(name).is_some() {
        return;
    }
    let message = format!(
        "volume {name:?} exists nowhere in the cluster, and a claim that names a volume binds to no other: it stays \
         Pending"
    );
    let finding = NewFinding::new(claim.key("spec").key("volumeName"), message)
        .help("correct the name, or leave `volumeName` out so that a volume is found or made")
        .at_most(Action::Warn);
    findings.push(finding);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{judge, judge_review, lines, policy};
    use crate::engine::Engine;
    use crate::lookup::MapLookup;
    use crate::rule::NewFindings;
    use crate::rule::Review;
    use crate::verdict::Action;
    use serde_json::{Value, json};

    fn found(context: &[Value], object: &Value) -> Vec<String> {
        lines(&judge(json!([{"dangling": {}}]), context, object))
    }

    fn starts(found: &[String], wanted: &[&str]) {
        assert_eq!(found.len(), wanted.len(), "{found:#?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found.starts_with(wanted), "{found}\nis not\n{wanted}");
        }
    }

    fn pod(container: Value, volumes: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "db"},
               "spec": {"containers": [container], "volumes": volumes}})
    }

    fn set(name: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "namespace": "db"}, "spec": {
            "template": {"spec": {"containers": [{"name": "c", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}})
    }

    #[test]
    fn mounts_and_devices_that_name_nothing() {
        let container = json!({"name": "c", "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "x", "mountPath": "/x"}],
                               "volumeDevices": [{"name": "disk", "devicePath": "/dev/xvda"}]});
        let found_all = found(&[], &pod(container, json!([{"name": "data", "emptyDir": {}}])));
        starts(
            &found_all,
            &[
                r#"Deny spec.containers[0].volumeDevices[0].name: the block device of container "c" names the pod volume "disk""#,
                r#"Deny spec.containers[0].volumeMounts[1].name: the mount of container "c" names the pod volume "x""#,
            ],
        );
        assert_eq!(found(&[], &set("s")), [""; 0], "a claim template is a pod volume");
    }

    #[test]
    fn an_ephemeral_volume_whose_claim_is_taken() {
        let container = json!({"name": "c", "volumeMounts": [{"name": "scratch", "mountPath": "/s"}]});
        let volumes = json!([{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]);
        let claim = |name: &str, owners: Value| {
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {},
                   "metadata": {"name": name, "namespace": "db", "ownerReferences": owners}})
        };
        let pod = pod(container.clone(), volumes.clone());
        let wanted = r#"Warn spec.volumes[0].name: the claim of the ephemeral volume "scratch" of pod "p" would be "p-scratch""#;
        starts(&found(&[claim("p-scratch", json!([]))], &pod), &[wanted]);
        let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true}]);
        assert_eq!(found(&[claim("p-scratch", owner)], &pod), [""; 0], "it was made for the pod");
        assert_eq!(found(&[claim("q-scratch", json!([]))], &pod), [""; 0]);
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "namespace": "db"},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [container], "volumes": volumes}}}});
        let wanted = r#"Warn spec.template.spec.volumes[0].name: the claim of the ephemeral volume "scratch" of pod "s-1""#;
        starts(&found(&[claim("s-1-scratch", json!([]))], &set), &[wanted]);
        assert_eq!(found(&[claim("s-2-scratch", json!([]))], &set), [""; 0]);
    }

    #[test]
    fn two_pod_volumes_of_one_name() {
        let container = json!({"name": "c", "volumeMounts": [{"name": "data", "mountPath": "/data"}]});
        let volumes = json!([{"name": "data", "emptyDir": {}}, {"name": "data", "persistentVolumeClaim": {"claimName": "c"}}]);
        let verdict = judge(json!([{"dangling": {}}]), &[claim("db", json!({}))], &pod(container, volumes));
        let finding = &verdict.findings[0];
        assert_eq!(finding.field.to_string(), "spec.volumes[1].name");
        assert!(finding.message.starts_with("two pod volumes have the name \"data\""), "{}", finding.message);
        assert_eq!(finding.related[0].0.to_string(), "spec.volumes[0].name");
    }

    #[test]
    fn volumes_and_templates_that_nothing_mounts() {
        let init = json!({"name": "i", "volumeDevices": [{"name": "used", "devicePath": "/dev/xvda"}]});
        let mut object = pod(
            json!({"name": "c"}),
            json!([{"name": "used", "emptyDir": {}}, {"name": "left", "emptyDir": {}}]),
        );
        object["spec"]["initContainers"] = json!([init]);
        starts(
            &found(&[], &object),
            &[r#"Warn spec.volumes[1].name: no container mounts the pod volume "left""#],
        );
        let mut set = set("s");
        set["spec"]["volumeClaimTemplates"]
            .as_array_mut()
            .unwrap()
            .push(json!({"metadata": {"name": "wal"}, "spec": {}}));
        starts(
            &found(&[], &set),
            &[
                r#"Warn spec.volumeClaimTemplates[1].metadata.name: no container mounts the claim template "wal""#,
            ],
        );
    }

    #[test]
    fn two_mounts_at_one_path() {
        let container = json!({"name": "c", "volumeMounts": [
            {"name": "a", "mountPath": "/data"}, {"name": "b", "mountPath": "/data/"}, {"name": "b", "mountPath": "/data/b"}]});
        let volumes = json!([{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}]);
        starts(
            &found(&[], &pod(container, volumes)),
            &[
                r#"Deny spec.containers[0].volumeMounts[1].mountPath: container "c" mounts both "a" and "b" at /data"#,
            ],
        );
    }

    fn uses_claim(name: &str) -> Value {
        pod(
            json!({"name": "c", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}),
            json!([{"name": "data", "persistentVolumeClaim": {"claimName": name}}]),
        )
    }

    fn claim(namespace: &str, spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "there", "namespace": namespace}, "spec": spec})
    }

    #[test]
    fn claims_that_exist_nowhere() {
        assert_eq!(found(&[claim("db", json!({}))], &uses_claim("there")), [""; 0]);
        starts(
            &found(&[claim("other", json!({}))], &uses_claim("there")),
            &[
                r#"Warn spec.volumes[0].persistentVolumeClaim.claimName: claim "there" exists nowhere in the cluster (namespace "db")"#,
            ],
        );
        // Without a cluster, what was given is all that is known.
        let policies = policy(json!([{"dangling": {}}])).unwrap();
        let engine = Engine {
            policies: &policies,
            lookup: &MapLookup::default(),
            today: jiff::civil::date(2026, 11, 23),
        };
        let verdict = engine.mutate_and_check(&Review::create(&uses_claim("there"))).unwrap();
        assert!(
            verdict.findings[0].message.contains("exists nowhere in what was given"),
            "{:?}",
            verdict.findings
        );
    }

    #[test]
    fn claims_that_a_stateful_set_makes() {
        assert_eq!(found(&[set("redis")], &uses_claim("data-redis-0")), [""; 0]);
        assert_eq!(found(&[set("redis-x")], &uses_claim("data-redis-x-11")), [""; 0]);
        for other in ["data-redis", "data-redis-", "data-redis-a", "wal-redis-0", "data-other-0"] {
            assert_eq!(found(&[set("redis")], &uses_claim(other)).len(), 1, "{other}");
        }
        let mut own = uses_claim("data-p");
        assert_eq!(found(&[], &own).len(), 1);
        own["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": "u", "controller": true}]);
        assert_eq!(found(&[], &own), [""; 0], "the set has made it, the cache is behind");
        let by = |user| {
            let review = Review { user: Some(user), ..Review::create(&own) };
            judge_review(json!([{"dangling": {}}]), &[], &review).findings.len()
        };
        assert_eq!(by("system:serviceaccount:kube-system:statefulset-controller"), 0);
        assert_eq!(by("alice"), 1, "a set that she made up has made nothing");
        own["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = json!("backup");
        assert_eq!(found(&[], &own).len(), 1);
    }

    #[test]
    fn thousands_of_names_are_judged_and_a_few_of_them_told() {
        let number = 5_000;
        let mounts: Vec<Value> =
            (0..number).map(|at| json!({"name": format!("w{at}"), "mountPath": format!("/m{at}")})).collect();
        let volumes: Vec<Value> =
            (0..number).map(|at| json!({"name": format!("v{at}"), "emptyDir": {}})).collect();
        let object = pod(json!({"name": "c", "volumeMounts": mounts}), json!(volumes));
        let verdict = judge(json!([{"dangling": {}}]), &[], &object);
        assert_eq!(
            verdict.findings.len(),
            NewFindings::MOST + 1,
            "each mount names nothing, and nothing mounts a volume"
        );
        let more = verdict.findings.last().unwrap();
        assert_eq!(
            more.message,
            "9900 more findings of this rule in this object: only the first 100 are told"
        );
        assert_eq!(
            (more.action, more.field.to_string().as_str()),
            (Action::Deny, "spec.containers[0].volumeMounts[100].name")
        );
        let help = verdict.findings[0].help.as_deref().unwrap();
        assert!(help.starts_with(r#"write one of "v0", "v1", "#), "{help}");
        assert!(help.ends_with(r#""v11", …, or add "w0" to the pod's `volumes`"#), "{help}");
    }

    #[test]
    fn volumes_that_a_claim_names() {
        let volume =
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": {}});
        let claim = claim("db", json!({"volumeName": "pv"}));
        assert_eq!(found(&[volume], &claim), [""; 0]);
        starts(&found(&[], &claim), &[r#"Warn spec.volumeName: volume "pv" exists nowhere"#]);
        let mut set = set("s");
        set["spec"]["volumeClaimTemplates"][0]["spec"]["volumeName"] = json!("pv");
        starts(&found(&[], &set), &["Warn spec.volumeClaimTemplates[0].spec.volumeName: volume"]);
    }
}
