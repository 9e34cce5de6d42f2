//! What a node is made of: containerd, built with Go, and Debian's packages, unpacked and not installed. Kept in `target/`.

use super::super::assets::go_version;
use super::super::kept::kept;
use super::requirements::{how_to_go_on, system};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const CONTAINERD: &str = "v2.4.2";
const COMMANDS: [&str; 3] = ["containerd", "containerd-shim-runc-v2", "ctr"];
const PACKAGES: [&str; 7] = [
    "runc",
    "containernetworking-plugins",
    "nftables",
    "btrfs-progs",
    "busybox-static",
    "redis-server",
    "xfsprogs",
];
/// Where packages have programs, beneath the directory that they are unpacked into; `go` is containerd's.
const PROGRAMS: [&str; 5] = ["go", "usr/sbin", "usr/bin", "sbin", "bin"];

/// The unpacked tools.
#[derive(Clone, Debug)]
pub struct Tools {
    root: PathBuf,
}

impl Tools {
    /// The tools, made when this version of them is not there yet.
    ///
    /// # Errors
    /// A text for a person: what is missing and how to go on.
    pub fn get() -> Result<Self, String> {
        static TOOLS: OnceLock<Result<Tools, String>> = OnceLock::new();
        TOOLS.get_or_init(Self::find_or_make).clone()
    }

    fn find_or_make() -> Result<Self, String> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        let go = go_version(sources)?;
        let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        (CONTAINERD, COMMANDS, PACKAGES, go, system).hash(&mut hasher);
        let key = format!("{:016x}", hasher.finish());
        let what =
            "what a test node needs: containerd with Go and Debian's packages, 2 minutes the first time";
        let root = kept(&sources.join("target/node"), &key, what, make)?;
        Ok(Self { root })
    }

    /// Where they are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// One of the programs.
    ///
    /// # Errors
    /// The packages brought none of this name, as a text.
    pub fn program(&self, name: &str) -> Result<PathBuf, String> {
        let found = PROGRAMS.iter().map(|dir| self.root.join(dir).join(name)).find(|path| path.is_file());
        found.ok_or_else(|| {
            format!("the packages {PACKAGES:?} brought no {name} into {}", self.root.display())
        })
    }

    /// The values of `PATH` and `LD_LIBRARY_PATH` where the tools are seen at `root`.
    pub fn environment(&self, root: &Path) -> [(&'static str, String); 2] {
        let at = |path: &Path| root.join(path).display().to_string();
        let programs: Vec<String> = PROGRAMS.iter().map(|dir| at(Path::new(dir))).collect();
        let libraries: Vec<String> = library_dirs(&self.root).iter().map(|dir| at(dir)).collect();
        [
            (
                "PATH",
                format!(
                    "{}:/node/kubernetes:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    programs.join(":")
                ),
            ),
            ("LD_LIBRARY_PATH", libraries.join(":")),
        ]
    }
}

/// `usr/lib/x86_64-linux-gnu` and the like, as far as packages that were unpacked have them, and the directories in them with
/// libraries of one package (`pulseaudio`), which it looks for where it would be installed.
pub fn library_dirs(root: &Path) -> Vec<PathBuf> {
    let folders = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(root.join(dir)).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().is_dir()).map(|entry| dir.join(entry.file_name())).collect()
    };
    let has_libraries = |dir: &PathBuf| {
        let entries = fs::read_dir(root.join(dir)).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .any(|name| name.starts_with("lib") && (name.ends_with(".so") || name.contains(".so.")))
    };
    let of_machine = |dir: &PathBuf| dir.to_string_lossy().contains("-linux-gnu");
    let mut found = Vec::new();
    for dir in ["lib", "usr/lib"].iter().flat_map(|parent| folders(Path::new(parent))).filter(of_machine) {
        let private = folders(&dir).into_iter().filter(has_libraries);
        found.push(dir);
        found.extend(private);
    }
    found
}

fn make(half: &Path) -> Result<(), String> {
    unpacked(half, &PACKAGES)?;
    let packages =
        COMMANDS.map(|name| format!("github.com/containerd/containerd/v2/cmd/{name}@{CONTAINERD}"));
    let mut go = Command::new("go");
    go.args(["install", "-trimpath", "-ldflags", "-s -w"]).args(packages);
    system(go.env("GOBIN", half.join("go")).env("CGO_ENABLED", "0")).map_err(|e| how_to_go_on(&e))?;

    let tools = Tools { root: half.to_owned() };
    for name in ["runc", "nft", "mkfs.btrfs", "mkfs.xfs", "busybox", "redis-server", "redis-cli"] {
        let program = tools.program(name)?;
        if name != "busybox" {
            tools.libraries(&program)?;
        }
    }
    Ok(())
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.args(["--quiet", "-o", "APT::Sandbox::User=root"]).env("LC_ALL", "C");
    apt
}

/// Unpacks packages with all that they depend on and this machine lacks.
///
/// # Errors
/// A text for a person: what failed and how to go on.
pub fn unpacked(half: &Path, packages: &[&str]) -> Result<(), String> {
    // Lists of packages that are absent or outdated show as packages that cannot be found or fetched.
    unpack(half, packages).or_else(|_| {
        system(apt().arg("update"))?;
        unpack(half, packages)
    })
}

fn unpack(half: &Path, packages: &[&str]) -> Result<(), String> {
    let go_on = |e: String| how_to_go_on(&e);
    let mut plan = apt();
    plan.args(["--simulate", "--reinstall", "--no-install-recommends", "install"]).args(packages);
    let plan = system(&mut plan).map_err(go_on)?;
    // `Inst name [old version] (version archive…)`, with the part in brackets only when it is installed already.
    let wanted = plan.lines().filter_map(|line| {
        let name = line.strip_prefix("Inst ")?.split(' ').next()?;
        let version = line.split_once(" (")?.1.split(' ').next()?;
        Some(format!("{name}={version}"))
    });
    let archives = half.join("archives");
    fs::create_dir_all(&archives).map_err(|e| format!("failed to create {}: {e}", archives.display()))?;
    system(apt().arg("download").args(wanted).current_dir(&archives)).map_err(go_on)?;
    let list = || fs::read_dir(&archives).map_err(|e| format!("failed to list {}: {e}", archives.display()));
    for archive in list()?.flatten() {
        system(Command::new("dpkg-deb").arg("--extract").arg(archive.path()).arg(half)).map_err(go_on)?;
    }
    fs::remove_dir_all(&archives).map_err(|e| format!("failed to remove {}: {e}", archives.display()))
}

impl Tools {
    /// The shared libraries that a program needs, the dynamic loader among them, as `ldd` finds them.
    ///
    /// # Errors
    /// One of them is missing, as a text.
    pub fn libraries(&self, program: &Path) -> Result<Vec<PathBuf>, String> {
        let [_, (variable, value)] = self.environment(&self.root);
        let listed = system(Command::new("ldd").arg(program).env(variable, value))?;
        if let Some(missing) = listed.lines().find(|line| line.contains("not found")) {
            return Err(format!("{} lacks a library: {}", program.display(), missing.trim()));
        }
        // `libc.so.6 => /lib/…/libc.so.6 (0x…)`, `/lib64/ld-linux… (0x…)`; the kernel's own part has no path.
        let paths =
            listed.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
        Ok(paths.map(PathBuf::from).collect())
    }
}
