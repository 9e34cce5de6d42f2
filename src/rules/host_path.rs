mod faults;

use super::support::one_of;
use crate::facts::{PodVolume, Subject, VolumeKind, VolumeSource, Workload};
use crate::json::Node;
use crate::model::{FieldPath, FsPath, below, fits, shortened};
use crate::rule::{Concern, Context, NewFinding, NewFindings, PolicyFault, Reads, Rule, RuleKind};
use crate::verdict::Action;
use faults::{climbs, never_allowed, path_faults, useless};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Restricts which paths of a node pods may mount.
///
/// # Why it matters
/// A hostPath volume is the node's own file system: with the wrong path a pod reads the kubelet's credentials, with a
/// writable one it can own the node, and data kept there is lost from sight when the pod is scheduled elsewhere.
///
/// # What it checks
/// Only the paths of `allow` and what lies below them may be mounted; with an empty list, none. If several entries hold
/// a path, the closest counts, so that `/var/log` can be read-only in a `/` that is not. Paths are compared by whole
/// segments after cleaning, so that `/data` does not admit `/database`; a path with `..` is refused outright.
///
/// # Example
/// ```yaml
/// - hostPath:
///     allow:
///       - {path: /var/log, readOnly: true}
///       - {path: /run/containerd/containerd.sock, types: [Socket]}
/// ```
/// Bad: `hostPath: {path: /}`, or `/var/log` mounted without `readOnly: true`.
/// Good: `hostPath: {path: /var/log/pods}` with `volumeMounts: [{name: logs, mountPath: /logs, readOnly: true}]`.
///
/// # Details
/// `deny` names paths that nobody may mount, whatever `allow` says. A mount of a directory above one counts, as the path can
/// be seen in it.
///
/// ```yaml
/// - hostPath:
///     deny: [/run/docker.sock, /run/containerd, /etc/kubernetes, /var/lib/kubelet/pki]
/// ```
/// Bad: `hostPath: {path: /var/run/docker.sock}`, or `hostPath: {path: /run}`. Good: `hostPath: {path: /run/flannel}`.
///
/// PersistentVolumes with `hostPath` are judged as well, and with `localVolumes: true` those with `local`. Any claim
/// can write to such a volume, so an entry with `readOnly` admits none. The account that sends the request, which
/// nobody can forge, distinguishes a provisioner's volumes from those that are made by hand: `provisioners` says who
/// may make volumes in which directories, whatever `allow` says. In CI there is no account, so a volume in one of these
/// directories is a warning there. A volume that exists is not judged again: its path cannot change.
///
/// ```yaml
/// - hostPath:
///     localVolumes: true
///     provisioners:
///       - accounts: ["system:serviceaccount:volgate-system:volgate-provisioner"]
///         paths: [/opt/local-path-provisioner, /dev/volgate]
/// ```
/// Bad: a PersistentVolume with `local: {path: /}`, or one in another's directory that was written by hand.
/// Good: a claim of the provisioner's class.
///
/// # What it does not check
/// The rule does not see symbolic links: a pod that may write below an allowed path can create one that leads
/// elsewhere. `readOnly` does not reach file systems that the node has mounted below the path (`recursiveReadOnly`
/// does).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The paths that may be mounted. None when empty.
    #[serde(default)]
    pub allow: Vec<AllowedPath>,
    /// Paths that may not be mounted, whatever `allow` says. Everything below them is forbidden too, and so is every
    /// directory above them, in which they would be seen. `/var/run` and `/run` are one. Without `allow`, everything
    /// else may be mounted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// Whether PersistentVolumes of type `local` are held to the list as well. `types` does not count for them.
    #[serde(default)]
    pub local_volumes: bool,
    /// Who makes PersistentVolumes, and in which directories of a node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provisioners: Vec<Provisioner>,
}

/// A provisioner that may make PersistentVolumes beneath some directories of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provisioner {
    /// User names of the provisioner, such as `system:serviceaccount:<namespace>:<name>`; `*` stands for any text.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub accounts: Vec<String>,
    /// The directories, from `/`. Its volumes are below them.
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
}

