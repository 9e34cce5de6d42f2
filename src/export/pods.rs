//! The rules about pods, and about what makes them.

use super::parts::{Kinds, Written, covers, fits_any, literal};
use crate::facts::VolumeSource;
use crate::model::{FsPath, below};

const PODS: Kinds =
    Kinds { pods: true, claims: false, volumes: false, classes: false, resized: false, made: false };

/// The token that the ServiceAccount admission plugin puts into a pod, and nothing more.
const TOKEN: &str = "(request.kind.kind == 'Pod' && v.name.startsWith('kube-api-access-') && has(v.projected) && \
     has(v.projected.sources) && v.projected.sources.all(s, (has(s.serviceAccountToken) && \
     !has(s.serviceAccountToken.audience)) || (has(s.configMap) && s.configMap.name == 'kube-root-ca.crt') || \
     has(s.downwardAPI)))";

/// Which types of pod volume may be used.
pub(super) fn volume_types(
    allow: Option<&[String]>,
    deny: Option<&[String]>,
    csi: Option<&[String]>,
    flex: Option<&[String]>,
) -> Written {
    let mut written = Written::about(PODS).with_pods();
    // The API server gives a pod volume without a type an emptyDir before anybody is asked.
    let has = |kind: &String| format!("has(v.{kind})");
    if let Some(allow) = allow {
        let any = allow.iter().map(has).collect::<Vec<_>>().join(" || ");
        let any = if any.is_empty() { "false".to_owned() } else { any };
        written = written.validation(
            format!("variables.volumes.all(v, {any} || {TOKEN})"),
            format!("a pod volume is of a type that the policy does not allow; use {}", listed(allow)),
        );
    }
    if let Some(deny) = deny.filter(|deny| !deny.is_empty()) {
        let known: Vec<&String> =
            deny.iter().filter(|kind| VolumeSource::types().any(|known| known == **kind)).collect();
        let any = known.into_iter().map(has).collect::<Vec<_>>().join(" || ");
        written = written.validation(
            format!("variables.volumes.all(v, !({any}) || {TOKEN})"),
            format!("a pod volume is of a type that the policy denies: {}", listed(deny)),
        );
    }
    if let Some(drivers) = csi {
        written = written.validation(
            format!("variables.volumes.all(v, !has(v.csi) || {})", fits_any("v.csi.driver", drivers)),
            "a pod volume is made by a CSI driver that the policy does not allow",
        );
    }
    if let Some(drivers) = flex {
        written = written.validation(
            format!(
                "variables.volumes.all(v, !has(v.flexVolume) || {})",
                fits_any("v.flexVolume.driver", drivers)
            ),
            "a pod volume is made by a FlexVolume driver that the policy does not allow",
        );
    }
    written
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "no pod volumes".to_owned() } else { names.join(", ") }
}

/// One path of a node that may be mounted.
pub(super) struct AllowedHostPath<'p> {
    pub(super) path: &'p str,
    pub(super) read_only: bool,
    pub(super) types: Vec<String>,
}

/// A path, in the variable `p`, without empty segments and such that stand for themselves.
const CLEAN: &str = "'/' + p.split('/').filter(s, s != '' && s != '.').join('/')";

