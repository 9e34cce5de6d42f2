use super::*;
use crate::model::ClaimReference;

fn spec() -> NodeVolumeSpec {
    NodeVolumeSpec {
        node: "n".into(),
        node_uid: "node-1".into(),
        claim: ClaimReference { namespace: "ns".into(), name: "c".into(), uid: "claim-1".into() },
        class: "local-path".into(),
        backend: Backend::Directory,
        base: "/base".into(),
        directory: "a/d".into(),
        size_bytes: 10,
        volume_mode: NodeVolumeMode::Filesystem,
        desired: Desired::Present,
        adopt: false,
    }
}

/// All that a plan is made from, to be changed for each case.
struct Case {
    asked: Asked,
    seen: Seen,
    room: Result<Room, Fault>,
    others: Vec<(Record, bool)>,
}

impl Case {
    fn new() -> Self {
        let status = NodeVolumeStatus::default();
        Self {
            asked: Asked { volume: "pvc-1".into(), uid: "u".into(), generation: 1, spec: spec(), status },
            seen: Seen { record: None, found: Found::Nothing, bound: None, attached: false },
            room: Ok(Room {
                filesystem: "xfs".into(),
                capacity: 100,
                available: 50,
                unwritable: None,
                unsupported: vec![(Backend::Btrfs, Fault::lasting("BackendUnsupported", "it is xfs"))],
            }),
            others: Vec::new(),
        }
    }

    fn of(backend: Backend) -> Self {
        let mut case = Self::new();
        case.asked.spec.backend = backend;
        case
    }

    /// As it is once the volume was made and told.
    fn made(backend: Backend) -> Self {
        let mut case = Self::of(backend);
        case.seen.record = Some(Record::new("pvc-1", &case.asked.spec, true));
        case.seen.found = Found::Fitting;
        case.seen.bound = backend.bounds_size().then_some(10);
        case.seen.attached = backend == Backend::Loop;
        case.asked.status = ready(&case.asked, Some(10), None);
        case
    }