/// One path of a node that may be mounted, with what lies beneath it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedPath {
    /// The path, from `/`.
    pub path: String,
    /// Whether every mount of it must be read-only.
    #[serde(default)]
    pub read_only: bool,
    /// The allowed values of the volume's `type`. Empty: any, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<HostPathType>,
}

/// What the kubelet checks or makes at a hostPath before it mounts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' own names
pub enum HostPathType {
    DirectoryOrCreate,
    Directory,
    FileOrCreate,
    File,
    Socket,
    CharDevice,
    BlockDevice,
}

impl HostPathType {
    fn as_str(self) -> &'static str {
        match self {
            Self::DirectoryOrCreate => "DirectoryOrCreate",
            Self::Directory => "Directory",
            Self::FileOrCreate => "FileOrCreate",
            Self::File => "File",
            Self::Socket => "Socket",
            Self::CharDevice => "CharDevice",
            Self::BlockDevice => "BlockDevice",
        }
    }
}

impl fmt::Display for HostPathType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for AllowedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.read_only {
            f.write_str(" (read-only)")?;
        }
        if !self.types.is_empty() {
            write!(f, " (of type {})", one_of(&self.types))?;
        }
        Ok(())
    }
}

impl RuleKind for Params {
    const ID: &'static str = "host-path";
    const FIELD: &'static str = "hostPath";

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        for (index, entry) in self.allow.iter().enumerate() {
            path_faults(&entry.path, at.key("allow").index(index).key("path"), faults);
        }
        useless(&self.allow, &at.key("allow"), faults);
        for (index, path) in self.deny.iter().enumerate() {
            path_faults(path, at.key("deny").index(index), faults);
        }
        never_allowed(self, at, faults);
        for (index, provisioner) in self.provisioners.iter().enumerate() {
            let at = at.key("provisioners").index(index);
            for (index, path) in provisioner.paths.iter().enumerate() {
                path_faults(path, at.key("paths").index(index), faults);
            }
            for (index, account) in provisioner
                .accounts
                .iter()
                .enumerate()
                .filter(|(_, account)| account.bytes().all(|byte| byte == b'*'))
            {
                let message =
                    format!("{account:?} is everybody: put the paths into `allow` if that is meant");
                faults.push(PolicyFault::new(at.key("accounts").index(index), message));
            }
        }
        Arc::new(HostPath(self.clone()))
    }
}

#[derive(Debug)]
struct HostPath(Params);

/// How much of a mount's path a message shows.
const SHOWN: usize = 120;

/// A path of the node that an object asks for.
struct Asked<'o> {
    path: &'o str,
    /// The field with the path.
    field: FieldPath,
    /// What is named in messages.
    name: String,
    /// The type; nothing where types do not count.
    kind: Option<&'o str>,
}

impl Rule for HostPath {
    fn reads(&self) -> &'static [Reads] {
        &[Reads::Pods, Reads::Volumes]
    }

    fn finds(&self) -> Concern {
        Concern::volumes(["hostPath"])
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        match &context.facts.subject {
            Subject::Workload(workload) => {
                let pod = workload.pod.path();
                for volume in &workload.pod.volumes {
                    if let VolumeSource::HostPath { path, kind } = volume.source {
                        let field = volume.source_path(&pod).key("path");
                        let asked = Asked {
                            path,
                            field,
                            name: format!("pod volume {:?}", volume.name),
                            kind: Some(kind),
                        };
                        self.judge(&asked, findings, || writable_mounts(workload, volume));
                    }
                }
            }
            Subject::Volume(volume) => {
                let spec = FieldPath::root().key("spec");
                let name = format!("volume {:?}", volume.name);
                let source = context.review.object.get("spec").and_then(|spec| spec.get("hostPath"));
                let kind = source.and_then(|source| source.get("type")).and_then(Node::as_str);
                let asked = match &volume.kind {
                    VolumeKind::HostPath(path) => {
                        let field = spec.key("hostPath").key("path");
                        Asked { path, field, name, kind: Some(kind.unwrap_or_default()) }
                    }
                    VolumeKind::Local(path) if self.0.local_volumes => {
                        Asked { path, field: spec.key("local").key("path"), name, kind: None }
                    }
                    _ => return,
                };
                let mut found = NewFindings::new(&|_| true);
                self.judge(&asked, &mut found, || vec![Writable { at: asked.field.clone(), mount: None }]);
                let found = found.finish().into_iter();
                let requester = context.review.requester.map(|requester| requester.name.as_str());
                let user = context.review.user.or(requester);
                findings
                    .extend(found.filter_map(|new_finding| self.provisioned(asked.path, user, new_finding)));
            }
            _ => {}
        }
    }
}

