//! Processes and directories that never outlive the test process, however it ends.
//!
//! A small shell guards each process. The guard reads a pipe whose other end only the test process holds: when that is
//! dropped, or the test process dies (even by SIGKILL), the guard reads the end of the pipe and kills what it guards.
//! PR_SET_PDEATHSIG would need unsafe code, and fires when the *thread* that spawned the process ends.

use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// Each line on the pipe is a signal to pass on, its end means kill. `$child` exists until `wait` has returned.
const GUARD: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
{ while read -r signal; do kill -s "$signal" "$child"; done <&3; kill -s KILL "$child"; } 2>/dev/null &
reader=$!
exec 3<&-
wait "$child"
status=$?
kill -s KILL "$reader" 2>/dev/null
exit "$status"
"#;

/// Removes a directory when the pipe ends; others may still be writing into it, hence several tries.
const JANITOR: &str = r#"
read -r _
tries=0
until rm -rf -- "$1" 2>/dev/null || [ "$tries" -ge 50 ]; do tries=$((tries + 1)); sleep 0.1; done
"#;

/// A process in the background, with its output in a log file. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    command: Mutex<Command>,
    guard: Mutex<Child>,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Process {
    /// Starts `command` (its program, arguments, environment and directory; not its input and output) with both
    /// outputs appended to `log`.
    ///
    /// # Errors
    /// The log file or the guarding shell cannot be started, as a text with the name in it. A program that cannot be
    /// run shows as an early exit with status 126 or 127 and a line in the log.
    pub fn spawn(name: &str, command: &Command, log: &Path) -> Result<Self, String> {
        let fail = |e: std::io::Error| format!("failed to start {name} with log {}: {e}", log.display());
        let output = File::options().create(true).append(true).open(log).map_err(fail)?;
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, name]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => guard.env(key, value),
                None => guard.env_remove(key),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            guard.current_dir(dir);
        }
        guard.stdin(Stdio::piped()).stdout(output.try_clone().map_err(fail)?).stderr(output).process_group(0); // Ctrl-C reaches the test alone; the pipe does the rest
        let mut child = guard.spawn().map_err(fail)?;
        let pipe = Mutex::new(child.stdin.take());
        let (command, guard) = (Mutex::new(guard), Mutex::new(child));
        Ok(Self { name: name.to_owned(), log: log.to_owned(), command, guard, pipe })
    }

    /// Starts it again as it was, when it was killed or has ended; the log goes on.
    pub fn start_again(&self) {
        self.kill();
        let mut child = self.command.lock().unwrap().spawn().unwrap();
        *self.pipe.lock().unwrap() = child.stdin.take();
        *self.guard.lock().unwrap() = child;
    }

    /// The name it was started with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it ended, or `None` while it runs. A signal shows as 128 + its number.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.guard.lock().unwrap().try_wait().ok().flatten()
    }

    /// Passes a signal on, by its name without SIG: `TERM`, `STOP`, `CONT`, `HUP`.
    pub fn signal(&self, signal: &str) {
        let mut pipe = self.pipe.lock().unwrap();
        let pipe = pipe.as_mut().unwrap_or_else(|| panic!("{} was killed already", self.name));
        writeln!(pipe, "{signal}")
            .unwrap_or_else(|e| panic!("failed to send {signal} to {}: {e}", self.name));
    }

    /// Kills it with SIGKILL and waits until it is gone. A second call does nothing.
    pub fn kill(&self) {
        drop(self.pipe.lock().unwrap().take());
        let _ = self.guard.lock().unwrap().wait();
    }

    /// Waits until it ends by itself, as after `signal("TERM")`.
    ///
    /// # Errors
    /// From the operating system, as a text.
    pub fn wait(&self) -> Result<ExitStatus, String> {
        self.guard.lock().unwrap().wait().map_err(|e| format!("failed to wait for {}: {e}", self.name))
    }

    /// The log so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(|e| e.to_string(), |text| String::from_utf8_lossy(&text).into_owned())
    }

    /// The last lines of the log, for a message.
    pub fn log_tail(&self, lines: usize) -> String {
        last_lines(&self.log(), lines)
    }
}

/// volgate's program: the one in `VOLGATE_BINARY`, such as the one that is shipped, or else the one of this build.
pub fn volgate() -> Command {
    Command::new(std::env::var_os("VOLGATE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_volgate").into()))
}

/// The last lines of a text, for a message.
pub fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An empty directory of the test's own, removed when it is dropped or the test process ends.
/// `VOLGATE_KEEP_CLUSTER=1` keeps it, and says where it is.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    janitor: Option<Child>,
}

impl Scratch {
    /// Creates `volgate-<name>-<process id>-<n>` in the temporary directory, for the owner only.
    ///
    /// # Errors
    /// From the file system, as a text.
    pub fn new(name: &str) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = std::env::temp_dir().join(format!(
            "volgate-{name}-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        let fail = |e: std::io::Error| format!("failed to prepare {}: {e}", path.display());
        if path.exists() {
            fs::remove_dir_all(&path).map_err(fail)?; // of a dead process with the same id
        }
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(fail)?;
        let janitor = if std::env::var("VOLGATE_KEEP_CLUSTER").is_ok_and(|value| value == "1") {
            super::say(&format!("VOLGATE_KEEP_CLUSTER=1: {} stays, with all logs", path.display()));
            None
        } else {
            let janitor = Command::new("sh")
                .args(["-c", JANITOR, "janitor"])
                .arg(&path)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0)
                .spawn()
                .map_err(fail)?;
            Some(janitor)
        };
        Ok(Self { path, janitor })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(janitor) = &mut self.janitor {
            drop(janitor.stdin.take());
            let _ = janitor.wait();
        }
    }
}

/// What a program said that was run to its end.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whether it exited with 0.
    pub success: bool,
    /// The exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output, with what is no UTF-8 replaced.
    pub stdout: String,
    /// Its standard error; of kubectl, errors and the API server's warnings.
    pub stderr: String,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Runs a program to its end, with `stdin` given to it.
///
/// # Errors
/// It cannot be run at all. That it fails is for the caller to look at.
pub fn run(mut command: Command, stdin: Option<&str>) -> std::io::Result<Output> {
    command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pipe = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // On a thread of its own: the program may write much before it has read all. That it did not read all of it
        // shows in its own words.
        scope.spawn(move || pipe.zip(stdin).map(|(mut pipe, text)| pipe.write_all(text.as_bytes())));
        child.wait_with_output()
    })?;
    Ok(Output {
        success: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
