//! How the findings of durable-data name paths, and what lies beneath them.

use super::asked::Asked;
use crate::catalog::{Named, Origin, TellTale, is_database_file};
use crate::facts::{Mount, VolumeSource, WorkloadKind};
use crate::model::{Brief, Durability, FieldPath, FsPath, beginning, shortened};
use crate::storage::{Cover, DataPath, Place, Storage, Why, lasting_mounts};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// How much of a path a message shows, and how many of a list.
const SHOWN: usize = 120;
pub(super) const LISTED: usize = 8;

/// A path as a message shows it.
pub(super) fn brief<'p>(path: &'p FsPath<'_>) -> Cow<'p, str> {
    shortened(path.as_str(), SHOWN)
}

/// Items as a message lists them: the first ones, and how many more there are.
pub(super) fn listed<'p, T>(
    mut items: impl Iterator<Item = T>,
    between: &str,
    show: impl Fn(T) -> Cow<'p, str>,
) -> String {
    let mut text = items.by_ref().take(LISTED).map(show).collect::<Vec<_>>().join(between);
    match items.count() {
        0 => {}
        more => text.push_str(&format!(" and {more} more")),
    }
    text
}

/// Paths as a sentence has them.
fn several(paths: &[Cow<'_, str>]) -> String {
    listed(paths.iter(), if paths.len() > 2 { ", " } else { " and " }, |path| Cow::Borrowed(&**path))
}

/// The mounts beneath a path in the writable layer: what someone took for enough.
pub(super) fn partial_mounts<'w, 'a>(
    data: &'w DataPath<'w, 'a>,
    storage: Storage<'w, 'a>,
) -> impl Iterator<Item = (&'w Mount<'a>, Cover<'w, 'a>)> {
    // Of data that lie somewhere, no mount covers a part.
    let placed = !matches!(data.why, Why::Called | Why::File { .. }) && data.path.as_str() != "/";
    let in_layer = placed && data.cover.mount.is_none() && data.hidden_by.is_none();
    let mounts = data.container.mounts.get(..if in_layer { data.container.mounts.len() } else { 0 });
    let beneath = mounts.unwrap_or_default().iter().filter(|mount| data.path.covers(&mount.path));
    beneath
        .filter(move |mount| mount.path != data.path)
        .map(move |mount| (mount, storage.mount_cover(mount)))
        .filter(|(_, cover)| !cover.read_only)
}

/// Where the data lies, to stand behind its path and a comma.
pub(super) fn describe(data: &DataPath<'_, '_>) -> String {
    match data.hidden_by {
        Some(volume) => format!(
            "which the image declares as its own VOLUME {volume} with no mount at exactly that path, so that the \
             runtime puts a fresh volume there"
        ),
        None => format!("which {}", lies(&data.cover)),
    }
}

pub(super) fn lies(cover: &Cover<'_, '_>) -> String {
    match cover.place {
        Place::WritableLayer => "is in the container's writable layer".to_owned(),
        Place::Missing => "lies on a pod volume that does not exist".to_owned(),
        Place::Template(template) => format!("lies on the claims of template {:?}", template.name),
        Place::Volume(volume) => match &volume.source {
            VolumeSource::EmptyDir { medium: "Memory", .. } => {
                format!("lies on tmpfs (emptyDir {:?} with medium Memory)", volume.name)
            }
            VolumeSource::EmptyDir { medium: "", .. } => format!("lies on the emptyDir {:?}", volume.name),
            VolumeSource::EmptyDir { medium, .. } => {
                format!("lies on the emptyDir {:?} with medium {:?}", volume.name, beginning(medium, 64))
            }
            VolumeSource::Unset => {
                format!("lies on {:?}, a pod volume with no source and so an emptyDir", volume.name)
            }
            VolumeSource::HostPath { path, .. } => {
                format!("lies on the hostPath {} of one node", Brief(path))
            }
            VolumeSource::Ephemeral(_) => format!("lies on the generic ephemeral volume {:?}", volume.name),
            VolumeSource::Csi { driver, .. } => {
                format!("lies on an inline volume of the CSI driver {driver}")
            }
            VolumeSource::Claim { name, .. } => format!("lies on the claim {name:?}"),
            source if source.is_misspelt() => format!(
                "lies on {:?}, a pod volume of the unknown type {:?}, which the API server takes for an emptyDir",
                volume.name,
                source.field().map_or("", |kind| beginning(kind, 64))
            ),
            source => {
                let kind = source.field().map_or("unknown", |kind| beginning(kind, 64));
                format!("lies on the {kind} volume {:?}", volume.name)
            }
        },
    }
}

/// The field that puts the data where it lies.
pub(super) fn field(pod: &FieldPath, data: &DataPath<'_, '_>) -> FieldPath {
    if let Why::File { origin, .. } = data.why
        && let Some(field) = field_of(&data.container.path(pod), origin)
    {
        return field;
    }
    match data.cover.place {
        Place::WritableLayer | Place::Missing => data.container.path(pod).key("image"),
        Place::Volume(volume) => volume.source_path(pod),
        Place::Template(template) => template.path(),
    }
}

/// The field of a container that something stands in.
pub(super) fn field_of(container: &FieldPath, origin: Origin) -> Option<FieldPath> {
    match origin {
        Origin::Command { index } => Some(container.key("command").index(index)),
        Origin::Args { index } => Some(container.key("args").index(index)),
        Origin::Env { index } => index.map(|index| container.key("env").index(index)),
        Origin::EnvFrom { index } => Some(container.key("envFrom").index(index)),
        Origin::Mount { index } => index.map(|index| container.key("volumeMounts").index(index)),
    }
}

/// Where a mount keeps the data: at the image's own VOLUME, which lies above them, or at their path.
fn mount_point<'p>(data: &'p DataPath<'_, '_>) -> Cow<'p, str> {
    let volume = data.hidden_by.or(data.image_volume);
    match volume.or_else(|| directory(data).filter(|directory| *directory != data.path.as_str())) {
        Some(point) => Cow::Borrowed(point),
        None => brief(&data.path),
    }
}