impl HostPath {
    /// Judges one path; `writable` tells the fields that make it writable.
    fn judge(&self, asked: &Asked<'_>, findings: &mut NewFindings<'_>, writable: impl Fn() -> Vec<Writable>) {
        let Asked { path, field, name, kind } = asked;
        if climbs(path) {
            let message =
                format!("{name} has `..` in its path {path:?}, which hides what of the node it opens");
            findings.push(
                NewFinding::new(field.clone(), message).help("write the path that it means, without `..`"),
            );
            return;
        }
        let clean = FsPath::new(path);
        let shown = shortened(clean.as_str(), SHOWN);
        if let Some(denied) = self.denied(&clean) {
            let message = if real(denied) == real(clean.as_str()) {
                format!("{name} opens {shown} of the node, which the policy denies")
            } else {
                format!("{name} opens {shown} of the node, and with it {denied}, which the policy denies")
            };
            let help = "mount nothing of it: ask the program's own interface, or give it an exception with the reason";
            findings.push(NewFinding::new(field.clone(), message).help(help));
            return;
        }
        if self.0.allow.is_empty() && !self.0.deny.is_empty() {
            return;
        }
        let mut covering: Vec<&AllowedPath> =
            self.0.allow.iter().filter(|entry| FsPath::new(&entry.path).covers(&clean)).collect();
        // The closest counts, as somebody made it for just this path.
        let length = |entry: &AllowedPath| FsPath::new(&entry.path).as_str().len();
        let closest = covering.iter().map(|entry| length(entry)).max();
        covering.retain(|entry| Some(length(entry)) == closest);
        if covering.is_empty() {
            let message = format!("{name} opens {shown} of the node, which the policy does not allow");
            findings.push(NewFinding::new(field.clone(), message).help(self.allowed()));
            return;
        }
        let typed: Vec<&AllowedPath> =
            covering.iter().copied().filter(|entry| admits_type(entry, *kind)).collect();
        let Some(nearest) = typed.first().copied() else {
            let wanted = one_of(covering.iter().flat_map(|entry| &entry.types));
            let given = match kind.filter(|kind| !kind.is_empty()) {
                Some(kind) => format!("is of type {kind}"),
                None => "names no type".to_owned(),
            };
            let message =
                format!("{name} opens {shown} of the node and {given}, where the policy wants {wanted}");
            let at = field.parent().unwrap_or_default().key("type");
            findings.push(
                NewFinding::new(at, message)
                    .related(field.clone(), "the path that the policy allows for that type alone")
                    .help(format!("write `type: {wanted}`")),
            );
            return;
        };
        if typed.iter().any(|entry| !entry.read_only) {
            return;
        }
        // Of an entry for all paths, none is named.
        let allowed = if nearest.path == "/" { "paths" } else { nearest.path.as_str() };
        let help = writer_help(&clean);
        for Writable { at, mount } in writable() {
            findings.push(match mount {
                None => {
                    let message = format!(
                        "{name} opens {shown} of the node, and whoever claims it can write there; the policy allows \
                         {allowed} only read-only"
                    );
                    let help = format!("mount {shown} with readOnly: true in the pod that needs it");
                    NewFinding::new(at, message).help(help)
                }
                Some(mount) => {
                    let message = format!(
                        "{shown} of the node ({name}) is mounted writable at {mount}; the policy allows {allowed} of \
                         the node only read-only"
                    );
                    NewFinding::new(at, message)
                        .related(field.clone(), format!("opens {shown} of the node"))
                        .help(help)
                }
            });
        }
    }

