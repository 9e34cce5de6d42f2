use super::*;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A base with a trash.
struct Place {
    directory: tempfile::TempDir,
    base: Base,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("base")).unwrap();
        let base = Base::open(directory.path(), "/base").unwrap();
        base.prepare().unwrap();
        Self { directory, base }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join("base/.volgate/trash").join(name)
    }

    /// An entry with so many files.
    fn entry(&self, name: &str, files: usize) -> PathBuf {
        let at = self.at(name);
        fs::create_dir(&at).unwrap();
        (0..files).for_each(|number| fs::write(at.join(number.to_string()), "").unwrap());
        at
    }

    fn trash(&self) -> OwnedFd {
        self.base.trash().unwrap().unwrap()
    }

    /// Empties the trash with an emptier that knows of everything. Gives the steps that it took.
    fn emptied(&self, emptier: &mut Emptier) -> u32 {
        let trash = self.trash();
        emptier.take_note(&trash).unwrap();
        let mut steps = 0;
        while !emptier.entries.is_empty() {
            let taken = emptier.turn(&trash, Instant::now());
            assert!(taken > 0, "something rests: {:?}", emptier.entries);
            steps += taken;
        }
        steps
    }
}

/// Directories in each other, of the names that are given again and again.
fn nested(top: &Path, names: &[&[u8]], depth: usize) {
    let mut inner: OwnedFd = fs::File::open(top).unwrap().into();
    for name in names.iter().cycle().take(depth) {
        rustix::fs::mkdirat(&inner, *name, Mode::RWXU).unwrap();
        inner = rustix::fs::openat(&inner, *name, OFlags::RDONLY, Mode::empty()).unwrap();
    }
}

#[test]
fn a_huge_entry_does_not_hold_up_a_small_one() {
    const HUGE: usize = 20 * TURN as usize;
    let place = Place::new();
    place.entry("a-huge.0", HUGE);
    place.entry("b-small.0", 100);
    let mut emptier = Emptier::default();
    let trash = place.trash();
    emptier.take_note(&trash).unwrap();
    // Whichever comes first.
    let steps = emptier.turn(&trash, Instant::now()) + emptier.turn(&trash, Instant::now());
    assert!(!place.at("b-small.0").exists(), "it has had its turn");
    assert!(place.at("a-huge.0").exists());
    assert!(steps <= TURN + 110, "{steps}");
    // One that comes later waits for one turn of the huge one, not for its end.
    place.entry("c-late.0", 100);
    for _ in 0..2 {
        emptier.round(&place.base, Instant::now());
    }
    assert!(!place.at("c-late.0").exists());
    assert!(fs::read_dir(place.at("a-huge.0")).unwrap().count() >= HUGE - 3 * TURN as usize);
    let rest = place.emptied(&mut emptier);
    assert!(rest as usize <= HUGE + HUGE / 50, "each name is a step, and few more are taken: {rest}");
}

#[test]
fn an_agent_that_is_killed_after_every_turn_gets_as_far() {
    let place = Place::new();
    let files = 5 * TURN as usize;
    place.entry("huge.0", files);
    for directory in 0..200 {
        fs::create_dir_all(place.at(&format!("huge.0/d{directory}/e/f"))).unwrap();
    }
    let mut turns = 0;
    while place.at("huge.0").exists() {
        let mut emptier = Emptier::default();
        emptier.round(&place.base, Instant::now());
        turns += 1;
        assert!(turns <= 10, "nothing that was done is done again");
    }
}

#[test]
fn however_deep_directories_are_nested_steps_and_state_stay_small() {
    const DEPTH: usize = 10_000;
    let place = Place::new();
    nested(&place.entry("deep.0", 0), &[b"d", &[b'x'; 255]], DEPTH);
    let trash = place.trash();
    let mut emptier = Emptier::default();
    emptier.take_note(&trash).unwrap();
    let (mut steps, mut deepest) = (0, 0);
    while let Some(entry) = emptier.entries.front() {
        deepest = deepest.max(entry.levels.len());
        let taken = emptier.turn(&trash, Instant::now()) as usize;
        steps += taken;
        assert!(taken > 0 && steps <= 7 * DEPTH, "{steps} steps, and {:?} is left", emptier.entries);
    }
    assert_eq!(deepest, 2, "a directory and the one that it is in");
    assert!(!place.at("deep.0").exists());
}