/// The directory that a volume can keep for the data: theirs, or that of the file that they are. None where it holds what the
/// image brings: the root, or the one of a file whose name is the image's own.
pub(super) fn directory<'p>(data: &'p DataPath<'_, '_>) -> Option<&'p str> {
    let path = data.path.as_str();
    let is_moved = matches!(data.why, Why::Product { moved_by: Some(_), .. });
    let directory = match is_database_file(path) {
        true if is_moved => path.rsplit_once('/').map(|(directory, _)| directory)?,
        false => path,
        // Some take a directory by that name.
        true => Some(path).filter(|path| !path.contains(".sqlite"))?,
    };
    Some(directory).filter(|directory| !matches!(*directory, "" | "/"))
}

/// A mount of the container that lasts and holds none of its data: most often meant for them, and misplaced.
fn misplaced_mount<'w, 'a>(
    asked: &Asked<'_, 'w, 'a>,
    storage: &Storage<'w, 'a>,
    data: &DataPath<'w, 'a>,
    require: Durability,
) -> Option<&'w Mount<'a>> {
    let near = |mount: &Mount<'_>| mount.path.covers(&data.path) || data.path.covers(&mount.path);
    lasting_mounts(storage, data.container, require)
        .filter(|mount| !asked.holds_data(data.container, mount))
        .min_by_key(|mount| !near(mount))
}