    /// The entry of `deny` that a mount of the path would open.
    fn denied(&self, path: &FsPath<'_>) -> Option<&str> {
        let clean = path;
        let path = real(clean.as_str());
        let opens = |denied: &&String| {
            let denied = real(denied);
            // Above the one it may be seen by its other name: on some nodes `/var/run` is no link.
            denied.covers(&path) || path.covers(&denied) || clean.covers(&by_its_other_name(&denied))
        };
        self.0.deny.iter().find(opens).map(String::as_str)
    }

    /// The finding about a PersistentVolume of that path, made by that user; nothing where it is a provisioner's own.
    fn provisioned(&self, path: &str, user: Option<&str>, new_finding: NewFinding) -> Option<NewFinding> {
        let clean = FsPath::new(path);
        // Nobody may open what is denied.
        if self.denied(&clean).is_some() {
            return Some(new_finding);
        }
        let beneath = |base: &String| {
            let base = FsPath::new(base);
            !climbs(path) && base.covers(&clean) && base != clean
        };
        let of_path = self.0.provisioners.iter().filter(|provisioner| provisioner.paths.iter().any(beneath));
        let accounts: Vec<&String> = of_path.flat_map(|provisioner| &provisioner.accounts).collect();
        if accounts.is_empty() {
            return Some(new_finding);
        }
        let Some(user) = user else {
            let only = one_of(accounts);
            let help =
                format!("only {only} may make a volume there, and who will make this one is not known here");
            return Some(new_finding.help(help).at_most(Action::Warn));
        };
        if accounts.iter().any(|account| fits(account, user)) {
            return None;
        }
        Some(new_finding.and_help(Some(format!("only {} may make a volume there", one_of(accounts)))))
    }

    fn allowed(&self) -> String {
        if self.0.allow.is_empty() {
            return "keep data on a PersistentVolumeClaim: the policy allows no path of the node".to_owned();
        }
        format!(
            "keep data on a PersistentVolumeClaim; of the node the policy allows {}",
            one_of(&self.0.allow)
        )
    }
}

/// What makes a path of the node writable.
struct Writable {
    /// The field because of which it is.
    at: FieldPath,
    /// The mount in a container, by its path; none for a PersistentVolume.
    mount: Option<String>,
}

/// Directories of a node that network, storage and device plugins install themselves in, and sockets that are written to.
const WRITTEN_BY_AGENTS: [&str; 9] = [
    "/opt/cni",
    "/etc/cni",
    "/var/lib/cni",
    "/run/flannel",
    "/var/lib/calico",
    "/var/lib/kubelet",
    "/dev",
    "/sys/fs",
    "/run/xtables.lock",
];

/// What to do about a writable mount of that path of the node.
fn writer_help(path: &FsPath<'_>) -> &'static str {
    let path = path.as_str();
    let path = path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path);
    let is_below = |base: &str| FsPath::new(base).covers(&FsPath::new(path));
    if WRITTEN_BY_AGENTS.iter().any(|base| is_below(base)) || path.ends_with(".sock") {
        "an agent that writes there by its nature needs an entry for this path in `allow`, or an exception with the reason"
    } else {
        "set `readOnly: true` on the mount; what must write there needs an entry in `allow`, or an exception with the reason"
    }
}

