//! A small virtual machine with Debian's kernel, for what the kernel of this machine may lack: project quotas. It sees
//! this machine's files, read-only, and carries out what is put into its mailbox.

use crate::agent::mounts::tool;
use crate::agent::world::Node;
use crate::support::kept::kept;
use crate::support::node::{library_dirs, unpacked};
use crate::support::{Process, wait_until};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const PACKAGES: [&str; 5] =
    ["qemu-system-x86", "linux-image-amd64", "xfsprogs", "e2fsprogs", "busybox-static"];
/// How long the slowest machine may take: its processor is emulated.
const LIMIT: Duration = Duration::from_secs(180);
/// In the order in which they need each other. What is built into the kernel is not there.
const FIRST_MODULES: [&str; 10] = [
    "virtio",
    "virtio_ring",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "netfs",
    "fscache",
    "9pnet",
    "9pnet_virtio",
    "9p",
];
const MODULES: [&str; 14] = [
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
    "crc32c_generic",
    "libcrc32c",
    "xfs",
    "crc16",
    "mbcache",
    "jbd2",
    "ext4",
    "quota_tree",
    "quota_v2",
    "loop",
];
const INIT: &str = include_str!("init.sh");

/// What the machine is made of.
pub(crate) struct Parts(PathBuf);

impl Parts {
    pub(crate) fn get() -> Self {
        static PARTS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let made = PARTS.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            (PACKAGES, fs::read_to_string("/etc/os-release").unwrap_or_default()).hash(&mut hasher);
            let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/vm");
            let what = "a virtual machine of Debian's packages, a minute the first time";
            kept(&cache, &format!("{:016x}", hasher.finish()), what, |half| unpacked(half, &PACKAGES))
        });
        Self(made.clone().unwrap_or_else(|fault| panic!("{fault}")))
    }

    /// One of the programs, with the libraries that came along.
    pub(crate) fn program(&self, path: &str) -> Command {
        let libraries: Vec<String> =
            library_dirs(&self.0).iter().map(|dir| self.0.join(dir).display().to_string()).collect();
        let mut command = Command::new(self.0.join(path));
        command.env("LD_LIBRARY_PATH", libraries.join(":"));
        command
    }

    /// Many programs in one, which needs no library.
    pub(crate) fn busybox(&self) -> PathBuf {
        let places = ["bin/busybox", "usr/bin/busybox"].map(|place| self.0.join(place));
        places.into_iter().find(|path| path.exists()).unwrap()
    }

    fn kernel(&self) -> PathBuf {
        let found = fs::read_dir(self.0.join("boot")).unwrap().flatten().map(|entry| entry.path());
        found.into_iter().find(|path| path.to_string_lossy().contains("vmlinuz")).unwrap()
    }

    fn modules(&self, names: &[&str]) -> Vec<PathBuf> {
        let mut all = Vec::new();
        let mut open = vec![self.0.join("lib/modules")];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap().flatten() {
                match entry.file_type().unwrap().is_dir() {
                    true => open.push(entry.path()),
                    false => all.push(entry.path()),
                }
            }
        }
        let find =
            |name: &&str| all.iter().find(|path| path.file_name().unwrap() == format!("{name}.ko").as_str());
        names.iter().filter_map(find).cloned().collect()
    }

    /// The files that the kernel begins with: a shell, the first modules, what to do.
    fn initramfs(&self) -> Vec<u8> {
        let first = self.modules(&FIRST_MODULES);
        let file_name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let first_names: Vec<String> = first.iter().map(file_name).collect();
        let then: Vec<String> =
            self.modules(&MODULES).iter().map(|path| format!("/host{}", path.display())).collect();
        let init = INIT.replace("@FIRST@", &first_names.join(" ")).replace("@THEN@", &then.join(" "));
        let mut archive = Vec::new();
        for directory in ["bin", "dev", "proc", "sys", "host", "mail", "modules"] {
            entry(&mut archive, directory, 0o40755, &[]);
        }
        entry(&mut archive, "bin/busybox", 0o100755, &fs::read(self.busybox()).unwrap());
        entry(&mut archive, "init", 0o100755, init.as_bytes());
        for module in &first {
            entry(
                &mut archive,
                &format!("modules/{}", file_name(module)),
                0o100644,
                &fs::read(module).unwrap(),
            );
        }
        entry(&mut archive, "TRAILER!!!", 0, &[]);
        archive
    }
}

