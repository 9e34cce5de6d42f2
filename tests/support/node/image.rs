//! Container images made of files of this machine; no registry is needed.

use super::requirements::system;
use super::tools::Tools;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An image of one layer.
///
/// ```ignore
/// let image = Image::new("example.org/volgate:test").program(env!("CARGO_BIN_EXE_volgate"), "/volgate").entrypoint(&["/volgate"]);
/// node.import(&image)?;
/// ```
#[derive(Clone, Debug)]
pub struct Image {
    names: Vec<String>,
    programs: Vec<(PathBuf, String)>,
    files: Vec<(PathBuf, String)>,
    shell: bool,
    config: serde_json::Map<String, serde_json::Value>,
}

impl Image {
    /// An empty image. The name is a whole one: `docker.io/library/redis:7`.
    pub fn new(name: &str) -> Self {
        Self {
            names: vec![name.to_owned()],
            programs: Vec::new(),
            files: Vec::new(),
            shell: false,
            config: serde_json::Map::new(),
        }
    }

    /// A further name for it.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    /// Puts a program of this machine at a path of the image, with the shared libraries that it needs.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>, at: &str) -> Self {
        self.programs.push((program.into(), at.to_owned()));
        self
    }

    /// Puts a file of this machine at a path of the image, and nothing besides.
    #[must_use]
    pub fn file(mut self, file: impl Into<PathBuf>, at: &str) -> Self {
        self.files.push((file.into(), at.to_owned()));
        self
    }

    /// Puts busybox in, with `sh`, `cat`, `kill` and all its other commands.
    #[must_use]
    pub fn shell(mut self) -> Self {
        self.shell = true;
        self
    }

    /// What runs in the container, unless the pod says `command`.
    #[must_use]
    pub fn entrypoint(self, argv: &[&str]) -> Self {
        self.configure("Entrypoint", json!(argv))
    }

    /// The entrypoint's arguments, unless the pod says `args`.
    #[must_use]
    pub fn arguments(self, args: &[&str]) -> Self {
        self.configure("Cmd", json!(args))
    }

    /// Environment variables, as `NAME=value`.
    #[must_use]
    pub fn environment(self, variables: &[&str]) -> Self {
        self.configure("Env", json!(variables))
    }

    /// Who runs it, by id: `65532` or `65532:65532`. Without this, root.
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        self.configure("User", json!(user))
    }

    /// The directory it runs in.
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        self.configure("WorkingDir", json!(path))
    }

    fn configure(mut self, key: &str, value: serde_json::Value) -> Self {
        self.config.insert(key.to_owned(), value);
        self
    }

    /// The image's names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Writes the image as `docker save` does into the directory, and returns the file's path.
    ///
    /// # Errors
    /// A text for a person.
    pub fn archive(&self, tools: &Tools, dir: &Path) -> Result<PathBuf, String> {
        let work = dir.join(self.names[0].replace(['/', ':'], "_"));
        let fail = |e: std::io::Error| {
            format!("failed to make the image {} in {}: {e}", self.names.join(", "), work.display())
        };
        let root = work.join("root");
        fs::create_dir_all(&root).map_err(fail)?;
        self.fill(tools, &root).map_err(|e| format!("image {}: {e}", self.names.join(", ")))?;

        let layer = work.join("layer.tar");
        let owner = ["--owner=0", "--group=0", "--numeric-owner", "--sort=name", "--mtime=@0"];
        system(Command::new("tar").args(owner).arg("-C").arg(&root).arg("-cf").arg(&layer).arg("."))?;
        let sum = system(Command::new("sha256sum").arg(&layer))?;
        let sum = sum.split_whitespace().next().unwrap_or_default();
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = json!({
            "architecture": architecture, "os": "linux", "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{sum}")]},
        });
        fs::write(work.join("config.json"), config.to_string()).map_err(fail)?;
        let manifest = json!([{"Config": "config.json", "RepoTags": self.names, "Layers": ["layer.tar"]}]);
        fs::write(work.join("manifest.json"), manifest.to_string()).map_err(fail)?;

        let archive = work.with_extension("tar");
        let parts = ["manifest.json", "config.json", "layer.tar"];
        system(Command::new("tar").arg("-C").arg(&work).arg("-cf").arg(&archive).args(parts))?;
        fs::remove_dir_all(&work).map_err(fail)?;
        Ok(archive)
    }

    fn fill(&self, tools: &Tools, root: &Path) -> Result<(), String> {
        let copy = |from: &Path, to: &Path| {
            let fail =
                |e: std::io::Error| format!("failed to copy {} to {}: {e}", from.display(), to.display());
            fs::create_dir_all(to.parent().unwrap_or(root)).map_err(fail)?;
            fs::copy(from, to).map(|_| ()).map_err(fail)
        };
        let inside = |path: &str| root.join(path.trim_start_matches('/'));
        for (file, at) in &self.files {
            copy(file, &inside(at))?;
        }
        for (program, at) in &self.programs {
            copy(program, &inside(at))?;
            for library in tools.libraries(program)? {
                // The loader is looked for at the very path, all else by its name where the loader always looks.
                let name = library.file_name().unwrap_or_default().to_string_lossy();
                let to = if name.starts_with("ld-linux") {
                    inside(&library.to_string_lossy())
                } else {
                    inside("/lib").join(&*name)
                };
                copy(&library, &to)?;
            }
        }
        // What every image has.
        let fail = |e: std::io::Error| format!("failed to fill {}: {e}", root.display());
        fs::create_dir_all(inside("/etc")).map_err(fail)?;
        fs::write(inside("/etc/passwd"), "root:x:0:0:root:/:/bin/sh\n").map_err(fail)?;
        fs::write(inside("/etc/group"), "root:x:0:\n").map_err(fail)?;
        fs::create_dir_all(inside("/tmp")).map_err(fail)?;
        fs::set_permissions(inside("/tmp"), fs::Permissions::from_mode(0o1777)).map_err(fail)?;
        if self.shell {
            let busybox = tools.program("busybox")?;
            copy(&busybox, &inside("/bin/busybox"))?;
            for command in system(Command::new(&busybox).arg("--list"))?.lines() {
                let link = inside("/bin").join(command);
                if command != "busybox" && !link.exists() {
                    symlink("busybox", link).map_err(fail)?;
                }
            }
        }
        Ok(())
    }
}

