//! What the nodes of one cluster have for themselves among all test processes of this machine.

use super::requirements::{how_to_go_on, system};
use std::fs::{self, File, TryLockError};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// One of some numbers that a test process can take, and what goes with it: a name, a directory, a bridge with the subnet
/// 10.N.0.0/16, and a cgroup. Dropping it removes all of that, and so does the end of the test process, however it comes;
/// if that was prevented, the next one who takes the number does it.
///
/// | addresses | of |
/// | --- | --- |
/// | 10.N.0.1 | this machine, at the bridge: here the API server is advertised |
/// | 10.N.0.(1+i) | node i, from 1 |
/// | 10.N.i.0/24 | the pods of node i |
/// | 10.N.128.0/17 | Services; this machine reaches them by way of node 1 |
#[derive(Debug)]
pub struct Slot {
    number: u8,
    dir: PathBuf,
    janitor: Child,
}

impl Slot {
    /// How many nodes there is room for.
    pub const NODES: u8 = 8;
    const NUMBERS: std::ops::Range<u8> = 200..232;

    /// Takes the first number that no other test process has and whose addresses nobody uses.
    ///
    /// # Errors
    /// A text for a person: what is missing and how to go on.
    pub fn claim() -> Result<Self, String> {
        let locks = Path::new("/run/volgate-tests");
        fs::create_dir_all(locks)
            .map_err(|e| how_to_go_on(&format!("failed to create {}: {e}", locks.display())))?;
        let mut faults = String::new();
        for number in Self::NUMBERS {
            let path = locks.join(number.to_string());
            let lock = File::create(&path)
                .map_err(|e| how_to_go_on(&format!("failed to open {}: {e}", path.display())))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(e)) => return Err(format!("failed to lock {}: {e}", path.display())),
            }
            match Self::prepare(number, lock)? {
                Ok(slot) => return Ok(slot),
                Err(fault) => faults += &format!("\n- number {number}: {fault}"),
            }
        }
        Err(format!(
            "no network for the test's nodes can be had; other tests have the numbers that are not here:{faults}"
        ))
    }

    /// The inner fault is one of this number alone: another may do.
    fn prepare(number: u8, lock: File) -> Result<Result<Self, String>, String> {
        let dir = std::env::temp_dir().join(name_of(number));
        if let Err(fault) = system(&mut clean(number, &dir, "now")) {
            return Ok(Err(format!("what another test has left cannot be removed: {fault}")));
        }
        for what in [["address", "show"].as_slice(), &["route", "show", "table", "all"]] {
            let used = system(Command::new("ip").args(["-4", "-oneline"]).args(what))?;
            if used.split([' ', '\t']).any(|word| word.starts_with(&format!("10.{number}."))) {
                return Ok(Err(format!("somebody else uses addresses of 10.{number}.0.0/16")));
            }
        }
        fs::create_dir_all(&dir).map_err(|e| format!("failed to create {}: {e}", dir.display()))?;
        // The janitor has the lock as its output, and so keeps it until all is removed.
        let mut janitor = clean(number, &dir, "wait");
        janitor.stdin(Stdio::piped()).stdout(lock).stderr(Stdio::null()).process_group(0);
        let janitor = janitor.spawn().map_err(|e| format!("failed to run sh: {e}"))?;
        let slot = Self { number, dir, janitor };
        slot.bridge()?;
        Ok(Ok(slot))
    }

    fn bridge(&self) -> Result<(), String> {
        let name = self.name();
        ip(&["link", "add", &name, "type", "bridge"])?;
        ip(&["address", "add", &format!("{}/24", self.host_address()), "dev", &name])?;
        ip(&["link", "set", &name, "up"])?;
        for index in 1..=Self::NODES {
            ip(&["route", "add", &self.pods(index), "via", &self.node_address(index).to_string()])?;
        }
        let (services, length) = self.services();
        ip(&["route", "add", &format!("{services}/{length}"), "via", &self.node_address(1).to_string()])?;
        Ok(())
    }

    /// The name of the bridge and of the cgroup; those of the machines' interfaces begin with it.
    pub fn name(&self) -> String {
        name_of(self.number)
    }

    /// An empty directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where nodes and pods reach this machine.
    pub fn host_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.number, 0, 1)
    }

    /// Where a node is reached; they are counted from 1.
    pub fn node_address(&self, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.number, 0, 1 + index)
    }

    /// The subnet of a node's pods.
    pub fn pods(&self, index: u8) -> String {
        format!("10.{}.{index}.0/24", self.number)
    }

    /// The first address of Services, and the length of its network part.
    pub fn services(&self) -> (Ipv4Addr, u8) {
        (Ipv4Addr::new(10, self.number, 128, 0), 17)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}

/// Changes the network of this machine.
pub fn ip(args: &[&str]) -> Result<String, String> {
    system(Command::new("ip").args(args))
}

fn name_of(number: u8) -> String {
    format!("volgate{number}")
}

fn clean(number: u8, dir: &Path, when: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", include_str!("clean.sh"), "clean", &name_of(number)]).arg(dir).arg(when);
    command
}
