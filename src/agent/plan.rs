//! What to do next about one volume: a pure function of what is asked, what is on the disk, and what else there is.

mod status;

use super::{Directory, Fault, Record, usable_name};
use crate::model::{Backend, Desired, NodeVolumeMode, NodeVolumeSpec, NodeVolumeStatus, Phase};
pub use status::{bytes, node_path};
use status::{gone, pending, ready, refused, shown, unknown};

/// A NodeVolume, as far as the agent goes by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The volume's name.
    pub volume: String,
    /// The object's uid.
    pub uid: String,
    /// The generation of the spec.
    pub generation: i64,
    /// What is asked for.
    pub spec: NodeVolumeSpec,
    /// What was told last.
    pub status: NodeVolumeStatus,
}

impl Asked {
    /// Whether the agent has ever told that it was there: from then on, a volume that is missing is lost.
    fn was_there(&self) -> bool {
        self.status.path.is_some()
    }
}

/// What is where a volume belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// What the backend makes.
    Fitting,
    /// Something else: what it is, as a fragment.
    Unfitting(String),
}

/// What is on the disk of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its record.
    pub record: Option<Record>,
    /// What is in its place.
    pub found: Found,
    /// How many bytes bound it now, where the backend bounds.
    pub bound: Option<i64>,
    /// The device by which it is reached, where the backend has one and it is there.
    pub attached: bool,
}

/// Another volume's record in the same base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other<'a> {
    /// The other record.
    pub record: &'a Record,
    /// Whether a NodeVolume speaks of it.
    pub live: bool,
}

/// What the base of a volume is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The file system's name.
    pub filesystem: String,
    /// What it holds, in bytes.
    pub capacity: i64,
    /// What can still be promised, in bytes.
    pub available: i64,
    /// Why nothing can be made here; what is there may be fine.
    pub unwritable: Option<Fault>,
    /// Why no other volume of a backend can be made here; none: one can.
    pub unsupported: Vec<(Backend, Fault)>,
}

/// Everything else that a volume's next step depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around<'a> {
    /// The uid of the agent's node.
    pub node_uid: &'a str,
    /// The base, or why it cannot be used.
    pub base: Result<Room, Fault>,
    /// The other records in it.
    pub others: Vec<Other<'a>>,
}

/// One step; each can be repeated, and the process can end after each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write the volume's record and see it on the disk.
    WriteRecord(Record),
    /// Take a volume's record away.
    ForgetRecord(String),
    /// Make what the record says.
    Make,
    /// Bound it to so many bytes.
    Bound(i64),
    /// Make it reachable as a device.
    Attach,
    /// Take the device away.
    Detach,
    /// Move it out of everybody's reach.
    MoveToTrash,
    /// Tell the API server.
    Report(NodeVolumeStatus),
}

impl Step {
    /// Every step by its name, in the order in which a volume meets them.
    pub const NAMES: [&str; 8] =
        ["write-record", "forget-record", "make", "bound", "attach", "detach", "move-to-trash", "report"];

    /// Points within steps at which a killed agent leaves something half done.
    pub const WITHIN: [&str; 4] =
        ["within-write-record", "within-make", "within-bound", "within-move-to-trash"];

    /// Its name, as metrics and failpoints have it.
    pub fn name(&self) -> &'static str {
        let [write, forget, make, bound, attach, detach, trash, report] = Self::NAMES;
        match self {
            Self::WriteRecord(_) => write,
            Self::ForgetRecord(_) => forget,
            Self::Make => make,
            Self::Bound(_) => bound,
            Self::Attach => attach,
            Self::Detach => detach,
            Self::MoveToTrash => trash,
            Self::Report(_) => report,
        }
    }
}

/// The steps to what is asked for. None: it is as asked and has been told.
pub fn plan(asked: &Asked, seen: &Seen, around: &Around<'_>) -> Vec<Step> {
    let mut steps = match asked.spec.desired {
        Desired::Present => present(asked, seen, around),
        Desired::Absent => absent(asked, seen, around),
    };
    steps.retain(|step| !matches!(step, Step::Report(status) if !is_news(asked, status)));
    steps
}