    fn absent(mut self) -> Self {
        self.asked.spec.desired = Desired::Absent;
        self.asked.generation = 2;
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn other(mut self, directory: &str, live: bool) -> Self {
        let mut record = Record::new("pvc-2", &self.asked.spec, true);
        record.directory = directory.into();
        self.others.push((record, live));
        self
    }

    fn plan(&self) -> String {
        let others = self.others.iter().map(|(record, live)| Other { record, live: *live }).collect();
        words(&plan(&self.asked, &self.seen, &Around { node_uid: "node-1", base: self.room.clone(), others }))
    }

    fn after(&self, fault: &Fault) -> String {
        words(&after_fault(&self.asked, &self.seen, fault))
    }
}

fn words(steps: &[Step]) -> String {
    let word = |step: &Step| match step {
        Step::WriteRecord(record) => {
            format!("write({}{})", record.size_bytes, if record.made { " made" } else { "" })
        }
        Step::ForgetRecord(volume) => format!("forget({volume})"),
        Step::Bound(size) => format!("bound({size})"),
        Step::Report(status) => {
            let size = status.size_bytes.map_or_else(String::new, |size| format!(" {size}"));
            let reason = status.reason.as_deref().map_or_else(String::new, |reason| format!(" {reason}"));
            format!("{:?}{size}{reason}", status.phase)
        }
        other => other.name().to_owned(),
    };
    steps.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[track_caller]
fn check(case: &Case, wanted: &str) {
    assert_eq!(case.plan(), wanted);
}

#[test]
fn makes_what_is_not_there() {
    check(&Case::new(), "write(10), make, write(10 made), Ready 10");
    check(&Case::of(Backend::ProjectQuota), "write(10), make, bound(10), write(10 made), Ready 10");
    check(&Case::of(Backend::Loop), "write(10), make, bound(10), attach, write(10 made), Ready 10");
}

#[test]
fn goes_on_where_it_was_interrupted() {
    let begun = |backend| {
        Case::of(backend).with(|case| case.seen.record = Some(Record::new("pvc-1", &case.asked.spec, false)))
    };
    check(&begun(Backend::Directory), "make, write(10 made), Ready 10");
    // The directory is there, but perhaps not its permissions.
    let half = begun(Backend::Directory).with(|case| case.seen.found = Found::Fitting);
    check(&half, "make, write(10 made), Ready 10");
    let half = begun(Backend::Loop).with(|case| {
        case.seen.found = Found::Fitting;
        case.seen.bound = Some(10);
    });
    check(&half, "make, attach, write(10 made), Ready 10");
    let untold = Case::made(Backend::Directory).with(|case| case.asked.status = NodeVolumeStatus::default());
    check(&untold, "Ready 10");
    check(&Case::made(Backend::Directory), "");
    // After a reboot the device is gone.
    check(&Case::made(Backend::Loop).with(|case| case.seen.attached = false), "attach");
}

#[test]
fn a_made_volume_is_never_made_again() {
    let gone = |case: &mut Case| case.seen.found = Found::Nothing;
    check(&Case::made(Backend::Directory).with(gone), "Lost 10 DirectoryMissing");
    // Even if nobody remembers having told of it.
    let forgotten = Case::made(Backend::Directory).with(gone).with(|case| case.asked.status.path = None);
    check(&forgotten, "Refused DirectoryMissing");
    // Nor if the record is gone as well.
    let emptied = Case::made(Backend::Directory).with(gone).with(|case| case.seen.record = None);
    check(&emptied, "Lost 10 DirectoryMissing");
    let lost = emptied.with(|case| {
        case.asked.status.phase = Phase::Lost;
        case.seen.found = Found::Fitting;
    });
    check(&lost, "write(10 made), Ready 10");
    let replaced = Case::made(Backend::Directory)
        .with(|case| case.seen.found = Found::Unfitting("a symbolic link".into()));
    check(&replaced, "Lost 10 NotADirectory");
    let taken_over = Case::new().with(|case| case.asked.spec.adopt = true);
    check(&taken_over, "Lost DirectoryMissing");
}

#[test]
fn goes_on_with_a_directory_that_is_there() {
    let there = |case: &mut Case| case.seen.found = Found::Fitting;
    check(&Case::new().with(there), "write(10 made), Ready 10");
    check(&Case::new().with(there).other("a/d", false), "write(10 made), forget(pvc-2), Ready 10");
    for (directory, live) in [("a/d", true), ("a", true), ("a/d/e", true), ("a", false), ("a/d/e", false)] {
        check(&Case::new().with(there).other(directory, live), "Refused DirectoryInUse");
        check(&Case::new().other(directory, live), "Refused DirectoryInUse");
    }
    check(&Case::new().with(there).other("a/d2", true), "write(10 made), Ready 10");
    // What was forgotten does not hide what is in use.
    check(&Case::new().with(there).other("a/d", false).other("a/d/e", true), "Refused DirectoryInUse");
    // Killed between the two records.
    check(&Case::made(Backend::Directory).other("a/d", false), "forget(pvc-2)");
    // A loop volume has no directory that could be in the way.
    check(
        &Case::of(Backend::Loop).other("a/d", true),
        "write(10), make, bound(10), attach, write(10 made), Ready 10",
    );
}

#[test]
fn refuses_what_cannot_be() {
    type Change = fn(&mut Case);
    let cases: [(Change, &str); 9] = [
        (|case| case.asked.spec.directory = "../x".into(), "BadPath"),
        (|case| case.asked.volume = "a".repeat(201), "BadName"),
        (|case| case.asked.spec.size_bytes = 51, "NotEnoughSpace"),
        (|case| case.asked.spec.backend = Backend::Btrfs, "BackendUnsupported"),
        (|case| case.asked.spec.volume_mode = NodeVolumeMode::Block, "BackendUnsupported"),
        (|case| case.asked.spec.node_uid = "node-0".into(), "NodeReplaced"),
        (|case| case.seen.found = Found::Unfitting("a file".into()), "NotADirectory"),
        (|case| case.room = Err(Fault::lasting("UnknownBase", "")), "UnknownBase"),
        (
            |case| {
                let fault = Some(Fault::lasting("ReadOnly", ""));
                case.room = case.room.clone().map(|room| Room { unwritable: fault, ..room });
            },
            "ReadOnly",
        ),
    ];
    for (change, reason) in cases {
        let case = Case::new().with(change);
        check(&case, &format!("Refused {reason}"));
        // And when it is told, that is the end.
        let told = case.with(|case| case.asked.status.phase = Phase::Refused);
        check(&told, "");
    }
    check(&Case::new().with(|case| case.room = Err(Fault::passing("IoError", ""))), "Pending IoError");
}

#[test]
fn a_node_with_too_many_devices_takes_no_other_and_keeps_those_it_has() {
    let full = |case: &mut Case| {
        let fault = Fault::lasting("TooManyDevices", "this node has 2 loop volumes");
        case.room = case.room.clone().map(|room| Room { unsupported: vec![(Backend::Loop, fault)], ..room });
    };
    check(&Case::of(Backend::Loop).with(full), "Refused TooManyDevices");
    check(&Case::new().with(full), "write(10), make, write(10 made), Ready 10");
    // One that is there is attached after a reboot, grows, and goes.
    check(&Case::made(Backend::Loop).with(full).with(|case| case.seen.attached = false), "attach");
    let larger = |case: &mut Case| case.asked.spec.size_bytes = 20;
    check(&Case::made(Backend::Loop).with(full).with(larger), "write(20 made), bound(20), Ready 20");
    check(&Case::made(Backend::Loop).absent().with(full), "detach, move-to-trash, forget(pvc-1), Removed");
    // And one that was begun before others took the rest.
    let begun = Case::of(Backend::Loop)
        .with(full)
        .with(|case| case.seen.record = Some(Record::new("pvc-1", &case.asked.spec, false)));
    check(&begun, "make, bound(10), attach, write(10 made), Ready 10");
}

#[test]
fn a_fault_of_the_base_changes_nothing_of_what_was_there() {
    let failing = |case: &mut Case| case.room = Err(Fault::passing("IoError", ""));
    check(&Case::made(Backend::Directory).with(failing), "Ready 10 IoError");
    check(&Case::made(Backend::Directory).absent().with(failing), "Pending 10 IoError");
    let read_only = |case: &mut Case| {
        let fault = Some(Fault::lasting("ReadOnly", ""));
        case.room = case.room.clone().map(|room| Room { unwritable: fault, ..room });
    };
    check(&Case::made(Backend::Directory).with(read_only), "");
}

#[test]
fn the_message_of_a_full_disk_has_the_figures() {
    let room = Room {
        filesystem: "xfs".into(),
        capacity: 40 << 30,
        available: (32 << 30) / 10,
        unwritable: None,
        unsupported: Vec::new(),
    };
    let fault = too_large(&spec(), 20 << 30, &room).unwrap();
    assert_eq!(fault.message, "asked 20Gi, 3.1Gi left of 40Gi on /base (xfs)");
}

#[test]
fn grows_and_never_shrinks() {
    let asked = |size: i64, backend| {
        Case::made(backend).with(|case| {
            case.asked.spec.size_bytes = size;
            case.asked.generation = 2;
        })
    };
    check(&asked(20, Backend::Directory), "write(20 made), Ready 20");
    check(&asked(20, Backend::Loop), "write(20 made), bound(20), Ready 20");
    // What it holds already is not asked for again.
    check(&asked(60, Backend::Directory), "write(60 made), Ready 60");
    check(&asked(61, Backend::Directory), "Ready 10 NotEnoughSpace");
    check(&asked(5, Backend::Directory), "Ready 10 ShrinkUnsupported");
    // Killed after the record.
    let half = asked(20, Backend::Loop).with(|case| case.seen.record.as_mut().unwrap().size_bytes = 20);
    check(&half, "bound(20), Ready 20");
}

#[test]
fn removes_what_it_has_a_record_of() {
    check(&Case::made(Backend::Directory).absent(), "move-to-trash, forget(pvc-1), Removed");
    check(&Case::made(Backend::Loop).absent(), "detach, move-to-trash, forget(pvc-1), Removed");
    // Killed on the way.
    let moved = Case::made(Backend::Directory).absent().with(|case| case.seen.found = Found::Nothing);
    check(&moved, "forget(pvc-1), Removed");
    let begun =
        Case::new().absent().with(|case| case.seen.record = Some(Record::new("pvc-1", &spec(), false)));
    check(&begun, "forget(pvc-1), Removed");
    check(
        &Case::made(Backend::Directory)
            .absent()
            .with(|case| case.seen.found = Found::Unfitting("a link".into())),
        "move-to-trash, forget(pvc-1), Removed",
    );
}

#[test]
fn removes_nothing_else() {
    // Never there: what is in its place is somebody else's.
    check(&Case::new().absent().with(|case| case.seen.found = Found::Fitting), "Removed");
    let recordless = Case::made(Backend::Directory).absent().with(|case| case.seen.record = None);
    check(&recordless, "Pending 10 NoRecord");
    let adopted = Case::new().absent().with(|case| {
        case.asked.spec.adopt = true;
        case.seen.found = Found::Fitting;
    });
    check(&adopted, "move-to-trash, Removed");
    let unfitting = |case: &mut Case| case.seen.found = Found::Unfitting("a symbolic link".into());
    check(&adopted.with(unfitting), "Pending NotADirectory");
    for live in [true, false] {
        for directory in ["a", "a/d/e"] {
            let case = Case::made(Backend::Directory).absent().other(directory, live);
            check(&case, "Pending 10 DirectoryInUse");
        }
    }
    let other = |change: fn(&mut Record)| {
        Case::made(Backend::Directory).absent().with(|case| change(case.seen.record.as_mut().unwrap()))
    };
    check(&other(|record| record.claim.uid = "claim-0".into()), "Pending 10 RecordMismatch");
    check(&other(|record| record.directory = "b".into()), "Pending 10 RecordMismatch");
    check(&other(|record| record.backend = Backend::Btrfs), "Pending 10 RecordMismatch");
}

#[test]
fn gives_up_what_was_never_there_and_keeps_what_was() {
    let lasting = Fault::lasting("NotEnoughSpace", "");
    let passing = Fault::passing("IoError", "");
    let begun = Case::new().with(|case| {
        case.seen.record = Some(Record::new("pvc-1", &spec(), false));
        case.seen.found = Found::Fitting;
    });
    assert_eq!(begun.after(&lasting), "move-to-trash, forget(pvc-1), Refused NotEnoughSpace");
    assert_eq!(begun.after(&passing), "Pending IoError");
    // A directory that was there before is left as it was.
    let adopted = Case::new().with(|case| {
        case.seen.record = Some(Record::new("pvc-1", &spec(), true));
        case.seen.found = Found::Fitting;
    });
    assert_eq!(adopted.after(&lasting), "forget(pvc-1), Refused NotEnoughSpace");
    assert_eq!(Case::new().after(&lasting), "Refused NotEnoughSpace");
    // It could not be grown: it holds what it held.
    let grown = Case::made(Backend::Loop).with(|case| case.seen.record.as_mut().unwrap().size_bytes = 20);
    assert_eq!(grown.after(&lasting), "Ready 10 NotEnoughSpace");
    assert_eq!(Case::made(Backend::Loop).absent().after(&Fault::passing("Busy", "")), "Pending 10 Busy");
}

#[test]
fn figures_alone_are_no_news() {
    let case = Case::made(Backend::Directory).with(|case| case.asked.spec.size_bytes = 61);
    let Step::Report(told) = plan(
        &case.asked,
        &case.seen,
        &Around { node_uid: "node-1", base: case.room.clone(), others: Vec::new() },
    )
    .remove(0) else {
        panic!("no report")
    };
    let told = case.with(|case| {
        case.asked.status = told;
        case.room = case.room.clone().map(|room| Room { available: 49, ..room });
    });
    check(&told, "");
}

#[test]
fn bytes_are_told_as_people_say_them() {
    for (number, text) in [
        (0, "0"),
        (1023, "1023"),
        (1024, "1Ki"),
        (3 << 29, "1.5Gi"),
        (1 << 30, "1Gi"),
        (i64::MAX, "8388607.9Ti"),
    ] {
        assert_eq!(bytes(number), text);
    }
}