/// The mounts because of which a pod volume can be written to, each with its `readOnly`.
fn writable_mounts(workload: &Workload<'_>, volume: &PodVolume<'_>) -> Vec<Writable> {
    let pod = workload.pod.path();
    let writable = workload.pod.mounts_of(volume.name).filter(|(_, mount)| !mount.read_only);
    // Of several of one name, which no API server takes, the mounts mean the first; of the others one says enough.
    let is_first = workload.pod.volume(volume.name).is_some_and(|first| first.index == volume.index);
    writable
        .take(if is_first { usize::MAX } else { 1 })
        .map(|(container, mount)| Writable {
            at: container.mount_path(&pod, mount).key("readOnly"),
            mount: Some(shortened(mount.path.as_str(), SHOWN).into_owned()),
        })
        .collect()
}

fn admits_type(entry: &AllowedPath, kind: Option<&str>) -> bool {
    entry.types.is_empty()
        || kind.is_none_or(|kind| entry.types.iter().any(|allowed| allowed.as_str() == kind))
}

/// The path as it is after the link that every node has: `/var/run` leads to `/run`.
fn real(path: &str) -> FsPath<'_> {
    let clean = FsPath::new(path);
    match below(clean.as_str(), "/var/run") {
        Some(rest) => FsPath::new(&format!("/run/{rest}")).into_owned(),
        None => clean,
    }
}

