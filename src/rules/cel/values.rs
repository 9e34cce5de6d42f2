//! What expressions see, each made when it is first read and then for all rules of the review: the object lies there
//! already and is only looked at; the facts, the request and the namespace are JSON of our own.

use crate::catalog::Statefulness;
use crate::cel::{Global, Globals, Val, limits};
use crate::facts::{ClaimSpec, ClassName, Container, Section, Subject, VolumeSource, Workload};
use crate::json::Node;
use crate::model::{FieldPath, FsPath, Reach, Segment};
use crate::rule::{Context, REQUEST_FIELDS};
use crate::storage::{Cover, Data, DataPath, Place, Storage, Why};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

/// Those of a review.
#[derive(Clone, Copy)]
pub(super) struct OfReview<'r, 'c>(pub(super) &'r Context<'c>);

impl<'r> Globals<'r> for OfReview<'r, '_> {
    fn global(&self, global: Global) -> Result<Val<'r>, String> {
        let context = self.0;
        let shared = &context.cel;
        let value = match global {
            Global::Object => return Ok(Val::json(context.review.object)),
            Global::OldObject => return Ok(context.review.old.map_or(Val::Null, Val::json)),
            Global::PodSpec => match context.facts.workload() {
                None => return Ok(Val::Null),
                Some(workload) if !workload.is_step => return Ok(Val::json(workload.pod.spec)),
                Some(workload) => shared.pod_spec.get_or_init(|| spec_of_parts(workload)),
            },
            Global::PodMeta => {
                return Ok(context
                    .facts
                    .workload()
                    .map_or(Val::Null, |workload| Val::json(pod_meta(context, workload))));
            }
            Global::NamespaceObject => shared.namespace.get_or_init(|| namespace(context)),
            Global::Request => shared.request.get_or_init(|| request(context)),
            Global::Facts => shared.facts.get_or_init(|| facts(context)).as_ref().map_err(String::clone)?,
        };
        Ok(Val::json(Node::Tree(value)))
    }
}

/// The spec of a pod whose parts stand apart, as a pod template would have it.
fn spec_of_parts(workload: &Workload<'_>) -> Value {
    let pod = &workload.pod;
    let mut spec = Map::new();
    for field in ["nodeSelector", "affinity", "tolerations", "securityContext", "serviceAccountName"] {
        if let Some(value) = pod.spec.get(field) {
            spec.insert(field.to_owned(), value.to_value());
        }
    }
    for section in [Section::Init, Section::Main] {
        let of = pod.containers.iter().filter(|container| container.section.field() == section.field());
        let of: Vec<Value> = of.map(|container| container.node.to_value()).collect();
        if section == Section::Main || !of.is_empty() {
            spec.insert(section.field().to_owned(), Value::Array(of));
        }
    }
    if !pod.volumes.is_empty() {
        spec.insert("volumes".to_owned(), pod.volumes.iter().map(|volume| volume.node.to_value()).collect());
    }
    Value::Object(spec)
}

/// What stands for metadata that a pod template leaves out.
static EMPTY: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));

/// The metadata beside the pod's spec.
fn pod_meta<'r>(context: &'r Context<'_>, workload: &Workload<'_>) -> Node<'r> {
    let pod = workload.pod.path();
    let above = if workload.is_step { pod } else { pod.parent().unwrap_or_default() };
    let mut at = Some(context.review.object);
    for segment in above.segments() {
        at = match segment {
            Segment::Key(key) => at.and_then(|node| node.get(key)),
            Segment::Index(index) => at.and_then(|node| node.items().nth(*index)),
        };
    }
    at.and_then(|node| node.get("metadata")).filter(|meta| meta.is_map()).unwrap_or(Node::Tree(&EMPTY))
}

fn namespace(context: &Context<'_>) -> Value {
    match context.subjects.namespace() {
        Some(namespace) => json!({"metadata": {
            "name": namespace.name, "labels": namespace.labels, "annotations": namespace.annotations
        }}),
        None => Value::Null,
    }
}

