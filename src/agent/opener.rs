//! The one thread that may open devices: loop devices and their control, and nothing else. The threads that follow paths
//! which pods can plant things on have no device within reach.

use super::confine;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

/// The kernel's number for loop devices, of all their minors.
const LOOP_MAJOR: u32 = 7;

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Opener(Sender<Request>);

/// What is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Device {
    /// What gives free loop devices.
    Control,
    /// The loop device of that number.
    Loop(u32),
}

#[derive(Debug)]
struct Request {
    device: Device,
    answer: SyncSender<rustix::io::Result<OwnedFd>>,
}

impl Device {
    /// The device of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let number = name.strip_prefix("loop")?;
        // No other spelling of a number is the kernel's.
        let number: u32 = number.parse().ok().filter(|parsed: &u32| parsed.to_string() == number)?;
        Some(Self::Loop(number))
    }

    /// Its name, in the directory of the kernel's devices.
    pub(super) fn name(self) -> String {
        match self {
            Self::Control => "loop-control".to_owned(),
            Self::Loop(number) => format!("loop{number}"),
        }
    }
}

impl Opener {
    /// Starts the thread, which opens what is in `dev` alone.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(dev: PathBuf) -> std::io::Result<Self> {
        let (sender, requests) = channel();
        thread::Builder::new().name("devices".to_owned()).spawn(move || serve(&dev, &requests))?;
        Ok(Self(sender))
    }

    /// Opens a device to be read and written.
    ///
    /// # Errors
    /// The kernel's; `ENODEV` for what is no loop device.
    pub(super) fn open(&self, device: Device) -> rustix::io::Result<OwnedFd> {
        let (answer, opened) = sync_channel(1);
        // The thread ends with the agent alone.
        self.0.send(Request { device, answer }).map_err(|_| Errno::NODEV)?;
        opened.recv().map_err(|_| Errno::NODEV)?
    }
}

fn serve(dev: &Path, requests: &Receiver<Request>) {
    confine::to_devices(dev);
    for Request { device, answer } in requests {
        // Who asked may have ended.
        let _ = answer.send(open(dev, device));
    }
}

fn open(dev: &Path, device: Device) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = rustix::fs::open(dev.join(device.name()), flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    let wanted = match device {
        Device::Control => FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice,
        Device::Loop(_) => {
            FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice
                && rustix::fs::major(stat.st_rdev) == LOOP_MAJOR
        }
    };
    if wanted { Ok(file) } else { Err(Errno::NODEV) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_device_is_known_by_the_kernels_name() {
        assert_eq!(Device::named("loop0"), Some(Device::Loop(0)));
        assert_eq!(Device::named("loop1048575").map(Device::name), Some("loop1048575".to_owned()));
        for name in ["loop", "loop-control", "loop-1", "loop01", "loop+1", "loop1p1", "sda", "../loop1", ""] {
            assert_eq!(Device::named(name), None, "{name:?}");
        }
    }

    #[test]
    fn opens_nothing_but_loop_devices() {
        let dev = tempfile::tempdir().unwrap();
        std::fs::write(dev.path().join("loop1"), "").unwrap();
        std::os::unix::fs::symlink("/dev/null", dev.path().join("loop2")).unwrap();
        std::fs::write(dev.path().join("loop-control"), "").unwrap();
        let opener = Opener::start(dev.path().to_owned()).unwrap();
        let opened = |device| opener.open(device).unwrap_err();
        assert_eq!(opened(Device::Loop(1)), Errno::NODEV, "a file");
        assert_eq!(opened(Device::Loop(2)), Errno::LOOP);
        assert_eq!(opened(Device::Loop(3)), Errno::NOENT);
        assert_eq!(opened(Device::Control), Errno::NODEV);
    }
}