/// The other name of a path that [`real`] gave; itself where it has none.
fn by_its_other_name<'p>(path: &FsPath<'p>) -> FsPath<'p> {
    match below(path.as_str(), "/run") {
        Some(rest) => FsPath::new(&format!("/var/run/{rest}")).into_owned(),
        None => path.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, judge, judge_review, judge_update, lines};
    use crate::rule::Review;
    use crate::verdict::Action;
    use serde_json::{Value, json};

    fn rule() -> Value {
        json!([{"hostPath": {"localVolumes": true, "allow": [
            {"path": "/var/log/", "readOnly": true},
            {"path": "/var/log/mine"},
            {"path": "/run/containerd.sock", "types": ["Socket"]}]}}])
    }

    fn pod(source: Value, mounts: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
            "containers": [{"name": "c", "volumeMounts": mounts}],
            "volumes": [{"name": "v", "hostPath": source}]}})
    }

    fn found(path: &str) -> Vec<String> {
        lines(&judge(rule(), &[], &pod(json!({"path": path}), json!([]))))
    }

    #[test]
    fn a_writable_mount_is_told_with_both_paths_and_fitting_help() {
        let told = |path: &str| {
            let mounts = json!([{"name": "v", "mountPath": "/host"}]);
            let policy = json!([{"hostPath": {"allow": [{"path": "/", "readOnly": true}]}}]);
            let finding = judge(policy, &[], &pod(json!({"path": path}), mounts)).findings.remove(0);
            (finding.message, finding.help.unwrap())
        };
        let (message, help) = told("/var/log/pods");
        assert_eq!(
            message,
            "/var/log/pods of the node (pod volume \"v\") is mounted writable at /host; the policy allows paths of the node \
             only read-only"
        );
        assert!(help.starts_with("set `readOnly: true` on the mount"), "{help}");
        for path in [
            "/opt/cni/bin",
            "/etc/cni/net.d",
            "/var/run/docker.sock",
            "/run/flannel",
            "/var/lib/kubelet/plugins",
            "/dev",
        ] {
            let (_, help) = told(path);
            assert!(!help.contains("readOnly"), "{path}: {help}");
        }
        assert!(told("/devices").1.contains("readOnly"));
    }

    #[test]
    fn what_is_denied_is_denied_with_all_above_it() {
        let policy = json!([{"hostPath": {"deny": ["/run/docker.sock", "/etc/kubernetes"], "localVolumes": true,
            "provisioners": [{"accounts": ["maker"], "paths": ["/etc"]}]}}]);
        let found = |path: &str| {
            let mounts = json!([{"name": "v", "mountPath": "/v", "readOnly": true}]);
            lines(&judge(policy.clone(), &[], &pod(json!({"path": path}), mounts)))
        };
        for path in [
            "/var/run/docker.sock",
            "/run/docker.sock",
            "/run",
            "/var/run/",
            "/var",
            "/",
            "/etc/kubernetes/pki",
            "/etc",
        ] {
            let found = found(path);
            assert!(
                found.len() == 1 && found[0].starts_with("Deny spec.volumes[0].hostPath.path: "),
                "{path}: {found:?}"
            );
        }
        for path in ["/run/docker.sock.d", "/run/flannel", "/etc/cni", "/var/log", "/var/lib", "/var/runner"]
        {
            assert_eq!(found(path), [""; 0], "{path}");
        }
        let either = |denied: &str, path: &str| {
            let mounts = json!([{"name": "v", "mountPath": "/v"}]);
            judge(json!([{"hostPath": {"deny": [denied]}}]), &[], &pod(json!({"path": path}), mounts))
        };
        for denied in ["/var/run/docker.sock", "/run/docker.sock", "/var/run", "/run"] {
            for path in ["/var", "/run", "/var/run", "/"] {
                assert_eq!(lines(&either(denied, path)).len(), 1, "{denied} {path}");
            }
            assert_eq!(lines(&either(denied, "/var/lib")), [""; 0], "{denied}");
        }
        let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"},
                            "spec": {"local": {"path": "/etc/kubernetes/pv"}}});
        let review = Review { user: Some("maker"), ..Review::create(&volume) };
        assert_eq!(lines(&judge_review(policy.clone(), &[], &review)).len(), 1, "whoever makes it");
        let told = |params: Value| faults(json!([{"hostPath": params}]));
        let taken_back = told(json!({"allow": [{"path": "/var/run/x"}], "deny": ["/run"]}));
        assert!(taken_back[0].contains("can never be mounted, as `deny` has \"/run\""), "{taken_back:?}");
        assert_eq!(told(json!({"deny": ["/run", "/var/run/x", "data", "/a*"]})).len(), 3);
        assert_eq!(told(json!({"allow": [{"path": "/"}], "deny": ["/run", "/etc"]})), [""; 0]);
    }

    #[test]
    fn the_closest_entry_counts() {
        let policy = json!([{"hostPath": {"allow": [
            {"path": "/"}, {"path": "/var/log", "readOnly": true}, {"path": "/run", "types": ["Socket"]}, {"path": "/run/agent"}]}}]);
        let found = |source: Value| {
            lines(&judge(policy.clone(), &[], &pod(source, json!([{"name": "v", "mountPath": "/v"}])))).len()
        };
        assert_eq!(found(json!({"path": "/etc"})), 0);
        assert_eq!(found(json!({"path": "/var/log/pods"})), 1, "read-only, whatever / says");
        assert_eq!(found(json!({"path": "/run/x"})), 1, "sockets alone");
        assert_eq!(found(json!({"path": "/run/agent/x"})), 0);
    }

    #[test]
    fn entries_that_change_nothing_are_refused() {
        let told = |allow: Value| faults(json!([{"hostPath": {"allow": allow}}]));
        let of = |path: &str| json!({"path": path});
        assert_eq!(
            told(json!([of("/data"), of("/data/a"), of("/data/")])),
            [
                "spec.rules[0].hostPath.allow[1]: adds nothing to entry 0, /data: take one of the two out",
                "spec.rules[0].hostPath.allow[2]: adds nothing to entry 0, /data: take one of the two out",
            ]
        );
        let read_only = |path: &str| json!({"path": path, "readOnly": true});
        assert_eq!(told(json!([of("/"), read_only("/data"), of("/data/a"), of("/database")])).len(), 1);
        assert_eq!(told(json!([read_only("/"), of("/data"), read_only("/data/a")])), [""; 0]);
        let socket = json!({"path": "/run", "types": ["Socket"]});
        assert_eq!(told(json!([socket, {"path": "/run", "types": ["Directory"]}])), [""; 0]);
        let star = told(json!([of("/data*")]));
        assert!(
            star[0].contains("\"/data*\" ends in `*`, which stands for itself here: \"/data\" admits"),
            "{star:?}"
        );
    }

    #[test]
    fn paths_are_compared_by_whole_segments() {
        for path in ["/var/log", "/var/log/pods", "//var/./log/", "/var/log/mine/x"] {
            assert_eq!(found(path), [""; 0], "{path}");
        }
        for path in ["/", "/var", "/var/logs", "/var/logmine", "", "var"] {
            let lines = found(path);
            assert!(lines[0].starts_with("Deny spec.volumes[0].hostPath.path: "), "{path}: {lines:?}");
            assert!(lines[0].contains("does not allow"), "{path}: {lines:?}");
        }
        let none = judge(json!([{"hostPath": {}}]), &[], &pod(json!({"path": "/tmp"}), json!([])));
        assert_eq!(none.findings.len(), 1);
    }

    #[test]
    fn a_path_that_climbs_is_refused_outright() {
        for path in ["/var/log/../log", "/var/log/..", r"/var/log/a\..\b"] {
            assert!(found(path)[0].contains("has `..`"), "{path}");
        }
        assert_eq!(found("/var/log/..data"), [""; 0]);
    }

    #[test]
    fn read_only_means_every_mount() {
        let mounts = json!([
            {"name": "v", "mountPath": "/a", "readOnly": true},
            {"name": "v", "mountPath": "/b"},
            {"name": "v", "mountPath": "/c", "readOnly": false},
            {"name": "other", "mountPath": "/d"}]);
        let verdict = judge(rule(), &[], &pod(json!({"path": "/var/log/pods"}), mounts.clone()));
        let fields: Vec<String> = verdict.findings.iter().map(|f| f.field.to_string()).collect();
        assert_eq!(
            fields,
            ["spec.containers[0].volumeMounts[1].readOnly", "spec.containers[0].volumeMounts[2].readOnly"]
        );
        assert!(verdict.findings[0].message.contains("/var/log/ of the node only read-only"), "{verdict:?}");
        assert_eq!(verdict.findings[0].related[0].0.to_string(), "spec.volumes[0].hostPath.path");
        // An entry without readOnly admits what another would not.
        assert_eq!(judge(rule(), &[], &pod(json!({"path": "/var/log/mine"}), mounts)).findings, []);
    }

    #[test]
    fn types_must_be_named() {
        let of = |source: Value| lines(&judge(rule(), &[], &pod(source, json!([]))));
        assert_eq!(of(json!({"path": "/run/containerd.sock", "type": "Socket"})), [""; 0]);
        let wrong = of(json!({"path": "/run/containerd.sock", "type": "File"}));
        assert!(wrong[0].starts_with("Deny spec.volumes[0].hostPath.type: "), "{wrong:?}");
        let absent = of(json!({"path": "/run/containerd.sock"}));
        assert!(absent[0].starts_with("Deny spec.volumes[0].hostPath.type: "), "{absent:?}");
    }

    #[test]
    fn volumes_are_judged_and_never_read_only() {
        let volume = |spec: Value| {
            let object = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": spec});
            lines(&judge(rule(), &[], &object))
        };
        assert_eq!(volume(json!({"hostPath": {"path": "/var/log/mine/a"}})), [""; 0]);
        let read_only = volume(json!({"hostPath": {"path": "/var/log/pods"}}));
        assert!(read_only[0].starts_with("Deny spec.hostPath.path: "), "{read_only:?}");
        assert!(read_only[0].contains("whoever claims it can write"), "{read_only:?}");
        assert!(volume(json!({"hostPath": {"path": "/etc"}}))[0].contains("does not allow"));
        assert!(volume(json!({"local": {"path": "/mnt/a"}}))[0].starts_with("Deny spec.local.path: "));
        assert_eq!(volume(json!({"csi": {"driver": "x"}})), [""; 0]);
        let local = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"},
                           "spec": {"local": {"path": "/mnt/a"}}});
        assert_eq!(judge(json!([{"hostPath": {}}]), &[], &local).findings, []);
    }

    #[test]
    fn a_provisioner_makes_volumes_in_its_own_directories() {
        const OWN: &str = "system:serviceaccount:volgate-system:volgate-provisioner";
        let rules = |path: &str| {
            json!([{"hostPath": {"allow": [{"path": "/mnt/free"}], "localVolumes": true, "provisioners": [
                {"accounts": [OWN], "paths": [path, "/dev/volgate"]},
                {"accounts": ["system:serviceaccount:openebs:*"], "paths": ["/var/openebs/"]}]}}])
        };
        let made = |user: Option<&str>, source: &str, path: &str| {
            let object = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"},
                                "spec": {source: {"path": path}}});
            let review = Review { user, ..Review::create(&object) };
            judge_review(rules("/opt/local-path-provisioner"), &[], &review).findings.pop()
        };
        for (user, path) in [
            (OWN, "/opt/local-path-provisioner/pvc-1_shop_data"),
            (OWN, "/dev/volgate/pvc-1"),
            ("system:serviceaccount:openebs:localpv", "/var/openebs/local/pvc-1"),
            ("alice", "/mnt/free/a"),
        ] {
            for source in ["local", "hostPath"] {
                assert_eq!(made(Some(user), source, path), None, "{user} {source} {path}");
            }
        }
        for (user, path) in [
            ("alice", "/opt/local-path-provisioner/pvc-1_shop_data"),
            ("system:serviceaccount:shop:volgate-provisioner", "/opt/local-path-provisioner/pvc-1_shop_data"),
            ("", "/dev/volgate/pvc-1"),
            (OWN, "/"),
            (OWN, "/opt/local-path-provisioner"),
            (OWN, "/opt/local-path-provisioner/../../etc"),
            (OWN, "/opt/local-path-provisioners/x"),
            (OWN, "/var/openebs/local/pvc-1"),
        ] {
            for source in ["local", "hostPath"] {
                let finding = made(Some(user), source, path).unwrap();
                assert_eq!(finding.action, Action::Deny, "{user} {source} {path}");
            }
        }
        // In `check` nobody knows who will make it.
        let unknown = made(None, "local", "/dev/volgate/pvc-1").unwrap();
        assert_eq!(unknown.action, Action::Warn);
        assert!(unknown.help.unwrap().starts_with(&format!("only {OWN} may make a volume there")));
        assert_eq!(made(None, "local", "/").unwrap().action, Action::Deny);
        // A pod is no volume, whoever makes it.
        let pod = pod(json!({"path": "/opt/x"}), json!([]));
        let review = Review { user: Some(OWN), ..Review::create(&pod) };
        assert_eq!(judge_review(rules("/opt"), &[], &review).findings.len(), 1);
        assert!(faults(rules("opt"))[0].contains("provisioners[0].paths[0]: \"opt\" must start with `/`"));
        let everybody = json!([{"hostPath": {"provisioners": [{"accounts": ["*"], "paths": ["/a"]}]}}]);
        assert!(faults(everybody)[0].contains("is everybody"));
    }

    #[test]
    fn a_volume_that_exists_is_not_judged_again() {
        let volume = |labels: Value| {
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv", "labels": labels},
                   "spec": {"local": {"path": "/"}, "persistentVolumeReclaimPolicy": "Retain"}})
        };
        let rules = json!([{"hostPath": {"localVolumes": true}}]);
        assert_eq!(judge(rules.clone(), &[], &volume(json!({}))).findings.len(), 1);
        assert_eq!(judge_update(rules, &[], &volume(json!({})), &volume(json!({"a": "b"}))).findings, []);
    }

    #[test]
    fn a_policy_must_name_whole_paths() {
        let of = |path: &str| faults(json!([{"hostPath": {"allow": [{"path": path}]}}]));
        assert!(of("var/log")[0].contains("must start with `/`"));
        assert!(of("/var/../etc")[0].contains("has `..`"));
        assert_eq!(of("/"), [""; 0]);
        assert!(
            faults(json!([{"hostPath": {"allow": [{"path": "/a", "types": ["Dir"]}]}}]))[0]
                .contains("one of")
        );
    }
}
