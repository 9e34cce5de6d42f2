//! A sparse file behind a loop device: a block device for a pod, or for the kubelet to make a file system on.

use super::super::base::{Base, loop_file};
use super::super::opener::{self, Opener};
use super::super::{Fault, Found, device_link, kernel, point};
use super::State;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// Devices are of whole blocks; a claim may ask for any number of bytes.
const BLOCK: u64 = 4096;
/// The reason for which a node with too many loop devices refuses another.
const TOO_MANY: &str = "TooManyDevices";
/// How often another process may take the free device first.
const TRIES: u32 = 16;

/// Where the devices and the links to them are.
#[derive(Debug)]
pub(in super::super) struct Devices {
    /// What opens them; nothing where there are to be none.
    opener: Option<Opener>,
    /// Beneath what the node's paths are seen.
    host_root: PathBuf,
    /// How many volumes of the node may have one.
    most: u32,
}

/// A loop device that is over a volume's file.
struct Device {
    name: String,
    file: OwnedFd,
}

impl Devices {
    /// To be called before the process is confined: what opens devices must not be.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(in super::super) fn start(host_root: &Path, most: u32) -> std::io::Result<Self> {
        // In a container the node's /dev is beneath the prefix as well; an agent of a test has but the machine's own.
        let beneath = host_root.join("dev");
        let dev = if beneath.join("loop-control").exists() { beneath } else { PathBuf::from("/dev") };
        let opener = (most > 0).then(|| Opener::start(dev)).transpose()?;
        Ok(Self { opener, host_root: host_root.to_owned(), most })
    }

    fn link(&self, volume: &str) -> PathBuf {
        self.host_root.join(device_link(volume).trim_start_matches('/'))
    }

    /// The device that a volume's link leads to, when it is over the volume's file; of a file that is gone, when it has
    /// the volume's name.
    fn linked(&self, volume: &str, file: Option<(u64, u64)>) -> Option<Device> {
        let target = std::fs::read_link(self.link(volume)).ok()?;
        let device = self.named(target.file_name()?.to_str()?)?;
        let status = kernel::loop_status(&device.file).ok()?;
        let ours = match file {
            Some(file) => status.file == file,
            None => status.name == volume.as_bytes().iter().copied().take(63).collect::<Vec<_>>(),
        };
        ours.then_some(device)
    }

    /// The device that is over a file, with or without a link.
    fn over(&self, file: (u64, u64)) -> Option<Device> {
        let devices = std::fs::read_dir("/sys/block").ok()?.flatten();
        let bound = devices.filter(|entry| entry.path().join("loop/backing_file").exists());
        bound
            .filter_map(|entry| self.named(entry.file_name().to_str()?))
            .find(|device| kernel::loop_status(&device.file).is_ok_and(|status| status.file == file))
    }

    fn named(&self, name: &str) -> Option<Device> {
        let file = self.open(opener::Device::named(name)?).ok()?;
        Some(Device { name: name.to_owned(), file })
    }

    fn open(&self, device: opener::Device) -> rustix::io::Result<OwnedFd> {
        self.opener.as_ref().ok_or(Errno::NODEV)?.open(device)
    }

    /// Why a node with that many loop volumes can have no other.
    pub(super) fn unsupported(&self, volumes: usize) -> Option<Fault> {
        let most = self.most;
        if most == 0 {
            let why = "loop devices are switched off on this node (--max-loop-devices 0)";
            return Some(Fault::lasting("BackendUnsupported", why));
        }
        if volumes >= usize::try_from(most).unwrap_or(usize::MAX) {
            let why = format!(
                "this node has {volumes} loop volumes, and each takes a device of the kernel's: it may have {most} \
                 (--max-loop-devices)"
            );
            return Some(Fault::lasting(TOO_MANY, why));
        }
        let errno = self.open(opener::Device::Control).err()?;
        Some(Fault::lasting("BackendUnsupported", format!("failed to open /dev/loop-control: {errno}")))
    }
}

pub(super) fn look(base: &Base, devices: &Devices, volume: &str, size: Option<i64>) -> Result<State, Fault> {
    let place = loop_file(volume);
    let found = base.find(&place, |kind, _| match kind {
        FileType::RegularFile => Ok(()),
        other => Err(format!("no file but a {other:?}").to_lowercase()),
    })?;
    if found != Found::Fitting {
        let attached = devices.linked(volume, None).is_some();
        return Ok(State { found, bound: None, attached });
    }
    let (file, identity, length) = open(base, volume)?;
    drop(file);
    let device = devices.linked(volume, Some(identity));
    let held = match &device {
        // The smaller one is what can be written to.
        Some(device) => kernel::device_size(&device.file).unwrap_or(0).min(length),
        None => length,
    };
    let bound = match size {
        Some(size) if blocks(size) == held => size,
        _ => i64::try_from(held).unwrap_or(i64::MAX),
    };
    Ok(State { found, bound: Some(bound), attached: device.is_some() })
}