/// Which paths of a node may be mounted.
pub(super) fn host_path(
    allow: &[AllowedHostPath<'_>],
    deny: &[String],
    local_volumes: bool,
    provisioners: &[(&[String], &[String])],
) -> Written {
    let kinds = Kinds { volumes: true, ..PODS };
    // The API server wants all values of a map to be of one declared type.
    let own = "{'name': dyn(''), 'path': dyn(object.spec.hostPath.path), 'type': dyn(has(object.spec.hostPath.type) ? \
               object.spec.hostPath.type : '')}";
    let local = match local_volumes {
        true => {
            "has(object.spec.local) ? [{'name': dyn(''), 'path': dyn(object.spec.local.path), 'type': dyn('*')}] : []"
        }
        false => "[]",
    };
    let mounts = "variables.containers.exists(c, has(c.volumeMounts) && c.volumeMounts.exists(m, m.name == h.name && \
                  !(has(m.readOnly) && m.readOnly)))";
    let mut written = Written::about(kinds)
        .with_pods()
        .variable(
            "asked",
            format!(
                "request.kind.kind == 'PersistentVolume' ? (has(object.spec.hostPath) ? [{own}] : {local}) : \
                 variables.volumes.filter(v, has(v.hostPath)).map(v, {{'name': dyn(v.name), 'path': dyn(v.hostPath.path), \
                 'type': dyn(has(v.hostPath.type) ? v.hostPath.type : '')}})"
            ),
        )
        .variable("climbs", "variables.asked.exists(h, h.path.split('/').exists(s, s == '..'))")
        .variable(
            "paths",
            format!(
                "variables.asked.map(h, {{'name': dyn(h.name), 'type': dyn(h.type), 'path': dyn({})}})",
                CLEAN.replace("p.", "h.path.")
            ),
        )
        .variable(
            "writable",
            format!("variables.paths.filter(h, h.name == '' || {mounts}).map(h, h.name)"),
        );
    let base = "variables.paths[0].path";
    let provisioned = provisioners.iter().map(|(accounts, paths)| {
        let beneath = paths.iter().map(|path| {
            let clean = FsPath::new(path);
            format!("({} && {base} != {})", covers(clean.as_str(), base), literal(clean.as_str()))
        });
        let beneath = beneath.collect::<Vec<_>>().join(" || ");
        format!("(({beneath}) && {})", fits_any("request.userInfo.username", accounts))
    });
    let provisioned = provisioned.collect::<Vec<_>>().join(" || ");
    // Of a volume that a provisioner makes there, nothing but what is denied is asked.
    let excused = match provisioned.is_empty() {
        true => String::new(),
        false => format!(
            "(request.kind.kind == 'PersistentVolume' && variables.paths.size() == 1 && !variables.climbs && \
             ({provisioned})) || "
        ),
    };
    written = written.validation(
        format!("{excused}!variables.climbs"),
        "a path of the node has `..` in it, which hides what it opens: write the path that it means",
    );
    if !deny.is_empty() {
        // `/var/run` leads to `/run` on every node.
        let real = "(h.path == '/var/run' || h.path.startsWith('/var/run/') ? '/run' + h.path.substring(8) : h.path)";
        let opens = deny.iter().map(|denied| {
            let denied = real_path(denied);
            let above = match denied.as_str() {
                "/" => "true".to_owned(),
                denied => format!("({real} == '/' || {}.startsWith({real} + '/'))", literal(denied)),
            };
            format!("{} || {above}", covers(&denied, real))
        });
        let opens = opens.collect::<Vec<_>>().join(" || ");
        written = written.validation(
            format!("variables.climbs || variables.paths.all(h, !({opens}))"),
            format!("a path of the node is opened that the policy denies: {}", deny.join(", ")),
        );
    }
    if !allow.is_empty() || deny.is_empty() {
        let shown: Vec<&str> = allow.iter().map(|entry| entry.path).collect();
        let shown = if shown.is_empty() { "none".to_owned() } else { shown.join(", ") };
        written = written.validation(
            format!("variables.climbs || {excused}variables.paths.all(h, {})", allowed(allow)),
            format!("a path of the node is opened, or written to, that the policy does not allow; it allows {shown}"),
        );
    }
    written
}

fn real_path(path: &str) -> String {
    let clean = FsPath::new(path);
    match below(clean.as_str(), "/var/run") {
        Some("") => "/run".to_owned(),
        Some(rest) => format!("/run/{rest}"),
        None => clean.as_str().to_owned(),
    }
}

/// Whether the closest entry that holds a path admits it.
fn allowed(allow: &[AllowedHostPath<'_>]) -> String {
    let mut entries: Vec<(String, &AllowedHostPath<'_>)> =
        allow.iter().map(|entry| (FsPath::new(entry.path).as_str().to_owned(), entry)).collect();
    entries.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    let chain = entries.chunk_by(|(a, _), (b, _)| a == b).map(|alike| {
        let admits = alike.iter().map(|(_, entry)| {
            let kinds: Vec<String> = entry.types.iter().map(|kind| literal(kind)).collect();
            let kind = match kinds.is_empty() {
                true => "true".to_owned(),
                false => format!("(h.type == '*' || h.type in [{}])", kinds.join(", ")),
            };
            if entry.read_only { format!("({kind} && !(h.name in variables.writable))") } else { kind }
        });
        let path = alike.first().map_or("/", |(path, _)| path.as_str());
        (covers(path, "h.path"), admits.collect::<Vec<_>>().join(" || "))
    });
    let chain: Vec<(String, String)> = chain.collect();
    chain
        .iter()
        .rev()
        .fold("false".to_owned(), |rest, (covers, admits)| format!("({covers} ? ({admits}) : {rest})"))
}

/// What an emptyDir must be like.
pub(super) struct EmptyDirs<'p> {
    pub(super) require_size_limit: bool,
    pub(super) or_storage_limit: bool,
    pub(super) max_size: Option<&'p str>,
    pub(super) allow_memory: bool,
    pub(super) needs_memory_limit: bool,
    pub(super) max_memory: Option<&'p str>,
}

/// Whether a quantity at a field is there and above zero.
fn is_given(holder: &str, field: &str) -> String {
    format!("(has({holder}.{field}) && quantity(string({holder}.{field})).isGreaterThan(quantity('0')))")
}

/// Whether a quantity at a field is at most that.
fn at_most(holder: &str, field: &str, most: &str) -> String {
    format!(
        "(!has({holder}.{field}) || quantity(string({holder}.{field})).compareTo(quantity({})) <= 0)",
        literal(most)
    )
}

const STORAGE: &str = "'ephemeral-storage'";

/// Whether a container has a limit or request of ephemeral storage above zero.
fn has_storage(list: &str) -> String {
    format!(
        "(has(c.resources) && has(c.resources.{list}) && {STORAGE} in c.resources.{list} && \
         quantity(string(c.resources.{list}[{STORAGE}])).isGreaterThan(quantity('0')))"
    )
}

/// The scratch space of pods.
pub(super) fn empty_dir(params: &EmptyDirs<'_>) -> Written {
    let all = |condition: String| format!("variables.dirs.all(v, {condition})");
    let on_disk = "(!has(v.emptyDir.medium) || v.emptyDir.medium == '')";
    let in_memory = "(has(v.emptyDir.medium) && v.emptyDir.medium == 'Memory')";
    let given = is_given("v.emptyDir", "sizeLimit");
    let mut written = Written::about(PODS)
        .with_pods()
        .variable("dirs", "variables.volumes.filter(v, has(v.emptyDir))")
        .validation(
            all(format!(
                "{on_disk} || {in_memory} || v.emptyDir.medium == 'HugePages' || \
                 (v.emptyDir.medium.startsWith('HugePages-') && isQuantity(v.emptyDir.medium.substring(10)))"
            )),
            "an emptyDir has a medium that the kubelet does not know: write Memory, or leave it out",
        );
    if params.require_size_limit {
        let limited = format!(
            "variables.containers.all(c, !has(c.volumeMounts) || !c.volumeMounts.exists(m, m.name == v.name) || {})",
            has_storage("limits")
        );
        let other = if params.or_storage_limit { format!(" || {limited}") } else { String::new() };
        written = written.validation(
            all(format!("!{on_disk} || {given}{other}")),
            "an emptyDir has no size limit: set `sizeLimit`",
        );
    }
    if let Some(most) = params.max_size {
        written = written.validation(
            all(format!("!{on_disk} || {}", at_most("v.emptyDir", "sizeLimit", most))),
            format!("an emptyDir may hold more than {most}, the most that the policy allows"),
        );
    }
    if !params.allow_memory {
        return written.validation(
            all(format!("!{in_memory}")),
            "an emptyDir is kept in memory, which the policy does not allow",
        );
    }
    if params.needs_memory_limit {
        written = written.validation(
            all(format!("!{in_memory} || {given}")),
            "an emptyDir is kept in memory without a size limit: set `sizeLimit`",
        );
    }
    if let Some(most) = params.max_memory {
        written = written.validation(
            all(format!("!{in_memory} || {}", at_most("v.emptyDir", "sizeLimit", most))),
            format!("an emptyDir in memory may hold more than {most}, the most that the policy allows"),
        );
    }
    written.left("whether the memory limits of the containers hold a tmpfs: their sum, and the largest of init containers")
}

/// What containers write to the node's disk.
pub(super) fn ephemeral_storage(require_limit: bool, require_request: bool, max: Option<&str>) -> Written {
    let all = |condition: String| format!("variables.containers.all(c, {condition})");
    let (limit, request) = (has_storage("limits"), has_storage("requests"));
    let mut written = Written::about(PODS).with_pods();
    if require_limit {
        written = written.validation(
            all(limit.clone()),
            "a container has no limit of ephemeral-storage: set `resources.limits.ephemeral-storage`",
        );
    } else if require_request {
        written = written.validation(
            all(format!("{limit} || {request}")),
            "a container requests no ephemeral-storage: set `resources.requests.ephemeral-storage`",
        );
    }
    if let Some(most) = max {
        let fits = |list: &str| {
            format!(
                "quantity(string(c.resources.{list}[{STORAGE}])).compareTo(quantity({})) <= 0",
                literal(most)
            )
        };
        let both = [("limits", limit), ("requests", request)]
            .map(|(list, has)| format!("(!{has} || {})", fits(list)));
        written = written.validation(
            all(both.join(" && ")),
            format!(
                "a container may write more than {most} to the node's disk, the most that the policy allows"
            ),
        );
    }
    written
}