/// An entry of a cpio archive in the format that the kernel takes.
fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, data: &[u8]) {
    static INODE: AtomicU32 = AtomicU32::new(1);
    let inode = INODE.fetch_add(1, Ordering::Relaxed);
    let fields = [inode, mode, 0, 0, 1, 0, data.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    archive.extend(b"070701");
    archive.extend(fields.iter().flat_map(|field| format!("{field:08X}").into_bytes()));
    archive.extend(name.as_bytes());
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(data);
    archive.resize(archive.len().next_multiple_of(4), 0);
}

/// The running machine. Dropping it ends it.
pub(crate) struct Vm {
    mail: PathBuf,
    process: Process,
    sent: AtomicU32,
}

impl Vm {
    /// Starts a machine with a disk, `/dev/vda`, for a node's agent.
    pub(crate) async fn start(node: &Node, parts: &Parts, disk: &Path) -> Self {
        let mail = node.outside("mail");
        fs::create_dir(&mail).unwrap();
        fs::write(node.outside("initramfs"), parts.initramfs()).unwrap();
        // From within, this machine is 10.0.2.2; the certificate is for localhost.
        let kubeconfig = fs::read_to_string(node.cluster().kubeconfig_for("admin")).unwrap();
        let kubeconfig = kubeconfig.replace(
            &format!("\"server\":\"{}\"", node.cluster().server_url()),
            &format!(
                "\"tls-server-name\":\"localhost\",\"server\":\"https://10.0.2.2:{}\"",
                node.cluster().port()
            ),
        );
        assert!(kubeconfig.contains("10.0.2.2"), "{kubeconfig}");
        fs::write(mail.join("kubeconfig"), kubeconfig).unwrap();
        let mut qemu = parts.program("usr/bin/qemu-system-x86_64");
        let share = |tag: &str, path: &Path, more: &str| {
            format!("local,path={},mount_tag={tag},{more}", path.display())
        };
        // Not KVM: where this machine is a virtual one itself, that may hang in the first kernel's first steps.
        qemu.args(["-accel", "tcg", "-cpu", "max", "-m", "768", "-nodefaults", "-no-reboot"])
            .args(["-display", "none", "-serial", "stdio"])
            .arg("-L")
            .arg(parts.0.join("usr/share/qemu"))
            .arg("-L")
            .arg(parts.0.join("usr/share/seabios"))
            .arg("-kernel")
            .arg(parts.kernel())
            .arg("-initrd")
            .arg(node.outside("initramfs"))
            .args(["-append", "console=ttyS0 panic=-1"])
            .arg("-virtfs")
            .arg(share("host", Path::new("/"), "security_model=passthrough,readonly=on"))
            .arg("-virtfs")
            .arg(share("mail", &mail, "security_model=none"))
            .arg("-drive")
            .arg(format!("file={},if=virtio,format=raw", disk.display()))
            .args(["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="]);
        let process = Process::spawn("qemu", &qemu, &node.outside("qemu.log")).unwrap();
        let vm = Self { mail, process, sent: AtomicU32::new(0) };
        vm.run("true").await;
        vm
    }

    /// Runs a shell script in the machine, where this machine's files are. Gives what it says; it must work.
    pub(crate) async fn run(&self, script: &str) -> String {
        let (status, output) = self.try_run(script).await;
        assert_eq!(status, "0", "{script}: {output}\n{}", self.process.log_tail(30));
        output
    }

    /// Runs a shell script in the machine. Gives its exit status and what it says.
    pub(crate) async fn try_run(&self, script: &str) -> (String, String) {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let at = |name: &str| self.mail.join(format!("{number}.{name}"));
        fs::write(at("new"), script).unwrap();
        fs::set_permissions(at("new"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(at("new"), at("sh")).unwrap();
        let status = wait_until(&format!("the machine has done {script:?}"), LIMIT, async || {
            if let Some(status) = self.process.exited() {
                panic!("the machine ended ({status}):\n{}", self.process.log_tail(30));
            }
            fs::read_to_string(at("status"))
                .map_err(|error| format!("{error}\n{}", self.process.log_tail(10)))
        })
        .await;
        (status.trim().to_owned(), fs::read_to_string(at("out")).unwrap_or_default())
    }
}

/// A new disk with a file system on it.
pub(crate) fn disk(mkfs: &mut Command, path: &Path, mebibytes: u64) {
    fs::File::create(path).unwrap().set_len(mebibytes << 20).unwrap();
    tool(mkfs.arg(path));
}