pub(super) fn make(base: &Base, volume: &str) -> Result<(), Fault> {
    let place = loop_file(volume);
    let fail = |errno| Fault::system(format_args!("make the file {}/{place}", base.path()), errno);
    base.prepare()?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
    let file = base.open_at(&place, flags, Mode::from_raw_mode(0o600)).map_err(fail)?;
    rustix::fs::fsync(&file).map_err(fail)?;
    base.sync_parent(&place).map_err(fail)
}

/// Gives the file its length, which it never loses, and the device too when there is one.
pub(super) fn bound(base: &Base, devices: &Devices, volume: &str, size: i64) -> Result<(), Fault> {
    let fail = |errno| Fault::system(format_args!("give the volume {volume} {size} bytes"), errno);
    let (file, identity, length) = open(base, volume)?;
    let wanted = blocks(size);
    if length < wanted {
        rustix::fs::ftruncate(&file, wanted).map_err(fail)?;
        rustix::fs::fsync(&file).map_err(fail)?;
    }
    point("bound", "within");
    match devices.over(identity) {
        Some(device) => kernel::loop_resize(&device.file).map_err(fail),
        None => Ok(()),
    }
}

/// Puts the file behind a device, unless it is, and links the device.
pub(super) fn attach(base: &Base, devices: &Devices, volume: &str) -> Result<(), Fault> {
    let fail = |errno| Fault::system(format_args!("attach the loop device of {volume}"), errno);
    let (file, identity, _) = open(base, volume)?;
    let device = match devices.over(identity) {
        Some(device) => device,
        None => attach_free(devices, &file, volume, fail)?,
    };
    let link = devices.link(volume);
    let directory = link.parent().ok_or_else(|| fail(Errno::INVAL))?;
    let io = |error: std::io::Error| fail(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    std::fs::create_dir_all(directory).map_err(io)?;
    let directory =
        rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(fail)?;
    // Replaced at once: the kubelet may be looking.
    let new = format!(".{volume}.new");
    match rustix::fs::unlinkat(&directory, &new, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(fail(errno)),
    }
    rustix::fs::symlinkat(Path::new("/dev").join(&device.name), &directory, &new).map_err(fail)?;
    rustix::fs::renameat(&directory, &new, &directory, volume).map_err(fail)
}

fn attach_free(
    devices: &Devices,
    file: &OwnedFd,
    volume: &str,
    fail: impl Fn(Errno) -> Fault,
) -> Result<Device, Fault> {
    let control = devices.open(opener::Device::Control).map_err(&fail)?;
    for _ in 0..TRIES {
        let number = match kernel::loop_free(&control) {
            Ok(number) => u32::try_from(number).map_err(|_| fail(Errno::NODEV))?,
            // The numbers of devices are at their end, not the disk.
            Err(Errno::NOSPC) => {
                let why = format!("failed to attach the loop device of {volume}: the kernel has no other");
                return Err(Fault::lasting(TOO_MANY, why));
            }
            Err(errno) => return Err(fail(errno)),
        };
        let free = opener::Device::Loop(number);
        let device = Device { name: free.name(), file: devices.open(free).map_err(&fail)? };
        match kernel::loop_attach(&device.file, file.as_fd(), volume) {
            Ok(()) => return Ok(device),
            // Somebody else was faster.
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(fail(errno)),
        }
    }
    Err(fail(Errno::BUSY))
}

/// Takes the device away. Whoever has it open keeps it until then, which is a passing fault.
pub(super) fn detach(base: &Base, devices: &Devices, volume: &str) -> Result<(), Fault> {
    let fail = |errno| Fault::system(format_args!("detach the loop device of {volume}"), errno);
    let find = || match open(base, volume) {
        Ok((_, identity, _)) => devices.linked(volume, Some(identity)).or_else(|| devices.over(identity)),
        Err(_) => devices.linked(volume, None),
    };
    if let Some(device) = find() {
        kernel::loop_detach(&device.file).map_err(fail)?;
        drop(device);
        // With its last user gone it detaches by itself.
        if find().is_some() {
            return Err(fail(Errno::BUSY));
        }
    }
    match std::fs::remove_file(devices.link(volume)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(fail(Errno::from_io_error(&error).unwrap_or(Errno::IO)))
        }
        _ => Ok(()),
    }
}

/// The bytes that the sparse file takes.
pub(super) fn used(base: &Base, volume: &str) -> Option<i64> {
    let (file, _, _) = open(base, volume).ok()?;
    Some(rustix::fs::fstat(&file).ok()?.st_blocks.saturating_mul(512))
}

/// The file, what identifies it to a loop device, and its length.
fn open(base: &Base, volume: &str) -> Result<(OwnedFd, (u64, u64), u64), Fault> {
    let place = loop_file(volume);
    let fail = |errno| Fault::system(format_args!("open {}/{place}", base.path()), errno);
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = base.open_at(&place, flags, Mode::empty()).map_err(fail)?;
    let stat = rustix::fs::fstat(&file).map_err(fail)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(fail(Errno::INVAL));
    }
    Ok((file, (stat.st_dev, stat.st_ino), u64::try_from(stat.st_size).unwrap_or_default()))
}

fn blocks(size: i64) -> u64 {
    u64::try_from(size).unwrap_or_default().div_ceil(BLOCK) * BLOCK
}
