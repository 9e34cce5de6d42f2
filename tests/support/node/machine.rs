//! A machine of its own, made of namespaces: see `tests/support/node/machine.sh`.

use super::super::{Output, Process, assets, run};
use super::requirements::system;
use super::slot::{Slot, ip};
use super::tools::Tools;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A running machine. Dropping it kills every process in it, which removes its mounts and its network.
#[derive(Debug)]
pub struct Machine {
    process: Process,
    id: String,
    dir: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Machine {
    /// Starts the machine with this number of a slot, with the slot's network.
    ///
    /// # Errors
    /// A text for a person.
    pub fn start(slot: &Slot, index: u8, tools: &Tools) -> Result<Self, String> {
        let dir = slot.dir().join(format!("node-{index}"));
        let root = dir.join("root");
        fs::create_dir_all(root.join("node"))
            .map_err(|e| format!("failed to create {}: {e}", root.display()))?;
        let mut command = Command::new("sh");
        command
            .args(["-c", include_str!("cgroup.sh"), "cgroup", &slot.name(), "unshare"])
            .args(["--mount", "--net", "--pid", "--cgroup", "--ipc", "--uts", "--fork", "--kill-child"])
            .args(["sh", "-c", include_str!("machine.sh"), "machine"])
            .arg(&root)
            .arg(assets()?)
            .arg(tools.root())
            .arg(slot.name())
            .arg(format!("machine-of-{}", slot.name()));
        let process = Process::spawn("machine", &command, &dir.join("machine.log"))?;
        let id = await_file(&process, &root.join("node/pid"))?;
        let mut environment = tools.environment(Path::new("/node/tools")).to_vec();
        environment.push(("HOME", "/root".to_owned()));
        let machine = Self { process, id, dir, environment };
        machine.connect(slot, index)?;
        Ok(machine)
    }

    fn connect(&self, slot: &Slot, index: u8) -> Result<(), String> {
        let outer = format!("{}-{index}", slot.name());
        ip(&["link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", &self.id])?;
        ip(&["link", "set", &outer, "master", &slot.name(), "up"])?;
        let address = format!("{}/24", slot.node_address(index));
        let ip = |args: &[&str]| system(self.command("ip").args(args));
        ip(&["address", "add", &address, "dev", "eth0"])?;
        ip(&["link", "set", "eth0", "up"])?;
        ip(&["route", "add", "default", "via", &slot.host_address().to_string()])?;
        for other in (1..=Slot::NODES).filter(|other| *other != index) {
            ip(&["route", "add", &slot.pods(other), "via", &slot.node_address(other).to_string()])?;
        }
        Ok(())
    }

    /// A path of the machine's own disk, as the test finds it. What is mounted there (volumes of pods) is not seen.
    pub fn file(&self, path: &str) -> PathBuf {
        self.dir.join("root").join(path.trim_start_matches('/'))
    }

    /// Where the logs of its processes are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A program that runs on the machine, with all of its environment; it dies with who started it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--net", "--pid", "--cgroup", "--ipc", "--uts", "--target", &self.id, "--"]);
        command.args(["setpriv", "--pdeathsig", "KILL", "--", "env", "-i"]);
        command.args(self.environment.iter().map(|(name, value)| format!("{name}={value}"))).arg(program);
        command
    }

    /// Starts a program in the background.
    ///
    /// # Errors
    /// As [`Process::spawn`].
    pub fn spawn(&self, name: &str, args: &[String]) -> Result<Process, String> {
        Process::spawn(name, self.command(name).args(args), &self.dir.join(format!("{name}.log")))
    }

    /// Runs a program to its end.
    ///
    /// # Panics
    /// It cannot be run at all. That it fails is for the caller to look at.
    pub fn run(&self, program: &str, args: &[&str], stdin: Option<&str>) -> Output {
        let mut command = self.command(program);
        command.args(args);
        run(command, stdin).unwrap_or_else(|e| panic!("failed to run {program} on the node: {e}"))
    }
}

/// Waits until a file is there, and returns what is in it, or the log of the process that was to write it.
fn await_file(process: &Process, path: &Path) -> Result<String, String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(text) = fs::read_to_string(path) {
            return Ok(text.trim().to_owned());
        }
        if process.exited().is_some() || Instant::now() > deadline {
            let fault = format!("the namespaces of a node cannot be made: {}", process.log_tail(12));
            return Err(super::requirements::how_to_go_on(&fault));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