/// Whether a status tells anything but what was told. Figures in a message alone are not worth a write.
fn is_news(asked: &Asked, status: &NodeVolumeStatus) -> bool {
    let same_words = NodeVolumeStatus { message: asked.status.message.clone(), ..status.clone() };
    same_words != asked.status || status.message.is_none() != asked.status.message.is_none()
}

/// The steps after one has failed. What was never there is given up when trying again will not help: its record goes,
/// and the controller looks for another node.
pub fn after_fault(asked: &Asked, seen: &Seen, fault: &Fault) -> Vec<Step> {
    let mut steps = Vec::new();
    let ours = seen.record.as_ref().filter(|record| record.mismatch(&asked.spec).is_none());
    let report = if asked.spec.desired == Desired::Absent || fault.passing && !asked.was_there() {
        pending(asked, fault)
    } else if asked.was_there() {
        // It is there as it was: what failed is a change of it.
        let held = ours.map(|record| record.size_bytes);
        let size = seen.bound.or(asked.status.size_bytes).or(held);
        match asked.status.phase {
            Phase::Ready => ready(asked, size, Some(fault)),
            _ => pending(asked, fault),
        }
    } else {
        if let Some(record) = ours {
            // What was there before the record was, as a directory that was taken over, is left as it was.
            if !record.made && seen.found == Found::Fitting {
                steps.extend((record.backend == Backend::Loop).then_some(Step::Detach));
                steps.push(Step::MoveToTrash);
            }
            steps.push(Step::ForgetRecord(asked.volume.clone()));
        }
        refused(asked, fault.reason, fault.message.clone())
    };
    if is_news(asked, &report) {
        steps.push(Step::Report(report));
    }
    steps
}

fn present(asked: &Asked, seen: &Seen, around: &Around<'_>) -> Vec<Step> {
    let Asked { volume, spec, status, .. } = asked;
    if matches!(status.phase, Phase::Refused | Phase::Removed) {
        // The controller takes it from here.
        return Vec::new();
    }
    let give_up = |reason: &str, message: String| vec![Step::Report(gone(asked, reason, message))];
    if let Err(fault) = checked(asked) {
        return give_up(fault.reason, fault.message);
    }
    let room = match &around.base {
        Ok(room) => room,
        // Whether a volume that was there still is cannot be known without its base.
        Err(fault) if fault.passing => return vec![Step::Report(unknown(asked, fault))],
        Err(fault) => return give_up(fault.reason, fault.message.clone()),
    };
    if let Some(record) = &seen.record {
        if let Some(mismatch) = record.mismatch(spec) {
            return give_up(
                "RecordMismatch",
                format!("{} has a record of a volume of this name, but {mismatch}", spec.base),
            );
        }
        return match &seen.found {
            Found::Unfitting(what) => give_up("NotADirectory", format!("{} is {what}", shown(asked))),
            Found::Nothing if record.made || asked.was_there() => give_up(
                "DirectoryMissing",
                format!(
                    "{} was there and is not any more: it was removed, or another disk is at {}",
                    shown(asked),
                    spec.base
                ),
            ),
            _ => completed(asked, seen, record.clone(), around, room),
        };
    }
    match &seen.found {
        Found::Unfitting(what) => return give_up("NotADirectory", format!("{} is {what}", shown(asked))),
        Found::Nothing if asked.was_there() || spec.adopt => {
            return give_up(
                "DirectoryMissing",
                format!(
                    "{} is not there, nor a record of it: {} was emptied, or another disk is there",
                    shown(asked),
                    spec.base
                ),
            );
        }
        Found::Nothing if spec.node_uid != around.node_uid => {
            return give_up(
                "NodeReplaced",
                format!(
                    "the volume was asked for on the node of uid {}, and this one, of the same name, has uid {}",
                    spec.node_uid, around.node_uid
                ),
            );
        }
        _ => {}
    }
    if let Err(fault) = supported(spec, room).and_then(|()| free(asked, &around.others)) {
        return match fault.passing {
            true => vec![Step::Report(unknown(asked, &fault))],
            false => give_up(fault.reason, fault.message),
        };
    }
    let taken_over = seen.found == Found::Fitting;
    // What is there already takes no room that it does not have.
    if !taken_over && let Some(fault) = too_large(spec, spec.size_bytes, room) {
        return give_up(fault.reason, fault.message);
    }
    let record = Record::new(volume, spec, taken_over);
    let mut steps = vec![Step::WriteRecord(record.clone())];
    let seen = Seen { record: Some(record.clone()), ..seen.clone() };
    steps.extend(completed(asked, &seen, record, around, room));
    steps
}