/// What to do about a product's data that do not last, in the words of the workload's kind.
pub(super) fn claim_help<'w, 'a>(
    asked: &Asked<'_, 'w, 'a>,
    storage: &Storage<'w, 'a>,
    alike: &[&DataPath<'w, 'a>],
    data: &DataPath<'w, 'a>,
    require: Durability,
) -> String {
    if alike.iter().any(|data| directory(data).is_none()) {
        let help = "have it keep them in a directory that holds nothing else, and mount a PersistentVolumeClaim there";
        return help.to_owned();
    }
    let workload = asked.workload;
    let list = match workload.kind {
        WorkloadKind::StatefulSet => "`volumeClaimTemplates`",
        WorkloadKind::Pod if workload.stateful_set => "the StatefulSet's `volumeClaimTemplates`",
        _ => "`volumes`",
    };
    let outer = outermost(alike);
    // A VOLUME of the image wants a mount of its own, wherever it lies.
    let needs_one = |data: &&&DataPath<'_, '_>| {
        data.image_volume.is_some() || outer.iter().any(|outer| outer.path == data.path)
    };
    let mut points: Vec<Cow<'_, str>> = Vec::new();
    for point in alike.iter().filter(needs_one).map(|data| mount_point(data)) {
        if !points.contains(&point) {
            points.push(point);
        }
    }
    let at = points.first().cloned().unwrap_or_else(|| mount_point(data));
    let mut help = if points.len() > 1 && data.hidden_by.is_none() {
        let points = several(&points);
        format!("mount PersistentVolumeClaims at {points}: add them to {list} and mount them there")
    } else {
        format!("mount a PersistentVolumeClaim at {at}: add it to {list} and mount it with `mountPath: {at}`")
    };
    // Where the data may as well lie on another mount, the finding says so.
    if data.doubts.place.is_none() {
        let shown = |volume| beginning(volume, 64);
        if let Some(mount) = misplaced_mount(asked, storage, data, require) {
            let (volume, from) = (shown(mount.volume), brief(&mount.path));
            help = format!(
                "{volume:?}, which lasts, is mounted at {from}: if it is meant for these data, mount it at {at} \
                 instead; otherwise, {help}"
            );
        } else if let Some(volume) = asked.unmounted(storage, require) {
            let volume = shown(volume);
            help = format!(
                "{volume:?}, which lasts, is mounted nowhere: if it is meant for these data, mount it at {at}; otherwise, {help}"
            );
        }
    }
    if let Why::Product { name, .. } = data.why
        && let Some(arguments) = asked.context.catalog.cache_arguments(name)
    {
        help.push_str(&format!("; if it is a mere cache, start it with `{arguments}`"));
    }
    help
}

/// The arguments, variables and keys that put the data there, those of one file together.
fn set_by<'d, 'w: 'd, 'a: 'w>(alike: impl Iterator<Item = &'d DataPath<'w, 'a>>) -> String {
    let setters = alike.filter_map(|data| setter(data).map(|by| (by.file, by.name)));
    let setters: BTreeSet<(Option<&str>, &str)> = setters.collect();
    let setters: Vec<(Option<&str>, &str)> = setters.into_iter().collect();
    let of_file = |of_file: &[(Option<&str>, &str)]| {
        let names = listed(of_file.iter(), ", ", |(_, name)| Cow::Borrowed(*name));
        let file = of_file.first().and_then(|(file, _)| *file);
        file.map_or_else(|| names.clone(), |file| format!("{names} in {file}"))
    };
    let texts: Vec<String> = setters.chunk_by(|a, b| a.0 == b.0).map(of_file).collect();
    texts.join(", ")
}

fn setter<'w>(data: &DataPath<'w, '_>) -> Option<Named<'w>> {
    match data.why {
        Why::Product { moved_by, .. } => moved_by,
        _ => None,
    }
}

/// The data of which each lies in no other of them: what lies in another is lost with it.
fn outermost<'d, 'w, 'a>(alike: &[&'d DataPath<'w, 'a>]) -> Vec<&'d DataPath<'w, 'a>> {
    let mut rows: Vec<&DataPath<'w, 'a>> = Vec::new();
    for data in alike {
        let within = alike.iter().any(|outer| outer.path != data.path && outer.path.covers(&data.path));
        if !within && !rows.iter().any(|row| row.path == data.path) {
            rows.push(data);
        }
    }
    rows
}

/// The paths, each once: those that something sets, with what sets them, and the others.
fn paths_of(alike: &[&DataPath<'_, '_>]) -> String {
    let (mut set, mut others) = (Vec::new(), Vec::new());
    for data in outermost(alike) {
        // The root stands for what a Secret names and no mount covers.
        let path = match data.path.as_str() {
            "/" => Cow::Borrowed("a directory that no mount covers"),
            _ => brief(&data.path),
        };
        let rows = if setter(data).is_some() { &mut set } else { &mut others };
        if !rows.contains(&path) {
            rows.push(path);
        }
    }
    let mut texts = Vec::new();
    if !set.is_empty() {
        texts.push(format!("{} (set by {})", several(&set), set_by(alike.iter().copied())));
    }
    if !others.is_empty() {
        texts.push(several(&others));
    }
    texts.join(" and ")
}

