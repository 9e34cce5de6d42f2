//! A test in a process of its own: to be killed, which must leave nothing behind, or because it counts what the whole
//! process takes.

use super::Scratch;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running test that is marked `#[ignore]`. Dropping it kills it.
#[derive(Debug)]
pub struct Victim {
    child: Child,
    /// What it wrote with [`note`].
    pub note: String,
}

impl Victim {
    /// Starts an ignored test of this binary, by its full name, and waits until it has written its note.
    ///
    /// # Panics
    /// When it ends before, or writes nothing within `limit`.
    pub fn start(test: &str, limit: Duration) -> Self {
        let folder = Scratch::new("killed").unwrap();
        let path = folder.path().join("note");
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env("NOTE", &path)
            .env_remove("VOLGATE_KEEP_CLUSTER")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut victim = Self { child, note: String::new() };
        let note = poll(limit, || {
            let ended = victim.child.try_wait().unwrap();
            assert_eq!(ended, None, "the test {test} ended before it was killed");
            std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))
        });
        victim.note = note.unwrap_or_else(|| panic!("{test} has written no note within {limit:?}"));
        victim
    }

    /// Kills it with SIGKILL: nothing of it runs any more, no Drop either.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where the victim writes its note, one line; `None` when the test is not run as a victim.
pub fn note() -> Option<PathBuf> {
    std::env::var_os("NOTE").map(PathBuf::from)
}

/// Asks again and again, until there is an answer or the time is over.
pub fn poll<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        let found = probe();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Runs an ignored test of this binary, by its full name, in a process in which nothing else runs.
///
/// # Panics
/// When it fails or there is no such test, with all that it printed.
pub fn alone(test: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    let output = super::run(command, None).unwrap();
    assert!(output.success && output.stdout.contains("1 passed"), "{test}: {output}");
    println!("{}", output.stdout);
}