/// The steps to a volume that has a record and that may be there already.
fn completed(asked: &Asked, seen: &Seen, mut record: Record, around: &Around<'_>, room: &Room) -> Vec<Step> {
    let spec = &asked.spec;
    let mut steps: Vec<Step> = forget_former(asked, &around.others).collect();
    let mut hindrance = None;
    if spec.size_bytes > record.size_bytes {
        match too_large(spec, spec.size_bytes - record.size_bytes, room) {
            Some(fault) => hindrance = Some(fault),
            None => {
                record.size_bytes = spec.size_bytes;
                steps.push(Step::WriteRecord(record.clone()));
            }
        }
    } else if spec.size_bytes < record.size_bytes {
        hindrance = Some(Fault::lasting(
            "ShrinkUnsupported",
            format!(
                "asked {}, and the volume holds {}: no volume is made smaller",
                bytes(spec.size_bytes),
                bytes(record.size_bytes)
            ),
        ));
    }
    if !record.made {
        steps.push(Step::Make);
    }
    if record.backend.bounds_size() && seen.bound != Some(record.size_bytes) {
        steps.push(Step::Bound(record.size_bytes));
    }
    if record.backend == Backend::Loop && !seen.attached {
        steps.push(Step::Attach);
    }
    if !record.made {
        record.made = true;
        steps.push(Step::WriteRecord(record.clone()));
    }
    steps.push(Step::Report(ready(asked, Some(record.size_bytes), hindrance.as_ref())));
    steps
}

fn absent(asked: &Asked, seen: &Seen, around: &Around<'_>) -> Vec<Step> {
    let Asked { volume, spec, .. } = asked;
    let stuck = |reason: &'static str, message: String| {
        vec![Step::Report(pending(asked, &Fault::lasting(reason, message)))]
    };
    let removed = Step::Report(NodeVolumeStatus {
        phase: Phase::Removed,
        observed_generation: asked.generation,
        ..NodeVolumeStatus::default()
    });
    // Of what was never there, nothing is to be removed, and what is in its place is somebody else's.
    let was_there = asked.was_there() || spec.adopt;
    if let Err(fault) = checked(asked) {
        return if was_there { stuck(fault.reason, fault.message) } else { vec![removed] };
    }
    match &around.base {
        Ok(_) => {}
        Err(fault) if was_there || fault.passing => return vec![Step::Report(pending(asked, fault))],
        Err(_) => return vec![removed],
    }
    if let Some(mismatch) = seen.record.as_ref().and_then(|record| record.mismatch(spec)) {
        return if was_there {
            stuck(
                "RecordMismatch",
                format!(
                    "nothing is removed: {} has a record of a volume of this name, but {mismatch}",
                    spec.base
                ),
            )
        } else {
            vec![removed]
        };
    }
    let mut steps = Vec::new();
    if seen.found != Found::Nothing {
        if seen.record.is_none() && !spec.adopt {
            return if asked.was_there() {
                stuck(
                    "NoRecord",
                    format!(
                        "nothing is removed: {} is there, but its record in {}/{}/volumes is gone. If it is this \
                         volume, remove it by hand",
                        shown(asked),
                        spec.base,
                        super::OWN
                    ),
                )
            } else {
                vec![removed]
            };
        }
        if let (None, Found::Unfitting(what)) = (&seen.record, &seen.found) {
            return stuck("NotADirectory", format!("nothing is removed: {} is {what}", shown(asked)));
        }
        if let Some(other) = in_the_way(asked, &around.others) {
            return stuck(
                "DirectoryInUse",
                format!(
                    "nothing is removed: {} is also (part of) the volume {}, at {}",
                    shown(asked),
                    other.volume,
                    other.directory
                ),
            );
        }
    }
    // A device may be there without the link by which it is seen.
    let device = seen.attached || spec.backend == Backend::Loop && seen.found != Found::Nothing;
    steps.extend(device.then_some(Step::Detach));
    if seen.found != Found::Nothing {
        steps.push(Step::MoveToTrash);
        steps.extend(forget_former(asked, &around.others));
    }
    steps.extend(seen.record.is_some().then(|| Step::ForgetRecord(volume.clone())));
    steps.push(removed);
    steps
}