/// What the paths are, and where they lie: the beginning of a message.
pub(super) fn told<'w, 'a>(
    data: &DataPath<'w, 'a>,
    alike: &[&'w DataPath<'w, 'a>],
    storage: Storage<'w, 'a>,
) -> String {
    let path = brief(&data.path);
    let place = place(data, alike, storage);
    // What is said of the path itself is a sentence with the place.
    let lies = place.strip_prefix("which ").unwrap_or(&place);
    match data.why {
        Why::Product { name, .. } => {
            let keeps = format!("{name} keeps its data in {}, {place}", paths_of(alike));
            match data.shown_by {
                None => keeps,
                Some(TellTale::Program(program)) => format!("the container starts {program}, and {keeps}"),
                Some(TellTale::Variable { port, name: variable }) => {
                    format!("the container has port {port} and {variable}, as {name} has, and {keeps}")
                }
            }
        }
        Why::Resembles { name } => format!("{path}, a directory in which {name} keeps its data, {lies}"),
        Why::Named if alike.len() > 1 => {
            let paths: Vec<_> = alike.iter().map(|data| brief(&data.path)).collect();
            format!("{}, directories for data by their names, {lies}", several(&paths))
        }
        Why::Named => format!("{path}, a directory for data by its name, {lies}"),
        Why::Called => format!("the image is called like a database, and its data {lies}"),
        Why::File { by, .. } => {
            let by = beginning(by, SHOWN);
            match data.doubts.place {
                Some(_) => {
                    let file = path.trim_start_matches('/');
                    format!("{by} names the database {file} in the image's working directory, {place}")
                }
                None => format!("{by} names the database {path}, {place}"),
            }
        }
        Why::Policy | Why::StatefulSet => format!("the policy calls {path} data, {place}"),
    }
}

/// Where these data lie, with the mounts that someone took for enough.
fn place<'w, 'a>(
    data: &DataPath<'w, 'a>,
    alike: &[&'w DataPath<'w, 'a>],
    storage: Storage<'w, 'a>,
) -> String {
    let mut place = describe(data);
    if let Some(several) = on_empty_dirs(alike) {
        place = several;
    } else if outermost(alike).len() > 1 {
        place = place.replacen("which is", "which are", 1).replacen("which lies", "which lie", 1);
    }
    let partial_of = || alike.iter().flat_map(|data| partial_mounts(data, storage));
    let partial = listed(partial_of(), " and ", |(mount, cover)| {
        format!("{}, which {},", brief(&mount.path), lies(&cover)).into()
    });
    if !partial.is_empty() {
        let are = if partial_of().nth(1).is_some() { "are" } else { "is" };
        place.push_str(&format!(" (only {partial} {are} covered)"));
    }
    place
}

/// Where data lie that several emptyDirs hold.
fn on_empty_dirs(alike: &[&DataPath<'_, '_>]) -> Option<String> {
    let medium = alike.first()?.empty_dir()?;
    let mut names: Vec<Cow<'_, str>> = Vec::new();
    // In the order of the paths.
    let set = alike.iter().filter(|data| setter(data).is_some());
    let others = alike.iter().filter(|data| setter(data).is_none());
    for mount in set.chain(others).filter_map(|data| data.cover.mount) {
        let name = format!("{:?}", beginning(mount.volume, 64));
        if !names.contains(&Cow::Borrowed(&*name)) {
            names.push(Cow::Owned(name));
        }
    }
    if names.len() < 2 {
        return None;
    }
    let names = several(&names);
    Some(match medium {
        "" => format!("which lie on the emptyDirs {names}"),
        "Memory" => format!("which lie on tmpfs (emptyDirs {names} with medium Memory)"),
        other => format!("which lie on the emptyDirs {names} with medium {:?}", beginning(other, 64)),
    })
}