fn request(context: &Context<'_>) -> Value {
    let review = context.review;
    let mut request = Map::new();
    for field in REQUEST_FIELDS {
        if let Some(value) = review.request.and_then(|request| request.get(field)) {
            request.insert(field.to_owned(), value.clone());
        }
    }
    let mut fill = |field: &str, value: Value| {
        request.entry(field).or_insert(value);
    };
    let id = &context.facts.id;
    let (group, version) = id.api_version.split_once('/').unwrap_or(("", &id.api_version));
    fill("operation", review.operation.as_str().into());
    fill("kind", json!({"group": group, "version": version, "kind": id.kind}));
    if let Some(namespace) = &id.namespace {
        fill("namespace", namespace.as_str().into());
    }
    if let Some(requester) = review.requester {
        fill("userInfo", json!({"username": requester.name, "groups": requester.groups}));
    }
    // A name that the API server has yet to make up is no name.
    if let Some(name) = review.object.get("metadata").and_then(|metadata| metadata.get("name")) {
        fill("name", name.to_value());
    }
    if let Some(subresource) = review.subresource {
        fill("subResource", subresource.into());
    }
    Value::Object(request)
}

/// What volgate knows of the object's storage.
///
/// # Errors
/// That there is more of it than an expression is given, as a fragment.
fn facts(context: &Context<'_>) -> Result<Value, String> {
    let mut facts = Map::new();
    let mut claims = Vec::new();
    facts.insert("kind".to_owned(), context.facts.id.kind.as_str().into());
    if let Subject::Claim(claim) = &context.facts.subject {
        claims.push(claim_row(&FieldPath::root().key("spec"), Some(&claim.name), &claim.spec));
    }
    let mut containers = Vec::new();
    let mut paths = Vec::new();
    let mut stateful = false;
    if let Some((workload, storage)) = context.storage() {
        let containers_and_paths =
            workload.pod.containers.iter().map(|it| 2 + it.mounts.len() + it.devices.len());
        let claims_at_most = workload.claim_templates.len() + workload.pod.volumes.len();
        if containers_and_paths.sum::<usize>() + claims_at_most > limits::ROWS {
            return Err(format!(
                "not evaluated: the object has more than {} containers, mounts and volumes",
                limits::ROWS
            ));
        }
        for template in &workload.claim_templates {
            claims.push(claim_row(&template.path().key("spec"), Some(template.name), &template.spec));
        }
        let pod = workload.pod.path();
        for volume in &workload.pod.volumes {
            if let VolumeSource::Ephemeral(spec) = &volume.source {
                let field = volume.source_path(&pod).key("volumeClaimTemplate").key("spec");
                claims.push(claim_row(&field, None, spec));
            }
        }
        stateful = workload.stateful_set;
        let mut data: HashMap<*const Container<'_>, Vec<&DataPath<'_, '_>>> = HashMap::new();
        let known = context.data();
        for row in known.into_iter().flat_map(Data::rows).filter(|row| !row.cover.read_only) {
            data.entry(row.container).or_default().push(row);
        }
        let unplaced: HashSet<*const Container<'_>> = known
            .into_iter()
            .flat_map(|data| &data.unplaced)
            .map(|data| std::ptr::from_ref(data.container))
            .collect();
        for (container, product) in workload.pod.containers.iter().zip(context.products()) {
            let data = data.remove(&std::ptr::from_ref(container)).unwrap_or_default();
            let keeps = unplaced.contains(&std::ptr::from_ref(container))
                || data.iter().any(|data| matches!(data.why, Why::Product { .. }));
            stateful |= keeps;
            containers.push(container_row(&product.state, container, keeps));
            path_rows(&storage, container, &data, &mut paths);
        }
    }
    facts.insert("stateful".to_owned(), stateful.into());
    facts.insert("containers".to_owned(), containers.into());
    facts.insert("paths".to_owned(), paths.into());
    facts.insert("claims".to_owned(), claims.into());
    Ok(Value::Object(facts))
}