/// Whether a volume can be of that name and place at all.
fn checked(asked: &Asked) -> Result<(), Fault> {
    if !usable_name(&asked.volume) {
        return Err(Fault::lasting("BadName", format!("the name {:?} cannot be a file's", asked.volume)));
    }
    Directory::parse(&asked.spec.directory).map(|_| ()).map_err(|fault| {
        Fault::lasting("BadPath", format!("the directory {:?} {fault}", asked.spec.directory))
    })
}

fn supported(spec: &NodeVolumeSpec, room: &Room) -> Result<(), Fault> {
    if let Some(fault) = &room.unwritable {
        return Err(fault.clone());
    }
    let refused = |reason, why: &str| {
        let why = format!("the backend {} cannot be used at {}: {why}", spec.backend.name(), spec.base);
        Err(Fault::lasting(reason, why))
    };
    if spec.volume_mode == NodeVolumeMode::Block && spec.backend != Backend::Loop {
        return refused("BackendUnsupported", "only the backend loop makes block devices");
    }
    match room.unsupported.iter().find(|(backend, _)| *backend == spec.backend) {
        Some((_, fault)) => refused(fault.reason, &fault.message),
        None => Ok(()),
    }
}

/// Whether no other volume has the same place, one around it or one in it. A directory of which only a forgotten
/// volume's record speaks may be used, as one without a record may.
fn free(asked: &Asked, others: &[Other<'_>]) -> Result<(), Fault> {
    match in_the_way(asked, others) {
        None => Ok(()),
        Some(record) => Err(Fault::lasting(
            "DirectoryInUse",
            format!(
                "{} is in use: the volume {} of claim {}/{} is at {}",
                shown(asked),
                record.volume,
                record.claim.namespace,
                record.claim.name,
                record.directory
            ),
        )),
    }
}

/// A record whose volume's bytes would be touched as well, but not a [`former`] one.
fn in_the_way<'a>(asked: &Asked, others: &[Other<'a>]) -> Option<&'a Record> {
    if asked.spec.backend == Backend::Loop {
        return None;
    }
    let directory = Directory::parse(&asked.spec.directory).ok()?;
    let mut found = others.iter().filter(|other| {
        other.record.has_directory() && directory.overlaps(&other.record.directory) && !former(asked, other)
    });
    found.next().map(|other| other.record)
}

/// Whether it is the record of a volume that nobody knows any more, whose directory this one goes on with.
fn former(asked: &Asked, other: &Other<'_>) -> bool {
    asked.spec.backend != Backend::Loop
        && other.record.has_directory()
        && !other.live
        && other.record.directory == asked.spec.directory
}

fn forget_former(asked: &Asked, others: &[Other<'_>]) -> impl Iterator<Item = Step> {
    let former = others.iter().filter(|other| former(asked, other));
    former.map(|other| Step::ForgetRecord(other.record.volume.clone()))
}

fn too_large(spec: &NodeVolumeSpec, more: i64, room: &Room) -> Option<Fault> {
    (more > room.available).then(|| {
        let message = format!(
            "asked {}, {} left of {} on {} ({})",
            bytes(more),
            bytes(room.available.max(0)),
            bytes(room.capacity),
            spec.base,
            room.filesystem
        );
        Fault::lasting("NotEnoughSpace", message)
    })
}

#[cfg(test)]
mod tests;