/// The sandbox of every pod, as `tests/support/node/containerd.toml` names it.
pub fn pause() -> Image {
    Image::new("volgate.test/pause:1").shell().entrypoint(&["/bin/sleep", "2147483647"])
}

/// What is busybox under another name: there it matters only what it is called.
const CALLED: [&str; 9] = [
    "busybox:latest",
    "nginx:latest",
    "fedora:26",
    "postgres:18",
    "mysql:9",
    "mongo:8",
    "rabbitmq:4",
    "influxdb:2",
    "neo4j:5",
];

/// busybox, under all these names.
pub fn busybox() -> Image {
    let busybox = Image::new("docker.io/library/busybox:1");
    CALLED
        .iter()
        .fold(busybox, |image, name| image.named(&format!("docker.io/library/{name}")))
        .shell()
        .environment(&["PATH=/bin"])
        .arguments(&["sleep", "2147483647"])
}

/// A real Redis, which keeps its data in `/data` as the official image does.
///
/// # Errors
/// The packages brought no Redis, as a text.
pub fn redis(tools: &Tools) -> Result<Image, String> {
    Ok(Image::new("docker.io/library/redis:7")
        .named("docker.io/library/redis:latest")
        .program(tools.program("redis-server")?, "/bin/redis-server")
        .program(tools.program("redis-cli")?, "/bin/redis-cli")
        .shell()
        .environment(&["PATH=/bin"])
        .directory("/data")
        .arguments(&["redis-server", "--protected-mode", "no"]))
}