/// A container, and whether it keeps data.
fn container_row(seen: &Statefulness<'_>, container: &Container<'_>, keeps: bool) -> Value {
    let mut row = json!({
        "name": container.name, "image": container.image, "section": container.section.field(), "stateful": keeps
    });
    let product = match seen {
        Statefulness::NotListed => None,
        Statefulness::Unplaced { product, .. }
        | Statefulness::Cache { product, .. }
        | Statefulness::Client { product, .. }
        | Statefulness::Stateful { product, .. } => Some(*product),
    };
    if let (Some(fields), Some(product)) = (row.as_object_mut(), product) {
        fields.insert("product".to_owned(), product.into());
    }
    row
}

/// How certain it is that data lies somewhere; the greater of two counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Held {
    Nothing,
    Perhaps,
    Data,
}

impl Held {
    fn by(data: &DataPath<'_, '_>) -> Self {
        if data.certain { Self::Data } else { Self::Perhaps }
    }
}

/// The rows of `facts.paths` for one container, of whose paths `data` hold data.
fn path_rows(
    storage: &Storage<'_, '_>,
    container: &Container<'_>,
    data: &[&DataPath<'_, '_>],
    rows: &mut Vec<Value>,
) {
    // By the mount under which they really lie; none is the writable layer.
    let mut held: BTreeMap<Option<usize>, Held> = BTreeMap::new();
    for data in data {
        let under = held.entry(data.cover.mount.map(|mount| mount.index)).or_insert(Held::Nothing);
        *under = (*under).max(Held::by(data));
    }
    let of = |index: Option<usize>| held.get(&index).copied().unwrap_or(Held::Nothing);
    if container.read_only_root || container.mounts.iter().any(|mount| mount.path.as_str() == "/") {
        // There is no row for the layer: what lies in a volume that the runtime makes has one of its own.
        for data in data.iter().filter(|data| data.cover.mount.is_none()) {
            rows.push(row(container, data.path.as_str(), &data.cover, Held::by(data)));
        }
    } else {
        let cover = storage.cover(container, &FsPath::new("/"));
        rows.push(row(container, "/", &cover, of(None)));
    }
    for mount in &container.mounts {
        let cover = storage.mount_cover(mount);
        rows.push(row(container, mount.path.as_str(), &cover, of(Some(mount.index))));
    }
    for device in &container.devices {
        rows.push(row(container, device.path, &storage.device_cover(device), Held::Data));
    }
}

fn volume_name<'v>(place: Place<'v, '_>) -> &'v str {
    match place {
        Place::Volume(volume) => volume.name,
        Place::Template(template) => template.name,
        Place::WritableLayer | Place::Missing => "",
    }
}

fn row(container: &Container<'_>, path: &str, cover: &Cover<'_, '_>, held: Held) -> Value {
    let fate = cover.fate;
    let reach = match fate.reach {
        Reach::AnyNode => "any-node",
        Reach::SomeNodes => "some-nodes",
        Reach::Unknown => "unknown",
    };
    json!({
        "container": container.name,
        "path": path,
        "volume": volume_name(cover.place),
        "durability": if fate.is_certain() { fate.least.as_str() } else { "unknown" },
        "least": fate.least.as_str(),
        "most": fate.most.as_str(),
        "reach": reach,
        "readOnly": cover.read_only,
        "data": held == Held::Data,
        "guess": held == Held::Perhaps
    })
}

fn claim_row(field: &FieldPath, name: Option<&str>, spec: &ClaimSpec) -> Value {
    let modes: Vec<&str> = spec
        .access_modes
        .iter()
        .map(|mode| match mode {
            Ok(mode) => mode.as_str(),
            Err(text) => text,
        })
        .collect();
    let mut row = Map::new();
    let mut put = |key: &str, value: Value| {
        row.insert(key.to_owned(), value);
    };
    put("field", field.to_string().into());
    put("modes", modes.into());
    put("mode", spec.volume_mode.as_str().into());
    if let Some(name) = name {
        put("name", name.into());
    }
    match &spec.class {
        ClassName::Absent => {}
        ClassName::Empty => put("class", "".into()),
        ClassName::Named(class) => put("class", class.as_str().into()),
    }
    if let Some(request) = &spec.request {
        put("size", request.to_string().into());
        put("bytes", i64::try_from(request.value()).unwrap_or(i64::MAX).into());
    }
    Value::Object(row)
}