#[test]
fn whatever_a_name_or_a_file_is_it_goes_and_what_it_leads_to_stays() {
    let place = Place::new();
    let outside = place.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("data"), "data").unwrap();
    let top = place.entry("odd.0", 3);
    symlink(&outside, top.join("link")).unwrap();
    symlink("../..", top.join("up")).unwrap();
    symlink("/", top.join("moved-up.1")).unwrap();
    fs::hard_link(outside.join("data"), top.join("hard")).unwrap();
    for name in [&b"\xff\xfe"[..], b"-rf", b"new\nline", b"...", b" ", &[0xff; 255]] {
        let inner = top.join(OsStr::from_bytes(name));
        fs::create_dir_all(inner.join(OsStr::from_bytes(&[0xfe; 255])).join("x")).unwrap();
        symlink(&outside, inner.join("link")).unwrap();
        std::os::unix::net::UnixListener::bind(place.directory.path().join("socket")).map(drop).unwrap();
        fs::rename(place.directory.path().join("socket"), inner.join("socket")).unwrap();
        rustix::fs::mknodat(
            fs::File::open(&inner).unwrap(),
            "fifo",
            FileType::Fifo,
            Mode::RWXU,
            rustix::fs::makedev(0, 0),
        )
        .unwrap();
    }
    // A file in the place of a directory.
    fs::write(place.at("file.0"), "").unwrap();
    symlink(&outside, place.at("link.0")).unwrap();
    place.emptied(&mut Emptier::default());
    assert_eq!(fs::read_dir(place.at("")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(outside.join("data")).unwrap(), "data");
}

#[test]
fn what_is_changed_while_it_is_walked_leads_nowhere_and_ends() {
    let place = Place::new();
    let outside = place.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("data"), "data").unwrap();
    let top = place.entry("changing.0", 0);
    for number in 0..4 {
        let inner = top.join(format!("d{number}"));
        fs::create_dir_all(inner.join("e/f")).unwrap();
        (0..2 * TURN).for_each(|file| fs::write(inner.join(format!("e/{file}")), "").unwrap());
    }
    let trash = place.trash();
    let mut emptier = Emptier::default();
    emptier.take_note(&trash).unwrap();
    let mut turns = 0;
    while !emptier.entries.is_empty() {
        emptier.turn(&trash, Instant::now());
        turns += 1;
        assert!(turns < 200, "{:?}", emptier.entries);
        // Whoever has a handle of it still: the directory that is being emptied becomes a link, others get other names.
        let Some(level) = emptier.entries.front().and_then(|entry| entry.levels.get(1)) else { continue };
        let there = top.join(OsStr::from_bytes(level.name.to_bytes()));
        if turns % 2 == 0 && fs::rename(&there, top.join(format!("renamed-{turns}"))).is_ok() {
            symlink(&outside, &there).unwrap();
        }
        // It rests when a whole pass has changed nothing.
        emptier.entries.iter_mut().for_each(|entry| entry.rests_until = None);
    }
    assert_eq!(fs::read_dir(place.at("")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(outside.join("data")).unwrap(), "data");
}

#[test]
fn one_that_cannot_go_is_let_rest_and_counted() {
    let place = Place::new();
    let mut emptier = Emptier::default();
    place.entry("good.0", 1);
    let now = Instant::now();
    let mut stuck = Entry::new(c"stuck.0");
    place.entry("stuck.0", 1);
    stuck.rests_until = Some(now + PAUSE);
    emptier.entries.push_back(stuck);
    assert!(emptier.round(&place.base, now) > 0);
    assert_eq!(emptier.count(), TrashCount { entries: 1, stuck: 1 });
    assert_eq!(emptier.round(&place.base, now), 0, "there is nothing to do for now");
    assert!(place.at("stuck.0/0").exists() && !place.at("good.0").exists());
    emptier.round(&place.base, now + PAUSE);
    assert_eq!(emptier.count(), TrashCount::default());
    assert!(!place.at("stuck.0").exists());
}
